//! What whoever may invoke the function directly can ask: first users, and tokens for those who lost theirs.
use crate::state::{AppState, TOKEN_LIFETIME};
use lambda_runtime::Error;
use serde::{Deserialize, Serialize};
use tandem_builtin::CrmError;
use tandem_builtin::users::{NewUser, Role, User};

/// The account that users belong to where none is named.
const ACCOUNT: &str = "main";

/// `{"tandem_admin":{…}}`
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdminRequest {
    /// Makes a user, or gives the one with this address a fresh token.
    CreateUser {
        /// The address the person signs in with.
        email: String,
        /// The person's name; the address without.
        #[serde(default)]
        name: String,
        /// Whether the person manages users and rights.
        #[serde(default)]
        admin: bool,
        /// The account; its users share one CRM.
        #[serde(default)]
        account: Option<String>,
    },
    /// Gives a user a fresh token.
    CreateToken {
        /// The user's address.
        email: String,
        /// The user's account.
        #[serde(default)]
        account: Option<String>,
    },
}

/// A user with a token that is shown this once.
#[derive(Serialize)]
pub(crate) struct AdminAnswer {
    id: String,
    email: String,
    token: String,
}

pub(crate) async fn answer(state: &AppState, request: AdminRequest) -> Result<AdminAnswer, Error> {
    let user = match request {
        AdminRequest::CreateUser { email, name, admin, account } => {
            let name = if name.is_empty() { &email } else { &name };
            let account = account.as_deref().unwrap_or(ACCOUNT);
            let role = if admin { Role::Administrator } else { Role::Member };
            create(state, NewUser { account, email: &email, name, role }).await?
        }
        AdminRequest::CreateToken { email, account } => {
            let found = state.users.by_email(account.as_deref().unwrap_or(ACCOUNT), &email).await?;
            found.ok_or("there is no user with this e-mail address in this account")?
        }
    };
    let token = state.users.issue(&user, TOKEN_LIFETIME).await?;
    Ok(AdminAnswer { id: user.id, email: user.email, token: token.expose().to_owned() })
}

async fn create(state: &AppState, new: NewUser<'_>) -> Result<User, Error> {
    let (account, email) = (new.account, new.email);
    match state.users.create(new).await {
        Ok(user) => Ok(user),
        Err(CrmError::Refused { message }) => Ok(state.users.by_email(account, email).await?.ok_or(message)?),
        Err(error) => Err(error.into()),
    }
}
