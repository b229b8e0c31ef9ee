//! One row a record, with titles read live: the answer to "why is this contact not there?".
use crate::desk::{conflict, rules};
use crate::session::Session;
use crate::{Budget, Engine, EngineError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_core::plan::Reason;
use tandem_core::record::{Field, RemoteId, RowKey, Side};
use tandem_ports::infra::Kind;
use tandem_store::link::{Row, RowState};
use tandem_store::sync::Sync;

/// Which records to show.
#[derive(Clone, Debug, Default)]
pub struct RecordQuery {
    /// Only those in this state.
    pub state: Option<RowState>,
    /// Only those whose title has this in it, whatever its case.
    pub q: Option<String>,
    /// Where to go on.
    pub next: Option<String>,
    /// At most this many; 1 to 100.
    pub limit: usize,
}

/// A record as one side has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyView {
    /// Its id there.
    pub id: RemoteId,
    /// What people call it; `null` when it cannot be read now.
    pub title: Option<String>,
}

/// One record of a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordView {
    /// Its row.
    pub id: RowKey,
    /// How it is.
    pub state: RowState,
    /// The CRM's copy.
    pub crm: Option<CopyView>,
    /// The remote copy.
    pub remote: Option<CopyView>,
    /// Why it is excluded, failing or held; of one in step, in what its sides differ since an undo.
    pub reason: Option<Reason>,
    /// When both sides last agreed.
    pub last_synced_at: Option<Timestamp>,
    /// Refused tries.
    pub attempts: u32,
}

/// Rows looked through for a search in one request.
const SEARCHED: usize = 2_000;

impl Engine {
    /// A page of a sync's records.
    pub async fn records(
        &self,
        sync: &Sync,
        query: &RecordQuery,
    ) -> Result<(Vec<RecordView>, Option<String>), EngineError> {
        if sync.kind == Kind::Files {
            return self.file_records(sync, query).await;
        }
        let limit = query.limit.clamp(1, 100);
        let wanted = query.q.as_deref().map(str::to_lowercase).filter(|text| !text.is_empty());
        let session = self.reading_session(sync).await?;
        let mut views = Vec::new();
        let mut next = query.next.clone();
        let mut searched = 0;
        loop {
            let (rows, more) = self.record_rows(sync, query.state, next.as_deref(), limit).await?;
            searched += rows.len();
            next = more;
            let shown = self.views(sync, session.as_ref(), rows).await;
            let matches = |view: &RecordView| {
                let titles = [&view.crm, &view.remote].into_iter().flatten().filter_map(|copy| copy.title.as_ref());
                wanted.as_ref().is_none_or(|text| titles.into_iter().any(|title| title.to_lowercase().contains(text)))
            };
            views.extend(shown.into_iter().filter(matches));
            if next.is_none() || views.len() >= limit || searched >= SEARCHED {
                return Ok((views, next));
            }
        }
    }

    /// A page of rows. Unpaired ones are shown as excluded: they are not carried across.
    async fn record_rows(
        &self,
        sync: &Sync,
        state: Option<RowState>,
        next: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Row>, Option<String>), EngineError> {
        let (state_word, after) = match next {
            None => (None, None),
            Some(text) => {
                let (word, key) = text.split_once(' ').ok_or_else(crate::changelog::bad_cursor)?;
                (Some(word), Some(RowKey::new(key)).filter(|key| !key.as_str().is_empty()))
            }
        };
        match state {
            None | Some(RowState::InSync) => {
                let (rows, more) = self.store.rows(&sync.id, after.as_ref(), limit).await?;
                let next = rows.last().filter(|_| more).map(|row| format!("all {}", row.key));
                let keep = |row: &Row| state.is_none_or(|state| row.state == state);
                Ok((rows.into_iter().filter(keep).collect(), next))
            }
            Some(state) => {
                let unpaired = state_word == Some(RowState::Unpaired.word());
                let listed = if unpaired { RowState::Unpaired } else { state };
                let (rows, more) = self.store.rows_in_state(&sync.id, listed, after.as_ref(), limit).await?;
                let next = match more {
                    Some(key) => Some(format!("{} {key}", listed.word())),
                    None if state == RowState::Excluded && !unpaired => Some(format!("{} ", RowState::Unpaired.word())),
                    None => None,
                };
                Ok((rows, next))
            }
        }
    }

