//! Creates, updates and deletes: one request each, a few at once.
//!
//! Never `POST /v2/contacts/upsert`: it would write over a stranger's record that happens to have the same address. The
//! engine has matched already, and after a lost answer [`SellContacts::find_lately_made`] finds what was made.
use super::{MOST_PAGES, SellContacts, WRITES};
use crate::api::{self, Call, PAGE, is_last};
use crate::client::{few_at_once, number};
use crate::error;
use crate::map::{self, Organisation};
use crate::wire::{Contact, CustomField, One};
use futures::future::FutureExt;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tandem_core::contact::field;
use tandem_core::record::{Field, Fields, Scope};
use tandem_ports::connector::{Deletion, Draft, Outcomes, Patch, Written};
use tandem_ports::error::{ErrorKind, Result};

/// What the writes of a batch share.
struct Prepared {
    custom: Arc<Vec<CustomField>>,
    by_name: BTreeMap<String, Result<Organisation>>,
    by_id: BTreeMap<u64, Organisation>,
}

impl SellContacts {
    pub(super) async fn create_all(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        limit("contacts.create", drafts.len())?;
        let ready = self.prepare(drafts.iter().map(|draft| &draft.fields).collect(), &[]).await?;
        let creating = drafts.iter().map(|draft| self.create_one(draft, &ready).boxed()).collect();
        Ok(few_at_once(creating).await)
    }

    async fn create_one(&self, draft: &Draft, ready: &Prepared) -> Result<Written> {
        let names: Vec<Field> = draft.fields.iter().map(|(name, _)| name.clone()).collect();
        let mut data = map::attributes(&draft.fields, &names, &ready.custom);
        data.retain(|_, value| !value.is_null());
        set_organisation(&mut data, &draft.fields, &names, ready)?;
        data.insert("is_organization".to_owned(), json!(false));
        if let Some(tag) = self.tag() {
            data.insert("tags".to_owned(), json!([tag]));
        }
        let response = self.send(Call::create(Json::Object(data))).await?;
        let made: One<Contact> = api::parse("contacts.create", &response)?;
        self.written("contacts.create", made.data, &ready.organisations())
    }

    pub(super) async fn update_all(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        limit("contacts.update", patches.len())?;
        let moved = patches.iter().filter(|patch| patch.changed.contains(&field::COMPANY));
        let raws: Vec<Contact> =
            patches.iter().filter_map(|patch| patch.raw.as_object().cloned().map(Contact)).collect();
        let ready = self.prepare(moved.map(|patch| &patch.fields).collect(), &raws).await?;
        let updating = patches.iter().map(|patch| self.update_one(patch, &ready).boxed()).collect();
        Ok(few_at_once(updating).await)
    }

    async fn update_one(&self, patch: &Patch, ready: &Prepared) -> Result<Written> {
        let id = number("contacts.update", &patch.id)?;
        let mut data = map::attributes(&patch.fields, &patch.changed, &ready.custom);
        set_organisation(&mut data, &patch.fields, &patch.changed, ready)?;
        if let (Some(scope), Some(tag)) = (patch.scope, self.tag()) {
            // Tags are written as a whole, so they are read right before.
            let now = self.read_one(id).await?.ok_or_else(|| error::gone("contacts.update"))?;
            let mut tags: Vec<&str> = now.tags().filter(|name| *name != tag).collect();
            if scope == Scope::Inside {
                tags.push(tag);
            }
            data.insert("tags".to_owned(), json!(tags));
        }
        let contact = if data.is_empty() {
            self.read_one(id).await?.ok_or_else(|| error::gone("contacts.update"))?
        } else {
            let response = self.send(Call::update(id, Json::Object(data))).await?;
            api::parse::<One<Contact>>("contacts.update", &response)?.data
        };
        self.written("contacts.update", contact, &ready.organisations())
    }

    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        limit("contacts.delete", deletions.len())?;
        let deleting = deletions.iter().map(|deletion| self.delete_one(deletion).boxed()).collect();
        Ok(few_at_once(deleting).await)
    }

    async fn delete_one(&self, deletion: &Deletion) -> Result<()> {
        match self.send(Call::delete(number("contacts.delete", &deletion.id)?)).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.kind == ErrorKind::NotFound => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn written(
        &self,
        operation: &'static str,
        contact: Contact,
        organisations: &BTreeMap<u64, Organisation>,
    ) -> Result<Written> {
        let fetched = self.fetched(contact, organisations).ok_or_else(|| error::unreadable(operation))?;
        Ok(Written { id: fetched.id, version: fetched.version, shown: Some(fetched.fields) })
    }

    /// Reads what the writes need, and makes the organisations that are missing: one after the other, so that two drafts
    /// of one company do not make it twice.
    async fn prepare(&self, writes: Vec<&Fields>, raws: &[Contact]) -> Result<Prepared> {
        let custom = self.custom_fields().await?;
        let by_id = self.organisations(raws, BTreeMap::new()).await?;
        let names: BTreeSet<&str> = writes.iter().map(|fields| fields.text(&field::COMPANY)).collect();
        let mut by_name = BTreeMap::new();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            let found = match self.organisation_named(name).await {
                Err(refused) if refused.kind != ErrorKind::Permanent => return Err(refused),
                found => found,
            };
            by_name.insert(name.to_owned(), found);
        }
        Ok(Prepared { custom, by_name, by_id })
    }

    /// The organisation with exactly this name (the oldest, where several have it), or a new one.
    async fn organisation_named(&self, name: &str) -> Result<Organisation> {
        for page in 1..=MOST_PAGES {
            let query = vec![
                ("is_organization", "true".to_owned()),
                ("name", name.to_owned()),
                ("sort_by", "id".to_owned()),
                ("page", page.to_string()),
                ("per_page", PAGE.to_string()),
            ];
            let answer = self.list(query).await?;
            let same = |contact: &Contact| {
                contact.is_organization() && tandem_core::normalise::text(contact.text("name")) == name
            };
            let mut listed = answer.items.iter().map(|one| &one.data);
            if let Some(found) = listed.find(|contact| same(contact)).and_then(Organisation::of) {
                return Ok(found);
            }
            if is_last(&answer, PAGE) {
                break;
            }
        }
        let response = self.send(Call::create(json!({"name": name, "is_organization": true}))).await?;
        let made: One<Contact> = api::parse("contacts.create", &response)?;
        Organisation::of(&made.data).ok_or_else(|| error::unreadable("contacts.create"))
    }
}

impl Prepared {
    fn organisations(&self) -> BTreeMap<u64, Organisation> {
        let named = self.by_name.values().filter_map(|found| found.as_ref().ok());
        self.by_id.values().chain(named).map(|o| (o.id, o.clone())).collect()
    }
}

fn limit(operation: &'static str, items: usize) -> Result<()> {
    if items > WRITES { Err(error::refused(operation, "too many contacts at once")) } else { Ok(()) }
}

fn set_organisation(data: &mut Map<String, Json>, fields: &Fields, changed: &[Field], ready: &Prepared) -> Result<()> {
    if !changed.contains(&field::COMPANY) {
        return Ok(());
    }
    let id = match ready.by_name.get(fields.text(&field::COMPANY)) {
        Some(Ok(organisation)) => json!(organisation.id),
        Some(Err(refused)) => return Err(refused.repeated()),
        None => Json::Null,
    };
    data.insert("contact_id".to_owned(), id);
    Ok(())
}
