//! The state machine of two people who edit both sides at random while everything that can fail fails: what both sides must
//! show when they have come to rest follows from the edits alone.
use crate::provider::{Provider, like_a_crm, like_a_plain_crm, like_people};
use crate::world::{World, below, dice, person};
use rand::rngs::StdRng;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_core::contact::field;
use tandem_core::record::{Field, Fields, Item, RemoteId, Side, Value};
use tandem_store::link::RowState;
use tandem_testkit::fault::Fault;

const FAULTS: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer];
const TEXTS: [Field; 3] = [field::POSITION, field::REMARKS, field::FIRST_NAME];

/// What a person did to a contact since both sides last agreed.
#[derive(Default)]
struct Edits {
    texts: BTreeMap<Field, BTreeMap<Side, String>>,
    emails: BTreeMap<String, Side>,
    deleted: BTreeSet<Side>,
    /// Where it was made, while no link knows it.
    born: BTreeSet<Side>,
}

/// A contact as it must be on both sides.
#[derive(Default)]
struct Expected {
    texts: BTreeMap<Field, String>,
    emails: BTreeSet<String>,
}

struct Machine {
    world: World,
    dice: StdRng,
    winner: Side,
    expected: BTreeMap<String, Expected>,
    edits: BTreeMap<String, Edits>,
    next: u64,
    words: u64,
    /// What happened so far, told when a promise is broken.
    story: Vec<String>,
}

/// Plays one world to its end; panics, naming the seed, where a promise is broken.
pub async fn play(seed: u64) {
    let mut dice = dice(seed);
    let crm = if seed.is_multiple_of(2) { like_a_crm() } else { like_a_plain_crm() };
    let winner = if (seed / 2).is_multiple_of(2) { Side::Left } else { Side::Right };
    let conflict = format!("{}_wins", winner.word());
    let settings = json!({ "max_delete_percent": 100, "direction": "both", "conflict": conflict });
    let world = World::with("zoho-google-contacts", settings, (crm, like_people()), None).await;
    let rounds = 2 + below(&mut dice, 4);
    let mut machine = Machine {
        world,
        dice,
        winner,
        expected: BTreeMap::new(),
        edits: BTreeMap::new(),
        next: 0,
        words: 0,
        story: vec![],
    };
    for round in 0..rounds {
        machine.tell(format!("seed {seed}, round {round}"));
        machine.people_edit();
        machine.trouble().await;
        machine.come_to_rest().await;
        machine.agree();
        machine.check().await;
    }
    machine.tell(format!("seed {seed}, begun anew"));
    machine.forget_and_begin_again().await;
}

impl Machine {
    fn provider(&self, side: Side) -> &Provider {
        match side {
            Side::Left => &self.world.crm,
            Side::Right => &self.world.remote,
        }
    }

    fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    fn roll(&mut self, n: usize) -> usize {
        below(&mut self.dice, n)
    }

    fn side(&mut self) -> Side {
        if self.roll(2) == 0 { Side::Left } else { Side::Right }
    }

    fn word(&mut self) -> String {
        self.words += 1;
        format!("word{}", self.words)
    }

    /// The contact with this name on a side, if it is (still) there.
    fn find(&self, side: Side, name: &str) -> Option<RemoteId> {
        let live = self.provider(side).live();
        let found: Vec<String> = live
            .into_iter()
            .filter(|(_, record)| record.fields.text(&field::LAST_NAME) == name)
            .map(|(id, _)| id)
            .collect();
        found.into_iter().next().map(RemoteId::new)
    }

    /// People edit, add and delete on both sides.
    fn people_edit(&mut self) {
        for _ in 0..1 + self.roll(9) {
            match self.roll(8) {
                0 | 1 => self.somebody_new(),
                2 => self.somebody_goes(),
                3 => self.an_address_more(),
                4 => self.nothing_but_a_version(),
                _ => self.a_text(),
            }
        }
    }

    fn make(&mut self, side: Side, fields: &Fields) {
        let group = self.world.remote.container();
        let container = group.as_deref().filter(|_| side == Side::Right);
        self.provider(side).person_creates(fields.clone(), container);
    }

