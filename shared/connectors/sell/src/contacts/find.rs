//! What was made of a draft whose answer was lost.
//!
//! Sell keeps no marker, so a record is taken for ours only where nothing speaks against it: this user made it within the
//! last hour, it is in our list, it says exactly what the draft would, and there are no more such records than drafts.
use super::SellContacts;
use crate::api::{PAGE, is_last};
use crate::map;
use crate::wire::Contact;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_core::contact::{COMPANY_PHONE, field};
use tandem_core::record::{Fields, Marker, RemoteId, Scope, Value};
use tandem_ports::connector::{Draft, Fetched};
use tandem_ports::error::Result;

/// How far back a record may have been made and still be the one of a lost answer: drafts are looked for by the next job
/// of their sync. Sell tells the time in whole seconds.
const LOOK_BACK: Duration = Duration::from_secs(3_600 + 1);
/// Pages of the newest contacts that are searched where a draft has no e-mail address.
const NEWEST_PAGES: usize = 10;

impl SellContacts {
    pub(super) async fn find_lately_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let custom = self.custom_fields().await?;
        let wanted: Vec<Fields> = drafts.iter().map(|draft| map::shown(&draft.fields, &custom, self.rules())).collect();
        let mut newest: Option<Vec<Contact>> = None;
        let mut taken: BTreeSet<RemoteId> = BTreeSet::new();
        let mut found = Vec::new();
        for (draft, says) in drafts.iter().zip(&wanted) {
            // Sell makes no person without a last name, so of such a draft (its origin may be gone) nothing was made.
            if says.text(&field::LAST_NAME).is_empty() {
                continue;
            }
            let candidates = match says.items(&field::EMAILS).first() {
                Some(email) => self.with_email(email.as_value()).await?,
                None => match &newest {
                    Some(known) => known.clone(),
                    None => newest.insert(self.newest().await?).clone(),
                },
            };
            let fitting = self.fitting(candidates, says).await?;
            let alike = wanted.iter().filter(|other| *other == says).count();
            // One more than we asked for: somebody else typed the same, and we cannot tell which one is ours.
            if fitting.len() > alike {
                continue;
            }
            if let Some(fetched) = fitting.into_iter().find(|fetched| !taken.contains(&fetched.id)) {
                taken.insert(fetched.id.clone());
                found.push((draft.marker.clone(), Fetched { marker: Some(draft.marker.clone()), ..fetched }));
            }
        }
        Ok(found)
    }

    /// Those that can be what a draft that says this has made.
    async fn fitting(&self, candidates: Vec<Contact>, says: &Fields) -> Result<Vec<Fetched>> {
        let since = self.since();
        let lately = |c: &Contact| !c.is_organization() && c.time("created_at").is_some_and(|at| at >= since);
        let candidates: Vec<Contact> = candidates.into_iter().filter(lately).collect();
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let user = self.whose.me(&self.client).await?.id;
        let organisations = self.organisations(&candidates, BTreeMap::new()).await?;
        let ours = candidates.into_iter().filter(|c| c.creator() == Some(user));
        let shown = ours.filter_map(|c| self.fetched(c, &organisations));
        Ok(shown.filter(|f| f.scope == Scope::Inside && without_company_phone(&f.fields) == *says).collect())
    }

    fn since(&self) -> jiff::Timestamp {
        self.clock.now() - LOOK_BACK
    }

    async fn with_email(&self, email: &str) -> Result<Vec<Contact>> {
        let answer = self.list(vec![("email", email.to_owned()), ("per_page", PAGE.to_string())]).await?;
        Ok(answer.items.into_iter().map(|one| one.data).collect())
    }

    async fn newest(&self) -> Result<Vec<Contact>> {
        let since = self.since();
        let mut all = Vec::new();
        for page in 1..=NEWEST_PAGES {
            let query = vec![
                ("sort_by", "created_at:desc".to_owned()),
                ("page", page.to_string()),
                ("per_page", PAGE.to_string()),
            ];
            let answer = self.list(query).await?;
            let last = is_last(&answer, PAGE);
            let old = answer.items.iter().any(|one| one.data.time("created_at").is_some_and(|at| at < since));
            all.extend(answer.items.into_iter().map(|one| one.data));
            if last || old {
                break;
            }
        }
        Ok(all)
    }
}

/// The company's own number is no part of what a draft makes.
fn without_company_phone(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    let own = fields.items(&field::PHONES).iter().filter(|p| p.label != COMPANY_PHONE);
    let own = Value::Items(own.cloned().collect());
    fields.set(field::PHONES, own);
    fields
}
