//! The provider itself: sign-in, tokens, rights, what it keeps.
use base64::Engine;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_sell::SellConfig;
use tandem_sell::auth::{endpoints, is_personal_token};
use tandem_sell::fake::{Client, FakeSell};
use tandem_testkit::clock::ManualClock;

const ORIGIN: &str = "http://127.0.0.1:4500";
const BACK: &str = "https://tandem.example/back";

struct Server {
    clock: Arc<ManualClock>,
    fake: FakeSell,
}

impl Server {
    /// With one registered client, `id` and `secret`.
    fn new() -> Server {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeSell::new(Arc::clone(&clock) as Arc<_>);
        fake.set(|settings| settings.client = Some(Client { id: "id".into(), secret: "secret".into() }));
        Server { clock, fake }
    }

    fn authorize(&self, client: &str, scope: &str, more: &[(&str, &str)]) -> Response<Bytes> {
        let mut address = url::Url::parse(&endpoints(&SellConfig::at(ORIGIN)).authorize_url).expect("an address");
        address
            .query_pairs_mut()
            .extend_pairs([("client_id", client), ("redirect_uri", BACK), ("response_type", "code"), ("state", "s1")])
            .append_pair("scope", scope)
            .extend_pairs(more);
        self.fake.handle(Request::get(address.as_str()).body(Bytes::new()).expect("a request")).expect("an answer")
    }

    /// What the way back says.
    fn said(answer: &Response<Bytes>, name: &str) -> Option<String> {
        let back = url::Url::parse(answer.headers().get("location")?.to_str().ok()?).ok()?;
        back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    fn code(&self, scope: &str) -> String {
        Self::said(&self.authorize("id", scope, &[]), "code").expect("a code")
    }

    fn post(&self, path: &str, client: &str, pairs: &[(&str, &str)]) -> (u16, Json) {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let basic = base64::engine::general_purpose::STANDARD.encode(client);
        let request = Request::post(format!("{ORIGIN}{path}")).header("authorization", format!("Basic {basic}"));
        let answer = self.fake.handle(request.body(form.into()).expect("a request")).expect("an answer");
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).expect("JSON"))
    }

    fn exchange(&self, client: &str, code: &str) -> (u16, Json) {
        let pairs = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK)];
        self.post("/oauth2/token", client, &pairs)
    }

    fn refresh(&self, client: &str, answer: &Json) -> (u16, Json) {
        let token = answer["refresh_token"].as_str().expect("a token");
        self.post("/oauth2/token", client, &[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    fn signed_in(&self) -> Json {
        let scopes = endpoints(&SellConfig::at(ORIGIN)).scopes.join(" ");
        let (status, answer) = self.exchange("id:secret", &self.code(&scopes));
        assert_eq!(status, 200);
        answer
    }

    fn ask(&self, method: &str, path: &str, token: &str) -> u16 {
        let request = Request::builder().method(method).uri(format!("{ORIGIN}{path}")).header("user-agent", "test");
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.header("x-basecrm-device-uuid", "d").body(Bytes::from("{}")).expect("a request");
        self.fake.handle(request).expect("an answer").status().as_u16()
    }
}

fn text(answer: &Json, name: &str) -> String {
    answer[name].as_str().expect("a text").to_owned()
}

#[test]
fn a_sign_in_ends_with_a_token_and_whose_it_is() {
    let server = Server::new();
    let answer = server.signed_in();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(3_600)));
    assert_eq!(answer["scope"], "read write profile sync");
    let all = endpoints(&SellConfig::at(ORIGIN));
    let mut request = (all.whoami)(&all, None);
    let value = format!("{} {}", all.token_scheme, text(&answer, "access_token"));
    request.headers_mut().insert("authorization", value.parse().expect("plain ASCII"));
    let who = server.fake.handle(request).expect("an answer");
    assert_eq!((all.identity)(who.body()).expect("a user").email, "demo@example.com");
}

