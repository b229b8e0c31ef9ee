//! Files between Teamleader itself and Drive or Dropbox, with the connectors, against the providers in memory.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
use scenarios::vendor_files::FileStory;
use scenarios::{VENDOR, object};
use serde_json::json;
use std::time::Duration;
use tandem_teamleader::fake::Fault;

const BOTH: [&str; 2] = ["dropbox", "google"];

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn f01_a_company_without_files_has_an_empty_folder_once() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({"modules": ["companies"]})).await;
        let run = story.runs().await;
        assert_eq!(run.counts.remote.created, 2, "{remote}: the module's folder and the company's");
        assert_eq!(story.remote_count(&story.folder()), 1);
        story.rests().await;
        assert_eq!(story.remote_count(&story.folder()), 1);
    }
}

#[tokio::test]
async fn f02_new_files_and_folders_travel_both_ways_and_then_nothing_is_written() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({})).await;
        story.crm_saves("", "offer.txt", "offer");
        story.crm_saves("Plans", "plan.txt", "plan");
        story.runs().await;
        assert_eq!(story.remote("offer.txt"), text("offer"), "the account's own folder is the record's");
        assert_eq!(story.remote("Plans/plan.txt"), text("plan"));
        story.remote_saves("note.txt", "note");
        story.remote_saves("Plans/2026/Signed/deed.txt", "deed");
        story.remote_saves("Offers – old/o.txt", "o");
        story.runs().await;
        let crm = story.crm();
        assert_eq!(crm.get("note.txt").map(String::as_str), Some("note"), "{remote}: {crm:?}");
        assert_eq!(crm.get("Plans – 2026 – Signed/deed.txt").map(String::as_str), Some("deed"), "{remote}: {crm:?}");
        assert_eq!(crm.get("Offers \u{201B}– old/o.txt").map(String::as_str), Some("o"), "{remote}: {crm:?}");
        assert_eq!(crm.len(), 5);
        story.rests().await;
        assert_eq!((story.crm(), story.remote_names().len()), (crm, 5));
    }
}

#[tokio::test]
async fn f03_an_edit_travels_either_way_as_a_new_file_there_and_none_is_there_twice() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({})).await;
        let id = story.crm_saves("Plans", "plan.txt", "plan");
        story.runs().await;
        story.crm_saves("Plans", "plan.txt", "a better plan");
        story.runs().await;
        assert_eq!(story.remote("Plans/plan.txt"), text("a better plan"), "{remote}");
        story.remote_saves("Plans/plan.txt", "the best plan");
        let run = story.runs().await;
        assert_eq!(run.counts.crm.updated, 1, "{remote}: {run:?}");
        let files = story.crm_files();
        assert_eq!((files.len(), files[0].bytes.as_ref()), (1, b"the best plan".as_slice()), "{remote}");
        assert_ne!(files[0].id, id, "Teamleader replaces nothing");
        story.rests().await;
        // A person replaces by deleting and uploading: that is the same file, at once and with no copy beside it.
        story.crm_deletes(&files[0].id);
        story.crm_saves("Plans", "plan.txt", "another plan");
        story.runs().await;
        assert_eq!(story.remote("Plans/plan.txt"), text("another plan"), "{remote}");
        assert_eq!(story.remote_names(), ["plan.txt"], "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn f04_a_deletion_in_the_crm_needs_two_listings_and_one_at_the_remote_stays_in_the_crm() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({})).await;
        let id = story.crm_saves("", "gone.txt", "gone");
        story.crm_saves("", "kept.txt", "kept");
        story.runs().await;
        story.crm_deletes(&id);
        assert_eq!(story.runs().await.counts.writes(), 0, "{remote}: one listing proves nothing");
        assert_eq!(story.remote("gone.txt"), text("gone"), "{remote}");
        assert_eq!(story.runs().await.counts.remote.deleted, 1, "{remote}");
        assert_eq!(story.remote("gone.txt"), None, "{remote}");
        story.remote_deletes("kept.txt");
        story.runs().await;
        story.rests().await;
        assert_eq!(story.crm()["kept.txt"], "kept", "{remote}: it stays");
        assert_eq!(story.remote("kept.txt"), None, "{remote}: and is not put back");
    }
}

