//! [`Table`] on DynamoDB: one table, keys `PK` and `SK`, one index `due` on `due_pk` and `due_sk`.
use crate::convert::{Native, PK, SK, item, native_item, native_key};
use crate::expression::Expression;
use crate::retry::{ATTEMPTS, back_off};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, DeleteRequest, KeysAndAttributes, Put, PutRequest, ReturnValue, TransactWriteItem,
    Update as NativeUpdate, WriteRequest,
};
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use std::collections::HashMap;
use std::error::Error;
use tandem_ports::table::{
    Condition, GET_BATCH, Index, Item, Key, Op, Page, Query, Table, TableError, Update, WRITE_BATCH, Write,
};

/// Batch requests of one call under way at the same time.
const PARALLEL: usize = 8;
/// The index that lists syncs by the time they are due.
const DUE_INDEX: &str = "due";
/// Above every character a key can hold (Unicode ends here).
const LAST: char = '\u{10FFFF}';

/// The table.
#[derive(Clone, Debug)]
pub struct DynamoTable {
    client: Client,
    name: String,
}

fn unavailable(error: impl Error + Send + Sync + 'static) -> TableError {
    TableError::Unavailable(Box::new(error))
}

/// A request that cannot be built is a mistake of ours; it is reported like an answer that did not come.
fn built<T>(result: Result<T, BuildError>) -> Result<T, TableError> {
    result.map_err(unavailable)
}

fn gave_up(what: &'static str) -> TableError {
    TableError::Unavailable(what.into())
}

impl DynamoTable {
    /// The table of this name.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>, TableError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut wanted: Vec<Native> = keys.iter().map(native_key).collect();
        for attempt in 0..ATTEMPTS {
            let keys = built(KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build())?;
            let answer = self.client.batch_get_item().request_items(&self.name, keys).send().await;
            let mut answer = answer.map_err(unavailable)?;
            for native in answer.responses.take().and_then(|mut tables| tables.remove(&self.name)).unwrap_or_default() {
                found.push(item(native).map_err(unavailable)?);
            }
            let left = answer.unprocessed_keys.take().and_then(|mut tables| tables.remove(&self.name));
            wanted = left.map(|keys| keys.keys).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
            back_off(attempt).await;
        }
        Err(gave_up("some keys stayed unprocessed"))
    }

    async fn write_batch(&self, writes: &[Write]) -> Result<(), TableError> {
        let mut left: Vec<WriteRequest> = writes.iter().map(native_write).collect::<Result<_, _>>()?;
        for attempt in 0..ATTEMPTS {
            let answer = self.client.batch_write_item().request_items(&self.name, left).send().await;
            let unprocessed = answer.map_err(unavailable)?.unprocessed_items;
            left = unprocessed.and_then(|mut tables| tables.remove(&self.name)).unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            back_off(attempt).await;
        }
        Err(gave_up("some writes stayed unprocessed"))
    }

    fn native_op(&self, op: &Op) -> Result<TransactWriteItem, TableError> {
        let mut expression = Expression::default();
        let whole = TransactWriteItem::builder();
        Ok(match op {
            Op::Put(item, conditions) => {
                let condition = expression.conditions(conditions);
                let put = Put::builder().table_name(&self.name).set_item(Some(native_item(item)));
                let put = put.set_condition_expression(condition).set_expression_attribute_names(expression.names());
                whole.put(built(put.set_expression_attribute_values(expression.values()).build())?)
            }
            Op::Update(key, update, conditions) => {
                let condition = expression.conditions(conditions);
                let text = expression.update(update).unwrap_or_else(|| expression.touch());
                let update = NativeUpdate::builder().table_name(&self.name).set_key(Some(native_key(key)));
                let update = update.update_expression(text).set_condition_expression(condition);
                let update = update.set_expression_attribute_names(expression.names());
                whole.update(built(update.set_expression_attribute_values(expression.values()).build())?)
            }
            Op::Delete(key, conditions) => {
                let condition = expression.conditions(conditions);
                let delete = Delete::builder().table_name(&self.name).set_key(Some(native_key(key)));
                let delete = delete.set_condition_expression(condition);
                let delete = delete.set_expression_attribute_names(expression.names());
                whole.delete(built(delete.set_expression_attribute_values(expression.values()).build())?)
            }
            Op::Check(key, conditions) => {
                let condition = expression.conditions(conditions);
                let check = ConditionCheck::builder().table_name(&self.name).set_key(Some(native_key(key)));
                let check = check.set_condition_expression(condition);
                let check = check.set_expression_attribute_names(expression.names());
                whole.condition_check(built(check.set_expression_attribute_values(expression.values()).build())?)
            }
        }
        .build())
    }
}

