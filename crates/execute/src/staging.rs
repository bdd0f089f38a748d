//! Rows in PostgreSQL's own tables, which are empty otherwise. Everything that Flywheel puts there
//! it puts there here, and takes away again in the same transaction: nobody else ever sees it.
//!
//! Rows are put into PostgreSQL's own tables in one place, and taken out in the same transaction.
//!
//! Staged rows are read back under fixed settings, since a type that Flywheel doesn't know is
//! stored as PostgreSQL prints it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use flywheel_plan::{Fetch, Home, row_source, rows_as_array};
use flywheel_postgres::{Portal, Rows};
use flywheel_types::{Key, Row, Scalar, Table, Value, binary, ordered, text};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};

use super::fetch::{Fetched, by_key};
use crate::failure::Outcome;
use crate::host::{Executor, Host};

/// The settings under which values are kept that PostgreSQL prints by settings, and in a form that
/// it reads alike under any.
const STORED_FORM: &str = "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL TimeZone = 'UTC'; \
                           SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'";

/// Rows of one table by their keys.
pub(super) type Images = HashMap<Key, Row>;
/// The statement that puts rows into PostgreSQL's own table, and its parameter. Generated columns
/// compute themselves.
#[derive(Debug)]
pub(super) struct Staging {
    sql: String,
    rows: [Option<Bytes>; 1],
}

impl Staging {
    pub(super) fn of(table: &Table, rows: &Images) -> Self {
        let columns: Vec<_> = table
            .columns
            .iter()
            .filter(|column| !column.generated)
            .map(flywheel_types::Column::to_sql)
            .collect();
        let columns = columns.join(", ");
        // In one order for everybody: rows staged at the same time wait for each other at the
        // table's key.
        let mut rows: Vec<&Row> = rows.values().collect();
        rows.sort_by_cached_key(|row| ordered::encode(table.key_of(row).values()));
        let name = table.name.to_sql();
        let source = row_source(&table.name, "$1", true);
        Self {
            sql: format!(
                "INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {source}"
            ),
            rows: [Some(rows_as_array(rows).into())],
        }
    }

    /// The same, where an expression is true.
    pub(super) fn only_if(mut self, condition: &str) -> Self {
        self.sql.push_str(" WHERE (SELECT ");
        self.sql.push_str(condition);
        self.sql.push(')');
        self
    }

    pub(super) fn portal(&self) -> Portal<'_> {
        Portal { sql: &self.sql, values: &self.rows, ..Portal::default() }
    }
}

/// The rows of each table that any of the places in a statement can touch, the tables in one order
/// for everybody.
pub(super) fn by_table(fetches: &[&Fetch], mut fetched: Fetched) -> Vec<(Arc<Home>, Images)> {
    let mut tables: Vec<(Arc<Home>, Images)> = Vec::new();
    for fetch in fetches {
        let rows = by_key(&fetch.home, fetched.remove(&fetch.relation).unwrap_or_default());
        match tables.iter_mut().find(|(home, _)| home.name() == fetch.home.name()) {
            Some((_, known)) => known.extend(rows),
            None => tables.push((fetch.home.clone(), rows)),
        }
    }
    tables.sort_by_key(|(home, _)| home.table.table.oid);
    tables
}

impl<H: Host> Executor<'_, H> {
    /// Puts rows into PostgreSQL's own tables, in the transaction that is open.
    pub(super) async fn put_rows<'r>(
        &mut self,
        tables: impl IntoIterator<Item = (&'r Table, &'r Images)>,
    ) -> Outcome<()> {
        let filled = tables.into_iter().filter(|(_, rows)| !rows.is_empty());
        let staging: Vec<Staging> = filled.map(|(table, rows)| Staging::of(table, rows)).collect();
        if staging.is_empty() {
            return Ok(());
        }
        let portals: Vec<_> = staging.iter().map(Staging::portal).collect();
        self.portals_on_server(&portals).await.map(drop)
    }

    /// Takes them out again, where the transaction goes on to its COMMIT.
    pub(super) async fn take_rows(&mut self, table: &Table) -> Outcome<()> {
        self.on_server(&format!("DELETE FROM ONLY {}", table.name.to_sql())).await.map(drop)
    }

    /// What begins and what undoes the transaction in which rows are staged.
    pub(super) fn staging(&self) -> (&'static str, &'static str) {
        if self.status() == TransactionStatus::InTransaction {
            (
                "SAVEPOINT flywheel_staged",
                "ROLLBACK TO SAVEPOINT flywheel_staged; RELEASE SAVEPOINT flywheel_staged",
            )
        } else {
            ("BEGIN", "ROLLBACK")
        }
    }

    /// The rows of PostgreSQL's own table.
    pub(super) async fn read_staged(&mut self, home: &Home) -> Outcome<Images> {
        let table = &home.table.table;
        let rows = self.run_staged_read(table, &select_all(table)).await?;
        let rows = decode_all(table, &rows)?;
        Ok(by_key(home, rows))
    }

    /// The answer to a query of the table's columns, in the formats that [`decode_all`] reads.
    pub(super) async fn run_staged_read(&mut self, table: &Table, sql: &str) -> Outcome<Rows> {
        let formats: Vec<i16> = table
            .columns
            .iter()
            .map(|column| i16::from(column.ty.scalar != Scalar::Other))
            .collect();
        let portal = Portal { sql, result_formats: &formats, ..Portal::default() };
        let lease = self.server().await?;
        let ran = lease.run(&portal).await;
        ran.map_err(|error| self.server_failed(&error))
    }

    /// Has PostgreSQL print the table's values in the form in which they are stored, up to the end
    /// of the staging.
    pub(super) async fn print_as_stored(
        &mut self,
        tables: impl IntoIterator<Item = &Table>,
    ) -> Outcome<()> {
        if tables.into_iter().any(prints_by_setting) {
            self.on_server(STORED_FORM).await?;
        }
        Ok(())
    }
}

/// Whether a column is read as text, because Flywheel has no form of its own for its type.
fn prints_by_setting(table: &Table) -> bool {
    table.columns.iter().any(|column| column.ty.scalar == Scalar::Other)
}

/// The query of all columns of PostgreSQL's own table.
pub(super) fn select_all(table: &Table) -> String {
    let columns: Vec<_> = table.columns.iter().map(flywheel_types::Column::to_sql).collect();
    format!("SELECT {} FROM ONLY {}", columns.join(", "), table.name.to_sql())
}

/// Rows that were read by [`Executor::run_staged_read`].
pub(super) fn decode_all(table: &Table, rows: &Rows) -> Result<Vec<Row>, PgError> {
    decode(table, rows).ok_or_else(|| {
        let message = format!("table \"{}\" has a value that Flywheel can't read", table.name);
        PgError::error(sqlstate::SYSTEM_ERROR, message)
    })
}

fn decode(table: &Table, rows: &Rows) -> Option<Vec<Row>> {
    let value = |(column, bytes): (&flywheel_types::Column, &Option<Bytes>)| match bytes {
        None => Some(Value::Null),
        Some(bytes) if column.ty.scalar == Scalar::Other => {
            text::decode_canonical(&column.ty, std::str::from_utf8(bytes).ok()?)
        }
        Some(bytes) => binary::decode(&column.ty, bytes),
    };
    rows.rows.iter().map(|row| table.columns.iter().zip(row).map(value).collect()).collect()
}
