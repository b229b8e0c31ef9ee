use super::*;

const BRUSSELS: &str = "Europe/Brussels";

fn record(body: Value) -> Record {
    Record(body.as_object().cloned().unwrap_or_default())
}

fn series(rule: &str) -> Event {
    let start: jiff::Timestamp = "2026-03-23T08:00:00Z".parse().unwrap();
    let end: jiff::Timestamp = "2026-03-23T09:00:00Z".parse().unwrap();
    let mut event = Event::at(Span::new(Moment::at(start), Moment::at(end)).unwrap());
    event.time_zone = BRUSSELS.into();
    event.repeat(&[rule.to_owned()]).unwrap();
    event
}

fn said(event: &Event) -> Result<(Map<String, Value>, Event), Invalid> {
    let body = body((&field::ALL, event), &Record::default(), BRUSSELS)?;
    let read = super::event(&after(&Record::default(), &body), BRUSSELS)?;
    Ok((body, read))
}

#[test]
fn an_all_day_event_ends_within_its_last_day() {
    let day = |text: &str| Moment::parse(text, &TimeZone::UTC).unwrap();
    let event = Event::at(Span::new(day("2026-03-28"), day("2026-03-30")).unwrap());
    let (body, read) = said(&event).unwrap();
    // The clocks change in the night between.
    assert_eq!(body["Start_DateTime"], "2026-03-28T00:00:00+01:00");
    assert_eq!(body["End_DateTime"], "2026-03-29T23:59:00+02:00");
    assert_eq!(read.span, event.span);
    let midnight = record(json!({"All_day": true, "Start_DateTime": "2026-03-28T00:00:00+01:00",
                                 "End_DateTime": "2026-03-30T00:00:00+02:00"}));
    assert_eq!(super::event(&midnight, BRUSSELS).unwrap().span, event.span, "an end at midnight is over by then");
}

#[test]
fn the_last_day_of_a_rule_is_the_last_one_with_an_occurrence() {
    for (until, day) in
        [("20260406T070000Z", "2026-04-06"), ("20260406T060000Z", "2026-04-05"), ("20260406T215959Z", "2026-04-06")]
    {
        let event = series(&format!("RRULE:FREQ=DAILY;UNTIL={until}"));
        let (body, read) = said(&event).unwrap();
        assert_eq!(body["Recurring_Activity"]["RRULE"], format!("FREQ=DAILY;UNTIL={day}"));
        let window = tandem_core::recurrence::Window {
            from: "2026-01-01T00:00:00Z".parse().unwrap(),
            until: "2027-01-01T00:00:00Z".parse().unwrap(),
        };
        let starts = |event: &Event| -> Vec<Moment> {
            tandem_core::recurrence::expand(event, window, 1_000).unwrap().into_iter().map(|one| one.original).collect()
        };
        assert_eq!(starts(&read), starts(&event), "{until}");
    }
}

#[test]
fn a_left_out_occurrence_is_a_day_and_comes_back_as_one() {
    let mut event = series("RRULE:FREQ=WEEKLY;COUNT=4");
    event.exceptions.insert(Moment::parse("2026-03-30T07:00:00Z", &TimeZone::UTC).unwrap(), Deviation::Cancelled);
    let (body, read) = said(&event).unwrap();
    assert_eq!(body["Recurring_Activity"]["EXDATE"], "2026-03-30");
    assert!(read.exceptions == event.exceptions);
}

#[test]
fn what_zoho_cannot_repeat_is_refused_by_name() {
    let mut changed = series("RRULE:FREQ=WEEKLY;COUNT=4");
    let other = tandem_core::event::Overrides { title: Some("Other".into()), ..Default::default() };
    let original = Moment::parse("2026-03-30T07:00:00Z", &TimeZone::UTC).unwrap();
    changed.exceptions.insert(original, Deviation::Changed(Box::new(other)));
    let mut elsewhere = series("RRULE:FREQ=WEEKLY;COUNT=4");
    elsewhere.time_zone = "America/New_York".into();
    let mut twice = series("RRULE:FREQ=WEEKLY;COUNT=4");
    twice.recurrence.push("RDATE:20260701T070000Z".into());
    let by_week = series("RRULE:FREQ=YEARLY;COUNT=4;BYWEEKNO=20;BYDAY=MO");
    for (event, field) in
        [(changed, "exceptions"), (elsewhere, "time_zone"), (twice, "recurrence"), (by_week, "recurrence")]
    {
        assert_eq!(said(&event).unwrap_err().field, field);
    }
    let mut near = series("RRULE:FREQ=WEEKLY;COUNT=4");
    near.time_zone = "Europe/Paris".into();
    assert_eq!(said(&near).unwrap().1.time_zone, BRUSSELS, "a zone of the same clock is as good");
}

#[test]
fn a_rule_with_its_start_and_a_dashed_end_is_read() {
    let read = super::event(
        &record(json!({"Start_DateTime": "2026-03-23T09:00:00+01:00", "End_DateTime": "2026-03-23T10:00:00+01:00",
            "Recurring_Activity": {"RRULE": "FREQ=WEEKLY;INTERVAL=1;BYDAY=MO;DTSTART=2026-03-23;UNTIL=2026-04-20"}})),
        BRUSSELS,
    );
    let read = read.unwrap();
    assert_eq!(read.recurrence, ["RRULE:FREQ=WEEKLY;UNTIL=20260420T215959Z;BYDAY=MO"]);
    assert_eq!(read.time_zone, BRUSSELS);
}

#[test]
fn reminders_that_are_no_minutes_stay() {
    let at_ten = json!({"unit": 1, "period": "days", "time": "10.30"});
    let raw = record(json!({"Remind_At": [at_ten, {"unit": 2, "period": "hours"}]}));
    assert_eq!(reminder(&raw), Some(120));
    assert_eq!(reminding(Some(15), &raw), json!([at_ten, {"unit": 15, "period": "minutes"}]));
    assert_eq!(reminding(None, &raw), json!([at_ten]));
    let older =
        record(json!({"Start_DateTime": "2026-03-23T09:00:00+01:00", "Remind_At": "2026-03-23T08:45:00+01:00"}));
    assert_eq!(reminder(&older), Some(15));
}

#[test]
fn a_task_has_a_day_and_says_of_an_appointment_its_title_its_text_and_that_day() {
    let said = |due: Value| super::task(&record(json!({"Subject": "Offer", "Due_Date": due})));
    let task = said(json!("2026-03-28")).unwrap().unwrap();
    assert_eq!((task.title.as_str(), task.span.is_all_day()), ("Offer", true));
    assert!(said(Value::Null).unwrap().is_none());
    assert_eq!(said(json!("soon")).unwrap_err().field, "start");
    let body = |event: &Event| task_body((&field::ALL, &event.to_fields()), BRUSSELS).unwrap();
    assert_eq!(Value::Object(body(&task)), json!({"Subject": "Offer", "Description": null, "Due_Date": "2026-03-28"}));
    // The night of the 24th in Brussels is the evening of the 23rd in London.
    let late = |at: &str| Moment::parse(at, &TimeZone::UTC).unwrap();
    let event = Event::at(Span::new(late("2026-03-23T23:30:00Z"), late("2026-03-23T23:45:00Z")).unwrap());
    assert_eq!(body(&event)["Due_Date"], "2026-03-24");
    assert!(!is_open(&record(json!({"Status": "Signed off", "Closed_Time": "2026-03-01T10:00:00+01:00"}))));
    assert!(is_open(&record(json!({"Status": "Deferred", "Closed_Time": null}))));
}
