//! What a plan says of files that it does nothing with.
use tandem_core::files::entry::{Access, EntryKind, Hashes, Place};
use tandem_core::files::name::NameRules;
use tandem_core::files::plan::{
    Act, FilePolicy, NameMatch, Plan, Relocates, RootOf, SideRules, Step, World, base_of, plan,
};
use tandem_core::files::row::{FileRow, Role};
use tandem_core::files::settings::{Language, NativeDocuments, OnRename};
use tandem_core::files::tree::{Seen, Tree};
use tandem_core::plan::Reason;
use tandem_core::policy::{Conflict, Direction, OnDelete};
use tandem_core::record::{RemoteId, Side, Version};

fn seen(id: &str, parent: &str, kind: EntryKind) -> Seen {
    Seen {
        id: RemoteId::new(id),
        place: Place::In { parent: RemoteId::new(parent) },
        name: format!("{id}.txt"),
        kind,
        version: Version::new("1"),
        modified_at: None,
        access: Access::Write,
        marker: None,
    }
}

fn planned(tree: &Tree) -> Plan {
    let rules = |names, safe| SideRules {
        names,
        safe,
        relocates: Relocates::Yes,
        max_depth: None,
        max_bytes: None,
        root: RootOf::Any,
    };
    let policy = FilePolicy {
        direction: Direction::Both,
        conflict: Conflict::Crm,
        on_crm_delete: OnDelete::Propagate,
        on_remote_delete: OnDelete::Unlink,
        on_remote_rename: OnRename::Rename,
        google_native: NativeDocuments::Skip,
        max_file_bytes: None,
        max_delete_percent: 50,
    };
    plan(&World {
        tree,
        policy: &policy,
        left: &rules(NameMatch::Exact, NameRules::Path),
        right: &rules(NameMatch::Folded, NameRules::Desktop),
        today: jiff::civil::date(2026, 1, 15),
        run: None,
    })
}

/// As after a person deleted the record's folder at the remote, with all that was in it.
fn deleted_at_the_remote(tree: &mut Tree, code: &str) {
    for row in tree.rows().filter(|row| row.role != Role::Module).map(|row| row.key.clone()).collect::<Vec<_>>() {
        tree.change(&row, |row| row.right = None);
    }
    let record = tree.by_id(Side::Left, &RemoteId::new(RECORD)).expect("the record").key.clone();
    tree.change(&record, |row| row.let_go = Some(Reason::new(code, "It is gone.")));
}

#[test]
fn what_comes_into_a_folder_that_was_let_go_is_left_out_with_the_reason() {
    let mut tree = in_step(&[]);
    let new = tree.observe(Side::Left, &file("new"), 1).unwrap();
    assert!(planned(&tree).excluded.is_empty());
    deleted_at_the_remote(&mut tree, "not_selected");
    let plan = planned(&tree);
    let reason = &plan.excluded[&new];
    assert_eq!((reason.code.as_str(), plan.excluded.len(), plan.steps.len()), ("not_selected", 1, 0));
    assert_eq!(reason.message, "Its folder is no longer kept in step: It is gone.");
}

fn ready_first(tree: &Tree) -> Vec<Step> {
    let mut steps = planned(tree).steps;
    steps.sort_by_key(|step| !step.ready);
    steps
}

#[test]
fn a_new_file_brings_its_folder_back_that_people_deleted_at_the_remote_and_nothing_else() {
    let mut tree = in_step(&["old"]);
    deleted_at_the_remote(&mut tree, "deleted_remotely");
    assert!(planned(&tree).steps.is_empty(), "what was deleted there is not put back");

    let new = tree.observe(Side::Left, &file("new"), 1).unwrap();
    let old = tree.by_id(Side::Left, &RemoteId::new("old")).unwrap().key.clone();
    // First the old one is let go by itself; it would count as deleted anew in a folder that is there.
    let [first, second] = ready_first(&tree).try_into().unwrap();
    let (Act::LetGo(reason), Act::Write { .. }) = (&first.act, &second.act) else { panic!("{first:?} {second:?}") };
    assert_eq!((&first.row, first.ready, &second.row, second.ready), (&old, true, &new, false));
    tree.change(&old, |row| row.let_go = Some(reason.clone()));
    // Then the folder is made, and the file waits for it.
    let record = tree.by_id(Side::Left, &RemoteId::new(RECORD)).expect("the record").key.clone();
    let [folder, file] = ready_first(&tree).try_into().unwrap();
    assert!(matches!(folder.act, Act::CreateFolder { on: Side::Right, .. }), "{folder:?}");
    assert_eq!((&folder.row, folder.ready, &file.row, file.ready), (&record, true, &new, false));
    tree.change(&record, |row| {
        row.let_go = None;
        beside(row);
    });
    let [file] = planned(&tree).steps.try_into().unwrap();
    assert!(matches!(file.act, Act::Write { to: Side::Right, .. }) && file.ready && file.row == new, "{file:?}");
}

