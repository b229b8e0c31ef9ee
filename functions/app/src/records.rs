//! One row a record: the answer to “why is this contact not there?”.
use crate::answer::{ApiError, ErrorBody, List, cursor, inside};
use crate::described;
use crate::input::{Fields, Params, limit};
use crate::runs::Started;
use crate::state::AppState;
use crate::syncs;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use tandem_builtin::users::User;
use tandem_core::record::RowKey;
use tandem_engine::{RecordQuery, RecordView, state_of};
use utoipa::{IntoParams, ToSchema};

/// Which records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordParameters {
    /// `in_sync`, `excluded`, `failing` or `held`; all without.
    state: Option<String>,
    /// Part of a title.
    q: Option<String>,
    /// `next` of the page before.
    next: Option<String>,
    /// How many items, 1 to 100; 50 without.
    limit: Option<usize>,
}

/// A sync's records: ids and titles on both sides, state and reason.
#[utoipa::path(get, path = "/v1/syncs/{id}/records", operation_id = "list_records", tag = "records", params(("id" = String, Path), RecordParameters),
    responses((status = 200, body = List<described::RecordView>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
    Params(asked): Params<RecordParameters>,
) -> Result<Json<List<RecordView>>, ApiError> {
    let sync = syncs::own(&state, &user, &id).await?;
    let said = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let query = RecordQuery {
        state: said(asked.state).map(|word| state_of(&word)).transpose()?,
        q: said(asked.q),
        next: inside(asked.next.as_deref())?,
        limit: limit(asked.limit)?,
    };
    let (items, next) = state.engine.records(&sync, &query).await?;
    Ok(Json(List { items, next: next.map(|next| cursor(&next)) }))
}

/// Carries out the plan that the mass-delete guard holds.
#[utoipa::path(post, path = "/v1/syncs/{id}/confirm", operation_id = "confirm_sync", tag = "records", params(("id" = String, Path)),
    responses((status = 202, body = Started), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn confirm(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let sync = syncs::own(&state, &user, &id).await?;
    Ok(Started::answer(&state.engine.confirm(&sync).await?))
}

/// Tries the failing records again.
#[utoipa::path(post, path = "/v1/syncs/{id}/retry", operation_id = "retry_failing", tag = "records", params(("id" = String, Path)),
    responses((status = 202, body = Started), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn retry(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let sync = syncs::own(&state, &user, &id).await?;
    Ok(Started::answer(&state.engine.retry_failing(&sync).await?))
}

/// Which grey block becomes a meeting.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the API's description; it is read field by field")]
pub(crate) struct BlockChoice {
    /// `id` of the record in the list.
    record: String,
}

/// Makes a meeting of a grey block, where the CRM keeps no blocks of its own: a run carries it there.
/// The record is named in the body: its id may hold a slash, which a gateway takes for a part of the path.
#[utoipa::path(post, path = "/v1/syncs/{id}/convert", operation_id = "convert_record", tag = "records",
    params(("id" = String, Path)), request_body = BlockChoice,
    responses((status = 202, body = Started), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn convert(
    State(state): State<AppState>,
    Extension(user): Extension<User>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let sync = syncs::own(&state, &user, &id).await?;
    fields.only(&["record"])?;
    let record = RowKey::new(fields.text("record")?);
    Ok(Started::answer(&state.engine.convert_block(&sync, &record).await?))
}
