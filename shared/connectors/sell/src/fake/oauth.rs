//! Consent, tokens by HTTP Basic, revocation, token info.
use super::state::{Client, Code, Grant, SCOPES, State};
use super::{Asked, json_response};
use base64::Engine;
use bytes::Bytes;
use http::Response;
use serde_json::{Value as Json, json};

/// A code is good for ten minutes.
const CODE_MS: i64 = 600_000;

pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    let (status, body) = match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/oauth2/authorize") => return Some(consent(state, asked)),
        ("POST", "/oauth2/token") => token(state, asked),
        ("POST", "/oauth2/revoke") => revoke(state, asked),
        ("GET", "/oauth2/token/info") => match state.grant(asked) {
            Ok((_, grant)) => (200, json!({"scope": grant.scopes.join(" ")})),
            Err(_) => refused(401, "invalid_token"),
        },
        _ => return None,
    };
    Some(json_response(status, &body))
}

fn refused(status: u16, error: &str) -> (u16, Json) {
    (status, json!({"error": error, "error_description": error.replace('_', " ")}))
}

/// The consent page approves by itself; `sim_account` says as whom, `sim_deny` denies.
fn consent(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let back = asked.one("redirect_uri").and_then(|text| url::Url::parse(text).ok());
    let (Some(mut back), Some(client), Some("code")) = (back, asked.one("client_id"), asked.one("response_type"))
    else {
        return json_response(400, &refused(400, "invalid_request").1);
    };
    if state.settings.client.as_ref().is_some_and(|known| known.id != client) {
        return json_response(401, &refused(401, "invalid_client").1);
    }
    let redirect_uri = back.to_string();
    if let Some(text) = asked.one("state") {
        back.query_pairs_mut().append_pair("state", text);
    }
    let scopes: Vec<String> = asked.one("scope").unwrap_or("read").split_whitespace().map(str::to_owned).collect();
    if asked.one("sim_deny").is_some() {
        back.query_pairs_mut().append_pair("error", "access_denied");
    } else if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        back.query_pairs_mut().append_pair("error", "invalid_scope");
    } else {
        let first = state.users.keys().next().cloned().unwrap_or_else(|| "demo@example.com".to_owned());
        let email = asked.one("sim_account").map_or(first, str::to_owned);
        state.who(&email);
        let name = format!("code-{}", state.next());
        back.query_pairs_mut().append_pair("code", &name);
        let expires_ms = Some(state.now_ms + CODE_MS);
        let grant = Grant { email, client: client.to_owned(), scopes, expires_ms };
        state.codes.insert(name, Code { grant, redirect_uri });
    }
    let builder = Response::builder().status(302).header("location", back.as_str());
    builder.body(Bytes::new()).expect("an address is a header value")
}

/// The client that a request shows by HTTP Basic, if it is one.
fn client(state: &State, asked: &Asked) -> Option<String> {
    let basic = asked.header("authorization")?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(basic).ok()?).ok()?;
    let (id, secret) = pair.split_once(':').filter(|(id, secret)| !id.is_empty() && !secret.is_empty())?;
    let shown = Client { id: id.to_owned(), secret: secret.to_owned() };
    state.settings.client.as_ref().is_none_or(|known| *known == shown).then_some(shown.id)
}

fn token(state: &mut State, asked: &Asked) -> (u16, Json) {
    let Some(client) = client(state, asked) else { return refused(401, "invalid_client") };
    let now = state.now_ms;
    // A code and a refresh token are good once, for the client that got them.
    let grant = match asked.form("grant_type").as_deref() {
        Some("authorization_code") => {
            let code = asked.form("code").and_then(|code| state.codes.remove(&code));
            let back = asked.form("redirect_uri").and_then(|text| url::Url::parse(&text).ok());
            let same = |code: &Code| back.as_ref().is_some_and(|back| back.as_str() == code.redirect_uri);
            let in_time = |code: &Code| code.grant.expires_ms.is_some_and(|until| now < until);
            code.filter(|code| same(code) && in_time(code)).map(|code| code.grant)
        }
        Some("refresh_token") => {
            let token = asked.form("refresh_token").unwrap_or_default();
            let of_this_client = state.refresh.get(&token).is_some_and(|grant| grant.client == client);
            of_this_client.then(|| state.refresh.remove(&token)).flatten()
        }
        _ => return refused(400, "unsupported_grant_type"),
    };
    let Some(grant) = grant.filter(|grant| grant.client == client) else { return refused(400, "invalid_grant") };
    let (access, refresh) = (format!("access-{}", state.next()), format!("refresh-{}", state.next()));
    let seconds = state.settings.token_seconds;
    let scope = grant.scopes.join(" ");
    state.access.insert(access.clone(), Grant { expires_ms: Some(now + seconds * 1_000), ..grant.clone() });
    state.refresh.insert(refresh.clone(), Grant { expires_ms: None, ..grant });
    let body = json!({"access_token": access, "token_type": "bearer", "expires_in": seconds,
                      "refresh_token": refresh, "scope": scope});
    (200, body)
}

/// Ends what this user allowed this client.
fn revoke(state: &mut State, asked: &Asked) -> (u16, Json) {
    let Some(client) = client(state, asked) else { return refused(401, "invalid_client") };
    let token = asked.form("token").unwrap_or_default();
    let known = state.refresh.get(&token).or(state.access.get(&token)).filter(|grant| grant.client == client);
    if let Some(email) = known.map(|grant| grant.email.clone()) {
        let others = |grant: &Grant| grant.email != email || grant.client != client;
        state.refresh.retain(|_, grant| others(grant));
        state.access.retain(|_, grant| others(grant));
        state.next();
    }
    (200, json!({}))
}
