//! What a calendar sync goes by besides the settings that every sync has: which calendars it reads, and to which one it
//! writes.
use crate::error::Invalid;
use crate::event::field;
use crate::policy::{Direction, FieldRule};
use crate::record::{Field, Side};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The account's own calendar, whatever its id is.
pub const PRIMARY: &str = "primary";
/// In the place of a calendar's id: the CRM keeps its appointments, and nothing is written at the remote.
pub const CRM: &str = "crm";
/// The names of the settings that each calendar profile has.
const SETTINGS: [&str; 7] = [
    "source_calendars",
    "target_calendar",
    "read_only_calendars",
    "default_calendar",
    "window_past_days",
    "window_future_days",
    "imported_as",
];
/// Most calendars of a sync: each one is a call in every run.
const MOST: usize = 50;
/// Google's ids are addresses; this is more than any has.
const LONGEST: usize = 254;

/// What a product does with the calendars that it reads and does not write new appointments to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// Linked appointments are kept in step both ways, wherever they are.
    BothWays,
    /// They are for display: what comes from them flows one way.
    Display,
}

/// What becomes of an appointment that a person made in the calendar, in a CRM that does not tell the two apart by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportedAs {
    /// A grey block: Tandem shows it, and a person may make it a meeting of the CRM's.
    Block,
    /// A meeting of the CRM's.
    Meeting,
}

/// What a calendar profile has besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CalendarRules {
    others: Others,
    /// The default of `default_calendar`.
    default: Option<&'static str>,
    /// The default of `imported_as`.
    imported: ImportedAs,
    /// What `activities` may name.
    known: &'static [Activity],
    /// The default of `activities`.
    activities: &'static [Activity],
    /// The names of the settings that no other profile has.
    own: &'static [&'static str],
}

/// The names of a profile's calendar settings.
pub(crate) fn names(profile: &str) -> Vec<&'static str> {
    [&SETTINGS[..], rules(profile).own].concat()
}

/// The rules of a calendar profile.
pub(crate) fn rules(profile: &str) -> CalendarRules {
    match profile {
        // Nothing is written before a person has chosen the default calendar, and the others are for display (S3-11, S3-20).
        "sell-google-calendar" => CalendarRules {
            others: Others::Display,
            default: Some(CRM),
            imported: ImportedAs::Meeting,
            known: &[Activity::Meetings],
            activities: &[Activity::Meetings],
            own: &["remote_events"],
        },
        // Items of the calendar appear as grey blocks (S2-18). Calls, tasks and older events are carried where a person wants
        // them (S2-15): a copy that is deleted in the calendar deletes the call in the CRM.
        "teamleader-google-calendar" => CalendarRules {
            others: Others::BothWays,
            default: None,
            imported: ImportedAs::Block,
            known: &Activity::ALL,
            activities: &[Activity::Meetings],
            own: &["activities"],
        },
        // Zoho's Events are meetings here; its tasks have a module of their own.
        "zoho-google-calendar" => CalendarRules {
            others: Others::BothWays,
            default: None,
            imported: ImportedAs::Meeting,
            known: &[Activity::Meetings, Activity::Tasks],
            activities: &[Activity::Meetings],
            own: &["activities"],
        },
        _ => CalendarRules {
            others: Others::BothWays,
            default: None,
            imported: ImportedAs::Meeting,
            known: &[Activity::Meetings],
            activities: &[Activity::Meetings],
            own: &[],
        },
    }
}

/// The calendar settings, each with its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarSettings {
    /// The calendars whose appointments come into the CRM.
    pub source_calendars: Vec<String>,
    /// Where the CRM's appointments go.
    pub target_calendar: String,
    /// Calendars that are read and never written to.
    pub read_only_calendars: Vec<String>,
    /// Where the CRM's appointments go, or [`CRM`]; `None` = to the target.
    pub default_calendar: Option<String>,
    /// How far back single occurrences of a series reach in a CRM that knows no series: days, 0 to 3650.
    pub window_past_days: u32,
    /// How far ahead: days, 1 to 3650.
    pub window_future_days: u32,
    /// What becomes of appointments that were made in the calendar.
    pub imported_as: ImportedAs,
    /// What the remote's appointments become in a CRM that takes none.
    pub remote_events: RemoteEvents,
    /// Which of the CRM's activities are carried, where it has more than meetings. Meetings always are: what the calendar
    /// brings becomes one.
    pub activities: Vec<Activity>,
    #[serde(skip)]
    others_are_for_display: Display,
}

