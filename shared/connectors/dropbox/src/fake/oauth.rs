//! The OAuth 2.0 server: consent, tokens, refresh.
use super::state::{Code, Grant, State, Switch};
use super::{Asked, json_response};
use base64::Engine as _;
use bytes::Bytes;
use http::Response;
use serde_json::json;
use sha2::{Digest, Sha256};

/// A code is good for ten minutes.
const CODE_MS: i64 = 600_000;

pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    Some(match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/oauth2/authorize") => consent(state, asked),
        ("POST", "/oauth2/token") => token(state, asked),
        _ => return None,
    })
}

fn refused(status: u16, error: &str, description: &str) -> Response<Bytes> {
    json_response(status, &json!({"error": error, "error_description": description}))
}

fn page(status: u16, html: String) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header("content-type", "text/html; charset=utf-8")
        .body(Bytes::from(html))
        .expect("fixed header names and a status in range")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn redirect(to: &url::Url) -> Response<Bytes> {
    Response::builder()
        .status(302)
        .header("location", to.as_str())
        .body(Bytes::new())
        .expect("an address is a header value")
}

/// The consent page. It approves by itself, or asks as whom; `sim_account` and `sim_deny` are its own buttons.
fn consent(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let bad = |what: &str| page(400, format!("<h1>Error (400)</h1><p>{}</p>", escaped(what)));
    let (Some(client), Some(back)) = (asked.one("client_id"), asked.one("redirect_uri")) else {
        return bad("Missing client_id or redirect_uri.");
    };
    let Ok(mut back_url) = url::Url::parse(back) else { return bad("Invalid redirect_uri.") };
    if asked.one("response_type") != Some("code") {
        return bad("Invalid response_type.");
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
    let known: Vec<String> = state.accounts.keys().cloned().collect();
    let account = match (asked.one("sim_account"), state.settings.auto_approve) {
        (Some(account), _) => account.to_owned(),
        (None, Switch::Yes) => known.first().cloned().unwrap_or_else(|| "demo@example.com".to_owned()),
        (None, Switch::No) => return chooser(asked, &known),
    };
    state.account(&account);
    // Without `scope`, all that the app was registered with.
    let scopes: Vec<String> = match asked.one("scope") {
        Some(scopes) => scopes.split_whitespace().map(str::to_owned).collect(),
        None => crate::auth::SCOPES.map(str::to_owned).to_vec(),
    };
    let expires_ms = Some(state.now_ms + CODE_MS);
    let grant = Grant { account, client: client.to_owned(), scopes, expires_ms, refresh: None };
    let offline = asked.one("token_access_type") == Some("offline");
    let name = format!("code-{}", state.next());
    back_url.query_pairs_mut().append_pair("code", &name);
    state.codes.insert(name, Code { grant, redirect_uri: back.to_owned(), challenge, offline });
    redirect(&back_url)
}

fn chooser(asked: &Asked, accounts: &[String]) -> Response<Bytes> {
    let hidden =
        |(k, v): &(String, String)| format!("<input type=hidden name=\"{}\" value=\"{}\">", escaped(k), escaped(v));
    let button = |account: &String| {
        let account = escaped(account);
        format!("<p><button name=sim_account value=\"{account}\">Continue as {account}</button></p>")
    };
    let hidden: String = asked.query.iter().map(hidden).collect();
    let buttons: String = accounts.iter().map(button).collect();
    page(
        200,
        format!(
            "<!doctype html><title>Simulated Dropbox</title><h1>Choose an account</h1><form>{hidden}{buttons}\
             <p><button name=sim_deny value=1>Cancel</button></p></form>"
        ),
    )
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// Whether the client proved itself by its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Secret,
    None,
}

/// The client's id, from the form or from basic authentication.
fn client_of(asked: &Asked, form: &[(String, String)]) -> Option<(String, Proof)> {
    if let Some(basic) = asked.header("authorization").and_then(|header| header.strip_prefix("Basic ")) {
        let plain = base64::engine::general_purpose::STANDARD.decode(basic).ok()?;
        let id = String::from_utf8(plain).ok()?.split(':').next()?.to_owned();
        return (!id.is_empty()).then_some((id, Proof::Secret));
    }
    let proof = if field(form, "client_secret").is_empty() { Proof::None } else { Proof::Secret };
    let id = field(form, "client_id");
    (!id.is_empty()).then(|| (id.to_owned(), proof))
}

fn token(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let form = asked.form();
    let Some((client, proof)) = client_of(asked, &form) else {
        return refused(400, "invalid_client", "No auth function available for given request");
    };
    match field(&form, "grant_type") {
        "authorization_code" => exchange(state, &form, &client, proof),
        "refresh_token" => refresh(state, &form, &client),
        _ => refused(400, "unsupported_grant_type", "grant type must be authorization_code or refresh_token"),
    }
}

fn exchange(state: &mut State, form: &[(String, String)], client: &str, proof: Proof) -> Response<Bytes> {
    // A code is spent by the first try, also by a wrong one.
    let Some(code) = state.codes.remove(field(form, "code")) else {
        return refused(400, "invalid_grant", "code doesn't exist or has expired");
    };
    let hash = Sha256::digest(field(form, "code_verifier").as_bytes());
    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
    let proved = match &code.challenge {
        Some(challenge) => *challenge == hash,
        None => proof == Proof::Secret,
    };
    let late = code.grant.expires_ms.is_some_and(|until| state.now_ms > until);
    if !proved || late || code.grant.client != client || code.redirect_uri != field(form, "redirect_uri") {
        return refused(400, "invalid_grant", "the code was not issued for this request");
    }
    let grant = Grant { expires_ms: None, ..code.grant };
    let refresh = code.offline.then(|| {
        let name = format!("refresh-{}", state.next());
        state.refresh.insert(name.clone(), grant.clone());
        name
    });
    issue(state, Grant { refresh: refresh.clone(), ..grant }, refresh)
}

fn refresh(state: &mut State, form: &[(String, String)], client: &str) -> Response<Bytes> {
    let name = field(form, "refresh_token").to_owned();
    let grant = state.refresh.get(&name).filter(|grant| grant.client == client);
    match grant.cloned() {
        // The refresh token stays and is not told again.
        Some(grant) => issue(state, Grant { refresh: Some(name), ..grant }, None),
        None => refused(400, "invalid_grant", "refresh token is invalid or revoked"),
    }
}

fn issue(state: &mut State, grant: Grant, refresh: Option<String>) -> Response<Bytes> {
    let seconds = state.settings.token_seconds;
    let name = format!("sl.{}", state.next());
    let account = state.account(&grant.account);
    let mut body = json!({
        "access_token": name, "token_type": "bearer", "expires_in": seconds, "scope": grant.scopes.join(" "),
        "uid": account.uid.to_string(), "account_id": account.id,
    });
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    let now = state.now_ms;
    state.access.insert(name, Grant { expires_ms: Some(now + seconds * 1000), ..grant });
    json_response(200, &body)
}

/// `auth/token/revoke`: the token, its refresh token, and all other access tokens of that.
pub(super) fn revoke_token(state: &mut State, token: &str) {
    state.next();
    let Some(grant) = state.access.remove(token) else { return };
    if let Some(refresh) = grant.refresh {
        state.refresh.remove(&refresh);
        state.access.retain(|_, held| held.refresh.as_ref() != Some(&refresh));
    }
}
