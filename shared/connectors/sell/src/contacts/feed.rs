//! The persons of a list, and those that a feed names.
use super::SellContacts;
use crate::api::is_last;
use crate::client::Client;
use crate::feed::{End, Read, Source, is_deleted, is_of};
use crate::map::Organisation;
use crate::wire::{Contact, One};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::record::RemoteId;
use tandem_ports::connector::Change;
use tandem_ports::error::Result;

/// Pages of persons of changed organisations that one call reads (at our pace fifteen seconds): one for each item of a
/// page, and some more. Where that does not do, listing all persons again is the bounded way.
const MOST_PERSON_PAGES: usize = 120;

impl SellContacts {
    fn upserts(&self, persons: Vec<Contact>, organisations: &BTreeMap<u64, Organisation>) -> Vec<Change> {
        let fetched = persons.into_iter().filter_map(|person| self.fetched(person, organisations));
        fetched.map(|fetched| Change::Upsert(Box::new(fetched))).collect()
    }
}

#[async_trait]
impl Source for SellContacts {
    fn kind(&self) -> &'static str {
        "contact"
    }
    fn device(&self) -> &str {
        &self.options.device
    }
    fn client(&self) -> &Client {
        &self.client
    }

    async fn page(&self, page: usize) -> Result<(Vec<Change>, End)> {
        let query =
            vec![("sort_by", "id".to_owned()), ("page", page.to_string()), ("per_page", self.page_size.to_string())];
        let answer = self.list(query).await?;
        let end = if is_last(&answer, self.page_size) { End::Last } else { End::More };
        let known = {
            let mut known = self.known.lock().expect("no code panics while it holds this lock");
            if page == 1 {
                known.clear();
            }
            let listed = answer.items.iter().filter(|one| one.data.is_organization());
            known.extend(listed.filter_map(|one| Organisation::of(&one.data)).map(|o| (o.id, o)));
            known.clone()
        };
        let persons: Vec<Contact> = answer.items.into_iter().map(|one| one.data).collect();
        let persons: Vec<Contact> = persons.into_iter().filter(|contact| !contact.is_organization()).collect();
        let organisations = self.organisations(&persons, known).await?;
        self.known.lock().expect("no code panics while it holds this lock").clone_from(&organisations);
        Ok((self.upserts(persons, &organisations), end))
    }

    async fn changed(&self, items: &[One<Contact>]) -> Result<Read> {
        let contacts = || items.iter().filter(|one| is_of(one, self.kind()));
        let deleted: BTreeSet<u64> = contacts().filter(|one| is_deleted(one)).filter_map(|one| one.data.id()).collect();
        let wanted: BTreeSet<u64> = contacts().filter_map(|one| one.data.id()).collect();
        if wanted.is_empty() {
            return Ok(Read { changes: Vec::new(), left_out: false });
        }
        let mut now = self.by_ids(&wanted).await?;
        let changed: BTreeMap<u64, Organisation> = now
            .values()
            .filter(|contact| contact.is_organization())
            .filter_map(|contact| Organisation::of(contact).map(|o| (o.id, o)))
            .collect();
        // A deleted organisation leaves persons behind. A tombstone that does not say what it was may be one.
        let was_organisation = contacts().filter(|one| is_deleted(one) && !one.data.is_surely_person());
        let gone: Vec<u64> = was_organisation.filter_map(|one| one.data.id()).collect();
        let (mut pages_left, mut left_out) = (MOST_PERSON_PAGES, false);
        for organisation in changed.keys().chain(&gone) {
            match self.persons_of(*organisation, &mut pages_left).await? {
                Some(persons) => now.extend(persons.into_iter().filter_map(|person| Some((person.id()?, person)))),
                None => left_out = true,
            }
        }
        let tombstones = deleted.iter().filter(|id| !now.contains_key(id));
        let tombstone = |id: &u64| Change::Tombstone { id: RemoteId::new(id.to_string()) };
        let mut changes: Vec<Change> = tombstones.map(tombstone).collect();
        let persons: Vec<Contact> = now.into_values().filter(|contact| !contact.is_organization()).collect();
        let organisations = self.organisations(&persons, changed).await?;
        changes.extend(self.upserts(persons, &organisations));
        Ok(Read { changes, left_out })
    }
}
