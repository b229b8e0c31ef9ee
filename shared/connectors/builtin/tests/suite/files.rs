//! Files: by the API's ways and as one side of a sync.
use crate::common::object;
use crate::uploads::{Desk, desk};
use bytes::Bytes;
use serde_json::json;
use std::time::Duration;
use tandem_builtin::users::{NewUser, Role, User};
use tandem_builtin::{BuiltinCalendar, CrmError, Kind, Query};
use tandem_core::files::entry::{Access, EntryKind};
use tandem_core::files::hash::Digests;
use tandem_core::files::settings::{RecordRef, Records};
use tandem_core::record::{Marker, RemoteId, Version};
use tandem_ports::connector::{Connector, Deletion};
use tandem_ports::error::ErrorKind;
use tandem_ports::files::{
    Attempt, CHUNK, Entry, EntryRef, FileChange, FileNext, FileSide, FolderOrFile, FolderRef, Name, NewFolder,
    Relocation, Removal, SessionStatus, Target, Upload,
};
use tandem_ports::infra::Clock;

fn folder(id: &str) -> FolderRef {
    FolderRef { id: RemoteId::new(id), path: String::new() }
}

fn upload_of(parent: &str, name: &str, bytes: &[u8]) -> Upload {
    Upload {
        target: Target::New { id: None, parent: folder(parent), name: Name(name.to_owned()) },
        size: bytes.len() as u64,
        hashes: Digests::of(bytes),
        content_type: "text/plain".to_owned(),
        modified_at: None,
        marker: Marker::new(format!("marker of {name}")),
        attempt: Attempt::First,
    }
}

fn reference(entry: &Entry) -> EntryRef {
    EntryRef { id: entry.id.clone(), parent: folder("any"), name: Name(entry.name.clone()) }
}

fn content(entry: &Entry) -> Version {
    let EntryKind::File { content, .. } = &entry.kind else { panic!("{:?}", entry.kind) };
    content.clone()
}

#[tokio::test]
async fn a_file_appears_once_its_bytes_are_there() {
    let desk = desk().await;
    let subject = json!({"type": "company", "id": desk.company});
    let input = object(json!({"subject": subject, "folder": "Plans/2026", "name": "plan.txt"}));
    let begun = desk.files.begin(&desk.world.admin, &input).await.unwrap();
    assert!(matches!(desk.files.show(&desk.world.admin, &begun.id).await, Err(CrmError::NotFound)));
    desk.arrive(&begun.address.url, b"plan").await;
    let shown = desk.files.show(&desk.world.admin, &begun.id).await.unwrap();
    assert_eq!(
        (&shown["name"], &shown["folder"], &shown["size"]),
        (&json!("plan.txt"), &json!("Plans/2026"), &json!(4))
    );
    assert_eq!(shown["subject"], subject);
    assert_eq!(shown["sha256"].as_str(), Digests::of(b"plan").get(tandem_core::files::entry::HashKind::Sha256));
    let (items, next) = desk.files.list(&desk.world.admin, &desk.company, None).await.unwrap();
    assert_eq!((items.len(), next), (3, None));
    // New bytes, the same file.
    let again = desk.files.begin_replacement(&desk.world.admin, &begun.id).await.unwrap();
    assert_eq!(again.id, begun.id);
    desk.arrive(&again.address.url, b"a better plan").await;
    let shown = desk.files.show(&desk.world.admin, &begun.id).await.unwrap();
    assert_eq!((&shown["size"], &shown["version"]), (&json!(13), &json!(2)));
    assert_eq!(desk.blobs.keys().len(), 1, "the old bytes are gone");
}

