//! Attachments between Zoho itself and Drive or Dropbox, with the connectors, against the providers in memory.
use scenarios::VENDOR;
use scenarios::vendor_files::{FileStory, Vendor};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_zoho::fake::{Fault, Sharing};

const BOTH: [&str; 2] = ["dropbox", "google"];

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn begins(remote: &'static str, settings: Value) -> FileStory {
    FileStory::begins_at(Vendor::Zoho, remote, settings).await
}

async fn reasons(story: &FileStory, state: &str) -> Vec<String> {
    let records = story.records(state).await;
    let mut all: Vec<String> =
        records.into_iter().map(|record| record.reason.map(|reason| reason.message).unwrap_or_default()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn f01_f02_new_files_travel_both_ways_and_then_nothing_is_written() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        let run = story.runs().await;
        assert_eq!(run.counts.remote.created, 2, "{remote}: the module's folder and the company's");
        assert_eq!(story.remote_count(&story.folder()), 1);
        story.rests().await;
        story.attaches("offer \"best\" %22.txt", "offer");
        let contact = story.zoho.user_creates(VENDOR, "Contacts", json!({"Last_Name": "Peeters"}));
        story.zoho.user_attaches(VENDOR, "Contacts", &contact, "letter.txt", b"letter");
        let deal = story.zoho.user_creates(VENDOR, "Deals", json!({"Deal_Name": "A bridge"}));
        story.zoho.user_attaches(VENDOR, "Deals", &deal, "plan.txt", b"plan");
        let lead = story.zoho.user_creates(VENDOR, "Leads", json!({"Last_Name": "Maes"}));
        story.zoho.user_attaches(VENDOR, "Leads", &lead, "card.txt", b"card");
        story.runs().await;
        for (module, title, id, name) in [
            ("Contacts", "Peeters", &contact, "letter.txt"),
            ("Deals", "A bridge", &deal, "plan.txt"),
            ("Leads", "Maes", &lead, "card.txt"),
        ] {
            let at = format!("{}/{name}", story.folder_of(module, title, id));
            assert_eq!(story.remote_at(&at), text(name.split('.').next().unwrap()), "{remote} {at}");
        }
        story.remote_saves("Zoë ünd 漢.txt", "note");
        story.remote_saves_at(&format!("{}/signed.txt", story.folder_of("Deals", "A bridge", &deal)), "signed");
        story.runs().await;
        let attached = story.attached();
        assert_eq!((attached["Zoë ünd 漢.txt"].as_str(), attached["signed.txt"].as_str()), ("note", "signed"));
        assert_eq!(attached.len(), 6, "{remote}: {attached:?}");
        let at_deal = story.zoho.attachments().into_iter().find(|one| one.name == "signed.txt").unwrap();
        assert_eq!(at_deal.record, ("Deals".to_owned(), deal));
        story.rests().await;
        assert_eq!((story.attached(), story.remote_names().len()), (attached, 6), "{remote}");
    }
}

#[tokio::test]
async fn f03_an_edit_travels_either_way_as_a_new_attachment_and_none_is_there_twice() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        let id = story.attaches("plan.txt", "plan");
        story.runs().await;
        assert!(story.zoho.user_edits_attachment(&id, b"a better plan"));
        story.runs().await;
        assert_eq!(story.remote("plan.txt"), text("a better plan"), "{remote}");
        story.remote_saves("plan.txt", "the best plan");
        let run = story.runs().await;
        assert_eq!(run.counts.crm.updated, 1, "{remote}: {run:?}");
        let all = story.zoho.attachments();
        assert_eq!((all.len(), all[0].bytes.as_ref()), (1, b"the best plan".as_slice()), "{remote}");
        assert_ne!(all[0].id, id, "Zoho replaces nothing");
        story.rests().await;
        // A person replaces by deleting and attaching: that is the same file, at once and with no copy beside it.
        assert!(story.zoho.user_detaches(&all[0].id));
        story.attaches("plan.txt", "another plan");
        story.runs().await;
        assert_eq!(story.remote("plan.txt"), text("another plan"), "{remote}");
        assert_eq!(story.remote_names(), ["plan.txt"], "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn f04_a_deletion_in_the_crm_needs_two_listings_and_one_at_the_remote_stays_in_the_crm() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        let id = story.attaches("gone.txt", "gone");
        story.attaches("kept.txt", "kept");
        story.runs().await;
        assert!(story.zoho.user_detaches(&id));
        assert_eq!(story.runs().await.counts.writes(), 0, "{remote}: one listing proves nothing");
        assert_eq!(story.runs().await.counts.remote.deleted, 1, "{remote}");
        assert_eq!(story.remote("gone.txt"), None, "{remote}");
        story.remote_deletes("kept.txt");
        story.runs().await;
        story.rests().await;
        assert_eq!(story.attached()["kept.txt"], "kept", "{remote}: it stays");
        assert_eq!(story.remote("kept.txt"), None, "{remote}: and is not put back");
    }
}

