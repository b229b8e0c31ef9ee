//! Creating, changing and deleting contacts, a hundred a call.
use super::ZohoContacts;
use super::accounts::Named;
use crate::api::{self, records};
use crate::error::{self, Operation};
use crate::map::{self, Account};
use crate::rights::Right;
use crate::wire::{Record, Treated};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use tandem_core::contact::field;
use tandem_core::normalise;
use tandem_core::record::{Field, Fields, RemoteId, Version};
use tandem_ports::connector::{Deletion, Draft, Outcomes, Patch, Written};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};

/// A record that goes out, and what it will be afterwards.
struct Outgoing {
    /// Its place in the batch.
    at: usize,
    body: Map<String, Value>,
    after: Record,
}

impl ZohoContacts {
    /// Plain inserts, never upserts: an upsert by e-mail address would overwrite a stranger's contact of that address, be it
    /// one that this user does not even see. Where Zoho keeps addresses unique it refuses the second one (`Conflict`).
    pub(super) async fn create_all(&self, drafts: &[Draft]) -> Result<Outcomes<Written>> {
        check_size(records::INSERT, drafts.len())?;
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open().await?;
        opened.rights.allow(Right::Create, records::INSERT)?;
        let names = drafts.iter().map(|draft| draft.fields.text(&field::COMPANY).to_owned());
        let accounts = self.accounts(&names.filter(|name| !name.is_empty()).collect()).await?;
        let mut outcomes: Vec<Option<Result<Written>>> = drafts.iter().map(|_| None).collect();
        let mut outgoing = Vec::new();
        for (at, draft) in drafts.iter().enumerate() {
            let changed: Vec<Field> = draft.fields.iter().map(|(name, _)| name.clone()).collect();
            match self.outgoing(at, (&changed, &draft.fields), Record::default(), &accounts) {
                Ok(one) => outgoing.push(one),
                Err(refusal) => outcomes[at] = Some(Err(refusal)),
            }
        }
        if !outgoing.is_empty() {
            let bodies = outgoing.iter().map(|one| Value::Object(one.body.clone())).collect();
            let answer = self.client.send(records::insert(&self.client.origin, bodies)?).await?;
            self.settle(records::INSERT, outgoing, api::parse_treated(records::INSERT, &answer)?, &mut outcomes);
        }
        Ok(complete(records::INSERT, outcomes))
    }

    fn outgoing(
        &self,
        at: usize,
        wanted: (&[Field], &Fields),
        raw: Record,
        accounts: &Named,
    ) -> Result<Outgoing, ConnectorError> {
        let opened = self.opened.lock().expect("no code panics while it holds this lock").clone();
        let opened = opened.expect("every write opens first");
        let name = wanted.1.text(&field::COMPANY);
        let account: Option<&Account> = match accounts.get(name).filter(|_| wanted.0.contains(&field::COMPANY)) {
            Some(Ok(account)) => Some(account),
            Some(Err(refusal)) => return Err(refusal.repeated()),
            None => None,
        };
        let body = map::body(wanted, &raw, self.rules(&opened.layout), account);
        let after = map::written(&raw, &body, &opened.layout.free, account);
        Ok(Outgoing { at, body, after })
    }

    /// Gives each record of a call its result. The answers are in the order of the records.
    fn settle(
        &self,
        operation: Operation,
        outgoing: Vec<Outgoing>,
        answers: Vec<Treated>,
        outcomes: &mut [Option<Result<Written>>],
    ) {
        let mut answers = answers.into_iter();
        for one in outgoing {
            outcomes[one.at] = Some(match answers.next() {
                Some(said) => self.written(operation, one.after, said),
                None => Err(error::no_answer(operation)),
            });
        }
    }

    fn written(&self, operation: Operation, after: Record, said: Treated) -> Result<Written> {
        if said.code != "SUCCESS" {
            return Err(error::classify_item(operation, &said));
        }
        let detail = |name: &str| said.details[name].as_str().filter(|text| !text.is_empty());
        let (Some(id), Some(version)) = (detail("id"), detail("Modified_Time")) else {
            return Err(error::no_answer(operation));
        };
        let shown = Some(self.shown(&after));
        Ok(Written { id: RemoteId::new(id), version: Version::new(version), shown })
    }

    fn shown(&self, record: &Record) -> Fields {
        let opened = self.opened.lock().expect("no code panics while it holds this lock").clone();
        map::fields(record, self.rules(&opened.expect("every write opens first").layout))
    }

    /// `If-Unmodified-Since` is one for the call. A single record goes with its own version. Several are first read (one
    /// call): who is stale or gone is told so; the rest goes with the latest of the versions, so that whoever edits one of
    /// them in this moment makes Zoho refuse the call and not lose the edit.
    pub(super) async fn update_all(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        check_size(records::UPDATE, patches.len())?;
        if patches.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open().await?;
        opened.rights.allow(Right::Edit, records::UPDATE)?;
        let accounts = self.accounts(&new_companies(patches)).await?;
        let mut outcomes: Vec<Option<Result<Written>>> = patches.iter().map(|_| None).collect();
        let mut outgoing = Vec::new();
        let mut named = HashSet::new();
        for (at, patch) in patches.iter().enumerate() {
            let raw = Record(patch.raw.as_object().cloned().unwrap_or_default());
            match self.outgoing(at, (&patch.changed, &patch.fields), raw, &accounts) {
                Err(refusal) => outcomes[at] = Some(Err(refusal)),
                // Nothing that Zoho could hold differs: no write, and what it shows stays.
                Ok(one) if one.body.is_empty() => outcomes[at] = Some(Ok(untouched(patch, self.shown(&one.after)))),
                Ok(one) if named.insert(patch.id.clone()) => outgoing.push(one),
                // A second change of one record waits for the first.
                Ok(_) => outcomes[at] = Some(Err(error::not_tried(records::UPDATE))),
            }
        }
        if outgoing.len() > 1 {
            outgoing = self.sift(patches, outgoing, &mut outcomes).await?;
        }
        if !outgoing.is_empty() {
            self.put(patches, outgoing, &mut outcomes).await?;
        }
        Ok(complete(records::UPDATE, outcomes))
    }