#[tokio::test]
async fn names_are_unique_and_checked_and_folders_move_whole() {
    let desk = desk().await;
    desk.upload("", "a.txt", b"1").await.unwrap();
    desk.files.show(&desk.world.admin, &desk.company).await.unwrap_err();
    let taken = desk.upload("", "a.txt", b"2").await.unwrap_err();
    assert!(matches!(&taken, CrmError::Invalid { field, .. } if field == "name"), "{taken}");
    let inner = desk.upload("Plans", "p.txt", b"3").await.unwrap();
    let subject = json!({"type": "company", "id": desk.company});
    let made =
        desk.files.make_folder(&desk.world.admin, &object(json!({"subject": subject, "path": "Old"}))).await.unwrap();
    let plans =
        desk.files.make_folder(&desk.world.admin, &object(json!({"subject": subject, "path": "Plans"}))).await.unwrap();
    let (old, plans) = (made["id"].as_str().unwrap(), plans["id"].as_str().unwrap());
    let input = object(json!({"folder": "Old", "name": "Plans of 2025"}));
    desk.files.change(&desk.world.admin, plans, None, &input).await.unwrap();
    assert_eq!(desk.files.show(&desk.world.admin, &inner).await.unwrap()["folder"], "Old/Plans of 2025");
    let into_itself = object(json!({"folder": "Old/Plans of 2025"}));
    assert!(desk.files.change(&desk.world.admin, old, None, &into_itself).await.is_err());
    desk.files.remove(&desk.world.admin, old, None).await.unwrap();
    assert!(matches!(desk.files.show(&desk.world.admin, &inner).await, Err(CrmError::NotFound)));
    assert_eq!(desk.blobs.keys().len(), 1);
}

#[tokio::test]
async fn a_deleted_company_takes_its_files_along() {
    let desk = desk().await;
    for n in 0..30 {
        desk.upload("Many", &format!("{n}.txt"), b"x").await.unwrap();
    }
    desk.files.list(&desk.world.admin, &desk.company, None).await.unwrap();
    desk.world.crm.delete(&desk.world.admin, Kind::Company, &desk.company, None).await.unwrap();
    let changes = desk.world.crm.changes(&desk.world.admin, None).await.unwrap();
    let live =
        changes.items.iter().filter(|item| matches!(item.kind, Kind::File | Kind::Folder) && item.record.is_some());
    assert_eq!(live.count(), 0);
}

#[tokio::test]
async fn a_name_that_is_refused_says_which_rule_it_breaks() {
    let desk = desk().await;
    let long = "ä".repeat(128);
    for (name, rule) in [
        ("", "missing"),
        (".", "no names"),
        ("..", "no names"),
        ("a/b.txt", "slash"),
        ("a\tb.txt", "control characters"),
        (long.as_str(), "255 bytes in UTF-8; this one has 256"),
    ] {
        let refused = desk.upload("", name, b"1").await.unwrap_err();
        let CrmError::Invalid { field, message } = &refused else { panic!("{refused}") };
        assert!(field == "name" && message.contains(rule), "{name:?}: {refused}");
    }
    assert!(desk.upload("", &long[2..], b"1").await.is_ok());
}

/// Live files and folders of the account.
async fn live(desk: &Desk) -> usize {
    let changes = desk.world.crm.changes(&desk.world.admin, None).await.unwrap();
    let inside = |item: &&tandem_builtin::ChangeItem| matches!(item.kind, Kind::File | Kind::Folder);
    changes.items.iter().filter(inside).filter(|item| item.record.is_some()).count()
}

