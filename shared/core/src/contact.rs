//! The canonical contact: which fields it has, and how it becomes [`Fields`] and back.
//!
//! A connector's `map.rs` makes a [`Contact`] of its wire form and the wire form of a [`Contact`];
//! everything between works on [`Fields`].
use crate::normalise::{self, Region};
use crate::record::{Field, Fields, Item, Value};
use crate::schema::{FieldSchema, FieldType};
use std::collections::BTreeMap;

/// Canonical field names of a contact. They are the built-in CRM's names too.
pub mod field {
    use crate::record::Field;
    /// "Mr", "Dr.", …
    pub const SALUTATION: Field = Field::known("salutation");
    /// Given name.
    pub const FIRST_NAME: Field = Field::known("first_name");
    /// Family name.
    pub const LAST_NAME: Field = Field::known("last_name");
    /// Items: label `work`, `home`, …; part `value`.
    pub const EMAILS: Field = Field::known("emails");
    /// Items: label `work`, `mobile`, `home`, `fax`, `company`; part `value` in E.164 where it can be read.
    pub const PHONES: Field = Field::known("phones");
    /// Items: label `work`, `home`, …; parts `street`, `postal_code`, `city`, `region`, `country`.
    pub const ADDRESSES: Field = Field::known("addresses");
    /// The company's name.
    pub const COMPANY: Field = Field::known("company");
    /// Job title at that company.
    pub const POSITION: Field = Field::known("position");
    /// `YYYY-MM-DD`, or `--MM-DD` without a year.
    pub const BIRTHDAY: Field = Field::known("birthday");
    /// BCP 47 language tag.
    pub const LANGUAGE: Field = Field::known("language");
    /// An address on the web.
    pub const WEBSITE: Field = Field::known("website");
    /// Free text.
    pub const REMARKS: Field = Field::known("remarks");

    /// Every standard field; custom fields are `custom.<name>` beside these.
    pub const ALL: [Field; 12] = [
        SALUTATION, FIRST_NAME, LAST_NAME, EMAILS, PHONES, ADDRESSES, COMPANY, POSITION, BIRTHDAY, LANGUAGE, WEBSITE,
        REMARKS,
    ];
}

/// Label of a phone number that belongs to the contact's company.
pub const COMPANY_PHONE: &str = "company";
/// The parts of a postal address, in the order people write them.
pub const ADDRESS_PARTS: [&str; 5] = ["street", "postal_code", "city", "region", "country"];

/// What a contact takes along from its company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// The company's name only.
    Name,
    /// Its name and its first phone number, labelled `company`, where the contact has no such number of its own.
    NameAndPhone,
}

/// An e-mail address or phone number with its label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// `work`, `mobile`, …
    pub label: String,
    /// The address or number.
    pub value: String,
}

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// `work`, `home`, …
    pub label: String,
    /// Street and number; may have several lines.
    pub street: String,
    /// Postal code.
    pub postal_code: String,
    /// City.
    pub city: String,
    /// State, province, county.
    pub region: String,
    /// Country: name or ISO 3166 code, as the side has it.
    pub country: String,
}

/// A person as both sides can say it. Empty text means "has none".
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// "Mr", "Dr.", …
    pub salutation: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// E-mail addresses, the main one first.
    pub emails: Vec<Labelled>,
    /// Phone numbers, the main one first.
    pub phones: Vec<Labelled>,
    /// Postal addresses.
    pub addresses: Vec<Address>,
    /// Name of the company.
    pub company: String,
    /// Job title there.
    pub position: String,
    /// `YYYY-MM-DD` or `--MM-DD`.
    pub birthday: String,
    /// BCP 47 tag.
    pub language: String,
    /// Web address.
    pub website: String,
    /// Free text.
    pub remarks: String,
    /// Free fields by name.
    pub custom: BTreeMap<String, String>,
}

/// A contact is personal data: `Debug` shows its shape only.
impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contact")
            .field("emails", &self.emails.len())
            .field("phones", &self.phones.len())
            .field("addresses", &self.addresses.len())
            .finish_non_exhaustive()
    }
}

impl Contact {
    /// What people call this record: its name, else its company, else its first e-mail address, else its phone.
    pub fn title(&self) -> String {
        title(&self.to_fields(Region::none()))
    }

