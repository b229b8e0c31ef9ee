//! The calendar connector keeps every promise of the suite, and what is Calendar's own: series, exceptions, mails, cost.
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tandem_core::event::{Answer, Attendee, Deviation, Event, Moment, Overrides, Span, Visibility, field};
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope};
use tandem_google::fake::{FakeGoogle, Fallen, Fault as Wire};
use tandem_google::{GoogleCalendar, GoogleConfig, Notify};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Next, Patch};
use tandem_ports::error::ErrorKind;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const ACCOUNT: &str = "jan@example.com";

struct Calendar {
    fake: Arc<FakeGoogle>,
    connector: GoogleCalendar,
}

fn at(text: &str) -> Moment {
    Moment::parse(text, &TimeZone::UTC).expect("a time")
}

fn open(fake: &Arc<FakeGoogle>) -> GoogleCalendar {
    GoogleCalendar::new(fake.authorised(ACCOUNT), GoogleConfig::default(), ContainerId::new("primary"))
}

fn calendar() -> Calendar {
    let fake = FakeGoogle::new(Arc::new(ManualClock::default())).shared();
    let connector = open(&fake).with_page_size(3);
    Calendar { fake, connector }
}

/// The user's typing, made without the connector's own mapping. Series are typed by their own tests.
fn typed(fields: &Fields) -> Json {
    let text = |name: &Field| fields.text(name).to_owned();
    let guest = |item: &tandem_core::record::Item| {
        let status = match item.part("status") {
            "accepted" => "accepted",
            "declined" => "declined",
            _ => "needsAction",
        };
        json!({"email": item.part("email").to_uppercase(), "displayName": item.part("name"), "responseStatus": status})
    };
    let guests: Vec<Json> = fields.items(&field::ATTENDEES).iter().map(guest).collect();
    let zone = text(&field::TIME_ZONE);
    json!({
        "summary": text(&field::TITLE), "description": text(&field::DESCRIPTION), "location": text(&field::LOCATION),
        "start": {"dateTime": text(&field::START), "timeZone": zone},
        "end": {"dateTime": text(&field::END), "timeZone": zone},
        "attendees": guests,
        "recurrence": text(&field::RECURRENCE).lines().collect::<Vec<_>>(),
        "reminders": {"useDefault": false, "overrides": [
            {"method": "popup", "minutes": text(&field::REMINDER_MINUTES).parse::<u32>().expect("a number")}]},
        "visibility": text(&field::VISIBILITY),
    })
}

fn weekly(title: &str) -> Event {
    let span = Span::new(at("2026-03-23T08:00:00Z"), at("2026-03-23T09:00:00Z")).expect("in order");
    let mut event = Event { title: title.into(), time_zone: "Europe/Brussels".into(), ..Event::at(span) };
    event.repeat(&["RRULE:FREQ=WEEKLY;COUNT=4".into()]).expect("a rule");
    event
}

fn renamed(title: &str) -> Deviation {
    Deviation::Changed(Box::new(Overrides { title: Some(title.into()), ..Overrides::default() }))
}

fn draft(marker: &str, event: &Event) -> Draft {
    Draft { marker: Marker::new(marker), fields: event.to_fields() }
}

