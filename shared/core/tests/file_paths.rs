//! What observations of paths do to the tree, as Dropbox tells them.
use tandem_core::files::entry::{Access, EntryKind, Hashes, Place};
use tandem_core::files::row::{FileRow, Role};
use tandem_core::files::settings::Language;
use tandem_core::files::tree::{Seen, Tree};
use tandem_core::record::{RemoteId, Side, Version};

fn tree() -> Tree {
    Tree::new(Vec::new(), (RemoteId::new("crm"), RemoteId::new("root")), Language::default())
}

fn seen(id: &str, key: &str, kind: EntryKind) -> Seen {
    Seen {
        id: RemoteId::new(id),
        place: Place::At { key: key.to_owned() },
        name: key.rsplit('/').next().expect("a path has a name").to_uppercase(),
        kind,
        version: Version::new("1"),
        modified_at: None,
        access: Access::Write,
        marker: None,
    }
}

fn folder(id: &str, key: &str) -> Seen {
    seen(id, key, EntryKind::Folder)
}

fn file(id: &str, key: &str) -> Seen {
    seen(id, key, EntryKind::File { size: 1, hashes: Hashes::none(), content: Version::new("1") })
}

fn by_id<'a>(tree: &'a Tree, id: &str) -> &'a FileRow {
    tree.by_id(Side::Right, &RemoteId::new(id)).unwrap_or_else(|| panic!("there is no {id}"))
}

fn path(tree: &Tree, id: &str) -> String {
    tree.path(Side::Right, Some(&RemoteId::new(id)))
}

#[test]
fn what_is_told_before_its_folder_is_kept_and_waits_for_it() {
    let mut tree = tree();
    tree.observe(Side::Right, &file("f", "a/b/f.txt"), 1).expect("it is below the root");
    tree.observe(Side::Right, &file("g", "a/g.txt"), 1).expect("it is below the root");
    let waiting = tree.rows().filter(|row| row.let_go.is_some()).count();
    assert_eq!((tree.rows().count(), waiting), (4, 2));
    tree.observe(Side::Right, &folder("b", "a/b"), 1);
    tree.observe(Side::Right, &folder("a", "a"), 1);
    assert_eq!((path(&tree, "f"), path(&tree, "g")), ("A/B/F.TXT".to_owned(), "A/G.TXT".to_owned()));
    assert_eq!(tree.rows().count(), 4);
    assert!(tree.rows().all(|row| row.let_go.is_none() && row.role == Role::Item));
    assert!(tree.unseen(Side::Right, 1).is_empty());
}

#[test]
fn a_folder_in_the_place_of_a_folder_keeps_what_is_in_it_and_what_both_agreed_on() {
    let mut tree = tree();
    tree.observe(Side::Right, &folder("old", "a"), 1);
    tree.observe(Side::Right, &file("f", "a/f.txt"), 1);
    let (above, within) = (by_id(&tree, "old").key.clone(), by_id(&tree, "f").key.clone());
    for key in [&above, &within] {
        tree.change(key, |row| {
            row.left.clone_from(&row.right);
            row.base = tandem_core::files::plan::base_of(row);
        });
    }
    tree.observe(Side::Right, &folder("new", "a"), 1);
    assert_eq!((&by_id(&tree, "new").key, &by_id(&tree, "f").key), (&above, &within));
    assert_eq!(path(&tree, "f"), "A/F.TXT");
    let base = by_id(&tree, "f").base.clone().unwrap();
    assert_eq!((base.right.parent, base.left.parent), (Some(RemoteId::new("new")), Some(RemoteId::new("old"))));
    assert_eq!(by_id(&tree, "new").base.clone().unwrap().right.id, RemoteId::new("new"));
}

#[test]
fn a_known_folder_that_comes_to_the_place_of_another_one_joins_what_is_in_both() {
    let mut tree = tree();
    for (id, key) in [("one", "a"), ("two", "b")] {
        tree.observe(Side::Right, &folder(id, key), 1);
        tree.observe(Side::Right, &file(&format!("in {id}"), &format!("{key}/{id}.txt")), 1);
    }
    tree.observe(Side::Right, &folder("two", "a"), 1);
    assert_eq!((path(&tree, "in one"), path(&tree, "in two")), ("A/ONE.TXT".to_owned(), "A/TWO.TXT".to_owned()));
    assert!(tree.by_id(Side::Right, &RemoteId::new("one")).is_none());
}

#[test]
fn a_file_in_the_place_of_a_folder_takes_all_of_it_away_and_a_folder_that_of_a_file() {
    let mut tree = tree();
    tree.observe(Side::Right, &folder("a", "a"), 1);
    tree.observe(Side::Right, &file("f", "a/f.txt"), 1);
    tree.observe(Side::Right, &file("b", "a"), 1);
    assert_eq!(tree.rows().map(|row| row.right.as_ref().unwrap().id.as_str()).collect::<Vec<_>>(), ["b"]);
    tree.observe(Side::Right, &file("g", "a/g.txt"), 1);
    assert!(tree.by_id(Side::Right, &RemoteId::new("b")).is_none());
    tree.observe(Side::Right, &folder("c", "a"), 1);
    assert_eq!(path(&tree, "g"), "A/G.TXT");
}
