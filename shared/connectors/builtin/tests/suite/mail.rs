//! Mail: found by address, filed once, made a task of, taken out again.
use crate::common::{World, object};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_builtin::{BuiltinMail, CrmError, Kind};
use tandem_core::mail::{
    Address, Attachment, Authentic, Body, Direction, Envelope, Mailbox, NewPerson, Subject, SubjectKind, TrackedMail,
    identity,
};
use tandem_core::record::RemoteId;
use tandem_ports::error::ErrorKind;
use tandem_ports::mail::{FiledHow, MailDesk, MailTask};
use tandem_testkit::blobs::MemoryBlobs;

fn address(raw: &str) -> Address {
    Address::read(raw).unwrap()
}

fn contact(last: &str, emails: &[&str]) -> Value {
    let emails: Vec<Value> = emails.iter().map(|value| json!({"type": "work", "value": value})).collect();
    json!({"last_name": last, "emails": emails})
}

fn subject(kind: SubjectKind, id: &str) -> Subject {
    Subject { kind, id: RemoteId::new(id) }
}

fn mail(id: &str, at: &[Subject], participant: &str) -> TrackedMail {
    let envelope = Envelope {
        message_id: Some(id.to_owned()),
        from: vec![Mailbox::read("Jan", "jan@x.example").unwrap()],
        to: vec![Mailbox::read("", "me@acme.example").unwrap()],
        cc: Vec::new(),
        subject: "Offer".to_owned(),
        sent_at: Some("2026-01-05T08:00:00Z".parse().unwrap()),
        places: BTreeSet::new(),
        wishes: BTreeSet::new(),
        authentic: Authentic::Yes,
        bytes: 100,
    };
    TrackedMail {
        key: identity(&envelope),
        direction: Direction::In,
        envelope,
        body: Body { html: Some("<p>Hello</p>".to_owned()), text: "Hello".to_owned(), ..Body::default() },
        at: at.to_vec(),
        participant: address(participant),
        link: String::new(),
    }
}

impl World {
    async fn mail(&self) -> BuiltinMail {
        let (account, user) = (&self.admin.account, &self.admin.id);
        BuiltinMail::open(self.table.clone(), self.clock.clone(), account, user).await.unwrap()
    }
    async fn shown(&self, kind: Kind, id: &RemoteId) -> Value {
        self.crm.get(&self.admin, kind, id.as_str()).await.unwrap().to_json()
    }
}

async fn holders(desk: &BuiltinMail, raw: &str) -> Vec<Subject> {
    let address = address(raw);
    desk.known(std::slice::from_ref(&address)).await.unwrap().remove(&address).unwrap_or_default()
}

#[tokio::test]
async fn an_address_is_looked_up_in_one_request_also_among_100_000_contacts() {
    let world = World::new().await;
    let desk = world.mail().await;
    let asked: Vec<Address> = (0..60).map(|n| address(&format!("n{}@x.example", n * 1_500))).collect();
    let mut made = 0;
    for (contacts, known) in [(10, 1), (100_000, 60)] {
        for n in made..contacts {
            world.make(Kind::Contact, contact("P", &[&format!("N{n}@X.example")])).await;
        }
        made = contacts;
        let before = (world.table.requests(), world.table.items_read());
        assert_eq!(desk.known(&asked).await.unwrap().len(), known);
        let cost = (world.table.requests() - before.0, world.table.items_read() - before.1);
        assert_eq!(cost, (1, known as u64), "one request, and no item but those of the addresses");
    }
}