    async fn put(
        &self,
        patches: &[Patch],
        outgoing: Vec<Outgoing>,
        outcomes: &mut [Option<Result<Written>>],
    ) -> Result<()> {
        let time = |version: &&str| version.parse::<jiff::Timestamp>().ok();
        let latest = outgoing.iter().map(|one| patches[one.at].expect.as_str()).max_by_key(|version| time(version));
        let latest = latest.unwrap_or_default();
        let body = |one: &Outgoing| {
            let mut body = one.body.clone();
            body.insert("id".to_owned(), Value::from(patches[one.at].id.as_str()));
            Value::Object(body)
        };
        let call = records::update(&self.client.origin, outgoing.iter().map(body).collect(), latest)?;
        let answer = self.client.send(call).await?;
        match api::parse_treated(records::UPDATE, &answer) {
            Ok(treated) => self.settle(records::UPDATE, outgoing, treated, outcomes),
            Err(refusal) if is_about_a_record(&refusal) => {
                outgoing.iter().for_each(|one| outcomes[one.at] = Some(Err(refusal.repeated())));
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    /// Settles what is gone or was changed since it was read; answers the others.
    async fn sift(
        &self,
        patches: &[Patch],
        outgoing: Vec<Outgoing>,
        outcomes: &mut [Option<Result<Written>>],
    ) -> Result<Vec<Outgoing>> {
        let ids: Vec<&str> = outgoing.iter().map(|one| patches[one.at].id.as_str()).collect();
        let live = self.read(&ids, "Modified_Time").await?;
        let mut good = Vec::new();
        for one in outgoing {
            let patch = &patches[one.at];
            match live.get(patch.id.as_str()) {
                None => outcomes[one.at] = Some(Err(error::gone(records::UPDATE))),
                Some(record) if record.modified() != patch.expect.as_str() => {
                    outcomes[one.at] = Some(Err(error::changed_meanwhile(records::UPDATE)));
                }
                Some(_) => good.push(one),
            }
        }
        Ok(good)
    }

    /// Into the recycle bin. Zoho checks no version on deletes: the caller reads the contact directly before.
    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        check_size(records::DELETE, deletions.len())?;
        if deletions.is_empty() {
            return Ok(Vec::new());
        }
        self.open().await?.rights.allow(Right::Delete, records::DELETE)?;
        let mut seen = HashSet::new();
        let ids: Vec<&str> =
            deletions.iter().map(|deletion| deletion.id.as_str()).filter(|id| seen.insert(*id)).collect();
        let answer = self.client.send(records::delete(&self.client.origin, &ids)?).await?;
        let treated = match api::parse_treated(records::DELETE, &answer) {
            Ok(treated) => treated,
            // Said of the only one.
            Err(refusal) if ids.len() == 1 && refusal.kind == ErrorKind::NotFound => return Ok(vec![Ok(())]),
            Err(refusal) => return Err(refusal),
        };
        let mut treated = treated.into_iter();
        let mut failed: HashMap<&str, ConnectorError> = HashMap::new();
        for id in ids {
            let refusal = match treated.next() {
                Some(said) if said.code == "SUCCESS" => continue,
                Some(said) => error::classify_item(records::DELETE, &said),
                None => error::no_answer(records::DELETE),
            };
            // Already gone is what was wanted.
            if refusal.kind != ErrorKind::NotFound {
                failed.insert(id, refusal);
            }
        }
        Ok(deletions.iter().map(|d| failed.get(d.id.as_str()).map_or(Ok(()), |e| Err(e.repeated()))).collect())
    }
}

fn check_size(operation: Operation, size: usize) -> Result<()> {
    match size > records::BATCH {
        true => Err(error::refused(operation, "too many contacts at once")),
        false => Ok(()),
    }
}

/// The companies that contacts are to change to.
fn new_companies(patches: &[Patch]) -> BTreeSet<String> {
    let moving = patches.iter().filter(|patch| patch.changed.contains(&field::COMPANY));
    let names = moving.filter_map(|patch| {
        let wanted = patch.fields.text(&field::COMPANY);
        let now = normalise::text(patch.raw["Account_Name"]["name"].as_str().unwrap_or_default());
        (!wanted.is_empty() && wanted != now).then(|| wanted.to_owned())
    });
    names.collect()
}

fn untouched(patch: &Patch, shown: Fields) -> Written {
    Written { id: patch.id.clone(), version: patch.expect.clone(), shown: Some(shown) }
}

/// Whether a refusal of the whole call is about its records: they are read and planned again one by one.
pub(crate) fn is_about_a_record(refusal: &ConnectorError) -> bool {
    match refusal.kind {
        ErrorKind::Conflict | ErrorKind::NotFound => true,
        ErrorKind::Retryable
        | ErrorKind::Throttled { .. }
        | ErrorKind::AuthRevoked
        | ErrorKind::CursorExpired
        | ErrorKind::Permanent
        | ErrorKind::Forbidden => false,
    }
}

/// Every item has its result.
pub(crate) fn complete<T>(operation: Operation, outcomes: Vec<Option<Result<T>>>) -> Outcomes<T> {
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(error::not_tried(operation)))).collect()
}
