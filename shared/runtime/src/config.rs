//! The environment, read once. Nothing else in the service looks at it.
use std::collections::BTreeMap;
use tandem_aws::QueueUrls;
use tandem_dropbox::DropboxConfig;
use tandem_google::GoogleConfig;
use tandem_http::{ApiOrigins, OAuthClient};
use tandem_ports::infra::Kind;
use tandem_sell::SellConfig;
use tandem_teamleader::TeamleaderConfig;
use tandem_zoho::ZohoConfig;

/// A provider's origin that a variable can replace: variable and public origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `TANDEM_…_URL`.
    pub variable: &'static str,
    /// Where the provider is for everybody.
    pub public: &'static str,
}

const fn origin(variable: &'static str, public: &'static str) -> Origin {
    Origin { variable, public }
}

const PEOPLE: Origin = origin("TANDEM_GOOGLE_PEOPLE_URL", "https://people.googleapis.com");
const ACCOUNTS: Origin = origin("TANDEM_GOOGLE_ACCOUNTS_URL", "https://accounts.google.com");
const OAUTH: Origin = origin("TANDEM_GOOGLE_OAUTH_URL", "https://oauth2.googleapis.com");
const ZOHO_ACCOUNTS: Origin = origin("TANDEM_ZOHO_ACCOUNTS_URL", "https://accounts.zoho.eu");
const CERTS: Origin = origin("TANDEM_GOOGLE_CERTS_URL", "https://www.googleapis.com");

const TEAMLEADER_AUTH: Origin = origin("TANDEM_TEAMLEADER_AUTH_URL", "https://focus.teamleader.eu");
const TEAMLEADER_API: Origin = origin("TANDEM_TEAMLEADER_API_URL", "https://api.focus.teamleader.eu");

const DROPBOX_WWW: Origin = origin("TANDEM_DROPBOX_WWW_URL", "https://www.dropbox.com");
const DROPBOX_API: Origin = origin("TANDEM_DROPBOX_API_URL", "https://api.dropboxapi.com");
const DROPBOX_CONTENT: Origin = origin("TANDEM_DROPBOX_CONTENT_URL", "https://content.dropboxapi.com");

const SELL_API: Origin = origin("TANDEM_SELL_API_URL", "https://api.getbase.com");

/// Every origin that can be replaced. Those that no connector of this release uses are checked all the same, so that
/// a mistake shows at the start and not with the release that first uses them.
pub const ORIGINS: [Origin; 15] = [
    PEOPLE,
    origin("TANDEM_GOOGLE_CALENDAR_URL", "https://www.googleapis.com"),
    origin("TANDEM_GOOGLE_DRIVE_URL", "https://www.googleapis.com"),
    origin("TANDEM_GOOGLE_GMAIL_URL", "https://gmail.googleapis.com"),
    origin("TANDEM_GOOGLE_TASKS_URL", "https://tasks.googleapis.com"),
    ACCOUNTS,
    OAUTH,
    CERTS,
    DROPBOX_WWW,
    DROPBOX_API,
    DROPBOX_CONTENT,
    TEAMLEADER_AUTH,
    TEAMLEADER_API,
    ZOHO_ACCOUNTS,
    SELL_API,
];

/// The API of each of Zoho's data centres, which a token answer's `api_domain` names, and of its sandboxes
/// (Zoho CRM API v8, "Multi-DC").
const ZOHO_APIS: [&str; 10] = [
    "https://www.zohoapis.com",
    "https://www.zohoapis.eu",
    "https://www.zohoapis.in",
    "https://www.zohoapis.com.au",
    "https://www.zohoapis.com.cn",
    "https://www.zohoapis.jp",
    "https://www.zohoapis.ca",
    "https://www.zohoapis.sa",
    "https://sandbox.zohoapis.eu",
    "https://developer.zohoapis.eu",
];

