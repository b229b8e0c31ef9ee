//! `teamleader-gmail` on Teamleader Focus itself: the M rows and S2-3…14, and what a run costs there.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use scenarios::{GOOGLE, Story, VENDOR, mail, mail_with_files, object};
use serde_json::{Value, json};

use tandem_core::mail::{Address, Mailbox};
use tandem_engine::BarAsk;
use tandem_google::fake::Fault as GoogleFault;
use tandem_ports::infra::Clock as _;
use tandem_store::run::RunState;
use tandem_teamleader::fake::{Edit, Fault};

const COLLEAGUE: &str = "an@example.com";

/// The sync has looked at the empty mailbox once.
async fn begins(settings: Value) -> Story {
    let story = Story::begins_on("teamleader", "teamleader-gmail", settings).await;
    story.run().await;
    story
}

fn person(last: &str, email: &str) -> Edit {
    let fields = json!({"first_name": "A", "last_name": last, "emails": [{"type": "primary", "email": email}]});
    Edit { fields: object(fields), ..Edit::default() }
}

fn company(name: &str, email: &str) -> Value {
    json!({"name": name, "emails": [{"type": "primary", "email": email}]})
}

/// The tracked e-mails.
fn tracked(story: &Story) -> Vec<Value> {
    story.teamleader.mail_of(VENDOR).0
}

fn tasks(story: &Story) -> Vec<Value> {
    story.teamleader.mail_of(VENDOR).1
}

/// What is at whom, by title.
fn filed(story: &Story) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all: Vec<_> =
        tracked(story).iter().map(|mail| (text(&mail["title"]), text(&mail["subject"]["id"]))).collect();
    all.sort();
    all
}

fn at(story: &Story, title: &str) -> Vec<String> {
    filed(story).into_iter().filter(|(filed, _)| filed == title).map(|(_, at)| at).collect()
}

fn calls(story: &Story, methods: &[&str]) -> usize {
    story.teamleader.calls().iter().filter(|(called, _)| methods.contains(&called.as_str())).count()
}

fn arrives(story: &Story, id: &str, from: &str, subject: &str, labels: &[&str]) -> String {
    story.google.mail_arrives(GOOGLE, &mail(id, from, GOOGLE, subject), labels)
}

#[tokio::test]
async fn m01_s2_3_s2_12_mail_and_its_answer_are_filed_once_at_every_contact_and_company_they_are_with() {
    let story = begins(json!({"track": "all_known"})).await;
    let jan = story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
    let firm = story.teamleader.user_creates_company(VENDOR, &object(company("Firm", "Jan@X.example")));
    let els = story.teamleader.user_creates(VENDOR, person("Maes", "els@x.example"));
    let raw = "Message-ID: <1@x>\r\nFrom: Jan <JAN@x.example>\r\nTo: jan@example.com\r\nCc: Els <els@x.example>, \
               nobody@y.example\r\nDate: Mon, 5 Jan 2026 09:00:00 +0100\r\nSubject: =?utf-8?q?Offre_=C3=A9t=C3=A9?=\r\n\
               Content-Type: text/html\r\n\r\n<p>Hello</p><script>alert(1)</script><img src=\"https://t.example/p\">\
               <div class=\"gmail_quote\">the old message</div>\r\n";
    story.google.mail_arrives(GOOGLE, raw.as_bytes(), &["INBOX"]);
    story.google.mail_arrives(GOOGLE, &mail("2@x", GOOGLE, "els@x.example", "Re: Offre"), &["SENT"]);
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created), (RunState::Done, 2));
    let mut everybody = vec![jan, firm, els.clone()];
    everybody.sort();
    assert_eq!((at(&story, "Offre été"), at(&story, "Re: Offre")), (everybody, vec![els]));
    let all = tracked(&story);
    let content = |title: &str| all.iter().find(|mail| mail["title"] == title).unwrap()["content"].as_str().unwrap();
    let first = content("Offre été");
    for said in [
        "Direction: incoming<br>",
        "From: Jan &lt;jan@x.example&gt;<br>",
        "Cc: Els &lt;els@x.example&gt;, nobody@y.example<br>",
        "Date: 2026-01-05T08:00:00Z",
        "<p>Hello</p>",
    ] {
        assert!(first.contains(said), "{said} in {first}");
    }
    for dropped in ["alert", "t.example", "the old message"] {
        assert!(!first.contains(dropped), "{dropped} in {first}");
    }
    assert!(content("Re: Offre").contains("Direction: outgoing"));
    let again = story.run().await;
    assert_eq!((again.counts.writes(), tracked(&story).len()), (0, 4));
}

