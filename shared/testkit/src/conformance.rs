//! The suite every connector runs against its own fake: one promise per test. A promise that the connector does not
//! make (its [`Capabilities`](tandem_ports::connector::Capabilities) say so) is turned round or left out.
//!
//! A connector's `tests/conformance.rs` implements [`Harness`] and says
//! `tandem_testkit::connector_conformance!(MyHarness);`.
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope, Value};
use tandem_ports::connector::{Change, Connector, Cursor, Deletion, Draft, Fetched, Next, Patch, Written};
use tandem_ports::error::{ErrorKind, Result};

/// What the provider can be told to do wrong with its next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An internal error; nothing is done.
    ServerError,
    /// "Slow down", with this many seconds to wait.
    Throttle(u64),
    /// A right is missing.
    Forbidden,
    /// The work is done and the answer is lost.
    LoseAnswer,
    /// The request is lost.
    LoseRequest,
    /// The grant is taken back, for good.
    RevokeGrant,
    /// No cursor is good any more.
    ExpireCursors,
}

/// What a connector supplies: itself wired to its fake, and a back door into the fake.
///
/// The connector is opened within a container (where the kind has one) and reads small pages.
pub trait Harness: Send + Sync + Sized {
    /// A provider of its own, with one connected account.
    fn start() -> impl Future<Output = Self> + Send;
    /// The connector.
    fn connector(&self) -> &dyn Connector;
    /// Different fields for each `n`: at least a text field, and as much more as the kind has.
    fn sample(&self, n: u32) -> Fields;
    /// A text field that can be changed and emptied without making the record invalid.
    fn text_field(&self) -> Field;
    /// How many records fill more than two pages.
    fn more_than_two_pages(&self) -> u32;
    /// The user makes a record, inside the container.
    fn user_creates(&self, fields: &Fields) -> RemoteId;
    /// The user changes the record to these fields.
    fn user_edits(&self, id: &RemoteId, fields: &Fields);
    /// The user deletes the record.
    fn user_deletes(&self, id: &RemoteId);
    /// The user moves the record out of the container; `false` where the kind has none.
    fn user_moves_out(&self, id: &RemoteId) -> bool;
    /// The user puts something on the record that the canonical form cannot say.
    fn user_adds_unmapped(&self, id: &RemoteId);
    /// That something, as the provider holds it now.
    fn unmapped(&self, id: &RemoteId) -> serde_json::Value;
    /// How many records the provider holds.
    fn records(&self) -> usize;
    /// The user renames the container; `false` where the kind has none.
    fn user_renames_container(&self, id: &ContainerId) -> bool;
    /// The user deletes the container (not the records in it).
    fn user_deletes_container(&self, id: &ContainerId);
    /// What goes wrong next.
    fn inject(&self, fault: Fault);
    /// How many records the provider was asked to write so far.
    fn writes(&self) -> usize;
    /// Time goes on until every change is in the feed.
    fn settle(&self);
}

type Seen = BTreeMap<RemoteId, Option<Fetched>>;

async fn drain<H: Harness>(h: &H, from: Option<&Cursor>) -> (Seen, Cursor, usize) {
    let mut seen = Seen::new();
    let mut at = from.cloned();
    for pages in 1..1_000 {
        let mut unread = Vec::new();
        let page = h.connector().changes(at.as_ref()).await.expect("the listing succeeds");
        for change in page.changes {
            match change {
                Change::Upsert(fetched) => seen.insert(fetched.id.clone(), Some(*fetched)),
                Change::Tombstone { id } => seen.insert(id, None),
                Change::Seen { id, version } => {
                    unread.push((id.clone(), version));
                    seen.insert(id, None)
                }
                Change::Unreadable { reason, .. } => panic!("unreadable: {reason}"),
            };
        }
        for (id, version) in unread {
            let fetched = one(h, &id).await;
            assert!(fetched.as_ref().is_none_or(|fetched| fetched.version == version), "seen in the version it has");
            seen.insert(id, fetched);
        }
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            Next::CaughtUp(cursor) => return (seen, cursor, pages),
            // What is not in a complete listing is for the reader to notice.
            Next::Relist => at = None,
        }
    }
    panic!("the listing never ends");
}

