//! `/batch/calendar/v3`.
use super::{Refused, Request, one, segments};
use crate::api::batch::{MOST, boundary_of, header, parts_of, split};
use crate::fake::Asked;
use crate::fake::state::State;
use bytes::Bytes;
use http::Response;
use serde_json::Value;
use std::fmt::Write as _;

const BOUNDARY: &str = "batch_simulated";

pub(super) fn answer(state: &mut State, asked: &Asked) -> Response<Bytes> {
    let kind = asked.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let Some(boundary) = boundary_of(kind) else {
        return Refused::new(400, "global", "badRequest", "Missing boundary in the multipart body.").into_response();
    };
    let Ok(text) = std::str::from_utf8(&asked.body) else {
        return Refused::new(400, "global", "badRequest", "Failed to parse batch request.").into_response();
    };
    let parts = parts_of(text, boundary);
    if parts.is_empty() || parts.len() > MOST {
        let message = format!("The batch request has {} calls; at most {MOST} are allowed.", parts.len());
        return Refused::new(400, "global", "badRequest", message).into_response();
    }
    let mut body = String::new();
    for part in parts {
        let (outer, inner) = split(part);
        let answer = inner_answer(state, asked.bearer(), inner);
        write!(body, "--{BOUNDARY}\r\nContent-Type: application/http\r\n").expect("text takes text");
        if let Some(id) = header(outer, "content-id") {
            write!(body, "Content-ID: <response-{}\r\n", id.trim_start_matches('<')).expect("text takes text");
        }
        let reason = answer.status().canonical_reason().unwrap_or_default();
        write!(body, "\r\nHTTP/1.1 {} {reason}\r\n", answer.status().as_u16()).expect("text takes text");
        for (name, value) in answer.headers() {
            write!(body, "{name}: {}\r\n", value.to_str().unwrap_or_default()).expect("text takes text");
        }
        let inner = String::from_utf8_lossy(answer.body());
        write!(body, "\r\n{inner}\r\n").expect("text takes text");
    }
    write!(body, "--{BOUNDARY}--\r\n").expect("text takes text");
    Response::builder()
        .header("content-type", format!("multipart/mixed; boundary={BOUNDARY}"))
        .body(Bytes::from(body))
        .expect("a fixed header")
}

fn inner_answer(state: &mut State, outer: Option<&str>, inner: &str) -> Response<Bytes> {
    let (head, body) = split(inner.trim_start());
    let mut words = head.lines().next().unwrap_or_default().split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Refused::new(400, "global", "badRequest", "Failed to parse batch request.").into_response();
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let body = match body.trim() {
        "" => Value::Object(serde_json::Map::new()),
        text => match serde_json::from_str(text) {
            Ok(body) => body,
            Err(_) => return Refused::invalid("Parse Error").into_response(),
        },
    };
    let text = |name: &str| header(head, name).map(str::to_owned);
    let own = text("authorization");
    let bearer = own.as_deref().and_then(|value| value.strip_prefix("Bearer ")).or(outer);
    let request = Request {
        method,
        path: segments(path),
        query: &query,
        if_match: text("if-match"),
        if_none_match: text("if-none-match"),
        body,
    };
    one(state, bearer, &request)
}
