//! Connecting and refreshing against a scripted provider, over the store in memory.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::record::{ConnectionId, UserId};
use tandem_http::{
    ApiOrigins, Authority, Connect, ConnectError, Finished, OAuthClient, OAuthProvider, Returned, TokenSet,
};
use tandem_ports::infra::{Clock, HttpTransport, Pieces, TransportError};
use tandem_ports::oauth::{ClientAuth, Holders, Identity, OAuthEndpoints, Revocation};
use tandem_store::Store;
use tandem_store::connection::{Connection, ConnectionState};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::secrets::MemorySecrets;
use url::Url;

/// A provider that rotates its refresh tokens: each is good for one refresh.
#[derive(Default)]
struct Provider {
    said: Mutex<Said>,
}

struct Said {
    refreshes: u32,
    revocations: Vec<String>,
    /// The one refresh token and the one access token that are good now.
    refresh: String,
    access: String,
    scope: &'static str,
    sub: &'static str,
    /// Answered instead of the token address's own answer, once each.
    faults: Vec<(u16, &'static str)>,
    forms: Vec<HashMap<String, String>>,
}

impl Default for Said {
    fn default() -> Self {
        Said {
            refreshes: 0,
            revocations: Vec::new(),
            refresh: "r0".into(),
            access: "a0".into(),
            scope: "openid contacts",
            sub: "g-1",
            faults: Vec::new(),
            forms: Vec::new(),
        }
    }
}

fn answer(status: u16, body: &str) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap()
}

#[async_trait]
impl HttpTransport for Provider {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        // Others get their turn while this is on its way.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let mut said = self.said.lock().unwrap();
        let form: HashMap<String, String> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let bearer = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        Ok(match request.uri().path() {
            "/token" => {
                said.forms.push(form.clone());
                if let Some((status, body)) = said.faults.pop() {
                    return Ok(answer(status, body));
                }
                let refreshing = form["grant_type"] == "refresh_token";
                if refreshing && form["refresh_token"] != said.refresh {
                    return Ok(answer(400, r#"{"error":"invalid_grant"}"#));
                }
                said.refreshes += u32::from(refreshing);
                let n = said.refreshes;
                (said.refresh, said.access) = (format!("r{n}"), format!("a{n}"));
                let body = json!({"access_token": said.access, "refresh_token": said.refresh, "expires_in": 3600,
                    "token_type": "Bearer", "scope": said.scope});
                answer(200, &body.to_string())
            }
            "/revoke" => {
                said.revocations.push(form["token"].clone());
                answer(200, "{}")
            }
            "/userinfo" => answer(200, &json!({"sub": said.sub, "email": "an@example.test", "name": "An"}).to_string()),
            "/api" if bearer == Some(format!("Bearer {}", said.access)) => answer(200, "ok"),
            _ => answer(401, ""),
        })
    }
}

struct World {
    provider: Arc<Provider>,
    clock: Arc<ManualClock>,
    store: Store,
}

impl World {
    fn new() -> Self {
        let store = Store::new(Arc::new(MemoryTable::default()));
        Self { provider: Arc::default(), clock: Arc::default(), store }
    }
    fn authority(&self) -> Authority {
        Authority::new(self.provider.clone(), self.store.clone(), Arc::new(MemorySecrets), self.clock.clone())
    }
    fn connect(&self) -> Connect {
        Connect::new(self.authority(), vec![google()], "http://tandem.test/")
    }
    /// What one process's worker sends.
    async fn call(&self, authority: &Authority, id: &ConnectionId) -> Result<StatusCode, TransportError> {
        let request = Request::get("http://provider.test/api").body(Bytes::new()).unwrap();
        authority.acting_for(&Arc::new(google()), id).send(request).await.map(|answer| answer.status())
    }
    async fn connection(&self, id: &ConnectionId) -> Connection {
        self.store.connection(id).await.unwrap().unwrap()
    }
    async fn begin(&self, session: Option<&str>) -> (ConnectionId, Url) {
        let begun = self.connect().begin(&user(), &google(), session.map(str::to_owned)).await.unwrap();
        (begun.connection.id, begun.authorize_url.parse().unwrap())
    }
    async fn connected(&self) -> ConnectionId {
        let (_, url) = self.begin(None).await;
        let finished = self.connect().finish("google", back(&url)).await.unwrap();
        let Finished::Connected(connection) = finished else { panic!("{finished:?}") };
        connection.id
    }
    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.provider.said.lock().unwrap()
    }
}

