//! Hashes, and strings that are JSON objects, as rows.

use flywheel_store::{StoreError, StoreTable, text_row};
use flywheel_types::{Row, Value};
use redis::Cmd;

use crate::json;
use crate::key::Keyspace;

/// The texts of a table's columns, in their order.
pub(crate) type Fields = Vec<Option<Vec<u8>>>;

/// The command that reads the columns of the hash called `name`; other fields aren't ours.
pub(crate) fn read_command(table: &StoreTable, name: &str) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(name);
    for column in &table.table.columns {
        command.arg(&column.name);
    }
    command
}

/// The row of a hash called `name`; `None` when it isn't there or has expired at `now`.
pub(crate) fn decode(
    keys: &Keyspace,
    table: &StoreTable,
    name: &str,
    fields: &Fields,
    now: i64,
) -> Result<Option<Row>, StoreError> {
    if fields.iter().all(Option::is_none) {
        return Ok(None);
    }
    let row = text_row::decode(table, || name.to_owned(), fields.iter().map(Option::as_deref))?;
    check_key(keys, table, name, &row)?;
    Ok((!table.is_expired(&row, now)).then_some(row))
}

/// The row of a string called `name`; `None` when it isn't there or has expired at `now`.
pub(crate) fn decode_object(
    keys: &Keyspace,
    table: &StoreTable,
    name: &str,
    object: Option<&[u8]>,
    now: i64,
) -> Result<Option<Row>, StoreError> {
    let Some(object) = object else { return Ok(None) };
    let row = json::decode(table, name, object)?;
    check_key(keys, table, name, &row)?;
    Ok((!table.is_expired(&row, now)).then_some(row))
}

/// A row under another key's name would be returned for a key that isn't its own.
fn check_key(
    keys: &Keyspace,
    table: &StoreTable,
    name: &str,
    row: &[Value],
) -> Result<(), StoreError> {
    let definition = &table.table;
    let missing = definition.primary_key.iter().find(|&&position| row[position].is_null());
    let position = match missing {
        Some(&position) => position,
        None if keys.row(table, &definition.key_of(row)) == name => return Ok(()),
        None => definition.primary_key[0],
    };
    let column = &definition.columns[position];
    Err(StoreError::Malformed {
        key: name.to_owned(),
        attribute: column.name.clone(),
        expected: format!("{} as in its key", column.ty.name),
    })
}
