//! One worker's stay with one sync: what it reads by, what it has, and why it leaves.
use crate::desk::container_by_name;
use crate::occurrences::{Occurrences, Reach};
use crate::{Budget, Engine, Opening};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tandem_core::policy::{Direction, Policy};
use tandem_core::profile::{Profile, Settings};
use tandem_core::record::{ContainerId, Marker, RemoteId, RowKey, Side, Version};
use tandem_core::schema::FieldSchema;
use tandem_ports::connector::{Connector, Fetched, Known};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_store::StoreError;
use tandem_store::checkpoint::{Checkpoint, Stage};
use tandem_store::connection::Connection;
use tandem_store::lease::Lease;
use tandem_store::link::Row;
use tandem_store::sync::Sync;

/// Why a session ends before the sync has caught up.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Time is up; a continuation goes on.
    OutOfBudget,
    /// A provider asks us to wait, or does not answer.
    Wait {
        /// How long, where it says; else the backoff's turn.
        after: Option<Duration>,
        /// The side whose account must rest, whichever sync it is used by.
        account: Option<Side>,
        /// For people.
        message: String,
    },
    /// Too many deletions.
    Held {
        /// How many it would delete.
        deletes: u64,
        /// How many it may.
        allowed: u64,
    },
    /// A person must act.
    Paused {
        /// For programs.
        code: &'static str,
        /// For people.
        message: String,
        /// The connection that needs its user, if that is why.
        reconnect: Option<Side>,
    },
    /// As the sync is set there is nothing that could be carried either way. That is no failure: a person chooses.
    NothingToCarry {
        /// What to choose, for people.
        message: String,
    },
    /// The first run's vendor limit is reached, and a person must choose less.
    FirstLimit {
        /// The limit.
        limit: u64,
    },
    /// Writing to this side is refused: the session begins again without.
    Barred {
        /// Which side.
        side: Side,
        /// Which right is missing, for people.
        message: String,
    },
    /// What the session goes by has changed: begin again.
    Again,
    /// Our own store or queue failed, or the lease is lost: the job is repeated.
    Broken(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Broken(error)
    }
}

/// What a failed call on `side` means for the session. The kinds that mean something for one record only do not get here.
pub(crate) fn stop_for(side: Side, error: &ConnectorError) -> Stop {
    match error.kind {
        ErrorKind::Throttled { retry_after } => {
            let message = format!("Waiting for {}: {}", error.provider, error.detail);
            Stop::Wait { after: retry_after, account: Some(side), message }
        }
        ErrorKind::AuthRevoked => Stop::Paused {
            code: "reconnect_needed",
            message: format!("The {} account must be connected again.", error.provider),
            reconnect: Some(side),
        },
        ErrorKind::Forbidden => Stop::Paused { code: "missing_right", message: error.detail.clone(), reconnect: None },
        ErrorKind::Retryable => {
            let message = format!("{} ({}); trying again.", error.detail, error.operation);
            Stop::Wait { after: None, account: None, message }
        }
        ErrorKind::CursorExpired | ErrorKind::Conflict | ErrorKind::NotFound | ErrorKind::Permanent => Stop::Wait {
            after: None,
            account: None,
            message: format!("{} refused {}: {}", error.provider, error.operation, error.detail),
        },
    }
}

/// Unpaired remote records by hashed match key; loaded when first needed, so that matching costs no request a record.
pub(crate) type Candidates = HashMap<String, Vec<RowKey>>;

/// What a session goes by; nothing in it changes while pages flow.
pub(crate) struct Session<'a> {
    pub engine: &'a Engine,
    pub sync: &'a Sync,
    pub profile: &'static Profile,
    pub settings: &'a Settings,
    pub policy: Policy,
    pub left: Arc<dyn Connector>,
    pub right: Arc<dyn Connector>,
    /// The right side, where it shows series as their occurrences.
    pub series: Option<Arc<Occurrences>>,
    pub left_account: String,
    pub right_account: String,
    pub candidates: Mutex<Option<Candidates>>,
    /// Versions of records that a listing showed and that were read for it; so a record that the next page shows once
    /// more is not read once more.
    pub read_lately: Mutex<HashMap<RemoteId, Version>>,
    /// The remote container is new: who is outside it has not left it.
    pub regrouping: bool,
    /// What each side can hold, once somebody was about to write there.
    pub schemas: Mutex<HashMap<Side, Arc<[FieldSchema]>>>,
    /// Until when this session may begin new work.
    pub budget: &'a Budget,
    /// How many records are linked, once somebody had to count them.
    pub linked: Mutex<Option<u64>>,
    /// Only look: nothing is written anywhere (preview). Unpaired remote records that a look came by are kept here.
    pub dry: Option<Mutex<HashMap<RowKey, Row>>>,
}

/// Two quick repeats of a read that did not answer; longer waits are the schedule's business.
const QUICK_TRIES: u32 = 3;

