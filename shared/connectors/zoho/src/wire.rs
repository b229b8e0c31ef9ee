//! Zoho's answers, as far as we look into them.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A record as it came.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Record(pub(crate) Map<String, Value>);

/// Ours, on the record as read: the phone number of its account. Never sent.
const COMPANY_PHONE: &str = "$tandem_company_phone";

impl Record {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }
    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }
    pub(crate) fn modified(&self) -> &str {
        self.text("Modified_Time")
    }
    pub(crate) fn modified_at(&self) -> Option<jiff::Timestamp> {
        self.modified().parse().ok()
    }
    pub(crate) fn created_at(&self) -> Option<jiff::Timestamp> {
        self.text("Created_Time").parse().ok()
    }
    /// `id` or `name` of the account.
    pub(crate) fn account(&self, part: &str) -> &str {
        self.0.get("Account_Name").and_then(|account| account[part].as_str()).unwrap_or_default()
    }
    pub(crate) fn company_phone(&self) -> &str {
        self.text(COMPANY_PHONE)
    }
    pub(crate) fn set_company_phone(&mut self, phone: &str) {
        self.0.insert(COMPANY_PHONE.to_owned(), Value::from(phone));
    }
}

/// An answer with records.
#[derive(Default, Deserialize)]
pub(crate) struct Records {
    #[serde(default)]
    pub(crate) data: Vec<Record>,
    #[serde(default)]
    pub(crate) info: Info,
}

/// Where a page stands.
#[derive(Default, Deserialize)]
pub(crate) struct Info {
    #[serde(default)]
    pub(crate) more_records: bool,
    #[serde(default)]
    pub(crate) next_page_token: Option<String>,
}

/// An answer with attachments.
#[derive(Default, Deserialize)]
pub(crate) struct Attachments {
    #[serde(default)]
    pub(crate) data: Vec<Attachment>,
    #[serde(default)]
    pub(crate) info: Info,
}

/// A file or a link at a record.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Attachment {
    pub(crate) id: String,
    #[serde(rename = "File_Name")]
    pub(crate) name: Option<String>,
    /// A number as text.
    #[serde(rename = "Size")]
    size: Value,
    #[serde(rename = "Modified_Time")]
    pub(crate) modified: String,
    #[serde(rename = "$link_url")]
    link: Option<String>,
}

impl Attachment {
    /// In bytes; 0 where Zoho says none (a link).
    pub(crate) fn size(&self) -> u64 {
        self.size.as_str().and_then(|text| text.parse().ok()).or(self.size.as_u64()).unwrap_or(0)
    }
    pub(crate) fn is_link(&self) -> bool {
        self.link.as_deref().is_some_and(|url| !url.is_empty())
    }
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// An answer with what was deleted.
#[derive(Default, Deserialize)]
pub(crate) struct DeletedRecords {
    #[serde(default)]
    pub(crate) data: Vec<Deleted>,
    #[serde(default)]
    pub(crate) info: Info,
}

#[derive(Deserialize)]
pub(crate) struct Deleted {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) deleted_time: String,
}

/// What became of one record of a write.
#[derive(Default, Deserialize)]
pub(crate) struct Treated {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) details: Value,
}

#[derive(Deserialize)]
pub(crate) struct TreatedAll {
    pub(crate) data: Vec<Treated>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    pub(crate) fields: Vec<FieldMeta>,
}

/// One field of a module (`settings/fields`).
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FieldMeta {
    pub(crate) api_name: String,
    pub(crate) field_label: String,
    pub(crate) display_label: Option<String>,
    pub(crate) data_type: String,
    pub(crate) length: Option<usize>,
    pub(crate) system_mandatory: bool,
    pub(crate) read_only: bool,
    pub(crate) field_read_only: bool,
    pub(crate) custom_field: bool,
    pub(crate) visible: Option<bool>,
    pub(crate) pick_list_values: Vec<PickValue>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PickValue {
    pub(crate) display_value: String,
    pub(crate) actual_value: Option<String>,
    #[serde(rename = "type")]
    pub(crate) usage: Option<String>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Views {
    #[serde(default)]
    pub(crate) custom_views: Vec<View>,
    #[serde(default)]
    pub(crate) info: Info,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) display_value: Option<String>,
    pub(crate) module: Option<Module>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Module {
    pub(crate) api_name: String,
}

#[derive(Default, Deserialize)]
pub(crate) struct Users {
    #[serde(default)]
    pub(crate) users: Vec<User>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) profile: Named,
    pub(crate) time_zone: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    pub(crate) id: String,
}

#[derive(Default, Deserialize)]
pub(crate) struct Profiles {
    #[serde(default)]
    pub(crate) profiles: Vec<Profile>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Profile {
    pub(crate) permissions_details: Vec<Permission>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Permission {
    pub(crate) name: String,
    pub(crate) display_label: Option<String>,
    pub(crate) module: Option<String>,
    pub(crate) enabled: bool,
}
