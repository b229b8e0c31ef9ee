//! Names of files and folders: safe where they go, reversible, and the same again next time.
use super::settings::Language;
use unicode_normalization::UnicodeNormalization as _;

/// Stands before a character that must be taken as it is (U+201B, as rclone does it).
const QUOTE: char = '\u{201B}';
/// Most bytes of a name: what Linux, Windows and Dropbox all take.
const MAX_BYTES: usize = 255;

/// Which names a side refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRules {
    /// Only what would break a path: `/`, control characters, `.` and `..`.
    Path,
    /// Also what Windows refuses, where people open Drive and Dropbox: `\ < > : " | ? *`, a dot or space at the end,
    /// and device names such as `CON`.
    Desktop,
}

/// Characters and the look-alikes that stand for them.
const PATH: [(char, char); 1] = [('/', '／')];
const DESKTOP: [(char, char); 8] =
    [('\\', '＼'), ('<', '＜'), ('>', '＞'), (':', '：'), ('"', '＂'), ('|', '｜'), ('?', '？'), ('*', '＊')];
/// Characters that are refused at the end only (and as whole names).
const ENDS: [(char, char); 2] = [('.', '．'), (' ', '␠')];

fn stand_in(c: char) -> Option<char> {
    let control = || {
        let code = u32::from(c);
        (code < 0x20).then(|| char::from_u32(0x2400 + code)).flatten().or((code == 0x7f).then_some('\u{2421}'))
    };
    PATH.iter().chain(&DESKTOP).find(|(plain, _)| *plain == c).map(|(_, other)| *other).or_else(control)
}

fn original(c: char) -> Option<char> {
    let code = u32::from(c);
    let control = || {
        (0x2400..0x2420)
            .contains(&code)
            .then(|| char::from_u32(code - 0x2400))
            .flatten()
            .or((code == 0x2421).then_some('\u{7f}'))
    };
    PATH.iter().chain(&DESKTOP).chain(&ENDS).find(|(_, other)| *other == c).map(|(plain, _)| *plain).or_else(control)
}

fn refused(c: char, rules: NameRules) -> bool {
    c == '/' || c.is_ascii_control() || (rules == NameRules::Desktop && DESKTOP.iter().any(|(plain, _)| *plain == c))
}

/// Windows' device names, also with an ending.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.chars().all(|c| c.is_ascii_digit()))
    };
    ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

/// The name as a side takes it. [`decode`] leads back to it, unless it had to be shortened.
pub fn encode(name: &str, rules: NameRules) -> String {
    let mut safe = String::with_capacity(name.len());
    if rules == NameRules::Desktop && is_device(name) {
        safe.push(QUOTE);
    }
    let dots = matches!(name, "." | "..");
    let last = name.chars().count().saturating_sub(1);
    for (index, c) in name.chars().enumerate() {
        let at_end = index == last && rules == NameRules::Desktop || dots;
        let ends = ENDS.iter().find(|(plain, _)| at_end && *plain == c).map(|(_, other)| *other);
        if let Some(other) = ends.or_else(|| stand_in(c).filter(|_| refused(c, rules))) {
            safe.push(other);
        } else {
            if c == QUOTE || original(c).is_some() {
                safe.push(QUOTE);
            }
            safe.push(c);
        }
    }
    shorten(&safe)
}

/// The name that [`encode`] was given. A look-alike that a person typed at the remote (`？`) cannot be told from one that
/// stands for a character: it reads as that character (`?`) on the other side, and is shown as it was typed where it was.
pub fn decode(shown: &str) -> String {
    let mut name = String::with_capacity(shown.len());
    let mut chars = shown.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek().copied() {
            Some(next) if c == QUOTE && (next == QUOTE || original(next).is_some()) => {
                name.push(next);
                chars.next();
            }
            // Before a device name, nothing is meant by it but that.
            Some(_) if c == QUOTE && name.is_empty() && is_device(&decode(&chars.clone().collect::<String>())) => {}
            _ => name.push(original(c).unwrap_or(c)),
        }
    }
    name
}

/// Stem and ending (with its dot); a name that begins with its only dot has no ending.
fn parts(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 16 => name.split_at(at),
        Some(_) | None => (name, ""),
    }
}

