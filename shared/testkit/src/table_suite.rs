//! What every back-end of [`Table`] promises: one function per promise, each in a partition of its own.
//!
//! The functions panic when the promise is broken. [`PROMISES`] lists all of them, so that no back-end leaves one out.
use futures::future::{BoxFuture, FutureExt as _, join_all};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tandem_ports::table::{Condition, Index, Item, Key, Op, Page, Query, Table, TableError, Update, Write};

/// A table under test.
pub type Subject = Arc<dyn Table>;

/// A promise: its name and its check. The second argument keeps partitions of repeated runs apart.
pub type Promise = (&'static str, fn(Subject, String) -> BoxFuture<'static, ()>);

macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        /// Every promise.
        pub const PROMISES: &[Promise] = &[$((stringify!($name), |table, pk| $name(table, pk).boxed())),*];
    };
}

promises![
    an_item_comes_back_as_it_was_written,
    answers_are_in_the_order_of_the_keys,
    calls_larger_than_one_request_are_split,
    a_null_attribute_is_not_stored,
    a_put_replaces_the_whole_item,
    deleting_what_is_not_there_succeeds,
    a_query_pages_through_a_partition_in_order,
    a_query_keeps_to_its_prefix_and_bounds,
    a_query_goes_backwards,
    the_due_index_lists_by_time_up_to_a_bound,
    an_item_leaves_the_due_index_with_its_attributes,
    a_transaction_is_all_or_nothing_and_names_the_failed_operation,
    a_transaction_puts_updates_deletes_and_checks,
    every_condition_holds_and_fails_as_it_says,
    an_update_sets_adds_removes_and_answers_the_whole_item,
    an_update_under_a_failed_condition_changes_nothing,
    of_many_conditional_creates_exactly_one_wins,
    additions_made_at_once_are_all_counted,
];

/// Checks all promises, one after the other; the panic of a broken one names it.
pub async fn check_all(table: Subject, salt: &str) {
    for (name, promise) in PROMISES {
        promise(Arc::clone(&table), format!("SUITE#{name}#{salt}")).await;
    }
}

fn attributes(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            panic!("attributes are an object")
        }
    }
}

fn item(pk: &str, sk: &str, value: Value) -> Item {
    Item { key: Key::new(pk, sk), attributes: attributes(value) }
}

