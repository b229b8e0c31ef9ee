//! `GET`, `POST`, `PATCH` and `DELETE` of every type of record, and the change feed.
use super::answer::{self, Body, Failure};
use super::schemas::{self, ChangeItem, ChangePage, RecordList};
use crate::input::Params;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use tandem_builtin::users::User;
use tandem_builtin::{Crm, CrmError, Kind, Query, Record};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Which records a list shows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Changed at or after this moment (RFC 3339).
    updated_since: Option<String>,
    /// Words that must all occur in the record.
    q: Option<String>,
    /// Id of a segment.
    segment: Option<String>,
    /// Id of a list view.
    list_view: Option<String>,
    /// `{type}:{id}`, such as `contact:ID`: only the meetings (or one's own blocks) on that record's card.
    link: Option<String>,
    /// `next` of the page before.
    next: Option<String>,
}

/// Where to read the change feed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct FeedParameters {
    /// `cursor` or `next` of the page before; from the beginning without.
    cursor: Option<String>,
}

/// What every handler needs: the CRM and who acts.
type Parts = (Extension<Crm>, Extension<User>);

async fn list(
    (Extension(crm), Extension(actor)): Parts,
    kind: Kind,
    parameters: ListParameters,
) -> Result<Response, Failure> {
    let query = Query {
        q: said(parameters.q),
        updated_since: moment(parameters.updated_since)?,
        segment: said(parameters.segment),
        list_view: said(parameters.list_view),
        link: said(parameters.link),
        next: said(parameters.next),
    };
    let page = crm.list(&actor, kind, &query).await?;
    let items = page.items.iter().map(Record::to_json).collect();
    Ok(Json(RecordList { items, next: page.next }).into_response())
}

/// A parameter that says something.
pub(super) fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The moment that `updated_since` names.
pub(super) fn moment(text: Option<String>) -> Result<Option<jiff::Timestamp>, CrmError> {
    said(text).map(|text| text.parse()).transpose().map_err(|_| CrmError::Invalid {
        field: "updated_since".to_owned(),
        message: "a moment looks like 2026-01-31T08:00:00Z".to_owned(),
    })
}

async fn create((Extension(crm), Extension(actor)): Parts, kind: Kind, body: Body) -> Result<Response, Failure> {
    let record = crm.create(&actor, kind, &answer::object(&body.0)?).await?;
    Ok(answer::record(StatusCode::CREATED, &record))
}

async fn read((Extension(crm), Extension(actor)): Parts, kind: Kind, id: String) -> Result<Response, Failure> {
    Ok(answer::record(StatusCode::OK, &crm.get(&actor, kind, &id).await?))
}

async fn update(
    (Extension(crm), Extension(actor)): Parts,
    kind: Kind,
    id: String,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let expect = answer::expected(&headers)?;
    let record = crm.update(&actor, kind, &id, expect, &answer::object(&body.0)?).await?;
    Ok(answer::record(StatusCode::OK, &record))
}

async fn delete(
    (Extension(crm), Extension(actor)): Parts,
    kind: Kind,
    id: String,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    crm.delete(&actor, kind, &id, answer::expected(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The five routes of one type of record, each a handler of its own so that the API's description shows it.
macro_rules! record_routes {
    ($module:ident, $kind:expr, $schema:ident, $all:literal, $one:literal, $tag:literal) => {
        mod $module {
            use super::*;

            #[utoipa::path(get, path = $all, operation_id = concat!("crm_list_", $tag), tag = "crm",
                params(ListParameters), responses((status = 200, body = RecordList)))]
            async fn list_all(
                crm: Extension<Crm>,
                actor: Extension<User>,
                Params(parameters): Params<ListParameters>,
            ) -> Result<Response, Failure> {
                list((crm, actor), $kind, parameters).await
            }

            #[utoipa::path(post, path = $all, operation_id = concat!("crm_create_", $tag), tag = "crm",
                request_body = schemas::$schema, responses((status = 201, body = schemas::$schema)))]
            async fn create_one(
                crm: Extension<Crm>,
                actor: Extension<User>,
                body: Body,
            ) -> Result<Response, Failure> {
                create((crm, actor), $kind, body).await
            }

            #[utoipa::path(get, path = $one, operation_id = concat!("crm_get_", $tag), tag = "crm",
                params(("id" = String, Path, description = "The record's id")),
                responses((status = 200, body = schemas::$schema)))]
            async fn read_one(
                crm: Extension<Crm>,
                actor: Extension<User>,
                Path(id): Path<String>,
            ) -> Result<Response, Failure> {
                read((crm, actor), $kind, id).await
            }

            #[utoipa::path(patch, path = $one, operation_id = concat!("crm_update_", $tag), tag = "crm",
                params(("id" = String, Path, description = "The record's id"),
                    ("If-Match" = Option<String>, Header, description = "The version that is to be changed")),
                request_body = schemas::$schema,
                responses((status = 200, body = schemas::$schema), (status = 412, description = "Another version")))]
            async fn update_one(
                crm: Extension<Crm>,
                actor: Extension<User>,
                Path(id): Path<String>,
                headers: HeaderMap,
                body: Body,
            ) -> Result<Response, Failure> {
                update((crm, actor), $kind, id, headers, body).await
            }

            #[utoipa::path(delete, path = $one, operation_id = concat!("crm_delete_", $tag), tag = "crm",
                params(("id" = String, Path, description = "The record's id"),
                    ("If-Match" = Option<String>, Header, description = "The version that is to be deleted")),
                responses((status = 204), (status = 412, description = "Another version")))]
            async fn delete_one(
                crm: Extension<Crm>,
                actor: Extension<User>,
                Path(id): Path<String>,
                headers: HeaderMap,
            ) -> Result<Response, Failure> {
                delete((crm, actor), $kind, id, headers).await
            }

            pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
                OpenApiRouter::new()
                    .routes(routes!(list_all, create_one))
                    .routes(routes!(read_one, update_one, delete_one))
            }
        }
    };
}

