//! What a sync may do: one profile's rules under one user's settings, as data.
use crate::record::{Field, Fields, Side};
use serde::{Deserialize, Serialize};

/// Which way values flow. An enum and not two flags, so that "neither" cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The remote side follows the CRM; the CRM is never written.
    CrmToRemote,
    /// The CRM follows the remote side; the remote side is never written.
    RemoteToCrm,
    /// Each side takes the other's changes.
    Both,
}

impl Direction {
    /// Whether this side may be written.
    pub fn may_write(self, side: Side) -> bool {
        match (self, side) {
            (Direction::Both, _) | (Direction::CrmToRemote, Side::Right) | (Direction::RemoteToCrm, Side::Left) => true,
            (Direction::CrmToRemote, Side::Left) | (Direction::RemoteToCrm, Side::Right) => false,
        }
    }
}

/// Who wins a field that both sides changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conflict {
    /// The CRM's value.
    #[serde(rename = "crm_wins")]
    Crm,
    /// The remote's value.
    #[serde(rename = "remote_wins")]
    Remote,
    /// The value of the record that was changed last; the CRM's where that is not known.
    #[serde(rename = "newest_wins")]
    Newest,
}

/// What a deletion on one side means for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// The other copy goes too, unless it was edited since.
    Propagate,
    /// The other copy stays, the link is forgotten.
    Unlink,
    /// It is put back.
    Restore,
}

/// What leaving its list or group means for a linked record. It is never a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLeave {
    /// The copy leaves the container on the other side too, and stays otherwise.
    Detach,
    /// Both copies stay as they are and are no longer kept in step.
    Unlink,
    /// It is put back into the container.
    Restore,
}

/// What bounds the remote side, as people call it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Container {
    /// A group of contacts.
    #[default]
    Group,
    /// The chosen calendars.
    Calendars,
    /// A list of tasks.
    TaskList,
}

/// Which contacts may be created on the remote side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eligibility {
    /// First and last name, and one of phone, mobile or e-mail address (a fax number does not count).
    Strict,
    /// Anything that has a name, a company, an e-mail address or a phone number.
    Relaxed,
    /// Whatever it says (appointments need no name).
    Any,
}

/// Most records that one run carries to one side, as the product has it that the profile is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// In the first run.
    pub first: u64,
    /// What happens when there are more.
    pub over: OverFirst,
    /// In every later run; the rest follows in the run after it.
    pub later: Option<u64>,
}

/// What happens when there is more than the first run may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverFirst {
    /// A person must choose less.
    Pause,
    /// The rest follows in later runs.
    GoOn,
}

/// By what a record of one side is recognised as one of the other, after our own marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKey {
    /// Any e-mail address.
    Email,
    /// The e-mail address labelled `work`; in the CRM, where none is, the main one.
    WorkEmail,
    /// Any phone number.
    Phone,
    /// First and last name together.
    Name,
    /// The name that an appointment has in every calendar that it is in (iCalUID); in a CRM that keeps none, title and start.
    Uid,
    /// The title of a task and the day that it is due, together.
    Task,
}

/// One mapped field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldRule {
    /// Its name on the CRM side.
    pub crm: Field,
    /// Its name on the remote side.
    pub remote: Field,
    /// Which way it flows; the sync's own direction bounds it.
    pub direction: Direction,
}

/// Everything the planner needs to know about a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which way values flow.
    pub direction: Direction,
    /// Who wins a field that both sides changed.
    pub conflict: Conflict,
    /// A deletion in the CRM.
    pub on_crm_delete: OnDelete,
    /// A deletion at the remote.
    pub on_remote_delete: OnDelete,
    /// A CRM record that leaves the chosen list.
    pub on_crm_leave: OnLeave,
    /// A remote record that leaves the container.
    pub on_remote_leave: OnLeave,
    /// What the remote side's container is.
    pub container: Container,
    /// A deletion in the CRM deletes only copies that we made; others merely leave the container.
    pub delete_only_own_copies: bool,
    /// The mapped fields; no other field is ever written.
    pub fields: Vec<FieldRule>,
    /// Of these, those whose change is nobody's edit (guests answer, calendars give names): none holds back a deletion.
    pub passive: Vec<Field>,
    /// Which records may be created on the remote side.
    pub eligibility: Eligibility,
    /// How records are recognised.
    pub match_on: Vec<MatchKey>,
    /// The share of linked records that one plan may delete, in percent.
    pub max_delete_percent: u8,
    /// Most records that one run carries across (`limits: vendor`).
    pub run_limits: Option<RunLimits>,
}

impl Policy {
    /// Remote fields under the CRM's names; fields that are not mapped are dropped.
    pub fn read_remote(&self, fields: &Fields) -> Fields {
        let value = |rule: &FieldRule| Some((rule.crm.clone(), fields.get(&rule.remote)?.clone()));
        self.fields.iter().filter_map(value).collect()
    }
    /// CRM fields without those that are not mapped.
    pub fn read_crm(&self, fields: &Fields) -> Fields {
        let value = |rule: &FieldRule| Some((rule.crm.clone(), fields.get(&rule.crm)?.clone()));
        self.fields.iter().filter_map(value).collect()
    }
    /// Mapped fields under the names of a side.
    pub fn to_side(&self, side: Side, fields: &Fields) -> Fields {
        let value = |rule: &FieldRule| Some((rule.name(side).clone(), fields.get(&rule.crm)?.clone()));
        self.fields.iter().filter_map(value).collect()
    }
    /// A mapped field's name on a side.
    pub fn name_on(&self, side: Side, field: &Field) -> Field {
        let rule = self.fields.iter().find(|rule| rule.crm == *field);
        rule.map_or_else(|| field.clone(), |rule| rule.name(side).clone())
    }
    /// What a deletion seen on this side means.
    pub fn on_delete(&self, side: Side) -> OnDelete {
        match side {
            Side::Left => self.on_crm_delete,
            Side::Right => self.on_remote_delete,
        }
    }
}

impl FieldRule {
    fn name(&self, side: Side) -> &Field {
        match side {
            Side::Left => &self.crm,
            Side::Right => &self.remote,
        }
    }
}