impl<'a> Session<'a> {
    /// Opens both sides.
    pub async fn open(
        engine: &'a Engine,
        sync: &'a Sync,
        (profile, settings): (&'static Profile, &'a Settings),
        (crm, remote): (&Connection, &Connection),
        container: Option<&ContainerId>,
        budget: &'a Budget,
    ) -> Result<Session<'a>, Stop> {
        let ask =
            |side, connection, container| Opening { sync: &sync.id, connection, profile, settings, side, container };
        let list = settings.crm_list.clone().map(ContainerId::new);
        let left = engine.open_side(ask(Side::Left, crm, list.as_ref())).await?;
        let right = engine.open_side(ask(Side::Right, remote, container)).await?;
        let policy = permitted(profile.policy(settings), left.as_ref())?;
        let window = settings.calendar.as_ref().filter(|_| !left.keeps_recurrence());
        let series = window.map(|calendar| {
            let reach = Reach { past: calendar.window_past_days, future: calendar.window_future_days };
            Arc::new(Occurrences::round(Arc::clone(&right), Arc::clone(&engine.clock), reach))
        });
        let right = series.clone().map_or(right, |series| series as Arc<dyn Connector>);
        Ok(Session {
            engine,
            sync,
            profile,
            settings,
            policy,
            left,
            right,
            series,
            left_account: format!("{}:{}", crm.provider, crm.account.id),
            right_account: format!("{}:{}", remote.provider, remote.account.id),
            candidates: Mutex::new(None),
            read_lately: Mutex::default(),
            regrouping: false,
            schemas: Mutex::default(),
            budget,
            linked: Mutex::new(None),
            dry: None,
        })
    }

    /// The connector of a side.
    pub fn connector(&self, side: Side) -> &dyn Connector {
        match side {
            Side::Left => self.left.as_ref(),
            Side::Right => self.right.as_ref(),
        }
    }

    /// The marker of copies of a record whose origin is on this side.
    pub fn marker(&self, origin: Side, id: &RemoteId) -> Marker {
        let account = match origin {
            Side::Left => &self.left_account,
            Side::Right => &self.right_account,
        };
        Marker::new(format!("{account}:{id}"))
    }

    /// The names under which the remote container is made or adopted.
    pub fn container_names(&self) -> Vec<&str> {
        match &self.settings.remote_group {
            Some(name) => vec![name],
            None => self.profile.group_names.to_vec(),
        }
    }

    /// The remote container where none is known yet: made or adopted, or, where this sync may not write there, the chosen
    /// one as it is. `None` where the whole account is meant.
    pub async fn first_container(&self) -> Result<Option<ContainerId>, ReadFailure> {
        let names = self.container_names();
        if self.policy.direction.may_write(Side::Right) {
            return self.patiently(Side::Right, || self.right.ensure_container(None, &names)).await;
        }
        if self.settings.remote_group.is_none() {
            return Ok(None);
        }
        let choices = self.patiently(Side::Right, || self.right.choices()).await?;
        let found = container_by_name(&choices, &names);
        let missing = || Stop::Paused {
            code: "group_gone",
            message: "The chosen group is not there; choose another one.".to_owned(),
            reconnect: None,
        };
        Ok(Some(found.ok_or_else(missing)?))
    }

    /// Records that were in the container are not any more. Was it they that left, or is it the container that is gone?
    pub async fn recheck_container(&self, known: Option<&ContainerId>) -> Result<(), ReadFailure> {
        let Some(known) = known else { return Ok(()) };
        let found = if self.policy.direction.may_write(Side::Right) {
            let names = self.container_names();
            self.patiently(Side::Right, || self.right.ensure_container(Some(known), &names)).await?
        } else {
            let choices = self.patiently(Side::Right, || self.right.choices()).await?;
            container_by_name(&choices, &[known.as_str()])
        };
        match found {
            Some(found) if found == *known => Ok(()),
            Some(found) => Err(ReadFailure::NewContainer(found)),
            None => {
                let message = "The chosen group is gone; choose another one.".to_owned();
                Err(Stop::Paused { code: "group_gone", message, reconnect: None }.into())
            }
        }
    }

    /// A read with two quick repeats.
    pub async fn patiently<'c, T>(
        &self,
        side: Side,
        call: impl Fn() -> BoxFuture<'c, Result<T, ConnectorError>>,
    ) -> Result<T, ReadFailure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match call().await {
                Ok(done) => return Ok(done),
                Err(error) if error.kind == ErrorKind::Retryable && tries < QUICK_TRIES => {
                    tracing::warn!(error = %error, cause = %cause(&error), "read again");
                    self.engine.clock.sleep(Duration::from_millis(200 << tries)).await;
                }
                Err(error) if error.kind == ErrorKind::CursorExpired => {
                    return Err(ReadFailure::CursorExpired(side, error.detail));
                }
                Err(error) => return Err(ReadFailure::Stop(stop_for(side, &error))),
            }
        }
    }

    /// What a side can hold; read once a session.
    pub async fn schema(&self, side: Side) -> Result<Arc<[FieldSchema]>, ReadFailure> {
        let known = self.schemas.lock().expect("not poisoned").get(&side).cloned();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let connector = self.connector(side);
        let schema: Arc<[FieldSchema]> = self.patiently(side, || connector.schema()).await?.into();
        self.schemas.lock().expect("not poisoned").insert(side, Arc::clone(&schema));
        Ok(schema)
    }

    /// Records of a side by id, in that order, in as many calls as its limit demands.
    pub async fn look_up(&self, side: Side, ids: &[RemoteId]) -> Result<Vec<Known>, ReadFailure> {
        let connector = self.connector(side);
        let mut all = Vec::with_capacity(ids.len());
        for some in ids.chunks(connector.capabilities().get_batch.max(1)) {
            all.extend(self.patiently(side, || connector.look_up(some)).await?);
        }
        Ok(all)
    }

    /// The same where a record that its side tells nothing of is as good as none.
    pub async fn fetch(&self, side: Side, ids: &[RemoteId]) -> Result<Vec<Option<Fetched>>, ReadFailure> {
        Ok(self.look_up(side, ids).await?.into_iter().map(Known::copy).collect())
    }
}

