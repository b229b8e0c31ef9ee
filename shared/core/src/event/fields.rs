//! Appointment ↔ canonical fields.
use super::{Answer, Attendee, Deviation, Event, Moment, Overrides, Span, Status, Visibility, field, zone};
use crate::error::Invalid;
use crate::normalise;
use crate::record::{Field, Fields, Item, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const ORIGINAL: &str = "original_start";
const CANCELLED: &str = "cancelled";

/// A guest in an exception's part `attendees`.
#[derive(Serialize, Deserialize)]
struct Guest {
    email: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default)]
    status: String,
}

impl Event {
    /// The canonical fields.
    pub fn to_fields(&self) -> Fields {
        let all_day = self.span.is_all_day();
        let zone = match self.time_zone.as_str() {
            _ if all_day => "",
            "Etc/UTC" | "Etc/GMT" | "GMT" | "Z" => "UTC",
            other => other,
        };
        let texts = [
            (field::TITLE, normalise::text(&self.title)),
            (field::START, self.span.start().to_string()),
            (field::END, self.span.end().to_string()),
            (field::ALL_DAY, if all_day { "true".to_owned() } else { String::new() }),
            (field::TIME_ZONE, zone.to_owned()),
            (field::DESCRIPTION, normalise::lines(&self.description)),
            (field::LOCATION, normalise::lines(&self.location)),
            (field::RECURRENCE, self.recurrence.join("\n")),
            (field::REMINDER_MINUTES, self.reminder_minutes.map(|m| m.to_string()).unwrap_or_default()),
            (field::VISIBILITY, if self.visibility == Visibility::Private { "private".into() } else { String::new() }),
            (field::STATUS, if self.status == Status::Done { "done".into() } else { String::new() }),
            (field::CONFERENCE, normalise::text(&self.conference)),
        ];
        let mut fields: Fields = texts.into_iter().map(|(name, text)| (name, Value::Text(text))).collect();
        let guests = sorted(&self.attendees).into_iter().map(|guest| Item {
            label: String::new(),
            parts: parts(&[("email", &guest.email), ("name", &guest.name)], guest.answer),
        });
        fields.set(field::ATTENDEES, Value::Items(guests.collect()));
        let exceptions = self.exceptions.iter().filter(|_| self.is_series());
        let exceptions = exceptions.filter_map(|(original, deviation)| self.exception(original, deviation));
        fields.set(field::EXCEPTIONS, Value::Items(exceptions.collect()));
        fields
    }

    /// `None` where it says the same as the series.
    fn exception(&self, original: &Moment, deviation: &Deviation) -> Option<Item> {
        let mut parts = BTreeMap::from([(ORIGINAL.to_owned(), original.to_string())]);
        let other = match deviation {
            Deviation::Cancelled => {
                parts.insert(CANCELLED.to_owned(), "true".to_owned());
                return Some(Item { label: String::new(), parts });
            }
            Deviation::Changed(other) => other,
        };
        let mut put = |name: &Field, new: Option<String>, old: String| {
            if let Some(new) = new.filter(|new| *new != old) {
                parts.insert(name.as_str().to_owned(), new);
            }
        };
        put(&field::TITLE, other.title.as_deref().map(normalise::text), normalise::text(&self.title));
        let (lines, old) = (normalise::lines, |text: &str| normalise::lines(text));
        put(&field::DESCRIPTION, other.description.as_deref().map(lines), old(&self.description));
        put(&field::LOCATION, other.location.as_deref().map(lines), old(&self.location));
        put(&field::ATTENDEES, other.attendees.as_deref().map(guests_json), guests_json(&self.attendees));
        if let Some(span) = other.span.as_ref().filter(|span| **span != self.span.moved_to(original)) {
            parts.insert(field::START.as_str().to_owned(), span.start().to_string());
            parts.insert(field::END.as_str().to_owned(), span.end().to_string());
        }
        (parts.len() > 1).then_some(Item { label: String::new(), parts })
    }

