use super::*;
use serde_json::json;

const BE: &str = "BE";

fn held(contact: Value) -> Held {
    Held { contact: contact.as_object().cloned().expect("an object"), company: None }
}

fn update(held: &Held, name: &Field, fields: &Fields) -> Map<String, Value> {
    changes(std::slice::from_ref(name), fields, held, &[], Region::of(BE))
}

#[test]
fn what_is_read_and_written_back_stays_the_same() {
    let there = held(json!({
        "last_name": "P", "emails": [{"type": "primary", "email": "Jan@X.be"}],
        "telephones": [{"type": "phone", "number": "09 298 06 15"}, {"type": "mobile", "number": "+32470123456"}],
        "addresses": [
            {"type": "primary", "address": {"line_1": "Dok 1", "postal_code": "9000", "city": "Gent", "country": "BE",
                "area_level_two": {"type": "area_level_two", "id": "a-1"}}},
            {"type": "invoicing", "address": {"addressee": "HQ", "line_1": "Dok 2", "postal_code": null,
                "city": "Gent", "country": "FR", "area_level_two": null}},
        ],
    }));
    let fields = fields(&there, Carry::Name, Region::of(BE));
    assert_eq!(update(&there, &field::EMAILS, &fields)["emails"][0]["email"], "Jan@X.be");
    let numbers = json!([{"type": "phone", "number": "09 298 06 15"}, {"type": "mobile", "number": "+32470123456"}]);
    assert_eq!(update(&there, &field::PHONES, &fields)["telephones"], numbers);
    let addresses = &update(&there, &field::ADDRESSES, &fields)["addresses"];
    assert_eq!(addresses[0]["address"]["area_level_two_id"], "a-1");
    assert_eq!(addresses[1]["address"]["addressee"], "HQ");
    assert_eq!(addresses[1]["address"]["country"], "FR");
}

#[test]
fn a_second_email_and_the_companys_number_are_not_written() {
    let one = |label: &str, value: &str| Labelled { label: label.to_owned(), value: value.to_owned() };
    let contact = Contact {
        emails: vec![one("work", "a@x.be"), one("home", "b@x.be")],
        phones: vec![one("company", "+3292980615"), one("home", "+32470123456")],
        ..Contact::default()
    };
    let fields = contact.to_fields(Region::none());
    let none = Held::default();
    assert_eq!(update(&none, &field::EMAILS, &fields)["emails"], json!([{"type": "primary", "email": "a@x.be"}]));
    let numbers = json!([{"type": "phone", "number": "+32470123456"}]);
    assert_eq!(update(&none, &field::PHONES, &fields)["telephones"], numbers);
    assert_eq!(update(&none, &field::EMAILS, &Fields::new())["emails"][0]["email"], Value::Null);
}

#[test]
fn a_country_is_a_code_and_falls_back_to_the_region() {
    for (said, code) in [("Belgium", "BE"), ("nederland", "NL"), ("FR", "FR"), ("", "BE"), ("Atlantis", "BE")] {
        let street =
            Address { label: "home".into(), street: "Dok 1".into(), country: said.into(), ..Address::default() };
        let fields = Contact { addresses: vec![street], ..Contact::default() }.to_fields(Region::none());
        let body = update(&Held::default(), &field::ADDRESSES, &fields);
        assert_eq!(body["addresses"][0]["address"]["country"], code, "{said}");
        assert_eq!(body["addresses"][0]["type"], "primary");
    }
}

#[test]
fn odd_language_codes_are_tags_here_and_codes_there() {
    for (code, tag) in [("jp", "ja"), ("gr", "el"), ("br", "pt-BR"), ("nl", "nl")] {
        let read = fields(&held(json!({"language": code})), Carry::Name, Region::none());
        assert_eq!(read.text(&field::LANGUAGE), tag);
        assert_eq!(update(&Held::default(), &field::LANGUAGE, &read)["language"], code);
    }
    let nl = Contact { language: "nl-BE".into(), ..Contact::default() }.to_fields(Region::none());
    assert_eq!(update(&Held::default(), &field::LANGUAGE, &nl)["language"], "nl");
    assert!(update(&held(json!({"language": "nl"})), &field::LANGUAGE, &nl).is_empty());
}

#[test]
fn a_birthday_without_a_year_leaves_what_is_there() {
    let fields = Contact { birthday: "--02-29".into(), ..Contact::default() }.to_fields(Region::none());
    assert!(update(&Held::default(), &field::BIRTHDAY, &fields).is_empty());
    assert_eq!(update(&Held::default(), &field::BIRTHDAY, &Fields::new())["birthdate"], Value::Null);
}

#[test]
fn custom_fields_keep_their_type_and_are_written_in_part() {
    let definition = |id: &str, kind: &str| -> Definition {
        serde_json::from_value(json!({"id": id, "context": "contact", "type": kind, "label": id})).unwrap()
    };
    let definitions = [
        definition("n", "integer"),
        definition("b", "boolean"),
        definition("m", "multi_select"),
        definition("c", "company"),
    ];
    let there = held(json!({"custom_fields": [
        {"definition": {"id": "n"}, "value": 5}, {"definition": {"id": "b"}, "value": true},
        {"definition": {"id": "m"}, "value": ["x", "y"]}, {"definition": {"id": "c"}, "value": {"type": "company", "id": "1"}},
    ]}));
    let read = fields(&there, Carry::Name, Region::none());
    let names: Vec<Field> = ["n", "b", "m", "c"].map(|id| Field::named(format!("custom.{id}"))).to_vec();
    let body = changes(&names, &read, &there, &definitions, Region::none());
    let written = json!([{"id": "n", "value": 5}, {"id": "b", "value": true}, {"id": "m", "value": ["x", "y"]}]);
    assert_eq!(body["custom_fields"], written);
    assert_eq!(body["custom_fields_update_strategy"], "partial");
    assert!(schema_of(&definitions[3]).read_only);
}
