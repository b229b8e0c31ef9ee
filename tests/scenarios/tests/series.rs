//! Series in Google and a CRM that knows no recurrence: the real engine and the real calendar connector, against Google in
//! memory and a CRM in memory.
use async_trait::async_trait;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tandem_core::event::{Event, Moment, field};
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::profile;
use tandem_core::record::{ConnectionId, RemoteId, Side, SyncId, UserId};
use tandem_engine::{Budget, Connectors, Engine, EngineConfig, Opening};
use tandem_google::fake::FakeGoogle;
use tandem_google::{ChosenCalendars, GoogleCalendars, GoogleConfig};
use tandem_ports::connector::Connector;
use tandem_ports::error::ConnectorError;
use tandem_ports::infra::{Clock, Kind};
use tandem_store::Store;
use tandem_store::connection::{Account, Connection, ConnectionState};
use tandem_store::run::{Run, RunState};
use tandem_store::sync::{Sync, SyncState};
use tandem_testkit::calendar::{MemoryCalendar, Recurrence, Tally};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::fault::Faults;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::queue::MemoryQueue;
use tandem_testkit::secrets::MemorySecrets;

const GOOGLE: &str = "jan@example.com";

struct Open {
    crm: Arc<MemoryCalendar>,
    google: Arc<FakeGoogle>,
}

#[async_trait]
impl Connectors for Open {
    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        if ask.side == Side::Left {
            return Ok(self.crm.clone());
        }
        let calendar = ask.settings.calendar.as_ref().expect("a calendar sync");
        let chosen = ChosenCalendars::chosen(calendar, GOOGLE);
        Ok(Arc::new(GoogleCalendars::new(self.google.authorised(GOOGLE), GoogleConfig::default(), &chosen)))
    }
}

struct Story {
    clock: Arc<ManualClock>,
    crm: Arc<MemoryCalendar>,
    google: Arc<FakeGoogle>,
    engine: Engine,
    store: Store,
    queue: Arc<MemoryQueue>,
    /// What the salesperson wrote in Google, as it counts.
    by_hand: AtomicUsize,
}

fn sync_id() -> SyncId {
    SyncId::new("sync-1")
}

fn time(day: &str, clock: &str) -> Value {
    json!({"dateTime": format!("{day}T{clock}:00"), "timeZone": "Europe/Brussels"})
}

impl Story {
    async fn begins(settings: Value) -> Story {
        Self::begins_on(MemoryCalendar::new(40, Recurrence::Unknown), settings).await
    }

    async fn begins_on(crm: MemoryCalendar, settings: Value) -> Story {
        let clock = Arc::new(ManualClock::default());
        let google = FakeGoogle::new(clock.clone()).shared();
        let crm = Arc::new(crm);
        let store = Store::new(Arc::new(MemoryTable::default()));
        let queue = Arc::new(MemoryQueue::new(clock.clone(), Arc::new(Faults::default())));
        let open = Arc::new(Open { crm: crm.clone(), google: google.clone() });
        let secrets = Arc::new(MemorySecrets);
        let engine = Engine::new(store.clone(), queue.clone(), clock.clone(), secrets, open, EngineConfig::default());
        let story = Story { clock, crm, google, engine, store, queue, by_hand: AtomicUsize::new(0) };
        for (provider, account) in [("memory", "acme"), ("google", GOOGLE)] {
            let (id, user) = (ConnectionId::new(provider), UserId::new("jan"));
            let connection = Connection {
                account: Account { id: account.to_owned(), name: String::new(), email: account.to_owned() },
                state: ConnectionState::Connected,
                ..Connection::new(id, user, provider, story.clock.now())
            };
            story.store.create_connection(&connection).await.expect("a new connection");
        }
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        let sync = Sync {
            id: sync_id(),
            user: UserId::new("jan"),
            profile: profile::profile("teamleader-google-calendar").expect("known").id.to_owned(),
            kind: Kind::Calendar,
            crm: ConnectionId::new("memory"),
            remote: ConnectionId::new("google"),
            settings,
            enabled: true,
            state: SyncState::Idle,
            reason: None,
            current_run: None,
            last_run: None,
            next_due_at: Some(story.clock.now()),
            fingerprint_key: FingerprintKey::new("a key of 32 bytes for this story"),
            created_at: story.clock.now(),
            settings_version: 0,
        };
        story.store.create_sync(&sync).await.expect("a new sync");
        story
    }

