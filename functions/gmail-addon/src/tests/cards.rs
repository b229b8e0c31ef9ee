//! What people see and what their presses do.
use super::shape::holds;
use super::*;

fn labels(card: &Value) -> Vec<String> {
    buttons(card).into_iter().map(|(text, _, _)| text).collect()
}

#[tokio::test]
async fn a_mail_shows_who_it_is_from_and_what_can_be_done() {
    let world = world().await;
    world.contact(&world.jan, "Peeters", "piet@x.example").await;
    let event = world.mail("Piet <PIET@x.example>", &format!("{JAN}, new@y.example"), "Offer", &["INBOX"]);
    let answer = world.jan_asks("message", event).await;
    holds(&answer);
    let card = card_of(&answer);
    assert_eq!(card["header"]["subtitle"], "Offer");
    let who = &card["sections"][0]["widgets"][0]["decoratedText"];
    assert_eq!((&who["topLabel"], &who["text"]), (&json!("Contact"), &json!("Piet Peeters")));
    let shown = card.to_string();
    assert!(shown.contains("This mail is not in the CRM.") && !shown.contains(JAN), "{shown}");
    let at = |endpoint: &str| format!("{PUBLIC}/gmail-addon/{endpoint}");
    let both = [("Track this mail", at("track")), ("Make a task", at("task"))];
    for (label, function) in both {
        assert!(buttons(card).contains(&(label.to_owned(), function, String::new())), "{label}");
    }
}

#[tokio::test]
async fn track_this_mail_files_it_once_at_the_contact() {
    let world = world().await;
    let id = world.contact(&world.jan, "Peeters", "piet@x.example").await;
    let event = world.mail("piet@x.example", JAN, "Offer", &["INBOX"]);
    for _ in 0..2 {
        let answer = world.jan_asks("track", event.clone()).await;
        holds(&answer);
        assert_eq!(said(&answer), "Tandem tracks this mail.");
        world.settle().await;
    }
    let emails = world.all(&world.jan, CrmKind::Email).await;
    assert_eq!((emails.len(), &emails[0]["links"]), (1, &json!([{"type": "contact", "id": id}])));
    let card = world.jan_asks("message", event).await;
    assert!(card.to_string().contains("This mail is in the CRM."), "{card}");
    assert_eq!(labels(card_of(&card)), ["Make a task"]);
}

#[tokio::test]
async fn make_a_task_makes_one_with_the_subject() {
    let world = world().await;
    world.contact(&world.jan, "Peeters", "piet@x.example").await;
    let event = world.mail("piet@x.example", JAN, "Call me", &["INBOX"]);
    for _ in 0..2 {
        let answer = world.jan_asks("task", event.clone()).await;
        holds(&answer);
        assert_eq!(said(&answer), "Tandem makes a task of it.");
        world.settle().await;
    }
    let tasks = world.all(&world.jan, CrmKind::Task).await;
    assert_eq!((tasks.len(), &tasks[0]["title"]), (1, &json!("Call me")));
}

#[tokio::test]
async fn add_as_contact_adds_who_is_in_the_mail_once_and_nobody_else() {
    let world = world().await;
    let mut event = world.mail("Piet Jans <piet@new.example>", JAN, "Hello", &["INBOX"]);
    let card = world.jan_asks("message", event.clone()).await;
    let add = ("Add as contact".to_owned(), format!("{PUBLIC}/gmail-addon/add"), "piet@new.example".to_owned());
    assert!(buttons(&card).contains(&add), "{card}");
    event["commonEventObject"] = json!({"parameters": {"whom": "victim@else.example"}});
    let answer = world.jan_asks("add", event.clone()).await;
    holds(&answer);
    assert_eq!(said(&answer), "This person is not in this mail.");
    assert!(world.all(&world.jan, CrmKind::Contact).await.is_empty());
    event["commonEventObject"] = json!({"parameters": {"whom": "piet@new.example"}});
    for _ in 0..2 {
        let answer = world.jan_asks("add", event.clone()).await;
        holds(&answer);
        assert_eq!(said(&answer), "Added to the CRM.");
        assert!(!labels(card_of(&answer)).contains(&"Add as contact".to_owned()));
    }
    let contacts = world.all(&world.jan, CrmKind::Contact).await;
    assert_eq!(
        (contacts.len(), &contacts[0]["first_name"], &contacts[0]["last_name"]),
        (1, &json!("Piet"), &json!("Jans"))
    );
    assert!(world.all(&world.an, CrmKind::Contact).await.is_empty());
}

