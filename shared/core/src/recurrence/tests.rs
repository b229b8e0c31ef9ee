use super::*;
use crate::event::{Deviation, Event, Overrides, zone};
use jiff::Timestamp;
use proptest::prelude::*;

fn span(start: &str, end: &str, tz: &str) -> Span {
    let zone = zone(tz).unwrap();
    let at = |text: &str| Moment::parse(text, &zone).unwrap();
    Span::new(at(start), at(end)).unwrap()
}

fn series(start: &str, end: &str, tz: &str, rules: &[&str]) -> Event {
    let mut event = Event { time_zone: tz.to_owned(), ..Event::at(span(start, end, tz)) };
    event.repeat(&rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>()).unwrap();
    event
}

fn window(from: &str, until: &str) -> Window {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    Window { from: at(from), until: at(until) }
}

fn starts(event: &Event, window: Window) -> Vec<String> {
    expand(event, window, 10_000).unwrap().iter().map(|one| one.span.start().to_string()).collect()
}

const ALWAYS: (&str, &str) = ("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z");

fn always() -> Window {
    window(ALWAYS.0, ALWAYS.1)
}

#[test]
fn rules_have_one_form() {
    let timed = span("2026-03-23T09:00:00", "2026-03-23T10:00:00", "Europe/Brussels");
    let days = span("2026-03-23", "2026-03-24", "");
    let cases = [
        (&timed, "freq=weekly;byday=we,+mo;interval=1;wkst=mo", "RRULE:FREQ=WEEKLY;BYDAY=MO,WE"),
        (&timed, "RRULE:UNTIL=20260401T220000ZZ;FREQ=DAILY", "RRULE:FREQ=DAILY;UNTIL=20260401T220000Z"),
        (&timed, "RRULE:FREQ=DAILY;UNTIL=20260402T000000", "RRULE:FREQ=DAILY;UNTIL=20260401T220000Z"),
        (&timed, "RRULE:FREQ=DAILY;UNTIL=20260401", "RRULE:FREQ=DAILY;UNTIL=20260401T215959Z"),
        (&days, "RRULE:FREQ=DAILY;UNTIL=20260401T000000Z", "RRULE:FREQ=DAILY;UNTIL=20260401"),
        (&timed, "RRULE:BYMONTHDAY=15,-1,2;FREQ=MONTHLY", "RRULE:FREQ=MONTHLY;BYMONTHDAY=-1,2,15"),
        (&timed, "RDATE;TZID=Europe/Brussels:20260701T090000", "RDATE:20260701T070000Z"),
    ];
    for (span, given, wanted) in cases {
        let read = read(&[given.to_owned()], span, &zone("Europe/Brussels").unwrap()).unwrap();
        assert_eq!(read.lines, [wanted], "{given}");
    }
}

#[test]
fn the_rule_is_found_wherever_it_stands() {
    let event = series(
        "2026-03-23T09:00:00",
        "2026-03-23T10:00:00",
        "Europe/Brussels",
        &["EXDATE;TZID=Europe/Brussels:20260330T090000", "", "RRULE:FREQ=WEEKLY;COUNT=3"],
    );
    assert_eq!(starts(&event, always()), ["2026-03-23T08:00:00Z", "2026-04-06T07:00:00Z"]);
}

#[test]
fn what_cannot_be_worked_out_is_a_named_error() {
    let span = span("2026-03-23T09:00:00", "2026-03-23T10:00:00", "");
    for rule in [
        "RRULE:FREQ=SOMETIMES",
        "RRULE:BYDAY=MO",
        "RRULE:FREQ=WEEKLY;COUNT=0",
        "RRULE:FREQ=WEEKLY;COUNT=many",
        "RRULE:FREQ=DAILY;UNTIL=soon",
        "RRULE:FREQ=HOURLY",
        "RRULE:FREQ=WEEKLY;FREQ=DAILY",
        "RRULE:FREQ=DAILY;X=1",
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=40",
        "EXRULE:FREQ=DAILY",
        "DTSTART:20260101T000000Z",
        "nonsense",
        "EXDATE:x",
    ] {
        let refused = read(&[rule.to_owned()], &span, &TimeZone::UTC).unwrap_err();
        assert_eq!(refused.field, "recurrence", "{rule}");
    }
}

#[test]
fn nine_o_clock_stays_nine_o_clock_over_the_change_to_summer_time() {
    let brussels = series("2026-03-27T09:00:00", "2026-03-27T10:00:00", "Europe/Brussels", &["FREQ=DAILY;COUNT=4"]);
    let wanted = ["2026-03-27T08:00:00Z", "2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"];
    assert_eq!(starts(&brussels, always()), wanted);
}

