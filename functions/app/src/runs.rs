//! Runs, and what they changed.
use crate::answer::{ApiError, ErrorBody, List, cursor, inside};
use crate::described;
use crate::input::{Paging, Params};
use crate::state::{AppState, id_of};
use crate::syncs;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use std::time::Duration;
use tandem_builtin::users::User;
use tandem_core::record::RunId;
use tandem_core::reduce::Counts;
use tandem_engine::{Budget, ChangeView, Undone};
use tandem_ports::infra::Trigger;
use tandem_store::keys;
use tandem_store::run::{Progress, Run, RunError, RunState};
use tandem_store::sync::Sync;
use utoipa::ToSchema;

/// One run of a sync.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunView {
    /// Id.
    id: String,
    /// Of which sync.
    sync: String,
    /// `schedule`, `manual` or `push`.
    #[schema(value_type = String)]
    trigger: Trigger,
    /// `queued`, `running`, `waiting`, `done`, `held` or `failed`.
    #[schema(value_type = String)]
    state: RunState,
    /// When it was promised or taken up.
    #[schema(value_type = String, format = DateTime)]
    started_at: jiff::Timestamp,
    /// When it came to rest.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<jiff::Timestamp>,
    /// `crm` and `remote`, each with `read`, `created`, `updated`, `deleted`, `paired`, `conflicts`, `excluded`,
    /// `failing`.
    #[schema(value_type = described::Counts)]
    counts: Counts,
    /// `done` of `total` records looked at.
    #[schema(value_type = described::Progress)]
    progress: Progress,
    /// `code` and `message`: why it failed, waits or is held.
    #[schema(value_type = Option<described::Reason>)]
    error: Option<RunError>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self {
            id: run.id.to_string(),
            sync: run.sync.to_string(),
            trigger: run.trigger,
            state: run.state,
            started_at: run.started_at,
            ended_at: run.ended_at,
            counts: run.counts,
            progress: run.progress,
            error: run.error,
        }
    }
}

/// A run that was started or joined.
#[derive(Serialize, ToSchema)]
pub(crate) struct Started {
    /// Its id.
    run: String,
}

impl Started {
    pub(crate) fn answer(run: &RunId) -> (StatusCode, Json<Started>) {
        (StatusCode::ACCEPTED, Json(Started { run: run.to_string() }))
    }
}

/// Starts a run now; one that is under way is joined.
#[utoipa::path(post, path = "/v1/syncs/{id}/runs", operation_id = "start_run", tag = "runs", params(("id" = String, Path)),
    responses((status = 202, body = Started), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn start(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let sync = syncs::own(&state, &user, &id).await?;
    Ok(Started::answer(&state.engine.start_run(&sync, Trigger::Manual).await?))
}

/// A sync's runs, the newest first.
#[utoipa::path(get, path = "/v1/syncs/{id}/runs", operation_id = "list_runs", tag = "runs", params(("id" = String, Path), Paging),
    responses((status = 200, body = List<RunView>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<RunView>>, ApiError> {
    let sync = syncs::own(&state, &user, &id).await?;
    let after = inside(paging.next.as_deref())?.map(RunId::new);
    let (runs, more) = state.store.runs_of(&sync.id, after.as_ref(), paging.limit()?).await?;
    let next = runs.last().filter(|_| more).map(|run| cursor(run.id.as_str()));
    Ok(Json(List { items: runs.into_iter().map(RunView::from).collect(), next }))
}

/// A run.
#[utoipa::path(get, path = "/v1/runs/{id}", operation_id = "get_run", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = RunView), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<Json<RunView>, ApiError> {
    Ok(Json(own(&state, &user, &id).await?.1.into()))
}

/// Every write of a run: side, record, field, before, after, why. Kept for as long as the installation says.
#[utoipa::path(get, path = "/v1/runs/{id}/changes", operation_id = "list_changes", tag = "runs", params(("id" = String, Path), Paging),
    responses((status = 200, description = "changes, the earliest first; `limit` is not observed: a page is one stored part",
        body = List<described::ChangeView>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn changes(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<ChangeView>>, ApiError> {
    let (sync, run) = own(&state, &user, &id).await?;
    let next = inside(paging.next.as_deref())?;
    let (items, next) = state.engine.changes(&sync, &run.id, next.as_deref()).await?;
    Ok(Json(List { items, next: next.map(|next| cursor(&next)) }))
}

/// Puts back what a run wrote, where nobody has edited since; answers what it could not put back. Large runs take
/// several calls: as long as `complete` is false, call again with `next`.
#[utoipa::path(post, path = "/v1/runs/{id}/undo", operation_id = "undo_run", tag = "runs", params(("id" = String, Path), Paging),
    responses((status = 200, body = described::Undone), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(crate) async fn undo(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
    Params(paging): Params<Paging>,
) -> Result<Json<Undone>, ApiError> {
    let (sync, run) = own(&state, &user, &id).await?;
    let next = inside(paging.next.as_deref())?;
    let budget = Budget::of(state.engine.clock().clone(), UNDO_TIME);
    let undone = state.engine.undo(&sync, &run, next.as_deref(), &budget).await?;
    Ok(Json(Undone { next: undone.next.as_deref().map(cursor), ..undone }))
}

/// Below the 30 seconds that the HTTP API waits.
const UNDO_TIME: Duration = Duration::from_secs(22);

/// The user's run with this id, and its sync.
async fn own(state: &AppState, user: &User, id: &str) -> Result<(Sync, Run), ApiError> {
    let missing = || ApiError::not_found("run");
    if id.len() > 200 {
        return Err(missing());
    }
    let id = RunId::new(id);
    let sync = state.store.sync(&keys::sync_of(&id)).await?;
    let sync = sync.filter(|sync| sync.user == id_of(user)).ok_or_else(missing)?;
    let run = state.store.run(&id).await?.ok_or_else(missing)?;
    Ok((sync, run))
}
