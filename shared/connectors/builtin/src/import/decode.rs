//! Bytes of a file become text: UTF-8, UTF-16 or Windows-1252, with or without a byte order mark.
use crate::error::CrmError;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

pub(super) fn text(bytes: &[u8]) -> Result<String, CrmError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(CrmError::invalid("file", "the file is empty"));
    }
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let encoding = marked.unwrap_or_else(|| guess(bytes));
    let (text, _, _) = encoding.decode(bytes);
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t' | '\u{b}' | '\u{c}' | '\u{80}'..='\u{9f}'))
    {
        let message = "this is neither a CSV nor a vCard file; export your contacts as one of these \
                       (a spreadsheet: “Save as CSV”)";
        return Err(CrmError::invalid("file", message));
    }
    Ok(text.into_owned())
}

/// Without a mark: text in UTF-16 has a zero in every other byte; what is valid UTF-8 is hardly ever anything else;
/// the rest is what Excel in western Europe writes.
fn guess(bytes: &[u8]) -> &'static Encoding {
    let start = &bytes[..bytes.len().min(4_096) & !1];
    let zeros = |offset: usize| start.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let half = start.len() / 2;
    if half > 0 && zeros(1) * 10 > half * 7 && zeros(0) * 10 < half {
        UTF_16LE
    } else if half > 0 && zeros(0) * 10 > half * 7 && zeros(1) * 10 < half {
        UTF_16BE
    } else if std::str::from_utf8(bytes).is_ok() {
        UTF_8
    } else {
        WINDOWS_1252
    }
}
