//! The accounts server's own ways: refusals with status 200, codes that are spent, tokens that are counted.
use bytes::Bytes;
use http::Request;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::oauth::Revocation;
use tandem_testkit::clock::ManualClock;
use tandem_zoho::ZohoConfig;
use tandem_zoho::auth::endpoints;
use tandem_zoho::fake::FakeZoho;

const ORIGIN: &str = "http://127.0.0.1:4300";
const BACK: &str = "https://tandem.example/back";

struct World {
    clock: Arc<ManualClock>,
    fake: FakeZoho,
}

impl World {
    fn new() -> World {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeZoho::new(Arc::clone(&clock) as Arc<_>);
        World { clock, fake }
    }

    /// The way back of a consent with all scopes.
    fn consent(&self) -> url::Url {
        let all = endpoints(&ZohoConfig::at(ORIGIN));
        let mut address = url::Url::parse(&all.authorize_url).expect("an address");
        address
            .query_pairs_mut()
            .extend_pairs([("client_id", "id"), ("redirect_uri", BACK), ("response_type", "code"), ("state", "s1")])
            .append_pair("scope", &all.scopes.join(all.scope_separator))
            .extend_pairs(&all.authorize_parameters);
        let request = Request::get(address.as_str()).body(Bytes::new()).expect("a request");
        let answer = self.fake.handle(request).expect("an answer");
        let to = answer.headers().get("location").expect("a way back").to_str().expect("text");
        url::Url::parse(to).expect("an address")
    }

    fn code(&self) -> String {
        let back = self.consent();
        back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned()
    }

    fn token(&self, pairs: &[(&str, &str)]) -> Json {
        let all = endpoints(&ZohoConfig::at(ORIGIN));
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("client_id", "id"), ("client_secret", "secret"), ("redirect_uri", BACK)])
            .extend_pairs(pairs)
            .finish();
        let answer = self.fake.handle(Request::post(all.token_url).body(form.into()).expect("a request"));
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "also a refusal");
        serde_json::from_slice(answer.body()).expect("JSON")
    }

    fn first(&self) -> Json {
        self.token(&[("grant_type", "authorization_code"), ("code", &self.code())])
    }

    fn refresh(&self, token: &Json) -> Json {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token.as_str().expect("a token"))])
    }

    fn whoami(&self, answer: &Json) -> http::Response<Bytes> {
        let all = endpoints(&ZohoConfig::at(ORIGIN));
        let mut request = (all.whoami)(&all, answer["api_domain"].as_str());
        let value = format!("{} {}", all.token_scheme, answer["access_token"].as_str().expect("a token"));
        request.headers_mut().insert("authorization", value.parse().expect("plain ASCII"));
        self.fake.handle(request).expect("an answer")
    }
}

#[test]
fn a_sign_in_tells_the_data_centre_and_whose_it_is() {
    let world = World::new();
    let back = world.consent();
    let said = |wanted: &str| back.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
    assert_eq!(said("accounts-server").as_deref(), Some(ORIGIN));
    assert_eq!((said("location").as_deref(), said("state").as_deref()), (Some("eu"), Some("s1")));
    let answer = world.first();
    assert_eq!(answer["api_domain"], ORIGIN);
    let who = world.whoami(&answer);
    let all = endpoints(&ZohoConfig::at(ORIGIN));
    let identity = (all.identity)(who.body()).expect("a user");
    assert_eq!(identity.email, "demo@example.com");
    assert!(identity.id.contains('/'), "organisation's user and person: {}", identity.id);
}

#[test]
fn a_code_is_spent_by_its_first_use_and_by_three_minutes() {
    let world = World::new();
    let code = world.code();
    assert!(world.token(&[("grant_type", "authorization_code"), ("code", &code)])["access_token"].is_string());
    assert_eq!(world.token(&[("grant_type", "authorization_code"), ("code", &code)])["error"], "invalid_code");
    let late = world.code();
    world.clock.advance(Duration::from_secs(181));
    assert_eq!(world.token(&[("grant_type", "authorization_code"), ("code", &late)])["error"], "invalid_code");
}

#[test]
fn a_refresh_token_stays_and_makes_ten_access_tokens_in_ten_minutes() {
    let world = World::new();
    let first = world.first();
    for _ in 0..10 {
        let answer = world.refresh(&first["refresh_token"]);
        assert!(answer["access_token"].is_string() && answer["refresh_token"].is_null(), "it does not rotate");
    }
    assert_eq!(world.refresh(&first["refresh_token"])["error"], "access_denied");
    world.clock.advance(Duration::from_secs(601));
    assert!(world.refresh(&first["refresh_token"])["access_token"].is_string());
}

#[test]
fn the_sixteenth_access_token_kills_the_oldest() {
    let world = World::new();
    let first = world.first();
    for n in 0..15 {
        assert_eq!(world.whoami(&first).status(), 200, "after {n} more");
        world.clock.advance(Duration::from_secs(if n == 9 { 601 } else { 1 }));
        assert!(world.refresh(&first["refresh_token"])["access_token"].is_string());
    }
    assert_eq!(world.whoami(&first).status(), 401);
}

#[test]
fn a_revoked_grant_is_over() {
    let world = World::new();
    let first = world.first();
    let all = endpoints(&ZohoConfig::at(ORIGIN));
    let form = format!("token={}", first["refresh_token"].as_str().expect("a token"));
    let Revocation::Form(address) = all.revocation else { panic!("{:?}", all.revocation) };
    let request = Request::post(address).body(form.into()).expect("a request");
    assert_eq!(world.fake.handle(request).expect("an answer").status(), 200);
    assert_eq!(world.whoami(&first).status(), 401);
    assert_eq!(world.refresh(&first["refresh_token"])["error"], "invalid_code");
}

#[test]
fn what_was_saved_is_loaded() {
    let world = World::new();
    let first = world.first();
    let again = FakeZoho::load(Arc::clone(&world.clock) as Arc<_>, &world.fake.save()).expect("it loads");
    assert_eq!(again.revision(), world.fake.revision());
    let other = World { clock: world.clock, fake: again };
    assert_eq!(other.whoami(&first).status(), 200);
}
