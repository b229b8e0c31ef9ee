//! Tracked mail in Teamleader: `emailTracking.create` and `tasks.create`.
//!
//! Teamleader keeps no sender, date or `Message-ID` of a tracked e-mail, and knows neither a change nor a deletion of
//! one. So the head of a message is written into its content; what was filed is kept in our own ledger; and where a
//! write was begun and its end is unknown, the list of that contact is looked through for our reference first.
mod attachments;
mod holders;

use crate::api::requests::{self, Page, Sort};
use crate::api::{Answer, Api, Call};
use crate::config::TeamleaderConfig;
use crate::error::{self, PROVIDER};
use crate::wire::{Data, Made, text};
use async_trait::async_trait;
use attachments::Attached;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use tandem_core::mail::{Address, Direction, Mailbox, NewPerson, Subject, SubjectKind, TrackedMail};
use tandem_core::record::RemoteId;
use tandem_ports::error::{ConnectorError, ErrorKind, Result};
use tandem_ports::infra::{Clock, HttpTransport};
use tandem_ports::mail::{AddressBook, Entered, Filed, FiledHow, Left, MailDesk, MailLedger, MailTask};

/// Pages of one contact's mail, or tasks, that a look-back reads.
const MOST_PAGES: u64 = 50;
/// Rows a page.
const PAGE: u64 = 100;
/// A page with fewer rows is the last one, whatever most Teamleader gives.
const SMALLEST_PAGE: usize = 20;
/// Records that one list call is asked for by id.
const IDS: usize = 50;

type Row = Map<String, Value>;

/// The mail side of one Teamleader account.
pub struct TeamleaderMail {
    api: Api,
    /// Adds no token: temporary addresses of files get none.
    bare: Arc<dyn HttpTransport>,
    clock: Arc<dyn Clock>,
    ledger: Arc<dyn MailLedger>,
    book: Arc<dyn AddressBook>,
    /// When this stay last took in what was changed in Teamleader.
    caught_up: Mutex<Option<Timestamp>>,
}

/// A tracked e-mail, and where: Teamleader lists them by subject alone.
struct Place {
    subject: Subject,
    id: String,
}

impl Place {
    fn written(&self) -> RemoteId {
        RemoteId::new(format!("{}:{}:{}", kind(&self.subject), self.subject.id.as_str(), self.id))
    }

    fn read(email: &RemoteId) -> Option<Place> {
        let mut parts = email.as_str().splitn(3, ':');
        let kind = match parts.next()? {
            "contact" => SubjectKind::Contact,
            "company" => SubjectKind::Company,
            _ => return None,
        };
        let subject = Subject { kind, id: RemoteId::new(parts.next()?) };
        Some(Place { subject, id: parts.next()?.to_owned() })
    }
}

fn kind(subject: &Subject) -> &'static str {
    match subject.kind {
        SubjectKind::Contact => "contact",
        SubjectKind::Company => "company",
    }
}

fn whole(subject: &Subject) -> Value {
    json!({"type": kind(subject), "id": subject.id})
}

