//! The people of the demo world at the vendors' CRMs and in Google, put into the simulators as their users would.
use crate::api::Api;
use crate::demo::{COMPANY, FIRST, LAST, TITLE};
use crate::fault::{Fault, Result};
use serde_json::{Value, json};

/// In the CRM …
const IN_CRM: usize = 40;
/// … of whom so many are in Google's group, too …
const IN_BOTH: usize = 12;
/// … which holds so many more that the CRM does not know.
const IN_GOOGLE: usize = 5;
/// How many companies they work for.
const COMPANIES: usize = 6;

/// Somebody, always the same for a number.
struct Person {
    first: &'static str,
    last: &'static str,
    email: String,
    mobile: String,
    title: &'static str,
    /// Which company, if any.
    company: Option<usize>,
}

fn person(number: usize) -> Person {
    Person {
        // 24 first and 26 last names: no pair comes twice within 312.
        first: FIRST[number % FIRST.len()],
        last: LAST[number % LAST.len()],
        email: format!("kunde{number:02}@example.net"),
        mobile: format!("+32 475 30 40 {number:02}"),
        title: TITLE[number % TITLE.len()],
        company: (!number.is_multiple_of(4)).then_some(number % COMPANIES),
    }
}

/// An account at a provider's simulator.
pub(crate) struct Simulated {
    provider: &'static str,
    pub(crate) account: &'static str,
    api: Api,
    /// Opens the provider's own API; at Sell a user's personal token.
    pub(crate) token: String,
}

impl Simulated {
    /// The account, made where it is missing.
    pub(crate) fn account(origin: &str, provider: &'static str, account: &'static str) -> Result<Self> {
        let path = format!("/_sim/{provider}/accounts");
        let made = Api::new(origin, "none").post(&path, &json!({"account": account}))?;
        let token = made["token"].as_str().ok_or_else(|| Fault::new("a simulator answered no token"))?.to_owned();
        Ok(Self { provider, account, api: Api::new(origin, &token), token })
    }

    /// Has the simulator's control plane do something for this account.
    pub(crate) fn order(&self, what: &str, mut body: Value) -> Result<Value> {
        body["account"] = json!(self.account);
        self.api.post(&format!("/_sim/{}/{what}", self.provider), &body)
    }

    /// Whether somebody is there already: an earlier `up` was stopped half-way.
    fn has_people(&self) -> Result<bool> {
        let state = self.api.get(&format!("/_sim/{}/state?account={}", self.provider, self.account))?;
        let some = |list: &Value| match list {
            Value::Array(list) => !list.is_empty(),
            Value::Object(list) => !list.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        Ok(["contacts", "records", "people"].iter().any(|name| some(&state[*name])))
    }

    /// The people of this CRM with their companies, once.
    pub(crate) fn fill_crm(&self) -> Result<()> {
        if self.has_people()? {
            return Ok(());
        }
        let people: Vec<Person> = (0..IN_CRM).map(person).collect();
        match self.provider {
            "teamleader" => self.fill_teamleader(&people),
            "zoho" => self.fill_zoho(&people),
            "sell" => self.fill_sell(&people),
            other => Err(Fault::new(format!("the demo world has nobody for {other}"))),
        }
    }

    fn fill_teamleader(&self, people: &[Person]) -> Result<()> {
        let company = |name: &&str| self.order("companies", json!({"company": {"name": name}}));
        let companies = COMPANY.iter().take(COMPANIES).map(company).collect::<Result<Vec<_>>>()?;
        let contact = |person: &Person| {
            let links = person.company.map(|at| {
                json!({"position": person.title, "secondary_position": null, "division": null,
                    "decision_maker": false, "company": {"type": "company", "id": companies[at]["id"]}})
            });
            json!({"companies": links.into_iter().collect::<Vec<_>>(), "fields": {
                "first_name": person.first, "last_name": person.last,
                "emails": [{"type": "primary", "email": person.email}],
                "telephones": [{"type": "mobile", "number": person.mobile}]}})
        };
        self.order("contacts", json!({"contacts": people.iter().map(contact).collect::<Vec<_>>()})).map(drop)
    }

    fn fill_zoho(&self, people: &[Person]) -> Result<()> {
        let accounts: Vec<Value> = COMPANY.iter().take(COMPANIES).map(|name| json!({"Account_Name": name})).collect();
        let accounts = self.order("records", json!({"module": "Accounts", "records": accounts}))?;
        let contact = |person: &Person| {
            let mut contact = json!({"First_Name": person.first, "Last_Name": person.last, "Email": person.email,
                "Mobile": person.mobile, "Title": person.title});
            if let Some(at) = person.company {
                contact["Account_Name"] = json!({"id": accounts["ids"][at]});
            }
            contact
        };
        self.order("records", json!({"records": people.iter().map(contact).collect::<Vec<_>>()})).map(drop)
    }

    fn fill_sell(&self, people: &[Person]) -> Result<()> {
        let organisation =
            |name: &&str| self.order("contacts", json!({"data": {"is_organization": true, "name": name}}));
        let organisations = COMPANY.iter().take(COMPANIES).map(organisation).collect::<Result<Vec<_>>>()?;
        for person in people {
            let mut data = json!({"first_name": person.first, "last_name": person.last, "email": person.email,
                "mobile": person.mobile, "title": person.title});
            if let Some(at) = person.company {
                data["contact_id"] = organisations[at]["data"]["id"].clone();
            }
            self.order("contacts", json!({"data": data}))?;
        }
        Ok(())
    }

    /// A group of this name in Google, whose members are in part the CRM's people, once.
    pub(crate) fn fill_google(&self, group: &str) -> Result<()> {
        if self.has_people()? {
            return Ok(());
        }
        // The control plane makes no groups; Google's own API does.
        let group = self.api.post("/v1/contactGroups", &json!({"contactGroup": {"name": group}}))?;
        let contact = |number: usize| {
            let person = person(number);
            json!({"groups": ["contactGroups/myContacts", group["resourceName"]], "fields": {
                "names": [{"givenName": person.first, "familyName": person.last}],
                "emailAddresses": [{"type": "work", "value": person.email}]}})
        };
        let numbers = (0..IN_BOTH).chain(IN_CRM..IN_CRM + IN_GOOGLE);
        self.order("people", json!({"people": numbers.map(contact).collect::<Vec<_>>()})).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nobody_is_there_twice() {
        let people: Vec<Person> = (0..IN_CRM + IN_GOOGLE).map(person).collect();
        let names: BTreeSet<_> = people.iter().map(|person| (person.first, person.last)).collect();
        let addresses: BTreeSet<_> = people.iter().map(|person| &person.email).collect();
        assert_eq!((names.len(), addresses.len()), (people.len(), people.len()));
    }
}
