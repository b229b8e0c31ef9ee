//! What the providers do differently, each against a script of answers, over the store in memory.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_core::record::{ConnectionId, UserId};
use tandem_http::{
    ApiOrigins, Authority, Connect, ConnectError, Finished, OAuthClient, OAuthProvider, Returned, TokenSet,
};
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_ports::oauth::{ClientAuth, Holders, Identity, OAuthEndpoints, Revocation};
use tandem_store::Store;
use tandem_store::connection::{Connection, ConnectionState};
use tandem_testkit::clock::ManualClock;
use tandem_testkit::memory::MemoryTable;
use tandem_testkit::secrets::MemorySecrets;
use url::Url;

/// Answers what it was told to, in turn, and keeps what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Option<(u16, String)>>>,
    seen: Mutex<Vec<Seen>>,
}

struct Seen {
    address: String,
    authorization: String,
    form: Vec<(String, String)>,
}

impl Seen {
    fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[async_trait]
impl HttpTransport for Script {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let header = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.seen.lock().unwrap().push(Seen {
            address: request.uri().to_string(),
            authorization: header.unwrap_or_default(),
            form: url::form_urlencoded::parse(request.body()).into_owned().collect(),
        });
        let answer = self.answers.lock().unwrap().pop_front().expect("a request that the script knows nothing of");
        let (status, body) = answer.ok_or(TransportError::Lost { host: "provider.test".into(), source: None })?;
        Ok(Response::builder().status(status).body(Bytes::from(body)).unwrap())
    }
}

struct World {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    store: Store,
    authority: Authority,
    provider: Arc<OAuthProvider>,
}

impl World {
    fn new(provider: OAuthProvider) -> Self {
        let (script, clock) = (Arc::<Script>::default(), Arc::<ManualClock>::default());
        let store = Store::new(Arc::new(MemoryTable::default()));
        let authority = Authority::new(script.clone(), store.clone(), Arc::new(MemorySecrets), clock.clone());
        Self { script, clock, store, authority, provider: Arc::new(provider) }
    }
    fn connect(&self) -> Connect {
        Connect::new(self.authority.clone(), vec![self.provider.as_ref().clone()], "http://tandem.test")
    }
    fn answers(&self, answers: &[(u16, &str)]) {
        let answers = answers.iter().map(|(status, body)| Some((*status, (*body).to_owned())));
        self.script.answers.lock().unwrap().extend(answers);
    }
    fn loses_an_answer(&self) {
        self.script.answers.lock().unwrap().push_back(None);
    }
    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.script.seen.lock().unwrap()
    }
    async fn begin(&self) -> (ConnectionId, Url) {
        let begun = self.connect().begin(&user(), &self.provider, None).await.unwrap();
        (begun.connection.id, begun.authorize_url.parse().unwrap())
    }
    async fn finish(&self, more: Returned) -> Result<Finished, ConnectError> {
        let (_, url) = self.begin().await;
        let state = query(&url, "state").unwrap();
        let returned = Returned { state, code: Some("the-code".into()), ..more };
        self.connect().finish(&self.provider.name, returned).await
    }
    async fn connected(&self, more: Returned) -> Connection {
        let finished = self.finish(more).await.unwrap();
        let Finished::Connected(connection) = finished else { panic!("{finished:?}") };
        *connection
    }
    async fn call(&self, id: &ConnectionId) -> Result<u16, TransportError> {
        let request = Request::get("http://api.test/x").body(Bytes::new()).unwrap();
        self.authority.acting_for(&self.provider, id).send(request).await.map(|answer| answer.status().as_u16())
    }
    async fn state(&self, id: &ConnectionId) -> ConnectionState {
        self.store.connection(id).await.unwrap().unwrap().state
    }
    async fn tokens(&self, id: &ConnectionId) -> TokenSet {
        let connection = self.store.connection(id).await.unwrap().unwrap();
        TokenSet::open(&MemorySecrets, &connection).await.unwrap().unwrap()
    }
    fn an_hour_later(&self) {
        self.clock.advance(Duration::from_secs(3600));
    }
}

fn user() -> UserId {
    UserId::new("user-1")
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn identity(body: &[u8]) -> Option<Identity> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(Identity { id: body["id"].as_str()?.to_owned(), ..Identity::default() })
}

