//! Wire ↔ canonical, pure.
//!
//! Sell has one text: its first line is the title, the rest the notes. It keeps a moment where others keep a day: that day
//! is the user's, and the hour stays what it is when only the day changes.
use crate::wire::Contact as Wire;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde_json::{Map, Value as Json, json};
use tandem_core::event::Status;
use tandem_core::normalise;
use tandem_core::record::Field;
use tandem_core::task::{Task, field};

pub(super) fn owner(wire: &Wire) -> Option<u64> {
    wire.0.get("owner_id").and_then(Json::as_u64)
}

pub(super) fn task(wire: &Wire, offset: Offset) -> Task {
    let content = wire.text("content").trim();
    let (title, notes) = content.split_once('\n').unwrap_or((content, ""));
    let done = wire.0.get("completed").and_then(Json::as_bool).unwrap_or_default();
    Task {
        title: title.to_owned(),
        notes: notes.to_owned(),
        due: wire.time("due_date").map(|at| offset.to_datetime(at).date()),
        status: if done { Status::Done } else { Status::Open },
        completed_at: wire.time("completed_at"),
        links: Vec::new(),
    }
}

/// Sell's attributes for these changed fields; `before` is what it showed. `None` where there is no title, as Sell takes no
/// task without a text.
pub(super) fn attributes(
    wanted: &Task,
    changed: &[Field],
    before: Option<&Json>,
    offset: Offset,
) -> Option<Map<String, Json>> {
    let mut wire = Map::new();
    if changed.contains(&field::TITLE) || changed.contains(&field::NOTES) {
        let (title, notes) = (normalise::text(&wanted.title), normalise::lines(&wanted.notes));
        if title.is_empty() {
            return None;
        }
        let content = if notes.is_empty() { title } else { format!("{title}\n{notes}") };
        wire.insert("content".to_owned(), json!(content));
    }
    if changed.contains(&field::DUE) {
        let before = before.and_then(|task| task.get("due_date")?.as_str()?.parse::<Timestamp>().ok());
        let due = wanted.due.and_then(|day| moment(day, before, offset));
        wire.insert("due_date".to_owned(), due.map_or(Json::Null, |at| json!(at.to_string())));
    }
    if changed.contains(&field::STATUS) {
        wire.insert("completed".to_owned(), json!(wanted.status == Status::Done));
    }
    Some(wire)
}

/// This day at the hour it had, else at noon: an hour of summer time more or less does not move the day then.
fn moment(day: Date, before: Option<Timestamp>, offset: Offset) -> Option<Timestamp> {
    let time = before.map_or(jiff::civil::time(12, 0, 0, 0), |at| offset.to_datetime(at).time());
    let at = offset.to_timestamp(day.to_datetime(time)).ok()?;
    Timestamp::from_second(at.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::me::offset;

    fn wire(value: Json) -> Wire {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_day_is_the_users_and_keeps_its_hour_when_it_moves() {
        let west = offset(Some("UTC-08:00"));
        let shown = json!({"id": 1, "content": "Call\nAn", "due_date": "2026-11-26T03:30:00Z"});
        let mut read = task(&wire(shown.clone()), west);
        assert_eq!((read.due.unwrap().to_string().as_str(), read.notes.as_str()), ("2026-11-25", "An"));
        read.due = Some("2026-12-01".parse().unwrap());
        let sent = attributes(&read, &[field::DUE], Some(&shown), west).unwrap();
        assert_eq!(Json::Object(sent), json!({"due_date": "2026-12-02T03:30:00Z"}));
        let fresh = attributes(&read, &[field::DUE], None, west).unwrap();
        assert_eq!(fresh["due_date"], "2026-12-01T20:00:00Z");
    }

    #[test]
    fn a_text_comes_back_in_its_two_parts_and_there_is_none_without_a_title() {
        let said = Task { title: "Call An".into(), notes: "at home\nor work".into(), ..Task::default() };
        let sent = attributes(&said, &field::ALL, None, Offset::UTC).unwrap();
        assert_eq!((&sent["content"], &sent["due_date"]), (&json!("Call An\nat home\nor work"), &Json::Null));
        assert!(task(&wire(Json::Object(sent)), Offset::UTC) == said);
        assert!(attributes(&Task::default(), &[field::NOTES], None, Offset::UTC).is_none());
        assert!(attributes(&Task::default(), &[field::STATUS], None, Offset::UTC).is_some());
    }
}