/// What marks what we made, within its text.
fn reference(key: &str) -> String {
    format!("tandem-{}", key.chars().take(32).collect::<String>())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Whether a message's attachments become files of the record that it is filed at.
#[derive(Clone, Copy)]
enum Attach {
    /// Yes.
    Here,
    /// They are at the first record of the message.
    Elsewhere,
}

/// The head as lines, the text, and our reference.
fn content(mail: &TrackedMail, attached: &Attached) -> String {
    let envelope = &mail.envelope;
    let all = |people: &[Mailbox]| people.iter().map(Mailbox::shown).collect::<Vec<_>>().join(", ");
    let at = envelope.sent_at.map(|at| at.to_string()).unwrap_or_default();
    let here = |name: &String| attached.names.contains(name) || attached.refused.contains(name);
    let names = mail.body.attachments.iter().map(|attachment| attachment.name.clone());
    let elsewhere: Vec<String> = names.filter(|name| !here(name)).collect();
    let direction = match mail.direction {
        Direction::In => "incoming",
        Direction::Out => "outgoing",
    };
    let lines = [
        ("Direction", direction.to_owned()),
        ("From", all(&envelope.from)),
        ("To", all(&envelope.to)),
        ("Cc", all(&envelope.cc)),
        ("Date", at),
        ("Attachments", attached.names.join(", ")),
        ("Attachments, at another record of this message", elsewhere.join(", ")),
        ("Attachments, only in the mailbox", attached.refused.join(", ")),
    ];
    let line = |(name, said): &(&str, String)| format!("{name}: {}", escaped(said));
    let head: Vec<String> = lines.iter().filter(|(_, said)| !said.is_empty()).map(line).collect();
    let body = match &mail.body.html {
        Some(html) => html.clone(),
        None => format!("<p>{}</p>", escaped(&mail.body.text).replace('\n', "<br>")),
    };
    format!("<p>{}</p>{body}<p>{}</p>", head.join("<br>"), reference(mail.key.as_str()))
}

impl TeamleaderMail {
    /// `transport` adds the account's access token, `bare` does not; `ledger` and `book` are that account's.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        bare: Arc<dyn HttpTransport>,
        clock: Arc<dyn Clock>,
        config: TeamleaderConfig,
        (ledger, book): (Arc<dyn MailLedger>, Arc<dyn AddressBook>),
    ) -> Self {
        let api = Api::new(transport, Arc::clone(&clock), config.api_url);
        Self { api, bare, clock, ledger, book, caught_up: Mutex::default() }
    }

    async fn page(&self, call: Call) -> Result<Answer<Data<Vec<Row>>>> {
        self.api.read(call).await
    }

    async fn rows(&self, call: Call) -> Result<Vec<Row>> {
        Ok(self.page(call).await?.body.data)
    }

    /// Makes something that Teamleader itself would make twice: `key` says of what there may be one, `find` looks for what
    /// an earlier try may have made. Of `find` and `make` what is not needed is not begun.
    async fn made_once(
        &self,
        key: &str,
        find: impl Future<Output = Result<Option<RemoteId>>> + Send,
        make: impl Future<Output = Result<RemoteId>> + Send,
    ) -> Result<(RemoteId, FiledHow)> {
        let begun = match self.ledger.begin(key).await? {
            Entered::Done(id) => return Ok((id, FiledHow::Found)),
            Entered::UnderWay => return Err(under_way()),
            Entered::New => false,
            Entered::Begun => true,
        };
        let made = async {
            let found = if begun { find.await.map_err(|error| (Left::Unknown, error))? } else { None };
            if let Some(id) = found {
                return Ok((id, FiledHow::Found));
            }
            make.await.map(|id| (id, FiledHow::Made)).map_err(|error| (left_by(&error), error))
        };
        match made.await {
            Ok((id, how)) => {
                self.ledger.done(key, &id).await?;
                Ok((id, how))
            }
            Err((left, error)) => {
                self.ledger.let_go(key, left).await?;
                Err(error)
            }
        }
    }

    async fn made(&self, call: Call) -> Result<RemoteId> {
        Ok(RemoteId::new(self.api.read::<Data<Made>>(call).await?.body.data.id))
    }

    /// The first of a list that `is_it` knows.
    async fn found(&self, ask: impl Fn(Page) -> Call, is_it: impl Fn(&Row) -> bool) -> Result<Option<Row>> {
        for number in 1..=MOST_PAGES {
            let rows = self.rows(ask(Page { size: PAGE, number })).await?;
            let end = rows.len() < SMALLEST_PAGE;
            if let Some(row) = rows.into_iter().find(&is_it) {
                return Ok(Some(row));
            }
            if end {
                break;
            }
        }
        Ok(None)
    }

    /// Files a message at one contact or company, once; whether this call made it.
    async fn file_at(&self, mail: &TrackedMail, subject: &Subject, attach: Attach) -> Result<(RemoteId, FiledHow)> {
        // Before the e-mail: one that is there has all that belongs to it. And before it is begun: it may take long.
        let attached = match attach {
            Attach::Here => self.attach(mail, subject).await?,
            Attach::Elsewhere => Attached::default(),
        };
        let key = format!("mail:{}:{}:{}", mail.key, kind(subject), subject.id.as_str());
        let placed = |id: &str| Place { subject: subject.clone(), id: id.to_owned() }.written();
        let find = async {
            let ours = reference(mail.key.as_str());
            let is_it = |row: &Row| text(row.get("content")).contains(&ours);
            let row = self.found(|page| requests::tracked(&whole(subject), page), is_it).await?;
            Ok(row.map(|row| RemoteId::new(text(row.get("id")))))
        };
        let make = async {
            let content = content(mail, &attached);
            let mut body = json!({"subject": whole(subject), "title": mail.envelope.subject, "content": content});
            if !attached.files.is_empty() {
                body["attachments"] = json!(attached.files);
            }
            self.made(Call { method: "emailTracking.create", body }).await
        };
        let (id, how) = self.made_once(&key, find, make).await?;
        Ok((placed(id.as_str()), how))
    }

    /// Adds somebody whom nobody has by now: asked for directly, whatever is kept.
    async fn add(&self, person: &NewPerson) -> Result<Subject> {
        if let Some(subject) = self.asked(&person.address).await?.into_iter().next() {
            return Ok(subject);
        }
        let body = json!({
            "first_name": person.first_name, "last_name": person.last_name,
            "emails": [{"type": "primary", "email": person.address.as_str()}],
        });
        let id = self.made(Call { method: "contacts.add", body }).await?;
        let subject = Subject { kind: SubjectKind::Contact, id };
        self.book.keep(&person.address, std::slice::from_ref(&subject)).await?;
        Ok(subject)
    }

    /// The kind of work a task is of: mandatory, and the account's own. The first there is.
    async fn work_type(&self) -> Result<String> {
        let page = json!({"page": {"size": PAGE, "number": 1}});
        let rows = self.rows(Call { method: "workTypes.list", body: page }).await?;
        let first = rows.first().map(|row| text(row.get("id")).to_owned()).filter(|id| !id.is_empty());
        first.ok_or_else(|| error::refused("tasks.create", "this Teamleader account has no work type for a task"))
    }
}

