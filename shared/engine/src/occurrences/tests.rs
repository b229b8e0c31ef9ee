//! The wrapper by itself, on a calendar in memory.
use super::*;
use tandem_core::event::{Deviation, Event, Overrides, Span as Time, field};
use tandem_core::record::{Field, Fields, Value};
use tandem_testkit::calendar::{MemoryCalendar, Recurrence};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::conformance::{Fault, Harness};

const REACH: Reach = Reach { past: 30, future: 365 };

struct Bench {
    clock: Arc<ManualClock>,
    calendar: Arc<MemoryCalendar>,
    side: Occurrences,
}

fn moment(text: &str) -> Moment {
    Moment::parse(text, &TimeZone::UTC).expect("a time")
}

fn series(start: &str, end: &str, zone: &str, rule: &str) -> Event {
    let span = Time::new(moment(start), moment(end)).expect("in order");
    let mut event = Event { title: "Stand-up".into(), time_zone: zone.into(), ..Event::at(span) };
    event.repeat(&[rule.to_owned()]).expect("a rule");
    event
}

fn daily() -> Event {
    series("2025-06-02T07:00:00Z", "2025-06-02T07:15:00Z", "Europe/Brussels", "RRULE:FREQ=DAILY")
}

fn bench(page: usize) -> Bench {
    let clock = Arc::new(ManualClock::default());
    let calendar = Arc::new(MemoryCalendar::new(page, Recurrence::Kept));
    let side = Occurrences::round(calendar.clone(), clock.clone(), REACH);
    Bench { clock, calendar, side }
}

fn id(series: &str, original: &str) -> RemoteId {
    RemoteId::new(format!("{series}#{original}"))
}

impl Bench {
    fn put(&self, name: &str, event: &Event) -> RemoteId {
        self.calendar.user_puts(name, &event.to_fields())
    }

    async fn drain(&self, from: Option<Cursor>) -> (Vec<Fetched>, Vec<Span>, Cursor) {
        let (mut at, mut all, mut spans) = (from, Vec::new(), Vec::new());
        for _ in 0..10_000 {
            let told = self.side.page(at.as_ref()).await.expect("a page");
            assert!(told.page.changes.len() <= MOST_TOLD, "{} records in a page", told.page.changes.len());
            all.extend(told.page.changes.into_iter().filter_map(|change| match change {
                Change::Upsert(fetched) => Some(*fetched),
                Change::Tombstone { .. } => None,
                Change::Seen { .. } | Change::Unreadable { .. } => panic!("{change:?}"),
            }));
            spans.extend(told.spans);
            match told.page.next {
                Next::More(cursor) => at = Some(cursor),
                Next::CaughtUp(cursor) => return (all, spans, cursor),
                Next::Relist => panic!("it tells everything"),
            }
        }
        panic!("it never ends");
    }

    async fn one(&self, id: &RemoteId) -> Option<Fetched> {
        self.side.get(std::slice::from_ref(id)).await.expect("read").remove(0)
    }

    async fn edit(&self, id: &RemoteId, name: Field, text: &str) -> Result<Written> {
        let read = self.one(id).await.expect("there");
        self.side.update(&[patch(&read, name, text)]).await.expect("answered").remove(0)
    }

    fn event(&self, id: &RemoteId) -> Event {
        Event::from_fields(&self.calendar.fields(id).expect("there")).expect("readable")
    }
}

fn patch(read: &Fetched, name: Field, text: &str) -> Patch {
    let mut fields = read.fields.clone();
    fields.set(name.clone(), Value::Text(text.to_owned()));
    let (id, expect) = (read.id.clone(), read.version.clone());
    Patch { id, expect, changed: vec![name], fields, scope: None, marker: None, raw: read.raw.clone() }
}

fn starts(found: &[Fetched]) -> Vec<String> {
    found.iter().map(|one| one.fields.text(&field::START).to_owned()).collect()
}

