//! Properties of the planner over every policy, against a two-cell model of the world.
use proptest::prelude::*;
use tandem_core::contact::field;
use tandem_core::fingerprint::{Base, FingerprintKey};
use tandem_core::plan::{Act, Live, Observation, Outcome, Replica, Step, plan};
use tandem_core::policy::{
    Conflict, Container, Direction, Eligibility, FieldRule, MatchKey, OnDelete, OnLeave, Policy,
};
use tandem_core::record::{Field, Fields, Item, RemoteId, RowKey, Scope, Side, Value, Version};

const MAPPED: [Field; 4] = [field::FIRST_NAME, field::LAST_NAME, field::EMAILS, field::PHONES];

fn key() -> FingerprintKey {
    FingerprintKey::new("a key for the properties, 32 bytes")
}

fn fields() -> impl Strategy<Value = Fields> {
    let text = prop::sample::select(vec!["", "a", "b", "c"]);
    let list = prop::collection::vec(
        (prop::sample::select(vec!["work", "home"]), prop::sample::select(vec!["x", "y", "z"])),
        0..3,
    );
    (text.clone(), text, list.clone(), list).prop_map(|(first, last, emails, phones)| {
        let items = |list: Vec<(&str, &str)>| {
            let mut items: Vec<Item> = Vec::new();
            for (label, value) in list {
                let item = Item::value(label, value);
                if !items.iter().any(|known| known.parts == item.parts) {
                    items.push(item);
                }
            }
            Value::Items(items)
        };
        [
            (field::FIRST_NAME, Value::Text(first.into())),
            (field::LAST_NAME, Value::Text(last.into())),
            (field::EMAILS, items(emails)),
            (field::PHONES, items(phones)),
        ]
        .into_iter()
        .collect()
    })
}

fn live(fields: Fields, scope: Scope, minute: i64) -> Replica {
    Replica::Live(Live {
        id: RemoteId::new("id"),
        version: Version::new("v"),
        scope,
        fields,
        modified_at: jiff::Timestamp::from_second(minute * 60).ok(),
    })
}

fn replica() -> impl Strategy<Value = Replica> {
    let scope = prop::sample::select(vec![Scope::Inside, Scope::Inside, Scope::Outside]);
    prop_oneof![
        1 => Just(Replica::Absent),
        1 => Just(Replica::Gone),
        4 => (fields(), scope, 0..9i64).prop_map(|(fields, scope, minute)| live(fields, scope, minute)),
    ]
}

prop_compose! {
    fn policy()(
        direction in prop::sample::select(vec![Direction::CrmToRemote, Direction::RemoteToCrm, Direction::Both]),
        conflict in prop::sample::select(vec![Conflict::Crm, Conflict::Remote, Conflict::Newest]),
        on_crm_delete in prop::sample::select(vec![OnDelete::Propagate, OnDelete::Unlink, OnDelete::Restore]),
        on_remote_delete in prop::sample::select(vec![OnDelete::Propagate, OnDelete::Unlink, OnDelete::Restore]),
        on_crm_leave in prop::sample::select(vec![OnLeave::Detach, OnLeave::Unlink]),
        on_remote_leave in prop::sample::select(vec![OnLeave::Restore, OnLeave::Unlink]),
        delete_only_own_copies in any::<bool>(),
        eligibility in prop::sample::select(vec![Eligibility::Strict, Eligibility::Relaxed]),
    ) -> Policy {
        let rule = |field: &Field| FieldRule { crm: field.clone(), remote: field.clone(), direction };
        Policy {
            direction, conflict, on_crm_delete, on_remote_delete, on_crm_leave, on_remote_leave, delete_only_own_copies,
            container: Container::Group,
            fields: MAPPED.iter().map(rule).collect(),
            passive: vec![],
            eligibility,
            match_on: vec![MatchKey::Email],
            max_delete_percent: 50,
            run_limits: None,
        }
    }
}

fn observation() -> impl Strategy<Value = Observation> {
    let base = prop::option::of((fields(), fields()));
    let made_on = prop::sample::select(vec![None, Some(Side::Left), Some(Side::Right)]);
    let agreed_scope = prop::sample::select(vec![Scope::Inside, Scope::Outside]);
    (base, made_on, agreed_scope, replica(), replica()).prop_map(|(base, made_on, agreed_scope, left, right)| {
        let base = base.map(|(left, right)| Base::of(&key(), &left, &right));
        Observation { key: RowKey::new("row"), base, made_on, agreed_scope, our_version: None, left, right }
    })
}

fn one(policy: &Policy, observation: Observation) -> Step {
    plan(policy, &key(), vec![observation]).pop().expect("one step per observation")
}

