//! `POST /import`: a file of contacts, as the body or as a form's file.
use super::answer::{Body, Failure};
use super::schemas::{BadLine, ImportReport};
use crate::input::Params;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, header};
use axum::{Extension, Json};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tandem_builtin::import::{MOST_BYTES, Request};
use tandem_builtin::users::User;
use tandem_builtin::{Crm, CrmError};
use tandem_ports::infra::Clock;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long one request imports: API Gateway waits for 30 seconds.
const TIME: Duration = Duration::from_secs(20);

/// Where an import goes on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ImportParameters {
    /// `next` of the answer before, with the same file.
    offset: Option<u64>,
}

/// Imports contacts from a CSV file (as Google Contacts, Outlook or Teamleader export it, or with our own field
/// names) or a vCard file of at most 5 MB. The same file twice makes no doubles.
#[utoipa::path(post, path = "/import", operation_id = "crm_import", tag = "crm", params(ImportParameters),
    request_body(content = String, content_type = "text/csv"), responses((status = 200, body = ImportReport)))]
async fn import(
    Extension(crm): Extension<Crm>,
    Extension(actor): Extension<User>,
    clock: Option<Extension<Arc<dyn Clock>>>,
    Params(parameters): Params<ImportParameters>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<ImportReport>, Failure> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let file = if kind.to_lowercase().starts_with("multipart/form-data") { form_file(kind, &body)? } else { &body };
    // A text body passes through the gateway as text: bytes that are no UTF-8 are lost before they get here.
    let mangled = file.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes()) || file.contains(&0);
    if kind.to_lowercase().starts_with("text/") && mangled {
        let field = "file".to_owned();
        let message = "this file is not in UTF-8; send it as Content-Type: application/octet-stream".to_owned();
        return Err(CrmError::Invalid { field, message }.into());
    }
    let until = clock.and_then(|Extension(clock)| clock.now().checked_add(TIME).ok());
    let request = Request { offset: parameters.offset.unwrap_or(0), until };
    let report = crm.import(&actor, file, request).await?;
    let errors = report.errors.into_iter().map(|bad| BadLine { line: bad.line, reason: bad.reason }).collect();
    Ok(Json(ImportReport {
        created: report.created,
        updated: report.updated,
        skipped: report.skipped,
        failed: report.failed,
        errors,
        next: report.next,
    }))
}

/// The first file of a form (RFC 7578); a part without a file name is a field like any other.
fn form_file<'a>(kind: &str, body: &'a [u8]) -> Result<&'a [u8], Failure> {
    let missing = || CrmError::Invalid { field: "file".to_owned(), message: "the form has no file".to_owned() };
    let boundary = kind.split(';').filter_map(|part| part.trim().strip_prefix("boundary=")).next();
    let mark = format!("--{}", boundary.ok_or_else(missing)?.trim_matches('"'));
    let mut rest = body;
    while let Some(start) = find(rest, mark.as_bytes()) {
        rest = &rest[start + mark.len()..];
        let Some(head) = find(rest, b"\r\n\r\n") else { break };
        let content = &rest[head + 4..];
        let end = find(content, format!("\r\n{mark}").as_bytes()).ok_or_else(missing)?;
        if find(&rest[..head], b"filename").is_some() {
            return Ok(&content[..end]);
        }
        rest = &content[end..];
    }
    Err(missing().into())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    // A little more than the CRM takes, so that its own advice is the answer to a file that is too large.
    OpenApiRouter::new().routes(routes!(import)).layer(DefaultBodyLimit::max(MOST_BYTES * 2))
}