impl Calendar {
    fn does(&self, what: &str, body: Json) -> Json {
        self.fake.user_does(ACCOUNT, what, &body)
    }
    fn item(&self, id: &RemoteId) -> Json {
        let all = self.fake.events(ACCOUNT, "primary");
        all.into_iter().find(|event| event["id"] == id.as_str()).expect("it exists")
    }
    async fn create(&self, event: &Event) -> RemoteId {
        let made = self.connector.create(&[draft(&event.title, event)]).await.expect("the batch succeeds");
        made.into_iter().next().expect("one").expect("created").id
    }
    async fn live(&self, id: &RemoteId) -> tandem_ports::connector::Fetched {
        let read = self.connector.get(std::slice::from_ref(id)).await.expect("read");
        read.into_iter().next().expect("one").expect("there")
    }
    async fn drain(&self, from: Option<Cursor>) -> (Vec<Change>, Cursor) {
        let (mut at, mut all) = (from, Vec::new());
        loop {
            let page = self.connector.changes(at.as_ref()).await.expect("a page");
            all.extend(page.changes);
            match page.next {
                Next::More(cursor) => at = Some(cursor),
                Next::CaughtUp(cursor) => return (all, cursor),
                Next::Relist => panic!("this feed tells everything"),
            }
        }
    }
    async fn update(&self, id: &RemoteId, changed: &[Field], edit: impl FnOnce(&mut Event)) {
        let read = self.live(id).await;
        let mut event = Event::from_fields(&read.fields).expect("readable");
        edit(&mut event);
        let patch = Patch {
            id: id.clone(),
            expect: read.version,
            changed: changed.to_vec(),
            fields: event.to_fields(),
            scope: None,
            marker: None,
            raw: read.raw,
        };
        let written = self.connector.update(&[patch]).await.expect("the batch succeeds").remove(0).expect("updated");
        let after = self.live(id).await;
        assert!(after.fields == event.to_fields(), "it says what was written");
        assert_eq!(after.version, written.version);
    }
    /// Calls that are no reads, since the last time.
    fn write_calls(&self, since: usize) -> usize {
        let all = self.fake.calls();
        all.iter().skip(since).filter(|(_, _, writes)| *writes > 0).count()
    }
}

impl Harness for Calendar {
    async fn start() -> Self {
        calendar()
    }
    fn connector(&self) -> &dyn Connector {
        &self.connector
    }
    fn sample(&self, n: u32) -> Fields {
        let start = Moment::at(jiff::Timestamp::from_second(1_770_000_000 + i64::from(n) * 7_200).expect("in range"));
        let end = Moment::at(jiff::Timestamp::from_second(1_770_003_600 + i64::from(n) * 7_200).expect("in range"));
        let guest =
            |name: &str, answer| Attendee { email: format!("{name}{n}@example.com"), name: name.into(), answer };
        let mut event = Event {
            title: format!("Meeting {n}"),
            time_zone: "Europe/Brussels".into(),
            description: format!("line 1\nline {n}"),
            location: format!("Room {n}"),
            attendees: vec![guest("an", Answer::Accepted), guest("bo", Answer::NeedsAction)],
            reminder_minutes: Some(10 + n),
            visibility: Visibility::Private,
            ..Event::at(Span::new(start, end).expect("in order"))
        };
        // Every third one is a series.
        if n % 3 == 1 {
            event.repeat(&[format!("RRULE:FREQ=WEEKLY;COUNT={}", 3 + n)]).expect("a rule");
        }
        event.to_fields()
    }
    fn text_field(&self) -> Field {
        field::LOCATION
    }
    fn more_than_two_pages(&self) -> u32 {
        8
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        let made = self.does("insert", json!({"event": typed(fields)}));
        RemoteId::new(made["id"].as_str().expect("an id"))
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.does("patch", json!({"id": id.as_str(), "event": typed(fields)}));
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.does("delete", json!({"id": id.as_str()}));
    }
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        let now = self.item(id);
        let mut guests = now["attendees"].as_array().cloned().expect("guests");
        guests.push(json!({"email": "room@resource.calendar.google.com", "resource": true}));
        guests[0]["comment"] = json!("late");
        let event = json!({
            "colorId": "7", "transparency": "transparent", "guestsCanInviteOthers": false, "attendees": guests,
            "extendedProperties": {"private": {"other-program": "keep"}, "shared": {"deal": "42"}},
            "attachments": [{"fileUrl": "https://drive.google.com/open?id=1", "title": "Plan"}],
            "conferenceData": {"conferenceId": "abc"},
            "reminders": {"useDefault": false, "overrides": [
                {"method": "email", "minutes": 600}, now["reminders"]["overrides"][0]]},
        });
        self.does("patch", json!({"id": id.as_str(), "event": event}));
    }
    fn unmapped(&self, id: &RemoteId) -> Json {
        let event = self.item(id);
        let guests = event["attendees"].as_array().cloned().expect("guests");
        let rooms: Vec<&Json> = guests.iter().filter(|guest| guest["resource"] == true).collect();
        let mails: Vec<Json> = event["reminders"]["overrides"].as_array().cloned().unwrap_or_default();
        let mails: Vec<Json> = mails.into_iter().filter(|one| one["method"] == "email").collect();
        json!({
            "rooms": rooms, "mails": mails, "colour": event["colorId"], "busy": event["transparency"],
            "files": event["attachments"], "call": event["conferenceData"], "invite": event["guestsCanInviteOthers"],
            "theirs": event["extendedProperties"]["private"]["other-program"], "all": event["extendedProperties"]["shared"],
        })
    }
    fn records(&self) -> usize {
        self.fake.events(ACCOUNT, "primary").iter().filter(|event| event["status"] != "cancelled").count()
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        match fault {
            Fault::ServerError => self.fake.inject(&[Wire::ServerError]),
            Fault::Throttle(seconds) => self.fake.inject(&[Wire::Throttle { retry_after: Some(seconds) }]),
            Fault::Forbidden => self.fake.inject(&[Wire::Forbidden]),
            Fault::LoseAnswer => self.fake.inject(&[Wire::LoseAnswer]),
            Fault::LoseRequest => self.fake.inject(&[Wire::LoseRequest]),
            Fault::RevokeGrant => self.fake.revoke(ACCOUNT),
            Fault::ExpireCursors => self.fake.expire_cursors(),
        }
    }
    fn writes(&self) -> usize {
        self.fake.calls().iter().map(|(_, _, writes)| writes).sum()
    }
    fn settle(&self) {}
}

