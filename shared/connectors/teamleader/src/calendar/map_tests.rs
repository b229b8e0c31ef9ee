use super::*;
use crate::calendar::people::People;
use tandem_core::event::Answer;

const ME: &str = "u1";

fn people() -> People {
    People::of(ME, "Europe/Brussels", &[("user:u2", "bo@acme.example"), ("contact:c1", "an@example.com")])
}

fn meeting(start: &str, minutes: i64) -> Map<String, Value> {
    let shown = json!({
        "id": "m1", "title": "Visit", "description": "line 1\nline 2", "scheduled_at": start, "status": "open",
        "duration": {"unit": "min", "value": minutes},
        "attendees": [{"type": "user", "id": ME}, {"type": "user", "id": "u2"}, {"type": "contact", "id": "c1"},
            {"type": "contact", "id": "c9"}],
    });
    shown.as_object().cloned().unwrap()
}

#[test]
fn a_meeting_says_its_times_and_the_addresses_of_its_contacts_in_the_first_users_calendar() {
    let read = event(&meeting("2026-12-01T09:00:00+00:00", 45), &people()).unwrap();
    assert_eq!(read.span.start().to_string(), "2026-12-01T09:00:00Z");
    assert_eq!(read.span.end().to_string(), "2026-12-01T09:45:00Z");
    let guests: Vec<(&str, Answer)> = read.attendees.iter().map(|one| (one.email.as_str(), one.answer)).collect();
    assert_eq!(guests, [("an@example.com", Answer::NeedsAction)]);
    let bos = People::of("u2", "Europe/Brussels", &[("contact:c1", "an@example.com")]);
    assert!(event(&meeting("2026-12-01T09:00:00+00:00", 45), &bos).unwrap().attendees.is_empty());
}

#[test]
fn from_midnight_to_midnight_is_all_day_also_when_the_clock_changes() {
    for (start, minutes, days) in [
        ("2026-11-30T23:00:00+00:00", 24 * 60, ["2026-12-01", "2026-12-02"]),
        ("2026-03-28T23:00:00+00:00", 23 * 60, ["2026-03-29", "2026-03-30"]),
        ("2026-10-24T22:00:00+00:00", 49 * 60, ["2026-10-25", "2026-10-27"]),
    ] {
        let read = event(&meeting(start, minutes), &people()).unwrap();
        assert_eq!([read.span.start().to_string(), read.span.end().to_string()], days, "{start}");
        let body = body(&[field::START], &read, people().zone()).unwrap();
        assert_eq!(body["starts_at"], start);
        let end: Timestamp = start.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes);
        assert_eq!(body["ends_at"], wire::sent(&end.to_string()), "{start}");
    }
    let short = event(&meeting("2026-11-30T23:00:00+00:00", 30), &people()).unwrap();
    assert!(!short.span.is_all_day());
}

#[test]
fn only_what_changes_is_sent_and_a_title_never_is_empty() {
    let mut wanted = event(&meeting("2026-12-01T09:00:00+00:00", 45), &people()).unwrap();
    wanted.title = String::new();
    wanted.description = String::new();
    let sent = body(&[field::TITLE, field::DESCRIPTION, field::LOCATION], &wanted, people().zone()).unwrap();
    assert_eq!(Value::Object(sent), json!({"title": UNTITLED, "description": null}));
}

#[test]
fn a_place_is_its_address_in_one_line() {
    let address = json!({"line_1": "Dok Noord 3A", "postal_code": "9000", "city": "Gent", "country": "BE"});
    assert_eq!(place(&json!({"type": "customLocation", "id": "x", "address": address})), "Dok Noord 3A, 9000 Gent");
    assert_eq!(place(&json!({"type": "address", "address": {"city": "Gent", "country": "BE"}})), "Gent");
    assert_eq!(place(&json!({"type": "virtual"})), "");
}

#[test]
fn a_meeting_is_as_it_was_while_a_list_shows_the_same_of_it() {
    let before = meeting("2026-12-01T09:00:00+00:00", 45);
    let mut placed = before.clone();
    placed.insert("location".to_owned(), json!({"type": "virtual"}));
    placed.insert("scheduled_at".to_owned(), json!("2026-12-01T10:00:00+01:00"));
    assert_eq!(digest(&before), digest(&placed), "another spelling of the same");
    for (name, value) in [("title", json!("Call")), ("description", json!("")), ("status", json!("done"))] {
        let mut changed = before.clone();
        changed.insert(name.to_owned(), value);
        assert_ne!(digest(&before), digest(&changed), "{name}");
    }
    assert_ne!(digest(&before), digest(&meeting("2026-12-01T09:00:00+00:00", 46)));
}
