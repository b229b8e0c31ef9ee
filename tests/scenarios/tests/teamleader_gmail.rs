//! Mail is tracked to the right contact: the M rows, and what each costs at Gmail.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use scenarios::{GOOGLE, Story, contact, mail, mail_with_files};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_builtin::{Kind, Query, Record};
use tandem_ports::infra::Clock as _;
use tandem_store::run::RunState;

async fn begins(settings: Value) -> Story {
    Story::begins("teamleader-gmail", settings).await
}

async fn records(story: &Story, kind: Kind) -> Vec<Value> {
    let (mut all, mut query) = (Vec::new(), Query::default());
    loop {
        let page = story.crm.list(&story.user, kind, &query).await.unwrap();
        all.extend(page.items.iter().map(Record::to_json));
        query.next = page.next;
        if query.next.is_none() {
            return all;
        }
    }
}

/// Calls to Gmail: (batches, bodies, all).
fn gmail_calls(story: &Story) -> (usize, usize, usize) {
    let calls = story.google.calls();
    let count = |test: &dyn Fn(&str) -> bool| calls.iter().filter(|(_, path, _)| test(path)).count();
    let bodies = count(&|path| path.starts_with("/gmail/v1/users/me/messages/"));
    (count(&|path| path == "/batch"), bodies, count(&|path| path.starts_with("/gmail/") || path == "/batch"))
}

#[tokio::test]
async fn m01_mail_and_its_answer_are_each_logged_once_with_the_right_direction() {
    let story = begins(json!({"track": "all_known"})).await;
    let id = story.crm_contact(contact("Jan", "Peeters", "Jan@X.example")).await;
    story.run().await;
    story.google.mail_arrives(GOOGLE, &mail("1@x", "Jan <jan@x.example>", GOOGLE, "Offer?"), &["INBOX"]);
    story.google.mail_arrives(GOOGLE, &mail("2@x", GOOGLE, "JAN@x.example", "Re: Offer?"), &["SENT"]);
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created), (RunState::Done, 2));
    let emails = records(&story, Kind::Email).await;
    let shown: Vec<_> = emails.iter().map(|mail| (&mail["subject"], &mail["direction"], &mail["links"])).collect();
    let links = json!([{"type": "contact", "id": id}]);
    assert_eq!(shown, [(&json!("Offer?"), &json!("in"), &links), (&json!("Re: Offer?"), &json!("out"), &links)]);
    assert_eq!(emails[0]["body_html"].as_str().unwrap().trim(), "<p>Hello</p>");
    let again = story.run().await;
    assert_eq!((again.counts.writes(), records(&story, Kind::Email).await.len()), (0, 2));
}

#[tokio::test]
async fn m02_an_unknown_sender_is_proposed_and_added_once_when_a_person_confirms() {
    let story = begins(json!({})).await;
    story.run().await;
    for n in 0..2 {
        let raw = mail(&format!("{n}@x"), "Piet Jans <piet@new.example>", GOOGLE, "Hello");
        story.google.mail_arrives(GOOGLE, &raw, &["INBOX", "Tandem/Track"]);
    }
    story.run().await;
    let held = story.records("held").await;
    assert_eq!(held.len(), 2);
    assert_eq!(held[0].reason.as_ref().unwrap().code, "unknown_sender");
    assert_eq!(held[0].remote.as_ref().unwrap().title.as_deref(), Some("Hello"));
    assert!(records(&story, Kind::Email).await.is_empty());
    story.engine.confirm(&story.sync().await).await.unwrap();
    story.settle().await;
    assert_eq!(story.crm_contacts().await.len(), 1);
    let emails = records(&story, Kind::Email).await;
    assert_eq!((emails.len(), &emails[0]["links"]), (2, &emails[1]["links"]));
    assert!(story.records("held").await.is_empty());
}

#[tokio::test]
async fn what_waits_for_a_word_and_is_deleted_in_the_mailbox_waits_no_more() {
    let story = begins(json!({})).await;
    story.run().await;
    let raw = mail("1@x", "Piet Jans <piet@new.example>", GOOGLE, "Hello");
    let id = story.google.mail_arrives(GOOGLE, &raw, &["INBOX", "Tandem/Track"]);
    story.run().await;
    assert_eq!(story.records("held").await.len(), 1);
    assert!(story.google.mail_deleted(GOOGLE, &id));
    story.engine.confirm(&story.sync().await).await.unwrap();
    story.settle().await;
    assert!(story.records("held").await.is_empty());
    assert_eq!(story.records("excluded").await[0].reason.as_ref().unwrap().code, "gone");
    assert!(records(&story, Kind::Email).await.is_empty());
}

