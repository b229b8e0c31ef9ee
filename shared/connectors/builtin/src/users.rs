//! Who may act, what each may do, and the bearer tokens that say who is calling.
use crate::error::CrmError;
use crate::keys;
use crate::ledger::{Edit, Ledger, Tries};
use crate::record::{self, Record};
use crate::schema::Kind;
use crate::validate;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::infra::Clock;
use tandem_ports::table::{Item, Table, Write};

/// Something a user may do with the records of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Read them.
    View,
    /// Make new ones.
    Create,
    /// Change them.
    Edit,
    /// Delete them.
    Delete,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 4] = [Action::View, Action::Create, Action::Edit, Action::Delete];

    /// As in the API.
    pub fn word(self) -> &'static str {
        match self {
            Action::View => "view",
            Action::Create => "create",
            Action::Edit => "edit",
            Action::Delete => "delete",
        }
    }
}

/// What a user may do: everything that is not taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    no_export: bool,
    denied: BTreeMap<&'static str, Vec<Action>>,
}

/// A change of a user in which `rights` names what changes: what it does not name stays as it is. Rights that were
/// taken away must not come back because somebody set another one.
pub(crate) fn with_all_rights(
    before: &Map<String, Value>,
    input: &Map<String, Value>,
) -> Result<Map<String, Value>, CrmError> {
    let mut input = input.clone();
    let Some(change) = input.get("rights") else { return Ok(input) };
    if change.is_null() {
        return Err(CrmError::invalid("rights", "rights cannot be emptied; name what changes"));
    }
    // Judged as it was sent, so that a mistake is named where it was made.
    Rights::read(change)?;
    let mut all = before.get("rights").cloned().unwrap_or_else(|| Rights::default().to_json());
    overlay(&mut all, change);
    input.insert("rights".to_owned(), all);
    Ok(input)
}

fn overlay(onto: &mut Value, change: &Value) {
    match (onto, change) {
        (Value::Object(onto), Value::Object(change)) => {
            for (name, value) in change {
                overlay(onto.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (onto, change) => *onto = change.clone(),
    }
}

impl Rights {
    /// Reads `{"export":true,"modules":{"contacts":{"view":true,…}}}`; what is left out is allowed.
    pub(crate) fn read(value: &Value) -> Result<Rights, CrmError> {
        let flag = |at: String, value: &Value| {
            value.as_bool().ok_or_else(|| CrmError::invalid(at, "a right is true or false"))
        };
        let mut rights = Rights::default();
        for (name, value) in object("rights", value)? {
            match name.as_str() {
                "export" => rights.no_export = !flag("rights.export".to_owned(), value)?,
                "modules" => {
                    for (plural, actions) in object("rights.modules", value)? {
                        let at = format!("rights.modules.{plural}");
                        let kind = Kind::MODULES.into_iter().find(|kind| kind.plural() == plural);
                        let kind = kind.ok_or_else(|| CrmError::invalid(&at, "there is no such module"))?;
                        let mut denied = Vec::new();
                        for (word, value) in object(&at, actions)? {
                            let at = format!("{at}.{word}");
                            let action = Action::ALL.into_iter().find(|action| action.word() == word);
                            let action = action.ok_or_else(|| CrmError::invalid(&at, "there is no such right"))?;
                            if !flag(at, value)? {
                                denied.push(action);
                            }
                        }
                        if !denied.is_empty() {
                            rights.denied.insert(kind.plural(), denied);
                        }
                    }
                }
                _ => return Err(CrmError::invalid(format!("rights.{name}"), "there is no such right")),
            }
        }
        Ok(rights)
    }

    /// Every right, true or false.
    pub fn to_json(&self) -> Value {
        let module = |kind: Kind| -> Value {
            Action::ALL.into_iter().map(|action| (action.word().to_owned(), json!(self.allows(kind, action)))).collect()
        };
        let modules: Map<String, Value> =
            Kind::MODULES.into_iter().map(|kind| (kind.plural().to_owned(), module(kind))).collect();
        json!({"export": self.may_export(), "modules": modules})
    }

    /// Whether this action on this module's records is allowed.
    pub fn allows(&self, kind: Kind, action: Action) -> bool {
        self.denied.get(kind.plural()).is_none_or(|denied| !denied.contains(&action))
    }

    /// Whether records may leave the CRM through a sync.
    pub fn may_export(&self) -> bool {
        !self.no_export
    }
}

fn object<'a>(at: &str, value: &'a Value) -> Result<&'a Map<String, Value>, CrmError> {
    value.as_object().ok_or_else(|| CrmError::invalid(at, "this is an object"))
}

/// A user, as the one who acts.
#[derive(Clone, PartialEq)]
pub struct User {
    /// UUID.
    pub id: String,
    /// The account (company); its users share one CRM.
    pub account: String,
    /// The address the person signs in with.
    pub email: String,
    /// The person's name.
    pub name: String,
    /// Whether the person may manage users and rights.
    pub admin: bool,
    /// What the person may do.
    pub rights: Rights,
}

/// A user is personal data: `Debug` shows the id only.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "user {}", self.id)
    }
}

