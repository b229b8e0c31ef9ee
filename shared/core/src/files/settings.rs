//! What a user may set for a files sync.
use crate::error::Invalid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The language of the module folders' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// Dutch.
    Nl,
    /// French.
    Fr,
}

impl Language {
    pub(crate) fn index(self) -> usize {
        match self {
            Language::En => 0,
            Language::De => 1,
            Language::Nl => 2,
            Language::Fr => 3,
        }
    }
}

/// One record by type and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordRef {
    /// `company`, `contact`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id in the CRM.
    pub id: String,
}

/// Whose files are synchronised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Records {
    /// Those of every record of the modules.
    #[default]
    All,
    /// Those of the records in a segment.
    Segment(String),
    /// Those of these records.
    #[serde(untagged)]
    Some(Vec<RecordRef>),
}

/// What a rename or a move at the remote does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRename {
    /// A new file in the CRM; the old one stays there, and is not fetched back.
    Copy,
    /// The CRM's file is renamed, too.
    Rename,
}

/// What becomes of documents that exist only within Google's applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeDocuments {
    /// They are left out, with the reason.
    Skip,
    /// They come across as PDF, again when they have changed.
    Pdf,
}

/// What a files profile has besides what all profiles have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRules {
    /// Modules it covers; also the default.
    pub modules: &'static [&'static str],
    /// What a rename at the remote does by default.
    pub on_remote_rename: OnRename,
    /// How the root folder is called.
    pub root: &'static str,
    /// The product's largest file in bytes (`limits: vendor`), where it names one.
    pub vendor_max_bytes: Option<u64>,
    /// Kinds of remote accounts, in the provider's words, that the product cannot be linked with, each with the sentence
    /// that `limits: vendor` warns with. The sync works all the same.
    pub vendor_lacks: &'static [(&'static str, &'static str)],
}

/// A user's settings for files, with the defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSettings {
    /// Modules whose records' files are synchronised.
    pub modules: Vec<String>,
    /// Which of their records.
    pub records: Records,
    /// What a rename at the remote does.
    pub on_remote_rename: OnRename,
    /// Google Docs and their like.
    pub google_native: NativeDocuments,
    /// Larger files are left out.
    pub max_file_bytes: Option<u64>,
    /// Names of the module folders.
    pub language: Language,
}

/// The settings that only files have.
pub const NAMES: [&str; 6] = ["modules", "records", "on_remote_rename", "google_native", "max_file_bytes", "language"];

fn value<T: serde::de::DeserializeOwned>(
    given: &Map<String, Value>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, Invalid> {
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|_| Invalid::new(format!("settings.{name}"), format!("Must be {expected}."))),
    }
}

/// The type of a module's records: `company` for `companies`.
pub fn record_type(module: &str) -> String {
    match module.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => module.strip_suffix('s').unwrap_or(module).to_owned(),
    }
}

/// Whether records can be chosen so, where these modules are.
fn of_modules(records: &Records, modules: &[String]) -> Result<(), Invalid> {
    let wrong = |message: String| Err(Invalid::new("settings.records", message));
    match records {
        Records::All => Ok(()),
        Records::Segment(id) if id.is_empty() => wrong("Name the segment by its id.".to_owned()),
        Records::Segment(_) => Ok(()),
        Records::Some(some) => {
            let types: Vec<String> = modules.iter().map(|module| record_type(module)).collect();
            match some.iter().position(|one| !types.contains(&one.kind)) {
                Some(at) => wrong(format!(
                    "No. {} of the list is of a type that is not among the chosen modules; there are {}.",
                    at + 1,
                    types.join(", ")
                )),
                None if some.iter().any(|one| one.id.is_empty()) => wrong("Each record has an id.".to_owned()),
                None => Ok(()),
            }
        }
    }
}

impl FileRules {
    /// Judges the settings for files. With the vendor's limits its largest file and its rename rule are fixed.
    pub fn settings(&self, given: &Map<String, Value>, vendor: VendorRules) -> Result<FileSettings, Invalid> {
        let modules: Option<Vec<String>> = value(given, "modules", "a list of modules")?;
        let modules = modules.unwrap_or_else(|| self.modules.iter().map(|module| (*module).to_owned()).collect());
        let unknown = modules.iter().find(|module| !self.modules.contains(&module.as_str()));
        if let Some(module) = unknown {
            let message = format!("There is no module `{module}` here; there are {}.", self.modules.join(", "));
            return Err(Invalid::new("settings.modules", message));
        }
        if modules.is_empty() {
            let message = format!("Choose at least one of {}.", self.modules.join(", "));
            return Err(Invalid::new("settings.modules", message));
        }
        let expected = "`all`, {\"segment\": id} or a list of {\"type\", \"id\"}";
        let records: Records = value(given, "records", expected)?.unwrap_or_default();
        of_modules(&records, &modules)?;
        let renames = value(given, "on_remote_rename", "`copy` or `rename`")?;
        let largest: Option<u64> = value(given, "max_file_bytes", "a number of bytes, or null")?;
        if largest == Some(0) {
            return Err(Invalid::new("settings.max_file_bytes", "Must be at least 1, or null for any size."));
        }
        let capped = self.vendor_max_bytes.filter(|_| vendor == VendorRules::Apply);
        if let (Some(largest), Some(cap)) = (largest, capped)
            && largest > cap
        {
            let message = format!("With `limits`: `vendor` a file has at most {cap} bytes.");
            return Err(Invalid::new("settings.max_file_bytes", message));
        }
        Ok(FileSettings {
            modules,
            records,
            on_remote_rename: match vendor {
                VendorRules::Apply => OnRename::Copy,
                VendorRules::Ignore => renames.unwrap_or(self.on_remote_rename),
            },
            google_native: value(given, "google_native", "`skip` or `pdf`")?.unwrap_or(NativeDocuments::Skip),
            max_file_bytes: largest.or(capped),
            language: value(given, "language", "`en`, `de`, `nl` or `fr`")?.unwrap_or_default(),
        })
    }