fn moved(start: &str, end: &str) -> Deviation {
    let span = Time::new(moment(start), moment(end)).expect("in order");
    Deviation::Changed(Box::new(Overrides { span: Some(span), ..Overrides::default() }))
}

#[tokio::test]
async fn a_daily_series_is_cut_across_pages_and_told_once() {
    let bench = bench(10);
    bench.put("cal/daily", &daily());
    let (all, spans, _) = bench.drain(None).await;
    assert_eq!(all.len(), 396, "30 days back, today, 365 ahead");
    let mut ids: Vec<&RemoteId> = all.iter().map(|one| &one.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 396);
    assert_eq!(all[0].id, id("cal/daily", "2025-12-06T08:00:00Z"), "08:00 UTC in winter");
    assert!(spans.windows(2).all(|pair| pair[0].up_to == pair[1].after), "the spans leave no gap: {spans:?}");
    assert_eq!(spans.len(), 2);
    assert_eq!(bench.calendar.tally().pages, 1, "a page that is told in parts is read once");
}

#[tokio::test]
async fn a_crash_between_the_parts_of_a_page_loses_and_doubles_nothing() {
    let bench = bench(10);
    bench.put("cal/a", &daily());
    bench.put("cal/b", &daily());
    let (mut at, mut all) = (None, Vec::new());
    loop {
        // Every page is asked of another worker.
        let side = Occurrences::round(bench.calendar.clone(), bench.clock.clone(), REACH);
        let page = side.changes(at.as_ref()).await.expect("a page");
        all.extend(page.changes.into_iter().map(|change| match &change {
            Change::Upsert(fetched) => fetched.id.clone(),
            Change::Tombstone { .. } | Change::Seen { .. } | Change::Unreadable { .. } => panic!("{change:?}"),
        }));
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            Next::CaughtUp(_) => break,
            Next::Relist => panic!("it tells everything"),
        }
    }
    let told = all.len();
    all.sort();
    all.dedup();
    assert_eq!((told, all.len()), (792, 792));
}

#[tokio::test]
async fn the_window_sliding_for_400_days_adds_each_occurrence_once() {
    let bench = bench(10);
    bench.put("cal/daily", &daily());
    bench.put("cal/single", &Event::at(daily().span));
    let weekly = series("2025-06-02T07:00:00Z", "2025-06-02T08:00:00Z", "Europe/Brussels", "RRULE:FREQ=WEEKLY");
    bench.put("cal/weekly", &weekly);
    let (first, _, mut cursor) = bench.drain(None).await;
    let mut seen: Vec<RemoteId> = first.into_iter().map(|one| one.id).collect();
    for day in 1..=400_u32 {
        bench.clock.advance(Duration::from_secs(86_400));
        for _ in 0..2 {
            let (told, spans, next) = bench.drain(Some(cursor)).await;
            cursor = next;
            assert!(spans.is_empty(), "day {day}: nothing has changed");
            seen.extend(told.into_iter().map(|one| one.id));
        }
    }
    let told = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(told, seen.len(), "nothing is told twice");
    let of = |name: &str| seen.iter().filter(|id| id.as_str().starts_with(name)).count();
    assert_eq!((of("cal/daily#"), of("cal/weekly#"), of("cal/single")), (396 + 400, 57 + 57, 1));
}

