//! Appointments as the syncs of several users see them.
use crate::common::{World, object};
use serde_json::{Value as Json, json};
use tandem_builtin::users::{NewUser, Role, User};
use tandem_builtin::{BuiltinCalendar, Kind, Query};
use tandem_core::event::{Deviation, Event, Moment, Overrides, Span, field};
use tandem_core::record::{Field, Fields, Marker, RemoteId, Value};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Fetched, Next, Patch, Written};
use tandem_ports::error::ErrorKind;

fn at(text: &str) -> Moment {
    Moment::parse(text, &jiff::tz::TimeZone::UTC).unwrap()
}

fn event(title: &str) -> Event {
    let span = Span::new(at("2026-12-01T09:00:00Z"), at("2026-12-01T10:00:00Z")).unwrap();
    Event { title: title.into(), time_zone: "UTC".into(), ..Event::at(span) }
}

fn weekly(title: &str) -> Event {
    let mut series = event(title);
    series.repeat(&["RRULE:FREQ=WEEKLY;COUNT=3".to_owned()]).unwrap();
    series
}

fn draft(marker: &str, uid: &str, event: &Event) -> Draft {
    let mut fields = event.to_fields();
    fields.set(field::UID, Value::Text(uid.to_owned()));
    Draft { marker: Marker::new(marker), fields }
}

async fn colleague(world: &World) -> User {
    let new = NewUser { account: "acme", email: "bo@acme.test", name: "Bo", role: Role::Member };
    world.users.create(new).await.unwrap()
}

async fn side(world: &World, user: &User) -> BuiltinCalendar {
    BuiltinCalendar::open(world.table.clone(), world.clock.clone(), &user.account, &user.id).await.unwrap()
}

async fn make(side: &BuiltinCalendar, draft: Draft) -> Written {
    side.create(&[draft]).await.unwrap().remove(0).unwrap()
}

async fn read(side: &BuiltinCalendar, id: &RemoteId) -> Option<Fetched> {
    side.get(std::slice::from_ref(id)).await.unwrap().remove(0)
}

/// What the feed says after a cursor: `+id`, `-id`.
async fn told(side: &BuiltinCalendar, from: Option<&Cursor>) -> (Vec<String>, Cursor) {
    let page = side.changes(from).await.unwrap();
    let told = page.changes.iter().map(|change| match change {
        Change::Upsert(fetched) => format!("+{}", fetched.id),
        Change::Tombstone { id } => format!("-{id}"),
        Change::Seen { id, .. } | Change::Unreadable { id, .. } => format!("?{id}"),
    });
    let Next::CaughtUp(cursor) = page.next else { panic!("one page is enough") };
    (told.collect(), cursor)
}

fn patch(read: &Fetched, changed: &[Field], fields: Fields) -> Patch {
    Patch {
        id: read.id.clone(),
        expect: read.version.clone(),
        changed: changed.to_vec(),
        fields,
        scope: None,
        marker: None,
        raw: Json::Null,
    }
}

async fn count(world: &World) -> (usize, usize) {
    let mut counts = Vec::new();
    for kind in [Kind::Meeting, Kind::Block] {
        counts.push(world.crm.list(&world.admin, kind, &Query::default()).await.unwrap().items.len());
    }
    (counts[0], counts[1])
}

