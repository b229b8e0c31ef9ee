//! `contactGroups.*`.
use super::state::{State, StoredGroup};
use super::{Answer, Asked, Refusal, mask_of};
use serde_json::{Value, json};

fn fields(text: Option<&str>, default: &str) -> Result<Vec<String>, Refusal> {
    let valid = ["clientData", "groupType", "memberCount", "metadata", "name"].map(str::to_owned);
    mask_of(text.unwrap_or(default), &valid, "groupFields")
}

fn asked_fields(asked: &Asked) -> Result<Vec<String>, Refusal> {
    fields(asked.one("groupFields"), "metadata,groupType,memberCount,name")
}

fn shown(state: &State, account: &str, resource: &str, mask: &[String], most_members: usize) -> Value {
    let held = &state.accounts[account];
    let group = &held.groups[resource];
    let members: Vec<&String> =
        held.people.values().filter(|p| p.groups.iter().any(|g| g == resource)).map(|p| &p.name).collect();
    let mut out = json!({"resourceName": resource, "etag": format!("g{}", group.version)});
    for path in mask {
        match path.as_str() {
            "name" => {
                out["name"] = json!(group.name);
                out["formattedName"] = json!(group.name);
            }
            "groupType" => {
                out["groupType"] = json!(if group.system { "SYSTEM_CONTACT_GROUP" } else { "USER_CONTACT_GROUP" });
            }
            "memberCount" if !members.is_empty() => out["memberCount"] = json!(members.len()),
            "metadata" if !group.system => {
                let at = jiff::Timestamp::from_millisecond(group.updated_ms).unwrap_or_default();
                out["metadata"] = json!({"updateTime": at.to_string()});
            }
            "clientData" if !group.client_data.is_empty() => out["clientData"] = json!(group.client_data),
            _ => {}
        }
    }
    if most_members > 0 && !members.is_empty() {
        out["memberResourceNames"] = json!(members.iter().take(most_members).collect::<Vec<_>>());
    }
    out
}

fn existing(state: &mut State, account: &str, name: &str) -> Result<(), Refusal> {
    if state.account(account).groups.contains_key(name) { Ok(()) } else { Err(Refusal::missing()) }
}

/// `contactGroups.list`. Page tokens are the offset.
pub(super) fn list(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let mask = asked_fields(asked)?;
    let size: usize = asked.one("pageSize").and_then(|n| n.parse().ok()).unwrap_or(0);
    if size > 1000 {
        return Err(Refusal::invalid("pageSize must be between 1 and 1000."));
    }
    let size = if size == 0 { 30 } else { size };
    let from: usize = match asked.one("pageToken") {
        Some(token) => token.parse().map_err(|_| Refusal::invalid("Invalid token."))?,
        None => 0,
    };
    let names: Vec<String> = state.account(account).groups.keys().cloned().collect();
    let page: Vec<Value> =
        names.iter().skip(from).take(size).map(|name| shown(state, account, name, &mask, 0)).collect();
    let mut answer = json!({"contactGroups": page, "totalItems": names.len()});
    if from + size < names.len() {
        answer["nextPageToken"] = json!((from + size).to_string());
    } else {
        answer["nextSyncToken"] = json!(format!("groups-{}", state.seq));
    }
    Ok(answer)
}

fn most_members(asked: &Asked) -> usize {
    asked.one("maxMembers").and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// `contactGroups.get`.
pub(super) fn get(state: &mut State, account: &str, asked: &Asked, name: &str) -> Answer {
    let mask = asked_fields(asked)?;
    existing(state, account, name)?;
    Ok(shown(state, account, name, &mask, most_members(asked)))
}

/// `contactGroups.batchGet`.
pub(super) fn batch_get(state: &mut State, account: &str, asked: &Asked) -> Answer {
    let mask = asked_fields(asked)?;
    let names = asked.all("resourceNames");
    if names.is_empty() || names.len() > 200 {
        return Err(Refusal::invalid("resourceNames: 1 to 200 names are required."));
    }
    let mut responses = Vec::new();
    for name in names {
        responses.push(match existing(state, account, &name) {
            Ok(()) => json!({"requestedResourceName": name, "status": {},
                             "contactGroup": shown(state, account, &name, &mask, most_members(asked))}),
            Err(refusal) => json!({"requestedResourceName": name, "status": refusal.item_status()}),
        });
    }
    Ok(json!({"responses": responses}))
}

/// The name, if it is given and no other group's.
fn free_name(state: &mut State, account: &str, body: &Value, but: &str) -> Result<String, Refusal> {
    let name = body["contactGroup"]["name"].as_str().unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        return Err(Refusal::invalid("Contact group name is required."));
    }
    let same = |(id, group): (&String, &StoredGroup)| id != but && group.name.eq_ignore_ascii_case(&name);
    if state.account(account).groups.iter().any(same) {
        return Err(Refusal::new(409, "ALREADY_EXISTS", "Contact group name already exists."));
    }
    Ok(name)
}

