//! Syncs: a CRM connection and a remote connection kept in step by a profile's rules.
use crate::answer::{ApiError, ErrorBody, List, page};
use crate::connections;
use crate::described;
use crate::input::{Fields, Paging, Params};
use crate::runs::RunView;
use crate::state::{AppState, PREVIEW_TIME, id_of};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tandem_builtin::users::User;
use tandem_core::calendar::judge_names;
use tandem_core::files::settings::VendorRules;
use tandem_core::fingerprint::FingerprintKey;
use tandem_core::profile::{self, Limits, PROFILES, Profile};
use tandem_core::record::{RunId, Side, SyncId};
use tandem_core::schedule::next_slot;
use tandem_core::schema::judge_map as judge_map_of;
use tandem_engine::{Budget, Preview, PushView};
use tandem_ports::connector::Choice;
use tandem_ports::infra::Kind;
use tandem_ports::oauth::Holders;
use tandem_store::channel::PushState;
use tandem_store::connection::{Connection, ConnectionState};
use tandem_store::sync::{Sync, SyncState};
use utoipa::ToSchema;

/// A sync.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncView {
    /// Id.
    id: String,
    /// Which profile.
    profile: String,
    /// The CRM connection's id.
    crm: String,
    /// The remote connection's id.
    remote: String,
    /// Every setting, also those that the profile's default fills in.
    #[schema(value_type = Object)]
    settings: Value,
    /// Whether it runs.
    enabled: bool,
    /// `idle`, `running`, `waiting`, `held` or `paused`.
    #[schema(value_type = String)]
    state: SyncState,
    /// Why it waits, is held or paused.
    reason: Option<String>,
    /// What the product that the profile is named after would not do with these accounts, where its limits apply
    /// (`limits`: `vendor`). It runs all the same.
    caution: Option<String>,
    /// The latest run, also when it is under way.
    last_run: Option<RunView>,
    /// When the schedule takes it up next.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_due_at: Option<jiff::Timestamp>,
    /// Whether changes are told of by themselves; `null` where neither side ever does that, and before the first run.
    push: Option<PushNote>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: jiff::Timestamp,
}

/// Whether changes are told of by themselves.
#[derive(Serialize, ToSchema)]
pub(crate) struct PushNote {
    /// `on`, `lapsed` (it should, and does not: the schedule looks) or `off`.
    #[schema(value_type = String)]
    state: PushState,
    /// Until when it is on; it is renewed before. `null`: without end, or not on.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<jiff::Timestamp>,
    /// Why it is not on.
    reason: Option<String>,
    /// `crm`, `remote`: the sides whose changes come at once. Those of the other one come with the schedule.
    #[schema(value_type = Vec<String>)]
    sides: Vec<Side>,
}

/// What to keep in step.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body in the API's description; it is read field by field")]
pub(crate) struct NewSync {
    /// From `GET /v1/profiles`.
    profile: String,
    /// The CRM connection's id.
    crm: String,
    /// The remote connection's id.
    remote: String,
    /// As the profile's `settings` describe; what is left out takes its default.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
    /// Whether it runs; `true` without.
    enabled: Option<bool>,
}

/// What to change.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body in the API's description; it is read field by field")]
pub(crate) struct SyncPatch {
    /// Replaces the settings that it names; `null` puts one back to its default.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
    /// Whether it runs.
    enabled: Option<bool>,
}