    fn somebody_new(&mut self) {
        let fields = person(self.next);
        self.next += 1;
        let name = fields.text(&field::LAST_NAME).to_owned();
        // Sometimes both know the same person already.
        let both = self.roll(3) == 0 && self.world.remote.container().is_some();
        let side = self.side();
        // There is no group to put somebody into before the first run.
        let side = if self.world.remote.container().is_none() { Side::Left } else { side };
        self.make(side, &fields);
        if both {
            self.make(side.other(), &fields);
        }
        let mut expected = Expected::default();
        for name in TEXTS {
            expected.texts.insert(name.clone(), fields.text(&name).to_owned());
        }
        expected.emails = fields.items(&field::EMAILS).iter().map(|item| item.as_value().to_owned()).collect();
        self.tell(format!("{name} is new on {}", if both { "both sides" } else { side.word() }));
        let born = if both { vec![Side::Left, Side::Right] } else { vec![side] };
        self.edits.entry(name.clone()).or_default().born.extend(born);
        self.expected.insert(name, expected);
    }

    fn somebody(&mut self) -> Option<(Side, String, RemoteId)> {
        let names: Vec<String> = self.expected.keys().cloned().collect();
        let name = names.get(self.roll(names.len()))?.clone();
        let side = self.side();
        let id = self.find(side, &name)?;
        Some((side, name, id))
    }

    /// Deletions are of contacts that both sides knew: who deletes what the other side never saw deletes it, full stop.
    fn somebody_goes(&mut self) {
        let Some((side, name, id)) = self.somebody() else { return };
        self.provider(side).person_deletes(&id);
        self.tell(format!("{name} is deleted on {}", side.word()));
        self.edits.entry(name).or_default().deleted.insert(side);
    }

    fn an_address_more(&mut self) {
        let Some((side, name, id)) = self.somebody() else { return };
        let address = format!("{}@example.org", self.word());
        self.provider(side).person_edits(&id, |fields| {
            let mut items = fields.items(&field::EMAILS).to_vec();
            items.push(Item::value("home", address.clone()));
            fields.set(field::EMAILS, Value::Items(items));
        });
        self.tell(format!("{name} has {address} on {}", side.word()));
        let edits = self.edits.entry(name).or_default();
        edits.emails.insert(address, side);
    }

    fn nothing_but_a_version(&mut self) {
        let Some((side, name, id)) = self.somebody() else { return };
        self.provider(side).person_edits(&id, |_| {});
        self.tell(format!("{name} has a new version on {}", side.word()));
    }

    fn a_text(&mut self) {
        let Some((side, name, id)) = self.somebody() else { return };
        let of = TEXTS[self.roll(TEXTS.len())].clone();
        // The first name is emptied now and then: that is an edit like any other.
        let word = if of == field::REMARKS && self.roll(3) == 0 { String::new() } else { self.word() };
        self.provider(side).person_edits(&id, |fields| fields.set(of.clone(), Value::Text(word.clone())));
        self.tell(format!("{name}'s {of} is `{word}` on {}", side.word()));
        let edits = self.edits.entry(name).or_default();
        edits.texts.entry(of).or_default().insert(side, word);
    }

    /// What may go wrong during the run.
    async fn trouble(&mut self) {
        for _ in 0..self.roll(3) {
            let fault = FAULTS[self.roll(FAULTS.len())];
            let ahead = 1 + self.roll(60) as u64;
            self.world.faults.ahead(ahead, fault);
            self.tell(format!("{fault:?} {ahead} calls ahead"));
        }
        let wait = Duration::from_secs(40 + self.roll(4_000) as u64);
        let trouble = self.roll(10);
        self.tell(format!("trouble {trouble}"));
        match trouble {
            0 => self.world.remote.expire_cursors(),
            1 => self.world.crm.expire_cursors(),
            2 => self.world.remote.throttle_once(wait),
            3 => {
                self.world.remote.read_only(true);
                self.run().await;
                self.world.remote.read_only(false);
            }
            4 => {
                self.world.crm.read_only(true);
                self.run().await;
                self.world.crm.read_only(false);
            }
            5 => {
                self.world.remote.revoke(true);
                self.run().await;
                self.world.remote.revoke(false);
                self.world.faults.clear();
                self.world.reconnects().await;
                let sync = self.world.sync_now().await;
                self.world.engine.start_run(&sync, tandem_ports::infra::Trigger::Manual).await.expect("may be started");
            }
            6 => (0..3).for_each(|_| self.world.duplicate()),
            _ => {}
        }
    }

    async fn run(&self) {
        self.world.clock.advance(Duration::from_secs(3_700));
        self.world.rule().await;
        self.world.settle().await;
    }

    async fn come_to_rest(&self) {
        self.run().await;
        self.world.faults.clear();
        for _ in 0..3 {
            self.run().await;
        }
    }

