//! `/{Module}/{id}/Attachments`, and the records that they are at.
use super::records::{At, PAGE, of, with_time};
use super::{Call, checked, finish, get, joined};
use crate::error::{self, Operation};
use bytes::Bytes;
use http::{Method, Request, header};
use tandem_ports::error::Result;

pub(crate) const LIST: Operation = of("attachments.list", "ZohoCRM.modules.attachments.READ");
pub(crate) const DOWNLOAD: Operation = of("attachments.download", "ZohoCRM.modules.attachments.READ");
pub(crate) const UPLOAD: Operation = of("attachments.upload", "ZohoCRM.modules.attachments.CREATE");
pub(crate) const DELETE: Operation = of("attachments.delete", "ZohoCRM.modules.attachments.DELETE");

/// What we look at of an attachment; `fields` is mandatory.
const FIELDS: &str = "id,File_Name,Size,Created_Time,Modified_Time,$type,$link_url";
/// Records of one page of a round.
const ROUND_PAGE: u16 = 100;

/// A module's records, as far as we look at them.
pub(crate) struct RecordKind {
    pub(crate) operation: Operation,
    /// The module's api name.
    pub(crate) module: &'static str,
    pub(crate) fields: &'static str,
}

/// A record that attachments are at: the module's api name, and the id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    pub(crate) module: &'static str,
    pub(crate) id: String,
}

impl Holder {
    fn path(&self, operation: Operation) -> Result<String> {
        Ok(format!("{}/{}/Attachments", self.module, checked(operation, &self.id)?))
    }
    fn one(&self, operation: Operation, id: &str) -> Result<String> {
        Ok(format!("{}/{}", self.path(operation)?, checked(operation, id)?))
    }
}

/// One page of a module's records, in the order of their making; of a list view in its own. With `since`, only what was
/// made or changed later (else 304).
pub(crate) fn records(
    origin: &str,
    kind: &RecordKind,
    (at, view): (&At, Option<&str>),
    since: Option<&str>,
) -> Result<Call> {
    let mut query = vec![("fields", kind.fields.to_owned()), ("per_page", ROUND_PAGE.to_string())];
    match at {
        At::Page(page) => query.push(("page", page.to_string())),
        At::Token(token) => query.push(("page_token", token.clone())),
    }
    match view {
        Some(view) => query.push(("cvid", checked(kind.operation, view)?.to_owned())),
        None => query.extend([("sort_by", "id".to_owned()), ("sort_order", "asc".to_owned())]),
    }
    Ok(with_time(get(kind.operation, origin, kind.module, &query)?, header::IF_MODIFIED_SINCE, since))
}

/// The page after `at`.
pub(crate) fn records_after(at: &At, info: &crate::wire::Info) -> Result<Option<At>> {
    super::records::page_after(ROUND_PAGE, at, info)
}

/// These records of a module; what is not there, or not shown, is left out (none at all: 204).
pub(crate) fn records_by_id(origin: &str, kind: &RecordKind, ids: &[&str]) -> Result<Call> {
    let query = [("ids", joined(kind.operation, ids)?), ("fields", kind.fields.to_owned())];
    get(kind.operation, origin, kind.module, &query)
}

/// What was deleted of a module, for good or into the recycle bin.
pub(crate) fn deleted(origin: &str, kind: &RecordKind, page: u32) -> Result<Call> {
    let query = [("type", "all".to_owned()), ("page", page.to_string()), ("per_page", PAGE.to_string())];
    get(kind.operation, origin, &format!("{}/deleted", kind.module), &query)
}

/// One page of a record's attachments (none: 204).
pub(crate) fn list(origin: &str, holder: &Holder, page: u32) -> Result<Call> {
    let query = [("fields", FIELDS.to_owned()), ("page", page.to_string()), ("per_page", PAGE.to_string())];
    get(LIST, origin, &holder.path(LIST)?, &query)
}

/// The bytes of an attachment, from an offset on where Zoho knows ranges; its documents promise none.
pub(crate) fn download(origin: &str, holder: &Holder, id: &str, from: u64) -> Result<Request<Bytes>> {
    let mut call = get(DOWNLOAD, origin, &holder.one(DOWNLOAD, id)?, &[])?;
    let headers = call.request.headers_mut();
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("*/*"));
    if from > 0 {
        let range = format!("bytes={from}-").parse().expect("digits are ASCII");
        headers.insert(header::RANGE, range);
    }
    Ok(call.request)
}

pub(crate) fn delete(origin: &str, holder: &Holder, id: &str) -> Result<Call> {
    finish(DELETE, Method::DELETE, super::address(origin, &holder.one(DELETE, id)?, &[]), None)
}

/// A file as the one part, `file`, of a form (`multipart/form-data`): what stands before its bytes and behind them.
pub(crate) struct Form {
    pub(crate) request: Request<()>,
    pub(crate) head: Bytes,
    pub(crate) tail: Bytes,
}

/// The form of an upload. `boundary` must be in no file: a random one.
pub(crate) fn upload(
    origin: &str,
    holder: &Holder,
    (name, content_type, size): (&str, &str, u64),
    boundary: &str,
) -> Result<Form> {
    // As browsers write it (HTML, "multipart form data"): UTF-8, and only what would end the name is escaped.
    let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let head = Bytes::from(format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: {content_type}\r\n\r\n"
    ));
    let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    let request = Request::post(super::address(origin, &holder.path(UPLOAD)?, &[]))
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
        .header(header::CONTENT_LENGTH, head.len() as u64 + size + tail.len() as u64)
        .body(())
        .map_err(|_| error::refused(UPLOAD, "this is no address Zoho could have"))?;
    Ok(Form { request, head, tail })
}