#[tokio::test]
async fn f05_what_is_deleted_on_both_sides_fails_no_call() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({})).await;
        let id = story.crm_saves("", "gone.txt", "gone");
        story.runs().await;
        story.crm_deletes(&id);
        story.remote_deletes("gone.txt");
        story.rests().await;
        assert!(story.records("failing").await.is_empty(), "{remote}");
        assert_eq!((story.crm().len(), story.remote_names().len()), (0, 0), "{remote}");
    }
}

#[tokio::test]
async fn f06_different_edits_on_both_sides_are_both_kept() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({"conflict": "crm_wins"})).await;
        story.crm_saves("", "offer.txt", "offer");
        story.runs().await;
        story.crm_saves("", "offer.txt", "an offer of the CRM");
        story.remote_saves("offer.txt", "an offer of the remote");
        let run = story.runs().await;
        assert_eq!(run.counts.remote.conflicts, 1, "{remote}: {run:?}");
        story.runs().await;
        let crm = story.crm();
        assert_eq!(crm["offer.txt"], "an offer of the CRM", "{remote}: {crm:?}");
        let loser = crm.keys().find(|name| name.starts_with("offer (conflict remote ")).cloned();
        let loser = loser.unwrap_or_else(|| panic!("{remote}: {crm:?}"));
        assert_eq!(crm[&loser], "an offer of the remote", "{remote}");
        assert_eq!(story.remote("offer.txt"), text("an offer of the CRM"), "{remote}");
        assert_eq!(story.remote(&loser), text("an offer of the remote"), "{remote}");
        story.rests().await;
        assert_eq!((story.crm().len(), story.remote_names().len()), (2, 2), "{remote}");
    }
}

#[tokio::test]
async fn f07_the_same_new_bytes_on_both_sides_are_no_conflict_and_are_not_sent() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({})).await;
        story.crm_saves("", "offer.txt", "offer");
        story.runs().await;
        story.crm_saves("", "offer.txt", "signed");
        story.remote_saves("offer.txt", "signed");
        // And a file that both got by themselves.
        story.crm_saves("", "both.txt", "equal");
        story.remote_saves("both.txt", "equal");
        story.rests().await;
        assert_eq!(story.remote_names(), ["both.txt", "offer.txt"], "{remote}");
        assert_eq!(story.asked().get("files.upload"), None, "{remote}");
    }
}

#[tokio::test]
async fn f09_a_rename_at_the_remote_is_a_new_file_and_the_old_one_stays_and_is_not_fetched_back() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({})).await;
        story.crm_saves("Plans", "plan.txt", "plan");
        story.runs().await;
        story.remote_moves("Plans/plan.txt", "Plans/signed.txt");
        story.runs().await;
        story.rests().await;
        let crm = story.crm();
        assert_eq!((crm["Plans/plan.txt"].as_str(), crm["Plans/signed.txt"].as_str()), ("plan", "plan"), "{remote}");
        assert_eq!(story.remote_names(), ["signed.txt"], "{remote}");
        // The whole folder.
        story.remote_moves("Plans", "Drawings");
        story.runs().await;
        story.rests().await;
        assert_eq!(story.crm()["Drawings/signed.txt"], "plan", "{remote}");
        assert_eq!(story.remote_names(), ["signed.txt"], "{remote}");
    }
}

