//! Who has an address. `contacts.list` and `companies.list` take one address a call, so what they answered is kept in a
//! book that all mailboxes of the account share; what was changed in Teamleader since is asked for by two calls and
//! forgotten there.
use super::{PAGE, Row, SMALLEST_PAGE, TeamleaderMail};
use crate::api::requests::{self, Page, Sort};
use crate::wire::{sent, text, whole_second};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tandem_core::mail::{Address, Subject, SubjectKind};
use tandem_core::record::RemoteId;
use tandem_ports::error::Result;

/// Changes are asked for again after this long within one stay.
const FRESH: SignedDuration = SignedDuration::from_secs(30);
/// Clocks differ, and an answer may be kept a moment after it was given: so much is asked for twice.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);
/// Pages of changed contacts, or companies, that are read; after more than that all addresses are asked for afresh.
const MOST_CHANGED: u64 = 5;

/// What was changed since a moment.
#[derive(Default)]
struct Changed {
    /// When that was asked, by Teamleader's clock.
    asked_at: Option<Timestamp>,
    addresses: Vec<Address>,
    subjects: Vec<Subject>,
    /// There was more.
    more: bool,
}

impl TeamleaderMail {
    /// Who has these addresses.
    pub(super) async fn holders(&self, addresses: &[Address]) -> Result<BTreeMap<Address, Vec<Subject>>> {
        self.catch_up().await?;
        let mut found = BTreeMap::new();
        for (address, kept) in addresses.iter().zip(self.book.known(addresses).await?) {
            let holders = match kept {
                Some(kept) => kept,
                None => self.asked(address).await?,
            };
            if !holders.is_empty() {
                found.insert(address.clone(), holders);
            }
        }
        Ok(found)
    }

    /// Contacts and companies with this primary address: two calls. Kept.
    pub(super) async fn asked(&self, address: &Address) -> Result<Vec<Subject>> {
        let filter = json!({"type": "primary", "email": address.as_str()});
        let page = Page { size: PAGE, number: 1 };
        let contacts = self.rows(requests::contacts(requests::one("email", filter.clone()), Sort::Added, page)).await?;
        let companies = self.rows(requests::companies_by_email(&filter, page)).await?;
        let mut all = Vec::new();
        for (kind, rows) in [(SubjectKind::Contact, contacts), (SubjectKind::Company, companies)] {
            // A filter that Teamleader does not know is ignored in silence.
            let has = rows.iter().filter(|row| primary(row).as_ref() == Some(address));
            all.extend(has.map(|row| subject(kind, row)));
        }
        self.book.keep(address, &all).await?;
        Ok(all)
    }

    /// Forgets in the book what was changed in Teamleader since the last time: two calls, unless it was done just now.
    async fn catch_up(&self) -> Result<()> {
        let now = self.clock.now();
        let last = *self.caught_up.lock().expect("no code panics while it holds this lock");
        if last.is_some_and(|last| now.duration_since(last) < FRESH) {
            return Ok(());
        }
        match self.book.since().await? {
            None => self.book.start(now).await?,
            Some(since) => {
                let since = sent(&whole_second(since - OVERLAP));
                let mut changed = Changed::default();
                for kind in [SubjectKind::Contact, SubjectKind::Company] {
                    self.changed(kind, &since, &mut changed).await?;
                }
                let at = changed.asked_at.unwrap_or(now);
                if changed.more {
                    self.book.start(at).await?;
                } else {
                    self.book.caught_up(at, &changed.addresses, &changed.subjects).await?;
                }
            }
        }
        *self.caught_up.lock().expect("no code panics while it holds this lock") = Some(now);
        Ok(())
    }

    async fn changed(&self, kind: SubjectKind, since: &str, changed: &mut Changed) -> Result<()> {
        for number in 1..=MOST_CHANGED {
            let page = Page { size: PAGE, number };
            let call = match kind {
                SubjectKind::Contact => {
                    requests::contacts(requests::one("updated_since", json!(since)), Sort::Updated, page)
                }
                SubjectKind::Company => requests::companies_since(since, page),
            };
            let answer = self.page(call).await?;
            changed.asked_at.get_or_insert(answer.at);
            let rows = answer.body.data;
            changed.subjects.extend(rows.iter().map(|row| subject(kind, row)));
            changed.addresses.extend(rows.iter().filter_map(primary));
            if rows.len() < SMALLEST_PAGE {
                return Ok(());
            }
        }
        changed.more = true;
        Ok(())
    }
}

fn subject(kind: SubjectKind, row: &Row) -> Subject {
    Subject { kind, id: RemoteId::new(text(row.get("id"))) }
}

fn primary(row: &Row) -> Option<Address> {
    let mut emails = row.get("emails").and_then(Value::as_array).into_iter().flatten();
    let primary = emails.find(|entry| text(entry.get("type")) == "primary")?;
    Address::read(text(primary.get("email")))
}