    /// What to warn of before an account of this kind where the vendor's limits apply.
    pub fn caution(&self, plan: Option<&str>, vendor: VendorRules) -> Option<&'static str> {
        let lacking = self.vendor_lacks.iter().find(|(lacking, _)| Some(*lacking) == plan);
        lacking.filter(|_| vendor == VendorRules::Apply).map(|(_, sentence)| *sentence)
    }

    /// The settings as properties of a JSON Schema.
    pub fn schema(&self) -> Value {
        let types: Vec<String> = self.modules.iter().map(|module| record_type(module)).collect();
        json!({
            "modules": { "type": "array", "default": self.modules, "minItems": 1,
                "items": { "type": "string", "enum": self.modules } },
            "records": { "default": "all", "description": "all, {\"segment\": id}, or a list of {\"type\", \"id\"}.",
                "anyOf": [
                    { "const": "all" },
                    { "type": "object", "required": ["segment"], "additionalProperties": false,
                      "properties": { "segment": { "type": "string", "minLength": 1 } } },
                    { "type": "array", "items": { "type": "object", "required": ["type", "id"],
                      "additionalProperties": false,
                      "properties": { "type": { "type": "string", "enum": types },
                                      "id": { "type": "string", "minLength": 1 } } } }] },
            "on_remote_rename": { "type": "string", "enum": ["rename", "copy"], "default": self.on_remote_rename },
            "google_native": { "type": "string", "enum": ["skip", "pdf"], "default": "skip" },
            "max_file_bytes": { "type": ["integer", "null"], "minimum": 1, "default": null },
            "language": { "type": "string", "enum": ["en", "de", "nl", "fr"], "default": "en",
                "description": "Names of the module folders." },
        })
    }
}

/// Whether the product's own limits apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VendorRules {
    /// They do.
    Apply,
    /// They do not.
    Ignore,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: FileRules = FileRules {
        modules: &["contacts", "companies"],
        on_remote_rename: OnRename::Rename,
        root: "Teamleader",
        vendor_max_bytes: Some(50 * 1024 * 1024),
        vendor_lacks: &[("pro", "The product lacks this.")],
    };

    fn judge(settings: Value, vendor: VendorRules) -> Result<FileSettings, Invalid> {
        let Value::Object(map) = settings else { panic!("an object") };
        RULES.settings(&map, vendor)
    }

    #[test]
    fn records_are_all_or_a_segment_or_some() {
        let records = |value: Value| judge(json!({ "records": value }), VendorRules::Ignore).map(|s| s.records);
        assert_eq!(records(json!("all")).unwrap(), Records::All);
        assert_eq!(records(json!({"segment": "s"})).unwrap(), Records::Segment("s".into()));
        let some = vec![RecordRef { kind: "company".into(), id: "1".into() }];
        assert_eq!(records(json!([{"type": "company", "id": "1"}])).unwrap(), Records::Some(some));
        for wrong in [json!("none"), json!({"list": "s"}), json!([{"id": "1"}]), json!(7)] {
            assert_eq!(records(wrong).unwrap_err().field, "settings.records");
        }
        let back = serde_json::to_value(Records::Segment("s".into())).unwrap();
        assert_eq!(back, json!({"segment": "s"}));
    }

    #[test]
    fn what_could_never_carry_a_file_is_refused_with_the_fields_name() {
        let field = |settings| judge(settings, VendorRules::Ignore).unwrap_err().field;
        assert_eq!(field(json!({"modules": []})), "settings.modules");
        assert_eq!(field(json!({"max_file_bytes": 0})), "settings.max_file_bytes");
        for records in [
            json!([{"type": "shoe", "id": "1"}]),
            json!([{"type": "companies", "id": "1"}]),
            json!([{"type": "company", "id": ""}]),
            json!({"segment": ""}),
        ] {
            assert_eq!(field(json!({"records": records})), "settings.records", "{records}");
        }
        let company = json!([{"type": "company", "id": "1"}]);
        assert_eq!(field(json!({"modules": ["contacts"], "records": company})), "settings.records");
        assert!(judge(json!({"modules": ["companies"], "records": company}), VendorRules::Ignore).is_ok());
        assert!(judge(json!({"max_file_bytes": 1}), VendorRules::Ignore).is_ok());
    }

    #[test]
    fn the_vendors_limits_warn_of_a_kind_of_account_and_refuse_none() {
        assert_eq!(RULES.caution(Some("pro"), VendorRules::Apply), Some("The product lacks this."));
        for (plan, vendor) in
            [(Some("pro"), VendorRules::Ignore), (Some("basic"), VendorRules::Apply), (None, VendorRules::Apply)]
        {
            assert_eq!(RULES.caution(plan, vendor), None, "{plan:?}");
        }
    }

    #[test]
    fn the_vendors_limits_cap_the_size_and_copy_what_is_renamed() {
        let settings = judge(json!({}), VendorRules::Apply).unwrap();
        assert_eq!((settings.max_file_bytes, settings.on_remote_rename), (Some(52_428_800), OnRename::Copy));
        assert!(judge(json!({"max_file_bytes": 52_428_801}), VendorRules::Apply).is_err());
        assert_eq!(judge(json!({}), VendorRules::Ignore).unwrap().max_file_bytes, None);
        assert_eq!(judge(json!({"modules": ["shoes"]}), VendorRules::Ignore).unwrap_err().field, "settings.modules");
    }
}
