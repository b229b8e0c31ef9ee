use crate::{ACCOUNT, World};
use serde_json::json;
use tandem_core::contact::Contact;
use tandem_core::normalise::Region;
use tandem_core::record::{Field, Marker};
use tandem_core::schema::FieldType;
use tandem_ports::connector::{Choice, Connector, Draft, Patch};

const TYPES: [(&str, &str, &str); 8] = [
    ("VIP", "string", "yes"),
    ("Story", "text", "long ago"),
    ("Age", "number", "43"),
    ("Since", "date", "2020-02-29"),
    ("Seen", "datetime", "2026-01-05T08:00:00Z"),
    ("Good", "bool", "true"),
    ("Size", "list", "M"),
    ("Wants", "multiselect_list", "cake;tea"),
];

fn account_with_every_type() -> World {
    let world = World::new();
    let shop = ("Shop", "address", "");
    for (id, (name, kind, _)) in TYPES.iter().chain([&shop]).enumerate() {
        let mut field = json!({"id": id, "name": name, "type": kind});
        match *kind {
            "list" => field["choices"] = json!([{"id": 1, "name": "S"}, {"id": 2, "name": "M"}]),
            "multiselect_list" => field["choices"] = json!(["tea", "cake"]),
            _ => {}
        }
        world.fake.order("POST", "custom-fields", &json!({"account": ACCOUNT, "field": field}));
    }
    world
}

fn named(name: &str) -> Field {
    Field::named(format!("custom.{name}"))
}

#[tokio::test]
async fn custom_fields_are_of_their_types() {
    let world = account_with_every_type();
    let schema = world.sell.schema().await.expect("a schema");
    let holds = |name: &str| schema.iter().find(|field| field.name == named(name)).map(|field| field.holds.clone());
    let choice =
        |values: [&str; 2], several| FieldType::Picklist { values: values.map(str::to_owned).to_vec(), several };
    assert_eq!(holds("VIP"), Some(FieldType::Text));
    assert_eq!(holds("Story"), Some(FieldType::Text));
    assert_eq!(holds("Age"), Some(FieldType::Number));
    assert_eq!(holds("Since"), Some(FieldType::Date));
    assert_eq!(holds("Seen"), Some(FieldType::DateTime));
    assert_eq!(holds("Good"), Some(FieldType::Boolean));
    assert_eq!(holds("Size"), Some(choice(["S", "M"], false)));
    assert_eq!(holds("Wants"), Some(choice(["tea", "cake"], true)));
    assert_eq!(holds("Shop"), None, "no text says an address");
}

#[tokio::test]
async fn custom_fields_are_written_shown_and_emptied() {
    let world = account_with_every_type();
    let custom = TYPES.iter().map(|(name, _, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let contact = Contact { last_name: "Peeters".into(), custom, ..Contact::default() };
    let draft = Draft { marker: Marker::new("m"), fields: contact.to_fields(Region::none()) };
    let made = world.sell.create(&[draft]).await.expect("a batch").remove(0).expect("made");
    let read = world.sell.get(std::slice::from_ref(&made.id)).await.expect("a read").remove(0).expect("there");
    assert_eq!(made.version, read.version);
    for (name, _, value) in TYPES {
        assert_eq!(read.fields.text(&named(name)), value, "{name}");
    }
    assert_eq!(read.raw["custom_fields"]["Age"], 43);
    assert_eq!(read.raw["custom_fields"]["Good"], true);
    assert_eq!(read.raw["custom_fields"]["Wants"], json!(["cake", "tea"]));
    let changed: Vec<Field> = TYPES.iter().map(|(name, _, _)| named(name)).collect();
    let fields = Contact { last_name: "Peeters".into(), ..Contact::default() }.to_fields(Region::none());
    let (id, expect, raw) = (read.id, read.version, read.raw);
    let patch = Patch { id, expect, changed, fields, scope: None, marker: None, raw };
    let emptied = world.sell.update(&[patch]).await.expect("a batch").remove(0).expect("written");
    let shown = emptied.shown.expect("Sell answers the record");
    assert!(TYPES.iter().all(|(name, _, _)| shown.get(&named(name)).is_none()));
}

#[tokio::test]
async fn a_list_can_be_chosen_from_the_tags_of_contacts() {
    let world = World::new();
    world.make(&json!({"last_name": "A", "tags": ["Tandem", "vip"]}));
    world.make(&json!({"last_name": "B", "tags": ["vip"]}));
    world.fake.order("POST", "leads", &json!({"account": ACCOUNT, "data": {"last_name": "L", "tags": ["hot"]}}));
    let choice = |name: &str| Choice { id: format!("tag:{name}"), name: name.to_owned() };
    let choices = world.sell.choices().await.expect("choices");
    assert_eq!(choices, [("crm_list", vec![choice("Tandem"), choice("vip")])]);
}

#[tokio::test]
async fn more_tags_than_a_page_has_are_all_there() {
    let world = World::new();
    for n in 0..205 {
        world.make(&json!({"last_name": "A", "tags": [format!("tag {n:03}")]}));
    }
    let choices = world.sell.choices().await.expect("choices");
    assert_eq!(choices[0].1.len(), 205);
}
