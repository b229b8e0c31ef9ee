//! A Gmail mailbox as a [`MailSource`].
use crate::api::batch::{self, Part};
use crate::api::gmail::{self as api, text};
use crate::api::{self as calls, Call};
use crate::config::GoogleConfig;
use crate::error::{self, PROVIDER};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_core::mail::{Address, Place};
use tandem_core::record::RemoteId;
use tandem_ports::connector::{Cursor, Next, Outcomes};
use tandem_ports::error::{ErrorKind, Result};
use tandem_ports::infra::HttpTransport;
use tandem_ports::mail::{
    LabelId, ListPage, Listing, MailAccount, MailChange, MailHead, MailPage, MailRecord, MailSource, MailWatch,
};

/// Gmail's `raw` is base64url; whether it is padded varies.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The id under which Google's mail servers write `Authentication-Results`.
const AUTHSERV: &str = "mx.google.com";
/// Raised when the parameters of the feed change.
const CURSOR_FORM: u8 = 1;
/// How often a label is looked up again when somebody else makes it at the same time.
const LABEL_TRIES: usize = 2;

/// The mailbox of one Google account.
pub struct GoogleMail {
    transport: Arc<dyn HttpTransport>,
    config: GoogleConfig,
    address: String,
}

/// Our cursor: the history id that the delta starts from, and the page in it.
#[derive(Serialize, Deserialize)]
struct Position {
    form: u8,
    start: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

impl Position {
    fn at(start: &str) -> Position {
        Position { form: CURSOR_FORM, start: start.to_owned(), page: None }
    }
    fn into_cursor(self) -> Cursor {
        Cursor(serde_json::to_string(&self).expect("numbers and strings are JSON"))
    }
}

impl GoogleMail {
    /// `transport` adds the account's access token; `address` is the account's own, for links.
    pub fn new(transport: Arc<dyn HttpTransport>, config: GoogleConfig, address: &str) -> Self {
        Self { transport, config, address: address.to_owned() }
    }

    fn origin(&self) -> &str {
        &self.config.gmail_url
    }

    async fn answer(&self, call: Call) -> Result<Response<Bytes>> {
        let Call { operation, request } = call;
        self.transport.send(request).await.map_err(|lost| error::from_transport(operation, lost))
    }

    /// One answer a part, in one request where there is an endpoint for that.
    async fn together(&self, operation: &'static str, parts: &[Part]) -> Result<Vec<Option<Response<Bytes>>>> {
        let response = self.answer(batch::together(operation, self.origin(), api::BATCH_PATH, parts)?).await?;
        if !batch::is_missing(&response) {
            return batch::answers(operation, &response, parts.len()).map_err(error::of_mail);
        }
        let mut answers = Vec::with_capacity(parts.len());
        for part in parts {
            answers.push(Some(self.answer(batch::single(operation, self.origin(), part)?).await?));
        }
        Ok(answers)
    }

    async fn call(&self, call: Call) -> Result<Value> {
        let operation = call.operation;
        calls::parse(operation, &self.answer(call).await?).map_err(error::of_mail)
    }

    /// The id of a label with this id or name, made where there is neither.
    async fn ensure_label(&self, all: &mut Vec<Value>, id: Option<&LabelId>, name: &str) -> Result<LabelId> {
        for _ in 0..LABEL_TRIES {
            let by_id = all.iter().find(|label| id.is_some_and(|id| text(label, "id") == id.0));
            // Gmail tells no two labels apart by case alone.
            let same = |label: &&Value| text(label, "name").to_lowercase() == name.to_lowercase();
            if let Some(found) = by_id.or_else(|| all.iter().find(same)) {
                return Ok(LabelId(text(found, "id").to_owned()));
            }
            match self.call(api::create_label(self.origin(), name)?).await {
                Ok(made) => {
                    let id = LabelId(text(&made, "id").to_owned());
                    all.push(made);
                    return Ok(id);
                }
                // Somebody made it meanwhile (409 `Label name exists or conflicts`).
                Err(refused) if refused.kind == ErrorKind::Conflict => *all = self.all_labels().await?,
                Err(refused) => return Err(refused),
            }
        }
        Err(error::refused("users.labels.create", "Gmail refuses this label's name"))
    }

