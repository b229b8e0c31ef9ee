//! What the engine answers, as the API's description tells it. The engine's own types know nothing of descriptions; a
//! test holds each real answer against what stands here.
use utoipa::ToSchema;

/// What would happen on one side.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct SidePreview {
    /// Records that are there already and would be recognised.
    pair: u64,
    /// Records that would be created.
    create: u64,
    /// Records that would be changed.
    update: u64,
    /// Records that would be deleted.
    delete: u64,
}

/// Records that would not be carried across, for one reason.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct ExcludedCount {
    /// `missing_fields`, ….
    code: String,
    /// For people.
    reason: String,
    /// How many.
    count: u64,
}

/// What a run would do.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct Preview {
    /// On the CRM side.
    crm: SidePreview,
    /// On the remote side.
    remote: SidePreview,
    /// Records that both sides changed differently.
    conflicts: u64,
    /// Records that would not be carried across, by reason.
    excluded: Vec<ExcludedCount>,
    /// Why nothing can be carried as the sync is set, and what to choose; `null` where something can.
    note: Option<String>,
    /// Whether the guard would hold it for its deletions.
    would_be_held: bool,
    /// False when there is more than one look can take in; the counts are then those of the beginning.
    complete: bool,
}

/// Why, for programs and for people. No personal data.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct Reason {
    /// `missing_fields`, `not_in_list`, `ambiguous`, `edited_since`, ….
    code: String,
    /// One sentence.
    message: String,
}

/// A record as one side has it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct CopyView {
    /// Its id there.
    id: String,
    /// What people call it; `null` when it cannot be read now.
    title: Option<String>,
}

/// One record of a sync.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct RecordView {
    /// Its row.
    id: String,
    /// `in_sync`, `excluded`, `failing` or `held`.
    state: String,
    /// The CRM's copy.
    crm: Option<CopyView>,
    /// The remote copy.
    remote: Option<CopyView>,
    /// Why it is excluded, failing or held; of one in step, in what its sides differ since an undo.
    reason: Option<Reason>,
    /// When both sides last agreed.
    #[schema(format = DateTime)]
    last_synced_at: Option<String>,
    /// Refused tries.
    attempts: u32,
}

/// One written field, or one whole record.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct ChangeView {
    /// `crm` or `remote`.
    side: String,
    /// Id of the record there.
    record: String,
    /// What people call it.
    title: String,
    /// `create`, `update`, `delete`, ….
    action: String,
    /// Which field; `null` for the whole record.
    field: Option<String>,
    /// What it said: a text, or a list of labelled values.
    before: Option<serde_json::Value>,
    /// What it says now.
    after: Option<serde_json::Value>,
    /// `new_record`, `changed`, `merged`, `deleted`, `undone`, ….
    why: String,
}

/// Something that could not be put back.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct NotUndone {
    /// `crm` or `remote`.
    side: String,
    /// Id of the record there.
    record: String,
    /// What people call it.
    title: String,
    /// Which field; `null` for the whole record.
    field: Option<String>,
    /// `edited_since`, `gone` or `refused`, with a sentence.
    reason: Reason,
}

/// What an undo has done.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct Undone {
    /// The run in which what was put back is recorded; `null` where nothing was.
    run: Option<String>,
    /// Records that are as they were before the run.
    undone: u64,
    /// What could not be put back, and why.
    not_undone: Vec<NotUndone>,
    /// False when time was up: call again with `next`, and it goes on.
    complete: bool,
    /// Where to go on.
    next: Option<String>,
}

/// What happened on one side.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct SideCounts {
    /// Records read from its feed or listing.
    read: u64,
    /// Records created here.
    created: u64,
    /// Records changed here.
    updated: u64,
    /// Records deleted here.
    deleted: u64,
    /// Records that were here already and were recognised.
    paired: u64,
    /// Records on which a change made here was lost to the other side's.
    conflicts: u64,
    /// Records of this side that are not carried across.
    excluded: u64,
    /// Records that this side refused.
    failing: u64,
}

/// What happened on both sides.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct Counts {
    /// The CRM.
    crm: SideCounts,
    /// The remote.
    remote: SideCounts,
}

/// How far a run is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(crate) struct Progress {
    /// Records looked at.
    done: u64,
    /// Records to look at, as far as known; never less than `done`.
    total: u64,
}
