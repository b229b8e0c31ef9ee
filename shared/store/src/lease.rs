//! Who works on a sync. One holder at a time; a holder that died is replaced when its lease ends.
use crate::{Store, StoreError, keys};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tandem_core::record::SyncId;
use tandem_ports::table::{Condition, TableError, Update};

/// The right to work on a sync until `until`. The fence grows with every holder: what an earlier holder still writes
/// under its fence is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The sync.
    pub sync: SyncId,
    /// Grows with every holder.
    pub fence: i64,
    /// When it ends unless renewed.
    pub until: Timestamp,
    /// Intents that an earlier holder has left open.
    pub open_intents: i64,
}

/// What became of asking for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is ours.
    Lease(Lease),
    /// Somebody works on it.
    Busy,
}

impl Store {
    /// Asks for the lease. It is given when nobody holds one at `now`.
    pub async fn acquire_lease(&self, sync: &SyncId, now: Timestamp, until: Timestamp) -> Result<Acquired, StoreError> {
        let set = Map::from_iter([
            ("held_until".to_owned(), json!(until.as_millisecond())),
            ("dirty".to_owned(), Value::Null),
        ]);
        let free = [Condition::AbsentOrAtMost("held_until", now.as_millisecond())];
        let update = Update { set, add: vec![("fence", 1)] };
        match self.update(&keys::lease(sync), &update, &free).await {
            Ok(item) => {
                let number = |name| item.attributes.get(name).and_then(Value::as_i64).unwrap_or_default();
                let (fence, open_intents) = (number("fence"), number("open_intents"));
                Ok(Acquired::Lease(Lease { sync: sync.clone(), fence, until, open_intents }))
            }
            Err(TableError::Condition(_)) => Ok(Acquired::Busy),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the holder that there is more to do. False when nobody holds the lease any more: ask for it again.
    pub async fn mark_dirty(&self, sync: &SyncId, now: Timestamp) -> Result<bool, StoreError> {
        let update = Update { set: Map::from_iter([("dirty".to_owned(), json!(true))]), add: vec![] };
        let held = [Condition::GreaterThan("held_until", now.as_millisecond())];
        match self.update(&keys::lease(sync), &update, &held).await {
            Ok(_) => Ok(true),
            Err(TableError::Condition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The condition under which `lease` is still its holder's.
pub(crate) fn held(lease: &Lease) -> Condition {
    Condition::Equals("fence", lease.fence.into())
}

/// The change that gives a lease back.
pub(crate) fn release() -> Update {
    Update {
        set: Map::from_iter([("held_until".to_owned(), json!(0)), ("dirty".to_owned(), Value::Null)]),
        add: vec![],
    }
}

/// The change that prolongs a lease.
pub(crate) fn renew(until: Timestamp) -> Update {
    Update { set: Map::from_iter([("held_until".to_owned(), json!(until.as_millisecond()))]), add: vec![] }
}
