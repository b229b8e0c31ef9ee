//! Companies by name: found, or made in the same commit as the contact that needs them.
use crate::error::CrmError;
use crate::ledger::{Edit, Ledger};
use crate::record::{self, Body};
use crate::schema::Kind;
use crate::users::{Action, User};
use serde_json::json;
use std::collections::HashMap;
use tandem_core::normalise;

/// The companies of an account by name (case and spacing do not matter), as of one head.
pub(crate) struct Companies {
    known: HashMap<String, String>,
}

impl Companies {
    /// Reads the index of names: one request for 5,000 companies.
    pub(crate) async fn load(ledger: &Ledger) -> Result<Companies, CrmError> {
        Ok(Companies { known: ledger.known(Kind::Company).await? })
    }

    /// The id of the company with this name, and the edit that makes it where there is none yet.
    pub(crate) fn find_or_make(
        &mut self,
        ledger: &Ledger,
        actor: &User,
        name: &str,
    ) -> Result<(String, Option<Edit>), CrmError> {
        let same = record::same_company(name);
        if let Some(id) = self.known.get(&same) {
            return Ok((id.clone(), None));
        }
        actor.require(Kind::Company, Action::Create)?;
        let name = normalise::text(name);
        if name.chars().count() > 300 {
            return Err(CrmError::invalid("company", "at most 300 characters"));
        }
        let id = ledger.new_id();
        let body = Body::from_iter([("name".to_owned(), json!(name))]);
        self.known.insert(same, id.clone());
        Ok((id.clone(), Some(Edit::Create { id, kind: Kind::Company, body, marker: None })))
    }

    /// Takes back what [`Companies::find_or_make`] made, where its edit is dropped.
    pub(crate) fn forget(&mut self, id: &str) {
        self.known.retain(|_, known| known != id);
    }
}
