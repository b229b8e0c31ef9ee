//! What people ask of the engine: start, confirm, retry, choose.
use crate::job::promise;
use crate::session::Stop;
use crate::{Engine, EngineError, Opening};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_core::profile::{self, Limits, Profile, Settings};
use tandem_core::record::{ContainerId, RunId, Side};
use tandem_core::schema::SideFields;
use tandem_ports::connector::Choice;
use tandem_ports::infra::{Job, Kind, Trigger};
use tandem_store::checkpoint::Checkpoint;
use tandem_store::connection::Connection;
use tandem_store::lease::Acquired;
use tandem_store::link::{RowChange, RowState};
use tandem_store::sync::{Sync, SyncChange};

impl Engine {
    /// Starts a run, or joins the one under way (which then goes round once more).
    pub async fn start_run(&self, sync: &Sync, trigger: Trigger) -> Result<RunId, EngineError> {
        self.may_start(sync, trigger)?;
        self.connections(sync).await?;
        self.enqueue_run(sync, trigger).await
    }

    /// A sync that is switched off runs for nobody, and one with the vendor's limits for no person.
    pub(crate) fn may_start(&self, sync: &Sync, trigger: Trigger) -> Result<(), EngineError> {
        if !sync.enabled {
            return Err(conflict("disabled", "This sync is switched off; switch it on first."));
        }
        let (profile, settings) = rules(sync)?;
        if trigger == Trigger::Manual && settings.limits == Limits::Vendor && !profile.vendor.manual_start {
            let minutes = settings.frequency_minutes;
            let message = format!("With `limits`: `vendor` this sync runs every {minutes} minutes and not by hand.");
            return Err(EngineError::Conflict { code: "manual_start_not_allowed", message });
        }
        Ok(())
    }

    pub(crate) async fn enqueue_run(&self, sync: &Sync, trigger: Trigger) -> Result<RunId, EngineError> {
        let now = self.clock.now();
        // Two starts in one millisecond promise the same run: that is joining, too.
        let (mut run, id) = promise(sync, trigger, now, "m");
        let promised = self.store.promise_run(sync, &id, now + self.config.watchdog).await?;
        // Also one that the schedule promised and no worker has taken up yet can be looked at from now on.
        run.id.clone_from(&promised);
        self.store.save_promise(&run).await?;
        if promised != id && self.store.mark_dirty(&sync.id, now).await? {
            // Somebody works on it right now, and goes round once more before leaving.
            return Ok(promised);
        }
        let job =
            Job::Sync { sync: sync.id.clone(), kind: sync.kind, trigger, run: Some(promised.clone()), continuation: 0 };
        self.queue.send(&[(job, Duration::ZERO)]).await.map_err(|error| EngineError::Unavailable(Box::new(error)))?;
        Ok(promised)
    }

    /// A person's word that the deletions which the guard holds are right.
    pub async fn confirm(&self, sync: &Sync) -> Result<RunId, EngineError> {
        if !sync.enabled {
            return Err(conflict("disabled", "This sync is switched off; switch it on first."));
        }
        self.connections(sync).await?;
        let held = self.store.count_in_state(&sync.id, RowState::Held, usize::MAX).await?;
        if held == 0 {
            return Err(conflict("nothing_held", "There is nothing to confirm: no deletion is held."));
        }
        let confirmed = u64::try_from(held).unwrap_or(u64::MAX);
        self.amend(sync, |checkpoint| checkpoint.confirmed = Some(confirmed)).await?;
        self.enqueue_run(sync, Trigger::Manual).await
    }

