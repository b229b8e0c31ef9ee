//! A CRM in memory with an administrator.
use serde_json::{Map, Value};
use std::sync::Arc;
use tandem_builtin::contacts::{BuiltinContacts, Carry, Options};
use tandem_builtin::users::{NewUser, Role, User, Users};
use tandem_builtin::{Crm, Kind, Record};
use tandem_core::normalise::Region;
use tandem_core::record::ContainerId;
use tandem_testkit::clock::ManualClock;
use tandem_testkit::memory::MemoryTable;

pub struct World {
    pub table: Arc<MemoryTable>,
    pub clock: Arc<ManualClock>,
    pub crm: Crm,
    pub users: Users,
    pub admin: User,
}

impl World {
    pub async fn new() -> World {
        World::on(MemoryTable::default()).await
    }
    pub async fn on(table: MemoryTable) -> World {
        let (table, clock) = (Arc::new(table), Arc::new(ManualClock::default()));
        let users = Users::new(table.clone(), clock.clone());
        let new = NewUser { account: "acme", email: "an@acme.test", name: "An", role: Role::Administrator };
        let admin = users.create(new).await.unwrap();
        World { crm: Crm::new(table.clone(), clock.clone()), table, clock, users, admin }
    }
    pub async fn make(&self, kind: Kind, input: Value) -> Record {
        self.crm.create(&self.admin, kind, &object(input)).await.unwrap()
    }
    pub async fn open(&self, container: Option<&str>) -> BuiltinContacts {
        let options = Options {
            container: container.map(ContainerId::new),
            carry: Carry::NameAndPhone,
            region: Region::of("BE"),
        };
        let (account, user) = (&self.admin.account, &self.admin.id);
        BuiltinContacts::open(self.table.clone(), self.clock.clone(), account, user, options).await.unwrap()
    }
}

pub fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}
