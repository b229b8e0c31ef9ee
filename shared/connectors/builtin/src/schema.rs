//! What the records hold, as data: a record type is a row of [`Kind::definition`], and nothing else knows its fields.

/// A type of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A person.
    Contact,
    /// An organisation.
    Company,
    /// Somebody who may become a customer.
    Lead,
    /// A possible sale.
    Deal,
    /// Work under way for somebody.
    Project,
    /// Something that is sold.
    Product,
    /// A file of a record. Made, moved and filled by [`Files`](crate::Files) alone.
    File,
    /// A folder of a record's files; likewise.
    Folder,
    /// Something to do.
    Task,
    /// A tracked message.
    Email,
    /// An appointment.
    Meeting,
    /// An appointment that came from a calendar: a grey block, of which colleagues see the times alone. Made and changed
    /// by syncs, until a person makes a meeting of it.
    Block,
    /// A saved filter that bounds a sync.
    Segment,
    /// A saved filter of a list on the page.
    ListView,
    /// A colleague who may sign in.
    User,
}

/// What a field holds, which decides how it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One line of at most so many characters.
    Line(usize),
    /// Text of several lines of at most so many characters.
    Lines(usize),
    /// `[{"type","value"}]` with e-mail addresses.
    Emails,
    /// `[{"type","value"}]` with phone numbers.
    Phones,
    /// `[{"type","street","postal_code","city","region","country"}]`.
    Addresses,
    /// `YYYY-MM-DD` or `--MM-DD`.
    Birthday,
    /// One e-mail address.
    Email,
    /// The id of a record of that type, which must exist.
    Reference(Kind),
    /// The plural of a record type that can be filtered.
    Module,
    /// `{"all":[{"field","op","value"}]}`, checked against the module.
    Filter,
    /// What a user may do.
    Rights,
    /// True or false.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Ids of records of that type, which must exist.
    References(Kind),
    /// `{"type","id"}`.
    Subject,
    /// A whole number.
    Number,
    /// `YYYY-MM-DD`.
    Date,
    /// A moment, RFC 3339.
    Moment,
    /// A list of lines of at most so many characters each.
    Texts(usize),
    /// `[{"type","id"}]`: records of these types, which must exist.
    Links(&'static [Kind]),
    /// A moment (RFC 3339), or a day where the appointment lasts all day.
    When,
    /// The IANA name of a time zone.
    Zone,
    /// `RRULE` and `RDATE` lines (RFC 5545).
    Recurrence,
    /// `[{"original_start","cancelled"}]`, or `original_start` with the fields that differ.
    Exceptions,
    /// `[{"email","name","status"}]`.
    Attendees,
    /// Whole minutes, at most so many.
    Minutes(u64),
    /// A text that the CRM sets itself.
    KeptText,
    /// Ids that the CRM sets itself.
    KeptIds,
}

/// One field of a record type.
#[derive(Clone, Copy, Debug)]
pub struct FieldDefinition {
    /// Its name in the API.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether a record cannot be without it.
    pub mandatory: bool,
    /// One sentence for the API's description.
    pub about: &'static str,
}

/// A record type.
#[derive(Debug)]
pub struct Definition {
    /// As in `{"type":"contact"}`.
    pub word: &'static str,
    /// As in the address `/crm/v1/contacts`, and the name of the rights' module.
    pub plural: &'static str,
    /// Its own fields, beside the ones that every record has.
    pub fields: &'static [FieldDefinition],
    /// The fields that the search `q` looks into.
    pub searched: &'static [&'static str],
}

/// Fields that every record has and the CRM itself sets.
pub const SYSTEM_FIELDS: [&str; 5] = ["id", "number", "created_at", "updated_at", "version"];

const fn field(name: &'static str, shape: Shape, about: &'static str) -> FieldDefinition {
    FieldDefinition { name, shape, mandatory: false, about }
}
const fn mandatory(name: &'static str, shape: Shape, about: &'static str) -> FieldDefinition {
    FieldDefinition { name, shape, mandatory: true, about }
}

const NAME: Shape = Shape::Line(300);
const EMAILS: FieldDefinition = field("emails", Shape::Emails, "E-mail addresses, the main one first.");
const PHONES: FieldDefinition = field("phones", Shape::Phones, "Phone numbers, the main one first.");
const ADDRESSES: FieldDefinition = field("addresses", Shape::Addresses, "Postal addresses, the main one first.");
const WEBSITE: FieldDefinition = field("website", Shape::Line(2_000), "An address on the web.");
const OWNER: FieldDefinition = field("owner", Shape::Reference(Kind::User), "The id of the responsible user.");