#[tokio::test]
async fn a_block_that_is_converted_goes_on_in_the_feed_as_the_same_record() {
    let world = World::new().await;
    let side = side(&world, &world.admin).await;
    let made = make(&side, draft("g:primary/1", "u1@google.com", &event("Offer"))).await;
    let (listed, cursor) = told(&side, None).await;
    assert_eq!(listed, [format!("+{}", made.id)]);
    let before = read(&side, &made.id).await.unwrap();
    world.crm.convert(&world.admin, made.id.as_str(), None).await.unwrap();
    assert_eq!(count(&world).await, (1, 0));
    let (news, cursor) = told(&side, Some(&cursor)).await;
    assert_eq!(news, [format!("+{}", made.id)], "it is not said to be gone");
    let after = read(&side, &made.id).await.unwrap();
    assert!(after.fields == before.fields && after.marker == before.marker);
    assert_eq!(told(&side, None).await.0, [format!("+{}", made.id)], "a full listing has it once");
    // From now on people may edit it, and the sync may too.
    let edit = object(json!({"title": "Signed"}));
    world.crm.update(&world.admin, Kind::Meeting, made.id.as_str(), None, &edit).await.unwrap();
    assert_eq!(told(&side, Some(&cursor)).await.0, [format!("+{}", made.id)]);
    let edited = read(&side, &made.id).await.unwrap();
    assert_eq!(edited.fields.text(&field::TITLE), "Signed");
    let mut emptied = edited.fields.clone();
    emptied.put(field::TITLE, None);
    let written = side.update(&[patch(&edited, &[field::TITLE], emptied)]).await.unwrap().remove(0).unwrap();
    assert_eq!(written.shown.unwrap().text(&field::TITLE), "", "a meeting without a title is one for the calendar too");
}

#[tokio::test]
async fn the_same_meeting_in_two_users_calendars_is_one_record_whoever_comes_first() {
    for turned in [false, true] {
        let world = World::new().await;
        let bo = colleague(&world).await;
        let (one, other) = if turned { (&bo, &world.admin) } else { (&world.admin, &bo) };
        let (first, second) = (side(&world, one).await, side(&world, other).await);
        let (_, cursor) = told(&second, None).await;
        let made = make(&first, draft("a:primary/1", "u1@google.com", &event("Offer"))).await;
        assert!(told(&second, Some(&cursor)).await.0.is_empty(), "not in the other one's calendar yet");
        assert!(read(&second, &made.id).await.is_none());
        let mut own = event("Offer");
        own.reminder_minutes = Some(30);
        let joined = make(&second, draft("b:primary/1", "u1@google.com", &own)).await;
        assert_eq!((joined.id, count(&world).await), (made.id.clone(), (0, 1)));
        let (mine, theirs) = (read(&first, &made.id).await.unwrap(), read(&second, &made.id).await.unwrap());
        assert_eq!((mine.marker.unwrap().as_str(), theirs.marker.unwrap().as_str()), ("a:primary/1", "b:primary/1"));
        let reminder = |fields: &Fields| fields.text(&field::REMINDER_MINUTES).to_owned();
        assert_eq!((reminder(&mine.fields), reminder(&theirs.fields)), (String::new(), "30".to_owned()));
        // Both may see what it says now.
        let shown = world.crm.get(other, Kind::Block, made.id.as_str()).await.unwrap().to_json();
        assert_eq!((&shown["title"], shown["participants"].as_array().map(Vec::len)), (&json!("Offer"), Some(2)));
        // A repeat of either makes nothing.
        make(&first, draft("a:primary/1", "u1@google.com", &event("Offer"))).await;
        make(&second, draft("b:primary/1", "u1@google.com", &own)).await;
        assert_eq!(count(&world).await, (0, 1));
    }
}

#[tokio::test]
async fn an_occurrence_and_its_series_share_a_name_and_are_two_appointments() {
    let world = World::new().await;
    let bo = colleague(&world).await;
    let (first, second) = (side(&world, &world.admin).await, side(&world, &bo).await);
    let series = make(&first, draft("a:1", "u1@google.com", &weekly("Standup"))).await;
    let single = make(&second, draft("b:1", "u1@google.com", &event("Standup"))).await;
    assert_ne!(series.id, single.id);
    let again = make(&second, draft("b:2", "u1@google.com", &weekly("Standup"))).await;
    assert_eq!(again.id, series.id, "the series is found beside the single one");
}

