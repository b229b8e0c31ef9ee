//! One kind of record at one provider for one connected account.
use crate::error::Result;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use tandem_core::record::{ContainerId, Field, Fields, Marker, RemoteId, Scope, Version};
use tandem_core::schema::FieldSchema;
use tandem_core::{contact, event};

/// The provider's opaque mark in its change feed. Stored as it came, never looked into outside its connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// A record as it is at the provider now.
#[derive(Clone)]
pub struct Fetched {
    /// The provider's id.
    pub id: RemoteId,
    /// Its version at the time of reading: the precondition of a later write.
    pub version: Version,
    /// Inside or outside the container that bounds this side.
    pub scope: Scope,
    /// Our marker, where one is on it.
    pub marker: Option<Marker>,
    /// Its canonical fields (every field this connector can say; absent = empty).
    pub fields: Fields,
    /// When a person last changed it, where the provider says (for `newest_wins`).
    pub modified_at: Option<jiff::Timestamp>,
    /// The wire form, handed back on [`Patch`] so that a write keeps what the canonical form cannot say.
    pub raw: serde_json::Value,
}

impl Fetched {
    /// A record that is there, for all we know, and whose fields nobody can read: outside, so that nothing follows for the
    /// other side's copy. `version` must differ from that of any readable state.
    pub fn out_of_reach(id: RemoteId, version: Version) -> Fetched {
        Fetched {
            id,
            version,
            scope: Scope::Outside,
            marker: None,
            fields: Fields::new(),
            modified_at: None,
            raw: serde_json::Value::Null,
        }
    }
}

/// A record is personal data: `Debug` shows ids and shape.
impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("scope", &self.scope)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// What a side answers about a record that is asked for by its id.
#[derive(Clone, Debug)]
pub enum Known {
    /// It is there.
    There(Box<Fetched>),
    /// It is proved not to be there.
    Gone,
    /// The side tells nothing of it (any more): it may be there or not ([`Connector::tells_only_changes`]).
    Untold,
}

impl Known {
    /// The record, where it is known to be there.
    pub fn copy(self) -> Option<Fetched> {
        match self {
            Known::There(copy) => Some(*copy),
            Known::Gone | Known::Untold => None,
        }
    }
}

/// One observed change.
#[derive(Clone, Debug)]
pub enum Change {
    /// Created or changed, or (in a full listing) just there.
    Upsert(Box<Fetched>),
    /// There, in this version; what it says was not read. The engine reads it by [`Connector::get`]; of a listing that only
    /// looks for what has left, not where it knows this version. For providers whose listing shows less than the record.
    Seen {
        /// Which record.
        id: RemoteId,
        /// The version that [`Fetched::version`] of this state would have.
        version: Version,
    },
    /// Proved gone: the provider says so. A record that merely is not listed is no tombstone.
    Tombstone {
        /// Which record.
        id: RemoteId,
    },
    /// There, but it cannot be read into canonical form; it is set aside with the reason and stops nothing.
    Unreadable {
        /// Which record.
        id: RemoteId,
        /// One sentence for people, free of personal data.
        reason: String,
    },
}

/// A bounded slice of the change feed.
#[derive(Clone, Debug)]
pub struct ChangePage {
    /// The changes, in the provider's order. One record may occur more than once; the last one counts.
    pub changes: Vec<Change>,
    /// Where to go on.
    pub next: Next,
    /// How many records the whole listing has, where the provider says (for progress).
    pub total: Option<u64>,
}

/// How a page ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More pages follow in this listing.
    More(Cursor),
    /// Caught up; start here next time.
    CaughtUp(Cursor),
    /// Caught up with all that the feed tells, but it does not tell everything: records may have left without a word
    /// (deleted, or gone from a list). The engine lists the side again and looks up what is no longer there.
    Relist,
}

/// A record to create.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Goes onto the new record, so that it is found again after a lost answer.
    pub marker: Marker,
    /// What it says.
    pub fields: Fields,
}

/// A change to an existing record.
#[derive(Clone)]
pub struct Patch {
    /// Which record.
    pub id: RemoteId,
    /// Apply only if the record still has this version; else [`Conflict`](crate::error::ErrorKind::Conflict).
    pub expect: Version,
    /// The fields to write; a field of `changed` that is absent in `fields` is emptied.
    pub changed: Vec<Field>,
    /// The values after the change.
    pub fields: Fields,
    /// Move it into or out of the container; `None` leaves its membership alone.
    pub scope: Option<Scope>,
    /// Put the marker on it (pairing a record that we did not create).
    pub marker: Option<Marker>,
    /// [`Fetched::raw`] of the same reading as `expect`.
    pub raw: serde_json::Value,
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patch")
            .field("id", &self.id)
            .field("changed", &self.changed)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// A record to delete.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// Which record.
    pub id: RemoteId,
    /// Only if it still has this version, where the provider can check that.
    pub expect: Version,
}

