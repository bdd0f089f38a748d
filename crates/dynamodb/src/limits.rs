//! DynamoDB's limits, checked before a request is sent so that the error names the column and the
//! limit.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>

use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_store::StoreError;

use crate::item::Item;

/// A partition key's largest size in bytes.
pub(crate) const PARTITION_KEY_BYTES: usize = 2048;
/// A sort key's largest size in bytes.
pub(crate) const SORT_KEY_BYTES: usize = 1024;
/// An item's largest size, the names of its attributes included.
pub(crate) const ITEM_BYTES: usize = 400 * 1024;
/// Levels of a nested attribute. The documented 32 less one, for it isn't said whether the
/// attribute itself counts.
pub(crate) const DOCUMENT_DEPTH: usize = 31;
/// Keys of one BatchGetItem.
pub(crate) const BATCH_GET_KEYS: usize = 100;
/// Items of one TransactWriteItems.
pub(crate) const TRANSACTION_ITEMS: usize = 100;
/// All items of one TransactWriteItems together.
pub(crate) const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;
/// An expression's largest size in bytes.
pub(crate) const EXPRESSION_BYTES: usize = 4096;

/// An error that names a limit.
pub(crate) fn exceeded(what: impl Into<String>) -> StoreError {
    StoreError::LimitExceeded { what: what.into() }
}

/// Refuses an item that is too large.
pub(crate) fn check_item(table: &str, item: &Item) -> Result<(), StoreError> {
    let size = item_size(item);
    if size > ITEM_BYTES {
        return Err(exceeded(format!(
            "a row of \"{table}\" of {size} bytes is larger than an item in DynamoDB can be, 400 KB with the names of its attributes"
        )));
    }
    Ok(())
}

/// Refuses an expression that is too long.
pub(crate) fn check_expression(table: &str, expression: &str) -> Result<(), StoreError> {
    if expression.len() > EXPRESSION_BYTES {
        return Err(exceeded(format!(
            "a condition on every column of \"{table}\" is longer than the 4 KB that DynamoDB allows an expression; the table has too many columns for it"
        )));
    }
    Ok(())
}

/// An item's size as AWS counts it:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
pub(crate) fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::N(number) => {
            number.bytes().filter(u8::is_ascii_digit).count().div_ceil(2)
                + 1
                + usize::from(number.starts_with('-'))
        }
        AttributeValue::L(items) => {
            3 + items.iter().map(|item| 1 + value_size(item)).sum::<usize>()
        }
        AttributeValue::M(members) => {
            3 + members
                .iter()
                .map(|(name, member)| 1 + name.len() + value_size(member))
                .sum::<usize>()
        }
        _ => 1,
    }
}