tandem_testkit::connector_conformance!(Calendar);

#[tokio::test]
async fn a_series_with_moved_renamed_and_cancelled_occurrences_is_one_record() {
    let c = calendar();
    let mut event = weekly("Stand-up");
    let moved = Span::new(at("2026-03-31T12:00:00Z"), at("2026-03-31T13:00:00Z")).expect("in order");
    let change = Overrides { title: Some("Retro".into()), span: Some(moved), ..Overrides::default() };
    event.exceptions.insert(at("2026-03-30T07:00:00Z"), Deviation::Changed(Box::new(change)));
    event.exceptions.insert(at("2026-04-06T07:00:00Z"), Deviation::Cancelled);
    let id = c.create(&event).await;
    assert!(c.live(&id).await.fields == event.to_fields());
    let (changes, _) = c.drain(None).await;
    assert!(!changes.is_empty());
    for change in changes {
        let Change::Upsert(fetched) = change else { panic!("a record") };
        assert!(fetched.id == id && fetched.fields == event.to_fields());
    }
}

#[tokio::test]
async fn a_delta_with_an_exception_alone_shows_the_whole_series() {
    let c = calendar();
    let id = c.create(&weekly("Stand-up")).await;
    let (_, cursor) = c.drain(None).await;
    let instance = format!("{id}_20260330T070000Z");
    c.does("patch", json!({"id": instance, "event": {"summary": "Retro"}}));
    let (changes, cursor) = c.drain(Some(cursor)).await;
    let [Change::Upsert(fetched)] = changes.as_slice() else { panic!("one record: {changes:?}") };
    let mut wanted = weekly("Stand-up");
    wanted.exceptions.insert(at("2026-03-30T07:00:00Z"), renamed("Retro"));
    assert!(fetched.id == id && fetched.fields == wanted.to_fields());
    // Of a cancelled occurrence Google promises its id, its series and its original start, and nothing else.
    c.does("delete", json!({"id": instance}));
    let (changes, _) = c.drain(Some(cursor)).await;
    let [Change::Upsert(fetched)] = changes.as_slice() else { panic!("one record: {changes:?}") };
    wanted.exceptions.insert(at("2026-03-30T07:00:00Z"), Deviation::Cancelled);
    assert!(fetched.fields == wanted.to_fields());
}

