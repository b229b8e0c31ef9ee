//! Quotes that are opened and never closed: only their own line is lost, and not the rest of the file.
//!
//! A CSV reader takes everything up to the next quote for one cell, be it a thousand lines. A cell may well have line
//! ends in it; its closing quote then stands before a delimiter or a line end. A quote that stands *behind* one of these
//! opens another cell, so the first one was never closed.

/// Empties each line with an unclosed quote (so that the lines after it keep their numbers) and names those lines,
/// counted from 1.
pub(super) fn close(text: &mut [u8], delimiter: u8) -> Vec<u64> {
    let (mut bad, mut line, mut start) = (Vec::new(), 1, 0);
    while start < text.len() {
        let end = match record_end(text, start, delimiter) {
            Some(end) => end,
            None => {
                bad.push(line);
                let end = line_end(text, start);
                // A line of blanks is no record.
                text[start..end].fill(b' ');
                end
            }
        };
        line += text[start..end].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        start = end + 1;
    }
    bad
}

/// Where the record that begins at `start` ends (its line end, or the end of the text); `None` when a quote stays open.
fn record_end(text: &[u8], start: usize, delimiter: u8) -> Option<usize> {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'\n' => return Some(at),
            b'"' if begins_cell(text, start, at, delimiter) => at = closing(text, start, at, delimiter)? + 1,
            _ => at += 1,
        }
    }
    Some(at)
}

/// The quote that closes the one at `open`.
fn closing(text: &[u8], start: usize, open: usize, delimiter: u8) -> Option<usize> {
    let mut at = open + 1;
    while at < text.len() {
        if text[at] != b'"' {
            at += 1;
        } else if text.get(at + 1) == Some(&b'"') {
            at += 2;
        } else {
            let opens_another =
                at > open + 1 && begins_cell(text, start, at, delimiter) && !ends_cell(text, at, delimiter);
            return (!opens_another).then_some(at);
        }
    }
    None
}

fn begins_cell(text: &[u8], start: usize, at: usize, delimiter: u8) -> bool {
    at == start || text[at - 1] == delimiter || text[at - 1] == b'\n'
}

fn ends_cell(text: &[u8], at: usize, delimiter: u8) -> bool {
    text.get(at + 1).is_none_or(|next| *next == delimiter || *next == b'\n' || *next == b'\r')
}

fn line_end(text: &[u8], start: usize) -> usize {
    text[start..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(text: &str) -> (String, Vec<u64>) {
        let mut bytes = text.as_bytes().to_vec();
        let bad = close(&mut bytes, b',');
        (String::from_utf8(bytes).unwrap(), bad)
    }

    #[test]
    fn a_file_without_a_mistake_stays_as_it_is() {
        for text in [
            "a,b\n1,2\n",
            "a,\"b\nc\",d\n1,\"\",3",
            "\"he said \"\"no\"\", twice\",x\r\n\"\",\"y\"\r\n",
            "a,5\" disk,c\n",
        ] {
            assert_eq!(closed(text), (text.to_owned(), vec![]), "{text:?}");
        }
    }

    #[test]
    fn an_unclosed_quote_costs_its_own_line_only() {
        assert_eq!(closed("a,b\n\"Open,q\nOk,2\n"), ("a,b\n       \nOk,2\n".to_owned(), vec![2]));
        let (text, bad) = closed("a,b\nx,\"open\nOk,\"2\"\n\"Also,3\n\"fine\",4\n");
        assert_eq!(bad, [2, 4]);
        assert!(text.contains("Ok,\"2\"\n") && text.ends_with("\n\"fine\",4\n"), "{text:?}");
    }
}