#[tokio::test]
async fn the_compose_window_offers_to_track_to_the_known_and_to_add_the_unknown() {
    let world = world().await;
    world.contact(&world.jan, "Peeters", "piet@x.example").await;
    let answer = world.jan_asks("compose", draft(&["Piet <piet@x.example>", "new@y.example", JAN], None)).await;
    holds(&answer);
    let at = |endpoint: &str| format!("{PUBLIC}/gmail-addon/{endpoint}");
    let offered = [
        ("Track to Piet Peeters".to_owned(), at("compose-track"), "piet@x.example".to_owned()),
        ("Add".to_owned(), at("compose-add"), "new@y.example".to_owned()),
    ];
    assert_eq!(buttons(&answer), offered);
    let empty = world.jan_asks("compose", draft(&[], None)).await;
    holds(&empty);
    assert!(empty.to_string().contains("Add a recipient first"), "{empty}");
}

#[tokio::test]
async fn a_mail_that_was_asked_for_while_it_was_written_is_tracked_once_it_is_sent() {
    let world = world().await;
    let id = world.contact(&world.jan, "Peeters", "piet@x.example").await;
    world.contact(&world.jan, "Else", "else@x.example").await;
    world.jan_asks("track", world.mail("piet@x.example", JAN, "First", &["INBOX"])).await;
    world.settle().await;
    let answer = world.jan_asks("compose-track", draft(&["piet@x.example"], Some("piet@x.example"))).await;
    holds(&answer);
    assert_eq!(said(&answer), "Tandem tracks this mail once it is sent.");
    world.settle().await;
    world.mail(JAN, "else@x.example", "To another", &["SENT"]);
    world.mail(JAN, "piet@x.example", "Sent", &["SENT"]);
    world.mail(JAN, "piet@x.example", "Sent later", &["SENT"]);
    let sync = world.store.sync(&SyncId::new("jan")).await.unwrap().unwrap();
    world.engine.start_run(&sync, tandem_ports::infra::Trigger::Push).await.unwrap();
    world.settle().await;
    let emails = world.all(&world.jan, CrmKind::Email).await;
    let sent: Vec<&Value> = emails.iter().filter(|mail| mail["direction"] == "out").collect();
    assert_eq!(sent.len(), 1, "{emails:?}");
    assert_eq!((&sent[0]["subject"], &sent[0]["links"][0]["id"]), (&json!("Sent"), &json!(id)));
}

#[tokio::test]
async fn add_in_the_compose_window_adds_with_the_name_that_is_written() {
    let world = world().await;
    let event = draft(&["Els Maes <els@y.example>"], Some("els@y.example"));
    let answer = world.jan_asks("compose-add", event).await;
    holds(&answer);
    assert_eq!(labels(card_of(&answer)), ["Track to Els Maes"]);
    let contacts = world.all(&world.jan, CrmKind::Contact).await;
    assert_eq!((contacts.len(), &contacts[0]["last_name"]), (1, &json!("Maes")));
    for whom in ["", "no address", "a@b@c", "x\r\nBcc: y@z.example"] {
        let answer = world.jan_asks("compose-add", draft(&[], Some(whom))).await;
        holds(&answer);
        assert_eq!(world.all(&world.jan, CrmKind::Contact).await.len(), 1, "{whom}");
    }
}

