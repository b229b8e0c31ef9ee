//! The head of a message: RFC 2047 words, folded lines, groups, odd dates.
use jiff::Timestamp;
use mail_parser::{Address as Parsed, Header, HeaderValue, Message, MessageParser};
use std::collections::BTreeSet;
use tandem_core::mail::{Authentic, Envelope, Mailbox, Place, Wish};
use tandem_core::normalise;

/// The headers that are looked at; no others need be read.
pub const HEADERS: [&str; 7] = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "Authentication-Results"];
/// The longest subject that is kept.
const LONGEST_SUBJECT: usize = 998;
/// The longest `Message-ID` that is taken for one (RFC 5322: a line has at most 998 characters).
const LONGEST_ID: usize = 998;
/// Most bytes of one header: thousands of addresses; the rest is not looked at.
const LONGEST_HEADER: usize = 256 * 1024;

/// What the mailbox says of a message, beside its headers.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Where it is.
    pub places: BTreeSet<Place>,
    /// What its labels ask for.
    pub wishes: BTreeSet<Wish>,
    /// When the mailbox got it.
    pub received_at: Option<Timestamp>,
    /// Its size.
    pub bytes: u64,
    /// Who adds `Authentication-Results` for this mailbox: the `authserv-id` to believe (RFC 8601 §5). A header with
    /// another one came with the message and proves nothing.
    pub trusted: &'static str,
}

/// Reads headers as they were received: name and value, the value decoded or not, folded or not.
pub fn head(headers: &[(String, String)], known: Head) -> Envelope {
    let mut source = String::new();
    for (name, value) in headers {
        if !HEADERS.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) {
            continue;
        }
        source.push_str(name);
        source.push_str(": ");
        source.push_str(&one_line(value));
        source.push_str("\r\n");
    }
    source.push_str("\r\n");
    let message = MessageParser::default().parse_headers(source.as_bytes());
    envelope(message.as_ref(), known)
}

/// A value must not be able to end its own header: each line break becomes a space.
fn one_line(value: &str) -> String {
    let cut = value.floor_char_boundary(LONGEST_HEADER);
    value[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn envelope(message: Option<&Message<'_>>, known: Head) -> Envelope {
    let blank = Envelope {
        message_id: None,
        from: Vec::new(),
        to: Vec::new(),
        cc: Vec::new(),
        subject: String::new(),
        sent_at: known.received_at,
        places: known.places,
        wishes: known.wishes,
        authentic: Authentic::Unknown,
        bytes: known.bytes,
    };
    // A message without a part has no header; the parser's accessors do not expect that.
    let Some(message) = message.filter(|message| !message.parts.is_empty()) else { return blank };
    let subject = normalise::text(message.subject().unwrap_or_default());
    let id = message.message_id().map(normalise::text).filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
    Envelope {
        message_id: id,
        from: mailboxes(message.from()),
        to: message.all_to().flat_map(|all| mailboxes(Some(all))).collect(),
        cc: message.all_cc().flat_map(|all| mailboxes(Some(all))).collect(),
        subject: subject.chars().take(LONGEST_SUBJECT).collect(),
        // A Date far from when it was received is the sender's clock, or a lie.
        sent_at: believable(date_of(message), known.received_at),
        authentic: authentic(message, known.trusted),
        ..blank
    }
}

fn date_of(message: &Message<'_>) -> Option<Timestamp> {
    let date = message.date().filter(|date| date.is_valid())?;
    Timestamp::from_second(date.to_timestamp()).ok()
}

/// The `Date`, unless it lies over a day after the receipt, or more than a year before it.
fn believable(date: Option<Timestamp>, received: Option<Timestamp>) -> Option<Timestamp> {
    let (Some(said), Some(got)) = (date, received) else { return date.or(received) };
    let late = got.as_second() - said.as_second();
    let good = (-86_400..=366 * 86_400).contains(&late);
    Some(if good { said } else { got })
}

/// Every address of a header, also those inside groups (`Team: a@x, b@x;`).
fn mailboxes(parsed: Option<&Parsed<'_>>) -> Vec<Mailbox> {
    let Some(parsed) = parsed else { return Vec::new() };
    let read = |addr: &mail_parser::Addr<'_>| Mailbox::read(addr.name().unwrap_or_default(), addr.address()?);
    parsed.iter().filter_map(read).collect()
}

/// What the mailbox's own server says of the `From` line: DMARC's verdict in the headers that it added itself.
fn authentic(message: &Message<'_>, trusted: &str) -> Authentic {
    let ours = message.headers().iter().filter(|header| header.name().eq_ignore_ascii_case("Authentication-Results"));
    for text in ours.filter_map(text_of) {
        let text = without_asides(text);
        let (server, results) = text.split_once(';').unwrap_or((&text, ""));
        if trusted.is_empty() || server.split_whitespace().next() != Some(trusted) {
            continue;
        }
        let verdict = results.split(';').find_map(|result| result.trim().strip_prefix("dmarc="));
        return match verdict.and_then(|verdict| verdict.split_whitespace().next()) {
            Some("pass") => Authentic::Yes,
            Some("fail") => Authentic::No,
            Some(_) | None => Authentic::Unknown,
        };
    }
    Authentic::Unknown
}

/// A structured header without its comments and quoted texts, in which anything may stand, also `;` and what a sender wrote
/// (RFC 8601 2.2, RFC 5322 3.2).
fn without_asides(text: &str) -> String {
    let (mut plain, mut depth, mut quoted) = (String::with_capacity(text.len()), 0_u32, false);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if quoted || depth > 0 => {
                rest.next();
            }
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if depth > 0 && !quoted => {
                depth -= 1;
                if depth == 0 {
                    plain.push(' ');
                }
            }
            c if depth == 0 && !quoted => plain.push(c),
            _ => {}
        }
    }
    plain
}

fn text_of<'m>(header: &'m Header<'_>) -> Option<&'m str> {
    match header.value() {
        HeaderValue::Text(text) => Some(text),
        HeaderValue::TextList(_)
        | HeaderValue::Address(_)
        | HeaderValue::DateTime(_)
        | HeaderValue::ContentType(_)
        | HeaderValue::Received(_)
        | HeaderValue::Empty => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sender_wrote_into_a_comment_or_a_quotation_is_no_verdict() {
        let header =
            r#"mx.example; spf=pass (x; dmarc=pass \) (y; dmarc=pass)) smtp.mailfrom="a; dmarc=pass"; dmarc=fail"#;
        assert_eq!(without_asides(header), "mx.example; spf=pass   smtp.mailfrom=; dmarc=fail");
        let raw = format!("Authentication-Results: {header}\r\nFrom: a@x.example\r\n\r\n");
        let message = mail_parser::MessageParser::default().parse(raw.as_bytes()).unwrap();
        assert_eq!(authentic(&message, "mx.example"), Authentic::No);
    }
}
