//! Tracked mail: e-mails filed at contacts and companies, tasks made of them, and who has an address.
use crate::crm::{Crm, check_context};
use crate::error::{CrmError, PROVIDER, classify};
use crate::files::blob_key;
use crate::files::write::{self, Content, NewFile};
use crate::ledger::{Edit, Ledger, Tries};
use crate::record::{Body, Record};
use crate::schema::Kind;
use crate::users::{Action, User};
use crate::validate;
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_core::files::hash::Digests;
use tandem_core::files::name;
use tandem_core::mail::{Address, Attachment, MailKey, Mailbox, NewPerson, Subject, SubjectKind, TrackedMail};
use tandem_core::record::RemoteId;
use tandem_ports::blobs::BlobStore;
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::Clock;
use tandem_ports::mail::{Filed, FiledHow, MailDesk, MailTask};
use tandem_ports::table::Table;

/// Most recipients that are kept of one line of a message.
const RECIPIENTS: usize = 200;
/// Most files of one e-mail.
const ATTACHMENTS: usize = 100;
/// The folder of a record that attachments are in.
const FOLDER: &str = "E-mail";
/// Names of attachments repeat (`image.png`); so many of one name find room in a folder.
const NAMESAKES: usize = 1_000;
/// Most records that one e-mail is filed at; a list of links holds no more.
const LINKS: usize = 50;

/// The mail side of one account, as one of its users may see and change it.
pub struct BuiltinMail {
    ledger: Ledger,
    actor: User,
    /// Where attachments go; without it an e-mail with attachments to be filed is refused.
    blobs: Option<Arc<dyn BlobStore>>,
}

/// What marks the e-mail of a message.
fn mark(key: &MailKey) -> String {
    format!("mail:{key}")
}

fn kind_of(subject: &Subject) -> Kind {
    match subject.kind {
        SubjectKind::Contact => Kind::Contact,
        SubjectKind::Company => Kind::Company,
    }
}

/// Adds to a list of a body what is not in it, up to `most`; whether that changed it.
fn add_to(body: &mut Body, field: &str, values: Vec<Value>, most: usize) -> bool {
    let mut list = body.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let before = list.len();
    for value in values {
        if !list.contains(&value) && list.len() < most {
            list.push(value);
        }
    }
    let changed = list.len() > before;
    body.insert(field.to_owned(), Value::Array(list));
    changed
}

fn links(at: &[Subject]) -> Vec<Value> {
    at.iter().map(|subject| json!({"type": kind_of(subject).word(), "id": subject.id})).collect()
}

fn body_of(mail: &TrackedMail) -> Result<Body, CrmError> {
    let envelope = &mail.envelope;
    let shown = |all: &[Mailbox]| all.iter().take(RECIPIENTS).map(Mailbox::shown).collect::<Vec<_>>();
    let mut input = Map::from_iter([
        ("direction".to_owned(), json!(mail.direction.word())),
        ("message_id".to_owned(), json!(envelope.message_id)),
        ("subject".to_owned(), json!(envelope.subject)),
        ("body_html".to_owned(), json!(mail.body.html)),
        ("body_text".to_owned(), json!(mail.body.text)),
        ("from".to_owned(), json!(envelope.from.first().map(Mailbox::shown))),
        ("to".to_owned(), json!(shown(&envelope.to))),
        ("cc".to_owned(), json!(shown(&envelope.cc))),
        ("participants".to_owned(), json!([mail.participant])),
    ]);
    if let Some(at) = envelope.sent_at {
        input.insert("sent_at".to_owned(), json!(at.to_string()));
    }
    let mut body = validate::new_body(Kind::Email, &input)?;
    add_to(&mut body, "links", links(&mail.at), LINKS);
    Ok(body)
}

impl BuiltinMail {
    /// Opens the mail of an account for a user of it. One request. A user who is gone is `AuthRevoked`.
    pub async fn open(table: Arc<dyn Table>, clock: Arc<dyn Clock>, account: &str, user: &str) -> Result<BuiltinMail> {
        const OPERATION: &str = "mail.open";
        let ledger = Ledger { table, clock, account: account.to_owned() };
        let found = ledger.record(user).await.map_err(|error| classify(OPERATION, error))?;
        let Some(record) = found.filter(|record| record.kind == Kind::User) else {
            let detail = "this user of the built-in CRM is gone";
            return Err(ConnectorError::new(PROVIDER, OPERATION, ErrorKind::AuthRevoked, detail));
        };
        let actor = User::of(account, &record).map_err(|error| classify(OPERATION, error))?;
        Ok(BuiltinMail { ledger, actor, blobs: None })
    }