static CONTACT: Definition = Definition {
    word: "contact",
    plural: "contacts",
    fields: &[
        mandatory("last_name", NAME, "Family name."),
        field("first_name", NAME, "Given name."),
        field("salutation", NAME, "“Mr”, “Dr.”, …"),
        EMAILS,
        PHONES,
        ADDRESSES,
        field("company", Shape::Reference(Kind::Company), "The id of the company the person works for."),
        field("position", NAME, "Job title at that company."),
        field("birthday", Shape::Birthday, "`YYYY-MM-DD`, or `--MM-DD` without a year."),
        field("language", Shape::Line(35), "BCP 47 language tag."),
        WEBSITE,
        field("remarks", Shape::Lines(30_000), "Free text."),
        OWNER,
    ],
    searched: &["first_name", "last_name", "emails", "phones", "position", "remarks"],
};
static COMPANY: Definition = Definition {
    word: "company",
    plural: "companies",
    fields: &[
        mandatory("name", NAME, "The company's name."),
        EMAILS,
        PHONES,
        ADDRESSES,
        WEBSITE,
        field("vat_number", Shape::Line(50), "Value-added tax number."),
        OWNER,
    ],
    searched: &["name", "emails", "phones", "vat_number", "website"],
};
const CONTACT_REF: FieldDefinition = field("contact", Shape::Reference(Kind::Contact), "The id of a contact.");
const COMPANY_REF: FieldDefinition = field("company", Shape::Reference(Kind::Company), "The id of a company.");
static LEAD: Definition = Definition {
    word: "lead",
    plural: "leads",
    fields: &[
        mandatory("last_name", NAME, "Family name."),
        field("first_name", NAME, "Given name."),
        field("salutation", NAME, "“Mr”, “Dr.”, …"),
        EMAILS,
        PHONES,
        ADDRESSES,
        field("company_name", NAME, "The company the person works for."),
        field("position", NAME, "Job title at that company."),
        field("birthday", Shape::Birthday, "`YYYY-MM-DD`, or `--MM-DD` without a year."),
        field("language", Shape::Line(35), "BCP 47 language tag."),
        WEBSITE,
        field("remarks", Shape::Lines(30_000), "Free text."),
        OWNER,
    ],
    searched: &["first_name", "last_name", "emails", "phones", "company_name", "remarks"],
};
static DEAL: Definition = Definition {
    word: "deal",
    plural: "deals",
    fields: &[mandatory("name", NAME, "What it is about."), CONTACT_REF, COMPANY_REF, OWNER],
    searched: &["name"],
};
/// Who may edit a project and its files.
pub const EDIT_RIGHTS: [&str; 3] = ["owners", "owners_and_assignees", "everyone"];
static PROJECT: Definition = Definition {
    word: "project",
    plural: "projects",
    fields: &[
        mandatory("name", NAME, "What it is about."),
        CONTACT_REF,
        COMPANY_REF,
        OWNER,
        field(
            "edit_rights",
            Shape::Choice(&EDIT_RIGHTS),
            "Who may edit it and its files; `owners` where nothing is said.",
        ),
        field("assignees", Shape::References(Kind::User), "The ids of the users who work on it."),
    ],
    searched: &["name"],
};
static PRODUCT: Definition = Definition {
    word: "product",
    plural: "products",
    fields: &[mandatory("name", NAME, "What it is called."), CONTACT_REF, COMPANY_REF, OWNER],
    searched: &["name"],
};
static FILE: Definition = Definition {
    word: "file",
    plural: "files",
    fields: &[
        mandatory("name", Shape::Line(255), "Its name, with its ending."),
        field("parent", Shape::Line(36), "The id of the folder or record that it is in."),
        field("size", Shape::Number, "Bytes."),
        field("content_type", Shape::Line(255), "MIME type."),
        field("sha256", Shape::Line(64), "SHA-256 of the bytes."),
    ],
    searched: &["name"],
};
static FOLDER: Definition = Definition {
    word: "folder",
    plural: "folders",
    fields: &[
        mandatory("name", Shape::Line(255), "Its name."),
        field("parent", Shape::Line(36), "The id of the folder or record that it is in."),
    ],
    searched: &["name"],
};
static TASK: Definition = Definition {
    word: "task",
    plural: "tasks",
    fields: &[
        mandatory("title", Shape::Line(998), "What is to be done."),
        field("description", Shape::Lines(30_000), "More about it."),
        field("due_on", Shape::Date, "The day by which it is to be done."),
        field("done", Shape::Flag, "Whether it is done."),
        field("links", Shape::Links(&[Kind::Contact, Kind::Company, Kind::Email]), "What it is about."),
        OWNER,
    ],
    searched: &["title", "description"],
};
static EMAIL: Definition = Definition {
    word: "email",
    plural: "emails",
    fields: &[
        field("message_id", Shape::Line(998), "The `Message-ID` of the message."),
        mandatory("direction", Shape::Choice(&["in", "out"]), "Whether it came in or was sent."),
        field("subject", Shape::Line(998), "Its subject."),
        field("body_html", Shape::Lines(60_000), "Its text as sanitised HTML."),
        field("body_text", Shape::Lines(30_000), "Its text."),
        field("sent_at", Shape::Moment, "When it was sent."),
        field("from", Shape::Line(600), "Who wrote it."),
        field("to", Shape::Texts(600), "To whom."),
        field("cc", Shape::Texts(600), "Who else got it."),
        field("links", Shape::Links(&[Kind::Contact, Kind::Company]), "Where it is filed."),
        field("participants", Shape::Texts(254), "The mailboxes it was tracked in."),
        field("attachments", Shape::Texts(100), "The ids of the attached files."),
    ],
    searched: &["subject", "from", "body_text"],
};
const LENGTH_OF_TITLE: Shape = Shape::Line(1_024);
const START: FieldDefinition =
    mandatory("start", Shape::When, "RFC 3339, or a day where it lasts all day; of a series, its first occurrence.");