    /// What both sides must say now.
    fn agree(&mut self) {
        for (name, mut edits) in std::mem::take(&mut self.edits) {
            if let Some(expected) = self.expected.get(&name).filter(|_| edits.born.is_empty()) {
                // What ends as it was is no edit.
                for (of, words) in &mut edits.texts {
                    words.retain(|_, word| expected.texts.get(of) != Some(word));
                }
            }
            let edited = |of: Side| {
                edits.texts.values().any(|words| words.contains_key(&of))
                    || edits.emails.values().any(|side| *side == of)
            };
            let on = |side: Side| !edits.deleted.contains(&side);
            let survives = if edits.born.is_empty() {
                // An edit of one copy beats the deletion of the other.
                match (on(Side::Left), on(Side::Right)) {
                    (true, true) => true,
                    (false, false) => false,
                    (false, true) => edited(Side::Right),
                    (true, false) => edited(Side::Left),
                }
            } else {
                edits.born.iter().any(|side| on(*side))
            };
            if !survives {
                self.expected.remove(&name);
                continue;
            }
            let Some(expected) = self.expected.get_mut(&name) else { continue };
            for (of, mut words) in edits.texts.clone() {
                // An edit of the copy that was deleted then went with it; of two values the winner's stays.
                words.retain(|side, _| on(*side));
                let before = expected.texts[&of].clone();
                let unlinked = edits.born.len() == 2 && edits.deleted.is_empty();
                let word = match (words.remove(&self.winner), words.remove(&self.winner.other())) {
                    (Some(won), Some(lost)) if unlinked && won.is_empty() => lost,
                    (Some(won), None) if unlinked && won.is_empty() => before,
                    (Some(won), _) => won,
                    // Never linked, so both have a value and nobody changed one.
                    (None, Some(_)) if unlinked && !before.is_empty() => before,
                    (None, Some(only)) => only,
                    (None, None) => before,
                };
                expected.texts.insert(of, word);
            }
            if edits.deleted.is_empty() {
                expected.emails.extend(edits.emails.into_keys());
            } else {
                // Which side an address was added on decides; the survivors are looked at below.
                expected.emails.clear();
            }
        }
    }

    async fn check(&mut self) {
        let what = &self.story.join("\n");
        for side in [Side::Left, Side::Right] {
            let live = self.provider(side).live();
            let group = self.world.remote.container();
            let mut names: Vec<String> = live
                .values()
                .filter(|record| side == Side::Left || record.container == group)
                .map(|record| record.fields.text(&field::LAST_NAME).to_owned())
                .collect();
            names.sort();
            let wanted: Vec<String> = {
                let mut wanted: Vec<String> = self.expected.keys().cloned().collect();
                wanted.sort();
                wanted
            };
            assert_eq!(names, wanted, "{what}: who is on the {} side", side.word());
        }
        for (name, expected) in &mut self.expected {
            let fields = |world: &World, side: Side| {
                let provider = if side == Side::Left { &world.crm } else { &world.remote };
                let found = provider.live().into_values().find(|r| r.fields.text(&field::LAST_NAME) == name);
                found.expect("it was counted").fields
            };
            let (left, right) = (fields(&self.world, Side::Left), fields(&self.world, Side::Right));
            for (of, word) in &expected.texts {
                assert_eq!(left.text(of), word, "{what}: {name}'s {of} in the CRM");
                assert_eq!(right.text(of), word, "{what}: {name}'s {of} at the remote");
            }
            let emails = |fields: &Fields| -> BTreeSet<String> {
                fields.items(&field::EMAILS).iter().map(|item| item.as_value().to_owned()).collect()
            };
            assert_eq!(emails(&left), emails(&right), "{what}: {name}'s addresses");
            if !expected.emails.is_empty() {
                assert_eq!(emails(&left), expected.emails, "{what}: no address of {name} is lost");
            }
            expected.emails = emails(&left);
        }
        for row in self.world.rows().await {
            assert!(row.state == RowState::InSync && row.is_linked(), "{what}: {row:?}");
        }
        self.check_quiet().await;
    }

    async fn check_quiet(&self) {
        let what = self.story.join("\n");
        let writes = (self.world.crm.writes(), self.world.remote.writes());
        self.run().await;
        assert_eq!((self.world.crm.writes(), self.world.remote.writes()), writes, "{what}: a quiet run writes nothing");
        let intents = self.world.store.intents(&self.world.sync).await.expect("a quiet table");
        assert_eq!(intents, vec![], "{what}: intents left open");
    }

    /// All that is known of links is lost: nobody is there twice afterwards, and nothing is lost.
    async fn forget_and_begin_again(&mut self) {
        self.world.starts_over().await;
        self.run().await;
        self.check().await;
    }
}
