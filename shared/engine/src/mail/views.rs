//! A mail sync's records as the page shows them, with subjects read live.
use crate::desk::rules;
use crate::records::{CopyView, RecordView};
use crate::{Engine, MailPorts, Opening};
use tandem_core::record::{RemoteId, Side};
use tandem_mail::Head;
use tandem_store::link::Row;
use tandem_store::sync::Sync;

impl Engine {
    /// The rows as views; a side that cannot be read now leaves its titles out.
    pub(crate) async fn mail_views(&self, sync: &Sync, rows: Vec<Row>) -> Vec<RecordView> {
        let ports = self.mail_ports(sync).await;
        let filed: Vec<RemoteId> = rows.iter().filter_map(|row| row.left.clone()).collect();
        let messages: Vec<RemoteId> = rows.iter().filter_map(|row| row.right.clone()).collect();
        let (mut left, mut right) = match &ports {
            Some(ports) => (subjects_filed(ports, &filed).await, subjects(ports, &messages).await),
            None => (vec![None; filed.len()], vec![None; messages.len()]),
        };
        left.reverse();
        right.reverse();
        let mut view = |row: Row| RecordView {
            crm: row.left.map(|id| CopyView { id, title: left.pop().flatten() }),
            remote: row.right.map(|id| CopyView { id, title: right.pop().flatten() }),
            id: row.key,
            state: row.state,
            reason: row.reason,
            last_synced_at: row.synced_at,
            attempts: row.attempts,
        };
        rows.into_iter().map(&mut view).collect()
    }

    async fn mail_ports(&self, sync: &Sync) -> Option<MailPorts> {
        let (profile, settings) = rules(sync).ok()?;
        let (crm, remote) = self.connections(sync).await.ok()?;
        let (settings, container) = (&settings, None);
        let left = Opening { sync: &sync.id, connection: &crm, profile, settings, side: Side::Left, container };
        let right = Opening { sync: &sync.id, connection: &remote, profile, settings, side: Side::Right, container };
        self.connectors.open_mail(left, right).await.ok()
    }
}

async fn subjects_filed(ports: &MailPorts, ids: &[RemoteId]) -> Vec<Option<String>> {
    let read = ports.desk.titles(ids).await;
    read.inspect_err(|error| tracing::warn!(error = %error, "titles not read"))
        .unwrap_or_else(|_| vec![None; ids.len()])
}

async fn subjects(ports: &MailPorts, ids: &[RemoteId]) -> Vec<Option<String>> {
    let mut all = Vec::with_capacity(ids.len());
    for some in ids.chunks(ports.source.head_batch().max(1)) {
        match ports.source.heads(some, &["Subject"]).await {
            Ok(heads) => all.extend(heads.into_iter().map(|head| {
                let head = head.ok().flatten()?;
                Some(tandem_mail::head(&head.headers, Head::default()).subject)
            })),
            Err(error) => {
                tracing::warn!(error = %error, "titles not read");
                all.resize(all.len() + some.len(), None);
            }
        }
    }
    all
}
