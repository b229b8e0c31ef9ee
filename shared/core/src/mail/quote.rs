//! Earlier messages quoted below a reply: they are in the CRM already, or nobody asked for them.

/// A plain text without the history at its end. Answers between the lines stay, with what they answer. A text that is
/// nothing but history stays whole.
pub fn without_history(text: &str) -> &str {
    let tail = quoted_tail(text);
    let mut cut = text.len();
    for (start, line) in lines(text) {
        let rest = &text[start..];
        let quotes_follow = || tail.is_some_and(|tail| end_of_attribution(rest).is_some_and(|end| start + end >= tail));
        let quoted = tail.is_some_and(|tail| start >= tail) && is_quoted(line);
        if quoted || is_forward_mark(line) || is_header_block(rest) || quotes_follow() {
            cut = start;
            break;
        }
    }
    let kept = text[..cut].trim_end();
    if cut == text.len() || kept.trim().is_empty() { text } else { kept }
}

/// Each line with where it starts.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim())
    })
}

fn is_quoted(line: &str) -> bool {
    line.starts_with('>')
}

/// Where the lines at the end begin that are all quoted or empty; `None` when none of them is quoted.
fn quoted_tail(text: &str) -> Option<usize> {
    let (mut at, mut some) = (text.len(), false);
    for line in text.split_inclusive('\n').rev() {
        let trimmed = line.trim();
        if !trimmed.is_empty() && !is_quoted(trimmed) {
            break;
        }
        some |= is_quoted(trimmed);
        at -= line.len();
    }
    some.then_some(at)
}

/// Outlook's and others' line above what was forwarded or answered.
fn is_forward_mark(line: &str) -> bool {
    let inner = line.trim_matches(['-', ' ']);
    let marked = line.starts_with("-----") && line.ends_with("-----");
    let words = [
        "original message",
        "oorspronkelijk bericht",
        "ursprüngliche nachricht",
        "message d'origine",
        "messaggio originale",
        "mensaje original",
    ];
    marked && words.contains(&inner.to_lowercase().as_str())
}

/// Where an attribution at this place ends: a line (or up to three, as mailers fold it) such as "On Monday Jan wrote:",
/// by which most mailers begin a quotation.
fn end_of_attribution(rest: &str) -> Option<usize> {
    const ENDS: [&str; 12] = [
        "wrote:",
        "writes:",
        "schreef:",
        "schrijft:",
        "schrieb:",
        "a écrit :",
        "a écrit:",
        "a écrit\u{a0}:",
        "ha scritto:",
        "escribió:",
        "escreveu:",
        "skrev:",
    ];
    const BEGINS: [&str; 10] = ["on ", "op ", "am ", "le ", "il ", "el ", "em ", "den ", "from ", "at "];
    let (mut joined, mut end) = (String::new(), 0);
    for line in rest.split_inclusive('\n').take(3) {
        end += line.len();
        let line = line.trim();
        if line.is_empty() || line.len() > 300 {
            return None;
        }
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(&line.to_lowercase());
        if !BEGINS.iter().any(|begin| joined.starts_with(begin)) {
            return None;
        }
        // Dutch and German may put the sender behind the verb: "Op maandag schreef Jan <jan@example.com>:".
        let inverted = joined.ends_with(':') && [" schreef ", " schrieb "].iter().any(|verb| joined.contains(verb));
        if inverted || ENDS.iter().any(|end| joined.ends_with(end)) {
            return Some(end);
        }
    }
    None
}

/// Outlook quotes nothing: it puts the old message's head as text, below a line of underscores or by itself.
fn is_header_block(rest: &str) -> bool {
    const FROM: [&str; 5] = ["from:", "van:", "von:", "de :", "de:"];
    const SENT: [&str; 8] = ["sent:", "date:", "verzonden:", "datum:", "gesendet:", "envoyé :", "envoyé:", "enviado:"];
    const TO: [&str; 6] = ["to:", "aan:", "an:", "à :", "à:", "para:"];
    let mut head = rest.lines().map(|line| line.trim().trim_matches('*').to_lowercase());
    let first = head.next().unwrap_or_default();
    let ruled = first.len() >= 10 && first.chars().all(|c| c == '_');
    let from = if ruled { head.next().unwrap_or_default() } else { first };
    let begins = |line: &str, words: &[&str]| words.iter().any(|word| line.replace('*', "").starts_with(word));
    let next: Vec<String> = head.take(5).collect();
    begins(&from, &FROM) && next.iter().any(|line| begins(line, &SENT)) && next.iter().any(|line| begins(line, &TO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_below_a_reply_is_cut_off() {
        for (text, kept) in [
            ("Yes.\n\nOn Mon, 1 Jan 2024, Jan wrote:\n> Coming?\n>\n> Jan\n", "Yes."),
            ("Yes.\n\nOn Mon, 1 Jan 2024 at 10:00, Jan Peeters\n<jan@example.com> wrote:\n> Coming?\n", "Yes."),
            ("Ja.\r\n\r\nOp ma 1 jan. 2024 om 10:00 schreef Jan <jan@example.com>:\r\n> Kom je?\r\n", "Ja."),
            ("Oui.\nLe 1 janv. 2024, Jan a écrit :\n> Tu viens ?", "Oui."),
            ("Ja.\nAm 1.1.2024 schrieb Jan:\n> Kommst du?", "Ja."),
            ("See below.\n-----Original Message-----\nFrom: Jan\nwhatever", "See below."),
            ("Ok.\n________________________________\nFrom: Jan\nSent: Monday\nTo: me\nSubject: x\n\nHi", "Ok."),
            ("Ok.\n\n*Van:* Jan\n*Verzonden:* maandag\n*Aan:* mij\n\nHallo", "Ok."),
            ("Tail.\n> old\n> older\n\n", "Tail."),
        ] {
            assert_eq!(without_history(text), kept, "{text}");
        }
    }

    #[test]
    fn answers_between_the_lines_stay() {
        for text in [
            "On Monday Jan wrote:\n> Coming?\nYes!\n> And Tuesday?\nNo.",
            "> Coming?\n\nYes!",
            "From: the baker's\nTo: us\nA poem.",
            "On second thought I wrote:\nnothing quoted here",
            "On Monday Jan wrote:\n> Coming?\nYes!\n",
        ] {
            assert_eq!(without_history(text), text, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_only_history_stays() {
        assert_eq!(without_history("> only this"), "> only this");
        assert_eq!(without_history(""), "");
    }

    #[test]
    fn a_hundred_thousand_quoted_lines_cost_no_more_than_reading_them() {
        let text = format!("{}Yes!", "> \n".repeat(100_000));
        assert_eq!(without_history(&text), text);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_text_the_rest_is_its_beginning(text in "(?s).{0,200}") {
            proptest::prop_assert!(text.starts_with(without_history(&text)));
        }
    }
}
