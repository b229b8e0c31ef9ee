//! vCard files (2.1, 3.0, 4.0): one card at a time, so that a broken one is reported with its line.
use super::{BadLine, Row, Rows};
use calcard::common::{IanaString, IanaType, PartialDateTime};
use calcard::vcard::{VCard, VCardEntry, VCardParameterName, VCardProperty, VCardType, VCardValue};
use tandem_core::contact::{Address, Labelled};

/// The cards of a file. What stands between cards is reported.
pub(super) fn rows(text: String) -> Rows {
    Box::new(Cards { text, at: 0, line: 0 }.map(|(line, card)| match card {
        Ok(card) => read_card(line, &card),
        Err(reason) => Err(BadLine { line, reason }),
    }))
}

struct Cards {
    text: String,
    at: usize,
    line: u64,
}

impl Iterator for Cards {
    type Item = (u64, Result<String, String>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut card: Option<(u64, usize)> = None;
        while self.at < self.text.len() {
            let start = self.at;
            let rest = &self.text[start..];
            let end = rest.find('\n').map_or(self.text.len(), |end| start + end + 1);
            let line = self.text[start..end].trim();
            if let Some((first, begin)) = card
                && line.eq_ignore_ascii_case("BEGIN:VCARD")
            {
                // The card before never ended; this line is read again as the next card's first.
                let _ = begin;
                return Some((first, Err("this card has no END:VCARD".to_owned())));
            }
            (self.at, self.line) = (end, self.line + 1);
            if line.eq_ignore_ascii_case("BEGIN:VCARD") {
                card = Some((self.line, start));
            } else if let Some((first, begin)) = card {
                if line.eq_ignore_ascii_case("END:VCARD") {
                    return Some((first, Ok(self.text[begin..end].to_owned())));
                }
            } else if !line.is_empty() {
                return Some((self.line, Err("this line is in no card".to_owned())));
            }
        }
        card.map(|(first, _)| (first, Err("this card has no END:VCARD".to_owned())))
    }
}

fn read_card(line: u64, text: &str) -> Result<Row, BadLine> {
    let card = VCard::parse(text).map_err(|_| BadLine { line, reason: "this card cannot be read".to_owned() })?;
    let mut row = Row { line, ..Row::default() };
    let mut full = String::new();
    for entry in &card.entries {
        read_entry(&mut row, &mut full, entry);
    }
    let contact = &mut row.contact;
    if contact.first_name.is_empty() && contact.last_name.is_empty() {
        let (first, last) = full.rsplit_once(' ').unwrap_or(("", &full));
        (contact.first_name, contact.last_name) = (first.to_owned(), last.to_owned());
    }
    Ok(row)
}

fn read_entry(row: &mut Row, full: &mut String, entry: &VCardEntry) {
    let contact = &mut row.contact;
    let part = |at: usize| parts(entry).get(at).cloned().unwrap_or_default();
    let whole = || parts(entry).join(" ").trim().to_owned();
    // Other properties (photos, keys, revisions) have no place in a contact of the CRM.
    if entry.name == VCardProperty::N {
        contact.last_name = part(0);
        contact.first_name = format!("{} {}", part(1), part(2)).trim().to_owned();
        contact.salutation = part(3);
    } else if entry.name == VCardProperty::Fn {
        *full = whole();
    } else if entry.name == VCardProperty::Email {
        contact.emails.push(Labelled { label: label(entry), value: whole() });
    } else if entry.name == VCardProperty::Tel {
        let value = whole().trim_start_matches("tel:").to_owned();
        contact.phones.push(Labelled { label: label(entry), value });
    } else if entry.name == VCardProperty::Adr {
        let street = [part(2), part(1), part(0)].into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>();
        contact.addresses.push(Address {
            label: label(entry),
            street: street.join("\n"),
            city: part(3),
            region: part(4),
            postal_code: part(5),
            country: part(6),
        });
    } else if entry.name == VCardProperty::Org {
        contact.company = part(0);
    } else if entry.name == VCardProperty::Title {
        contact.position = whole();
    } else if entry.name == VCardProperty::Bday {
        contact.birthday = whole();
    } else if entry.name == VCardProperty::Lang {
        contact.language = whole();
    } else if entry.name == VCardProperty::Url {
        contact.website = whole();
    } else if entry.name == VCardProperty::Note {
        contact.remarks = whole();
    } else if entry.name == VCardProperty::Categories {
        let tags = parts(entry);
        let tags = tags.iter().flat_map(|tags| tags.split(',')).map(str::trim);
        row.tags.extend(tags.filter(|tag| !tag.is_empty()).map(str::to_owned));
    }
}

/// The values of a property as texts, its components one after the other.
fn parts(entry: &VCardEntry) -> Vec<String> {
    let text = |value: &VCardValue| match value {
        VCardValue::Component(list) => list.join(", "),
        VCardValue::PartialDateTime(date) => date_text(date),
        VCardValue::Text(_)
        | VCardValue::Integer(_)
        | VCardValue::Float(_)
        | VCardValue::Boolean(_)
        | VCardValue::Binary(_)
        | VCardValue::Sex(_)
        | VCardValue::GramGender(_)
        | VCardValue::Kind(_) => value.as_text().map(str::to_owned).unwrap_or_default(),
    };
    entry.values.iter().map(|value| text(value).trim().to_owned()).collect()
}

fn date_text(date: &PartialDateTime) -> String {
    match (date.year, date.month, date.day) {
        (Some(year), Some(month), Some(day)) => format!("{year:04}-{month:02}-{day:02}"),
        (None, Some(month), Some(day)) => format!("--{month:02}-{day:02}"),
        (_, _, _) => String::new(),
    }
}

/// The first of the property's types that names a place; a fax and a mobile phone are that wherever they are.
fn label(entry: &VCardEntry) -> String {
    let types: Vec<String> = entry
        .parameters(&VCardParameterName::Type)
        .filter_map(|value| match value.as_type()? {
            IanaType::Iana(known) => Some(known.as_str().to_lowercase()),
            IanaType::Other(other) => Some(other.to_lowercase()),
        })
        .flat_map(|types| types.split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let has = |wanted: VCardType| types.iter().any(|name| name.eq_ignore_ascii_case(wanted.as_str()));
    if has(VCardType::Fax) {
        "fax"
    } else if has(VCardType::Cell) {
        "mobile"
    } else if has(VCardType::Home) {
        "home"
    } else {
        "work"
    }
    .to_owned()
}