#[tokio::test]
async fn one_appointment_in_two_calendars_of_one_user_stays_two() {
    let world = World::new().await;
    let side = side(&world, &world.admin).await;
    let drafts =
        [draft("a:primary/1", "u1@google.com", &event("Offer")), draft("a:team/1", "u1@google.com", &event("Offer"))];
    let made: Vec<Written> = side.create(&drafts).await.unwrap().into_iter().map(|one| one.unwrap()).collect();
    assert_ne!(made[0].id, made[1].id);
    let again: Vec<Written> = side.create(&drafts).await.unwrap().into_iter().map(|one| one.unwrap()).collect();
    assert!(made == again && count(&world).await == (0, 2));
}

#[tokio::test]
async fn who_leaves_takes_only_oneself_out_and_the_last_one_the_record() {
    let world = World::new().await;
    let bo = colleague(&world).await;
    let (first, second) = (side(&world, &world.admin).await, side(&world, &bo).await);
    let made = make(&first, draft("a:1", "u1@google.com", &event("Offer"))).await;
    make(&second, draft("b:1", "u1@google.com", &event("Offer"))).await;
    let ((_, mine), (_, theirs)) = (told(&first, None).await, told(&second, None).await);
    let stale = Deletion { id: made.id.clone(), expect: made.version.clone() };
    assert_eq!(first.delete(&[stale]).await.unwrap().remove(0).unwrap_err().kind, ErrorKind::Conflict);
    let leaving = Deletion { id: made.id.clone(), expect: read(&first, &made.id).await.unwrap().version };
    first.delete(&[leaving]).await.unwrap().remove(0).unwrap();
    assert!(read(&first, &made.id).await.is_none(), "gone for the one");
    assert_eq!(told(&first, Some(&mine)).await.0, [format!("-{}", made.id)]);
    let left = read(&second, &made.id).await.expect("not for the other");
    assert_eq!(left.fields.text(&field::TITLE), "Offer");
    assert_eq!(told(&second, Some(&theirs)).await.0, [format!("+{}", made.id)]);
    // Invited again: the same record.
    let back = make(&first, draft("a:2", "u1@google.com", &event("Offer"))).await;
    assert_eq!(back.id, made.id);
    for side in [&first, &second] {
        let expect = read(side, &made.id).await.unwrap().version;
        side.delete(&[Deletion { id: made.id.clone(), expect }]).await.unwrap().remove(0).unwrap();
    }
    assert_eq!(count(&world).await, (0, 0));
}

#[tokio::test]
async fn a_meeting_of_the_crm_is_known_in_a_guests_calendar_by_the_name_of_its_copy() {
    let world = World::new().await;
    let bo = colleague(&world).await;
    let (first, second) = (side(&world, &world.admin).await, side(&world, &bo).await);
    let meeting = json!({"title": "Offer", "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T10:00:00Z"});
    let made = world.make(Kind::Meeting, meeting).await;
    let uid = read(&first, &RemoteId::new(&made.id)).await.unwrap().fields.text(&field::UID).to_owned();
    let copy = tandem_core::event::copy_name(&Marker::new(format!("builtin:acme:{}", made.id)));
    assert_eq!(uid, format!("{copy}@google.com"));
    let by_copy = make(&second, draft("b:1", &uid, &event("Offer"))).await;
    assert_eq!((by_copy.id.as_str(), count(&world).await), (made.id.as_str(), (1, 0)));
    // A calendar that took it over by our own name.
    let new = NewUser { account: "acme", email: "cy@acme.test", name: "Cy", role: Role::Member };
    let third = side_of_new(&world, new).await;
    let by_own = make(&third, draft("c:1", &format!("{}@tandem", made.id), &event("Offer"))).await;
    assert_eq!(by_own.id.as_str(), made.id);
}

async fn side_of_new(world: &World, new: NewUser<'_>) -> BuiltinCalendar {
    let user = world.users.create(new).await.unwrap();
    side(world, &user).await
}

