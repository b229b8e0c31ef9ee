//! What the user's profile permits, read once, so that people are told which permission is missing before anything is
//! tried. Where it cannot be read, Zoho's own 403 speaks.
use crate::api::settings;
use crate::client::Client;
use crate::error::{self, Operation};
use crate::wire::{Permission, Profiles, Users};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};

/// What a sync needs rights for.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The module's api name.
    module: &'static str,
    /// As in "Sync with Google …".
    word: &'static str,
}

pub(crate) const CONTACTS: Subject = Subject { module: "Contacts", word: "contact" };
pub(crate) const EVENTS: Subject = Subject { module: "Events", word: "calendar" };
pub(crate) const TASKS: Subject = Subject { module: "Tasks", word: "calendar" };

impl Default for &'static Subject {
    fn default() -> Self {
        &CONTACTS
    }
}

/// A permission on the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    View,
    Create,
    Edit,
    Delete,
}

impl Right {
    /// As the profile page and the permission's name have it (`Crm_Implied_View_Contacts`).
    fn word(self) -> &'static str {
        match self {
            Right::View => "View",
            Right::Create => "Create",
            Right::Edit => "Edit",
            Right::Delete => "Delete",
        }
    }
}

/// The permissions that the profile states and denies.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    subject: &'static Subject,
    denied: Vec<Right>,
    /// The label of "Sync with Google Contacts" (or Calendar), where that is denied. Its name is not documented: known by
    /// its words.
    no_google: Option<String>,
}

impl Rights {
    fn of(permissions: &[Permission], subject: &'static Subject) -> Rights {
        let denies = |right: &Right| {
            permissions.iter().any(|permission| !permission.enabled && is_for(subject.module, permission, right.word()))
        };
        let denied = [Right::View, Right::Create, Right::Edit, Right::Delete].into_iter().filter(denies).collect();
        let google = permissions.iter().find(|permission| !permission.enabled && is_google_sync(permission, subject));
        Rights { subject, denied, no_google: google.map(label) }
    }

    /// Whether the profile stands in the way of this; the error names the permission.
    pub(crate) fn allow(&self, right: Right, operation: Operation) -> Result<()> {
        if let Some(label) = &self.no_google {
            return Err(error::forbidden(
                operation,
                format!("the Zoho user's profile lacks the permission \"{label}\""),
            ));
        }
        match self.denied.contains(&right) {
            true => {
                let (right, module) = (right.word(), self.subject.module);
                let detail = format!("the Zoho user's profile lacks the permission \"{right}\" for {module}");
                Err(error::forbidden(operation, detail))
            }
            false => Ok(()),
        }
    }
}

fn label(permission: &Permission) -> String {
    let said = permission.display_label.clone().unwrap_or_default();
    if said.is_empty() { permission.name.clone() } else { said }
}

fn is_for(module: &str, permission: &Permission, word: &str) -> bool {
    let named = permission.name.to_ascii_lowercase().ends_with(&format!("_{word}_{module}").to_ascii_lowercase());
    let here = permission.module.as_deref() == Some(module);
    named || (here && permission.display_label.as_deref().is_some_and(|label| label.eq_ignore_ascii_case(word)))
}

fn is_google_sync(permission: &Permission, subject: &Subject) -> bool {
    [permission.display_label.clone().unwrap_or_default(), permission.name.replace('_', " ")].iter().any(|said| {
        let said = said.to_lowercase();
        said.contains("sync") && said.contains("google") && said.contains(subject.word)
    })
}

/// Whose token it is, as far as it concerns a sync.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) rights: Rights,
    permissions: Vec<Permission>,
    /// The user's id; empty where it is not said.
    pub(crate) user: String,
    /// IANA name of the zone that Zoho shows this user's times in; empty where it is not said.
    pub(crate) time_zone: String,
}

impl Standing {
    /// What is permitted on another module.
    pub(crate) fn rights_on(&self, subject: &'static Subject) -> Rights {
        Rights::of(&self.permissions, subject)
    }
}

/// Asks who the user is and what the profile permits.
pub(crate) async fn read(client: &Client, subject: &'static Subject) -> Result<Standing> {
    let users = match client.ask::<Users>(settings::current_user(&client.origin)?).await {
        Ok(users) => users.unwrap_or_default().users,
        Err(refusal) if may_be_unreadable(&refusal) => Vec::new(),
        Err(refusal) => return Err(refusal),
    };
    let Some(user) = users.into_iter().next() else {
        return Ok(Standing { rights: Rights::of(&[], subject), ..Standing::default() });
    };
    let permissions = match user.profile.id.as_str() {
        "" => Vec::new(),
        profile => match client.ask::<Profiles>(settings::profile(&client.origin, profile)?).await {
            Ok(found) => {
                found.unwrap_or_default().profiles.into_iter().flat_map(|one| one.permissions_details).collect()
            }
            Err(refusal) if may_be_unreadable(&refusal) => Vec::new(),
            Err(refusal) => return Err(refusal),
        },
    };
    let (rights, time_zone) = (Rights::of(&permissions, subject), user.time_zone.unwrap_or_default());
    Ok(Standing { rights, permissions, user: user.id, time_zone })
}

/// Most users may not look at profiles.
fn may_be_unreadable(refusal: &ConnectorError) -> bool {
    match refusal.kind {
        ErrorKind::Forbidden | ErrorKind::Permanent | ErrorKind::NotFound => true,
        ErrorKind::Retryable
        | ErrorKind::Throttled { .. }
        | ErrorKind::AuthRevoked
        | ErrorKind::CursorExpired
        | ErrorKind::Conflict => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::records;

    fn permission(name: &str, label: &str, module: Option<&str>) -> Permission {
        Permission {
            name: name.into(),
            display_label: Some(label.into()),
            module: module.map(str::to_owned),
            enabled: false,
        }
    }

    #[test]
    fn a_missing_permission_forbids_what_it_is_for_and_nothing_else() {
        let rights = Rights::of(
            &[
                permission("Crm_Implied_Delete_Contacts", "Delete", Some("Contacts")),
                permission("Crm_Implied_View_Leads", "View", Some("Leads")),
            ],
            &CONTACTS,
        );
        rights.allow(Right::View, records::LIST).unwrap();
        let refusal = rights.allow(Right::Delete, records::DELETE).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Forbidden);
        assert!(refusal.detail.contains("\"Delete\""), "{}", refusal.detail);
    }

    #[test]
    fn without_the_permission_to_sync_with_google_nothing_goes() {
        let rights = Rights::of(&[permission("Crm_Sync_X", "Sync with Google Contacts", None)], &CONTACTS);
        assert!(rights.allow(Right::View, records::LIST).unwrap_err().detail.contains("Sync with Google Contacts"));
    }
}
