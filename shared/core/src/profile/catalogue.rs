//! All profiles of this release: an integration's rules as data.
use super::{CALENDARS, MAIL, Profile, TASKS, VendorLimits};
use crate::files::settings::{FileRules, OnRename};
use crate::policy::{Conflict, Direction, Eligibility, MatchKey, OnDelete, OnLeave, OverFirst, RunLimits};

const DELETIONS: &[OnDelete] = &[OnDelete::Propagate, OnDelete::Unlink, OnDelete::Restore];

/// All profiles of this release.
pub const PROFILES: &[Profile] = &[
    Profile {
        id: "teamleader-google-contacts",
        name: "Teamleader Focus → Google Contacts",
        kind: "contacts",
        crm: &["builtin", "teamleader"],
        remote: &["google"],
        directions: &[Direction::CrmToRemote],
        conflicts: &[Conflict::Crm],
        on_crm_delete: &[OnDelete::Propagate, OnDelete::Unlink],
        on_remote_delete: &[OnDelete::Restore, OnDelete::Unlink],
        on_crm_leave: OnLeave::Detach,
        on_remote_leave: OnLeave::Restore,
        delete_only_own_copies: true,
        group_names: &["Teamleader Focus", "Teamleader"],
        carry_company: true,
        eligibility: Eligibility::Strict,
        match_on: &[MatchKey::Email],
        frequency_minutes: 60,
        vendor: VendorLimits {
            run: RunLimits { first: 10_000, over: OverFirst::Pause, later: None },
            manual_start: false,
            frequency_minutes: Some(60),
        },
        files: None,
    },
    Profile {
        id: "zoho-google-contacts",
        name: "Zoho CRM ↔ Google Contacts",
        kind: "contacts",
        crm: &["builtin", "zoho"],
        remote: &["google"],
        directions: &[Direction::Both, Direction::CrmToRemote, Direction::RemoteToCrm],
        conflicts: &[Conflict::Crm, Conflict::Remote, Conflict::Newest],
        on_crm_delete: DELETIONS,
        on_remote_delete: DELETIONS,
        on_crm_leave: OnLeave::Unlink,
        on_remote_leave: OnLeave::Unlink,
        delete_only_own_copies: false,
        group_names: &["Zoho CRM"],
        carry_company: false,
        eligibility: Eligibility::Relaxed,
        match_on: &[MatchKey::WorkEmail],
        frequency_minutes: 60,
        vendor: VendorLimits {
            run: RunLimits { first: 10_000, over: OverFirst::GoOn, later: Some(500) },
            manual_start: true,
            frequency_minutes: None,
        },
        files: None,
    },
    Profile {
        id: "sell-google-contacts",
        name: "Zendesk Sell ↔ Google Contacts",
        kind: "contacts",
        crm: &["builtin", "sell"],
        remote: &["google"],
        directions: &[Direction::Both, Direction::CrmToRemote, Direction::RemoteToCrm],
        conflicts: &[Conflict::Crm, Conflict::Remote, Conflict::Newest],
        on_crm_delete: DELETIONS,
        on_remote_delete: DELETIONS,
        on_crm_leave: OnLeave::Unlink,
        on_remote_leave: OnLeave::Unlink,
        delete_only_own_copies: false,
        group_names: &["Base CRM"],
        carry_company: false,
        eligibility: Eligibility::Relaxed,
        match_on: &[MatchKey::Email],
        frequency_minutes: 60,
        vendor: VendorLimits {
            // Google's own limit; Sell has none.
            run: RunLimits { first: 25_000, over: OverFirst::GoOn, later: None },
            manual_start: true,
            frequency_minutes: None,
        },
        files: None,
    },
    FILES,
    Profile {
        id: "teamleader-dropbox",
        name: "Teamleader Focus ↔ Dropbox",
        remote: &["dropbox"],
        frequency_minutes: 60,
        vendor: VendorLimits { frequency_minutes: Some(60), ..FILES.vendor },
        files: Some(FileRules { vendor_lacks: &[NO_PROFESSIONAL], ..FILE_RULES }),
        ..FILES
    },
    ZOHO_FILES,
    SELL_FILES,
    Profile {
        id: "sell-dropbox",
        name: "Zendesk Sell → Dropbox",
        remote: &["dropbox"],
        frequency_minutes: 60,
        ..SELL_FILES
    },
    Profile {
        id: "zoho-dropbox",
        name: "Zoho CRM ↔ Dropbox",
        remote: &["dropbox"],
        frequency_minutes: 60,
        ..ZOHO_FILES
    },
    Profile {
        id: "teamleader-gmail",
        name: "Gmail → Teamleader Focus",
        kind: MAIL,
        crm: &["builtin", "teamleader"],
        remote: &["google"],
        directions: &[Direction::RemoteToCrm],
        conflicts: &[Conflict::Crm],
        on_crm_delete: &[OnDelete::Unlink],
        on_remote_delete: &[OnDelete::Unlink],
        on_crm_leave: OnLeave::Unlink,
        on_remote_leave: OnLeave::Unlink,
        delete_only_own_copies: true,
        group_names: &[],
        carry_company: false,
        eligibility: Eligibility::Relaxed,
        match_on: &[MatchKey::Email],
        // Pushes make it faster; this is for the pushes that get lost.
        frequency_minutes: 15,
        vendor: VendorLimits {
            run: RunLimits { first: u64::MAX, over: OverFirst::GoOn, later: None },
            manual_start: true,
            frequency_minutes: None,
        },
        files: None,
    },
    CALENDAR,
    Profile { id: "zoho-google-calendar", name: "Zoho CRM ↔ Google Calendar", crm: &["builtin", "zoho"], ..CALENDAR },
    Profile {
        id: "sell-google-calendar",
        name: "Zendesk Sell ↔ Google Calendar",
        crm: &["builtin", "sell"],
        ..CALENDAR
    },
    Profile {
        id: TASKS,
        name: "Zendesk Sell ↔ Google Tasks",
        crm: &["builtin", "sell"],
        match_on: &[MatchKey::Task],
        ..CALENDAR
    },
];

