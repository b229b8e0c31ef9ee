//! Profiles: each integration's rules as data, and a user's settings judged against them.
use crate::calendar::{self, CalendarSettings};
use crate::contact::field;
use crate::error::Invalid;
use crate::files::settings::{self, FileRules, FileSettings, VendorRules};
use crate::mail::MailRules;
use crate::mail::rules::SETTINGS as MAIL_SETTINGS;
use crate::normalise::Region;
use crate::policy::{
    Conflict, Container, Direction, Eligibility, FieldRule, MatchKey, OnDelete, OnLeave, Policy, RunLimits,
};
use crate::record::{Field, Side};
use crate::task;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

mod catalogue;

pub use catalogue::PROFILES;

/// Whether the caps of the product that the profile is named after apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limits {
    /// No caps: bounded, resumable batches; manual start as well.
    None,
    /// The product's caps, exactly.
    Vendor,
}

/// The caps of the product that a profile is named after (`limits: vendor`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorLimits {
    /// Most records that a run carries across.
    pub run: RunLimits,
    /// Whether a person may start a run.
    pub manual_start: bool,
    /// The one frequency, in minutes, where the product has only one.
    pub frequency_minutes: Option<u32>,
}

/// The rules of one integration.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// As in the API.
    pub id: &'static str,
    /// As people call it.
    pub name: &'static str,
    /// `contacts`, …
    pub kind: &'static str,
    /// Providers that may be its CRM side.
    pub crm: &'static [&'static str],
    /// Providers that may be its remote side.
    pub remote: &'static [&'static str],
    /// Directions it permits, the default first.
    pub directions: &'static [Direction],
    /// Conflict rules it permits, the default first.
    pub conflicts: &'static [Conflict],
    /// What a deletion in the CRM may mean, the default first.
    pub on_crm_delete: &'static [OnDelete],
    /// What a deletion at the remote may mean, the default first.
    pub on_remote_delete: &'static [OnDelete],
    /// What leaving the CRM list means.
    pub on_crm_leave: OnLeave,
    /// What leaving the remote group means.
    pub on_remote_leave: OnLeave,
    /// Deletions in the CRM delete only copies that we made.
    pub delete_only_own_copies: bool,
    /// Names of its remote group: the one it makes, then those of ours that it adopts.
    pub group_names: &'static [&'static str],
    /// Whether a contact carries its company's name and phone number along.
    pub carry_company: bool,
    /// The default eligibility.
    pub eligibility: Eligibility,
    /// The default match keys.
    pub match_on: &'static [MatchKey],
    /// The default frequency, in minutes.
    pub frequency_minutes: u32,
    /// The product's caps.
    pub vendor: VendorLimits,
    /// What it has besides when it carries files.
    pub files: Option<FileRules>,
}

/// The profile that keeps tasks in step. Tasks are worked on in the calendars' queue and at their hours.
const TASKS: &str = "sell-google-tasks";
/// The kind of the profiles that keep appointments in step.
const CALENDARS: &str = "calendar";
/// The kind of the profiles that track mail.
const MAIL: &str = "mail";
/// The settings that a mail profile shares with the others.
const MAIL_SHARES: [&str; 2] = ["limits", "frequency_minutes"];

/// A profile by id.
pub fn profile(id: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.id == id)
}

/// A user's settings with the profile's defaults filled in; every value is one that the profile permits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Which way values flow.
    pub direction: Direction,
    /// Who wins a field that both sides changed.
    pub conflict: Conflict,
    /// What a deletion in the CRM means.
    pub on_crm_delete: OnDelete,
    /// What a deletion at the remote means.
    pub on_remote_delete: OnDelete,
    /// Whether the product's caps apply.
    pub limits: Limits,
    /// How often the schedule takes it up: 5 to 1440.
    pub frequency_minutes: u32,
    /// The mass-delete guard, in percent of the linked records: 0 to 100.
    pub max_delete_percent: u8,
    /// The remote group (an id from `choices`, or a name) or task list; `None` = the profile's own, or the account's.
    pub remote_group: Option<String>,
    /// The CRM list or segment: an id from `choices`; `None` = all.
    pub crm_list: Option<String>,
    /// The mapped fields.
    pub field_map: Vec<FieldRule>,
    /// Which records may be created on the remote side.
    pub eligibility: Eligibility,
    /// How records are recognised.
    pub match_on: Vec<MatchKey>,
    /// ISO 3166 code of the country that phone numbers without a country code belong to; `None` = leave them as typed.
    pub phone_region: Option<String>,
    /// What a files sync has besides; `None` in every other.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub files: Option<FileSettings>,
    /// What a mail sync goes by; `None` in every other.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailRules>,
    /// What a calendar sync has besides; `None` in every other.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarSettings>,
}

