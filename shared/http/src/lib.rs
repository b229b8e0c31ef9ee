//! The way out: the one HTTP client of the service, OAuth 2.0 as data, and tokens that refresh themselves.
//!
//! [`ReqwestTransport`] carries bytes. [`OAuthProvider`] says how one provider wants OAuth done; [`Connect`] begins and
//! ends authorisations; [`Authority`] hands out an [`Authorised`] transport for one connection, which adds its access
//! token and refreshes it in single flight over all workers. No provider's API is known here.
//! [`Oidc`] checks the ID tokens that Google signs for us: Pub/Sub pushes, and requests of a Workspace add-on.
mod authorised;
mod connect;
mod oauth;
mod oidc;
mod tokens;
mod transport;
mod wire;

pub use authorised::{Authorised, Authority};
pub use connect::{AUTHORISATION_LIFETIME, Begun, Connect, ConnectError, Finished, Returned};
pub use oauth::{ApiOrigins, OAuthClient, OAuthError, OAuthProvider};
pub use oidc::{Claims, Expected, Oidc, OidcError};
pub use tokens::TokenSet;
pub use transport::{ReqwestTransport, TransportSetupError};