/// What the calendar profiles share; Teamleader's own is the default. What else they differ in is in [`calendar::rules`].
const CALENDAR: Profile = Profile {
    id: "teamleader-google-calendar",
    name: "Teamleader Focus ↔ Google Calendar",
    kind: CALENDARS,
    crm: &["builtin", "teamleader"],
    remote: &["google"],
    directions: &[Direction::Both, Direction::CrmToRemote, Direction::RemoteToCrm],
    conflicts: &[Conflict::Crm, Conflict::Remote, Conflict::Newest],
    on_crm_delete: DELETIONS,
    on_remote_delete: DELETIONS,
    // A calendar that is gone, or not chosen any more, leaves its copies (S3-18).
    on_crm_leave: OnLeave::Unlink,
    on_remote_leave: OnLeave::Unlink,
    delete_only_own_copies: false,
    group_names: &[],
    carry_company: false,
    eligibility: Eligibility::Any,
    match_on: &[MatchKey::Uid],
    frequency_minutes: 30,
    vendor: VendorLimits {
        run: RunLimits { first: u64::MAX, over: OverFirst::GoOn, later: None },
        manual_start: true,
        frequency_minutes: None,
    },
    files: None,
};

/// What the files profiles share; that of Teamleader and Drive is the default.
const FILES: Profile = Profile {
    id: "teamleader-google-drive",
    name: "Teamleader Focus ↔ Google Drive",
    kind: "files",
    crm: &["builtin", "teamleader"],
    remote: &["google"],
    directions: &[Direction::Both, Direction::CrmToRemote, Direction::RemoteToCrm],
    conflicts: &[Conflict::Crm, Conflict::Remote, Conflict::Newest],
    on_crm_delete: DELETIONS,
    on_remote_delete: &[OnDelete::Unlink, OnDelete::Propagate, OnDelete::Restore],
    on_crm_leave: OnLeave::Unlink,
    on_remote_leave: OnLeave::Unlink,
    delete_only_own_copies: false,
    group_names: &["Teamleader"],
    carry_company: false,
    eligibility: Eligibility::Relaxed,
    match_on: &[],
    frequency_minutes: 30,
    vendor: VendorLimits {
        run: RunLimits { first: u64::MAX, over: OverFirst::GoOn, later: None },
        manual_start: true,
        frequency_minutes: Some(30),
    },
    files: Some(FILE_RULES),
};
/// Zoho's own extension for Drive keeps the attachments of all records there; it names no caps but that of an attachment.
const ZOHO_FILES: Profile = Profile {
    id: "zoho-google-drive",
    name: "Zoho CRM ↔ Google Drive",
    crm: &["builtin", "zoho"],
    group_names: &["Zoho CRM"],
    vendor: VendorLimits { frequency_minutes: None, ..FILES.vendor },
    files: Some(FileRules {
        modules: &["contacts", "companies", "leads", "deals"],
        root: "Zoho CRM",
        vendor_max_bytes: Some(20 * 1024 * 1024),
        ..FILE_RULES
    }),
    ..FILES
};
/// Sell's API takes no documents; with the built-in CRM it may go both ways.
const SELL_FILES: Profile = Profile {
    id: "sell-google-drive",
    name: "Zendesk Sell → Google Drive",
    crm: &["builtin", "sell"],
    directions: &[Direction::CrmToRemote, Direction::Both, Direction::RemoteToCrm],
    group_names: &["Zendesk Sell"],
    vendor: VendorLimits { frequency_minutes: None, ..FILES.vendor },
    files: Some(FileRules {
        modules: &["contacts", "companies", "leads", "deals"],
        root: "Zendesk Sell",
        vendor_max_bytes: None,
        ..FILE_RULES
    }),
    ..FILES
};
/// The rules of files; Drive's own are the default.
const FILE_RULES: FileRules = FileRules {
    modules: &["contacts", "companies", "projects", "meetings", "products"],
    on_remote_rename: OnRename::Rename,
    root: "Teamleader",
    vendor_max_bytes: Some(50 * 1024 * 1024),
    vendor_lacks: &[],
};
/// Dropbox tells `pro` of Plus and Family as well as of Professional.
const NO_PROFESSIONAL: (&str, &str) = (
    "pro",
    "Teamleader Focus itself cannot be linked with Dropbox Professional. This Dropbox account may be one; its files are \
     synchronised all the same.",
);