async fn one<H: Harness>(h: &H, id: &RemoteId) -> Option<Fetched> {
    let mut answers = h.connector().get(std::slice::from_ref(id)).await.expect("the read succeeds");
    assert_eq!(answers.len(), 1, "one answer an id");
    answers.remove(0)
}

async fn live<H: Harness>(h: &H, id: &RemoteId) -> Fetched {
    one(h, id).await.expect("the record exists")
}

fn patch(read: &Fetched, changed: Vec<Field>, fields: Fields) -> Patch {
    Patch {
        id: read.id.clone(),
        expect: read.version.clone(),
        changed,
        fields,
        scope: None,
        marker: None,
        raw: read.raw.clone(),
    }
}

fn retexted<H: Harness>(h: &H, read: &Fetched, text: &str) -> Patch {
    let mut fields = read.fields.clone();
    fields.set(h.text_field(), Value::Text(text.to_owned()));
    patch(read, vec![h.text_field()], fields)
}

fn draft<H: Harness>(h: &H, n: u32) -> Draft {
    Draft { marker: Marker::new(format!("origin-{n}")), fields: h.sample(n) }
}

fn kind<T: Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("this is refused").kind
}

fn only<T>(mut outcomes: Vec<Result<T>>) -> Result<T> {
    assert_eq!(outcomes.len(), 1, "one outcome an item");
    outcomes.remove(0)
}

fn deletion(read: &Fetched) -> Deletion {
    Deletion { id: read.id.clone(), expect: read.version.clone() }
}

/// A full listing shows every record over as many pages as it takes, and each as it is.
pub async fn a_full_listing_is_complete<H: Harness>() {
    let h = H::start().await;
    let many = h.more_than_two_pages();
    let ids: Vec<RemoteId> = (0..many).map(|n| h.user_creates(&h.sample(n))).collect();
    h.settle();
    let (seen, _, pages) = drain(&h, None).await;
    assert!(pages > 2, "{pages} pages");
    assert_eq!(seen.len(), ids.len());
    for (n, id) in (0..many).zip(&ids) {
        let fetched = seen[id].as_ref().expect("listed and not gone");
        assert_eq!(fetched.scope, Scope::Inside);
        assert!(fetched.fields == h.sample(n), "record {n} is listed as it is");
    }
}

/// An empty account is caught up at once.
pub async fn an_empty_listing_ends<H: Harness>() {
    let h = H::start().await;
    let (seen, cursor, _) = drain(&h, None).await;
    assert!(seen.is_empty());
    assert!(drain(&h, Some(&cursor)).await.0.is_empty());
}

/// After catching up, the cursor yields later changes and nothing else.
pub async fn a_cursor_yields_only_later_changes<H: Harness>() {
    let h = H::start().await;
    let quiet = h.user_creates(&h.sample(1));
    let edited = h.user_creates(&h.sample(2));
    h.settle();
    let (_, cursor, _) = drain(&h, None).await;
    h.user_edits(&edited, &h.sample(3));
    let fresh = h.user_creates(&h.sample(4));
    h.settle();
    let (seen, after, _) = drain(&h, Some(&cursor)).await;
    assert!(seen[&edited].as_ref().expect("there").fields == h.sample(3));
    assert!(seen.contains_key(&fresh));
    assert!(!seen.contains_key(&quiet));
    assert!(drain(&h, Some(&after)).await.0.is_empty(), "caught up again");
}

/// Reading a cursor twice is safe: a crash before the checkpoint loses nothing.
pub async fn a_cursor_can_be_replayed<H: Harness>() {
    let h = H::start().await;
    let (_, cursor, _) = drain(&h, None).await;
    let id = h.user_creates(&h.sample(1));
    h.settle();
    assert!(drain(&h, Some(&cursor)).await.0.contains_key(&id));
    assert!(drain(&h, Some(&cursor)).await.0.contains_key(&id));
}

/// A record that is made while the full listing goes on is in it or in the delta after it.
pub async fn nothing_falls_between_listing_and_delta<H: Harness>() {
    let h = H::start().await;
    for n in 0..h.more_than_two_pages() {
        h.user_creates(&h.sample(n));
    }
    h.settle();
    let first = h.connector().changes(None).await.expect("the first page");
    let Next::More(more) = first.next else { panic!("more than two pages end with the first one") };
    let between = h.user_creates(&h.sample(9_999));
    h.settle();
    let (rest, cursor, _) = drain(&h, Some(&more)).await;
    let (delta, _, _) = drain(&h, Some(&cursor)).await;
    assert!(rest.contains_key(&between) || delta.contains_key(&between));
}

