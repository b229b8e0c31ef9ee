//! Teamleader files have no folders but one text each: `folder`. It stands for a path, its names joined by ` – `; the
//! account's own default stands for the record itself. Pure; every path leads to a text that leads back to it.
use super::subjects::record_id;
use crate::api::files::FileSubject;
use tandem_core::record::RemoteId;

/// Between the names of a path. Whether a `/` would be taken is documented nowhere.
const JOINT: &str = " – ";
/// Stands before a dash, or a default's name, that is meant as it is (U+201B, as in `tandem_core::files::name`).
const QUOTE: char = '\u{201B}';
/// How Teamleader calls the folder of files that name none, in the languages that it comes in. The documentation knows
/// `General`, "in the account's language".
const DEFAULTS: [&str; 7] = ["General", "Algemeen", "Allgemein", "Général", "Generale", "Generelt", "Ogólne"];
/// Most characters of the text. No limit is documented; longer ones are refused here rather than cut there.
pub(super) const MOST: usize = 255;

/// Whether files of this folder are at the record itself.
pub(super) fn is_default(folder: &str) -> bool {
    folder.is_empty() || DEFAULTS.contains(&folder)
}

/// The path's last name and what is above it, as texts; nothing above: it is at the record itself.
fn parts(folder: &str) -> (&str, &str) {
    match folder.rsplit_once(JOINT) {
        Some((above, own)) if !above.trim().is_empty() && !own.trim().is_empty() => (above, own),
        Some(_) | None => ("", folder),
    }
}

/// The folders that a text stands for, outermost first: each one's text, that of the one above it, and its name.
pub(super) fn chain(folder: &str) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    let mut at = folder;
    while !at.is_empty() {
        let (above, own) = parts(at);
        all.push((at.to_owned(), above.to_owned(), unquoted(own)));
        at = above;
    }
    all.reverse();
    all
}

/// The text of a folder called so within another one ("" for the record itself).
pub(super) fn within(above: &str, name: &str) -> String {
    let name = quoted(name);
    match above {
        "" if DEFAULTS.contains(&name.trim_start_matches(QUOTE)) => format!("{QUOTE}{name}"),
        "" => name,
        above => format!("{above}{JOINT}{name}"),
    }
}

/// A dash between spaces (or at an end of the name) would part it.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        if c == '–' && stands_alone(name, at) {
            text.push(QUOTE);
        }
        text.push(c);
    }
    text
}

/// Whether the dash at `at`, with the quotes before it, has a space or nothing on both sides.
fn stands_alone(name: &str, at: usize) -> bool {
    let (before, after) = (name[..at].trim_end_matches(QUOTE), &name[at + '–'.len_utf8()..]);
    (before.is_empty() || before.ends_with(' ')) && (after.is_empty() || after.starts_with(' '))
}

fn unquoted(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let at_default = text.strip_prefix(QUOTE).filter(|rest| DEFAULTS.contains(&rest.trim_start_matches(QUOTE)));
    let text = at_default.unwrap_or(text);
    for (at, c) in text.char_indices() {
        let dash = at + c.len_utf8();
        if c == QUOTE && text[dash..].starts_with('–') && stands_alone(text, dash) {
            continue;
        }
        name.push(c);
    }
    name
}

/// The id of a folder of a record. Ids of records have no `/`.
pub(super) fn folder_id(subject: &FileSubject, folder: &str) -> RemoteId {
    match folder {
        "" => record_id(subject),
        folder => RemoteId::new(format!("{}/{folder}", record_id(subject))),
    }
}

/// The record and the folder's text of an id; `None` where it is neither a record's nor a folder's.
pub(super) fn read(id: &RemoteId) -> Option<(FileSubject, &str)> {
    let (record, folder) = id.as_str().split_once('/').unwrap_or((id.as_str(), ""));
    let (kind, id) = record.split_once(':')?;
    Some((FileSubject { kind: kind.to_owned(), id: id.to_owned() }, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &[&str]) -> String {
        path.iter().fold(String::new(), |above, name| within(&above, name))
    }

    #[test]
    fn a_path_is_one_text_and_the_text_leads_back_to_it() {
        let paths: [&[&str]; 10] = [
            &["Offers"],
            &["Offers", "2026", "Signed"],
            &["a – b", "c"],
            &["– a", "b –", "–"],
            &["a \u{201B}– b", "\u{201B}"],
            &["a–b", "2020–2026"],
            &["General"],
            &["\u{201B}General", "General"],
            &["Général", "Algemeen"],
            &["a/b", "漢字"],
        ];
        for path in paths {
            let folder = text(path);
            let back: Vec<String> = chain(&folder).into_iter().map(|(_, _, name)| name).collect();
            assert_eq!(back, path, "{folder}");
            assert!(!is_default(&folder), "{folder}");
        }
        assert_eq!(text(&["Offers", "2026"]), "Offers – 2026");
        assert_eq!(text(&["General"]), "\u{201B}General");
    }

    #[test]
    fn what_people_write_at_teamleader_is_shown_and_kept_as_it_is() {
        for folder in ["Offers", "Offers – 2026", " – ", "– x", "x –", "a –  – b", "a–b", "\u{201B}x"] {
            let shown = chain(folder);
            assert_eq!(shown.last().map(|(text, _, _)| text.as_str()), Some(folder));
            for pair in shown.windows(2) {
                assert_eq!(pair[0].0, pair[1].1, "one is within the other");
            }
        }
        assert!(is_default("Algemeen") && is_default("") && !is_default("Plans"));
    }

    #[test]
    fn an_id_tells_record_and_folder() {
        let subject = FileSubject { kind: "company".to_owned(), id: "1-2".to_owned() };
        for folder in ["", "Plans", "a/b – c"] {
            assert_eq!(read(&folder_id(&subject, folder)), Some((subject.clone(), folder)));
        }
        assert_eq!(read(&RemoteId::new("a856642a")), None);
    }
}
