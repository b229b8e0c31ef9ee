//! ID tokens: those of Google are believed, and nobody else's.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tandem_google::fake::FakeGoogle;
use tandem_http::{Claims, Expected, Oidc, OidcError};
use tandem_ports::infra::{HttpTransport, TransportError};
use tandem_testkit::clock::ManualClock;

const AUDIENCE: &str = "https://tandem.example/webhooks/google/gmail";
const PUSHER: &str = "push@project.iam.gserviceaccount.com";
const OURS: Expected<'static> = Expected { audience: AUDIENCE, email: Some(PUSHER) };

/// Google, counted, and cut off when a story wants it.
struct Line {
    google: Arc<FakeGoogle>,
    asked: AtomicUsize,
    cut: AtomicBool,
}

#[async_trait::async_trait]
impl HttpTransport for Line {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.cut.load(Ordering::SeqCst) {
            return Err(TransportError::Lost { host: "google".to_owned(), source: None });
        }
        self.google.send(request).await
    }
}

struct World {
    google: Arc<FakeGoogle>,
    clock: Arc<ManualClock>,
    line: Arc<Line>,
    oidc: Oidc,
}

fn world() -> World {
    let clock = Arc::new(ManualClock::default());
    let google = FakeGoogle::new(clock.clone()).shared();
    let (asked, cut) = (AtomicUsize::new(0), AtomicBool::new(false));
    let line = Arc::new(Line { google: google.clone(), asked, cut });
    let oidc = Oidc::new(line.clone(), clock.clone(), "https://www.googleapis.com");
    World { google, clock, line, oidc }
}

impl World {
    fn token(&self) -> String {
        self.google.id_token(AUDIENCE, PUSHER)
    }
    fn asked(&self) -> usize {
        self.line.asked.load(Ordering::SeqCst)
    }
    async fn refuses(&self, token: &str) -> &'static str {
        match self.oidc.verify(token, OURS).await {
            Err(OidcError::Refused(why)) => why,
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn recoded(token: &str, part: usize, change: impl Fn(&mut Value)) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&parts[part]).unwrap()).unwrap();
    change(&mut value);
    parts[part] = URL_SAFE_NO_PAD.encode(value.to_string());
    parts.join(".")
}

#[tokio::test]
async fn a_token_of_googles_for_us_is_believed() {
    let world = world();
    let Claims { subject, email, .. } = world.oidc.verify(&world.token(), OURS).await.unwrap();
    assert_eq!((subject.len(), email.as_deref()), (21, Some(PUSHER)));
    let bearer = format!("Bearer {}", world.token());
    assert!(world.oidc.verify_bearer(&bearer, OURS).await.is_ok());
    assert!(world.oidc.verify_bearer(&world.token(), OURS).await.is_err(), "a token without its scheme");
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let world = world();
    let token = world.token();
    let longer = recoded(&token, 1, |claims| claims["exp"] = json!(9_999_999_999_i64));
    assert_eq!(world.refuses(&longer).await, "the signature is not Google's");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[40] ^= 1;
    let changed = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(world.refuses(&changed).await, "the signature is not Google's");
    assert_eq!(world.refuses(&format!("{signed}.")).await, "the signature is not Google's");
}

#[tokio::test]
async fn no_other_algorithm_is_taken_whatever_the_token_asks_for() {
    let world = world();
    for algorithm in ["none", "None", "HS256", "RS512", "ES256", ""] {
        let token = recoded(&world.token(), 0, |header| header["alg"] = json!(algorithm));
        assert_eq!(world.refuses(&token).await, "it is signed by another algorithm", "{algorithm}");
    }
    assert_eq!(world.asked(), 0, "nobody was asked on account of a forgery");
}

