//! The cards, as the JSON of Google Workspace add-ons. `facts/cards.json` has every type and field that Google knows, and
//! a test holds each card to it.
use crate::access::Addon;
use serde_json::{Value, json};
use tandem_core::mail::{Subject, SubjectKind};
use tandem_engine::{BarMessage, BarPerson};
use tandem_store::link::RowState;

/// Most people on a card: Google shows at most 100 widgets a section, and people read fewer.
const MOST_PEOPLE: usize = 20;
/// Said where the event names no message that the mailbox's API knows.
pub(crate) const NO_MESSAGE: &str = "Gmail does not say which mail this is yet; open it again in a moment.";
/// Said where a button of the compose window comes without its recipient.
pub(crate) const NO_RECIPIENT: &str = "Add a recipient first, and open Tandem again.";

/// What Google expects as an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To a trigger (a message opened, a draft begun): a card.
    Card,
    /// To a pressed button.
    Action,
}

/// A card as the answer.
pub(crate) fn shown(kind: Answer, card: Value) -> Value {
    match kind {
        Answer::Card => json!({"action": {"navigations": [{"pushCard": card}]}}),
        Answer::Action => json!({"renderActions": {"action": {"navigations": [{"updateCard": card}]}}}),
    }
}

/// A sentence at the bottom of the window, and the card as it is now.
pub(crate) fn told(sentence: &str, card: Option<Value>) -> Value {
    let mut action = json!({"notification": {"text": sentence}});
    if let Some(card) = card {
        action["navigations"] = json!([{"updateCard": card}]);
    }
    json!({"renderActions": {"action": action}})
}

/// Cards take some HTML: what others have written must not become any.
fn plain(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn card(subtitle: &str, sections: &[Value]) -> Value {
    json!({"header": {"title": "Tandem", "subtitle": plain(subtitle)}, "sections": sections})
}

fn text(sentence: &str) -> Value {
    json!({"textParagraph": {"text": plain(sentence)}})
}

fn press(addon: &Addon, endpoint: &str, whom: Option<&str>) -> Value {
    let parameters: Vec<Value> = whom.into_iter().map(|whom| json!({"key": "whom", "value": whom})).collect();
    json!({"action": {"function": addon.address(endpoint), "parameters": parameters}})
}

fn button(addon: &Addon, label: &str, endpoint: &str, whom: Option<&str>) -> Value {
    json!({"text": plain(label), "onClick": press(addon, endpoint, whom)})
}

fn open(label: &str, url: &str) -> Value {
    json!({"buttonList": {"buttons": [{"text": label, "onClick": {"openLink": {"url": url}}}]}})
}

fn kind(subject: &Subject) -> &'static str {
    match subject.kind {
        SubjectKind::Contact => "Contact",
        SubjectKind::Company => "Company",
    }
}

fn name_of(person: &BarPerson) -> &str {
    let named = person.known.iter().find_map(|(_, name)| name.as_deref().filter(|name| !name.is_empty()));
    let written = Some(person.mailbox.name.as_str()).filter(|name| !name.is_empty());
    named.or(written).unwrap_or(person.mailbox.address.as_str())
}

/// One row a record that has the address; one for a stranger, with the button that adds them.
fn rows(addon: &Addon, person: &BarPerson, add: &str) -> Vec<Value> {
    let address = person.mailbox.address.as_str();
    if person.known.is_empty() {
        return vec![json!({"decoratedText": {
            "topLabel": "Not in the CRM",
            "text": plain(name_of(person)),
            "bottomLabel": plain(address),
            "button": button(addon, "Add as contact", add, Some(address)),
        }})];
    }
    let row = |(subject, name): &(Subject, Option<String>)| {
        let name = name.as_deref().filter(|name| !name.is_empty()).unwrap_or_else(|| name_of(person));
        json!({"decoratedText": {"topLabel": kind(subject), "text": plain(name), "bottomLabel": plain(address)}})
    };
    person.known.iter().map(row).collect()
}

/// Who a message is with, and what can be done with it.
pub(crate) fn message(addon: &Addon, message: &BarMessage) -> Value {
    let people: Vec<Value> =
        message.people.iter().take(MOST_PEOPLE).flat_map(|person| rows(addon, person, "add")).collect();
    let people = if people.is_empty() { vec![text("Nobody but you is in this mail.")] } else { people };
    let tracked = message.state == Some(RowState::InSync);
    let said = match (message.state, &message.reason) {
        (Some(RowState::InSync), _) => "This mail is in the CRM.",
        (Some(_), Some(reason)) => reason.as_str(),
        (Some(_), None) | (None, _) => "This mail is not in the CRM.",
    };
    let mut buttons = vec![button(addon, "Make a task", "task", None)];
    if !tracked {
        buttons.insert(0, button(addon, "Track this mail", "track", None));
    }
    let actions = json!({"widgets": [text(said), {"buttonList": {"buttons": buttons}}]});
    let subject = if message.subject.is_empty() { "A mail without a subject" } else { &message.subject };
    card(subject, &[json!({"header": "Who this is", "widgets": people}), actions])
}

/// Whom the message that is being written can be tracked to.
pub(crate) fn compose(addon: &Addon, people: &[BarPerson]) -> Value {
    let row = |person: &BarPerson| {
        let address = person.mailbox.address.as_str();
        let button = if person.known.is_empty() {
            button(addon, "Add", "compose-add", Some(address))
        } else {
            button(addon, &format!("Track to {}", name_of(person)), "compose-track", Some(address))
        };
        let label = if person.known.is_empty() { "Not in the CRM" } else { "In the CRM" };
        json!({"decoratedText": {"topLabel": label, "text": plain(name_of(person)), "bottomLabel": plain(address),
            "button": button}})
    };
    let rows: Vec<Value> = people.iter().take(MOST_PEOPLE).map(row).collect();
    let rows = if rows.is_empty() { vec![text(NO_RECIPIENT)] } else { rows };
    card("Track what you send", &[json!({"widgets": rows})])
}

/// Where no message is open.
pub(crate) fn home(public_url: &str) -> Value {
    let said = text("Open a mail to see who it is from in your CRM, to track it, or to make a task of it.");
    card("Your CRM in Gmail", &[json!({"widgets": [said, open("Open Tandem", public_url)]})])
}

/// For a person whose mailbox is not connected.
pub(crate) fn not_connected(public_url: &str) -> Value {
    let said = text("This Gmail account tracks no mail with Tandem yet. Connect it and switch on mail tracking.");
    card("Not connected", &[json!({"widgets": [said, open("Connect", public_url)]})])
}

/// For a message that the mailbox does not know.
pub(crate) fn no_message() -> Value {
    trouble(NO_MESSAGE)
}

/// What went wrong, in the words for people.
pub(crate) fn trouble(sentence: &str) -> Value {
    card("Something is in the way", &[json!({"widgets": [text(sentence)]})])
}