    /// The appointment that these fields say.
    ///
    /// # Errors
    /// The field that cannot be read, and what would be right.
    pub fn from_fields(fields: &Fields) -> Result<Event, Invalid> {
        let text = |name: &Field| fields.text(name).to_owned();
        let time_zone = text(&field::TIME_ZONE);
        let tz = zone(&time_zone)?;
        let mut event = Event {
            title: text(&field::TITLE),
            time_zone,
            description: text(&field::DESCRIPTION),
            location: text(&field::LOCATION),
            attendees: fields.items(&field::ATTENDEES).iter().map(attendee).collect(),
            reminder_minutes: fields.text(&field::REMINDER_MINUTES).parse().ok(),
            visibility: match fields.text(&field::VISIBILITY) {
                "private" => Visibility::Private,
                _ => Visibility::Default,
            },
            status: if fields.text(&field::STATUS) == "done" { Status::Done } else { Status::Open },
            conference: text(&field::CONFERENCE),
            ..Event::at(span(fields.text(&field::START), fields.text(&field::END), &tz)?)
        };
        if event.span.is_all_day() {
            event.time_zone.clear();
        }
        // Two sides may each have changed the same occurrence: the later item of the list is the later word.
        for item in fields.items(&field::EXCEPTIONS) {
            let (original, deviation) = exception(item, &event.span, &tz)?;
            event.exceptions.insert(original, deviation);
        }
        let lines: Vec<String> = fields.text(&field::RECURRENCE).lines().map(str::to_owned).collect();
        event.repeat(&lines)?;
        Ok(event)
    }
}

fn exception(item: &Item, series: &Span, tz: &jiff::tz::TimeZone) -> Result<(Moment, Deviation), Invalid> {
    let wrong = || Invalid::new("exceptions.original_start", "must be the start that the rule gives the occurrence.");
    let original = Moment::parse(item.part(ORIGINAL), tz).ok_or_else(wrong)?;
    if item.part(CANCELLED) == "true" {
        return Ok((original, Deviation::Cancelled));
    }
    let own = |name: &Field| item.parts.get(name.as_str()).cloned();
    let natural = series.moved_to(&original);
    let span = match (own(&field::START), own(&field::END)) {
        (None, None) => None,
        (start, end) => {
            let start = start.unwrap_or_else(|| natural.start().to_string());
            let moved = Moment::parse(&start, tz).map(|start| natural.moved_to(&start)).unwrap_or(natural);
            Some(span(&start, &end.unwrap_or_else(|| moved.end().to_string()), tz)?)
        }
    };
    let guests = own(&field::ATTENDEES).map(|json| {
        let guests: Vec<Guest> = serde_json::from_str(&json).unwrap_or_default();
        guests.into_iter().map(|g| Attendee { email: g.email, name: g.name, answer: Answer::of(&g.status) }).collect()
    });
    let other = Overrides {
        title: own(&field::TITLE),
        span,
        description: own(&field::DESCRIPTION),
        location: own(&field::LOCATION),
        attendees: guests,
    };
    Ok((original, Deviation::Changed(Box::new(other))))
}

fn span(start: &str, end: &str, tz: &jiff::tz::TimeZone) -> Result<Span, Invalid> {
    let time = |name: &str, text: &str| {
        let wrong = || Invalid::new(name, "must be a time such as 2026-11-25T09:00:00Z, or a date.");
        Moment::parse(text, tz).ok_or_else(wrong)
    };
    Span::new(time("start", start)?, time("end", end)?)
}

fn parts(texts: &[(&str, &str)], answer: Answer) -> BTreeMap<String, String> {
    let kept = texts.iter().filter(|(_, text)| !text.is_empty());
    let mut parts: BTreeMap<String, String> = kept.map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
    parts.insert("status".to_owned(), answer.word().to_owned());
    parts
}

fn attendee(item: &Item) -> Attendee {
    Attendee {
        email: item.part("email").to_owned(),
        name: item.part("name").to_owned(),
        answer: Answer::of(item.part("status")),
    }
}

/// Each address once, in normal form and order; the last word about it counts.
pub(super) fn sorted(guests: &[Attendee]) -> Vec<Attendee> {
    let mut by_address = BTreeMap::new();
    for guest in guests {
        let email = normalise::email(&guest.email);
        if !email.is_empty() {
            let name = normalise::text(&guest.name);
            by_address.insert(email.clone(), Attendee { email, name, answer: guest.answer });
        }
    }
    by_address.into_values().collect()
}

fn guests_json(guests: &[Attendee]) -> String {
    let guest = |a: Attendee| Guest { email: a.email, name: a.name, status: a.answer.word().to_owned() };
    let guests: Vec<Guest> = sorted(guests).into_iter().map(guest).collect();
    serde_json::to_string(&guests).expect("text serialises")
}
