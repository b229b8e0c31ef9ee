//! What the records look like in the API's description, made from the CRM's own table of fields.
use serde::Serialize;
use serde_json::Value;
use tandem_builtin::Kind;
use tandem_builtin::schema::Shape;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! record_schema {
    ($name:ident, $kind:expr, $doc:literal) => {
        #[doc = $doc]
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                record($kind)
            }
        }
        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }
    };
}

record_schema!(Contact, Kind::Contact, "A person.");
record_schema!(Company, Kind::Company, "An organisation.");
record_schema!(Lead, Kind::Lead, "Somebody who may become a customer.");
record_schema!(Deal, Kind::Deal, "A sale under way.");
record_schema!(Project, Kind::Project, "Work for a customer.");
record_schema!(Product, Kind::Product, "Something that is sold.");
record_schema!(File, Kind::File, "A file of a record.");
record_schema!(Folder, Kind::Folder, "A folder of a record's files.");
record_schema!(Task, Kind::Task, "Something to do.");
record_schema!(Email, Kind::Email, "A tracked message.");
record_schema!(Meeting, Kind::Meeting, "An appointment.");
record_schema!(Block, Kind::Block, "An appointment that came from a calendar; colleagues see its times alone.");
record_schema!(Segment, Kind::Segment, "A saved filter that can bound a sync.");
record_schema!(ListView, Kind::ListView, "A saved filter of a list.");
record_schema!(User, Kind::User, "A colleague.");

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn record(kind: Kind) -> RefOr<Schema> {
    let read_only = |kind: Type| ObjectBuilder::new().schema_type(kind).read_only(true);
    let mut object = ObjectBuilder::new()
        .property("id", read_only(Type::String).description(Some("UUID.")))
        .property("number", read_only(Type::Integer).description(Some("Small number for people.")))
        .property("created_at", read_only(Type::String))
        .property("updated_at", read_only(Type::String))
        .property("version", read_only(Type::Integer).description(Some("For `If-Match`.")));
    for field in kind.definition().fields {
        object = object.property(field.name, shape(field.shape, field.about));
        if field.mandatory {
            object = object.required(field.name);
        }
    }
    let free = ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some("Free fields: texts, numbers, true or false."));
    object.property("tags", ArrayBuilder::new().items(text())).property("custom", free).into()
}

fn shape(shape: Shape, about: &str) -> RefOr<Schema> {
    let about = Some(about);
    match shape {
        Shape::Line(most) | Shape::Lines(most) => text().max_length(Some(most)).description(about).into(),
        Shape::Birthday
        | Shape::Email
        | Shape::Reference(_)
        | Shape::Date
        | Shape::Moment
        | Shape::When
        | Shape::Zone => text().description(about).into(),
        Shape::KeptText => text().read_only(true).description(about).into(),
        Shape::KeptIds => ArrayBuilder::new().items(text().read_only(true)).description(about).into(),
        Shape::Recurrence => ArrayBuilder::new().items(text()).description(about).into(),
        Shape::Minutes(most) => {
            let minutes = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(most));
            minutes.description(about).into()
        }
        Shape::Attendees => ArrayBuilder::new().items(attendee()).description(about).into(),
        Shape::Exceptions => {
            let texts = ["original_start", "title", "start", "end", "description", "location"];
            let flag = ObjectBuilder::new().schema_type(Type::Boolean);
            let one = texts.iter().fold(ObjectBuilder::new(), |object, name| object.property(*name, text()));
            let one = one.property("cancelled", flag).property("attendees", ArrayBuilder::new().items(attendee()));
            ArrayBuilder::new().items(one.required("original_start")).description(about).into()
        }
        Shape::Choice(words) => text().enum_values(Some(words.iter().copied())).description(about).into(),
        Shape::Texts(most) => ArrayBuilder::new().items(text().max_length(Some(most))).description(about).into(),
        Shape::Links(_) => list(&["type", "id"], about),
        Shape::Module => {
            let known = Kind::FILTERED.into_iter().map(|kind| Value::from(kind.plural()));
            text().enum_values(Some(known)).description(about).into()
        }
        Shape::References(_) => ArrayBuilder::new().items(text()).description(about).into(),
        Shape::Subject => {
            ObjectBuilder::new().property("type", text()).property("id", text()).description(about).into()
        }
        Shape::Number => ObjectBuilder::new().schema_type(Type::Integer).description(about).into(),
        Shape::Flag => ObjectBuilder::new().schema_type(Type::Boolean).description(about).into(),
        Shape::Filter | Shape::Rights => ObjectBuilder::new()
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(about)
            .into(),
        Shape::Emails | Shape::Phones => list(&["type", "value"], about),
        Shape::Addresses => list(&["type", "street", "postal_code", "city", "region", "country"], about),
    }
}

