//! `people.*`.
use super::state::{Approval, BatchRefusal, ListToken, Listed, SYNC_TOKEN_MS, State, Stored, shown, undress};
use super::{Answer, Asked, Refusal, mask_of, schema};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// A contact has one of each at most.
const SINGLETONS: [&str; 4] = ["biographies", "birthdays", "genders", "names"];

fn read_mask(text: &str) -> Result<Vec<String>, Refusal> {
    mask_of(text, &schema::facts().read_mask, "personFields")
}

fn required_mask(asked: &Asked) -> Result<Vec<String>, Refusal> {
    let given = asked.one("personFields").ok_or_else(|| Refusal::invalid("personFields mask is required."))?;
    read_mask(given)
}

/// The parameters that must stay the same while a listing or its deltas go on.
fn parameters(asked: &Asked) -> String {
    let mut kept: Vec<String> = asked
        .query
        .iter()
        .filter(|(name, _)| !["pageToken", "syncToken", "alt", "prettyPrint", "key"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    kept.sort();
    kept.join("&")
}

/// `people.connections.list`.
pub(super) fn list(state: &mut State, account: &str, asked: &Asked) -> Answer {
    if asked.path != "/v1/people/me/connections" {
        return Err(Refusal::invalid("Only people/me is valid."));
    }
    let mask = required_mask(asked)?;
    let size = asked.one("pageSize").map_or(Ok(100), str::parse::<usize>).unwrap_or(0);
    if size > 1000 {
        return Err(Refusal::invalid("pageSize must be between 1 and 1000."));
    }
    let size = if size == 0 { 100 } else { size };
    let token = match (asked.one("pageToken"), asked.one("syncToken")) {
        (Some(page), _) => known(state, account, asked, page)?,
        (None, Some(sync)) => delta(state, account, &known(state, account, asked, sync)?),
        (None, None) => full(state, account, asked)?,
    };
    let (now, after) = token.rest.split_at(token.rest.len().min(size));
    let people: Vec<Value> = now.iter().filter_map(|listed| render(state, account, listed, &mask)).collect();
    let total = token.total;
    let mut answer = json!({"connections": people, "totalPeople": total, "totalItems": total});
    if after.is_empty() {
        if asked.one("requestSyncToken") == Some("true") {
            let sync = ListToken { rest: Vec::new(), is_page: false, ..token };
            answer["nextSyncToken"] = json!(state.keep_list("sync", sync));
        }
    } else {
        let page = ListToken { rest: after.to_vec(), is_page: true, ..token };
        answer["nextPageToken"] = json!(state.keep_list("page", page));
    }
    Ok(answer)
}

fn known(state: &State, account: &str, asked: &Asked, name: &str) -> Result<ListToken, Refusal> {
    let token = state.lists.get(name).filter(|token| token.account == account);
    let token = token.ok_or_else(|| Refusal::invalid("Invalid token."))?;
    if token.is_page != asked.one("pageToken").is_some() {
        return Err(Refusal::invalid("Invalid token."));
    }
    if token.expired || state.now_ms - token.full_at_ms > SYNC_TOKEN_MS {
        let status = match state.settings.expired_as_failed_precondition {
            Approval::Yes => "FAILED_PRECONDITION",
            Approval::No => "INVALID_ARGUMENT",
        };
        let text = "Sync token is expired. Clear local cache and retry call without the sync token.";
        return Err(Refusal::new(400, status, text).because("EXPIRED_SYNC_TOKEN"));
    }
    if token.parameters != parameters(asked) {
        return Err(Refusal::invalid("Request parameters must match the first call that provided the token."));
    }
    Ok(token.clone())
}

fn full(state: &mut State, account: &str, asked: &Asked) -> Result<ListToken, Refusal> {
    if asked.one("requestSyncToken") == Some("true") {
        let limit = state.settings.full_syncs_per_minute;
        state.count(account, "Full sync requests", limit)?;
    }
    let (visible, now) = (visible_until(state), state.now_ms);
    let held = state.account(account);
    let mut people: Vec<&Stored> = held.people.values().collect();
    // LAST_MODIFIED_ASCENDING is the default.
    people.sort_by_key(|person| person.version);
    let rest: Vec<Listed> = people.into_iter().map(|person| Listed::Person(person.name.clone())).collect();
    let seq = held.events.iter().filter(|e| e.at_ms <= visible).map(|e| e.seq).max().unwrap_or(0);
    Ok(ListToken {
        number: 0,
        account: account.to_owned(),
        parameters: parameters(asked),
        full_at_ms: now,
        expired: false,
        seq,
        total: rest.len(),
        rest,
        is_page: true,
    })
}

/// Deltas show the state as of a while ago.
fn visible_until(state: &State) -> i64 {
    state.now_ms - state.settings.lag_ms
}

fn delta(state: &mut State, account: &str, since: &ListToken) -> ListToken {
    let visible = visible_until(state);
    let held = state.account(account);
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for event in held.events.iter().filter(|e| e.seq > since.seq && e.at_ms <= visible) {
        last.insert(&event.name, event.seq);
    }
    let mut order: Vec<u64> = last.into_values().collect();
    order.sort_unstable();
    let seq = order.last().copied().unwrap_or(since.seq);
    let rest: Vec<Listed> = order.into_iter().map(Listed::Event).collect();
    ListToken { seq, total: rest.len(), rest, is_page: true, ..since.clone() }
}

fn render(state: &mut State, account: &str, listed: &Listed, mask: &[String]) -> Option<Value> {
    let held = state.account(account);
    match listed {
        Listed::Person(name) => held.people.get(name).map(|person| shown(&without_previous(person), mask)),
        Listed::Event(seq) => {
            let at = held.events.binary_search_by_key(seq, |event| event.seq).ok()?;
            let event = &held.events[at];
            Some(match &event.person {
                Some(person) => shown(person, mask),
                None => json!({"resourceName": event.name, "etag": "%E0", "metadata": {"deleted": true}}),
            })
        }
    }
}

/// Former names are shown on sync requests only.
fn without_previous(person: &Stored) -> Stored {
    Stored { previous: Vec::new(), ..person.clone() }
}

/// `people.get`.
pub(super) fn get(state: &mut State, account: &str, asked: &Asked, name: &str) -> Answer {
    let mask = required_mask(asked)?;
    let person = state.account(account).people.get(name).ok_or_else(Refusal::missing)?;
    Ok(shown(&without_previous(person), &mask))
}

/// `people.getBatchGet`.
pub(super) fn batch_get(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let mask = required_mask(asked)?;
    let names = asked.all("resourceNames");
    let unique: HashSet<&String> = names.iter().collect();
    if names.is_empty() || names.len() > 200 || unique.len() != names.len() {
        return Err(Refusal::invalid("resourceNames: 1 to 200 different names are required."));
    }
    let held = state.account(account);
    let response = |name: &String| match held.people.get(name) {
        Some(person) => json!({"requestedResourceName": name, "httpStatusCode": 200, "status": {},
                               "person": shown(&without_previous(person), &mask)}),
        None => json!({"requestedResourceName": name, "httpStatusCode": 404,
                       "status": Refusal::missing().item_status()}),
    };
    Ok(json!({"responses": names.iter().map(response).collect::<Vec<_>>()}))
}

/// The fields and groups that a sent person says.
fn parse(state: &State, account: &str, person: &Value) -> Result<(Map<String, Value>, Vec<String>), Refusal> {
    let writable = &schema::facts().update_mask;
    let mut data = Map::new();
    let mut groups = Vec::new();
    let object = person.as_object().ok_or_else(|| Refusal::invalid("A person is required."))?;
    for (path, value) in object.iter().filter(|(path, _)| writable.contains(path)) {
        let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
        if SINGLETONS.contains(&path.as_str()) && entries.len() > 1 {
            return Err(Refusal::invalid(format!("{path} must have at most one value for a contact.")));
        }
        if path == "memberships" {
            groups = memberships(state, account, entries)?;
        } else if !entries.is_empty() {
            data.insert(path.clone(), entries.iter().map(undress).collect());
        }
    }
    Ok((data, groups))
}

fn memberships(state: &State, account: &str, entries: &[Value]) -> Result<Vec<String>, Refusal> {
    let mut groups: Vec<String> = Vec::new();
    for entry in entries {
        let Some(membership) = entry.get("contactGroupMembership") else { continue };
        let name = membership.get("contactGroupResourceName").and_then(Value::as_str).unwrap_or_default();
        let exists = state.accounts.get(account).is_some_and(|held| held.groups.contains_key(name));
        if !exists {
            return Err(Refusal::invalid("Contact group resource name is not valid."));
        }
        if !groups.iter().any(|known| known == name) {
            groups.push(name.to_owned());
        }
    }
    Ok(groups)
}

/// `people.createContact`.
pub(super) fn create_one(state: &mut State, account: &str, asked: &Asked, body: &Value) -> Answer {
    let mask = asked.one("personFields").map_or_else(|| Ok(schema::facts().read_mask.clone()), read_mask)?;
    let (data, groups) = parse(state, account, body)?;
    let person = state.new_person(data, groups);
    let person = state.put(account, person);
    state.wrote(1);
    Ok(shown(&person, &mask))
}

/// `people.batchCreateContacts`.
pub(super) fn batch_create(state: &mut State, account: &str, body: &Value) -> Answer {
    let mask = read_mask(text(body, "readMask"))?;
    let contacts = body["contacts"].as_array().cloned().unwrap_or_default();
    if contacts.is_empty() || contacts.len() > 200 {
        return Err(Refusal::invalid("contacts: 1 to 200 contacts are required."));
    }
    let parsed: Vec<_> = contacts.iter().map(|c| parse(state, account, &c["contactPerson"])).collect();
    let mut parsed = whole_or_items(state, parsed)?.into_iter();
    let mut created = Vec::new();
    let mut count = 0;
    for contact in parsed.by_ref() {
        match contact {
            Ok((data, groups)) => {
                let person = state.new_person(data, groups);
                let person = state.put(account, person);
                count += 1;
                created.push(item(&person, &mask));
            }
            Err(refusal) => created.push(json!({"httpStatusCode": refusal.code, "status": refusal.item_status()})),
        }
    }
    state.wrote(count);
    Ok(if mask.is_empty() { json!({}) } else { json!({"createdPeople": created}) })
}

fn item(person: &Stored, mask: &[String]) -> Value {
    json!({"requestedResourceName": person.name, "httpStatusCode": 200, "status": {}, "person": shown(person, mask)})
}

/// One bad item refuses the whole batch, or only itself.
fn whole_or_items<T>(state: &State, items: Vec<Result<T, Refusal>>) -> Result<Vec<Result<T, Refusal>>, Refusal> {
    match state.settings.batch_refusal {
        BatchRefusal::Item => Ok(items),
        BatchRefusal::Whole => items.into_iter().map(|item| item.map(Ok)).collect(),
    }
}

/// `people.updateContact`.
pub(super) fn update_one(state: &mut State, account: &str, asked: &Asked, name: &str, body: &Value) -> Answer {
    let update = update_mask(asked.one("updatePersonFields").unwrap_or_default())?;
    let mask = asked.one("personFields").map_or_else(|| Ok(update.clone()), read_mask)?;
    let person = updated(state, account, name, body, &update)?;
    let person = state.put(account, person);
    state.wrote(1);
    Ok(shown(&person, &mask))
}

fn update_mask(text: &str) -> Result<Vec<String>, Refusal> {
    let mask = mask_of(text, &schema::facts().update_mask, "updatePersonFields")?;
    if mask.is_empty() { Err(Refusal::invalid("updatePersonFields mask is required.")) } else { Ok(mask) }
}

/// The person after the update, if all is well.
fn updated(state: &State, account: &str, name: &str, sent: &Value, mask: &[String]) -> Result<Stored, Refusal> {
    let live = state.accounts.get(account).and_then(|held| held.people.get(name)).ok_or_else(Refusal::missing)?;
    let named = text(sent, "resourceName");
    if !named.is_empty() && named != name {
        return Err(Refusal::invalid("person.resourceName does not match."));
    }
    let sources = sent["metadata"]["sources"].as_array().cloned().unwrap_or_default();
    let source = sources.iter().find(|source| text(source, "type") == "CONTACT");
    let source = source.ok_or_else(|| Refusal::invalid("Request must set person.metadata.sources of a contact."))?;
    if text(source, "etag") != format!("#v{}", live.version) {
        let message = "Request person.metadata.sources.etag is different than the current contact's etag. Clear local \
                       cache and get the latest person.";
        return Err(Refusal::new(400, "FAILED_PRECONDITION", message).because("failedPrecondition"));
    }
    let (data, groups) = parse(state, account, sent)?;
    let mut person = without_previous(live);
    for path in mask {
        if path == "memberships" {
            if groups.is_empty() {
                return Err(Refusal::invalid("person.memberships must have at least one contact group membership."));
            }
            person.groups.clone_from(&groups);
            continue;
        }
        match data.get(path) {
            Some(entries) => person.data.insert(path.clone(), entries.clone()),
            None => person.data.remove(path),
        };
    }
    Ok(person)
}

/// `people.batchUpdateContacts`.
pub(super) fn batch_update(state: &mut State, account: &str, body: &Value) -> Answer {
    let update = update_mask(text(body, "updateMask"))?;
    let mask = read_mask(text(body, "readMask"))?;
    let contacts = body["contacts"].as_object().cloned().unwrap_or_default();
    if contacts.is_empty() || contacts.len() > 200 {
        return Err(Refusal::invalid("contacts: 1 to 200 contacts are required."));
    }
    let parsed = contacts.iter().map(|(name, sent)| updated(state, account, name, sent, &update)).collect();
    let parsed = whole_or_items(state, parsed)?;
    let mut results = Map::new();
    let mut count = 0;
    for (name, person) in contacts.keys().zip(parsed) {
        let result = match person {
            Ok(person) => {
                count += 1;
                item(&state.put(account, person), &mask)
            }
            Err(refusal) => json!({"requestedResourceName": name, "httpStatusCode": refusal.code,
                                   "status": refusal.item_status()}),
        };
        results.insert(name.clone(), result);
    }
    state.wrote(count);
    Ok(if mask.is_empty() { json!({}) } else { json!({"updateResult": results}) })
}

/// `people.deleteContact`.
pub(super) fn delete_one(state: &mut State, account: &str, name: &str) -> Answer {
    if !state.remove(account, name) {
        return Err(Refusal::missing());
    }
    state.wrote(1);
    Ok(json!({}))
}

/// `people.batchDeleteContacts`: nothing is deleted where one is not there.
pub(super) fn batch_delete(state: &mut State, account: &str, body: &Value) -> Answer {
    let names: Vec<String> =
        body["resourceNames"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if names.is_empty() || names.len() > 500 {
        return Err(Refusal::invalid("resourceNames: 1 to 500 names are required."));
    }
    let held = state.account(account);
    if names.iter().any(|name| !held.people.contains_key(name)) {
        return Err(Refusal::missing());
    }
    for name in &names {
        state.remove(account, name);
    }
    state.wrote(names.len());
    Ok(json!({}))
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