#[tokio::test]
async fn a_record_that_has_files_is_deleted_by_no_sync() {
    let desk = desk().await;
    let (world, admin) = (&desk.world, &desk.world.admin);
    let meeting = json!({"title": "Kick-off", "start": "2026-03-02T09:00:00Z", "end": "2026-03-02T10:00:00Z",
        "owner": admin.id});
    let contacts: Box<dyn Connector> = Box::new(world.open(None).await);
    let who = (admin.account.as_str(), admin.id.as_str());
    let calendar = BuiltinCalendar::open(world.table.clone(), world.clock.clone(), who.0, who.1).await.unwrap();
    let calendar: Box<dyn Connector> = Box::new(calendar);
    let contact = json!({"last_name": "Peeters"});
    for (side, kind, input) in [(contacts, Kind::Contact, contact), (calendar, Kind::Meeting, meeting)] {
        let mut doomed = Vec::new();
        for files in [0, 2, 30] {
            let record = world.make(kind, input.clone()).await;
            for n in 0..files {
                desk.upload_to((kind.word(), &record.id), "Many/Deep", &format!("{n}.txt"), b"x").await.unwrap();
            }
            desk.files.list(admin, &record.id, None).await.unwrap();
            let id = RemoteId::new(&record.id);
            let known = side.get(std::slice::from_ref(&id)).await.unwrap().remove(0).expect("it is there");
            doomed.push(Deletion { id, expect: known.version });
        }
        let before = live(&desk).await;
        let outcomes = side.delete(&doomed).await.unwrap();
        let [Ok(()), Err(one), Err(other)] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!((one.kind, other.kind), (ErrorKind::Permanent, ErrorKind::Permanent));
        assert!(one.detail.contains("has files"), "{one}");
        assert_eq!(live(&desk).await, before, "what stays keeps its files");
        assert_eq!(desk.world.crm.list(admin, kind, &Query::default()).await.unwrap().items.len(), 2);
    }
}

#[tokio::test]
async fn as_a_side_it_lists_records_and_their_content_and_tells_changes() {
    let desk = desk().await;
    desk.upload("Plans", "p.txt", b"plan").await.unwrap();
    let side = desk.side(&desk.world.admin, Records::All).await;
    let page = side.changes(None).await.unwrap();
    let FileChange::Upsert(record) = &page.changes[0] else { panic!("{page:?}") };
    assert_eq!((page.changes.len(), record.name.as_str()), (1, "Acme"));
    assert!(matches!(&record.kind, EntryKind::Record { module, number } if module == "companies" && number == "1"));
    let inside = side.children(&[folder(&desk.company)], None).await.unwrap();
    assert_eq!(inside.entries.len(), 1);
    let file = side.children(&[folder(inside.entries[0].id.as_str())], None).await.unwrap().entries.remove(0);
    let bytes = side.read(&reference(&file), &content(&file), 1..3).await.unwrap();
    assert_eq!(&bytes[..], b"la");
    let FileNext::CaughtUp(cursor) = page.next else { panic!("one page") };
    assert!(side.changes(Some(&cursor)).await.unwrap().changes.is_empty());
    desk.upload("", "new.txt", b"new").await.unwrap();
    let news = side.changes(Some(&cursor)).await.unwrap();
    assert!(matches!(&news.changes[..], [FileChange::Upsert(entry)] if entry.name == "new.txt"), "{news:?}");
}