/// Makes a sync. Its first run begins at the schedule's next look.
#[utoipa::path(post, path = "/v1/syncs", operation_id = "create_sync", tag = "syncs", request_body = NewSync,
    responses((status = 201, body = SyncView), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    fields: Fields,
) -> Result<(StatusCode, Json<SyncView>), ApiError> {
    fields.only(&["profile", "crm", "remote", "settings", "enabled"])?;
    let profile = profile::profile(fields.text("profile")?).ok_or_else(|| {
        let known: Vec<&str> = PROFILES.iter().map(|profile| profile.id).collect();
        ApiError::field("profile", format!("There is no such profile; this release has {}.", known.join(", ")))
    })?;
    let crm = side(&state, &user, &fields, "crm", profile.crm).await?;
    let remote = side(&state, &user, &fields, "remote", profile.remote).await?;
    let settings = without_nulls(fields.object("settings")?);
    let direction = profile.settings(&settings)?.direction;
    if let Some(message) = [&crm, &remote].into_iter().find_map(|one| state.engine.lacks(one, profile, direction)) {
        return Err(ApiError::conflict("reconnect_needed", message));
    }
    let mapped = settings.contains_key("field_map");
    let enabled = fields.flag("enabled")?.unwrap_or(true);
    let twin = |sync: &Sync| sync.profile == profile.id && sync.crm == crm.id && sync.remote == remote.id;
    let others = state.store.syncs_of(&id_of(&user)).await?;
    if others.iter().any(twin) {
        let message = "These two connections are already kept in step by this profile.";
        return Err(ApiError::conflict("already_there", message));
    }
    may_share(&state, profile, (&crm, &remote), &others).await?;
    let now = state.clock.now();
    let sync = Sync {
        id: SyncId::new(uuid::Uuid::new_v4().to_string()),
        user: id_of(&user),
        profile: profile.id.to_owned(),
        kind: kind_of(profile),
        crm: crm.id.clone(),
        remote: remote.id.clone(),
        settings,
        enabled,
        state: SyncState::Idle,
        reason: None,
        current_run: None,
        last_run: None,
        next_due_at: enabled.then_some(now),
        fingerprint_key: FingerprintKey::new(hex::encode(rand::random::<[u8; 32]>())),
        created_at: now,
        settings_version: 0,
    };
    if mapped {
        judge_map(&state, profile, &sync, (&crm, &remote)).await?;
    }
    judge_calendars(&state, profile, &sync, (None, &remote)).await?;
    judge_records(&state, &sync, &crm).await?;
    state.store.create_sync(&sync).await?;
    let caution = caution(&state, &sync).await?.map(str::to_owned);
    Ok((StatusCode::CREATED, Json(SyncView { caution, ..view(sync, None, None) })))
}

/// Where a remote account has one folder for us (a Dropbox app folder), the files of two CRM accounts would be mixed in it:
/// their records have the same numbers.
async fn may_share(
    state: &AppState,
    profile: &Profile,
    (crm, remote): (&Connection, &Connection),
    others: &[Sync],
) -> Result<(), ApiError> {
    let provider = state.connect.providers().find(|provider| provider.name == remote.provider);
    let one_folder = provider.is_some_and(|provider| provider.endpoints.holders == Holders::One);
    if profile.files.is_none() || !one_folder {
        return Ok(());
    }
    for other in others.iter().filter(|other| other.kind == Kind::Files && other.remote == remote.id) {
        let theirs = state.store.connection(&other.crm).await?;
        let same = |theirs: &Connection| theirs.provider == crm.provider && theirs.account.id == crm.account.id;
        if !theirs.as_ref().is_some_and(same) {
            let message = "This account has one folder here, and the files of another CRM account are in it. Connect \
                           another account, or remove that sync first.";
            return Err(ApiError::conflict("account_taken", message));
        }
    }
    Ok(())
}

fn kind_of(profile: &Profile) -> Kind {
    let all = [Kind::Contacts, Kind::Calendar, Kind::Files, Kind::Mail];
    all.into_iter().find(|kind| kind.word() == profile.kind).unwrap_or(Kind::Contacts)
}

/// The user's connection for one side, of a provider that the profile permits, and connected.
async fn side(
    state: &AppState,
    user: &User,
    fields: &Fields,
    name: &str,
    permitted: &[&str],
) -> Result<Connection, ApiError> {
    let found = connections::find(state, user, fields.text(name)?).await?;
    let connection = found.ok_or_else(|| ApiError::field(name, "There is no such connection."))?;
    if !permitted.contains(&connection.provider.as_str()) {
        let message = format!("This profile needs a connection to {} here.", permitted.join(" or "));
        return Err(ApiError::field(name, message));
    }
    match connection.state {
        ConnectionState::Connected => Ok(connection),
        ConnectionState::Pending => Err(ApiError::field(name, "This connection is not finished; connect it first.")),
        ConnectionState::ReconnectNeeded => Err(ApiError::field(name, "This account must be connected again first.")),
    }
}