#[tokio::test]
async fn a_deleted_series_is_one_tombstone_and_no_exception() {
    let c = calendar();
    let mut event = weekly("Stand-up");
    event.exceptions.insert(at("2026-03-30T07:00:00Z"), renamed("Retro"));
    let id = c.create(&event).await;
    let (_, cursor) = c.drain(None).await;
    c.does("delete", json!({"id": id.as_str()}));
    let (changes, _) = c.drain(Some(cursor)).await;
    assert!(!changes.is_empty());
    assert!(
        changes.iter().all(|change| matches!(change, Change::Tombstone { id: gone } if *gone == id)),
        "{changes:?}"
    );
}

#[tokio::test]
async fn this_and_following_is_two_records_in_any_order() {
    let c = calendar();
    let id = c.create(&weekly("Stand-up")).await;
    let (_, cursor) = c.drain(None).await;
    // As Google's app does it: the old series ends, a new one begins, then one occurrence of it is edited.
    let rule = json!(["RRULE:FREQ=WEEKLY;UNTIL=20260405T215959Z"]);
    c.does("patch", json!({"id": id.as_str(), "event": {"recurrence": rule}}));
    let time =
        |hour: &str| json!({"dateTime": format!("2026-04-06T{hour}:00:00+02:00"), "timeZone": "Europe/Brussels"});
    let new_id = format!("{id}_R20260406T070000");
    let new = json!({"id": new_id, "summary": "Stand-up", "start": time("09"), "end": time("10"),
                     "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=2"]});
    c.does("insert", json!({"event": new}));
    c.does("patch", json!({"id": format!("{new_id}_20260413T070000Z"), "event": {"summary": "Last one"}}));
    let (changes, _) = c.drain(Some(cursor)).await;
    let mut days = std::collections::BTreeMap::new();
    for change in &changes {
        // The parts of the new series are no records.
        let Change::Upsert(fetched) = change else { continue };
        days.insert(fetched.id.clone(), Event::from_fields(&fetched.fields).expect("readable"));
    }
    let always = tandem_core::recurrence::Window {
        from: "2026-01-01T00:00:00Z".parse().expect("a time"),
        until: "2027-01-01T00:00:00Z".parse().expect("a time"),
    };
    let mut starts: Vec<String> = Vec::new();
    for event in days.values() {
        starts.extend(
            tandem_core::recurrence::expand(event, always, 99)
                .expect("a rule")
                .iter()
                .map(|o| o.span.start().to_string()),
        );
    }
    starts.sort();
    assert_eq!(days.len(), 2);
    let wanted = ["2026-03-23T08:00:00Z", "2026-03-30T07:00:00Z", "2026-04-06T07:00:00Z", "2026-04-13T07:00:00Z"];
    assert_eq!(starts, wanted, "exactly one a week");
}

#[tokio::test]
async fn occurrences_are_cancelled_changed_and_brought_back() {
    let c = calendar();
    let id = c.create(&weekly("Stand-up")).await;
    let (second, third) = (at("2026-03-30T07:00:00Z"), at("2026-04-06T07:00:00Z"));
    let exceptions = [field::EXCEPTIONS];
    c.update(&id, &exceptions, |e| drop(e.exceptions.insert(second, Deviation::Cancelled))).await;
    assert!(c.item(&id)["recurrence"].to_string().contains("EXDATE"), "no item of its own");
    c.update(&id, &exceptions, |e| drop(e.exceptions.insert(third, renamed("Retro")))).await;
    c.update(&id, &exceptions, |e| drop(e.exceptions.insert(third, Deviation::Cancelled))).await;
    c.update(&id, &exceptions, |e| drop(e.exceptions.remove(&second))).await;
    c.update(&id, &exceptions, |e| drop(e.exceptions.remove(&third))).await;
    assert!(c.live(&id).await.fields == weekly("Stand-up").to_fields());
}

