//! What each profile permits and demands.
use super::*;

fn judge(settings: Value) -> Result<Settings, Invalid> {
    let Value::Object(map) = settings else { panic!("an object") };
    profile("teamleader-google-contacts").unwrap().settings(&map)
}

#[test]
fn what_is_left_out_takes_the_profiles_default() {
    let settings = judge(json!({})).unwrap();
    assert_eq!(settings.direction, Direction::CrmToRemote);
    assert_eq!(settings.frequency_minutes, 60);
    assert_eq!(settings.on_remote_delete, OnDelete::Restore);
    assert_eq!(settings.field_map.len(), field::ALL.len());
}

#[test]
fn a_wrong_setting_is_named() {
    let cases = [
        (json!({"direction": "both"}), "settings.direction"),
        (json!({"direction": 7}), "settings.direction"),
        (json!({"frequency_minutes": 4}), "settings.frequency_minutes"),
        (json!({"frequency_minutes": -1}), "settings.frequency_minutes"),
        (json!({"max_delete_percent": 101}), "settings.max_delete_percent"),
        (json!({"colour": "red"}), "settings.colour"),
        (json!({"match_on": ["shoe_size"]}), "settings.match_on"),
        (json!({"field_map": [{"crm": "emails", "remote": "first_name"}]}), "settings.field_map[0].remote"),
        (json!({"field_map": [{"crm": "shoe", "remote": "emails"}]}), "settings.field_map[0].crm"),
        (json!({"field_map": [{"crm": "emails", "remote": "phones"}]}), "settings.field_map[0].remote"),
        (
            json!({"field_map": [{"crm": "emails", "remote": "emails", "direction": "both"}]}),
            "settings.field_map[0].direction",
        ),
        (json!({"phone_region": "XX"}), "settings.phone_region"),
        (json!({"limits": "vendor", "frequency_minutes": 5}), "settings.frequency_minutes"),
    ];
    for (settings, field) in cases {
        assert_eq!(judge(settings.clone()).unwrap_err().field, field, "{settings}");
    }
}

#[test]
fn a_mail_profile_has_settings_of_its_own_and_none_of_contacts() {
    let judge = |settings: Value| profile("teamleader-gmail").unwrap().settings(settings.as_object().unwrap());
    let settings = judge(json!({"track": "all_known", "frequency_minutes": 5})).unwrap();
    assert_eq!((settings.frequency_minutes, settings.direction), (5, Direction::RemoteToCrm));
    assert_eq!(settings.mail.unwrap().track, crate::mail::TrackMode::AllKnown);
    for (wrong, field) in [(json!({"field_map": []}), "settings.field_map"), (json!({"track": 1}), "settings.track")] {
        assert_eq!(judge(wrong).unwrap_err().field, field);
    }
    let contacts = profile("teamleader-google-contacts").unwrap();
    let refused = contacts.settings(json!({"track": "all_known"}).as_object().unwrap());
    assert_eq!(refused.unwrap_err().field, "settings.track");
}

#[test]
fn a_calendar_profile_carries_appointments_and_the_crm_as_default_calendar_writes_nothing() {
    for id in ["teamleader-google-calendar", "zoho-google-calendar", "sell-google-calendar"] {
        let judge = |settings: Value| profile(id).unwrap().settings(settings.as_object().unwrap());
        let written = judge(json!({"default_calendar": "primary"})).unwrap();
        assert_eq!((written.direction, written.match_on), (Direction::Both, vec![MatchKey::Uid]), "{id}");
        let names: Vec<String> = written.field_map.iter().map(|rule| rule.crm.to_string()).collect();
        assert!(names.iter().any(|name| name == "start") && !names.iter().any(|name| name == "emails"), "{names:?}");
        assert_eq!(judge(json!({"default_calendar": "crm"})).unwrap().direction, Direction::RemoteToCrm);
        for wrong in ["field_map", "track", "remote_group"] {
            assert_eq!(judge(json!({wrong: []})).unwrap_err().field, format!("settings.{wrong}"));
        }
        let other = judge(json!({"default_calendar": "primary", "source_calendars": ["team"]})).unwrap();
        assert_ne!(
            other.bounds(Side::Right),
            judge(json!({"default_calendar": "primary"})).unwrap().bounds(Side::Right)
        );
    }
}