fn update(set: Value, add: &[(&'static str, i64)]) -> Update {
    Update { set: attributes(set), add: add.to_vec() }
}

async fn put(table: &Subject, items: Vec<Item>) {
    table.write(&items.into_iter().map(Write::Put).collect::<Vec<_>>()).await.expect("written");
}

async fn one(table: &Subject, pk: &str, sk: &str) -> Option<Item> {
    table.get(&[Key::new(pk, sk)]).await.expect("read").remove(0)
}

fn all_of(pk: &str) -> Query {
    Query {
        pk: pk.to_owned(),
        index: Index::Main,
        prefix: String::new(),
        after: None,
        up_to: None,
        descending: false,
        limit: 100,
    }
}

async fn keys(table: &Subject, query: &Query) -> Vec<String> {
    names(&table.query(query).await.expect("a page"))
}

fn names(page: &Page) -> Vec<String> {
    page.items.iter().map(|item| item.key.sk.clone()).collect()
}

fn condition_failed(result: Result<(), TableError>, index: usize) {
    match result {
        Err(TableError::Condition(at)) => assert_eq!(at, index, "the failed operation"),
        other => panic!("expected the failed condition {index}, got {other:?}"),
    }
}

async fn an_item_comes_back_as_it_was_written(table: Subject, pk: String) {
    let written = item(
        &pk,
        "a",
        json!({"text": "Zoë ß 😀", "empty": "", "n": -7, "big": 9_007_199_254_740_993_i64, "yes": true, "no": false,
               "list": [1, "x", null, {"y": []}], "map": {"in": {"deep": null}}}),
    );
    put(&table, vec![written.clone()]).await;
    assert_eq!(one(&table, &pk, "a").await, Some(written));
    assert_eq!(one(&table, &pk, "b").await, None);
}

async fn answers_are_in_the_order_of_the_keys(table: Subject, pk: String) {
    put(&table, ["c", "a", "b"].map(|sk| item(&pk, sk, json!({"is": sk}))).to_vec()).await;
    let asked = ["b", "missing", "c", "a"].map(|sk| Key::new(&pk, sk));
    let found: Vec<Option<String>> =
        table.get(&asked).await.expect("read").into_iter().map(|item| item.map(|item| item.key.sk)).collect();
    assert_eq!(found, [Some("b".to_owned()), None, Some("c".to_owned()), Some("a".to_owned())]);
    assert!(table.get(&[]).await.expect("nothing asked").is_empty());
}

async fn calls_larger_than_one_request_are_split(table: Subject, pk: String) {
    let sks: Vec<String> = (0..230).map(|n| format!("{n:04}")).collect();
    put(&table, sks.iter().map(|sk| item(&pk, sk, json!({"v": sk}))).collect()).await;
    let found = table.get(&sks.iter().map(|sk| Key::new(&pk, sk)).collect::<Vec<_>>()).await.expect("read");
    let found: Vec<String> = found.into_iter().map(|item| item.expect("written before").key.sk).collect();
    assert_eq!(found, sks);
}

async fn a_null_attribute_is_not_stored(table: Subject, pk: String) {
    put(&table, vec![item(&pk, "a", json!({"gone": null, "kept": 1}))]).await;
    assert_eq!(one(&table, &pk, "a").await.expect("there").attributes, attributes(json!({"kept": 1})));
}

async fn a_put_replaces_the_whole_item(table: Subject, pk: String) {
    put(&table, vec![item(&pk, "a", json!({"old": 1, "both": 1}))]).await;
    put(&table, vec![item(&pk, "a", json!({"both": 2}))]).await;
    assert_eq!(one(&table, &pk, "a").await.expect("there").attributes, attributes(json!({"both": 2})));
}

async fn deleting_what_is_not_there_succeeds(table: Subject, pk: String) {
    put(&table, vec![item(&pk, "a", json!({}))]).await;
    let deletions = ["a", "never"].map(|sk| Write::Delete(Key::new(&pk, sk)));
    table.write(&deletions).await.expect("deleted");
    assert_eq!(one(&table, &pk, "a").await, None);
    table.transact(&[Op::Delete(Key::new(&pk, "a"), vec![])]).await.expect("deleted again");
}

async fn a_query_pages_through_a_partition_in_order(table: Subject, pk: String) {
    let sks: Vec<String> = (0..25).map(|n| format!("row:{n:02}")).collect();
    put(&table, sks.iter().rev().map(|sk| item(&pk, sk, json!({}))).collect()).await;
    put(&table, vec![item(&format!("{pk}+"), "row:xx", json!({}))]).await;
    let (mut seen, mut query) = (Vec::new(), Query { limit: 10, ..all_of(&pk) });
    loop {
        let page = table.query(&query).await.expect("a page");
        assert!(page.items.len() <= 10, "a page keeps to its limit");
        seen.extend(names(&page));
        query.after = seen.last().cloned();
        if !page.more {
            break;
        }
        assert!(seen.len() <= sks.len(), "paging ends");
    }
    assert_eq!(seen, sks);
}

async fn a_query_keeps_to_its_prefix_and_bounds(table: Subject, pk: String) {
    put(&table, ["a:1", "b:1", "b:2", "b:3", "b:é", "c:1"].map(|sk| item(&pk, sk, json!({}))).to_vec()).await;
    let prefix = Query { prefix: "b:".to_owned(), ..all_of(&pk) };
    assert_eq!(keys(&table, &prefix).await, ["b:1", "b:2", "b:3", "b:é"]);
    let after = |sk: &str| Query { after: Some(sk.to_owned()), ..prefix.clone() };
    assert_eq!(keys(&table, &after("b:2")).await, ["b:3", "b:é"]);
    assert_eq!(keys(&table, &after("a:9")).await.len(), 4, "a mark before the prefix changes nothing");
    assert!(keys(&table, &after("c:0")).await.is_empty(), "a mark behind the prefix leaves nothing");
    let up_to = Query { up_to: Some("b:2".to_owned()), ..prefix.clone() };
    assert_eq!(keys(&table, &up_to).await, ["b:1", "b:2"]);
    let bounded = Query { after: Some("a:1".to_owned()), up_to: Some("b:2".to_owned()), ..all_of(&pk) };
    assert_eq!(keys(&table, &bounded).await, ["b:1", "b:2"]);
    assert!(keys(&table, &all_of("SUITE#nobody")).await.is_empty());
}

async fn a_query_goes_backwards(table: Subject, pk: String) {
    put(&table, ["a:1", "b:1", "b:2", "b:3", "c:1"].map(|sk| item(&pk, sk, json!({}))).to_vec()).await;
    let query = Query { prefix: "b:".to_owned(), descending: true, limit: 2, ..all_of(&pk) };
    let page = table.query(&query).await.expect("a page");
    assert_eq!((names(&page), page.more), (vec!["b:3".to_owned(), "b:2".to_owned()], true));
    let rest = Query { after: Some("b:2".to_owned()), ..query.clone() };
    assert_eq!(keys(&table, &rest).await, ["b:1"]);
    let below_missing = Query { after: Some("b:25".to_owned()), ..query };
    assert_eq!(keys(&table, &below_missing).await, ["b:2", "b:1"]);
}

async fn the_due_index_lists_by_time_up_to_a_bound(table: Subject, pk: String) {
    let due = format!("due#{pk}");
    let at = |sk: &str, time: &str| item(&pk, sk, json!({"due_pk": due, "due_sk": time, "payload": sk}));
    put(&table, vec![at("x", "2026-01-03"), at("y", "2026-01-01"), at("z", "2026-01-02")]).await;
    put(&table, vec![item(&pk, "asleep", json!({"payload": "asleep"}))]).await;
    let query = Query { index: Index::Due, up_to: Some("2026-01-02~".to_owned()), ..all_of(&due) };
    let page = eventually(&table, &query, |page| page.items.len() == 2).await;
    assert_eq!(names(&page), ["y", "z"]);
    assert_eq!(page.items[0], at("y", "2026-01-01"), "the whole item is in the index");
    let rest = Query { after: Some("2026-01-01".to_owned()), ..query };
    assert_eq!(keys(&table, &rest).await, ["z"]);
}

async fn an_item_leaves_the_due_index_with_its_attributes(table: Subject, pk: String) {
    let due = format!("due#{pk}");
    put(&table, vec![item(&pk, "x", json!({"due_pk": due, "due_sk": "1"}))]).await;
    let query = Query { index: Index::Due, ..all_of(&due) };
    eventually(&table, &query, |page| page.items.len() == 1).await;
    let asleep = update(json!({"due_pk": null, "due_sk": null}), &[]);
    table.update(&Key::new(&pk, "x"), &asleep, &[]).await.expect("updated");
    eventually(&table, &query, |page| page.items.is_empty()).await;
}

/// The due index may lag; a test asks again for a bounded number of times.
async fn eventually(table: &Subject, query: &Query, good: impl Fn(&Page) -> bool) -> Page {
    let mut page = table.query(query).await.expect("a page");
    for _ in 0..1_000 {
        if good(&page) {
            return page;
        }
        tokio::task::yield_now().await;
        page = table.query(query).await.expect("a page");
    }
    panic!("the index never showed it; the last page was {page:?}");
}

async fn a_transaction_is_all_or_nothing_and_names_the_failed_operation(table: Subject, pk: String) {
    put(&table, ["taken", "other"].map(|sk| item(&pk, sk, json!({}))).to_vec()).await;
    let ops = [
        Op::Put(item(&pk, "new", json!({})), vec![Condition::Absent]),
        Op::Check(Key::new(&pk, "other"), vec![Condition::Present]),
        Op::Put(item(&pk, "taken", json!({"x": 1})), vec![Condition::Absent]),
    ];
    condition_failed(table.transact(&ops).await, 2);
    assert_eq!(one(&table, &pk, "new").await, None);
    assert_eq!(one(&table, &pk, "taken").await, Some(item(&pk, "taken", json!({}))));
}

async fn a_transaction_puts_updates_deletes_and_checks(table: Subject, pk: String) {
    put(&table, vec![item(&pk, "old", json!({})), item(&pk, "count", json!({"n": 1, "gone": 1}))]).await;
    let ops = [
        Op::Put(item(&pk, "new", json!({"a": 1})), vec![]),
        Op::Update(Key::new(&pk, "count"), update(json!({"gone": null}), &[("n", 2)]), vec![Condition::Present]),
        Op::Delete(Key::new(&pk, "old"), vec![Condition::Present]),
        Op::Check(Key::new(&pk, "nobody"), vec![Condition::Absent]),
        Op::Update(Key::new(&pk, "touched"), Update::default(), vec![]),
    ];
    table.transact(&ops).await.expect("done");
    assert_eq!(one(&table, &pk, "new").await, Some(item(&pk, "new", json!({"a": 1}))));
    assert_eq!(one(&table, &pk, "count").await, Some(item(&pk, "count", json!({"n": 3}))));
    assert_eq!(one(&table, &pk, "old").await, None);
    assert_eq!(one(&table, &pk, "touched").await, Some(item(&pk, "touched", json!({}))));
    table.transact(&[]).await.expect("nothing to do");
}

async fn every_condition_holds_and_fails_as_it_says(table: Subject, pk: String) {
    let equals = |value: Value| Condition::Equals("text", value);
    put(&table, vec![item(&pk, "x", json!({"n": 5, "text": "a", "list": [1]}))]).await;
    let on_item = [
        (Condition::Absent, false),
        (Condition::Present, true),
        (equals(json!("a")), true),
        (equals(json!("b")), false),
        (equals(json!(1)), false),
        (Condition::Equals("n", json!(5)), true),
        (Condition::Equals("list", json!([1])), true),
        (Condition::Equals("missing", json!("a")), false),
        (Condition::AbsentOrAtMost("n", 5), true),
        (Condition::AbsentOrAtMost("n", 4), false),
        (Condition::AbsentOrAtMost("missing", 0), true),
        (Condition::AbsentOrAtMost("text", 5), false),
        (Condition::GreaterThan("n", 4), true),
        (Condition::GreaterThan("n", 5), false),
        (Condition::GreaterThan("missing", 0), false),
        (Condition::AttributeAbsent("missing"), true),
        (Condition::AttributeAbsent("n"), false),
    ];
    let on_nothing = [
        (Condition::Absent, true),
        (Condition::Present, false),
        (equals(json!("a")), false),
        (Condition::AbsentOrAtMost("n", 0), true),
        (Condition::GreaterThan("n", 0), false),
        (Condition::AttributeAbsent("n"), true),
    ];
    let cases = on_item.into_iter().map(|c| ("x", c)).chain(on_nothing.into_iter().map(|c| ("nothing", c)));
    for (sk, (condition, holds)) in cases {
        let answer = table.transact(&[Op::Check(Key::new(&pk, sk), vec![condition.clone()])]).await;
        assert_eq!(answer.is_ok(), holds, "{condition:?} on {sk}");
        let both = vec![Condition::AttributeAbsent("never"), condition.clone()];
        let answer = table.transact(&[Op::Check(Key::new(&pk, sk), both)]).await;
        assert_eq!(answer.is_ok(), holds, "{condition:?} beside another on {sk}");
    }
}

async fn an_update_sets_adds_removes_and_answers_the_whole_item(table: Subject, pk: String) {
    let key = Key::new(&pk, "x");
    let first = table.update(&key, &update(json!({"a": "1", "name": "reserved"}), &[("n", 3)]), &[]).await;
    assert_eq!(first.expect("made"), item(&pk, "x", json!({"a": "1", "name": "reserved", "n": 3})));
    let second = table.update(&key, &update(json!({"a": null, "b": [2]}), &[("n", -1)]), &[Condition::Present]).await;
    assert_eq!(second.expect("changed"), item(&pk, "x", json!({"b": [2], "name": "reserved", "n": 2})));
    let touched = table.update(&Key::new(&pk, "y"), &Update::default(), &[]).await.expect("made");
    assert_eq!(touched, item(&pk, "y", json!({})));
}

async fn an_update_under_a_failed_condition_changes_nothing(table: Subject, pk: String) {
    let key = Key::new(&pk, "x");
    let answer = table.update(&key, &update(json!({"a": 1}), &[]), &[Condition::Present]).await;
    condition_failed(answer.map(|_| ()), 0);
    assert_eq!(one(&table, &pk, "x").await, None);
}

async fn of_many_conditional_creates_exactly_one_wins(table: Subject, pk: String) {
    let attempts = (0..20).map(|n| {
        let (table, key) = (Arc::clone(&table), Key::new(&pk, "lease"));
        async move { table.update(&key, &update(json!({"holder": n}), &[]), &[Condition::Absent]).await.is_ok() }
    });
    let winners = join_all(attempts).await.into_iter().filter(|won| *won).count();
    assert_eq!(winners, 1);
}

async fn additions_made_at_once_are_all_counted(table: Subject, pk: String) {
    let additions = (0..20).map(|_| {
        let (table, key) = (Arc::clone(&table), Key::new(&pk, "count"));
        async move { table.update(&key, &update(json!({}), &[("n", 1)]), &[]).await.expect("added") }
    });
    join_all(additions).await;
    assert_eq!(one(&table, &pk, "count").await, Some(item(&pk, "count", json!({"n": 20}))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryTable;

    #[tokio::test]
    async fn the_table_in_memory_keeps_every_promise() {
        check_all(Arc::new(MemoryTable::default()), "memory").await;
    }
}