fn provider(name: &str, endpoints: OAuthEndpoints) -> OAuthProvider {
    let client = Some(OAuthClient { id: "an id".into(), secret: "s:ecret".into() });
    let api_origins = ApiOrigins::Configured;
    let personal_token_length = None;
    OAuthProvider {
        name: name.into(),
        title: name.to_uppercase(),
        endpoints,
        client,
        api_origins,
        personal_token_length,
    }
}

/// No scopes, no PKCE; the refresh token serves once.
fn teamleader() -> OAuthProvider {
    provider(
        "teamleader",
        OAuthEndpoints {
            authorize_url: "http://auth.test/oauth2/authorize".into(),
            token_url: "http://auth.test/oauth2/access_token".into(),
            revocation: Revocation::ByUser,
            scopes: vec![],
            required_scopes: vec![],
            scope_separator: " ",
            authorize_parameters: vec![],
            again_parameters: vec![],
            pkce: false,
            client_auth: ClientAuth::Body,
            token_scheme: "Bearer",
            whoami: |at, _| Request::post(format!("{}/users.me", at.api_url)).body(Bytes::from("{}")).unwrap(),
            api_url: "http://api.test".into(),
            identity,
            other_accounts_servers: vec![],
            holders: Holders::Any,
        },
    )
}

/// Several data centres, scopes by commas, a scheme of its own, refusals with 200.
fn zoho() -> OAuthProvider {
    let endpoints = OAuthEndpoints {
        authorize_url: "https://accounts.zoho.eu/oauth/v2/auth".into(),
        token_url: "https://accounts.zoho.eu/oauth/v2/token".into(),
        revocation: Revocation::Form("https://accounts.zoho.eu/oauth/v2/token/revoke".into()),
        scopes: vec!["ZohoCRM.modules.ALL".into(), "ZohoCRM.users.READ".into()],
        required_scopes: vec!["ZohoCRM.modules.ALL".into()],
        scope_separator: ",",
        token_scheme: "Zoho-oauthtoken",
        whoami: |at, domain| {
            let origin = domain.unwrap_or(&at.api_url);
            Request::get(format!("{origin}/crm/v8/users?type=CurrentUser")).body(Bytes::new()).unwrap()
        },
        api_url: "https://www.zohoapis.eu".into(),
        other_accounts_servers: vec![
            "https://accounts.zoho.com".into(),
            "https://accounts.zoho.in".into(),
            "https://accounts.zoho.com.au".into(),
        ],
        ..teamleader().endpoints
    };
    let known = vec!["https://www.zohoapis.eu".to_owned(), "https://www.zohoapis.in".to_owned()];
    OAuthProvider { api_origins: ApiOrigins::Among(known), ..provider("zoho", endpoints) }
}

/// The client by basic authentication; personal tokens.
fn sell() -> OAuthProvider {
    let endpoints = OAuthEndpoints {
        authorize_url: "http://api.test/oauth2/authorize".into(),
        token_url: "http://api.test/oauth2/token".into(),
        revocation: Revocation::Form("http://api.test/oauth2/revoke".into()),
        scopes: vec!["read".into(), "write".into()],
        client_auth: ClientAuth::Basic,
        whoami: |at, _| Request::get(format!("{}/v2/users/self", at.api_url)).body(Bytes::new()).unwrap(),
        ..teamleader().endpoints
    };
    OAuthProvider { personal_token_length: Some(64), ..provider("sell", endpoints) }
}

/// One user an account; asks anew after a failure; a grant is ended by a call.
fn dropbox() -> OAuthProvider {
    let endpoints = OAuthEndpoints {
        again_parameters: vec![("force_reauthentication".into(), "true".into())],
        revocation: Revocation::Call(|at| Request::post(format!("{}/revoke", at.api_url)).body(Bytes::new()).unwrap()),
        identity: |body| Some(Identity { plan: Some("pro".into()), ..identity(body)? }),
        holders: Holders::One,
        ..teamleader().endpoints
    };
    provider("dropbox", endpoints)
}

const TOKENS: &str = r#"{"access_token":"a0","refresh_token":"r0","expires_in":3600,"token_type":"Bearer"}"#;
const RENEWED: &str = r#"{"access_token":"a1","refresh_token":"r1","expires_in":3600,"token_type":"bearer"}"#;
const INDIA: &str = r#"{"access_token":"a0","refresh_token":"r0","expires_in":3600,"token_type":"Bearer",
    "api_domain":"https://www.zohoapis.in","scope":"ZohoCRM.modules.ALL ZohoCRM.users.READ"}"#;