#[tokio::test]
async fn writes_are_conditional_and_a_repeat_makes_no_second_file() {
    let desk = desk().await;
    let side = desk.side(&desk.world.admin, Records::All).await;
    let id = side.reserve(1).await.unwrap().remove(0);
    let mut upload = upload_of(&desk.company, "a.txt", b"one");
    upload.target = Target::New { id: Some(id.clone()), parent: folder(&desk.company), name: Name("a.txt".into()) };
    let made = side.put(&[(upload.clone(), Bytes::from_static(b"one"))]).await.unwrap().remove(0).unwrap().entry;
    assert_eq!(made.id, id);
    upload.attempt = Attempt::Again;
    let again = side.put(&[(upload, Bytes::from_static(b"one"))]).await.unwrap().remove(0).unwrap().entry;
    assert_eq!((again.id, desk.blobs.keys().len()), (id, 1));
    let other = upload_of(&desk.company, "a.txt", b"two");
    let taken = side.put(&[(other, Bytes::from_static(b"two"))]).await.unwrap().remove(0).unwrap_err();
    assert_eq!((taken.kind, desk.blobs.keys().len()), (ErrorKind::Conflict, 1));
    let replace = |expect: &Version| {
        let target = Target::Replace { entry: reference(&made), expect: expect.clone(), content: content(&made) };
        Upload { target, ..upload_of(&desk.company, "a.txt", b"three") }
    };
    let stale = side.put(&[(replace(&Version::new("7")), Bytes::from_static(b"three"))]).await.unwrap().remove(0);
    assert_eq!(stale.unwrap_err().kind, ErrorKind::Conflict);
    let new =
        side.put(&[(replace(&made.version), Bytes::from_static(b"three"))]).await.unwrap().remove(0).unwrap().entry;
    assert_eq!(new.id, made.id);
    // Who still reads the old bytes learns that they are no more.
    let old = side.read(&reference(&made), &content(&made), 0..3).await.unwrap_err();
    assert_eq!(old.kind, ErrorKind::Conflict);
    let folder_of = |id: &str| folder(id);
    let relocation = |expect: &Version| Relocation {
        entry: reference(&new),
        expect: expect.clone(),
        parent: folder_of(&desk.company),
        name: Name("b.txt".into()),
    };
    assert_eq!(side.relocate(&relocation(&made.version)).await.unwrap_err().kind, ErrorKind::Conflict);
    let moved = side.relocate(&relocation(&new.version)).await.unwrap();
    assert_eq!((&moved.id, moved.name.as_str()), (&made.id, "b.txt"));
    let removal =
        |expect: &Version| Removal { entry: reference(&moved), folder: FolderOrFile::File, expect: expect.clone() };
    let refused = side.remove(&[removal(&new.version)]).await.unwrap().remove(0).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    side.remove(&[removal(&moved.version)]).await.unwrap().remove(0).unwrap();
    side.remove(&[removal(&moved.version)]).await.unwrap().remove(0).unwrap();
    assert!(desk.blobs.keys().is_empty());
    assert_eq!(side.get(&[reference(&moved)]).await.unwrap()[0].as_ref().map(|entry| entry.name.clone()), None);
}

#[tokio::test]
async fn a_large_file_goes_on_where_its_parts_end_and_is_whole_or_not_there() {
    let desk = desk().await;
    let side = desk.side(&desk.world.admin, Records::All).await;
    let chunk = usize::try_from(CHUNK).unwrap();
    let bytes: Bytes = (0..2 * chunk + 5).map(|n| (n % 251).to_le_bytes()[0]).collect::<Vec<u8>>().into();
    let id = side.reserve(1).await.unwrap().remove(0);
    let mut upload = upload_of(&desk.company, "large.bin", &bytes);
    upload.target = Target::New { id: Some(id.clone()), parent: folder(&desk.company), name: Name("large.bin".into()) };
    let session = side.begin(&upload).await.unwrap();
    side.append(&session, &upload, CHUNK, bytes.slice(chunk..2 * chunk)).await.unwrap();
    assert!(matches!(side.status(&session, &upload, 0).await.unwrap(), SessionStatus::At(0)), "a gap");
    side.append(&session, &upload, 0, bytes.slice(..chunk)).await.unwrap();
    assert!(matches!(side.status(&session, &upload, 0).await.unwrap(), SessionStatus::At(at) if at == 2 * CHUNK));
    let there = || async { side.children(&[folder(&desk.company)], None).await.unwrap().entries.len() };
    assert_eq!(there().await, 0);
    let whole = Digests::of(&bytes);
    let stored = side.finish(&session, &upload, 2 * CHUNK, bytes.slice(2 * chunk..), &whole).await.unwrap();
    assert_eq!((stored.entry.id, there().await), (id, 1));
    assert!(matches!(side.status(&session, &upload, 0).await.unwrap(), SessionStatus::Done(_)));
}

