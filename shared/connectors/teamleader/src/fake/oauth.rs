//! The OAuth 2.0 server: consent, codes for one exchange, and refresh tokens for one refresh.
use super::state::{Code, Grant, State, Switch};
use super::{Asked, json_response};
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

/// A code is good for ten minutes.
const CODE_MS: i64 = 600_000;

pub(super) fn answer(state: &mut State, asked: &Asked) -> Option<Response<Bytes>> {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/oauth2/authorize") => Some(consent(state, asked)),
        ("POST", "/oauth2/access_token") => Some(token(state, asked)),
        _ => None,
    }
}

fn refused(status: u16, error: &str, description: &str) -> Response<Bytes> {
    json_response(status, &json!({"error": error, "error_description": description}))
}

fn page(status: u16, html: &str) -> Response<Bytes> {
    let builder = Response::builder().status(status).header("content-type", "text/html; charset=utf-8");
    builder.body(Bytes::from(html.to_owned())).expect("fixed header names and a status in range")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The consent page. It approves by itself, or asks as whom; `sim_account` and `sim_deny` are its own buttons.
fn consent(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let bad = |what: &str| page(400, &format!("<h1>invalid_request</h1><p>{}</p>", escaped(what)));
    let (Some(client), Some(back)) = (asked.one("client_id"), asked.one("redirect_uri")) else {
        return bad("client_id and redirect_uri are required.");
    };
    let Ok(mut back_url) = url::Url::parse(back) else { return bad("redirect_uri is no address.") };
    if asked.one("response_type") != Some("code") {
        return bad("response_type must be code.");
    }
    let state_text = asked.one("state").map(str::to_owned);
    let mut add = |name: &str, value: &str| {
        back_url.query_pairs_mut().append_pair(name, value);
        if let Some(text) = &state_text {
            back_url.query_pairs_mut().append_pair("state", text);
        }
        redirect(&back_url)
    };
    if asked.one("sim_deny").is_some() {
        return add("error", "access_denied");
    }
    let known: Vec<String> = state.accounts.keys().cloned().collect();
    let account = match (asked.one("sim_account"), state.settings.auto_approve) {
        (Some(account), _) => account.to_owned(),
        (None, Switch::Yes) => known.first().cloned().unwrap_or_else(|| "demo@example.com".to_owned()),
        (None, Switch::No) => return chooser(asked, &known),
    };
    state.account(&account);
    let grant = Grant { colleague: None, account, client: client.to_owned(), expires_ms: Some(state.now_ms + CODE_MS) };
    let name = format!("code-{}", state.next());
    state.codes.insert(name.clone(), Code { grant, redirect_uri: back.to_owned() });
    add("code", &name)
}

fn redirect(to: &url::Url) -> Response<Bytes> {
    let builder = Response::builder().status(302).header("location", to.as_str());
    builder.body(Bytes::new()).expect("an address is a header value")
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
        &format!(
            "<!doctype html><title>Simulated Teamleader</title><h1>Allow access?</h1><form>{hidden}{buttons}\
             <p><button name=sim_deny value=1>Cancel</button></p></form>"
        ),
    )
}

/// The parameters, from a form or from JSON: both are documented.
fn parameters(asked: &Asked) -> Vec<(String, String)> {
    if !asked.header("content-type").contains("json") {
        return url::form_urlencoded::parse(&asked.body).into_owned().collect();
    }
    let body = asked.json().unwrap_or_default();
    body.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

fn token(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let form = parameters(asked);
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let client = field("client_id");
    if client.is_empty() || field("client_secret").is_empty() {
        return refused(401, "invalid_client", "Client authentication failed");
    }
    match field("grant_type") {
        "authorization_code" => {
            // A code is spent by the first try, also by a wrong one.
            let code = state.codes.remove(field("code"));
            state.next();
            let good = code.filter(|code| {
                code.grant.client == client
                    && code.redirect_uri == field("redirect_uri")
                    && code.grant.expires_ms.is_some_and(|until| state.now_ms <= until)
            });
            good.map_or_else(
                || refused(400, "invalid_grant", "The authorization code is invalid or expired."),
                |code| issue(state, code.grant),
            )
        }
        "refresh_token" => {
            let name = field("refresh_token");
            let ours = state.refresh.get(name).is_some_and(|grant| grant.client == client);
            match state.refresh.remove(name).filter(|_| ours) {
                Some(grant) => issue(state, grant),
                None => refused(400, "invalid_grant", "Token has been revoked"),
            }
        }
        _ => refused(400, "unsupported_grant_type", "The grant type is not supported."),
    }
}

fn issue(state: &mut State, grant: Grant) -> Response<Bytes> {
    let (seconds, now) = (state.settings.token_seconds, state.now_ms);
    let (access, refresh) = (format!("tl-access-{}", state.next()), format!("tl-refresh-{}", state.next()));
    state.access.retain(|_, grant| grant.expires_ms.is_none_or(|until| now < until));
    state.access.insert(access.clone(), Grant { expires_ms: Some(now + seconds * 1000), ..grant.clone() });
    state.refresh.insert(refresh.clone(), Grant { expires_ms: None, ..grant });
    let body: Value = json!({
        "token_type": "Bearer", "expires_in": seconds, "access_token": access, "refresh_token": refresh,
    });
    json_response(200, &body)
}
