//! Connecting an account: out to the provider's consent page, and back with a code.
use crate::authorised::Authority;
use crate::oauth::{Code, Granted, OAuthError, OAuthProvider, SignIn};
use crate::tokens::{TokenSet, owner};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::record::{ConnectionId, Side, UserId};
use tandem_ports::infra::SecretError;
use tandem_ports::oauth::{Holders, Identity};
use tandem_store::StoreError;
use tandem_store::channel::PushBook;
use tandem_store::connection::{Account, Authorisation, Connection, ConnectionState};
use tandem_store::sync::{SyncChange, SyncState};

/// How long the user may take at the provider.
pub const AUTHORISATION_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long a sign-in that came to nothing is remembered: the next one at that provider asks anew who the user is.
const SIGN_IN_REMEMBERED: Duration = Duration::from_secs(3600);

/// Begins and ends authorisations.
#[derive(Clone)]
pub struct Connect {
    authority: Authority,
    providers: Arc<BTreeMap<String, Arc<OAuthProvider>>>,
    public_url: String,
}

/// An authorisation that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The pending connection.
    pub connection: Connection,
    /// Where to send the browser.
    pub authorize_url: String,
}

/// What the browser brought back.
#[derive(Clone, Default)]
pub struct Returned {
    /// `state`.
    pub state: String,
    /// `code`, when the user agreed.
    pub code: Option<String>,
    /// `error`, when not.
    pub error: Option<String>,
    /// `accounts-server`, where the provider has several: the origin that gave the code.
    pub accounts_server: Option<String>,
    /// `location`: the data centre of that server.
    pub location: Option<String>,
    /// The hash of the browser session that it came in, if any.
    pub session: Option<String>,
}

/// How an authorisation ended.
#[derive(Clone, Debug)]
pub enum Finished {
    /// The account is connected. The id is an earlier connection's where that account was connected before.
    Connected(Box<Connection>),
    /// The user did not agree; the pending connection is forgotten.
    Denied,
    /// The user unticked what nothing works without; the pending connection is forgotten.
    MissingScopes(Vec<String>),
}

/// Why an authorisation neither began nor ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The state is unknown, used, too old, another provider's or another browser's.
    #[error("this sign-in is not under way here, or took too long; please begin again")]
    UnknownState,
    /// The provider does not accept the code.
    #[error("the provider did not accept this sign-in; please begin again")]
    CodeRefused,
    /// This installation has no OAuth client for the provider, or a wrong one.
    #[error("this installation is not set up for {0}; its administrator must check the client id and secret")]
    NotSetUp(String),
    /// The provider does not accept the personal token.
    #[error("{0} does not accept this access token")]
    TokenRefused(String),
    /// The grant does not let us see whose it is.
    #[error("{0} does not say whose account this is; the user there, or the app, may lack a right")]
    NoAccount(String),
    /// Another of our users has connected this account, and it serves one.
    #[error(
        "this {0} account is connected by another user here, and {0} keeps one folder for it: sign out at {0}, and connect \
         an account of your own"
    )]
    AccountTaken(String),
    /// The provider's answer leads to a server that is none of its own.
    #[error("{0} answered with a server that is not known as its own, so nothing was sent there")]
    ForeignServer(String),
    /// Something did not answer.
    #[error("the sign-in could not be finished at this moment")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        ConnectError::Unavailable(Box::new(error))
    }
}

impl From<SecretError> for ConnectError {
    fn from(error: SecretError) -> Self {
        ConnectError::Unavailable(Box::new(error))
    }
}

impl From<OAuthError> for ConnectError {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::Revoked { .. } => ConnectError::CodeRefused,
            OAuthError::Refused { provider, .. } | OAuthError::Misconfigured { provider } => {
                ConnectError::NotSetUp(provider)
            }
            OAuthError::NoAccount { provider, .. } => ConnectError::NoAccount(provider),
            OAuthError::ForeignServer { provider } => ConnectError::ForeignServer(provider),
            OAuthError::Unavailable { .. } => ConnectError::Unavailable(Box::new(error)),
        }
    }
}