/// What a CRM has in its calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Meetings.
    #[default]
    Meetings,
    /// Telephone calls that are planned or were made.
    Calls,
    /// Tasks, on the day that they are due.
    Tasks,
    /// Entries of an older calendar that are none of the others.
    Events,
}

impl Activity {
    /// All of them, in the order in which they are read.
    pub const ALL: [Activity; 4] = [Activity::Meetings, Activity::Calls, Activity::Tasks, Activity::Events];

    /// As in settings.
    const fn word(self) -> &'static str {
        match self {
            Activity::Meetings => "meetings",
            Activity::Calls => "calls",
            Activity::Tasks => "tasks",
            Activity::Events => "events",
        }
    }
}

/// What the remote's appointments become in a CRM that takes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteEvents {
    /// Nothing.
    #[default]
    Off,
    /// A task at each lead and contact who is invited.
    Tasks,
}

impl RemoteEvents {
    fn is_off(&self) -> bool {
        *self == RemoteEvents::Off
    }
}

/// Whether the calendars besides the target are for display alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Display {
    #[default]
    No,
    Yes,
}

impl Default for CalendarSettings {
    fn default() -> Self {
        Self {
            source_calendars: vec![PRIMARY.to_owned()],
            target_calendar: PRIMARY.to_owned(),
            read_only_calendars: Vec::new(),
            default_calendar: None,
            window_past_days: 30,
            window_future_days: 365,
            imported_as: ImportedAs::Meeting,
            remote_events: RemoteEvents::Off,
            activities: vec![Activity::Meetings],
            others_are_for_display: Display::No,
        }
    }
}