    /// Tries the failing records again, also those that have no tries left.
    pub async fn retry_failing(&self, sync: &Sync) -> Result<RunId, EngineError> {
        self.may_start(sync, Trigger::Manual)?;
        self.connections(sync).await?;
        if sync.kind == Kind::Files {
            self.refresh_failing_files(sync).await?;
        }
        let mut after = None;
        loop {
            let (rows, next) = self.store.rows_in_state(&sync.id, RowState::Failing, after.as_ref(), 500).await?;
            let fresh = |mut row: tandem_store::link::Row| {
                let before = row.clone();
                row.attempts = 0;
                row.refused = None;
                RowChange { before: Some(before), after: Some(row) }
            };
            self.store.save_rows(&sync.id, &rows.into_iter().map(fresh).collect::<Vec<_>>()).await?;
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        self.look_again_at_excluded(sync).await?;
        self.amend(sync, |checkpoint| checkpoint.retry_failing = true).await?;
        self.enqueue_run(sync, Trigger::Manual).await
    }

    /// What was set aside for a reason that lies outside the record (a field's limits, a namesake) may fit by now.
    async fn look_again_at_excluded(&self, sync: &Sync) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            let (rows, next) = self.store.rows_in_state(&sync.id, RowState::Excluded, after.as_ref(), 500).await?;
            let outside = |row: &tandem_store::link::Row| {
                let code = row.reason.as_ref().map(|reason| reason.code.as_str());
                matches!(code, Some("unfit_field" | "missing_fields" | "ambiguous"))
            };
            let again = |row: tandem_store::link::Row| RowChange {
                before: Some(row.clone()),
                after: Some(tandem_store::link::Row { state: RowState::Failing, attempts: 0, refused: None, ..row }),
            };
            let changes: Vec<RowChange> = rows.into_iter().filter(outside).map(again).collect();
            self.store.save_rows(&sync.id, &changes).await?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Changes a sync's checkpoint while nobody works on it.
    pub(crate) async fn amend(&self, sync: &Sync, change: impl FnOnce(&mut Checkpoint)) -> Result<(), EngineError> {
        let now = self.clock.now();
        match self.store.acquire_lease(&sync.id, now, now + self.config.lease).await? {
            Acquired::Lease(lease) => {
                Ok(self.store.amend_checkpoint(&lease, sync, change, SyncChange::default()).await?)
            }
            Acquired::Busy => Err(conflict("run_under_way", "A run is under way; try again when it has ended.")),
        }
    }

    /// What a sync's settings can be chosen from: by setting a list of `id` and `name`; the fields of each side
    /// (`crm_fields`, `remote_fields`) with their types and limits; whether a side takes custom fields that are not among
    /// them (`crm_custom_fields`, `remote_custom_fields`: `true` or `false`).
    pub async fn choices(&self, sync: &Sync) -> Result<BTreeMap<String, Json>, EngineError> {
        let (profile, settings) = rules(sync)?;
        let known = profile.setting_names();
        let permitted = |setting: &str| known.contains(&setting);
        match sync.kind {
            Kind::Files => return self.file_choices(sync).await,
            // Words and addresses of one's own.
            Kind::Mail => return Ok(BTreeMap::new()),
            Kind::Contacts | Kind::Calendar => {}
        }
        let (crm, remote) = self.connections(sync).await?;
        let mut all = BTreeMap::new();
        for (side, connection) in [(Side::Left, &crm), (Side::Right, &remote)] {
            let ask = Opening { sync: &sync.id, connection, profile, settings: &settings, side, container: None };
            let connector = self.connectors.open(ask).await.map_err(|error| refused(side, &error))?;
            let choices = connector.choices().await.map_err(|error| refused(side, &error))?;
            let choices = choices.into_iter().filter(|(setting, _)| permitted(setting));
            all.extend(choices.map(|(setting, some)| (setting.to_owned(), json!(some))));
            if !permitted("field_map") {
                continue;
            }
            let fields = connector.schema().await.map_err(|error| refused(side, &error))?;
            all.insert(format!("{}_fields", side.word()), json!(fields));
            all.insert(format!("{}_custom_fields", side.word()), json!(connector.makes_custom_fields()));
        }
        Ok(all)
    }

    /// What each side can hold under a sync's settings, the CRM's first. The sync need not be stored yet.
    pub async fn fields(
        &self,
        sync: &Sync,
        (crm, remote): (&Connection, &Connection),
    ) -> Result<[SideFields; 2], EngineError> {
        let (profile, settings) = rules(sync)?;
        let of = async |side, connection| {
            let ask = Opening { sync: &sync.id, connection, profile, settings: &settings, side, container: None };
            let connector = self.connectors.open(ask).await.map_err(|error| refused(side, &error))?;
            let fields = connector.schema().await.map_err(|error| refused(side, &error))?;
            Ok::<_, EngineError>(SideFields { fields, makes_custom: connector.makes_custom_fields() })
        };
        Ok([of(Side::Left, crm).await?, of(Side::Right, remote).await?])
    }

    /// What the remote side's settings can be chosen from, by setting. The sync need not be stored yet.
    pub async fn remote_choices(
        &self,
        sync: &Sync,
        remote: &Connection,
    ) -> Result<Vec<(&'static str, Vec<Choice>)>, EngineError> {
        let (profile, settings) = rules(sync)?;
        let (side, settings) = (Side::Right, &settings);
        let ask = Opening { sync: &sync.id, connection: remote, profile, settings, side, container: None };
        let connector = self.connectors.open(ask).await.map_err(|error| refused(side, &error))?;
        connector.choices().await.map_err(|error| refused(side, &error))
    }

    /// Both connections of a sync; the CRM's first.
    pub(crate) async fn connections(&self, sync: &Sync) -> Result<(Connection, Connection), EngineError> {
        let opening = self.store.open_run(&sync.id).await?;
        let opening = opening.ok_or_else(|| conflict("removed", "This sync was removed."))?;
        match (opening.crm, opening.remote) {
            (Some(crm), Some(remote)) => Ok((crm, remote)),
            (crm, _) => {
                let side = if crm.is_none() { "CRM" } else { "remote" };
                let message = format!(
                    "The connection to the {side} account was removed, and this sync with it comes to nothing: remove it, and \
                     make another one with the account connected anew."
                );
                Err(EngineError::Conflict { code: "connection_removed", message })
            }
        }
    }
}

/// A sync's profile and settings.
pub(crate) fn rules(sync: &Sync) -> Result<(&'static Profile, Settings), EngineError> {
    let profile = profile::profile(&sync.profile)
        .ok_or_else(|| conflict("unknown_profile", "This release does not have the profile of this sync."))?;
    let settings = profile
        .settings(&sync.settings)
        .map_err(|invalid| EngineError::Conflict { code: "invalid_settings", message: invalid.to_string() })?;
    Ok((profile, settings))
}

pub(crate) fn conflict(code: &'static str, message: &str) -> EngineError {
    EngineError::Conflict { code, message: message.to_owned() }
}

/// What a provider's refusal means for the person who asked.
pub(crate) fn refused(side: Side, error: &tandem_ports::error::ConnectorError) -> EngineError {
    of_stop(crate::session::stop_for(side, error), side)
}

/// A stop as an answer to a person.
pub(crate) fn of_stop(stop: Stop, side: Side) -> EngineError {
    match stop {
        Stop::Wait { after, message, .. } => {
            EngineError::Throttled { retry_after: after.unwrap_or(Duration::from_secs(30)), message }
        }
        Stop::Paused { code: "missing_right", message, .. } | Stop::Barred { message, .. } => {
            EngineError::Forbidden { message }
        }
        Stop::Paused { reconnect: Some(side), message, .. } => EngineError::Reconnect { side, message },
        Stop::Paused { code, message, .. } => EngineError::Conflict { code, message },
        Stop::NothingToCarry { message } => EngineError::Conflict { code: "nothing_to_carry", message },
        Stop::Broken(error) => error.into(),
        Stop::Held { .. } | Stop::FirstLimit { .. } | Stop::OutOfBudget | Stop::Again => EngineError::Throttled {
            retry_after: Duration::from_secs(30),
            message: format!("The {} side needs more time; try again shortly.", side.word()),
        },
    }
}

/// The container that a dry look goes by: the one in use, or the one that a run would adopt by name.
pub(crate) fn container_by_name(choices: &[(&'static str, Vec<Choice>)], names: &[&str]) -> Option<ContainerId> {
    let groups = choices.iter().filter(|(setting, _)| *setting == "remote_group").flat_map(|(_, some)| some);
    let groups: Vec<&Choice> = groups.collect();
    let by = |name: &&str| groups.iter().find(|choice| choice.name == **name || choice.id == **name);
    names.iter().find_map(by).map(|choice| ContainerId::new(choice.id.clone()))
}
