//! The endpoints: a proved event becomes a question to the engine, its answer a card.
use crate::access::{Addon, Denied};
use crate::cards;
use crate::event::Event;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use tandem_core::mail::{Mailbox, Wish};
use tandem_engine::{BarAsk, BarMessage, EngineError};
use tandem_runtime::OidcError;
use tandem_store::sync::Sync;

/// The largest event: tokens, and the recipients of a draft.
const MOST_BYTES: usize = 256 * 1024;

/// All endpoints. A stage may stand in front of the path, so it is read from behind.
pub(crate) fn routes(addon: Arc<Addon>) -> Router {
    Router::new().fallback(answer).layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(addon)
}

async fn answer(State(addon): State<Arc<Addon>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let endpoint = uri.path().rsplit_once("/gmail-addon/").map_or("", |(_, endpoint)| endpoint);
    match carry_out(&addon, endpoint, &headers, &body).await {
        Ok(card) => Json(card).into_response(),
        Err(denied) => refusal(&denied),
    }
}

async fn carry_out(addon: &Addon, endpoint: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, Denied> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
    let Some(task) = Task::of(endpoint) else { return Err(Denied::Absent) };
    let config = addon.admit(endpoint, token).await?;
    let event: Event = serde_json::from_slice(body).unwrap_or_default();
    let Some(sync) = addon.sync_of(config, &event).await? else {
        return Ok(cards::shown(task.kind(), cards::not_connected(&addon.public_url)));
    };
    let done = match task {
        Task::Home => Ok(cards::shown(task.kind(), cards::home(&addon.public_url))),
        Task::Message => message(addon, &sync, &event).await,
        Task::Ask(wish) => ask(addon, &sync, &event, wish).await,
        Task::Add => add(addon, &sync, &event).await,
        Task::Compose => compose(addon, &sync, &event).await,
        Task::ComposeTrack => compose_track(addon, &sync, &event).await,
        Task::ComposeAdd => compose_add(addon, &sync, &event).await,
    };
    // What the engine says is for people, and a card is where they read it.
    Ok(done.unwrap_or_else(|error| match task.kind() {
        cards::Answer::Card => cards::shown(cards::Answer::Card, cards::trouble(&error.to_string())),
        cards::Answer::Action => cards::told(&error.to_string(), None),
    }))
}

/// What an endpoint is for.
#[derive(Clone, Copy)]
enum Task {
    Home,
    Message,
    Ask(Wish),
    Add,
    Compose,
    ComposeTrack,
    ComposeAdd,
}

impl Task {
    fn of(endpoint: &str) -> Option<Task> {
        match endpoint {
            "home" => Some(Task::Home),
            "message" => Some(Task::Message),
            "track" => Some(Task::Ask(Wish::Track)),
            "task" => Some(Task::Ask(Wish::Task)),
            "add" => Some(Task::Add),
            "compose" => Some(Task::Compose),
            "compose-track" => Some(Task::ComposeTrack),
            "compose-add" => Some(Task::ComposeAdd),
            _ => None,
        }
    }

    /// A trigger is answered with a card, a pressed button with an action.
    fn kind(self) -> cards::Answer {
        match self {
            Task::Home | Task::Message | Task::Compose => cards::Answer::Card,
            Task::Ask(_) | Task::Add | Task::ComposeTrack | Task::ComposeAdd => cards::Answer::Action,
        }
    }
}

async fn bar(addon: &Addon, sync: &Sync, event: &Event) -> Result<Option<BarMessage>, EngineError> {
    match event.message() {
        Some(id) => addon.engine.bar(sync, &id).await,
        None => Ok(None),
    }
}

async fn message(addon: &Addon, sync: &Sync, event: &Event) -> Result<Value, EngineError> {
    let shown = bar(addon, sync, event).await?;
    let card = shown.map_or_else(cards::no_message, |message| cards::message(addon, &message));
    Ok(cards::shown(cards::Answer::Card, card))
}

async fn ask(addon: &Addon, sync: &Sync, event: &Event, wish: Wish) -> Result<Value, EngineError> {
    let Some(id) = event.message() else { return Ok(cards::told(cards::NO_MESSAGE, None)) };
    addon.engine.bar_ask(sync, BarAsk::Message(id, wish)).await?;
    let said = if wish == Wish::Task { "Tandem makes a task of it." } else { "Tandem tracks this mail." };
    Ok(cards::told(said, None))
}

/// Adds somebody the open message is with: the name is the message's own, and nobody else is added.
async fn add(addon: &Addon, sync: &Sync, event: &Event) -> Result<Value, EngineError> {
    let (Some(message), Some(whom)) = (bar(addon, sync, event).await?, event.whom()) else {
        return Ok(cards::told(cards::NO_MESSAGE, None));
    };
    let Some(person) = message.people.iter().find(|person| person.mailbox.address == whom) else {
        return Ok(cards::told("This person is not in this mail.", None));
    };
    addon.engine.bar_add(sync, &person.mailbox).await?;
    let card = bar(addon, sync, event).await?.map(|message| cards::message(addon, &message));
    Ok(cards::told("Added to the CRM.", card))
}

async fn compose(addon: &Addon, sync: &Sync, event: &Event) -> Result<Value, EngineError> {
    let people = addon.engine.bar_people(sync, event.recipients()).await?;
    Ok(cards::shown(cards::Answer::Card, cards::compose(addon, &people)))
}

async fn compose_track(addon: &Addon, sync: &Sync, event: &Event) -> Result<Value, EngineError> {
    let Some(whom) = event.whom() else { return Ok(cards::told(cards::NO_RECIPIENT, None)) };
    addon.engine.bar_ask(sync, BarAsk::NextTo(whom)).await?;
    Ok(cards::told("Tandem tracks this mail once it is sent.", None))
}

async fn compose_add(addon: &Addon, sync: &Sync, event: &Event) -> Result<Value, EngineError> {
    let Some(whom) = event.whom() else { return Ok(cards::told(cards::NO_RECIPIENT, None)) };
    let written = event.recipients().into_iter().find(|person| person.address == whom);
    let person = written.unwrap_or(Mailbox { name: String::new(), address: whom });
    let added = addon.engine.bar_add(sync, &person).await?;
    Ok(cards::told("Added to the CRM.", Some(cards::compose(addon, &[added]))))
}

/// Says as little as possible to whom we do not know.
fn refusal(denied: &Denied) -> Response {
    let (status, code) = match denied {
        Denied::Absent => (StatusCode::NOT_FOUND, "not_found"),
        Denied::Unproved(OidcError::Unavailable(source)) => {
            tracing::warn!(source = %source, "Google's keys cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "try_again")
        }
        Denied::Unproved(OidcError::Refused(reason)) => {
            tracing::info!(reason, "a call to the add-on was refused");
            (StatusCode::UNAUTHORIZED, "unauthorized")
        }
        Denied::Engine(error) => {
            tracing::warn!(error = %error, "the add-on cannot answer");
            (StatusCode::SERVICE_UNAVAILABLE, "try_again")
        }
    };
    let message = if status == StatusCode::NOT_FOUND { "There is no such address here." } else { "Not answered." };
    (status, Json(json!({"error": {"code": code, "message": message, "field": null}}))).into_response()
}