#[tokio::test]
async fn all_day_and_timed_change_into_each_other() {
    let c = calendar();
    let day = Span::new(at("2026-01-15"), at("2026-01-16")).expect("in order");
    let id = c.create(&Event { title: "Fair".into(), ..Event::at(day.clone()) }).await;
    assert_eq!(c.item(&id)["start"], json!({"date": "2026-01-15"}));
    assert_eq!(c.item(&id)["end"], json!({"date": "2026-01-16"}));
    let times = [field::START, field::END, field::ALL_DAY, field::TIME_ZONE];
    let timed = Span::new(at("2026-01-15T09:00:00Z"), at("2026-01-15T10:00:00Z")).expect("in order");
    c.update(&id, &times, |event| event.span = timed).await;
    c.update(&id, &times, |event| event.span = day).await;
    assert_eq!(c.item(&id)["start"], json!({"date": "2026-01-15"}));
}

#[tokio::test]
async fn a_deleted_id_stays_taken_and_is_confirmed_again() {
    let c = calendar();
    let id = c.create(&weekly("Stand-up")).await;
    c.does("delete", json!({"id": id.as_str()}));
    assert_eq!(c.create(&weekly("Stand-up")).await, id);
    assert!(c.live(&id).await.fields == weekly("Stand-up").to_fields());
}

#[tokio::test]
async fn nobody_is_told_unless_it_is_said() {
    let c = calendar();
    let mut event = weekly("Stand-up");
    event.attendees = vec![Attendee { email: "an@example.com".into(), ..Attendee::default() }];
    let quiet: Vec<Draft> = (0..200).map(|n| draft(&format!("q{n}"), &event)).collect();
    c.connector.create(&quiet).await.expect("the batch succeeds");
    assert_eq!(c.fake.mails(), tandem_google::fake::Mails::default());
    let loud = open(&c.fake).telling(Notify::Guests);
    loud.create(&[draft("loud", &event)]).await.expect("the batch succeeds");
    assert_eq!(c.fake.mails().invitations, 1);
}

#[tokio::test]
async fn two_thousand_events_with_two_hundred_series_cost_forty_four_write_calls() {
    let c = calendar();
    let drafts: Vec<Draft> = (0..2_000_u32)
        .map(|n| {
            let mut event = weekly(&format!("Event {n}"));
            if n % 10 != 0 {
                event.recurrence.clear();
            } else {
                event.exceptions.insert(at("2026-03-30T07:00:00Z"), renamed("Retro"));
                event.exceptions.insert(at("2026-04-06T07:00:00Z"), Deviation::Cancelled);
            }
            draft(&format!("m{n}"), &event)
        })
        .collect();
    // The fake's log counts events written; a call to the batch endpoint is one entry.
    let before = c.fake.calls().len();
    for chunk in drafts.chunks(c.connector.capabilities().create_batch) {
        let made = c.connector.create(chunk).await.expect("the batch succeeds");
        assert!(made.iter().all(Result::is_ok));
    }
    assert_eq!(c.write_calls(before), 44);
    // Series are looked up for the ids of their occurrences: fifty a call.
    assert_eq!(c.fake.calls().len() - before, 48);
}

#[tokio::test]
async fn a_calendar_that_is_gone_is_not_an_empty_one() {
    let c = calendar();
    let made = c.does("calendar", json!({"calendar": {"summary": "Team"}}));
    let id = made["id"].as_str().expect("an id").to_owned();
    let team = GoogleCalendar::new(c.fake.authorised(ACCOUNT), GoogleConfig::default(), ContainerId::new(&id));
    let event = team.create(&[draft("one", &weekly("Stand-up"))]).await.expect("made").remove(0).expect("made");
    let Next::CaughtUp(cursor) = team.changes(None).await.expect("a page").next else { panic!("one page") };
    c.does("unshare", json!({"calendar": id, "with": ACCOUNT}));
    let gone = team.changes(Some(&cursor)).await.expect_err("the calendar is gone");
    assert!(gone.kind == ErrorKind::NotFound && gone.detail.contains("calendar itself"), "{gone}");
    let read = team.get(&[event.id]).await.expect_err("no proof that the event is gone");
    assert!(read.detail.contains("calendar itself"), "{read}");
}

