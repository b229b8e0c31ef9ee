//! A first run of 2,000 appointments of a CRM, 200 of them series with an exception, at 50 ms a call at Google and 5 ms a
//! table request, against the 44 calls that write, one after the other. Prints one JSON object.
use jiff::SignedDuration;
use serde_json::json;
use simulation::calendar::{CalendarWorld, Left};
use simulation::world::dice;
use std::time::Duration;
use tandem_core::event::{Deviation, Event, Moment, Overrides, Span};
use tandem_testkit::calendar::{MemoryCalendar, Recurrence};

const EVENTS: u32 = 2_000;
const WRITES: u32 = 44;
const GOOGLE: Duration = Duration::from_millis(50);

fn event(number: u32) -> Event {
    let first: jiff::Timestamp = "2026-01-05T08:00:00Z".parse().expect("a time");
    let start = first + SignedDuration::from_hours(i64::from(number % 500));
    let span = Span::new(Moment::At(start), Moment::At(start + SignedDuration::from_mins(30))).expect("in order");
    let mut event = Event { title: format!("Meeting {number}"), time_zone: "UTC".to_owned(), ..Event::at(span) };
    if number.is_multiple_of(10) {
        event.repeat(&["RRULE:FREQ=WEEKLY;COUNT=4".to_owned()]).expect("a rule");
        let elsewhere = Overrides { location: Some("Ghent".to_owned()), ..Overrides::default() };
        let second = Moment::At(start + SignedDuration::from_hours(7 * 24));
        event.exceptions.insert(second, Deviation::Changed(Box::new(elsewhere)));
    }
    event
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn main() {
    let crm = MemoryCalendar::new(200, Recurrence::Kept);
    let world = CalendarWorld::with(Some(crm), &json!({}), [GOOGLE, Duration::from_millis(5)]).await;
    let Left::Plain(crm) = &world.crm else { return };
    for number in 0..EVENTS {
        crm.user_puts(&format!("event {number:04}"), &event(number).to_fields());
    }
    let begin = std::time::Instant::now();
    world.run(&mut dice(1)).await;
    let took = begin.elapsed();
    let calls = world.google.calls();
    let writing = calls.iter().filter(|(_, path, writes)| path.starts_with("/batch/") && *writes > 0).count();
    let floor = GOOGLE * WRITES;
    println!(
        "{}",
        json!({
            "events": EVENTS,
            "google_calls": calls.len(),
            "google_write_calls": writing,
            "seconds": took.as_secs_f64(),
            "sequential_writes_seconds": floor.as_secs_f64(),
            "ratio": took.as_secs_f64() / floor.as_secs_f64(),
        })
    );
}
