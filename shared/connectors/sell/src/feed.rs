//! Listing and delta.
//!
//! A listing drains the device's feed first (acknowledging at once: all of it is older than the listing that follows),
//! then reads the list page by page, then goes on with the feed. What changes after the drain is in the feed.
//! Pages are counted by offset, so a deletion in between shifts a record past us: a feed that reports one at the end of
//! the listing makes it read the pages again.
use crate::api::{self, Call};
use crate::client::Client;
use crate::error;
use crate::wire::{Contact, Many, One, Session};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tandem_ports::connector::{Change, ChangePage, Cursor, Next};
use tandem_ports::error::{ErrorKind, Result};

/// Raised when the cursor's form changes.
const CURSOR_FORM: u8 = 1;
/// How often an empty 200 is asked again within one call.
const TRIES: usize = 3;
/// A page has at most about a hundred items; more keys than this do not go into a cursor (they come again).
const MOST_KEYS: usize = 500;
/// A listing that deletions have shifted is read once more, not for ever.
const PASSES: u8 = 2;

/// Our cursor.
#[derive(Serialize, Deserialize)]
struct Position {
    form: u8,
    device: String,
    step: Step,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
enum Step {
    /// Empties the feed before a listing.
    Drain { session: Option<String> },
    /// A page of the listing.
    List { page: usize, pass: u8 },
    /// The feed. `ack` are the keys of the page that this cursor follows: they are acknowledged when it is used, since
    /// then that page is durable. `pass` is set right after a listing.
    Feed {
        session: Option<String>,
        ack: Vec<String>,
        #[serde(default)]
        pass: Option<u8>,
    },
}

/// What a sync queue answered.
enum Queue {
    Page(Many<Contact>),
    /// 204.
    Drained,
    /// A session of an earlier call that Sell does not know any more.
    Unknown,
    /// Empty pages only: try again later, in another session. Nothing was acknowledged, so nothing is lost.
    NotYet,
}

/// Whether a session was started by this call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Fresh,
    Earlier,
}

/// What a page of the feed brings.
pub(crate) struct Read {
    pub(crate) changes: Vec<Change>,
    /// Something that hangs on what changed was too much to read: list again.
    pub(crate) left_out: bool,
}

/// Whether a page of the list is its last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    More,
    Last,
}

/// The records of one kind, for one device.
#[async_trait]
pub(crate) trait Source: Sync {
    /// `contact`, `task`: as in `meta.type` of a queue's items.
    fn kind(&self) -> &'static str;
    /// Sell keeps a feed for each device of each user.
    fn device(&self) -> &str;
    /// The way to Sell.
    fn client(&self) -> &Client;
    /// A page of the list, sorted by id; the first is 1.
    async fn page(&self, page: usize) -> Result<(Vec<Change>, End)>;
    /// What these items of a queue name, as it is now: the feed is unordered and may repeat itself.
    async fn changed(&self, items: &[One<Contact>]) -> Result<Read>;
}

/// One page of changes.
pub(crate) async fn read(source: &dyn Source, from: Option<&Cursor>) -> Result<ChangePage> {
    let feed = Feed { source };
    let step = match from {
        None => Step::Drain { session: None },
        Some(cursor) => match serde_json::from_str::<Position>(&cursor.0) {
            Ok(at) if at.form == CURSOR_FORM && at.device == source.device() => at.step,
            Ok(_) | Err(_) => return Err(error::cursor_expired()),
        },
    };
    match step {
        Step::Drain { session } => feed.drain(session).await,
        Step::List { page, pass } => feed.list_page(page, pass).await,
        Step::Feed { session, ack, pass } => feed.feed(session, ack, pass).await,
    }
}

struct Feed<'s> {
    source: &'s dyn Source,
}

