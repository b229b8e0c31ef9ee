//! The OAuth 2.0 server: consent, tokens, revocation, user info.
use super::state::{Approval, Code, Grant, State};
use super::{Asked, json_response};
use base64::Engine;
use bytes::Bytes;
use http::Response;
use serde_json::json;
use sha2::{Digest, Sha256};

/// A code is good for ten minutes.
const CODE_MS: i64 = 600_000;

pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    Some(match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/o/oauth2/v2/auth") => consent(state, asked),
        ("POST", "/token") => token(state, asked),
        ("POST", "/revoke") => revoke(state, asked),
        ("GET", "/oauth2/v3/userinfo") => userinfo(state, asked),
        ("GET", "/oauth2/v3/certs") => super::keys::certs(state),
        _ => return None,
    })
}

fn refused(status: u16, error: &str, description: &str) -> Response<Bytes> {
    json_response(status, &json!({"error": error, "error_description": description}))
}

fn page(status: u16, html: &str) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header("content-type", "text/html; charset=utf-8")
        .body(Bytes::from(html.to_owned()))
        .expect("fixed header names and a status in range")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The consent page. It approves by itself, or asks as whom; `sim_account` and `sim_deny` are its own buttons.
fn consent(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let bad = |what: &str| page(400, &format!("<h1>Error 400: invalid_request</h1><p>{}</p>", escaped(what)));
    let (Some(client), Some(back)) = (asked.one("client_id"), asked.one("redirect_uri")) else {
        return bad("client_id and redirect_uri are required.");
    };
    let Ok(mut back_url) = url::Url::parse(back) else { return bad("redirect_uri is no address.") };
    if asked.one("response_type") != Some("code") {
        return bad("response_type must be code.");
    }
    let scopes: Vec<String> = asked.one("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if scopes.is_empty() {
        return bad("Missing required parameter: scope");
    }
    let challenge = asked.one("code_challenge").map(str::to_owned);
    if challenge.is_some() && asked.one("code_challenge_method") != Some("S256") {
        return bad("code_challenge_method must be S256.");
    }
    if let Some(state_text) = asked.one("state") {
        back_url.query_pairs_mut().append_pair("state", state_text);
    }
    if asked.one("sim_deny").is_some() {
        back_url.query_pairs_mut().append_pair("error", "access_denied");
        return redirect(&back_url);
    }
    let picked = asked.one("sim_account").or(asked.one("login_hint")).map(str::to_owned);
    let known: Vec<String> = state.accounts.keys().cloned().collect();
    let account = match (picked, state.settings.auto_approve) {
        (Some(account), _) => account,
        (None, Approval::Yes) => known.first().cloned().unwrap_or_else(|| "demo@example.com".to_owned()),
        (None, Approval::No) => return chooser(asked, &known),
    };
    state.account(&account);
    let grant = Grant { account, client: client.to_owned(), scopes, expires_ms: Some(state.now_ms + CODE_MS) };
    let offline = asked.one("access_type") == Some("offline");
    let name = format!("4/0A{}", state.next());
    back_url.query_pairs_mut().append_pair("code", &name).append_pair("scope", &grant.scopes.join(" "));
    state.codes.insert(name, Code { grant, redirect_uri: back.to_owned(), challenge, offline });
    redirect(&back_url)
}

fn redirect(to: &url::Url) -> Response<Bytes> {
    Response::builder()
        .status(302)
        .header("location", to.as_str())
        .body(Bytes::new())
        .expect("an address is a header value")
}

