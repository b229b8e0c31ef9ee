//! The text of a message and what is attached to it.
use crate::html;
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use std::collections::BTreeSet;
use tandem_core::mail::{Attachment, Body, LeftOut, quote};
use tandem_core::normalise;

/// Messages above this many bytes are not read: their body stays in the mailbox. Gmail sends at most 25 MB.
pub const LARGEST: u64 = 25 * 1024 * 1024;
/// The most text that is looked at and the most that is kept, in bytes.
const LOOKED_AT: usize = 1024 * 1024;
/// See [`LOOKED_AT`]. A record of the CRM has room for both texts.
const KEPT: usize = 30_000;
/// The most HTML that is kept; a longer one is kept as text only, since half of it is no HTML.
const KEPT_HTML: usize = 60_000;
/// The most attachments that are kept.
const MOST_ATTACHMENTS: usize = 50;

/// Bytes of a file name that every place for files takes (255), with room for the number that a second one gets.
const NAME: usize = 200;
/// What is longer, with its point, is no ending of a file's name.
const LONGEST_ENDING: usize = 20;

/// Reads a message from its bytes. Whatever they are there is an answer.
pub fn read(raw: &[u8]) -> Body {
    if u64::try_from(raw.len()).unwrap_or(u64::MAX) > LARGEST {
        return Body { left_out: BTreeSet::from([LeftOut::Everything]), ..Body::default() };
    }
    let Some(message) = MessageParser::default().parse(raw) else {
        return Body { left_out: BTreeSet::from([LeftOut::Everything]), ..Body::default() };
    };
    let mut left_out = BTreeSet::new();
    let html = first(&message, &message.html_body).and_then(|part| match &part.body {
        PartType::Html(html) => Some(html.as_ref()),
        PartType::Text(_)
        | PartType::Binary(_)
        | PartType::InlineBinary(_)
        | PartType::Message(_)
        | PartType::Multipart(_) => None,
    });
    let plain = first(&message, &message.text_body).and_then(|part| match &part.body {
        PartType::Text(text) => Some(text.as_ref()),
        PartType::Html(_)
        | PartType::Binary(_)
        | PartType::InlineBinary(_)
        | PartType::Message(_)
        | PartType::Multipart(_) => None,
    });
    let cleaned = html.map(|html| html::clean(cut(html, LOOKED_AT, &mut left_out), &mut left_out));
    let text = match (plain.map(str::trim).filter(|text| !text.is_empty()), &cleaned) {
        (Some(text), _) => own_words(cut(text, LOOKED_AT, &mut left_out), &mut left_out),
        (None, Some(html)) => html::to_text(html),
        (None, None) => String::new(),
    };
    let text = normalise::lines(&text);
    let text = cut(&text, KEPT, &mut left_out).to_owned();
    if cleaned.as_ref().is_some_and(|html| html.len() > KEPT_HTML) {
        left_out.insert(LeftOut::TheRest);
    }
    let html = cleaned.filter(|html| html.len() <= KEPT_HTML && !html.trim().is_empty());
    if message.attachment_count() > MOST_ATTACHMENTS {
        left_out.insert(LeftOut::Attachments);
    }
    Body { html, text, attachments: attachments(&message), left_out }
}

fn first<'m, 'x>(message: &'m Message<'x>, parts: &[u32]) -> Option<&'m MessagePart<'x>> {
    parts.iter().find_map(|at| message.parts.get(usize::try_from(*at).ok()?))
}

fn own_words(text: &str, left_out: &mut BTreeSet<LeftOut>) -> String {
    let unified = text.replace("\r\n", "\n");
    let kept = quote::without_history(&unified);
    if kept.len() < unified.trim_end().len() {
        left_out.insert(LeftOut::Quotes);
    }
    kept.to_owned()
}

/// The beginning of a text, at most so many bytes.
fn cut<'t>(text: &'t str, most: usize, left_out: &mut BTreeSet<LeftOut>) -> &'t str {
    if text.len() <= most {
        return text;
    }
    left_out.insert(LeftOut::TheRest);
    &text[..text.floor_char_boundary(most)]
}

fn attachments(message: &Message<'_>) -> Vec<Attachment> {
    let read = |(number, part): (usize, &MessagePart<'_>)| {
        let bytes = part.contents().to_vec();
        let media_type = part.content_type().map_or_else(
            || "application/octet-stream".to_owned(),
            |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")).to_lowercase(),
        );
        let named = part.attachment_name().map(file_name).filter(|name| !name.is_empty());
        Attachment { name: named.unwrap_or_else(|| format!("attachment-{}", number + 1)), media_type, bytes }
    };
    message.attachments().take(MOST_ATTACHMENTS).enumerate().map(read).collect()
}

/// The last part of what calls itself a file name: no folder ("not … respect any directory path information", RFC 2183,
/// section 2.3), nothing hidden, nothing that turns text round. What only some systems refuse in a name, such as `:`, stays:
/// where such files go there, `tandem_core::files::name` puts something in its place that leads back to it.
fn file_name(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let turns = |c: char| ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    let plain: String = last.chars().filter(|c| !c.is_control() && !turns(*c)).collect();
    shortened(normalise::text(&plain).trim_matches(['.', ' ']))
}

/// At most [`NAME`] bytes, of which the ending is kept: a program is chosen by it.
fn shortened(name: &str) -> String {
    if name.len() <= NAME {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |at| &name[at..]);
    let ending = if ending.len() > LONGEST_ENDING { "" } else { ending };
    format!("{}{ending}", &name[..name.floor_char_boundary(NAME - ending.len())])
}
