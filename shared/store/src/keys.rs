//! The whole key schema, but for the built-in CRM's own partitions (`CRM#…`, in its crate).
//!
//! | partition | sort key | what |
//! | --- | --- | --- |
//! | `USER#<user>` | `conn:<id>` · `sync:<id>` | that user's connections and syncs (ids only) |
//! | | `signin:<provider>` | a sign-in that has not ended well yet; expires |
//! | `CONN#<id>` | `conn` · `refresh` | a connection; the lease of its token refresh |
//! | `ACCT#<provider>#<account>` | `conn:<id>` | connections of one provider account (webhooks find them here) |
//! | | `mail:<hash>` | what was filed of a message in a CRM that cannot say itself; expires |
//! | | `book` · `addr:<hash>` · `has:<hash>` | up to when changes of addresses were taken in; who has one, as far as was asked; where a record is kept; expire |
//! | `LISTEN#<provider>#<account>` | `sync:<id>` | syncs that hear of an account, where notifications name it alone |
//! | `CHAN#<id>` | `channel` | a watch channel: its sync and the hash of its token; expires |
//! | `MSG#<provider>#<hash of id>` | `message` | a notification that was worked on; expires |
//! | `OAUTH#<hash of state>` | `state` | an authorisation under way; expires |
//! | `SYNC#<id>` | `sync` | a sync; in the due index while it is enabled |
//! | | `lease` · `checkpoint` | who works on it; how far it is |
//! | | `push` | its book of watch channels |
//! | | `intent:<n>` | creates that may have happened unseen; expires |
//! | | `run:<id>` · `change:<run>:<nnnnnnnn>` | runs and their sealed change logs; expire |
//! | | `ask:<hash>` | what was asked of a mail sync in its mailbox, not taken up yet; expires |
//! | | `seen:<side>:<gen>:<nnnnnnnn>` | hashes of the ids that a full listing has shown; expires |
//! | `ROWS#<sync>` | `row:<key>` | a record: its two ids, base and state |
//! | | `alias:<side>:<id>` | the row of a record whose key comes from the other side |
//! | | `state:<state>:<key>` | rows that are not in sync, by state |
//! | | `file:<key>` | a file or folder: its two copies, base and state |
//! | | `match:<hash>:<id>` | unpaired remote records by match key |
//!
//! Due index: `due_pk` = `due#<kind>#<shard>`, `due_sk` = time (RFC 3339) + `#` + sync.
use tandem_core::record::{ConnectionId, RemoteId, RowKey, RunId, Side, SyncId, UserId};
use tandem_ports::infra::Kind;
use tandem_ports::table::Key;

/// Shards of the due index per kind: a million syncs at one slot an hour are 17 syncs a second and shard.
pub const SHARDS: u16 = 16;