impl Profile {
    /// Whether its records are tasks: of the calendars' kind, with settings and rights of their own.
    pub fn carries_tasks(&self) -> bool {
        self.id == TASKS
    }

    fn carries_appointments(&self) -> bool {
        self.kind == CALENDARS && !self.carries_tasks()
    }

    fn container(&self) -> Container {
        match (self.carries_tasks(), self.carries_appointments()) {
            (true, _) => Container::TaskList,
            (false, true) => Container::Calendars,
            (false, false) => Container::Group,
        }
    }

    /// What a user must allow us at the remote, in a word: the kind, but for tasks.
    pub fn grant(&self) -> &'static str {
        if self.carries_tasks() { "tasks" } else { self.kind }
    }

    /// Judges settings; what is left out takes the default.
    pub fn settings(&self, given: &Map<String, Value>) -> Result<Settings, Invalid> {
        let read = Reader { given };
        read.refuse_unknown(&self.setting_names())?;
        let limits = read.value("limits", "`none` or `vendor`")?.unwrap_or(Limits::None);
        let fixed = self.vendor.frequency_minutes.filter(|_| limits == Limits::Vendor);
        let calendar = self.carries_appointments().then(|| CalendarSettings::read(given, calendar::rules(self.id)));
        let calendar = calendar.transpose()?;
        let direction = read.one_of("direction", self.directions)?;
        calendar.as_ref().map_or(Ok(()), |calendar| calendar.permit(direction))?;
        let settings = Settings {
            direction: calendar.as_ref().map_or(direction, |calendar| calendar.narrow(direction)),
            conflict: read.one_of("conflict", self.conflicts)?,
            on_crm_delete: read.one_of("on_crm_delete", self.on_crm_delete)?,
            on_remote_delete: read.one_of("on_remote_delete", self.on_remote_delete)?,
            limits,
            frequency_minutes: read.number("frequency_minutes", 5, 1440, fixed.unwrap_or(self.frequency_minutes))?,
            max_delete_percent: u8::try_from(read.number("max_delete_percent", 0, 100, 50)?).unwrap_or(100),
            remote_group: read.text(if self.carries_tasks() { task::LIST } else { "remote_group" }, 200)?,
            crm_list: read.text("crm_list", 100)?,
            field_map: self.field_map(&read)?,
            eligibility: self.eligibility(&read)?,
            match_on: self.match_on(&read)?,
            phone_region: read.text("phone_region", 2)?,
            files: self.files.map(|rules| rules.settings(given, vendor_rules(limits))).transpose()?,
            mail: (self.kind == MAIL).then(|| MailRules::read(given)).transpose()?,
            calendar,
        };
        if let Some(minutes) = fixed.filter(|fixed| *fixed != settings.frequency_minutes) {
            let message = format!("With `limits`: `vendor` this sync runs every {minutes} minutes.");
            return Err(Invalid::new("settings.frequency_minutes", message));
        }
        if settings.phone_region.as_deref().is_some_and(|code| Region::of(code) == Region::none()) {
            return Err(Invalid::new("settings.phone_region", "An ISO country code such as `BE` or `DE`."));
        }
        Ok(settings)
    }

    /// A sync's settings with what a person changes of them; `null` puts one back to its default. Not judged yet.
    pub fn changed(&self, mut settings: Map<String, Value>, given: Map<String, Value>) -> Map<String, Value> {
        if self.carries_appointments() {
            calendar::follow(&mut settings, &given);
        }
        settings.extend(given);
        settings.retain(|_, value| !value.is_null());
        settings
    }

    /// Settings as the API shows them: those that the profile has, each under the name by which it is given.
    pub fn shown(&self, settings: &Settings) -> Map<String, Value> {
        let Ok(Value::Object(mut all)) = serde_json::to_value(settings) else { return Map::new() };
        if self.carries_tasks()
            && let Some(list) = all.remove("remote_group")
        {
            all.insert(task::LIST.to_owned(), list);
        }
        let known = self.setting_names();
        all.retain(|name, _| known.contains(&name.as_str()));
        all
    }

    /// The names of its settings.
    pub fn setting_names(&self) -> Vec<&'static str> {
        match (self.kind, self.files) {
            (MAIL, _) => [&MAIL_SHARES[..], &MAIL_SETTINGS[..]].concat(),
            (CALENDARS, _) if self.carries_tasks() => [&SHARED_SETTINGS[..], &[task::LIST]].concat(),
            (CALENDARS, _) => [&SHARED_SETTINGS[..], &calendar::names(self.id)].concat(),
            (_, Some(_)) => [&SHARED_SETTINGS[..], &settings::NAMES[..]].concat(),
            (_, None) => [&SHARED_SETTINGS[..], &RECORD_SETTINGS[..]].concat(),
        }
    }

    fn eligibility(&self, read: &Reader<'_>) -> Result<Eligibility, Invalid> {
        let expected = "`strict` or `relaxed`";
        match read.value("eligibility", expected)? {
            // Contacts without a name are none.
            Some(Eligibility::Any) => Err(Invalid::new("settings.eligibility", format!("Must be {expected}."))),
            given => Ok(given.unwrap_or(self.eligibility)),
        }
    }

    fn match_on(&self, read: &Reader<'_>) -> Result<Vec<MatchKey>, Invalid> {
        let expected = "a list of `email`, `work_email`, `phone` and `name`";
        Ok(read.value("match_on", expected)?.unwrap_or_else(|| self.match_on.to_vec()))
    }

    fn field_map(&self, read: &Reader<'_>) -> Result<Vec<FieldRule>, Invalid> {
        let expected = "a list of {\"crm\", \"remote\", \"direction\"}";
        let default = self.directions.first().copied().unwrap_or(Direction::Both);
        if self.carries_tasks() {
            return Ok(task::field_map(default));
        }
        if self.kind == CALENDARS {
            return Ok(calendar::field_map(default));
        }
        let Some(rows) = read.value::<Vec<FieldMapping>>("field_map", expected)? else {
            let rule = |field: &Field| FieldRule { crm: field.clone(), remote: field.clone(), direction: default };
            return Ok(field::ALL.iter().map(rule).collect());
        };
        let mut rules: Vec<FieldRule> = Vec::with_capacity(rows.len());
        for (index, row) in rows.into_iter().enumerate() {
            let at = |part: &str| format!("settings.field_map[{index}].{part}");
            for (part, name) in [("crm", &row.crm), ("remote", &row.remote)] {
                let known = field::ALL.iter().any(|field| field.as_str() == name) || name.starts_with("custom.");
                if !known {
                    let names: Vec<String> = field::ALL.iter().map(Field::to_string).collect();
                    let message = format!("There is no field `{name}`; use one of {} or `custom.…`.", names.join(", "));
                    return Err(Invalid::new(at(part), message));
                }
            }
            let rule = FieldRule {
                crm: Field::named(row.crm),
                remote: Field::named(row.remote),
                direction: row.direction.unwrap_or(default),
            };
            if !self.directions.contains(&rule.direction) && !self.directions.contains(&Direction::Both) {
                let message = "This profile does not carry values that way.";
                return Err(Invalid::new(at("direction"), message));
            }
            let lists = is_list(&rule.crm) || is_list(&rule.remote);
            if lists && rule.crm != rule.remote {
                let message = format!("`{}` and `{}` do not fit; a list maps to itself.", rule.crm, rule.remote);
                return Err(Invalid::new(at("remote"), message));
            }
            if rules.iter().any(|other| other.crm == rule.crm || other.remote == rule.remote) {
                return Err(Invalid::new(at("crm"), "Each field may be mapped once."));
            }
            rules.push(rule);
        }
        Ok(rules)
    }

    /// The policy under these settings.
    pub fn policy(&self, settings: &Settings) -> Policy {
        Policy {
            direction: settings.direction,
            conflict: settings.conflict,
            on_crm_delete: settings.on_crm_delete,
            on_remote_delete: settings.on_remote_delete,
            on_crm_leave: self.on_crm_leave,
            on_remote_leave: self.on_remote_leave,
            container: self.container(),
            delete_only_own_copies: self.delete_only_own_copies,
            fields: settings.field_map.clone(),
            passive: settings.calendar.as_ref().map(|_| crate::calendar::passive()).unwrap_or_default(),
            eligibility: settings.eligibility,
            match_on: settings.match_on.clone(),
            max_delete_percent: settings.max_delete_percent,
            run_limits: (settings.limits == Limits::Vendor).then_some(self.vendor.run),
        }
    }

    /// The settings as JSON Schema (draft 2020-12) with their defaults.
    pub fn settings_schema(&self) -> Value {
        let choice = |values: Value| json!({ "type": "string", "enum": values, "default": values[0] });
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "direction": choice(json!(self.directions)),
                "conflict": choice(json!(self.conflicts)),
                "on_crm_delete": choice(json!(self.on_crm_delete)),
                "on_remote_delete": choice(json!(self.on_remote_delete)),
                "limits": choice(json!([Limits::None, Limits::Vendor])),
                "frequency_minutes":
                    { "type": "integer", "minimum": 5, "maximum": 1440, "default": self.frequency_minutes },
                "max_delete_percent": { "type": "integer", "minimum": 0, "maximum": 100, "default": 50 },
            }
        });
        let properties = schema["properties"].as_object_mut().expect("it was written so above");
        if self.kind == MAIL {
            properties.extend(MailRules::schema());
        } else if self.carries_tasks() {
            properties.extend(task::settings_schema());
        } else if self.kind == CALENDARS {
            properties.extend(CalendarSettings::schema(calendar::rules(self.id)));
        } else {
            let own = self.files.map_or_else(|| self.record_properties(), |rules| rules.schema());
            properties.extend(own.as_object().cloned().unwrap_or_default());
        }
        let known = self.setting_names();
        properties.retain(|name, _| known.contains(&name.as_str()));
        schema
    }

    /// The settings of profiles that carry records with fields.
    fn record_properties(&self) -> Value {
        json!({
                "remote_group": { "type": ["string", "null"], "maxLength": 200, "default": null, "x-free-text": true,
                    "description": "The group whose members are taken; without one, the sync makes a group of its own." },
                "crm_list": { "type": ["string", "null"], "maxLength": 100, "default": null,
                    "description": "Only the contacts of this segment or list view." },
                "field_map": { "type": "array", "default": self.default_field_map(), "items": {
                    "type": "object", "required": ["crm", "remote"], "additionalProperties": false, "properties": {
                        "crm": { "type": "string" }, "remote": { "type": "string" },
                        "direction": { "type": "string", "enum": ["crm_to_remote", "remote_to_crm", "both"] } } } },
                "eligibility": { "type": "string", "enum": ["strict", "relaxed"], "default": self.eligibility },
                "match_on": { "type": "array", "default": self.match_on,
                    "items": { "type": "string", "enum": ["email", "work_email", "phone", "name"] } },
                "phone_region": { "type": ["string", "null"], "default": null,
                    "description": "Country of phone numbers without a country code, such as BE." },
        })
    }

    fn default_field_map(&self) -> Value {
        let default = self.directions.first().copied().unwrap_or(Direction::Both);
        let row = |field: &Field| json!({ "crm": field, "remote": field, "direction": default });
        field::ALL.iter().map(row).collect()
    }

    /// The product's caps, for the catalogue.
    pub fn vendor_limits(&self) -> Value {
        if let Some(files) = self.files {
            return json!({
                "max_file_bytes": files.vendor_max_bytes,
                "manual_start": self.vendor.manual_start,
                "frequency_minutes": self.vendor.frequency_minutes,
            });
        }
        json!({
            "first_run": Some(self.vendor.run.first).filter(|first| *first < u64::MAX),
            "later_runs": self.vendor.run.later,
            "manual_start": self.vendor.manual_start,
            "frequency_minutes": self.vendor.frequency_minutes,
        })
    }
}

