//! What the user's profile permits, read once, so that people are told which permission is missing before anything is
//! tried. Where it cannot be read, Zoho's own 403 speaks.
use super::ZohoContacts;
use crate::api::settings;
use crate::error::{self, Operation};
use crate::wire::{Permission, Profiles, Users};
use tandem_ports::error::{ConnectorError, ErrorKind, Result};

/// A permission on the module Contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
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
pub(super) struct Rights {
    denied: Vec<Right>,
    /// The label of "Sync with Google Contacts", where that is denied. Its name is not documented: known by its words.
    no_google: Option<String>,
}

impl Rights {
    fn of(permissions: &[Permission]) -> Rights {
        let denies = |right: &Right| {
            permissions.iter().any(|permission| !permission.enabled && is_for_contacts(permission, right.word()))
        };
        let denied = [Right::View, Right::Create, Right::Edit, Right::Delete].into_iter().filter(denies).collect();
        let google = permissions.iter().find(|permission| !permission.enabled && is_google_sync(permission));
        Rights { denied, no_google: google.map(label) }
    }

    /// Whether the profile stands in the way of this; the error names the permission.
    pub(super) fn allow(&self, right: Right, operation: Operation) -> Result<()> {
        if let Some(label) = &self.no_google {
            return Err(error::forbidden(
                operation,
                format!("the Zoho user's profile lacks the permission \"{label}\""),
            ));
        }
        match self.denied.contains(&right) {
            true => {
                let detail = format!("the Zoho user's profile lacks the permission \"{}\" for Contacts", right.word());
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

fn is_for_contacts(permission: &Permission, word: &str) -> bool {
    let named = permission.name.to_ascii_lowercase().ends_with(&format!("_{word}_contacts").to_ascii_lowercase());
    let here = permission.module.as_deref() == Some("Contacts");
    named || (here && permission.display_label.as_deref().is_some_and(|label| label.eq_ignore_ascii_case(word)))
}

fn is_google_sync(permission: &Permission) -> bool {
    [permission.display_label.clone().unwrap_or_default(), permission.name.replace('_', " ")].iter().any(|said| {
        let said = said.to_lowercase();
        said.contains("sync") && said.contains("google") && said.contains("contact")
    })
}

impl ZohoContacts {
    pub(super) async fn read_rights(&self) -> Result<Rights> {
        match self.permissions().await {
            Ok(permissions) => Ok(Rights::of(&permissions)),
            Err(refusal) if may_be_unreadable(&refusal) => Ok(Rights::default()),
            Err(refusal) => Err(refusal),
        }
    }

    async fn permissions(&self) -> Result<Vec<Permission>> {
        let users: Option<Users> = self.ask(settings::current_user(&self.origin)?).await?;
        let Some(user) = users.unwrap_or_default().users.into_iter().next() else { return Ok(Vec::new()) };
        if user.profile.id.is_empty() {
            return Ok(Vec::new());
        }
        let profiles: Option<Profiles> = self.ask(settings::profile(&self.origin, &user.profile.id)?).await?;
        Ok(profiles.unwrap_or_default().profiles.into_iter().flat_map(|profile| profile.permissions_details).collect())
    }
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
        let rights = Rights::of(&[
            permission("Crm_Implied_Delete_Contacts", "Delete", Some("Contacts")),
            permission("Crm_Implied_View_Leads", "View", Some("Leads")),
        ]);
        rights.allow(Right::View, records::LIST).unwrap();
        let refusal = rights.allow(Right::Delete, records::DELETE).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Forbidden);
        assert!(refusal.detail.contains("\"Delete\""), "{}", refusal.detail);
    }

    #[test]
    fn without_the_permission_to_sync_with_google_nothing_goes() {
        let rights = Rights::of(&[permission("Crm_Sync_X", "Sync with Google Contacts", None)]);
        assert!(rights.allow(Right::View, records::LIST).unwrap_err().detail.contains("Sync with Google Contacts"));
    }
}
