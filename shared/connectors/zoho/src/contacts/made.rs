//! After a lost answer: what was made of our drafts. Zoho keeps no marker, so a record made lately that says the same is
//! taken for ours.
use super::ZohoContacts;
use crate::api::records::{self, At, Of};
use crate::map;
use crate::wire::{Record, Records};
use serde_json::Map;
use tandem_core::contact::{COMPANY_PHONE, field};
use tandem_core::record::{Fields, Marker, Scope, Value};
use tandem_ports::connector::{Draft, Fetched};
use tandem_ports::error::Result;

/// How long ago it may have been made: a job that waits for credits waits a day at most. In seconds.
const LOOK_BACK: i64 = 25 * 3600;
/// 10,000 records made within the look-back.
const MOST_PAGES: usize = 50;

impl ZohoContacts {
    /// Reads the contacts made lately, the latest first: a listing shows what a search index shows only later.
    pub(super) async fn find_all_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let mut found: Vec<(Marker, Record)> = Vec::new();
        let layout = self.layout().await?;
        let names = layout.names();
        let mut waiting: Vec<(&Draft, Fields)> =
            drafts.iter().map(|draft| (draft, essence(&self.would_show(draft, &layout)))).collect();
        let mut at = Some(At::Page(1));
        for _ in 0..MOST_PAGES {
            let Some(page) = at.take().filter(|_| !waiting.is_empty()) else { break };
            let call = records::list(&self.client.origin, (Of::Latest, &names), (&page, self.page_size), None)?;
            let (answer, now) = self.client.ask_dated::<Records>(call).await?;
            let answer = answer.unwrap_or_default();
            let recent =
                |record: &Record| record.created_at().is_none_or(|created| now - created.as_second() <= LOOK_BACK);
            let all_recent = answer.data.iter().all(recent);
            for record in answer.data.into_iter().filter(recent) {
                let said = essence(&map::fields(&record, self.rules(&layout)));
                // Each draft takes one record, each record one draft.
                let Some(which) = waiting.iter().position(|(_, wanted)| *wanted == said) else { continue };
                let (draft, _) = waiting.remove(which);
                found.push((draft.marker.clone(), record));
            }
            at = records::page_after(self.page_size, &page, &answer.info)?.filter(|_| all_recent);
        }
        let (markers, mut ours): (Vec<Marker>, Vec<Record>) = found.into_iter().unzip();
        self.add_company_phones(&mut ours).await?;
        let scopes = self.scopes(&ours).await?;
        let fetched = |((marker, record), scope): ((Marker, Record), Scope)| {
            Some((marker.clone(), Fetched { marker: Some(marker), ..self.fetched(record, &layout, scope)? }))
        };
        Ok(markers.into_iter().zip(ours).zip(scopes).filter_map(fetched).collect())
    }

    /// What Zoho would show of a record made of this draft.
    fn would_show(&self, draft: &Draft, layout: &crate::layout::Layout) -> Fields {
        let changed: Vec<_> = draft.fields.iter().map(|(name, _)| name.clone()).collect();
        let account = map::Account { name: draft.fields.text(&field::COMPANY).to_owned(), ..map::Account::default() };
        let empty = Record(Map::new());
        let body = map::body((&changed, &draft.fields), &empty, self.rules(layout), Some(&account));
        map::fields(&map::written(&empty, &body, &layout.free, Some(&account)), self.rules(layout))
    }
}

/// What tells people apart. Left out: what Zoho fills in by itself (start values of free fields) and the account's phone.
fn essence(fields: &Fields) -> Fields {
    let kept = fields.iter().filter(|(name, _)| !name.as_str().starts_with("custom."));
    let own = |value: &Value| match value {
        Value::Items(items) => Value::Items(items.iter().filter(|item| item.label != COMPANY_PHONE).cloned().collect()),
        Value::Text(text) => Value::Text(text.clone()),
    };
    kept.map(|(name, value)| (name.clone(), own(value))).collect()
}
