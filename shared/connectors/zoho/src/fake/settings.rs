//! Users, the organisation, fields, list views, profiles.
use super::state::{FieldDef, State};
use super::{Answer, Asked, Refusal};
use serde_json::{Value, json};

/// Permission name, label, module.
const GOOGLE: (&str, &str) = ("Crm_Implied_Sync_Google_Contacts", "Sync with Google Contacts");
const CALENDAR: (&str, &str) = ("Crm_Implied_Sync_Google_Calendar", "Sync with Google Calendar");
/// The modules that records are in.
pub(super) const MODULES: [&str; 6] = ["Contacts", "Accounts", "Events", "Tasks", "Leads", "Deals"];
const RIGHTS: [&str; 4] = ["View", "Create", "Edit", "Delete"];

fn field(api_name: &str, data_type: &str, length: usize) -> FieldDef {
    FieldDef {
        api_name: api_name.to_owned(),
        label: api_name.replace('_', " "),
        data_type: data_type.to_owned(),
        length,
        ..FieldDef::default()
    }
}

fn read_only(api_name: &str, data_type: &str) -> FieldDef {
    FieldDef { read_only: true, ..field(api_name, data_type, 0) }
}

fn of_tasks() -> Vec<FieldDef> {
    let states = ["Not Started", "Deferred", "In Progress", "Completed", "Waiting for input"];
    let values = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    vec![
        FieldDef { mandatory: true, ..field("Subject", "text", 255) },
        field("Due_Date", "date", 20),
        FieldDef { values: values(&states), ..field("Status", "picklist", 120) },
        FieldDef {
            values: values(&["High", "Highest", "Low", "Lowest", "Normal"]),
            ..field("Priority", "picklist", 120)
        },
        field("Description", "textarea", 32_000),
        field("Who_Id", "lookup", 120),
        field("What_Id", "lookup", 120),
        field("Remind_At", "alarm", 0),
        field("Recurring_Activity", "recurrence", 0),
        read_only("Closed_Time", "datetime"),
    ]
}

/// What a new organisation has.
pub(super) fn default_fields(module: &str) -> Vec<FieldDef> {
    let times = || {
        [
            ("Created_Time", "datetime"),
            ("Modified_Time", "datetime"),
            ("Owner", "ownerlookup"),
            ("Created_By", "ownerlookup"),
        ]
        .map(|(name, kind)| read_only(name, kind))
    };
    if module == "Events" {
        let needed = |name: &str, kind: &str, length| FieldDef { mandatory: true, ..field(name, kind, length) };
        let own = [
            needed("Event_Title", "text", 255),
            needed("Start_DateTime", "datetime", 0),
            needed("End_DateTime", "datetime", 0),
            field("All_day", "boolean", 0),
            field("Venue", "text", 255),
            field("Description", "textarea", 32_000),
            field("Participants", "participants", 0),
            field("Recurring_Activity", "recurrence", 0),
            field("Remind_At", "reminders", 0),
            field("Check_In_Comment", "text", 255),
        ];
        return own.into_iter().chain(times()).collect();
    }
    if module == "Tasks" {
        return of_tasks().into_iter().chain(times()).collect();
    }
    if module == "Accounts" {
        let name = FieldDef { mandatory: true, ..field("Account_Name", "text", 200) };
        return [name, field("Phone", "phone", 30), field("Website", "website", 450)]
            .into_iter()
            .chain(times())
            .collect();
    }
    if module == "Deals" {
        let needed = |name: &str, kind: &str, length| FieldDef { mandatory: true, ..field(name, kind, length) };
        let own = [needed("Deal_Name", "text", 120), field("Stage", "text", 120), field("Account_Name", "lookup", 120)];
        return own.into_iter().chain(times()).collect();
    }
    let salutations = ["Mr.", "Mrs.", "Ms.", "Dr.", "Prof."].map(str::to_owned).to_vec();
    let mut all = vec![
        FieldDef { values: salutations, ..field("Salutation", "picklist", 120) },
        field("First_Name", "text", 40),
        FieldDef { mandatory: true, ..field("Last_Name", "text", 80) },
        read_only("Full_Name", "text"),
        field("Email", "email", 100),
        field("Secondary_Email", "email", 100),
        field("Phone", "phone", 50),
        field("Mobile", "phone", 30),
        field("Home_Phone", "phone", 30),
        field("Other_Phone", "phone", 30),
        field("Fax", "phone", 30),
        field("Account_Name", "lookup", 120),
        field("Title", "text", 100),
        field("Department", "text", 50),
        field("Date_of_Birth", "date", 20),
        field("Description", "textarea", 32_000),
        field("Email_Opt_Out", "boolean", 5),
        field("Skype_ID", "text", 50),
    ];
    for prefix in ["Mailing", "Other"] {
        let parts = [("Street", 250), ("City", 100), ("State", 100), ("Zip", 30), ("Country", 100)];
        all.extend(parts.map(|(part, length)| field(&format!("{prefix}_{part}"), "text", length)));
    }
    all.extend(times());
    all
}

