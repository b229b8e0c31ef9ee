//! Notifications about an account: Dropbox sends them for every account that has connected the app, to the one address
//! that the app's settings name. There is nothing to open and nothing that ends.
use async_trait::async_trait;
use std::time::Duration;
use tandem_ports::error::Result;
use tandem_ports::push::{Opened, Order, Push, Route, Target};

/// Among whose accounts a notification names some.
pub const ACCOUNTS: &str = "dropbox";

/// The notifications about one account.
pub struct DropboxPush {
    account: String,
}

impl DropboxPush {
    /// `account` is Dropbox's id of it, `dbid:…`.
    pub fn new(account: &str) -> Self {
        Self { account: account.to_owned() }
    }
}

#[async_trait]
impl Push for DropboxPush {
    fn title(&self) -> &'static str {
        "Dropbox"
    }
    fn targets(&self) -> Vec<Target> {
        let route = Route::Account { provider: ACCOUNTS.to_owned(), account: self.account.clone() };
        vec![Target { name: "files".to_owned(), route }]
    }
    fn life(&self) -> Duration {
        Duration::MAX
    }
    async fn open(&self, _target: &Target, _order: &Order<'_>) -> Result<Opened> {
        Ok(Opened { resource: String::new(), until: None })
    }
    async fn close(&self, _target: &str, _id: &str, _resource: &str) -> Result<()> {
        Ok(())
    }
}