/// Deletions are in the feed, where the provider reports them.
pub async fn a_deletion_is_reported<H: Harness>() {
    let h = H::start().await;
    let id = h.user_creates(&h.sample(1));
    h.settle();
    let (_, cursor, _) = drain(&h, None).await;
    h.user_deletes(&id);
    h.settle();
    let (seen, _, _) = drain(&h, Some(&cursor)).await;
    if h.connector().capabilities().reports_tombstones {
        assert!(matches!(seen.get(&id), Some(None)), "a tombstone");
    } else {
        assert!(!matches!(seen.get(&id), Some(Some(_))), "at least it is not said to be there");
        // A feed that does not tell asks for a listing, at once or when it is read next.
        let page = h.connector().changes(Some(&cursor)).await.expect("the feed is read");
        assert_eq!(page.next, Next::Relist, "a silent loss asks for a listing");
    }
}

/// An expired cursor is named as such, never an empty page (which would read as "nothing changed").
pub async fn an_expired_cursor_is_named<H: Harness>() {
    let h = H::start().await;
    h.user_creates(&h.sample(1));
    let (_, cursor, _) = drain(&h, None).await;
    h.inject(Fault::ExpireCursors);
    if h.connector().capabilities().cursors_expire {
        assert_eq!(kind(h.connector().changes(Some(&cursor)).await), ErrorKind::CursorExpired);
    } else {
        h.connector().changes(Some(&cursor)).await.expect("cursors of this provider last");
    }
    assert_eq!(drain(&h, None).await.0.len(), 1, "a full listing goes on");
}

/// A cursor that is not ours leads to a full listing.
pub async fn a_cursor_of_another_release_is_expired<H: Harness>() {
    let h = H::start().await;
    assert_eq!(kind(h.connector().changes(Some(&Cursor("rubbish".into()))).await), ErrorKind::CursorExpired);
}

/// A direct read proves absence, and its answers are in the order of the ids.
pub async fn a_read_by_id_proves_absence<H: Harness>() {
    let h = H::start().await;
    let ids: Vec<RemoteId> = (0..3).map(|n| h.user_creates(&h.sample(n))).collect();
    h.user_deletes(&ids[1]);
    let read = h.connector().get(&[ids[2].clone(), ids[1].clone(), ids[0].clone()]).await.expect("the read succeeds");
    assert_eq!(read.len(), 3);
    assert_eq!(read[0].as_ref().map(|f| &f.id), Some(&ids[2]));
    assert!(read[1].is_none());
    assert!(read[2].as_ref().expect("there").fields == h.sample(0));
}

/// What was created reads back as it was drafted, inside the container, with its marker and the version answered.
pub async fn a_created_record_reads_back<H: Harness>() {
    let h = H::start().await;
    let draft = draft(&h, 1);
    let outcomes = h.connector().create(std::slice::from_ref(&draft)).await.expect("the batch succeeds");
    let written = only(outcomes).expect("created");
    let read = live(&h, &written.id).await;
    assert!(read.fields == draft.fields, "{:?} and {:?}", read.fields, draft.fields);
    assert_eq!(read.marker.as_ref(), Some(&draft.marker).filter(|_| h.connector().capabilities().keeps_markers));
    assert_eq!(read.version, written.version);
    assert_eq!(read.scope, Scope::Inside);
    assert!(written.shown.is_none_or(|shown| shown == read.fields));
}