#[test]
fn who_denies_comes_back_without_a_code() {
    let server = Server::new();
    let denied = server.authorize("id", "read", &[("sim_deny", "1")]);
    assert_eq!(Server::said(&denied, "error").as_deref(), Some("access_denied"));
    assert_eq!(Server::said(&denied, "state").as_deref(), Some("s1"));
    assert_eq!(Server::said(&denied, "code"), None);
    let unknown = server.authorize("id", "read everything", &[]);
    assert_eq!(Server::said(&unknown, "error").as_deref(), Some("invalid_scope"));
}

#[test]
fn only_the_registered_client_gets_tokens_and_only_its_own() {
    let server = Server::new();
    assert_eq!(server.authorize("other", "read", &[]).status(), 401);
    let code = server.code("read");
    for wrong in ["id:wrong", "other:secret", "id", ":"] {
        assert_eq!(server.exchange(wrong, &code).1["error"], "invalid_client", "{wrong}");
    }
    let (_, answer) = server.exchange("id:secret", &code);
    server.fake.set(|settings| settings.client = Some(Client { id: "other".into(), secret: "s".into() }));
    assert_eq!(
        server.refresh("other:s", &answer),
        (400, json!({"error": "invalid_grant", "error_description": "invalid grant"}))
    );
    assert_eq!(server.refresh("id:secret", &answer).1["error"], "invalid_client");
}

#[test]
fn a_code_is_good_once_for_ten_minutes_and_for_its_address() {
    let server = Server::new();
    let code = server.code("read");
    assert_eq!(server.exchange("id:secret", &code).0, 200);
    assert_eq!(server.exchange("id:secret", &code).1["error"], "invalid_grant");
    let late = server.code("read");
    server.clock.advance(Duration::from_secs(601));
    assert_eq!(server.exchange("id:secret", &late).1["error"], "invalid_grant");
    let code = server.code("read");
    let pairs = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", "https://other.example/")];
    assert_eq!(server.post("/oauth2/token", "id:secret", &pairs).1["error"], "invalid_grant");
}

#[test]
fn an_access_token_lives_an_hour_and_a_refresh_brings_a_new_pair() {
    let server = Server::new();
    let first = server.signed_in();
    assert_eq!(server.ask("GET", "/v2/contacts", &text(&first, "access_token")), 200);
    server.clock.advance(Duration::from_secs(3_600));
    assert_eq!(server.ask("GET", "/v2/contacts", &text(&first, "access_token")), 401);
    let (status, second) = server.refresh("id:secret", &first);
    assert_eq!((status, &second["scope"]), (200, &first["scope"]));
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(server.refresh("id:secret", &first).1["error"], "invalid_grant");
    assert_eq!(server.ask("GET", "/v2/contacts", &text(&second, "access_token")), 200);
}

#[test]
fn each_call_needs_its_scope() {
    let server = Server::new();
    let token = |scope: &str| text(&server.exchange("id:secret", &server.code(scope)).1, "access_token");
    let calls = [
        ("read", "GET", "/v2/contacts"),
        ("read", "GET", "/v2/leads"),
        ("write", "DELETE", "/v2/contacts/1"),
        ("profile", "GET", "/v2/users/self"),
        ("profile", "GET", "/v2/accounts/self"),
        ("sync", "POST", "/v2/sync/start"),
    ];
    for (scope, method, path) in calls {
        assert_ne!(server.ask(method, path, &token(scope)), 403, "{path}");
        let others: Vec<&str> = ["read", "write", "profile", "sync"].into_iter().filter(|one| *one != scope).collect();
        assert_eq!(server.ask(method, path, &token(&others.join(" "))), 403, "{path}");
    }
}

