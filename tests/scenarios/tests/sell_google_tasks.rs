//! `sell-google-tasks` on Zendesk Sell itself: the sister page that seed 003 names.
use scenarios::{GOOGLE, Story, VENDOR};
use serde_json::{Value, json};
use tandem_store::run::RunState;

async fn story(settings: Value) -> Story {
    Story::begins_on("sell", "sell-google-tasks", settings).await
}

fn order(story: &Story, method: &str, id: &Value, data: Value) -> Value {
    story.sell.order(method, "tasks", &json!({ "account": VENDOR, "id": id, "data": data }))
}

fn made(story: &Story, data: Value) -> Value {
    order(story, "POST", &Value::Null, data)["data"]["id"].clone()
}

fn in_sell(story: &Story) -> Vec<Value> {
    let state = story.sell.order("GET", &format!("state?account={VENDOR}"), &json!({}));
    let others = state["others"].as_array().expect("a list").iter();
    others.filter(|one| one["kind"] == "task").map(|one| one["data"].clone()).collect()
}

fn sell_task(story: &Story, text: &str) -> Value {
    let found: Vec<Value> = in_sell(story).into_iter().filter(|task| task["content"] == text).collect();
    assert_eq!(found.len(), 1, "{text} is in Sell {} times", found.len());
    found[0].clone()
}

fn google_task(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = story.google.tasks(GOOGLE).into_iter().filter(|task| task["title"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Google {} times", found.len());
    found[0].clone()
}

fn id(task: &Value) -> String {
    task["id"].as_str().expect("an id").to_owned()
}

fn written(story: &Story) -> usize {
    story.sell.calls().iter().chain(&story.google.calls()).map(|(_, _, writes)| writes).sum()
}

async fn three_quiet_rounds(story: &Story) {
    let before = (written(story), in_sell(story).len(), story.google.tasks(GOOGLE).len());
    for _ in 0..3 {
        let run = story.run().await;
        assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    }
    let after = (written(story), in_sell(story).len(), story.google.tasks(GOOGLE).len());
    assert_eq!(after, before, "three rounds without growth");
}

async fn in_step() -> (Story, Value) {
    let story = story(json!({})).await;
    let call = made(&story, json!({ "content": "Call An\nabout the oven", "due_date": "2026-11-26T15:00:00Z" }));
    story.google.user_makes_task(GOOGLE, &json!({ "title": "Bake", "due": "2026-11-27T00:00:00Z" }));
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created, run.counts.remote.created), (RunState::Done, 1, 1), "{run:?}");
    (story, call)
}

#[tokio::test]
async fn tasks_go_both_ways_with_their_text_and_day_and_nothing_grows() {
    let (story, _) = in_step().await;
    let there = google_task(&story, "Call An");
    assert_eq!((&there["notes"], &there["due"]), (&json!("about the oven"), &json!("2026-11-26T00:00:00.000Z")));
    assert_eq!(sell_task(&story, "Bake")["due_date"], "2026-11-27T11:00:00Z", "noon, where the user is");
    three_quiet_rounds(&story).await;
}

#[tokio::test]
async fn edits_and_what_is_done_travel_both_ways_and_the_hour_stays() {
    let (story, call) = in_step().await;
    story.google.user_edits_task(GOOGLE, &id(&google_task(&story, "Call An")), &json!({ "status": "completed" }));
    let baked = sell_task(&story, "Bake");
    order(&story, "PATCH", &baked["id"], json!({ "content": "Bake bread" }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (1, 1), "{run:?}");
    let done = sell_task(&story, "Call An\nabout the oven");
    assert_eq!(
        (&done["id"], &done["completed"], &done["due_date"]),
        (&call, &json!(true), &json!("2026-11-26T15:00:00Z"))
    );
    google_task(&story, "Bake bread");
    three_quiet_rounds(&story).await;
    order(&story, "PATCH", &call, json!({ "completed": false, "due_date": "2026-12-01T15:00:00Z" }));
    story.run().await;
    let again = google_task(&story, "Call An");
    assert_eq!((&again["status"], &again["due"]), (&json!("needsAction"), &json!("2026-12-01T00:00:00.000Z")));
    three_quiet_rounds(&story).await;
}

#[tokio::test]
async fn deletions_travel_both_ways() {
    let story = story(json!({ "max_delete_percent": 100 })).await;
    let call = made(&story, json!({ "content": "Call An" }));
    story.google.user_makes_task(GOOGLE, &json!({ "title": "Bake" }));
    story.run().await;
    order(&story, "DELETE", &call, json!({}));
    story.google.user_deletes_task(GOOGLE, &id(&google_task(&story, "Bake")));
    let run = story.run().await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.deleted), (1, 1), "{run:?}");
    assert_eq!((in_sell(&story).len(), story.google.tasks(GOOGLE).len()), (0, 0));
    three_quiet_rounds(&story).await;
}

#[tokio::test]
async fn made_anew_there_is_no_double_and_a_colleagues_task_stays_in_sell() {
    let (story, _) = in_step().await;
    made(&story, json!({ "content": "A colleague's", "owner_id": 1 }));
    story.starts_over(json!({})).await;
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 0), "{run:?}");
    assert_eq!((in_sell(&story).len(), story.google.tasks(GOOGLE).len()), (3, 2));
    three_quiet_rounds(&story).await;
}

#[tokio::test]
async fn another_list_can_be_chosen() {
    let story = story(json!({})).await;
    let list = story.google.user_makes_task_list(GOOGLE, "Sell");
    story.set("remote_list", json!(list)).await;
    story.google.user_makes_task(GOOGLE, &json!({ "title": "Private" }));
    made(&story, json!({ "content": "Call An" }));
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 1), "{run:?}");
    assert_eq!(story.google.tasks(GOOGLE).len(), 1, "the default list holds what is private alone");
    three_quiet_rounds(&story).await;
}