fn user() -> UserId {
    UserId::new("user-1")
}

fn google() -> OAuthProvider {
    let at = |path: &str| format!("http://provider.test/{path}");
    OAuthProvider {
        name: "google".into(),
        title: "Google".into(),
        endpoints: OAuthEndpoints {
            authorize_url: at("auth"),
            token_url: at("token"),
            revocation: Revocation::Form(at("revoke")),
            scopes: vec!["openid".into(), "contacts".into()],
            required_scopes: vec!["contacts".into()],
            scope_separator: " ",
            authorize_parameters: vec![("access_type".into(), "offline".into())],
            again_parameters: vec![],
            pkce: true,
            client_auth: ClientAuth::Body,
            token_scheme: "Bearer",
            whoami: |at, _| Request::get(format!("{}/userinfo", at.api_url)).body(Bytes::new()).unwrap(),
            api_url: "http://provider.test".into(),
            identity: |body| {
                let body: serde_json::Value = serde_json::from_slice(body).ok()?;
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                Some(Identity { id: text("sub"), name: text("name"), email: text("email"), plan: None })
            },
            other_accounts_servers: vec![],
            holders: Holders::Any,
        },
        client: Some(OAuthClient { id: "id".into(), secret: "secret".into() }),
        api_origins: ApiOrigins::Configured,
        personal_token_length: None,
    }
}

fn query(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

fn back(url: &Url) -> Returned {
    Returned { state: query(url, "state"), code: Some("code".into()), ..Returned::default() }
}

#[tokio::test]
async fn an_account_is_connected_with_state_and_pkce() {
    let world = World::new();
    let (id, url) = world.begin(None).await;
    assert_eq!(world.connection(&id).await.state, ConnectionState::Pending);
    assert_eq!(query(&url, "redirect_uri"), "http://tandem.test/oauth/callback/google");
    assert_eq!(query(&url, "access_type"), "offline");
    assert_eq!(query(&url, "scope"), "openid contacts");
    assert_eq!(query(&url, "code_challenge_method"), "S256");
    world.connect().finish("google", back(&url)).await.unwrap();
    let connection = world.connection(&id).await;
    assert_eq!((connection.state, connection.account.email.as_str()), (ConnectionState::Connected, "an@example.test"));
    assert_eq!(connection.scopes, ["openid", "contacts"]);
    let verifier = world.said().forms[0]["code_verifier"].clone();
    use base64::Engine as _;
    use sha2::Digest as _;
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier));
    assert_eq!(query(&url, "code_challenge"), challenge);
}

#[tokio::test]
async fn a_state_serves_once_for_its_provider_its_browser_and_its_time() {
    let world = World::new();
    let refused = async |provider: &str, returned: Returned| {
        let error = world.connect().finish(provider, returned).await.unwrap_err();
        assert!(matches!(error, ConnectError::UnknownState), "{error:?}");
    };
    refused("google", Returned { state: "made up".into(), code: Some("code".into()), ..Returned::default() }).await;
    let (_, url) = world.begin(None).await;
    refused("dropbox", back(&url)).await;
    let (_, url) = world.begin(Some("session-1")).await;
    refused("google", Returned { session: Some("session-2".into()), ..back(&url) }).await;
    let (_, url) = world.begin(Some("session-1")).await;
    refused("google", back(&url)).await;
    let (_, url) = world.begin(None).await;
    world.clock.advance(Duration::from_secs(901));
    refused("google", back(&url)).await;
    let all = world.store.connections_of(&user()).await.unwrap();
    assert!(all.iter().all(|connection| connection.state == ConnectionState::Pending && connection.tokens.is_none()));
    let (_, url) = world.begin(Some("session-1")).await;
    let right = || Returned { session: Some("session-1".into()), ..back(&url) };
    assert!(matches!(world.connect().finish("google", right()).await.unwrap(), Finished::Connected(_)));
    refused("google", right()).await;
}