/// A user's partition.
pub fn user_pk(user: &UserId) -> String {
    format!("USER#{user}")
}
/// A user's connection, by id.
pub fn user_connection(user: &UserId, id: &ConnectionId) -> Key {
    Key::new(user_pk(user), format!("conn:{id}"))
}
/// A user's sign-in at a provider that has not ended well yet.
pub fn sign_in(user: &UserId, provider: &str) -> Key {
    Key::new(user_pk(user), format!("signin:{provider}"))
}
/// A user's sync, by id.
pub fn user_sync(user: &UserId, id: &SyncId) -> Key {
    Key::new(user_pk(user), format!("sync:{id}"))
}
/// A connection.
pub fn connection(id: &ConnectionId) -> Key {
    Key::new(format!("CONN#{id}"), "conn")
}
/// The lease of its token refresh.
pub fn refresh(id: &ConnectionId) -> Key {
    Key::new(format!("CONN#{id}"), "refresh")
}
/// The partition of a provider account.
pub fn account_pk(provider: &str, account: &str) -> String {
    format!("ACCT#{provider}#{account}")
}
/// A connection of a provider account.
pub fn account_connection(provider: &str, account: &str, id: &ConnectionId) -> Key {
    Key::new(account_pk(provider, account), format!("conn:{id}"))
}
/// What was filed of a message in a CRM account.
pub fn mail_entry(provider: &str, account: &str, hash: &str) -> Key {
    Key::new(account_pk(provider, account), format!("mail:{hash}"))
}
/// The name (iCalUID) of an appointment of a CRM account.
pub fn name_of(provider: &str, account: &str, id: &RemoteId) -> Key {
    Key::new(account_pk(provider, account), format!("name:{id}"))
}
/// The appointment of a CRM account that has a name.
pub fn named(provider: &str, account: &str, hash: &str) -> Key {
    Key::new(account_pk(provider, account), format!("named:{hash}"))
}
/// What is kept of who has which address in a CRM account.
pub fn address_book(provider: &str, account: &str) -> Key {
    Key::new(account_pk(provider, account), "book")
}
/// Who has an address, by its keyed hash.
pub fn known_address(provider: &str, account: &str, hash: &str) -> Key {
    Key::new(account_pk(provider, account), format!("addr:{hash}"))
}
/// The address under which a record is kept, by the record's keyed hash.
pub fn known_subject(provider: &str, account: &str, hash: &str) -> Key {
    Key::new(account_pk(provider, account), format!("has:{hash}"))
}
/// A watch channel.
pub fn channel(id: &str) -> Key {
    Key::new(format!("CHAN#{id}"), "channel")
}
/// A sync's book of the watch channels on this side.
pub fn push_book(id: &SyncId, side: Side) -> Key {
    let sort = match side {
        Side::Left => "push:crm",
        Side::Right => "push",
    };
    Key::new(sync_pk(id), sort)
}
/// The partition of the syncs that hear of an account.
pub fn listeners_pk(provider: &str, account: &str) -> String {
    format!("LISTEN#{provider}#{account}")
}
/// A sync that hears of an account.
pub fn listener(provider: &str, account: &str, sync: &SyncId) -> Key {
    Key::new(listeners_pk(provider, account), format!("sync:{sync}"))
}
/// A notification that was worked on.
pub fn message(provider: &str, hash: &str) -> Key {
    Key::new(format!("MSG#{provider}#{hash}"), "message")
}
/// An authorisation under way; the state itself is not stored.
pub fn oauth_state(hash: &str) -> Key {
    Key::new(format!("OAUTH#{hash}"), "state")
}
/// A sync's partition.
pub fn sync_pk(id: &SyncId) -> String {
    format!("SYNC#{id}")
}
/// A sync.
pub fn sync(id: &SyncId) -> Key {
    Key::new(sync_pk(id), "sync")
}
/// Its lease.
pub fn lease(id: &SyncId) -> Key {
    Key::new(sync_pk(id), "lease")
}
/// Its checkpoint.
pub fn checkpoint(id: &SyncId) -> Key {
    Key::new(sync_pk(id), "checkpoint")
}
/// An intent.
pub fn intent(id: &SyncId, number: u64) -> Key {
    Key::new(sync_pk(id), format!("intent:{number:020}"))
}
/// A run.
pub fn run(id: &RunId) -> Key {
    Key::new(sync_pk(&sync_of(id)), format!("run:{id}"))
}
/// A part of a run's change log.
pub fn change(id: &RunId, number: u64) -> Key {
    Key::new(sync_pk(&sync_of(id)), format!("change:{id}:{number:020}"))
}
/// The sync a run belongs to: a run's id begins with it.
pub fn sync_of(run: &RunId) -> SyncId {
    SyncId::new(run.as_str().split('.').next().unwrap_or_default())
}
/// Something asked of a mail sync.
pub fn mail_ask(id: &SyncId, hash: &str) -> Key {
    Key::new(sync_pk(id), format!("ask:{hash}"))
}
/// Part of what a full listing has shown.
pub fn seen(id: &SyncId, side: Side, generation: u64, number: u64) -> Key {
    Key::new(sync_pk(id), format!("{}{number:08}", seen_prefix(side, generation)))
}
/// All of what a full listing has shown.
pub fn seen_prefix(side: Side, generation: u64) -> String {
    format!("seen:{}:{generation:08}:", side.word())
}
/// A sync's records.
pub fn rows_pk(id: &SyncId) -> String {
    format!("ROWS#{id}")
}
/// A record's row.
pub fn row(sync: &SyncId, key: &RowKey) -> Key {
    Key::new(rows_pk(sync), format!("row:{key}"))
}
/// The row key of a record first seen on this side.
pub fn row_key(side: Side, id: &RemoteId) -> RowKey {
    RowKey::new(format!("{}:{id}", side.word()))
}
/// Whether a row was first seen on this side.
pub fn first_seen(key: &RowKey, side: Side) -> bool {
    key.as_str().strip_prefix(side.word()).is_some_and(|rest| rest.starts_with(':'))
}
/// Leads from a side's id to its row, where the row's key comes from the other side.
pub fn alias(sync: &SyncId, side: Side, id: &RemoteId) -> Key {
    Key::new(rows_pk(sync), format!("alias:{}:{id}", side.word()))
}
/// The sort keys of the rows first seen on a side, by their id there or how it begins.
pub(crate) fn row_sort(side: Side, id: &str) -> String {
    format!("row:{}:{id}", side.word())
}
/// The sort keys of [`alias`], by the id or how it begins.
pub(crate) fn alias_sort(side: Side, id: &str) -> String {
    format!("alias:{}:{id}", side.word())
}
/// A file's or folder's row.
pub fn file(sync: &SyncId, key: &RowKey) -> Key {
    Key::new(rows_pk(sync), format!("file:{key}"))
}
/// Lists a row under its state.
pub fn state(sync: &SyncId, state: &str, key: &RowKey) -> Key {
    Key::new(rows_pk(sync), format!("state:{state}:{key}"))
}
/// Lists a record that is on one side only under one of its match keys.
pub fn candidate(sync: &SyncId, hash: &str, id: &RemoteId) -> Key {
    Key::new(rows_pk(sync), format!("match:{hash}:{id}"))
}
/// The partition of the due index.
pub fn due_pk(kind: Kind, shard: u16) -> String {
    format!("due#{}#{shard:02}", kind.word())
}
/// The sort key of the due index.
pub fn due_sk(at: jiff::Timestamp, sync: &SyncId) -> String {
    format!("{at:.0}#{sync}")
}