#[test]
fn an_edited_file_brings_the_folder_back_that_people_deleted_at_the_remote() {
    let mut tree = in_step(&["a", "b"]);
    deleted_at_the_remote(&mut tree, "deleted_remotely");
    let kind = EntryKind::File { size: 2, hashes: Hashes::none(), content: Version::new("2") };
    tree.observe(Side::Left, &Seen { kind, ..file("a") }, 1);
    let mut acts: Vec<String> = planned(&tree).steps.iter().map(|step| format!("{:?}", step.act)).collect();
    acts.sort();
    assert!(acts[0].starts_with("LetGo") && acts[1].starts_with("Write") && acts.len() == 2, "{acts:?}");
}

const RECORD: &str = "record";

/// A record with these files on both sides, in step.
fn in_step(names: &[&str]) -> Tree {
    let mut tree = Tree::new(Vec::new(), (RemoteId::new("crm"), RemoteId::new("root")), Language::default());
    let kind = EntryKind::Record { module: "companies".to_owned(), number: "1".to_owned() };
    let record = tree.observe(Side::Left, &seen(RECORD, "crm", kind), 1).expect("a row");
    let module = tree.parent(Side::Left, tree.row(&record).expect("the record")).expect("its module").key.clone();
    tree.change(&module, beside);
    tree.change(&record, beside);
    for name in names {
        let key = tree.observe(Side::Left, &file(name), 1).expect("a row");
        tree.change(&key, beside);
    }
    tree
}

fn file(id: &str) -> Seen {
    seen(id, RECORD, EntryKind::File { size: 1, hashes: Hashes::none(), content: Version::new("1") })
}

/// The same at the remote, agreed on.
fn beside(row: &mut FileRow) {
    row.right.clone_from(&row.left);
    if let (Some(right), true) = (row.right.as_mut(), row.role != Role::Item) {
        (right.kind, right.access) = (EntryKind::Folder, Access::Write);
        right.name.push_str(if row.role == Role::Record { " (1)" } else { "" });
    }
    row.base = base_of(row);
}

fn renamed(tree: &mut Tree, id: &str, name: &str) {
    tree.observe(Side::Right, &Seen { name: format!("{name}.txt"), ..file(id) }, 1);
}

/// What is written or renamed: the name it gets, and whether that can be done now.
fn names(tree: &Tree) -> Vec<(String, bool)> {
    let named = |step: &Step| {
        let (Act::Relocate { target, .. } | Act::Write { new: Some(target), .. }) = &step.act else { return None };
        Some((target.name.clone(), step.ready))
    };
    let mut names: Vec<_> = planned(tree).steps.iter().filter_map(named).collect();
    names.sort();
    names
}

#[test]
fn a_name_that_is_about_to_be_free_is_waited_for() {
    let mut tree = in_step(&["a", "b", "c"]);
    renamed(&mut tree, "c", "d");
    renamed(&mut tree, "b", "c");
    renamed(&mut tree, "a", "b");
    let expected = [("b.txt", false), ("c.txt", false), ("d.txt", true)];
    assert_eq!(names(&tree), expected.map(|(name, ready)| (name.to_owned(), ready)));

    let mut tree = in_step(&["report"]);
    renamed(&mut tree, "report", "report-old");
    tree.observe(Side::Right, &Seen { name: "report.txt".to_owned(), ..file("new") }, 1);
    let expected = [("report-old.txt", true), ("report.txt", false)];
    assert_eq!(names(&tree), expected.map(|(name, ready)| (name.to_owned(), ready)));
}

#[test]
fn entries_that_change_names_do_not_wait_for_each_other() {
    let mut tree = in_step(&["a", "b"]);
    renamed(&mut tree, "a", "b");
    renamed(&mut tree, "b", "a");
    assert!(names(&tree).iter().all(|(_, ready)| *ready));
    assert_eq!(names(&tree).len(), 2);
}