fn native_write(write: &Write) -> Result<WriteRequest, TableError> {
    let request = WriteRequest::builder();
    Ok(match write {
        Write::Put(item) => {
            request.put_request(built(PutRequest::builder().set_item(Some(native_item(item))).build())?)
        }
        Write::Delete(key) => {
            request.delete_request(built(DeleteRequest::builder().set_key(Some(native_key(key))).build())?)
        }
    }
    .build())
}

/// What a query asks of the sort key: both bounds inclusive, `None` for open.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    low: Option<String>,
    high: Option<String>,
}

/// DynamoDB takes one condition on the sort key, so prefix, `after` and `up_to` become one range. `None`: it is empty.
///
/// Keys order by their UTF-8 bytes, hence the next key after `x` is `x` and a NUL. There is no previous key, so a
/// descending page includes `after`, which the caller drops.
fn range(query: &Query) -> Option<Range> {
    let mut low = query.prefix.clone();
    let mut highs: Vec<String> = query.up_to.iter().cloned().collect();
    if !query.prefix.is_empty() {
        highs.push(format!("{}{LAST}", query.prefix));
    }
    match &query.after {
        Some(after) if query.descending => highs.push(after.clone()),
        Some(after) => low = low.max(format!("{after}\0")),
        None => {}
    }
    let high = highs.into_iter().min();
    if high.as_ref().is_some_and(|high| *high < low) {
        return None;
    }
    Some(Range { low: Some(low).filter(|low| !low.is_empty()), high })
}

fn key_condition(expression: &mut Expression, query: &Query, range: Range) -> String {
    let (pk, sk) = match query.index {
        Index::Main => (PK, SK),
        Index::Due => ("due_pk", "due_sk"),
    };
    let partition = format!("{} = {}", expression.attribute(pk), expression.text(&query.pk));
    let mut sort = |operator: &str, bound: String| {
        format!("{partition} AND {} {operator} {}", expression.attribute(sk), expression.text(bound))
    };
    match (range.low, range.high) {
        (None, None) => partition,
        (Some(low), None) => sort(">=", low),
        (None, Some(high)) => sort("<=", high),
        (Some(low), Some(high)) => {
            let lower = sort("BETWEEN", low);
            format!("{lower} AND {}", expression.text(high))
        }
    }
}

