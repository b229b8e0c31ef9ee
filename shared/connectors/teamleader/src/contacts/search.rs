//! Looking for what a lost answer left behind, and for companies by name.
use super::{MOST_PAGES, SIDE_PAGE, SMALLEST_PAGE, TeamleaderContacts, said};
use crate::api::requests::{self, Page, Sort};
use crate::map;
use crate::wire::{Company, time};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tandem_core::contact::field;
use tandem_core::normalise;
use tandem_core::record::Marker;
use tandem_ports::connector::{Draft, Fetched};
use tandem_ports::error::Result;

/// How far back a record counts as made lately: longer than any job and its repeats take to come back to it.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(2);

impl TeamleaderContacts {
    /// By e-mail address, else by name, among the contacts that were added lately.
    pub(super) async fn find_all(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>> {
        let mut found: Vec<(Marker, Fetched)> = Vec::new();
        for draft in drafts {
            let candidates = self.made_lately(draft).await?;
            let free: Vec<&str> = candidates
                .iter()
                .map(String::as_str)
                .filter(|id| found.iter().all(|(_, fetched)| fetched.id.as_str() != *id))
                .collect();
            // The oldest: two drafts that say the same take one each, in order.
            let Some(first) = free.first() else { continue };
            if let Some(fetched) = self.read(&[first]).await?.into_iter().flatten().next() {
                found.push((draft.marker.clone(), fetched));
            }
        }
        Ok(found)
    }

    async fn made_lately(&self, draft: &Draft) -> Result<Vec<String>> {
        let email = draft.fields.items(&field::EMAILS).first().map(|item| item.as_value()).unwrap_or_default();
        let names = [&field::FIRST_NAME, &field::LAST_NAME].map(|name| draft.fields.text(name));
        let filter = if email.is_empty() {
            requests::one("term", json!(names[1]))
        } else {
            requests::one("email", json!({"type": "primary", "email": email}))
        };
        let mut lately = Vec::new();
        for number in 1..=MOST_PAGES {
            let page = Page { size: SIDE_PAGE, number };
            let answer = self.list::<Map<String, Value>>(requests::contacts(filter.clone(), Sort::Added, page)).await?;
            let since = answer.at - LOOK_BACK;
            let ours = |row: &&Map<String, Value>| {
                time(said(row, "added_at")).is_some_and(|added| added >= since) && says(row, email, names)
            };
            lately.extend(answer.body.data.iter().filter(ours).map(|row| said(row, "id").to_owned()));
            if answer.body.data.len() < SMALLEST_PAGE {
                break;
            }
        }
        Ok(lately)
    }

    /// The company of exactly this name, made where there is none.
    pub(super) async fn company_named(&self, name: &str) -> Result<String> {
        for number in 1..=MOST_PAGES {
            let page = Page { size: SIDE_PAGE, number };
            let rows = self.list::<Company>(requests::companies_by_term(name, page)).await?.body.data;
            if let Some(company) = rows.iter().find(|company| map::same_company(company, name)) {
                return Ok(company.id.clone());
            }
            if rows.len() < SMALLEST_PAGE {
                break;
            }
        }
        self.made("companies.add", requests::one("name", json!(name))).await
    }
}

/// Whether a row says the same e-mail address and name: filters that Teamleader does not know are ignored in silence.
fn says(row: &Map<String, Value>, email: &str, [first, last]: [&str; 2]) -> bool {
    let emails = row.get("emails").and_then(Value::as_array).into_iter().flatten();
    let mut emails = emails.map(|entry| normalise::email(crate::wire::text(entry.get("email"))));
    let addressed =
        if email.is_empty() { emails.next().is_none_or(|e| e.is_empty()) } else { emails.any(|e| e == email) };
    addressed && normalise::text(said(row, "first_name")) == first && normalise::text(said(row, "last_name")) == last
}
