//! Connections: accounts we may act for, and authorisations under way.
use crate::convert::{item, read, with};
use crate::{Store, StoreError, keys};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_core::record::{ConnectionId, UserId};
use tandem_ports::infra::Sealed;
use tandem_ports::table::{Condition, Index, Op, Query, Update};

/// What a connection can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// The authorisation has begun.
    Pending,
    /// It works.
    Connected,
    /// The grant is gone; the user must authorise again.
    ReconnectNeeded,
}

/// Whom the provider says we act for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The provider's id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Address, where the provider has one.
    pub email: String,
}

/// An account we may act for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Id.
    pub id: ConnectionId,
    /// Whose it is.
    pub user: UserId,
    /// `google`, `builtin`, ….
    pub provider: String,
    /// Whom we act for; empty while pending.
    pub account: Account,
    /// What it can do now.
    pub state: ConnectionState,
    /// The scopes the provider granted.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The tokens (JSON of the http crate's token set), sealed for this user and connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Sealed>,
    /// Grows with every change of the tokens: a refresh writes only over the version it read.
    #[serde(default)]
    pub tokens_version: i64,
    /// The provider asked for rest: no sync asks anything of this account before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<Timestamp>,
    /// The origin of the API for this account, where the provider's token answer names one (Zoho's `api_domain`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_origin: Option<String>,
    /// The provider's word for the kind of account, where it says one (Dropbox: `basic`, `pro`, `business`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// A refresh of these tokens began and no answer is known: a refresh token that serves once may be spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refresh_in_doubt: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Connection {
    /// A pending connection, without account and tokens.
    pub fn new(id: ConnectionId, user: UserId, provider: &str, now: Timestamp) -> Self {
        Self {
            id,
            user,
            provider: provider.to_owned(),
            account: Account::default(),
            state: ConnectionState::Pending,
            scopes: Vec::new(),
            tokens: None,
            tokens_version: 0,
            rests_until: None,
            api_origin: None,
            plan: None,
            refresh_in_doubt: false,
            created_at: now,
        }
    }
}

/// An authorisation under way. Kept under the hash of its `state`; used once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorisation {
    /// Which connection it is for.
    pub connection: ConnectionId,
    /// Whose it is.
    pub user: UserId,
    /// Which provider must come back with it.
    pub provider: String,
    /// The PKCE verifier, sealed.
    pub verifier: Sealed,
    /// The hash of the browser session it was begun in; `None` when it was begun with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Not valid after this (seconds since 1970; the table may drop it then).
    pub expires_at: i64,
}

/// Which connection an id stands for, where it is not its own.
const SAME_AS: &str = "same_as";

impl Store {
    /// Saves a new connection.
    pub async fn create_connection(&self, connection: &Connection) -> Result<(), StoreError> {
        let pointer = item(keys::user_connection(&connection.user, &connection.id), &serde_json::json!({}));
        let mut ops = vec![
            Op::Put(item(keys::connection(&connection.id), connection), vec![Condition::Absent]),
            Op::Put(pointer, vec![]),
        ];
        ops.extend(account_pointer(connection));
        Ok(self.transact(&ops).await?)
    }

    /// A connection by id, or by the id of one that [was merged](Self::merge_connection) into it. Whose it is, the caller
    /// checks.
    pub async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>, StoreError> {
        let mut found = self.table.get(&[keys::connection(id)]).await?.pop().flatten();
        let other = found.as_ref().and_then(|item| item.attributes.get(SAME_AS)).and_then(serde_json::Value::as_str);
        if let Some(other) = other.map(ConnectionId::new) {
            found = self.table.get(&[keys::connection(&other)]).await?.pop().flatten();
        }
        found.map(|item| read("connection", item)).transpose()
    }

    /// All connections of a user, oldest first.
    pub async fn connections_of(&self, user: &UserId) -> Result<Vec<Connection>, StoreError> {
        let ids = self.pointers(keys::user_pk(user), "conn:").await?;
        let keys: Vec<_> = ids.iter().map(|id| keys::connection(&ConnectionId::new(id))).collect();
        let found = self.table.get(&keys).await?.into_iter().flatten();
        let mut all = found.map(|item| read("connection", item)).collect::<Result<Vec<Connection>, _>>()?;
        all.sort_by_key(|connection| connection.created_at);
        Ok(all)
    }

