//! Criteria of list views, and COQL in the subset of `select … from … where … order by … limit …`.
use super::state::{State, Stored};
use super::{Answer, Refusal};
use serde_json::{Map, Value, json};

const MOST_ROWS: usize = 2_000;
const MOST_COLUMNS: usize = 50;

/// The text that a comparison sees: a lookup by its name.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Object(object) => object.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Value::Null | Value::Array(_) => String::new(),
    }
}

/// Whether a record meets a list view's criteria. No criteria: everything.
pub(super) fn matches(state: &State, id: u64, stored: &Stored, criteria: &Value) -> bool {
    if let Some(group) = criteria["group"].as_array() {
        let mut each = group.iter().map(|one| matches(state, id, stored, one));
        return match criteria["group_operator"].as_str().unwrap_or("AND").to_uppercase().as_str() {
            "OR" => each.any(|met| met),
            _ => each.all(|met| met),
        };
    }
    let Some(name) = criteria["field"]["api_name"].as_str() else { return true };
    let held = text_of(&state.value(id, stored, name)).to_lowercase();
    let wanted = text_of(&criteria["value"]).to_lowercase();
    let wanted = if wanted == "${empty}" { String::new() } else { wanted };
    match criteria["comparator"].as_str().unwrap_or_default() {
        "equal" => held == wanted,
        "not_equal" => held != wanted,
        "contains" => held.contains(&wanted),
        "not_contains" => !held.contains(&wanted),
        "starts_with" => held.starts_with(&wanted),
        "ends_with" => held.ends_with(&wanted),
        _ => false,
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Mark(char),
    /// `!=`, `>=`, `<=`, `<>`.
    Pair(String),
}

enum Condition {
    Is { column: String, how: String, values: Vec<String> },
    Null { column: String, wanted: bool },
    Both(Box<Condition>, Box<Condition>),
    Either(Box<Condition>, Box<Condition>),
}

struct Query {
    columns: Vec<String>,
    module: String,
    condition: Condition,
    order: Option<(String, bool)>,
    limit: usize,
    offset: usize,
}

fn syntax(near: &str) -> Refusal {
    Refusal::new(400, "SYNTAX_ERROR", "invalid query formed").with(json!({"near": near, "line": 1, "column": 0}))
}

fn tokens(query: &str) -> Result<Vec<Token>, Refusal> {
    let mut found = Vec::new();
    let mut rest = query.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            quote @ ('\'' | '"') => {
                let mut text = String::new();
                loop {
                    match rest.next() {
                        None => return Err(syntax(&text)),
                        Some('\\') => text.extend(rest.next()),
                        Some(c) if c == quote && rest.peek() == Some(&quote) => text.extend(rest.next()),
                        Some(c) if c == quote => break,
                        Some(c) => text.push(c),
                    }
                }
                found.push(Token::Text(text));
            }
            '(' | ')' | ',' | '=' => found.push(Token::Mark(c)),
            '!' | '<' | '>' => {
                let second = rest.next_if(|next| ['=', '>'].contains(next));
                found.push(Token::Pair(std::iter::once(c).chain(second).collect()));
            }
            c if c.is_alphanumeric() || ['_', '.', '-', '+', ':'].contains(&c) => {
                let mut word = String::from(c);
                while let Some(next) = rest.next_if(|c| c.is_alphanumeric() || ['_', '.', '-', '+', ':'].contains(c)) {
                    word.push(next);
                }
                found.push(Token::Word(word));
            }
            c => return Err(syntax(&c.to_string())),
        }
    }
    Ok(found)
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        self.tokens.next()
    }
    fn is(&mut self, keyword: &str) -> bool {
        matches!(self.tokens.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }
    fn takes(&mut self, keyword: &str) -> bool {
        let there = self.is(keyword);
        if there {
            self.next();
        }
        there
    }
    fn must(&mut self, keyword: &str) -> Result<(), Refusal> {
        if self.takes(keyword) { Ok(()) } else { Err(syntax(keyword)) }
    }
    fn mark(&mut self, mark: char) -> bool {
        self.tokens.next_if(|token| *token == Token::Mark(mark)).is_some()
    }
    fn word(&mut self) -> Result<String, Refusal> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            Some(Token::Text(_) | Token::Mark(_) | Token::Pair(_)) | None => Err(syntax("name")),
        }
    }
    fn value(&mut self) -> Result<String, Refusal> {
        match self.next() {
            Some(Token::Word(text) | Token::Text(text)) => Ok(text),
            Some(Token::Mark(_) | Token::Pair(_)) | None => Err(syntax("value")),
        }
    }
    fn number(&mut self) -> Result<usize, Refusal> {
        self.word()?.parse().map_err(|_| syntax("number"))
    }

    fn query(&mut self) -> Result<Query, Refusal> {
        self.must("select")?;
        let mut columns = vec![self.word()?];
        while self.mark(',') {
            columns.push(self.word()?);
        }
        self.must("from")?;
        let module = self.word()?;
        // Without `where` Zoho refuses the query.
        self.must("where")?;
        let condition = self.condition()?;
        let order = match self.takes("order") {
            true => {
                self.must("by")?;
                let column = self.word()?;
                let descending = self.takes("desc");
                Some((
                    column,
                    descending || {
                        self.takes("asc");
                        false
                    },
                ))
            }
            false => None,
        };
        let limit = if self.takes("limit") { self.number()? } else { 200 };
        let offset = if self.takes("offset") { self.number()? } else { 0 };
        match self.next() {
            None => Ok(Query { columns, module, condition, order, limit, offset }),
            Some(_) => Err(syntax("end")),
        }
    }

    /// One criterion, or two of them; more must stand in pairs in brackets.
    fn condition(&mut self) -> Result<Condition, Refusal> {
        let left = self.term()?;
        let join = if self.takes("and") {
            Condition::Both
        } else if self.takes("or") {
            Condition::Either
        } else {
            return Ok(left);
        };
        let both = join(Box::new(left), Box::new(self.term()?));
        match self.is("and") || self.is("or") {
            true => Err(syntax("and")),
            false => Ok(both),
        }
    }

    fn term(&mut self) -> Result<Condition, Refusal> {
        if self.mark('(') {
            let inner = self.condition()?;
            return if self.mark(')') { Ok(inner) } else { Err(syntax(")")) };
        }
        let column = self.word()?;
        if self.takes("is") {
            let wanted = !self.takes("not");
            self.must("null")?;
            return Ok(Condition::Null { column, wanted });
        }
        if self.takes("in") {
            if !self.mark('(') {
                return Err(syntax("in"));
            }
            let mut values = vec![self.value()?];
            while self.mark(',') {
                values.push(self.value()?);
            }
            return if self.mark(')') {
                Ok(Condition::Is { column, how: "=".into(), values })
            } else {
                Err(syntax("in"))
            };
        }
        let how = match self.next() {
            Some(Token::Mark('=')) => "=".to_owned(),
            Some(Token::Pair(how)) => how,
            Some(Token::Word(_) | Token::Text(_) | Token::Mark(_)) | None => return Err(syntax(&column)),
        };
        Ok(Condition::Is { column, how, values: vec![self.value()?] })
    }
}