/// Refuses a field map that a side cannot hold. A side that cannot be asked just now refuses nothing: a run tells then.
async fn judge_map(
    state: &AppState,
    profile: &Profile,
    sync: &Sync,
    connections: (&Connection, &Connection),
) -> Result<(), ApiError> {
    let settings = profile.settings(&sync.settings)?;
    match state.engine.fields(sync, connections).await {
        Ok([crm, remote]) => Ok(judge_map_of(&settings.field_map, settings.direction, &crm, &remote)?),
        Err(error) => {
            tracing::info!(error = tandem_runtime::chain(&error), "a field map was taken without its sides' word");
            Ok(())
        }
    }
}

/// Refuses calendars that the remote account does not have, of those that `before` did not name. An account that cannot be
/// asked just now refuses nothing: a run tells then.
async fn judge_calendars(
    state: &AppState,
    profile: &Profile,
    sync: &Sync,
    (before, remote): (Option<&Map<String, Value>>, &Connection),
) -> Result<(), ApiError> {
    let read = |given: &Map<String, Value>| profile.settings(given).map(|settings| settings.calendar);
    let before = before.and_then(|before| read(before).ok().flatten());
    let after = read(&sync.settings)?;
    let names = after.as_ref().map(|after| after.new_names(before.as_ref())).unwrap_or_default();
    if names.is_empty() {
        return Ok(());
    }
    match state.engine.remote_choices(sync, remote).await {
        Ok(choices) => {
            let ids = |some: Vec<Choice>| some.into_iter().map(|choice| choice.id).collect();
            let choices = choices.into_iter().map(|(setting, some)| (setting, ids(some))).collect();
            Ok(judge_names(&names, &choices)?)
        }
        Err(error) => {
            tracing::info!(error = tandem_runtime::chain(&error), "calendars were taken without the account's word");
            Ok(())
        }
    }
}

/// Files of records that are not in the CRM would never come: that is said now, where the CRM can be asked now.
async fn judge_records(state: &AppState, sync: &Sync, crm: &Connection) -> Result<(), ApiError> {
    match state.engine.missing_records(sync, crm).await {
        Ok(None) => Ok(()),
        Ok(Some(message)) => Err(ApiError::field("settings.records", message)),
        Err(error) => {
            tracing::info!(error = tandem_runtime::chain(&error), "records were taken without the CRM's word");
            Ok(())
        }
    }
}

fn without_nulls(mut settings: Map<String, Value>) -> Map<String, Value> {
    settings.retain(|_, value| !value.is_null());
    settings
}

/// The user's syncs, the oldest first.
#[utoipa::path(get, path = "/v1/syncs", operation_id = "list_syncs", tag = "syncs", params(Paging), responses((status = 200, body = List<SyncView>), (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<SyncView>>, ApiError> {
    let all = state.store.syncs_of(&id_of(&user)).await?;
    let (syncs, next) = page(all, |sync| sync.id.as_str(), paging.next.as_deref(), paging.limit()?)?;
    Ok(Json(List { items: with_runs(&state, syncs).await?, next }))
}

