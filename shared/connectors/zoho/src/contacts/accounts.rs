//! The accounts (companies) that contacts belong to.
use super::ZohoContacts;
use crate::api::{self, records};
use crate::error;
use crate::map::Account;
use crate::wire::{Record, Records};
use std::collections::{BTreeSet, HashMap};
use tandem_core::contact::Carry;
use tandem_core::normalise;
use tandem_ports::error::{ConnectorError, Result};

/// Each wanted name with its account, or why there is none.
pub(super) type Named = HashMap<String, Result<Account, ConnectorError>>;

impl ZohoContacts {
    /// Puts the phone number of each contact's account beside it: one read for every hundred accounts, and none where
    /// only the name is wanted.
    pub(super) async fn add_company_phones(&self, contacts: &mut [Record]) -> Result<()> {
        if self.options.carry == Carry::Name {
            return Ok(());
        }
        let ids: BTreeSet<String> = contacts.iter().map(|contact| contact.account("id").to_owned()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !id.is_empty()).collect();
        let mut phones: HashMap<String, String> = HashMap::new();
        for chunk in ids.chunks(records::BATCH) {
            let answer: Option<Records> = self.client.ask(records::account_phones(&self.client.origin, chunk)?).await?;
            let found = answer.unwrap_or_default().data.into_iter();
            phones.extend(found.map(|account| (account.id().to_owned(), account.text("Phone").to_owned())));
        }
        for contact in contacts {
            let phone = phones.get(contact.account("id")).cloned().unwrap_or_default();
            contact.set_company_phone(&phone);
        }
        Ok(())
    }

    /// Finds the accounts of these names, and makes those that are missing: one call to find them, one to make them.
    pub(super) async fn accounts(&self, names: &BTreeSet<String>) -> Result<Named> {
        let mut named = Named::new();
        let mut missing: Vec<&str> = names.iter().map(String::as_str).collect();
        while !missing.is_empty() {
            let answer: Option<Records> =
                self.client.ask(records::accounts_named(&self.client.origin, &missing)?).await?;
            let rows = answer.unwrap_or_default().data;
            let full = rows.len() >= usize::from(records::PAGE);
            let before = missing.len();
            missing.retain(|name| match best(&rows, name) {
                Some(account) => named.insert((*name).to_owned(), Ok(account)).is_some(),
                None => true,
            });
            // A full answer may have left names out, in favour of many accounts of one name.
            if !full || missing.len() == before {
                break;
            }
        }
        if !missing.is_empty() {
            self.make_accounts(&missing, &mut named).await?;
        }
        Ok(named)
    }

    async fn make_accounts(&self, names: &[&str], named: &mut Named) -> Result<()> {
        let operation = records::INSERT_ACCOUNTS;
        let answer = self.client.send(records::insert_accounts(&self.client.origin, names)?).await?;
        let mut treated = api::parse_treated(operation, &answer)?.into_iter();
        for name in names {
            let made = match treated.next() {
                None => Err(error::no_answer(operation)),
                Some(said) => {
                    // Where names must be unique, somebody may have made it in this moment, or it is there in another spelling.
                    let id = said.details["id"].as_str().or(said.details["duplicate_record"]["id"].as_str());
                    match id.filter(|_| ["SUCCESS", "DUPLICATE_DATA"].contains(&said.code.as_str())) {
                        Some(id) => Ok(Account { id: id.to_owned(), name: (*name).to_owned(), phone: String::new() }),
                        None => Err(error::classify_item(operation, &said)),
                    }
                }
            };
            named.insert((*name).to_owned(), made);
        }
        Ok(())
    }
}

/// The oldest account of exactly this name, else of this name in other letters (Zoho compares without case).
fn best(rows: &[Record], name: &str) -> Option<Account> {
    let text = |row: &Record| normalise::text(row.text("Account_Name"));
    let exact = rows.iter().find(|row| text(row) == name);
    let row = exact.or_else(|| rows.iter().find(|row| text(row).to_lowercase() == name.to_lowercase()))?;
    let phone = row.text("Phone").to_owned();
    Some(Account { id: row.id().to_owned(), name: row.text("Account_Name").to_owned(), phone })
}
