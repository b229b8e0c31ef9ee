//! The settings of a mail sync.
use super::address::{Address, Plus};
use super::{Envelope, Wish};
use crate::error::Invalid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Which messages are tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackMode {
    /// Those that the owner gives a label.
    Labelled,
    /// Every message from or to somebody the CRM knows.
    AllKnown,
}

/// What becomes of a labelled message whose sender the CRM does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSender {
    /// A proposal waits for a person's word.
    Ask,
    /// The sender is added.
    Create,
    /// It is not tracked.
    Ignore,
}

/// What becomes of what is attached to a tracked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attachments {
    /// It stays in the mailbox.
    LeftOut,
    /// It becomes files of the record that the message is filed at.
    Filed,
}

/// The names of the labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Labels {
    /// Asks for tracking.
    pub track: String,
    /// Asks for a task as well.
    pub task: String,
    /// Asks for the sender to be added as well.
    pub contact: String,
}

impl Default for Labels {
    fn default() -> Self {
        let name = |word: &str| format!("Tandem/{word}");
        Self { track: name("Track"), task: name("Task"), contact: name("Contact") }
    }
}

impl Labels {
    /// Each label's name with what it asks for.
    pub fn all(&self) -> [(Wish, &str); 3] {
        [(Wish::Track, &self.track), (Wish::Task, &self.task), (Wish::Contact, &self.contact)]
    }
}

/// The settings of a mail sync, each with its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailRules {
    /// Which messages are tracked.
    pub track: TrackMode,
    /// What becomes of unknown senders.
    pub unknown_sender: UnknownSender,
    /// The labels' names.
    pub labels: Labels,
    /// Addresses (`jan@example.com`) and domains (`example.com`, `@example.com`) whose mail is never in the CRM.
    pub block_list: Vec<String>,
    /// The owner's further addresses.
    pub own_addresses: Vec<String>,
    /// Whether `jan+sales@` is `jan@`.
    pub plus_tags: Plus,
    /// How far back the first run looks, in days: 0 to 365.
    pub window_past_days: u32,
    /// In how many days a task made of a message is due: 0 to 365.
    pub task_due_days: u32,
    /// What becomes of attachments.
    pub attachments: Attachments,
}

impl Default for MailRules {
    fn default() -> Self {
        Self {
            track: TrackMode::Labelled,
            unknown_sender: UnknownSender::Ask,
            labels: Labels::default(),
            block_list: Vec::new(),
            own_addresses: Vec::new(),
            plus_tags: Plus::Kept,
            window_past_days: 30,
            task_due_days: 1,
            attachments: Attachments::LeftOut,
        }
    }
}

/// The names of these settings.
pub(crate) const SETTINGS: [&str; 9] = [
    "track",
    "unknown_sender",
    "labels",
    "block_list",
    "own_addresses",
    "plus_tags",
    "window_past_days",
    "task_due_days",
    "attachments",
];
/// Most entries of a list.
const MOST: usize = 1_000;

impl MailRules {
    /// Reads the settings of these names out of a user's settings; what is left out takes its default.
    pub fn read(given: &Map<String, Value>) -> Result<MailRules, Invalid> {
        let mut rules = json!(MailRules::default());
        for name in SETTINGS {
            let Some(value) = given.get(name).filter(|value| !value.is_null()) else { continue };
            rules[name] = value.clone();
            // A list would be read as the labels in their order.
            let listed = name == "labels" && value.is_array();
            if listed || serde_json::from_value::<MailRules>(rules.clone()).is_err() {
                return Err(Invalid::new(format!("settings.{name}"), format!("Must be {}.", expected(name))));
            }
        }
        let rules: MailRules = serde_json::from_value(rules).map_err(|_| Invalid::new("settings", "Unreadable."))?;
        rules.checked()
    }

    fn checked(mut self) -> Result<MailRules, Invalid> {
        let wrong = |name: &str| Err(Invalid::new(format!("settings.{name}"), format!("Must be {}.", expected(name))));
        for (name, days) in [("window_past_days", self.window_past_days), ("task_due_days", self.task_due_days)] {
            if days > 365 {
                return wrong(name);
            }
        }
        let names: BTreeSet<String> = self.labels.all().iter().map(|(_, name)| name.trim().to_lowercase()).collect();
        // A label of Gmail has at most 225 characters.
        if names.len() < 3 || names.iter().any(|name| name.is_empty() || name.chars().count() > 225) {
            return wrong("labels");
        }
        for (name, list) in [("block_list", &mut self.block_list), ("own_addresses", &mut self.own_addresses)] {
            let plain: Option<Vec<String>> = list.iter().map(|entry| entry_of(name, entry)).collect();
            match plain {
                Some(plain) if plain.len() <= MOST => *list = plain,
                Some(_) => return wrong(name),
                None => {
                    let bad = list.iter().find(|entry| entry_of(name, entry).is_none());
                    let bad: String = bad.into_iter().flat_map(|entry| entry.chars().take(100)).collect();
                    let what = if name == "block_list" { "neither an address nor a domain" } else { "no address" };
                    let message = format!("`{bad}` is {what}: this is {}.", expected(name));
                    return Err(Invalid::new(format!("settings.{name}"), message));
                }
            }
        }
        Ok(self)
    }

    /// Whether mail from or to this address never gets into the CRM. A domain stands for its subdomains, too.
    pub fn blocks(&self, address: &Address) -> bool {
        block_names(address).iter().any(|name| self.block_list.contains(name))
    }

    /// What blocked a message with these participants, or nothing.
    pub fn blocks_any(&self, envelope: &Envelope) -> bool {
        let all = envelope.from.iter().chain(&envelope.to).chain(&envelope.cc);
        all.into_iter().any(|mailbox| self.blocks(&mailbox.address))
    }

