//! Rows that a transaction has locked until it is carried out: an attribute of the item names the
//! transaction. A row that isn't there yet is locked as an item of its key, the lock and a mark by
//! which readers know that it isn't a row.

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};
use flywheel_store::{
    Assignment, Change, Effect, Expect, Prepared, StoreError, StoreTable, TransactionId, now_micros,
};
use flywheel_types::Key;
use futures_util::future::try_join_all;

use crate::{
    change::{Action, Planned, Request, assignments, plan, request},
    client::DynamoStore,
    condition,
    error::store_error,
    expression::Placeholders,
    item::{self, Item, TTL_ATTRIBUTE},
    key,
    limits::EXPRESSION_BYTES,
};

/// The attribute that holds the name of the transaction that has locked the item.
pub(crate) const LOCK_ATTRIBUTE: &str = "flywheel_lock";
/// The attribute of a locked item that isn't a row.
pub(crate) const ABSENT_ATTRIBUTE: &str = "flywheel_absent";

/// Whose lock is on an item.
pub(crate) fn holder(item: &Item) -> Option<TransactionId> {
    match item.get(LOCK_ATTRIBUTE) {
        Some(AttributeValue::S(name)) => name.parse().ok(),
        _ => None,
    }
}

/// Whether an item only holds a lock.
pub(crate) fn is_absent(item: &Item) -> bool {
    item.contains_key(ABSENT_ATTRIBUTE)
}

/// The condition that nobody has locked the item.
pub(crate) fn free(placeholders: &mut Placeholders) -> String {
    format!("attribute_not_exists({})", placeholders.name(LOCK_ATTRIBUTE))
}

/// The condition that the transaction has locked the item.
fn own(transaction: TransactionId, placeholders: &mut Placeholders) -> String {
    let name = placeholders.value(AttributeValue::S(transaction.to_string()));
    format!("{} = {name}", placeholders.name(LOCK_ATTRIBUTE))
}

/// The condition that the row is as expected, and that no other block than the transaction's has
/// locked the item.
fn free_or_own(
    table: &StoreTable,
    expect: &Expect,
    transaction: TransactionId,
    now: i64,
    placeholders: &mut Placeholders,
) -> Result<String, StoreError> {
    let Some(holds) = condition::of(table, expect, now, placeholders)? else {
        return Err(StoreError::Unsupported {
            what: format!(
                "a row of \"{}\" is locked only where it is known whether it is there",
                table.physical_name
            ),
        });
    };
    let free = free(placeholders);
    let block = placeholders.value(AttributeValue::S(transaction.block_suffix()));
    let own = format!("contains({}, {block})", placeholders.name(LOCK_ATTRIBUTE));
    let absent = placeholders.name(ABSENT_ATTRIBUTE);
    let condition = if *expect == Expect::Absent {
        format!("({free} AND ({holds})) OR ({own} AND attribute_exists({absent}))")
    } else {
        format!("({free} OR {own}) AND attribute_not_exists({absent}) AND ({holds})")
    };
    crate::limits::check_expression(&table.physical_name, &condition)?;
    Ok(condition)
}

/// The request that locks the row of a change whose condition holds.
fn locking(
    table: &StoreTable,
    change: &Change,
    transaction: TransactionId,
    now: i64,
) -> Result<Planned, StoreError> {
    // Whatever the change itself could be refused for is found now.
    let planned = plan(table, change, now)?;
    if !matches!(planned, Planned::Send(_)) {
        return Ok(planned);
    }
    let mut placeholders = Placeholders::default();
    let condition = free_or_own(table, &change.expect, transaction, now, &mut placeholders)?;
    let name = placeholders.value(AttributeValue::S(transaction.to_string()));
    let mut expression = format!("SET {} = {name}", placeholders.name(LOCK_ATTRIBUTE));
    if change.expect == Expect::Absent {
        let yes = placeholders.value(AttributeValue::Bool(true));
        expression += &format!(", {} = {yes}", placeholders.name(ABSENT_ATTRIBUTE));
    }
    if table.expires_at.is_some() {
        // The sweeper must not take the lock away with a row whose time is over.
        expression += &format!(" REMOVE {}", placeholders.name(TTL_ATTRIBUTE));
    }
    Ok(Planned::Send(Request {
        action: Action::Update(key::encode(&table.table, &change.key)?, Some(expression)),
        condition: Some(condition),
        placeholders,
        size: 0,
    }))
}