#[tokio::test]
async fn a_series_with_exceptions_is_one_record_and_reads_back_as_it_was_written() {
    let world = World::new().await;
    let side = side(&world, &world.admin).await;
    let mut series = weekly("Standup");
    let moved = Span::new(at("2026-12-09T14:00:00Z"), at("2026-12-09T15:00:00Z")).unwrap();
    let other = Overrides { span: Some(moved), title: Some("Late".into()), ..Overrides::default() };
    series.exceptions.insert(at("2026-12-08T09:00:00Z"), Deviation::Changed(Box::new(other)));
    series.exceptions.insert(at("2026-12-15T09:00:00Z"), Deviation::Cancelled);
    let drafted = draft("a:1", "u1@google.com", &series);
    let made = make(&side, drafted.clone()).await;
    let found = read(&side, &made.id).await.unwrap();
    assert!(found.fields == drafted.fields && count(&world).await == (0, 1));
    // Another rule, and a calendar that still lists what it no longer gives.
    let mut daily = found.fields.clone();
    daily.set(field::RECURRENCE, Value::Text("RRULE:FREQ=DAILY;COUNT=2".into()));
    let written = side.update(&[patch(&found, &[field::RECURRENCE, field::EXCEPTIONS], daily)]).await.unwrap();
    let shown = written.into_iter().next().unwrap().unwrap().shown.unwrap();
    assert!(shown.items(&field::EXCEPTIONS).is_empty());
    assert_eq!(shown.text(&field::RECURRENCE), "RRULE:FREQ=DAILY;COUNT=2");
}

#[tokio::test]
async fn a_colleague_sees_when_a_block_is_and_not_what_it_is() {
    let world = World::new().await;
    let bo = colleague(&world).await;
    let made = make(&side(&world, &world.admin).await, draft("a:1", "u1@google.com", &event("Secret"))).await;
    let shown = world.crm.get(&bo, Kind::Block, made.id.as_str()).await.unwrap().to_json();
    assert_eq!(shown["start"], json!("2026-12-01T09:00:00Z"));
    assert!(!shown.to_string().contains("Secret") && !shown.to_string().contains("u1@google.com"), "{shown}");
    let theirs = side(&world, &bo).await;
    assert!(told(&theirs, None).await.0.is_empty(), "and it goes into nobody else's calendar");
    let foreign = patch(&read(&side(&world, &world.admin).await, &made.id).await.unwrap(), &[], Fields::new());
    assert_eq!(theirs.update(&[foreign]).await.unwrap().remove(0).unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_meeting_that_gets_another_owner_leaves_the_ones_calendar_for_the_others() {
    let world = World::new().await;
    let bo = colleague(&world).await;
    let (first, second) = (side(&world, &world.admin).await, side(&world, &bo).await);
    let meeting = json!({"title": "Offer", "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T10:00:00Z"});
    let made = world.make(Kind::Meeting, meeting).await;
    let ((_, mine), (_, theirs)) = (told(&first, None).await, told(&second, None).await);
    let owner = object(json!({"owner": bo.id}));
    world.crm.update(&world.admin, Kind::Meeting, &made.id, None, &owner).await.unwrap();
    assert_eq!(told(&first, Some(&mine)).await.0, [format!("-{}", made.id)]);
    assert_eq!(told(&second, Some(&theirs)).await.0, [format!("+{}", made.id)]);
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let world = World::new().await;
    let bo = colleague(&world).await;
    let rights = object(json!({"rights": {"modules": {"meetings": {"create": false, "delete": false}}}}));
    world.crm.update(&world.admin, Kind::User, &bo.id, None, &rights).await.unwrap();
    let side = side(&world, &bo).await;
    let refused = side.create(&[draft("b:1", "", &event("Offer"))]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert!(refused.detail.contains("meetings.create"), "{}", refused.detail);
    let gone = BuiltinCalendar::open(world.table.clone(), world.clock.clone(), "acme", "nobody").await;
    assert_eq!(gone.err().unwrap().kind, ErrorKind::AuthRevoked);
}
