//! Fields, list views, users and profiles.
use super::{Call, checked, get};
use crate::error::Operation;
use tandem_ports::error::Result;

pub(crate) const FIELDS: Operation = Operation { name: "settings.fields", scope: "ZohoCRM.settings.fields.READ" };
pub(crate) const VIEWS: Operation =
    Operation { name: "settings.custom_views", scope: "ZohoCRM.settings.custom_views.READ" };
pub(crate) const USERS: Operation = Operation { name: "users.get", scope: "ZohoCRM.users.READ" };
pub(crate) const PROFILE: Operation = Operation { name: "settings.profiles", scope: "ZohoCRM.settings.profiles.READ" };

fn contacts() -> (&'static str, String) {
    ("module", "Contacts".to_owned())
}

/// The fields of a contact.
pub(crate) fn fields(origin: &str) -> Result<Call> {
    get(FIELDS, origin, "settings/fields", &[contacts()])
}

/// The list views of a module that this user sees.
pub(crate) fn views(origin: &str, module: &str, page: u32) -> Result<Call> {
    let query = [("module", module.to_owned()), ("page", page.to_string()), ("per_page", "200".to_owned())];
    get(VIEWS, origin, "settings/custom_views", &query)
}

/// One list view.
pub(crate) fn view(origin: &str, id: &str) -> Result<Call> {
    get(VIEWS, origin, &format!("settings/custom_views/{}", checked(VIEWS, id)?), &[contacts()])
}

/// Whose token it is.
pub(crate) fn current_user(origin: &str) -> Result<Call> {
    get(USERS, origin, "users", &[("type", "CurrentUser".to_owned())])
}

/// A profile with its permissions (only a read of one profile shows them).
pub(crate) fn profile(origin: &str, id: &str) -> Result<Call> {
    get(PROFILE, origin, &format!("settings/profiles/{}", checked(PROFILE, id)?), &[])
}