    /// With the store that the bytes of attachments go to.
    #[must_use]
    pub fn with_files(self, blobs: Arc<dyn BlobStore>) -> BuiltinMail {
        BuiltinMail { blobs: Some(blobs), ..self }
    }

    async fn holders(&self, addresses: &[Address]) -> Result<BTreeMap<Address, Vec<Subject>>, CrmError> {
        self.actor.require(Kind::Contact, Action::View)?;
        let texts: Vec<&str> = addresses.iter().map(Address::as_str).collect();
        let found = self.ledger.addressed(&texts).await?;
        // Leads have addresses too; mail is filed at contacts and companies.
        let subject = |(kind, id): (Kind, String)| {
            let found = [(Kind::Contact, SubjectKind::Contact), (Kind::Company, SubjectKind::Company)];
            let (_, kind) = found.into_iter().find(|(known, _)| *known == kind)?;
            Some(Subject { kind, id: RemoteId::new(id) })
        };
        let pair = |(address, all): (&Address, Vec<(Kind, String)>)| {
            (address.clone(), all.into_iter().filter_map(subject).collect::<Vec<_>>())
        };
        let known = addresses.iter().zip(found).map(pair).filter(|(_, all)| !all.is_empty());
        Ok(known.collect())
    }

    /// The record that carries this mark, if it lives.
    async fn marked(&self, marker: &str, kind: Kind) -> Result<Option<Record>, CrmError> {
        let Some(id) = self.ledger.marked(&[marker]).await?.pop().flatten() else { return Ok(None) };
        Ok(self.ledger.record(&id).await?.filter(|record| record.kind == kind))
    }