#[tokio::test]
async fn m02_s2_11_an_unknown_sender_is_proposed_and_added_once_when_a_person_confirms() {
    let story = begins(json!({})).await;
    for n in 0..2 {
        arrives(&story, &format!("{n}@x"), "Piet Jans <piet@new.example>", "Hello", &["INBOX", "Tandem/Track"]);
    }
    story.run().await;
    let held = story.records("held").await;
    assert_eq!((held.len(), held[0].reason.as_ref().unwrap().code.as_str()), (2, "unknown_sender"));
    assert_eq!((tracked(&story).len(), calls(&story, &["contacts.add"])), (0, 0));
    story.engine.confirm(&story.sync().await).await.unwrap();
    story.settle().await;
    assert_eq!(calls(&story, &["contacts.add"]), 1);
    let filed = filed(&story);
    assert_eq!((filed.len(), &filed[0].1), (2, &filed[1].1));
}

#[tokio::test]
async fn s2_11_s2_14_an_unknown_sender_is_created_or_ignored_by_setting_and_by_label() {
    for (settings, label, added, reason) in [
        (json!({"unknown_sender": "create"}), "Tandem/Track", 1, None),
        (json!({"unknown_sender": "ignore"}), "Tandem/Contact", 1, None),
        (json!({"unknown_sender": "ignore"}), "Tandem/Track", 0, Some("unknown_sender_ignored")),
    ] {
        let story = begins(settings).await;
        arrives(&story, "1@x", "Piet Jans <piet@new.example>", "Hello", &["INBOX", label]);
        story.run().await;
        assert_eq!((calls(&story, &["contacts.add"]), tracked(&story).len()), (added, added), "{label}");
        let excluded = story.records("excluded").await;
        let reasons: Vec<&str> = excluded.iter().map(|row| row.reason.as_ref().unwrap().code.as_str()).collect();
        assert_eq!(reasons, reason.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn s2_9_s2_10_labels_track_a_mail_and_make_one_task_with_its_subject_link_and_due_date() {
    let story = begins(json!({"task_due_days": 3})).await;
    let jan = story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
    arrives(&story, "1@x", "jan@x.example", "Not asked for", &["INBOX"]);
    arrives(&story, "2@x", "jan@x.example", "Only tracked", &["INBOX", "Tandem/Track"]);
    let id = arrives(&story, "3@x", "jan@x.example", "Call me", &["INBOX"]);
    story.google.mail_labelled(GOOGLE, &id, &["Tandem/Task"]);
    // The answer to the create of the task is lost.
    story.teamleader.inject_on(Fault::LoseAnswer, &["tasks.create"]);
    story.run().await;
    story.run().await;
    assert_eq!(filed(&story), [("Call me".to_owned(), jan.clone()), ("Only tracked".to_owned(), jan.clone())]);
    let tasks = tasks(&story);
    assert_eq!((tasks.len(), &tasks[0]["title"]), (1, &json!("Call me")));
    assert_eq!(tasks[0]["customer"], json!({"type": "contact", "id": jan}));
    let link = format!("https://mail.google.com/mail/?authuser=jan%40example.com#all/{id}");
    assert!(tasks[0]["description"].as_str().unwrap().starts_with(&link), "{}", tasks[0]);
    let made: jiff::Timestamp = tasks[0]["added_at"].as_str().unwrap().parse().unwrap();
    let due = jiff::tz::Offset::UTC.to_datetime(made).date().saturating_add(jiff::Span::new().days(3));
    assert_eq!(tasks[0]["due_on"], json!(due.to_string()));
    assert_eq!(calls(&story, &["workTypes.list"]), 1, "asked for when it is needed, and not for the look-back");
}

#[tokio::test]
async fn m08_an_address_that_is_blocked_later_lets_none_in_and_what_cannot_be_taken_out_is_said() {
    let story = begins(json!({"track": "all_known"})).await;
    for (last, email) in [("Peeters", "jan@x.example"), ("Maes", "els@y.example")] {
        story.teamleader.user_creates(VENDOR, person(last, email));
        arrives(&story, last, email, last, &["INBOX"]);
    }
    story.run().await;
    story.set("block_list", json!(["x.example"])).await;
    arrives(&story, "more", "jan@x.example", "More", &["INBOX"]);
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.deleted, tracked(&story).len()), (RunState::Done, 0, 2));
    let excluded = story.records("excluded").await;
    let mut codes: Vec<&str> = excluded.iter().map(|row| row.reason.as_ref().unwrap().code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["blocked", "stays_in_crm"], "Teamleader has no deletion: a person takes it out");
}

#[tokio::test]
async fn m09_one_message_in_two_connected_mailboxes_is_one_email() {
    let story = begins(json!({"track": "all_known"})).await;
    let piet = story.teamleader.user_creates(VENDOR, person("Peeters", "piet@x.example"));
    let to_both = mail("1@x", "piet@x.example", &format!("{GOOGLE}, {COLLEAGUE}"), "Offer?");
    for mailbox in [GOOGLE, COLLEAGUE] {
        story.google.mail_arrives(mailbox, &to_both, &["INBOX"]);
    }
    story.run().await;
    story.second_mailbox("google-2", COLLEAGUE, json!({"track": "all_known"})).await;
    story.settle().await;
    story.run().await;
    assert_eq!(filed(&story), [("Offer?".to_owned(), piet)]);
    assert!(tracked(&story)[0]["content"].as_str().unwrap().contains(&format!("To: {GOOGLE}, {COLLEAGUE}")));
}

#[tokio::test]
async fn s2_3_what_is_attached_becomes_files_of_the_contact_when_asked_for_and_is_read_from_the_mailbox_else() {
    for (setting, files) in [("left_out", 0), ("filed", 2)] {
        let story = begins(json!({"track": "all_known", "attachments": setting})).await;
        let jan = story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
        story.google.mail_arrives(GOOGLE, &mail_with_files("1@x", "jan@x.example", GOOGLE), &["INBOX"]);
        story.teamleader.inject_on(Fault::LoseAnswer, &["emailTracking.create"]);
        let run = story.run().await;
        assert_eq!((run.state, tracked(&story).len()), (RunState::Done, 1), "{run:?}");
        let made = story.teamleader.files_of(VENDOR);
        assert_eq!(tracked(&story)[0]["attachments"].as_array().unwrap().len(), files);
        let mut shown: Vec<_> = made.iter().map(|file| (file.name.as_str(), &file.bytes[..])).collect();
        shown.sort_unstable();
        let wanted: [(&str, &[u8]); 2] = [("offer.pdf", b"the offer"), ("offer.pdf", b"the offer, again")];
        assert_eq!(shown, wanted[..files]);
        assert!(made.iter().all(|file| file.subject == ("contact".to_owned(), jan.clone()) && file.folder == "E-mail"));
    }
}

#[tokio::test]
async fn a_mail_that_is_too_large_is_filed_with_its_head_and_a_link_and_is_not_read() {
    let story = begins(json!({"track": "all_known", "attachments": "filed"})).await;
    story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
    let mut raw = mail("1@x", "jan@x.example", GOOGLE, "The film");
    raw.resize(26 * 1024 * 1024, b'x');
    let id = story.google.mail_arrives(GOOGLE, &raw, &["INBOX"]);
    story.run().await;
    let all = tracked(&story);
    let content = all[0]["content"].as_str().unwrap();
    for said in ["From: jan@x.example", "is too large", &format!("#all/{id}")] {
        assert!(content.contains(said), "{said} in {content}");
    }
    let reads = story.google.calls().iter().filter(|(_, path, _)| path.contains(&format!("/messages/{id}"))).count();
    assert_eq!(reads, 0, "its body is not asked for");
}

#[tokio::test]
async fn m05_a_forgotten_history_is_one_bounded_look_without_duplicates() {
    let story = begins(json!({"track": "all_known"})).await;
    story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
    for n in 0..60 {
        arrives(&story, &format!("{n}@x"), "jan@x.example", "Old", &["INBOX"]);
    }
    story.run().await;
    arrives(&story, "new@x", "jan@x.example", "New", &["INBOX"]);
    story.google.mail_history_forgotten(GOOGLE);
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created, tracked(&story).len()), (RunState::Done, 1, 61));
}

