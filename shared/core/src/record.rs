//! The words everything else is said in: sides, ids, versions, fields and values.
//!
//! A record travels as [`Fields`]: canonical field names with canonical values. The algorithm (fingerprint, merge,
//! plan) knows nothing finer, so it is the same for contacts, appointments, files and mail.
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// One of the two systems of a sync. The left side is always the CRM, the right one the remote account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The CRM.
    #[serde(rename = "crm")]
    Left,
    /// Google, Dropbox, …
    #[serde(rename = "remote")]
    Right,
}

impl Side {
    /// The opposite side.
    pub fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    /// `crm` or `remote`, as the API and the page say it.
    pub fn word(self) -> &'static str {
        match self {
            Side::Left => "crm",
            Side::Right => "remote",
        }
    }
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// The text inside.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_newtype! {
    /// A side's own identifier of a record. Opaque: never parsed and never built by the engine.
    RemoteId
}
text_newtype! {
    /// A side's version mark (etag, rev, version number). Compared for equality only.
    Version
}
text_newtype! {
    /// Written onto the copies we make so that they are recognised after a lost answer or a lost link.
    /// It names the record's origin (account and record), never the sync: a sync made anew finds it again.
    Marker
}
text_newtype! {
    /// Id of a sync.
    SyncId
}
text_newtype! {
    /// Id of a connection.
    ConnectionId
}
text_newtype! {
    /// Id of a user.
    UserId
}
text_newtype! {
    /// Id of a run. It begins with its sync's id (`<sync>.<time-ordered part>`).
    RunId
}
text_newtype! {
    /// Identity of a link's row in the store; stable for the life of the link.
    RowKey
}
text_newtype! {
    /// A group, list, calendar or folder that bounds a sync on one side.
    ContainerId
}

/// A canonical field name, such as `emails` or `custom.vip`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Field(Cow<'static, str>);

impl Field {
    /// A field known at compile time.
    pub const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
    /// A field named at run time (settings, custom fields).
    pub fn named(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One element of a list value: its label (`work`, `mobile`, …) and its named parts.
/// An e-mail address has the one part `value`; a postal address has `street`, `city`, ….
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// What kind of element it is; empty where the side names none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The parts by name; empty parts are left out.
    pub parts: BTreeMap<String, String>,
}

impl Item {
    /// An element with the single part `value`.
    pub fn value(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), parts: BTreeMap::from([("value".to_owned(), value.into())]) }
    }
    /// The part `value`, or "".
    pub fn as_value(&self) -> &str {
        self.part("value")
    }
    /// A part by name, or "".
    pub fn part(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", String::as_str)
    }
}

/// The value of one field, in canonical form. Never empty: an empty value is an absent field.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// One text (names, dates as `YYYY-MM-DD` or `--MM-DD`, numbers in plain decimal).
    Text(String),
    /// A list whose elements merge one by one. Order is kept but is no difference by itself.
    Items(Vec<Item>),
}

impl Value {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Text(text) => text.is_empty(),
            Value::Items(items) => items.is_empty(),
        }
    }
}

/// Values are personal data: `Debug` shows their shape only.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "text of {} characters", text.chars().count()),
            Value::Items(items) => write!(f, "{} items", items.len()),
        }
    }
}
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {:?}", self.label)
    }
}

/// A record as the algorithm sees it: canonical fields with canonical, non-empty values.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<Field, Value>);

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }
    /// The value of a field, if it has one.
    pub fn get(&self, field: &Field) -> Option<&Value> {
        self.0.get(field)
    }
    /// The text of a field, or "" where it is absent or a list.
    pub fn text(&self, field: &Field) -> &str {
        match self.0.get(field) {
            Some(Value::Text(text)) => text,
            Some(Value::Items(_)) | None => "",
        }
    }
    /// The items of a field, or none.
    pub fn items(&self, field: &Field) -> &[Item] {
        match self.0.get(field) {
            Some(Value::Items(items)) => items,
            Some(Value::Text(_)) | None => &[],
        }
    }
    /// Sets a field; an empty value removes it.
    pub fn set(&mut self, field: Field, value: Value) {
        if value.is_empty() {
            self.0.remove(&field);
        } else {
            self.0.insert(field, value);
        }
    }
    /// Sets or removes a field.
    pub fn put(&mut self, field: Field, value: Option<Value>) {
        match value {
            Some(value) => self.set(field, value),
            None => {
                self.0.remove(&field);
            }
        }
    }
    /// All fields that have a value, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Field, &Value)> {
        self.0.iter()
    }
    /// How many fields have a value.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether no field has a value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}

impl FromIterator<(Field, Value)> for Fields {
    fn from_iter<T: IntoIterator<Item = (Field, Value)>>(iter: T) -> Self {
        let mut fields = Self::new();
        for (field, value) in iter {
            fields.set(field, value);
        }
        fields
    }
}

/// Whether a record is inside the container (group, segment, calendar, folder) that bounds its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// A member of the container, or the side has none.
    Inside,
    /// Exists, but is not (or no longer) a member.
    Outside,
}
