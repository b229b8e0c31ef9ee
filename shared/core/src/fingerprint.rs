//! What both sides last agreed on, as hashes: enough to tell who changed what, too little to tell what it was.
//!
//! Hashes are keyed with the sync's own secret, so that nobody reads a phone number out of the table by trying them all.
use crate::record::{Field, Fields, Item, Side, Value};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;

/// Version of the canonical form. A base of another version proves nothing: it is compared live and written anew.
pub const CANONICAL_VERSION: u8 = 1;

/// The sync's secret for fingerprints and match keys; 32 random bytes made with the sync.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FingerprintKey {
    secret: String,
    /// The HMAC with the key taken in: half of the work of each short hash.
    keyed: Hmac<Sha256>,
}

impl From<String> for FingerprintKey {
    fn from(secret: String) -> Self {
        let keyed = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        Self { secret, keyed }
    }
}
impl From<FingerprintKey> for String {
    fn from(key: FingerprintKey) -> Self {
        key.secret
    }
}
impl PartialEq for FingerprintKey {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}
impl Eq for FingerprintKey {}

impl FingerprintKey {
    /// From random text of at least 32 characters.
    pub fn new(random: impl Into<String>) -> Self {
        Self::from(random.into())
    }

    /// Keyed hash of any text, 64 bits in hex: collisions are between two values of one field of one record, so 64 bits
    /// leave nothing to chance.
    pub fn hash(&self, text: &str) -> String {
        let mut mac = self.keyed.clone();
        mac.update(text.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..8])
    }

    fn item(&self, item: &Item) -> String {
        self.hash(&serde_json::to_string(item).expect("text serialises"))
    }

    /// The print of one value.
    pub fn print(&self, value: &Value) -> Print {
        match value {
            Value::Text(text) => Print::One(self.hash(text)),
            Value::Items(items) => Print::Many(items.iter().map(|item| self.item(item)).collect()),
        }
    }

    /// The prints of all fields.
    pub fn prints(&self, fields: &Fields) -> Prints {
        Prints(fields.iter().map(|(field, value)| (field.clone(), self.print(value))).collect())
    }

    /// One hash over some fields; equal exactly when all of them are equal (lists in any order).
    pub fn digest<'a>(&self, fields: &Fields, of: impl Iterator<Item = &'a Field>) -> String {
        let mut text = String::new();
        for field in of {
            let print = fields.get(field).map(|value| self.print(value).sorted());
            text.push_str(&format!("{field}={print:?};"));
        }
        self.hash(&text)
    }
}

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey")
    }
}

/// The print of one field's value.
#[derive(Clone, Debug, Serialize, Deserialize, Eq)]
#[serde(untagged)]
pub enum Print {
    /// Of a text.
    One(String),
    /// Of a list, one per element, in its order.
    Many(Vec<String>),
}

impl Print {
    fn sorted(&self) -> Print {
        match self {
            Print::One(one) => Print::One(one.clone()),
            Print::Many(many) => {
                let mut sorted = many.clone();
                sorted.sort();
                Print::Many(sorted)
            }
        }
    }
}

/// Two lists with the same elements in another order are the same: no side keeps order reliably.
impl PartialEq for Print {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Print::One(a), Print::One(b)) => a == b,
            (Print::Many(a), Print::Many(b)) if a.len() == b.len() => {
                let (mut a, mut b) = (a.clone(), b.clone());
                a.sort();
                b.sort();
                a == b
            }
            (Print::Many(_) | Print::One(_), Print::Many(_) | Print::One(_)) => false,
        }
    }
}

/// Prints of the fields that have a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prints(BTreeMap<Field, Print>);

impl Prints {
    /// The print of a field that has a value.
    pub fn get(&self, field: &Field) -> Option<&Print> {
        self.0.get(field)
    }
    /// Sets or removes one.
    pub fn put(&mut self, field: Field, print: Option<Print>) {
        match print {
            Some(print) => self.0.insert(field, print),
            None => self.0.remove(&field),
        };
    }
}

/// What each side showed when both last agreed. The two differ where a side spells a value its own way
/// (`0470 12 34 56` here, `+32470123456` there): that is agreement, and must not look like an edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// [`CANONICAL_VERSION`] at the time.
    #[serde(rename = "v")]
    version: u8,
    /// What the left side showed.
    #[serde(rename = "l")]
    left: Prints,
    /// What the right side showed, only where it differs from the left; `None` = the field was empty there.
    #[serde(rename = "r", default, skip_serializing_if = "BTreeMap::is_empty")]
    right: BTreeMap<Field, Option<Print>>,
}

impl Base {
    /// The base of two sides that agree now.
    pub fn of(key: &FingerprintKey, left: &Fields, right: &Fields) -> Base {
        if left == right {
            return Base { version: CANONICAL_VERSION, left: key.prints(left), right: BTreeMap::new() };
        }
        let (left, right) = (key.prints(left), key.prints(right));
        let fields = left.0.keys().chain(right.0.keys());
        let differing = fields.filter(|field| left.get(field) != right.get(field));
        let right = differing.map(|field| (field.clone(), right.get(field).cloned())).collect();
        Base { version: CANONICAL_VERSION, left, right }
    }

    /// Whether it is of the canonical form in use.
    pub fn is_current(&self) -> bool {
        self.version == CANONICAL_VERSION
    }

    /// The print that this side showed; `None` = the field was empty.
    pub fn print(&self, side: Side, field: &Field) -> Option<&Print> {
        match (side, self.right.get(field)) {
            (Side::Right, Some(right)) => right.as_ref(),
            (Side::Right, None) | (Side::Left, _) => self.left.get(field),
        }
    }

    /// The same agreement, but that this side shows another value of one field.
    pub fn showing(mut self, key: &FingerprintKey, side: Side, field: &Field, value: Option<&Value>) -> Base {
        let print = value.map(|value| key.print(value));
        let (left, right) = match side {
            Side::Left => (print, self.print(Side::Right, field).cloned()),
            Side::Right => (self.print(Side::Left, field).cloned(), print),
        };
        if left == right {
            self.right.remove(field);
        } else {
            self.right.insert(field.clone(), right);
        }
        self.left.put(field.clone(), left);
        self
    }

    /// Whether this side's value of the field is another one than at the agreement.
    pub fn changed(&self, key: &FingerprintKey, side: Side, field: &Field, now: &Fields) -> bool {
        now.get(field).map(|value| key.print(value)).as_ref() != self.print(side, field)
    }
}
