//! A record, at rest and as the API shows it.
use crate::error::CrmError;
use crate::keys;
use crate::schema::Kind;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_core::mail::Address;
use tandem_core::normalise;
use tandem_ports::table::Item;

/// What a record says: the fields of its type, `tags` and `custom`. Empty values are left out.
pub(crate) type Body = Map<String, Value>;

/// A live record.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// UUID (version 7).
    pub id: String,
    /// Its type.
    pub kind: Kind,
    /// Small number for people, counted per type.
    pub number: u64,
    /// Grows with every change; 1 at first.
    pub version: u64,
    /// Where its feed entry is.
    pub(crate) seq: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// A sync's mark.
    pub(crate) marker: Option<String>,
    pub(crate) body: Body,
}

/// A record is personal data: `Debug` shows what identifies it only.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} version {}", self.kind.word(), self.id, self.version)
    }
}

impl Record {
    /// As the API shows it: every field of its type, empty ones as `null` or `[]`.
    pub fn to_json(&self) -> Value {
        let mut shown = Map::new();
        shown.insert("id".into(), json!(self.id));
        shown.insert("number".into(), json!(self.number));
        for field in self.kind.definition().fields {
            shown.insert(field.name.into(), self.body.get(field.name).cloned().unwrap_or_else(|| empty(field.shape)));
        }
        shown.insert("tags".into(), self.body.get("tags").cloned().unwrap_or_else(|| json!([])));
        shown.insert("custom".into(), self.body.get("custom").cloned().unwrap_or_else(|| json!({})));
        shown.insert("created_at".into(), json!(self.created_at.to_string()));
        shown.insert("updated_at".into(), json!(self.updated_at.to_string()));
        shown.insert("version".into(), json!(self.version));
        Value::Object(shown)
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        text(&self.body, field)
    }

    /// The id of the company a contact works for.
    pub(crate) fn company(&self) -> Option<&str> {
        (self.kind == Kind::Contact).then(|| self.body.get("company").and_then(Value::as_str)).flatten()
    }

    /// The id of the folder or record that a file or folder is in.
    pub(crate) fn inside(&self) -> Option<&str> {
        matches!(self.kind, Kind::File | Kind::Folder)
            .then(|| self.body.get("parent").and_then(Value::as_str))
            .flatten()
    }

    /// What people call it.
    pub(crate) fn title(&self) -> String {
        match self.kind {
            Kind::Contact | Kind::Lead => {
                format!("{} {}", self.text("first_name"), self.text("last_name")).trim().to_owned()
            }
            Kind::Task | Kind::Meeting | Kind::Block => self.text("title").to_owned(),
            Kind::Email => self.text("subject").to_owned(),
            Kind::User
            | Kind::Company
            | Kind::Deal
            | Kind::Project
            | Kind::Product
            | Kind::File
            | Kind::Folder
            | Kind::Segment
            | Kind::ListView => self.text("name").to_owned(),
        }
    }

    /// Its e-mail addresses, in their one spelling, each once: those by which mail finds it.
    pub(crate) fn addresses(&self) -> BTreeSet<String> {
        addresses(self.kind, &self.body)
    }

    pub(crate) fn to_item(&self, account: &str) -> Item {
        let mut attributes = Map::new();
        attributes.insert("kind".into(), json!(self.kind.word()));
        attributes.insert("number".into(), json!(self.number));
        attributes.insert("version".into(), json!(self.version));
        attributes.insert("seq".into(), json!(self.seq));
        attributes.insert("created_at".into(), json!(self.created_at.to_string()));
        attributes.insert("updated_at".into(), json!(self.updated_at.to_string()));
        if let Some(marker) = &self.marker {
            attributes.insert("marker".into(), json!(marker));
        }
        // One text: the table then need not know decimals or empty lists, and reads it in one piece.
        attributes.insert("body".into(), json!(Value::Object(self.body.clone()).to_string()));
        Item { key: keys::record(account, &self.id), attributes }
    }