#[tokio::test]
async fn a_lost_answer_or_a_lost_request_files_each_message_once() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest, Fault::ServerError] {
        let story = begins(json!({"track": "all_known"})).await;
        story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
        for n in 0..30 {
            arrives(&story, &format!("{n}@x"), "jan@x.example", "Hello", &["INBOX"]);
        }
        for _ in 0..3 {
            story.teamleader.inject_on(fault, &["emailTracking.create"]);
        }
        story.google.inject(&[GoogleFault::Pass, GoogleFault::Pass, GoogleFault::Pass, GoogleFault::Unavailable]);
        let run = story.run().await;
        assert_eq!((run.state, tracked(&story).len()), (RunState::Done, 30), "{fault:?}: {run:?}");
        assert_eq!(story.run().await.counts.writes(), 0);
    }
}

#[tokio::test]
async fn the_vendors_limit_is_waited_for_and_never_passed() {
    let story = begins(json!({"track": "all_known"})).await;
    story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
    for n in 0..450 {
        arrives(&story, &format!("{n}@x"), "jan@x.example", "Hello", &["INBOX"]);
    }
    story.teamleader.inject_on(Fault::Throttle { seconds: 300 }, &["emailTracking.create"]);
    let began = story.clock.now();
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created, tracked(&story).len()), (RunState::Done, 450, 450), "{run:?}");
    let refused = calls(&story, &["emailTracking.create"]) - 450;
    assert_eq!(refused, 1, "only the call that was refused on purpose");
    let waited = story.clock.now().duration_since(began);
    assert!(waited.as_secs() >= 3_700 + 300 + 60, "it waits as it is told: {waited}");
}

