//! Which provider's name leads to which connector. The engine never names a provider; this file does.
use crate::compose::Ports;
use crate::oauth::{provider, title};
use async_trait::async_trait;
use std::sync::Arc;
use tandem_builtin::contacts::{BuiltinContacts, Carry, Options};
use tandem_builtin::files::{BuiltinFiles, FileOptions};
use tandem_builtin::{BuiltinCalendar, BuiltinMail, BuiltinTasks};
use tandem_core::calendar::CalendarSettings;
use tandem_core::files::settings::FileSettings;
use tandem_core::normalise::Region;
use tandem_core::policy::Direction;
use tandem_core::profile::Profile;
use tandem_core::record::ContainerId;
use tandem_dropbox::DropboxFiles;
use tandem_dropbox::push::DropboxPush;
use tandem_engine::{Connectors, MailPorts, Opening};
use tandem_google::drive::DrivePush;
use tandem_google::push::{CalendarPush, MailPush};
use tandem_google::{ChosenCalendars, GoogleCalendars, GoogleContacts, GoogleDrive, GoogleMail, GoogleTasks};
use tandem_http::Authorised;
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};
use tandem_ports::files::FileSide;
use tandem_ports::mail::{MailDesk, MailSource};
use tandem_ports::push::Push;
use tandem_sell::{SellAppointments, SellContacts, SellDocuments, SellTasks};
use tandem_store::connection::Connection;
use tandem_store::filed::{FiledMail, KnownAddresses};
use tandem_store::names::AppointmentNames;
use tandem_teamleader::push::{self as teamleader, TeamleaderPush};
use tandem_teamleader::{CalendarOptions, TeamleaderCalendar, TeamleaderContacts, TeamleaderFiles, TeamleaderMail};
use tandem_zoho::push::{self as zoho, ZohoPush};
use tandem_zoho::{ZohoContacts, ZohoEvents, ZohoFiles};

/// Opens connectors on the ports of this process.
pub(crate) struct OpenConnectors {
    pub(crate) ports: Ports,
}

#[async_trait]
impl Connectors for OpenConnectors {
    fn missing_scope(
        &self,
        connection: &Connection,
        profile: &'static Profile,
        direction: Direction,
    ) -> Option<String> {
        let missing = || tandem_google::auth::missing_for(profile.grant(), direction, &connection.scopes);
        (connection.provider == "google").then(missing).flatten().map(str::to_owned)
    }

    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        if ask.profile.carries_tasks() {
            return self.tasks(ask).await;
        }
        match ask.connection.provider.as_str() {
            "builtin" => self.builtin(ask).await,
            "google" => self.google(ask),
            "teamleader" => self.teamleader(ask),
            "zoho" => self.zoho(ask),
            "sell" => self.sell(ask),
            other => Err(refused(format!("This release has no connector for `{other}`."))),
        }
    }

    async fn open_push(&self, ask: Opening<'_>) -> Result<Option<Arc<dyn Push>>, ConnectorError> {
        let (config, address) = (self.ports.config.google.clone(), &ask.connection.account.email);
        Ok(match (ask.connection.provider.as_str(), ask.profile.kind) {
            ("google", "calendar") => {
                let Some(calendar) = &ask.settings.calendar else { return Ok(None) };
                let (chosen, hook) = (ChosenCalendars::chosen(calendar, address), hook(&self.ports, "google/calendar"));
                Some(Arc::new(CalendarPush::new(self.transport(ask)?, config, chosen, hook)))
            }
            ("google", "files") => {
                let hook = hook(&self.ports, "google/drive");
                Some(Arc::new(DrivePush::new(self.transport(ask)?, config, hook)))
            }
            ("google", "mail") => {
                let Some(push) = &self.ports.config.gmail_push else { return Ok(None) };
                Some(Arc::new(MailPush::new(self.transport(ask)?, config, address, &push.topic)))
            }
            ("dropbox", "files") => Some(Arc::new(DropboxPush::new(&ask.connection.account.id))),
            ("teamleader", "contacts") => Some(self.teamleader_push(ask, teamleader::OF_CONTACTS.to_vec())?),
            ("teamleader", "calendar") => {
                let carried = ask.settings.calendar.as_ref().map_or(&[][..], |calendar| &calendar.activities);
                Some(self.teamleader_push(ask, teamleader::of_calendar(carried))?)
            }
            ("zoho", "contacts") => Some(self.zoho_push(ask, zoho::OF_CONTACTS)?),
            ("zoho", "calendar") => Some(self.zoho_push(ask, zoho::OF_EVENTS)?),
            _ => None,
        })
    }

    async fn open_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        match ask.connection.provider.as_str() {
            "builtin" => self.builtin_files(ask).await,
            "google" => Ok(Arc::new(GoogleDrive::new(self.transport(ask)?, self.ports.config.google.clone()))),
            "teamleader" => self.teamleader_files(ask),
            "zoho" => self.zoho_files(ask),
            "sell" => self.sell_documents(ask),
            "dropbox" => {
                let side = DropboxFiles::new(self.transport(ask)?, self.ports.config.dropbox.clone());
                Ok(Arc::new(side.with_clock(Arc::clone(&self.ports.clock))))
            }
            other => Err(refused(format!("This release has no files of `{other}`."))),
        }
    }

    async fn open_mail(&self, crm: Opening<'_>, remote: Opening<'_>) -> Result<MailPorts, ConnectorError> {
        Ok(MailPorts { desk: self.desk(crm).await?, source: self.mailbox(remote)? })
    }
}