    async fn sync(&self) -> Sync {
        self.store.sync(&sync_id()).await.expect("a quiet table").expect("it is there")
    }

    async fn run(&self) -> Run {
        self.clock.advance(Duration::from_secs(3_700));
        self.engine.fan_out_shards(Kind::Calendar).await.expect("the queue takes it");
        for _ in 0..2_000 {
            let Some(job) = self.queue.take(0) else {
                let sync = self.sync().await;
                if sync.current_run.is_none() {
                    let last = sync.last_run.expect("a run has ended");
                    return self.store.run(&last).await.expect("a quiet table").expect("it is kept");
                }
                self.clock.advance(Duration::from_secs(60));
                self.engine.fan_out_shards(Kind::Calendar).await.expect("the queue takes it");
                continue;
            };
            let budget = Budget::of(self.clock.clone(), Duration::from_secs(50));
            self.engine.work(&job, &budget).await.expect("nothing breaks in this story");
        }
        panic!("the sync never comes to rest");
    }

    /// Runs until nothing is left to do, and proves that nothing is.
    async fn settles(&self) -> Run {
        let run = self.run().await;
        assert_eq!(run.state, RunState::Done, "{:?}", run.error);
        let before = (self.crm.tally(), self.google_writes());
        self.run().await;
        let after = self.crm.tally();
        assert_eq!((Tally { pages: before.0.pages, ..after }, self.google_writes()), before, "nothing is left to do");
        run
    }

    fn written(&self) -> usize {
        self.google.calls().iter().map(|(_, _, writes)| writes).sum()
    }

    /// Events that the sync wrote in Google.
    fn google_writes(&self) -> usize {
        self.written() - self.by_hand.load(Ordering::SeqCst)
    }

    fn does(&self, what: &str, body: Value) -> Value {
        let before = self.written();
        let answer = self.google.user_does(GOOGLE, what, &body);
        self.by_hand.fetch_add(self.written() - before, Ordering::SeqCst);
        answer
    }

    /// A series on Mondays at nine in Brussels; answers its id.
    fn series(&self, rule: &str) -> String {
        let event = json!({"summary": "Stand-up", "start": time("2026-01-12", "09:00"), "end": time("2026-01-12", "09:30"),
                           "recurrence": [rule]});
        self.does("insert", json!({"event": event}))["id"].as_str().expect("an id").to_owned()
    }

    fn google_event(&self, id: &str) -> Option<Value> {
        self.google.events(GOOGLE, "primary").into_iter().find(|event| event["id"] == id)
    }

    /// The CRM's appointments, by id: start and title.
    fn crm(&self) -> BTreeMap<RemoteId, (String, String)> {
        let shown = |(id, fields): (RemoteId, tandem_core::record::Fields)| {
            (id, (fields.text(&field::START).to_owned(), fields.text(&field::TITLE).to_owned()))
        };
        self.crm.all().into_iter().map(shown).collect()
    }

    fn starts(&self) -> Vec<String> {
        let mut starts: Vec<String> = self.crm().into_values().map(|(start, _)| start).collect();
        starts.sort();
        starts
    }

    fn at(&self, start: &str) -> RemoteId {
        let found: Vec<RemoteId> = self.crm().into_iter().filter(|(_, one)| one.0 == start).map(|(id, _)| id).collect();
        assert_eq!(found.len(), 1, "one at {start}: {:?}", self.starts());
        found[0].clone()
    }

