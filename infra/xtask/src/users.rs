//! The users of a local world: at least two, the first an administrator.
use crate::api::Api;
use crate::aws::Aws;
use crate::fault::{Fault, OrFault as _, Result};
use crate::place::{Place, write_whole};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs;

/// A user with a bearer token. The tokens open nothing but this machine's emulator.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
}

const PEOPLE: [(&str, &str, bool); 2] =
    [("ada@example.com", "Ada Lange", true), ("ben@example.com", "Ben Fuchs", false)];

/// The users of the last start where their tokens still hold, else new ones.
pub(crate) fn users(place: &Place, aws: &Aws, app: &str, api_url: &str) -> Result<Vec<User>> {
    let kept = place.file("users.json");
    let before: Vec<User> =
        fs::read_to_string(&kept).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let holds = |user: &User| {
        let answer = Api::new(api_url, &user.token).send("GET", "/v1/connections", "application/json", Vec::new());
        answer.is_ok_and(|(status, _)| status == 200)
    };
    if before.len() == PEOPLE.len() && before.iter().all(holds) {
        return Ok(before);
    }
    let mut users = Vec::new();
    for (email, name, admin) in PEOPLE {
        let event = json!({"tandem_admin": {"create_user": {"email": email, "name": name, "admin": admin}}});
        let answer = aws.invoke(app, &event)?;
        let user: User = serde_json::from_value(answer).map_err(|_| Fault::new("the app did not answer a user"))?;
        users.push(user);
    }
    write_whole(&kept, &serde_json::to_string_pretty(&users).or_fault(|| "no JSON".to_owned())?)?;
    Ok(users)
}