impl Settings {
    /// What bounds a side: other bounds mean that the side must be listed again.
    pub fn bounds(&self, side: Side) -> String {
        let bound = match side {
            Side::Left => &self.crm_list,
            Side::Right => &self.remote_group,
        };
        let fields: Vec<String> = self.field_map.iter().map(|rule| format!("{}>{}", rule.crm, rule.remote)).collect();
        let rest = (self.direction, self.eligibility, &self.phone_region);
        let files = self.files.as_ref().map(|files| format!(" {files:?}")).unwrap_or_default();
        let calendar = self.calendar.as_ref().filter(|_| side == Side::Right);
        let calendar = calendar.map(|calendar| format!(" {}", calendar.bounds())).unwrap_or_default();
        format!("{bound:?} {rest:?} {}{files}{calendar}", fields.join(","))
    }

    /// The part of the remote side's bounds that names the group.
    pub fn group_bound(&self) -> String {
        format!("{:?}", self.remote_group)
    }

    /// The country of phone numbers without a country code.
    pub fn region(&self) -> Region {
        self.phone_region.as_deref().map_or(Region::none(), Region::of)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldMapping {
    crm: String,
    remote: String,
    direction: Option<Direction>,
}

fn is_list(field: &Field) -> bool {
    [field::EMAILS, field::PHONES, field::ADDRESSES].contains(field)
}

fn vendor_rules(limits: Limits) -> VendorRules {
    match limits {
        Limits::Vendor => VendorRules::Apply,
        Limits::None => VendorRules::Ignore,
    }
}

/// The settings that every profile has.
const SHARED_SETTINGS: [&str; 7] =
    ["direction", "conflict", "on_crm_delete", "on_remote_delete", "limits", "frequency_minutes", "max_delete_percent"];

/// The settings of profiles that carry records with fields.
const RECORD_SETTINGS: [&str; 6] = ["remote_group", "crm_list", "field_map", "eligibility", "match_on", "phone_region"];

struct Reader<'a> {
    given: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn refuse_unknown(&self, known: &[&str]) -> Result<(), Invalid> {
        match self.given.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let message = format!("There is no setting `{name}`; there are {}.", known.join(", "));
                Err(Invalid::new(format!("settings.{name}"), message))
            }
            None => Ok(()),
        }
    }

    fn value<T: DeserializeOwned>(&self, name: &str, expected: &str) -> Result<Option<T>, Invalid> {
        match self.given.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|_| Invalid::new(format!("settings.{name}"), format!("Must be {expected}."))),
        }
    }

    fn one_of<T: DeserializeOwned + Serialize + PartialEq + Copy>(&self, name: &str, of: &[T]) -> Result<T, Invalid> {
        let words: Vec<String> = of.iter().map(|value| json!(value).as_str().unwrap_or_default().to_owned()).collect();
        let expected = format!("one of `{}` in this profile", words.join("`, `"));
        let default = *of.first().expect("every profile permits at least one value");
        let value: T = self.value(name, &expected)?.unwrap_or(default);
        if of.contains(&value) {
            Ok(value)
        } else {
            Err(Invalid::new(format!("settings.{name}"), format!("Must be {expected}.")))
        }
    }

    fn number(&self, name: &str, min: u32, max: u32, default: u32) -> Result<u32, Invalid> {
        let expected = format!("a whole number from {min} to {max}");
        let number = self.value(name, &expected)?.unwrap_or(default);
        if (min..=max).contains(&number) {
            Ok(number)
        } else {
            Err(Invalid::new(format!("settings.{name}"), format!("Must be {expected}.")))
        }
    }

    fn text(&self, name: &str, most: usize) -> Result<Option<String>, Invalid> {
        let expected = format!("a text of at most {most} characters, or null");
        let text: Option<String> = self.value(name, &expected)?;
        let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        match text {
            Some(text) if text.chars().count() > most => {
                Err(Invalid::new(format!("settings.{name}"), format!("Must be {expected}.")))
            }
            text => Ok(text),
        }
    }
}

#[cfg(test)]
mod tests;