/// Too long a name loses the end of its stem, and gets a mark that keeps it apart from its like.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let (stem, ending) = parts(name);
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(name.as_bytes()));
    let mark = format!("~{}", &digest[..8]);
    let room = MAX_BYTES - ending.len() - mark.len();
    let mut cut = room.min(stem.len());
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{mark}{ending}", &stem[..cut])
}

/// The name with something before its ending, within the length that every side takes.
fn with_mark(name: &str, mark: &str) -> String {
    let (stem, ending) = parts(name);
    let room = MAX_BYTES.saturating_sub(mark.len() + ending.len());
    let mut cut = room.min(stem.len());
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{mark}{ending}", &stem[..cut])
}

/// The loser of a conflict: `name (conflict <side> <date>).ext`.
pub fn conflict(name: &str, side: crate::record::Side, date: jiff::civil::Date) -> String {
    with_mark(name, &format!(" (conflict {} {date})", side.word()))
}

/// Whether `name` is what [`conflict`] makes of `of`, on whatever day.
pub fn is_conflict_of(name: &str, of: &str, side: crate::record::Side) -> bool {
    let (stem, ending) = parts(of);
    let begin = format!(" (conflict {} ", side.word());
    // The loser of an earlier conflict may lose again: its own name is not yet what this one makes of it.
    let made = || name.strip_suffix(ending).and_then(|name| name.rfind(&begin).map(|at| &name[..at]));
    twin_key(name) != twin_key(of) && made().is_some_and(|rest| !rest.is_empty() && stem.starts_with(rest))
}