/// A sync.
#[utoipa::path(get, path = "/v1/syncs/{id}", operation_id = "get_sync", tag = "syncs", params(("id" = String, Path)),
    responses((status = 200, body = SyncView), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<Json<SyncView>, ApiError> {
    let sync = own(&state, &user, &id).await?;
    one(&state, sync).await
}

/// Changes settings, or switches it on or off.
#[utoipa::path(patch, path = "/v1/syncs/{id}", operation_id = "change_sync", tag = "syncs", params(("id" = String, Path)), request_body = SyncPatch,
    responses((status = 200, body = SyncView), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn change(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<SyncView>, ApiError> {
    let mut sync = own(&state, &user, &id).await?;
    fields.only(&["settings", "enabled"])?;
    let profile = profile::profile(&sync.profile)
        .ok_or_else(|| ApiError::conflict("unknown_profile", "This release does not have the profile of this sync."))?;
    let minutes = |settings: &Map<String, Value>| profile.settings(settings).map(|all| all.frequency_minutes);
    let (before, was_enabled) = (minutes(&sync.settings).ok(), sync.enabled);
    let (known, said) = (sync.settings.clone(), sync.reason.is_some());
    let given = fields.object("settings")?;
    let touched = !given.is_empty();
    let records_touched = ["records", "modules"].iter().any(|name| given.contains_key(*name));
    let map_touched = ["field_map", "direction"].iter().any(|name| given.contains_key(*name));
    sync.settings = profile.changed(sync.settings, given);
    let after = minutes(&sync.settings)?;
    sync.enabled = fields.flag("enabled")?.unwrap_or(was_enabled);
    if map_touched && sync.settings.contains_key("field_map") {
        let connection = async |id| state.store.connection(id).await;
        if let (Some(crm), Some(remote)) = (connection(&sync.crm).await?, connection(&sync.remote).await?) {
            judge_map(&state, profile, &sync, (&crm, &remote)).await?;
        }
    }
    if touched && let Some(remote) = state.store.connection(&sync.remote).await? {
        judge_calendars(&state, profile, &sync, (Some(&known), &remote)).await?;
    }
    if records_touched && let Some(crm) = state.store.connection(&sync.crm).await? {
        judge_records(&state, &sync, &crm).await?;
    }
    let now = state.clock.now();
    // A person has acted on what made it pause (a missing right, a wrong setting), or on what it says at rest.
    let paused = sync.state == SyncState::Paused && (touched || fields.flag("enabled")? == Some(true));
    let acted = paused || (sync.state == SyncState::Idle && said && touched);
    if acted {
        (sync.state, sync.reason) = (SyncState::Idle, None);
    }
    let due = if acted || !was_enabled {
        Some(now)
    } else {
        (before != Some(after)).then(|| next_slot(now, Duration::from_secs(u64::from(after) * 60), sync.id.as_str()))
    };
    let sync = state.store.configure_sync(&sync, due).await?;
    if was_enabled && !sync.enabled {
        silence(&state, &sync).await;
    }
    one(&state, sync).await
}

/// Removes it and everything it knew. Every record stays on both sides.
#[utoipa::path(delete, path = "/v1/syncs/{id}", operation_id = "delete_sync", tag = "syncs", params(("id" = String, Path)),
    responses((status = 204, description = "removed"), (status = 404, body = ErrorBody)))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let sync = own(&state, &user, &id).await?;
    silence(&state, &sync).await;
    state.store.delete_sync(&sync).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a sync's notifications. Where that fails they end by themselves, and are ignored until then.
pub(crate) async fn silence(state: &AppState, sync: &Sync) {
    if let Err(error) = state.engine.stop_push(sync).await {
        tracing::warn!(error = tandem_runtime::chain(&error), "a sync's notifications were not ended");
    }
}

/// What its settings can be chosen from, by setting: `remote_group`, `crm_list`, `crm_fields`, ….
#[utoipa::path(get, path = "/v1/syncs/{id}/choices", operation_id = "list_choices", tag = "syncs", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(crate) async fn choices(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<Json<BTreeMap<String, serde_json::Value>>, ApiError> {
    let sync = own(&state, &user, &id).await?;
    Ok(Json(state.engine.choices(&sync).await?))
}

/// What a run would do, with nothing written anywhere. `complete` says whether time sufficed for all of it.
#[utoipa::path(post, path = "/v1/syncs/{id}/preview", operation_id = "preview_sync", tag = "syncs", params(("id" = String, Path)),
    responses((status = 200, body = described::Preview), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(crate) async fn preview(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<Json<Preview>, ApiError> {
    let sync = own(&state, &user, &id).await?;
    let budget = Budget::of(state.clock.clone(), PREVIEW_TIME);
    Ok(Json(state.engine.preview(&sync, &budget).await?))
}

/// The user's sync with this id; anybody else's is none.
pub(crate) async fn own(state: &AppState, user: &User, id: &str) -> Result<Sync, ApiError> {
    let found = if id.len() > 64 { None } else { state.store.sync(&SyncId::new(id)).await? };
    found.filter(|sync| sync.user == id_of(user)).ok_or_else(|| ApiError::not_found("sync"))
}

async fn one(state: &AppState, sync: Sync) -> Result<Json<SyncView>, ApiError> {
    let mut views = with_runs(state, vec![sync]).await?;
    Ok(Json(views.pop().expect("one sync gives one view")))
}

/// Syncs with their latest runs, which are read in one request.
async fn with_runs(state: &AppState, syncs: Vec<Sync>) -> Result<Vec<SyncView>, ApiError> {
    let latest = |sync: &Sync| sync.current_run.clone().or_else(|| sync.last_run.clone());
    let mut ids: Vec<RunId> =
        syncs.iter().flat_map(|sync| [&sync.current_run, &sync.last_run]).flatten().cloned().collect();
    ids.sort();
    ids.dedup();
    let runs = state.store.runs(&ids).await?;
    let told: Vec<SyncId> = syncs.iter().map(|sync| sync.id.clone()).collect();
    let pushes = if told.is_empty() { Vec::new() } else { state.engine.pushes(&told).await? };
    let mut pushes: HashMap<SyncId, PushView> =
        told.into_iter().zip(pushes).filter_map(|(id, push)| Some((id, push?))).collect();
    let mut cautions = HashMap::new();
    for sync in &syncs {
        if let Some(sentence) = caution(state, sync).await? {
            cautions.insert(sync.id.clone(), sentence);
        }
    }
    let mut by_id: HashMap<RunId, RunView> = runs.into_iter().map(|run| (run.id.clone(), run.into())).collect();
    let shown = |sync: Sync| {
        // A run that was promised this moment may not be readable yet; then the one before it is the latest.
        let run = latest(&sync).and_then(|id| by_id.remove(&id));
        let run = run.or_else(|| sync.last_run.as_ref().and_then(|id| by_id.remove(id)));
        let (push, caution) = (pushes.remove(&sync.id), cautions.remove(&sync.id));
        SyncView { caution: caution.map(str::to_owned), ..view(sync, run, push) }
    };
    Ok(syncs.into_iter().map(shown).collect())
}

/// The account is only looked at where a profile has something to say about it.
async fn caution(state: &AppState, sync: &Sync) -> Result<Option<&'static str>, ApiError> {
    let profile = profile::profile(&sync.profile);
    let settings = profile.and_then(|profile| profile.settings(&sync.settings).ok());
    if settings.as_ref().and_then(|settings| settings.calendar.as_ref()).is_some_and(|some| some.target().is_none()) {
        return Ok(Some(
            "Nothing is written at the remote while the CRM's own is the default calendar; `default_calendar` chooses another.",
        ));
    }
    let Some(rules) = profile.and_then(|profile| profile.files).filter(|rules| !rules.vendor_lacks.is_empty()) else {
        return Ok(None);
    };
    if settings.is_none_or(|settings| settings.limits != Limits::Vendor) {
        return Ok(None);
    }
    let plan = state.store.connection(&sync.remote).await?.and_then(|connection| connection.plan);
    Ok(rules.caution(plan.as_deref(), VendorRules::Apply))
}

fn view(sync: Sync, last_run: Option<RunView>, push: Option<PushView>) -> SyncView {
    let profile = profile::profile(&sync.profile);
    let filled = profile.and_then(|profile| Some(profile.shown(&profile.settings(&sync.settings).ok()?)));
    SyncView {
        id: sync.id.to_string(),
        profile: sync.profile,
        crm: sync.crm.to_string(),
        remote: sync.remote.to_string(),
        settings: Value::Object(filled.unwrap_or(sync.settings)),
        enabled: sync.enabled,
        state: sync.state,
        reason: sync.reason,
        caution: None,
        last_run,
        next_due_at: sync.next_due_at.filter(|_| sync.enabled),
        push: push.map(|PushView { state, until, reason, sides }| PushNote { state, until, reason, sides }),
        created_at: sync.created_at,
    }
}