#[tokio::test]
async fn a_deletion_at_the_remote_deletes_the_attachment_where_the_sync_says_so() {
    for remote in BOTH {
        let story = begins(remote, json!({"on_remote_delete": "propagate"})).await;
        let edited = story.attaches("edited.txt", "edited");
        for name in ["gone.txt", "stays.txt", "other.txt"] {
            story.attaches(name, name);
        }
        story.runs().await;
        story.remote_deletes("gone.txt");
        story.remote_deletes("edited.txt");
        assert!(story.zoho.user_edits_attachment(&edited, b"edited since"));
        story.runs().await;
        story.rests().await;
        let attached: Vec<String> = story.attached().into_keys().collect();
        assert_eq!(attached, ["edited.txt", "other.txt", "stays.txt"], "{remote}: an edit beats a deletion");
        assert_eq!(story.remote("edited.txt"), text("edited since"), "{remote}");
    }
}

#[tokio::test]
async fn f06_different_edits_on_both_sides_are_both_kept() {
    for remote in BOTH {
        let story = begins(remote, json!({"conflict": "crm_wins"})).await;
        let id = story.attaches("offer.txt", "offer");
        story.runs().await;
        assert!(story.zoho.user_edits_attachment(&id, b"an offer of the CRM"));
        story.remote_saves("offer.txt", "an offer of the remote");
        assert_eq!(story.runs().await.counts.remote.conflicts, 1, "{remote}");
        story.runs().await;
        let attached = story.attached();
        assert_eq!(attached["offer.txt"], "an offer of the CRM", "{remote}: {attached:?}");
        let loser = attached.keys().find(|name| name.starts_with("offer (conflict remote ")).cloned().unwrap();
        assert_eq!(attached[&loser], "an offer of the remote", "{remote}");
        assert_eq!(story.remote(&loser), text("an offer of the remote"), "{remote}");
        story.rests().await;
        assert_eq!((story.attached().len(), story.remote_names().len()), (2, 2), "{remote}");
    }
}

#[tokio::test]
async fn f07_the_same_bytes_on_both_sides_are_one_file_and_are_not_sent() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        story.runs().await;
        story.attaches("both.txt", "equal");
        story.remote_saves("both.txt", "equal");
        story.rests().await;
        assert_eq!((story.remote_names().len(), story.attached().len()), (1, 1), "{remote}");
        assert_eq!(story.asked_zoho().get("POST list"), None, "{remote}");
    }
}

#[tokio::test]
async fn f09_a_rename_at_the_remote_is_a_new_attachment_and_the_old_one_stays_and_is_not_fetched_back() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        story.attaches("plan.txt", "plan");
        story.runs().await;
        story.remote_moves("plan.txt", "signed.txt");
        story.runs().await;
        story.rests().await;
        let attached = story.attached();
        assert_eq!((attached["plan.txt"].as_str(), attached["signed.txt"].as_str()), ("plan", "plan"), "{remote}");
        assert_eq!(story.remote_names(), ["signed.txt"], "{remote}");
    }
}

#[tokio::test]
async fn what_zoho_has_no_place_for_is_left_out_with_the_reason() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        let link = story.zoho.user_links(VENDOR, "Accounts", &story.company, "The site", "https://acme.example");
        story.runs().await;
        story.remote_saves("Plans/2026/deed.txt", "deed");
        story.remote_saves("Plans/plan.txt", "plan");
        story.remote_saves("virus.EXE", "no");
        for _ in 0..4 {
            story.runs().await;
        }
        assert_eq!(story.attached().into_keys().collect::<Vec<_>>(), ["The site"], "{remote}");
        assert_eq!(story.remote_names().len(), 3, "{remote}: the link is no file");
        let excluded = reasons(&story, "excluded").await;
        assert_eq!(excluded.iter().filter(|reason| reason.contains("no folders as deep")).count(), 4, "{excluded:?}");
        assert_eq!(excluded.iter().filter(|reason| reason.contains("shortcut")).count(), 1, "{excluded:?}");
        let failing = reasons(&story, "failing").await;
        assert!(failing.len() == 1 && failing[0].contains(".exe"), "{remote}: {failing:?}");
        assert!(story.zoho.user_detaches(&link));
        story.rests().await;
    }
}