#[tokio::test]
async fn a_message_that_is_not_there_is_said_and_nothing_is_asked() {
    let world = world().await;
    for id in ["", "msg-a:r-1", "msg-f:12345", "../../labels", "18c0f3a2b4d5e6f7"] {
        let event = json!({"gmail": {"messageId": id}});
        for endpoint in ["message", "track", "task", "add"] {
            let answer = world.jan_asks(endpoint, event.clone()).await;
            holds(&answer);
            assert!(!answer.to_string().contains("tracks this"), "{endpoint} {id}: {answer}");
        }
    }
    world.settle().await;
    assert!(world.all(&world.jan, CrmKind::Email).await.is_empty());
}

#[tokio::test]
async fn what_strangers_write_becomes_no_html_of_a_card() {
    let world = world().await;
    let evil = "\"<a href=x>Click</a>\" <evil@y.example>";
    let event = world.mail(evil, JAN, "<b>You & me</b>", &["INBOX"]);
    let answer = world.jan_asks("message", event).await;
    holds(&answer);
    let shown = answer.to_string();
    assert!(
        shown.contains("&lt;b&gt;You &amp; me&lt;/b&gt;") && !shown.contains("<b>") && !shown.contains("<a "),
        "{shown}"
    );
}

#[tokio::test]
async fn trouble_at_google_is_a_sentence_on_the_card() {
    let world = world().await;
    let event = world.mail("piet@x.example", JAN, "Offer", &["INBOX"]);
    for endpoint in ["message", "track"] {
        // The keys first, so that the fault meets Gmail.
        world.jan_asks("home", json!({})).await;
        world.google.inject(&[tandem_google::fake::Fault::Unavailable]);
        let answer = world.jan_asks(endpoint, event.clone()).await;
        holds(&answer);
        assert!(!answer.to_string().contains("tracks this"), "{answer}");
    }
}

#[tokio::test]
async fn a_card_costs_the_same_among_two_contacts_and_two_thousand() {
    let world = world().await;
    let event = world.mail("piet@x.example", &format!("{JAN}, c7@many.example"), "Offer", &["INBOX"]);
    world.contact(&world.jan, "Peeters", "piet@x.example").await;
    world.contact(&world.jan, "C7", "c7@many.example").await;
    let mut costs = Vec::new();
    for more in [0, 2_000] {
        for n in 0..more {
            world.contact(&world.jan, "Other", &format!("n{n}@many.example")).await;
        }
        let before = (world.table.requests(), world.google.calls().len());
        let answer = world.jan_asks("message", event.clone()).await;
        assert!(answer.to_string().contains("Piet Peeters") && answer.to_string().contains("Piet C7"), "{answer}");
        costs.push((world.table.requests() - before.0, world.google.calls().len() - before.1));
    }
    // Google's keys were fetched for the first.
    assert_eq!(costs[0].0, costs[1].0);
    assert!(costs[1].1 <= 1 && costs[1].0 <= 12, "{costs:?}");
}

#[tokio::test]
async fn the_preview_draws_the_cards_that_are_answered() {
    let world = world().await;
    world.contact(&world.jan, "Peeters", "piet@x.example").await;
    let event =
        world.mail("Piet <piet@x.example>", &format!("{JAN}, Els <els@y.example>"), "Offer for March", &["INBOX"]);
    let mail = world.jan_asks("message", event).await;
    let recipients = draft(&["piet@x.example", "Els <els@y.example>"], None);
    let written = world.jan_asks("compose", recipients).await;
    let stranger = world.asks("home", &world.system_token("home"), "999999999999999999999", json!({})).await.1;
    let cards = json!({"mail": card_of(&mail), "draft": card_of(&written), "stranger": card_of(&stranger)});
    let kept = include_str!("../../preview/cards.js");
    let kept = kept.trim().strip_prefix("const CARDS = ").and_then(|kept| kept.strip_suffix(';')).unwrap();
    let kept: Value = serde_json::from_str(kept).unwrap();
    assert_eq!(kept, cards, "write this into preview/cards.js:\n{cards:#}");
}