fn chooser(asked: &Asked, accounts: &[String]) -> Response<Bytes> {
    let hidden: String = asked
        .query
        .iter()
        .map(|(k, v)| format!("<input type=hidden name=\"{}\" value=\"{}\">", escaped(k), escaped(v)))
        .collect();
    let button = |account: &String| {
        let account = escaped(account);
        format!("<p><button name=sim_account value=\"{account}\">Continue as {account}</button></p>")
    };
    let buttons: String = accounts.iter().map(button).collect();
    page(
        200,
        &format!(
            "<!doctype html><title>Simulated Google</title><h1>Choose an account</h1><form>{hidden}{buttons}\
             <p><button name=sim_deny value=1>Cancel</button></p></form>"
        ),
    )
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// The client's id, from the form or from basic authentication.
fn client_of(asked: &Asked, form: &[(String, String)]) -> Option<String> {
    let basic = asked.headers.get("authorization").and_then(|h| h.to_str().ok()?.strip_prefix("Basic "));
    if let Some(basic) = basic {
        let plain = base64::engine::general_purpose::STANDARD.decode(basic).ok()?;
        return Some(String::from_utf8(plain).ok()?.split(':').next()?.to_owned()).filter(|id| !id.is_empty());
    }
    let id = field(form, "client_id");
    (!id.is_empty() && !field(form, "client_secret").is_empty()).then(|| id.to_owned())
}

fn token(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let form = asked.form();
    let Some(client) = client_of(asked, &form) else {
        return refused(401, "invalid_client", "The OAuth client was not found.");
    };
    match field(&form, "grant_type") {
        "authorization_code" => exchange(state, &form, &client),
        "refresh_token" => refresh(state, &form, &client),
        _ => refused(400, "unsupported_grant_type", "Invalid grant_type"),
    }
}

fn exchange(state: &mut State, form: &[(String, String)], client: &str) -> Response<Bytes> {
    // A code is spent by the first try, also by a wrong one.
    let Some(code) = state.codes.remove(field(form, "code")) else {
        return refused(400, "invalid_grant", "Malformed auth code.");
    };
    let verifier = field(form, "code_verifier");
    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let proved = code.challenge.as_ref().is_none_or(|challenge| *challenge == hash);
    let late = code.grant.expires_ms.is_some_and(|until| state.now_ms > until);
    if !proved || late || code.grant.client != client {
        return refused(400, "invalid_grant", "Bad Request");
    }
    if code.redirect_uri != field(form, "redirect_uri") {
        return refused(400, "redirect_uri_mismatch", "Bad Request");
    }
    let grant = Grant { expires_ms: None, ..code.grant };
    let refresh = code.offline.then(|| {
        let name = format!("1//0{}", state.next());
        state.refresh.insert(name.clone(), grant.clone());
        name
    });
    issue(state, grant, refresh)
}

fn refresh(state: &mut State, form: &[(String, String)], client: &str) -> Response<Bytes> {
    let grant = state.refresh.get(field(form, "refresh_token")).filter(|grant| grant.client == client);
    match grant.cloned() {
        Some(grant) => issue(state, grant, None),
        None => refused(400, "invalid_grant", "Token has been expired or revoked."),
    }
}

fn issue(state: &mut State, grant: Grant, refresh: Option<String>) -> Response<Bytes> {
    let seconds = state.settings.token_seconds;
    let name = format!("ya29.a{}", state.next());
    let mut body = json!({
        "access_token": name, "expires_in": seconds, "token_type": "Bearer", "scope": grant.scopes.join(" "),
    });
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    let now = state.now_ms;
    state.access.retain(|_, grant| grant.expires_ms.is_none_or(|until| now < until));
    state.access.insert(name, Grant { expires_ms: Some(now + seconds * 1000), ..grant });
    json_response(200, &body)
}

fn revoke(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let form = asked.form();
    let named = asked.one("token").unwrap_or_else(|| field(&form, "token"));
    let Some(grant) = state.refresh.get(named).or(state.access.get(named)).cloned() else {
        return refused(400, "invalid_token", "Token expired or revoked");
    };
    state.next();
    // The whole grant of that user to that client ends.
    let other = |held: &Grant| held.account != grant.account || held.client != grant.client;
    state.refresh.retain(|_, held| other(held));
    state.access.retain(|_, held| other(held));
    json_response(200, &json!({}))
}

fn userinfo(state: &State, asked: &Asked) -> Response<Bytes> {
    match state.grant(asked.bearer()) {
        Ok(grant) => {
            let account = &state.accounts[&grant.account];
            let body = json!({
                "sub": account.sub, "email": account.email, "email_verified": true, "name": account.name,
            });
            json_response(200, &body)
        }
        Err(_) => refused(401, "invalid_request", "Invalid Credentials"),
    }
}