impl User {
    pub(crate) fn of(account: &str, record: &Record) -> Result<User, CrmError> {
        let rights = record.body.get("rights").map(Rights::read).transpose()?.unwrap_or_default();
        Ok(User {
            id: record.id.clone(),
            account: account.to_owned(),
            email: record.text("email").to_owned(),
            name: record.text("name").to_owned(),
            admin: record.body.get("admin").and_then(Value::as_bool).unwrap_or(false),
            rights,
        })
    }

    /// Checks a right; users themselves are seen by every colleague and managed by administrators.
    pub fn require(&self, kind: Kind, action: Action) -> Result<(), CrmError> {
        let allowed = match (kind, action) {
            (Kind::User, Action::View) => true,
            (Kind::User, Action::Create | Action::Edit | Action::Delete) => self.admin,
            // Whoever may see meetings may see when colleagues are busy.
            (Kind::Block, _) => self.rights.allows(Kind::Meeting, action),
            // Files go by the rights on the record that they belong to.
            (Kind::File | Kind::Folder, _) => true,
            (
                Kind::Contact
                | Kind::Company
                | Kind::Lead
                | Kind::Deal
                | Kind::Project
                | Kind::Product
                | Kind::Task
                | Kind::Email
                | Kind::Meeting
                | Kind::Segment
                | Kind::ListView,
                _,
            ) => self.rights.allows(kind, action),
        };
        let right = match kind {
            Kind::User => "admin".to_owned(),
            Kind::Block => format!("{}.{}", Kind::Meeting.plural(), action.word()),
            Kind::Contact
            | Kind::Company
            | Kind::Lead
            | Kind::Deal
            | Kind::Project
            | Kind::Product
            | Kind::Task
            | Kind::Email
            | Kind::Meeting
            | Kind::File
            | Kind::Folder
            | Kind::Segment
            | Kind::ListView => {
                format!("{}.{}", kind.plural(), action.word())
            }
        };
        if allowed { Ok(()) } else { Err(CrmError::Forbidden { right }) }
    }

    /// Checks the right to let records leave the CRM.
    pub fn require_export(&self) -> Result<(), CrmError> {
        if self.rights.may_export() { Ok(()) } else { Err(CrmError::Forbidden { right: "export".to_owned() }) }
    }
}

/// A bearer token: `tnd_` and 256 random bits. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token itself, to hand to its owner once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// The users of every account and their tokens; for sign-in and set-up. The API's users go through [`Crm`](crate::Crm).
#[derive(Clone)]
pub struct Users {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
}

/// A user to create.
#[derive(Clone)]
pub struct NewUser<'a> {
    /// The account; made by its first user. Letters, digits and hyphens.
    pub account: &'a str,
    /// The address the person signs in with; one user an address and account.
    pub email: &'a str,
    /// The person's name.
    pub name: &'a str,
    /// Whether the person may manage users and rights.
    pub role: Role,
}

/// Whether a new user manages the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May manage users and rights.
    Administrator,
    /// May not.
    Member,
}