/// A CRM whose records cannot be written is only read, whatever the direction.
fn permitted(policy: Policy, left: &dyn Connector) -> Result<Policy, Stop> {
    if left.capabilities().writable || !policy.direction.may_write(Side::Left) {
        return Ok(policy);
    }
    if policy.direction.may_write(Side::Right) {
        return Ok(Policy { direction: Direction::CrmToRemote, ..policy });
    }
    let message = format!(
        "As this sync is set nothing is carried: these records of {} can only be read, and nothing is written at the \
         remote. Choose the calendar that appointments go to (`default_calendar`, and a direction to it), or let the \
         remote's become tasks (`remote_events`).",
        left.provider()
    );
    Err(Stop::NothingToCarry { message })
}

impl Engine {
    async fn open_side(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, Stop> {
        self.connectors.open(ask).await.map_err(|error| stop_for(ask.side, &error))
    }
}

/// The cause of an error in a word: its text, never its raw form, which may hold what the provider answered.
pub(crate) fn cause(error: &ConnectorError) -> String {
    error.source.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Why a read came to nothing.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    /// This side must be listed in full again, for this reason.
    CursorExpired(Side, String),
    /// The remote container was gone, and this is the new one.
    NewContainer(ContainerId),
    /// The session cannot go on.
    Stop(Stop),
}

impl From<StoreError> for ReadFailure {
    fn from(error: StoreError) -> Self {
        ReadFailure::Stop(Stop::Broken(error))
    }
}
impl From<Stop> for ReadFailure {
    fn from(stop: Stop) -> Self {
        ReadFailure::Stop(stop)
    }
}

/// What to read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A page of a side's listing or feed.
    Page(Side),
    /// Rows that a complete listing did not show.
    Sweep(Side),
    /// Unpaired remote records, to be carried to the CRM once everything in the CRM is known.
    Adopt,
    /// Failing records, to be tried again.
    Retry,
    /// Deletions that waited for the end of the run.
    Retire,
}

/// What is to be done next in this run, as the checkpoint has it; `None` when both sides have caught up. `put_off` is left
/// for the next run. The remote side goes first, so that what is there already is known before anything is made.
pub(crate) fn next_task(checkpoint: &Checkpoint, put_off: &[Task]) -> Option<Task> {
    let is_put_off = |side| put_off.contains(&Task::Page(side)) || put_off.contains(&Task::Sweep(side));
    // Nothing is made at the remote before it is known who is there, and nothing in the CRM either.
    let listing = !matches!(checkpoint.right.stage, Stage::Following { .. });
    if listing && is_put_off(Side::Right) {
        return None;
    }
    let feeds_are_read = !is_put_off(Side::Left) && !is_put_off(Side::Right);
    let sides = [Side::Right, Side::Left];
    let listed = sides.map(|side| match checkpoint.side(side).stage {
        Stage::Listing { .. } => Some(Task::Page(side)),
        Stage::Sweeping { .. } => Some(Task::Sweep(side)),
        Stage::Following { .. } => None,
    });
    let retry = checkpoint.retrying.is_some().then_some(Task::Retry);
    let followed = sides.map(|side| (!checkpoint.side(side).caught_up).then_some(Task::Page(side)));
    let adopt = (feeds_are_read && checkpoint.adopting.is_some()).then_some(Task::Adopt);
    let retire = (feeds_are_read && checkpoint.retiring.is_some()).then_some(Task::Retire);
    let all = listed.into_iter().chain([retry]).chain(followed).chain([adopt, retire]);
    all.flatten().find(|task| !put_off.contains(task))
}

/// What a session has and moves on.
pub(crate) struct Progress<'a> {
    pub checkpoint: Checkpoint,
    pub lease: Lease,
    pub budget: &'a Budget,
    /// Numbers the intents of this holder.
    pub intents: u64,
    /// Whether the container was looked up in this session, before the first write into it.
    pub container_checked: bool,
    /// Whether the vendor's limits have left something for the next run.
    pub put_off: bool,
}