/// What a refused or unanswered create left behind.
fn left_by(error: &ConnectorError) -> Left {
    if error.kind == ErrorKind::Retryable { Left::Unknown } else { Left::Nothing }
}

fn under_way() -> ConnectorError {
    let detail = "another mailbox of this account is writing this at the moment";
    ConnectorError::new(PROVIDER, "mail.ledger", ErrorKind::Retryable, detail)
}

fn name_of(row: &Row) -> String {
    let name = text(row.get("name"));
    let person = format!("{} {}", text(row.get("first_name")), text(row.get("last_name")));
    if name.is_empty() { person.trim().to_owned() } else { name.to_owned() }
}

#[async_trait]
impl MailDesk for TeamleaderMail {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    async fn known(&self, addresses: &[Address]) -> Result<BTreeMap<Address, Vec<Subject>>> {
        self.holders(addresses).await
    }

    /// Of several who add one address at the same time, one looks and adds; the others find the contact then.
    async fn add_person(&self, person: &NewPerson) -> Result<Subject> {
        let key = format!("person:{}", person.address.as_str());
        if self.ledger.begin(&key).await? == Entered::UnderWay {
            return Err(under_way());
        }
        let added = self.add(person).await;
        self.ledger.let_go(&key, added.as_ref().err().map_or(Left::Nothing, left_by)).await?;
        added
    }