    async fn all_labels(&self) -> Result<Vec<Value>> {
        Ok(list_of(&self.call(api::labels(self.origin())?).await?, "labels").to_vec())
    }
}

fn list_of<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn labels_of(value: &Value) -> BTreeSet<LabelId> {
    list_of(value, "labelIds").iter().filter_map(Value::as_str).map(|id| LabelId(id.to_owned())).collect()
}

fn changes_of(record: &Value) -> Vec<MailChange> {
    let message = |change: &Value| change.get("message").cloned().unwrap_or_default();
    let id = |change: &Value| RemoteId::new(text(&message(change), "id"));
    let mut all = Vec::new();
    for added in list_of(record, "messagesAdded") {
        // The labels may be left out: a history promises ids only.
        let labels = message(added).get("labelIds").map(|_| labels_of(&message(added)));
        all.push(MailChange::Appeared(id(added), labels));
    }
    all.extend(list_of(record, "labelsAdded").iter().map(|change| MailChange::Labelled(id(change), labels_of(change))));
    all.extend(list_of(record, "messagesDeleted").iter().map(|change| MailChange::Gone(id(change))));
    all
}

fn place_of(label: &LabelId) -> Option<Place> {
    match label.0.as_str() {
        "SENT" => Some(Place::Sent),
        "DRAFT" => Some(Place::Draft),
        "SPAM" => Some(Place::Spam),
        "TRASH" => Some(Place::Trash),
        "CHAT" => Some(Place::Chat),
        _ => None,
    }
}

fn head_of(message: &Value) -> MailHead {
    let labels = labels_of(message);
    let headers = message.get("payload").map(|payload| list_of(payload, "headers")).unwrap_or_default();
    let pair = |header: &Value| (text(header, "name").to_owned(), text(header, "value").to_owned());
    MailHead {
        id: RemoteId::new(text(message, "id")),
        headers: headers.iter().map(pair).collect(),
        places: labels.iter().filter_map(place_of).collect(),
        labels,
        received_at: text(message, "internalDate").parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        bytes: message.get("sizeEstimate").and_then(Value::as_u64).unwrap_or(0),
    }
}

#[async_trait]
impl MailSource for GoogleMail {
    fn provider(&self) -> &'static str {
        PROVIDER
    }
    fn trusted_server(&self) -> &'static str {
        AUTHSERV
    }
    fn head_batch(&self) -> usize {
        api::BATCH
    }
    fn link(&self, id: &RemoteId) -> String {
        api::link(&self.address, id.as_str())
    }

    async fn account(&self) -> Result<MailAccount> {
        let profile = self.call(api::profile(self.origin())?).await?;
        let address = Address::read(text(&profile, "emailAddress"));
        let address =
            address.ok_or_else(|| error::refused("users.getProfile", "Gmail does not say whose mailbox it is"))?;
        Ok(MailAccount { address, now: Position::at(text(&profile, "historyId")).into_cursor() })
    }

    async fn changes(&self, from: &Cursor) -> Result<MailPage> {
        const OPERATION: &str = "users.history.list";
        let position = serde_json::from_str::<Position>(&from.0).ok().filter(|at| at.form == CURSOR_FORM);
        let position = position.ok_or_else(|| error::cursor_of_another_release(OPERATION))?;
        let call = api::history(self.origin(), &position.start, position.page.as_deref())?;
        let answer = self.call(call).await.map_err(error::history_refused)?;
        let record = |record: &Value| {
            // A record's id is a history id: a delta that starts from it shows what came after.
            let after = Position::at(text(record, "id")).into_cursor();
            MailRecord { changes: changes_of(record), after }
        };
        let records = list_of(&answer, "history").iter().map(record).collect();
        let next = match (text(&answer, "nextPageToken"), text(&answer, "historyId")) {
            // The id of the answer is the next start only on the last page.
            (page, _) if !page.is_empty() => {
                Next::More(Position { page: Some(page.to_owned()), ..position }.into_cursor())
            }
            (_, "") => return Err(error::no_end(OPERATION)),
            (_, now) => Next::CaughtUp(Position::at(now).into_cursor()),
        };
        Ok(MailPage { records, next })
    }

    async fn list(&self, listing: &Listing, page: Option<&Cursor>) -> Result<ListPage> {
        let (label, days) = match listing {
            Listing::WithLabel(label, days) => (Some(label.0.as_str()), days),
            Listing::All(days) => (None, days),
        };
        let q = format!("newer_than:{}d", (*days).max(1));
        let call = api::list(self.origin(), label, &q, page.map(|page| page.0.as_str()))?;
        let answer = self.call(call).await.map_err(error::token_refused)?;
        let id = |message: &Value| RemoteId::new(text(message, "id"));
        let next = text(&answer, "nextPageToken");
        Ok(ListPage {
            ids: list_of(&answer, "messages").iter().map(id).collect(),
            next: (!next.is_empty()).then(|| Cursor(next.to_owned())),
            about: answer.get("resultSizeEstimate").and_then(Value::as_u64),
        })
    }

    async fn heads(&self, ids: &[RemoteId], headers: &[&str]) -> Result<Outcomes<Option<MailHead>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = ids.iter().map(RemoteId::as_str).collect();
        let (operation, parts) = (api::HEADS, api::heads(&names, headers)?);
        let answers = self.together(operation, &parts).await?;
        let read = |answer: Option<Response<Bytes>>| {
            let answer = answer.ok_or_else(|| error::no_answer(operation))?;
            if answer.status() == http::StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let message: Value = calls::parse(operation, &answer).map_err(error::of_mail)?;
            Ok(Some(head_of(&message)))
        };
        Ok(answers.into_iter().map(read).collect())
    }

    async fn raw(&self, id: &RemoteId) -> Result<Option<Vec<u8>>> {
        let call = api::raw(self.origin(), id.as_str())?;
        let operation = call.operation;
        let message = match self.call(call).await {
            Err(gone) if gone.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let raw = BASE64URL.decode(text(&message, "raw"));
        raw.map(Some).map_err(|_| error::refused(operation, "Gmail's answer holds no message"))
    }

    async fn ensure_labels(&self, wanted: &[(Option<LabelId>, &str)]) -> Result<Vec<LabelId>> {
        let mut all = self.all_labels().await?;
        let mut ids = Vec::with_capacity(wanted.len());
        for (id, name) in wanted {
            ids.push(self.ensure_label(&mut all, id.as_ref(), name).await?);
        }
        Ok(ids)
    }

    async fn watch(&self, topic: &str) -> Result<MailWatch> {
        let answer = self.call(api::watch(self.origin(), topic)?).await?;
        let ends = text(&answer, "expiration").parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let expires_at = ends.ok_or_else(|| error::no_answer("users.watch"))?;
        Ok(MailWatch { expires_at })
    }

    async fn stop(&self) -> Result<()> {
        self.call(api::stop(self.origin())?).await.map(drop)
    }
}
