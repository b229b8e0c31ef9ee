//! List views. Zoho decides what a view shows, and says so only by listing it.
use super::ZohoContacts;
use crate::api::records::{self, At, Of};
use crate::api::settings;
use crate::error;
use crate::wire::{Record, Records, Views};
use std::collections::HashSet;
use std::sync::Arc;
use tandem_core::record::{ContainerId, Scope};
use tandem_ports::connector::Choice;
use tandem_ports::error::{ErrorKind, Result};

/// A view longer than this is not ours: 100,000 contacts is the most that tokens reach.
const MOST_PAGES: usize = 500;
/// A view may speak of "today": what it showed is true for a while only.
const GOOD_FOR_SECONDS: i64 = 600;
/// Zoho's times are whole seconds, so a change in the second of the reading may have come after it.
const TICK: i64 = 2;

/// Whom the view showed at a moment (Zoho's time).
pub(super) struct Listed {
    at: i64,
    ids: HashSet<String>,
}

impl ZohoContacts {
    /// Whether the view shows these records. Neither a query (COQL knows no views) nor a read of single records says so;
    /// the ids of the whole view do, 200 a call. They are read once, and again when one of the records was changed later.
    pub(super) async fn scopes(&self, records: &[Record]) -> Result<Vec<Scope>> {
        let Some(view) = self.view_id().filter(|_| !records.is_empty()) else {
            return Ok(vec![Scope::Inside; records.len()]);
        };
        let latest = records.iter().filter_map(Record::modified_at).map(|time| time.as_second()).max();
        let known = self.view.lock().expect("no code panics while it holds this lock").clone();
        let now = self.client.clock.now().as_second();
        let good = |listed: &Arc<Listed>| {
            latest.is_some_and(|latest| latest + TICK <= listed.at) && (now - listed.at).abs() < GOOD_FOR_SECONDS
        };
        let listed = match known.filter(good) {
            Some(listed) => listed,
            None => self.sweep(view).await?,
        };
        let scope = |record: &Record| match listed.ids.contains(record.id()) {
            true => Scope::Inside,
            false => Scope::Outside,
        };
        Ok(records.iter().map(scope).collect())
    }

    async fn sweep(&self, view: &str) -> Result<Arc<Listed>> {
        let mut ids = HashSet::new();
        let mut began = None;
        let mut at = Some(At::Page(1));
        for _ in 0..MOST_PAGES {
            let Some(page) = at.take() else { break };
            let call = records::list(&self.client.origin, (Of::View(view), "id"), (&page, self.page_size), None)?;
            let (answer, now) = self.client.ask_dated::<Records>(call).await?;
            began.get_or_insert(now);
            let answer = answer.unwrap_or_default();
            ids.extend(answer.data.iter().map(|record| record.id().to_owned()));
            at = records::page_after(self.page_size, &page, &answer.info)?;
        }
        if at.is_some() {
            return Err(error::refused(records::LIST, "the list view has no end"));
        }
        let listed = Arc::new(Listed { at: began.unwrap_or_default(), ids });
        *self.view.lock().expect("no code panics while it holds this lock") = Some(Arc::clone(&listed));
        Ok(listed)
    }

    pub(super) async fn ensure_view(&self, id: Option<&ContainerId>) -> Result<Option<ContainerId>> {
        let Some(id) = id else { return Ok(None) };
        let found = match self.client.ask::<Views>(settings::view(&self.client.origin, id.as_str())?).await {
            Ok(found) => found.unwrap_or_default().custom_views.into_iter().next(),
            Err(refusal) if [ErrorKind::Permanent, ErrorKind::NotFound].contains(&refusal.kind) => None,
            Err(refusal) => return Err(refusal),
        };
        let of_contacts = |view: &crate::wire::View| {
            view.id == id.as_str() && view.module.as_ref().is_none_or(|module| module.api_name == "Contacts")
        };
        match found.filter(of_contacts) {
            Some(_) => Ok(Some(id.clone())),
            None => Err(error::forbidden(settings::VIEWS, error::VIEW_GONE)),
        }
    }

    pub(super) async fn view_choices(&self) -> Result<Vec<Choice>> {
        self.client.views("Contacts").await
    }
}