#[tokio::test]
async fn an_unknown_sender_is_created_or_ignored_by_setting() {
    for (setting, contacts, code) in [("create", 1, None), ("ignore", 0, Some("unknown_sender_ignored"))] {
        let story = begins(json!({ "unknown_sender": setting })).await;
        let raw = mail("1@x", "piet@new.example", GOOGLE, "Hello");
        story.google.mail_arrives(GOOGLE, &raw, &["INBOX", "Tandem/Track"]);
        story.run().await;
        assert_eq!(story.crm_contacts().await.len(), contacts, "{setting}");
        let reasons: Vec<String> =
            story.records("excluded").await.into_iter().map(|row| row.reason.unwrap().code).collect();
        assert_eq!(reasons, code.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn labels_made_once_ask_for_tracking_a_task_or_a_contact_later_too() {
    let story = begins(json!({"task_due_days": 3})).await;
    story.crm_contact(contact("Jan", "Peeters", "jan@x.example")).await;
    let id = story.google.mail_arrives(GOOGLE, &mail("1@x", "jan@x.example", GOOGLE, "Call me"), &["INBOX"]);
    story.run().await;
    let mut labels = story.google.mail_labels(GOOGLE);
    labels.sort();
    assert_eq!(labels, ["Tandem/Contact", "Tandem/Task", "Tandem/Track"]);
    assert!(records(&story, Kind::Email).await.is_empty(), "nobody asked for it");
    story.google.mail_label_renamed(GOOGLE, "Tandem/Task", "To do");
    story.google.mail_labelled(GOOGLE, &id, &["To do"]);
    story.run().await;
    let tasks = records(&story, Kind::Task).await;
    assert_eq!((tasks.len(), &tasks[0]["title"]), (1, &json!("Call me")));
    assert_eq!(records(&story, Kind::Email).await.len(), 1);
    story.run().await;
    assert_eq!(records(&story, Kind::Task).await.len(), 1);
}

#[tokio::test]
async fn s2_3_what_is_attached_becomes_files_of_the_contact_when_asked_for() {
    for (setting, names) in [("left_out", &[][..]), ("filed", &["offer.pdf", "offer (2).pdf"][..])] {
        let story = begins(json!({"track": "all_known", "attachments": setting})).await;
        let jan = story.crm_contact(contact("Jan", "Peeters", "jan@x.example")).await;
        let raw = mail_with_files("1@x", "jan@x.example", GOOGLE);
        for mailbox in [GOOGLE, "an@example.com"] {
            story.google.mail_arrives(mailbox, &raw, &["INBOX"]);
        }
        story.run().await;
        story.second_mailbox("google-2", "an@example.com", json!({"track": "all_known", "attachments": setting})).await;
        story.settle().await;
        let emails = records(&story, Kind::Email).await;
        assert_eq!((emails.len(), emails[0]["attachments"].as_array().unwrap().len()), (1, names.len()));
        let files = records(&story, Kind::File).await;
        let mut shown: Vec<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
        shown.sort_unstable_by_key(|name| name.len());
        assert_eq!(shown, names);
        let folders = records(&story, Kind::Folder).await;
        let place = |file: &Value| folders.iter().find(|folder| folder["id"] == file["parent"]).unwrap();
        assert!(files.iter().all(|file| place(file)["parent"] == json!(jan) && place(file)["name"] == "E-mail"));
    }
}

#[tokio::test]
async fn m05_a_forgotten_history_is_one_bounded_look_without_duplicates() {
    let story = begins(json!({"track": "all_known"})).await;
    story.crm_contact(contact("Jan", "Peeters", "jan@x.example")).await;
    for n in 0..120 {
        story.google.mail_arrives(GOOGLE, &mail(&format!("{n}@x"), "jan@x.example", GOOGLE, "Old"), &["INBOX"]);
    }
    story.run().await;
    assert_eq!(records(&story, Kind::Email).await.len(), 120);
    story.google.mail_arrives(GOOGLE, &mail("new@x", "jan@x.example", GOOGLE, "New"), &["INBOX"]);
    story.google.mail_history_forgotten(GOOGLE);
    let before = gmail_calls(&story);
    let run = story.run().await;
    let after = gmail_calls(&story);
    assert_eq!((run.state, run.counts.crm.created), (RunState::Done, 1));
    assert_eq!(records(&story, Kind::Email).await.len(), 121);
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1), "what is known is not read again");
    story.run().await;
    assert_eq!(gmail_calls(&story).2 - after.2, 1, "the cursor was replaced: no second look");
}

#[tokio::test]
async fn m07_five_thousand_messages_are_read_within_gmails_units_and_bodies_only_of_what_is_tracked() {
    let story = begins(json!({"track": "all_known"})).await;
    story.crm_contact(contact("Jan", "Peeters", "jan@x.example")).await;
    story.google.mail_limits(6_000, 40);
    for n in 0..5_000 {
        let from = if n % 100 == 0 { "jan@x.example".to_owned() } else { format!("n{n}@other.example") };
        story.google.mail_arrives(GOOGLE, &mail(&format!("{n}@x"), &from, GOOGLE, "Hello"), &["INBOX"]);
    }
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created), (RunState::Done, 50));
    assert_eq!(run.progress.done, run.progress.total);
    assert!(run.progress.done >= 5_000);
    let (batches, bodies, _) = gmail_calls(&story);
    assert!(bodies <= 60, "{bodies} bodies for 50 tracked messages");
    assert!(batches <= 400, "{batches} batches for 5,000 heads, with every refusal");
}

