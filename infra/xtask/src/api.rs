//! A small client of the service's own HTTP API.
use crate::fault::{Fault, OrFault as _, Result};
use serde_json::Value;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Request;

/// The API, as one user.
pub(crate) struct Api {
    base: String,
    token: String,
    agent: Agent,
}

/// A status and the JSON (or `null`) that came with it.
pub(crate) type Answer = (u16, Value);

impl Api {
    pub(crate) fn new(base: &str, token: &str) -> Self {
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)));
        Self { base: base.trim_end_matches('/').to_owned(), token: token.to_owned(), agent: settings.build().into() }
    }

    /// Any request; every status is an answer.
    pub(crate) fn send(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<Answer> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header("authorization", format!("Bearer {}", self.token)).header("content-type", kind);
        let request = request.body(body).or_fault(|| format!("{method} {path}"))?;
        let mut answer = self.agent.run(request).or_fault(|| format!("{method} {path} got no answer"))?;
        let text = answer.body_mut().read_to_string().or_fault(|| format!("{method} {path}"))?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// A request that must succeed.
    pub(crate) fn must(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<Value> {
        let (status, value) = self.send(method, path, kind, body)?;
        if (200..300).contains(&status) {
            return Ok(value);
        }
        let message = value["error"]["message"].as_str().unwrap_or("no reason given");
        Err(Fault::new(format!("{method} {path} was refused ({status}): {message}")))
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.must("GET", path, "application/json", Vec::new())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.must("POST", path, "application/json", body.to_string().into_bytes())
    }

    /// Sends bytes as an answer of the API asks for them: `{"method", "url", "headers"}`.
    pub(crate) fn upload(&self, to: &Value, bytes: &[u8]) -> Result<()> {
        let text = |name: &str| to[name].as_str().unwrap_or_default();
        let mut request = Request::builder().method(text("method")).uri(text("url"));
        for (name, value) in to["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        let request = request.body(bytes.to_vec()).or_fault(|| "an upload address is not one".to_owned())?;
        let answer = self.agent.run(request).or_fault(|| "an upload got no answer".to_owned())?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(Fault::new(format!("an upload was refused ({status})"))) }
    }

    /// Opens an address as a browser without cookies would, along all redirects, until one leads to the page.
    pub(crate) fn browse(&self, url: &str) -> Result<()> {
        let mut url = url.to_owned();
        for _ in 0..10 {
            let answer = self.agent.get(&url).call().or_fault(|| "the provider's page got no answer".to_owned())?;
            let status = answer.status();
            let Some(next) = answer.headers().get("location").and_then(|next| next.to_str().ok()) else {
                return Err(Fault::new(format!("connecting the account ended at {} ({status})", without_query(&url))));
            };
            url = if next.starts_with('/') { format!("{}{next}", origin_of(&url)) } else { next.to_owned() };
            // The callback ends at the page itself.
            if without_query(&url).trim_end_matches('/') == self.base {
                return Ok(());
            }
        }
        Err(Fault::new("connecting the account went round in circles"))
    }
}

/// Queries hold codes and states, which belong in no message.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn origin_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find('/').map_or(url, |at| &url[..start + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_queries_are_told_apart() {
        assert_eq!(origin_of("http://127.0.0.1:1/a/b"), "http://127.0.0.1:1");
        assert_eq!(origin_of("http://127.0.0.1:1"), "http://127.0.0.1:1");
        assert_eq!(without_query("http://a/b?code=secret"), "http://a/b");
    }
}