/// The world after a step was carried out; `None` when the row is forgotten.
fn carried_out(mut seen: Observation, step: &Step) -> Option<Observation> {
    for side in [Side::Left, Side::Right] {
        let now = if side == Side::Left { &mut seen.left } else { &mut seen.right };
        match step.act(side) {
            None => {}
            Some(Act::Create { fields }) => {
                *now = live(fields.clone(), Scope::Inside, 9);
                seen.made_on = Some(side);
            }
            Some(Act::Delete { .. }) => *now = Replica::Gone,
            Some(Act::Update { fields, scope, .. }) => {
                let Replica::Live(before) = now.clone() else { panic!("an update of nothing") };
                *now = Replica::Live(Live { fields: fields.clone(), scope: scope.unwrap_or(before.scope), ..before });
            }
        }
    }
    match &step.outcome {
        Outcome::Forget => return None,
        Outcome::Agree => {
            let (Replica::Live(left), Replica::Live(right)) = (&seen.left, &seen.right) else {
                panic!("agreement needs two copies")
            };
            seen.base = Some(Base::of(&key(), &left.fields, &right.fields));
            seen.agreed_scope = Scope::Inside;
        }
        Outcome::Exclude(_) => {
            if let Some(Act::Update { scope: Some(scope), .. }) = &step.right {
                seen.agreed_scope = *scope;
            }
        }
        Outcome::Unlink(_) | Outcome::Ignore => {}
    }
    Some(seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_second_plan_has_nothing_left_to_write(policy in policy(), seen in observation()) {
        let first = one(&policy, seen.clone());
        if let Some(after) = carried_out(seen, &first) {
            let second = one(&policy, after);
            prop_assert!(!second.writes(), "first {first:?}, then {second:?}");
        }
    }

    #[test]
    fn a_side_that_the_direction_forbids_is_never_written(policy in policy(), seen in observation()) {
        let step = one(&policy, seen);
        for side in [Side::Left, Side::Right] {
            prop_assert!(step.act(side).is_none() || policy.direction.may_write(side), "{step:?}");
        }
    }

    #[test]
    fn an_edited_record_is_never_deleted(policy in policy(), seen in observation()) {
        let step = one(&policy, seen.clone());
        for (side, copy) in [(Side::Left, &seen.left), (Side::Right, &seen.right)] {
            if let Some(Act::Delete { .. }) = step.act(side) {
                let Replica::Live(live) = copy else { panic!("a deletion of nothing") };
                let base = seen.base.as_ref().expect("only linked records are deleted");
                let edited = MAPPED.iter().any(|field| base.changed(&key(), side, field, &live.fields));
                prop_assert!(!edited);
            }
        }
    }

    #[test]
    fn a_deletion_needs_a_proof_that_the_other_copy_is_gone(policy in policy(), seen in observation()) {
        let step = one(&policy, seen.clone());
        for (side, other) in [(Side::Left, &seen.right), (Side::Right, &seen.left)] {
            if let Some(Act::Delete { .. }) = step.act(side) {
                prop_assert!(!matches!(other, Replica::Live(_)), "{step:?}");
            }
        }
    }

    /// A side that tells only changes may not know of a record: nothing is written for it, whatever the other side shows.
    #[test]
    fn what_a_side_does_not_tell_is_left_alone_and_never_deleted_for(
        policy in policy(), seen in observation(), left_is_untold in any::<bool>()
    ) {
        let (mine, other) = if left_is_untold { (Side::Left, seen.right.clone()) } else { (Side::Right, seen.left.clone()) };
        let untold = match mine {
            Side::Left => Observation { left: Replica::Untold, ..seen },
            Side::Right => Observation { right: Replica::Untold, ..seen },
        };
        let step = one(&policy, untold);
        prop_assert!(!step.writes(), "{step:?}");
        let noted = matches!(&step.outcome, Outcome::Exclude(reason) if reason.code.starts_with("deleted_"));
        prop_assert_eq!(noted, other == Replica::Gone);
        prop_assert!(noted || step.outcome == Outcome::Ignore);
    }

    #[test]
    fn changes_to_different_fields_both_survive(
        start in fields(), first in prop::sample::select(vec!["d", "e"]), last in prop::sample::select(vec!["f", "g"]),
        mut policy in policy(),
    ) {
        policy.direction = Direction::Both;
        policy.fields.iter_mut().for_each(|rule| rule.direction = Direction::Both);
        let (mut left, mut right) = (start.clone(), start.clone());
        left.set(field::FIRST_NAME, Value::Text(first.into()));
        right.set(field::LAST_NAME, Value::Text(last.into()));
        let seen = Observation {
            key: RowKey::new("row"),
            base: Some(Base::of(&key(), &start, &start)),
            made_on: None,
            agreed_scope: Scope::Inside,
            our_version: None,
            left: live(left, Scope::Inside, 1),
            right: live(right, Scope::Inside, 2),
        };
        let after = carried_out(seen.clone(), &one(&policy, seen)).expect("kept");
        for copy in [after.left, after.right] {
            let Replica::Live(live) = copy else { panic!("both stay") };
            prop_assert_eq!(live.fields.text(&field::FIRST_NAME), first);
            prop_assert_eq!(live.fields.text(&field::LAST_NAME), last);
        }
    }
}

/// `(what, base, left, right, expected)`; elements are `(label, value)`.
type ListCase = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
);