#[tokio::test]
async fn m07_more_mail_than_gmail_serves_in_a_minute_is_taken_in_bit_by_bit_and_each_is_read_once() {
    // Of a batch in which Gmail refused, labelled ones are judged again, as something happened to them.
    for (settings, by_label, repeats) in [(json!({"track": "all_known"}), false, 20), (json!({}), true, 250)] {
        let story = begins(settings).await;
        story.crm_contact(contact("Jan", "Peeters", "jan@x.example")).await;
        story.run().await;
        // One page of the feed: 450 messages are 18,000 units, and a minute has 6,000.
        let arrives = |n| {
            story.google.mail_arrives(GOOGLE, &mail(&format!("{n}@x"), "jan@x.example", GOOGLE, "Hello"), &["INBOX"])
        };
        let ids: Vec<String> = (0..450).map(arrives).collect();
        let before = gmail_calls(&story);
        if by_label {
            story.run().await;
            ids.iter().for_each(|id| story.google.mail_labelled(GOOGLE, id, &["Tandem/Track"]));
        }
        let run = story.run().await;
        assert_eq!((run.state, records(&story, Kind::Email).await.len()), (RunState::Done, 450));
        let after = gmail_calls(&story);
        let (batches, bodies) = (after.0 - before.0, after.1 - before.1);
        assert!(bodies <= 450 + repeats, "{bodies} bodies, with every refusal");
        assert!(batches <= 30, "{batches} batches for 450 heads, with every refusal");
    }
}

#[tokio::test]
async fn m07_how_far_a_first_run_is_can_be_seen_while_it_waits_for_gmail() {
    let story = begins(json!({"track": "all_known"})).await;
    for n in 0..1_000 {
        let from = format!("n{n}@other.example");
        story.google.mail_arrives(GOOGLE, &mail(&format!("{n}@x"), &from, GOOGLE, "Hello"), &["INBOX"]);
    }
    story.engine.start_run(&story.sync().await, tandem_ports::infra::Trigger::Manual).await.unwrap();
    story.work_once().await;
    let sync = story.sync().await;
    let run = story.store.run(&sync.current_run.unwrap()).await.unwrap().unwrap();
    assert!(run.progress.done >= 200 && run.progress.done < run.progress.total, "{:?}", run.progress);
    assert_eq!(run.progress.total, 1_000);
    assert!(sync.reason.unwrap().contains("Waiting for google"));
}

#[tokio::test]
async fn nothing_to_do_is_one_history_call() {
    let story = begins(json!({"track": "all_known"})).await;
    story.run().await;
    let before = gmail_calls(&story).2;
    story.run().await;
    assert_eq!(gmail_calls(&story).2 - before, 1);
    assert_eq!(story.google.calls().last().unwrap().1, "/gmail/v1/users/me/history");
}

#[tokio::test]
async fn m08_an_address_that_is_blocked_later_takes_its_mail_out_and_lets_none_in() {
    let story = begins(json!({"track": "all_known"})).await;
    for (name, address) in [("Jan", "jan@x.example"), ("An", "an@y.example")] {
        story.crm_contact(contact(name, "Peeters", address)).await;
        story.google.mail_arrives(GOOGLE, &mail(name, address, GOOGLE, name), &["INBOX"]);
    }
    story.run().await;
    assert_eq!(records(&story, Kind::Email).await.len(), 2);
    story.set("block_list", json!(["x.example"])).await;
    story.google.mail_arrives(GOOGLE, &mail("more", "jan@x.example", GOOGLE, "More"), &["INBOX"]);
    let run = story.run().await;
    assert_eq!(run.counts.crm.deleted, 1);
    let left: Vec<Value> = records(&story, Kind::Email).await.iter().map(|mail| mail["subject"].clone()).collect();
    assert_eq!(left, [json!("An")]);
    let excluded = story.records("excluded").await;
    assert_eq!(excluded.len(), 2);
    assert!(excluded.iter().all(|row| row.reason.as_ref().unwrap().code == "blocked"));
}