const ME: &str = r#"{"id":"me-1"}"#;

#[tokio::test]
async fn scopes_and_pkce_are_sent_only_as_the_provider_takes_them() {
    let (_, url) = World::new(zoho()).begin().await;
    assert_eq!(query(&url, "scope").as_deref(), Some("ZohoCRM.modules.ALL,ZohoCRM.users.READ"));
    assert_eq!(query(&url, "code_challenge"), None);
    let world = World::new(teamleader());
    let (_, url) = world.begin().await;
    assert_eq!((query(&url, "scope"), query(&url, "code_challenge")), (None, None));
    world.answers(&[(200, TOKENS), (200, ME)]);
    let connection = world.connected(Returned::default()).await;
    assert_eq!((connection.account.id.as_str(), connection.scopes.len()), ("me-1", 0));
    let seen = world.seen();
    assert_eq!(seen[0].field("code_verifier"), None);
    assert_eq!((seen[0].field("client_id"), seen[0].field("client_secret")), (Some("an id"), Some("s:ecret")));
    assert_eq!((seen[1].address.as_str(), seen[1].authorization.as_str()), ("http://api.test/users.me", "Bearer a0"));
}

#[tokio::test]
async fn the_accounts_server_that_gave_the_code_also_refreshes_and_revokes() {
    for (accounts_server, location) in
        [(Some("https://accounts.zoho.in"), Some("in")), (Some("https://accounts.zoho.in/"), None), (None, Some("in"))]
    {
        let world = World::new(zoho());
        world.answers(&[(200, INDIA), (200, ME)]);
        let returned = Returned {
            accounts_server: accounts_server.map(str::to_owned),
            location: location.map(str::to_owned),
            ..Returned::default()
        };
        let connection = world.connected(returned).await;
        assert_eq!(connection.api_origin.as_deref(), Some("https://www.zohoapis.in"));
        assert_eq!(connection.scopes, ["ZohoCRM.modules.ALL", "ZohoCRM.users.READ"]);
        world.an_hour_later();
        // Zoho's refresh token does not rotate.
        world.answers(&[(200, r#"{"access_token":"a1","expires_in":3600,"token_type":"Bearer"}"#), (200, "")]);
        assert_eq!(world.call(&connection.id).await.unwrap(), 200);
        assert_eq!(world.tokens(&connection.id).await.refresh_token.as_deref(), Some("r0"));
        world.answers(&[(200, "")]);
        let connection = world.store.connection(&connection.id).await.unwrap().unwrap();
        assert_eq!(connection.api_origin.as_deref(), Some("https://www.zohoapis.in"), "a refresh forgets it not");
        world.connect().disconnect(&connection).await.unwrap();
        let seen = world.seen();
        let asked: Vec<&str> = seen.iter().map(|seen| seen.address.as_str()).collect();
        let india = "https://accounts.zoho.in/oauth/v2/token";
        let whoami = "https://www.zohoapis.in/crm/v8/users?type=CurrentUser";
        assert_eq!(asked, [india, whoami, india, "http://api.test/x", &format!("{india}/revoke")]);
        assert_eq!(seen[1].authorization, "Zoho-oauthtoken a0");
        assert_eq!(seen[3].authorization, "Zoho-oauthtoken a1");
    }
}

#[tokio::test]
async fn a_location_names_the_data_centre_and_an_unknown_one_the_configured() {
    for (location, host) in [("us", "com"), ("au", "com.au"), ("eu", "eu"), ("mars", "eu")] {
        let world = World::new(zoho());
        world.answers(&[(200, TOKENS), (200, ME)]);
        world.connected(Returned { location: Some(location.into()), ..Returned::default() }).await;
        assert_eq!(world.seen()[0].address, format!("https://accounts.zoho.{host}/oauth/v2/token"));
    }
}

#[tokio::test]
async fn neither_code_nor_token_goes_to_a_server_that_is_not_known() {
    let world = World::new(zoho());
    for server in
        ["https://accounts.zoho.eu.evil.test", "http://accounts.zoho.in", "https://accounts.zoho.in@evil.test"]
    {
        let returned = Returned { accounts_server: Some(server.into()), ..Returned::default() };
        let error = world.finish(returned).await.unwrap_err();
        assert!(matches!(error, ConnectError::ForeignServer(_)), "{error:?}");
    }
    assert!(world.seen().is_empty());
    for domain in ["https://evil.test", "https://www.zohoapis.in.evil.test", "https://a@www.zohoapis.in", "x"] {
        let tokens = format!(r#"{{"access_token":"a","token_type":"Bearer","api_domain":"{domain}"}}"#);
        world.answers(&[(200, &tokens)]);
        let error = world.finish(Returned::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::ForeignServer(_)), "{domain}: {error:?}");
    }
    assert_eq!(world.seen().len(), 4, "nobody was asked whose token it is");
    assert!(world.store.connections_of(&user()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_replaced_provider_may_lead_to_any_origin_and_another_to_none() {
    let tokens = r#"{"access_token":"a","token_type":"Bearer","api_domain":"http://127.0.0.1:4564"}"#;
    for (api_origins, origin) in [(ApiOrigins::Any, Some("http://127.0.0.1:4564")), (ApiOrigins::Configured, None)] {
        let world = World::new(OAuthProvider { api_origins, ..zoho() });
        world.answers(&[(200, tokens), (200, ME)]);
        assert_eq!(world.connected(Returned::default()).await.api_origin.as_deref(), origin);
    }
}

#[tokio::test]
async fn s4_12_an_account_that_serves_one_user_is_refused_to_a_second_with_the_reason() {
    let world = World::new(dropbox());
    world.answers(&[(200, TOKENS), (200, ME)]);
    let first = world.connected(Returned::default()).await;
    assert_eq!((first.account.id.as_str(), first.plan.as_deref()), ("me-1", Some("pro")));
    let second = UserId::new("user-2");
    let begun = world.connect().begin(&second, &world.provider, None).await.unwrap();
    let state = query(&begun.authorize_url.parse().unwrap(), "state").unwrap();
    world.answers(&[(200, TOKENS), (200, ME)]);
    let returned = Returned { state, code: Some("the-code".into()), ..Returned::default() };
    let error = world.connect().finish("dropbox", returned).await.unwrap_err();
    assert!(matches!(error, ConnectError::AccountTaken(_)), "{error:?}");
    assert!(error.to_string().contains("connected by another user"), "{error}");
    assert!(world.store.connections_of(&second).await.unwrap().is_empty(), "nothing of it is kept");
    // The user whose it is may sign in again.
    world.answers(&[(200, RENEWED), (200, ME)]);
    assert_eq!(world.connected(Returned::default()).await.id, first.id);
}

#[tokio::test]
async fn s4_13_after_a_sign_in_that_came_to_nothing_the_next_one_asks_anew_who_the_user_is() {
    let world = World::new(dropbox());
    let forced = |url: &Url| query(url, "force_reauthentication").as_deref() == Some("true");
    assert!(!forced(&world.begin().await.1), "the first one takes whoever is signed in");
    assert!(forced(&world.begin().await.1), "the first one did not come back");
    let refusal = r#"{"error":"invalid_grant"}"#;
    world.answers(&[(400, refusal)]);
    assert!(matches!(world.finish(Returned::default()).await.unwrap_err(), ConnectError::CodeRefused));
    assert!(forced(&world.begin().await.1), "the one before was refused");
    world.answers(&[(200, TOKENS), (200, ME)]);
    let id = world.connected(Returned::default()).await.id;
    assert!(!forced(&world.begin().await.1), "the one before ended well");
    // Forgotten after an hour, but a grant that is gone is a failure however old it is.
    world.an_hour_later();
    assert!(!forced(&world.begin().await.1));
    world.an_hour_later();
    assert!(world.store.mark_reconnect_needed(&id).await.unwrap());
    assert!(forced(&world.begin().await.1), "the account must be connected again");
    // Where a provider has no such thing nothing is asked.
    let (_, url) = World::new(teamleader()).begin().await;
    assert!(!forced(&url));
}

#[tokio::test]
async fn f26_a_grant_that_ends_by_a_call_is_ended_also_when_its_access_token_has_expired() {
    let world = World::new(dropbox());
    world.answers(&[(200, TOKENS), (200, ME)]);
    let connection = world.connected(Returned::default()).await;
    world.answers(&[(401, ""), (200, RENEWED), (200, "null")]);
    world.connect().disconnect(&connection).await.unwrap();
    let seen = world.seen();
    let asked: Vec<(&str, &str)> =
        seen[2..].iter().map(|seen| (seen.address.as_str(), seen.authorization.as_str())).collect();
    let (revoke, refresh) = ("http://api.test/revoke", "http://auth.test/oauth2/access_token");
    assert_eq!(asked, [(revoke, "Bearer a0"), (refresh, ""), (revoke, "Bearer a1")]);
}

#[tokio::test]
async fn zohos_refusals_with_200_are_refusals() {
    let world = World::new(zoho());
    world.answers(&[(200, r#"{"error":"invalid_code"}"#)]);
    assert!(matches!(world.finish(Returned::default()).await.unwrap_err(), ConnectError::CodeRefused));
    world.answers(&[(200, r#"{"error":"invalid_client"}"#)]);
    assert!(matches!(world.finish(Returned::default()).await.unwrap_err(), ConnectError::NotSetUp(_)));
    world.answers(&[(200, TOKENS), (200, ME)]);
    let id = world.connected(Returned::default()).await.id;
    world.an_hour_later();
    let busy = r#"{"error":"access_denied","error_description":"You have made too many requests continuously."}"#;
    let asked_less = r#"{"error":"Access Denied","error_description":"Too many requests continuously"}"#;
    for throttled in [busy, asked_less] {
        world.answers(&[(200, throttled)]);
        let error = world.call(&id).await.unwrap_err();
        assert!(matches!(error, TransportError::Lost { .. }), "{error:?}");
        assert_eq!(world.state(&id).await, ConnectionState::Connected);
    }
    world.answers(&[(200, r#"{"error":"invalid_code"}"#)]);
    assert!(matches!(world.call(&id).await.unwrap_err(), TransportError::AuthRevoked { .. }));
    assert_eq!(world.state(&id).await, ConnectionState::ReconnectNeeded);
}

#[tokio::test]
async fn a_refresh_token_whose_answer_was_lost_is_tried_once_more_and_then_the_user_is_asked() {
    for refusal in [
        (
            401,
            r#"{"error":"invalid_request","message":"The refresh token is invalid.","hint":"Token has been revoked"}"#,
        ),
        (400, r#"{"errors":[{"title":"The refresh token is invalid."}]}"#),
        (401, ""),
        (400, r#"{"error":"invalid_request"}"#),
    ] {
        let world = World::new(teamleader());
        world.answers(&[(200, TOKENS), (200, ME)]);
        let id = world.connected(Returned::default()).await.id;
        world.an_hour_later();
        world.loses_an_answer();
        assert!(matches!(world.call(&id).await.unwrap_err(), TransportError::Lost { .. }));
        assert_eq!(world.state(&id).await, ConnectionState::Connected);
        world.answers(&[refusal]);
        for _ in 0..3 {
            assert!(matches!(world.call(&id).await.unwrap_err(), TransportError::AuthRevoked { .. }), "{refusal:?}");
        }
        assert_eq!(world.state(&id).await, ConnectionState::ReconnectNeeded);
        assert_eq!(world.seen().len(), 4, "code, whoami, the lost refresh, the refused one");
        world.answers(&[(200, RENEWED), (200, ME)]);
        let again = world.connected(Returned::default()).await;
        assert_eq!((again.id, again.refresh_in_doubt), (id, false));
    }
}

#[tokio::test]
async fn a_refresh_that_never_arrived_costs_nothing_and_the_new_pair_is_kept() {
    let world = World::new(teamleader());
    world.answers(&[(200, TOKENS), (200, ME)]);
    let id = world.connected(Returned::default()).await.id;
    world.an_hour_later();
    world.loses_an_answer();
    assert!(world.call(&id).await.is_err());
    world.answers(&[(200, RENEWED), (200, "")]);
    assert_eq!(world.call(&id).await.unwrap(), 200);
    let (connection, tokens) = (world.store.connection(&id).await.unwrap().unwrap(), world.tokens(&id).await);
    assert_eq!((connection.refresh_in_doubt, tokens.refresh_token.as_deref()), (false, Some("r1")));
    // A refusal without a reason proves nothing while no answer is missing.
    world.an_hour_later();
    world.answers(&[(400, "<html>")]);
    assert!(matches!(world.call(&id).await.unwrap_err(), TransportError::Lost { .. }));
    assert_eq!(world.state(&id).await, ConnectionState::Connected);
    assert_eq!(world.seen().last().unwrap().field("refresh_token"), Some("r1"));
}

#[tokio::test]
async fn a_client_by_basic_authentication_shows_its_secret_in_no_form() {
    let world = World::new(sell());
    world.answers(&[(200, TOKENS), (200, ME)]);
    let connection = world.connected(Returned::default()).await;
    assert_eq!(connection.scopes, ["read", "write"]);
    world.an_hour_later();
    world.answers(&[(200, RENEWED), (200, ""), (200, "")]);
    assert_eq!(world.call(&connection.id).await.unwrap(), 200);
    assert_eq!(world.tokens(&connection.id).await.refresh_token.as_deref(), Some("r1"));
    let connection = world.store.connection(&connection.id).await.unwrap().unwrap();
    world.connect().disconnect(&connection).await.unwrap();
    let seen = world.seen();
    for n in [0, 2, 4] {
        // RFC 6749 §2.3.1: `an+id:s%3Aecret`.
        assert_eq!(seen[n].authorization, "Basic YW4raWQ6cyUzQWVjcmV0", "{}", seen[n].address);
        assert_eq!(seen[n].field("client_secret"), None);
    }
    assert_eq!((seen[2].field("refresh_token"), seen[4].field("token")), (Some("r0"), Some("r1")));
}

#[tokio::test]
async fn a_personal_token_is_kept_only_once_the_provider_knows_it() {
    let world = World::new(OAuthProvider { client: None, ..sell() });
    world.answers(&[(401, "")]);
    let error = world.connect().adopt(&user(), &world.provider, "wrong").await.unwrap_err();
    assert!(matches!(&error, ConnectError::TokenRefused(_)) && !format!("{error:?}").contains("wrong"), "{error:?}");
    assert!(world.store.connections_of(&user()).await.unwrap().is_empty());
    world.answers(&[(200, ME)]);
    let connection = world.connect().adopt(&user(), &world.provider, "mine").await.unwrap();
    assert_eq!((connection.state, connection.account.id.as_str()), (ConnectionState::Connected, "me-1"));
    world.clock.advance(Duration::from_secs(400 * 86_400));
    world.answers(&[(200, "")]);
    assert_eq!(world.call(&connection.id).await.unwrap(), 200);
    assert_eq!(world.seen().last().unwrap().authorization, "Bearer mine");
    // The user ended it over there: nothing can renew it.
    world.answers(&[(401, "")]);
    assert!(matches!(world.call(&connection.id).await.unwrap_err(), TransportError::AuthRevoked { .. }));
    assert_eq!(world.state(&connection.id).await, ConnectionState::ReconnectNeeded);
    world.answers(&[(200, ME)]);
    let again = world.connect().adopt(&user(), &world.provider, "newer").await.unwrap();
    assert_eq!((&again.id, again.state), (&connection.id, ConnectionState::Connected));
    let asked = world.seen().len();
    world.connect().disconnect(&again).await.unwrap();
    assert_eq!(world.seen().len(), asked, "a token that may serve others is not revoked");
}

#[tokio::test]
async fn without_a_client_nobody_is_sent_to_the_provider() {
    let world = World::new(OAuthProvider { client: None, ..sell() });
    let error = world.connect().begin(&user(), &world.provider, None).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotSetUp(_)), "{error:?}");
    assert!(world.store.connections_of(&user()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_grant_that_does_not_show_whose_it_is_makes_no_connection() {
    let world = World::new(teamleader());
    world.answers(&[(200, TOKENS), (403, r#"{"errors":[{"title":"Forbidden"}]}"#)]);
    let error = world.finish(Returned::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoAccount(_)), "{error:?}");
    world.answers(&[(200, TOKENS), (503, "")]);
    assert!(matches!(world.finish(Returned::default()).await.unwrap_err(), ConnectError::Unavailable(_)));
    assert!(world.store.connections_of(&user()).await.unwrap().is_empty());
}