/// Batches up to the limit give one outcome an item, in order.
pub async fn batches_up_to_the_limit_are_answered_in_order<H: Harness>() {
    let h = H::start().await;
    let can = h.connector().capabilities();
    let drafts: Vec<Draft> = (0..can.create_batch as u32).map(|n| draft(&h, n)).collect();
    let created = h.connector().create(&drafts).await.expect("the batch succeeds");
    let ids: Vec<RemoteId> = created.into_iter().map(|r| r.expect("created").id).collect();
    assert_eq!(ids.len(), drafts.len());
    let mut read = Vec::new();
    for chunk in ids.chunks(can.get_batch) {
        read.extend(h.connector().get(chunk).await.expect("the read succeeds").into_iter().flatten());
    }
    assert!(read.iter().zip(&drafts).all(|(fetched, draft)| fetched.fields == draft.fields), "in order");
    let mut deletions: Vec<Deletion> = Vec::new();
    for chunk in read.chunks(can.update_batch) {
        let patches: Vec<Patch> = chunk.iter().map(|fetched| retexted(&h, fetched, "changed")).collect();
        let outcomes = h.connector().update(&patches).await.expect("the batch succeeds");
        let written: Vec<Written> = outcomes.into_iter().map(|r| r.expect("updated")).collect();
        assert!(written.iter().map(|w| &w.id).eq(chunk.iter().map(|f| &f.id)), "in order");
        deletions.extend(written.into_iter().map(|w| Deletion { id: w.id, expect: w.version }));
    }
    for chunk in deletions.chunks(can.delete_batch) {
        let outcomes = h.connector().delete(chunk).await.expect("the batch succeeds");
        assert!(outcomes.len() == chunk.len() && outcomes.iter().all(Result::is_ok));
    }
    assert_eq!(h.records(), 0);
}

/// After a lost answer the records are found by their markers, so nothing is created twice.
pub async fn a_create_with_a_lost_answer_is_found<H: Harness>() {
    let h = H::start().await;
    h.user_creates(&h.sample(7));
    let draft = draft(&h, 1);
    h.inject(Fault::LoseAnswer);
    let lost = h.connector().create(std::slice::from_ref(&draft)).await;
    assert_eq!(kind(lost.and_then(only)), ErrorKind::Retryable);
    if h.connector().capabilities().idempotent_creates {
        only(h.connector().create(std::slice::from_ref(&draft)).await.expect("the batch")).expect("again");
    } else {
        let other = Draft { marker: Marker::new("another"), fields: h.sample(8) };
        let found = h.connector().find_made(&[other, draft.clone()]).await.expect("the search succeeds");
        assert_eq!(found.len(), 1, "the record and not the user's");
        assert!(found[0].1.fields == draft.fields && found[0].0 == draft.marker);
    }
    assert_eq!(h.records(), 2);
}

/// After a lost request there is nothing to find.
pub async fn a_create_that_never_arrived_is_not_found<H: Harness>() {
    let h = H::start().await;
    let draft = draft(&h, 1);
    h.inject(Fault::LoseRequest);
    let lost = h.connector().create(std::slice::from_ref(&draft)).await;
    assert_eq!(kind(lost.and_then(only)), ErrorKind::Retryable);
    if !h.connector().capabilities().idempotent_creates {
        assert!(h.connector().find_made(&[draft]).await.expect("the search succeeds").is_empty());
    }
    assert_eq!(h.records(), 0);
}

/// An update changes the fields it names and leaves the others alone; its version is the one that is read later.
pub async fn an_update_changes_what_it_names<H: Harness>() {
    let h = H::start().await;
    let id = h.user_creates(&h.sample(1));
    let read = live(&h, &id).await;
    let patch = retexted(&h, &read, "a new text");
    let outcomes = h.connector().update(std::slice::from_ref(&patch)).await.expect("the batch succeeds");
    let written = only(outcomes).expect("updated");
    let after = live(&h, &id).await;
    assert!(after.fields == patch.fields, "{:?} and {:?}", after.fields, patch.fields);
    assert_eq!(after.version, written.version);
    assert_ne!(after.version, read.version);
    assert_eq!(after.scope, read.scope);
}

/// A field that is named and has no value is emptied, and every field can be.
pub async fn an_emptied_field_is_empty<H: Harness>() {
    let h = H::start().await;
    let id = h.user_creates(&h.sample(1));
    let read = live(&h, &id).await;
    let mut fields = read.fields.clone();
    fields.put(h.text_field(), None);
    let outcomes = h.connector().update(&[patch(&read, vec![h.text_field()], fields.clone())]).await;
    only(outcomes.expect("the batch succeeds")).expect("updated");
    assert!(live(&h, &id).await.fields == fields);
}

