//! Which calendars and activities the settings choose.
use super::*;

fn read(profile: &str, given: Value) -> Result<CalendarSettings, Invalid> {
    CalendarSettings::read(given.as_object().unwrap(), rules(profile))
}

#[test]
fn the_products_differ_in_where_they_write_and_what_is_for_display() {
    let teamleader = read("teamleader-google-calendar", json!({"source_calendars": ["primary", "team"]})).unwrap();
    assert_eq!((teamleader.target(), teamleader.imported_as), (Some(PRIMARY), ImportedAs::Block));
    assert!(teamleader.sources().all(|(_, access)| access == Access::Both));
    let sell = read("sell-google-calendar", json!({})).unwrap();
    assert_eq!((sell.target(), sell.narrow(Direction::Both)), (None, Direction::RemoteToCrm));
    let chosen = json!({"source_calendars": ["primary", "team"], "default_calendar": "team"});
    let sell = read("sell-google-calendar", chosen).unwrap();
    let sources: Vec<_> = sell.sources().collect();
    assert_eq!((sell.target(), sources), (Some("team"), vec![(PRIMARY, Access::ReadOnly), ("team", Access::Both)]));
}

#[test]
fn a_calendar_is_read_once_and_read_only_is_stronger() {
    let given = json!({"source_calendars": ["a", "a", "b"], "read_only_calendars": ["b", "c"]});
    let settings = read("zoho-google-calendar", given).unwrap();
    let sources: Vec<_> = settings.sources().collect();
    assert_eq!(sources, [("a", Access::Both), ("b", Access::ReadOnly), ("c", Access::ReadOnly)]);
}

#[test]
fn what_becomes_of_googles_appointments_is_a_setting_of_sells_profile_alone() {
    let read = |given: Value| read("sell-google-calendar", given);
    let (off, tasks) = (read(json!({})).unwrap(), read(json!({"remote_events": "tasks"})).unwrap());
    assert_eq!((off.remote_events, tasks.remote_events), (RemoteEvents::Off, RemoteEvents::Tasks));
    assert_ne!(off.bounds(), tasks.bounds(), "what was left alone is looked at again");
    assert_eq!(read(json!({"remote_events": "notes"})).unwrap_err().field, "settings.remote_events");
    assert!(!names("zoho-google-calendar").contains(&"remote_events"));
}

#[test]
fn calendars_must_serve_the_direction() {
    let read = |given: Value| read("teamleader-google-calendar", given).unwrap();
    let (none, only_read) =
        (json!({"source_calendars": []}), json!({"source_calendars": [], "read_only_calendars": ["a"]}));
    for direction in [Direction::Both, Direction::RemoteToCrm] {
        assert_eq!(read(none.clone()).permit(direction).unwrap_err().field, "settings.source_calendars");
        assert_eq!(read(only_read.clone()).permit(direction), Ok(()));
    }
    assert_eq!(read(none).permit(Direction::CrmToRemote), Ok(()));
    let nowhere = read(json!({"default_calendar": "crm"}));
    assert_eq!(nowhere.permit(Direction::CrmToRemote).unwrap_err().field, "settings.default_calendar");
    assert_eq!(nowhere.permit(Direction::Both), Ok(()));
}

#[test]
fn the_calendar_that_is_given_takes_its_other_name_along() {
    for (before, given, after) in [
        (json!({"default_calendar": "a"}), json!({"target_calendar": "b"}), json!({"default_calendar": "b"})),
        (json!({"target_calendar": "a"}), json!({"default_calendar": "b"}), json!({"target_calendar": "b"})),
        (json!({"default_calendar": "crm"}), json!({"target_calendar": "b"}), json!({"default_calendar": "crm"})),
        (json!({"target_calendar": "a"}), json!({"default_calendar": "crm"}), json!({"target_calendar": "a"})),
        (json!({"default_calendar": "a"}), json!({"target_calendar": null}), json!({"default_calendar": "a"})),
        (
            json!({"default_calendar": "a"}),
            json!({"target_calendar": "b", "default_calendar": "c"}),
            json!({"default_calendar": "a"}),
        ),
        (json!({}), json!({"target_calendar": "b"}), json!({})),
    ] {
        let mut settings = before.as_object().unwrap().clone();
        follow(&mut settings, given.as_object().unwrap());
        assert_eq!(Value::Object(settings), after, "{before} and {given}");
    }
}