#[tokio::test]
async fn f15_a_record_that_leaves_the_segment_loses_nothing() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({"records": {"segment": "tag:klant"}})).await;
        let tags = |tags| story.teamleader.user_edits_company(VENDOR, &story.company, &object(json!({"tags": tags})));
        story.crm_saves("", "offer.txt", "offer");
        story.runs().await;
        assert_eq!(story.remote("offer.txt"), None, "{remote}: it is not in the segment");
        tags(json!(["klant"]));
        story.runs().await;
        assert_eq!(story.remote("offer.txt"), text("offer"), "{remote}");
        tags(json!([]));
        story.crm_saves("", "later.txt", "later");
        story.rests().await;
        assert_eq!(story.remote("offer.txt"), text("offer"), "{remote}");
        assert_eq!(story.crm().len(), 2, "{remote}");
        tags(json!(["klant"]));
        story.runs().await;
        assert_eq!(story.remote("later.txt"), text("later"), "{remote}");
    }
}

#[tokio::test]
async fn f19_whatever_answer_of_an_upload_is_lost_there_is_one_file() {
    for remote in BOTH {
        for method in ["files.upload", "files.upload bytes", "files.list", "files.info", "files.delete"] {
            let story = FileStory::begins(remote, json!({})).await;
            story.crm_saves("", "offer.txt", "offer");
            story.runs().await;
            story.remote_saves("new.txt", "new");
            story.remote_saves("offer.txt", "as edited");
            for fault in [Fault::LoseAnswer, Fault::LoseRequest, Fault::LoseAnswer] {
                story.teamleader.inject_on(fault, &[method]);
            }
            // Between the tries both sides are read again, and show what is half done.
            story.run_with_pushes().await;
            story.run_with_pushes().await;
            story.rests().await;
            let crm = story.crm();
            assert_eq!((crm["new.txt"].as_str(), crm["offer.txt"].as_str()), ("new", "as edited"), "{remote} {method}");
            assert_eq!(crm.len(), 2, "{remote} {method}: {crm:?}");
            assert_eq!(story.remote_names(), ["new.txt", "offer.txt"], "{remote} {method}");
        }
    }
}

#[tokio::test]
async fn f24_more_than_fifty_megabytes_are_left_out_with_the_reason_and_what_is_large_goes_in_one_request() {
    let story = FileStory::begins("google", json!({"modules": ["companies"]})).await;
    story.runs().await;
    let (limit, large) = (50 * 1024 * 1024, 9 * 1024 * 1024 + 5);
    story.remote_saves("limit.txt", &"x".repeat(limit));
    story.remote_saves("over.txt", &"x".repeat(limit + 1));
    story.remote_saves("large.txt", &"y".repeat(large));
    story.remote_saves("empty.txt", "");
    story.runs().await;
    let sizes: Vec<(String, usize)> = story.crm_files().into_iter().map(|file| (file.name, file.bytes.len())).collect();
    let wanted = [("empty.txt", 0), ("large.txt", large), ("limit.txt", limit)];
    assert_eq!(sizes, wanted.map(|(name, size)| (name.to_owned(), size)));
    let excluded = story.records("excluded").await;
    assert_eq!(excluded[0].reason.as_ref().map(|reason| reason.code.as_str()), Some("too_large"));
    assert_eq!(story.asked()["files.upload bytes"], 3);
    story.rests().await;
}