record_routes!(contacts, Kind::Contact, Contact, "/contacts", "/contacts/{id}", "contact");
record_routes!(companies, Kind::Company, Company, "/companies", "/companies/{id}", "company");
record_routes!(leads, Kind::Lead, Lead, "/leads", "/leads/{id}", "lead");
record_routes!(deals, Kind::Deal, Deal, "/deals", "/deals/{id}", "deal");
record_routes!(projects, Kind::Project, Project, "/projects", "/projects/{id}", "project");
record_routes!(products, Kind::Product, Product, "/products", "/products/{id}", "product");
record_routes!(tasks, Kind::Task, Task, "/tasks", "/tasks/{id}", "task");
record_routes!(emails, Kind::Email, Email, "/emails", "/emails/{id}", "email");
record_routes!(meetings, Kind::Meeting, Meeting, "/meetings", "/meetings/{id}", "meeting");
record_routes!(segments, Kind::Segment, Segment, "/segments", "/segments/{id}", "segment");
record_routes!(list_views, Kind::ListView, ListView, "/list_views", "/list_views/{id}", "list_view");
record_routes!(users, Kind::User, User, "/users", "/users/{id}", "user");

/// Makes a task of an e-mail, once. The body, which may be left out, may set the task's own fields; the subject and the e-mail's links come along.
#[utoipa::path(post, path = "/emails/{id}/task", operation_id = "crm_task_of_email", tag = "crm",
    params(("id" = String, Path, description = "The e-mail's id")), request_body = Option<schemas::Task>,
    responses((status = 201, body = schemas::Task)))]
async fn task_of_email(
    Extension(crm): Extension<Crm>,
    Extension(actor): Extension<User>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Failure> {
    let record = crm.task_of_email(&actor, &id, &answer::object_or_nothing(&body.0)?).await?;
    Ok(answer::record(StatusCode::CREATED, &record))
}

/// Blocks are made and changed by syncs: here they can be read, and made meetings of.
mod blocks {
    use super::*;

    #[utoipa::path(get, path = "/blocks", operation_id = "crm_list_block", tag = "crm",
        params(ListParameters), responses((status = 200, body = RecordList)))]
    async fn list_all(
        crm: Extension<Crm>,
        actor: Extension<User>,
        Params(parameters): Params<ListParameters>,
    ) -> Result<Response, Failure> {
        list((crm, actor), Kind::Block, parameters).await
    }

    #[utoipa::path(get, path = "/blocks/{id}", operation_id = "crm_get_block", tag = "crm",
        params(("id" = String, Path, description = "The record's id")),
        responses((status = 200, body = schemas::Block)))]
    async fn read_one(
        crm: Extension<Crm>,
        actor: Extension<User>,
        Path(id): Path<String>,
    ) -> Result<Response, Failure> {
        read((crm, actor), Kind::Block, id).await
    }

    /// Makes a meeting of a block. It keeps its id, and from then on changes flow both ways.
    #[utoipa::path(post, path = "/blocks/{id}/convert", operation_id = "crm_convert_block", tag = "crm",
        params(("id" = String, Path, description = "The block's id"),
            ("If-Match" = Option<String>, Header, description = "The version that is to be converted")),
        responses((status = 201, body = schemas::Meeting), (status = 409, description = "It is a meeting already"),
            (status = 412, description = "Another version")))]
    async fn convert(
        Extension(crm): Extension<Crm>,
        Extension(actor): Extension<User>,
        Path(id): Path<String>,
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        let record = crm.convert(&actor, &id, answer::expected(&headers)?).await?;
        Ok(answer::record(StatusCode::CREATED, &record))
    }

    pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
        OpenApiRouter::new().routes(routes!(list_all)).routes(routes!(read_one)).routes(routes!(convert))
    }
}

/// The change feed: every record and tombstone at its latest change.
#[utoipa::path(get, path = "/changes", operation_id = "crm_changes", tag = "crm", params(FeedParameters),
    responses((status = 200, body = ChangePage)))]
async fn changes(
    Extension(crm): Extension<Crm>,
    Extension(actor): Extension<User>,
    Params(parameters): Params<FeedParameters>,
) -> Result<Json<ChangePage>, Failure> {
    let cursor = parameters.cursor.filter(|cursor| !cursor.is_empty());
    let page = crm.changes(&actor, cursor.as_deref()).await?;
    let item = |change: tandem_builtin::ChangeItem| ChangeItem {
        kind: change.kind.word(),
        id: change.id,
        deleted: change.record.is_none(),
        record: change.record.as_ref().map(Record::to_json),
    };
    let items = page.items.into_iter().map(item).collect();
    Ok(Json(ChangePage { items, next: page.next, cursor: page.cursor }))
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    contacts::routes()
        .merge(companies::routes())
        .merge(leads::routes())
        .merge(deals::routes())
        .merge(projects::routes())
        .merge(products::routes())
        .merge(tasks::routes())
        .merge(emails::routes())
        .routes(routes!(task_of_email))
        .merge(meetings::routes())
        .merge(blocks::routes())
        .merge(segments::routes())
        .merge(list_views::routes())
        .merge(users::routes())
        .routes(routes!(changes))
}