    fn crm_edits(&self, id: &RemoteId, edit: impl FnOnce(&mut Event)) {
        let mut event = Event::from_fields(&self.crm.fields(id).expect("there")).expect("readable");
        edit(&mut event);
        self.crm.user_puts(id.as_str(), &event.to_fields());
    }
}

const WEEKLY: &str = "RRULE:FREQ=WEEKLY;COUNT=4";

#[tokio::test]
async fn e08_a_series_becomes_its_occurrences_and_a_second_run_writes_nothing() {
    let story = Story::begins(json!({})).await;
    story.series(WEEKLY);
    story.settles().await;
    let wanted = ["2026-01-12", "2026-01-19", "2026-01-26", "2026-02-02"].map(|day| format!("{day}T08:00:00Z"));
    assert_eq!(story.starts(), wanted);
    assert_eq!(story.google_writes(), 0, "the series is left alone");
}

#[tokio::test]
async fn e09_e10_a_moved_a_renamed_and_a_cancelled_occurrence_stay_the_records_that_they_were() {
    let story = Story::begins(json!({})).await;
    let id = story.series(WEEKLY);
    story.settles().await;
    let before = story.crm();
    let (moved, renamed) = (story.at("2026-01-19T08:00:00Z"), story.at("2026-01-26T08:00:00Z"));
    let gone = story.at("2026-02-02T08:00:00Z");
    let times = json!({"start": time("2026-01-20", "15:00"), "end": time("2026-01-20", "15:30")});
    story.does("patch", json!({"id": format!("{id}_20260119T080000Z"), "event": times}));
    story.does("patch", json!({"id": format!("{id}_20260126T080000Z"), "event": {"summary": "Retro"}}));
    story.does("delete", json!({"id": format!("{id}_20260202T080000Z")}));
    story.settles().await;
    let after = story.crm();
    assert_eq!(after[&moved].0, "2026-01-20T14:00:00Z");
    assert_eq!(after[&renamed].1, "Retro");
    assert!(!after.contains_key(&gone));
    assert_eq!(story.crm.tally().created, before.len(), "no record is made anew");
    assert_eq!(story.google_writes(), 0);
}