fn attendee() -> ObjectBuilder {
    let status = text().enum_values(Some(["needs_action", "accepted", "declined", "tentative"]));
    let matches = ObjectBuilder::new().schema_type(Type::Integer).read_only(true);
    let guest = ObjectBuilder::new().property("email", text()).property("name", text());
    guest.property("status", status).property("matches", matches).required("email")
}

fn list(parts: &[&str], about: Option<&str>) -> RefOr<Schema> {
    let element = parts.iter().fold(ObjectBuilder::new(), |object, part| object.property(*part, text()));
    ArrayBuilder::new().items(element).description(about).into()
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordList {
    /// The records, by number.
    #[schema(value_type = Vec<Object>)]
    pub(super) items: Vec<Value>,
    /// Where to go on; `null` at the end. A page may be short and still have a `next`.
    pub(super) next: Option<String>,
}

/// A page of the change feed.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangePage {
    /// The changes, the oldest first; each record once, at its latest change.
    pub(super) items: Vec<ChangeItem>,
    /// Where to go on now; `null` when there is nothing more now.
    pub(super) next: Option<String>,
    /// Where to go on later.
    pub(super) cursor: String,
}

/// One change.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangeItem {
    /// `contact`, `company`, ….
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    pub(super) kind: &'static str,
    /// The record's id.
    pub(super) id: String,
    /// Whether it is deleted.
    pub(super) deleted: bool,
    /// The record as it is now; `null` when it is deleted.
    #[schema(value_type = Option<Object>)]
    pub(super) record: Option<Value>,
}

/// A record by type and id.
#[derive(Serialize, ToSchema)]
pub(super) struct Subject {
    /// `contact`, `company`, ….
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    pub(super) kind: String,
    /// Its id.
    pub(super) id: String,
}

/// A file to begin.
#[derive(Serialize, ToSchema)]
pub(super) struct NewFile {
    /// Whose file it is.
    pub(super) subject: Subject,
    /// Path of its folder, made where it is missing; "" for the top.
    pub(super) folder: Option<String>,
    /// Its name.
    pub(super) name: String,
    /// MIME type; by the name where it is left out.
    pub(super) content_type: Option<String>,
}

/// A folder to make.
#[derive(Serialize, ToSchema)]
pub(super) struct NewFolder {
    /// Whose folder it is.
    pub(super) subject: Subject,
    /// Its path.
    pub(super) path: String,
}

/// Where something goes.
#[derive(Serialize, ToSchema)]
pub(super) struct Place {
    /// Its new name.
    pub(super) name: Option<String>,
    /// Path of its new folder, made where it is missing.
    pub(super) folder: Option<String>,
}

/// An upload that was begun.
#[derive(Serialize, ToSchema)]
pub(super) struct BegunUpload {
    /// The file's id.
    pub(super) id: String,
    /// Where its bytes go.
    pub(super) upload: UploadAddress,
}

/// A request that carries a file's bytes. Whoever has it may send them; keep it to yourself.
#[derive(Serialize, ToSchema)]
pub(super) struct UploadAddress {
    /// `PUT`.
    pub(super) method: &'static str,
    /// The address.
    pub(super) url: String,
    /// Headers that must go with it.
    pub(super) headers: std::collections::BTreeMap<String, String>,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportReport {
    /// New contacts.
    pub(super) created: u64,
    /// Contacts that learned something.
    pub(super) updated: u64,
    /// Contacts that knew everything already.
    pub(super) skipped: u64,
    /// Lines that could not be used.
    pub(super) failed: u64,
    /// The first thousand of those.
    pub(super) errors: Vec<BadLine>,
    /// Time was up: send the same file again with this `offset`; `null` when all is done.
    pub(super) next: Option<u64>,
}

/// A line that could not be used.
#[derive(Serialize, ToSchema)]
pub(super) struct BadLine {
    /// Its number in the file, from 1.
    pub(super) line: u64,
    /// Why.
    pub(super) reason: String,
}
