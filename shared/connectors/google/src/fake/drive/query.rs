//! The `q` parameter of `files.list`.
use super::{Caller, Drive, File, Refusal};

/// A condition.
pub(super) enum Query {
    All(Vec<Query>),
    Any(Vec<Query>),
    Not(Box<Query>),
    In(String),
    Name(Compare, String),
    Mime(Compare, String),
    Trashed(bool),
    App(String, String),
    Property(String, String),
    SharedWithMe,
}

pub(super) enum Compare {
    Is,
    IsNot,
    Contains,
}

/// Words, quoted values and signs.
#[derive(Clone, PartialEq, Debug)]
enum Token {
    Word(String),
    Value(String),
}

fn refused() -> Refusal {
    Refusal::invalid("Invalid Value")
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\n' => {}
            '\'' => {
                let mut value = String::new();
                loop {
                    match rest.next().ok_or_else(refused)? {
                        '\'' => break,
                        '\\' => value.push(rest.next().ok_or_else(refused)?),
                        other => value.push(other),
                    }
                }
                found.push(Token::Value(value));
            }
            '(' | ')' | '{' | '}' | '=' => found.push(Token::Word(c.to_string())),
            '!' if rest.next_if_eq(&'=').is_some() => found.push(Token::Word("!=".to_owned())),
            c if c.is_ascii_alphanumeric() => {
                let mut word = c.to_string();
                while let Some(next) = rest.next_if(|c| c.is_ascii_alphanumeric()) {
                    word.push(next);
                }
                found.push(Token::Word(word));
            }
            _ => return Err(refused()),
        }
    }
    found.reverse();
    Ok(found)
}

pub(super) fn parse(text: &str) -> Result<Query, Refusal> {
    let mut rest = tokens(text)?;
    let query = any(&mut rest)?;
    if rest.is_empty() { Ok(query) } else { Err(refused()) }
}

fn next_is(rest: &mut Vec<Token>, word: &str) -> bool {
    let is = matches!(rest.last(), Some(Token::Word(found)) if found == word);
    if is {
        rest.pop();
    }
    is
}

fn expect(rest: &mut Vec<Token>, word: &str) -> Result<(), Refusal> {
    if next_is(rest, word) { Ok(()) } else { Err(refused()) }
}

fn value(rest: &mut Vec<Token>) -> Result<String, Refusal> {
    match rest.pop() {
        Some(Token::Value(value)) => Ok(value),
        Some(Token::Word(_)) | None => Err(refused()),
    }
}

fn any(rest: &mut Vec<Token>) -> Result<Query, Refusal> {
    let mut all_of = vec![all(rest)?];
    while next_is(rest, "or") {
        all_of.push(all(rest)?);
    }
    Ok(Query::Any(all_of))
}

fn all(rest: &mut Vec<Token>) -> Result<Query, Refusal> {
    let mut terms = vec![term(rest)?];
    while next_is(rest, "and") {
        terms.push(term(rest)?);
    }
    Ok(Query::All(terms))
}

fn term(rest: &mut Vec<Token>) -> Result<Query, Refusal> {
    if next_is(rest, "not") {
        return Ok(Query::Not(Box::new(term(rest)?)));
    }
    if next_is(rest, "(") {
        let inner = any(rest)?;
        expect(rest, ")")?;
        return Ok(inner);
    }
    match rest.pop().ok_or_else(refused)? {
        Token::Value(parent) => {
            expect(rest, "in")?;
            expect(rest, "parents")?;
            Ok(Query::In(parent))
        }
        Token::Word(field) => match field.as_str() {
            "name" => Ok(Query::Name(compare(rest)?, value(rest)?)),
            "mimeType" => Ok(Query::Mime(compare(rest)?, value(rest)?)),
            "trashed" => {
                expect(rest, "=")?;
                let yes = next_is(rest, "true");
                if yes || next_is(rest, "false") { Ok(Query::Trashed(yes)) } else { Err(refused()) }
            }
            "sharedWithMe" => Ok(Query::SharedWithMe),
            "appProperties" | "properties" => {
                for word in ["has", "{", "key", "="] {
                    expect(rest, word)?;
                }
                let key = value(rest)?;
                for word in ["and", "value", "="] {
                    expect(rest, word)?;
                }
                let wanted = value(rest)?;
                expect(rest, "}")?;
                Ok(if field == "properties" { Query::Property(key, wanted) } else { Query::App(key, wanted) })
            }
            _ => Err(refused()),
        },
    }
}

fn compare(rest: &mut Vec<Token>) -> Result<Compare, Refusal> {
    if next_is(rest, "=") {
        return Ok(Compare::Is);
    }
    if next_is(rest, "!=") {
        return Ok(Compare::IsNot);
    }
    expect(rest, "contains").map(|()| Compare::Contains)
}

impl Compare {
    fn holds(&self, found: &str, wanted: &str) -> bool {
        match self {
            Compare::Is => found == wanted,
            Compare::IsNot => found != wanted,
            Compare::Contains => found.to_lowercase().contains(&wanted.to_lowercase()),
        }
    }
}

impl Query {
    /// The folders that are asked about.
    pub(super) fn parents(&self) -> Vec<&str> {
        match self {
            Query::All(all) | Query::Any(all) => all.iter().flat_map(Query::parents).collect(),
            Query::Not(query) => query.parents(),
            Query::In(parent) => vec![parent],
            Query::Name(..)
            | Query::Mime(..)
            | Query::Trashed(_)
            | Query::App(..)
            | Query::Property(..)
            | Query::SharedWithMe => Vec::new(),
        }
    }

    pub(super) fn holds(&self, drive: &Drive, caller: &Caller, id: &str, file: &File) -> bool {
        let inner = |query: &Query| query.holds(drive, caller, id, file);
        match self {
            Query::All(all) => all.iter().all(inner),
            Query::Any(any) => any.iter().any(inner),
            Query::Not(query) => !inner(query),
            Query::In(parent) => {
                let parent = if parent == "root" { &drive.root } else { parent };
                file.parent.as_ref() == Some(parent)
            }
            Query::Name(compare, wanted) => compare.holds(&file.name, wanted),
            Query::Mime(compare, wanted) => compare.holds(&file.mime, wanted),
            Query::Trashed(wanted) => drive.is_trashed(id) == *wanted,
            Query::App(key, wanted) => {
                file.app_properties.get(&caller.client).and_then(|all| all.get(key)) == Some(wanted)
            }
            Query::Property(key, wanted) => file.properties.get(key) == Some(wanted),
            Query::SharedWithMe => file.parent.is_none() && id != drive.root,
        }
    }
}
