//! Names as the durable store keeps them.
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tandem_core::record::RemoteId;
use tandem_ports::error::Result;
use tandem_ports::names::Names;

#[derive(Default)]
pub struct Noted {
    by_id: Mutex<BTreeMap<RemoteId, String>>,
    by_name: Mutex<BTreeMap<String, RemoteId>>,
}

#[async_trait]
impl Names for Noted {
    async fn of(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>> {
        let kept = self.by_id.lock().expect("not poisoned");
        Ok(ids.iter().map(|id| kept.get(id).cloned()).collect())
    }
    async fn named(&self, name: &str) -> Result<Option<RemoteId>> {
        Ok(self.by_name.lock().expect("not poisoned").get(name).cloned())
    }
    async fn note(&self, id: &RemoteId, name: &str) -> Result<()> {
        self.by_id.lock().expect("not poisoned").insert(id.clone(), name.to_owned());
        self.by_name.lock().expect("not poisoned").insert(name.to_owned(), id.clone());
        Ok(())
    }
}