#[tokio::test]
async fn five_thousand_mails_from_five_hundred_addresses_cost_two_calls_an_address_and_one_a_filed_mail() {
    let story = begins(json!({"track": "all_known"})).await;
    for n in 0..50 {
        story.teamleader.user_creates(VENDOR, person(&format!("Known{n}"), &format!("n{n}@x.example")));
    }
    for n in 0..5_000 {
        arrives(&story, &format!("{n}@x"), &format!("n{}@x.example", n % 500), "Hello", &["INBOX"]);
    }
    story.teamleader.forget_calls();
    let run = story.run().await;
    assert_eq!((run.state, run.counts.crm.created), (RunState::Done, 500), "{run:?}");
    assert_eq!(run.progress.done, run.progress.total);
    let lists = calls(&story, &["contacts.list", "companies.list"]);
    assert_eq!(calls(&story, &["emailTracking.create"]), 500);
    assert!((1_000..=1_100).contains(&lists), "{lists} look-ups and questions for changes");
    assert_eq!(story.teamleader.calls().len(), lists + 500, "and nothing else");
    // A colleague's mailbox, with the same correspondents.
    for n in 0..500 {
        story.google.mail_arrives(
            COLLEAGUE,
            &mail(&format!("c{n}@x"), &format!("n{n}@x.example"), COLLEAGUE, "Hi"),
            &["INBOX"],
        );
    }
    story.teamleader.forget_calls();
    story.second_mailbox("google-2", COLLEAGUE, json!({"track": "all_known"})).await;
    for _ in 0..3 {
        story.run().await;
    }
    let lists = calls(&story, &["contacts.list", "companies.list"]);
    assert_eq!(calls(&story, &["emailTracking.create"]), 50);
    assert!(lists <= 20, "{lists}: who has an address is known already");
}

#[tokio::test]
async fn somebody_who_is_added_in_teamleader_later_has_the_next_mail() {
    let story = begins(json!({"track": "all_known"})).await;
    arrives(&story, "1@x", "jan@x.example", "Before", &["INBOX"]);
    story.run().await;
    assert_eq!(story.records("excluded").await[0].reason.as_ref().unwrap().code, "nobody_known");
    let jan = story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
    arrives(&story, "2@x", "jan@x.example", "After", &["INBOX"]);
    story.run().await;
    assert_eq!(filed(&story), [("After".to_owned(), jan.clone())]);
    // Deleted there, which Teamleader does not tell: the next mail is excluded, and nothing else is held up.
    assert!(story.teamleader.user_deletes(VENDOR, &jan));
    let els = story.teamleader.user_creates(VENDOR, person("Maes", "els@x.example"));
    arrives(&story, "3@x", "jan@x.example", "Gone", &["INBOX"]);
    arrives(&story, "4@x", "els@x.example", "There", &["INBOX"]);
    story.run().await;
    story.run().await;
    assert_eq!(at(&story, "There"), [els]);
    assert_eq!((at(&story, "Gone").len(), story.records("failing").await.len()), (0, 0));
}