#[tokio::test]
async fn a_denied_or_crippled_consent_leaves_no_connection() {
    let world = World::new();
    let (_, url) = world.begin(None).await;
    let denied = Returned { code: None, error: Some("access_denied".into()), ..back(&url) };
    assert!(matches!(world.connect().finish("google", denied).await.unwrap(), Finished::Denied));
    world.said().scope = "openid";
    let (_, url) = world.begin(None).await;
    let finished = world.connect().finish("google", back(&url)).await.unwrap();
    assert!(matches!(&finished, Finished::MissingScopes(scopes) if *scopes == ["contacts"]), "{finished:?}");
    let (_, url) = world.begin(None).await;
    world.said().faults.push((400, r#"{"error":"invalid_grant"}"#));
    let error = world.connect().finish("google", back(&url)).await.unwrap_err();
    assert!(matches!(error, ConnectError::CodeRefused));
    world.said().faults.push((401, r#"{"error":"invalid_client"}"#));
    let (_, url) = world.begin(None).await;
    let error = world.connect().finish("google", back(&url)).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotSetUp(_)));
    assert!(world.store.connections_of(&user()).await.unwrap().is_empty());
}

#[tokio::test]
async fn connecting_the_same_account_again_revives_its_connection() {
    let world = World::new();
    let first = world.connected().await;
    world.store.mark_reconnect_needed(&first).await.unwrap();
    assert_eq!(world.connected().await, first);
    let all = world.store.connections_of(&user()).await.unwrap();
    assert_eq!((all.len(), all[0].state), (1, ConnectionState::Connected));
    world.said().sub = "g-2";
    assert_ne!(world.connected().await, first);
}

#[tokio::test]
async fn the_id_of_a_reconnection_leads_to_the_connection_that_it_revived() {
    let world = World::new();
    let first = world.connected().await;
    let (second, url) = world.begin(None).await;
    assert_eq!(world.connection(&second).await.state, ConnectionState::Pending);
    world.connect().finish("google", back(&url)).await.unwrap();
    let found = world.connection(&second).await;
    assert_eq!((&found.id, found.state), (&first, ConnectionState::Connected));
    assert_eq!(world.store.connections_of(&user()).await.unwrap().len(), 1, "it is no second one");
    world.connect().disconnect(&found).await.unwrap();
    assert!(world.store.connection(&second).await.unwrap().is_none());
}

#[tokio::test]
async fn twenty_workers_with_an_expired_token_make_one_refresh() {
    let world = World::new();
    let id = world.connected().await;
    world.clock.advance(Duration::from_secs(3600));
    // Half of them share a process, the others have each their own.
    let shared = world.authority();
    let workers = (0..20).map(|n| {
        let authority = if n % 2 == 0 { shared.clone() } else { world.authority() };
        let (world, id) = (&world, &id);
        async move { world.call(&authority, id).await.unwrap() }
    });
    let answers = futures::future::join_all(workers).await;
    assert_eq!(answers, [StatusCode::OK; 20]);
    assert_eq!(world.said().refreshes, 1);
}

#[tokio::test]
async fn a_token_that_the_provider_ended_early_is_refreshed_once() {
    let world = World::new();
    let id = world.connected().await;
    world.said().access = "another".into();
    assert_eq!(world.call(&world.authority(), &id).await.unwrap(), StatusCode::OK);
    assert_eq!(world.said().refreshes, 1);
    let stored = world.connection(&id).await;
    let tokens = TokenSet::open(&MemorySecrets, &stored).await.unwrap().unwrap();
    assert_eq!((tokens.access_token.as_str(), tokens.refresh_token.as_deref()), ("a1", Some("r1")));
}

#[tokio::test]
async fn a_grant_that_is_gone_asks_the_user_once() {
    let world = World::new();
    let id = world.connected().await;
    world.said().refresh = "revoked by the user".into();
    world.clock.advance(Duration::from_secs(3600));
    let authority = world.authority();
    for _ in 0..3 {
        let error = world.call(&authority, &id).await.unwrap_err();
        assert!(matches!(error, TransportError::AuthRevoked { .. }), "{error:?}");
    }
    assert_eq!(world.connection(&id).await.state, ConnectionState::ReconnectNeeded);
    assert_eq!(world.said().forms.len(), 2, "one exchange, one refused refresh");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_costs_no_grant() {
    let world = World::new();
    let id = world.connected().await;
    world.clock.advance(Duration::from_secs(3600));
    let authority = world.authority();
    for fault in [(503, "<html>"), (429, r#"{"error":"invalid_grant"}"#), (200, "not JSON hush")] {
        world.said().faults.push(fault);
        let error = world.call(&authority, &id).await.unwrap_err();
        assert!(matches!(error, TransportError::Lost { .. }) && !format!("{error:?}").contains("hush"), "{error:?}");
    }
    assert_eq!(world.connection(&id).await.state, ConnectionState::Connected);
    assert_eq!(world.call(&authority, &id).await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn a_worker_that_died_while_refreshing_is_replaced() {
    let world = World::new();
    let id = world.connected().await;
    world.clock.advance(Duration::from_secs(3600));
    let now = world.clock.now();
    assert!(world.store.begin_refresh(&id, now, now + Duration::from_secs(60)).await.unwrap());
    assert_eq!(world.call(&world.authority(), &id).await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn disconnecting_revokes_and_forgets_but_not_what_another_stands_on() {
    let world = World::new();
    let id = world.connected().await;
    let mine = world.connection(&id).await;
    let other = Connection { id: ConnectionId::new("other"), user: UserId::new("user-2"), ..mine.clone() };
    world.store.create_connection(&other).await.unwrap();
    world.connect().disconnect(&mine).await.unwrap();
    assert!(world.said().revocations.is_empty());
    assert!(world.store.connection(&id).await.unwrap().is_none());
    let error = world.call(&world.authority(), &id).await.unwrap_err();
    assert!(matches!(error, TransportError::AuthRevoked { .. }));
    world.store.delete_connection(&other).await.unwrap();
    let again = world.connected().await;
    world.connect().disconnect(&world.connection(&again).await).await.unwrap();
    assert_eq!(world.said().revocations, ["r0"]);
}

#[tokio::test]
async fn a_token_that_ended_early_is_renewed_for_bytes_too_and_a_body_that_is_gone_is_to_be_sent_again() {
    let world = World::new();
    let id = world.connected().await;
    let acting = world.authority().acting_for(&Arc::new(google()), &id);
    let sends = || {
        let body: Pieces = Box::pin(futures::stream::iter([Bytes::from_static(b"one"), Bytes::from_static(b"two")]));
        acting.send_pieces(Request::post("http://provider.test/api").body(body).unwrap())
    };
    assert_eq!(sends().await.unwrap().status(), StatusCode::OK);
    world.said().access = "ended".into();
    assert!(matches!(sends().await.unwrap_err(), TransportError::Lost { .. }), "nothing is left to send");
    assert_eq!(sends().await.unwrap().status(), StatusCode::OK, "with the token that is fresh by now");
    world.said().access = "ended again".into();
    let request = Request::get("http://provider.test/api").body(Bytes::new()).unwrap();
    assert_eq!(acting.receive(request).await.unwrap().status(), StatusCode::OK);
    assert_eq!(world.connection(&id).await.state, ConnectionState::Connected);
}

#[tokio::test]
async fn bytes_that_are_refused_with_a_new_token_too_are_the_callers_to_judge_and_cost_no_further_refresh() {
    let world = World::new();
    let id = world.connected().await;
    world.clock.advance(Duration::from_secs(1800));
    let sends = async || {
        // Each try is another process's.
        let acting = world.authority().acting_for(&Arc::new(google()), &id);
        let body: Pieces = Box::pin(futures::stream::iter([Bytes::from_static(b"bytes")]));
        acting.send_pieces(Request::post("http://provider.test/refuses-all").body(body).unwrap()).await
    };
    assert!(matches!(sends().await.unwrap_err(), TransportError::Lost { .. }), "the token may have ended");
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(10));
        assert_eq!(sends().await.unwrap().status(), StatusCode::UNAUTHORIZED, "it has not");
    }
    assert_eq!(world.said().refreshes, 1);
    world.clock.advance(Duration::from_secs(1800));
    assert!(matches!(sends().await.unwrap_err(), TransportError::Lost { .. }), "an older token may have ended again");
    assert_eq!(world.said().refreshes, 2);
}
