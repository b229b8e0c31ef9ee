//! What a notification sets off: one job, however often it comes, and one more look for what comes while somebody works.
//!
//! The sender was proved before (by signature or ID token), or is proved here by its channel's token. Nothing is read at
//! the provider: a notification says that there is something, and the worker's cursor says what.
use crate::desk::rules;
use crate::job::promise;
use crate::{Engine, EngineError};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;
use tandem_core::profile::Limits;
use tandem_core::record::{Side, SyncId};
use tandem_ports::infra::{Job, Trigger};
use tandem_store::StoreError;
use tandem_store::channel::{ChannelState, PushBook, PushBooks, PushState};
use tandem_store::sync::{Sync, SyncState};

/// How often a sync is looked at again while runs begin and end under our eyes.
const TRIES: u32 = 4;

/// A notification that names a channel.
#[derive(Clone, Copy)]
pub struct Notice<'a> {
    /// The channel's id.
    pub channel: &'a str,
    /// The secret it carries.
    pub token: &'a str,
    /// What it says is watched.
    pub resource: &'a str,
    /// Whether it is the channel's greeting, which tells of no change.
    pub greeting: Greeting,
}

/// Whether a notification tells of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The channel's first word.
    Yes,
    /// Something has changed.
    No,
}

impl std::fmt::Debug for Notice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notice").field("greeting", &self.greeting).finish_non_exhaustive()
    }
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A run was begun for it.
    Started,
    /// The run that is queued or under way takes it along.
    Joined,
    /// It is nothing to us: an unknown or ended channel, a greeting, a sync that does not listen.
    Ignored,
    /// It does not prove that it comes from whom it says.
    Refused,
}

/// What people are shown of a sync's notifications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushView {
    /// `on`, `lapsed` or `off`.
    pub state: PushState,
    /// Until when it is on by itself; it is renewed before.
    pub until: Option<Timestamp>,
    /// Why it is not on.
    pub reason: Option<String>,
    /// The sides whose changes come at once.
    pub sides: Vec<Side>,
}

impl PushView {
    /// What the books say at `now`: the worst of what each of the sides that tell says; `None` where neither ever tells.
    pub fn of(books: &PushBooks, now: Timestamp) -> Option<Self> {
        let views = [(Side::Left, &books.left), (Side::Right, &books.right)];
        let views = views.into_iter().filter_map(|(side, book)| Some(Self::of_side(side, book.as_ref()?, now)));
        views.reduce(|one, other| {
            let sides = one.sides.iter().chain(&other.sides).copied().collect();
            let until = one.until.into_iter().chain(other.until).min();
            let worst = [PushState::Lapsed, PushState::On, PushState::Off];
            let rank = |view: &Self| worst.iter().position(|state| *state == view.state);
            let Self { state, reason, .. } = if rank(&other) < rank(&one) { other } else { one };
            Self { state, until: until.filter(|_| state == PushState::On), reason, sides }
        })
    }

    /// A channel that has ended meanwhile tells no more.
    fn of_side(side: Side, book: &PushBook, now: Timestamp) -> Self {
        let ended = book.channels.iter().any(|channel| !channel.lives(now));
        if book.state == PushState::On && ended {
            let reason = Some("The notifications have ended; the schedule looks for changes until they are renewed.");
            let reason = reason.map(str::to_owned);
            return Self { state: PushState::Lapsed, until: None, reason, sides: Vec::new() };
        }
        let on = book.state == PushState::On;
        let sides = if on { vec![side] } else { Vec::new() };
        Self { state: book.state, until: book.until().filter(|_| on), reason: book.reason.clone(), sides }
    }
}

impl Engine {
    /// Takes a notification that names a channel.
    pub async fn hear_channel(&self, notice: &Notice<'_>) -> Result<Heard, EngineError> {
        let Some(row) = self.store.channel(notice.channel).await? else { return Ok(Heard::Ignored) };
        // Before the provider's answer to our order is stored, its resource is not known, and the token must do.
        let same = row.resource.is_empty() || row.resource == notice.resource;
        if !row.proves(notice.token) || !same {
            return Ok(Heard::Refused);
        }
        match row.state {
            ChannelState::Closed => {
                self.store.note_haunting(notice.channel).await?;
                Ok(Heard::Ignored)
            }
            ChannelState::Haunting => Ok(Heard::Ignored),
            ChannelState::Opening | ChannelState::Open if notice.greeting == Greeting::Yes => Ok(Heard::Ignored),
            ChannelState::Opening | ChannelState::Open => self.hear(&row.sync).await,
        }
    }