    async fn names(&self, subjects: &[Subject]) -> Result<Vec<Option<String>>> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for of in [SubjectKind::Contact, SubjectKind::Company] {
            let ids: BTreeSet<&str> = subjects.iter().filter(|s| s.kind == of).map(|s| s.id.as_str()).collect();
            let ids: Vec<&str> = ids.into_iter().collect();
            for some in ids.chunks(IDS) {
                let page = Page { size: PAGE, number: 1 };
                let call = match of {
                    SubjectKind::Contact => requests::contacts(requests::one("ids", json!(some)), Sort::Added, page),
                    SubjectKind::Company => requests::companies_by_id(some),
                };
                let rows = self.rows(call).await?;
                names.extend(rows.iter().map(|row| (text(row.get("id")).to_owned(), name_of(row))));
            }
        }
        Ok(subjects.iter().map(|subject| names.get(subject.id.as_str()).cloned()).collect())
    }

    /// At each contact and company one tracked e-mail, as Teamleader has it; the id is that of the first.
    async fn file(&self, mail: &TrackedMail) -> Result<Filed> {
        let mut filed: Option<Filed> = None;
        for (number, subject) in mail.at.iter().enumerate() {
            // A tracked e-mail takes files of its own record alone.
            let attach = if number == 0 { Attach::Here } else { Attach::Elsewhere };
            let at = self.file_at(mail, subject, attach).await;
            if at.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound) {
                // Deleted in Teamleader, which does not tell it: asked for afresh next time.
                self.book.forget(std::slice::from_ref(subject)).await?;
            }
            let (id, how) = at?;
            let filed = filed.get_or_insert(Filed { id, how });
            if how == FiledHow::Made {
                filed.how = FiledHow::Made;
            }
        }
        filed.ok_or_else(|| error::refused("emailTracking.create", "the message is filed at nobody"))
    }

    async fn add_task(&self, email: &RemoteId, task: &MailTask) -> Result<RemoteId> {
        const OPERATION: &str = "tasks.create";
        let place = Place::read(email).ok_or_else(|| error::refused(OPERATION, "the e-mail is not known"))?;
        let (key, ours) = (format!("task:{}", email.as_str()), reference(&place.id.replace('-', "")));
        let find = async {
            let is_it = |row: &Row| text(row.get("description")).contains(&ours);
            let row = self.found(|page| requests::tasks_of(&whole(&place.subject), &ours, page), is_it).await?;
            Ok(row.map(|row| RemoteId::new(text(row.get("id")))))
        };
        let title = if task.title.is_empty() { "E-mail without a subject" } else { &task.title };
        let make = async {
            let body = json!({
                "title": title, "description": format!("{}\n{ours}", task.link), "due_on": task.due_on.to_string(),
                "work_type_id": self.work_type().await?, "customer": whole(&place.subject),
            });
            self.made(Call { method: OPERATION, body }).await
        };
        Ok(self.made_once(&key, find, make).await?.0)
    }

    /// Teamleader's API has no deletion of a tracked e-mail: a person must take it out.
    async fn remove(&self, _email: &RemoteId, _participant: &Address) -> Result<()> {
        let detail = "Teamleader cannot take a tracked e-mail out by its API; delete it in Teamleader";
        Err(error::refused("emailTracking.delete", detail))
    }

    async fn titles(&self, emails: &[RemoteId]) -> Result<Vec<Option<String>>> {
        let mut titles = Vec::with_capacity(emails.len());
        for email in emails {
            let Some(place) = Place::read(email) else {
                titles.push(None);
                continue;
            };
            let is_it = |row: &Row| text(row.get("id")) == place.id;
            let row = self.found(|page| requests::tracked(&whole(&place.subject), page), is_it).await?;
            titles.push(row.map(|row| text(row.get("title")).to_owned()));
        }
        Ok(titles)
    }
}
