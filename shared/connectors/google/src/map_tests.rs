use super::*;
use proptest::prelude::*;

fn person(value: Value) -> Person {
    Person(value.as_object().cloned().expect("an object"))
}

/// All parts of `fields` laid over `raw`.
fn laid_over(fields: &Fields, raw: &Person, region: Region) -> Person {
    let mut out = raw.clone();
    for part in Part::OF_FIELDS {
        out.0.insert(part.path().to_owned(), Value::Array(changed(part, fields, raw, region)));
    }
    out
}

#[test]
fn labels_we_have_no_word_for_are_kept() {
    let raw = person(json!({
        "phoneNumbers": [{"value": "1", "type": "pager"}, {"value": "2", "type": "homeFax"}, {"value": "3"}],
        "emailAddresses": [{"value": "a@b.example", "type": "yacht", "displayName": "A"}],
    }));
    let said = fields(&raw, Region::none());
    let labels: Vec<&str> = said.items(&field::PHONES).iter().map(|item| item.label.as_str()).collect();
    assert_eq!(labels, ["pager", "fax", ""]);
    let again = laid_over(&said, &raw, Region::none());
    assert_eq!(again.0["phoneNumbers"], raw.0["phoneNumbers"]);
    assert_eq!(again.0["emailAddresses"], raw.0["emailAddresses"]);
}

#[test]
fn birthdays_have_a_year_or_none() {
    for (wire, said) in [
        (json!({"date": {"year": 1980, "month": 2, "day": 1}}), "1980-02-01"),
        (json!({"date": {"month": 2, "day": 29}}), "--02-29"),
        (json!({"date": {"year": 0, "month": 2, "day": 29}}), "--02-29"),
        (json!({"text": "in spring"}), "in spring"),
    ] {
        let raw = person(json!({"birthdays": [wire]}));
        assert_eq!(fields(&raw, Region::none()).text(&field::BIRTHDAY), said);
        let again = laid_over(&fields(&raw, Region::none()), &raw, Region::none());
        assert_eq!(again.0["birthdays"], raw.0["birthdays"]);
    }
}

#[test]
fn what_a_profile_says_is_not_the_contacts() {
    let raw =
        person(json!({"emailAddresses": [{"value": "a@b.example", "metadata": {"source": {"type": "PROFILE"}}}]}));
    assert!(fields(&raw, Region::none()).is_empty());
}

#[test]
fn a_changed_number_keeps_the_entry_of_its_label() {
    let raw = person(json!({"addresses": [
        {"type": "home", "streetAddress": "Old 1", "poBox": "9", "formattedValue": "Old 1"},
        {"type": "work", "streetAddress": "Work 1"},
    ]}));
    let mut said = fields(&raw, Region::none());
    let mut items = said.items(&field::ADDRESSES).to_vec();
    items[0].parts.insert("street".to_owned(), "New 2".to_owned());
    said.set(field::ADDRESSES, tandem_core::record::Value::Items(items));
    let entries = changed(Part::Addresses, &said, &raw, Region::none());
    assert_eq!(entries[0], json!({"type": "home", "streetAddress": "New 2", "poBox": "9"}));
    assert_eq!(entries[1], raw.0["addresses"][1]);
}

#[test]
fn the_last_group_is_never_taken_away() {
    let raw = person(json!({"memberships": [membership("contactGroups/ours")]}));
    assert_eq!(with_scope(&raw, "contactGroups/ours", Scope::Outside), [membership(MY_CONTACTS)]);
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9äß .-]{0,12}"
}

prop_compose! {
    fn any_contact()(
        texts in prop::collection::vec(word(), 8),
        emails in prop::collection::vec(("work|home|other|boat|", "[a-z]{1,4}@[a-z]{1,4}\\.be"), 0..4),
        phones in prop::collection::vec(("work|mobile|home|fax|company|pager|", "(\\+32470[0-9]{6}|[0-9]{3,9})"), 0..4),
        addresses in prop::collection::vec(("work|home|", word(), word(), word()), 0..3),
        birthday in prop::option::of((1900i16..2100, 1u8..=12, 1u8..=28)),
        custom in prop::collection::btree_map("[a-z]{1,3}", word(), 0..4),
    ) -> Contact {
        let labelled = |(label, value): (String, String)| Labelled { label, value };
        let address = |(label, street, city, country): (String, String, String, String)| {
            Address { label, street, city, country, ..Address::default() }
        };
        Contact {
            salutation: texts[0].clone(), first_name: texts[1].clone(), last_name: texts[2].clone(),
            emails: emails.into_iter().map(labelled).collect(), phones: phones.into_iter().map(labelled).collect(),
            addresses: addresses.into_iter().map(address).collect(),
            company: texts[3].clone(), position: texts[4].clone(), language: texts[5].clone(),
            website: texts[6].clone(), remarks: texts[7].clone(), custom,
            birthday: birthday.map(|(y, m, d)| if y % 2 == 0 { format!("{y}-{m:02}-{d:02}") } else { format!("--{m:02}-{d:02}") })
                .unwrap_or_default(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(contact in any_contact()) {
        let region = Region::of("BE");
        let said = contact.to_fields(region);
        let made = Person(new_person(&said, &Marker::new("m"), None, region));
        prop_assert!(fields(&made, region) == said);
    }

    #[test]
    fn laid_over_any_other_contact_it_reads_back(before in any_contact(), after in any_contact()) {
        let region = Region::of("BE");
        let raw = Person(new_person(&before.to_fields(region), &Marker::new("m"), None, region));
        let said = after.to_fields(region);
        prop_assert!(fields(&laid_over(&said, &raw, region), region) == said);
    }

    #[test]
    fn writing_what_was_read_changes_nothing(contact in any_contact()) {
        let region = Region::of("BE");
        let raw = Person(new_person(&contact.to_fields(region), &Marker::new("m"), None, region));
        for part in Part::OF_FIELDS {
            prop_assert_eq!(changed(part, &fields(&raw, region), &raw, region), unchanged(part, &raw));
        }
    }
}