fn module_of<'a>(state: &State, asked: &'a Asked) -> Result<&'a str, Refusal> {
    let Some(module) = asked.one("module") else {
        return Err(Refusal::new(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing")
            .with(json!({"param_name": "module"})));
    };
    match state.fields.contains_key(module) {
        true => Ok(module),
        false => Err(Refusal::new(400, "INVALID_MODULE", "The module name given seems to be invalid")),
    }
}

pub(super) fn fields(state: &State, asked: &Asked) -> Answer {
    let module = module_of(state, asked)?;
    let one = |(at, field): (usize, &FieldDef)| {
        let kind = match field.data_type.as_str() {
            "boolean" => "boolean",
            "integer" => "integer",
            "double" | "currency" | "percent" => "double",
            "lookup" | "ownerlookup" => "jsonobject",
            "multiselectpicklist" => "jsonarray",
            _ => "string",
        };
        let pick = |value: &String| json!({"display_value": value, "actual_value": value, "type": "used"});
        let mut shown = json!({
            "id": format!("5540230000000{:05}", at), "api_name": field.api_name, "field_label": field.label,
            "display_label": field.label, "data_type": field.data_type, "json_type": kind, "length": field.length,
            "system_mandatory": field.mandatory, "read_only": field.read_only, "field_read_only": field.read_only,
            "custom_field": field.custom, "visible": true, "unique": {}, "lookup": {},
            "pick_list_values": field.values.iter().map(pick).collect::<Vec<_>>(),
            "view_type": {"view": true, "edit": !field.read_only, "create": !field.read_only, "quick_create": false},
        });
        if field.api_name == "Account_Name" && field.data_type == "lookup" {
            shown["lookup"] = json!({"module": {"api_name": "Accounts", "id": "554023000000000111"},
                                     "api_name": "Contacts", "display_label": "Contacts", "id": "554023000000000222"});
        }
        if field.api_name == "Email" && state.settings.unique_email {
            shown["unique"] = json!({"casesensitive": "false"});
        }
        shown
    };
    let all: Vec<Value> = state.fields[module].iter().enumerate().map(one).collect();
    Ok((200, json!({"fields": all})))
}

fn module_json(name: &str) -> Value {
    json!({"api_name": name, "module_name": name, "singular_label": name.trim_end_matches('s'), "plural_label": name,
    "api_supported": true, "generated_type": "default", "viewable": true, "visible": true,
    "id": match name {
        "Contacts" => "554023000000002179",
        "Events" => "554023000000002195",
        "Tasks" => "554023000000002193",
        "Leads" => "554023000000002175",
        "Deals" => "554023000000002181",
        _ => "554023000000002177",
    }})
}

pub(super) fn modules() -> Value {
    json!({"modules": MODULES.map(module_json)})
}

pub(super) fn module(name: &str) -> Answer {
    match name {
        name if MODULES.contains(&name) => Ok((200, json!({"modules": [module_json(name)]}))),
        _ => Err(Refusal::new(400, "INVALID_MODULE", "The module name given seems to be invalid")),
    }
}