#[tokio::test]
async fn a_run_cut_off_anywhere_goes_on_and_files_each_message_once() {
    let story = begins(json!({"track": "all_known"})).await;
    story.crm_contact(contact("Jan", "Peeters", "jan@x.example")).await;
    for n in 0..130 {
        story.google.mail_arrives(GOOGLE, &mail(&format!("{n}@x"), "jan@x.example", GOOGLE, "Hello"), &["INBOX"]);
    }
    story.google.inject(&[tandem_google::fake::Fault::ServerError]);
    story.run().await;
    for fault in [tandem_google::fake::Fault::LoseAnswer, tandem_google::fake::Fault::Unavailable] {
        story.google.inject(&[fault]);
        story.clock.advance(Duration::from_secs(60));
        story.run().await;
    }
    assert_eq!(records(&story, Kind::Email).await.len(), 130);
}

#[tokio::test]
async fn s2_13_one_press_tracks_one_sent_mail_although_the_run_is_cut_off_before_the_second_one() {
    use tandem_google::fake::Fault::{Pass, ServerError};
    let story = begins(json!({})).await;
    story.crm_contact(contact("Jan", "Peeters", "jan@x.example")).await;
    story.run().await;
    let ask = tandem_engine::BarAsk::NextTo(tandem_core::mail::Address::read("jan@x.example").unwrap());
    story.engine.bar_ask(&story.sync().await, ask).await.unwrap();
    story.settle().await;
    story.google.mail_arrives(GOOGLE, &mail("first@x", GOOGLE, "jan@x.example", "First"), &["SENT"]);
    for n in 0..60 {
        story.google.mail_arrives(GOOGLE, &mail(&format!("{n}@x"), "else@y.example", GOOGLE, "Hello"), &["INBOX"]);
    }
    story.google.mail_arrives(GOOGLE, &mail("second@x", GOOGLE, "jan@x.example", "Second"), &["SENT"]);
    // The history, the first fifty heads, the first mail; the heads of the second one are not served.
    story.google.inject(&[Pass, Pass, Pass, ServerError]);
    story.run().await;
    let emails = records(&story, Kind::Email).await;
    assert_eq!((emails.len(), &emails[0]["subject"]), (1, &json!("First")));
    assert_eq!(story.store.mail_asks(&story.sync().await.id, story.clock.now()).await.unwrap(), [], "it is done");
}

#[tokio::test]
async fn nothing_of_a_message_is_stored_outside_the_crm() {
    let story = begins(json!({})).await;
    let raw = mail("1@x", "Piet <piet@secret.example>", GOOGLE, "Confidential");
    story.google.mail_arrives(GOOGLE, &raw, &["Tandem/Track"]);
    story.run().await;
    assert_eq!(story.records("held").await.len(), 1);
    let text: String = story.table.dump().iter().map(|item| format!("{:?}{:?}", item.key, item.attributes)).collect();
    for secret in ["piet", "secret.example", "Confidential"] {
        assert!(!text.contains(secret), "{secret} is stored");
    }
}

#[tokio::test]
async fn m09_one_message_in_two_connected_mailboxes_is_one_email_with_two_participants() {
    const COLLEAGUE: &str = "an@example.com";
    let story = begins(json!({"track": "all_known"})).await;
    let id = story.crm_contact(contact("Piet", "Peeters", "piet@x.example")).await;
    story.run().await;
    let to_both = mail("1@x", "piet@x.example", &format!("{GOOGLE}, {COLLEAGUE}"), "Offer?");
    for mailbox in [GOOGLE, COLLEAGUE] {
        story.google.mail_arrives(mailbox, &to_both, &["INBOX"]);
    }
    story.run().await;
    story.second_mailbox("google-2", COLLEAGUE, json!({"track": "all_known"})).await;
    story.settle().await;
    let emails = records(&story, Kind::Email).await;
    assert_eq!((emails.len(), &emails[0]["links"]), (1, &json!([{"type": "contact", "id": id}])));
    assert_eq!(emails[0]["participants"], json!([GOOGLE, COLLEAGUE]));
}