/// What the canonical form cannot say survives an update of everything it can.
pub async fn unmapped_fields_survive_an_update<H: Harness>() {
    let h = H::start().await;
    let ids: Vec<RemoteId> = (1..3).map(|n| h.user_creates(&h.sample(n))).collect();
    ids.iter().for_each(|id| h.user_adds_unmapped(id));
    let before: Vec<serde_json::Value> = ids.iter().map(|id| h.unmapped(id)).collect();
    assert!(before.iter().all(|value| !value.is_null()), "the harness adds something");
    let (first, second) = (live(&h, &ids[0]).await, live(&h, &ids[1]).await);
    // One changes everything, the other one field: a mask that both share must not cost the second anything.
    let all = h.sample(3);
    let names: Vec<Field> = all.iter().map(|(name, _)| name.clone()).collect();
    let patches = [patch(&first, names, all), retexted(&h, &second, "only this")];
    for outcome in h.connector().update(&patches).await.expect("the batch succeeds") {
        outcome.expect("updated");
    }
    let after: Vec<serde_json::Value> = ids.iter().map(|id| h.unmapped(id)).collect();
    assert_eq!(before, after);
    let written = live(&h, &ids[0]).await.fields;
    assert!(h.sample(3).iter().all(|(name, value)| written.get(name) == Some(value)), "all of it was written");
    assert!(live(&h, &ids[1]).await.fields == patches[1].fields);
}

/// A stale version is a conflict for that record; the user's edit stays, and the others of the batch are done.
pub async fn a_stale_version_is_a_conflict_for_that_record_alone<H: Harness>() {
    let h = H::start().await;
    let ids: Vec<RemoteId> = (0..5).map(|n| h.user_creates(&h.sample(n))).collect();
    let mut patches = Vec::new();
    for id in &ids {
        patches.push(retexted(&h, &live(&h, id).await, "ours"));
    }
    h.user_edits(&ids[2], &h.sample(40));
    let outcomes = h.connector().update(&patches).await.expect("the batch is answered item by item");
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match (n, h.connector().capabilities().conditional_updates) {
            (2, true) => assert_eq!(kind(outcome), ErrorKind::Conflict),
            _ => drop(outcome.expect("updated")),
        }
    }
    if h.connector().capabilities().conditional_updates {
        assert!(live(&h, &ids[2]).await.fields == h.sample(40), "the user's edit survives");
    }
    assert_eq!(live(&h, &ids[3]).await.fields.text(&h.text_field()), "ours");
}

/// A record that is gone answers `NotFound`; the others of the batch are done.
pub async fn an_update_of_a_gone_record_says_so<H: Harness>() {
    let h = H::start().await;
    let ids: Vec<RemoteId> = (0..3).map(|n| h.user_creates(&h.sample(n))).collect();
    let mut patches = Vec::new();
    for id in &ids {
        patches.push(retexted(&h, &live(&h, id).await, "ours"));
    }
    h.user_deletes(&ids[1]);
    let mut outcomes = h.connector().update(&patches).await.expect("the batch is answered item by item");
    assert_eq!(kind(outcomes.remove(1)), ErrorKind::NotFound);
    outcomes.into_iter().for_each(|outcome| drop(outcome.expect("updated")));
}

/// The same patch twice does no harm: the second meets the version that the first one changed.
pub async fn a_replayed_update_is_a_conflict<H: Harness>() {
    let h = H::start().await;
    let id = h.user_creates(&h.sample(1));
    let patch = retexted(&h, &live(&h, &id).await, "ours");
    h.inject(Fault::LoseAnswer);
    let lost = h.connector().update(std::slice::from_ref(&patch)).await;
    assert_eq!(kind(lost.and_then(only)), ErrorKind::Retryable);
    let again = h.connector().update(std::slice::from_ref(&patch)).await.expect("answered item by item");
    if h.connector().capabilities().conditional_updates {
        assert_eq!(kind(only(again)), ErrorKind::Conflict);
    } else {
        only(again).expect("updated again");
    }
    assert_eq!(live(&h, &id).await.fields.text(&h.text_field()), "ours");
}

/// A marker put on a paired record is read back, and changes nothing else.
pub async fn a_marker_can_be_put_on_a_record<H: Harness>() {
    let h = H::start().await;
    let id = h.user_creates(&h.sample(1));
    let read = live(&h, &id).await;
    let marker = Marker::new("paired-1");
    let marked = Patch { marker: Some(marker.clone()), ..patch(&read, Vec::new(), read.fields.clone()) };
    only(h.connector().update(&[marked]).await.expect("the batch succeeds")).expect("marked");
    let after = live(&h, &id).await;
    assert_eq!(after.marker, Some(marker).filter(|_| h.connector().capabilities().keeps_markers));
    assert!(after.fields == read.fields);
}

