//! What a table's store can't do, refused when a statement is planned.
//!
//! What a store may lack is a part in `store/parts.rs`.

use flywheel_sql::{Parsed, Role};
use flywheel_wire::{PgError, sqlstate};

use crate::Home;

/// Refuses a statement that asks more of these tables than their stores can do, each with the
/// position of its relation.
pub(crate) fn check<'h>(
    parsed: &Parsed,
    homed: impl Iterator<Item = (usize, &'h Home)>,
) -> Result<(), PgError> {
    for (position, home) in homed {
        if parsed.relations[position].role == Role::Target {
            check_writes(home)?;
        }
        if parsed.locks(position) && home.store.two_phase().is_none() {
            return Err(refused(
                home,
                format!(
                    "rows of table \"{}\" can't be locked: its store \"{}\" ({}) has no row locks",
                    home.name(),
                    home.store_name,
                    home.store.kind()
                ),
                "Leave FOR UPDATE or FOR SHARE out.",
            ));
        }
    }
    Ok(())
}

/// Refuses changes of rows in a read-only store.
///
/// # Errors
/// The store is read only.
pub fn check_writes(home: &Home) -> Result<(), PgError> {
    if home.store.writes().is_some() {
        return Ok(());
    }
    Err(refused(
        home,
        format!(
            "table \"{}\" can't be written to: its store \"{}\" ({}) is read only",
            home.name(),
            home.store_name,
            home.store.kind()
        ),
        "Change the rows at their source. SELECT and COPY … TO read the table.",
    ))
}

/// Refuses ALTER TABLE where the store's tables and rows are somebody else's.
///
/// # Errors
/// The store can't follow.
pub fn check_alters(home: &Home) -> Result<(), PgError> {
    if home.store.defines().is_some() && home.store.writes().is_some() {
        return Ok(());
    }
    Err(refused(
        home,
        format!(
            "table \"{}\" can't be altered: its store \"{}\" ({}) doesn't define its tables",
            home.name(),
            home.store_name,
            home.store.kind()
        ),
        "DROP TABLE and CREATE TABLE change the definition in PostgreSQL; the rows stay in the store.",
    ))
}

/// What can be done with a table, for hints.
pub(crate) fn abilities(home: &Home) -> &'static str {
    if home.store.writes().is_some() {
        "SELECT, INSERT, UPDATE, DELETE, COPY, TRUNCATE, CREATE, ALTER and DROP TABLE work on it; EXPLAIN shows how."
    } else {
        "Its store is read only: SELECT, COPY … TO, CREATE and DROP TABLE work on it; EXPLAIN shows how."
    }
}

fn refused(home: &Home, message: String, hint: &'static str) -> PgError {
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
        .with_hint(hint)
        .with_field(b's', home.name().schema.clone())
        .with_field(b't', home.name().name.clone())
}