impl CalendarSettings {
    /// Judges what was given; settings of other kinds are left to others.
    pub(crate) fn read(given: &Map<String, Value>, rules: CalendarRules) -> Result<CalendarSettings, Invalid> {
        let mut own: Map<String, Value> = given
            .iter()
            .filter(|(name, value)| {
                (SETTINGS.contains(&name.as_str()) || rules.own.contains(&name.as_str())) && !value.is_null()
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(default) = rules.default.filter(|_| !own.contains_key("default_calendar")) {
            own.insert("default_calendar".to_owned(), json!(default));
        }
        own.entry("imported_as").or_insert_with(|| json!(rules.imported));
        own.entry("activities").or_insert_with(|| json!(rules.activities));
        for (name, value) in &own {
            let mut alone = Map::new();
            alone.insert(name.clone(), value.clone());
            serde_json::from_value::<CalendarSettings>(Value::Object(alone))
                .map_err(|_| Invalid::new(format!("settings.{name}"), expected(name, rules)))?;
        }
        let read: CalendarSettings = serde_json::from_value(Value::Object(own))
            .map_err(|_| Invalid::new("settings", "They do not fit together."))?;
        read.judged(given.contains_key("target_calendar"), rules)
    }

    fn judged(mut self, target_is_given: bool, rules: CalendarRules) -> Result<CalendarSettings, Invalid> {
        self.others_are_for_display = if rules.others == Others::Display { Display::Yes } else { Display::No };
        let wrong = |name: &str| Invalid::new(format!("settings.{name}"), expected(name, rules));
        for (name, list) in
            [("source_calendars", &mut self.source_calendars), ("read_only_calendars", &mut self.read_only_calendars)]
        {
            let mut seen = BTreeSet::new();
            list.retain(|id| seen.insert(id.clone()));
            if list.len() > MOST || list.iter().any(|id| !is_id(id) || id == CRM) {
                return Err(wrong(name));
            }
        }
        let has_meetings = self.activities.contains(&Activity::Meetings);
        if !has_meetings || self.activities.iter().any(|one| !rules.known.contains(one)) {
            return Err(wrong("activities"));
        }
        self.activities.sort_unstable();
        self.activities.dedup();
        for (name, id) in
            [("target_calendar", Some(&self.target_calendar)), ("default_calendar", self.default_calendar.as_ref())]
        {
            if id.is_some_and(|id| !is_id(id)) || (name == "target_calendar" && self.target_calendar == CRM) {
                return Err(wrong(name));
            }
        }
        for (name, days, least) in
            [("window_past_days", self.window_past_days, 0), ("window_future_days", self.window_future_days, 1)]
        {
            if !(least..=3650).contains(&days) {
                return Err(wrong(name));
            }
        }
        let default = self.default_calendar.as_deref().filter(|id| *id != CRM);
        if target_is_given && default.is_some_and(|id| id != self.target_calendar) {
            let message = "It names another calendar than `target_calendar`; leave one of them out.";
            return Err(Invalid::new("settings.default_calendar", message));
        }
        if self.target().is_some_and(|target| self.read_only_calendars.iter().any(|id| id == target)) {
            let message = "The calendar that appointments are written to cannot be read only.";
            return Err(Invalid::new("settings.read_only_calendars", message));
        }
        Ok(self)
    }

    /// The calendar that the CRM's appointments go to; `None`: nothing is written at the remote.
    pub fn target(&self) -> Option<&str> {
        match self.default_calendar.as_deref() {
            Some(CRM) => None,
            Some(chosen) => Some(chosen),
            None => Some(&self.target_calendar),
        }
    }

    /// The calendars whose appointments come into the CRM, and those among them that are never written to.
    pub fn sources(&self) -> impl Iterator<Item = (&str, Access)> {
        let read_only = self.read_only_calendars.iter().map(|id| (id.as_str(), Access::ReadOnly));
        let others = self.source_calendars.iter().filter(|id| !self.read_only_calendars.contains(id));
        let access = |id: &String| match self.others_are_for_display {
            Display::Yes if self.target() != Some(id.as_str()) => Access::ReadOnly,
            Display::Yes | Display::No => Access::Both,
        };
        others.map(move |id| (id.as_str(), access(id))).chain(read_only)
    }

    /// Refuses a direction that these calendars cannot serve.
    pub(crate) fn permit(&self, direction: Direction) -> Result<(), Invalid> {
        if direction.may_write(Side::Left) && self.sources().next().is_none() {
            let message = "Name at least one calendar here or in `read_only_calendars`; for nothing to come into the CRM, \
                           `direction` is `crm_to_remote`.";
            return Err(Invalid::new("settings.source_calendars", message));
        }
        if !direction.may_write(Side::Left) && self.target().is_none() {
            let message = format!(
                "With `{CRM}` nothing is written at the remote, and `direction` is `crm_to_remote`: name a calendar here."
            );
            return Err(Invalid::new("settings.default_calendar", message));
        }
        Ok(())
    }

    /// The calendars that these settings name and `before` did not, each with its setting. The account's own and the CRM's
    /// need no looking up.
    pub fn new_names<'a>(&'a self, before: Option<&CalendarSettings>) -> Vec<(&'static str, &'a str)> {
        let named = |name, id: &'a String| (name, id.as_str());
        let all = |settings: &'a CalendarSettings| {
            let sources = settings.source_calendars.iter().map(|id| named("source_calendars", id));
            let read_only = settings.read_only_calendars.iter().map(|id| named("read_only_calendars", id));
            let target = std::iter::once(named("target_calendar", &settings.target_calendar));
            let default = settings.default_calendar.iter().map(|id| named("default_calendar", id));
            sources.chain(read_only).chain(target).chain(default)
        };
        let known = |name: &str, id: &str| match (name, before) {
            (_, None) => false,
            ("source_calendars", Some(before)) => before.source_calendars.iter().any(|known| known == id),
            ("read_only_calendars", Some(before)) => before.read_only_calendars.iter().any(|known| known == id),
            ("target_calendar", Some(before)) => before.target_calendar == id,
            (_, Some(before)) => before.default_calendar.as_deref() == Some(id),
        };
        all(self).filter(|(name, id)| ![PRIMARY, CRM].contains(id) && !known(name, id)).collect()
    }

