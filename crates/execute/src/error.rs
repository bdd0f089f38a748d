//! The one place where a store's error becomes a PostgreSQL error.
//!
//! The SQLSTATEs are in `wire/sqlstate.rs`.

use flywheel_plan::Home;
use flywheel_store::{Operation, StoreError};
use flywheel_types::Key;
use flywheel_wire::{PgError, sqlstate};

/// A store's error as the client sees it.
pub(crate) fn store_error(error: &StoreError, home: &Home) -> PgError {
    let place = format!(
        "table \"{}\", homed in {} (store \"{}\")",
        home.name(),
        home.store.kind(),
        home.store_name
    );
    let (state, message, hint) = match error {
        StoreError::Unavailable { reason } => (
            sqlstate::CANNOT_CONNECT_NOW,
            format!("{place}: the store can't be reached: {reason}"),
            format!(
                "Check that the store runs and what `stores.{}` says of it; the statement can be repeated.",
                home.store_name
            ),
        ),
        StoreError::Throttled { reason } => (
            sqlstate::CONFIGURATION_LIMIT_EXCEEDED,
            format!("{place}: the store is over its capacity: {reason}"),
            "Repeat the statement later, or raise the table's capacity.".into(),
        ),
        StoreError::Unknown { reason } => (
            sqlstate::TRANSACTION_RESOLUTION_UNKNOWN,
            format!("{place}: the connection was lost while it wrote; whether the write was carried out isn't known: {reason}"),
            "Read the rows to see; a statement that doesn't depend on what was there can be repeated.".into(),
        ),
        StoreError::Full { reason } => (
            sqlstate::OUT_OF_MEMORY,
            format!("{place}: the store is full: {reason}"),
            "Raise its limit (Redis: maxmemory), or delete rows.".into(),
        ),
        StoreError::Forbidden { reason } => (
            sqlstate::INSUFFICIENT_PRIVILEGE,
            format!("{place}: permission denied in the store: {reason}"),
            format!(
                "The user in `stores.{}` needs it for what begins with \"{}\" (Redis: ACL SETUSER).",
                home.store_name,
                home.store.describe(Operation::Scan, &home.table)
            ),
        ),
        StoreError::Conflict { .. } => return conflict(home),
        StoreError::NoSuchTable { name } => (
            sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{place}: \"{name}\" doesn't exist in the store"),
            "CREATE TABLE through Flywheel makes it; `flywheel check --connect` compares the store with PostgreSQL's definitions.".into(),
        ),
        StoreError::TooManyRows { limit } => return too_many_rows(home, *limit),
        StoreError::LimitExceeded { what } => (
            sqlstate::PROGRAM_LIMIT_EXCEEDED,
            format!("{place}: {what}"),
            "The limit is the store's own.".into(),
        ),
        StoreError::Malformed { .. } if home.store.has_typed_values() => (
            sqlstate::SYSTEM_ERROR,
            format!("{place}: {error}"),
            "The row was written by something other than Flywheel; mend or delete it in the store, or set `on_type_mismatch = \"null\"` for the table."
                .into(),
        ),
        StoreError::Malformed { .. } | StoreError::Missing { .. } => (
            sqlstate::SYSTEM_ERROR,
            format!("{place}: {error}"),
            "The row was written by something other than Flywheel; mend or delete it in the store.".into(),
        ),
        StoreError::Unsupported { what } => (
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("{place}: {what}"),
            "EXPLAIN shows how Flywheel would run the statement.".into(),
        ),
        StoreError::Locked { .. } => return locked(home, false),
        StoreError::Refused { reason } => (
            sqlstate::SYSTEM_ERROR,
            format!("{place}: the store refused: {reason}"),
            "The store's own log may tell more.".into(),
        ),
    };
    about(PgError::error(state, message).with_hint(hint), home)
}

/// A table whose definition isn't the one that was planned for.
pub(crate) fn redefined(home: &Home) -> PgError {
    conflict(home).with_detail("The table's definition has changed.")
}