#[tokio::test]
async fn the_index_follows_every_change_of_an_address() {
    let world = World::new().await;
    let desk = world.mail().await;
    let one = world.make(Kind::Contact, contact("One", &["jan@x.example", "Jan@Home.example", "JAN@x.example"])).await;
    let two = world.make(Kind::Contact, contact("Two", &["jan@x.example"])).await;
    let firm = world.make(Kind::Company, json!({"name": "X", "emails": [{"value": "jan@x.example"}]})).await;
    let all: BTreeSet<Subject> = [
        subject(SubjectKind::Contact, &one.id),
        subject(SubjectKind::Contact, &two.id),
        subject(SubjectKind::Company, &firm.id),
    ]
    .into();
    assert_eq!(holders(&desk, "jan@x.example").await.into_iter().collect::<BTreeSet<_>>(), all);
    let patch = object(json!({"emails": [{"type": "home", "value": "new@x.example"}]}));
    world.crm.update(&world.admin, Kind::Contact, &one.id, None, &patch).await.unwrap();
    assert_eq!(holders(&desk, "jan@home.example").await, []);
    assert_eq!(holders(&desk, "new@x.example").await, [subject(SubjectKind::Contact, &one.id)]);
    world.crm.delete(&world.admin, Kind::Contact, &two.id, None).await.unwrap();
    assert_eq!(holders(&desk, "jan@x.example").await, [subject(SubjectKind::Company, &firm.id)]);
}

