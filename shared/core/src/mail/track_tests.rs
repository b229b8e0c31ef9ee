use super::*;
use crate::mail::{Labels, SubjectKind, identity};
use crate::record::RemoteId;

fn box_of(raw: &str) -> Mailbox {
    Mailbox::read("", raw).unwrap()
}

fn mail(from: &str, to: &[&str]) -> Envelope {
    Envelope {
        message_id: Some("1@example.com".to_owned()),
        from: vec![box_of(from)],
        to: to.iter().map(|raw| box_of(raw)).collect(),
        cc: Vec::new(),
        subject: "Offer".to_owned(),
        sent_at: None,
        places: BTreeSet::new(),
        wishes: BTreeSet::new(),
        authentic: Authentic::Unknown,
        bytes: 1_000,
    }
}

fn owner() -> Owner {
    let rules = MailRules { own_addresses: vec!["sales@acme.example".to_owned()], ..MailRules::default() };
    Owner::new(&Address::read("me@acme.example").unwrap(), &rules)
}

fn all_known() -> MailRules {
    MailRules { track: TrackMode::AllKnown, ..MailRules::default() }
}

fn subject(id: &str) -> Subject {
    Subject { kind: SubjectKind::Contact, id: RemoteId::new(id) }
}

fn known(some: &[(&str, &[&str])]) -> BTreeMap<Address, Vec<Subject>> {
    let entry = |(raw, ids): &(&str, &[&str])| {
        (Address::read(raw).unwrap(), ids.iter().map(|id| subject(id)).collect::<Vec<_>>())
    };
    some.iter().map(entry).collect()
}

fn look(rules: &MailRules, envelope: &Envelope) -> Look {
    match screen(rules, &owner(), envelope) {
        Screened::Look(look) => look,
        other @ (Screened::NotAsked | Screened::Exclude(_)) => panic!("{other:?}"),
    }
}

fn excluded(rules: &MailRules, envelope: &Envelope) -> String {
    match screen(rules, &owner(), envelope) {
        Screened::Exclude(reason) => reason.code,
        other @ (Screened::NotAsked | Screened::Look(_)) => panic!("{other:?}"),
    }
}