/// What a write answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The record's id (new after a create).
    pub id: RemoteId,
    /// Its version after the write: the same mark that a later reading of the unchanged record shows.
    /// (People: the CONTACT source's etag, as `person.etag` also depends on the fields asked for.)
    pub version: Version,
    /// The canonical fields as the provider shows them after the write, where it answers them: what it spells its own
    /// way must not look like a person's edit later.
    pub shown: Option<Fields>,
}

/// One result per item of a batch, in the batch's order.
pub type Outcomes<T> = Vec<Result<T>>;

/// What a connector can do. Every `true` is a promise that the conformance suite holds it to;
/// every `false` stands in its README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Records can be created, updated and deleted.
    pub writable: bool,
    /// The feed itself reports deletions; otherwise only a complete listing shows them, and the feed asks for one by
    /// [`Next::Relist`] when something may have gone.
    pub reports_tombstones: bool,
    /// Updates honour [`Patch::expect`].
    pub conditional_updates: bool,
    /// Deletes honour [`Deletion::expect`].
    pub conditional_deletes: bool,
    /// Creating the same marker twice makes one record. Without it the engine writes an intent first and adopts by
    /// [`Connector::find_made`].
    pub idempotent_creates: bool,
    /// [`Draft::marker`] and [`Patch::marker`] are kept on the record and shown as [`Fetched::marker`]. Without it a record
    /// that we made is known by what it says alone.
    pub keeps_markers: bool,
    /// Cursors may expire and are then reported as `CursorExpired`.
    pub cursors_expire: bool,
    /// The feed may show, for a while, a state from before our own last write (People: "several minutes").
    pub delta_lags: bool,
    /// Writes of one account must go one after the other.
    pub sequential_writes: bool,
    /// Most records [`Connector::get`] takes at once.
    pub get_batch: usize,
    /// Most drafts [`Connector::create`] takes at once.
    pub create_batch: usize,
    /// Most patches [`Connector::update`] takes at once.
    pub update_batch: usize,
    /// Most deletions [`Connector::delete`] takes at once.
    pub delete_batch: usize,
}