#[tokio::test]
async fn nine_oclock_stays_nine_oclock_over_both_changes_of_the_clock() {
    for (zone, rule, start, winter, summer) in [
        ("Europe/Brussels", "RRULE:FREQ=DAILY", "2026-01-05T08:00:00Z", "08:00:00Z", "07:00:00Z"),
        ("America/New_York", "RRULE:FREQ=WEEKLY", "2026-01-05T14:00:00Z", "14:00:00Z", "13:00:00Z"),
        ("Pacific/Auckland", "RRULE:FREQ=DAILY", "2026-06-04T21:00:00Z", "21:00:00Z", "20:00:00Z"),
        ("Asia/Tokyo", "RRULE:FREQ=DAILY", "2026-01-05T00:00:00Z", "00:00:00Z", "00:00:00Z"),
    ] {
        let bench = bench(10);
        let end = moment(start).to_string().replace(":00:00Z", ":30:00Z");
        bench.put("cal/s", &series(start, &end, zone, rule));
        let (all, _, _) = bench.drain(None).await;
        let clock = jiff::tz::TimeZone::get(zone).expect("a zone");
        let mut hours: Vec<String> = Vec::new();
        for start in starts(&all) {
            let at: jiff::Timestamp = start.parse().expect("an instant");
            let first: jiff::Timestamp = moment(&starts(&all)[0]).to_string().parse().expect("an instant");
            assert_eq!(clock.to_datetime(at).time(), clock.to_datetime(first).time(), "{zone}: {start}");
            hours.push(start[11..].to_owned());
        }
        hours.sort();
        hours.dedup();
        let mut wanted = vec![winter.to_owned(), summer.to_owned()];
        wanted.sort();
        wanted.dedup();
        assert_eq!(hours, wanted, "{zone}");
    }
}

#[tokio::test]
async fn an_all_day_series_is_days() {
    let bench = bench(10);
    let event = series("2026-01-06", "2026-01-08", "", "RRULE:FREQ=MONTHLY;COUNT=3");
    bench.put("cal/trip", &event);
    let (all, _, _) = bench.drain(None).await;
    assert_eq!(starts(&all), ["2026-01-06", "2026-02-06", "2026-03-06"]);
    assert_eq!(all[1].id, id("cal/trip", "2026-02-06"));
    assert_eq!(all[1].fields.text(&field::END), "2026-02-08", "exclusive");
}

#[tokio::test]
async fn a_moved_a_renamed_and_a_cancelled_occurrence_are_tied_to_their_original_start() {
    let bench = bench(10);
    let mut event = series("2026-01-12T09:00:00Z", "2026-01-12T10:00:00Z", "UTC", "RRULE:FREQ=WEEKLY;COUNT=4");
    event.exceptions.insert(moment("2026-01-19T09:00:00Z"), moved("2026-01-21T15:00:00Z", "2026-01-21T16:00:00Z"));
    let renamed = Overrides { title: Some("Special".into()), ..Overrides::default() };
    event.exceptions.insert(moment("2026-01-26T09:00:00Z"), Deviation::Changed(Box::new(renamed)));
    event.exceptions.insert(moment("2026-02-02T09:00:00Z"), Deviation::Cancelled);
    bench.put("cal/s", &event);
    let (all, _, _) = bench.drain(None).await;
    assert_eq!(starts(&all), ["2026-01-12T09:00:00Z", "2026-01-21T15:00:00Z", "2026-01-26T09:00:00Z"]);
    assert_eq!(all[1].id, id("cal/s", "2026-01-19T09:00:00Z"));
    assert_eq!(all[2].fields.text(&field::TITLE), "Special");
    assert!(bench.one(&id("cal/s", "2026-02-02T09:00:00Z")).await.is_none(), "proved to be gone");
    assert!(bench.one(&RemoteId::new("cal/s")).await.is_none(), "the series is no record");
    // Moved far out of the window it stays what it was; moved in from outside it comes.
    event.exceptions.insert(moment("2026-01-19T09:00:00Z"), moved("2031-01-21T15:00:00Z", "2031-01-21T16:00:00Z"));
    bench.put("cal/s", &event);
    assert_eq!(bench.drain(None).await.0.len(), 3);
}

