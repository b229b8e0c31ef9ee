//! The group that bounds a sync.
use super::GoogleContacts;
use super::MOST_PAGES;
use crate::api::groups;
use crate::error;
use crate::wire::{Group, Groups, MY_CONTACTS};
use tandem_core::record::ContainerId;
use tandem_ports::connector::Choice;
use tandem_ports::error::{ErrorKind, Result};

impl GoogleContacts {
    /// By id (a rename by the user does no harm), else by our mark, else by name, else new.
    pub(super) async fn ensure_group(&self, id: Option<&ContainerId>, names: &[&str]) -> Result<ContainerId> {
        if let Some(id) = id
            && self.group_exists(id).await?
        {
            return Ok(id.clone());
        }
        let Some(name) = names.first() else {
            return Err(error::refused("people.contactGroups.create", "no name is given for the group"));
        };
        let all = self.groups().await?;
        // A person chooses from `choices` by id; that group is taken as it is, and never made.
        if let Some(chosen) = all.iter().find(|group| names.contains(&group.resource_name.as_str())) {
            return Ok(ContainerId::new(&chosen.resource_name));
        }
        if name.starts_with("contactGroups/") {
            let detail = "the chosen Google group is gone; choose another one";
            return Err(error::forbidden("people.contactGroups.list", detail));
        }
        if let Some(group) = adoptable(&all, names) {
            return Ok(ContainerId::new(&group.resource_name));
        }
        match self.call::<Group>(groups::create(self.origin(), name)?).await {
            Ok(group) => Ok(ContainerId::new(group.resource_name)),
            // Somebody made one of that name in between. Names are unique, so it is the only one we can have.
            Err(refusal) if refusal.kind == ErrorKind::Conflict => {
                let all = self.groups().await?;
                let same = all.iter().find(|group| same_name(&group.name, name));
                same.map(|group| ContainerId::new(&group.resource_name)).ok_or(refusal)
            }
            Err(other) => Err(other),
        }
    }

    async fn group_exists(&self, id: &ContainerId) -> Result<bool> {
        match self.call::<Group>(groups::get_one(self.origin(), id.as_str())?).await {
            Ok(group) => Ok(!group.is_deleted()),
            Err(refusal) if refusal.kind == ErrorKind::NotFound => Ok(false),
            Err(other) => Err(other),
        }
    }

    async fn groups(&self) -> Result<Vec<Group>> {
        let mut all: Vec<Group> = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let answer: Groups = self.call(groups::list(self.origin(), page.as_deref())?).await?;
            all.extend(answer.contact_groups.into_iter().filter(|group| !group.is_deleted()));
            page = answer.next_page_token;
            if page.is_none() {
                return Ok(all);
            }
        }
        Err(error::refused("people.contactGroups.list", "the list of groups has no end"))
    }

    /// The user's own groups, and the two system groups that accept members.
    pub(super) async fn group_choices(&self) -> Result<Vec<Choice>> {
        let offered = |group: &Group| {
            group.is_made_by_user() || [MY_CONTACTS, "contactGroups/starred"].contains(&group.resource_name.as_str())
        };
        let choice = |group: &Group| Choice { id: group.resource_name.clone(), name: group.shown_name().to_owned() };
        Ok(self.groups().await?.iter().filter(|group| offered(group)).map(choice).collect())
    }
}

/// A group that is ours: made by us under one of these names (whatever it is called now), or a user's group that has
/// the very name we would give (Google allows no second one), or an empty one under a further name.
fn adoptable<'a>(all: &'a [Group], names: &[&str]) -> Option<&'a Group> {
    let users = || all.iter().filter(|group| group.is_made_by_user());
    let marked = |name: &str| users().find(|group| group.mark() == Some(name));
    let named = |at: usize, name: &str| {
        users().find(|group| {
            let free = at == 0 || group.member_count == 0;
            same_name(&group.name, name) && free && group.mark().is_none()
        })
    };
    let by_mark = names.iter().find_map(|name| marked(name));
    by_mark.or_else(|| names.iter().enumerate().find_map(|(at, name)| named(at, name)))
}

fn same_name(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}
