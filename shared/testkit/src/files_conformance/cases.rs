//! The promises themselves, one function each.
#![expect(missing_docs, reason = "each name is the promise")]
use super::*;

pub async fn what_people_save_is_read_back_in_any_range(h: &dyn FilesHarness) {
    let side = h.side();
    let root = root(&*side).await;
    let bytes: Vec<u8> = (0..30_000).map(|at| b'a' + u8::try_from(at % 23).expect("small")).collect();
    h.user_saves("a.txt", &bytes);
    let entry = there(&*side, "a.txt").await;
    let EntryKind::File { size, .. } = &entry.kind else { panic!("a file") };
    assert_eq!(*size, bytes.len() as u64);
    for range in [0..30_000_u64, 10..20, 20..29_999, 29_999..30_000, 0..1] {
        let read = side.read(&entry_ref(&entry, &root), &content(&entry), range.clone()).await.expect("read");
        let wanted = usize::try_from(range.start).expect("fits")..usize::try_from(range.end).expect("fits");
        assert!(read.as_ref() == &bytes[wanted], "{range:?}");
    }
}

pub async fn the_root_is_made_once_and_never_in_place_of_one_that_was_removed(h: &dyn FilesHarness) {
    let side = h.side();
    let first = root(&*side).await;
    assert_eq!(root(&*side).await, first);
    assert_eq!(
        side.ensure_root(Some(&first.id), &NewRoot { name: "Other", ..new_root() }).await.expect("known"),
        first
    );
    let stranger = RemoteId::new("no-such-root");
    let refused = side.ensure_root(Some(&stranger), &new_root()).await.expect_err("unknown");
    assert_eq!(refused.kind, ErrorKind::NotFound);
}

pub async fn small_files_arrive_whole_and_read_back(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    let files: [(&str, &[u8]); 3] = [("empty.txt", b""), ("Zoë ünd 漢.txt", b"hello"), ("b.bin", &[7; 5000])];
    let mut batch = Vec::new();
    for (called, bytes) in files {
        batch.push((new_file(&*side, &root, called, bytes).await, bytes::Bytes::copy_from_slice(bytes)));
    }
    let stored = side.put(&batch).await.expect("a batch");
    assert_eq!(stored.len(), 3);
    for (outcome, (called, bytes)) in stored.into_iter().zip(files) {
        let entry = outcome.expect("stored").entry;
        assert_eq!(h.bytes(called).as_deref(), Some(bytes), "{called}");
        let EntryKind::File { size, hashes, .. } = &entry.kind else { panic!("a file") };
        assert_eq!(*size, bytes.len() as u64);
        assert_ne!(hashes.same(&Digests::of(bytes)), Some(false));
        let read = side.read(&entry_ref(&entry, &root), &content(&entry), 0..bytes.len() as u64).await;
        assert_eq!(read.expect("read").as_ref(), bytes);
    }
    let big = there(&*side, "b.bin").await;
    let part = side.read(&entry_ref(&big, &root), &content(&big), 4990..5000).await.expect("a part");
    assert_eq!(part.as_ref(), &[7; 10]);
}

pub async fn bytes_that_are_not_the_announced_ones_make_no_file(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    let mut upload = new_file(&*side, &root, "a.txt", b"right").await;
    upload.hashes = Digests::of(b"wrong");
    let refused = put(&*side, &upload, b"right").await.expect_err("refused");
    assert_eq!((refused.kind, h.count("a.txt")), (ErrorKind::Permanent, 0));
}

pub async fn a_creation_is_repeated_after_any_lost_answer_and_there_is_one_file(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    let mut uploads = Vec::new();
    for lost in 0..4 {
        let called = format!("file-{lost}.txt");
        uploads.push((called.clone(), new_file(&*side, &root, &called, b"once").await));
    }
    for (lost, (called, mut upload)) in uploads.into_iter().enumerate() {
        h.fault(lost, WireFault::LoseAnswer);
        let mut outcome = put(&*side, &upload, b"once").await;
        if may_repeat(&outcome) {
            upload.attempt = Attempt::Again;
            outcome = put(&*side, &upload, b"once").await;
            if may_repeat(&outcome) {
                outcome = put(&*side, &upload, b"once").await;
            }
        }
        outcome.expect("stored");
        assert_eq!(h.count(&called), 1, "answer {lost} lost");
    }
}