/// Where a provider's notifications reach us.
fn hook(ports: &Ports, path: &str) -> String {
    format!("{}/webhooks/{path}", ports.config.public_url)
}

fn refused(detail: String) -> ConnectorError {
    ConnectorError::new("tandem", "open", ErrorKind::Forbidden, detail)
}

fn no_mail(provider: &str) -> ConnectorError {
    refused(format!("This release files no mail of `{provider}`."))
}

fn zoho_origin(ask: Opening<'_>) -> Result<String, ConnectorError> {
    let detail = "Zoho named no data centre for this account; connect it again.";
    let unknown = || ConnectorError::new("zoho", "open", ErrorKind::AuthRevoked, detail);
    ask.connection.api_origin.clone().ok_or_else(unknown)
}

fn region(ask: Opening<'_>) -> Region {
    ask.settings.phone_region.as_deref().map_or_else(Region::none, Region::of)
}

/// Sell keeps a queue of changes for each device: each sync is one, and stays the same one.
fn device(ask: Opening<'_>) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, ask.sync.as_str().as_bytes()).to_string()
}

fn file_settings(ask: Opening<'_>) -> Result<&FileSettings, ConnectorError> {
    ask.settings.files.as_ref().ok_or_else(|| refused("This sync has no settings for files.".to_owned()))
}

fn carry(ask: Opening<'_>) -> Carry {
    if ask.profile.carry_company { Carry::NameAndPhone } else { Carry::Name }
}

impl OpenConnectors {
    async fn builtin(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let options = Options { container: ask.container.cloned(), carry: carry(ask), region: region(ask) };
        let (table, clock) = (Arc::clone(&self.ports.table), Arc::clone(&self.ports.clock));
        let (account, user) = (&ask.connection.account.id, ask.connection.user.as_str());
        if let Some(calendar) = &ask.settings.calendar {
            let side = BuiltinCalendar::open(table, clock, account, user).await?;
            return Ok(Arc::new(side.making_meetings_of(calendar.meetings_of())));
        }
        Ok(Arc::new(BuiltinContacts::open(table, clock, account, user, options).await?))
    }

