use super::*;
use crate::wire::FieldMeta;
use proptest::prelude::*;
use tandem_core::record::Value as Canonical;

fn layout() -> Layout {
    let meta = |name: &str, data_type: &str, custom_field| FieldMeta {
        api_name: name.into(),
        data_type: data_type.into(),
        custom_field,
        ..FieldMeta::default()
    };
    let mut metas: Vec<FieldMeta> = crate::layout::STANDARD.iter().map(|name| meta(name, "text", false)).collect();
    metas.extend([
        meta("Level", "picklist", true),
        meta("Amount", "double", true),
        meta("Vip", "boolean", true),
        meta("Met_On", "datetime", true),
        meta("Tags_Own", "multiselectpicklist", true),
    ]);
    Layout::of(&metas)
}

fn rules(layout: &Layout) -> Rules<'_> {
    Rules { layout, region: Region::of("BE"), carry: Carry::NameAndPhone }
}

fn record(value: Value) -> Record {
    Record(value.as_object().cloned().unwrap())
}

/// Writes `fields` over `raw` and answers what is sent and what Zoho shows then.
fn wrote(fields: &Fields, raw: &Record, layout: &Layout) -> (Map<String, Value>, Record) {
    let everything = |set: &Fields| set.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut changed = everything(fields);
    changed.extend(everything(&self::fields(raw, rules(layout))));
    let name = fields.text(&field::COMPANY).to_owned();
    let account = Account { id: "7".into(), name, phone: "02 555 12 12".into() };
    let body = body((&changed, fields), raw, rules(layout), Some(&account));
    let after = written(raw, &body, &layout.free, Some(&account));
    (body, after)
}

fn contact(emails: &[(&str, &str)], phones: &[(&str, &str)]) -> Fields {
    let list = |all: &[(&str, &str)]| {
        all.iter().map(|(label, value)| Labelled { label: (*label).into(), value: (*value).into() }).collect()
    };
    Contact { emails: list(emails), phones: list(phones), ..Contact::default() }.to_fields(Region::of("BE"))
}

#[test]
fn the_main_address_goes_where_zoho_and_matching_look() {
    let layout = layout();
    type Case<'a> = (&'a [(&'a str, &'a str)], [Value; 2]);
    let cases: [Case<'_>; 4] = [
        (&[("home", "a@x.be"), ("work", "b@x.be")], [json!("b@x.be"), json!("a@x.be")]),
        (&[("other", "a@x.be")], [json!("a@x.be"), Value::Null]),
        (&[("work", "a@x.be"), ("work", "b@x.be"), ("home", "c@x.be")], [json!("a@x.be"), json!("b@x.be")]),
        (&[("", "a@x.be")], [json!("a@x.be"), Value::Null]),
    ];
    for (emails, wanted) in cases {
        let (body, _) = wrote(&contact(emails, &[]), &Record::default(), &layout);
        let sent = |name: &str| body.get(name).cloned().unwrap_or(Value::Null);
        assert_eq!([sent("Email"), sent("Secondary_Email")], wanted, "{emails:?}");
    }
}

#[test]
fn a_second_address_that_is_there_stays_where_it_is() {
    let layout = layout();
    let raw = record(json!({"Email": null, "Secondary_Email": "A@x.be"}));
    let (body, _) = wrote(&contact(&[("other", "a@x.be"), ("home", "new@x.be")], &[]), &raw, &layout);
    assert_eq!(Value::Object(body), json!({"Email": "new@x.be"}));
}

#[test]
fn a_fax_is_no_phone_and_the_companys_number_is_not_the_persons() {
    let layout = layout();
    let phones = [
        ("fax", "+3225551111"),
        ("fax", "+3225552222"),
        ("work", "+3225553333"),
        ("work", "+3225554444"),
        ("company", "+3225551212"),
        ("pager", "+3225555555"),
    ];
    let (body, after) = wrote(&contact(&[], &phones), &Record::default(), &layout);
    assert_eq!(body["Fax"], "+3225551111");
    assert_eq!(body["Phone"], "+3225553333");
    assert_eq!(body["Other_Phone"], "+3225554444");
    assert!(!Value::Object(body).to_string().contains("2222"), "no second fax number fits");
    let shown = fields(&after, rules(&layout));
    assert!(!shown.items(&field::PHONES).iter().any(|item| item.as_value() == "+3225552222"));
}

#[test]
fn a_birthday_without_a_year_is_not_kept_but_costs_no_full_one() {
    let layout = layout();
    let yearless = Contact { birthday: "--02-29".into(), ..Contact::default() }.to_fields(Region::none());
    let (body, after) = wrote(&yearless, &Record::default(), &layout);
    assert!(!body.contains_key("Date_of_Birth"));
    assert_eq!(fields(&after, rules(&layout)).text(&field::BIRTHDAY), "");
    let (body, after) = wrote(&yearless, &record(json!({"Date_of_Birth": "1980-02-29"})), &layout);
    assert!(body.is_empty());
    assert_eq!(fields(&after, rules(&layout)).text(&field::BIRTHDAY), "1980-02-29");
    let (body, _) = wrote(&yearless, &record(json!({"Date_of_Birth": "1980-03-01"})), &layout);
    assert_eq!(body["Date_of_Birth"], Value::Null);
}