#[tokio::test]
async fn s4_24_a_missing_right_of_a_project_stops_what_goes_to_it_and_not_what_comes() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({"modules": ["companies", "projects"]})).await;
        let theirs = object(json!({"title": "Bridge", "update_rights": "owners", "owners": []}));
        let project = story.teamleader.user_adds_record(VENDOR, "nextgenProject", &theirs);
        story.crm_saves_at("nextgenProject", &project, "", "plan.txt", "plan");
        story.runs().await;
        assert_eq!(story.remote_at("Projects/Bridge (1)/plan.txt"), text("plan"), "{remote}");
        for name in ["a.txt", "b.txt", "c.txt"] {
            story.remote_saves_at(&format!("Projects/Bridge (1)/{name}"), name);
        }
        story.remote_saves("other.txt", "other");
        story.teamleader.forget_calls();
        story.runs().await;
        assert_eq!(story.crm().keys().collect::<Vec<_>>(), ["other.txt", "plan.txt"], "{remote}: others go on");
        let excluded = story.records("excluded").await;
        let reasons: Vec<&str> =
            excluded.iter().filter_map(|row| Some(row.reason.as_ref()?.message.as_str())).collect();
        assert_eq!(reasons.len(), 3, "{remote}: {reasons:?}");
        assert!(reasons.iter().all(|reason| reason.contains("right")), "{reasons:?}");
        // What comes from there goes on, and once the right is there, the rest follows.
        story.crm_saves_at("nextgenProject", &project, "", "later.txt", "later");
        story.runs().await;
        assert_eq!(story.remote_at("Projects/Bridge (1)/later.txt"), text("later"), "{remote}");
        let everyone = object(json!({"update_rights": "everyone"}));
        story.teamleader.user_edits_record(VENDOR, "nextgenProject", &project, everyone);
        story.runs().await;
        assert_eq!(story.crm().len(), 6, "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn s2_30_meetings_products_and_old_projects_are_read_and_what_is_put_there_is_left_out_with_the_reason() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({})).await;
        story.teamleader.set(|settings| settings.projects = "legacy".to_owned());
        let times = json!({"title": "Kick-off", "starts_at": "2026-02-02T09:00:00+00:00", "ends_at": "2026-02-02T10:00:00+00:00"});
        let meeting = story.teamleader.user_schedules(VENDOR, &object(times));
        let product = story.teamleader.user_adds_record(VENDOR, "product", &object(json!({"name": "Crane"})));
        let project = story.teamleader.user_adds_record(VENDOR, "project", &object(json!({"title": "Bridge"})));
        let records = [
            ("meeting", &meeting, format!("Meetings/Kick-off ({})", &meeting[..8])),
            ("product", &product, format!("Products/Crane ({})", &product[..8])),
            ("project", &project, format!("Projects/Bridge ({})", &project[..8])),
        ];
        for (kind, id, _) in &records {
            story.crm_saves_at(kind, id, "", &format!("{kind}.txt"), kind);
        }
        story.runs().await;
        for (kind, _, folder) in &records {
            assert_eq!(story.remote_at(&format!("{folder}/{kind}.txt")), text(kind), "{remote}");
            story.remote_saves_at(&format!("{folder}/mine.txt"), "mine");
        }
        story.rests().await;
        assert_eq!(story.crm().len(), 3, "{remote}");
        let excluded = story.records("excluded").await;
        let mut reasons: Vec<String> = excluded.into_iter().filter_map(|row| Some(row.reason?.message)).collect();
        reasons.sort();
        let wanted = ["to meetings", "to products", "to projects of the old module"];
        assert_eq!(reasons, wanted.map(|where_to| format!("Teamleader takes no uploads {where_to}.")), "{remote}");
        assert_eq!(story.asked().get("files.upload"), None, "{remote}");
    }
}

#[tokio::test]
async fn a_record_whose_files_the_user_may_not_see_loses_nothing_and_stops_no_other() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({"modules": ["companies"]})).await;
        // Later, so that Acme is listed first.
        story.clock.advance(Duration::from_secs(2));
        let other = story.teamleader.user_creates_company(VENDOR, &object(json!({"name": "Beta"})));
        story.crm_saves("", "offer.txt", "offer");
        story.runs().await;
        story.crm_saves_at("company", &other, "", "other.txt", "other");
        for _ in 0..2 {
            story.teamleader.inject_on(Fault::Forbidden, &["files.list"]);
            story.runs().await;
        }
        assert_eq!(story.remote("offer.txt"), text("offer"), "{remote}");
        assert_eq!(story.remote_at(&format!("Companies/Beta ({})/other.txt", &other[..8])), text("other"), "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn a_deleted_record_takes_its_files_along_and_no_others() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({"modules": ["companies", "products"]})).await;
        let product = story.teamleader.user_adds_record(VENDOR, "product", &object(json!({"name": "Crane"})));
        for name in ["a.txt", "b.txt", "c.txt"] {
            story.crm_saves("", name, name);
        }
        story.crm_saves_at("product", &product, "", "crane.txt", "crane");
        story.runs().await;
        assert!(story.teamleader.user_deletes_record(VENDOR, "product", &product));
        story.runs().await;
        assert_eq!(story.remote_names(), ["a.txt", "b.txt", "c.txt"], "{remote}");
        story.rests().await;
    }
}