    /// The setting that names this calendar, for people: the one that it is written by, else the one that it is read by.
    pub fn setting_of(&self, id: &str) -> &'static str {
        if self.target() == Some(id) {
            return if self.default_calendar.is_some() { "default_calendar" } else { "target_calendar" };
        }
        let only_read = self.read_only_calendars.iter().any(|known| known == id);
        if only_read { "read_only_calendars" } else { "source_calendars" }
    }

    /// The calendars whose appointments become meetings of a CRM that has both meetings and blocks: with `imported_as`
    /// `meeting` all but those for display.
    pub fn meetings_of(&self) -> impl Iterator<Item = String> {
        let are_meetings = self.imported_as == ImportedAs::Meeting;
        let shared = self.sources().filter(move |(_, access)| are_meetings && *access == Access::Both);
        shared.map(|(id, _)| id.to_owned())
    }

    /// What these settings make of a sync's direction.
    pub(crate) fn narrow(&self, direction: Direction) -> Direction {
        if self.target().is_none() { Direction::RemoteToCrm } else { direction }
    }

    /// What bounds the remote side.
    pub(crate) fn bounds(&self) -> String {
        let sources: Vec<(&str, Access)> = self.sources().collect();
        let window = (self.window_past_days, self.window_future_days);
        let events = if self.remote_events.is_off() { "" } else { " events" };
        format!("{sources:?} {:?} {} {} {:?}{events}", self.target(), window.0, window.1, self.imported_as)
    }

    /// JSON Schema of these settings.
    pub(crate) fn schema(rules: CalendarRules) -> Map<String, Value> {
        let default = CalendarSettings::default();
        let id = json!({ "type": "string", "maxLength": LONGEST });
        let list = |what: &str, default: &[String]| json!({ "type": "array", "items": id, "maxItems": MOST, "default": default, "description": what });
        let days = |what: &str, least: u32, default: u32| json!({ "type": "integer", "minimum": least, "maximum": 3650, "default": default, "description": what });
        let all = json!({
            "source_calendars": list("Calendars whose appointments come into the CRM.", &default.source_calendars),
            "target_calendar": { "type": "string", "maxLength": LONGEST, "default": null,
                "description": "Calendar that the CRM's appointments go to; none: the account's own (`primary`)." },
            "read_only_calendars": list("Calendars that are read and never written to.", &[]),
            "default_calendar": { "type": ["string", "null"], "maxLength": LONGEST, "default": rules.default,
                "description": "`crm`: nothing is written at the remote; or the calendar that appointments go to." },
            "window_past_days": days("Occurrences of a series, back.", 0, default.window_past_days),
            "window_future_days": days("Occurrences of a series, ahead.", 1, default.window_future_days),
            "imported_as": { "type": "string", "enum": [ImportedAs::Block, ImportedAs::Meeting],
                "default": rules.imported, "description": "What an appointment of the calendar's becomes in the CRM: `block`, \
                    shown here until somebody makes it a meeting, or `meeting`. What is for display alone is a block in the \
                    built-in CRM all the same." },
            "remote_events": { "type": "string", "enum": ["off", "tasks"], "default": default.remote_events,
                "description": "Zendesk Sell's API takes no appointments: those of Google stay in Google (`off`), or each \
                    becomes a task at every lead and contact in Sell who is invited (`tasks`), never the other way. The \
                    built-in CRM takes appointments, whatever is chosen here." },
            "activities": { "type": "array", "items": { "type": "string", "enum": rules.known }, "uniqueItems": true,
                "contains": { "const": Activity::Meetings }, "default": rules.activities,
                "description": "What of the CRM's calendar is carried: `meetings` always (Zoho calls them events), `calls`, \
                    `tasks` on the day that they are due, and `events` of Teamleader's older calendar that are none of \
                    these. The built-in CRM has meetings here, whatever is chosen." },
        });
        all.as_object().cloned().unwrap_or_default()
    }
}

