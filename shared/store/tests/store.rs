//! What everything durable promises, on the table in memory.
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::plan::Reason;
use tandem_core::record::{ConnectionId, Marker, RemoteId, RunId, Side, SyncId, UserId};
use tandem_ports::infra::{Kind, Sealed, Trigger};
use tandem_store::checkpoint::{Checkpoint, Hold, Intent};
use tandem_store::connection::{Account, Authorisation, Connection, ConnectionState};
use tandem_store::lease::{Acquired, Lease};
use tandem_store::link::{Row, RowChange, RowState};
use tandem_store::run::{Run, RunState};
use tandem_store::sync::{Sync, SyncChange, SyncState};
use tandem_store::{Store, StoreError, keys};
use tandem_testkit::fault::{Fault, Faults};
use tandem_testkit::memory::MemoryTable;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_600_000 + second).expect("a time")
}

fn store() -> (Arc<MemoryTable>, Store) {
    let table = Arc::new(MemoryTable::default());
    (table.clone(), Store::new(table))
}

fn sync(id: &str) -> Sync {
    Sync {
        id: SyncId::new(id),
        user: UserId::new("user"),
        profile: "teamleader-google-contacts".into(),
        kind: Kind::Contacts,
        crm: ConnectionId::new("crm"),
        remote: ConnectionId::new("remote"),
        settings: serde_json::Map::new(),
        enabled: true,
        state: SyncState::Idle,
        reason: None,
        current_run: None,
        last_run: None,
        next_due_at: Some(at(0)),
        fingerprint_key: FingerprintKey::new("key"),
        created_at: at(0),
        settings_version: 0,
    }
}

async fn lease(store: &Store, id: &SyncId, second: i64) -> Lease {
    match store.acquire_lease(id, at(second), at(second + 60)).await.expect("a quiet table") {
        Acquired::Lease(lease) => lease,
        Acquired::Busy => panic!("the lease is taken"),
    }
}

#[tokio::test]
async fn one_holder_at_a_time_until_the_lease_ends() {
    let (_, store) = store();
    let id = SyncId::new("s");
    let first = lease(&store, &id, 0).await;
    assert_eq!(store.acquire_lease(&id, at(59), at(200)).await.unwrap(), Acquired::Busy);
    let second = lease(&store, &id, 61).await;
    assert!(second.fence > first.fence);
}

#[tokio::test]
async fn what_a_replaced_holder_still_writes_is_refused() {
    let (_, store) = store();
    let sync = sync("s");
    store.create_sync(&sync).await.unwrap();
    let first = lease(&store, &sync.id, 0).await;
    let second = lease(&store, &sync.id, 61).await;
    let hold = Hold::Keep { until: at(120), settled: vec![] };
    let late = store.commit(&first, &sync, &Checkpoint { pages: 9, ..Checkpoint::default() }, &hold).await;
    assert!(matches!(late, Err(StoreError::Stale)));
    let intent = Intent { number: 1, side: Side::Right, creates: vec![], drafts: None };
    assert!(matches!(store.save_intent(&first, &intent, at(62)).await, Err(StoreError::Stale)));
    store.commit(&second, &sync, &Checkpoint { pages: 2, ..Checkpoint::default() }, &hold).await.unwrap();
    assert_eq!(store.checkpoint(&sync.id).await.unwrap().pages, 2);
}

#[tokio::test]
async fn a_lease_marked_dirty_is_not_given_back_unseen() {
    let (_, store) = store();
    let sync = sync("s");
    store.create_sync(&sync).await.unwrap();
    let mine = lease(&store, &sync.id, 0).await;
    assert!(store.mark_dirty(&sync.id, at(1)).await.unwrap());
    let release = Hold::Release(SyncChange::default());
    let refused = store.commit(&mine, &sync, &Checkpoint::default(), &release).await;
    assert!(matches!(refused, Err(StoreError::Stale)));
    assert!(store.clear_dirty(&mine).await.unwrap());
    store.commit(&mine, &sync, &Checkpoint::default(), &release).await.unwrap();
    assert!(!store.mark_dirty(&sync.id, at(2)).await.unwrap(), "nobody would see it: ask for the lease instead");
    assert!(!store.clear_dirty(&lease(&store, &sync.id, 3).await).await.unwrap());
}