#[test]
fn a_calendar_that_the_account_does_not_have_is_named_with_its_setting() {
    let read = |given: Value| read("teamleader-google-calendar", given).unwrap();
    let before = read(json!({"source_calendars": ["primary", "gone"]}));
    let given = json!({"source_calendars": ["primary", "gone", "Team"], "target_calendar": "shared"});
    let after = read(given);
    let names = after.new_names(Some(&before));
    assert_eq!(names, [("source_calendars", "Team"), ("target_calendar", "shared")]);
    let of = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>();
    let choices = BTreeMap::from([("source_calendars", of(&["team", "shared"])), ("target_calendar", of(&["team"]))]);
    let refused = judge_names(&names, &choices).unwrap_err();
    assert_eq!((refused.field.as_str(), refused.message.contains("only be read")), ("settings.target_calendar", true));
    let names = after.new_names(None);
    assert_eq!(judge_names(&names, &choices).unwrap_err().field, "settings.source_calendars", "{names:?}");
    assert!(read(json!({"default_calendar": "crm"})).new_names(None).is_empty());
}

#[test]
fn which_activities_are_carried_is_a_setting_of_the_profiles_whose_crm_has_several() {
    let zoho = |given: Value| read("zoho-google-calendar", given).map(|read| read.activities);
    assert_eq!(zoho(json!({})).unwrap(), [Activity::Meetings]);
    let given = json!({"activities": ["tasks", "meetings"]});
    assert_eq!(zoho(given).unwrap(), [Activity::Meetings, Activity::Tasks]);
    let refused = zoho(json!({"activities": ["meetings", "calls"]})).unwrap_err();
    assert_eq!(refused.field, "settings.activities");
    assert_eq!(refused.message, "Must be a list out of `meetings`, `tasks`, `meetings` among them.");
    let allowed = |profile| CalendarSettings::schema(rules(profile))["activities"]["items"]["enum"].clone();
    assert_eq!(allowed("zoho-google-calendar"), json!(["meetings", "tasks"]));
    assert_eq!(allowed("teamleader-google-calendar"), json!(["meetings", "calls", "tasks", "events"]));
    let read = |given: Value| read("teamleader-google-calendar", given).unwrap().activities;
    assert_eq!(read(json!({})), [Activity::Meetings], "nothing new begins to flow by itself, also in a stored sync");
    let given = json!({"activities": ["events", "meetings", "tasks", "events"]});
    assert_eq!(read(given), [Activity::Meetings, Activity::Tasks, Activity::Events]);
    assert!(names("teamleader-google-calendar").contains(&"activities"));
    assert!(names("zoho-google-calendar").contains(&"activities"));
    assert!(!names("sell-google-calendar").contains(&"activities"));
}

#[test]
fn a_wrong_setting_is_named() {
    for (given, name) in [
        (json!({"source_calendars": "primary"}), "source_calendars"),
        (json!({"source_calendars": [""]}), "source_calendars"),
        (json!({"source_calendars": ["crm"]}), "source_calendars"),
        (json!({"target_calendar": "crm"}), "target_calendar"),
        (json!({"target_calendar": "a/b"}), "target_calendar"),
        (json!({"default_calendar": 7}), "default_calendar"),
        (json!({"default_calendar": "a", "target_calendar": "b"}), "default_calendar"),
        (json!({"read_only_calendars": ["primary"]}), "read_only_calendars"),
        (json!({"window_future_days": 0}), "window_future_days"),
        (json!({"window_past_days": 9999}), "window_past_days"),
        (json!({"imported_as": "event"}), "imported_as"),
        (json!({"activities": []}), "activities"),
        (json!({"activities": ["calls"]}), "activities"),
        (json!({"activities": ["meetings", "notes"]}), "activities"),
        (json!({"activities": "meetings"}), "activities"),
    ] {
        let refused = read("teamleader-google-calendar", given.clone()).unwrap_err();
        assert_eq!(refused.field, format!("settings.{name}"), "{given}");
    }
}
