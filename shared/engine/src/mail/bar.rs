//! The bar under a message: who it is with, what has become of it, and what a person may ask of it there.
use super::asks::hash_of;
use crate::desk::{conflict, of_stop, rules};
use crate::session::stop_for;
use crate::{Engine, EngineError, MailPorts, Opening};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tandem_core::mail::track::{Owner, Screened, screen};
use tandem_core::mail::{Address, Envelope, MailRules, Mailbox, NewPerson, Subject, TrackMode, Wish};
use tandem_core::record::{RemoteId, RunId, Side};
use tandem_mail::{HEADERS, Head};
use tandem_ports::error::ConnectorError;
use tandem_ports::infra::{Kind, Trigger};
use tandem_store::link::{Row, RowState};
use tandem_store::mail::{Asked, MailAsk};
use tandem_store::sync::Sync;

/// Most people that are looked up for one bar.
const MOST: usize = 50;

/// Somebody a message is with.
#[derive(Clone, PartialEq, Eq)]
pub struct BarPerson {
    /// Name and address as the message has them.
    pub mailbox: Mailbox,
    /// Who that is in the CRM, with what people call it; empty for a stranger.
    pub known: Vec<(Subject, Option<String>)>,
}

/// Personal data: `Debug` shows its shape.
impl fmt::Debug for BarPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarPerson").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

/// A message as the bar shows it.
#[derive(Clone)]
pub struct BarMessage {
    /// What it is about.
    pub subject: String,
    /// Who it is with, without the mailbox's owner; the sender or the first recipients first.
    pub people: Vec<BarPerson>,
    /// What has become of it; `None` while nothing has.
    pub state: Option<RowState>,
    /// Why it is held, excluded or failing.
    pub reason: Option<String>,
}

impl fmt::Debug for BarMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarMessage").field("people", &self.people).field("state", &self.state).finish_non_exhaustive()
    }
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BarAsk {
    /// Something of this message.
    Message(RemoteId, Wish),
    /// To track the message that is being written to somebody.
    NextTo(Address),
}

struct Bar {
    rules: MailRules,
    ports: MailPorts,
    owner: Owner,
}

fn crm_refused(error: &ConnectorError) -> EngineError {
    of_stop(stop_for(Side::Left, error), Side::Left)
}

fn mailbox_refused(error: &ConnectorError) -> EngineError {
    of_stop(stop_for(Side::Right, error), Side::Right)
}

impl Engine {
    /// The mail sync of this account's mailbox, of those that are switched on the oldest.
    pub async fn bar_sync(&self, provider: &str, account: &str) -> Result<Option<Sync>, EngineError> {
        let mut found: Vec<Sync> = Vec::new();
        for id in self.store.connections_of_account(provider, account).await? {
            let Some(connection) = self.store.connection(&id).await? else { continue };
            let mail = |sync: &Sync| sync.kind == Kind::Mail && sync.enabled && sync.remote == id;
            found.extend(self.store.syncs_of(&connection.user).await?.into_iter().filter(mail));
        }
        Ok(found.into_iter().min_by_key(|sync| sync.created_at))
    }

    /// What the bar under a message shows: one call to the mailbox, one look-up in the CRM. `None`: there is no such
    /// message in this mailbox.
    pub async fn bar(&self, sync: &Sync, id: &RemoteId) -> Result<Option<BarMessage>, EngineError> {
        let bar = self.open_bar(sync).await?;
        let Some(envelope) = bar.head(id).await? else { return Ok(None) };
        let all = MailRules { track: TrackMode::AllKnown, ..bar.rules.clone() };
        let people = match screen(&all, &bar.owner, &envelope) {
            Screened::Look(look) => look.people,
            // It cannot be tracked, and who it is with is shown all the same.
            Screened::Exclude(_) | Screened::NotAsked => envelope.from.clone(),
        };
        let people = bar.people(people).await?;
        let row: Option<Row> =
            self.store.rows_by_id(&sync.id, Side::Right, std::slice::from_ref(id)).await?.pop().flatten();
        let state = row.as_ref().map(|row| row.state);
        let reason = row.and_then(|row| row.reason).map(|reason| reason.message);
        Ok(Some(BarMessage { subject: envelope.subject, people, state, reason }))
    }

    /// Who these people are in the CRM.
    pub async fn bar_people(&self, sync: &Sync, people: Vec<Mailbox>) -> Result<Vec<BarPerson>, EngineError> {
        let bar = self.open_bar(sync).await?;
        let others = people.into_iter().filter(|person| !bar.owner.is(&person.address)).collect();
        bar.people(others).await
    }

