//! Creating, changing and deleting contacts. Teamleader takes one at a time and answers an id or nothing, so each write
//! is followed by one reading, which gives the version and what is shown.
use super::{TeamleaderContacts, WRITE_BATCH};
use crate::api::{Call, requests};
use crate::error;
use crate::map;
use crate::wire::{Data, Held, Made};
use serde_json::{Map, Value, json};
use std::future::Future;
use std::sync::Arc;
use tandem_core::contact::field;
use tandem_core::normalise;
use tandem_core::record::{Field, Fields, Scope};
use tandem_ports::connector::{Deletion, Draft, Outcomes, Patch, Written};
use tandem_ports::error::Result;

/// What has to happen to the link between a contact and its company.
#[derive(Debug, PartialEq, Eq)]
enum Link {
    Keep,
    /// To no company any more.
    Cut(String),
    /// The same company, another position.
    Retitle(String),
    /// To another company, from this one where there is one.
    Move(Option<String>),
}

impl TeamleaderContacts {
    pub(super) async fn create_all(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        one_by_one("contacts.add", drafts, |draft| self.create_one(draft)).await
    }

    pub(super) async fn update_all(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        one_by_one("contacts.update", patches, |patch| self.update_one(patch)).await
    }

    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        one_by_one("contacts.delete", deletions, |deletion| self.delete_one(deletion)).await
    }

    /// An add-like call; answers the new id.
    pub(super) async fn made(&self, method: &'static str, body: Map<String, Value>) -> Result<String> {
        let call = Call { method, body: Value::Object(body) };
        Ok(self.api.read::<Data<Made>>(call).await?.body.data.id)
    }

    /// The definitions, where a custom field is written.
    async fn definitions_for<'a>(
        &self,
        mut fields: impl Iterator<Item = &'a Field>,
    ) -> Result<Arc<Vec<crate::wire::Definition>>> {
        if fields.any(|name| name.as_str().starts_with("custom.")) {
            return self.definitions().await;
        }
        Ok(Arc::default())
    }

    /// The company first: a search that fails leaves nothing half done.
    async fn create_one(&self, draft: &Draft) -> Result<Written> {
        let definitions = self.definitions_for(draft.fields.iter().map(|(name, _)| name)).await?;
        let mut body = map::draft(&draft.fields, &definitions, self.options.region);
        if let Some(tag) = self.tag() {
            body.insert("tags".to_owned(), json!([tag]));
        }
        body.retain(|_, value| !value.is_null());
        let name = draft.fields.text(&field::COMPANY);
        let company = if name.is_empty() { None } else { Some(self.company_named(name).await?) };
        let id = self.made("contacts.add", body).await?;
        if let Some(company) = company {
            self.link(&id, &company, draft.fields.text(&field::POSITION)).await?;
        }
        self.shown(&id).await?.ok_or_else(|| error::not_shown("contacts.info"))
    }

    async fn shown(&self, id: &str) -> Result<Option<Written>> {
        let read = self.read(&[id]).await?.into_iter().flatten().next();
        Ok(read.map(|read| Written { id: read.id, version: read.version, shown: Some(read.fields) }))
    }

    async fn update_one(&self, patch: &Patch) -> Result<Written> {
        let held: Held = serde_json::from_value(patch.raw.clone()).unwrap_or_default();
        let definitions = self.definitions_for(patch.changed.iter()).await?;
        let id = patch.id.as_str();
        let body = map::changes(&patch.changed, &patch.fields, &held, &definitions, self.options.region);
        let link = link_of(&patch.changed, &patch.fields, &held);
        let tagging = self.tag().zip(patch.scope);
        let unchanged = Written { id: patch.id.clone(), version: patch.expect.clone(), shown: None };
        if body.is_empty() && link == Link::Keep && tagging.is_none() {
            // A field that cannot be said here must still be seen as not taken.
            return if patch.changed.is_empty() {
                Ok(unchanged)
            } else {
                Ok(self.shown(id).await?.unwrap_or(unchanged))
            };
        }
        if !body.is_empty() {
            self.api.act(requests::about("contacts.update", id, body)).await?;
        }
        self.relink(id, link, &patch.fields).await?;
        if let Some((tag, scope)) = tagging {
            let method = match scope {
                Scope::Inside => "contacts.tag",
                Scope::Outside => "contacts.untag",
            };
            self.api.act(requests::about(method, id, requests::one("tags", json!([tag])))).await?;
        }
        // The write is done, whatever the reading says; with the old version the next reading looks changed, and says
        // what we wrote.
        match self.shown(id).await {
            Ok(written) => Ok(written.unwrap_or(unchanged)),
            Err(_) => Ok(unchanged),
        }
    }

    async fn relink(&self, id: &str, link: Link, fields: &Fields) -> Result<()> {
        let position = fields.text(&field::POSITION);
        let unlink = |company: String| {
            self.api.act(requests::about("contacts.unlinkFromCompany", id, requests::one("company_id", json!(company))))
        };
        match link {
            Link::Keep => Ok(()),
            Link::Cut(company) => unlink(company).await,
            Link::Retitle(company) => {
                let mut body = requests::one("company_id", json!(company));
                body.insert("position".to_owned(), json!(position));
                self.api.act(requests::about("contacts.updateCompanyLink", id, body)).await
            }
            Link::Move(from) => {
                let to = self.company_named(fields.text(&field::COMPANY)).await?;
                self.link(id, &to, position).await?;
                match from.filter(|from| *from != to) {
                    Some(from) => unlink(from).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn link(&self, id: &str, company: &str, position: &str) -> Result<()> {
        let mut body = requests::one("company_id", json!(company));
        if !position.is_empty() {
            body.insert("position".to_owned(), json!(position));
        }
        self.api.act(requests::about("contacts.linkToCompany", id, body)).await
    }

    async fn delete_one(&self, deletion: &Deletion) -> Result<()> {
        match self.api.act(requests::about("contacts.delete", deletion.id.as_str(), Map::new())).await {
            Err(refusal) if error::is_gone(&refusal) => Ok(()),
            answer => answer,
        }
    }
}

fn link_of(changed: &[Field], fields: &Fields, held: &Held) -> Link {
    if ![field::COMPANY, field::POSITION].iter().any(|name| changed.contains(name)) {
        return Link::Keep;
    }
    let name = fields.text(&field::COMPANY);
    let current = held.company_id().map(str::to_owned);
    let same = held.company.as_ref().is_some_and(|company| map::same_company(company, name));
    match current {
        // A position without a company cannot be said here.
        None if name.is_empty() => Link::Keep,
        None => Link::Move(None),
        Some(current) if name.is_empty() => Link::Cut(current),
        Some(current) if same => {
            let before = held.link().map(|link| crate::wire::text(link.get("position"))).unwrap_or_default();
            let retitled = normalise::text(before) != fields.text(&field::POSITION);
            if retitled { Link::Retitle(current) } else { Link::Keep }
        }
        Some(current) => Link::Move(Some(current)),
    }
}

/// Each in turn. What fails by itself is that item's outcome; after a failure that meets the others too they are left.
pub(crate) async fn one_by_one<'a, I, T, W>(
    operation: &'static str,
    items: &'a [I],
    write: impl Fn(&'a I) -> W,
) -> Result<Outcomes<T>>
where
    W: Future<Output = Result<T>>,
{
    if items.len() > WRITE_BATCH {
        return Err(error::refused(operation, "too many records at once"));
    }
    let mut outcomes: Outcomes<T> = Vec::with_capacity(items.len());
    for item in items {
        let outcome = write(item).await;
        let stop = outcome.as_ref().err().filter(|e| !error::is_about_an_item(e.kind)).map(|e| e.repeated());
        outcomes.push(outcome);
        if let Some(stop) = stop {
            outcomes.resize_with(items.len(), || Err(stop.repeated()));
        }
        if outcomes.len() == items.len() {
            break;
        }
    }
    Ok(outcomes)
}
