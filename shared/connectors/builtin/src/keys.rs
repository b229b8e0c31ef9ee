//! Every key of the CRM on one page. All partitions start with `CRM#{account}#`.
//!
//! | pk | sk | what |
//! | --- | --- | --- |
//! | `CRM#{account}#HEAD` | `HEAD` | last sequence number; per record type the last number and how many live |
//! | `CRM#{account}#REC#{id}` | `REC` | a record |
//! | `CRM#{account}#FEED` | `{seq, 20 digits}` | one entry a record (or tombstone), at its latest sequence number |
//! | `CRM#{account}#ROWS#{type}` | `{number, 12 digits}` | one row a live record: its id, and a hash that says "the same person" |
//! | `CRM#{account}#STAFF#{company}` | `{contact}` | the contacts of a company |
//! | `CRM#{account}#INSIDE#{folder or record}` | `{name}` | the files and folders in it: their ids |
//! | `CRM#{account}#UPLOADS` | `{id}` | uploads whose bytes are not there yet |
//! | `CRM#{account}#MARK#{sha-256}` | `MARK` | the record that carries a sync's marker |
//! | `CRM#{account}#ADDR#{sha-256}` | `ADDR` | who has an e-mail address: an attribute `{type}:{id}` a record |
//! | `CRM#{account}#ABOUT#{record or sha-256}` | `{appointment}` | the appointments that a record is linked to, or that have a guest with an address |
//! | `CRM##TOKEN#{sha-256}` | `TOKEN` | whom a bearer token belongs to (the account is not known before it is read) |
use crate::schema::Kind;
use sha2::{Digest, Sha256};
use tandem_ports::table::Key;

/// Hex SHA-256.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

pub(crate) fn head(account: &str) -> Key {
    Key::new(format!("CRM#{account}#HEAD"), "HEAD")
}

pub(crate) fn record(account: &str, id: &str) -> Key {
    Key::new(format!("CRM#{account}#REC#{id}"), "REC")
}

pub(crate) fn feed_partition(account: &str) -> String {
    format!("CRM#{account}#FEED")
}

/// Sort key of a sequence number; the order of texts is the order of numbers.
pub(crate) fn sequence(seq: u64) -> String {
    format!("{seq:020}")
}

pub(crate) fn feed(account: &str, seq: u64) -> Key {
    Key::new(feed_partition(account), sequence(seq))
}

pub(crate) fn rows_partition(account: &str, kind: Kind) -> String {
    format!("CRM#{account}#ROWS#{}", kind.word())
}

/// Sort key of a record's number.
pub(crate) fn number(number: u64) -> String {
    format!("{number:012}")
}

pub(crate) fn row(account: &str, kind: Kind, of: u64) -> Key {
    Key::new(rows_partition(account, kind), number(of))
}

pub(crate) fn staff_partition(account: &str, company: &str) -> String {
    format!("CRM#{account}#STAFF#{company}")
}

pub(crate) fn staff(account: &str, company: &str, contact: &str) -> Key {
    Key::new(staff_partition(account, company), contact)
}

pub(crate) fn inside_partition(account: &str, parent: &str) -> String {
    format!("CRM#{account}#INSIDE#{parent}")
}

pub(crate) fn inside(account: &str, parent: &str, name: &str) -> Key {
    Key::new(inside_partition(account, parent), name)
}

pub(crate) fn uploads_partition(account: &str) -> String {
    format!("CRM#{account}#UPLOADS")
}

pub(crate) fn upload(account: &str, id: &str) -> Key {
    Key::new(uploads_partition(account), id)
}

pub(crate) fn mark(account: &str, marker: &str) -> Key {
    Key::new(format!("CRM#{account}#MARK#{}", digest(marker)), "MARK")
}

pub(crate) fn address(account: &str, address: &str) -> Key {
    Key::new(format!("CRM#{account}#ADDR#{}", digest(address)), "ADDR")
}

pub(crate) fn about_partition(account: &str, about: &str) -> String {
    format!("CRM#{account}#ABOUT#{about}")
}

pub(crate) fn about(account: &str, about: &str, appointment: &str) -> Key {
    Key::new(about_partition(account, about), appointment)
}

pub(crate) fn token(token: &str) -> Key {
    Key::new(format!("CRM##TOKEN#{}", digest(token)), "TOKEN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers_do() {
        assert!(sequence(9) < sequence(10) && sequence(999) < sequence(u64::MAX));
        assert!(number(99) < number(100));
    }

    #[test]
    fn a_token_is_not_in_its_key() {
        assert!(!token("tnd_secret").pk.contains("secret"));
    }
}