pub(super) fn views(state: &State, asked: &Asked, id: Option<&str>) -> Answer {
    let module = module_of(state, asked)?;
    let found = state.views.iter().filter(|view| view.module == module && id.is_none_or(|id| view.id == id));
    let one = |view: &super::state::View| {
        json!({"id": view.id, "name": view.name, "display_value": view.name, "system_name": null, "category": "created_by_me",
               "module": {"api_name": view.module}, "criteria": view.criteria, "default": false, "system_defined": false})
    };
    let all: Vec<Value> = found.map(one).collect();
    if id.is_some() && all.is_empty() {
        return Err(Refusal::new(400, "INVALID_DATA", "the id given seems to be invalid").with(json!({"id": id})));
    }
    let info = json!({"per_page": 200, "count": all.len(), "page": 1, "more_records": false});
    Ok((200, json!({"custom_views": all, "info": info})))
}

pub(super) fn users(state: &State, account: &str, asked: &Asked) -> Answer {
    let all: Vec<&String> = match asked.one("type").unwrap_or("AllUsers") {
        "CurrentUser" => state.users.keys().filter(|email| *email == account).collect(),
        "AllUsers" | "ActiveUsers" => state.users.keys().collect(),
        _ => return Err(Refusal::parameter("type")),
    };
    let one = |email: &&String| {
        let user = &state.users[*email];
        let profile = state.profiles.get(&user.profile).map(|profile| profile.name.clone());
        json!({
            "id": user.id, "zuid": user.zuid, "full_name": user.name, "last_name": user.name, "email": email,
            "status": "active", "confirm": true, "profile": {"id": user.profile, "name": profile},
            "role": {"name": user.role, "id": "554023000000026005"}, "time_zone": "Europe/Brussels",
        })
    };
    Ok((200, json!({"users": all.iter().map(one).collect::<Vec<_>>(), "info": {"more_records": false}})))
}

pub(super) fn org(state: &State) -> Value {
    json!({"org": [{
        "id": "554023000000020813", "company_name": "The Organisation", "zgid": "20060000000", "time_zone": "Europe/Brussels",
        "type": "production", "currency": "Euro", "primary_email": state.users.keys().next(),
        "license_details": {"paid": true, "paid_type": "enterprise"},
    }]})
}

/// Only the read of one profile shows its permissions, and only who may manage users sees another's.
pub(super) fn profiles(state: &State, account: &str, id: Option<&str>) -> Answer {
    if state
        .profiles
        .get(&state.users[account].profile)
        .is_some_and(|mine| mine.denied.contains("Crm_Implied_Manage_Users"))
    {
        return Err(Refusal::no_permission("Crm_Implied_Manage_Users"));
    }
    let permissions = |denied: &std::collections::BTreeSet<String>| -> Vec<Value> {
        let of =
            |module: &'static str| RIGHTS.map(|right| (format!("Crm_Implied_{right}_{module}"), right, Some(module)));
        let all = MODULES.into_iter().flat_map(of);
        let all = all.chain([GOOGLE, CALENDAR].map(|(name, label)| (name.to_owned(), label, None)));
        let one = |(at, (name, label, module)): (usize, (String, &str, Option<&str>))| {
            json!({"id": format!("5540230000000301{at:02}"), "name": name, "display_label": label, "module": module,
                   "enabled": !denied.contains(&name), "customizable": true})
        };
        all.enumerate().map(one).collect()
    };
    let found = state.profiles.iter().filter(|(known, _)| id.is_none_or(|id| id == known.as_str()));
    let one = |(known, profile): (&String, &super::state::Profile)| {
        let mut shown = json!({"id": known, "name": profile.name, "display_label": profile.name, "type": "normal_profile",
                               "custom": false, "category": false});
        if id.is_some() {
            shown["permissions_details"] = json!(permissions(&profile.denied));
        }
        shown
    };
    let all: Vec<Value> = found.map(one).collect();
    match all.is_empty() {
        true => Ok((204, Value::Null)),
        false => Ok((200, json!({"profiles": all}))),
    }
}