    pub(crate) fn from_item(item: &Item) -> Result<Record, CrmError> {
        Self::read(item).ok_or(CrmError::Corrupt)
    }

    fn read(item: &Item) -> Option<Record> {
        let get = |name: &str| item.attributes.get(name);
        let time = |name: &str| get(name)?.as_str()?.parse::<Timestamp>().ok();
        let (_, id) = item.key.pk.split_once("#REC#")?;
        Some(Record {
            id: id.to_owned(),
            kind: Kind::of_word(get("kind")?.as_str()?)?,
            number: get("number")?.as_u64()?,
            version: get("version")?.as_u64()?,
            seq: get("seq")?.as_u64()?,
            created_at: time("created_at")?,
            updated_at: time("updated_at")?,
            marker: get("marker").and_then(Value::as_str).map(str::to_owned),
            body: serde_json::from_str(get("body")?.as_str()?).ok()?,
        })
    }
}

fn empty(shape: crate::schema::Shape) -> Value {
    use crate::schema::Shape;
    match shape {
        Shape::Emails
        | Shape::Phones
        | Shape::Addresses
        | Shape::Texts(_)
        | Shape::Links(_)
        | Shape::Recurrence
        | Shape::Exceptions
        | Shape::Attendees
        | Shape::KeptIds => json!([]),
        Shape::Filter => json!({"all": []}),
        Shape::Flag => json!(false),
        Shape::Rights => crate::users::Rights::default().to_json(),
        Shape::References(_) => json!([]),
        Shape::Line(_)
        | Shape::Lines(_)
        | Shape::Birthday
        | Shape::Email
        | Shape::Reference(_)
        | Shape::Module
        | Shape::Date
        | Shape::Moment
        | Shape::Choice(_)
        | Shape::Subject
        | Shape::Number
        | Shape::When
        | Shape::Zone
        | Shape::Minutes(_)
        | Shape::KeptText => Value::Null,
    }
}

/// Addresses of one record that are indexed. A change of all of them must fit a transaction with everything else.
const INDEXED: usize = 40;

/// The addresses by which mail finds a record that says this.
pub(crate) fn addresses(kind: Kind, body: &Body) -> BTreeSet<String> {
    if !Kind::ADDRESSED.contains(&kind) {
        return BTreeSet::new();
    }
    let read = values(body, "emails").filter_map(Address::read).take(INDEXED);
    read.map(|address| address.as_str().to_owned()).collect()
}

pub(crate) fn text<'a>(body: &'a Body, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The `value` of each element of `emails` or `phones`.
pub(crate) fn values<'a>(body: &'a Body, field: &str) -> impl Iterator<Item = &'a str> {
    let list = body.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|entry| entry.get("value").and_then(Value::as_str))
}

/// A short hash that two records share when they speak of the same thing: a contact's first e-mail address (without
/// one its first phone number) and name, a company's name, a user's e-mail address.
pub(crate) fn same(kind: Kind, body: &Body) -> String {
    let folded = |text: &str| normalise::text(text).to_lowercase();
    let said = match kind {
        Kind::Contact | Kind::Lead => {
            let phone = || values(body, "phones").next().map(digits).unwrap_or_default();
            let handle = values(body, "emails").next().map_or_else(phone, normalise::email);
            let name = format!("{} {}", text(body, "first_name"), text(body, "last_name"));
            format!("{handle}\n{}", folded(&name))
        }
        Kind::Company
        | Kind::Deal
        | Kind::Project
        | Kind::Product
        | Kind::File
        | Kind::Folder
        | Kind::Segment
        | Kind::ListView => folded(text(body, "name")),
        Kind::User => normalise::email(text(body, "email")),
        Kind::Task | Kind::Meeting | Kind::Block => folded(text(body, "title")),
        Kind::Email => text(body, "message_id").to_owned(),
    };
    keys::digest(&said)[..24].to_owned()
}

/// The hash of a company with this name.
pub(crate) fn same_company(name: &str) -> String {
    let body = Body::from_iter([("name".to_owned(), json!(name))]);
    same(Kind::Company, &body)
}

fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}