    async fn builtin_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        let Some(blobs) = self.ports.blobs.clone() else {
            return Err(refused("This installation has no bucket for files.".to_owned()));
        };
        let settings = file_settings(ask)?;
        let options = FileOptions { modules: settings.modules.clone(), records: settings.records.clone() };
        let (table, clock) = (Arc::clone(&self.ports.table), Arc::clone(&self.ports.clock));
        let who = (ask.connection.account.id.as_str(), ask.connection.user.as_str());
        Ok(Arc::new(BuiltinFiles::open(table, clock, blobs, who, options).await?))
    }

    fn teamleader_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        let settings = file_settings(ask)?;
        let options =
            tandem_teamleader::FileOptions { modules: settings.modules.clone(), records: settings.records.clone() };
        let (clock, config) = (Arc::clone(&self.ports.clock), self.ports.config.teamleader.clone());
        let bare = Arc::clone(&self.ports.authority.transport);
        Ok(Arc::new(TeamleaderFiles::new(self.transport(ask)?, bare, clock, config, options)))
    }

    fn google(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let (config, group) = (self.ports.config.google.clone(), ask.container.cloned());
        if let Some(calendar) = &ask.settings.calendar {
            let chosen = ChosenCalendars::chosen(calendar, &ask.connection.account.email);
            return Ok(Arc::new(GoogleCalendars::new(self.transport(ask)?, config, &chosen)));
        }
        Ok(Arc::new(GoogleContacts::new(self.transport(ask)?, config, group, region(ask))))
    }

    /// Tasks, on either side.
    async fn tasks(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let clock = Arc::clone(&self.ports.clock);
        match ask.connection.provider.as_str() {
            "builtin" => {
                let (account, user) = (&ask.connection.account.id, ask.connection.user.as_str());
                Ok(Arc::new(BuiltinTasks::open(Arc::clone(&self.ports.table), clock, account, user).await?))
            }
            "google" => {
                let list = ask.settings.remote_group.as_deref().unwrap_or(tandem_core::task::OWN_LIST);
                let (config, list) = (self.ports.config.google.clone(), ContainerId::new(list));
                Ok(Arc::new(GoogleTasks::new(self.transport(ask)?, clock, config, list)))
            }
            "sell" => {
                let config = self.ports.config.sell.clone();
                Ok(Arc::new(SellTasks::new(self.transport(ask)?, clock, config, device(ask))))
            }
            other => Err(refused(format!("This release has no tasks of `{other}`."))),
        }
    }

    fn teamleader(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        if let Some(calendar) = &ask.settings.calendar {
            return self.teamleader_calendar(ask, calendar);
        }
        let options =
            tandem_teamleader::Options { container: ask.container.cloned(), carry: carry(ask), region: region(ask) };
        let (clock, config) = (Arc::clone(&self.ports.clock), self.ports.config.teamleader.clone());
        Ok(Arc::new(TeamleaderContacts::new(self.transport(ask)?, clock, config, options)))
    }

    fn teamleader_push(&self, ask: Opening<'_>, types: Vec<&'static str>) -> Result<Arc<dyn Push>, ConnectorError> {
        let (clock, config) = (Arc::clone(&self.ports.clock), self.ports.config.teamleader.clone());
        let hook = hook(&self.ports, "teamleader");
        Ok(Arc::new(TeamleaderPush::new(self.transport(ask)?, clock, config, types, hook)))
    }

    fn teamleader_calendar(
        &self,
        ask: Opening<'_>,
        calendar: &CalendarSettings,
    ) -> Result<Arc<dyn Connector>, ConnectorError> {
        let (store, clock) = (self.ports.store.clone(), Arc::clone(&self.ports.clock));
        // `<account>/<user>`: what one user's calendar has named, all know.
        let account = ask.connection.account.id.split('/').next().unwrap_or_default();
        let options = CalendarOptions {
            past_days: calendar.window_past_days,
            future_days: calendar.window_future_days,
            activities: calendar.activities.clone(),
            names: Arc::new(AppointmentNames::of(store, Arc::clone(&clock), "teamleader", account)),
        };
        let config = self.ports.config.teamleader.clone();
        Ok(Arc::new(TeamleaderCalendar::new(self.transport(ask)?, clock, config, options)))
    }

    fn zoho_push(&self, ask: Opening<'_>, events: &'static [&'static str]) -> Result<Arc<dyn Push>, ConnectorError> {
        let (clock, hook) = (Arc::clone(&self.ports.clock), hook(&self.ports, "zoho"));
        Ok(Arc::new(ZohoPush::new(self.transport(ask)?, clock, zoho_origin(ask)?, events, hook)))
    }

    fn sell_documents(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        let settings = file_settings(ask)?;
        let options = tandem_sell::FileOptions { modules: settings.modules.clone(), records: settings.records.clone() };
        let (clock, config) = (Arc::clone(&self.ports.clock), self.ports.config.sell.clone());
        let bare = Arc::clone(&self.ports.authority.transport);
        Ok(Arc::new(SellDocuments::new(self.transport(ask)?, bare, clock, config, options)))
    }

    fn zoho_files(&self, ask: Opening<'_>) -> Result<Arc<dyn FileSide>, ConnectorError> {
        let settings = file_settings(ask)?;
        let options = tandem_zoho::FileOptions { modules: settings.modules.clone(), records: settings.records.clone() };
        let (clock, origin) = (Arc::clone(&self.ports.clock), zoho_origin(ask)?);
        Ok(Arc::new(ZohoFiles::new(self.transport(ask)?, clock, origin, options)))
    }

    fn zoho(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let origin = zoho_origin(ask)?;
        let clock = Arc::clone(&self.ports.clock);
        if ask.settings.calendar.is_some() {
            return Ok(Arc::new(ZohoEvents::new(self.transport(ask)?, clock, origin)));
        }
        let options =
            tandem_zoho::Options { container: ask.container.cloned(), carry: carry(ask), region: region(ask) };
        Ok(Arc::new(ZohoContacts::new(self.transport(ask)?, clock, origin, options)))
    }

    fn sell(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let (clock, config) = (Arc::clone(&self.ports.clock), self.ports.config.sell.clone());
        if let Some(calendar) = &ask.settings.calendar {
            let events = calendar.remote_events;
            return Ok(Arc::new(SellAppointments::new(self.transport(ask)?, clock, config, events)));
        }
        let (container, carry, region) = (ask.container.cloned(), carry(ask), region(ask));
        let options = tandem_sell::Options { container, carry, region, device: device(ask) };
        Ok(Arc::new(SellContacts::new(self.transport(ask)?, clock, config, options)))
    }

    /// The CRM that mail is filed in.
    async fn desk(&self, ask: Opening<'_>) -> Result<Arc<dyn MailDesk>, ConnectorError> {
        match ask.connection.provider.as_str() {
            "builtin" => {
                let (table, clock) = (Arc::clone(&self.ports.table), Arc::clone(&self.ports.clock));
                let (account, user) = (&ask.connection.account.id, ask.connection.user.as_str());
                let desk = BuiltinMail::open(table, clock, account, user).await?;
                Ok(match self.ports.blobs.clone() {
                    Some(blobs) => Arc::new(desk.with_files(blobs)),
                    None => Arc::new(desk),
                })
            }
            "teamleader" => {
                let (store, clock) = (self.ports.store.clone(), Arc::clone(&self.ports.clock));
                // `<account>/<user>`: what one user has filed, all see.
                let account = ask.connection.account.id.split('/').next().unwrap_or_default();
                let ledger = Arc::new(FiledMail::of(store.clone(), Arc::clone(&clock), "teamleader", account));
                let book = Arc::new(KnownAddresses::of(store, Arc::clone(&clock), "teamleader", account));
                let config = self.ports.config.teamleader.clone();
                let bare = Arc::clone(&self.ports.authority.transport);
                Ok(Arc::new(TeamleaderMail::new(self.transport(ask)?, bare, clock, config, (ledger, book))))
            }
            other => Err(no_mail(other)),
        }
    }

    fn mailbox(&self, ask: Opening<'_>) -> Result<Arc<dyn MailSource>, ConnectorError> {
        match ask.connection.provider.as_str() {
            "google" => {
                let config = self.ports.config.google.clone();
                Ok(Arc::new(GoogleMail::new(self.transport(ask)?, config, &ask.connection.account.email)))
            }
            other => Err(no_mail(other)),
        }
    }

    /// The transport that acts for this connection.
    fn transport(&self, ask: Opening<'_>) -> Result<Arc<Authorised>, ConnectorError> {
        let name = ask.connection.provider.as_str();
        let Some(provider) = provider(&self.ports.config, name) else {
            let detail = format!("This installation has no OAuth client for {}.", title(name));
            return Err(refused(detail));
        };
        Ok(self.ports.authority.acting_for(&Arc::new(provider), &ask.connection.id))
    }
}
