//! Which provider's name leads to which connector. The engine never names a provider; this file does.
use crate::compose::Ports;
use crate::oauth::{provider, title};
use async_trait::async_trait;
use std::sync::Arc;
use tandem_builtin::contacts::{BuiltinContacts, Carry, Options};
use tandem_core::normalise::Region;
use tandem_engine::{Connectors, Opening};
use tandem_google::GoogleContacts;
use tandem_http::Authorised;
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
        let (config, group) = (self.ports.config.google.clone(), ask.container.cloned());
        Ok(Arc::new(GoogleContacts::new(self.transport(ask)?, config, group, region(ask))))
    }

    /// The transport that acts for this connection.
    fn transport(&self, ask: Opening<'_>) -> Result<Arc<Authorised>, ConnectorError> {
        let name = ask.connection.provider.as_str();
        let Some(provider) = provider(&self.ports.config, name) else {
            let detail = format!("This installation has no OAuth client for {}.", title(name));
            return Err(ConnectorError::new("tandem", "open", ErrorKind::Forbidden, detail));
        };
        Ok(self.ports.authority.acting_for(&Arc::new(provider), &ask.connection.id))
    }
}
