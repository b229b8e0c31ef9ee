//! What becomes of a message. Two pure steps, because the addresses are looked up in between.
use super::rules::block_names;
use super::{Address, Authentic, Direction, Envelope, MailRules, Mailbox, NewPerson, Place, Subject, TrackMode};
use super::{UnknownSender, Wish};
use crate::plan::Reason;
use std::collections::{BTreeMap, BTreeSet};

/// Most people of one message that are looked up; whoever else a message went to is a mailing's business.
pub const MOST_PEOPLE: usize = 200;

/// Whose mailbox it is: every address of its owner.
#[derive(Clone, Debug, Default)]
pub struct Owner(BTreeSet<Address>);

impl Owner {
    /// The account's own address and the further ones that the settings name.
    pub fn new(account: &Address, rules: &MailRules) -> Owner {
        let further = rules.own_addresses.iter().filter_map(|raw| Address::read(raw));
        Owner(further.chain([account.clone()]).map(|address| address.under(super::Plus::Ignored)).collect())
    }

    /// Whether this is one of the owner's addresses. A tag behind a `+` is the owner's own.
    pub fn is(&self, address: &Address) -> bool {
        self.0.contains(&address.under(super::Plus::Ignored))
    }
}

/// What the head of a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screened {
    /// Nobody asked for it: nothing is noted.
    NotAsked,
    /// It is not tracked, for this reason.
    Exclude(Reason),
    /// These people must be looked up.
    Look(Look),
}

/// A message that may be tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Which way it went.
    pub direction: Direction,
    /// The other people in it, each once, the first ones the nearest.
    pub people: Vec<Mailbox>,
    /// How many of them are those it is really with: the sender, or whom it was sent to.
    nearest: usize,
    wishes: BTreeSet<Wish>,
}

impl Look {
    /// The addresses to look up.
    pub fn addresses(&self, rules: &MailRules) -> Vec<Address> {
        self.people.iter().map(|person| person.address.under(rules.plus_tags)).collect()
    }
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is filed.
    File(Filing),
    /// A person is asked whether these people shall be added.
    Ask {
        /// Who.
        whom: Vec<NewPerson>,
        /// What the person reads.
        reason: Reason,
    },
    /// It is not tracked.
    Exclude(Reason),
}

/// How a message is filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filing {
    /// Which way it went.
    pub direction: Direction,
    /// At whom, each once.
    pub at: Vec<Subject>,
    /// Who is added first, and then filed at as well.
    pub add: Vec<NewPerson>,
    /// Whether it becomes a task.
    pub task: TaskWish,
}

/// Whether a message becomes a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskWish {
    /// Yes.
    Wanted,
    /// No.
    None,
}

fn exclude(code: &str, message: &str) -> Screened {
    Screened::Exclude(Reason::new(code, message))
}

/// Judges a message by its head alone.
pub fn screen(rules: &MailRules, owner: &Owner, envelope: &Envelope) -> Screened {
    let asked = rules.track == TrackMode::AllKnown || !envelope.wishes.is_empty();
    if !asked {
        return Screened::NotAsked;
    }
    // Neither is a message (yet); a draft comes by again when it is sent.
    if [Place::Draft, Place::Chat].iter().any(|place| envelope.places.contains(place)) {
        return Screened::NotAsked;
    }
    for (place, code, message) in
        [(Place::Spam, "spam", "The mailbox takes it for spam."), (Place::Trash, "trash", "It is in the bin.")]
    {
        if envelope.places.contains(&place) {
            return exclude(code, message);
        }
    }
    if rules.blocks_any(envelope) {
        return exclude("blocked", "An address in it is on the block list.");
    }
    let direction = if envelope.places.contains(&Place::Sent) { Direction::Out } else { Direction::In };
    if direction == Direction::In {
        if envelope.from.is_empty() {
            return exclude("no_sender", "It names no sender that can be read.");
        }
        let claims_owner = envelope.from.iter().any(|from| owner.is(&from.address));
        if envelope.authentic == Authentic::No || (claims_owner && envelope.authentic != Authentic::Yes) {
            let message = "Its sender could not be verified: the From line may be forged.";
            return exclude("forged_sender", message);
        }
    }
    let (people, nearest) = people(direction, owner, envelope);
    if people.is_empty() {
        return exclude("no_people", "It names nobody but the mailbox's owner.");
    }
    Screened::Look(Look { direction, people, nearest, wishes: envelope.wishes.clone() })
}

