//! CSV files: which column is what, in the headings of Google Contacts, Outlook, Teamleader and our own names.
use super::{BadLine, Row, Rows, quotes};
use crate::error::CrmError;
use std::collections::BTreeMap;
use std::io::Cursor;
use tandem_core::contact::{Address, Contact, Labelled};

/// What a column holds. A slot gathers columns that belong together (`E-mail 1 - Type`, `E-mail 1 - Value`).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Unused,
    Id,
    Text(Text),
    Email { slot: String, label: &'static str },
    EmailLabel { slot: String },
    Phone { slot: String, label: &'static str },
    PhoneLabel { slot: String },
    Address { slot: String, label: &'static str, part: Part },
    AddressLabel { slot: String },
    Tags,
    Custom(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    First,
    Last,
    Full,
    Salutation,
    Company,
    Position,
    Birthday,
    Language,
    Website,
    Remarks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Street,
    PostalCode,
    City,
    Region,
    Country,
}

/// Headings that say a text by themselves: ours, Google's, Outlook's, Teamleader's in English, Dutch, French and
/// German. Hyphens, underscores and slashes count as spaces.
const TEXTS: &[(Text, &[&str])] = &[
    (Text::First, &["first name", "given name", "voornaam", "prénom", "vorname"]),
    (Text::Last, &["last name", "family name", "surname", "achternaam", "familienaam", "naam", "nom", "nachname"]),
    (Text::Full, &["name", "full name", "display name", "file as", "volledige naam", "nom complet"]),
    (Text::Salutation, &["salutation", "title", "name prefix", "aanspreking", "aanhef", "titel", "civilité", "anrede"]),
    (
        Text::Company,
        &[
            "company",
            "company name",
            "organization",
            "organization name",
            "organization 1 name",
            "bedrijf",
            "bedrijfsnaam",
            "entreprise",
            "société",
            "firma",
        ],
    ),
    (
        Text::Position,
        &["position", "job title", "function", "organization title", "organization 1 title", "functie", "fonction"],
    ),
    (
        Text::Birthday,
        &[
            "birthday",
            "birth date",
            "birthdate",
            "date of birth",
            "geboortedatum",
            "verjaardag",
            "date de naissance",
            "geburtstag",
        ],
    ),
    (Text::Language, &["language", "taal", "langue", "sprache"]),
    (Text::Website, &["website", "web page", "website 1 value", "url", "site web"]),
    (Text::Remarks, &["remarks", "notes", "note", "opmerkingen", "notities", "remarques", "notizen", "bemerkungen"]),
];
const EMAILS: &[(&str, &str)] = &[
    ("email", "work"),
    ("emails", "work"),
    ("e mail", "work"),
    ("email address", "work"),
    ("e mail address", "work"),
    ("e mail 2 address", "work"),
    ("e mail 3 address", "work"),
    ("e mailadres", "work"),
    ("emailadres", "work"),
    ("adresse e mail", "work"),
    ("e mail adresse", "work"),
    ("courriel", "work"),
    ("private email", "home"),
];
const PHONES: &[(&str, &str)] = &[
    ("phone", "work"),
    ("phones", "work"),
    ("telephone", "work"),
    ("telefoon", "work"),
    ("téléphone", "work"),
    ("telefon", "work"),
    ("phone number", "work"),
    ("telefoonnummer", "work"),
    ("business phone", "work"),
    ("business phone 2", "work"),
    ("primary phone", "work"),
    ("other phone", "other"),
    ("home phone", "home"),
    ("home phone 2", "home"),
    ("mobile", "mobile"),
    ("mobile phone", "mobile"),
    ("gsm", "mobile"),
    ("mobiel", "mobile"),
    ("portable", "mobile"),
    ("mobil", "mobile"),
    ("handy", "mobile"),
    ("fax", "fax"),
    ("business fax", "fax"),
    ("home fax", "fax"),
    ("company main phone", "company"),
];
const PARTS: &[(Part, &[&str])] = &[
    (Part::Street, &["street", "address", "street address", "straat", "adres", "rue", "adresse", "straße", "strasse"]),
    (Part::PostalCode, &["postal code", "zip", "zip code", "postcode", "code postal", "plz", "postleitzahl"]),
    (Part::City, &["city", "town", "stad", "gemeente", "plaats", "ville", "ort", "stadt"]),
    (Part::Region, &["region", "state", "province", "provincie", "regio", "région", "bundesland"]),
    (Part::Country, &["country", "country region", "land", "pays"]),
];
/// Between several values in one cell of Google's export.
const GOOGLE_SEPARATOR: &str = " ::: ";

fn column(at: usize, heading: &str) -> Column {
    if let Some(name) = heading.trim().strip_prefix("custom.") {
        return Column::Custom(name.to_owned());
    }
    let spaced = heading.trim().trim_end_matches([':', '*']).to_lowercase().replace(['-', '_', '/'], " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let name = words.join(" ");
    if name == "id" {
        return Column::Id;
    }
    if ["tags", "labels", "group membership", "categories", "categorieën"].contains(&name.as_str()) {
        return Column::Tags;
    }
    let own = |list: &[(&str, &'static str)]| list.iter().find(|(known, _)| *known == name).map(|(_, label)| *label);
    if let Some((text, _)) = TEXTS.iter().find(|(_, names)| names.contains(&name.as_str())) {
        return Column::Text(*text);
    }
    if let Some(label) = own(EMAILS) {
        return Column::Email { slot: at.to_string(), label };
    }
    if let Some(label) = own(PHONES) {
        return Column::Phone { slot: at.to_string(), label };
    }
    numbered(&words).or_else(|| address(&name)).unwrap_or(Column::Unused)
}

/// Google's `E-mail 1 - Value`, `Phone 2 - Type`, `Address 1 - Street`.
fn numbered(words: &[&str]) -> Option<Column> {
    let (thing, number, rest) = match words {
        ["e", "mail", number, rest @ ..] => ("email", number, rest),
        [thing @ ("phone" | "address"), number, rest @ ..] => (*thing, number, rest),
        _ => return None,
    };
    number.parse::<u8>().ok()?;
    let slot = format!("google {number}");
    let rest = rest.join(" ");
    match (thing, rest.as_str()) {
        ("email", "value") => Some(Column::Email { slot, label: "work" }),
        ("email", "type" | "label") => Some(Column::EmailLabel { slot }),
        ("phone", "value") => Some(Column::Phone { slot, label: "work" }),
        ("phone", "type" | "label") => Some(Column::PhoneLabel { slot }),
        ("address", "type" | "label") => Some(Column::AddressLabel { slot }),
        ("address", part) => Some(Column::Address { slot, label: "work", part: part_of(part)? }),
        _ => None,
    }
}

/// `City`, or Outlook's `Business City`, `Home City`, `Other City`.
fn address(name: &str) -> Option<Column> {
    let (label, part) = match name.split_once(' ') {
        Some(("business", part)) => ("work", part),
        Some(("home", part)) => ("home", part),
        Some(("other", part)) => ("other", part),
        Some(_) | None => ("work", name),
    };
    Some(Column::Address { slot: format!("own {label}"), label, part: part_of(part)? })
}

fn part_of(name: &str) -> Option<Part> {
    PARTS.iter().find(|(_, names)| names.contains(&name)).map(|(part, _)| *part)
}

/// The separator: the one that the first line has most of outside quotes; Excel's `sep=;` line says it.
fn delimiter(text: &str) -> (u8, usize) {
    let first = text.lines().next().unwrap_or_default();
    if let Some(said) = first.to_lowercase().strip_prefix("sep=") {
        return (said.bytes().next().unwrap_or(b'\t'), text.find('\n').map_or(text.len(), |end| end + 1));
    }
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in first.bytes() {
        quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(mark, _)| *mark == byte && !quoted) {
            *count += 1;
        }
    }
    let (mark, _) = counts.into_iter().rev().max_by_key(|(_, count)| *count).unwrap_or((b',', 0));
    (mark, 0)
}

/// The rows of a CSV file; an error where no column of its heading is known.
pub(super) fn rows(text: String) -> Result<Rows, CrmError> {
    let (delimiter, start) = delimiter(&text);
    let passed = text[..start].matches('\n').count() as u64;
    let mut bytes = text.into_bytes().split_off(start);
    let unclosed = quotes::close(&mut bytes, delimiter);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(Cursor::new(bytes));
    let unreadable = || {
        CrmError::invalid(
            "file",
            "no column of the first line looks like a name or an e-mail address; expected are headings such as \
             “First name, Last name, E-mail”, as Google Contacts, Outlook or Teamleader export them, or a vCard file",
        )
    };
    let headings = reader.headers().map_err(|_| unreadable())?;
    let columns: Vec<Column> = headings.iter().enumerate().map(|(at, heading)| column(at, heading)).collect();
    let is_key =
        |column: &Column| matches!(column, Column::Text(Text::First | Text::Last | Text::Full) | Column::Email { .. });
    if !columns.iter().any(is_key) {
        return Err(unreadable());
    }
    let row = move |record: Result<csv::StringRecord, csv::Error>| match record {
        Ok(record) => {
            let line = record.position().map_or(0, csv::Position::line) + passed;
            read_row(&columns, &record, line)
        }
        Err(error) => {
            let line = error.position().map_or(0, csv::Position::line) + passed;
            Err(BadLine { line, reason: "this line cannot be read".to_owned() })
        }
    };
    let bad = unclosed.into_iter().map(move |line| {
        Err(BadLine { line: line + passed, reason: "a quote (\") is opened and never closed in this line".to_owned() })
    });
    Ok(Box::new(reader.into_records().filter(|record| !is_blank(record)).map(row).chain(bad)))
}

fn is_blank(record: &Result<csv::StringRecord, csv::Error>) -> bool {
    record.as_ref().is_ok_and(|record| record.iter().all(|cell| cell.trim().is_empty()))
}

/// The parts of one row as they are gathered.
#[derive(Default)]
struct Gathered {
    full: String,
    emails: BTreeMap<(usize, String), Labelled>,
    phones: BTreeMap<(usize, String), Labelled>,
    labels: BTreeMap<String, String>,
    addresses: Vec<(String, Address)>,
}

fn read_row(columns: &[Column], record: &csv::StringRecord, line: u64) -> Result<Row, BadLine> {
    if record.iter().skip(columns.len()).any(|cell| !cell.trim().is_empty()) {
        let reason = format!("this line has {} columns where the heading has {}", record.len(), columns.len());
        return Err(BadLine { line, reason });
    }
    let mut row = Row { line, ..Row::default() };
    let mut parts = Gathered::default();
    for (at, (column, cell)) in columns.iter().zip(record).enumerate() {
        let cell = cell.trim();
        if !cell.is_empty() {
            put(&mut row, &mut parts, column, cell, at);
        }
    }
    let contact = &mut row.contact;
    if contact.first_name.is_empty() && contact.last_name.is_empty() {
        let (first, last) = parts.full.rsplit_once(' ').unwrap_or(("", &parts.full));
        (contact.first_name, contact.last_name) = (first.to_owned(), last.to_owned());
    }
    let relabel = |prefix: &str, slot: &str, label: String| match parts.labels.get(&format!("{prefix}{slot}")) {
        Some(said) => google_label(said, &label),
        None => label,
    };
    for ((_, slot), entry) in parts.emails {
        let label = relabel("email ", &slot, entry.label);
        let values = entry.value.split([',', ';']).flat_map(|value| value.split(GOOGLE_SEPARATOR));
        contact.emails.extend(values.map(|value| Labelled { label: label.clone(), value: value.trim().to_owned() }));
    }
    for ((_, slot), entry) in parts.phones {
        let label = relabel("phone ", &slot, entry.label);
        let values = entry.value.split(GOOGLE_SEPARATOR);
        contact.phones.extend(values.map(|value| Labelled { label: label.clone(), value: value.trim().to_owned() }));
    }
    for (slot, address) in parts.addresses {
        let label = relabel("address ", &slot, address.label);
        contact.addresses.push(Address { label, ..address });
    }
    Ok(row)
}

fn put(row: &mut Row, parts: &mut Gathered, column: &Column, cell: &str, at: usize) {
    let value = |label: &str| Labelled { label: label.to_owned(), value: cell.to_owned() };
    match column {
        Column::Unused => {}
        Column::Id => row.id = Some(cell.to_owned()),
        Column::Text(text) => put_text(&mut row.contact, &mut parts.full, *text, cell),
        Column::Email { slot, label } => {
            parts.emails.insert((at, slot.clone()), value(label));
        }
        Column::Phone { slot, label } => {
            parts.phones.insert((at, slot.clone()), value(label));
        }
        Column::EmailLabel { slot } => {
            parts.labels.insert(format!("email {slot}"), cell.to_owned());
        }
        Column::PhoneLabel { slot } => {
            parts.labels.insert(format!("phone {slot}"), cell.to_owned());
        }
        Column::AddressLabel { slot } => {
            parts.labels.insert(format!("address {slot}"), cell.to_owned());
        }
        Column::Address { slot, label, part } => {
            let at = parts.addresses.iter().position(|(known, _)| known == slot).unwrap_or_else(|| {
                parts.addresses.push((slot.clone(), Address::default()));
                parts.addresses.len() - 1
            });
            let address = &mut parts.addresses[at].1;
            address.label = (*label).to_owned();
            let place = match part {
                Part::Street => &mut address.street,
                Part::PostalCode => &mut address.postal_code,
                Part::City => &mut address.city,
                Part::Region => &mut address.region,
                Part::Country => &mut address.country,
            };
            *place = cell.to_owned();
        }
        Column::Tags => {
            // Google's own groups (`* myContacts`) say nothing about the person.
            let tags = cell.split(GOOGLE_SEPARATOR).flat_map(|tags| tags.split([',', ';'])).map(str::trim);
            row.tags.extend(tags.filter(|tag| !tag.is_empty() && !tag.starts_with('*')).map(str::to_owned));
        }
        Column::Custom(name) => {
            row.contact.custom.insert(name.clone(), cell.to_owned());
        }
    }
}

fn put_text(contact: &mut Contact, full: &mut String, text: Text, cell: &str) {
    let place = match text {
        Text::First => &mut contact.first_name,
        Text::Last => &mut contact.last_name,
        Text::Full => full,
        Text::Salutation => &mut contact.salutation,
        Text::Company => &mut contact.company,
        Text::Position => &mut contact.position,
        Text::Birthday => &mut contact.birthday,
        Text::Language => &mut contact.language,
        Text::Website => &mut contact.website,
        Text::Remarks => &mut contact.remarks,
    };
    if place.is_empty() {
        *place = cell.to_owned();
    }
}

/// `* Work` is the main one; `Work Fax` is a fax.
fn google_label(said: &str, otherwise: &str) -> String {
    let said = said.trim_start_matches(['*', ' ']).trim().to_lowercase();
    match said.as_str() {
        "" => otherwise.to_owned(),
        label if label.contains("fax") => "fax".to_owned(),
        "cell" => "mobile".to_owned(),
        label => label.to_owned(),
    }
}
