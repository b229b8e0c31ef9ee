//! What stories of calendars need: appointments in Google and in the built-in CRM.
use crate::{GOOGLE, Story};
use serde_json::{Value, json};
use tandem_builtin::{Kind, Query, Record};
use tandem_store::run::{Run, RunState};

/// Somebody puts an event into the own calendar in Google's app; answers its id.
pub fn insert_as(story: &Story, account: &str, event: &Value) -> String {
    let made = story.google.user_does(account, "insert", &json!({"event": event}));
    made["id"].as_str().expect("events have ids").to_owned()
}

/// The salesperson does.
pub fn insert(story: &Story, event: Value) -> String {
    insert_as(story, GOOGLE, &event)
}

/// The salesperson changes an event in Google's app.
pub fn patch(story: &Story, id: &str, event: Value) {
    story.google.user_does(GOOGLE, "patch", &json!({"id": id, "event": event}));
}

/// The salesperson deletes an event in Google's app.
pub fn delete(story: &Story, id: &str) {
    story.google.user_does(GOOGLE, "delete", &json!({"id": id}));
}

/// The salesperson's calendar, as Google shows it.
pub fn events(story: &Story) -> Vec<Value> {
    story.google.events(GOOGLE, GOOGLE)
}

/// The one event in it that is called so.
pub fn event(story: &Story, summary: &str) -> Value {
    let found: Vec<Value> = events(story).into_iter().filter(|event| event["summary"] == summary).collect();
    assert_eq!(found.len(), 1, "{summary}: {found:?}");
    found[0].clone()
}

/// The CRM's records of a type, as the salesperson sees them.
pub async fn all(story: &Story, kind: Kind) -> Vec<Value> {
    let (mut all, mut query) = (Vec::new(), Query::default());
    loop {
        let listed = story.crm.list(&story.user, kind, &query).await.expect("readable");
        all.extend(listed.items.iter().map(Record::to_json));
        query.next = listed.next;
        if query.next.is_none() {
            return all;
        }
    }
}

/// The only one.
pub async fn only(story: &Story, kind: Kind) -> Value {
    let mut all = all(story, kind).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The salesperson makes a meeting of a block; answers its id.
pub async fn convert(story: &Story, block: &Value) -> String {
    let id = block["id"].as_str().expect("an id");
    story.crm.convert(&story.user, id, None).await.expect("its owner may").id
}

/// A run that ends well.
pub async fn done(story: &Story) -> Run {
    let run = story.run().await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    run
}

/// Three further runs write nothing anywhere.
pub async fn quiet(story: &Story) {
    let (blocks, meetings, before) = (all(story, Kind::Block).await, all(story, Kind::Meeting).await, events(story));
    for round in 1..=3 {
        let run = done(story).await;
        assert_eq!(run.counts.writes(), 0, "round {round}: {:?}", story.changes(&run).await);
    }
    assert_eq!((all(story, Kind::Block).await, all(story, Kind::Meeting).await), (blocks, meetings));
    assert_eq!(events(story), before);
}