/// The others in a message, each once: the sender or the recipients first, then everybody else; and how many are first.
fn people(direction: Direction, owner: &Owner, envelope: &Envelope) -> (Vec<Mailbox>, usize) {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    let (near, far): (&[Mailbox], Vec<&Mailbox>) = match direction {
        Direction::In => (&envelope.from, envelope.to.iter().chain(&envelope.cc).collect()),
        Direction::Out => (&envelope.to, envelope.cc.iter().collect()),
    };
    let mut take = |mailbox: &Mailbox| {
        let fresh = !owner.is(&mailbox.address) && seen.insert(mailbox.address.clone());
        if fresh && all.len() < MOST_PEOPLE {
            all.push(mailbox.clone());
        }
        all.len()
    };
    let nearest = near.iter().map(&mut take).max().unwrap_or(0);
    for mailbox in far {
        take(mailbox);
    }
    (all, nearest)
}

/// What becomes of the message, now that it is known who is in the CRM: by address, as they were looked up.
pub fn decide(rules: &MailRules, look: &Look, known: &BTreeMap<Address, Vec<Subject>>) -> Decision {
    let found = |person: &Mailbox| known.get(&person.address.under(rules.plus_tags)).filter(|all| !all.is_empty());
    let mut at: Vec<Subject> = Vec::new();
    for subject in look.people.iter().filter_map(found).flatten() {
        if !at.contains(subject) {
            at.push(subject.clone());
        }
    }
    let strangers: Vec<NewPerson> =
        look.people[..look.nearest].iter().filter(|person| found(person).is_none()).map(NewPerson::of).collect();
    let task = if look.wishes.contains(&Wish::Task) { TaskWish::Wanted } else { TaskWish::None };
    let file = |at, add| Decision::File(Filing { direction: look.direction, at, add, task });
    let labelled = !look.wishes.is_empty();
    let create = look.wishes.contains(&Wish::Contact) || (labelled && rules.unknown_sender == UnknownSender::Create);
    if create && !strangers.is_empty() {
        return file(at, strangers);
    }
    if !at.is_empty() {
        return file(at, Vec::new());
    }
    match (labelled && !strangers.is_empty(), rules.unknown_sender) {
        (true, UnknownSender::Ask) => {
            let who = if look.direction == Direction::In { "Its sender is" } else { "Its recipients are" };
            let message = format!("{who} not in the CRM. Confirm to add them there and file it.");
            Decision::Ask { whom: strangers, reason: Reason::new("unknown_sender", message) }
        }
        (true, UnknownSender::Ignore | UnknownSender::Create) => {
            let message = "Its sender is not in the CRM, and unknown senders are ignored.";
            Decision::Exclude(Reason::new("unknown_sender_ignored", message))
        }
        (false, UnknownSender::Ask | UnknownSender::Create | UnknownSender::Ignore) => {
            Decision::Exclude(Reason::new("nobody_known", "Nobody in it is in the CRM."))
        }
    }
}

/// The block-list entries that would take this message out of the CRM again, each once.
pub fn block_marks(envelope: &Envelope) -> BTreeSet<String> {
    let all = envelope.from.iter().chain(&envelope.to).chain(&envelope.cc).take(MOST_PEOPLE);
    all.flat_map(|mailbox| block_names(&mailbox.address)).collect()
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
