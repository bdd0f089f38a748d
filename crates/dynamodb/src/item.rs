//! A row as an item, and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_store::{StoreError, StoreTable};
use flywheel_types::{Row, Table, Value};

use crate::table::OwnTable;
use crate::{attribute, key, limits::check_item, lock, time};

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The attribute that DynamoDB's sweeper reads: a number of seconds since 1970, where the column
/// has microseconds and is text.
pub(crate) const TTL_ATTRIBUTE: &str = "flywheel_ttl";

/// The item of a whole row.
pub(crate) fn encode(table: &StoreTable, row: &Row) -> Result<Item, StoreError> {
    let definition = &table.table;
    let mut item = key::encode(definition, &definition.key_of(row))?;
    for (position, (column, value)) in definition.columns.iter().zip(row).enumerate() {
        if item.contains_key(&column.name) {
            continue;
        }
        if let Some(attribute) = key::encode_indexed(table, position, value)? {
            item.insert(column.name.clone(), attribute);
        }
    }
    if let Some(position) = table.expires_at
        && let Some(seconds) = ttl(&row[position])?
    {
        item.insert(TTL_ATTRIBUTE.to_owned(), seconds);
    }
    check_item(&table.physical_name, &item)?;
    Ok(item)
}

/// The sweeper's attribute for a value of the column after which a row is gone; `None`: never.
pub(crate) fn ttl(value: &Value) -> Result<Option<AttributeValue>, StoreError> {
    let seconds = match value {
        Value::Null | Value::Timestamptz(i64::MAX) => return Ok(None),
        Value::Timestamptz(i64::MIN) => 0,
        Value::Timestamptz(micros) => time::unix_seconds(*micros).max(0),
        _ => {
            return Err(StoreError::Unsupported {
                what: "rows can only expire by a timestamptz".to_owned(),
            });
        }
    };
    Ok(Some(AttributeValue::N(seconds.to_string())))
}

/// The row of an item; columns that aren't wanted are NULL.
pub(crate) fn decode(table: &StoreTable, item: Item) -> Result<Row, StoreError> {
    let definition = &table.table;
    let (row, malformed) = values(table, item);
    let mismatch_is_null = OwnTable::of(table).mismatch_is_null;
    let is_refused = |&position: &usize| {
        let column = &definition.columns[position];
        !mismatch_is_null || column.not_null || definition.is_key(position)
    };
    if let Some(position) = malformed.into_iter().find(is_refused) {
        return Err(StoreError::Malformed {
            key: printed_key(definition, &row),
            attribute: definition.columns[position].name.clone(),
            expected: definition.columns[position].ty.name.clone(),
        });
    }
    let is_missing = |&position: &usize| {
        let is_required = definition.columns[position].not_null || definition.is_key(position);
        is_required && row[position].is_null() && table.wants(position)
    };
    match (0..row.len()).find(is_missing) {
        None => Ok(row),
        Some(position) => Err(StoreError::Missing {
            key: printed_key(definition, &row),
            attribute: definition.columns[position].name.clone(),
        }),
    }
}

/// The row of an item that a write has given back. An error now would say of a write that was done
/// that it wasn't.
pub(crate) fn decode_written(table: &StoreTable, item: Item) -> Row {
    values(table, item).0
}

/// The values of an item's columns, and which of them aren't of their column's type.
fn values(table: &StoreTable, mut item: Item) -> (Row, Vec<usize>) {
    let mut malformed = Vec::new();
    let columns = table.table.columns.iter().enumerate();
    let row = columns
        .map(|(position, column)| {
            let attribute = item.remove(&column.name).filter(|_| table.wants(position))?;
            let value = attribute::decode(column, attribute);
            if value.is_none() {
                malformed.push(position);
            }
            value
        })
        .map(|value| value.unwrap_or(Value::Null))
        .collect();
    (row, malformed)
}

/// The row of an item, `None` when it has expired or only holds a lock.
pub(crate) fn decode_live(
    table: &StoreTable,
    item: Item,
    now: i64,
) -> Result<Option<Row>, StoreError> {
    if lock::is_absent(&item) {
        return Ok(None);
    }
    let row = decode(table, item)?;
    Ok((!table.is_expired(&row, now)).then_some(row))
}

fn printed_key(table: &Table, row: &Row) -> String {
    let values: Vec<String> =
        table.primary_key.iter().map(|&position| attribute::printed(&row[position])).collect();
    format!("({})", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_tables::history;

    fn row(expires: Value) -> Row {
        vec![
            Value::Text("ann".into()),
            Value::Timestamptz(0),
            Value::Null,
            Value::Numeric("1.50".into()),
            expires,
        ]
    }

    #[test]
    fn a_row_comes_back() {
        let table = history();
        let row = row(Value::Timestamptz(1));
        let item = encode(&table, &row).unwrap();
        assert_eq!(item["owner"], AttributeValue::S("ann".into()));
        assert_eq!(item["at"], AttributeValue::S("2000-01-01T00:00:00.000000Z".into()));
        assert_eq!(item[TTL_ATTRIBUTE], AttributeValue::N("946684801".into()));
        assert!(!item.contains_key("note"), "NULL is an absent attribute");
        assert_eq!(decode(&table, item.clone()).unwrap(), row);
        assert_eq!(decode_live(&table, item, 1).unwrap(), None);
    }

    #[test]
    fn what_never_expires_has_no_ttl() {
        for forever in [Value::Null, Value::Timestamptz(i64::MAX)] {
            assert!(!encode(&history(), &row(forever)).unwrap().contains_key(TTL_ATTRIBUTE));
        }
    }

    #[test]
    fn a_foreign_attribute_is_named() {
        let mut item = encode(&history(), &row(Value::Null)).unwrap();
        item.insert("price".into(), AttributeValue::Bool(true));
        let Err(StoreError::Malformed { key, attribute, .. }) = decode(&history(), item) else {
            panic!("decoded")
        };
        assert_eq!(attribute, "price");
        assert!(key.starts_with("(ann, 2000-01-01"), "{key}");
    }

    #[test]
    fn an_item_has_400_kilobytes() {
        let mut row = row(Value::Null);
        row[2] = Value::Text("x".repeat(400 * 1024));
        assert!(matches!(encode(&history(), &row), Err(StoreError::LimitExceeded { .. })));
    }
}