pub async fn another_file_of_that_name_is_never_written_over(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    h.user_saves("a.txt", b"theirs");
    let upload = new_file(&*side, &root, "a.txt", b"ours").await;
    let outcome = put(&*side, &upload, b"ours").await;
    if side.capabilities().names == Names::Repeatable {
        outcome.expect("beside it");
        assert_eq!(h.count("a.txt"), 2);
    } else {
        assert_eq!(outcome.expect_err("taken").kind, ErrorKind::Conflict);
        assert_eq!(h.bytes("a.txt").as_deref(), Some(&b"theirs"[..]));
    }
}

pub async fn a_replacement_needs_the_version_that_was_read(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    let stale = saved(&*side, &root, "a.txt", b"one").await;
    h.user_saves("a.txt", b"theirs");
    let refused = put(&*side, &replacement(&stale, &root, b"ours"), b"ours").await.expect_err("stale");
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert_eq!(h.bytes("a.txt").as_deref(), Some(&b"theirs"[..]));
    let now = there(&*side, "a.txt").await;
    let stored = put(&*side, &replacement(&now, &root, b"ours"), b"ours").await.expect("replaced").entry;
    assert_eq!(h.bytes("a.txt").as_deref(), Some(&b"ours"[..]));
    assert_eq!(stored.id == now.id, side.capabilities().replace_keeps_id);
    assert_ne!(content(&stored), content(&now));
    assert_eq!(h.count("a.txt"), 1);
}

pub async fn a_file_that_was_deleted_is_not_brought_back_by_a_replacement(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    let stale = saved(&*side, &root, "a.txt", b"one").await;
    h.user_deletes("a.txt");
    let refused = put(&*side, &replacement(&stale, &root, b"ours"), b"ours").await.expect_err("gone");
    assert!(matches!(refused.kind, ErrorKind::Conflict | ErrorKind::NotFound), "{refused}");
    assert_eq!(h.count("a.txt"), 0);
}

pub async fn a_read_of_bytes_that_were_replaced_is_a_conflict(h: &dyn FilesHarness) {
    let side = h.side();
    let root = root(&*side).await;
    h.user_saves("a.txt", b"first");
    let stale = there(&*side, "a.txt").await;
    h.user_saves("a.txt", b"other");
    let read = side.read(&entry_ref(&stale, &root), &content(&stale), 0..5).await;
    assert_eq!(read.expect_err("replaced").kind, ErrorKind::Conflict);
}

pub async fn a_large_file_goes_on_after_any_lost_answer(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    let size = 2 * CHUNK + 70_001;
    let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("small")).collect();
    let mut uploads = Vec::new();
    for lost in 0..5 {
        let called = format!("large-{lost}.bin");
        uploads.push((called.clone(), new_file(&*side, &root, &called, &bytes).await));
    }
    for (lost, (called, mut upload)) in uploads.into_iter().enumerate() {
        h.fault(lost, WireFault::LoseAnswer);
        let mut session = side.begin(&upload).await;
        if may_repeat(&session) {
            upload.attempt = Attempt::Again;
            session = side.begin(&upload).await;
        }
        let session = session.expect("a session");
        let stored = sent(&*side, &session, &upload, &bytes).await;
        let EntryKind::File { size: held, hashes, .. } = stored.entry.kind else { panic!("a file") };
        assert_eq!((held, hashes.same(&Digests::of(&bytes)) != Some(false)), (size, true));
        assert_eq!(h.count(&called), 1, "answer {lost} lost");
        assert!(h.bytes(&called).is_some_and(|held| held == bytes), "answer {lost} lost");
    }
}

async fn sent(
    side: &dyn FileSide,
    session: &tandem_ports::files::UploadSession,
    upload: &Upload,
    bytes: &[u8],
) -> Stored {
    let whole = Digests::of(bytes);
    let mut offset = 0;
    for _ in 0..20 {
        let last = offset + CHUNK >= upload.size;
        let until = (offset + CHUNK).min(upload.size);
        let range = usize::try_from(offset).expect("fits")..usize::try_from(until).expect("fits");
        let piece = bytes::Bytes::copy_from_slice(&bytes[range]);
        let failure = if last {
            match side.finish(session, upload, offset, piece, &whole).await {
                Ok(stored) => return stored,
                Err(failure) => failure,
            }
        } else {
            match side.append(session, upload, offset, piece).await {
                Ok(()) => {
                    offset = until;
                    continue;
                }
                Err(failure) => failure,
            }
        };
        assert!(matches!(failure.kind, ErrorKind::Retryable | ErrorKind::Conflict), "{failure}");
        match side.status(session, upload, offset).await.expect("a status") {
            SessionStatus::At(at) => offset = at,
            SessionStatus::Done(stored) => return *stored,
            SessionStatus::Lost => panic!("the session is lost"),
        }
    }
    panic!("it comes to no end")
}