#[tokio::test]
async fn an_occurrence_behind_the_window_is_outside_and_one_of_a_deleted_series_is_gone() {
    let bench = bench(10);
    let series = bench.put("cal/s", &daily());
    let old = id("cal/s", "2025-09-01T07:00:00Z");
    assert_eq!(bench.one(&old).await.expect("for all we know").scope, Scope::Outside);
    assert!(bench.side.is_behind(&old) && !bench.side.is_behind(&id("cal/s", "2026-01-05T08:00:00Z")));
    bench.calendar.user_deletes(&series);
    assert!(bench.one(&old).await.is_none());
}

#[tokio::test]
async fn an_edit_becomes_an_exception_and_leaves_the_series_alone() {
    let bench = bench(10);
    let series = bench.put("cal/s", &daily());
    let one = id("cal/s", "2026-01-07T08:00:00Z");
    let before = bench.event(&series);
    let written = bench.edit(&one, field::TITLE, "Ours").await.expect("written");
    assert_eq!(written.version, bench.one(&one).await.expect("there").version);
    assert_eq!(written.shown.expect("shown").text(&field::TITLE), "Ours");
    let after = bench.event(&series);
    assert_eq!((after.title.as_str(), &after.recurrence), ("Stand-up", &before.recurrence));
    assert_eq!(after.exceptions.keys().collect::<Vec<_>>(), [&moment("2026-01-07T08:00:00Z")]);
    // Back to what the series says, it is none any more.
    bench.edit(&one, field::TITLE, "Stand-up").await.expect("written");
    assert!(bench.event(&series).exceptions.is_empty());
}

#[tokio::test]
async fn several_edits_of_one_series_in_a_batch_are_one_write_and_all_hold() {
    let bench = bench(10);
    let series = bench.put("cal/s", &daily());
    let mut patches = Vec::new();
    for day in ["07", "08", "09"] {
        let read = bench.one(&id("cal/s", &format!("2026-01-{day}T08:00:00Z"))).await.expect("there");
        patches.push(patch(&read, field::TITLE, &format!("On the {day}th")));
    }
    // A colleague changes the second one after it was read.
    bench.edit(&patches[1].id, field::LOCATION, "Room 2").await.expect("written");
    let before = bench.calendar.tally().updated;
    let outcomes = bench.side.update(&patches).await.expect("answered");
    let kinds: Vec<Option<ErrorKind>> = outcomes.iter().map(|one| one.as_ref().err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Conflict), None]);
    assert_eq!(bench.calendar.tally().updated, before + 1);
    let titles: Vec<String> = bench
        .event(&series)
        .exceptions
        .values()
        .map(|one| match one {
            Deviation::Changed(other) => other.title.clone().unwrap_or_default(),
            Deviation::Cancelled => "cancelled".into(),
        })
        .collect();
    assert_eq!(titles, ["On the 07th", "", "On the 09th"]);
}

#[tokio::test]
async fn a_deletion_cancels_that_occurrence_alone() {
    let bench = bench(10);
    let series = bench.put("cal/s", &daily());
    let one = bench.one(&id("cal/s", "2026-01-07T08:00:00Z")).await.expect("there");
    let deletion = Deletion { id: one.id.clone(), expect: one.version.clone() };
    for _ in 0..2 {
        bench
            .side
            .delete(std::slice::from_ref(&deletion))
            .await
            .expect("answered")
            .remove(0)
            .expect("deleted, or gone already");
    }
    let exceptions = bench.event(&series).exceptions;
    assert!(exceptions.into_iter().eq([(moment("2026-01-07T08:00:00Z"), Deviation::Cancelled)]));
    assert_eq!(bench.calendar.tally().deleted, 0, "the series stays");
}