    /// A session for reading titles; none when a side cannot be opened now: the rows are shown all the same.
    async fn reading_session<'a>(&'a self, sync: &'a Sync) -> Result<Option<ReadingSession>, EngineError> {
        if sync.kind == Kind::Mail {
            return Ok(None);
        }
        let (profile, settings) = rules(sync)?;
        let Ok((crm, remote)) = self.connections(sync).await else { return Ok(None) };
        let budget = Budget::of(self.clock.clone(), std::time::Duration::from_secs(20));
        let session = Session::open(self, sync, (profile, &settings), (&crm, &remote), None, &budget).await;
        Ok(session.ok().map(|session| ReadingSession { left: session.left, right: session.right }))
    }

    async fn views(&self, sync: &Sync, session: Option<&ReadingSession>, rows: Vec<Row>) -> Vec<RecordView> {
        if sync.kind == Kind::Mail {
            return self.mail_views(sync, rows).await;
        }
        let left = titles(session, Side::Left, &rows).await;
        let right = titles(session, Side::Right, &rows).await;
        let view = |((row, left), right): ((Row, Option<String>), Option<String>)| RecordView {
            crm: row.left.clone().map(|id| CopyView { id, title: left }),
            remote: row.right.clone().map(|id| CopyView { id, title: right }),
            state: if row.state == RowState::Unpaired { RowState::Excluded } else { row.state },
            id: row.key,
            reason: row.reason.or_else(|| put_back(&row.put_back)),
            last_synced_at: row.synced_at,
            attempts: row.attempts,
        };
        rows.into_iter().zip(left).zip(right).map(view).collect()
    }
}

/// What an undo has left: both copies are linked, and are not alike.
fn put_back(fields: &[Field]) -> Option<Reason> {
    let names: Vec<&str> = fields.iter().map(Field::as_str).collect();
    let message = || {
        format!(
            "Put back by an undo: the two sides differ until one of them is edited again ({}).",
            names.join(", ").replace('_', " ")
        )
    };
    (!names.is_empty()).then(|| Reason::new("put_back", message()))
}

struct ReadingSession {
    left: std::sync::Arc<dyn tandem_ports::connector::Connector>,
    right: std::sync::Arc<dyn tandem_ports::connector::Connector>,
}

/// Titles of a side's copies, in the rows' order; `None` where there is no copy or it cannot be read.
async fn titles(session: Option<&ReadingSession>, side: Side, rows: &[Row]) -> Vec<Option<String>> {
    let Some(session) = session else { return vec![None; rows.len()] };
    let connector = if side == Side::Left { &session.left } else { &session.right };
    let ids: Vec<RemoteId> = rows.iter().filter_map(|row| row.id(side).cloned()).collect();
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(connector.capabilities().get_batch.max(1)) {
        match connector.titles(some).await {
            Ok(titles) => found.extend(titles),
            Err(error) => {
                tracing::warn!(error = %error, "titles not read");
                found.extend(vec![None; some.len()]);
            }
        }
    }
    let mut found = found.into_iter();
    rows.iter().map(|row| row.id(side).and_then(|_| found.next().flatten())).collect()
}

/// A state as the API names it.
pub fn state_of(word: &str) -> Result<RowState, EngineError> {
    [RowState::InSync, RowState::Excluded, RowState::Failing, RowState::Held]
        .into_iter()
        .find(|state| state.word() == word)
        .ok_or_else(|| conflict("unknown_state", "`state` is one of in_sync, excluded, failing, held."))
}