impl Users {
    /// Users in this table.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>) -> Self {
        Self { table, clock }
    }

    fn ledger(&self, account: &str) -> Ledger {
        Ledger { table: self.table.clone(), clock: self.clock.clone(), account: account.to_owned() }
    }

    /// Creates a user, or answers `Refused` where the account has one with this address.
    pub async fn create(&self, new: NewUser<'_>) -> Result<User, CrmError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if new.account.is_empty() || !new.account.chars().all(fits) {
            return Err(CrmError::invalid("account", "an account's id has letters, digits and hyphens"));
        }
        let input = Map::from_iter([
            ("email".to_owned(), json!(new.email)),
            ("name".to_owned(), json!(new.name)),
            ("admin".to_owned(), json!(new.role == Role::Administrator)),
        ]);
        let body = validate::new_body(Kind::User, &input)?;
        let ledger = self.ledger(new.account);
        let mut tries = Tries::new();
        loop {
            let head = ledger.head().await?;
            if ledger.known(Kind::User).await?.contains_key(&record::same(Kind::User, &body)) {
                return Err(CrmError::refused("there is already a user with this e-mail address"));
            }
            let edit = Edit::Create { id: ledger.new_id(), kind: Kind::User, body: body.clone(), marker: None };
            if let Some(mut made) = ledger.commit(&head, vec![edit]).await? {
                let made = made.pop().expect("one edit makes one record");
                return User::of(new.account, &made);
            }
            tries.again(self.clock.as_ref()).await?;
        }
    }

    /// The user with this id. One request.
    pub async fn by_id(&self, account: &str, id: &str) -> Result<Option<User>, CrmError> {
        let record = self.ledger(account).record(id).await?;
        record.filter(|record| record.kind == Kind::User).map(|record| User::of(account, &record)).transpose()
    }

    /// The user with this e-mail address.
    pub async fn by_email(&self, account: &str, email: &str) -> Result<Option<User>, CrmError> {
        let body = Map::from_iter([("email".to_owned(), json!(email))]);
        match self.ledger(account).known(Kind::User).await?.get(&record::same(Kind::User, &body)) {
            Some(id) => self.by_id(account, id).await,
            None => Ok(None),
        }
    }

    /// Every user of an account, the oldest first.
    pub async fn list(&self, account: &str) -> Result<Vec<User>, CrmError> {
        let ledger = self.ledger(account);
        let (mut users, mut after) = (Vec::new(), 0);
        loop {
            let (rows, more) = ledger.rows(Kind::User, after, 100).await?;
            after = rows.last().map_or(after, |(number, _, _)| *number);
            let ids: Vec<&str> = rows.iter().map(|(_, id, _)| id.as_str()).collect();
            for record in ledger.records(&ids).await?.into_iter().flatten() {
                users.push(User::of(account, &record)?);
            }
            if !more {
                return Ok(users);
            }
        }
    }

    /// Makes a token for a user that is good for this long.
    pub async fn issue(&self, user: &User, lifetime: Duration) -> Result<Token, CrmError> {
        let token = Token(format!("tnd_{}", hex::encode(rand::random::<[u8; 32]>())));
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let expires_at = self.clock.now().as_second().saturating_add(seconds);
        let attributes = Map::from_iter([
            ("account".to_owned(), json!(user.account)),
            ("user".to_owned(), json!(user.id)),
            ("expires_at".to_owned(), json!(expires_at)),
        ]);
        self.table.write(&[Write::Put(Item { key: keys::token(&token.0), attributes })]).await?;
        Ok(token)
    }

    /// Whose token this is; `None` where it is unknown or expired, or its user is gone. The token is looked up by its
    /// hash, so how long that takes says nothing about any stored token. Two requests.
    pub async fn authenticate(&self, token: &str) -> Result<Option<User>, CrmError> {
        if !token.starts_with("tnd_") || token.len() > 200 {
            return Ok(None);
        }
        let found = self.table.get(&[keys::token(token)]).await?.pop().flatten();
        let Some(item) = found else { return Ok(None) };
        let text = |name: &str| item.attributes.get(name).and_then(Value::as_str).ok_or(CrmError::Corrupt);
        let ends = item.attributes.get("expires_at").and_then(Value::as_i64).ok_or(CrmError::Corrupt)?;
        // The table may drop expired items late.
        if Timestamp::from_second(ends).is_ok_and(|ends| ends <= self.clock.now()) {
            return Ok(None);
        }
        self.by_id(text("account")?, text("user")?).await
    }

    /// Ends a token. Unknown ones are ended already.
    pub async fn revoke(&self, token: &str) -> Result<(), CrmError> {
        Ok(self.table.write(&[Write::Delete(keys::token(token))]).await?)
    }
}
