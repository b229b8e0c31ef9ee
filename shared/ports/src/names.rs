//! Under which names calendars know the appointments of a CRM that keeps no names itself.
use crate::error::Result;
use async_trait::async_trait;
use tandem_core::record::RemoteId;

/// The iCalUIDs of a CRM account's appointments. Durable, and one for all users of the account: what one user's calendar
/// brought is known when a colleague's shows it.
#[async_trait]
pub trait Names: Send + Sync {
    /// The name of each of these appointments, in that order; `None` where none was noted. At most a hundred.
    async fn of(&self, ids: &[RemoteId]) -> Result<Vec<Option<String>>>;
    /// The appointment that was noted under this name last; it may be gone since.
    async fn named(&self, name: &str) -> Result<Option<RemoteId>>;
    /// Notes that this appointment has this name.
    async fn note(&self, id: &RemoteId, name: &str) -> Result<()>;
}