    /// Takes a notification, proved by its sender, that names an account. `Ignored` where no sync listens to it.
    pub async fn hear_account(&self, provider: &str, account: &str) -> Result<Heard, EngineError> {
        let mut heard = Heard::Ignored;
        // An account is in few syncs; one after the other keeps what a forged burst could set off small.
        for sync in self.store.listeners(provider, account).await? {
            heard = match (self.hear(&sync).await?, heard) {
                (Heard::Started, _) | (_, Heard::Started) => Heard::Started,
                (Heard::Joined, _) | (_, Heard::Joined) => Heard::Joined,
                (Heard::Ignored | Heard::Refused, before) => before,
            };
        }
        Ok(heard)
    }

    /// As [`hear_account`](Self::hear_account), once for each message however often it is delivered. It is remembered
    /// only after it was taken: what failed half way is taken when it comes again.
    pub async fn hear_message(&self, provider: &str, account: &str, message: &str) -> Result<Heard, EngineError> {
        let now = self.clock.now();
        if self.store.knows_message(provider, message, now).await? {
            return Ok(Heard::Ignored);
        }
        let heard = self.hear_account(provider, account).await?;
        self.store.remember_message(provider, message, now).await?;
        Ok(heard)
    }

    /// What people are shown of these syncs' notifications, in their order; `None` where a sync has none to hear of.
    pub async fn pushes(&self, syncs: &[SyncId]) -> Result<Vec<Option<PushView>>, EngineError> {
        let now = self.clock.now();
        let books = self.store.push_books(syncs).await?;
        Ok(books.iter().map(|books| PushView::of(books, now)).collect())
    }

    /// Begins a run with its one job, or leaves word with the one that is queued or under way.
    async fn hear(&self, id: &SyncId) -> Result<Heard, EngineError> {
        for _ in 0..TRIES {
            let Some(sync) = self.store.sync(id).await?.filter(listens) else { return Ok(Heard::Ignored) };
            if sync.current_run.is_none() {
                match self.begin_pushed(&sync).await? {
                    Begun::Ours => return Ok(Heard::Started),
                    Begun::AnotherCameFirst => continue,
                }
            }
            self.store.note_heard(id).await?;
            // A run that ended before our word came would not take it along.
            let still = self.store.sync(id).await?;
            if still.is_none_or(|still| still.current_run == sync.current_run) {
                return Ok(Heard::Joined);
            }
        }
        Err(EngineError::Unavailable("runs begin and end too fast".into()))
    }

    async fn begin_pushed(&self, sync: &Sync) -> Result<Begun, EngineError> {
        let now = self.clock.now();
        // Two notifications of one millisecond must not take each other's run for theirs.
        let salt = format!("p{}", hex::encode(rand::random::<[u8; 4]>()));
        let (run, id) = promise(sync, Trigger::Push, now, &salt);
        let promised = match self.store.promise_run(sync, &id, now + self.config.watchdog).await {
            Ok(promised) => promised,
            Err(StoreError::Stale) => return Ok(Begun::AnotherCameFirst),
            Err(error) => return Err(error.into()),
        };
        if promised != id {
            return Ok(Begun::AnotherCameFirst);
        }
        self.store.save_promise(&run).await?;
        let (sync, kind, trigger) = (sync.id.clone(), sync.kind, Trigger::Push);
        let job = Job::Sync { sync, kind, trigger, run: Some(id), continuation: 0 };
        self.queue.send(&[(job, Duration::ZERO)]).await.map_err(|error| EngineError::Unavailable(Box::new(error)))?;
        Ok(Begun::Ours)
    }
}

/// Whose run was begun.
enum Begun {
    Ours,
    AnotherCameFirst,
}

/// A sync that is switched off, waits for a person, or keeps to the vendor's times does not listen.
fn listens(sync: &Sync) -> bool {
    let vendors = || rules(sync).is_ok_and(|(_, settings)| settings.limits == Limits::Vendor);
    sync.enabled && sync.state != SyncState::Paused && !vendors()
}
