//! Several changes at once: TransactWriteItems.

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        CancellationReason, ConditionCheck, Delete, Put,
        ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update,
    },
};
use flywheel_store::{Applied, Change, StoreError, StoreTable, now_micros};

use crate::{
    backoff::Backoff,
    change::{Action, Planned, Request, plan},
    client::DynamoStore,
    error::{by_code, incomplete, store_error},
    limits::{TRANSACTION_BYTES, TRANSACTION_ITEMS, exceeded},
    lock,
};

/// Further attempts when another transaction holds one of the items.
const ATTEMPTS_AFTER_CONFLICT: u32 = 6;

/// What is sent, and for each item its table and the place of its change.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    tables: Vec<String>,
    places: Vec<usize>,
    items: Vec<TransactWriteItem>,
}

impl DynamoStore {
    pub(crate) async fn write_many(
        &self,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        if let [(table, change)] = changes {
            return Ok(matches!(self.write_one(table, change).await?, Applied::Done(_)));
        }
        let now = now_micros();
        match self.transaction(changes, |table, change| plan(table, change, now))? {
            Some(transaction) => self.send_transaction(&transaction).await,
            None => Ok(false),
        }
    }

    /// False when a condition didn't hold.
    pub(crate) async fn send_transaction(
        &self,
        transaction: &Transaction,
    ) -> Result<bool, StoreError> {
        let mut backoff = Backoff::new(ATTEMPTS_AFTER_CONFLICT);
        if transaction.items.is_empty() {
            return Ok(true);
        }
        loop {
            // Each attempt is a transaction of its own, with a token of its own: a cancelled one
            // wrote nothing.
            let request = self
                .client
                .transact_write_items()
                .set_transact_items(Some(transaction.items.clone()));
            let Err(error) = request.send().await else { return Ok(true) };
            let error = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    match outcome(transaction, cancelled.cancellation_reasons()) {
                        Cancelled::Condition => return Ok(false),
                        Cancelled::Store(error) => error,
                    }
                }
                _ => {
                    let mut tables = transaction.tables.clone();
                    tables.sort_unstable();
                    tables.dedup();
                    return Err(store_error(&tables.join(", "), &error));
                }
            };
            if !matches!(error, StoreError::Throttled { .. } | StoreError::Conflict { .. })
                || !backoff.wait().await
            {
                return Err(error);
            }
        }
    }

    /// The changes as items; `None` when a condition can't hold.
    pub(crate) fn transaction(
        &self,
        changes: &[(&StoreTable, Change)],
        plan: impl Fn(&StoreTable, &Change) -> Result<Planned, StoreError>,
    ) -> Result<Option<Transaction>, StoreError> {
        if changes.len() > TRANSACTION_ITEMS {
            return Err(exceeded(format!(
                "{} changes in one transaction are more than the {TRANSACTION_ITEMS} that DynamoDB applies at once; split them over several transactions",
                changes.len()
            )));
        }
        let mut transaction = Transaction::default();
        let mut size = 0;
        for (place, (table, change)) in changes.iter().enumerate() {
            let request = match plan(table, change)? {
                Planned::Send(request) => request,
                Planned::Refuse => return Ok(None),
                Planned::Nothing => continue,
            };
            size += request.size;
            transaction.places.push(place);
            transaction.tables.push(self.table_name(table));
            transaction.items.push(transact_item(self.table_name(table), request)?);
        }
        if size > TRANSACTION_BYTES {
            return Err(exceeded(format!(
                "the rows of one transaction are {size} bytes together, more than the 4 MB that DynamoDB applies at once; split them over several transactions"
            )));
        }
        Ok(Some(transaction))
    }
}

fn transact_item(table: String, request: Request) -> Result<TransactWriteItem, StoreError> {
    let Request { action, condition, placeholders, .. } = request;
    let (names, values) = placeholders.into_maps();
    let item = TransactWriteItem::builder();
    let item = match action {
        Action::Put(row) => item.put(
            Put::builder()
                .table_name(table)
                .set_item(Some(row))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(OnFailure::AllOld)
                .build()
                .map_err(|error| incomplete(&error))?,
        ),
        Action::Update(key, Some(expression)) => item.update(
            Update::builder()
                .table_name(table)
                .set_key(Some(key))
                .update_expression(expression)
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(OnFailure::AllOld)
                .build()
                .map_err(|error| incomplete(&error))?,
        ),
        Action::Update(key, None) => item.condition_check(
            ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(key))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(OnFailure::AllOld)
                .build()
                .map_err(|error| incomplete(&error))?,
        ),
        Action::Delete(key) => item.delete(
            Delete::builder()
                .table_name(table)
                .set_key(Some(key))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(OnFailure::AllOld)
                .build()
                .map_err(|error| incomplete(&error))?,
        ),
    };
    Ok(item.build())
}

/// Why a transaction was cancelled.
#[derive(Debug, PartialEq)]
enum Cancelled {
    Condition,
    Store(StoreError),
}

/// A failed condition goes before everything else: the transaction would fail again. It isn't one
/// where the item is locked.
fn outcome(transaction: &Transaction, reasons: &[CancellationReason]) -> Cancelled {
    let mut locked = None;
    for (item, reason) in reasons.iter().enumerate() {
        if reason.code() == Some("ConditionalCheckFailed") {
            match reason.item().and_then(lock::holder) {
                Some(holder) => locked = locked.or(Some((item, holder))),
                None => return Cancelled::Condition,
            }
        }
    }
    if let Some((item, holder)) = locked {
        return Cancelled::Store(StoreError::Locked {
            position: transaction.places.get(item).copied().unwrap_or_default(),
            transaction: holder,
        });
    }
    let cause = reasons
        .iter()
        .enumerate()
        .find(|(_, reason)| !matches!(reason.code(), None | Some("None")));
    Cancelled::Store(match cause {
        Some((position, reason)) => by_code(
            transaction.tables.get(position).map_or("", String::as_str),
            reason.code().unwrap_or_default(),
            reason.message().unwrap_or("the transaction was cancelled"),
        ),
        None => StoreError::Refused {
            reason: "TransactionCanceledException: no reason given".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(codes: &[&str]) -> Cancelled {
        let reasons: Vec<_> =
            codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        outcome(&Transaction::default(), &reasons)
    }

    #[test]
    fn a_failed_condition_goes_first() {
        assert_eq!(
            outcome_of(&["TransactionConflict", "ConditionalCheckFailed"]),
            Cancelled::Condition
        );
        assert!(matches!(
            outcome_of(&["None", "TransactionConflict"]),
            Cancelled::Store(StoreError::Conflict { .. })
        ));
        assert!(matches!(
            outcome_of(&["None", "ValidationError"]),
            Cancelled::Store(StoreError::Refused { .. })
        ));
    }
}
