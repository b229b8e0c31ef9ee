//! What Google answers.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// `extendedProperties.private` key of our marker: on this copy only, unseen by guests. At most 44 characters.
pub(crate) const MARKER: &str = "tandem";

/// `eventType` of an appointment proper. The others (`birthday`, `focusTime`, `fromGmail`, `outOfOffice`,
/// `workingLocation`) are Google's own.
pub(crate) const ORDINARY: &str = "default";

/// A page of `events.list`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct Events {
    items: Vec<Item>,
    /// The calendar's.
    time_zone: String,
    pub(crate) next_page_token: Option<String>,
    pub(crate) next_sync_token: Option<String>,
}

impl Events {
    /// Its items. A series that names no zone repeats by the calendar's wall clock.
    pub(crate) fn into_items(self) -> Vec<Item> {
        let zone = Value::from(self.time_zone.as_str());
        let mut items = self.items;
        for item in items.iter_mut().filter(|item| item.is_repeating() && !self.time_zone.is_empty()) {
            for name in ["start", "end"] {
                let time = item.0.get_mut(name).and_then(Value::as_object_mut);
                if let Some(time) = time.filter(|time| time.contains_key("dateTime")) {
                    time.entry("timeZone").or_insert_with(|| zone.clone());
                }
            }
        }
        items
    }
}

/// A page of `calendarList.list`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Calendars {
    #[serde(default)]
    pub(crate) items: Vec<CalendarEntry>,
    pub(crate) next_page_token: Option<String>,
}

/// A calendar as the account sees it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CalendarEntry {
    pub(crate) id: String,
    #[serde(default)]
    summary: String,
    summary_override: Option<String>,
    #[serde(default)]
    pub(crate) access_role: String,
}

impl CalendarEntry {
    /// As the user calls it.
    pub(crate) fn name(&self) -> &str {
        self.summary_override.as_deref().unwrap_or(&self.summary)
    }
}

/// The answer of `events.watch`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Watched {
    pub(crate) id: String,
    pub(crate) resource_id: String,
    #[serde(default)]
    pub(crate) expiration: String,
}

/// An event resource: a master, an exception, or a single appointment. All of it is kept.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Item(pub(crate) Map<String, Value>);

impl Item {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }
    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }
    /// What a write may be conditioned on, where Google shows it (the reference promises it of nothing).
    pub(crate) fn etag(&self) -> Option<&str> {
        Some(self.text("etag")).filter(|etag| !etag.is_empty())
    }
    /// The etag, or else a mark of all that is shown.
    pub(crate) fn version(&self) -> String {
        let marked = || {
            let text = serde_json::to_vec(&self.0).expect("what came as JSON goes as JSON");
            format!("{UNTAGGED}{}", short_hex(&Sha256::digest(text)[..16]))
        };
        self.etag().map_or_else(marked, str::to_owned)
    }
    pub(crate) fn is_cancelled(&self) -> bool {
        self.text("status") == "cancelled"
    }
    /// The day that it starts on, or its time; empty where it has none.
    pub(crate) fn day(&self) -> &str {
        let start = self.0.get("start").and_then(Value::as_object);
        let text = |name: &str| start?.get(name)?.as_str();
        text("date").or_else(|| text("dateTime")).unwrap_or_default()
    }
    /// The series that this is an exception of.
    pub(crate) fn series(&self) -> Option<&str> {
        Some(self.text("recurringEventId")).filter(|id| !id.is_empty())
    }
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.0.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }
    pub(crate) fn is_repeating(&self) -> bool {
        !self.list("recurrence").is_empty()
    }
    /// Only appointments proper may be changed by others: [`ORDINARY`] where nothing is said.
    pub(crate) fn event_type(&self) -> &str {
        Some(self.text("eventType")).filter(|kind| !kind.is_empty()).unwrap_or(ORDINARY)
    }
    pub(crate) fn marker(&self) -> Option<&str> {
        self.0.get("extendedProperties")?.get("private")?.get(MARKER)?.as_str()
    }
    pub(crate) fn updated_at(&self) -> Option<jiff::Timestamp> {
        self.text("updated").parse().ok()
    }
    /// Google left guests out: such a list must never be written back.
    pub(crate) fn lacks_guests(&self) -> bool {
        self.0.get("attendeesOmitted").and_then(Value::as_bool) == Some(true)
    }
}

/// A record in wire form: a master with its exceptions, or a single appointment without any.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) master: Item,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) exceptions: Vec<Item>,
}

impl Record {
    /// The master's version; for a series, then a mark of all of its exceptions.
    pub(crate) fn version(&self) -> String {
        let version = self.master.version();
        if !self.master.is_repeating() {
            return version;
        }
        let mut versions: Vec<String> = self.exceptions.iter().map(Item::version).collect();
        versions.sort_unstable();
        let mut hash = Sha256::new();
        for version in versions {
            hash.update(version.as_bytes());
            hash.update([0]);
        }
        format!("{version}{SERIES}{}", short_hex(&hash.finalize()[..8]))
    }

    /// Takes what Google answered to a write of one of its exceptions.
    pub(crate) fn put_exception(&mut self, item: Item) {
        match self.exceptions.iter_mut().find(|known| known.id() == item.id()) {
            Some(known) => *known = item,
            None => self.exceptions.push(item),
        }
    }
}

/// Between the master's etag and the mark of the exceptions; no etag has one.
const SERIES: char = '~';

/// At the beginning of the version of an item without an etag; an etag is quoted.
const UNTAGGED: char = '#';

/// The master's etag of a version, where it has one.
pub(crate) fn etag_of(version: &str) -> Option<&str> {
    let own = version.rsplit_once(SERIES).map_or(version, |(own, _)| own);
    Some(own).filter(|own| !own.starts_with(UNTAGGED))
}

/// Whether the version is of a series.
pub(crate) fn is_series(version: &str) -> bool {
    version.contains(SERIES)
}

pub(crate) fn short_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