pub async fn a_large_file_whose_hash_is_wrong_leaves_no_file(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    let bytes = vec![3; usize::try_from(CHUNK).expect("fits") + 9];
    let (first, last) = bytes.split_at(usize::try_from(CHUNK).expect("fits"));
    let whole = Digests::of(b"something else");
    let mut upload = new_file(&*side, &root, "a.bin", &bytes).await;
    upload.hashes = Hashes::none();
    for replaced in [None, Some(b"before")] {
        if let Some(before) = replaced {
            let entry = saved(&*side, &root, "a.bin", before).await;
            upload = Upload { hashes: Hashes::none(), ..replacement(&entry, &root, &bytes) };
        }
        let session = side.begin(&upload).await.expect("a session");
        side.append(&session, &upload, 0, bytes::Bytes::copy_from_slice(first)).await.expect("appended");
        let last = bytes::Bytes::copy_from_slice(last);
        let refused = side.finish(&session, &upload, CHUNK, last, &whole).await.expect_err("a mismatch");
        assert_eq!(refused.kind, ErrorKind::Permanent);
        assert_eq!(h.bytes("a.bin"), replaced.map(|before| before.to_vec()));
    }
}

pub async fn folders_are_made_once(h: &dyn FilesHarness) {
    let side = h.side();
    let root = root(&*side).await;
    let mut folders = Vec::new();
    for called in ["One", "Two", "Three"] {
        let id = match side.capabilities().reserves_ids {
            true => side.reserve(1).await.expect("an id").pop(),
            false => None,
        };
        folders.push(NewFolder {
            id,
            parent: root.clone(),
            name: name(called),
            marker: Marker::new(format!("row-{called}")),
            attempt: Attempt::First,
        });
    }
    if side.capabilities().max_depth == Some(0) {
        for refused in side.create_folders(&folders).await.expect("a call") {
            assert_eq!(refused.expect_err("there are no folders").kind, ErrorKind::Permanent);
        }
        return;
    }
    h.fault(0, WireFault::LoseAnswer);
    let first = side.create_folders(&folders).await;
    for folder in &mut folders {
        folder.attempt = Attempt::Again;
    }
    drop(first);
    let made: Vec<Entry> =
        side.create_folders(&folders).await.expect("made").into_iter().map(|made| made.expect("made")).collect();
    let again = side.create_folders(&folders).await.expect("there");
    for (entry, again) in made.iter().zip(again) {
        assert_eq!((&entry.kind, &entry.id), (&EntryKind::Folder, &again.expect("there").id));
        assert_eq!(h.count(&entry.name), usize::from(side.capabilities().empty_folders));
    }
}

/// A side that can neither move nor rename says so.
async fn stays(side: &dyn FileSide, h: &dyn FilesHarness) -> bool {
    if side.capabilities().stable_ids {
        return false;
    }
    let root = root(side).await;
    h.user_saves("a.txt", b"a");
    let a = there(side, "a.txt").await;
    let (entry, expect) = (entry_ref(&a, &root), a.version.clone());
    let refused = side.relocate(&Relocation { entry, expect, parent: root, name: name("b.txt") }).await;
    assert_eq!(refused.expect_err("it cannot").kind, ErrorKind::Permanent);
    assert_eq!((h.count("a.txt"), h.count("b.txt")), (1, 0));
    true
}

