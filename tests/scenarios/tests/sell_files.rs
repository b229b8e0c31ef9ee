//! Documents from Zendesk Sell itself to Drive or Dropbox, with the connectors, against the providers in memory. Sell's API
//! takes none.
use scenarios::VENDOR;
use scenarios::vendor_files::{FileStory, Vendor};
use serde_json::{Value, json};

const BOTH: [&str; 2] = ["dropbox", "google"];

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn begins(remote: &'static str, settings: Value) -> FileStory {
    FileStory::begins_at(Vendor::Sell, remote, settings).await
}

fn uploads(story: &FileStory, name: &str, text: &str) -> u64 {
    story.sell.user_uploads(VENDOR, ("contact", story.company.parse().expect("a number")), name, text.as_bytes())
}

/// A colleague makes a record (`contacts`, `leads`, `deals`); its id.
fn makes(story: &FileStory, path: &str, data: &Value) -> u64 {
    let body = json!({"account": VENDOR, "data": data});
    story.sell.order("POST", path, &body)["data"]["id"].as_u64().expect("an id")
}

fn asked(story: &FileStory) -> usize {
    story.sell.calls().len()
}

async fn reasons(story: &FileStory, state: &str) -> Vec<String> {
    let records = story.records(state).await;
    records.into_iter().map(|record| record.reason.map(|reason| reason.message).unwrap_or_default()).collect()
}

#[tokio::test]
async fn documents_of_every_module_go_to_the_remote_and_then_nothing_is_written() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        let run = story.runs().await;
        assert_eq!(run.counts.remote.created, 2, "{remote}: the module's folder and the company's, though it has none");
        let person = makes(&story, "contacts", &json!({"first_name": "Jan", "last_name": "Peeters"}));
        let lead = makes(&story, "leads", &json!({"first_name": "An", "last_name": "Maes"}));
        let deal = makes(&story, "deals", &json!({"name": "A bridge", "contact_id": person}));
        uploads(&story, "offer.txt", "offer");
        story.sell.user_uploads(VENDOR, ("contact", person), "letter.txt", b"letter");
        story.sell.user_uploads(VENDOR, ("lead", lead), "card.txt", b"card");
        story.sell.user_uploads(VENDOR, ("deal", deal), "plan.txt", b"plan");
        story.runs().await;
        assert_eq!(story.remote("offer.txt"), text("offer"), "{remote}");
        for (module, title, id, name) in [
            ("Contacts", "Jan Peeters", person, "letter.txt"),
            ("Leads", "An Maes", lead, "card.txt"),
            ("Deals", "A bridge", deal, "plan.txt"),
        ] {
            let at = format!("{}/{name}", story.folder_of(module, title, &id.to_string()));
            assert_eq!(story.remote_at(&at), text(name.split('.').next().unwrap()), "{remote} {at}");
        }
        story.rests().await;
        assert_eq!(story.remote_names().len(), 4, "{remote}");
    }
}