/// A deleted record is gone; deleting it once more succeeds, also beside one that is still there.
pub async fn deleting_twice_succeeds<H: Harness>() {
    let h = H::start().await;
    let (a, b) = (h.user_creates(&h.sample(1)), h.user_creates(&h.sample(2)));
    let (a, b) = (live(&h, &a).await, live(&h, &b).await);
    only(h.connector().delete(&[deletion(&a)]).await.expect("the batch succeeds")).expect("deleted");
    assert!(one(&h, &a.id).await.is_none());
    let both = h.connector().delete(&[deletion(&a), deletion(&b)]).await.expect("the batch succeeds");
    assert!(both.len() == 2 && both.iter().all(Result::is_ok));
    assert_eq!(h.records(), 0);
    only(h.connector().delete(&[deletion(&b)]).await.expect("the batch succeeds")).expect("already gone");
}

/// Where deletes are conditional, an edited record is not deleted.
pub async fn a_conditional_delete_spares_an_edited_record<H: Harness>() {
    let h = H::start().await;
    let id = h.user_creates(&h.sample(1));
    let read = live(&h, &id).await;
    h.user_edits(&id, &h.sample(2));
    let outcome = only(h.connector().delete(&[deletion(&read)]).await.expect("the batch is answered"));
    if h.connector().capabilities().conditional_deletes {
        assert_eq!(kind(outcome), ErrorKind::Conflict);
        assert_eq!(h.records(), 1);
    } else {
        outcome.expect("deleted");
        assert_eq!(h.records(), 0);
    }
}

/// A record that leaves the container is still reported, as outside; it can be moved in again.
pub async fn a_record_outside_the_container_is_outside<H: Harness>() {
    let h = H::start().await;
    let id = h.user_creates(&h.sample(1));
    h.settle();
    let (_, cursor, _) = drain(&h, None).await;
    if !h.user_moves_out(&id) {
        return;
    }
    h.settle();
    let (seen, _, _) = drain(&h, Some(&cursor)).await;
    assert_eq!(seen[&id].as_ref().expect("it exists").scope, Scope::Outside);
    let read = live(&h, &id).await;
    assert_eq!(read.scope, Scope::Outside);
    if !h.connector().capabilities().writable {
        return;
    }
    let moved = Patch { scope: Some(Scope::Inside), ..patch(&read, Vec::new(), read.fields.clone()) };
    only(h.connector().update(&[moved]).await.expect("the batch succeeds")).expect("moved in");
    let inside = live(&h, &id).await;
    assert_eq!(inside.scope, Scope::Inside);
    let moved = Patch { scope: Some(Scope::Outside), ..patch(&inside, Vec::new(), inside.fields.clone()) };
    only(h.connector().update(&[moved]).await.expect("the batch succeeds")).expect("moved out");
    let outside = live(&h, &id).await;
    assert_eq!(outside.scope, Scope::Outside);
    assert!(outside.fields == read.fields, "moving changes nothing else");
}

const NAMES: [&str; 2] = ["Tandem Conformance", "Tandem"];

/// The container is made once, however often it is asked for.
pub async fn a_container_is_made_once<H: Harness>() {
    let h = H::start().await;
    let Some(first) = h.connector().ensure_container(None, &NAMES).await.expect("made") else { return };
    let again = h.connector().ensure_container(None, &NAMES).await.expect("found");
    assert_eq!(again.as_ref(), Some(&first), "found without its id");
    let known = h.connector().ensure_container(Some(&first), &NAMES).await.expect("known");
    assert_eq!(known, Some(first));
}

/// The user may rename the container; it stays the same one, known by id and by our mark.
pub async fn a_renamed_container_stays_the_same<H: Harness>() {
    let h = H::start().await;
    let Some(first) = h.connector().ensure_container(None, &NAMES).await.expect("made") else { return };
    assert!(h.user_renames_container(&first));
    let by_id = h.connector().ensure_container(Some(&first), &NAMES).await.expect("known");
    let by_mark = h.connector().ensure_container(None, &NAMES).await.expect("found");
    assert_eq!((by_id, by_mark), (Some(first.clone()), Some(first)));
}