#[test]
fn the_tasks_profile_is_of_the_calendars_kind_and_has_a_list_and_no_calendars() {
    let tasks = profile("sell-google-tasks").unwrap();
    let judge = |settings: Value| tasks.settings(settings.as_object().unwrap());
    assert_eq!((tasks.kind, tasks.grant()), ("calendar", "tasks"));
    let settings = judge(json!({})).unwrap();
    assert!(settings.calendar.is_none() && settings.remote_group.is_none());
    let names: Vec<String> = settings.field_map.iter().map(|rule| rule.remote.to_string()).collect();
    assert_eq!(names, ["title", "notes", "due", "status"]);
    let chosen = judge(json!({"remote_list": "MDk"})).unwrap();
    assert_eq!(chosen.remote_group.as_deref(), Some("MDk"));
    assert_ne!(chosen.bounds(Side::Right), settings.bounds(Side::Right));
    for wrong in ["target_calendar", "remote_group", "field_map"] {
        assert_eq!(judge(json!({wrong: "x"})).unwrap_err().field, format!("settings.{wrong}"));
    }
    let calendars = profile("sell-google-calendar").unwrap();
    assert_eq!(calendars.grant(), "calendar");
    assert!(calendars.settings(json!({"remote_list": "MDk"}).as_object().unwrap()).is_err());
}

#[test]
fn the_files_profiles_differ_in_modules_root_direction_and_caps() {
    let judge = |id: &str, settings: Value| profile(id).unwrap().settings(settings.as_object().unwrap());
    for (id, direction, largest) in [
        ("teamleader-google-drive", Direction::Both, Some(50 << 20)),
        ("teamleader-dropbox", Direction::Both, Some(50 << 20)),
        ("zoho-google-drive", Direction::Both, Some(20 << 20)),
        ("zoho-dropbox", Direction::Both, Some(20 << 20)),
        ("sell-google-drive", Direction::CrmToRemote, None),
        ("sell-dropbox", Direction::CrmToRemote, None),
    ] {
        let (usual, capped) = (judge(id, json!({})).unwrap(), judge(id, json!({"limits": "vendor"})).unwrap());
        assert_eq!((usual.direction, usual.files.unwrap().max_file_bytes), (direction, None), "{id}");
        assert_eq!(capped.files.unwrap().max_file_bytes, largest, "{id}");
        let deals = judge(id, json!({"modules": ["deals"]}));
        assert_eq!(deals.is_ok(), !id.starts_with("teamleader"), "{id}");
        let rules = profile(id).unwrap();
        assert_eq!(rules.remote, if id.ends_with("dropbox") { ["dropbox"] } else { ["google"] }, "{id}");
        assert_eq!(rules.crm, ["builtin", id.split('-').next().unwrap()], "{id}");
    }
}

#[test]
fn settings_are_shown_under_the_names_of_the_schema_and_no_others() {
    for profile in PROFILES {
        let shown = profile.shown(&profile.settings(&Map::new()).unwrap());
        let schema = profile.settings_schema();
        let named: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(shown.keys().collect::<Vec<_>>(), named, "{}", profile.id);
        // What is shown can be given back.
        let given = shown.into_iter().filter(|(_, value)| !value.is_null()).collect();
        assert_eq!(
            profile.shown(&profile.settings(&given).unwrap()),
            profile.shown(&profile.settings(&Map::new()).unwrap())
        );
    }
}

#[test]
fn every_default_in_the_schema_is_accepted() {
    for profile in PROFILES {
        let schema = profile.settings_schema();
        let properties = schema["properties"].as_object().unwrap();
        let defaults = properties.iter().map(|(name, rule)| (name.clone(), rule["default"].clone())).collect();
        assert_eq!(profile.settings(&defaults).unwrap(), profile.settings(&Map::new()).unwrap());
        assert_eq!(properties.len(), profile.setting_names().len());
    }
}
