//! Under which names calendars know the appointments of a CRM account that keeps no names itself.
use crate::convert::{item, read, with};
use crate::{Store, StoreError, keys};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tandem_core::record::RemoteId;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::infra::Clock;
use tandem_ports::names::Names;
use tandem_ports::table::{Key, Write};

/// A name is needed while its appointment may come by anew: made two years ahead at most, and seen for a while after.
const KEPT_SECONDS: i64 = 1_000 * 86_400;

/// The names of one account's appointments, one for all its users.
pub struct AppointmentNames {
    store: Store,
    clock: Arc<dyn Clock>,
    provider: &'static str,
    account: String,
}

#[derive(Serialize, Deserialize)]
struct Name {
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Named {
    id: RemoteId,
}

impl AppointmentNames {
    /// Those of this account of this provider.
    pub fn of(store: Store, clock: Arc<dyn Clock>, provider: &'static str, account: &str) -> AppointmentNames {
        AppointmentNames { store, clock, provider, account: account.to_owned() }
    }

    fn name_key(&self, id: &RemoteId) -> Key {
        keys::name_of(self.provider, &self.account, id)
    }

    /// Names are of any length.
    fn named_key(&self, name: &str) -> Key {
        keys::named(self.provider, &self.account, &hex::encode(&Sha256::digest(name)[..16]))
    }

    fn lost(&self, source: StoreError) -> ConnectorError {
        let detail = "the names of appointments cannot be read or noted now";
        let mut error = ConnectorError::new(self.provider, "names", ErrorKind::Retryable, detail);
        error.source = Some(Box::new(source));
        error
    }
}

#[async_trait]
impl Names for AppointmentNames {
    async fn of(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>, ConnectorError> {
        let wanted: Vec<Key> = ids.iter().map(|id| self.name_key(id)).collect();
        let found = self.store.table.get(&wanted).await.map_err(|error| self.lost(error.into()))?;
        let name = |item: Option<_>| item.map(|item| read::<Name>("name", item).map(|kept| kept.name)).transpose();
        found.into_iter().map(name).collect::<Result<_, StoreError>>().map_err(|error| self.lost(error))
    }

    async fn named(&self, name: &str) -> Result<Option<RemoteId>, ConnectorError> {
        let found = self.store.table.get(&[self.named_key(name)]).await.map_err(|error| self.lost(error.into()))?;
        let kept = found.into_iter().flatten().next().map(|item| read::<Named>("name", item)).transpose();
        Ok(kept.map_err(|error| self.lost(error))?.map(|kept| kept.id))
    }

    async fn note(&self, id: &RemoteId, name: &str) -> Result<(), ConnectorError> {
        let until = self.clock.now().as_second() + KEPT_SECONDS;
        let by_id = with(item(self.name_key(id), &Name { name: name.to_owned() }), "expires_at", until);
        let by_name = with(item(self.named_key(name), &Named { id: id.clone() }), "expires_at", until);
        let noted = self.store.table.write(&[Write::Put(by_id), Write::Put(by_name)]).await;
        noted.map_err(|error| self.lost(error.into()))
    }
}
