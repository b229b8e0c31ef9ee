//! The life of watch channels on both sides: opened when a sync runs, renewed before they end, the new one before the old one is closed,
//! and closed when the sync goes. Whatever fails here costs no run: the schedule looks all the same.
use crate::desk::rules;
use crate::{Engine, EngineError, Opening};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tandem_core::profile::Limits;
use tandem_core::record::{ConnectionId, Side};
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::push::{Order, Push, Route, Target};
use tandem_store::StoreError;
use tandem_store::channel::{Channel, ChannelRow, ChannelState, Mute, PushBook, PushState};
use tandem_store::connection::{Connection, ConnectionState};
use tandem_store::sync::Sync;

/// The first wait after a channel could not be opened; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(5);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(6);
/// A channel is renewed when this much of its life, in percent, is over.
const RENEW_AT: i64 = 80;
/// Or when it would not live until this long after the schedule's next look.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// What cannot be watched is asked for again after this.
const MUTE_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Closed channels that are kept in mind, should they go on telling.
const MOST_CLOSED: usize = 20;
/// A channel without end that was closed is not looked at any more so long after it was opened: where there is such, the
/// daily look at what the account has finds it.
const HAUNTS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Channels that nobody listens to are closed so many at a time.
const MOST_ORPHANS: usize = 20;

impl Engine {
    /// Looks after a sync's channels: cheap when there is nothing to do, and harmless when it fails.
    pub(crate) async fn keep_channels(&self, sync: &Sync, sides: [(Side, Option<&Connection>); 2]) {
        let connected = |connection: &&Connection| connection.state == ConnectionState::Connected;
        for (side, connection) in sides {
            let Some(connection) = connection.filter(connected) else { continue };
            if let Err(error) = self.try_keep(sync, side, connection).await {
                tracing::warn!(error = %error, "a sync's notifications were not looked after; the schedule looks");
            }
        }
    }

