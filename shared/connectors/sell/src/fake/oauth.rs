//! Consent, tokens by HTTP Basic, revocation, token info.
use super::state::{Grant, State};
use super::{Asked, json_response};
use base64::Engine;
use bytes::Bytes;
use http::Response;
use serde_json::{Value as Json, json};

pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    let (status, body) = match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/oauth2/authorize") => return Some(consent(state, asked)),
        ("POST", "/oauth2/token") => token(state, asked),
        ("POST", "/oauth2/revoke") => revoke(state, asked),
        ("GET", "/oauth2/token/info") => match state.authorise(asked) {
            Ok(_) => (200, json!({"scope": "read write profile sync"})),
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
    let (Some(mut back), Some(_), Some("code")) = (back, asked.one("client_id"), asked.one("response_type")) else {
        return json_response(400, &refused(400, "invalid_request").1);
    };
    let redirect_uri = back.to_string();
    if let Some(text) = asked.one("state") {
        back.query_pairs_mut().append_pair("state", text);
    }
    if asked.one("sim_deny").is_some() {
        back.query_pairs_mut().append_pair("error", "access_denied");
    } else {
        let first = state.accounts.keys().next().cloned().unwrap_or_else(|| "demo@example.com".to_owned());
        let account = asked.one("sim_account").map_or(first, str::to_owned);
        state.account(&account);
        let code = format!("code-{}", state.next());
        back.query_pairs_mut().append_pair("code", &code);
        state.codes.insert(code, (account, redirect_uri));
    }
    let builder = Response::builder().status(302).header("location", back.as_str());
    builder.body(Bytes::new()).expect("an address is a header value")
}

fn has_client(asked: &Asked) -> bool {
    let basic = asked.header("authorization").and_then(|text| text.strip_prefix("Basic "));
    let decoded = basic.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    decoded.is_some_and(|pair| pair.contains(&b':') && pair.len() > 2)
}

fn token(state: &mut State, asked: &Asked) -> (u16, Json) {
    if !has_client(asked) {
        return refused(401, "invalid_client");
    }
    let account = match asked.form("grant_type").as_deref() {
        Some("authorization_code") => {
            let code = asked.form("code").and_then(|code| state.codes.remove(&code));
            let back = asked.form("redirect_uri").and_then(|text| url::Url::parse(&text).ok());
            code.filter(|(_, uri)| back.is_some_and(|back| back.as_str() == uri)).map(|(account, _)| account)
        }
        Some("refresh_token") => asked.form("refresh_token").and_then(|token| state.refresh.remove(&token)),
        _ => return refused(400, "unsupported_grant_type"),
    };
    let Some(account) = account else { return refused(400, "invalid_grant") };
    let (access, refresh) = (format!("access-{}", state.next()), format!("refresh-{}", state.next()));
    let seconds = state.settings.token_seconds;
    let expires_ms = Some(state.now_ms + seconds * 1_000);
    state.access.insert(access.clone(), Grant { account: account.clone(), expires_ms });
    state.refresh.insert(refresh.clone(), account);
    let body = json!({"access_token": access, "token_type": "bearer", "expires_in": seconds,
                      "refresh_token": refresh, "scope": "read write profile sync"});
    (200, body)
}

fn revoke(state: &mut State, asked: &Asked) -> (u16, Json) {
    if !has_client(asked) {
        return refused(401, "invalid_client");
    }
    let token = asked.form("token").unwrap_or_default();
    let account = state.refresh.get(&token).cloned().or_else(|| state.access.get(&token).map(|g| g.account.clone()));
    if let Some(account) = account {
        state.refresh.retain(|_, of| *of != account);
        state.access.retain(|_, grant| grant.account != account);
        state.next();
    }
    (200, json!({}))
}
