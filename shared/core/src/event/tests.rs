use super::*;
use crate::record::{Fields, Item, Value};
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn timed(start: &str, end: &str) -> Span {
    let at = |text: &str| Moment::parse(text, &TimeZone::UTC).unwrap();
    Span::new(at(start), at(end)).unwrap()
}

fn weekly() -> Event {
    let mut event = Event {
        title: "Stand-up".into(),
        time_zone: "Europe/Brussels".into(),
        ..Event::at(timed("2026-03-23T09:00:00+01:00", "2026-03-23T09:30:00+01:00"))
    };
    event.repeat(&["RRULE:FREQ=WEEKLY;COUNT=3".into()]).unwrap();
    event
}

#[test]
fn one_instant_said_in_three_ways_is_one_value() {
    let texts = ["2026-03-30T09:00:00+02:00", "2026-03-30T07:00:00.000Z", "2026-03-30T09:00:00"];
    let brussels = zone("Europe/Brussels").unwrap();
    let said: Vec<String> = texts.iter().map(|t| Moment::parse(t, &brussels).unwrap().to_string()).collect();
    assert_eq!(said, ["2026-03-30T07:00:00Z"; 3]);
}

#[test]
fn an_all_day_appointment_is_dates_with_an_exclusive_end_and_has_no_zone() {
    let day = Moment::parse("2026-01-15", &TimeZone::UTC).unwrap();
    let event = Event { time_zone: "Pacific/Pago_Pago".into(), ..Event::at(Span::new(day, day).unwrap()) };
    let fields = event.to_fields();
    assert_eq!((fields.text(&field::START), fields.text(&field::END)), ("2026-01-15", "2026-01-16"));
    assert_eq!((fields.text(&field::ALL_DAY), fields.get(&field::TIME_ZONE)), ("true", None));
}

#[test]
fn an_end_before_the_start_and_a_day_with_an_instant_are_refused() {
    let at = |text: &str| Moment::parse(text, &TimeZone::UTC).unwrap();
    for (start, end) in [("2026-01-02", "2026-01-01"), ("2026-01-02", "2026-01-02T10:00:00Z")] {
        assert_eq!(Span::new(at(start), at(end)).unwrap_err().field, "end");
    }
}

#[test]
fn an_excluded_date_and_a_cancelled_occurrence_are_the_same() {
    let mut excluded = weekly();
    excluded
        .repeat(&["EXDATE;TZID=Europe/Brussels:20260330T090000".into(), "RRULE:COUNT=3;FREQ=WEEKLY".into()])
        .unwrap();
    let mut cancelled = weekly();
    let original = Moment::parse("2026-03-30T07:00:00Z", &TimeZone::UTC).unwrap();
    cancelled.exceptions.insert(original, Deviation::Cancelled);
    assert!(excluded.to_fields() == cancelled.to_fields());
    assert!(excluded.occurrence(&original).is_none());
}

#[test]
fn an_exception_that_says_what_the_series_says_is_none() {
    let mut event = weekly();
    let original = Moment::parse("2026-03-30T07:00:00Z", &TimeZone::UTC).unwrap();
    let same = Overrides {
        title: Some(" Stand-up ".into()),
        span: Some(timed("2026-03-30T09:00:00+02:00", "2026-03-30T09:30:00+02:00")),
        ..Overrides::default()
    };
    event.exceptions.insert(original, Deviation::Changed(Box::new(same)));
    assert!(event.to_fields() == weekly().to_fields());
}

#[test]
fn a_moved_and_renamed_occurrence_keeps_its_original_start() {
    let mut event = weekly();
    let original = Moment::parse("2026-03-30T07:00:00Z", &TimeZone::UTC).unwrap();
    let mut one = event.occurrence(&original).unwrap();
    one.title = "Retro".into();
    one.span = timed("2026-03-31T12:00:00Z", "2026-03-31T13:00:00Z");
    event.exceptions.insert(original, event.deviation(&original, &one).unwrap());
    let read = Event::from_fields(&event.to_fields()).unwrap();
    assert!(read == event && read.occurrence(&original).as_ref() == Some(&one));
    let item = &event.to_fields().items(&field::EXCEPTIONS)[0].clone();
    assert_eq!(item.part("original_start"), "2026-03-30T07:00:00Z");
    assert_eq!((item.part("title"), item.part("start")), ("Retro", "2026-03-31T12:00:00Z"));
}

#[test]
fn of_two_words_about_one_occurrence_the_later_counts() {
    let mut fields = weekly().to_fields();
    let item = |name: &str, value: &str| {
        let parts = [("original_start", "2026-03-30T07:00:00Z"), (name, value)];
        Item { label: String::new(), parts: parts.map(|(a, b)| (a.to_owned(), b.to_owned())).into() }
    };
    fields.set(field::EXCEPTIONS, Value::Items(vec![item("cancelled", "true"), item("title", "Retro")]));
    let event = Event::from_fields(&fields).unwrap();
    assert_eq!(event.exceptions.len(), 1);
    assert_eq!(event.to_fields().items(&field::EXCEPTIONS)[0].part("title"), "Retro");
}