pub async fn a_folder_moves_in_one_step_with_all_that_is_in_it(h: &dyn FilesHarness) {
    let side = h.side();
    if stays(&*side, h).await {
        return;
    }
    let root = root(&*side).await;
    h.user_makes_folder("Old");
    h.user_makes_folder("Target");
    h.user_saves("Old/a.txt", b"inside");
    let (old, target) = (there(&*side, "Old").await, there(&*side, "Target").await);
    let inside = there(&*side, "Old/a.txt").await;
    let relocation = Relocation {
        entry: entry_ref(&old, &root),
        expect: old.version.clone(),
        parent: FolderRef { id: target.id.clone(), path: "Target".to_owned() },
        name: name("New"),
    };
    let moved = side.relocate(&relocation).await.expect("moved");
    assert_eq!((moved.name.as_str(), moved.id == old.id), ("New", side.capabilities().stable_ids));
    assert_eq!(h.bytes("Target/New/a.txt").as_deref(), Some(&b"inside"[..]));
    assert_eq!(h.count("Old"), 0);
    if side.capabilities().stable_ids {
        assert_eq!(there(&*side, "Target/New/a.txt").await.id, inside.id);
    }
    let stale = side.relocate(&Relocation { name: name("Else"), ..relocation }).await.expect_err("it moved");
    assert_eq!(stale.kind, ErrorKind::Conflict);
}

pub async fn a_move_never_takes_the_place_of_another(h: &dyn FilesHarness) {
    let side = h.side();
    if stays(&*side, h).await {
        return;
    }
    let root = root(&*side).await;
    h.user_saves("a.txt", b"a");
    h.user_saves("b.txt", b"b");
    let a = there(&*side, "a.txt").await;
    let relocation = Relocation {
        entry: entry_ref(&a, &root),
        expect: a.version.clone(),
        parent: root.clone(),
        name: name("b.txt"),
    };
    let outcome = side.relocate(&relocation).await;
    if side.capabilities().names == Names::Repeatable {
        outcome.expect("beside it");
        assert_eq!(h.count("b.txt"), 2);
    } else {
        assert_eq!(outcome.expect_err("taken").kind, ErrorKind::Conflict);
        assert_eq!(h.bytes("b.txt").as_deref(), Some(&b"b"[..]));
    }
}

pub async fn an_edited_file_is_not_removed_and_a_gone_one_is_removed_already(h: &dyn FilesHarness) {
    if takes_nothing(h).await {
        return;
    }
    let side = h.side();
    let root = root(&*side).await;
    let stale = saved(&*side, &root, "a.txt", b"one").await;
    let other = saved(&*side, &root, "b.txt", b"two").await;
    h.user_saves("a.txt", b"edited");
    let removal = |entry: &Entry| Removal {
        entry: entry_ref(entry, &root),
        folder: FolderOrFile::File,
        expect: entry.version.clone(),
    };
    let outcomes = side.remove(&[removal(&stale), removal(&other)]).await.expect("a batch");
    let kinds: Vec<Option<ErrorKind>> = outcomes.into_iter().map(|o| o.err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::Conflict), None]);
    assert_eq!((h.count("a.txt"), h.count("b.txt")), (1, 0));
    assert!(side.remove(&[removal(&other)]).await.expect("a call")[0].is_ok());
    let got = side.get(&[entry_ref(&stale, &root), entry_ref(&other, &root)]).await.expect("read");
    assert_eq!(got.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    if !side.capabilities().empty_folders {
        return;
    }
    h.user_makes_folder("Folder");
    let folder = there(&*side, "Folder").await;
    let removal = Removal { folder: FolderOrFile::Folder, ..removal(&folder) };
    assert!(side.remove(&[removal]).await.expect("a call")[0].is_ok());
    assert_eq!(h.count("Folder"), 0);
}

pub async fn a_folder_that_something_has_come_into_is_not_removed(h: &dyn FilesHarness) {
    let side = h.side();
    if !side.capabilities().empty_folders {
        return;
    }
    let root = root(&*side).await;
    h.user_makes_folder("Full");
    h.user_makes_folder("Empty");
    if !side.capabilities().empty_folders {
        h.user_saves("Full/late.txt", b"late");
        h.user_saves("Empty/early.txt", b"early");
    }
    let (full, empty) = (there(&*side, "Full").await, there(&*side, "Empty").await);
    if side.capabilities().empty_folders {
        h.user_saves("Full/late.txt", b"late");
    } else {
        h.user_deletes("Empty/early.txt");
    }
    let removal = |entry: &Entry| Removal {
        entry: entry_ref(entry, &root),
        folder: FolderOrFile::Folder,
        expect: entry.version.clone(),
    };
    let outcomes = side.remove(&[removal(&full), removal(&empty)]).await.expect("a batch");
    let kinds: Vec<Option<ErrorKind>> = outcomes.into_iter().map(|o| o.err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::Conflict), None]);
    assert_eq!((h.bytes("Full/late.txt").as_deref(), h.count("Empty")), (Some(&b"late"[..]), 0));
    h.user_deletes("Full/late.txt");
    assert!(side.remove(&[removal(&full)]).await.expect("a call")[0].is_ok());
    assert_eq!(h.count("Full"), 0);
}