/// The request that carries a change out on a condition and takes its lock away. Attributes of a
/// row that aren't columns, another application's, stay.
fn carrying_out(
    table: &StoreTable,
    change: &Change,
    condition: impl Fn(&mut Placeholders) -> Result<String, StoreError>,
) -> Result<Planned, StoreError> {
    let key = match key::encode(&table.table, &change.key) {
        Ok(key) => key,
        // No row has it.
        Err(StoreError::LimitExceeded { .. }) => return Ok(Planned::Nothing),
        Err(error) => return Err(error),
    };
    let Effect::Put(row) = &change.effect else {
        return request(table, Action::Delete(key), Placeholders::default(), condition);
    };
    let mut placeholders = Placeholders::default();
    let columns = (0..row.len()).filter(|&position| !table.table.is_key(position));
    let values: Vec<_> =
        columns.map(|position| (position, Assignment::Value(row[position].clone()))).collect();
    if change.expect != Expect::Absent
        && let Ok(Some((expression, _))) = assignments(table, &values, &mut placeholders)
    {
        let lock = placeholders.name(LOCK_ATTRIBUTE);
        let expression = match expression {
            Some(expression) if expression.contains("REMOVE ") => format!("{expression}, {lock}"),
            Some(expression) => format!("{expression} REMOVE {lock}"),
            None => format!("REMOVE {lock}"),
        };
        if expression.len() <= EXPRESSION_BYTES {
            return request(table, Action::Update(key, Some(expression)), placeholders, condition);
        }
    }
    // A new row, or one with more columns than an expression may name.
    request(table, Action::Put(item::encode(table, row)?), Placeholders::default(), condition)
}

