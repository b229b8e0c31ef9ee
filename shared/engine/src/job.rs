//! One job: take the lease, work, leave everything as the next one needs it.
use crate::session::{Progress, Session, Stop};
use crate::{Budget, Engine, EngineError};
use jiff::Timestamp;
use std::time::Duration;
use tandem_core::profile;
use tandem_core::record::{ConnectionId, RunId, Side};
use tandem_core::schedule;
use tandem_ports::infra::{Job, Trigger};
use tandem_store::StoreError;
use tandem_store::checkpoint::{Checkpoint, Full, Hold, Opening, Purpose, Stage, Walk};
use tandem_store::connection::{Connection, ConnectionState};
use tandem_store::lease::{Acquired, Lease};
use tandem_store::run::{Run, RunError, RunState};
use tandem_store::sync::{Sync, SyncChange, SyncState};

/// SQS delays a message at most this long; longer waits are the schedule's.
const MAX_DELAY: Duration = Duration::from_secs(900);
/// Rounds one job makes when the work is marked dirty again and again; the rest is the next job's.
const ROUNDS: u32 = 5;

/// How a run came to rest.
struct Rest {
    run: RunState,
    sync: SyncState,
    error: Option<RunError>,
    reason: Option<String>,
    due: Timestamp,
    /// Another job for the same run, after this delay.
    next: Option<Duration>,
}

impl Engine {
    /// Carries out one job within its budget. `Err` means that the job must be delivered again.
    pub async fn work(&self, job: &Job, budget: &Budget) -> Result<(), EngineError> {
        match job {
            Job::Shard { kind, shard } => self.fan_out(*kind, *shard, budget).await,
            Job::Sync { sync, trigger, .. } => {
                let Some(lease) = self.lease(sync, *trigger).await? else { return Ok(()) };
                let Some(opening) = self.store.open_run(sync).await? else { return Ok(()) };
                self.with_lease(lease, opening, job, budget).await
            }
        }
    }

    /// The lease, or `None` when somebody else works on it and knows that there is more to do.
    async fn lease(&self, sync: &tandem_core::record::SyncId, trigger: Trigger) -> Result<Option<Lease>, EngineError> {
        for _ in 0..3 {
            let now = self.clock.now();
            match self.store.acquire_lease(sync, now, now + self.config.lease).await? {
                Acquired::Lease(lease) => return Ok(Some(lease)),
                // The holder is at it; the schedule has nothing to add.
                Acquired::Busy if trigger == Trigger::Schedule => return Ok(None),
                Acquired::Busy if self.store.mark_dirty(sync, now).await? => return Ok(None),
                Acquired::Busy => {}
            }
        }
        Err(EngineError::Unavailable("the lease changes hands too fast".into()))
    }