#[tokio::test]
async fn what_the_claims_must_say_is_demanded() {
    let world = world();
    let now = 1_767_600_000;
    for (other, why) in [
        (json!({"iss": "https://accounts.google.example"}), "it is not by Google"),
        (json!({"iss": null}), "its parts are not those of an ID token"),
        (json!({"aud": "https://tandem.example/"}), "it is for somebody else"),
        (json!({"aud": null}), "its parts are not those of an ID token"),
        (json!({"aud": [AUDIENCE, "x"]}), "its parts are not those of an ID token"),
        (json!({"email": "push@other.iam.gserviceaccount.com"}), "it is of another account"),
        (json!({"email": null}), "it is of another account"),
        (json!({"email_verified": false}), "it is of another account"),
        (json!({"email_verified": null}), "it is of another account"),
        (json!({"exp": null}), "its parts are not those of an ID token"),
        (json!({"exp": "9999999999"}), "its parts are not those of an ID token"),
        (json!({"exp": now - 61}), "it is over"),
        (json!({"iat": now + 120}), "it is not valid yet"),
        (json!({"nbf": now + 120}), "it is not valid yet"),
    ] {
        let token = world.google.id_token_with(AUDIENCE, PUSHER, &other);
        assert_eq!(world.refuses(&token).await, why, "{other}");
    }
    for good in [json!({"iss": "accounts.google.com"}), json!({"email_verified": "true"}), json!({"iat": now + 30})] {
        let token = world.google.id_token_with(AUDIENCE, PUSHER, &good);
        assert!(world.oidc.verify(&token, OURS).await.is_ok(), "{good}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_its_hour_and_not_longer() {
    let world = world();
    let token = world.token();
    world.clock.advance(Duration::from_secs(3_650));
    assert!(world.oidc.verify(&token, OURS).await.is_ok(), "our clock may go a minute fast");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.refuses(&token).await, "it is over");
}

#[tokio::test]
async fn where_no_account_is_expected_any_of_googles_is_taken_and_an_empty_expectation_takes_none() {
    let world = world();
    let token = world.google.id_token(AUDIENCE, "someone@example.com");
    let any = Expected { email: None, ..OURS };
    assert_eq!(world.oidc.verify(&token, any).await.unwrap().email.as_deref(), Some("someone@example.com"));
    let unverified = world.google.id_token_with(AUDIENCE, PUSHER, &json!({"email_verified": false}));
    assert_eq!(world.oidc.verify(&unverified, any).await.unwrap().email, None);
    let nameless = world.google.id_token_with("", "", &json!({}));
    for nothing in [Expected { audience: "", email: None }, Expected { audience: "", email: Some("") }] {
        assert!(world.oidc.verify(&nameless, nothing).await.is_err());
    }
}

#[tokio::test]
async fn garbage_is_refused_and_costs_no_request() {
    let world = world();
    for garbage in ["", ".", "..", "a.b", "a.b.c", "e30.e30.e30", &"x".repeat(9_000)] {
        assert!(matches!(world.oidc.verify(garbage, OURS).await, Err(OidcError::Refused(_))), "{garbage}");
    }
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn keys_are_kept_and_a_new_one_is_fetched_when_google_changes_it() {
    let world = world();
    for _ in 0..3 {
        world.oidc.verify(&world.token(), OURS).await.unwrap();
    }
    assert_eq!(world.asked(), 1);
    let old = world.token();
    world.google.rotate_keys();
    world.clock.advance(Duration::from_secs(61));
    world.oidc.verify(&world.token(), OURS).await.unwrap();
    assert_eq!(world.asked(), 2);
    world.oidc.verify(&old, OURS).await.expect("the key before is still Google's");
    world.google.rotate_keys();
    world.clock.advance(Duration::from_secs(20_000));
    assert_eq!(world.refuses(&world.google.id_token_with(AUDIENCE, PUSHER, &json!({"exp": 1}))).await, "it is over");
    world.oidc.verify(&world.token(), OURS).await.unwrap();
    assert_eq!(world.asked(), 3, "keys that were kept long enough are read again");
}

#[tokio::test]
async fn forged_key_ids_make_us_ask_once_a_minute_and_not_more() {
    let world = world();
    world.oidc.verify(&world.token(), OURS).await.unwrap();
    for number in 0..20 {
        let forged = recoded(&world.token(), 0, |header| header["kid"] = json!(format!("made up {number}")));
        assert_eq!(world.refuses(&forged).await, "Google has no such key");
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn without_keys_nothing_is_said_of_a_token() {
    let world = world();
    world.line.cut.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        assert!(matches!(world.oidc.verify(&world.token(), OURS).await, Err(OidcError::Unavailable(_))));
    }
    assert_eq!(world.asked(), 1, "a Google that does not answer is not asked for each token");
    world.line.cut.store(false, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(6));
    assert!(world.oidc.verify(&world.token(), OURS).await.is_ok(), "it is asked again soon");
}

#[tokio::test]
async fn neither_claims_nor_errors_show_whom_they_are_about() {
    let world = world();
    let claims = world.oidc.verify(&world.token(), OURS).await.unwrap();
    assert!(!format!("{claims:?}").contains("push@"));
}