const END: FieldDefinition = mandatory("end", Shape::When, "As `start`; exclusive.");
const ZONE: FieldDefinition =
    field("time_zone", Shape::Zone, "IANA name, such as Europe/Brussels: a series keeps its wall clock. None is UTC.");
const ALL_DAY: FieldDefinition = field("all_day", Shape::Flag, "Whether `start` and `end` are days.");
const DESCRIPTION: FieldDefinition = field("description", Shape::Lines(30_000), "Free text.");
const LOCATION: FieldDefinition = field("location", Shape::Lines(1_024), "Where it is.");
const RECURRENCE: FieldDefinition = field("recurrence", Shape::Recurrence, "`RRULE` and `RDATE` lines of a series.");
const EXCEPTIONS: FieldDefinition = field(
    "exceptions",
    Shape::Exceptions,
    "Occurrences that differ, each by the start that the rule gives it (`original_start`): `cancelled`, or what it says \
     instead (`title`, `start`, `end`, `description`, `location`, `attendees`).",
);
const ATTENDEES: FieldDefinition = field(
    "attendees",
    Shape::Attendees,
    "Guests; `status` is `needs_action`, `accepted`, `declined` or `tentative`. Where several records have the address, \
     `matches` says how many.",
);
const LINKS: FieldDefinition = field(
    "links",
    Shape::Links(&[Kind::Contact, Kind::Company, Kind::Lead, Kind::Deal, Kind::Project]),
    "Whose cards it is on: what was linked by hand, and every lead, contact and company that has a guest's address.",
);
/// Google takes reminders of up to four weeks.
const REMINDER: FieldDefinition = field(
    "reminder_minutes",
    Shape::Minutes(40_320),
    "Minutes before the start; none: as the calendar does by default.",
);
const VISIBILITY: FieldDefinition =
    field("visibility", Shape::Choice(&["default", "private"]), "Who sees its details in a calendar.");
const STATUS: FieldDefinition = field("status", Shape::Choice(&["open", "done"]), "Whether it is dealt with.");
const CONFERENCE: FieldDefinition = field("conference", Shape::Line(2_000), "Address of the video conference.");
const UID: FieldDefinition =
    field("ical_uid", Shape::KeptText, "Its name in every calendar that it is in (iCalUID); the CRM sets it.");
const PARTICIPANTS: FieldDefinition =
    field("participants", Shape::KeptIds, "The users in whose calendars it is; the CRM sets it.");