#[tokio::test]
async fn open_intents_are_seen_by_the_next_holder_and_settled_with_the_checkpoint() {
    let (_, store) = store();
    let sync = sync("s");
    store.create_sync(&sync).await.unwrap();
    let first = lease(&store, &sync.id, 0).await;
    assert_eq!(first.open_intents, 0);
    let creates = vec![(Marker::new("m"), keys::row_key(Side::Left, &RemoteId::new("1")))];
    for number in [1, 2] {
        let intent = Intent { number, side: Side::Right, creates: creates.clone(), drafts: None };
        store.save_intent(&first, &intent, at(0)).await.unwrap();
    }
    let hold = Hold::Keep { until: at(60), settled: vec![1] };
    store.commit(&first, &sync, &Checkpoint::default(), &hold).await.unwrap();
    let second = lease(&store, &sync.id, 61).await;
    assert_eq!(second.open_intents, 1);
    let open = store.intents(&sync.id).await.unwrap();
    assert_eq!(open.iter().map(|intent| intent.number).collect::<Vec<_>>(), [2]);
    store.clear_intents(&second, &[2]).await.unwrap();
    assert_eq!(lease(&store, &sync.id, 200).await.open_intents, 0);
}

#[tokio::test]
async fn an_authorisation_is_used_once_and_not_late() {
    let (_, store) = store();
    let begun = Authorisation {
        connection: ConnectionId::new("c"),
        user: UserId::new("u"),
        provider: "google".into(),
        verifier: Sealed("sealed".into()),
        session: None,
        expires_at: at(600).as_second(),
    };
    store.save_authorisation("hash", &begun).await.unwrap();
    assert_eq!(store.take_authorisation("other", at(1)).await.unwrap(), None);
    assert_eq!(store.take_authorisation("hash", at(1)).await.unwrap(), Some(begun.clone()));
    assert_eq!(store.take_authorisation("hash", at(1)).await.unwrap(), None);
    store.save_authorisation("late", &begun).await.unwrap();
    assert_eq!(store.take_authorisation("late", at(601)).await.unwrap(), None);
}

#[tokio::test]
async fn only_one_refreshes_and_only_over_the_tokens_it_read() {
    let (_, store) = store();
    let mut mine = Connection {
        account: Account { id: "acc".into(), ..Account::default() },
        state: ConnectionState::Connected,
        ..Connection::new(ConnectionId::new("c"), UserId::new("u"), "google", at(0))
    };
    store.create_connection(&mine).await.unwrap();
    let mut theirs = mine.clone();
    assert!(store.begin_refresh(&mine.id, at(0), at(30)).await.unwrap());
    assert!(!store.begin_refresh(&mine.id, at(1), at(31)).await.unwrap());
    assert!(store.begin_refresh(&mine.id, at(31), at(61)).await.unwrap(), "a dead refresher is replaced");
    store.mark_refresh_in_doubt(&mine).await.unwrap();
    assert!(store.connection(&mine.id).await.unwrap().unwrap().refresh_in_doubt);
    mine.tokens = Some(Sealed("new".into()));
    store.save_connection(&mut mine).await.unwrap();
    assert!(!store.connection(&mine.id).await.unwrap().unwrap().refresh_in_doubt);
    assert!(matches!(store.mark_refresh_in_doubt(&theirs).await, Err(StoreError::Stale)));
    theirs.tokens = Some(Sealed("old".into()));
    assert!(matches!(store.save_connection(&mut theirs).await, Err(StoreError::Stale)));
    assert!(store.mark_reconnect_needed(&mine.id).await.unwrap());
    assert!(!store.mark_reconnect_needed(&mine.id).await.unwrap(), "said once");
    assert_eq!(store.connections_of_account("google", "acc").await.unwrap(), [mine.id.clone()]);
    store.delete_connection(&mine).await.unwrap();
    assert_eq!(store.connections_of_account("google", "acc").await.unwrap(), []);
}

