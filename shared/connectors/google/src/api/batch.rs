//! Google's batch endpoint: several calls in one `multipart/mixed` body, each with its own answer.
use super::Call;
use crate::error;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tandem_ports::error::Result;

/// Most calls in one batch.
pub(crate) const MOST: usize = 50;
/// JSON escapes line ends, so no body can hold a line that begins like this.
const BOUNDARY: &str = "tandem_batch";

/// A call that can go alone or as a part of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    /// Only if the record still has this etag.
    pub(crate) if_match: Option<String>,
    pub(crate) body: Option<Value>,
}

impl Part {
    pub(crate) fn get(target: String) -> Part {
        Part { method: Method::GET, target, if_match: None, body: None }
    }
}

/// One call by itself.
pub(crate) fn single(operation: &'static str, origin: &str, part: &Part) -> Result<Call> {
    let mut builder = Request::builder()
        .method(&part.method)
        .uri(format!("{origin}{}", part.target))
        .header("accept", "application/json");
    if let Some(etag) = &part.if_match {
        builder = builder.header("if-match", etag);
    }
    let bytes = match &part.body {
        Some(body) => {
            builder = builder.header("content-type", "application/json");
            Bytes::from(body.to_string())
        }
        None => Bytes::new(),
    };
    let request = builder.body(bytes).map_err(|_| error::refused(operation, "this is no address Google could have"))?;
    Ok(Call { operation, request })
}

/// Up to [`MOST`] calls at once.
pub(crate) fn together(operation: &'static str, origin: &str, path: &str, parts: &[Part]) -> Result<Call> {
    let mut body = String::new();
    for (at, part) in parts.iter().enumerate() {
        write!(body, "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <item-{at}>\r\n\r\n")
            .and_then(|()| write!(body, "{} {} HTTP/1.1\r\nAccept: application/json\r\n", part.method, part.target))
            .expect("text takes text");
        if let Some(etag) = &part.if_match {
            write!(body, "If-Match: {etag}\r\n").expect("text takes text");
        }
        if let Some(json) = &part.body {
            let json = json.to_string();
            write!(body, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}", json.len())
                .expect("text takes text");
        } else {
            body.push_str("\r\n");
        }
        body.push_str("\r\n");
    }
    write!(body, "--{BOUNDARY}--\r\n").expect("text takes text");
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{origin}{path}"))
        .header("content-type", format!("multipart/mixed; boundary={BOUNDARY}"))
        .body(Bytes::from(body))
        .map_err(|_| error::refused(operation, "this is no address Google could have"))?;
    Ok(Call { operation, request })
}

/// Whether there is no such endpoint where the batch was sent: the calls then go one by one. Google closed its global one in
/// 2020, and what stands in for Google on the way may never have had one.
pub(crate) fn is_missing(response: &Response<Bytes>) -> bool {
    matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

/// One answer a part, in the order of the parts; `None` where Google left one out.
pub(crate) fn answers(
    operation: &'static str,
    response: &Response<Bytes>,
    count: usize,
) -> Result<Vec<Option<Response<Bytes>>>> {
    if !response.status().is_success() {
        return Err(error::classify(operation, response));
    }
    let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = boundary_of(kind).ok_or_else(|| error::no_answer(operation))?;
    let text = std::str::from_utf8(response.body()).map_err(|_| error::no_answer(operation))?;
    let mut found: BTreeMap<usize, Response<Bytes>> = BTreeMap::new();
    for (place, part) in parts_of(text, boundary).into_iter().enumerate() {
        let (head, inner) = split(part);
        // "response-" before our own Content-ID; without one the order counts.
        let named =
            header(head, "content-id").and_then(|id| id.trim_end_matches('>').rsplit("item-").next()?.parse().ok());
        if let Some(answer) = inner_response(inner) {
            found.insert(named.unwrap_or(place), answer);
        }
    }
    Ok((0..count).map(|at| found.remove(&at)).collect())
}

/// The `boundary` of a `multipart/mixed` content type.
pub(crate) fn boundary_of(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let named = |p: &'_ str| p.trim().get(..9).is_some_and(|name| name.eq_ignore_ascii_case("boundary="));
    let value = parameters.split(';').find(|p| named(p))?.trim().get(9..)?;
    Some(value.trim_matches('"')).filter(|value| !value.is_empty())
}

/// The bodies between the boundaries; lines may end in CRLF or in LF alone.
pub(crate) fn parts_of<'a>(text: &'a str, boundary: &str) -> Vec<&'a str> {
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let (mut start, mut at) = (None, 0);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == mark || bare.strip_prefix(&mark) == Some("--") {
            if let Some(start) = start {
                let part: &str = &text[start..at];
                parts.push(part.strip_suffix("\r\n").or_else(|| part.strip_suffix('\n')).unwrap_or(part));
            }
            start = (bare == mark).then_some(at + line.len());
        }
        at += line.len();
    }
    parts
}

