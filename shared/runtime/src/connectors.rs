//! Which provider's name leads to which connector. The engine never names a provider; this file does.
use crate::compose::Ports;
use crate::oauth::google;
use async_trait::async_trait;
use std::sync::Arc;
use tandem_builtin::contacts::{BuiltinContacts, Carry, Options};
use tandem_core::normalise::Region;
use tandem_engine::{Connectors, Opening};
use tandem_google::GoogleContacts;
use tandem_ports::connector::Connector;
use tandem_ports::error::{ConnectorError, ErrorKind};

/// Opens connectors on the ports of this process.
pub(crate) struct OpenConnectors {
    pub(crate) ports: Ports,
}

#[async_trait]
impl Connectors for OpenConnectors {
    async fn open(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        match ask.connection.provider.as_str() {
            "builtin" => self.builtin(ask).await,
            "google" => self.google(ask),
            _ => {
                let detail = format!("This release has no connector for `{}`.", ask.connection.provider);
                Err(ConnectorError::new("tandem", "open", ErrorKind::Forbidden, detail))
            }
        }
    }
}

fn region(ask: Opening<'_>) -> Region {
    ask.settings.phone_region.as_deref().map_or_else(Region::none, Region::of)
}

impl OpenConnectors {
    async fn builtin(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let options = Options {
            container: ask.container.cloned(),
            carry: if ask.profile.carry_company { Carry::NameAndPhone } else { Carry::Name },
            region: region(ask),
        };
        let (table, clock) = (Arc::clone(&self.ports.table), Arc::clone(&self.ports.clock));
        let (account, user) = (&ask.connection.account.id, ask.connection.user.as_str());
        Ok(Arc::new(BuiltinContacts::open(table, clock, account, user, options).await?))
    }

    fn google(&self, ask: Opening<'_>) -> Result<Arc<dyn Connector>, ConnectorError> {
        let Some(provider) = google(&self.ports.config) else {
            let detail = "This installation has no OAuth client for Google.";
            return Err(ConnectorError::new("google", "open", ErrorKind::Forbidden, detail));
        };
        let transport = self.ports.authority.acting_for(&Arc::new(provider), &ask.connection.id);
        let (config, group) = (self.ports.config.google.clone(), ask.container.cloned());
        Ok(Arc::new(GoogleContacts::new(transport, config, group, region(ask))))
    }
}