#[tokio::test]
async fn a_rule_that_cannot_be_worked_out_is_set_aside_and_stops_nothing() {
    let bench = bench(10);
    let mut fields = daily().to_fields();
    fields.set(field::RECURRENCE, Value::Text("RRULE:FREQ=HOURLY".into()));
    bench.calendar.user_puts("cal/bad", &fields);
    bench.put("cal/good", &Event::at(daily().span));
    let page = bench.side.changes(None).await.expect("a page");
    let kinds: Vec<bool> = page.changes.iter().map(|one| matches!(one, Change::Unreadable { .. })).collect();
    assert_eq!(kinds, [true, false]);
    let ids = [RemoteId::new("cal/bad"), id("cal/bad", "2026-01-07T08:00:00Z"), RemoteId::new("cal/good")];
    let read = bench.side.get(&ids).await.expect("read");
    let scopes: Vec<Option<Scope>> = read.iter().map(|one| one.as_ref().map(|one| one.scope)).collect();
    assert_eq!(scopes, [Some(Scope::Outside), Some(Scope::Outside), Some(Scope::Inside)]);
}

#[tokio::test]
async fn an_occurrence_is_known_in_a_colleagues_calendar_by_the_series_name_and_its_original_start() {
    let bench = bench(10);
    let mut event = series("2026-01-12T09:00:00Z", "2026-01-12T10:00:00Z", "UTC", "RRULE:FREQ=WEEKLY;COUNT=2");
    event.exceptions.insert(moment("2026-01-19T09:00:00Z"), moved("2026-01-21T15:00:00Z", "2026-01-21T16:00:00Z"));
    for name in ["jan/1", "an/2"] {
        let mut fields = event.to_fields();
        fields.set(field::UID, Value::Text("abc@google.com".into()));
        bench.calendar.user_puts(name, &fields);
    }
    let (all, _, _) = bench.drain(None).await;
    let uids: Vec<&str> = all.iter().map(|one| one.fields.text(&field::UID)).collect();
    let wanted = ["abc@google.com#2026-01-12T09:00:00Z", "abc@google.com#2026-01-19T09:00:00Z"];
    assert_eq!(uids, [wanted, wanted].concat());
}

#[test]
fn the_mark_in_a_calendars_own_id_is_none() {
    let holiday = RemoteId::new("en.be#holiday@group.v.calendar.google.com/20260101_abc");
    assert!(view::split(&holiday).is_none());
    let one = view::id_of(&holiday, &moment("2026-01-01"));
    assert_eq!(view::split(&one), Some((holiday, moment("2026-01-01"))));
}

/// What the suite may ask of single appointments.
struct Singles(Bench);
/// And of occurrences: each record is one of a series of its own.
struct Ones(Bench);

fn sample(n: u32) -> Event {
    let start = format!("2026-02-{:02}T09:00:00Z", n % 27 + 1);
    let event = series(&start, &start.replace("T09", "T10"), "Europe/Brussels", "RRULE:FREQ=DAILY;COUNT=1");
    let guest = tandem_core::event::Attendee { email: format!("g{n}@example.com"), ..Default::default() };
    let title = format!("Meeting {n}");
    Event { title, location: format!("Room {n}"), attendees: vec![guest], recurrence: vec![], ..event }
}

impl Bench {
    fn fault(&self, fault: Fault) {
        self.calendar.inject(fault);
    }
}

impl Harness for Singles {
    async fn start() -> Self {
        Singles(bench(3))
    }
    fn connector(&self) -> &dyn Connector {
        &self.0.side
    }
    fn sample(&self, n: u32) -> Fields {
        sample(n).to_fields()
    }
    fn text_field(&self) -> Field {
        field::LOCATION
    }
    fn more_than_two_pages(&self) -> u32 {
        7
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        self.0.calendar.user_puts(&format!("cal/{}", self.0.calendar.all().len()), fields)
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        self.0.calendar.user_puts(id.as_str(), fields);
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.0.calendar.user_deletes(id);
    }
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        self.0.calendar.user_adds_unmapped(id);
    }
    fn unmapped(&self, id: &RemoteId) -> serde_json::Value {
        self.0.calendar.unmapped(id)
    }
    fn records(&self) -> usize {
        self.0.calendar.all().len()
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        self.0.fault(fault);
    }
    fn writes(&self) -> usize {
        let tally = self.0.calendar.tally();
        tally.created + tally.updated + tally.deleted
    }
    fn settle(&self) {}
}