#[tokio::test]
async fn a_read_only_calendar_is_no_choice_to_write_to() {
    let c = calendar();
    let other = "an@example.com";
    c.fake.user_does(other, "share", &json!({"calendar": other, "with": ACCOUNT, "role": "reader"}));
    let choices = c.connector.choices().await.expect("listed");
    let ids = |n: usize| choices[n].1.iter().map(|choice| choice.id.as_str()).collect::<Vec<_>>();
    assert_eq!((choices[0].0, ids(0)), ("remote_calendars", vec![other, ACCOUNT]));
    assert_eq!((choices[1].0, ids(1)), ("remote_calendar", vec![ACCOUNT]));
    let theirs = GoogleCalendar::new(c.fake.authorised(ACCOUNT), GoogleConfig::default(), ContainerId::new(other));
    let refused = theirs.create(&[draft("x", &weekly("Mine")), draft("y", &weekly("Too"))]).await;
    assert_eq!(refused.expect_err("it is the calendar's matter").kind, ErrorKind::Forbidden);
}

#[tokio::test]
async fn what_is_no_appointment_or_cannot_be_read_is_set_aside_with_its_reason_and_stops_nothing() {
    let c = calendar();
    c.does(
        "insert",
        json!({"event": {"summary": "Ann", "eventType": "birthday",
        "start": {"date": "2026-02-01"}, "end": {"date": "2026-02-02"}, "recurrence": ["RRULE:FREQ=YEARLY"]}}),
    );
    let id = c.create(&weekly("Stand-up")).await;
    let (changes, _) = c.drain(None).await;
    let reasons: Vec<&str> = changes
        .iter()
        .filter_map(|c| if let Change::Unreadable { reason, .. } = c { Some(reason.as_str()) } else { None })
        .collect();
    assert_eq!(reasons, ["Google keeps this for itself (birthday)"]);
    assert!(changes.iter().any(|change| matches!(change, Change::Upsert(fetched) if fetched.id == id)));
    // Read by its id it is no more of an appointment.
    let birthday = c.fake.events(ACCOUNT, "primary").into_iter().find(|event| event["eventType"] == "birthday");
    let birthday = RemoteId::new(birthday.expect("there")["id"].as_str().expect("an id"));
    assert_eq!(c.live(&birthday).await.scope, Scope::Outside);
}

#[tokio::test]
async fn a_series_with_an_edited_exception_is_not_deleted() {
    let c = calendar();
    let id = c.create(&weekly("Stand-up")).await;
    let read = c.live(&id).await;
    c.does("patch", json!({"id": format!("{id}_20260330T070000Z"), "event": {"summary": "Retro"}}));
    let deletion = Deletion { id: id.clone(), expect: read.version };
    let refused = c.connector.delete(&[deletion]).await.expect("per item").remove(0);
    assert_eq!(refused.expect_err("edited").kind, ErrorKind::Conflict);
    let expect = c.live(&id).await.version;
    c.connector.delete(&[Deletion { id, expect }]).await.expect("per item").remove(0).expect("deleted");
    assert_eq!(c.records(), 0);
}

#[tokio::test]
async fn a_calendar_that_is_not_in_the_users_list_is_there_all_the_same() {
    let c = calendar();
    let made = c.does("calendar", json!({"calendar": {"summary": "Team"}}));
    let team = made["id"].as_str().expect("an id").to_owned();
    c.does("unlist", json!({"calendar": team}));
    let side = GoogleCalendar::new(c.fake.authorised(ACCOUNT), GoogleConfig::default(), ContainerId::new(team));
    assert!(side.get(&[RemoteId::new("nosuchevent")]).await.expect("the calendar is there")[0].is_none());
}

