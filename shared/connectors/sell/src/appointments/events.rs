//! The other side's appointments as tasks: one at each lead and contact who is invited, as a task hangs on one record.
//!
//! The tasks of an appointment are one record here, whose id names them all. Each has a mark in its text, by which a
//! repeated create finds it. A task cannot say what an appointment says, so this record shows no fields; what people do to
//! the tasks stays, but for their text and times, which follow the appointment.
use super::SellAppointments;
use crate::api::{self, Call, PAGE, is_last};
use crate::error;
use crate::wire::{Contact, Many, One};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::event::{Moment, copy_name, field};
use tandem_core::normalise;
use tandem_core::record::{Fields, RemoteId, Scope, Version};
use tandem_ports::connector::{Draft, Fetched, Known, Patch, Written};
use tandem_ports::error::{ErrorKind, Result};

/// Before the ids of the tasks.
const TASKS: &str = "tasks:";
/// Before the mark, in a line of its own.
const MARK: &str = "Tandem: ";
/// Leads and contacts of one appointment who get a task.
const MOST: usize = 25;
/// Pages of a record's tasks that are searched for ours.
const MOST_PAGES: usize = 5;

/// What a task hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource {
    /// `lead` or `contact`.
    kind: &'static str,
    id: u64,
}

/// What a task says of an appointment.
struct Said {
    content: String,
    due: Option<Timestamp>,
    remind: Option<Timestamp>,
}

/// Whether it is an appointment of the other side's.
pub(super) fn is_one(id: &RemoteId) -> bool {
    id.as_str().starts_with(TASKS)
}

fn id_of(tasks: &BTreeSet<u64>) -> RemoteId {
    let ids: Vec<String> = tasks.iter().map(u64::to_string).collect();
    RemoteId::new(format!("{TASKS}{}", ids.join("+")))
}

fn tasks_of(id: &RemoteId) -> Result<BTreeSet<u64>> {
    let numbers = id.as_str().trim_start_matches(TASKS).split('+').map(str::parse);
    numbers
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| error::refused("tasks.get", "these are no ids of Sell's"))
}

fn resource_of(task: &Contact) -> Option<Resource> {
    let kind = ["lead", "contact"].into_iter().find(|kind| task.text("resource_type") == *kind)?;
    Some(Resource { kind, id: task.0.get("resource_id")?.as_u64()? })
}

fn mark_of(task: &Contact) -> Option<&str> {
    task.text("content").lines().find_map(|line| line.strip_prefix(MARK))
}

fn said(fields: &Fields, offset: Offset, mark: Option<&str>) -> Said {
    let start = Moment::parse(fields.text(&field::START), &TimeZone::UTC);
    let when = match start {
        Some(Moment::Day(day)) => day.to_string(),
        Some(Moment::At(at)) => offset.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string(),
        None => String::new(),
    };
    let title = Some(fields.text(&field::TITLE)).filter(|title| !title.is_empty()).unwrap_or("Appointment");
    let parts = [title, fields.text(&field::LOCATION), &when];
    let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let mark = mark.map(|mark| format!("\n{MARK}{mark}")).unwrap_or_default();
    let due = start.and_then(|start| match start {
        Moment::At(at) => Some(at),
        // As for any task without an hour.
        Moment::Day(day) => offset.to_timestamp(day.at(12, 0, 0, 0)).ok(),
    });
    let minutes = fields.text(&field::REMINDER_MINUTES).parse().ok().map(SignedDuration::from_mins);
    let remind = due.zip(minutes).and_then(|(due, before)| due.checked_sub(before).ok());
    Said { content: format!("📅 {text}{mark}"), due, remind }
}

impl Said {
    fn attributes(&self) -> Json {
        let time = |at: Option<Timestamp>| at.map_or(Json::Null, |at| json!(at.to_string()));
        json!({"content": self.content, "due_date": time(self.due), "remind_at": time(self.remind)})
    }
}

fn written(tasks: &BTreeSet<u64>) -> Written {
    Written { id: id_of(tasks), version: Version::new("tasks"), shown: Some(Fields::new()) }
}

