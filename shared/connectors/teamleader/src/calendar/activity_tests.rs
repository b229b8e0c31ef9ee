use super::*;
use jiff::tz::TimeZone;

fn me() -> Me {
    Me { id: "u1".to_owned(), zone: TimeZone::get("Europe/Brussels").expect("a zone") }
}

#[test]
fn an_id_says_its_activity_and_a_meetings_is_bare_as_it_was() {
    for (id, activity, theirs) in [
        ("f29abf48-337d", Activity::Meetings, "f29abf48-337d"),
        ("call:f29abf48-337d", Activity::Calls, "f29abf48-337d"),
        ("task:f29abf48-337d", Activity::Tasks, "f29abf48-337d"),
        ("event:f29abf48-337d", Activity::Events, "f29abf48-337d"),
    ] {
        assert_eq!(taken_apart(id), (activity, theirs));
        let raw = object(json!({"id": theirs}));
        assert_eq!(seen(activity, &raw, &me(), &Faces::new()).expect("no face")["id"], id);
    }
    assert!(Activity::ALL.into_iter().all(|one| is_notice(notice(one).as_str())));
    assert!(!is_notice("call:f29abf48-337d"));
}

#[test]
fn a_task_is_its_day_whatever_the_clock_does_and_one_without_a_day_cannot_be_read() {
    for (due, start, minutes) in [
        ("2026-02-02", "2026-02-01T23:00:00+00:00", 24 * 60),
        ("2026-03-29", "2026-03-28T23:00:00+00:00", 23 * 60),
        ("2026-10-25", "2026-10-24T22:00:00+00:00", 25 * 60),
    ] {
        let seen = task(&object(json!({"due_on": due})), &me());
        assert_eq!((&seen["scheduled_at"], &seen["duration"]["value"]), (&json!(start), &json!(minutes)), "{due}");
    }
    assert!(task(&object(json!({"due_on": null})), &me())["scheduled_at"].is_null());
}

#[test]
fn whom_a_call_is_with_is_said_once() {
    let (an, acme) = (json!({"type": "contact", "id": "c1"}), json!({"type": "company", "id": "c2"}));
    let with = |customer: &Value, contact: &Value| {
        call(&object(json!({"participant": {"customer": customer, "contact": contact}})))
    };
    assert_eq!(participants(&with(&acme, &an)), [("contact", "c1"), ("company", "c2")]);
    assert_eq!(participants(&with(&an, &an)), [("contact", "c1")]);
    assert_eq!(participants(&with(&acme, &Value::Null)), [("company", "c2")]);
    assert!(participants(&call(&object(json!({"participant": null})))).is_empty());
}

#[test]
fn only_links_that_can_be_sent_are_sent_again() {
    let links = json!([{"type": "deal", "id": "d"}, {"type": "work_order", "id": "w"}, {"type": "company", "id": "c"}]);
    let raw = object(json!({"links": links, "activity_type": {"type": "activityType", "id": "fair"}}));
    let seen = event(&raw, &me(), &vec!["call".to_owned()]).expect("no face");
    assert_eq!(super::links(&seen), [json!({"type": "deal", "id": "d"}), json!({"type": "company", "id": "c"})]);
    assert!(event(&raw, &me(), &vec!["fair".to_owned()]).is_none());
}