#[tokio::test]
async fn f24_what_is_too_large_is_left_out_with_the_reason_and_what_is_large_passes_once_each_way() {
    let story = begins("google", json!({"modules": ["companies"]})).await;
    story.zoho.set(|settings| settings.attachment_bytes = 20 * 1024 * 1024);
    let (over, refused, large) = (100 * 1024 * 1024 + 1, 20 * 1024 * 1024 + 1, 17 * 1024 * 1024 + 5);
    story.attaches("down.txt", &"d".repeat(large));
    story.runs().await;
    assert_eq!(story.remote("down.txt").map(|text| text.len()), Some(large));
    let asked = story.asked_zoho();
    assert_eq!(asked["GET one"], 1, "{asked:?}: the bytes pass once");
    story.remote_saves("over.txt", &"x".repeat(over));
    story.remote_saves("refused.txt", &"x".repeat(refused));
    story.remote_saves("up.txt", &"y".repeat(large));
    story.remote_saves("empty.txt", "");
    for _ in 0..4 {
        story.runs().await;
    }
    let sizes: Vec<(String, usize)> =
        story.zoho.attachments().into_iter().map(|one| (one.name, one.bytes.len())).collect();
    let wanted = [("down.txt", large), ("empty.txt", 0), ("up.txt", large)];
    assert_eq!(sizes, wanted.map(|(name, size)| (name.to_owned(), size)));
    assert!(reasons(&story, "excluded").await[0].contains("at most 104857600"));
    assert!(reasons(&story, "failing").await[0].contains("larger than this Zoho organisation takes"));
    story.rests().await;
}

#[tokio::test]
async fn with_the_vendors_limits_twenty_megabytes_are_the_most() {
    let story = begins("dropbox", json!({"limits": "vendor", "modules": ["companies"]})).await;
    story.runs().await;
    story.remote_saves("limit.txt", &"x".repeat(20 * 1024 * 1024));
    story.remote_saves("over.txt", &"x".repeat(20 * 1024 * 1024 + 1));
    story.runs().await;
    assert_eq!(story.attached().into_keys().collect::<Vec<_>>(), ["limit.txt"]);
    assert!(reasons(&story, "excluded").await[0].contains("at most 20971520"));
}

#[tokio::test]
async fn f19_whatever_call_is_lost_in_a_replacement_nothing_is_double_and_nothing_is_lost() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        for after in 0..14 {
            let story = begins("dropbox", json!({"modules": ["companies"]})).await;
            story.attaches("offer.txt", "offer");
            story.runs().await;
            story.remote_saves("new.txt", "new");
            story.remote_saves("offer.txt", "as edited");
            story.zoho.inject_after(after, fault);
            // Between the tries both sides are read again, and show what is half done.
            story.run_with_pushes().await;
            story.run_with_pushes().await;
            story.rests().await;
            let attached = story.attached();
            let told = (attached["new.txt"].as_str(), attached["offer.txt"].as_str(), attached.len());
            assert_eq!(told, ("new", "as edited", 2), "{fault:?} {after}: {attached:?}");
            assert_eq!(story.remote_names(), ["new.txt", "offer.txt"], "{fault:?} {after}");
            assert_eq!(story.remote("offer.txt"), text("as edited"), "{fault:?} {after}");
        }
    }
}