/// A statement that would read more than `max_fetch_rows`.
pub(crate) fn too_many_rows(home: &Home, limit: usize) -> PgError {
    let message = format!(
        "the statement would read more than {limit} rows of table \"{}\", homed in {}",
        home.name(),
        home.store.kind()
    );
    about(
        PgError::error(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
            .with_hint(narrow(home, "raise `limits.max_fetch_rows`")),
        home,
    )
}

/// A statement that would read a whole table whose configuration doesn't allow it.
pub(crate) fn scan_refused(home: &Home) -> PgError {
    let message = format!(
        "the statement would read the whole table \"{}\", homed in {}",
        home.name(),
        home.store.kind()
    );
    about(
        PgError::error(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
            .with_hint(narrow(home, "set `allow_scan = true` for the table")),
        home,
    )
}

fn narrow(home: &Home, setting: &str) -> String {
    let columns: Vec<_> = home
        .table
        .table
        .primary_key
        .iter()
        .map(|&position| home.table.table.columns[position].name.as_str())
        .collect();
    let indexed: String = home
        .table
        .indexes
        .iter()
        .filter(|index| index.serves())
        .map(|index| {
            let first = &home.table.table.columns[index.columns[0]].name;
            format!(" or `{first} = …` (index {})", index.name)
        })
        .collect();
    let unused: String = home.unused_indexes().map(|why| format!(" {why}.")).collect();
    format!(
        "Give a condition on its key ({}), at least `{} = …`{indexed}, or {setting} in the configuration.{unused}",
        columns.join(", "),
        columns[0]
    )
}

/// 23505, in PostgreSQL's words.
pub(crate) fn duplicate_key(home: &Home, key: &Key) -> PgError {
    let table = &home.table.table;
    let columns: Vec<_> =
        table.primary_key.iter().map(|&position| table.columns[position].name.as_str()).collect();
    let values: Vec<_> = key.values().iter().map(printed).collect();
    let error = PgError::error(
        sqlstate::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{}\"", table.primary_key_name),
    )
    .with_detail(format!("Key ({})=({}) already exists.", columns.join(", "), values.join(", ")))
    .with_field(b'n', table.primary_key_name.clone());
    about(error, home)
}

/// 40001: somebody else changed a row between reading and writing it.
pub(crate) fn conflict(home: &Home) -> PgError {
    let message = format!(
        "could not serialize access due to concurrent update of table \"{}\", homed in {}",
        home.name(),
        home.store.kind()
    );
    about(
        PgError::error(sqlstate::SERIALIZATION_FAILURE, message)
            .with_hint("The transaction might succeed if retried."),
        home,
    )
}

/// A row stays locked by another transaction: 40001 in a block, which may be repeated as a whole,
/// else 55P03.
pub(crate) fn locked(home: &Home, in_block: bool) -> PgError {
    let place = format!("a row of table \"{}\", homed in {}", home.name(), home.store.kind());
    let error = if in_block {
        let message = format!(
            "could not serialize access due to {place}, that another transaction has locked"
        );
        PgError::error(sqlstate::SERIALIZATION_FAILURE, message)
    } else {
        PgError::error(
            sqlstate::LOCK_NOT_AVAILABLE,
            format!("could not write to {place}, that a transaction has locked"),
        )
    };
    about(
        error.with_hint(
            "It is unlocked when that transaction is over; what it was can be repeated then.",
        ),
        home,
    )
}

fn printed(value: &flywheel_types::Value) -> String {
    let mut out = Vec::new();
    flywheel_types::text::encode(value, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn about(error: PgError, home: &Home) -> PgError {
    error.with_field(b's', home.name().schema.clone()).with_field(b't', home.name().name.clone())
}

/// The error of a prepared statement whose rows its client would misread. Drivers know it by its
/// routine, and prepare their statement anew.
pub fn changed_result() -> PgError {
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, "cached plan must not change result type")
        .with_field(b'F', "plancache.c")
        .with_field(b'R', "RevalidateCachedQuery")
}