/// Kinds and the variables with their queues' addresses.
const QUEUES: [(Kind, &str); 4] = [
    (Kind::Contacts, "TANDEM_QUEUE_CONTACTS"),
    (Kind::Calendar, "TANDEM_QUEUE_CALENDAR"),
    (Kind::Files, "TANDEM_QUEUE_FILES"),
    (Kind::Mail, "TANDEM_QUEUE_MAIL"),
];

/// Both, or neither.
const ADDON: [&str; 2] = ["TANDEM_GMAIL_ADDON_SERVICE_ACCOUNT", "TANDEM_GMAIL_ADDON_CLIENT_ID"];

/// Days that change logs are kept where nothing says otherwise.
const CHANGE_LOG_DAYS: u32 = 30;

/// The configuration of one function.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TANDEM_TABLE`: the table's name.
    pub table: String,
    /// `TANDEM_KMS_KEY`: the key under which connections are encrypted (id, ARN or alias).
    pub kms_key: String,
    /// `TANDEM_QUEUE_FANOUT`, `TANDEM_QUEUE_<KIND>`: the queues this function may send to.
    pub queues: QueueUrls,
    /// `TANDEM_PUBLIC_URL`: where browsers and providers reach the service; an origin without a path.
    pub public_url: String,
    /// `TANDEM_GOOGLE_…_URL`.
    pub google: GoogleConfig,
    /// `TANDEM_TEAMLEADER_…_URL`.
    pub teamleader: TeamleaderConfig,
    /// `TANDEM_ZOHO_ACCOUNTS_URL`.
    pub zoho: ZohoConfig,
    /// `TANDEM_SELL_API_URL`.
    pub sell: SellConfig,
    /// `TANDEM_DROPBOX_…_URL`.
    pub dropbox: DropboxConfig,
    /// `TANDEM_FILES_BUCKET`: the bucket with the bytes of the built-in CRM's files. Without it there are none.
    pub files_bucket: Option<String>,
    /// `TANDEM_GMAIL_PUBSUB_…`: which pushes of Pub/Sub are ours; `None`: mailboxes are only asked.
    pub gmail_push: Option<GmailPush>,
    /// `TANDEM_CHANGE_LOG_DAYS`: how long change logs are kept; 0 keeps none. Default 30.
    pub change_log_days: u32,
    /// `TANDEM_OAUTH_SECRET_ARN`: the secret with the OAuth clients, where they are not in the environment.
    pub oauth_secret: Option<String>,
    /// `TANDEM_GMAIL_ADDON_SERVICE_ACCOUNT` and `TANDEM_GMAIL_ADDON_CLIENT_ID`: the add-on that is the bar under a mail.
    pub gmail_addon: Option<AddonConfig>,
    /// `TANDEM_LOG`: the log filter.
    pub log: String,
    origins: BTreeMap<&'static str, String>,
    oauth_variables: BTreeMap<String, String>,
}

/// By what Gmail tells us of new mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GmailPush {
    /// `TANDEM_GMAIL_PUBSUB_TOPIC`: where Gmail publishes, `projects/…/topics/…`.
    pub topic: String,
    /// `TANDEM_GMAIL_PUBSUB_SERVICE_ACCOUNT`: the account that pushes to us, by its address.
    pub service_account: String,
    /// `TANDEM_GMAIL_PUBSUB_AUDIENCE`: whom its tokens must be for; without it the address that it pushes to.
    pub audience: String,
}

/// A Google Workspace add-on of ours, as `gcloud workspace-add-ons get-authorization` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddonConfig {
    /// Google calls the add-on's endpoints as this service account.
    pub service_account: String,
    /// The OAuth client that a person's token is for.
    pub client_id: String,
}