#[test]
fn what_is_revoked_is_over() {
    let server = Server::new();
    let answer = server.signed_in();
    let token = text(&answer, "refresh_token");
    assert_eq!(server.post("/oauth2/revoke", "id:wrong", &[("token", &token)]).0, 401);
    assert_eq!(server.ask("GET", "/v2/contacts", &text(&answer, "access_token")), 200);
    assert_eq!(server.post("/oauth2/revoke", "id:secret", &[("token", &token)]).0, 200);
    assert_eq!(server.ask("GET", "/v2/contacts", &text(&answer, "access_token")), 401);
    assert_eq!(server.refresh("id:secret", &answer).1["error"], "invalid_grant");
}

#[test]
fn a_personal_token_needs_no_sign_in_and_does_not_end() {
    let server = Server::new();
    let made = server.fake.order("POST", "accounts", &json!({"account": "jan@example.com"}));
    let token = text(&made, "token");
    assert!(is_personal_token(&token));
    server.clock.advance(Duration::from_secs(400 * 86_400));
    for path in ["/v2/contacts", "/v2/users/self"] {
        assert_eq!(server.ask("GET", path, &token), 200);
    }
    server.fake.order("POST", "revoke", &json!({"account": "jan@example.com"}));
    assert_eq!(server.ask("GET", "/v2/contacts", &token), 401);
}

#[test]
fn ten_requests_within_any_second_are_taken_and_the_eleventh_is_not() {
    let server = Server::new();
    let token = text(&server.fake.order("POST", "accounts", &json!({"account": "jan@example.com"})), "token");
    server.clock.advance(Duration::from_millis(900));
    assert!((0..10).all(|_| server.ask("GET", "/v2/contacts", &token) == 200));
    // Another second of the clock, and still within one second of those ten.
    server.clock.advance(Duration::from_millis(200));
    assert_eq!(server.ask("GET", "/v2/contacts", &token), 429);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(server.ask("GET", "/v2/contacts", &token), 200);
}

#[test]
fn what_was_saved_is_loaded() {
    let server = Server::new();
    let answer = server.signed_in();
    let person = json!({"account": "demo@example.com", "data": {"last_name": "Peeters", "tags": ["a"]}});
    server.fake.order("POST", "contacts", &person);
    let state = |fake: &FakeSell| fake.order("GET", "state?account=demo@example.com", &json!({}));
    let again = FakeSell::load(Arc::clone(&server.clock) as Arc<_>, &server.fake.save()).expect("it loads");
    assert_eq!(again.revision(), server.fake.revision());
    assert_eq!(state(&again), state(&server.fake));
    let other = Server { clock: server.clock, fake: again };
    assert_eq!(other.ask("GET", "/v2/contacts", &text(&answer, "access_token")), 200);
    assert_eq!(other.refresh("id:secret", &answer).0, 200, "grants and the client are kept");
}

#[test]
fn orders_change_what_the_provider_holds() {
    let server = Server::new();
    let order = |method: &str, path: &str, body: Json| server.fake.order(method, path, &body);
    let before = server.fake.revision();
    order("POST", "settings", json!({"latency_ms": 40}));
    assert_eq!(server.fake.latency(), Duration::from_millis(40));
    assert!(server.fake.revision() > before, "and it is worth saving");
    let token = text(&order("POST", "accounts", json!({"account": "a@example.com"})), "token");
    order("POST", "faults", json!({"faults": [{"kind": "server_error"}, {"kind": "throttle"}]}));
    let answers: Vec<u16> = (0..3).map(|_| server.ask("GET", "/v2/contacts", &token)).collect();
    assert_eq!(answers, [500, 429, 200]);
    assert_eq!(order("GET", "calls", json!({}))["calls"].as_array().map(Vec::len), Some(3));
    order("POST", "advance-clock", json!({"seconds": 86_400}));
    let made = order("POST", "contacts", json!({"account": "a@example.com", "data": {"last_name": "P"}}));
    assert_eq!(made["data"]["created_at"], "2026-01-06T08:00:00Z");
    order("POST", "reset", json!({}));
    assert_eq!(server.ask("GET", "/v2/contacts", &token), 401);
    assert!(server.fake.latency().is_zero());
}