/// A choice that the settings page can offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The id that goes into the setting.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// One kind of record at one provider, opened for one account and (where set) bounded by one container.
///
/// Every call is one bounded piece of work; the engine decides about repeats. A batch call fails as a whole
/// (`Err`) when it is unknown or certain that no item was treated by itself, else it answers per item.
#[async_trait]
pub trait Connector: Send + Sync {
    /// `google`, `builtin`, …
    fn provider(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The longest that a page may take because the provider's pace is kept by waiting inside a call. A job with less
    /// time left begins no further page.
    fn longest_pause(&self) -> Duration {
        Duration::ZERO
    }

    /// Reads one page of changes. `None` starts a full listing, whose last page answers the cursor of the delta.
    /// With a container, records outside it are still reported (as [`Scope::Outside`]) where the feed shows them.
    async fn changes(&self, from: Option<&Cursor>) -> Result<ChangePage>;

    /// Reads records by id, in that order; `None` is proof that the record does not exist.
    /// At most [`Capabilities::get_batch`].
    async fn get(&self, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>>;

    /// What people call these records, in that order; `None` where one is not there. It names also what [`get`](Self::get)
    /// cannot say because it cannot be read. At most [`Capabilities::get_batch`].
    async fn titles(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        let title = |copy: Fetched| event::title(&copy.fields).unwrap_or_else(|| contact::title(&copy.fields));
        Ok(self.get(ids).await?.into_iter().map(|copy| copy.map(title)).collect())
    }

    /// Creates records, inside the container. At most [`Capabilities::create_batch`].
    async fn create(&self, drafts: &[Draft]) -> Result<Outcomes<Written>>;

    /// Changes records. At most [`Capabilities::update_batch`]. A record that is gone answers `NotFound`.
    async fn update(&self, patches: &[Patch]) -> Result<Outcomes<Written>>;

    /// Deletes records. Deleting what is already gone succeeds. At most [`Capabilities::delete_batch`].
    async fn delete(&self, deletions: &[Deletion]) -> Result<Outcomes<()>>;

    /// Finds what was made of these drafts after a lost answer, reading what the provider holds now and not the lagging
    /// feed: by marker, or, where the provider keeps none, a record made lately that says the same. Each record with the
    /// marker of its draft; drafts that nothing was made of are left out. Needed only without `idempotent_creates`.
    async fn find_made(&self, drafts: &[Draft]) -> Result<Vec<(Marker, Fetched)>>;

    /// Makes sure that the container exists: the one with this id, else one that we made before (known by our own
    /// mark on it, or by one of `names`), else a new one called `names[0]`. `None` where the kind has none.
    async fn ensure_container(&self, id: Option<&ContainerId>, names: &[&str]) -> Result<Option<ContainerId>>;

    /// The fields that can be mapped, as this account has them: standard ones, then custom ones (`custom.<name>`).
    /// What is written is judged by them before it is sent ([`tandem_core::schema::check`]).
    async fn schema(&self) -> Result<Vec<FieldSchema>>;

    /// Whether a custom field comes into being by being written: then any `custom.<name>` can be mapped, not only those
    /// that [`schema`](Self::schema) lists.
    fn makes_custom_fields(&self) -> bool {
        false
    }

    /// Whether this one record may be written at all: what comes from a calendar for display flows one way, whatever the
    /// sync's direction.
    fn takes_writes_to(&self, id: &RemoteId) -> bool {
        let _ = id;
        true
    }

    /// Whether a record is only shown here and is not this side's to hand on: an appointment that came from a calendar and
    /// that no person has made a meeting, or a colleague's that the user takes part in.
    fn only_shows(&self, copy: &Fetched) -> bool {
        let _ = copy;
        false
    }

    /// Whether what people change on this one record goes to the other side.
    fn gives_changes_of(&self, id: &RemoteId) -> bool {
        let _ = id;
        true
    }

    /// Why it would not take such records as new ones at all, in one sentence for people, in their order; `None`: it would.
    /// They are excluded, not failing. What [`schema`](Self::schema) says is judged besides.
    async fn refuses(&self, fields: &[Fields]) -> Result<Vec<Option<String>>> {
        Ok(vec![None; fields.len()])
    }

    /// Where the provider tells what changes and shows no record besides, what people miss by that, in one sentence;
    /// `None`: everything there is can be listed and read. Of such a side a record that a listing does not show proves
    /// nothing, [`look_up`](Self::look_up) may answer [`Known::Untold`], and a cursor that expired means that changes are
    /// lost, which the engine says to people in the words of that error.
    fn tells_only_changes(&self) -> Option<&'static str> {
        None
    }

    /// What the settings name and this side cannot read, as `at` (a cursor of its own) has it: in one sentence for people,
    /// with the name and its setting. A calendar that is gone is one; nothing follows for the records that came from it.
    fn out_of_reach(&self, at: &Cursor) -> Option<String> {
        let _ = at;
        None
    }

    /// As [`get`](Self::get), for a side that may have nothing to say of a record. At most [`Capabilities::get_batch`].
    async fn look_up(&self, ids: &[RemoteId]) -> Result<Vec<Known>> {
        let known = |copy: Option<Fetched>| copy.map_or(Known::Gone, |copy| Known::There(Box::new(copy)));
        Ok(self.get(ids).await?.into_iter().map(known).collect())
    }

    /// Whether it can say that an appointment repeats. To one that cannot, the engine shows a series as its occurrences.
    fn keeps_recurrence(&self) -> bool {
        true
    }

    /// Whether it tells what other calendars bring from its own appointments, as grey blocks. For one that does not, and
    /// where the sync wants blocks, the engine keeps them.
    fn keeps_blocks(&self) -> bool {
        false
    }

    /// Whether the provider tells the guests by itself of what people change in it: nobody else does then.
    fn invites_guests(&self) -> bool {
        false
    }

    /// The same account, whose writes tell the guests by mail. Without it, and unless the engine asks for it (a person's
    /// fresh edit), no write tells anybody.
    fn notifying(&self) -> Option<&dyn Connector> {
        None
    }

    /// What settings can be chosen from, by setting: `remote_group`, `crm_list`, …. Fields are in [`schema`](Self::schema).
    async fn choices(&self) -> Result<Vec<(&'static str, Vec<Choice>)>>;
}
