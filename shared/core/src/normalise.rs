//! One spelling for one value, so that the same contact on two sides has the same fingerprint.
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization;

/// The region that phone numbers without a country code belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(Option<phonenumber::country::Id>);

impl Region {
    /// No default: national numbers stay as they are.
    pub const fn none() -> Self {
        Self(None)
    }
    /// From an ISO 3166 code such as `BE`; none where it is unknown.
    pub fn of(code: &str) -> Self {
        Self(phonenumber::country::Id::from_str(&code.to_uppercase()).ok())
    }
    /// Its ISO 3166 code.
    pub fn code(&self) -> Option<&str> {
        self.0.as_ref().map(AsRef::as_ref)
    }
}

/// One line: Unicode NFC, control characters and runs of white space become one space, trimmed.
pub fn text(raw: &str) -> String {
    let composed: String = raw.nfc().map(|c| if c.is_control() { ' ' } else { c }).collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Several lines: Unicode NFC, line ends become `\n`, spaces at line ends and blank lines around are dropped.
pub fn lines(raw: &str) -> String {
    let unified: String = raw.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n").nfc().collect();
    let kept: String = unified.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let trimmed: Vec<&str> = kept.split('\n').map(str::trim_end).collect();
    trimmed.join("\n").trim_matches('\n').trim().to_owned()
}

/// An e-mail address: NFC, trimmed, without `mailto:` or angle brackets, lower case.
/// The local part is lower-cased too: no mail system in use tells `Jan@` from `jan@`, and people type both.
pub fn email(raw: &str) -> String {
    let line = text(raw);
    let bare = match (line.rfind('<'), line.rfind('>')) {
        (Some(open), Some(close)) if open < close => &line[open + 1..close],
        (Some(_) | None, Some(_) | None) => line.as_str(),
    };
    let lower = bare.trim().to_lowercase();
    lower.strip_prefix("mailto:").unwrap_or(&lower).trim().to_owned()
}

/// A phone number as E.164 where it is a possible number (with its extension as `;ext=`), else as one line of text.
pub fn phone(raw: &str, region: Region) -> String {
    let line = text(raw);
    let bare = line.strip_prefix("tel:").unwrap_or(&line);
    // `00` is how most of the world types `+`.
    let dialled = match (bare.strip_prefix("00"), region.0) {
        (Some(rest), _) if !rest.starts_with('0') => format!("+{rest}"),
        (Some(_) | None, _) => bare.to_owned(),
    };
    if region.0.is_none() && !dialled.starts_with('+') {
        return line;
    }
    match phonenumber::parse(region.0, &dialled) {
        Ok(number) if number.is_valid() => {
            let e164 = number.format().mode(phonenumber::Mode::E164).to_string();
            match number.extension() {
                Some(extension) => format!("{};ext={}", e164.split(';').next().unwrap_or(&e164), extension),
                None => e164,
            }
        }
        Ok(_) | Err(_) => line,
    }
}

/// A date as `YYYY-MM-DD`, or `--MM-DD` without a year; text that is no date is kept as one line.
/// Reads ISO (`1980-02-01`, also with a time behind it), `--02-01`, `19800201`, `1.2.1980`, `1/2/1980` (day first).
pub fn date(raw: &str) -> String {
    let line = text(raw);
    let head = line.split(['T', ' ']).next().unwrap_or_default();
    parse_date(head).unwrap_or(line)
}

/// Whether a text is a date in the form that [`date`] gives.
pub fn is_date(text: &str) -> bool {
    parse_date(text).as_deref() == Some(text)
}

fn parse_date(head: &str) -> Option<String> {
    if let Some(rest) = head.strip_prefix("--") {
        let (month, day) = rest.split_once('-').or_else(|| rest.is_char_boundary(2).then(|| rest.split_at(2)))?;
        return yearless(month.parse().ok()?, day.parse().ok()?);
    }
    if head.len() == 8 && head.bytes().all(|b| b.is_ascii_digit()) {
        return dated(head[..4].parse().ok()?, head[4..6].parse().ok()?, head[6..].parse().ok()?);
    }
    let parts: Vec<&str> = head.split(['-', '.', '/']).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    if a.len() == 4 {
        let year: i16 = a.parse().ok()?;
        let (month, day) = (b.parse().ok()?, c.parse().ok()?);
        return if year == 0 { yearless(month, day) } else { dated(year, month, day) };
    }
    dated(c.parse().ok().filter(|_| c.len() == 4)?, b.parse().ok()?, a.parse().ok()?)
}

fn dated(year: i16, month: i8, day: i8) -> Option<String> {
    jiff::civil::Date::new(year, month, day).ok().map(|date| date.to_string())
}

fn yearless(month: i8, day: i8) -> Option<String> {
    // 2000 is a leap year: 29 February is a birthday.
    jiff::civil::Date::new(2000, month, day).ok().map(|_| format!("--{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_in_two_unicode_forms_is_one_name() {
        assert_eq!(text("Mu\u{0308}ller\u{00a0} \t GmbH\r\n"), "Müller GmbH");
    }

    #[test]
    fn line_ends_do_not_matter() {
        assert_eq!(lines("a \r\nb\rc\n\n"), "a\nb\nc");
    }

    #[test]
    fn an_address_is_one_address_however_it_is_typed() {
        for raw in ["Jan@Example.COM ", "<jan@example.com>", "Jan P <jan@EXAMPLE.com>", "mailto:jan@example.com"] {
            assert_eq!(email(raw), "jan@example.com", "{raw}");
        }
    }

    #[test]
    fn phones_become_e164_with_the_default_region() {
        let be = Region::of("be");
        for raw in ["0470 12 34 56", "+32 470 12 34 56", "0032470123456", "tel:+32470123456", "+32 (0)470 12 34 56"] {
            assert_eq!(phone(raw, be), "+32470123456", "{raw}");
        }
        assert_eq!(phone("0470 12 34 56", Region::none()), "0470 12 34 56");
        assert_eq!(phone("ask for Jan", be), "ask for Jan");
    }

    #[test]
    fn a_region_has_its_code() {
        assert_eq!(Region::of("be").code(), Some("BE"));
        assert_eq!(Region::none().code(), None);
    }

    #[test]
    fn dates_have_one_form() {
        for raw in ["1980-02-01", "1980-02-01T00:00:00Z", "1.2.1980", "01/02/1980", "19800201"] {
            assert_eq!(date(raw), "1980-02-01", "{raw}");
        }
        assert_eq!(date("--02-29"), "--02-29");
        assert_eq!(date("--0229"), "--02-29");
        assert_eq!(date("0000-02-29"), "--02-29");
        assert_eq!(date("in spring"), "in spring");
        assert_eq!(date("2023-02-30"), "2023-02-30");
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing(raw in ".{0,40}") {
            let region = Region::of("DE");
            proptest::prop_assert_eq!(text(&text(&raw)), text(&raw));
            proptest::prop_assert_eq!(lines(&lines(&raw)), lines(&raw));
            proptest::prop_assert_eq!(email(&email(&raw)), email(&raw));
            proptest::prop_assert_eq!(date(&date(&raw)), date(&raw));
            proptest::prop_assert_eq!(phone(&phone(&raw, region), region), phone(&raw, region));
        }
    }
}