impl Ones {
    /// The series of an occurrence, changed.
    fn change(&self, id: &RemoteId, edit: impl FnOnce(&mut Event, Moment)) {
        let (series, original) = view::split(id).expect("an occurrence");
        let mut event = self.0.event(&series);
        edit(&mut event, original);
        self.0.put(series.as_str(), &event);
    }
}

impl Harness for Ones {
    async fn start() -> Self {
        Ones(bench(3))
    }
    fn connector(&self) -> &dyn Connector {
        &self.0.side
    }
    fn sample(&self, n: u32) -> Fields {
        sample(n).to_fields()
    }
    fn text_field(&self) -> Field {
        field::LOCATION
    }
    fn more_than_two_pages(&self) -> u32 {
        7
    }
    fn user_creates(&self, fields: &Fields) -> RemoteId {
        let mut event = Event::from_fields(fields).expect("readable");
        event.repeat(&["RRULE:FREQ=YEARLY;COUNT=1".into()]).expect("a rule");
        let id = self.0.put(&format!("cal/{}", self.0.calendar.all().len()), &event);
        view::id_of(&id, event.span.start())
    }
    fn user_edits(&self, id: &RemoteId, fields: &Fields) {
        let one = Event::from_fields(fields).expect("readable");
        self.change(id, |event, original| {
            let deviation = event.deviation(&original, &one).expect("something else");
            event.exceptions.insert(original, deviation);
        });
    }
    fn user_deletes(&self, id: &RemoteId) {
        self.change(id, |event, original| {
            event.exceptions.insert(original, Deviation::Cancelled);
        });
    }
    fn user_moves_out(&self, _: &RemoteId) -> bool {
        false
    }
    fn user_adds_unmapped(&self, id: &RemoteId) {
        self.0.calendar.user_adds_unmapped(&view::split(id).expect("an occurrence").0);
    }
    fn unmapped(&self, id: &RemoteId) -> serde_json::Value {
        self.0.calendar.unmapped(&view::split(id).expect("an occurrence").0)
    }
    fn records(&self) -> usize {
        let all = self.0.calendar.all();
        let events = all.iter().map(|(_, fields)| Event::from_fields(fields).expect("readable"));
        events.filter(|event| !event.exceptions.values().any(|one| *one == Deviation::Cancelled)).count()
    }
    fn user_renames_container(&self, _: &ContainerId) -> bool {
        false
    }
    fn user_deletes_container(&self, _: &ContainerId) {}
    fn inject(&self, fault: Fault) {
        self.0.fault(fault);
    }
    fn writes(&self) -> usize {
        let tally = self.0.calendar.tally();
        tally.created + tally.updated + tally.deleted
    }
    fn settle(&self) {}
}

mod singles_keep_every_promise {
    tandem_testkit::connector_conformance!(super::Singles);
}

/// Left out: what makes records (they are single appointments), marks (an occurrence keeps none), and the tombstone of one
/// (the engine looks up what a [`Span`](super::super::Span) does not tell).
mod occurrences_keep_theirs {
    tandem_testkit::connector_conformance!(@each super::Ones:
        a_full_listing_is_complete, an_empty_listing_ends, a_cursor_yields_only_later_changes, a_cursor_can_be_replayed,
        nothing_falls_between_listing_and_delta, an_expired_cursor_is_named, a_read_by_id_proves_absence,
        an_update_changes_what_it_names, an_emptied_field_is_empty, unmapped_fields_survive_an_update,
        a_stale_version_is_a_conflict_for_that_record_alone, an_update_of_a_gone_record_says_so,
        a_replayed_update_is_a_conflict, deleting_twice_succeeds, a_conditional_delete_spares_an_edited_record,
        faults_are_named, an_empty_batch_asks_for_nothing
    );
}