impl SellAppointments {
    /// The leads and contacts that are invited.
    async fn matched(&self, fields: &Fields) -> Result<BTreeSet<Resource>> {
        let mut matched = BTreeSet::new();
        for guest in fields.items(&field::ATTENDEES) {
            let email = normalise::email(guest.part("email"));
            if email.is_empty() {
                continue;
            }
            let known = self.held().with_address.get(&email).cloned();
            let found = match known {
                Some(found) => found,
                None => {
                    let found = self.with_address(&email).await?;
                    self.held().with_address.insert(email, found.clone());
                    found
                }
            };
            matched.extend(found);
        }
        Ok(matched.into_iter().take(MOST).collect())
    }

    async fn with_address(&self, email: &str) -> Result<Vec<Resource>> {
        let query = || vec![("email", email.to_owned()), ("per_page", PAGE.to_string())];
        let mut found = Vec::new();
        for (kind, call) in [("lead", Call::leads(query())), ("contact", Call::list(query()))] {
            let operation = call.operation;
            let read: Many<Contact> = api::parse(operation, &self.client.send(call).await?)?;
            let same = read.items.iter().filter(|one| normalise::email(one.data.text("email")) == email);
            found.extend(same.filter_map(|one| Some(Resource { kind, id: one.data.id()? })));
        }
        Ok(found)
    }

    /// An appointment without a lead or contact among its guests is nobody's in Sell.
    pub(super) async fn without_guests_in_sell(&self, fields: &[Fields]) -> Result<Vec<Option<String>>> {
        let mut refusals = Vec::with_capacity(fields.len());
        for fields in fields {
            let nobody = self.matched(fields).await?.is_empty();
            refusals.push(nobody.then(|| "None of its guests is a lead or contact in Zendesk Sell.".to_owned()));
        }
        Ok(refusals)
    }

    pub(super) async fn make_tasks(&self, draft: &Draft) -> Result<Written> {
        let mark = copy_name(&draft.marker);
        let said = said(&draft.fields, self.me().await?.offset, Some(&mark));
        let mut tasks = BTreeSet::new();
        for resource in self.matched(&draft.fields).await? {
            tasks.insert(self.find_or_make(resource, Some(&mark), &said).await?);
        }
        if tasks.is_empty() {
            return Err(error::refused("tasks.create", "none of its guests is a lead or contact any more"));
        }
        Ok(written(&tasks))
    }

    /// A guest who is new gets a task, one who is no guest any more loses it; where nobody is left, they stay.
    pub(super) async fn change_tasks(&self, patch: &Patch) -> Result<Written> {
        let held: Vec<Contact> = serde_json::from_value(patch.raw.clone()).unwrap_or_default();
        let mark = held.iter().find_map(mark_of).map(str::to_owned);
        let said = said(&patch.fields, self.me().await?.offset, mark.as_deref());
        let matched = self.matched(&patch.fields).await?;
        let mut tasks = BTreeSet::new();
        let mut served = BTreeSet::new();
        for task in &held {
            let Some(id) = task.id() else { continue };
            let resource = resource_of(task);
            if matched.is_empty() || resource.is_some_and(|one| matched.contains(&one)) {
                match self.client.send(Call::update_task(id, said.attributes())).await {
                    Ok(_) => drop(tasks.insert(id)),
                    Err(refused) if refused.kind == ErrorKind::NotFound => {}
                    Err(other) => return Err(other),
                }
                served.extend(resource);
            } else {
                self.delete_task(id).await?;
            }
        }
        for resource in matched.difference(&served) {
            tasks.insert(self.find_or_make(*resource, mark.as_deref(), &said).await?);
        }
        if tasks.is_empty() { Err(error::gone("tasks.update")) } else { Ok(written(&tasks)) }
    }

    pub(super) async fn delete_tasks(&self, id: &RemoteId) -> Result<()> {
        for task in tasks_of(id)? {
            self.delete_task(task).await?;
        }
        Ok(())
    }