const LIST_CASES: &[ListCase] = &[
    (
        "each adds one",
        &[("work", "a")],
        &[("work", "a"), ("home", "b")],
        &[("work", "a"), ("home", "c")],
        &[("work", "a"), ("home", "b"), ("home", "c")],
    ),
    (
        "one removes, one adds",
        &[("work", "a"), ("home", "b")],
        &[("work", "a")],
        &[("work", "a"), ("home", "b"), ("x", "c")],
        &[("work", "a"), ("x", "c")],
    ),
    ("both replace the same one: the CRM wins", &[("work", "a")], &[("work", "b")], &[("work", "c")], &[("work", "b")]),
    ("both add the same one under other labels", &[], &[("work", "a")], &[("home", "a")], &[("work", "a")]),
    ("both remove the same one", &[("work", "a"), ("home", "b")], &[("home", "b")], &[("home", "b")], &[("home", "b")]),
    (
        "order is no difference",
        &[("work", "a"), ("home", "b")],
        &[("home", "b"), ("work", "a")],
        &[("work", "a"), ("home", "b")],
        &[("home", "b"), ("work", "a")],
    ),
];

fn listed(items: &[(&str, &str)]) -> Fields {
    let items = items.iter().map(|(label, value)| Item::value(*label, *value)).collect();
    [(field::LAST_NAME, Value::Text("P".into())), (field::EMAILS, Value::Items(items))].into_iter().collect()
}

/// Both ways, the CRM wins.
fn two_way(fields: Vec<FieldRule>) -> Policy {
    Policy {
        direction: Direction::Both,
        conflict: Conflict::Crm,
        on_crm_delete: OnDelete::Propagate,
        on_remote_delete: OnDelete::Propagate,
        on_crm_leave: OnLeave::Unlink,
        on_remote_leave: OnLeave::Unlink,
        container: Container::Group,
        delete_only_own_copies: false,
        fields,
        passive: vec![],
        eligibility: Eligibility::Relaxed,
        match_on: vec![],
        max_delete_percent: 50,
        run_limits: None,
    }
}

/// A list on which both sides worked: element by element.
#[test]
fn lists_merge_element_by_element() {
    let rule = |field: Field| FieldRule { crm: field.clone(), remote: field, direction: Direction::Both };
    let policy = two_way(vec![rule(field::LAST_NAME), rule(field::EMAILS)]);
    for (what, base, left, right, expected) in LIST_CASES {
        let base = listed(base);
        let seen = Observation {
            key: RowKey::new("row"),
            base: Some(Base::of(&key(), &base, &base)),
            made_on: None,
            agreed_scope: Scope::Inside,
            our_version: None,
            left: live(listed(left), Scope::Inside, 1),
            right: live(listed(right), Scope::Inside, 1),
        };
        let after = carried_out(seen.clone(), &one(&policy, seen)).expect("kept");
        let Replica::Live(left) = after.left else { panic!("stays") };
        let mut got: Vec<(String, String)> = left
            .fields
            .items(&field::EMAILS)
            .iter()
            .map(|item| (item.label.clone(), item.as_value().to_owned()))
            .collect();
        let mut wanted: Vec<(String, String)> =
            expected.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        got.sort();
        wanted.sort();
        assert_eq!(got, wanted, "{what}");
    }
}

/// What left its container is said in the words of its kind.
#[test]
fn what_left_is_called_by_its_kind() {
    let policy = |container| Policy { container, on_remote_leave: OnLeave::Unlink, ..two_way(vec![]) };
    for (container, code, word) in [
        (Container::Group, "left_group", "group"),
        (Container::Calendars, "left_calendar", "calendar"),
        (Container::TaskList, "left_list", "task list"),
    ] {
        let (name, base) = (listed(&[]), listed(&[]));
        let seen = Observation {
            key: RowKey::new("row"),
            base: Some(Base::of(&key(), &base, &base)),
            made_on: None,
            agreed_scope: Scope::Inside,
            our_version: None,
            left: live(name.clone(), Scope::Inside, 1),
            right: live(name, Scope::Outside, 1),
        };
        let Outcome::Exclude(reason) = one(&policy(container), seen).outcome else { panic!("it stays as it is") };
        assert_eq!(reason.code, code);
        assert!(reason.message.contains(word), "{reason:?}");
    }
}