fn sort_key(item: &Item, index: Index) -> Option<&str> {
    match index {
        Index::Main => Some(&item.key.sk),
        Index::Due => item.attributes.get("due_sk").and_then(serde_json::Value::as_str),
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, TableError> {
        let mut batches = Vec::new();
        for batch in keys.chunks(GET_BATCH) {
            batches.push(self.get_batch(batch).boxed());
        }
        let found: Vec<Vec<Item>> = stream::iter(batches).buffer_unordered(PARALLEL).try_collect().await?;
        let mut found: HashMap<Key, Item> = found.into_iter().flatten().map(|item| (item.key.clone(), item)).collect();
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    async fn query(&self, query: &Query) -> Result<Page, TableError> {
        let Some(range) = range(query) else { return Ok(Page { items: Vec::new(), more: false }) };
        let mut expression = Expression::default();
        let condition = key_condition(&mut expression, query, range);
        // See `range`: a descending page holds `after` itself once more.
        let extra = usize::from(query.descending && query.after.is_some());
        let limit = i32::try_from(query.limit.saturating_add(extra)).unwrap_or(i32::MAX).max(1);
        let request = self.client.query().table_name(&self.name).key_condition_expression(condition);
        let request = match query.index {
            Index::Main => request.consistent_read(true),
            Index::Due => request.index_name(DUE_INDEX),
        };
        let request = request
            .set_expression_attribute_names(expression.names())
            .set_expression_attribute_values(expression.values())
            .scan_index_forward(!query.descending)
            .limit(limit);
        let answer = request.send().await.map_err(unavailable)?;
        let more = answer.last_evaluated_key.is_some_and(|key| !key.is_empty());
        let items = answer.items.unwrap_or_default().into_iter().map(item);
        let mut items: Vec<Item> = items.collect::<Result<_, _>>().map_err(unavailable)?;
        items.retain(|item| query.after.is_none() || sort_key(item, query.index) != query.after.as_deref());
        let cut = items.len() > query.limit;
        items.truncate(query.limit);
        Ok(Page { items, more: more || cut })
    }

    async fn write(&self, writes: &[Write]) -> Result<(), TableError> {
        let mut batches = Vec::new();
        for batch in writes.chunks(WRITE_BATCH) {
            batches.push(self.write_batch(batch).boxed());
        }
        stream::iter(batches).buffer_unordered(PARALLEL).try_collect().await
    }

    async fn transact(&self, ops: &[Op]) -> Result<(), TableError> {
        if ops.is_empty() {
            return Ok(());
        }
        let items: Vec<_> = ops.iter().map(|op| self.native_op(op)).collect::<Result<_, _>>()?;
        // The SDK sends one idempotency token over all its attempts, so a lost answer is safe to repeat.
        let answer = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        answer.map(|_| ()).map_err(transaction_error)
    }

    async fn update(&self, key: &Key, update: &Update, conditions: &[Condition]) -> Result<Item, TableError> {
        let mut expression = Expression::default();
        let condition = expression.conditions(conditions);
        let text = expression.update(update);
        for attempt in 0..ATTEMPTS {
            let request = self.client.update_item().table_name(&self.name).set_key(Some(native_key(key)));
            let request = request
                .set_update_expression(text.clone())
                .set_condition_expression(condition.clone())
                .set_expression_attribute_names(expression.names())
                .set_expression_attribute_values(expression.values())
                .return_values(ReturnValue::AllNew);
            // An addition made twice is wrong, and a condition checked twice sees our own write: after a lost answer
            // the caller decides, so the SDK must not repeat. Only a refusal for load is repeated, here.
            let once = aws_sdk_dynamodb::config::Builder::new().retry_config(RetryConfig::disabled());
            let error = match request.customize().config_override(once).send().await {
                Ok(answer) => return item(answer.attributes.unwrap_or_default()).map_err(unavailable),
                Err(error) => error,
            };
            match error.code() {
                Some("ConditionalCheckFailedException") => return Err(TableError::Condition(0)),
                Some("TransactionConflictException") => return Err(TableError::Contention),
                Some("ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded") => {
                    back_off(attempt).await;
                }
                Some(_) | None => return Err(unavailable(error)),
            }
        }
        Err(gave_up("the table refused for load"))
    }
}

fn transaction_error<R>(error: SdkError<TransactWriteItemsError, R>) -> TableError
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Some(service) = error.as_service_error() else { return unavailable(error) };
    if let TransactWriteItemsError::TransactionCanceledException(cancelled) = service {
        let codes: Vec<&str> = cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap_or("None")).collect();
        if let Some(index) = codes.iter().position(|code| *code == "ConditionalCheckFailed") {
            return TableError::Condition(index);
        }
        if codes.contains(&"TransactionConflict") {
            return TableError::Contention;
        }
    }
    if service.is_transaction_in_progress_exception() {
        return TableError::Contention;
    }
    unavailable(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(prefix: &str, after: Option<&str>, up_to: Option<&str>, descending: bool) -> Query {
        Query {
            pk: "P".to_owned(),
            index: Index::Main,
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            up_to: up_to.map(str::to_owned),
            descending,
            limit: 10,
        }
    }

    #[test]
    fn a_whole_partition_has_no_bounds() {
        assert_eq!(range(&query("", None, None, false)), Some(Range { low: None, high: None }));
    }

    #[test]
    fn a_page_goes_on_behind_the_last_key_and_stays_within_the_prefix() {
        let found = range(&query("row:", Some("row:5"), None, false)).unwrap();
        assert_eq!(found, Range { low: Some("row:5\0".to_owned()), high: Some("row:\u{10FFFF}".to_owned()) });
    }

    #[test]
    fn an_after_that_lies_before_the_prefix_does_not_widen_the_range() {
        assert_eq!(range(&query("row:", Some("a"), None, false)).unwrap().low.as_deref(), Some("row:"));
    }

    #[test]
    fn bounds_that_exclude_each_other_make_an_empty_page_and_no_request() {
        assert_eq!(range(&query("row:", Some("state:1"), None, false)), None);
        assert_eq!(range(&query("row:", None, Some("a"), false)), None);
        assert_eq!(range(&query("row:", Some("a"), None, true)), None);
    }

    #[test]
    fn both_bounds_make_one_condition() {
        let query = query("", Some("a"), Some("c"), false);
        let mut expression = Expression::default();
        let text = key_condition(&mut expression, &query, range(&query).unwrap());
        assert_eq!(text, "#n0 = :v0 AND #n1 BETWEEN :v1 AND :v2");
    }
}