    async fn with_lease(&self, lease: Lease, opening: Opening, job: &Job, budget: &Budget) -> Result<(), EngineError> {
        let Opening { mut sync, checkpoint, crm, remote, heard } = opening;
        let mut progress = Progress { checkpoint, lease, budget, intents: 0, container_checked: false, put_off: false };
        if !sync.enabled {
            let state = Some((SyncState::Idle, None));
            let mut change = SyncChange { state, current_run: Some(None), ..SyncChange::default() };
            if let Some(run) = progress.checkpoint.run.as_mut().filter(|run| !run.state.is_over()) {
                run.state = RunState::Failed;
                run.ended_at = Some(self.clock.now());
                let message = "This sync was switched off.".to_owned();
                run.error = Some(RunError { code: "disabled".to_owned(), message });
                change.last_run = Some(run.id.clone());
            }
            let hold = Hold::Release(change);
            return Ok(self.store.commit(&progress.lease, &sync, &progress.checkpoint, &hold).await?);
        }
        if sync.current_run.is_none() && matches!(job, Job::Sync { run: Some(_), .. }) {
            // The run that this job was sent for is over: somebody joined it, and it went round once more.
            let hold = Hold::Release(SyncChange::default());
            return match self.store.commit(&progress.lease, &sync, &progress.checkpoint, &hold).await {
                Ok(()) | Err(StoreError::Stale) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        self.begin_run(&mut sync, &mut progress, job, heard);
        // Before anything is read: what changes from now on is told, and what changed before is read.
        self.keep_channels(&sync, [(Side::Left, crm.as_ref()), (Side::Right, remote.as_ref())]).await;
        for rounds_left in (0..ROUNDS).rev() {
            let stopped = self.round(&sync, crm.as_ref(), remote.as_ref(), &mut progress).await;
            if let Err(Stop::Broken(error)) = stopped {
                // The next delivery need not wait for the lease to end. Where even this fails, it does.
                if let Err(again) = self.store.release(&progress.lease).await {
                    tracing::warn!(error = %again, "lease not given back; it ends by itself");
                }
                return Err(error.into());
            }
            let goes_round = matches!(stopped, Ok(()) | Err(Stop::OutOfBudget | Stop::Again));
            let mut rest = self.rest(&sync, &mut progress, stopped).await?;
            match self.leave(&sync, &mut progress, (&rest, Hold::Release), job).await {
                Ok(()) => return Ok(()),
                // Marked dirty while we worked: go round once more, unless we must wait or a person must act first.
                Err(StoreError::Stale) if self.store.clear_dirty(&progress.lease).await? => {
                    progress.checkpoint.left.caught_up = false;
                    progress.checkpoint.right.caught_up = false;
                    if goes_round && rounds_left > 0 {
                        continue;
                    }
                    if goes_round {
                        rest = self.goes_on();
                    }
                    return Ok(self.leave(&sync, &mut progress, (&rest, Hold::HandOver), job).await?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("the last round leaves")
    }

    /// Goes on with the run under way, or begins the one that was promised, or a new one.
    fn begin_run(&self, sync: &mut Sync, progress: &mut Progress<'_>, job: &Job, heard: i64) {
        let now = self.clock.now();
        let checkpoint = &mut progress.checkpoint;
        let Job::Sync { trigger, run: promised, .. } = job else { return };
        let promised = sync.current_run.clone().or_else(|| promised.clone());
        let under_way = checkpoint.run.as_ref().filter(|run| !run.state.is_over());
        let same = under_way.is_some_and(|run| promised.as_ref().is_none_or(|promised| *promised == run.id));
        if !same {
            let unique = format!("{:013x}-{:x}", now.as_millisecond(), progress.lease.fence);
            let mut run = Run::begin(&sync.id, *trigger, RunState::Running, now, &unique);
            if let Some(id) = promised.filter(|id| checkpoint.run.as_ref().is_none_or(|last| last.id != *id)) {
                run.id = id;
            }
            checkpoint.run = Some(run);
            for side in [Side::Left, Side::Right] {
                checkpoint.side_mut(side).caught_up = false;
                // A right that was missing may have come.
                checkpoint.side_mut(side).barred = None;
                if let Some(full) = checkpoint.side_mut(side).full.as_mut().filter(|_| *trigger == Trigger::Manual) {
                    full.until = now;
                }
            }
            checkpoint.missed.take_if(|missed| *trigger == Trigger::Manual || !missed.lasts);
            // Deletions that a run did not get to still wait.
            checkpoint.pending_deletes |= checkpoint.retiring.take().is_some();
            if std::mem::take(&mut checkpoint.retry_failing) {
                checkpoint.retrying = Some(Walk::default());
            }
        }
        // What was told while nobody worked on this run came after its feeds were read.
        if std::mem::replace(&mut checkpoint.heard, heard) != heard {
            checkpoint.left.caught_up = false;
            checkpoint.right.caught_up = false;
        }
        sync.current_run = checkpoint.run.as_ref().map(|run| run.id.clone());
    }

    /// Works on both sides until they have caught up, or something stops it.
    async fn round(
        &self,
        sync: &Sync,
        crm: Option<&Connection>,
        remote: Option<&Connection>,
        progress: &mut Progress<'_>,
    ) -> Result<(), Stop> {
        let now = self.clock.now();
        let (crm, remote) = (usable(Side::Left, crm, now)?, usable(Side::Right, remote, now)?);
        let Some(profile) = profile::profile(&sync.profile) else {
            let message = format!("This release has no profile `{}`.", sync.profile);
            return Err(Stop::Paused { code: "unknown_profile", message, reconnect: None });
        };
        let settings = profile.settings(&sync.settings).map_err(|invalid| Stop::Paused {
            code: "invalid_settings",
            message: invalid.to_string(),
            reconnect: None,
        })?;
        let lacks = |connection| self.lacks(connection, profile, settings.direction);
        if let Some(message) = [crm, remote].into_iter().find_map(lacks) {
            // Of its other scopes the account is as good as ever: its other syncs go on.
            return Err(Stop::Paused { code: "reconnect_needed", message, reconnect: None });
        }
        if let Some(rules) = &settings.mail {
            return self.mail_round(sync, (profile, &settings, rules), (crm, remote), progress).await;
        }
        self.heed_bounds(&settings, progress);
        if profile.files.is_some() {
            return self.files_round(sync, (profile, &settings), (crm, remote), progress).await;
        }
        // A session ends with `Again` when what it went by has changed; that happens a few times at most.
        for _ in 0..ROUNDS {
            let rules = (profile, &settings);
            let container = progress.checkpoint.container.clone();
            let budget = progress.budget;
            let mut session = Session::open(self, sync, rules, (crm, remote), container.as_ref(), budget).await?;
            if container.is_none() {
                let found = session.first_container().await.map_err(crate::pipeline::stop_of)?;
                progress.container_checked = found.is_some();
                if found.is_some() {
                    progress.checkpoint.container = found;
                    session.keep(progress, vec![]).await?;
                    let container = progress.checkpoint.container.clone();
                    session = Session::open(self, sync, rules, (crm, remote), container.as_ref(), budget).await?;
                }
            }
            session.regrouping = progress.checkpoint.right.regroups();
            session.recover(&mut progress.lease).await?;
            match session.run(progress).await {
                Err(Stop::Again) => {}
                other => return other,
            }
        }
        Err(Stop::OutOfBudget)
    }

    /// Other settings bound other records: the side is listed again.
    fn heed_bounds(&self, settings: &profile::Settings, progress: &mut Progress<'_>) {
        let checkpoint = &mut progress.checkpoint;
        for side in [Side::Left, Side::Right] {
            let bounds = settings.bounds(side);
            let known = checkpoint.side(side).bounds.clone();
            if known == bounds {
                continue;
            }
            let began = known != String::new();
            let group_changed = side == Side::Right && settings.group_bound() != group_of(&known);
            let progress = checkpoint.side_mut(side);
            progress.bounds = bounds;
            if began {
                progress.list_again(Purpose::Read);
                // Another segment is another first run, as long as none was completed.
                if !checkpoint.first_done {
                    checkpoint.created_first = 0;
                }
                if group_changed {
                    checkpoint.container = None;
                }
            }
        }
    }

    /// The next job goes on with the run at once.
    fn goes_on(&self) -> Rest {
        Rest {
            run: RunState::Running,
            sync: SyncState::Running,
            error: None,
            reason: None,
            due: self.clock.now() + self.config.watchdog,
            next: Some(Duration::ZERO),
        }
    }

    /// What the end of a round means for run and sync.
    async fn rest(
        &self,
        sync: &Sync,
        progress: &mut Progress<'_>,
        stopped: Result<(), Stop>,
    ) -> Result<Rest, EngineError> {
        let now = self.clock.now();
        let interval = interval(sync);
        let slot = schedule::next_slot(now, interval, sync.id.as_str());
        let at_rest =
            |run, sync, error: Option<RunError>, reason| Rest { run, sync, error, reason, due: slot, next: None };
        let error = |code: &str, message: &str| Some(RunError { code: code.to_owned(), message: message.to_owned() });
        let checkpoint = &mut progress.checkpoint;
        let attempt = std::mem::take(&mut checkpoint.attempt);
        Ok(match stopped {
            Ok(()) => {
                checkpoint.first_done = true;
                checkpoint.confirmed.take_if(|_| !progress.put_off);
                let (code, message) = left_undone(checkpoint, progress.put_off);
                let error = message.as_deref().and_then(|message| error(code, message));
                at_rest(RunState::Done, SyncState::Idle, error, message)
            }
            Err(Stop::OutOfBudget | Stop::Again | Stop::Barred { .. }) => self.goes_on(),
            Err(Stop::Wait { after, account, message }) => {
                checkpoint.attempt = attempt + 1;
                self.waiting(sync, attempt, (after, account), message).await?
            }
            Err(Stop::Held { deletes, allowed }) => {
                let message = format!(
                    "{deletes} records would be deleted, more than the {allowed} that this sync may delete by itself. \
                     Nothing was deleted. Confirm if that is right."
                );
                at_rest(RunState::Held, SyncState::Held, error("mass_delete", &message), Some(message))
            }
            Err(Stop::FirstLimit { limit }) => {
                let total = checkpoint.run.as_ref().map_or(0, |run| run.progress.total);
                let message = format!(
                    "The first synchronisation exports at most {limit} contacts, and there are {total}. Choose a segment \
                     with fewer than {limit} contacts first; after that all contacts can be exported."
                );
                let error = error("initial_limit_reached", &message);
                at_rest(RunState::Done, SyncState::Paused, error, Some(message))
            }
            Err(Stop::NothingToCarry { message }) => {
                at_rest(RunState::Done, SyncState::Idle, error("nothing_to_carry", &message), Some(message))
            }
            Err(Stop::Paused { code, message, reconnect }) => {
                if let Some(side) = reconnect {
                    self.store.mark_reconnect_needed(connection_of(sync, side)).await?;
                }
                let mut rest = at_rest(RunState::Failed, SyncState::Paused, error(code, &message), Some(message));
                if ["reconnect_needed", "connection_removed"].contains(&code) {
                    // Connecting again makes it due at once; till then there is nothing to look at every hour.
                    rest.due = now + Duration::from_secs(86_400);
                }
                rest
            }
            Err(Stop::Broken(error)) => return Err(error.into()),
        })
    }

    /// How a sync waits that was told to, or that failed for the moment; `attempt` are its waits before. A throttled
    /// account rests for its other syncs too, which need not ask to be told the same.
    async fn waiting(
        &self,
        sync: &Sync,
        attempt: u32,
        (after, account): (Option<Duration>, Option<Side>),
        message: String,
    ) -> Result<Rest, EngineError> {
        let now = self.clock.now();
        let jitter = u8::try_from(now.as_millisecond() % 256).unwrap_or(0);
        let after = after.unwrap_or_else(|| schedule::backoff(attempt, jitter)).max(Duration::from_secs(1));
        if let Some(side) = account {
            self.store.rest_connection(connection_of(sync, side), now + after).await?;
        }
        Ok(Rest {
            run: RunState::Waiting,
            sync: SyncState::Waiting,
            error: Some(RunError { code: "waiting".to_owned(), message: message.clone() }),
            reason: Some(format!("{message} Goes on at {:.0}.", now + after)),
            due: now + after + Duration::from_secs(60),
            next: (after <= MAX_DELAY).then_some(after),
        })
    }

    /// Writes how things are, gives the lease back, and enqueues the continuation.
    async fn leave(
        &self,
        sync: &Sync,
        progress: &mut Progress<'_>,
        (rest, hold): (&Rest, fn(SyncChange) -> Hold),
        job: &Job,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let over = rest.run.is_over();
        let mut checkpoint: Checkpoint = progress.checkpoint.clone();
        let run_id = checkpoint.run.as_ref().map(|run| run.id.clone());
        if let Some(run) = checkpoint.run.as_mut() {
            run.state = rest.run;
            run.error.clone_from(&rest.error);
            run.ended_at = over.then_some(now);
            if rest.run == RunState::Done && rest.error.is_none() {
                run.progress.total = run.progress.done;
            }
        }
        let change = SyncChange {
            state: Some((rest.sync, rest.reason.clone())),
            current_run: Some(run_id.clone().filter(|_| !over)),
            last_run: run_id.filter(|_| over),
            due: Some(rest.due),
        };
        let served = take_served(&mut checkpoint, over);
        self.store.commit(&progress.lease, sync, &checkpoint, &hold(change)).await?;
        self.forget_seen(sync, served).await;
        if let (Some(delay), Job::Sync { sync, kind, trigger, run, continuation }) = (rest.next, job) {
            let next = Job::Sync {
                sync: sync.clone(),
                kind: *kind,
                trigger: *trigger,
                run: run.clone(),
                continuation: continuation + 1,
            };
            let sent = self.queue.send(&[(next, delay)]).await;
            // The due index takes the sync up again all the same; this is only slower.
            if let Err(error) = sent {
                tracing::warn!(error = %error, source = ?error.0, "continuation not enqueued");
            }
        }
        Ok(())
    }

    /// Removes seen-sets that have served; they would expire by themselves, too.
    async fn forget_seen(&self, sync: &Sync, served: Vec<(Side, u64, u64)>) {
        for (side, generation, parts) in served {
            if let Err(error) = self.store.clear_seen(&sync.id, side, generation, parts).await {
                tracing::warn!(error = %error, "seen-set not removed; it expires");
            }
        }
    }
}

/// The seen-sets of listings that are complete, once the run is over: `(side, generation, parts)`.
fn take_served(checkpoint: &mut Checkpoint, over: bool) -> Vec<(Side, u64, u64)> {
    let mut served = Vec::new();
    for side in [Side::Left, Side::Right] {
        let progress = checkpoint.side_mut(side);
        if over && progress.seen_parts > 0 && matches!(progress.stage, Stage::Following { .. }) {
            served.push((side, progress.generation, std::mem::take(&mut progress.seen_parts)));
        }
    }
    served
}

/// What a run that came to its end has left undone, if anything: code and sentence.
fn left_undone(checkpoint: &Checkpoint, put_off: bool) -> (&'static str, Option<String>) {
    let barred = [Side::Left, Side::Right].into_iter().find_map(|side| checkpoint.side(side).barred.as_ref());
    let full = [Side::Left, Side::Right].into_iter().find_map(|side| checkpoint.side(side).full.as_ref());
    match barred {
        Some(right) => {
            let message = format!("Nothing is written there as long as a right is missing: {right}");
            ("missing_right", Some(message))
        }
        None if full.is_some() => ("storage_full", full.map(no_room)),
        None if put_off => ("limit_reached", Some(LIMIT_REACHED.to_owned())),
        None if checkpoint.out_of_reach.is_some() => ("calendar_gone", checkpoint.out_of_reach.clone()),
        None => ("changes_missed", checkpoint.missed.as_ref().map(|missed| missed.message.clone())),
    }
}

fn no_room(full: &Full) -> String {
    format!(
        "No files are sent there until there is room: {}. That is tried again from {:.0} on, and whenever you start a run.",
        full.detail, full.until
    )
}

fn connection_of(sync: &Sync, side: Side) -> &ConnectionId {
    if side == Side::Left { &sync.crm } else { &sync.remote }
}

/// What the vendor's limits leave for later is said, as people would look for it.
const LIMIT_REACHED: &str =
    "As many contacts as the product carries in one run were carried; the rest follows in the next run.";

fn usable(side: Side, connection: Option<&Connection>, now: Timestamp) -> Result<&Connection, Stop> {
    let which = if side == Side::Left { "CRM" } else { "remote" };
    if let Some((until, connection)) =
        connection.and_then(|one| Some((one.rests_until?, one))).filter(|(at, _)| *at > now)
    {
        let after = Duration::try_from(until.duration_since(now)).ok();
        return Err(Stop::Wait { after, account: None, message: format!("Waiting for {}.", connection.provider) });
    }
    match connection {
        Some(connection) if connection.state == ConnectionState::Connected => Ok(connection),
        Some(connection) => Err(Stop::Paused {
            code: "reconnect_needed",
            message: format!("The {} account must be connected again.", connection.provider),
            reconnect: None,
        }),
        None => Err(Stop::Paused {
            code: "connection_removed",
            message: format!("The {which} connection was removed."),
            reconnect: None,
        }),
    }
}

fn group_of(bounds: &str) -> &str {
    bounds.split(" (").next().unwrap_or_default()
}

/// How often the schedule takes a sync up.
pub(crate) fn interval(sync: &Sync) -> Duration {
    let settings = profile::profile(&sync.profile).and_then(|profile| profile.settings(&sync.settings).ok());
    Duration::from_secs(60 * u64::from(settings.map_or(60, |settings| settings.frequency_minutes)))
}

/// A run to be promised, and its id: ordered by time; `salt` tells who promises.
pub(crate) fn promise(sync: &Sync, trigger: Trigger, now: Timestamp, salt: &str) -> (Run, RunId) {
    let run = Run::begin(&sync.id, trigger, RunState::Queued, now, &format!("{:013x}-{salt}", now.as_millisecond()));
    let id = run.id.clone();
    (run, id)
}
