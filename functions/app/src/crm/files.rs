//! Files and folders of records. Their bytes never pass through here: callers put and get them by addresses of the object store.
use super::answer::{self, Body, Failure};
use super::records::{moment, said};
use super::schemas::{self, BegunUpload, NewFile, NewFolder, Place, RecordList, UploadAddress};
use crate::input::Params;
use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use tandem_builtin::users::User;
use tandem_builtin::{CrmError, Files, Query};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The files, and who acts.
struct Desk {
    files: Files,
    actor: User,
}

impl<S: Send + Sync> FromRequestParts<S> for Desk {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let message = "this installation has no bucket for files";
        let none = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "no_files", message);
        let files = parts.extensions.get::<Files>().cloned().ok_or_else(none)?;
        let actor = parts.extensions.get::<User>().cloned();
        let message = "sign in first";
        let actor = actor.ok_or_else(|| Failure::new(StatusCode::UNAUTHORIZED, "unauthorised", message))?;
        Ok(Self { files, actor })
    }
}

/// Whose files a list shows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct FileParameters {
    /// Id of the record. Without it: the files of all records that you may view, by number.
    subject: Option<String>,
    /// Path of a folder of the record, "" for the top: only what is directly in it. Without it: everything.
    folder: Option<String>,
    /// Of all files those in which every word occurs.
    q: Option<String>,
    /// Of all files those changed at or after this moment.
    updated_since: Option<String>,
    /// `next` of the page before.
    next: Option<String>,
}

fn begun(status: StatusCode, begun: tandem_builtin::files::BegunUpload) -> Response {
    let address = begun.address;
    let headers = address.headers.into_iter().collect();
    let upload = UploadAddress { method: address.method, url: address.url, headers };
    (status, Json(BegunUpload { id: begun.id, upload })).into_response()
}

/// A file or folder with its version as the `ETag`.
fn shown(status: StatusCode, entry: Value) -> Response {
    let tag = format!("\"{}\"", entry["version"]);
    (status, [(header::ETAG, tag)], Json(entry)).into_response()
}

/// Files and folders of a record, or the files of all.
#[utoipa::path(get, path = "/files", operation_id = "crm_list_file", tag = "crm", params(FileParameters),
    responses((status = 200, body = RecordList)))]
async fn list(desk: Desk, Params(parameters): Params<FileParameters>) -> Result<Response, Failure> {
    let FileParameters { subject, folder, q, updated_since, next } = parameters;
    let (q, updated_since, next) = (said(q), moment(updated_since)?, said(next));
    let misplaced =
        |field: &str, message: &str| CrmError::Invalid { field: field.to_owned(), message: message.to_owned() };
    let (items, next) = match (said(subject), folder) {
        (None, None) => {
            let query = Query { q, updated_since, next, ..Query::default() };
            desk.files.list_all(&desk.actor, &query).await?
        }
        (None, Some(_)) => Err(misplaced("subject", "name the record whose folder it is, by its id"))?,
        (Some(_), _) if q.is_some() => Err(misplaced("q", "it looks through all files: leave `subject` out"))?,
        (Some(_), _) if updated_since.is_some() => {
            Err(misplaced("updated_since", "it is for the list of all files: leave `subject` out"))?
        }
        (Some(subject), None) => desk.files.list(&desk.actor, &subject, next.as_deref()).await?,
        (Some(subject), Some(folder)) => {
            desk.files.list_folder(&desk.actor, &subject, &folder, next.as_deref()).await?
        }
    };
    Ok(Json(RecordList { items, next }).into_response())
}

/// Begins a file: its bytes go to `upload` within a day, and the file appears once they are there.
#[utoipa::path(post, path = "/files", operation_id = "crm_create_file", tag = "crm", request_body = NewFile,
    responses((status = 201, body = BegunUpload)))]
async fn create(desk: Desk, body: Body) -> Result<Response, Failure> {
    Ok(begun(StatusCode::CREATED, desk.files.begin(&desk.actor, &answer::object(&body.0)?).await?))
}

