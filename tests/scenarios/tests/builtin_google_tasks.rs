//! `sell-google-tasks` on the built-in CRM.
use scenarios::{GOOGLE, Story};
use serde_json::{Value, json};
use tandem_builtin::{Kind, Query, Record};
use tandem_store::run::RunState;

async fn story(settings: Value) -> Story {
    Story::begins("sell-google-tasks", settings).await
}

async fn in_crm(story: &Story) -> Vec<Value> {
    let page = story.crm.list(&story.user, Kind::Task, &Query::default()).await.expect("readable");
    page.items.iter().map(Record::to_json).collect()
}

fn in_google(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = story.google.tasks(GOOGLE).into_iter().filter(|task| task["title"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in Google {} times", found.len());
    found[0].clone()
}

async fn titled(story: &Story, title: &str) -> Value {
    let found: Vec<Value> = in_crm(story).await.into_iter().filter(|task| task["title"] == title).collect();
    assert_eq!(found.len(), 1, "{title} is in the CRM {} times", found.len());
    found[0].clone()
}

fn id(record: &Value) -> &str {
    record["id"].as_str().expect("an id")
}

async fn quiet(story: &Story) {
    let before = (in_crm(story).await, story.google.tasks(GOOGLE));
    for _ in 0..3 {
        let run = story.run().await;
        assert_eq!((run.state, run.counts.writes()), (RunState::Done, 0), "{run:?}");
    }
    assert!(before == (in_crm(story).await, story.google.tasks(GOOGLE)), "three rounds without growth");
}

async fn in_step() -> (Story, String) {
    let story = story(json!({"max_delete_percent": 100})).await;
    let who = story.crm_contact(json!({"last_name": "Peeters"})).await;
    let links = json!([{"type": "contact", "id": who}]);
    let call = json!({"title": "Call An", "description": "about the oven", "due_on": "2026-12-24", "links": links});
    let call = story.crm_record(Kind::Task, call).await;
    story.google.user_makes_task(GOOGLE, &json!({"title": "Bake", "due": "2026-12-23T00:00:00Z"}));
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created, run.counts.remote.created), (RunState::Done, 1, 1), "{run:?}");
    (story, call)
}

#[tokio::test]
async fn tasks_go_both_ways_with_their_text_and_day_and_what_is_made_here_is_the_users() {
    let (story, _) = in_step().await;
    let there = in_google(&story, "Call An");
    assert_eq!((&there["notes"], &there["due"]), (&json!("about the oven"), &json!("2026-12-24T00:00:00.000Z")));
    let bake = titled(&story, "Bake").await;
    assert_eq!((&bake["due_on"], &bake["owner"]), (&json!("2026-12-23"), &json!(story.user.id)));
    quiet(&story).await;
}

#[tokio::test]
async fn edits_and_what_is_done_travel_both_ways_and_what_it_is_about_stays() {
    let (story, call) = in_step().await;
    let there = in_google(&story, "Call An");
    story.google.user_edits_task(GOOGLE, id(&there), &json!({"status": "completed"}));
    let bake = titled(&story, "Bake").await;
    story.crm_edit(Kind::Task, id(&bake), json!({"title": "Bake bread", "due_on": null})).await;
    let run = story.run().await;
    assert_eq!((run.counts.crm.updated, run.counts.remote.updated), (1, 1), "{run:?}");
    let done = titled(&story, "Call An").await;
    assert_eq!((&done["done"], done["links"].as_array().map(Vec::len)), (&json!(true), Some(1)));
    assert_eq!(in_google(&story, "Bake bread").get("due"), None);
    quiet(&story).await;
    story.crm_edit(Kind::Task, &call, json!({"done": false})).await;
    story.run().await;
    assert_eq!(in_google(&story, "Call An")["status"], "needsAction");
    quiet(&story).await;
}

#[tokio::test]
async fn deletions_travel_both_ways_and_made_anew_there_is_no_double() {
    let (story, call) = in_step().await;
    story.starts_over(json!({"max_delete_percent": 100})).await;
    let run = story.run().await;
    assert_eq!((run.counts.crm.created, run.counts.remote.created), (0, 0), "{run:?}");
    quiet(&story).await;
    story.crm_delete(Kind::Task, &call).await;
    story.google.user_deletes_task(GOOGLE, id(&in_google(&story, "Bake")));
    let run = story.run().await;
    assert_eq!((run.counts.crm.deleted, run.counts.remote.deleted), (1, 1), "{run:?}");
    assert!(in_crm(&story).await.is_empty() && story.google.tasks(GOOGLE).is_empty());
}

#[tokio::test]
async fn a_task_without_a_title_stays_in_google_with_the_reason() {
    let story = story(json!({})).await;
    story.google.user_makes_task(GOOGLE, &json!({"title": "", "notes": "only notes"}));
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created, run.counts.crm.failing), (RunState::Done, 0, 0), "{run:?}");
    assert!(in_crm(&story).await.is_empty());
    quiet(&story).await;
}