    /// The connections of one provider account, for a notification that names only the account.
    pub async fn connections_of_account(&self, provider: &str, account: &str) -> Result<Vec<ConnectionId>, StoreError> {
        let ids = self.pointers(keys::account_pk(provider, account), "conn:").await?;
        Ok(ids.into_iter().map(ConnectionId::new).collect())
    }

    /// Replaces a connection whose tokens nobody else has changed since it was read; its `tokens_version` must be the
    /// one that was read, and is raised.
    pub async fn save_connection(&self, connection: &mut Connection) -> Result<(), StoreError> {
        let read = connection.tokens_version;
        let next = Connection { tokens_version: read + 1, ..connection.clone() };
        let mine = vec![Condition::Equals("tokens_version", read.into())];
        let mut ops = vec![Op::Put(item(keys::connection(&next.id), &next), mine)];
        ops.extend(account_pointer(&next));
        self.transact(&ops).await?;
        *connection = next;
        Ok(())
    }

    /// Marks a connection as needing its user; answers whether this call was the first to say so.
    pub async fn mark_reconnect_needed(&self, id: &ConnectionId) -> Result<bool, StoreError> {
        let state = |state: ConnectionState| serde_json::to_value(state).expect("a word serialises");
        let update = Update {
            set: serde_json::Map::from_iter([("state".to_owned(), state(ConnectionState::ReconnectNeeded))]),
            add: vec![],
        };
        let connected = [Condition::Equals("state", state(ConnectionState::Connected))];
        match self.update(&keys::connection(id), &update, &connected).await.map_err(StoreError::from) {
            Ok(_) => Ok(true),
            Err(StoreError::Stale) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Notes that the provider asked for rest on this account. A connection that is gone or not connected needs no note.
    pub async fn rest_connection(&self, id: &ConnectionId, until: Timestamp) -> Result<(), StoreError> {
        let set = serde_json::Map::from_iter([("rests_until".to_owned(), serde_json::json!(until))]);
        let update = Update { set, add: vec![] };
        let connected = [Condition::Equals("state", serde_json::json!(ConnectionState::Connected))];
        match self.update(&keys::connection(id), &update, &connected).await.map_err(StoreError::from) {
            Ok(_) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Notes that a refresh of this version of the tokens begins. Whoever saves new tokens saves the end of the doubt
    /// with them. [`StoreError::Stale`] when the tokens are others by now.
    pub async fn mark_refresh_in_doubt(&self, connection: &Connection) -> Result<(), StoreError> {
        let set = serde_json::Map::from_iter([("refresh_in_doubt".to_owned(), true.into())]);
        let update = Update { set, add: vec![] };
        let same = [Condition::Equals("tokens_version", connection.tokens_version.into())];
        self.update(&keys::connection(&connection.id), &update, &same).await?;
        Ok(())
    }

    /// A pending connection turns out to be for an account that the user has connected already: its id is one more name of
    /// that connection from now on, for whoever was given it and looks how it went.
    pub async fn merge_connection(&self, pending: &Connection, into: &ConnectionId) -> Result<(), StoreError> {
        let ops = [
            Op::Put(item(keys::connection(&pending.id), &serde_json::json!({ SAME_AS: into })), vec![]),
            Op::Delete(keys::user_connection(&pending.user, &pending.id), vec![]),
            Op::Delete(keys::refresh(&pending.id), vec![]),
        ];
        Ok(self.transact(&ops).await?)
    }

    /// Forgets a connection and its tokens.
    pub async fn delete_connection(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut ops = vec![
            Op::Delete(keys::connection(&connection.id), vec![]),
            Op::Delete(keys::user_connection(&connection.user, &connection.id), vec![]),
            Op::Delete(keys::refresh(&connection.id), vec![]),
        ];
        if !connection.account.id.is_empty() {
            let (provider, account) = (&connection.provider, &connection.account.id);
            ops.push(Op::Delete(keys::account_connection(provider, account, &connection.id), vec![]));
        }
        Ok(self.transact(&ops).await?)
    }

    /// Notes until `until` that a user goes to a provider to sign in; answers whether a sign-in before this one has not
    /// ended well.
    pub async fn begin_sign_in(
        &self,
        user: &UserId,
        provider: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = keys::sign_in(user, provider);
        let before = self.table.get(std::slice::from_ref(&key)).await?.pop().flatten();
        let expires = |item: &tandem_ports::table::Item| item.attributes.get("expires_at").and_then(|at| at.as_i64());
        let unfinished = before.as_ref().and_then(expires).is_some_and(|at| at > now.as_second());
        let mark = item(key, &serde_json::json!({ "expires_at": until.as_second() }));
        self.transact(&[Op::Put(mark, vec![])]).await?;
        Ok(unfinished)
    }

    /// A user's sign-in at a provider ended well.
    pub async fn end_sign_in(&self, user: &UserId, provider: &str) -> Result<(), StoreError> {
        Ok(self.transact(&[Op::Delete(keys::sign_in(user, provider), vec![])]).await?)
    }

    /// Saves an authorisation under the hash of its state.
    pub async fn save_authorisation(&self, hash: &str, authorisation: &Authorisation) -> Result<(), StoreError> {
        let op = Op::Put(item(keys::oauth_state(hash), authorisation), vec![Condition::Absent]);
        Ok(self.transact(&[op]).await?)
    }

    /// Takes an authorisation out: the second caller with the same state gets `None`, and so does a late one.
    pub async fn take_authorisation(&self, hash: &str, now: Timestamp) -> Result<Option<Authorisation>, StoreError> {
        let key = keys::oauth_state(hash);
        let Some(found) = self.table.get(std::slice::from_ref(&key)).await?.pop().flatten() else { return Ok(None) };
        let authorisation: Authorisation = read("authorisation", found)?;
        match self.transact(&[Op::Delete(key, vec![Condition::Present])]).await.map_err(StoreError::from) {
            Ok(()) => Ok(Some(authorisation).filter(|found| found.expires_at > now.as_second())),
            Err(StoreError::Stale) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the right to refresh a connection's tokens until `until`; false when somebody else has it.
    pub async fn begin_refresh(&self, id: &ConnectionId, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let set = [("expires_at".to_owned(), until.as_second().into())];
        let update = Update { set: serde_json::Map::from_iter(set), add: vec![] };
        let free = [Condition::AbsentOrAtMost("expires_at", now.as_second())];
        match self.update(&keys::refresh(id), &update, &free).await.map_err(StoreError::from) {
            Ok(_) => Ok(true),
            Err(StoreError::Stale) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives that right back.
    pub async fn end_refresh(&self, id: &ConnectionId) -> Result<(), StoreError> {
        Ok(self.transact(&[Op::Delete(keys::refresh(id), vec![])]).await?)
    }

    /// The ids behind a prefix of a partition that holds only pointers.
    pub(crate) async fn pointers(&self, pk: String, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut query = Query {
            pk,
            index: Index::Main,
            prefix: prefix.to_owned(),
            after: None,
            up_to: None,
            descending: false,
            limit: 1000,
        };
        let mut ids = Vec::new();
        loop {
            let page = self.table.query(&query).await?;
            query.after = page.items.last().map(|item| item.key.sk.clone());
            let id = |item: &tandem_ports::table::Item| item.key.sk.strip_prefix(prefix).map(str::to_owned);
            ids.extend(page.items.iter().filter_map(id));
            if !page.more {
                return Ok(ids);
            }
        }
    }
}

fn account_pointer(connection: &Connection) -> Option<Op> {
    let account = &connection.account.id;
    (!account.is_empty()).then(|| {
        let key = keys::account_connection(&connection.provider, account, &connection.id);
        Op::Put(with(item(key, &serde_json::json!({})), "user", connection.user.as_str()), vec![])
    })
}