#[tokio::test]
async fn a_missing_right_stops_what_goes_to_zoho_with_the_reason_and_not_what_comes() {
    for remote in BOTH {
        let story = begins(remote, json!({"modules": ["companies"]})).await;
        story.runs().await;
        let profile = story.zoho.profile("Readers", &["Crm_Implied_Edit_Accounts"]);
        story.zoho.user(VENDOR, "CEO", Some(&profile));
        story.attaches("theirs.txt", "theirs");
        story.remote_saves("mine.txt", "mine");
        story.runs().await;
        assert_eq!(story.remote("theirs.txt"), text("theirs"), "{remote}");
        assert_eq!(story.attached().len(), 1, "{remote}");
        let said = reasons(&story, "excluded").await;
        assert!(said[0].contains("Crm_Implied_Edit_Accounts"), "{remote}: {said:?}");
        let all = story.zoho.profile("Writers", &[]);
        story.zoho.user(VENDOR, "CEO", Some(&all));
        story.runs().await;
        assert_eq!(story.attached()["mine.txt"], "mine", "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn what_comes_after_the_records_folder_was_deleted_at_the_remote_brings_the_folder_back_for_it_alone() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        story.attaches("old.txt", "old");
        story.runs().await;
        story.remote_deletes_at(&story.folder());
        story.runs().await;
        story.rests().await;
        assert!(story.remote_names().is_empty(), "{remote}: it stays deleted");
        story.attaches("new.txt", "new");
        story.runs().await;
        assert_eq!((story.remote("new.txt"), story.remote("old.txt")), (text("new"), None), "{remote}");
        story.rests().await;
        assert_eq!((story.remote_names().len(), story.attached().len()), (1, 2), "{remote}");
    }
}

#[tokio::test]
async fn a_deleted_record_takes_its_files_along_and_one_that_is_no_longer_shown_loses_nothing() {
    for remote in BOTH {
        let story = begins(remote, json!({"modules": ["companies"]})).await;
        let account =
            |name: &str, owner: &str| story.zoho.user_creates(owner, "Accounts", json!({"Account_Name": name}));
        story.zoho.set(|settings| settings.sharing = Sharing::Public);
        story.zoho.user("boss@example.com", "CEO", None);
        let (deleted, hidden) = (account("Deleted", VENDOR), account("Hidden", "boss@example.com"));
        story.attaches("a.txt", "a");
        for (id, name) in [(&deleted, "d.txt"), (&hidden, "h.txt")] {
            story.zoho.user_attaches(VENDOR, "Accounts", id, name, b"x");
        }
        story.attaches("b.txt", "b");
        story.runs().await;
        assert_eq!(story.remote_names(), ["a.txt", "b.txt", "d.txt", "h.txt"], "{remote}");
        assert!(story.zoho.user_deletes_from(VENDOR, "Accounts", &deleted));
        story.zoho.set(|settings| settings.sharing = Sharing::Private);
        story.zoho.user(VENDOR, "Manager", None);
        story.runs().await;
        assert_eq!(story.remote_names(), ["a.txt", "b.txt", "h.txt"], "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn f15_a_list_view_is_a_segment_and_who_leaves_it_loses_nothing() {
    for remote in BOTH {
        let story = begins(remote, json!({"modules": ["contacts"]})).await;
        let criteria = json!({"comparator": "equal", "field": {"api_name": "Title"}, "value": "vip"});
        let view = story.zoho.view("VIP", criteria);
        story.set("records", json!({"segment": format!("contacts:{view}")})).await;
        let edits = |id: &str, title: &str| story.zoho.user_edits(VENDOR, id, json!({"Title": title}));
        let person = story.zoho.user_creates(VENDOR, "Contacts", json!({"Last_Name": "Peeters"}));
        story.zoho.user_attaches(VENDOR, "Contacts", &person, "a.txt", b"a");
        story.runs().await;
        assert!(story.remote_names().is_empty(), "{remote}: not in the view");
        edits(&person, "vip");
        story.runs().await;
        assert_eq!(story.remote_names(), ["a.txt"], "{remote}");
        edits(&person, "");
        story.zoho.user_attaches(VENDOR, "Contacts", &person, "later.txt", b"later");
        story.rests().await;
        assert_eq!(story.remote_names(), ["a.txt"], "{remote}: it stays, and nothing follows");
        edits(&person, "vip");
        story.runs().await;
        assert_eq!(story.remote_names(), ["a.txt", "later.txt"], "{remote}");
    }
}

#[tokio::test]
async fn a_quiet_run_costs_a_call_a_record_and_files_cost_little_more() {
    for remote in BOTH {
        let story = begins(remote, json!({"modules": ["companies"]})).await;
        for n in 1..30 {
            story.zoho.user_creates(VENDOR, "Accounts", json!({"Account_Name": format!("Company {n}")}));
        }
        story.runs().await;
        story.zoho.forget_calls();
        story.rests().await;
        let asked = story.asked_zoho();
        assert_eq!((asked["GET list"], asked["GET Accounts"]), (90, 3), "{remote}: {asked:?}");
        assert_eq!(asked.values().sum::<usize>(), 93, "{remote}: {asked:?}");
        for n in 0..50 {
            story.remote_saves(&format!("{n}.txt"), &format!("text {n}"));
        }
        story.zoho.forget_calls();
        story.runs().await;
        let asked = story.asked_zoho();
        assert_eq!((asked["POST list"], asked["GET list"]), (50, 30 + 2), "{remote}: {asked:?}");
        for n in 50..100 {
            story.attaches(&format!("{n}.txt"), &format!("text {n}"));
        }
        story.zoho.forget_calls();
        story.runs().await;
        let asked = story.asked_zoho();
        assert_eq!((asked["GET one"], asked["GET list"]), (50, 30 + 50), "{remote}: {asked:?}");
        story.rests().await;
    }
}

#[tokio::test]
async fn ten_thousand_records_are_read_in_turn_within_the_days_credits_and_what_was_changed_comes_first() {
    let story = begins("dropbox", json!({"modules": ["companies"]})).await;
    let account = |name: &str| story.zoho.user_creates(VENDOR, "Accounts", json!({"Account_Name": name}));
    let all: Vec<String> = (1..10_000).map(|n| account(&format!("Company {n}"))).collect();
    let last = all.last().unwrap();
    story.attaches("first.txt", "first");
    story.runs().await;
    assert_eq!(story.remote_names(), ["first.txt"]);
    story.zoho.user_attaches(VENDOR, "Accounts", last, "urgent.txt", b"urgent");
    story.zoho.user_edits_in(VENDOR, "Accounts", last, json!({"Website": "https://x.example"}));
    story.zoho.forget_calls();
    story.runs().await;
    assert_eq!(story.remote_names(), ["first.txt", "urgent.txt"], "far from its turn, but changed");
    let asked = story.asked_zoho();
    let calls = asked.values().sum::<usize>();
    assert!((300..=420).contains(&calls), "{asked:?}: about 300 records, and their lists");
    // Zoho says when half of the day's credits are used: a run reads less then.
    story.zoho.set(|settings| settings.credits = 1_500);
    story.runs().await;
    story.zoho.forget_calls();
    story.runs().await;
    assert!(story.asked_zoho().values().sum::<usize>() <= 170, "{:?}", story.asked_zoho());
}

#[tokio::test]
async fn f26_removing_the_sync_leaves_every_file_on_both_sides() {
    for remote in BOTH {
        let story = begins(remote, json!({})).await;
        story.attaches("plan.txt", "plan");
        story.runs().await;
        let (attached, names) = (story.attached(), story.remote_names());
        story.clock.advance(Duration::from_secs(1));
        story.zoho.forget_calls();
        story.store.delete_sync(&story.sync().await).await.unwrap();
        assert_eq!((story.attached(), story.remote_names()), (attached, names), "{remote}");
        assert!(story.zoho.calls().is_empty(), "{remote}: nothing is asked of anybody");
    }
}

#[tokio::test]
async fn more_changes_than_a_run_reads_neither_stop_the_round_nor_are_lost() {
    let story = begins("dropbox", json!({"modules": ["companies"]})).await;
    let account = |name: &str| story.zoho.user_creates(VENDOR, "Accounts", json!({"Account_Name": name}));
    let all: Vec<String> = (1..1_200).map(|n| account(&format!("Company {n}"))).collect();
    story.runs().await;
    // Far from its turn, and unchanged; and one that is changed after all the others, once.
    let (quiet, changed) = (&all[800], &all[1_150]);
    story.zoho.user_attaches(VENDOR, "Accounts", quiet, "quiet.txt", b"quiet");
    story.zoho.user_attaches(VENDOR, "Accounts", changed, "changed.txt", b"changed");
    let edits = |id: &str, n: usize| {
        story.zoho.user_edits_in(VENDOR, "Accounts", id, json!({"Website": format!("https://x{n}.example")}));
    };
    edits(changed, 0);
    let mut came: Vec<(usize, String)> = Vec::new();
    for run in 1..=8 {
        all[..400].iter().for_each(|id| edits(id, run));
        story.runs().await;
        for name in story.remote_names() {
            if !came.iter().any(|(_, known)| *known == name) {
                came.push((run, name));
            }
        }
    }
    let when = |name: &str| came.iter().find(|(_, known)| known == name).map(|(run, _)| *run);
    // 200 changed ones and 100 of the round in each run; it began with 300.
    assert!(when("changed.txt").is_some_and(|run| run <= 3), "401 changed ones: {came:?}");
    assert!(when("quiet.txt").is_some_and(|run| run <= 6), "the 802nd of the round: {came:?}");
}