    /// The canonical fields. `region` is where a phone number without a country code is dialled from.
    pub fn to_fields(&self, region: Region) -> Fields {
        let mut fields = Fields::new();
        let texts = [
            (field::SALUTATION, normalise::text(&self.salutation)),
            (field::FIRST_NAME, normalise::text(&self.first_name)),
            (field::LAST_NAME, normalise::text(&self.last_name)),
            (field::COMPANY, normalise::text(&self.company)),
            (field::POSITION, normalise::text(&self.position)),
            (field::BIRTHDAY, normalise::date(&self.birthday)),
            (field::LANGUAGE, normalise::text(&self.language)),
            (field::WEBSITE, normalise::text(&self.website)),
            (field::REMARKS, normalise::lines(&self.remarks)),
        ];
        for (name, text) in texts {
            fields.set(name, Value::Text(text));
        }
        fields.set(field::EMAILS, labelled(&self.emails, normalise::email));
        fields.set(field::PHONES, labelled(&self.phones, |number| normalise::phone(number, region)));
        fields.set(field::ADDRESSES, Value::Items(self.addresses.iter().filter_map(address_item).collect()));
        for (name, text) in &self.custom {
            fields.set(Field::named(format!("custom.{name}")), Value::Text(normalise::lines(text)));
        }
        fields
    }

    /// The contact that these fields say.
    pub fn from_fields(fields: &Fields) -> Contact {
        let text = |name: &Field| fields.text(name).to_owned();
        let list = |name: &Field| {
            let items = fields.items(name).iter();
            items.map(|item| Labelled { label: item.label.clone(), value: item.as_value().to_owned() }).collect()
        };
        let address = |item: &Item| Address {
            label: item.label.clone(),
            street: item.part("street").to_owned(),
            postal_code: item.part("postal_code").to_owned(),
            city: item.part("city").to_owned(),
            region: item.part("region").to_owned(),
            country: item.part("country").to_owned(),
        };
        let custom = |(name, value): (&Field, &Value)| match (name.as_str().strip_prefix("custom."), value) {
            (Some(name), Value::Text(text)) => Some((name.to_owned(), text.clone())),
            (None, _) | (_, Value::Items(_)) => None,
        };
        Contact {
            salutation: text(&field::SALUTATION),
            first_name: text(&field::FIRST_NAME),
            last_name: text(&field::LAST_NAME),
            emails: list(&field::EMAILS),
            phones: list(&field::PHONES),
            addresses: fields.items(&field::ADDRESSES).iter().map(address).collect(),
            company: text(&field::COMPANY),
            position: text(&field::POSITION),
            birthday: text(&field::BIRTHDAY),
            language: text(&field::LANGUAGE),
            website: text(&field::WEBSITE),
            remarks: text(&field::REMARKS),
            custom: fields.iter().filter_map(custom).collect(),
        }
    }
}

/// These standard fields as a side that sets no limits has them.
pub fn schema(fields: &[Field]) -> Vec<FieldSchema> {
    let holds = |name: &Field| match name {
        name if [field::EMAILS, field::PHONES, field::ADDRESSES].contains(name) => FieldType::List,
        name if *name == field::BIRTHDAY => FieldType::Date,
        _ => FieldType::Text,
    };
    fields.iter().map(|name| FieldSchema::new(name.clone(), people_say(name.as_str()), holds(name))).collect()
}

/// `first_name` → `First name`.
fn people_say(name: &str) -> String {
    let mut words = name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// What people call a record with these fields; never empty.
pub fn title(fields: &Fields) -> String {
    let name = format!("{} {}", fields.text(&field::FIRST_NAME), fields.text(&field::LAST_NAME));
    let first = |name: &Field| fields.items(name).first().map(|item| item.as_value().to_owned()).unwrap_or_default();
    [name.trim().to_owned(), fields.text(&field::COMPANY).to_owned(), first(&field::EMAILS), first(&field::PHONES)]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_else(|| "(no name)".to_owned())
}

fn labelled(list: &[Labelled], normal: impl Fn(&str) -> String) -> Value {
    let mut items: Vec<Item> = Vec::with_capacity(list.len());
    for entry in list {
        let item = Item::value(entry.label.trim(), normal(&entry.value));
        if !item.as_value().is_empty() && !items.contains(&item) {
            items.push(item);
        }
    }
    Value::Items(items)
}

fn address_item(address: &Address) -> Option<Item> {
    let values = [&address.street, &address.postal_code, &address.city, &address.region, &address.country];
    let parts: BTreeMap<String, String> = ADDRESS_PARTS
        .iter()
        .zip(values)
        .map(|(name, value)| ((*name).to_owned(), normalise::lines(value)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    (!parts.is_empty()).then(|| Item { label: address.label.trim().to_owned(), parts })
}
