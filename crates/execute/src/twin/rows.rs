//! Rows in a twin, where none should be: somebody has written them past the gateways.

use flywheel_plan::Home;
use flywheel_types::{Table, TableName};
use flywheel_wire::{PgError, sqlstate};

/// A query that gives the names of those of these tables that have rows in PostgreSQL.
pub fn has_rows<'t>(tables: impl Iterator<Item = &'t TableName>) -> Option<String> {
    let each: Vec<_> = tables
        .map(|table| {
            let [schema, name] =
                [&table.schema, &table.name].map(|part| flywheel_wire::quote::literal(part));
            format!("SELECT {schema}, {name} WHERE EXISTS (SELECT FROM ONLY {})", table.to_sql())
        })
        .collect();
    (!each.is_empty()).then(|| each.join(" UNION ALL "))
}

/// The error of a statement for which rows of the table are put into PostgreSQL's own, when others
/// are there.
pub fn refused(home: &Home) -> PgError {
    let Table { name, .. } = &*home.table.table;
    let message = format!(
        "table \"{name}\", homed in {} (store \"{}\"), has rows in PostgreSQL, which aren't in the store",
        home.store.kind(),
        home.store_name
    );
    PgError::error(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint(WAY_OUT.to_owned())
        .with_field(b's', name.schema.clone())
        .with_field(b't', name.name.clone())
}

/// What to do with them.
pub const WAY_OUT: &str = "They were written past Flywheel, or before the table was configured. Connect to \
                                  PostgreSQL itself, copy them out if they are needed, and TRUNCATE the table there: it \
                                  is served again as soon as it is empty. Then insert them through Flywheel.";
