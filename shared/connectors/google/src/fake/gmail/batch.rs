//! `POST /batch`: many requests in one, each answered by itself.
use super::super::state::State;
use super::super::{Asked, Refusal};
use super::{refused, single};
use bytes::Bytes;
use http::{Method, Response};

/// Google refuses larger batches.
const LARGEST: usize = 100;

pub(super) fn answer(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let kind = asked.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = kind.split("boundary=").nth(1).map(|rest| rest.split(';').next().unwrap_or(rest).trim_matches('"'));
    let Some(boundary) = boundary.filter(|_| kind.starts_with("multipart/mixed")) else {
        return refused(Refusal::invalid("Failed to parse batch request, error: no boundary."));
    };
    let text = String::from_utf8_lossy(&asked.body).replace("\r\n", "\n");
    let closing = format!("--{boundary}--");
    let body = text.split(&closing).next().unwrap_or_default();
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).skip(1).collect();
    if parts.is_empty() || parts.len() > LARGEST {
        return refused(Refusal::invalid("The batch request could not be processed: 1 to 100 calls are allowed."));
    }
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        let Some((id, inner)) = part_of(part, asked) else {
            return refused(Refusal::invalid("Failed to parse batch request, error: a part is no request."));
        };
        let answer = if at < state.mail.concurrent {
            single(state, &inner)
        } else {
            refused(Refusal::new(429, "RESOURCE_EXHAUSTED", "Too many concurrent requests for user"))
        };
        let (status, body) = (answer.status(), String::from_utf8_lossy(answer.body()).into_owned());
        let reason = status.canonical_reason().unwrap_or_default();
        out += &format!(
            "--batch_simulated\r\nContent-Type: application/http\r\nContent-ID: <response-{id}>\r\n\r\nHTTP/1.1 {} \
             {reason}\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}\r\n",
            status.as_u16(),
            body.len()
        );
    }
    out += "--batch_simulated--\r\n";
    Response::builder()
        .status(200)
        .header("content-type", "multipart/mixed; boundary=batch_simulated")
        .body(Bytes::from(out))
        .expect("fixed header names and a status in range")
}

/// The id of a part and the request in it, under the authorisation of the whole.
fn part_of(part: &str, outer: &Asked) -> Option<(String, Asked)> {
    let (head, inner) = part.split_once("\n\n")?;
    let id = head.lines().find(|line| line.to_lowercase().starts_with("content-id:"))?.split_once(':')?.1;
    let id = id.trim().trim_matches(['<', '>']).to_owned();
    let (head, body) = inner.split_once("\n\n").unwrap_or((inner, ""));
    let mut line = head.lines().next()?.split_whitespace();
    let (method, target) = (line.next()?, line.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let inner = Asked {
        method: Method::from_bytes(method.as_bytes()).ok()?,
        path: path.to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: outer.headers.clone(),
        body: Bytes::from(body.trim().to_owned()),
    };
    Some((id, inner))
}