/// A sync's settings with what a person changes of them. `target_calendar` and `default_calendar` name one thing, so the one
/// that is given takes the other along, unless that is the CRM's own.
pub(crate) fn follow(settings: &mut Map<String, Value>, given: &Map<String, Value>) {
    for (name, other) in [("target_calendar", "default_calendar"), ("default_calendar", "target_calendar")] {
        let chosen = given.get(name).filter(|id| id.is_string() && *id != CRM);
        let named = settings.get(other).is_some_and(|id| id.is_string() && id != CRM);
        if let Some(chosen) = chosen.filter(|_| named && !given.contains_key(other)) {
            settings.insert(other.to_owned(), chosen.clone());
        }
    }
}

/// Refuses calendars that the remote account does not have. `names` are ids with their settings; `choices` is what each
/// setting can be chosen from there.
pub fn judge_names(names: &[(&'static str, &str)], choices: &BTreeMap<&str, BTreeSet<String>>) -> Result<(), Invalid> {
    let has = |setting: &str, id: &str| {
        choices.get(setting).is_some_and(|known| known.iter().any(|known| known.eq_ignore_ascii_case(id)))
    };
    let Some((setting, id)) = names.iter().find(|(setting, id)| !has(setting, id)) else { return Ok(()) };
    let message = if has("source_calendars", id) {
        format!("The calendar `{id}` may only be read; choose one that the connected account may write to.")
    } else {
        format!("The connected account has no calendar `{id}`; choose one of its calendars, or `{PRIMARY}`.")
    };
    Err(Invalid::new(format!("settings.{setting}"), message))
}

/// What may be done with the appointments of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// They are kept in step both ways.
    Both,
    /// They are read.
    ReadOnly,
}

/// The mapped fields: each as itself. What the remote side makes for itself flows one way.
pub(crate) fn field_map(direction: Direction) -> Vec<FieldRule> {
    let rule = |name: &Field| {
        let one_way = [field::CONFERENCE, field::UID, field::CALENDAR].contains(name);
        FieldRule {
            crm: name.clone(),
            remote: name.clone(),
            direction: if one_way { Direction::RemoteToCrm } else { direction },
        }
    };
    // Google's appointments have no "done".
    field::ALL.iter().filter(|name| **name != field::STATUS).chain([&field::UID, &field::CALENDAR]).map(rule).collect()
}

/// Fields that change without anybody's editing the appointment: who deletes it on one side while a guest answers on the
/// other has deleted it.
pub(crate) fn passive() -> Vec<Field> {
    vec![field::ATTENDEES, field::UID, field::CALENDAR]
}

fn is_id(id: &str) -> bool {
    !id.trim().is_empty() && id.chars().count() <= LONGEST && !id.contains('/')
}

fn expected(name: &str, rules: CalendarRules) -> String {
    match name {
        "source_calendars" | "read_only_calendars" => {
            format!("Must be a list of at most {MOST} ids of calendars from choices, or `{PRIMARY}`.")
        }
        "window_past_days" => "Must be a whole number from 0 to 3650.".to_owned(),
        "window_future_days" => "Must be a whole number from 1 to 3650.".to_owned(),
        "imported_as" => "Must be `block` or `meeting`.".to_owned(),
        "activities" => {
            let known: Vec<String> = rules.known.iter().map(|one| format!("`{}`", one.word())).collect();
            format!("Must be a list out of {}, `meetings` among them.", known.join(", "))
        }
        "remote_events" => "Must be `off` or `tasks`.".to_owned(),
        "default_calendar" => format!("Must be `{CRM}`, or the id of a calendar from choices, or `{PRIMARY}`."),
        _ => format!("Must be the id of a calendar from choices, or `{PRIMARY}`."),
    }
}

#[cfg(test)]
mod tests;
