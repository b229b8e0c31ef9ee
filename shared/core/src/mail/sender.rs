//! An unknown sender as a person for the CRM.
use super::Mailbox;
use crate::mail::Address;
use std::fmt;

/// Somebody to be added to the CRM.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPerson {
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name: CRMs demand one. From the display name, else what is left of the `@`.
    pub last_name: String,
    /// The address.
    pub address: Address,
}

impl fmt::Debug for NewPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPerson")
    }
}

impl NewPerson {
    /// The person behind a mailbox. `Peeters, Jan` is turned round; a name that is an address is none.
    pub fn of(mailbox: &Mailbox) -> NewPerson {
        let name = if mailbox.name.contains('@') { "" } else { mailbox.name.as_str() };
        let (first, last) = match name.split_once(',') {
            Some((last, first)) => (first.trim(), last.trim()),
            None => name.split_once(' ').map_or(("", name), |(first, last)| (first.trim(), last.trim())),
        };
        let (first, last) = if last.is_empty() { (last, first) } else { (first, last) };
        let last = if last.is_empty() { mailbox.address.local() } else { last };
        NewPerson { first_name: first.to_owned(), last_name: last.to_owned(), address: mailbox.address.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_name_comes_from_the_display_name_else_from_the_address() {
        for (shown, first, last) in [
            ("Jan Peeters", "Jan", "Peeters"),
            ("Jan van den Berg", "Jan", "van den Berg"),
            ("Peeters, Jan", "Jan", "Peeters"),
            ("Peeters,", "", "Peeters"),
            ("Bakkerij", "", "Bakkerij"),
            ("", "", "j.peeters"),
            ("j.peeters@example.com", "", "j.peeters"),
            ("'Jan Peeters'", "Jan", "Peeters"),
        ] {
            let person = NewPerson::of(&Mailbox::read(shown, "J.Peeters@example.com").unwrap());
            assert_eq!((person.first_name.as_str(), person.last_name.as_str()), (first, last), "{shown}");
        }
    }
}