impl DynamoStore {
    pub(crate) async fn lock_all(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<Prepared, StoreError> {
        let now = now_micros();
        // Also that they can be carried out at once.
        if self.transaction(changes, |table, change| plan(table, change, now))?.is_none() {
            return Ok(Prepared::Refused);
        }
        let locks =
            self.transaction(changes, |table, change| locking(table, change, transaction, now))?;
        let Some(locks) = locks else {
            return Ok(Prepared::Refused);
        };
        Ok(if own_refuses(transaction, self.send_transaction(&locks).await)? {
            Prepared::Locked
        } else {
            Prepared::Refused
        })
    }

    pub(crate) async fn write_own_rows(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        let now = now_micros();
        // Limits, and keys that can't be stored, are those of any write.
        if self.transaction(changes, |table, change| plan(table, change, now))?.is_none() {
            return Ok(false);
        }
        let planned = |table: &StoreTable, change: &Change| {
            let holds = |placeholders: &mut Placeholders| {
                free_or_own(table, &change.expect, transaction, now, placeholders)
            };
            carrying_out(table, change, holds)
        };
        match self.transaction(changes, planned)? {
            Some(together) => own_refuses(transaction, self.send_transaction(&together).await),
            None => Ok(false),
        }
    }

    /// All at once; where others have carried out a part, the rest one by one.
    pub(crate) async fn write_locked(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<(), StoreError> {
        let planned = |table: &StoreTable, change: &Change| {
            carrying_out(table, change, |placeholders| Ok(own(transaction, placeholders)))
        };
        if let Some(together) = self.transaction(changes, planned)? {
            match self.send_transaction(&together).await {
                Ok(false) | Err(StoreError::Locked { .. }) => {}
                sent => return sent.map(drop),
            }
        }
        let mut requests = Vec::with_capacity(changes.len());
        for (table, change) in changes {
            if let Planned::Send(request) = planned(table, change)? {
                requests.push((*table, request));
            }
        }
        let each = requests.into_iter().map(|(table, request)| self.send_if_holds(table, request));
        try_join_all(each).await.map(drop)
    }

    pub(crate) async fn unlock_all(
        &self,
        transaction: TransactionId,
        keys: &[(&StoreTable, Key)],
    ) -> Result<(), StoreError> {
        try_join_all(keys.iter().map(|(table, key)| self.unlock(transaction, table, key)))
            .await
            .map(drop)
    }

    async fn unlock(
        &self,
        transaction: TransactionId,
        table: &StoreTable,
        key: &Key,
    ) -> Result<(), StoreError> {
        let key = match key::encode(&table.table, key) {
            Ok(key) => key,
            // No row has it.
            Err(StoreError::LimitExceeded { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let name = self.table_name(table);
        let answer = self
            .client
            .get_item()
            .table_name(&name)
            .set_key(Some(key.clone()))
            .consistent_read(true);
        let item = answer.send().await.map_err(|error| store_error(&name, &error))?.item;
        let Some(item) = item.filter(|item| holder(item) == Some(transaction)) else {
            return Ok(());
        };
        let mut placeholders = Placeholders::default();
        let condition = own(transaction, &mut placeholders);
        let action = if is_absent(&item) {
            Action::Delete(key)
        } else {
            let mut expression = format!("REMOVE {}", placeholders.name(LOCK_ATTRIBUTE));
            if let Some(position) = table.expires_at
                && let Some(seconds) = item::ttl(&item::decode(table, item)?[position])?
            {
                let seconds = placeholders.value(seconds);
                expression += &format!(" SET {} = {seconds}", placeholders.name(TTL_ATTRIBUTE));
            }
            Action::Update(key, Some(expression))
        };
        let request = Request { action, condition: Some(condition), placeholders, size: 0 };
        self.send_if_holds(table, request).await
    }

    /// Sends a request that may be repeated, and whose condition may hold no more.
    async fn send_if_holds(&self, table: &StoreTable, request: Request) -> Result<(), StoreError> {
        let name = self.table_name(table);
        let Request { action, condition, placeholders, .. } = request;
        let (names, values) = placeholders.into_maps();
        match action {
            Action::Put(item) => {
                let request = self.client.put_item().table_name(&name).set_item(Some(item));
                let request = request
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names);
                let sent = request.set_expression_attribute_values(values).send().await;
                sent.map(drop).or_else(|error| forgive(&name, &error))
            }
            Action::Update(key, expression) => {
                let request = self.client.update_item().table_name(&name).set_key(Some(key));
                let request = request.set_update_expression(expression);
                let request = request
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names);
                let sent = request.set_expression_attribute_values(values).send().await;
                sent.map(drop).or_else(|error| forgive(&name, &error))
            }
            Action::Delete(key) => {
                let request = self.client.delete_item().table_name(&name).set_key(Some(key));
                let request = request
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names);
                let sent = request.set_expression_attribute_values(values).send().await;
                sent.map(drop).or_else(|error| forgive(&name, &error))
            }
        }
    }
}

/// A condition that didn't hold of a row that the block itself has locked is told with its lock.
fn own_refuses(
    transaction: TransactionId,
    sent: Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    match sent {
        Err(StoreError::Locked { transaction: holder, .. })
            if holder.is_of_same_block(&transaction) =>
        {
            Ok(false)
        }
        sent => sent,
    }
}

/// The lock isn't there any more: somebody else has carried it out.
fn forgive<E, R>(table: &str, error: &SdkError<E, R>) -> Result<(), StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    if error.code() == Some("ConditionalCheckFailedException") {
        return Ok(());
    }
    Err(store_error(table, error))
}