#[tokio::test]
async fn a_due_sync_is_taken_once_a_round() {
    let (_, store) = store();
    for n in 0..40 {
        store.create_sync(&sync(&format!("s{n}"))).await.unwrap();
    }
    let mut taken = 0;
    for shard in 0..keys::SHARDS {
        let (due, next) = store.due_syncs(Kind::Contacts, shard, at(1), None, 100).await.unwrap();
        assert_eq!(next, None);
        for due in due {
            assert!(store.take_due(&due, &RunId::new("s.1"), at(300)).await.unwrap());
            assert!(!store.take_due(&due, &RunId::new("s.1"), at(300)).await.unwrap(), "another fan-out came second");
            taken += 1;
        }
        assert_eq!(store.due_syncs(Kind::Contacts, shard, at(2), None, 100).await.unwrap().0, []);
    }
    assert_eq!(taken, 40);
}

#[tokio::test]
async fn a_run_is_joined_and_not_doubled() {
    let (_, store) = store();
    let sync = sync("s");
    store.create_sync(&sync).await.unwrap();
    let (first, second) = (RunId::new("s.1"), RunId::new("s.2"));
    assert_eq!(store.promise_run(&sync, &first, at(300)).await.unwrap(), first);
    assert_eq!(store.promise_run(&sync, &second, at(300)).await.unwrap(), first);
    let run = Run::begin(&sync.id, Trigger::Manual, RunState::Queued, at(0), "1");
    assert_eq!(run.id, first);
    store.save_promise(&run).await.unwrap();
    let faster = Run { state: RunState::Done, ..run.clone() };
    store.save_promise(&faster).await.unwrap();
    assert_eq!(store.run(&first).await.unwrap(), Some(run));
}

fn linked(left: &str, right: &str) -> Row {
    let mut row = Row::first_seen(Side::Left, &RemoteId::new(left));
    row.right = Some(RemoteId::new(right));
    row
}

#[tokio::test]
async fn a_row_is_found_from_both_sides_and_leaves_nothing_behind() {
    let (table, store) = store();
    let id = SyncId::new("s");
    let row = linked("l1", "r1");
    store.save_rows(&id, &[RowChange { before: None, after: Some(row.clone()) }]).await.unwrap();
    let ids = |text: &str| vec![RemoteId::new(text), RemoteId::new("none"), RemoteId::new(text)];
    let left = store.rows_by_id(&id, Side::Left, &ids("l1")).await.unwrap();
    assert_eq!(left, [Some(row.clone()), None, Some(row.clone())]);
    assert_eq!(store.rows_by_id(&id, Side::Right, &ids("r1")).await.unwrap()[0], Some(row.clone()));
    let mut moved = linked("l1", "r2");
    moved.state = RowState::Failing;
    moved.reason = Some(Reason::new("refused", "no"));
    store.save_rows(&id, &[RowChange { before: Some(row), after: Some(moved.clone()) }]).await.unwrap();
    assert_eq!(store.rows_by_id(&id, Side::Right, &ids("r1")).await.unwrap()[0], None, "the old id leads nowhere");
    assert_eq!(store.rows_in_state(&id, RowState::Failing, None, 10).await.unwrap().0, [moved.clone()]);
    assert_eq!(store.count_in_state(&id, RowState::Failing, 10).await.unwrap(), 1);
    store.save_rows(&id, &[RowChange { before: Some(moved), after: None }]).await.unwrap();
    assert_eq!(table.dump(), []);
}