#[test]
fn free_fields_keep_their_types() {
    let layout = layout();
    let raw = record(json!({"Amount": 12.0, "Vip": true, "Met_On": "2026-01-05T10:00:00+01:00",
                            "Tags_Own": ["a", "b"], "Level": "gold"}));
    let read = fields(&raw, rules(&layout));
    let text = |name: &str| read.text(&Field::named(format!("custom.{name}"))).to_owned();
    assert_eq!(text("Amount"), "12");
    assert_eq!(text("Vip"), "true");
    assert_eq!(text("Met_On"), "2026-01-05T09:00:00Z");
    assert_eq!(text("Tags_Own"), "a;b");
    let (body, _) = wrote(&read, &Record::default(), &layout);
    assert_eq!(body["Amount"], 12);
    assert_eq!(body["Vip"], true);
    assert_eq!(body["Met_On"], "2026-01-05T09:00:00+00:00");
    assert_eq!(body["Tags_Own"], json!(["a", "b"]));
}

#[test]
fn a_company_is_named_by_its_account_and_brings_its_number() {
    let layout = layout();
    let fields_of = |record: &Record| fields(record, rules(&layout));
    let wanted = Contact { company: "Bakkerij".into(), ..Contact::default() }.to_fields(Region::none());
    let (body, after) = wrote(&wanted, &Record::default(), &layout);
    assert_eq!(body["Account_Name"]["id"], "7");
    let shown = fields_of(&after);
    assert_eq!(shown.items(&field::PHONES), [Item::value("company", "+3225551212")]);
    // Without the company its number goes as well.
    let (body, after) = wrote(&Fields::new(), &after, &layout);
    assert_eq!(Value::Object(body), json!({"Account_Name": null}));
    assert!(!fields_of(&after).iter().any(|(name, _)| !name.as_str().starts_with("custom.")));
}

fn any_fields() -> impl Strategy<Value = Fields> {
    let text = || "[a-zA-Z0-9 ÄéßI.,'+-]{0,12}";
    let label = || prop::sample::select(vec!["", "work", "home", "other", "mobile", "fax", "company", "main"]);
    let lists = prop::collection::vec((label(), text()), 0..4);
    let phones = prop::collection::vec((label(), "(0470[0-9]{6}|[0-9 ]{3,9})"), 0..7);
    let places = prop::collection::vec((label(), text(), text(), text()), 0..4);
    let birthday = prop::sample::select(vec!["", "--02-29", "1980-02-29", "2001-12-01", "soon"]);
    let free = (
        "(|[1-9][0-9]{0,3})",
        prop::sample::select(vec!["", "true", "false"]),
        prop::sample::select(vec!["", "a;b", "a"]),
    );
    (lists, phones, places, birthday, (text(), text(), text(), text()), free).prop_map(
        |(emails, phones, places, birthday, (first, last, company, remarks), (amount, vip, several))| {
            let list = |all: Vec<(&str, String)>| {
                all.into_iter().map(|(label, value)| Labelled { label: label.into(), value }).collect()
            };
            let place = |(label, street, city, country): (&str, String, String, String)| Address {
                label: label.into(),
                street,
                city,
                country,
                ..Address::default()
            };
            let custom = [("Amount", amount), ("Vip", vip.to_owned()), ("Tags_Own", several.to_owned())];
            let contact = Contact {
                first_name: first,
                last_name: last,
                company,
                remarks,
                birthday: birthday.into(),
                emails: list(emails),
                phones: list(phones),
                addresses: places.into_iter().map(place).collect(),
                custom: custom.map(|(name, value)| (name.to_owned(), value)).into(),
                ..Contact::default()
            };
            contact.to_fields(Region::of("BE"))
        },
    )
}

proptest! {
    #[test]
    fn what_zoho_shows_after_a_write_is_written_again_without_a_change(before in any_fields(), wanted in any_fields()) {
        let layout = layout();
        let (_, raw) = wrote(&before, &Record::default(), &layout);
        let (_, after) = wrote(&wanted, &raw, &layout);
        let shown = fields(&after, rules(&layout));
        let (again, _) = wrote(&shown, &after, &layout);
        prop_assert!(again.is_empty(), "{again:?}");
    }

    #[test]
    fn nothing_is_made_up(wanted in any_fields()) {
        let layout = layout();
        let (_, after) = wrote(&wanted, &Record::default(), &layout);
        for (name, value) in fields(&after, rules(&layout)).iter() {
            match value {
                Canonical::Items(items) => {
                    let asked = wanted.items(name);
                    for item in items.iter().filter(|item| item.label != COMPANY_PHONE) {
                        prop_assert!(asked.iter().any(|known| known.parts == item.parts), "{name}");
                    }
                }
                Canonical::Text(text) => {
                    prop_assert!(wanted.text(name) == text || name.as_str() == "custom.Vip", "{name}");
                }
            }
        }
    }
}
