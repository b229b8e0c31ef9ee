//! Who calls: Google, for this add-on, for one person. Nothing else of a request is looked at before that is proved.
use crate::event::Event;
use std::sync::Arc;
use tandem_engine::{Engine, EngineError};
use tandem_runtime::{AddonConfig, Expected, Oidc, OidcError, Ports};
use tandem_store::sync::Sync;

/// The add-on.
pub(crate) struct Addon {
    pub(crate) engine: Engine,
    tokens: Oidc,
    /// `None`: no add-on is set up for this installation.
    config: Option<AddonConfig>,
    pub(crate) public_url: Arc<str>,
}

/// Why a request is not answered with a card.
#[derive(Debug)]
pub(crate) enum Denied {
    /// There is no add-on here.
    Absent,
    /// It is not Google, or not for us, or for nobody.
    Unproved(OidcError),
    /// The state of things could not be read.
    Engine(EngineError),
}

impl Addon {
    /// On the ports of this process.
    pub(crate) fn of(ports: &Ports) -> Addon {
        let (config, public_url) = (ports.config.gmail_addon.clone(), &ports.config.public_url);
        Addon::new(ports.engine(), ports.oidc(), config, public_url)
    }

    pub(crate) fn new(engine: Engine, tokens: Oidc, config: Option<AddonConfig>, public_url: &str) -> Addon {
        Addon { engine, tokens, config, public_url: public_url.trim_end_matches('/').into() }
    }

    /// The address of one of our endpoints. It is the audience of the token that a call to it brings.
    pub(crate) fn address(&self, endpoint: &str) -> String {
        format!("{}/gmail-addon/{endpoint}", self.public_url)
    }

    /// Google's word that it calls this endpoint of this add-on.
    pub(crate) async fn admit(&self, endpoint: &str, system_token: &str) -> Result<&AddonConfig, Denied> {
        let config = self.config.as_ref().ok_or(Denied::Absent)?;
        let audience = self.address(endpoint);
        let expected = Expected { audience: &audience, email: Some(&config.service_account) };
        self.tokens.verify(system_token, expected).await.map_err(Denied::Unproved)?;
        Ok(config)
    }

    /// Whose mailbox it is: by Google's word alone. `None`: this person tracks no mail with us.
    pub(crate) async fn sync_of(&self, config: &AddonConfig, event: &Event) -> Result<Option<Sync>, Denied> {
        let expected = Expected { audience: &config.client_id, email: None };
        let person = self.tokens.verify(event.user_token(), expected).await.map_err(Denied::Unproved)?;
        self.engine.bar_sync("google", &person.subject).await.map_err(Denied::Engine)
    }
}