pub async fn the_feed_tells_what_people_did_and_then_is_quiet(h: &dyn FilesHarness) {
    let side = h.side();
    let root = root(&*side).await;
    h.user_saves("stays.txt", b"1");
    h.user_saves("goes.txt", b"1");
    let (goes, before) = (there(&*side, "goes.txt").await, there(&*side, "stays.txt").await);
    let mut cursor = caught_up(&*side, None).await.1;
    h.user_saves("stays.txt", b"2");
    h.user_saves("new.txt", b"3");
    h.user_deletes("goes.txt");
    let (changes, next) = caught_up(&*side, Some(cursor)).await;
    cursor = next;
    if side.capabilities().listing == Listing::Polled {
        assert!(!changes.is_empty(), "the record is told again, to be read");
        let now = tree(&*side).await;
        let (stays, new) = (&now["stays.txt"], now.contains_key("new.txt"));
        assert_eq!((stays.version == before.version, new, now.contains_key("goes.txt")), (false, true, false));
        assert!(side.get(&[entry_ref(&goes, &root)]).await.expect("read")[0].is_none());
        return;
    }
    let upserts: Vec<&str> = changes
        .iter()
        .filter_map(|change| match change {
            FileChange::Upsert(entry) => Some(entry.name.as_str()),
            FileChange::Gone { .. } | FileChange::GoneAt { .. } | FileChange::Outside { .. } => None,
        })
        .collect();
    assert!(upserts.contains(&"stays.txt") && upserts.contains(&"new.txt"), "{upserts:?}");
    let told = changes.iter().any(|change| match change {
        FileChange::Gone { id } => *id == goes.id,
        FileChange::GoneAt { key } => key == "goes.txt",
        FileChange::Upsert(_) | FileChange::Outside { .. } => false,
    });
    assert!(told, "a deletion is told");
    assert!(caught_up(&*side, Some(cursor)).await.0.is_empty(), "nothing new");
}

async fn caught_up(
    side: &dyn FileSide,
    mut from: Option<tandem_ports::connector::Cursor>,
) -> (Vec<FileChange>, tandem_ports::connector::Cursor) {
    let mut changes = Vec::new();
    loop {
        let page = side.changes(from.as_ref()).await.expect("a page");
        changes.extend(page.changes);
        match page.next {
            FileNext::More(cursor) => from = Some(cursor),
            FileNext::CaughtUp(cursor) | FileNext::Paused(cursor) => return (changes, cursor),
        }
    }
}

pub async fn an_expired_cursor_is_named_so(h: &dyn FilesHarness) {
    let side = h.side();
    root(&*side).await;
    let (_, cursor) = caught_up(&*side, None).await;
    h.expire_cursors();
    let outcome = side.changes(Some(&cursor)).await;
    match side.capabilities().cursors_expire {
        true => assert_eq!(outcome.expect_err("expired").kind, ErrorKind::CursorExpired),
        false => drop(outcome.expect("it never expires")),
    }
    let strange = tandem_ports::connector::Cursor("of another release".to_owned());
    assert_eq!(side.changes(Some(&strange)).await.expect_err("unknown").kind, ErrorKind::CursorExpired);
}

pub async fn each_trouble_has_its_kind(h: &dyn FilesHarness) {
    let side = h.side();
    root(&*side).await;
    let (_, cursor) = caught_up(&*side, None).await;
    let wait = Some(std::time::Duration::from_secs(9));
    let expected = [
        (WireFault::Throttle(9), ErrorKind::Throttled { retry_after: wait }),
        (WireFault::ServerError, ErrorKind::Retryable),
        (WireFault::LoseAnswer, ErrorKind::Retryable),
        (WireFault::Revoke, ErrorKind::AuthRevoked),
    ];
    for (fault, kind) in expected {
        h.fault(0, fault);
        assert_eq!(side.changes(Some(&cursor)).await.expect_err("trouble").kind, kind, "{fault:?}");
    }
}
