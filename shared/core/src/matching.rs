//! How a record of one side is recognised as one of the other before they are linked.
use crate::contact::field;
use crate::policy::MatchKey;
use crate::record::{Fields, Side};

/// The texts by which a record of a side may be recognised, strongest first. Hashed before they are stored.
pub fn match_keys(side: Side, fields: &Fields, match_on: &[MatchKey]) -> Vec<String> {
    let mut keys = Vec::new();
    for by in match_on {
        let found: Vec<String> = match by {
            MatchKey::Email => values(fields, &field::EMAILS, None, "email"),
            MatchKey::WorkEmail => work_email(side, fields),
            MatchKey::Phone => values(fields, &field::PHONES, None, "phone"),
            MatchKey::Name => name(fields).into_iter().collect(),
            MatchKey::Uid => appointment(side, fields),
            MatchKey::Task => task(fields).into_iter().collect(),
        };
        for key in found {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}

fn values(fields: &Fields, list: &crate::record::Field, label: Option<&str>, kind: &str) -> Vec<String> {
    let items = fields.items(list).iter().filter(|item| label.is_none_or(|label| item.label == label));
    items.map(|item| format!("{kind}:{}", item.as_value())).collect()
}

/// The address labelled `work`; in the CRM, where people label less, else the main one.
fn work_email(side: Side, fields: &Fields) -> Vec<String> {
    let mut found = values(fields, &field::EMAILS, Some("work"), "email");
    if found.is_empty() && side == Side::Left {
        found = values(fields, &field::EMAILS, None, "email");
        found.truncate(1);
    }
    found
}

fn name(fields: &Fields) -> Option<String> {
    let (first, last) = (fields.text(&field::FIRST_NAME), fields.text(&field::LAST_NAME));
    (!first.is_empty() && !last.is_empty()).then(|| format!("name:{} {}", first.to_lowercase(), last.to_lowercase()))
}

/// By the iCalUID. An appointment of a CRM that keeps none is recognised by title and start together; where both sides have
/// a name each, title and time never make two appointments one, as people have several that look alike.
fn appointment(side: Side, fields: &Fields) -> Vec<String> {
    use crate::event::field;
    let (uid, title) = (fields.text(&field::UID), fields.text(&field::TITLE));
    let uid = Some(uid).filter(|uid| !uid.is_empty());
    let looks = (side == Side::Right || uid.is_none()) && !title.is_empty();
    let looks = looks.then(|| format!("when:{} {}", fields.text(&field::START), title.to_lowercase()));
    uid.map(|uid| format!("uid:{uid}")).into_iter().chain(looks).collect()
}

fn task(fields: &Fields) -> Option<String> {
    use crate::task::field;
    let (title, due) = (fields.text(&field::TITLE), fields.text(&field::DUE));
    (!title.is_empty()).then(|| format!("task:{due} {}", title.to_lowercase()))
}

/// What the candidates say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<T> {
    /// Nobody.
    None,
    /// Exactly one.
    One(T),
    /// Several: not guessed.
    Ambiguous(usize),
}

/// Judges the candidates of one match key, without those that are taken.
pub fn judge<T: PartialEq>(candidates: Vec<T>) -> Match<T> {
    let mut distinct: Vec<T> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        if !distinct.contains(&candidate) {
            distinct.push(candidate);
        }
    }
    match distinct.len() {
        0 => Match::None,
        1 => distinct.pop().map_or(Match::None, Match::One),
        many => Match::Ambiguous(many),
    }
}