/// By what two names are one where case does not count, however their letters are composed.
pub fn twin_key(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// The name, `name (2).ext`, `name (3).ext`, …, without an end that is ever reached.
pub fn numbered(name: &str) -> impl Iterator<Item = String> {
    let more = (2..u32::MAX).map(move |number| with_mark(name, &format!(" ({number})")));
    std::iter::once(name.to_owned()).chain(more)
}

/// The first of the [`numbered`] names that is free.
pub fn free(name: &str, taken: impl Fn(&str) -> bool) -> String {
    numbered(name).find(|name| !taken(name)).expect("a folder does not hold that many names")
}

/// A record's folder: `<name> (<number>)`, as the remote side takes it.
pub fn record_folder(title: &str, number: &str) -> String {
    let title = title.trim();
    let mark = format!(" ({number})");
    let safe = encode(if title.is_empty() { "—" } else { title }, NameRules::Desktop);
    let mut cut = safe.len().min(MAX_BYTES - mark.len());
    while !safe.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{mark}", &safe[..cut])
}

/// Endings of names and what is in such files; the rest is bytes.
const CONTENT_TYPES: [(&str, &str); 20] = [
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("svg", "image/svg+xml"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
];

/// The MIME type that a name's ending stands for.
pub fn content_type(name: &str) -> &'static str {
    let ending = parts(name).1.trim_start_matches('.').to_ascii_lowercase();
    let known = CONTENT_TYPES.iter().find(|(known, _)| *known == ending);
    known.map_or("application/octet-stream", |(_, kind)| kind)
}

/// The modules whose records' files are synchronised, and what their folders are called.
const MODULES: [(&str, [&str; 4]); 7] = [
    ("contacts", ["Contacts", "Kontakte", "Contacten", "Contacts"]),
    ("companies", ["Companies", "Firmen", "Bedrijven", "Sociétés"]),
    ("leads", ["Leads", "Leads", "Leads", "Prospects"]),
    ("deals", ["Deals", "Deals", "Deals", "Affaires"]),
    ("projects", ["Projects", "Projekte", "Projecten", "Projets"]),
    ("meetings", ["Meetings", "Termine", "Afspraken", "Rendez-vous"]),
    ("products", ["Products", "Produkte", "Artikelen", "Produits"]),
];

/// What a module's folder is called in a language.
pub fn module_folder(module: &str, language: Language) -> String {
    let names = MODULES.iter().find(|(id, _)| *id == module).map(|(_, names)| names);
    names.map_or_else(|| encode(module, NameRules::Desktop), |names| names[language.index()].to_owned())
}

/// Whether a folder is called as a module's folder in any language.
pub fn is_module_folder(name: &str, module: &str) -> bool {
    MODULES.iter().any(|(id, names)| *id == module && names.iter().any(|known| twin_key(known) == twin_key(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Side;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn what_windows_refuses_gets_a_stand_in() {
        let cases = [
            ("a/b:c?.txt", "a／b：c？.txt"),
            ("Quote \"x\" <y>|*\\", "Quote ＂x＂ ＜y＞｜＊＼"),
            ("ends with a dot.", "ends with a dot．"),
            ("ends with a space ", "ends with a space␠"),
            ("CON", "\u{201B}CON"),
            ("com1.txt", "\u{201B}com1.txt"),
            ("console.txt", "console.txt"),
            ("..", "．．"),
            ("tab\there", "tab␉here"),
            ("ein ： von Hand", "ein \u{201B}： von Hand"),
        ];
        for (name, safe) in cases {
            assert_eq!(encode(name, NameRules::Desktop), safe);
            assert_eq!(decode(safe), name);
        }
        assert_eq!(encode("a:b?", NameRules::Path), "a:b?");
        assert_eq!(encode("a/b", NameRules::Path), "a／b");
    }

    #[test]
    fn a_long_name_keeps_its_ending_and_stays_apart_from_its_like() {
        let long = |end: &str| format!("{}{end}.docx", "ä".repeat(200));
        let (one, other) = (encode(&long("1"), NameRules::Desktop), encode(&long("2"), NameRules::Desktop));
        assert!(one.len() <= 255 && one.ends_with(".docx") && one != other, "{one}");
    }

    #[test]
    fn the_loser_of_a_conflict_is_known_again() {
        let date = jiff::civil::date(2026, 1, 5);
        let name = conflict("plan.v2.pdf", Side::Right, date);
        assert_eq!(name, "plan.v2 (conflict remote 2026-01-05).pdf");
        assert!(is_conflict_of(&name, "plan.v2.pdf", Side::Right));
        assert!(!is_conflict_of(&name, "other.pdf", Side::Right));
        assert!(!is_conflict_of(&name, "plan.v2.pdf", Side::Left));
        assert!(!is_conflict_of("plan.v2.pdf", "plan.v2.pdf", Side::Right));
        assert!(!is_conflict_of(&name, &name, Side::Right));
        assert!(is_conflict_of(&conflict(&name, Side::Right, date), &name, Side::Right));
    }

    #[test]
    fn a_taken_name_gets_a_number_before_its_ending() {
        let taken: HashSet<String> = ["a.txt", "a (2).txt"].map(twin_key).into();
        let taken = |name: &str| taken.contains(&twin_key(name));
        assert_eq!(free("A.txt", taken), "A (3).txt");
        assert_eq!(free("b", taken), "b");
    }

    #[test]
    fn composed_and_decomposed_letters_are_twins() {
        assert_eq!(twin_key("Caf\u{e9}"), twin_key("CAFE\u{301}"));
    }

    #[test]
    fn a_records_folder_carries_its_number() {
        assert_eq!(record_folder("Smith & Sons / Ltd.", "17"), "Smith & Sons ／ Ltd． (17)");
        assert!(record_folder(&"x".repeat(400), "17").ends_with(" (17)"));
        assert_eq!(module_folder("companies", Language::De), "Firmen");
        assert!(is_module_folder("bedrijven", "companies"));
    }

    proptest! {
        #[test]
        fn every_name_is_safe_and_comes_back(name in "[ -~äé／：．␠‛\u{1}\u{7f}/:?*.CON]{1,40}") {
            for rules in [NameRules::Desktop, NameRules::Path] {
                let safe = encode(&name, rules);
                prop_assert!(!safe.contains(['/', '\0']));
                prop_assert_eq!(decode(&safe), name.clone());
            }
            let safe = encode(&name, NameRules::Desktop);
            prop_assert!(!safe.contains(['\\', '<', '>', ':', '"', '|', '?', '*']));
            prop_assert!(!safe.ends_with(['.', ' ']));
            prop_assert!(!is_device(&safe));
        }
    }
}