#[tokio::test]
async fn e12_e14_a_rule_change_moves_the_records_and_a_shorter_rule_takes_the_rest_away() {
    let story = Story::begins(json!({})).await;
    let id = story.series(WEEKLY);
    story.settles().await;
    let before = story.crm();
    // Mondays at nine become Wednesdays at eleven.
    let event =
        json!({"start": time("2026-01-14", "11:00"), "end": time("2026-01-14", "11:30"), "recurrence": [WEEKLY]});
    story.does("patch", json!({"id": id, "event": event}));
    story.settles().await;
    let wanted = ["2026-01-14", "2026-01-21", "2026-01-28", "2026-02-04"].map(|day| format!("{day}T10:00:00Z"));
    assert_eq!(story.starts(), wanted);
    assert!(story.crm().keys().eq(before.keys()), "the same records");
    assert_eq!((story.crm.tally().created, story.crm.tally().deleted), (4, 0));
    // And back, and one more.
    let event = json!({"start": time("2026-01-12", "09:00"), "end": time("2026-01-12", "09:30"),
                       "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=5"]});
    story.does("patch", json!({"id": id, "event": event}));
    story.settles().await;
    assert_eq!((story.starts().len(), story.crm.tally().created, story.crm.tally().deleted), (5, 5, 0));
    story.does("patch", json!({"id": id, "event": {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"]}}));
    story.settles().await;
    assert_eq!(story.starts(), ["2026-01-12", "2026-01-19", "2026-01-26"].map(|day| format!("{day}T08:00:00Z")));
    assert_eq!((story.crm.tally().created, story.crm.tally().deleted), (5, 2));
}

#[tokio::test]
async fn e15_a_deleted_series_takes_its_occurrences_behind_the_guard() {
    let held = Story::begins(json!({})).await;
    let id = held.series(WEEKLY);
    held.settles().await;
    held.does("delete", json!({"id": id}));
    assert_eq!(held.run().await.state, RunState::Held);
    assert_eq!(held.starts().len(), 4, "nothing is deleted before somebody says so");
    let story = Story::begins(json!({"max_delete_percent": 100})).await;
    let id = story.series(WEEKLY);
    story.settles().await;
    story.does("delete", json!({"id": id}));
    story.settles().await;
    assert!(story.starts().is_empty());
    assert_eq!(story.google_writes(), 0);
}

#[tokio::test]
async fn an_edit_and_a_deletion_in_the_crm_are_exceptions_of_the_series() {
    let story = Story::begins(json!({})).await;
    let id = story.series(WEEKLY);
    story.settles().await;
    let series = story.google_event(&id).expect("there");
    let (edited, moved) = (story.at("2026-01-19T08:00:00Z"), story.at("2026-01-26T08:00:00Z"));
    let deleted = story.at("2026-02-02T08:00:00Z");
    story.crm_edits(&edited, |event| event.title = "Ours".into());
    let noon = Moment::parse("2026-01-27T11:00:00Z", &TimeZone::UTC).expect("a time");
    story.crm_edits(&moved, |event| event.span = event.span.moved_to(&noon));
    story.crm.user_deletes(&deleted);
    story.settles().await;
    let now = story.google_event(&id).expect("the series is there");
    assert_eq!((&now["summary"], &now["start"]), (&series["summary"], &series["start"]), "it stays as it was");
    let rules: Vec<&Value> = now["recurrence"].as_array().expect("a series").iter().collect();
    assert!(rules.contains(&&json!(WEEKLY)), "{rules:?}");
    let exception = |day: &str| story.google_event(&format!("{id}_{day}T080000Z"));
    assert_eq!(exception("20260119").expect("an exception")["summary"], "Ours");
    let moved = exception("20260126").expect("an exception");
    let at: jiff::Timestamp = moved["start"]["dateTime"].as_str().expect("a time").parse().expect("an instant");
    assert_eq!(at.to_string(), "2026-01-27T11:00:00Z");
    assert_eq!(story.starts(), ["2026-01-12T08:00:00Z", "2026-01-19T08:00:00Z", "2026-01-27T11:00:00Z"]);
    assert_eq!(story.crm.tally().created, 4);
    assert!(story.google_writes() > 0, "writes are counted");
}

#[tokio::test]
async fn a_single_appointment_that_begins_to_repeat_goes_on_as_the_first_of_its_series() {
    let story = Story::begins(json!({})).await;
    let event = json!({"summary": "Once", "start": time("2026-01-12", "09:00"), "end": time("2026-01-12", "09:30")});
    let id = story.does("insert", json!({"event": event}))["id"].as_str().expect("an id").to_owned();
    story.settles().await;
    let record = story.at("2026-01-12T08:00:00Z");
    story.does("patch", json!({"id": id, "event": {"recurrence": [WEEKLY]}}));
    story.settles().await;
    assert_eq!((story.at("2026-01-12T08:00:00Z"), story.starts().len()), (record.clone(), 4));
    assert_eq!((story.crm.tally().created, story.crm.tally().deleted), (4, 0));
    // And back: the first one stays.
    story.does("patch", json!({"id": id, "event": {"recurrence": []}}));
    story.run().await;
    story.run().await;
    assert_eq!(story.at("2026-01-12T08:00:00Z"), record);
}

#[tokio::test]
async fn the_window_sliding_adds_a_day_a_day_and_what_is_behind_it_stays() {
    let story = Story::begins(json!({"window_past_days": 2, "window_future_days": 9})).await;
    let event = json!({"summary": "Daily", "start": time("2025-12-01", "09:00"), "end": time("2025-12-01", "09:30"),
                       "recurrence": ["RRULE:FREQ=DAILY"]});
    let id = story.does("insert", json!({"event": event}))["id"].as_str().expect("an id").to_owned();
    story.settles().await;
    assert_eq!(story.starts().len(), 12);
    for day in 1..=10 {
        story.clock.advance(Duration::from_secs(86_400 - 7_400));
        story.settles().await;
        assert_eq!(story.starts().len(), 12 + day, "day {day}");
    }
    let oldest = story.starts()[0].clone();
    assert_eq!(oldest, "2026-01-03T08:00:00Z");
    // A new title reaches the window, and nothing behind it.
    story.does("patch", json!({"id": id, "event": {"summary": "Every day"}}));
    story.settles().await;
    let titles: Vec<String> = story.crm().into_values().map(|(_, title)| title).collect();
    assert_eq!(titles.iter().filter(|title| *title == "Every day").count(), 12);
    assert_eq!((story.crm.tally().created, story.crm.tally().deleted), (22, 0));
    assert_eq!(story.google_writes(), 0);
}

#[tokio::test]
async fn e18_a_split_done_in_google_leaves_one_occurrence_a_week_in_whatever_order_it_is_told() {
    for order in [[0, 1, 2], [1, 0, 2], [1, 2, 0]] {
        let story = Story::begins(json!({"max_delete_percent": 100})).await;
        let id = story.series("RRULE:FREQ=WEEKLY;COUNT=6");
        story.settles().await;
        let rest = format!("{id}_R20260126T080000");
        for step in order {
            match step {
                0 => {
                    drop(story.does("patch", json!({"id": id, "event": {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=2"]}})))
                }
                1 => {
                    let event = json!({"id": rest, "summary": "Stand-up", "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
                        "start": time("2026-01-26", "11:00"), "end": time("2026-01-26", "11:30")});
                    story.does("insert", json!({"event": event}));
                }
                _ => {
                    let one = format!("{rest}_20260202T100000Z");
                    story.does("patch", json!({"id": one, "event": {"summary": "Retro"}}));
                }
            }
        }
        story.settles().await;
        let early = ["2026-01-12", "2026-01-19"].map(|day| format!("{day}T08:00:00Z"));
        let late = ["2026-01-26", "2026-02-02", "2026-02-09", "2026-02-16"].map(|day| format!("{day}T10:00:00Z"));
        assert_eq!(story.starts(), [early.as_slice(), late.as_slice()].concat(), "{order:?}");
        let retro: Vec<String> = story.crm().into_values().filter(|one| one.1 == "Retro").map(|one| one.0).collect();
        assert_eq!(retro, ["2026-02-02T10:00:00Z"], "{order:?}");
        assert_eq!(story.google_writes(), 0);
    }
}

#[tokio::test]
async fn made_anew_on_a_crm_that_keeps_no_names_an_appointment_is_known_by_title_and_start() {
    let crm = MemoryCalendar::new(40, Recurrence::Unknown).without_names();
    let story = Story::begins_on(crm, json!({})).await;
    story.series(WEEKLY);
    let event = json!({"summary": "Once", "start": time("2026-01-13", "14:00"), "end": time("2026-01-13", "15:00")});
    story.does("insert", json!({"event": event}));
    story.settles().await;
    let (crm, google) = (story.crm(), story.google.events(GOOGLE, "primary").len());
    assert_eq!((crm.len(), google), (5, 2));
    let sync = story.sync().await;
    story.store.delete_sync(&sync).await.expect("a quiet table");
    let anew =
        Sync { current_run: None, last_run: None, next_due_at: Some(story.clock.now()), settings_version: 0, ..sync };
    story.store.create_sync(&anew).await.expect("a quiet table");
    story.run().await;
    story.settles().await;
    assert_eq!(story.crm(), crm, "the same records, none twice");
    assert_eq!(story.google.events(GOOGLE, "primary").len(), google);
}