    async fn try_keep(&self, sync: &Sync, side: Side, connection: &Connection) -> Result<(), EngineError> {
        let Some((push, limits)) = self.push_of(sync, side, connection).await? else { return Ok(()) };
        let targets = if limits == Limits::Vendor { Vec::new() } else { push.targets() };
        let before = self.store.push_book(&sync.id, side).await?.unwrap_or_default();
        let keeping = Keeping { engine: self, sync, push: &*push, now: self.clock.now() };
        let mut book = before.clone();
        let failed = keeping.open_what_is_due(&mut book, &targets).await?;
        let old = retire(&mut book, &targets);
        book.closed.retain(|channel| keeping.might_haunt(channel));
        keeping.judge(&mut book, &targets, limits, failed);
        if book != before {
            book = match self.store.save_push_book(&sync.id, side, &book).await {
                Ok(saved) => saved,
                Err(StoreError::Stale) => {
                    // The sync was removed, or is being: what was opened just now must not stay.
                    let fresh = book.channels.iter().filter(|channel| !before.channels.contains(channel));
                    keeping.close_all(&fresh.cloned().collect::<Vec<_>>()).await;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
        }
        // Only now: the new ones tell, and are known.
        keeping.close_all(&old).await;
        if book.channels.iter().any(|channel| channel.until.is_none() && !before.channels.contains(channel)) {
            keeping.close_orphans(&book).await?;
        }
        keeping.lay_ghosts(&book).await
    }

    /// Closes a sync's channels, because it is removed or switched off, or its connection is about to go. What cannot be
    /// closed ends by itself, or with the next look of another sync of the account; its notifications are ignored.
    pub async fn stop_push(&self, sync: &Sync) -> Result<(), EngineError> {
        // What one side makes of it must not keep the other one telling.
        let left = self.stop_side(sync, Side::Left, &sync.crm).await;
        left.and(self.stop_side(sync, Side::Right, &sync.remote).await)
    }

    async fn stop_side(&self, sync: &Sync, side: Side, connection: &ConnectionId) -> Result<(), EngineError> {
        let book = self.store.push_book(&sync.id, side).await?;
        let Some(book) = book.filter(|book| !book.channels.is_empty()) else { return Ok(()) };
        let silent = PushBook { state: PushState::Off, reason: None, ..PushBook::default() };
        let silent = PushBook { version: book.version, closed: channels_of_ours(&book), ..silent };
        match self.store.save_push_book(&sync.id, side, &silent).await {
            Ok(_) | Err(StoreError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
        let connection = self.store.connection(connection).await?;
        let opened = match &connection {
            Some(connection) => self.push_of(sync, side, connection).await.unwrap_or(None),
            None => None,
        };
        match opened {
            Some((push, _)) => {
                let keeping = Keeping { engine: self, sync, push: &*push, now: self.clock.now() };
                keeping.close_all(&book.channels).await;
            }
            // Nobody can speak for us at the provider any more: we stop listening, at least.
            None => {
                for channel in &book.channels {
                    self.forget(sync, channel).await?;
                }
            }
        }
        Ok(())
    }

    async fn push_of(
        &self,
        sync: &Sync,
        side: Side,
        connection: &Connection,
    ) -> Result<Option<(Arc<dyn Push>, Limits)>, EngineError> {
        let (profile, settings) = rules(sync)?;
        let ask = Opening { sync: &sync.id, connection, profile, settings: &settings, side, container: None };
        let push = self.connectors.open_push(ask).await;
        let push = push.map_err(|error| EngineError::Unavailable(Box::new(error)))?;
        Ok(push.map(|push| (push, settings.limits)))
    }

    /// What comes over this channel from now on is nothing to us.
    async fn forget(&self, sync: &Sync, channel: &Channel) -> Result<(), StoreError> {
        match &channel.account {
            Some((provider, account)) => self.store.turn_away(provider, account, &sync.id).await,
            None => self.store.note_closed(&channel.id).await,
        }
    }
}

/// One look after the channels of one side of one sync.
struct Keeping<'a> {
    engine: &'a Engine,
    sync: &'a Sync,
    push: &'a dyn Push,
    now: Timestamp,
}

impl Keeping<'_> {
    /// Opens a channel for every target that has none, or whose newest is due; answers why it could not. One that cannot be
    /// watched at all does not stand in the way of the others.
    async fn open_what_is_due(
        &self,
        book: &mut PushBook,
        targets: &[Target],
    ) -> Result<Option<ConnectorError>, StoreError> {
        book.mute.retain(|one| self.now < one.until && targets.iter().any(|target| target.name == one.target));
        let due = |target: &&Target| !book.is_mute(&target.name, self.now) && self.is_due(newest(book, target));
        let due: Vec<&Target> = targets.iter().filter(due).collect();
        if due.is_empty() || book.retry_at.is_some_and(|at| self.now < at) {
            return Ok(None);
        }
        let mut failed: Option<ConnectorError> = None;
        for target in due {
            let error = match self.open(target).await? {
                Ok(channel) => {
                    book.channels.push(channel);
                    continue;
                }
                Err(error) => error,
            };
            match error.kind {
                ErrorKind::NotFound => {
                    tracing::info!(error = %error, "this cannot be watched; the schedule looks");
                    book.mute.push(Mute { target: target.name.clone(), until: self.now + MUTE_FOR });
                }
                // The others would fare no better.
                ErrorKind::Throttled { .. } | ErrorKind::AuthRevoked => return Ok(Some(failed.unwrap_or(error))),
                ErrorKind::Retryable
                | ErrorKind::CursorExpired
                | ErrorKind::Conflict
                | ErrorKind::Forbidden
                | ErrorKind::Permanent => {
                    failed.get_or_insert(error);
                }
            }
        }
        if failed.is_none() {
            (book.failures, book.retry_at) = (0, None);
        }
        Ok(failed)
    }

    fn is_due(&self, newest: Option<&Channel>) -> bool {
        let Some(channel) = newest else { return true };
        let most = self.push.renew_every().map_or(i64::MAX, |every| i64::try_from(every.as_secs()).unwrap_or(i64::MAX));
        let Some(until) = channel.until else {
            return self.now.duration_since(channel.opened_at).as_secs() >= most;
        };
        let life = until.duration_since(channel.opened_at).as_secs();
        let renew_at = channel.opened_at + SignedDuration::from_secs((life * RENEW_AT / 100).min(most));
        let interval = SignedDuration::try_from(crate::job::interval(self.sync)).unwrap_or(SignedDuration::ZERO);
        // A life shorter than the schedule's interval must not make a new channel at every look.
        let half = channel.opened_at + SignedDuration::from_secs(life / 2);
        self.now >= renew_at || (self.now >= half && self.now + interval + MARGIN >= until)
    }

    async fn open(&self, target: &Target) -> Result<Result<Channel, ConnectorError>, StoreError> {
        // 18 digits: a number to those who want one, and still none that another channel has.
        let id = rand::random_range(10_u64.pow(17)..10_u64.pow(18)).to_string();
        let token = hex::encode(rand::random::<[u8; 24]>());
        let store = &self.engine.store;
        let account = match &target.route {
            Route::Channel => None,
            Route::Account { provider, account } => Some((provider.clone(), account.clone())),
        };
        // Before the provider hears of it: the greeting may come before its answer does.
        match &account {
            None => store.save_channel(&id, &ChannelRow::opening(&self.sync.id, &token, self.now)).await?,
            Some((provider, account)) => store.listen(provider, account, &self.sync.id).await?,
        }
        let life = self.push.life().min(Duration::from_secs(366 * 86_400));
        let order = Order { id: &id, token: &token, until: self.now + life };
        let opened = match self.push.open(target, &order).await {
            Ok(opened) => opened,
            Err(error) => {
                // Should it be there all the same, nobody listens to it.
                if account.is_none() {
                    store.note_closed(&id).await?;
                }
                return Ok(Err(error));
            }
        };
        let (target, resource, until) = (target.name.clone(), opened.resource, opened.until);
        let channel = Channel { id, target, account, resource, opened_at: self.now, until };
        if channel.account.is_none() {
            store.note_opened(&channel).await?;
        }
        Ok(Ok(channel))
    }

    /// What the book says of all this.
    fn judge(&self, book: &mut PushBook, targets: &[Target], limits: Limits, failed: Option<ConnectorError>) {
        let title = self.push.title();
        // Where nothing can be watched, all of it counts.
        let is_mute = |target: &Target| book.is_mute(&target.name, self.now);
        let all_mute = targets.iter().all(is_mute);
        let told = |target: &Target| newest(book, target).is_some_and(|one| one.lives(self.now));
        let deaf = targets.iter().find(|target| (all_mute || !is_mute(target)) && !told(target));
        if let Some(error) = &failed {
            book.failures = book.failures.saturating_add(1);
            let wait = self.wait(book, error);
            book.retry_at = Some(self.now + wait);
            tracing::warn!(error = %error, failures = book.failures, "no channel; the schedule looks");
        }
        (book.state, book.reason) = match (limits, deaf, failed) {
            (Limits::Vendor, _, _) => {
                let why = "With `limits`: `vendor` this sync keeps to the schedule.";
                (PushState::Off, Some(why.to_owned()))
            }
            (_, None, _) if targets.is_empty() => (PushState::Off, None),
            (_, None, _) => (PushState::On, None),
            (_, Some(_), Some(error)) => {
                let detail = error.detail.trim_end_matches('.');
                let why = format!("{title} does not notify us: {detail}. The schedule looks for changes meanwhile.");
                (PushState::Lapsed, Some(why))
            }
            (_, Some(_), None) => {
                let said = book.reason.take();
                let why = format!("{title} does not notify us. The schedule looks for changes meanwhile.");
                (PushState::Lapsed, Some(said.unwrap_or(why)))
            }
        };
    }

    /// Doubling, but never so long that what is still open ends untried.
    fn wait(&self, book: &PushBook, error: &ConnectorError) -> SignedDuration {
        let doubled = FIRST_WAIT * 2_i32.saturating_pow(book.failures.saturating_sub(1).min(7));
        let asked = if let ErrorKind::Throttled { retry_after } = error.kind { retry_after } else { None };
        let asked = asked.and_then(|after| SignedDuration::try_from(after).ok());
        let ends = book.channels.iter().filter_map(|channel| channel.until).filter(|until| *until > self.now).min();
        let left = ends.map_or(LONGEST_WAIT, |until| (until.duration_since(self.now) / 4).max(FIRST_WAIT));
        doubled.min(LONGEST_WAIT).min(left).max(asked.unwrap_or(SignedDuration::ZERO))
    }

    async fn close_all(&self, channels: &[Channel]) {
        for channel in channels {
            if let Err(error) = self.close(channel).await {
                tracing::warn!(error = %error, "a channel was not closed; it is ignored from now on");
            }
        }
    }

    async fn close(&self, channel: &Channel) -> Result<(), EngineError> {
        self.engine.forget(self.sync, channel).await?;
        if let Some((provider, account)) = &channel.account {
            // The account tells all who listen at once: as long as somebody does, it goes on.
            if !self.engine.store.listeners(provider, account).await?.is_empty() {
                return Ok(());
            }
        }
        if !channel.lives(self.now) {
            return Ok(());
        }
        let closed = self.push.close(&channel.target, &channel.id, &channel.resource).await;
        closed.map_err(|error| EngineError::Unavailable(Box::new(error)))
    }

    /// Closes what the account still has of ours and nobody listens to, where channels do not end by themselves: the answer
    /// to its opening was lost, or it could not be closed. Looked for whenever another one was opened, once a day.
    async fn close_orphans(&self, book: &PushBook) -> Result<(), EngineError> {
        let told = self.push.channels().await.map_err(|error| EngineError::Unavailable(Box::new(error)))?;
        let ids: Vec<&str> = told.iter().map(String::as_str).collect();
        let rows = self.engine.store.channels(&ids).await?;
        let is_heard = |(id, row): &(&str, Option<ChannelRow>)| {
            let Some(row) = row.as_ref().filter(|row| self.now.as_second() < row.expires_at) else { return false };
            match row.state {
                ChannelState::Closed | ChannelState::Haunting => false,
                ChannelState::Opening | ChannelState::Open if row.sync != self.sync.id => true,
                ChannelState::Opening | ChannelState::Open => book.channels.iter().any(|channel| channel.id == *id),
            }
        };
        let orphans = ids.iter().copied().zip(rows).filter(|one| !is_heard(one));
        for (id, _) in orphans.take(MOST_ORPHANS) {
            if let Err(error) = self.push.close("", id, "").await {
                tracing::warn!(error = %error, "a channel that nobody listens to was not closed; it is tried again");
            }
        }
        Ok(())
    }

    /// Channels that go on telling after they were closed are closed once more.
    async fn lay_ghosts(&self, book: &PushBook) -> Result<(), EngineError> {
        let might = |channel: &&Channel| self.might_haunt(channel) && channel.account.is_none();
        let closed: Vec<&Channel> = book.closed.iter().filter(might).collect();
        if closed.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = closed.iter().map(|channel| channel.id.as_str()).collect();
        let rows = self.engine.store.channels(&ids).await?;
        for (channel, row) in closed.into_iter().zip(rows) {
            if row.is_some_and(|row| row.state == ChannelState::Haunting) {
                self.close_all(std::slice::from_ref(channel)).await;
            }
        }
        Ok(())
    }

    /// Whether a channel that was closed may go on telling.
    fn might_haunt(&self, channel: &Channel) -> bool {
        channel.until.map_or(self.now < channel.opened_at + HAUNTS, |until| self.now < until)
    }
}

/// Those that are known by an id of ours: an account's watch has none, and cannot go on under it.
fn channels_of_ours(book: &PushBook) -> Vec<Channel> {
    book.channels.iter().filter(|channel| channel.account.is_none()).cloned().collect()
}

/// The channel of a target that ends last.
fn newest<'a>(book: &'a PushBook, target: &Target) -> Option<&'a Channel> {
    let account = match &target.route {
        Route::Channel => None,
        Route::Account { provider, account } => Some((provider, account)),
    };
    let of = |channel: &&Channel| {
        channel.target == target.name
            && channel.account.as_ref().map(|(provider, account)| (provider, account)) == account
    };
    book.channels.iter().filter(of).max_by_key(|channel| (channel.until.unwrap_or(Timestamp::MAX), channel.opened_at))
}

/// Takes out of the book what is not the newest of a target that is wanted, and answers what of it must be closed. An
/// account's watch is the same one, prolonged: it stays as long as it is wanted.
fn retire(book: &mut PushBook, targets: &[Target]) -> Vec<Channel> {
    let wanted: Vec<Channel> = targets.iter().filter_map(|target| newest(book, target)).cloned().collect();
    let (stay, old): (Vec<Channel>, Vec<Channel>) =
        std::mem::take(&mut book.channels).into_iter().partition(|channel| wanted.contains(channel));
    let prolonged = |old: &Channel| {
        old.account.is_some() && stay.iter().any(|new| new.account == old.account && new.target == old.target)
    };
    let old: Vec<Channel> = old.into_iter().filter(|channel| !prolonged(channel)).collect();
    book.channels = stay;
    book.closed.extend(old.iter().filter(|channel| channel.account.is_none()).cloned());
    let surplus = book.closed.len().saturating_sub(MOST_CLOSED);
    book.closed.drain(..surplus);
    old
}