#[tokio::test]
async fn a_create_that_is_repeated_tells_nobody_again_and_writes_only_what_differs() {
    let c = calendar();
    let loud = open(&c.fake).telling(Notify::Guests);
    let mut event = weekly("Stand-up");
    event.attendees = vec![Attendee { email: "an@example.com".into(), ..Attendee::default() }];
    event.exceptions.insert(at("2026-03-30T07:00:00Z"), renamed("Retro"));
    let one = [draft("one", &event)];
    let first = loud.create(&one).await.expect("an answer").remove(0).expect("made");
    let told = c.fake.mails();
    let written = || c.fake.calls().iter().map(|(_, _, writes)| writes).sum::<usize>();
    // Its answer was lost, and it is repeated.
    let again = loud.create(&one).await.expect("an answer").remove(0).expect("adopted");
    assert_eq!((again.id, c.fake.mails()), (first.id.clone(), told));
    // With another text it is written, and the guests are told by the edit that this is.
    let mut plain = weekly("Plain");
    plain.attendees.clone_from(&event.attendees);
    let plain_one = [draft("plain", &plain)];
    loud.create(&plain_one).await.expect("an answer").remove(0).expect("made");
    let (told, before) = (c.fake.mails(), written());
    loud.create(&plain_one).await.expect("an answer").remove(0).expect("adopted");
    assert_eq!((c.fake.mails(), written()), (told, before), "it says so already");
    // A deleted one is made anew, and is an invitation again.
    c.does("delete", json!({"id": first.id.as_str()}));
    loud.create(&one).await.expect("an answer").remove(0).expect("confirmed");
    assert_ne!(c.fake.mails(), told);
}

#[tokio::test]
async fn what_is_confirmed_again_says_nothing_of_what_it_said_before() {
    let c = calendar();
    let mut first = weekly("Stand-up");
    (first.location, first.description) = ("Ghent".into(), "Bring bread".into());
    let one = |event: &Event| [Draft { marker: Marker::new("one"), fields: event.to_fields() }];
    let id = c.connector.create(&one(&first)).await.expect("an answer").remove(0).expect("made").id;
    c.does("patch", json!({"id": id.as_str(), "event": {"location": "Aalst"}}));
    let mut bare = weekly("Stand-up");
    bare.recurrence.clear();
    assert_eq!(c.connector.create(&one(&bare)).await.expect("an answer").remove(0).expect("adopted").id, id);
    assert!(c.live(&id).await.fields == bare.to_fields(), "{:?}", c.item(&id));
}

#[tokio::test]
async fn what_google_cannot_hold_is_refused_by_the_name_of_its_field() {
    let c = calendar();
    let mut late = weekly("Late");
    late.reminder_minutes = Some(40_321);
    let mut nameless = weekly("Nameless");
    nameless.attendees = vec![Attendee { email: "An".into(), ..Attendee::default() }];
    let drafts = [draft("a", &late), draft("b", &nameless), draft("c", &weekly("Good"))];
    let made = c.connector.create(&drafts).await.expect("per item");
    let refused: Vec<String> = made.iter().filter_map(|one| one.as_ref().err()).map(|e| e.detail.clone()).collect();
    assert!(
        refused.len() == 2 && refused[0].contains("reminder_minutes") && refused[1].contains("attendees"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_changed_occurrence_that_the_new_rule_does_not_give_goes() {
    for fallen in [Fallen::Cancelled, Fallen::Kept] {
        let c = calendar();
        c.fake.set(|settings| settings.fallen = fallen);
        let mut event = weekly("Stand-up");
        event.exceptions.insert(at("2026-04-13T07:00:00Z"), renamed("Retro"));
        let id = c.create(&event).await;
        c.update(&id, &[field::RECURRENCE, field::EXCEPTIONS], |event| {
            event.exceptions.clear();
            event.repeat(&["RRULE:FREQ=WEEKLY;COUNT=2".into()]).expect("a rule");
        })
        .await;
        let live: Vec<Json> =
            c.fake.events(ACCOUNT, "primary").into_iter().filter(|e| e["status"] == "confirmed").collect();
        assert_eq!(live.len(), 1, "{fallen:?}: {live:?}");
    }
}