fn filed(decision: Decision) -> Filing {
    match decision {
        Decision::File(filing) => filing,
        other @ (Decision::Ask { .. } | Decision::Exclude(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_mail_is_filed_once_at_everybody_it_is_with_whatever_the_case_and_alias() {
    let mut envelope = mail("A@X.example", &["me@acme.example", "b@x.example", "a@x.example"]);
    envelope.cc = vec![box_of("jan@y.example"), box_of("sales@acme.example")];
    let rules = all_known();
    let look = look(&rules, &envelope);
    assert_eq!(look.people.len(), 3, "each once, and none of the owner's");
    let all = known(&[("a@x.example", &["1"]), ("jan@y.example", &["1", "2"]), ("b@x.example", &[])]);
    let filing = filed(decide(&rules, &look, &all));
    assert_eq!((filing.direction, filing.at), (Direction::In, vec![subject("1"), subject("2")]));
}

#[test]
fn what_the_owner_sent_goes_out_and_is_filed_at_its_recipients() {
    let mut envelope = mail("me@acme.example", &["a@x.example"]);
    envelope.places = [Place::Sent].into();
    let rules = all_known();
    let filing = filed(decide(&rules, &look(&rules, &envelope), &known(&[("a@x.example", &["1"])])));
    assert_eq!((filing.direction, filing.at.len(), filing.task), (Direction::Out, 1, TaskWish::None));
}

#[test]
fn a_mail_that_only_claims_to_be_the_owners_is_forged() {
    let mut envelope = mail("me@acme.example", &["a@x.example"]);
    assert_eq!(excluded(&all_known(), &envelope), "forged_sender");
    envelope.authentic = Authentic::Yes;
    assert!(matches!(screen(&all_known(), &owner(), &envelope), Screened::Look(_)));
    let mut envelope = mail("a@x.example", &["me@acme.example"]);
    envelope.authentic = Authentic::No;
    assert_eq!(excluded(&all_known(), &envelope), "forged_sender");
}

#[test]
fn without_a_label_nothing_is_noted_unless_all_known_mail_is_tracked() {
    let envelope = mail("a@x.example", &["me@acme.example"]);
    assert_eq!(screen(&MailRules::default(), &owner(), &envelope), Screened::NotAsked);
}

#[test]
fn drafts_and_chats_are_no_mail_and_fill_no_list() {
    for place in [Place::Draft, Place::Chat] {
        let mut envelope = mail("a@x.example", &["me@acme.example"]);
        envelope.places = [place].into();
        assert_eq!(screen(&all_known(), &owner(), &envelope), Screened::NotAsked);
    }
}

#[test]
fn every_mail_that_is_left_out_has_its_reason() {
    for (place, code) in [(Place::Spam, "spam"), (Place::Trash, "trash")] {
        let mut envelope = mail("a@x.example", &["me@acme.example"]);
        envelope.places = [place].into();
        assert_eq!(excluded(&all_known(), &envelope), code);
    }
    let mut nobody = mail("a@x.example", &["me@acme.example"]);
    nobody.from.clear();
    assert_eq!(excluded(&all_known(), &nobody), "no_sender");
    let mut alone = mail("me@acme.example", &["me@acme.example"]);
    alone.places = [Place::Sent].into();
    assert_eq!(excluded(&all_known(), &alone), "no_people");
    let blocked = MailRules { block_list: vec!["x.example".to_owned()], ..all_known() };
    assert_eq!(excluded(&blocked, &mail("a@x.example", &["me@acme.example"])), "blocked");
}

#[test]
fn an_unknown_sender_is_asked_about_created_or_ignored() {
    let mut envelope = mail("new@x.example", &["me@acme.example"]);
    envelope.wishes = [Wish::Track].into();
    let decision = |unknown_sender| {
        let rules = MailRules { unknown_sender, ..MailRules::default() };
        decide(&rules, &look(&rules, &envelope), &BTreeMap::new())
    };
    assert!(matches!(decision(UnknownSender::Ask), Decision::Ask { whom, .. } if whom[0].last_name == "new"));
    assert_eq!(filed(decision(UnknownSender::Create)).add.len(), 1);
    assert!(
        matches!(decision(UnknownSender::Ignore), Decision::Exclude(reason) if reason.code == "unknown_sender_ignored")
    );
}

#[test]
fn the_label_for_contacts_is_a_persons_word_and_the_one_for_tasks_makes_one() {
    let mut envelope = mail("new@x.example", &["me@acme.example"]);
    envelope.wishes = [Wish::Contact, Wish::Task].into();
    let rules = MailRules::default();
    let filing = filed(decide(&rules, &look(&rules, &envelope), &BTreeMap::new()));
    assert_eq!((filing.add.len(), filing.task), (1, TaskWish::Wanted));
}

#[test]
fn all_known_asks_about_nobody() {
    let rules = all_known();
    let look = look(&rules, &mail("spam@x.example", &["me@acme.example"]));
    assert!(matches!(decide(&rules, &look, &BTreeMap::new()), Decision::Exclude(r) if r.code == "nobody_known"));
}

#[test]
fn only_those_a_mail_is_really_with_are_proposed_and_never_the_copied() {
    let mut envelope = mail("new@x.example", &["me@acme.example", "other@y.example"]);
    envelope.wishes = [Wish::Contact].into();
    let rules = MailRules::default();
    let filing = filed(decide(&rules, &look(&rules, &envelope), &BTreeMap::new()));
    assert_eq!(filing.add.iter().map(|p| p.address.as_str()).collect::<Vec<_>>(), ["new@x.example"]);
}

#[test]
fn a_mailing_to_thousands_is_bounded() {
    let to: Vec<String> = (0..5_000).map(|n| format!("n{n}@x.example")).collect();
    let mut envelope = mail("me@acme.example", &to.iter().map(String::as_str).collect::<Vec<_>>());
    envelope.places = [Place::Sent].into();
    assert_eq!(look(&all_known(), &envelope).people.len(), MOST_PEOPLE);
}

#[test]
fn plus_tags_match_only_where_the_rules_say_so() {
    let all = known(&[("jan@x.example", &["1"])]);
    let envelope = mail("jan+news@x.example", &["me@acme.example"]);
    let strict = all_known();
    assert!(matches!(decide(&strict, &look(&strict, &envelope), &all), Decision::Exclude(_)));
    let loose = MailRules { plus_tags: crate::mail::Plus::Ignored, ..all_known() };
    assert_eq!(filed(decide(&loose, &look(&loose, &envelope), &all)).at, [subject("1")]);
}

#[test]
fn one_message_has_one_identity_and_another_sender_cannot_take_it() {
    let mine = mail("a@x.example", &["me@acme.example"]);
    let mut copy = mine.clone();
    copy.places = [Place::Sent].into();
    copy.message_id = Some(" <1@example.com>".to_owned());
    assert_eq!(identity(&mine), identity(&copy), "where it lies does not matter");
    let mut forged = mine.clone();
    forged.from = vec![box_of("evil@x.example")];
    assert_ne!(identity(&mine), identity(&forged));
    let without = |subject: &str| Envelope { message_id: None, subject: subject.to_owned(), ..mine.clone() };
    assert_eq!(identity(&without("a")), identity(&without("a")));
    assert_ne!(identity(&without("a")), identity(&without("b")));
}

#[test]
fn a_mail_carries_the_marks_by_which_a_later_block_list_finds_it() {
    let marks = block_marks(&mail("a@mail.x.example", &["me@acme.example"]));
    let wanted = ["a@mail.x.example", "acme.example", "mail.x.example", "me@acme.example", "x.example"];
    assert!(marks.iter().eq(wanted.iter()), "{marks:?}");
    assert_eq!(Labels::default().all()[0].1, "Tandem/Track");
}