/// Head and body.
pub(crate) fn split(part: &str) -> (&str, &str) {
    let crlf = part.find("\r\n\r\n").map(|at| (at, 4));
    let lf = part.find("\n\n").map(|at| (at, 2));
    match (crlf, lf) {
        (Some(a), Some(b)) if b.0 < a.0 => (&part[..b.0], &part[b.0 + b.1..]),
        (Some(a), _) => (&part[..a.0], &part[a.0 + a.1..]),
        (None, Some(b)) => (&part[..b.0], &part[b.0 + b.1..]),
        (None, None) => (part, ""),
    }
}

/// A header's value, by its name in lower case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let pairs = head.lines().filter_map(|line| line.split_once(':'));
    pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

fn inner_response(text: &str) -> Option<Response<Bytes>> {
    let (head, body) = split(text.trim_start());
    let status: u16 = head.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
    let mut builder = Response::builder().status(status);
    for name in ["retry-after", "date", "etag"] {
        if let Some(value) = header(head, name) {
            builder = builder.header(name, value);
        }
    }
    builder.body(Bytes::copy_from_slice(body.trim().as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Response<Bytes> {
        let kind = "multipart/mixed; boundary=\"batch_x\"";
        Response::builder().header("content-type", kind).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn answers_are_told_apart_by_their_ids_whatever_their_order_and_line_ends() {
        for end in ["\r\n", "\n"] {
            let part = |id: &str, inner: &str| {
                format!(
                    "--batch_x{end}Content-Type: application/http{end}Content-ID: <response-item-{id}>{end}{end}{inner}{end}"
                )
            };
            let body = part("1", &format!("HTTP/1.1 404 Not Found{end}Retry-After: 3{end}{end}{{}}"))
                + &part("0", &format!("HTTP/1.1 200 OK{end}Content-Type: application/json{end}{end}{{\"id\":\"a\"}}"))
                + "--batch_x--";
            let found = answers("test", &answer(&body), 3).unwrap();
            let status: Vec<Option<u16>> = found.iter().map(|r| r.as_ref().map(|r| r.status().as_u16())).collect();
            assert_eq!(status, [Some(200), Some(404), None]);
            assert_eq!(found[0].as_ref().unwrap().body().as_ref(), b"{\"id\":\"a\"}");
            assert_eq!(found[1].as_ref().unwrap().headers()["retry-after"], "3");
        }
    }

    #[test]
    fn answers_without_ids_are_in_the_order_of_their_calls() {
        let part = |status: u16| {
            format!("--batch_x\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status} X\r\n\r\n{{}}\r\n")
        };
        let found = answers("test", &answer(&(part(200) + &part(404) + "--batch_x--")), 2).unwrap();
        assert_eq!(found.iter().map(|r| r.as_ref().unwrap().status().as_u16()).collect::<Vec<_>>(), [200, 404]);
    }

    #[test]
    fn what_is_no_batch_answer_is_an_error() {
        let plain = Response::builder().body(Bytes::from_static(b"{}")).unwrap();
        assert!(answers("test", &plain, 1).is_err());
    }
}
