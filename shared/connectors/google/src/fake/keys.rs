//! The keys by which Google signs ID tokens: the public ones at `/oauth2/v3/certs`, and tokens as Pub/Sub and Workspace
//! add-ons send them. The private ones are for tests alone, and public.
use super::json_response;
use super::state::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

const KEYS: [&[u8]; 2] = [include_bytes!("keys/one.der"), include_bytes!("keys/two.der")];
/// How long the keys may be kept, in seconds; Google's answers say a few hours.
const MAX_AGE: u32 = 19_800;

fn pair(number: usize) -> RsaKeyPair {
    RsaKeyPair::from_der(KEYS[number % KEYS.len()]).expect("keys of ours are good")
}

/// Another name for each rotation, also when the two keys come round again.
fn kid(rotation: usize) -> String {
    format!("{rotation:040x}")
}

/// The key that signs now and the one before it, as Google keeps both for a while.
pub(super) fn certs(state: &State) -> Response<Bytes> {
    let now = state.settings.key_rotation;
    let keys: Vec<Value> = (now.saturating_sub(1)..=now)
        .map(|rotation| {
            let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair(rotation).public());
            let text = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
            json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid(rotation),
                   "n": text(&public.n), "e": text(&public.e)})
        })
        .collect();
    let mut response = json_response(200, &json!({"keys": keys}));
    let age = format!("public, max-age={MAX_AGE}, must-revalidate, no-transform");
    response.headers_mut().insert("cache-control", age.parse().expect("plain ASCII"));
    response
}

/// These claims, signed by the key of this rotation.
pub(super) fn sign(rotation: usize, claims: &Value) -> String {
    let header = json!({"alg": "RS256", "kid": kid(rotation), "typ": "JWT"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let pair = pair(rotation);
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .expect("the buffer has the length of the key");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The claims of an ID token of Google's for this service account, as Pub/Sub sends it: good for an hour.
pub(super) fn claims(state: &State, audience: &str, email: &str) -> Value {
    let now = state.now_ms / 1000;
    json!({"iss": "https://accounts.google.com", "aud": audience, "azp": "113774264463038321964",
           "sub": "113774264463038321964", "email": email, "email_verified": true, "iat": now, "exp": now + 3600})
}

impl super::FakeGoogle {
    /// An ID token as Google gives it to a service account.
    pub fn id_token(&self, audience: &str, email: &str) -> String {
        let state = self.now();
        sign(state.settings.key_rotation, &claims(&state, audience, email))
    }

    /// An ID token with these claims in place of the usual ones; `null` leaves one out.
    pub fn id_token_with(&self, audience: &str, email: &str, other: &Value) -> String {
        let state = self.now();
        let mut all = claims(&state, audience, email);
        if let (Value::Object(all), Value::Object(other)) = (&mut all, other) {
            all.extend(other.clone());
            all.retain(|_, value| !value.is_null());
        }
        sign(state.settings.key_rotation, &all)
    }

    /// Google signs with another key from now on.
    pub fn rotate_keys(&self) {
        self.set(|settings| settings.key_rotation += 1);
    }
}
