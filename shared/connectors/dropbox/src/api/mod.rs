//! Requests and their answers, without I/O.
pub(crate) mod content;
pub(crate) mod tree;

use crate::error;
use bytes::Bytes;
use http::{Request, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_ports::error::Result;

/// A request and what errors call it.
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) request: Request<Bytes>,
}

/// A call with a JSON argument in its body.
fn rpc(operation: &'static str, origin: &str, route: &str, argument: &Value) -> Result<Call> {
    let request = Request::post(format!("{origin}/2/files/{route}"))
        .header("content-type", "application/json")
        .body(Bytes::from(argument.to_string()))
        .map_err(|_| error::refused(operation, "this is no address Dropbox could have"))?;
    Ok(Call { operation, request })
}

/// A header is ASCII: what is not, and 0x7f, goes as `\uXXXX`.
pub(crate) fn header_safe(argument: &Value) -> String {
    let mut safe = String::new();
    for unit in argument.to_string().encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte < 0x7f => safe.push(char::from(byte)),
            Ok(_) | Err(_) => safe.push_str(&format!("\\u{unit:04x}")),
        }
    }
    safe
}

/// A call whose argument is in a header and whose body is bytes.
fn content(
    operation: &'static str,
    origin: &str,
    route: &str,
    argument: &Value,
    bytes: Option<Bytes>,
) -> Result<http::request::Builder> {
    let builder = Request::post(format!("{origin}/2/files/{route}")).header("dropbox-api-arg", header_safe(argument));
    let builder = match bytes {
        Some(_) => builder.header("content-type", "application/octet-stream"),
        None => builder,
    };
    match builder.headers_ref() {
        Some(_) => Ok(builder),
        None => Err(error::refused(operation, "this is no request Dropbox could take")),
    }
}

/// The answer's body, or why there is none.
pub(crate) fn parse<T: DeserializeOwned>(operation: &'static str, response: &Response<Bytes>) -> Result<T> {
    if !response.status().is_success() {
        return Err(error::classify(operation, response));
    }
    serde_json::from_slice(response.body()).map_err(|_| error::unreadable(operation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_argument_in_a_header_is_plain_ascii_and_reads_back() {
        let argument = json!({"path": "/Zoë\u{7f}/😀\"\\"});
        let safe = header_safe(&argument);
        assert!(safe.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{safe}");
        assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), argument);
    }
}