    async fn file_once(&self, mail: &TrackedMail) -> Result<Filed, CrmError> {
        self.actor.require(Kind::Email, Action::Create)?;
        let marker = mark(&mail.key);
        // Before the e-mail: one that is there has all that belongs to it.
        let attached = self.attach(mail).await?;
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let (edit, how) = match self.marked(&marker, Kind::Email).await? {
                Some(before) => {
                    let mut body = before.body.clone();
                    let grown = add_to(&mut body, "links", links(&mail.at), LINKS);
                    let joined = add_to(&mut body, "participants", vec![json!(mail.participant)], RECIPIENTS);
                    let attached = add_to(&mut body, "attachments", attached.clone(), ATTACHMENTS);
                    if !grown && !joined && !attached {
                        return Ok(Filed { id: RemoteId::new(before.id), how: FiledHow::Found });
                    }
                    let marker = before.marker.clone();
                    (Edit::Change { before: Box::new(before), body, marker }, FiledHow::Found)
                }
                None => {
                    let (id, mut body) = (self.ledger.new_id(), body_of(mail)?);
                    add_to(&mut body, "attachments", attached.clone(), ATTACHMENTS);
                    check_context(&self.ledger, Kind::Email, None, &body).await?;
                    (Edit::Create { id, kind: Kind::Email, body, marker: Some(marker.clone()) }, FiledHow::Made)
                }
            };
            if let Some(mut done) = self.ledger.commit(&head, vec![edit]).await? {
                let record = done.pop().expect("one edit answers one record");
                return Ok(Filed { id: RemoteId::new(record.id), how });
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }

    /// Makes files of what is attached, at the first record that the message is filed at; answers their ids. A file's id
    /// follows from the message and its place in it, so that a repetition, or another mailbox, finds it.
    async fn attach(&self, mail: &TrackedMail) -> Result<Vec<Value>, CrmError> {
        let Some(subject) = mail.at.first().filter(|_| !mail.body.attachments.is_empty()) else {
            return Ok(Vec::new());
        };
        let Some(blobs) = &self.blobs else {
            return Err(CrmError::refused("this installation has no store for the files of the CRM"));
        };
        self.actor.require(kind_of(subject), Action::Edit)?;
        let mut ids = Vec::new();
        for (at, attachment) in mail.body.attachments.iter().enumerate() {
            let name = format!("attachment:{}:{}:{at}", self.ledger.account, mail.key);
            let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
            if self.ledger.record(&id).await?.is_none() {
                self.attach_one(blobs.as_ref(), subject, &id, attachment).await?;
            }
            ids.push(json!(id));
        }
        Ok(ids)
    }

    async fn attach_one(
        &self,
        blobs: &dyn BlobStore,
        subject: &Subject,
        id: &str,
        attachment: &Attachment,
    ) -> Result<(), CrmError> {
        let folder = write::ensure_folder(&self.ledger, subject.id.as_str(), FOLDER, None).await?;
        let name = self.free_name(&folder.id, &attachment.name).await?;
        let bytes = bytes::Bytes::from(attachment.bytes.clone());
        let content = Content {
            size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            hashes: Digests::of(&bytes),
            content_type: attachment.media_type.clone(),
            blob: blob_key(&self.ledger, id),
        };
        let blob = content.blob.clone();
        blobs.put(&blob, bytes).await?;
        let file = NewFile { id: id.to_owned(), place: (&folder.id, &name), content, marker: None };
        let made = write::create(&self.ledger, vec![file]).await;
        // Whoever made it meanwhile has brought bytes of their own.
        let ours = made.as_ref().is_ok_and(|made| made.iter().any(|made| made.text("blob") == blob.0));
        if !ours && !matches!(made, Err(CrmError::Unavailable(_))) {
            blobs.remove(&[blob]).await?;
        }
        made.map(drop)
    }

    async fn free_name(&self, folder: &str, wanted: &str) -> Result<String, CrmError> {
        for name in name::numbered(wanted).take(NAMESAKES) {
            if self.ledger.named(folder, &name).await?.is_none() {
                return Ok(name);
            }
        }
        Err(CrmError::refused("too many attachments of one name"))
    }

    async fn add(&self, person: &NewPerson) -> Result<Subject, CrmError> {
        self.actor.require(Kind::Contact, Action::Create)?;
        let mut tries = Tries::new();
        loop {
            // Looked up after the head: two messages of one stranger never make two contacts.
            let head = self.ledger.head().await?;
            let known = self.holders(std::slice::from_ref(&person.address)).await?;
            if let Some(subject) = known.into_values().flatten().next() {
                return Ok(subject);
            }
            let input = json!({
                "first_name": person.first_name, "last_name": person.last_name,
                "emails": [{"type": "work", "value": person.address}],
            });
            let body = validate::new_body(Kind::Contact, input.as_object().expect("it is an object"))?;
            let edit = Edit::Create { id: self.ledger.new_id(), kind: Kind::Contact, body, marker: None };
            if let Some(mut made) = self.ledger.commit(&head, vec![edit]).await? {
                let record = made.pop().expect("one edit makes one record");
                return Ok(Subject { kind: SubjectKind::Contact, id: RemoteId::new(record.id) });
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }

    /// Takes the mailbox's owner out of an e-mail, and the e-mail out of the CRM when nobody is left in it.
    async fn leave(&self, email: &RemoteId, participant: &Address) -> Result<(), CrmError> {
        self.actor.require(Kind::Email, Action::Delete)?;
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let found = self.ledger.record(email.as_str()).await?.filter(|record| record.kind == Kind::Email);
            let Some(before) = found else { return Ok(()) };
            let mut body = before.body.clone();
            let mut left = body.get("participants").and_then(Value::as_array).cloned().unwrap_or_default();
            left.retain(|one| one.as_str() != Some(participant.as_str()));
            let edit = if left.is_empty() {
                Edit::Remove { before: Box::new(before) }
            } else {
                body.insert("participants".to_owned(), Value::Array(left));
                let marker = before.marker.clone();
                Edit::Change { before: Box::new(before), body, marker }
            };
            if self.ledger.commit(&head, vec![edit]).await?.is_some() {
                return Ok(());
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }
}

/// Makes the task of an e-mail, or answers the one that was made before.
async fn task_of(ledger: &Ledger, actor: &User, email: &str, input: &Map<String, Value>) -> Result<Record, CrmError> {
    actor.require(Kind::Task, Action::Create)?;
    let marker = format!("task:{email}");
    let mut tries = Tries::new();
    loop {
        let head = ledger.head().await?;
        let found = ledger.record(email).await?.filter(|record| record.kind == Kind::Email);
        let email = found.ok_or(CrmError::NotFound)?;
        if let Some(id) = ledger.marked(&[&marker]).await?.pop().flatten()
            && let Some(made) = ledger.record(&id).await?.filter(|record| record.kind == Kind::Task)
        {
            return Ok(made);
        }
        let subject = email.text("subject");
        let title = if subject.is_empty() { "E-mail without a subject" } else { subject };
        let mut whole = Map::from_iter([("title".to_owned(), json!(title))]);
        whole.extend(input.clone());
        let mut body = validate::new_body(Kind::Task, &whole)?;
        let about = email.body.get("links").and_then(Value::as_array).cloned().unwrap_or_default();
        add_to(&mut body, "links", vec![json!({"type": "email", "id": email.id})], LINKS);
        add_to(&mut body, "links", about, LINKS);
        check_context(ledger, Kind::Task, None, &body).await?;
        let edit = Edit::Create { id: ledger.new_id(), kind: Kind::Task, body, marker: Some(marker.clone()) };
        if let Some(mut made) = ledger.commit(&head, vec![edit]).await? {
            return Ok(made.pop().expect("one edit makes one record"));
        }
        tries.again(ledger.clock.as_ref()).await?;
    }
}

impl Crm {
    /// Makes a task of an e-mail, once: with its subject and links, and what `input` says of the task's own fields.
    pub async fn task_of_email(&self, actor: &User, id: &str, input: &Map<String, Value>) -> Result<Record, CrmError> {
        actor.require(Kind::Email, Action::View)?;
        let id = uuid::Uuid::try_parse(id).map_err(|_| CrmError::NotFound)?.to_string();
        task_of(&self.ledger(actor), actor, &id, input).await
    }
}

#[async_trait]
impl MailDesk for BuiltinMail {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    async fn known(&self, addresses: &[Address]) -> Result<BTreeMap<Address, Vec<Subject>>> {
        self.holders(addresses).await.map_err(|error| classify("mail.known", error))
    }

    async fn add_person(&self, person: &NewPerson) -> Result<Subject> {
        self.add(person).await.map_err(|error| classify("mail.add_person", error))
    }

    async fn names(&self, subjects: &[Subject]) -> Result<Vec<Option<String>>> {
        let read = async {
            let ids: Vec<&str> = subjects.iter().map(|subject| subject.id.as_str()).collect();
            let found = self.ledger.records(&ids).await?;
            let name = |(subject, record): (&Subject, Option<Record>)| {
                let record = record.filter(|record| record.kind == kind_of(subject))?;
                self.actor.require(record.kind, Action::View).ok()?;
                let whole = format!("{} {}", record.text("first_name"), record.text("last_name"));
                let name = if record.kind == Kind::Company { record.text("name") } else { whole.trim() };
                Some(name.to_owned())
            };
            Ok(subjects.iter().zip(found).map(name).collect())
        };
        read.await.map_err(|error: CrmError| classify("mail.names", error))
    }

    async fn file(&self, mail: &TrackedMail) -> Result<Filed> {
        self.file_once(mail).await.map_err(|error| classify("mail.file", error))
    }

    async fn add_task(&self, email: &RemoteId, task: &MailTask) -> Result<RemoteId> {
        let input = json!({"title": task.title, "description": task.link, "due_on": task.due_on.to_string()});
        let mut input = input.as_object().cloned().expect("it is an object");
        if task.title.is_empty() {
            input.remove("title");
        }
        let made = task_of(&self.ledger, &self.actor, email.as_str(), &input).await;
        made.map(|record| RemoteId::new(record.id)).map_err(|error| classify("mail.add_task", error))
    }

    async fn remove(&self, email: &RemoteId, participant: &Address) -> Result<()> {
        self.leave(email, participant).await.map_err(|error| classify("mail.remove", error))
    }

    async fn titles(&self, emails: &[RemoteId]) -> Result<Vec<Option<String>>> {
        let read = async {
            self.actor.require(Kind::Email, Action::View)?;
            let ids: Vec<&str> = emails.iter().map(RemoteId::as_str).collect();
            let found = self.ledger.records(&ids).await?;
            let email = |record: Option<Record>| record.filter(|record| record.kind == Kind::Email);
            Ok(found.into_iter().map(|record| email(record).map(|email| email.text("subject").to_owned())).collect())
        };
        read.await.map_err(|error: CrmError| classify("mail.titles", error))
    }
}
