//! E-mail addresses: one spelling for one mailbox.
use crate::normalise;
use serde::{Deserialize, Serialize};
use std::fmt;

/// RFC 5321 §4.5.3.1.3: a path has at most 256 characters with its angle brackets.
const LONGEST: usize = 254;
/// The longest display name that is kept.
const LONGEST_NAME: usize = 300;

/// An e-mail address in its one spelling: lower case, NFC, nothing around it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Reads an address however it is typed; `None` for what is none.
    pub fn read(raw: &str) -> Option<Address> {
        let text = normalise::email(raw);
        let (local, domain) = text.rsplit_once('@')?;
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>()[],;:\\\"".contains(c);
        let good = !local.is_empty() && !local.contains('@') && !domain.is_empty() && text.chars().all(plain);
        (good && text.len() <= LONGEST).then_some(Address(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of the `@`.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// What is right of the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The address under which it is looked up: with `jan+sales@` taken for `jan@` where the rules say so.
    pub fn under(&self, plus: Plus) -> Address {
        match (plus, self.local().split_once('+')) {
            (Plus::Ignored, Some((before, _))) if !before.is_empty() => Address(format!("{before}@{}", self.domain())),
            (Plus::Ignored | Plus::Kept, Some(_) | None) => self.clone(),
        }
    }
}

/// Personal data: `Debug` shows nothing of it.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

/// Whether what stands behind a `+` in an address makes it another address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plus {
    /// `jan+sales@` is not `jan@`. Few servers promise that both reach the same person.
    Kept,
    /// `jan+sales@` is `jan@`.
    Ignored,
}

/// An address with the name that stands before it.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// One line; empty when there is none.
    pub name: String,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// Reads a name and an address; `None` where the address is none.
    pub fn read(name: &str, address: &str) -> Option<Mailbox> {
        let name: String = normalise::text(name).chars().take(LONGEST_NAME).collect();
        Some(Mailbox { name: name.trim_matches(['"', '\'']).trim().to_owned(), address: Address::read(address)? })
    }

    /// As it stands in a header: `Jan Peeters <jan@example.com>`.
    pub fn shown(&self) -> String {
        match self.name.as_str() {
            "" => self.address.as_str().to_owned(),
            name => format!("{name} <{}>", self.address.as_str()),
        }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_has_one_spelling() {
        for raw in ["Jan@Example.COM", " <jan@example.com> ", "mailto:JAN@example.com", "Jan P <jan@EXAMPLE.com>"] {
            assert_eq!(Address::read(raw).unwrap().as_str(), "jan@example.com", "{raw}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_taken_for_one() {
        let long = format!("{}@example.com", "a".repeat(250));
        for raw in
            ["", "jan", "@example.com", "jan@", "a@b@c", "jan peeters@example.com", "a,b@example.com", "\u{0}@a", &long]
        {
            assert_eq!(Address::read(raw), None, "{raw}");
        }
    }

    #[test]
    fn a_plus_tag_counts_unless_the_rules_say_otherwise() {
        let tagged = Address::read("jan+sales@example.com").unwrap();
        assert_eq!(tagged.under(Plus::Kept), tagged);
        assert_eq!(tagged.under(Plus::Ignored).as_str(), "jan@example.com");
        let odd = Address::read("+32470@example.com").unwrap();
        assert_eq!(odd.under(Plus::Ignored), odd, "nothing would be left of it");
    }

    #[test]
    fn nothing_personal_is_in_debug_output() {
        let mailbox = Mailbox::read("Jan", "jan@example.com").unwrap();
        assert_eq!(format!("{mailbox:?} {:?}", mailbox.address), "Mailbox Address");
    }
}