#[tokio::test]
async fn all_files_are_listed_but_those_of_records_that_one_may_not_view() {
    let desk = desk().await;
    let admin = &desk.world.admin;
    let contact = object(json!({"last_name": "Peeters"}));
    let contact = desk.world.crm.create(admin, Kind::Contact, &contact).await.unwrap();
    desk.upload("Plans", "bridge plan.txt", b"1").await.unwrap();
    desk.upload_to(("contact", &contact.id), "", "letter.txt", b"2").await.unwrap();
    let new = NewUser { account: &admin.account, email: "bob@acme.test", name: "Bob", role: Role::Member };
    let bob = desk.world.users.create(new).await.unwrap();
    let rights = object(json!({"rights": {"modules": {"contacts": {"view": false}}}}));
    desk.world.crm.update(admin, Kind::User, &bob.id, None, &rights).await.unwrap();
    let bob = desk.world.users.by_id(&admin.account, &bob.id).await.unwrap().unwrap();
    let names = async |actor: &User, query: Query| {
        let (items, next) = desk.files.list_all(actor, &query).await.unwrap();
        assert_eq!(next, None);
        items
            .iter()
            .map(|file| format!("{}/{}", file["folder"].as_str().unwrap(), file["name"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(admin, Query::default()).await, ["Plans/bridge plan.txt", "/letter.txt"]);
    assert_eq!(names(&bob, Query::default()).await, ["Plans/bridge plan.txt"]);
    let q = |text: &str| Query { q: Some(text.to_owned()), ..Query::default() };
    assert_eq!(names(admin, q("plan BRIDGE")).await, ["Plans/bridge plan.txt"]);
    let later = Clock::now(desk.world.clock.as_ref()) + Duration::from_secs(1);
    assert!(names(admin, Query { updated_since: Some(later), ..Query::default() }).await.is_empty());
}

#[tokio::test]
async fn whoever_makes_a_project_may_file_in_it() {
    let desk = desk().await;
    let account = &desk.world.admin.account;
    let new = NewUser { account, email: "bob@acme.test", name: "Bob", role: Role::Member };
    let bob = desk.world.users.create(new).await.unwrap();
    let project = desk.world.crm.create(&bob, Kind::Project, &object(json!({"name": "Bridge"}))).await.unwrap();
    let subject = json!({"type": "project", "id": project.id});
    desk.files.begin(&bob, &object(json!({"subject": subject, "folder": "", "name": "a.txt"}))).await.unwrap();
}

#[tokio::test]
async fn a_projects_rights_decide_who_writes_its_files() {
    let desk = desk().await;
    let new = NewUser { account: &desk.world.admin.account, email: "bob@acme.test", name: "Bob", role: Role::Member };
    let bob = desk.world.users.create(new).await.unwrap();
    for (rights, may) in
        [(None, false), (Some("owners_and_assignees"), true), (Some("everyone"), true), (Some("owners"), false)]
    {
        let mut body = object(json!({"name": "Bridge", "owner": desk.world.admin.id, "assignees": [bob.id]}));
        if let Some(rights) = rights {
            body.insert("edit_rights".into(), json!(rights));
        }
        let project = desk.world.crm.create(&desk.world.admin, Kind::Project, &body).await.unwrap();
        let one = RecordRef { kind: "project".into(), id: project.id.clone() };
        let side = desk.side(&bob, Records::Some(vec![one])).await;
        let page = side.changes(None).await.unwrap();
        let [FileChange::Upsert(entry)] = &page.changes[..] else { panic!("{page:?}") };
        assert_eq!(entry.access == Access::Write, may, "{rights:?}");
        let put =
            side.put(&[(upload_of(&project.id, "a.txt", b"a"), Bytes::from_static(b"a"))]).await.unwrap().remove(0);
        assert_eq!(put.map_err(|error| error.kind).err(), (!may).then_some(ErrorKind::Forbidden), "{rights:?}");
        let new = NewFolder {
            id: None,
            parent: folder(&project.id),
            name: Name("F".into()),
            marker: Marker::new("f"),
            attempt: Attempt::First,
        };
        assert_eq!(side.create_folders(&[new]).await.unwrap()[0].is_ok(), may);
    }
}
