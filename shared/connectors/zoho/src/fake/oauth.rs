//! The accounts server: consent, tokens, revocation. Its refusals come with status 200.
use super::state::{Grant, State};
use super::{Answer, Asked, respond};
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

/// A code is good for three minutes.
const CODE_MS: i64 = 180_000;
/// Access tokens that one refresh token may make within ten minutes.
const MOST_REFRESHES: usize = 10;
const REFRESH_WINDOW_MS: i64 = 600_000;
/// The sixteenth kills the oldest.
const MOST_ACCESS_TOKENS: usize = 15;

pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    Some(match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/oauth/v2/auth") => consent(state, asked),
        ("POST", "/oauth/v2/token") => {
            let answer = token(state, asked);
            respond(state, answer)
        }
        ("POST", "/oauth/v2/token/revoke") => {
            let answer = revoke(state, asked);
            respond(state, answer)
        }
        _ => return None,
    })
}

/// Query and form are the same to Zoho.
fn value(asked: &Asked, name: &str) -> String {
    let form = url::form_urlencoded::parse(&asked.body).into_owned();
    let found = asked.query.iter().cloned().chain(form).find(|(key, _)| key == name);
    found.map(|(_, value)| value).unwrap_or_default()
}

fn refused(error: &str) -> Answer {
    Ok((200, json!({"error": error})))
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
    let bad = |what: &str| page(400, &format!("<h1>ERROR_{}</h1>", escaped(what)));
    let (Some(client), Some(back)) = (asked.one("client_id"), asked.one("redirect_uri")) else {
        return bad("invalid_client");
    };
    let Ok(mut back_url) = url::Url::parse(back) else { return bad("invalid_redirect_uri") };
    if asked.one("response_type") != Some("code") {
        return bad("invalid_response_type");
    }
    let scopes: Vec<String> = asked.one("scope").unwrap_or_default().split(',').map(str::to_owned).collect();
    let known = |scope: &String| scope.starts_with("ZohoCRM.") && !scope.contains(' ');
    if !scopes.iter().all(known) {
        return bad("invalid_scope");
    }
    if let Some(text) = asked.one("state") {
        back_url.query_pairs_mut().append_pair("state", text);
    }
    if asked.one("sim_deny").is_some() {
        back_url.query_pairs_mut().append_pair("error", "access_denied");
        return redirect(&back_url);
    }
    let accounts: Vec<String> = state.users.keys().cloned().collect();
    let account = match (asked.one("sim_account"), state.settings.auto_approve) {
        (Some(account), _) => account.to_owned(),
        (None, true) => accounts.first().cloned().unwrap_or_else(|| "demo@example.com".to_owned()),
        (None, false) => return chooser(asked, &accounts),
    };
    state.user(&account);
    let name = format!("1000.c{}", state.next());
    let grant = Grant {
        account,
        client: client.to_owned(),
        scopes,
        until_ms: state.now_ms + CODE_MS,
        of: back.to_owned(),
        offline: asked.one("access_type") == Some("offline"),
    };
    state.codes.insert(name.clone(), grant);
    let server = state.settings.accounts_server.clone().unwrap_or_else(|| asked.origin());
    let mut pairs = back_url.query_pairs_mut();
    pairs.append_pair("code", &name).append_pair("location", &state.settings.location);
    pairs.append_pair("accounts-server", &server);
    drop(pairs);
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
    let hidden =
        |(k, v): &(String, String)| format!("<input type=hidden name=\"{}\" value=\"{}\">", escaped(k), escaped(v));
    let button = |account: &String| {
        let account = escaped(account);
        format!("<p><button name=sim_account value=\"{account}\">Continue as {account}</button></p>")
    };
    let hidden: String = asked.query.iter().map(hidden).collect();
    let buttons: String = accounts.iter().map(button).collect();
    let title = "<!doctype html><title>Simulated Zoho</title><h1>Choose an account</h1>";
    page(200, &format!("{title}<form>{hidden}{buttons}<p><button name=sim_deny value=1>Reject</button></p></form>"))
}

fn token(state: &mut State, asked: &Asked) -> Answer {
    let client = value(asked, "client_id");
    if client.is_empty() || value(asked, "client_secret").is_empty() {
        return refused("invalid_client");
    }
    match value(asked, "grant_type").as_str() {
        "authorization_code" => exchange(state, asked, &client),
        "refresh_token" => refresh(state, asked, &client),
        _ => refused("unsupported_grant_type"),
    }
}

fn exchange(state: &mut State, asked: &Asked, client: &str) -> Answer {
    // A code is spent by the first try, also by a wrong one.
    let Some(code) = state.codes.remove(&value(asked, "code")) else { return refused("invalid_code") };
    if state.now_ms > code.until_ms || code.client != client {
        return refused("invalid_code");
    }
    if code.of != value(asked, "redirect_uri") {
        return refused("invalid_redirect_uri");
    }
    let name = format!("1000.r{}", state.next());
    let grant = Grant { until_ms: i64::MAX, of: String::new(), ..code };
    state.refresh.insert(name.clone(), grant.clone());
    let mut body = issue(state, asked, &name, &grant);
    if grant.offline {
        body["refresh_token"] = json!(name);
    } else {
        state.refresh.remove(&name);
    }
    Ok((200, body))
}

/// The refresh token stays what it is.
fn refresh(state: &mut State, asked: &Asked, client: &str) -> Answer {
    let name = value(asked, "refresh_token");
    let Some(grant) = state.refresh.get(&name).filter(|grant| grant.client == client).cloned() else {
        return refused("invalid_code");
    };
    let now = state.now_ms;
    let made = state.refreshed.entry(name.clone()).or_default();
    made.retain(|at| at + REFRESH_WINDOW_MS > now);
    if made.len() >= MOST_REFRESHES {
        let text = "You have made too many requests continuously. Please try again after some time.";
        return Ok((200, json!({"error": "access_denied", "error_description": text, "status": "failure"})));
    }
    made.push(now);
    Ok((200, issue(state, asked, &name, &grant)))
}

fn issue(state: &mut State, asked: &Asked, of: &str, grant: &Grant) -> Value {
    let seconds = state.settings.token_seconds;
    let now = state.now_ms;
    state.access.retain(|_, held| now < held.until_ms);
    let mut active: Vec<(i64, String)> = state
        .access
        .iter()
        .filter(|(_, held)| held.of == of)
        .map(|(name, held)| (held.until_ms, name.clone()))
        .collect();
    active.sort();
    while active.len() >= MOST_ACCESS_TOKENS {
        state.access.remove(&active.remove(0).1);
    }
    let name = format!("1000.a{:08}", state.next());
    let held = Grant { until_ms: now + seconds * 1000, of: of.to_owned(), ..grant.clone() };
    state.access.insert(name.clone(), held);
    let api_domain = state.settings.api_domain.clone().unwrap_or_else(|| asked.origin());
    json!({
        "access_token": name, "api_domain": api_domain, "token_type": "Bearer", "expires_in": seconds,
        "scope": grant.scopes.join(" "),
    })
}

fn revoke(state: &mut State, asked: &Asked) -> Answer {
    let name = value(asked, "token");
    if state.refresh.remove(&name).is_none() {
        return Ok((400, json!({"error": "invalid_token"})));
    }
    state.next();
    state.access.retain(|_, held| held.of != name);
    Ok((200, json!({"status": "success"})))
}