impl Condition {
    fn columns(&self) -> Vec<&str> {
        match self {
            Condition::Is { column, .. } | Condition::Null { column, .. } => vec![column],
            Condition::Both(a, b) | Condition::Either(a, b) => [a.columns(), b.columns()].concat(),
        }
    }

    fn met(&self, value: &impl Fn(&str) -> Value) -> bool {
        match self {
            Condition::Both(a, b) => a.met(value) && b.met(value),
            Condition::Either(a, b) => a.met(value) || b.met(value),
            Condition::Null { column, wanted } => value(column).is_null() == *wanted,
            Condition::Is { column, how, values } => {
                let held = text_of(&value(column)).to_lowercase();
                let mut each = values.iter().map(|wanted| wanted.to_lowercase());
                match how.as_str() {
                    "=" => each.any(|wanted| held == wanted),
                    "!=" | "<>" => each.all(|wanted| held != wanted),
                    ">=" => each.all(|wanted| held >= wanted),
                    "<=" => each.all(|wanted| held <= wanted),
                    ">" => each.all(|wanted| held > wanted),
                    _ => each.all(|wanted| held < wanted),
                }
            }
        }
    }
}

/// `POST /coql`.
pub(super) fn coql(state: &State, user: &str, body: &Value) -> Answer {
    let Some(text) = body["select_query"].as_str() else {
        let details = json!({"api_name": "select_query", "json_path": "$.select_query"});
        return Err(Refusal::new(400, "MANDATORY_NOT_FOUND", "required field not found").with(details));
    };
    let query = Parser { tokens: tokens(text)?.into_iter().peekable() }.query()?;
    let Some(fields) = state.fields.get(&query.module) else {
        return Err(Refusal::new(400, "INVALID_QUERY", "invalid query formed"));
    };
    state.permit(user, "View", &query.module)?;
    if query.limit > MOST_ROWS || query.columns.len() > MOST_COLUMNS {
        return Err(Refusal::new(400, "LIMIT_EXCEEDED", "Record count exceeded"));
    }
    let known = |name: &&str| *name == "id" || fields.iter().any(|field| field.api_name == **name);
    let ordered = query.order.iter().map(|(column, _)| column.as_str());
    let named = query.columns.iter().map(String::as_str).chain(query.condition.columns()).chain(ordered);
    if let Some(unknown) = named.into_iter().find(|name| !known(name)) {
        let details = json!({"column_name": unknown});
        return Err(Refusal::new(400, "INVALID_QUERY", "column given seems to be invalid").with(details));
    }
    let mut rows: Vec<(u64, &Stored)> = state
        .module(&query.module)
        .filter(|(_, stored)| stored.deleted.is_none() && state.sees(user, stored))
        .filter(|(id, stored)| query.condition.met(&|name: &str| state.value(**id, stored, name)))
        .map(|(id, stored)| (*id, stored))
        .collect();
    if let Some((column, descending)) = &query.order {
        rows.sort_by_cached_key(|(id, stored)| text_of(&state.value(*id, stored, column)));
        if *descending {
            rows.reverse();
        }
    }
    let row = |(id, stored): &(u64, &Stored)| {
        let mut row: Map<String, Value> =
            query.columns.iter().map(|name| (name.clone(), state.value(*id, stored, name))).collect();
        row.insert("id".to_owned(), json!(id.to_string()));
        Value::Object(row)
    };
    let data: Vec<Value> = rows.iter().skip(query.offset).take(query.limit).map(row).collect();
    if data.is_empty() {
        return Ok((204, Value::Null));
    }
    let more = rows.len() > query.offset + query.limit;
    Ok((200, json!({"data": data, "info": {"count": data.len(), "more_records": more}})))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<Query, &'static str> {
        Parser { tokens: tokens(query).map_err(|e| e.code)?.into_iter().peekable() }.query().map_err(|e| e.code)
    }

    #[test]
    fn what_is_no_query_of_the_subset_is_refused() {
        for query in [
            "select id from Contacts",
            "select id from Contacts where",
            "select id from Contacts where a = 'x' and b = 'y' and c = 'z'",
            "select id from Contacts where a like 'x%'",
            "select id from Contacts where a = 'x",
            "select id from Contacts where a in 'x'",
            "delete from Contacts where a = 'x'",
            "select id from Contacts where a = 'x' limit many",
        ] {
            assert_eq!(parsed(query).err(), Some("SYNTAX_ERROR"), "{query}");
        }
    }

    #[test]
    fn a_doubled_quote_is_a_quote() {
        let query = parsed("select id from Accounts where Account_Name in ('O''Neill', 'a\\\\b') limit 5").unwrap();
        let Condition::Is { values, .. } = query.condition else { panic!("a list") };
        assert_eq!(values, ["O'Neill", "a\\b"]);
        assert_eq!(query.limit, 5);
    }
}