#[test]
fn a_skipped_time_is_later_and_a_doubled_one_is_the_first() {
    let gap = series("2026-03-28T02:30:00", "2026-03-28T03:00:00", "Europe/Brussels", &["FREQ=DAILY;COUNT=3"]);
    let wanted = ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"];
    assert_eq!(starts(&gap, always()), wanted);
    let fold = series("2026-10-24T02:30:00", "2026-10-24T03:00:00", "Europe/Brussels", &["FREQ=DAILY;COUNT=2"]);
    assert_eq!(starts(&fold, always()), ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z"]);
}

#[test]
fn a_moved_occurrence_is_where_it_was_moved_to_and_known_by_its_original_start() {
    let mut event = series("2026-03-23T09:00:00", "2026-03-23T10:00:00", "", &["FREQ=DAILY;COUNT=9"]);
    let original = Moment::parse("2026-03-24T09:00:00Z", &TimeZone::UTC).unwrap();
    let stranger = Moment::parse("2026-03-24T09:30:00Z", &TimeZone::UTC).unwrap();
    let moved = span("2026-05-01T09:00:00Z", "2026-05-01T10:00:00Z", "");
    let change = || Deviation::Changed(Box::new(Overrides { span: Some(moved.clone()), ..Overrides::default() }));
    event.exceptions.insert(original, change());
    event.exceptions.insert(stranger, change());
    let march = window("2026-03-24T00:00:00Z", "2026-03-25T00:00:00Z");
    assert!(starts(&event, march).is_empty());
    let may = expand(&event, window("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"), 10).unwrap();
    assert_eq!(may, [Occurrence { original, span: moved }], "the one that the rule knows");
}

#[test]
fn a_rule_change_moves_all_occurrences() {
    let monday = series("2026-03-23T09:00:00", "2026-03-23T10:00:00", "", &["FREQ=WEEKLY;COUNT=4"]);
    let wednesday = series("2026-03-25T09:00:00", "2026-03-25T10:00:00", "", &["FREQ=WEEKLY;COUNT=4"]);
    assert_eq!(starts(&monday, always()).len(), 4);
    assert_eq!(starts(&wednesday, always())[3], "2026-04-15T09:00:00Z");
}

#[test]
fn all_day_occurrences_are_days() {
    let event =
        series("2026-03-28", "2026-03-30", "", &["RRULE:FREQ=WEEKLY;UNTIL=20260404", "EXDATE;VALUE=DATE:20260328"]);
    let found = expand(&event, always(), 10).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].span.start().to_string(), found[0].span.end().to_string()),
        ("2026-04-04".into(), "2026-04-06".into())
    );
}

#[test]
fn a_single_appointment_occurs_once_and_only_in_its_window() {
    let one = Event::at(span("2026-03-23T09:00:00", "2026-03-23T10:00:00", ""));
    assert_eq!(starts(&one, always()).len(), 1);
    assert!(starts(&one, window("2026-03-23T10:00:00Z", "2026-03-24T00:00:00Z")).is_empty());
}

#[test]
fn a_rule_that_ends_before_it_starts_has_no_occurrence() {
    let event = series("2026-03-23T09:00:00", "2026-03-23T10:00:00", "", &["RRULE:FREQ=DAILY;UNTIL=20260101T000000Z"]);
    assert!(starts(&event, always()).is_empty());
}

#[test]
fn too_many_occurrences_are_refused() {
    let event = series("2026-03-23T09:00:00", "2026-03-23T10:00:00", "", &["FREQ=DAILY"]);
    assert_eq!(expand(&event, always(), 100).unwrap_err().field, "recurrence");
}

proptest! {
    /// Starting near the window finds what walking from the beginning finds.
    #[test]
    fn a_late_window_shows_what_the_whole_series_has_there(
        day in 1_i8..=31, month in 1_i8..=12, freq in 0_usize..4, interval in 1_u8..5, offset in 0_i64..4_000,
        days in prop::sample::select(vec!["", ";BYDAY=MO,SA", ";BYDAY=SU;WKST=SU"]),
    ) {
        let freq = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"][freq];
        let Ok(date) = jiff::civil::Date::new(2001, month, day) else { return Ok(()) };
        let start = format!("{date}T09:00:00");
        let days = if ["MONTHLY", "YEARLY"].contains(&freq) { "" } else { days };
        let rule = format!("FREQ={freq};INTERVAL={interval}{days}");
        let end = format!("{date}T10:00:00");
        let event = series(&start, &end, "America/New_York", &[&rule]);
        let from = Timestamp::from_second(1_000_000_000 + offset * 86_400).unwrap();
        let until = Timestamp::from_second(from.as_second() + 100 * 86_400).unwrap();
        let near = starts(&event, Window { from, until });
        let whole = starts(&event, Window { from: "2001-01-01T00:00:00Z".parse().unwrap(), until });
        let whole: Vec<String> = whole.into_iter().filter(|s| s.parse::<Timestamp>().unwrap() >= from).collect();
        // Occurrences that began before the window and go on into it are the window's too.
        let near: Vec<String> = near.into_iter().filter(|s| s.parse::<Timestamp>().unwrap() >= from).collect();
        prop_assert_eq!(near, whole);
    }
}
