//! `cargo xtask import FILE`: a file of contacts into the built-in CRM, in parts that one request can carry.
use crate::ImportOptions;
use crate::api::Api;
use crate::fault::{Fault, OrFault as _, Result};
use crate::place::Place;
use serde_json::Value;
use std::fs;
use std::process::ExitCode;

/// A request through the API's gateway may be 6 MB, and has half a minute; this is far below both.
const MOST_BYTES: usize = 100 * 1024;

pub(crate) fn import(options: &ImportOptions) -> Result<ExitCode> {
    let bytes = fs::read(&options.file).or_fault(|| format!("{} cannot be read", options.file.display()))?;
    let (kind, parts) = split(bytes);
    let (api, token) = service(options)?;
    let api = Api::new(&api, &token);
    let (mut counts, mut refused) = ([0_u64; 3], 0);
    let names = ["created", "updated", "skipped"];
    for part in parts {
        let answer = api.must("POST", "/crm/v1/import", kind, part.body)?;
        for (count, name) in counts.iter_mut().zip(names) {
            *count += answer[name].as_u64().unwrap_or(0);
        }
        for error in answer["errors"].as_array().into_iter().flatten() {
            refused += 1;
            let line = error["line"].as_u64().map_or(0, |line| line + part.lines_before);
            println!("line {line}: {}", error["reason"].as_str().unwrap_or("no reason given"));
        }
    }
    println!("{} created, {} updated, {} skipped, {refused} refused", counts[0], counts[1], counts[2]);
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn service(options: &ImportOptions) -> Result<(String, String)> {
    if let (Some(api), Some(token)) = (&options.api, &options.token) {
        return Ok((api.clone(), token.clone()));
    }
    let ready = Place::new(&options.place)?.file("ready.json");
    let none = || Fault::new("nothing runs here; start `cargo xtask up`, or say --api and --token");
    let ready: Value =
        fs::read_to_string(ready).ok().and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(none)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let api = options.api.clone().or_else(|| text(&ready["api_url"]));
    let token = options.token.clone().or_else(|| text(&ready["users"][0]["token"]));
    Ok((api.ok_or_else(none)?, token.ok_or_else(none)?))
}

/// A part of the file that is a whole file of its own.
struct Part {
    body: Vec<u8>,
    /// What to add to its line numbers.
    lines_before: u64,
}

/// Splits between records. A file in an encoding that is no superset of ASCII (UTF-16) goes as it is.
fn split(bytes: Vec<u8>) -> (&'static str, Vec<Part>) {
    let start = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let vcard = start.len() >= 11 && start[..11].eq_ignore_ascii_case(b"BEGIN:VCARD");
    // A text type would pass through the gateway as text, and what is not UTF-8 would be lost on the way.
    let kind = "application/octet-stream";
    if bytes.len() <= MOST_BYTES || bytes.contains(&0) {
        return (kind, vec![Part { body: bytes, lines_before: 0 }]);
    }
    let records = if vcard { cards(&bytes) } else { rows(&bytes) };
    let (head, records) = if vcard { (&[][..], &records[..]) } else { (records[0], &records[1..]) };
    let head_lines = lines(head);
    let (mut parts, mut body, mut seen) = (Vec::new(), head.to_vec(), head_lines);
    let mut before = 0;
    for record in records {
        if body.len() + record.len() > MOST_BYTES && body.len() > head.len() {
            parts.push(Part { body: std::mem::replace(&mut body, head.to_vec()), lines_before: before });
            before = seen - head_lines;
        }
        body.extend_from_slice(record);
        seen += lines(record);
    }
    parts.push(Part { body, lines_before: before });
    (kind, parts)
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The rows of a CSV file with their line ends; a line end inside quotes belongs to its row.
fn rows(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut rows, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                rows.push(&bytes[start..=at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < bytes.len() {
        rows.push(&bytes[start..]);
    }
    rows
}

/// The cards of a vCard file.
fn cards(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut cards, mut start, mut line) = (Vec::new(), 0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            if bytes[line..at].trim_ascii().eq_ignore_ascii_case(b"END:VCARD") {
                cards.push(&bytes[start..=at]);
                start = at + 1;
            }
            line = at + 1;
        }
    }
    if start < bytes.len() {
        cards.push(&bytes[start..]);
    }
    cards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_the_header_and_no_row_is_torn_or_lost() {
        let row = |n: usize| format!("{n},\"two\nlines {}\"\r\n", "x".repeat(1000));
        let text: String = std::iter::once("a,b\r\n".to_owned()).chain((0..300).map(row)).collect();
        let (kind, parts) = split(text.clone().into_bytes());
        assert_eq!(kind, "application/octet-stream");
        assert!(parts.len() > 2);
        let mut whole = String::from("a,b\r\n");
        for part in &parts {
            assert!(part.body.len() <= MOST_BYTES);
            let body = std::str::from_utf8(&part.body).unwrap();
            whole.push_str(body.strip_prefix("a,b\r\n").unwrap());
        }
        assert_eq!(whole, text);
        let first = rows(&parts[1].body)[1];
        let place = text.find(std::str::from_utf8(first).unwrap()).unwrap();
        assert_eq!(parts[1].lines_before + 1, lines(&text.as_bytes()[..place]));
    }

    #[test]
    fn cards_are_split_between_cards() {
        let card = |n: usize| format!("BEGIN:VCARD\r\nFN:{n} {}\r\nEND:VCARD\r\n", "x".repeat(1000));
        let text: String = (0..300).map(card).collect();
        let (kind, parts) = split(text.clone().into_bytes());
        assert_eq!(kind, "application/octet-stream");
        assert!(
            parts.iter().all(|part| part.body.starts_with(b"BEGIN:VCARD") && part.body.ends_with(b"END:VCARD\r\n"))
        );
        assert_eq!(parts.into_iter().flat_map(|part| part.body).collect::<Vec<_>>(), text.into_bytes());
    }
}