impl Feed<'_> {
    fn cursor(&self, step: Step) -> Cursor {
        let position = Position { form: CURSOR_FORM, device: self.source.device().to_owned(), step };
        Cursor(serde_json::to_string(&position).expect("numbers and strings are JSON"))
    }

    async fn drain(&self, session: Option<String>) -> Result<ChangePage> {
        let (session, age) = match session {
            Some(session) => (Some(session), Age::Earlier),
            None => (self.start().await?, Age::Fresh),
        };
        let Some(session) = session else { return self.list_page(1, 1).await };
        let (left, keys) = match self.fetch(&session, age).await? {
            Queue::Page(page) => (page.meta.count_left, keys_of(&page.items, usize::MAX)),
            // What is still in the feed comes behind the listing.
            Queue::Drained | Queue::Unknown | Queue::NotYet => return self.list_page(1, 1).await,
        };
        self.acknowledge(&keys).await?;
        let step =
            if left == Some(0) { Step::List { page: 1, pass: 1 } } else { Step::Drain { session: Some(session) } };
        Ok(ChangePage { changes: Vec::new(), next: Next::More(self.cursor(step)), total: None })
    }

    async fn list_page(&self, page: usize, pass: u8) -> Result<ChangePage> {
        let (changes, end) = self.source.page(page).await?;
        let step = match end {
            End::Last => Step::Feed { session: None, ack: Vec::new(), pass: Some(pass) },
            End::More => Step::List { page: page + 1, pass },
        };
        Ok(ChangePage { changes, next: Next::More(self.cursor(step)), total: None })
    }

    async fn feed(&self, session: Option<String>, ack: Vec<String>, pass: Option<u8>) -> Result<ChangePage> {
        self.acknowledge(&ack).await?;
        let until_here = |pass| Next::CaughtUp(self.cursor(Step::Feed { session: None, ack: Vec::new(), pass }));
        let quiet = |pass| ChangePage { changes: Vec::new(), next: until_here(pass), total: None };
        let mut known_session = session;
        for _ in 0..2 {
            let (session, age) = match known_session.take() {
                Some(session) => (session, Age::Earlier),
                None => match self.start().await? {
                    Some(session) => (session, Age::Fresh),
                    None => return Ok(quiet(None)),
                },
            };
            let page = match self.fetch(&session, age).await? {
                Queue::Page(page) => page,
                Queue::Drained => return Ok(quiet(None)),
                Queue::NotYet => return Ok(quiet(pass)),
                // A new session of the same device brings what was not acknowledged.
                Queue::Unknown => continue,
            };
            return self.feed_page(session, page, pass).await;
        }
        Ok(quiet(pass))
    }

    async fn feed_page(&self, session: String, page: Many<Contact>, pass: Option<u8>) -> Result<ChangePage> {
        let ack = keys_of(&page.items, MOST_KEYS);
        let drained = page.meta.count_left == Some(0);
        let lost_one = page.items.iter().any(|one| is_of(one, self.source.kind()) && is_deleted(one));
        let read = self.source.changed(&page.items).await?;
        let again = pass.filter(|pass| lost_one && *pass < PASSES);
        let next = match (again, drained) {
            // A listing acknowledges the feed and then reads everything.
            _ if read.left_out => Next::Relist,
            // Not acknowledged, so the feed brings this page once more behind the pages read again.
            (Some(pass), _) => Next::More(self.cursor(Step::List { page: 1, pass: pass + 1 })),
            (None, true) => Next::CaughtUp(self.cursor(Step::Feed { session: None, ack, pass: None })),
            (None, false) => Next::More(self.cursor(Step::Feed { session: Some(session), ack, pass })),
        };
        Ok(ChangePage { changes: read.changes, next, total: None })
    }

    async fn start(&self) -> Result<Option<String>> {
        let response = self.source.client().send(Call::sync_start(self.source.device())).await?;
        if response.status() == 204 {
            return Ok(None);
        }
        api::parse::<One<Session>>("sync.start", &response).map(|one| Some(one.data.id))
    }

    /// How Sell refuses a session that has ended is not documented, so any refusal of an earlier one is taken for it: a
    /// stored session must not stop the feed for ever. A fresh one that is refused is an error.
    async fn fetch(&self, session: &str, age: Age) -> Result<Queue> {
        for _ in 0..TRIES {
            let response = match self.source.client().send(Call::sync_fetch(self.source.device(), session)).await {
                Ok(response) if response.status() == 204 => return Ok(Queue::Drained),
                Ok(response) => response,
                Err(refused) if refused.kind == ErrorKind::NotFound => return Ok(Queue::Unknown),
                Err(refused) if refused.kind == ErrorKind::Permanent && age == Age::Earlier => {
                    return Ok(Queue::Unknown);
                }
                Err(other) => return Err(other),
            };
            let page: Many<Contact> = api::parse("sync.fetch", &response)?;
            if !page.items.is_empty() {
                return Ok(Queue::Page(page));
            }
        }
        Ok(Queue::NotYet)
    }

    /// Keys that Sell does not take (any more) are let go of: their changes come again.
    async fn acknowledge(&self, keys: &[String]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        match self.source.client().send(Call::sync_ack(self.source.device(), keys)).await {
            Ok(_) => Ok(()),
            Err(refused) if matches!(refused.kind, ErrorKind::NotFound | ErrorKind::Permanent) => Ok(()),
            Err(other) => Err(other),
        }
    }
}

/// Every item is acknowledged, also of kinds that are not ours.
fn keys_of(items: &[One<Contact>], most: usize) -> Vec<String> {
    let keys = items.iter().filter_map(|one| Some(one.meta.sync.as_ref()?.ack_key.clone()));
    keys.filter(|key| !key.is_empty()).take(most).collect()
}

/// A queue holds all kinds.
pub(crate) fn is_of(one: &One<Contact>, kind: &str) -> bool {
    one.meta.kind.as_deref() == Some(kind)
}

pub(crate) fn is_deleted(one: &One<Contact>) -> bool {
    one.meta.sync.as_ref().is_some_and(|sync| sync.event_type == "deleted")
}