#[tokio::test]
async fn fifty_addresses_and_fifty_others_fit_one_change() {
    let world = World::new().await;
    let many = |word: &str| (0..50).map(|n| format!("{word}{n}@x.example")).collect::<Vec<_>>();
    let texts = many("old");
    let made = world.make(Kind::Contact, contact("P", &texts.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let fresh: Vec<Value> = many("new").iter().map(|value| json!({"type": "work", "value": value})).collect();
    let patch = object(json!({ "emails": fresh }));
    world.crm.update(&world.admin, Kind::Contact, &made.id, None, &patch).await.unwrap();
    let desk = world.mail().await;
    assert_eq!(holders(&desk, "old0@x.example").await, []);
    assert_eq!(holders(&desk, "new39@x.example").await.len(), 1);
}

#[tokio::test]
async fn m09_one_message_in_two_mailboxes_is_one_email_with_two_participants() {
    let world = World::new().await;
    let desk = world.mail().await;
    let one = world.make(Kind::Contact, contact("One", &["jan@x.example"])).await;
    let two = world.make(Kind::Contact, contact("Two", &["an@x.example"])).await;
    let (at_one, at_two) = (subject(SubjectKind::Contact, &one.id), subject(SubjectKind::Contact, &two.id));
    let first = desk.file(&mail("1@x", std::slice::from_ref(&at_one), "me@acme.example")).await.unwrap();
    assert_eq!(first.how, FiledHow::Made);
    let again = desk.file(&mail("1@x", std::slice::from_ref(&at_one), "me@acme.example")).await.unwrap();
    assert_eq!((again.how, &again.id), (FiledHow::Found, &first.id));
    let second = desk.file(&mail("1@x", &[at_one, at_two], "you@acme.example")).await.unwrap();
    assert_eq!((second.how, &second.id), (FiledHow::Found, &first.id));
    let shown = world.shown(Kind::Email, &first.id).await;
    assert_eq!(shown["participants"], json!(["me@acme.example", "you@acme.example"]));
    assert_eq!(shown["links"].as_array().unwrap().len(), 2);
    assert_eq!((&shown["direction"], &shown["from"]), (&json!("in"), &json!("Jan <jan@x.example>")));
    assert_eq!((&shown["sent_at"], &shown["body_html"]), (&json!("2026-01-05T08:00:00Z"), &json!("<p>Hello</p>")));
    desk.remove(&first.id, &address("me@acme.example")).await.unwrap();
    assert_eq!(world.shown(Kind::Email, &first.id).await["participants"], json!(["you@acme.example"]));
    desk.remove(&first.id, &address("you@acme.example")).await.unwrap();
    desk.remove(&first.id, &address("you@acme.example")).await.unwrap();
    assert_eq!(desk.titles(&[first.id]).await.unwrap(), [None]);
}

#[tokio::test]
async fn m02_two_messages_of_one_stranger_never_make_two_contacts() {
    let world = World::new().await;
    let (a, b) = (world.mail().await, world.mail().await);
    let person = NewPerson::of(&Mailbox::read("Jan Peeters", "Jan@x.example").unwrap());
    let (one, two) = tokio::join!(a.add_person(&person), b.add_person(&person));
    let one = one.unwrap();
    assert_eq!(one, two.unwrap());
    let shown = world.shown(Kind::Contact, &one.id).await;
    assert_eq!((&shown["first_name"], &shown["last_name"]), (&json!("Jan"), &json!("Peeters")));
}

#[tokio::test]
async fn an_email_becomes_a_task_once_with_its_subject_and_links() {
    let world = World::new().await;
    let desk = world.mail().await;
    let one = world.make(Kind::Contact, contact("One", &["jan@x.example"])).await;
    let filed = desk.file(&mail("1@x", &[subject(SubjectKind::Contact, &one.id)], "me@acme.example")).await.unwrap();
    let due_on = "2026-01-06".parse().unwrap();
    let task = MailTask { title: String::new(), link: "https://mail.example/1".to_owned(), due_on };
    let made = desk.add_task(&filed.id, &task).await.unwrap();
    assert_eq!(desk.add_task(&filed.id, &task).await.unwrap(), made);
    let by_hand = world.crm.task_of_email(&world.admin, filed.id.as_str(), &object(json!({}))).await.unwrap();
    assert_eq!(by_hand.id, made.as_str());
    let shown = world.shown(Kind::Task, &made).await;
    assert_eq!(
        (&shown["title"], &shown["due_on"], &shown["done"]),
        (&json!("Offer"), &json!("2026-01-06"), &json!(false))
    );
    assert_eq!(shown["links"][0], json!({"type": "email", "id": filed.id}));
    assert_eq!(shown["links"][1], json!({"type": "contact", "id": one.id}));
    let missing = world.crm.task_of_email(&world.admin, &one.id, &object(json!({}))).await;
    assert!(matches!(missing, Err(CrmError::NotFound)));
}

#[tokio::test]
async fn what_an_email_says_is_checked_as_any_record_is() {
    let world = World::new().await;
    let nobody = "00000000-0000-7000-8000-000000000000";
    for (input, field) in [
        (json!({"subject": "x"}), "direction"),
        (json!({"direction": "up"}), "direction"),
        (json!({"direction": "in", "sent_at": "yesterday"}), "sent_at"),
        (json!({"direction": "in", "to": "me"}), "to"),
        (json!({"direction": "in", "links": [{"type": "user", "id": nobody}]}), "links[0].type"),
        (json!({"direction": "in", "links": [{"type": "contact", "id": nobody}]}), "links"),
    ] {
        match world.crm.create(&world.admin, Kind::Email, &object(input.clone())).await {
            Err(CrmError::Invalid { field: at, .. }) => assert_eq!(at, field, "{input}"),
            other => panic!("{input}: {other:?}"),
        }
    }
    let gone = subject(SubjectKind::Contact, nobody);
    let refused = world.mail().await.file(&mail("1@x", &[gone], "me@acme.example")).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permanent);
}

#[tokio::test]
async fn what_is_attached_becomes_files_of_the_contact_each_once() {
    let world = World::new().await;
    let one = world.make(Kind::Contact, contact("One", &["jan@x.example"])).await;
    let at = [subject(SubjectKind::Contact, &one.id)];
    let attachment = |bytes: &[u8]| Attachment {
        name: "image.png".to_owned(),
        media_type: "image/png".to_owned(),
        bytes: bytes.to_vec(),
    };
    let with = |id: &str, participant: &str| {
        let mut mail = mail(id, &at, participant);
        mail.body.attachments = vec![attachment(b"one"), attachment(b"two")];
        mail
    };
    let refused = world.mail().await.file(&with("1@x", "me@acme.example")).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permanent, "an installation without a store says so and files nothing");
    let blobs = Arc::new(MemoryBlobs::default());
    let desk = world.mail().await.with_files(blobs.clone());
    let first = desk.file(&with("1@x", "me@acme.example")).await.unwrap();
    for participant in ["me@acme.example", "you@acme.example"] {
        assert_eq!(desk.file(&with("1@x", participant)).await.unwrap().id, first.id);
    }
    let ids = world.shown(Kind::Email, &first.id).await["attachments"].clone();
    let mut names = Vec::new();
    for id in ids.as_array().unwrap() {
        names.push(world.shown(Kind::File, &RemoteId::new(id.as_str().unwrap())).await["name"].clone());
    }
    assert_eq!(names, [json!("image.png"), json!("image (2).png")]);
}