/// A deleted container is made anew.
pub async fn a_deleted_container_is_made_anew<H: Harness>() {
    let h = H::start().await;
    let Some(first) = h.connector().ensure_container(None, &NAMES).await.expect("made") else { return };
    h.user_deletes_container(&first);
    let second = h.connector().ensure_container(Some(&first), &NAMES).await.expect("made anew");
    assert!(second.is_some() && second != Some(first));
}

/// A lost answer to the creation of the container does not make two of it.
pub async fn a_container_with_a_lost_answer_is_found<H: Harness>() {
    let h = H::start().await;
    h.inject(Fault::LoseAnswer);
    let lost = h.connector().ensure_container(None, &NAMES).await;
    if matches!(lost, Ok(None)) {
        return;
    }
    let first = h.connector().ensure_container(None, &NAMES).await.expect("made or found");
    assert_eq!(h.connector().ensure_container(None, &NAMES).await.expect("found"), first);
}

/// Each fault has its kind, on reads and on writes, and none of them writes anything.
pub async fn faults_are_named<H: Harness>() {
    let h = H::start().await;
    let id = h.user_creates(&h.sample(1));
    let read = live(&h, &id).await;
    let before = h.writes();
    let throttled = ErrorKind::Throttled { retry_after: Some(Duration::from_secs(17)) };
    let faults = [
        (Fault::ServerError, ErrorKind::Retryable),
        (Fault::LoseRequest, ErrorKind::Retryable),
        (Fault::Throttle(17), throttled),
        (Fault::Forbidden, ErrorKind::Forbidden),
    ];
    for (fault, wanted) in faults {
        h.inject(fault);
        assert_eq!(kind(h.connector().changes(None).await), wanted, "{fault:?} while listing");
        // A side that tells only changes may know what it is asked for.
        if h.connector().tells_only_changes().is_none() {
            h.inject(fault);
            assert_eq!(kind(h.connector().get(std::slice::from_ref(&id)).await.map(|f| f.len())), wanted, "{fault:?}");
        }
        if !h.connector().capabilities().writable {
            continue;
        }
        h.inject(fault);
        let drafted = h.connector().create(&[draft(&h, 2)]).await;
        assert_eq!(kind(drafted.and_then(only)), wanted, "{fault:?} while creating");
        h.inject(fault);
        let updated = h.connector().update(&[retexted(&h, &read, "ours")]).await;
        assert_eq!(kind(updated.and_then(only)), wanted, "{fault:?} while updating");
        h.inject(fault);
        let deleted = h.connector().delete(&[deletion(&read)]).await;
        assert_eq!(kind(deleted.and_then(only)), wanted, "{fault:?} while deleting");
    }
    assert_eq!(h.writes(), before);
    assert_eq!(h.records(), 1);
}

/// A revoked grant is named; only the user can repair it.
pub async fn a_revoked_grant_is_named<H: Harness>() {
    let h = H::start().await;
    h.inject(Fault::RevokeGrant);
    assert_eq!(kind(h.connector().changes(None).await), ErrorKind::AuthRevoked);
    if h.connector().capabilities().writable {
        let drafted = h.connector().create(&[draft(&h, 1)]).await;
        assert_eq!(kind(drafted.and_then(only)), ErrorKind::AuthRevoked);
    }
}

/// A side that is only read refuses every write as a missing right; nothing becomes of it.
pub async fn a_side_that_is_only_read_says_so<H: Harness>() {
    let h = H::start().await;
    assert!(!h.connector().capabilities().writable);
    let id = h.user_creates(&h.sample(1));
    let read = live(&h, &id).await;
    assert_eq!(kind(h.connector().create(&[draft(&h, 2)]).await.and_then(only)), ErrorKind::Forbidden);
    let patch = retexted(&h, &read, "ours");
    assert_eq!(kind(h.connector().update(&[patch]).await.and_then(only)), ErrorKind::Forbidden);
    assert_eq!(kind(h.connector().delete(&[deletion(&read)]).await.and_then(only)), ErrorKind::Forbidden);
    assert_eq!((h.writes(), h.records()), (0, 1));
}