#[tokio::test]
async fn a_row_that_takes_anothers_place_is_never_beside_it_wherever_the_process_dies() {
    let pairs: Vec<(Row, Row)> = (0..60)
        .map(|n| {
            let alone = Row::first_seen(Side::Right, &RemoteId::new(format!("r{n}")));
            (Row { state: RowState::Unpaired, ..alone }, linked(&format!("l{n}"), &format!("r{n}")))
        })
        .collect();
    let mut done = false;
    for call in 1..40 {
        let faults = Arc::new(Faults::default());
        let store = Store::new(Arc::new(MemoryTable::with_faults(Arc::clone(&faults))));
        let id = SyncId::new("s");
        let before: Vec<RowChange> =
            pairs.iter().map(|(alone, _)| RowChange { before: None, after: Some(alone.clone()) }).collect();
        store.save_rows(&id, &before).await.unwrap();
        faults.ahead(call, Fault::CrashAfter);
        let changes: Vec<RowChange> = pairs
            .iter()
            .flat_map(|(alone, pair)| {
                let goes = RowChange { before: Some(alone.clone()), after: None };
                [goes, RowChange { before: None, after: Some(pair.clone()) }]
            })
            .collect();
        done = store.save_rows(&id, &changes).await.is_ok();
        faults.restart();
        faults.clear();
        let keys = |rows: Vec<&Row>| rows.into_iter().map(|row| row.key.clone()).collect::<Vec<_>>();
        let alone = store.rows_by_key(&id, &keys(pairs.iter().map(|(alone, _)| alone).collect())).await.unwrap();
        let paired = store.rows_by_key(&id, &keys(pairs.iter().map(|(_, pair)| pair).collect())).await.unwrap();
        for (at, (alone, paired)) in alone.iter().zip(&paired).enumerate() {
            assert!(alone.is_some() != paired.is_some(), "dead after call {call}: pair {at}");
        }
        if done {
            break;
        }
    }
    assert!(done, "every call was the last one once");
}

#[tokio::test]
async fn a_removed_sync_leaves_nothing_in_the_table() {
    let (table, store) = store();
    let sync = sync("s");
    store.create_sync(&sync).await.unwrap();
    let mine = lease(&store, &sync.id, 0).await;
    let rows: Vec<RowChange> =
        (0..60).map(|n| RowChange { before: None, after: Some(linked(&format!("l{n}"), &format!("r{n}"))) }).collect();
    store.save_rows(&sync.id, &rows).await.unwrap();
    store.save_seen(&sync.id, Side::Right, (1, 0), &[RemoteId::new("r1")], at(0)).await.unwrap();
    let hold = Hold::Keep { until: at(9), settled: vec![] };
    store.commit(&mine, &sync, &Checkpoint::default(), &hold).await.unwrap();
    store.delete_sync(&sync).await.unwrap();
    assert_eq!(table.dump(), []);
    assert_eq!(store.sync(&sync.id).await.unwrap(), None);
}

#[tokio::test]
async fn change_logs_are_not_shown_past_their_time() {
    let (_, store) = store();
    let run = Run::begin(&SyncId::new("s"), Trigger::Manual, RunState::Done, at(0), "1");
    store.save_changes(&run, 0, Sealed("a".into()), 1).await.unwrap();
    store.save_changes(&run, 1, Sealed("b".into()), 1).await.unwrap();
    let later = |days: i64| at(0) + SignedDuration::from_hours(24 * days);
    assert_eq!(store.changes_after(&run.id, None, later(0)).await.unwrap(), Some((0, Sealed("a".into()))));
    assert_eq!(store.changes_after(&run.id, Some(0), later(0)).await.unwrap(), Some((1, Sealed("b".into()))));
    assert_eq!(store.changes_after(&run.id, Some(1), later(0)).await.unwrap(), None);
    assert_eq!(store.changes_after(&run.id, None, later(2)).await.unwrap(), None);
}

#[test]
fn what_the_previous_release_stored_can_still_be_read() {
    let row = r#"{"key":"crm:1","left":"1","right":"people/c1","base":{"v":1,"l":{"emails":["00ff"],"last_name":"11aa"}},
        "state":"in_sync","synced_at":"2026-01-05T08:00:00Z"}"#;
    let row: Row = serde_json::from_str(row).unwrap();
    assert!(row.is_linked());
    let checkpoint = r#"{"left":{"stage":{"stage":"following","cursor":"c"}},"right":{"stage":{"stage":"listing"}}}"#;
    let checkpoint: Checkpoint = serde_json::from_str(checkpoint).unwrap();
    assert!(!checkpoint.first_done);
}