#[tokio::test]
async fn nothing_to_do_asks_teamleader_nothing() {
    let story = begins(json!({"track": "all_known"})).await;
    story.teamleader.forget_calls();
    story.run().await;
    assert_eq!(story.teamleader.calls(), []);
}

#[tokio::test]
async fn a_missing_right_pauses_with_its_name_and_goes_on_when_it_is_given() {
    let story = begins(json!({"track": "all_known"})).await;
    story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
    arrives(&story, "1@x", "jan@x.example", "Hello", &["INBOX"]);
    story.teamleader.inject_on(Fault::Forbidden, &["emailTracking.create"]);
    let run = story.run().await;
    let error = run.error.unwrap();
    assert_eq!((run.state, error.code.as_str()), (RunState::Failed, "missing_right"));
    assert!(error.message.contains("e-mail tracking"), "{}", error.message);
    assert_eq!(story.run().await.counts.crm.created, 1);
}

#[tokio::test]
async fn s2_8_s2_13_the_bar_shows_who_it_is_in_teamleader_tracks_adds_and_waits_for_what_is_sent() {
    let story = begins(json!({})).await;
    story.teamleader.user_creates(VENDOR, person("Peeters", "jan@x.example"));
    let id = tandem_core::record::RemoteId::new(arrives(&story, "1@x", "Jan <jan@x.example>", "Hello", &["INBOX"]));
    let sync = story.sync().await;
    let shown = story.engine.bar(&sync, &id).await.unwrap().unwrap();
    assert_eq!((shown.subject.as_str(), shown.people[0].known[0].1.as_deref()), ("Hello", Some("A Peeters")));
    story.engine.bar_ask(&sync, BarAsk::Message(id.clone(), tandem_core::mail::Wish::Track)).await.unwrap();
    story.settle().await;
    assert_eq!(filed(&story).len(), 1);
    let shown = story.engine.bar(&sync, &id).await.unwrap().unwrap();
    assert_eq!(shown.state, Some(tandem_store::link::RowState::InSync));
    let added = story.engine.bar_add(&sync, &Mailbox::read("Els Maes", "els@y.example").unwrap()).await.unwrap();
    assert_eq!(added.known[0].1.as_deref(), Some("Els Maes"));
    let next = BarAsk::NextTo(Address::read("els@y.example").unwrap());
    story.engine.bar_ask(&sync, next).await.unwrap();
    story.settle().await;
    for n in 0..2 {
        let raw = mail(&format!("s{n}@x"), GOOGLE, "els@y.example", &format!("Sent {n}"));
        story.google.mail_arrives(GOOGLE, &raw, &["SENT"]);
    }
    story.run().await;
    assert_eq!((at(&story, "Sent 0").len(), at(&story, "Sent 1").len()), (1, 0));
}

#[tokio::test]
async fn nothing_of_a_message_or_a_person_is_stored_at_our_side() {
    let story = begins(json!({})).await;
    story.teamleader.user_creates(VENDOR, person("Peeters", "jan@secret.example"));
    arrives(&story, "1@x", "Jan <jan@secret.example>", "Confidential", &["Tandem/Task"]);
    arrives(&story, "2@x", "Piet <piet@secret.example>", "Confidential", &["Tandem/Contact"]);
    story.teamleader.inject_on(Fault::LoseAnswer, &["contacts.add"]);
    story.run().await;
    assert_eq!((tracked(&story).len(), tasks(&story).len()), (2, 1));
    let ours = story.table.dump();
    let ours = ours.iter().filter(|item| !item.key.pk.starts_with("CRM#"));
    let text: String = ours.map(|item| format!("{:?}{:?}", item.key, item.attributes)).collect();
    for secret in ["Peeters", "secret.example", "Confidential", "Hello"] {
        assert!(!text.contains(secret), "{secret} is stored");
    }
}