/// An empty batch asks for nothing.
pub async fn an_empty_batch_asks_for_nothing<H: Harness>() {
    let h = H::start().await;
    assert!(h.connector().get(&[]).await.expect("nothing to read").is_empty());
    assert!(h.connector().create(&[]).await.expect("nothing to create").is_empty());
    assert!(h.connector().update(&[]).await.expect("nothing to update").is_empty());
    assert!(h.connector().delete(&[]).await.expect("nothing to delete").is_empty());
}

/// The schema names every field of a record once, has a label for each, and admits what the side itself shows.
pub async fn the_schema_says_what_it_takes<H: Harness>() {
    let h = H::start().await;
    let schema = h.connector().schema().await.expect("the schema is read");
    let mut names: Vec<&Field> = schema.iter().map(|field| &field.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), schema.len(), "each field once");
    assert!(schema.iter().all(|field| !field.label.is_empty()));
    let sample = h.sample(1);
    let written: Vec<Field> = sample.iter().map(|(name, _)| name.clone()).collect();
    for name in written.iter().filter(|name| !name.as_str().starts_with("custom.")) {
        assert!(names.contains(&name), "{name} is in the schema");
    }
    tandem_core::schema::check(&schema, &sample, None).expect("what the side shows fits the side");
}

/// Where a side says so, a custom field that nobody has named before is there once it was written.
pub async fn a_custom_field_is_made_by_being_written<H: Harness>() {
    let h = H::start().await;
    if !h.connector().makes_custom_fields() {
        return;
    }
    let fresh = Field::named("custom.never_named_before");
    let mut draft = draft(&h, 1);
    draft.fields.set(fresh.clone(), Value::Text("new".to_owned()));
    let outcomes = h.connector().create(std::slice::from_ref(&draft)).await.expect("the batch succeeds");
    let written = only(outcomes).expect("created");
    assert_eq!(live(&h, &written.id).await.fields.text(&fresh), "new");
}

/// One `#[tokio::test]` a promise; for a side that is only read, those that it can keep: `(only_read MyHarness)`.
#[macro_export]
macro_rules! connector_conformance {
    ($harness:ty) => {
        $crate::connector_conformance!(@each $harness:
            a_full_listing_is_complete, an_empty_listing_ends, a_cursor_yields_only_later_changes,
            a_cursor_can_be_replayed, nothing_falls_between_listing_and_delta, a_deletion_is_reported,
            an_expired_cursor_is_named, a_cursor_of_another_release_is_expired, a_read_by_id_proves_absence,
            a_created_record_reads_back, batches_up_to_the_limit_are_answered_in_order,
            a_create_with_a_lost_answer_is_found, a_create_that_never_arrived_is_not_found,
            an_update_changes_what_it_names, an_emptied_field_is_empty, unmapped_fields_survive_an_update,
            a_stale_version_is_a_conflict_for_that_record_alone, an_update_of_a_gone_record_says_so,
            a_replayed_update_is_a_conflict, a_marker_can_be_put_on_a_record, deleting_twice_succeeds,
            a_conditional_delete_spares_an_edited_record, a_record_outside_the_container_is_outside,
            a_container_is_made_once, a_renamed_container_stays_the_same, a_deleted_container_is_made_anew,
            a_container_with_a_lost_answer_is_found, faults_are_named, a_revoked_grant_is_named,
            an_empty_batch_asks_for_nothing, the_schema_says_what_it_takes,
            a_custom_field_is_made_by_being_written
        );
    };
    (only_read $harness:ty) => {
        $crate::connector_conformance!(@each $harness:
            a_full_listing_is_complete, an_empty_listing_ends, a_cursor_yields_only_later_changes,
            a_cursor_can_be_replayed, nothing_falls_between_listing_and_delta, a_deletion_is_reported,
            an_expired_cursor_is_named, a_cursor_of_another_release_is_expired, a_read_by_id_proves_absence,
            a_record_outside_the_container_is_outside, faults_are_named, a_revoked_grant_is_named,
            an_empty_batch_asks_for_nothing, the_schema_says_what_it_takes, a_side_that_is_only_read_says_so
        );
    };
    (@each $harness:ty: $($promise:ident),+) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::conformance::$promise::<$harness>().await;
            }
        )+
    };
}