#[tokio::test]
async fn an_edit_and_a_deletion_in_sell_travel_and_a_deletion_needs_two_listings() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        let (edited, gone) = (uploads(&story, "edited.txt", "before"), uploads(&story, "gone.txt", "gone"));
        story.runs().await;
        story.sell.order("PATCH", "documents", &json!({"account": VENDOR, "id": edited, "text": "after"}));
        story.sell.order("DELETE", "documents", &json!({"account": VENDOR, "id": gone}));
        story.runs().await;
        assert_eq!((story.remote("edited.txt"), story.remote("gone.txt")), (text("after"), text("gone")), "{remote}");
        story.runs().await;
        assert_eq!(story.remote_names(), ["edited.txt"], "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn what_is_put_at_the_remote_stays_there_and_that_sell_takes_none_is_said() {
    for remote in BOTH {
        let story = begins(remote, json!({"direction": "both", "on_remote_delete": "propagate"})).await;
        let kept = uploads(&story, "kept.txt", "kept");
        let conflict = uploads(&story, "both.txt", "both");
        story.runs().await;
        story.remote_saves("mine.txt", "mine");
        story.remote_deletes("kept.txt");
        story.remote_saves("both.txt", "as edited there");
        story.sell.order("PATCH", "documents", &json!({"account": VENDOR, "id": conflict, "text": "as edited here"}));
        for _ in 0..3 {
            story.runs().await;
        }
        let held: Vec<(u64, String, Vec<u8>)> = story.sell.documents(VENDOR);
        let wanted = [(kept, "kept.txt", "kept"), (conflict, "both.txt", "as edited here")];
        assert_eq!(held, wanted.map(|(id, name, text)| (id, name.to_owned(), text.as_bytes().to_vec())), "{remote}");
        let said = reasons(&story, "excluded").await;
        assert!(said.iter().any(|reason| reason.contains("Sell's API takes no documents")), "{remote}: {said:?}");
        assert_eq!(story.remote("mine.txt"), text("mine"), "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn with_the_profiles_own_direction_nothing_at_the_remote_is_lost_or_asked_of_sell() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        uploads(&story, "offer.txt", "offer");
        story.runs().await;
        story.remote_saves("mine.txt", "mine");
        story.rests().await;
        assert_eq!(story.remote_names(), ["mine.txt", "offer.txt"], "{remote}");
        assert_eq!(story.sell.documents(VENDOR).len(), 1, "{remote}");
        assert!(story.sell.calls().iter().all(|(method, ..)| method == "GET"), "{remote}");
    }
}

#[tokio::test]
async fn a_large_document_arrives_whole() {
    let story = begins("google", json!({"modules": ["companies"]})).await;
    let large = 17 * 1024 * 1024 + 5;
    uploads(&story, "large.txt", &"d".repeat(large));
    story.runs().await;
    assert_eq!(story.remote("large.txt").map(|text| text.len()), Some(large));
    story.rests().await;
}

#[tokio::test]
async fn a_tag_is_a_segment_and_who_is_no_longer_shown_loses_nothing() {
    for remote in BOTH {
        let story = begins(remote, json!({"records": {"segment": "tag:klant"}})).await;
        uploads(&story, "offer.txt", "offer");
        story.runs().await;
        assert!(story.remote_names().is_empty(), "{remote}: it has no such tag");
        let id: u64 = story.company.parse().unwrap();
        let tags = |tags: Value| {
            story.sell.order("PATCH", "contacts", &json!({"account": VENDOR, "id": id, "data": {"tags": tags}}))
        };
        tags(json!(["klant"]));
        story.runs().await;
        assert_eq!(story.remote_names(), ["offer.txt"], "{remote}");
        tags(json!([]));
        story.rests().await;
        story.sell.order("DELETE", "contacts", &json!({"account": VENDOR, "id": id}));
        story.rests().await;
        assert_eq!(story.remote_names(), ["offer.txt"], "{remote}: it stays");
    }
}

#[tokio::test]
async fn a_thousand_records_cost_a_call_for_a_hundred_and_one_for_the_documents_of_fifty() {
    let story = begins("dropbox", json!({"modules": ["companies"]})).await;
    story.sell.set(|settings| settings.per_second = 0);
    for n in 1..1_000 {
        makes(&story, "contacts", &json!({"name": format!("Company {n}"), "is_organization": true}));
    }
    uploads(&story, "offer.txt", "offer");
    story.runs().await;
    assert_eq!(story.remote_names(), ["offer.txt"]);
    story.sell.forget_calls();
    story.rests().await;
    assert_eq!(asked(&story), 3 * (10 + 20), "{:?}", &story.sell.calls()[..5]);
}

#[tokio::test]
async fn a_round_of_more_records_than_a_run_reads_comes_to_its_end_and_files_are_carried_meanwhile() {
    let story = begins("dropbox", json!({"modules": ["companies"]})).await;
    let all: Vec<u64> = (1..5_100)
        .map(|n| makes(&story, "contacts", &json!({"name": format!("Company {n}"), "is_organization": true})))
        .collect();
    uploads(&story, "first.txt", "first");
    story.runs().await;
    assert_eq!(story.remote_names(), ["first.txt"], "before the round is over");
    let last = *all.last().unwrap();
    story.sell.user_uploads(VENDOR, ("contact", last), "last.txt", b"last");
    story.sell.order("DELETE", "contacts", &json!({"account": VENDOR, "id": all[7]}));
    story.sell.forget_calls();
    story.runs().await;
    assert_eq!(story.remote_names(), ["first.txt", "last.txt"]);
    assert!(asked(&story) < 20, "those of the run before are not asked about again: {}", asked(&story));
    // The next round: who is not told any more is asked about, once.
    story.sell.forget_calls();
    story.runs().await;
    story.runs().await;
    let singles = |path: &str| path.trim_start_matches("/v2/contacts/").parse::<u64>().is_ok();
    let single = story.sell.calls().iter().filter(|(_, path, _)| singles(path)).count();
    assert_eq!(single, 1, "the one that is gone");
    assert_eq!(reasons(&story, "excluded").await.iter().filter(|said| said.contains("no longer among")).count(), 1);
    uploads(&story, "later.txt", "later");
    story.runs().await;
    assert_eq!(story.remote_names(), ["first.txt", "last.txt", "later.txt"]);
}

#[tokio::test]
async fn the_end_of_a_round_that_is_longer_than_a_job_is_gone_through_in_several_runs() {
    let story = begins("dropbox", json!({"modules": ["companies"]})).await;
    let all: Vec<u64> = (1..1_200)
        .map(|n| makes(&story, "contacts", &json!({"name": format!("Company {n}"), "is_organization": true})))
        .collect();
    story.runs().await;
    // Every one of them is read by itself: 125 ms each, where a job has 50 seconds.
    for id in &all {
        story.sell.order("DELETE", "contacts", &json!({"account": VENDOR, "id": id}));
    }
    uploads(&story, "offer.txt", "offer");
    story.sell.forget_calls();
    story.runs().await;
    assert_eq!(story.remote_names(), ["offer.txt"], "carried before all of them are asked about");
    assert!(asked(&story) < 600, "a job's time: {}", asked(&story));
    for _ in 0..3 {
        story.runs().await;
    }
    assert!((1_199..1_400).contains(&asked(&story)), "each is asked about once: {}", asked(&story));
    story.sell.forget_calls();
    story.rests().await;
    assert_eq!(asked(&story), 3 * 2, "one list, one for the documents");
}
