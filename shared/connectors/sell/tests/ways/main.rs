//! The connector and the provider in memory, in the cases that the suite of all connectors does not know.
mod feed;
mod fields;
mod made;
mod provider;

use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_core::contact::Carry;
use tandem_core::normalise::Region;
use tandem_core::record::ContainerId;
use tandem_ports::connector::{Change, Connector, Cursor, Next};
use tandem_sell::fake::FakeSell;
use tandem_sell::{Options, SellConfig, SellContacts};
use tandem_testkit::clock::ManualClock;

const ACCOUNT: &str = "jan@example.com";

/// An account, and the connector of one of its users.
struct World {
    clock: Arc<ManualClock>,
    fake: Arc<FakeSell>,
    sell: SellContacts,
}

impl World {
    fn new() -> World {
        World::with(None, 100)
    }
    fn with(tag: Option<&str>, page: usize) -> World {
        let clock = Arc::new(ManualClock::default());
        let fake = FakeSell::new(Arc::clone(&clock) as Arc<_>).shared();
        let sell = open(&fake, &clock, ACCOUNT, tag).with_page_size(page);
        World { clock, fake, sell }
    }
    /// One more user of the account, who sees their own only.
    fn user(&self, email: &str) -> SellContacts {
        self.fake.order("POST", "users", &json!({"account": ACCOUNT, "user": email, "sees": "own"}));
        open(&self.fake, &self.clock, email, None)
    }
    fn make_as(&self, email: &str, data: &Json) -> u64 {
        let made = self.fake.order("POST", "contacts", &json!({"account": email, "data": data}));
        made["data"]["id"].as_u64().expect("an id")
    }
    fn make(&self, data: &Json) -> u64 {
        self.make_as(ACCOUNT, data)
    }
    fn edit(&self, id: u64, data: &Json) {
        self.fake.order("PATCH", "contacts", &json!({"account": ACCOUNT, "id": id, "data": data}));
    }
    fn delete(&self, id: u64) {
        self.fake.order("DELETE", "contacts", &json!({"account": ACCOUNT, "id": id}));
    }
    fn end_sessions(&self) {
        self.fake.order("POST", "expire-sessions", &json!({"account": ACCOUNT}));
    }
    /// The calls since the last look.
    fn asked(&self) -> Vec<String> {
        let calls = self.fake.calls().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        self.fake.order("DELETE", "calls", &json!({}));
        calls
    }
    async fn caught_up(&self) -> Cursor {
        drain(&self.sell, None).await.1
    }
}

fn open(fake: &Arc<FakeSell>, clock: &Arc<ManualClock>, email: &str, tag: Option<&str>) -> SellContacts {
    let options = Options {
        container: tag.map(|tag| ContainerId::new(format!("tag:{tag}"))),
        carry: Carry::Name,
        region: Region::of("BE"),
        device: "6dadcec8-6e61-4691-b318-1aab27b8fecf".to_owned(),
    };
    SellContacts::new(fake.authorised(email), Arc::clone(clock) as Arc<_>, SellConfig::default(), options)
}

/// Everything until the feed is caught up.
async fn drain(sell: &SellContacts, from: Option<Cursor>) -> (Vec<Change>, Cursor) {
    let (mut at, mut changes) = (from, Vec::new());
    for _ in 0..1_000 {
        let page = sell.changes(at.as_ref()).await.expect("a page");
        changes.extend(page.changes);
        match page.next {
            Next::More(cursor) => at = Some(cursor),
            Next::CaughtUp(cursor) => return (changes, cursor),
            Next::Relist => panic!("nothing was left out"),
        }
    }
    panic!("the feed has no end");
}

fn ids(changes: &[Change]) -> BTreeSet<u64> {
    let id = |change: &Change| match change {
        Change::Upsert(fetched) => fetched.id.as_str().parse().expect("a number"),
        Change::Tombstone { id } | Change::Seen { id, .. } | Change::Unreadable { id, .. } => {
            panic!("an upsert was expected for {id:?}")
        }
    };
    changes.iter().map(id).collect()
}