fn client_data(body: &Value) -> Vec<Value> {
    body["contactGroup"]["clientData"].as_array().cloned().unwrap_or_default()
}

/// `contactGroups.create`.
pub(super) fn create(state: &mut State, account: &str, body: &Value) -> Answer {
    let mask = fields(body["readGroupFields"].as_str().filter(|t| !t.is_empty()), "metadata,groupType,name")?;
    let name = free_name(state, account, body, "")?;
    let version = state.next();
    let resource = format!("contactGroups/a{version}");
    let group = StoredGroup { name, system: false, version, updated_ms: state.now_ms, client_data: client_data(body) };
    state.account(account).groups.insert(resource.clone(), group);
    state.wrote(1);
    Ok(shown(state, account, &resource, &mask, 0))
}

/// `contactGroups.update`.
pub(super) fn update(state: &mut State, account: &str, resource: &str, body: &Value) -> Answer {
    let mask = fields(body["readGroupFields"].as_str().filter(|t| !t.is_empty()), "metadata,groupType,name")?;
    let valid = ["clientData", "name"].map(str::to_owned);
    let what = body["updateGroupFields"].as_str().filter(|t| !t.is_empty()).unwrap_or("name");
    let what = mask_of(what, &valid, "updateGroupFields")?;
    existing(state, account, resource)?;
    let etag = format!("g{}", state.account(account).groups[resource].version);
    if state.account(account).groups[resource].system {
        return Err(Refusal::invalid("System contact groups cannot be changed."));
    }
    if body["contactGroup"]["etag"].as_str().is_some_and(|sent| sent != etag) {
        return Err(
            Refusal::new(400, "FAILED_PRECONDITION", "The contact group has changed.").because("failedPrecondition")
        );
    }
    let name =
        if what.iter().any(|path| path == "name") { Some(free_name(state, account, body, resource)?) } else { None };
    let (version, now) = (state.next(), state.now_ms);
    if let Some(group) = state.account(account).groups.get_mut(resource) {
        group.version = version;
        group.updated_ms = now;
        if let Some(name) = name {
            group.name = name;
        }
        if what.iter().any(|path| path == "clientData") {
            group.client_data = client_data(body);
        }
    }
    state.wrote(1);
    Ok(shown(state, account, resource, &mask, 0))
}

/// `contactGroups.delete`.
pub(super) fn delete(state: &mut State, account: &str, asked: &Asked, resource: &str) -> Answer {
    existing(state, account, resource)?;
    if state.account(account).groups[resource].system {
        return Err(Refusal::invalid("System contact groups cannot be deleted."));
    }
    state.account(account).groups.remove(resource);
    let with_contacts = asked.one("deleteContacts") == Some("true");
    let held = state.account(account);
    let members: Vec<_> = held.people.values().filter(|p| p.groups.iter().any(|g| g == resource)).cloned().collect();
    for mut person in members {
        if with_contacts {
            state.remove(account, &person.name);
        } else {
            person.groups.retain(|group| group != resource);
            state.put(account, person);
        }
    }
    state.next();
    state.wrote(1);
    Ok(json!({}))
}

/// `contactGroups.members.modify`.
pub(super) fn modify(state: &mut State, account: &str, resource: &str, body: &Value) -> Answer {
    existing(state, account, resource)?;
    let names = |key: &str| -> Vec<String> {
        body[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (add, remove) = (names("resourceNamesToAdd"), names("resourceNamesToRemove"));
    if add.len() + remove.len() > 1000 {
        return Err(Refusal::invalid("At most 1000 members can be added and removed at once."));
    }
    let closed = state.account(account).groups[resource].system
        && !["contactGroups/myContacts", "contactGroups/starred"].contains(&resource);
    if closed && !add.is_empty() {
        return Err(Refusal::invalid("Members cannot be added to this system contact group."));
    }
    let mut missing = Vec::new();
    let mut last = Vec::new();
    for (name, joins) in add.iter().map(|n| (n, true)).chain(remove.iter().map(|n| (n, false))) {
        let Some(mut person) = state.account(account).people.get(name).cloned() else {
            missing.push(name.clone());
            continue;
        };
        let member = person.groups.iter().any(|group| group == resource);
        if joins == member {
            continue;
        }
        if joins {
            person.groups.push(resource.to_owned());
        } else if person.groups.len() == 1 {
            last.push(name.clone());
            continue;
        } else {
            person.groups.retain(|group| group != resource);
        }
        state.put(account, person);
        state.wrote(1);
    }
    let mut answer = json!({});
    if !missing.is_empty() {
        answer["notFoundResourceNames"] = json!(missing);
    }
    if !last.is_empty() {
        answer["canNotRemoveLastContactGroupResourceNames"] = json!(last);
    }
    Ok(answer)
}