impl Connect {
    /// For these providers. `public_url` is the origin that browsers reach us at.
    pub fn new(authority: Authority, providers: Vec<OAuthProvider>, public_url: &str) -> Self {
        let by_name = providers.into_iter().map(|provider| (provider.name.clone(), Arc::new(provider))).collect();
        Self { authority, providers: Arc::new(by_name), public_url: public_url.trim_end_matches('/').to_owned() }
    }

    /// How OAuth is done at a provider, where it is done.
    pub fn provider(&self, name: &str) -> Option<&Arc<OAuthProvider>> {
        self.providers.get(name)
    }

    /// Every provider of this release.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<OAuthProvider>> {
        self.providers.values()
    }

    /// The address that a provider sends the browser back to.
    pub fn redirect_uri(&self, provider: &str) -> String {
        format!("{}/oauth/callback/{provider}", self.public_url)
    }

    /// Makes a pending connection and the address of the consent page. With `session` (a hash), only that browser
    /// session may come back with it.
    pub async fn begin(
        &self,
        user: &UserId,
        provider: &OAuthProvider,
        session: Option<String>,
    ) -> Result<Begun, ConnectError> {
        let (store, now) = (&self.authority.store, self.authority.clock.now());
        self.forget_abandoned(user, now).await?;
        let sign_in = self.sign_in(user, provider, now).await?;
        let departure = provider.depart(&self.redirect_uri(&provider.name), sign_in)?;
        let connection = pending(user, provider, now);
        let verifier = self.authority.secrets.seal(&owner(&connection), departure.verifier.as_bytes()).await?;
        let authorisation = Authorisation {
            connection: connection.id.clone(),
            user: user.clone(),
            provider: provider.name.clone(),
            verifier,
            session,
            expires_at: (now + AUTHORISATION_LIFETIME).as_second(),
        };
        store.create_connection(&connection).await?;
        store.save_authorisation(&digest(&departure.state), &authorisation).await?;
        Ok(Begun { connection, authorize_url: departure.url })
    }

    /// Connects with a personal access token, once the provider has said whose it is.
    pub async fn adopt(
        &self,
        user: &UserId,
        provider: &OAuthProvider,
        access_token: &str,
    ) -> Result<Connection, ConnectError> {
        let tokens = TokenSet::personal(access_token);
        let account = match provider.account(&self.authority.transport, &tokens, None).await {
            Err(OAuthError::Revoked { provider }) => return Err(ConnectError::TokenRefused(provider)),
            identity => identity?,
        };
        self.may_hold(user, provider, &account).await?;
        let connection = pending(user, provider, self.authority.clock.now());
        self.authority.store.create_connection(&connection).await?;
        self.keep(connection, provider, Granted { tokens, api_origin: None }, account).await
    }

    /// Ends an authorisation with what the browser brought back to `provider`'s address. A state serves once.
    pub async fn finish(&self, provider: &str, returned: Returned) -> Result<Finished, ConnectError> {
        let (store, now) = (&self.authority.store, self.authority.clock.now());
        let begun = store.take_authorisation(&digest(&returned.state), now).await?;
        let begun = begun.ok_or(ConnectError::UnknownState)?;
        let elsewhere = begun.session.is_some() && begun.session != returned.session;
        let (Some(provider), false) = (self.providers.get(provider), elsewhere || begun.provider != provider) else {
            return Err(ConnectError::UnknownState);
        };
        let pending = store.connection(&begun.connection).await?;
        let pending = pending.filter(|connection| connection.state == ConnectionState::Pending);
        let pending = pending.ok_or(ConnectError::UnknownState)?;
        if returned.error.is_some() || returned.code.is_none() {
            store.delete_connection(&pending).await?;
            return Ok(Finished::Denied);
        }
        match self.redeem(provider, &pending, &begun, returned, now).await {
            Ok(Redeemed::Granted(granted, identity)) => {
                Ok(Finished::Connected(Box::new(self.keep(pending, provider, granted, *identity).await?)))
            }
            Ok(Redeemed::Missing(scopes)) => {
                store.delete_connection(&pending).await?;
                Ok(Finished::MissingScopes(scopes))
            }
            Err(error) => {
                // The state is spent: nothing can come of this pending connection any more.
                store.delete_connection(&pending).await?;
                Err(error)
            }
        }
    }

    async fn redeem(
        &self,
        provider: &OAuthProvider,
        pending: &Connection,
        begun: &Authorisation,
        returned: Returned,
        now: Timestamp,
    ) -> Result<Redeemed, ConnectError> {
        let transport = &self.authority.transport;
        let verifier = self.authority.secrets.open(&owner(pending), &begun.verifier).await?;
        let verifier = String::from_utf8(verifier).map_err(|_| ConnectError::UnknownState)?;
        let said = (returned.accounts_server.as_deref(), returned.location.as_deref());
        let accounts_server = provider.accounts_server(said.0, said.1)?;
        let code = Code { code: returned.code.unwrap_or_default(), verifier, accounts_server };
        let granted = provider.exchange(transport, &self.redirect_uri(&provider.name), code, now).await?;
        // The grant itself stays: revoking it would end every other connection of that account as well.
        let missing = provider.missing_scopes(&granted.tokens);
        if !missing.is_empty() {
            return Ok(Redeemed::Missing(missing));
        }
        let identity = provider.account(transport, &granted.tokens, granted.api_origin.as_deref()).await?;
        self.may_hold(&pending.user, provider, &identity).await?;
        Ok(Redeemed::Granted(granted, Box::new(identity)))
    }

    /// Whether the user should be asked anew who they are: an earlier sign-in came to nothing, or a grant is gone.
    async fn sign_in(&self, user: &UserId, provider: &OAuthProvider, now: Timestamp) -> Result<SignIn, ConnectError> {
        if provider.endpoints.again_parameters.is_empty() {
            return Ok(SignIn::First);
        }
        let store = &self.authority.store;
        let unfinished = store.begin_sign_in(user, &provider.name, now, now + SIGN_IN_REMEMBERED).await?;
        let lost = |one: &Connection| one.provider == provider.name && one.state == ConnectionState::ReconnectNeeded;
        let again = unfinished || store.connections_of(user).await?.iter().any(lost);
        Ok(if again { SignIn::Again } else { SignIn::First })
    }

    /// Refuses an account that serves one user while another one has it.
    async fn may_hold(&self, user: &UserId, provider: &OAuthProvider, identity: &Identity) -> Result<(), ConnectError> {
        if provider.endpoints.holders == Holders::Any {
            return Ok(());
        }
        let store = &self.authority.store;
        for id in store.connections_of_account(&provider.name, &identity.id).await? {
            if store.connection(&id).await?.is_some_and(|other| other.user != *user) {
                return Err(ConnectError::AccountTaken(provider.title.clone()));
            }
        }
        Ok(())
    }

    /// Saves the tokens: in the connection that the user already has for this account, so that its syncs go on, else in
    /// the pending one.
    async fn keep(
        &self,
        pending: Connection,
        provider: &OAuthProvider,
        granted: Granted,
        identity: Identity,
    ) -> Result<Connection, ConnectError> {
        let store = &self.authority.store;
        let Identity { id, name, email, plan } = identity;
        let account = Account { id, name, email };
        let all = store.connections_of(&pending.user).await?;
        let same = |other: &&Connection| {
            other.id != pending.id && other.provider == pending.provider && other.account.id == account.id
        };
        let earlier = all.iter().find(same).cloned();
        let revived = earlier.is_some();
        let mut connection = earlier.unwrap_or_else(|| pending.clone());
        loop {
            connection.tokens = Some(granted.tokens.seal(self.authority.secrets.as_ref(), &connection).await?);
            connection.scopes = granted.tokens.scope.clone();
            connection.api_origin = granted.api_origin.clone();
            connection.refresh_in_doubt = false;
            connection.account = account.clone();
            connection.plan.clone_from(&plan);
            connection.state = ConnectionState::Connected;
            match store.save_connection(&mut connection).await {
                Ok(()) => break,
                // A refresh of the old tokens was under way: ours are newer.
                Err(StoreError::Stale) => {
                    let now = store.connection(&connection.id).await?;
                    connection = now.ok_or(ConnectError::UnknownState)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !provider.endpoints.again_parameters.is_empty() {
            store.end_sign_in(&connection.user, &provider.name).await?;
        }
        if revived {
            store.merge_connection(&pending, &connection.id).await?;
            self.resume_syncs(&connection).await?;
        }
        Ok(connection)
    }

    /// Ends a connection: revokes at the provider, forgets the tokens, pauses its syncs. Records stay where they are.
    /// The grant is not revoked while another connection stands on the same account, whose grant it is as well.
    pub async fn disconnect(&self, connection: &Connection) -> Result<(), ConnectError> {
        let Authority { transport, store, secrets, .. } = &self.authority;
        store.delete_connection(connection).await?;
        let reason = format!("The {} connection was removed. Connect again and make a new sync.", connection.provider);
        for sync in store.syncs_of(&connection.user).await? {
            if sync.crm == connection.id || sync.remote == connection.id {
                let state = Some((SyncState::Paused, Some(reason.clone())));
                ignore_gone(store.change_sync(&sync, &SyncChange { state, ..SyncChange::default() }).await)?;
            }
        }
        let Some(provider) = self.providers.get(&connection.provider) else { return Ok(()) };
        let others = store.connections_of_account(&connection.provider, &connection.account.id).await?;
        if connection.account.id.is_empty() || !others.is_empty() {
            return Ok(());
        }
        // Our copy is gone already; a provider that does not answer must not bring it back.
        let revoked = match TokenSet::open(secrets.as_ref(), connection).await {
            Ok(Some(tokens)) => provider.revoke(transport, &tokens, self.authority.clock.now()).await,
            Ok(None) | Err(_) => Ok(()),
        };
        if let Err(error) = revoked {
            tracing::warn!(connection = %connection.id, %error, "the grant was not revoked at the provider");
        }
        Ok(())
    }

    /// What waited for this connection is taken up at the schedule's next look; what could not be watched is asked for again.
    async fn resume_syncs(&self, connection: &Connection) -> Result<(), ConnectError> {
        let store = &self.authority.store;
        for sync in store.syncs_of(&connection.user).await? {
            let side = match &connection.id {
                id if *id == sync.crm => Side::Left,
                id if *id == sync.remote => Side::Right,
                _ => continue,
            };
            if let Some(book) = store.push_book(&sync.id, side).await?.filter(|book| book.retry_at.is_some()) {
                let fresh = PushBook { failures: 0, retry_at: None, ..book };
                ignore_gone(store.save_push_book(&sync.id, side, &fresh).await.map(drop))?;
            }
            if sync.enabled && sync.state == SyncState::Paused {
                let due = Some(self.authority.clock.now());
                let change = SyncChange { state: Some((SyncState::Idle, None)), due, ..SyncChange::default() };
                ignore_gone(store.change_sync(&sync, &change).await)?;
            }
        }
        Ok(())
    }

    /// Pending connections whose authorisation has expired came to nothing.
    async fn forget_abandoned(&self, user: &UserId, now: Timestamp) -> Result<(), ConnectError> {
        for connection in self.authority.store.connections_of(user).await? {
            let abandoned = connection.created_at + AUTHORISATION_LIFETIME < now;
            if connection.state == ConnectionState::Pending && abandoned {
                self.authority.store.delete_connection(&connection).await?;
            }
        }
        Ok(())
    }
}

enum Redeemed {
    Granted(Granted, Box<Identity>),
    Missing(Vec<String>),
}

fn pending(user: &UserId, provider: &OAuthProvider, now: Timestamp) -> Connection {
    Connection::new(ConnectionId::new(uuid::Uuid::new_v4().to_string()), user.clone(), &provider.name, now)
}

/// A sync that was removed meanwhile needs no change.
fn ignore_gone(done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Err(StoreError::Stale) => Ok(()),
        done => done,
    }
}

fn digest(state: &str) -> String {
    hex::encode(Sha256::digest(state.as_bytes()))
}