#[test]
fn guests_are_one_each_by_address_without_regard_to_case() {
    let guest = |email: &str, answer| Attendee { email: email.into(), name: String::new(), answer };
    let mut event = weekly();
    event.attendees = vec![
        guest("Jan@Example.com", Answer::NeedsAction),
        guest("an@example.com", Answer::Accepted),
        guest("jan@example.com ", Answer::Declined),
    ];
    let fields = event.to_fields();
    let said: Vec<(&str, &str)> =
        fields.items(&field::ATTENDEES).iter().map(|i| (i.part("email"), i.part("status"))).collect();
    assert_eq!(said, [("an@example.com", "accepted"), ("jan@example.com", "declined")]);
}

#[test]
fn what_cannot_be_read_is_named_by_field() {
    let mut fields = weekly().to_fields();
    for (name, value) in [
        (field::START, "tomorrow"),
        (field::TIME_ZONE, "Europe/Bruxelles"),
        (field::RECURRENCE, "RRULE:FREQ=SOMETIMES"),
        (field::RECURRENCE, "RRULE:FREQ=WEEKLY;BYDAY=XX"),
        (field::RECURRENCE, "EXRULE:FREQ=WEEKLY"),
    ] {
        let before = fields.get(&name).cloned();
        fields.set(name.clone(), Value::Text(value.into()));
        assert_eq!(Event::from_fields(&fields).unwrap_err().field, name.as_str());
        fields.put(name, before);
    }
}

prop_compose! {
    fn events()(
        title in ".{0,20}", description in "[a-z \n\t]{0,30}", location in ".{0,10}",
        start in 0_i64..4_000_000_000, length in 0_i64..100_000, is_day in any::<u8>(),
        zone in prop::sample::select(vec!["", "Europe/Brussels", "America/New_York", "Australia/Lord_Howe"]),
        rule in prop::sample::select(vec!["", "FREQ=DAILY;COUNT=5", "freq=weekly;byday=we,+mo;interval=1;wkst=mo"]),
        guests in prop::collection::vec(("[a-cA-C]@x\\.y", ".{0,5}", 0_u8..4), 0..4),
        moved in prop::collection::vec((0_i64..5, prop::option::of(".{0,5}"), -9_000_i64..9_000), 0..4),
        reminder in prop::option::of(0_u32..40_000), private in 0_u8..2,
    ) -> Event {
        let at = |seconds: i64| Moment::at(jiff::Timestamp::from_second(seconds).unwrap());
        let day = |seconds: i64| match at(seconds) {
            Moment::At(instant) => Moment::Day(TimeZone::UTC.to_datetime(instant).date()),
            Moment::Day(day) => Moment::Day(day),
        };
        let pick = |seconds: i64| if is_day % 2 == 0 { day(seconds) } else { at(seconds) };
        let mut event = Event {
            title, description, location,
            time_zone: if is_day % 2 == 0 { String::new() } else { zone.to_owned() },
            reminder_minutes: reminder,
            visibility: if private == 1 { Visibility::Private } else { Visibility::Default },
            attendees: guests.into_iter().map(|(email, name, n)| Attendee {
                email, name,
                answer: [Answer::NeedsAction, Answer::Accepted, Answer::Declined, Answer::Tentative][usize::from(n)],
            }).collect(),
            ..Event::at(Span::new(pick(start), pick(start + length)).unwrap())
        };
        for (n, title, by) in moved {
            let original = pick(start + n * 86_400);
            let span = Some(event.span.moved_to(&pick(start + n * 86_400 + by)));
            let change = Overrides { title, span, ..Overrides::default() };
            let deviation = if by % 3 == 0 { Deviation::Cancelled } else { Deviation::Changed(Box::new(change)) };
            event.exceptions.insert(original, deviation);
        }
        event.repeat(&[rule.to_owned()]).unwrap();
        event
    }
}

proptest! {
    #[test]
    fn fields_read_back_as_the_same_fields(event in events()) {
        let fields = event.to_fields();
        let again = Event::from_fields(&fields).unwrap().to_fields();
        prop_assert!(again == fields);
    }

    #[test]
    fn no_field_is_empty_and_every_field_is_known(event in events()) {
        let fields = event.to_fields();
        let known = schema(&field::ALL);
        prop_assert!(fields.iter().all(|(name, _)| field::ALL.contains(name)));
        let written: Vec<crate::record::Field> = fields.iter().map(|(name, _)| name.clone()).collect();
        prop_assert!(crate::schema::check(&known, &fields, Some(&written)).is_ok());
    }

    #[test]
    fn rubbish_is_refused_and_never_a_crash(start in ".{0,30}", zone in ".{0,10}", rule in ".{0,40}") {
        let fields: Fields = [
            (field::START, start.clone()), (field::END, start), (field::TIME_ZONE, zone), (field::RECURRENCE, rule),
        ].into_iter().map(|(name, text)| (name, Value::Text(text))).collect();
        drop(Event::from_fields(&fields));
    }
}