    async fn delete_task(&self, id: u64) -> Result<()> {
        match self.client.send(Call::delete_task(id)).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.kind == ErrorKind::NotFound => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// The task with this mark at a lead or contact, or a new one.
    async fn find_or_make(&self, resource: Resource, mark: Option<&str>, said: &Said) -> Result<u64> {
        if let Some(mark) = mark
            && let Some(made) = self.find(resource, mark).await?
        {
            self.client.send(Call::update_task(made, said.attributes())).await?;
            return Ok(made);
        }
        let mut task = said.attributes();
        task["resource_type"] = json!(resource.kind);
        task["resource_id"] = json!(resource.id);
        let made: One<Contact> =
            api::parse("tasks.create", &self.client.send(Call::create_task(without_nulls(task))).await?)?;
        made.data.id().ok_or_else(|| error::unreadable("tasks.create"))
    }

    async fn find(&self, resource: Resource, mark: &str) -> Result<Option<u64>> {
        for page in 1..=MOST_PAGES {
            let query = vec![
                ("resource_type", resource.kind.to_owned()),
                ("resource_id", resource.id.to_string()),
                ("sort_by", "created_at:desc".to_owned()),
                ("page", page.to_string()),
                ("per_page", PAGE.to_string()),
            ];
            let read: Many<Contact> = api::parse("tasks.list", &self.client.send(Call::tasks(query)).await?)?;
            if let Some(found) = read.items.iter().find(|one| mark_of(&one.data) == Some(mark)) {
                return Ok(found.data.id());
            }
            if is_last(&read, PAGE) {
                break;
            }
        }
        Ok(None)
    }

    /// An appointment is there as long as one of its tasks is.
    pub(super) async fn look_up_tasks(&self, ids: impl Iterator<Item = &RemoteId>) -> Result<Vec<Known>> {
        let groups = ids.map(|id| Ok((id, tasks_of(id)?))).collect::<Result<Vec<_>>>()?;
        let wanted: Vec<String> = groups
            .iter()
            .flat_map(|(_, tasks)| tasks)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(u64::to_string)
            .collect();
        let mut found: BTreeMap<u64, Contact> = BTreeMap::new();
        for some in wanted.chunks(PAGE) {
            let call = Call::tasks(vec![("ids", some.join(",")), ("per_page", PAGE.to_string())]);
            let read: Many<Contact> = api::parse("tasks.list", &self.client.send(call).await?)?;
            found.extend(read.items.into_iter().filter_map(|one| Some((one.data.id()?, one.data))));
        }
        let mut known = Vec::with_capacity(groups.len());
        for (id, tasks) in groups {
            let mut held: Vec<Json> = Vec::new();
            for task in &tasks {
                // Leaving an id out of a list proves nothing.
                let read = match found.get(task) {
                    Some(read) => Some(read.clone()),
                    None => self.read_task(*task).await?,
                };
                held.extend(read.map(|read| Json::Object(read.0)));
            }
            known.push(if held.is_empty() { Known::Gone } else { Known::There(Box::new(as_one(id, held))) });
        }
        Ok(known)
    }

    async fn read_task(&self, id: u64) -> Result<Option<Contact>> {
        match self.client.send(Call::task(id)).await {
            Ok(response) => api::parse::<One<Contact>>("tasks.get", &response).map(|one| Some(one.data)),
            Err(refused) if refused.kind == ErrorKind::NotFound => Ok(None),
            Err(other) => Err(other),
        }
    }
}

fn as_one(id: &RemoteId, tasks: Vec<Json>) -> Fetched {
    Fetched {
        id: id.clone(),
        version: Version::new("tasks"),
        scope: Scope::Inside,
        marker: None,
        fields: Fields::new(),
        modified_at: None,
        raw: Json::Array(tasks),
    }
}

/// What the first of its tasks is called.
pub(super) fn title(copy: &Fetched) -> Option<String> {
    let content = copy.raw.get(0)?.get("content")?.as_str()?;
    content.lines().next().filter(|line| !line.is_empty()).map(str::to_owned)
}

fn without_nulls(mut task: Json) -> Json {
    if let Some(attributes) = task.as_object_mut() {
        attributes.retain(|_, value| !value.is_null());
    }
    task
}