static MEETING: Definition = Definition {
    word: "meeting",
    plural: "meetings",
    fields: &[
        mandatory("title", LENGTH_OF_TITLE, "What it is about."),
        START,
        END,
        ZONE,
        ALL_DAY,
        DESCRIPTION,
        LOCATION,
        RECURRENCE,
        EXCEPTIONS,
        ATTENDEES,
        LINKS,
        REMINDER,
        VISIBILITY,
        STATUS,
        CONFERENCE,
        UID,
        PARTICIPANTS,
        OWNER,
    ],
    searched: &["title", "description", "location"],
};
static BLOCK: Definition = Definition {
    word: "block",
    plural: "blocks",
    fields: &[
        field("title", LENGTH_OF_TITLE, "What it is about."),
        START,
        END,
        ZONE,
        ALL_DAY,
        DESCRIPTION,
        LOCATION,
        RECURRENCE,
        EXCEPTIONS,
        ATTENDEES,
        LINKS,
        REMINDER,
        VISIBILITY,
        STATUS,
        CONFERENCE,
        UID,
        PARTICIPANTS,
        OWNER,
        field("calendar", Shape::Line(1_000), "The id of the calendar that it came from."),
    ],
    searched: &["title", "description", "location"],
};
const FILTER_FIELDS: &[FieldDefinition] = &[
    mandatory("name", NAME, "What people call it."),
    mandatory("module", Shape::Module, "Which records it picks: `contacts`, `companies`, …."),
    field("filter", Shape::Filter, "The records for which every test holds; without tests, all of them."),
];
static SEGMENT: Definition =
    Definition { word: "segment", plural: "segments", fields: FILTER_FIELDS, searched: &["name", "module"] };
static LIST_VIEW: Definition =
    Definition { word: "list_view", plural: "list_views", fields: FILTER_FIELDS, searched: &["name", "module"] };
static USER: Definition = Definition {
    word: "user",
    plural: "users",
    fields: &[
        field("name", NAME, "The person's name."),
        mandatory("email", Shape::Email, "The address the person signs in with; one user an address."),
        field("admin", Shape::Flag, "Whether the person may manage users and rights."),
        field("rights", Shape::Rights, "What the person may do; what is left out is allowed."),
    ],
    searched: &["name", "email"],
};

impl Kind {
    /// Every type of record.
    pub const ALL: [Kind; 15] = [
        Kind::Contact,
        Kind::Company,
        Kind::Lead,
        Kind::Deal,
        Kind::Project,
        Kind::Product,
        Kind::Task,
        Kind::Email,
        Kind::Meeting,
        Kind::Block,
        Kind::File,
        Kind::Folder,
        Kind::Segment,
        Kind::ListView,
        Kind::User,
    ];
    /// The types that rights speak of. Blocks go by the rights on meetings.
    pub const MODULES: [Kind; 11] = [
        Kind::Contact,
        Kind::Company,
        Kind::Lead,
        Kind::Deal,
        Kind::Project,
        Kind::Product,
        Kind::Task,
        Kind::Email,
        Kind::Meeting,
        Kind::Segment,
        Kind::ListView,
    ];
    /// The types that files can belong to.
    pub const WITH_FILES: [Kind; 7] =
        [Kind::Contact, Kind::Company, Kind::Lead, Kind::Deal, Kind::Project, Kind::Product, Kind::Meeting];
    /// The types that are found by their addresses: mail is filed at the first two, appointments are shown on all.
    pub(crate) const ADDRESSED: [Kind; 3] = [Kind::Contact, Kind::Company, Kind::Lead];
    /// The types that a segment or list view can pick from.
    pub const FILTERED: [Kind; 6] =
        [Kind::Contact, Kind::Company, Kind::Lead, Kind::Deal, Kind::Project, Kind::Product];

    /// What it holds.
    pub fn definition(self) -> &'static Definition {
        match self {
            Kind::Contact => &CONTACT,
            Kind::Company => &COMPANY,
            Kind::Lead => &LEAD,
            Kind::Deal => &DEAL,
            Kind::Project => &PROJECT,
            Kind::Product => &PRODUCT,
            Kind::File => &FILE,
            Kind::Folder => &FOLDER,
            Kind::Task => &TASK,
            Kind::Email => &EMAIL,
            Kind::Meeting => &MEETING,
            Kind::Block => &BLOCK,
            Kind::Segment => &SEGMENT,
            Kind::ListView => &LIST_VIEW,
            Kind::User => &USER,
        }
    }
    /// `contact`, `company`, ….
    pub fn word(self) -> &'static str {
        self.definition().word
    }
    /// `contacts`, `companies`, ….
    pub fn plural(self) -> &'static str {
        self.definition().plural
    }
    /// Whether it is an appointment: a meeting, or a block that may become one.
    pub fn is_appointment(self) -> bool {
        [Kind::Meeting, Kind::Block].contains(&self)
    }
    /// The type with this word.
    pub(crate) fn of_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
    /// The filterable type with this plural.
    pub(crate) fn of_module(plural: &str) -> Option<Kind> {
        Kind::FILTERED.into_iter().find(|kind| kind.plural() == plural)
    }
}

impl Definition {
    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&'static FieldDefinition> {
        self.fields.iter().find(|field| field.name == name)
    }
}