/// The environment is not as it must be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A mandatory variable is not there.
    #[error("the environment variable {0} is missing")]
    Missing(&'static str),
    /// A variable has a value that cannot be used. The value itself is not shown.
    #[error("the environment variable {variable} is not {expected}")]
    Bad {
        /// Which.
        variable: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl Config {
    /// Reads the process's environment.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_source(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere. An empty variable counts as absent, as templates cannot leave one out.
    pub fn from_source(read: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let optional = |name: &str| read(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mandatory = |name: &'static str| optional(name).ok_or(ConfigError::Missing(name));
        let url = |name: &'static str| optional(name).map(|value| checked_origin(name, &value)).transpose();
        let mut origins = BTreeMap::new();
        for Origin { variable, public } in ORIGINS {
            origins.insert(variable, url(variable)?.unwrap_or_else(|| public.to_owned()));
        }
        let queues = QueueUrls {
            fanout: optional("TANDEM_QUEUE_FANOUT"),
            kinds: QUEUES.into_iter().filter_map(|(kind, name)| Some((kind, optional(name)?))).collect(),
        };
        let days = optional("TANDEM_CHANGE_LOG_DAYS").map(|days| days.parse::<u32>());
        let expected = "a number of days, such as 30";
        let gmail_addon = match ADDON.map(optional) {
            [None, None] => None,
            [Some(service_account), Some(client_id)] => Some(AddonConfig { service_account, client_id }),
            [None, Some(_)] => return Err(ConfigError::Missing(ADDON[0])),
            [Some(_), None] => return Err(ConfigError::Missing(ADDON[1])),
        };
        let days = days.transpose().map_err(|_| ConfigError::Bad { variable: "TANDEM_CHANGE_LOG_DAYS", expected })?;
        let public_url = url("TANDEM_PUBLIC_URL")?.ok_or(ConfigError::Missing("TANDEM_PUBLIC_URL"))?;
        let gmail_push = optional("TANDEM_GMAIL_PUBSUB_TOPIC").zip(optional("TANDEM_GMAIL_PUBSUB_SERVICE_ACCOUNT"));
        let gmail_push = gmail_push.map(|(topic, service_account)| GmailPush {
            topic,
            service_account,
            audience: optional("TANDEM_GMAIL_PUBSUB_AUDIENCE")
                .unwrap_or_else(|| format!("{public_url}/webhooks/google/gmail")),
        });
        Ok(Self {
            gmail_push,
            table: mandatory("TANDEM_TABLE")?,
            kms_key: mandatory("TANDEM_KMS_KEY")?,
            queues,
            public_url,
            teamleader: TeamleaderConfig {
                auth_url: origins[TEAMLEADER_AUTH.variable].clone(),
                api_url: origins[TEAMLEADER_API.variable].clone(),
            },
            dropbox: DropboxConfig {
                www_url: origins[DROPBOX_WWW.variable].clone(),
                api_url: origins[DROPBOX_API.variable].clone(),
                content_url: origins[DROPBOX_CONTENT.variable].clone(),
            },
            files_bucket: optional("TANDEM_FILES_BUCKET"),
            sell: SellConfig { api_url: origins[SELL_API.variable].clone() },
            zoho: ZohoConfig { accounts_url: origins[ZOHO_ACCOUNTS.variable].clone() },
            google: GoogleConfig {
                people_url: origins[PEOPLE.variable].clone(),
                calendar_url: origins["TANDEM_GOOGLE_CALENDAR_URL"].clone(),
                drive_url: origins["TANDEM_GOOGLE_DRIVE_URL"].clone(),
                accounts_url: origins[ACCOUNTS.variable].clone(),
                oauth_url: origins[OAUTH.variable].clone(),
                certs_url: origins[CERTS.variable].clone(),
                gmail_url: origins["TANDEM_GOOGLE_GMAIL_URL"].clone(),
                tasks_url: origins["TANDEM_GOOGLE_TASKS_URL"].clone(),
            },
            change_log_days: days.unwrap_or(CHANGE_LOG_DAYS),
            oauth_secret: optional("TANDEM_OAUTH_SECRET_ARN"),
            gmail_addon,
            log: optional("TANDEM_LOG").unwrap_or_default(),
            origins,
            oauth_variables: oauth_names().filter_map(|name| optional(&name).map(|value| (name, value))).collect(),
        })
    }

    /// Where a provider is: the variable's value or the public origin. `None` for a variable that is none of [`ORIGINS`].
    pub fn origin(&self, variable: &str) -> Option<&str> {
        self.origins.get(variable).map(String::as_str)
    }

    /// Whither a token answer of Zoho's may lead: to its own data centres, or anywhere once Zoho itself is replaced.
    pub fn zoho_api_origins(&self) -> ApiOrigins {
        if self.origin(ZOHO_ACCOUNTS.variable) == Some(ZOHO_ACCOUNTS.public) {
            ApiOrigins::Among(ZOHO_APIS.map(str::to_owned).to_vec())
        } else {
            ApiOrigins::Any
        }
    }

    /// The OAuth client of a provider (`google`, …), once its id and secret are known.
    pub fn oauth_client(&self, provider: &str) -> Option<OAuthClient> {
        let [id, secret] = client_names(provider);
        let value = |name: &str| self.oauth_variables.get(name).cloned();
        Some(OAuthClient { id: value(&id)?, secret: value(&secret)? })
    }

    /// Adds what the OAuth secret holds. A variable of the environment wins.
    pub(crate) fn add_oauth_secret(&mut self, secret: BTreeMap<String, String>) {
        for name in oauth_names() {
            if let Some(value) = secret.get(&name).filter(|value| !value.is_empty()) {
                self.oauth_variables.entry(name).or_insert_with(|| value.clone());
            }
        }
    }
}

fn client_names(provider: &str) -> [String; 2] {
    let provider = provider.to_uppercase();
    [format!("TANDEM_{provider}_CLIENT_ID"), format!("TANDEM_{provider}_CLIENT_SECRET")]
}

fn oauth_names() -> impl Iterator<Item = String> {
    ["google", "dropbox", "teamleader", "zoho", "sell"].into_iter().flat_map(client_names)
}

/// Scheme and authority only: the public API's own path is appended unchanged.
fn checked_origin(variable: &'static str, value: &str) -> Result<String, ConfigError> {
    let value = value.trim_end_matches('/');
    let authority = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let plain = |text: &str| !text.is_empty() && !text.contains(['/', '?', '#', '@', ' ']);
    // Connectors build requests on it: what is no address must not get that far.
    if authority.is_some_and(plain) && value.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some()) {
        return Ok(value.to_owned());
    }
    Err(ConfigError::Bad { variable, expected: "an origin without a path, such as https://people.googleapis.com" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut variables = BTreeMap::from([
            ("TANDEM_TABLE", "t"),
            ("TANDEM_KMS_KEY", "k"),
            ("TANDEM_PUBLIC_URL", "http://127.0.0.1:1/"),
        ]);
        variables.extend(more.iter().copied());
        Config::from_source(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn the_minimum_is_enough_and_leads_to_the_public_providers() {
        let config = config(&[]).unwrap();
        assert_eq!(config.google, GoogleConfig::default());
        assert_eq!(config.dropbox, DropboxConfig::default());
        assert_eq!((config.change_log_days, config.public_url.as_str()), (30, "http://127.0.0.1:1"));
        assert_eq!(config.origin("TANDEM_SELL_API_URL"), Some("https://api.getbase.com"));
        assert!(config.queues.kinds.is_empty());
    }

    #[test]
    fn a_missing_variable_is_named_and_an_empty_one_counts_as_missing() {
        assert_eq!(config(&[("TANDEM_TABLE", " ")]).unwrap_err(), ConfigError::Missing("TANDEM_TABLE"));
    }

    #[test]
    fn a_bad_variable_is_named_without_its_value() {
        for bad in
            ["people.googleapis.com", "https://", "https://a/b", "https://user:secret@a", "ftp://a", "https://a:b:c"]
        {
            let error = config(&[("TANDEM_GOOGLE_PEOPLE_URL", bad)]).unwrap_err().to_string();
            assert!(error.contains("TANDEM_GOOGLE_PEOPLE_URL") && !error.contains("secret"), "{error}");
        }
        assert!(config(&[("TANDEM_CHANGE_LOG_DAYS", "-1")]).is_err());
    }

    #[test]
    fn each_google_origin_is_replaced_by_its_own_variable() {
        let config = config(&[("TANDEM_GOOGLE_PEOPLE_URL", "http://p:1"), ("TANDEM_GOOGLE_OAUTH_URL", "http://o:1")]);
        let google = config.unwrap().google;
        assert_eq!((google.people_url.as_str(), google.oauth_url.as_str()), ("http://p:1", "http://o:1"));
        assert_eq!(google.accounts_url, GoogleConfig::default().accounts_url);
    }

    #[test]
    fn zoho_leads_to_its_own_data_centres_unless_it_is_replaced() {
        let ApiOrigins::Among(known) = config(&[]).unwrap().zoho_api_origins() else { panic!("any origin") };
        assert!(known.contains(&"https://www.zohoapis.in".to_owned()) && known.len() == 10);
        let replaced = config(&[("TANDEM_ZOHO_ACCOUNTS_URL", "http://127.0.0.1:4564")]).unwrap();
        assert_eq!(replaced.zoho_api_origins(), ApiOrigins::Any);
    }

    #[test]
    fn the_environment_wins_over_the_oauth_secret_and_neither_is_shown() {
        let mut config = config(&[("TANDEM_GOOGLE_CLIENT_ID", "mine")]).unwrap();
        assert_eq!(config.oauth_client("google"), None);
        let secret = [("TANDEM_GOOGLE_CLIENT_ID", "other"), ("TANDEM_GOOGLE_CLIENT_SECRET", "hush")];
        config.add_oauth_secret(secret.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let client = config.oauth_client("google").unwrap();
        assert_eq!((client.id.as_str(), client.secret.as_str()), ("mine", "hush"));
        assert!(!format!("{client:?}").contains("hush"));
    }

    #[test]
    fn gmails_pushes_are_ours_when_topic_and_account_are_said_and_the_audience_is_their_address_unless_said() {
        let topic = ("TANDEM_GMAIL_PUBSUB_TOPIC", "projects/p/topics/t");
        let account = ("TANDEM_GMAIL_PUBSUB_SERVICE_ACCOUNT", "push@p.iam.gserviceaccount.com");
        assert_eq!(config(&[topic]).unwrap().gmail_push, None);
        assert_eq!(config(&[account]).unwrap().gmail_push, None);
        let push = config(&[topic, account]).unwrap().gmail_push.unwrap();
        assert_eq!(push.audience, "http://127.0.0.1:1/webhooks/google/gmail");
        let said = [topic, account, ("TANDEM_GMAIL_PUBSUB_AUDIENCE", "tandem")];
        assert_eq!(config(&said).unwrap().gmail_push.unwrap().audience, "tandem");
    }

    #[test]
    fn an_add_on_has_both_its_variables_or_there_is_none() {
        assert_eq!(config(&[]).unwrap().gmail_addon, None);
        let both = [(ADDON[0], "robot@x.iam.gserviceaccount.com"), (ADDON[1], "1.apps.googleusercontent.com")];
        assert_eq!(config(&both).unwrap().gmail_addon.unwrap().client_id, "1.apps.googleusercontent.com");
        for at in [0, 1] {
            assert_eq!(config(&both[at..=at]).unwrap_err(), ConfigError::Missing(ADDON[1 - at]));
        }
    }

    #[test]
    fn queues_are_known_by_kind() {
        let config = config(&[("TANDEM_QUEUE_CONTACTS", "http://q/contacts")]).unwrap();
        assert_eq!(config.queues.kinds.get(&Kind::Contacts).map(String::as_str), Some("http://q/contacts"));
        assert_eq!(config.queues.kinds.len(), 1);
    }
}