    /// The settings as properties of a JSON Schema.
    pub fn schema() -> Map<String, Value> {
        let default = json!(MailRules::default());
        let list = |what: &str| {
            json!({ "type": "array", "items": { "type": "string", "maxLength": 254 },
            "maxItems": MOST, "default": [], "description": what })
        };
        let days = |name: &str, what: &str| {
            json!({ "type": "integer", "minimum": 0, "maximum": 365,
            "default": default[name], "description": what })
        };
        let word = |name: &str, words: &[&str]| json!({ "type": "string", "enum": words, "default": default[name] });
        let label = json!({ "type": "string", "maxLength": 225 });
        let all = json!({
            "track": word("track", &["labelled", "all_known"]),
            "unknown_sender": word("unknown_sender", &["ask", "create", "ignore"]),
            "labels": { "type": "object", "additionalProperties": false, "default": default["labels"],
                "properties": { "track": label, "task": label, "contact": label } },
            "block_list": list("Addresses and domains whose mail never gets into the CRM."),
            "own_addresses": list("Further addresses of the mailbox's owner."),
            "plus_tags": word("plus_tags", &["kept", "ignored"]),
            "window_past_days": days("window_past_days", "How far back the first run looks."),
            "task_due_days": days("task_due_days", "In how many days a task made of a message is due."),
            "attachments": word("attachments", &["left_out", "filed"]),
        });
        all.as_object().cloned().unwrap_or_default()
    }
}

/// The entries of a block list that would block this address: itself, its domain and the domains above that.
pub fn block_names(address: &Address) -> Vec<String> {
    let mut names = vec![address.as_str().to_owned()];
    let mut domain = address.domain();
    loop {
        names.push(domain.to_owned());
        match domain.split_once('.') {
            // A top-level domain alone is nobody's.
            Some((_, above)) if above.contains('.') => domain = above,
            Some(_) | None => return names,
        }
    }
}

fn entry_of(name: &str, entry: &str) -> Option<String> {
    let entry = entry.trim().to_lowercase();
    if let Some(address) = Address::read(&entry) {
        return Some(address.as_str().to_owned());
    }
    let domain = entry.strip_prefix('@').unwrap_or(&entry);
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let good = name == "block_list" && domain.contains('.') && domain.chars().all(plain) && !domain.starts_with('.');
    good.then(|| domain.to_owned())
}

fn expected(name: &str) -> &'static str {
    match name {
        "track" => "`labelled` or `all_known`",
        "unknown_sender" => "`ask`, `create` or `ignore`",
        "labels" => "three different names: {\"track\", \"task\", \"contact\"}",
        "block_list" => "a list of at most 1000 addresses (`jan@acme.example`) and domains (`acme.example`)",
        "own_addresses" => "a list of at most 1000 addresses (`jan@acme.example`)",
        "plus_tags" => "`kept` or `ignored`",
        "attachments" => "`left_out` or `filed`",
        _ => "a whole number from 0 to 365",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: Value) -> Result<MailRules, Invalid> {
        MailRules::read(settings.as_object().unwrap())
    }

    #[test]
    fn what_is_left_out_takes_its_default() {
        assert_eq!(read(json!({})).unwrap(), MailRules::default());
        let some = read(json!({"labels": {"track": "Klant"}, "track": "all_known"})).unwrap();
        assert_eq!((some.labels.track.as_str(), some.labels.task.as_str()), ("Klant", "Tandem/Task"));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (settings, name) in [
            (json!({"track": "some"}), "track"),
            (json!({"unknown_sender": 1}), "unknown_sender"),
            (json!({"attachments": "yes"}), "attachments"),
            (json!({"labels": {"tracks": "x"}}), "labels"),
            (json!({"labels": ["a"]}), "labels"),
            (json!({"labels": {"track": "a", "task": "A "}}), "labels"),
            (json!({"block_list": ["nonsense"]}), "block_list"),
            (json!({"own_addresses": ["example.com"]}), "own_addresses"),
            (json!({"task_due_days": 366}), "task_due_days"),
            (json!({"window_past_days": -1}), "window_past_days"),
        ] {
            assert_eq!(read(settings.clone()).unwrap_err().field, format!("settings.{name}"), "{settings}");
        }
    }

    #[test]
    fn an_entry_that_is_no_address_is_named() {
        for wrong in ["@@", "@", "a b.example", ".example"] {
            let refused = read(json!({"block_list": ["acme.example", wrong]})).unwrap_err();
            let said = format!("`{wrong}` is neither an address nor a domain");
            assert!(refused.field == "settings.block_list" && refused.message.starts_with(&said), "{refused:?}");
        }
    }

    #[test]
    fn the_block_list_knows_addresses_domains_and_subdomains() {
        let rules = read(json!({"block_list": ["Jan@Example.com", "@shop.example", "news.co.uk"]})).unwrap();
        let blocks = |raw: &str| rules.blocks(&Address::read(raw).unwrap());
        assert!(blocks("jan@example.com") && blocks("a@shop.example") && blocks("b@mail.news.co.uk"));
        assert!(!blocks("an@example.com") && !blocks("a@myshop.example") && !blocks("a@co.uk"));
    }

    #[test]
    fn every_default_of_the_schema_is_the_default() {
        let schema = MailRules::schema();
        assert_eq!(schema.len(), SETTINGS.len());
        let defaults = schema.iter().map(|(name, rule)| (name.clone(), rule["default"].clone())).collect();
        assert_eq!(MailRules::read(&defaults).unwrap(), MailRules::default());
    }
}
