//! What leads to an appointment, as part of the transaction that changes it.
use super::Transaction;
use crate::appointment;
use crate::keys;
use crate::record::Record;
use serde_json::{Map, json};
use std::collections::BTreeSet;
use tandem_ports::table::Op;

impl Transaction<'_> {
    pub(super) fn appointment(&mut self, before: &Record, record: &Record) {
        let known = appointment::marks(before.kind, &before.body);
        let fresh = appointment::marks(record.kind, &record.body);
        self.marks(record, fresh.difference(&known).cloned());
        let (was, is) =
            (appointment::abouts(before.kind, &before.body), appointment::abouts(record.kind, &record.body));
        self.about(record, &was, &is);
    }

    /// Marks that lead to the record. Those that it loses stay: readers look whether the record still has them.
    pub(super) fn marks(&mut self, record: &Record, marks: impl Iterator<Item = String>) {
        for mark in marks {
            let attributes = Map::from_iter([("id".to_owned(), json!(record.id))]);
            self.put(keys::mark(self.account, &mark), attributes);
        }
    }

    /// An appointment is about these from now on.
    pub(super) fn about(&mut self, record: &Record, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        for gone in before.difference(after) {
            self.ops.push(Op::Delete(keys::about(self.account, gone, &record.id), Vec::new()));
        }
        for fresh in after.difference(before) {
            self.put(keys::about(self.account, fresh, &record.id), Map::new());
        }
    }
}