    /// Notes what a person asks for, and starts the run that does it. A message counts only if it is in this mailbox.
    pub async fn bar_ask(&self, sync: &Sync, ask: BarAsk) -> Result<RunId, EngineError> {
        let what = match ask {
            BarAsk::Message(id, wish) => {
                let there = self.open_bar(sync).await?.head(&id).await?.is_some();
                if !there {
                    return Err(conflict("no_such_message", "This message is not in the mailbox any more."));
                }
                Asked::Message { id, wish }
            }
            BarAsk::NextTo(address) => Asked::Sent { to: hash_of(sync, &address) },
        };
        self.store.save_mail_ask(&sync.id, &MailAsk::new(what, self.clock.now())).await?;
        self.start_run(sync, Trigger::Push).await
    }

    /// Adds somebody to the CRM, or answers who has the address there.
    pub async fn bar_add(&self, sync: &Sync, person: &Mailbox) -> Result<BarPerson, EngineError> {
        let bar = self.open_bar(sync).await?;
        let person = Mailbox { address: person.address.under(bar.rules.plus_tags), ..person.clone() };
        if bar.rules.blocks(&person.address) {
            return Err(conflict("blocked", "This address is on the block list."));
        }
        bar.ports.desk.add_person(&NewPerson::of(&person)).await.map_err(|error| crm_refused(&error))?;
        let mut known = bar.people(vec![person]).await?;
        known.pop().ok_or_else(|| conflict("not_added", "The CRM does not show the new contact yet."))
    }

    async fn open_bar(&self, sync: &Sync) -> Result<Bar, EngineError> {
        let (profile, settings) = rules(sync)?;
        let Some(rules) = settings.mail.clone() else {
            return Err(conflict("no_mail", "This sync does not track mail."));
        };
        let (crm, remote) = self.connections(sync).await?;
        let ask = |side, connection| Opening {
            sync: &sync.id,
            connection,
            profile,
            settings: &settings,
            side,
            container: None,
        };
        let opened = self.connectors.open_mail(ask(Side::Left, &crm), ask(Side::Right, &remote)).await;
        let ports = opened.map_err(|error| mailbox_refused(&error))?;
        let known = Address::read(&remote.account.email).or_else(|| Address::read(&remote.account.id));
        let address = match known {
            Some(address) => address,
            None => ports.source.account().await.map_err(|error| mailbox_refused(&error))?.address,
        };
        let owner = Owner::new(&address, &rules);
        Ok(Bar { rules, ports, owner })
    }
}

impl Bar {
    async fn head(&self, id: &RemoteId) -> Result<Option<Envelope>, EngineError> {
        let heads = self.ports.source.heads(std::slice::from_ref(id), &HEADERS).await;
        let mut heads = heads.map_err(|error| mailbox_refused(&error))?;
        let head = heads.pop().transpose().map_err(|error| mailbox_refused(&error))?.flatten();
        Ok(head.map(|head| {
            let known = Head {
                places: head.places.clone(),
                wishes: BTreeSet::new(),
                received_at: head.received_at,
                bytes: head.bytes,
                trusted: self.ports.source.trusted_server(),
            };
            tandem_mail::head(&head.headers, known)
        }))
    }

    /// Who these are: one look-up for all, and one for what they are called.
    async fn people(&self, people: Vec<Mailbox>) -> Result<Vec<BarPerson>, EngineError> {
        let mut seen = BTreeSet::new();
        let people: Vec<Mailbox> =
            people.into_iter().filter(|person| seen.insert(person.address.clone())).take(MOST).collect();
        let under = |person: &Mailbox| person.address.under(self.rules.plus_tags);
        let addresses: BTreeSet<Address> = people.iter().map(under).collect();
        let addresses: Vec<Address> = addresses.into_iter().collect();
        let desk = &self.ports.desk;
        let mut known = BTreeMap::new();
        if !addresses.is_empty() {
            known = desk.known(&addresses).await.map_err(|error| crm_refused(&error))?;
        }
        let subjects: Vec<Subject> = known.values().flatten().cloned().collect();
        let mut names = Vec::new();
        if !subjects.is_empty() {
            names = desk.names(&subjects).await.map_err(|error| crm_refused(&error))?;
        }
        let named: BTreeMap<Subject, Option<String>> = subjects.into_iter().zip(names).collect();
        let shown = |subject: &Subject| (subject.clone(), named.get(subject).cloned().flatten());
        let person = |mailbox: Mailbox| {
            let known = known.get(&under(&mailbox)).map(|all| all.iter().map(shown).collect()).unwrap_or_default();
            BarPerson { mailbox, known }
        };
        Ok(people.into_iter().map(person).collect())
    }
}