#[tokio::test]
async fn f26_removing_the_sync_leaves_every_file_on_both_sides() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({})).await;
        story.crm_saves("Plans", "plan.txt", "plan");
        story.runs().await;
        story.remote_saves("note.txt", "note");
        story.runs().await;
        let (crm, names) = (story.crm(), story.remote_names());
        story.teamleader.forget_calls();
        story.store.delete_sync(&story.sync().await).await.unwrap();
        assert_eq!((story.crm(), story.remote_names()), (crm, names), "{remote}");
        assert!(story.teamleader.calls().is_empty(), "{remote}: nothing is asked of anybody");
    }
}

#[tokio::test]
async fn a_quiet_run_costs_a_call_a_record_and_files_cost_little_more_than_one_each() {
    for remote in BOTH {
        let story = FileStory::begins(remote, json!({"modules": ["companies"]})).await;
        for n in 1..30 {
            story.teamleader.user_creates_company(VENDOR, &object(json!({"name": format!("Company {n}")})));
        }
        story.runs().await;
        story.teamleader.forget_calls();
        story.rests().await;
        let asked = story.asked();
        // 30 companies come in two pages, as 30 rows may be a whole page.
        assert_eq!((asked["files.list"], asked["companies.list"]), (90, 6), "{remote}: {asked:?}");
        assert_eq!(asked.values().sum::<usize>(), 96, "{remote}: {asked:?}");
        // Fifty files up.
        for n in 0..50 {
            story.remote_saves(&format!("{n}.txt"), &format!("text {n}"));
        }
        story.teamleader.forget_calls();
        story.runs().await;
        let asked = story.asked();
        assert_eq!((asked["files.upload"], asked["files.upload bytes"]), (50, 50), "{remote}: {asked:?}");
        assert!(asked["files.list"] <= 30 + 2 * 2 + 50, "{remote}: {asked:?}");
        // Fifty files down.
        for n in 0..50 {
            story.crm_saves("New", &format!("{n}.txt"), &format!("text {n}"));
        }
        story.teamleader.forget_calls();
        story.runs().await;
        let asked = story.asked();
        let each = ["files.info", "files.download", "files.download bytes"].map(|method| asked[method]);
        // A hundred files take two pages, of one record.
        assert_eq!((each, asked["files.list"]), ([50, 50, 50], 31), "{remote}: {asked:?}");
        story.rests().await;
    }
}

#[tokio::test]
async fn more_records_than_a_run_reads_are_read_in_turn_and_what_was_changed_comes_first() {
    let story = FileStory::begins("dropbox", json!({"modules": ["companies"]})).await;
    story.clock.advance(Duration::from_secs(2));
    let company = |name: &str| story.teamleader.user_creates_company(VENDOR, &object(json!({"name": name})));
    for n in 0..700 {
        company(&format!("Company {n}"));
    }
    story.clock.advance(Duration::from_secs(2));
    let last = company("The last");
    story.crm_saves_at("company", &last, "", "last.txt", "last");
    story.crm_saves("", "first.txt", "first");
    story.runs().await;
    assert_eq!(story.remote_names(), ["first.txt"], "the first 600");
    let later = story.runs().await;
    assert_eq!(story.remote_names(), ["first.txt", "last.txt"], "{later:?}");
    story.runs().await;
    // In the middle of a round, with 600 to read: what was changed since is read before all others.
    story.crm_saves_at("company", &last, "", "urgent.txt", "urgent");
    story.teamleader.user_edits_company(VENDOR, &last, &object(json!({"website": "https://x.example"})));
    story.teamleader.forget_calls();
    story.runs().await;
    assert!(story.remote_names().contains(&"urgent.txt".to_owned()));
    assert!(story.asked()["files.list"] <= 700);
}