/// Leads to the file's bytes; the address is good for ten minutes.
#[utoipa::path(get, path = "/files/{id}/content", operation_id = "crm_get_file_content", tag = "crm",
    params(("id" = String, Path, description = "The file's id")),
    responses((status = 302, description = "`Location` has the bytes")))]
async fn content(desk: Desk, Path(id): Path<String>) -> Result<Response, Failure> {
    let address = desk.files.content(&desk.actor, &id).await?;
    Ok((StatusCode::FOUND, [(header::LOCATION, address.url)]).into_response())
}

/// Begins new bytes for a file: they go to `upload`, and the file has the old ones until they are there.
#[utoipa::path(put, path = "/files/{id}/content", operation_id = "crm_replace_file_content", tag = "crm",
    params(("id" = String, Path, description = "The file's id")),
    responses((status = 200, body = BegunUpload)))]
async fn replace(desk: Desk, Path(id): Path<String>) -> Result<Response, Failure> {
    Ok(begun(StatusCode::OK, desk.files.begin_replacement(&desk.actor, &id).await?))
}

/// Makes a folder, and those above it. One that is there already is answered as it is.
#[utoipa::path(post, path = "/folders", operation_id = "crm_create_folder", tag = "crm", request_body = NewFolder,
    responses((status = 201, body = schemas::Folder)))]
async fn make_folder(desk: Desk, body: Body) -> Result<Response, Failure> {
    Ok(shown(StatusCode::CREATED, desk.files.make_folder(&desk.actor, &answer::object(&body.0)?).await?))
}

/// Reading, moving and removing one: the same for files and for folders.
macro_rules! entry_routes {
    ($module:ident, $schema:ident, $one:literal, $tag:literal) => {
        mod $module {
            use super::*;

            #[utoipa::path(get, path = $one, operation_id = concat!("crm_get_", $tag), tag = "crm",
                params(("id" = String, Path, description = "Its id")),
                responses((status = 200, body = schemas::$schema)))]
            async fn read_one(desk: Desk, Path(id): Path<String>) -> Result<Response, Failure> {
                Ok(shown(StatusCode::OK, desk.files.show(&desk.actor, &id).await?))
            }

            /// Renames it or moves it within its record, in one step with all that is in it.
            #[utoipa::path(patch, path = $one, operation_id = concat!("crm_update_", $tag), tag = "crm",
                params(("id" = String, Path, description = "Its id"),
                    ("If-Match" = Option<String>, Header, description = "The version that is to be changed")),
                request_body = Place,
                responses((status = 200, body = schemas::$schema), (status = 412, description = "Another version")))]
            async fn update_one(
                desk: Desk,
                Path(id): Path<String>,
                headers: HeaderMap,
                body: Body,
            ) -> Result<Response, Failure> {
                let (expect, place) = (answer::expected(&headers)?, answer::object(&body.0)?);
                Ok(shown(StatusCode::OK, desk.files.change(&desk.actor, &id, expect, &place).await?))
            }

            /// Removes it; a folder with all that is in it.
            #[utoipa::path(delete, path = $one, operation_id = concat!("crm_delete_", $tag), tag = "crm",
                params(("id" = String, Path, description = "Its id"),
                    ("If-Match" = Option<String>, Header, description = "The version that is to be deleted")),
                responses((status = 204), (status = 412, description = "Another version")))]
            async fn delete_one(desk: Desk, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Failure> {
                desk.files.remove(&desk.actor, &id, answer::expected(&headers)?).await?;
                Ok(StatusCode::NO_CONTENT.into_response())
            }

            pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
                OpenApiRouter::new().routes(routes!(read_one, update_one, delete_one))
            }
        }
    };
}

entry_routes!(one_file, File, "/files/{id}", "file");
entry_routes!(one_folder, Folder, "/folders/{id}", "folder");

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(content, replace))
        .routes(routes!(make_folder))
        .merge(one_file::routes())
        .merge(one_folder::routes())
}
