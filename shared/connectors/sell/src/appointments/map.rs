//! Wire → canonical, pure. Nothing goes the other way: no API of Sell writes an appointment.
use crate::wire::Contact as Wire;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde_json::Value as Json;
use std::collections::HashMap;
use tandem_core::error::Invalid;
use tandem_core::event::{Attendee, Event, Moment, Span, field};
use tandem_core::record::Field;

/// What Sell says of an appointment. It names no zone, repeats nothing, and keeps neither answers nor who may see it.
pub(super) const FIELDS: [Field; 8] = [
    field::TITLE,
    field::START,
    field::END,
    field::ALL_DAY,
    field::DESCRIPTION,
    field::LOCATION,
    field::ATTENDEES,
    field::REMINDER_MINUTES,
];

/// Who is invited, as Sell names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Guest {
    /// A person or an organisation.
    Contact(u64),
    Lead(u64),
    /// A colleague.
    User(u64),
}

/// The e-mail address and name of a contact or lead that has one.
pub(super) type Addresses = HashMap<Guest, Attendee>;

/// Which words Sell has for who is invited is not documented; case and plural do not matter here.
pub(super) fn guests(appointment: &Wire) -> Vec<Guest> {
    let invitations = appointment.0.get("invitations").and_then(Json::as_array).into_iter().flatten();
    let guest = |one: &Json| {
        let id = one["invitable_id"].as_u64()?;
        match one["invitable_type"].as_str()?.to_ascii_lowercase().trim_end_matches('s') {
            "contact" => Some(Guest::Contact(id)),
            "lead" => Some(Guest::Lead(id)),
            "user" => Some(Guest::User(id)),
            _ => None,
        }
    };
    invitations.filter_map(guest).collect()
}

/// Whether it is in this user's calendar.
pub(super) fn is_of(appointment: &Wire, user: u64) -> bool {
    let owner = appointment.0.get("user_id").and_then(Json::as_u64);
    owner == Some(user) || guests(appointment).contains(&Guest::User(user))
}

/// The appointment that Sell says. `offset` is where the user's days begin.
///
/// # Errors
/// A time that is missing or cannot be read.
pub(super) fn event(appointment: &Wire, offset: Offset, addresses: &Addresses) -> Result<Event, Invalid> {
    let all_day = appointment.0.get("all_day").and_then(Json::as_bool).unwrap_or_default();
    let attendees = guests(appointment).into_iter().filter_map(|guest| addresses.get(&guest).cloned());
    let reminder = appointment.0.get("reminder_offset").and_then(Json::as_u64);
    Ok(Event {
        title: appointment.text("name").to_owned(),
        description: appointment.text("description").to_owned(),
        location: appointment.text("location").to_owned(),
        attendees: attendees.collect(),
        reminder_minutes: reminder.and_then(|minutes| u32::try_from(minutes).ok()),
        ..Event::at(span(appointment, all_day, offset)?)
    })
}

fn span(appointment: &Wire, all_day: bool, offset: Offset) -> Result<Span, Invalid> {
    let time = |name: &'static str, wire: &str| {
        appointment.time(wire).ok_or_else(|| Invalid::new(name, "is missing, or no time that can be read."))
    };
    let (start, end) = (time("start", "start_at")?, time("end", "end_at")?);
    if !all_day {
        return Span::new(Moment::at(start), Moment::at(end));
    }
    let (first, last) = (day(start, offset), day(end, offset));
    // An end at midnight is over by then; any other is within its last day.
    let until = if is_midnight(end, offset) && end > start { last } else { last.saturating_add(1.day()) };
    Span::new(Moment::Day(first), Moment::Day(until))
}

/// Sell says days as moments. At midnight in UTC it is that day, wherever the user is.
fn day(at: Timestamp, offset: Offset) -> jiff::civil::Date {
    let utc = TimeZone::UTC.to_datetime(at);
    if utc.time() == jiff::civil::Time::midnight() { utc.date() } else { offset.to_datetime(at).date() }
}

fn is_midnight(at: Timestamp, offset: Offset) -> bool {
    let midnight = jiff::civil::Time::midnight();
    TimeZone::UTC.to_datetime(at).time() == midnight || offset.to_datetime(at).time() == midnight
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wire(value: Json) -> Wire {
        serde_json::from_value(value).unwrap()
    }

    fn days(start: &str, end: &str, hours: i8) -> (String, String) {
        let said = wire(json!({"all_day": true, "start_at": start, "end_at": end}));
        let event = event(&said, Offset::constant(hours), &Addresses::new()).unwrap();
        (event.span.start().to_string(), event.span.end().to_string())
    }

    #[test]
    fn a_day_is_that_day_however_its_moments_are_written() {
        let one = ("2026-11-09".to_owned(), "2026-11-10".to_owned());
        for hours in [-11, -5, 0, 1, 13] {
            assert_eq!(days("2026-11-09T00:00:00Z", "2026-11-10T00:00:00Z", hours), one, "{hours}");
            assert_eq!(days("2026-11-09T00:00:00Z", "2026-11-09T00:00:00Z", hours), one, "{hours}");
        }
        assert_eq!(days("2026-11-08T23:00:00Z", "2026-11-09T23:00:00Z", 1), one, "midnight, where the user is");
        assert_eq!(days("2026-11-09T05:00:00Z", "2026-11-10T04:59:59Z", -5), one, "until the last second");
        assert_eq!(days("2026-11-08T23:00:00Z", "2026-11-10T23:00:00Z", 1).1, "2026-11-11");
    }

    #[test]
    fn what_it_says_is_read_and_a_time_that_is_none_is_named() {
        let said = json!({"name": "Interview", "location": "Ghent", "description": "d", "reminder_offset": 30,
            "start_at": "2026-11-09T13:00:00Z", "end_at": "2026-11-09T15:00:00Z", "all_day": false,
            "invitations": [{"id": 1, "invitable_id": 7, "invitable_type": "Contact"},
                {"id": 2, "invitable_id": 7, "invitable_type": "lead"}, {"id": 3, "invitable_id": 9, "invitable_type": "?"}]});
        let an = Attendee { email: "an@example.com".into(), name: "An".into(), ..Attendee::default() };
        let addresses = Addresses::from([(Guest::Contact(7), an.clone())]);
        let read = event(&wire(said), Offset::UTC, &addresses).unwrap();
        assert_eq!(
            (read.title.as_str(), read.location.as_str(), read.reminder_minutes),
            ("Interview", "Ghent", Some(30))
        );
        assert!(read.attendees == [an], "who has no address is no guest at the other side");
        let broken = wire(json!({"start_at": "2026-11-09T13:00:00Z"}));
        assert_eq!(event(&broken, Offset::UTC, &addresses).unwrap_err().field, "end");
    }

    #[test]
    fn an_appointment_is_whose_it_is_and_who_is_invited() {
        let said = wire(json!({"user_id": 1, "creator_id": 3,
            "invitations": [{"invitable_id": 2, "invitable_type": "User"}, {"invitable_id": 4, "invitable_type": "Lead"}]}));
        let users: Vec<u64> = (1..5).filter(|user| is_of(&said, *user)).collect();
        assert_eq!(users, [1, 2]);
    }
}
