//! What definitions have left to do in the stores. PostgreSQL's COMMIT decides whether a table is
//! dropped, so its rows are removed from the store after it, by the session or by whoever comes
//! next.
//!
//! A DROP leaves a row in `flywheel.definitions`, in its own transaction and under its savepoints:
//! where the DROP is undone, so is the row. A CREATE that makes a table in its store leaves one in
//! a transaction apart, before it does so: the store's table may outlive the gateway.
//!
//! One transaction at a time has a table's name ([`lock`]): that of a CREATE until it is over, or
//! that of whoever carries out what is left. Under the lock PostgreSQL's catalogue says what is to
//! be done. So the rows of a dropped table are gone before a table of its name is made anew, and
//! nobody removes them later.

use flywheel_postgres::{Connection, Rows, ServerError};
use flywheel_store::{Layout, Own, StoreError, StoreTable};
use flywheel_types::{Table, TableName};
use flywheel_wire::PgError;
use flywheel_wire::quote::literal;

use crate::Stores;
use crate::options::TableHome;

/// What makes the table, and the function by which a DROP is noted. Everybody may call it, since it
/// notes only what is true: that a table of this oid has this name. Rows are removed when no table
/// of that oid is left, nor one of that name.
const DEFINITION: &str = "CREATE SCHEMA IF NOT EXISTS flywheel; \
     CREATE TABLE IF NOT EXISTS flywheel.definitions (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dropped oid, \
     schema text NOT NULL, name text NOT NULL, xid bigint NOT NULL DEFAULT pg_catalog.txid_current(), \
     written_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()); \
     COMMENT ON TABLE flywheel.definitions IS 'Flywheel: what is to be done in stores after CREATE and DROP TABLE. Not to be dropped.'; \
     CREATE OR REPLACE FUNCTION flywheel.dropping(tables oid[]) RETURNS void LANGUAGE sql SECURITY DEFINER \
     SET search_path = pg_catalog, pg_temp AS 'INSERT INTO flywheel.definitions (dropped, schema, name) \
     SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.oid = ANY (tables)'; GRANT USAGE ON SCHEMA flywheel TO PUBLIC";

/// Whether it is there: the function is made last.
pub const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                                 WHERE n.nspname = 'flywheel' AND p.proname = 'dropping')";

/// Two gateways, or sessions, that make it at the same time come one after the other.
const ONE_AT_A_TIME: &str =
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('flywheel.outbox'))";

/// Makes the table, in the transaction that the connection is in or in one of its own.
pub async fn create(connection: &mut Connection) -> Result<(), ServerError> {
    match connection.query(&format!("{ONE_AT_A_TIME}; {DEFINITION}")).await {
        Ok(_) => Ok(()),
        Err(ServerError::Postgres(error)) => Err(not_made(&error).into()),
        Err(error) => Err(error),
    }
}

fn not_made(error: &PgError) -> PgError {
    let message = format!(
        "the statement needs the table flywheel.definitions, which can't be made: {}",
        error.message()
    );
    error
        .clone()
        .with_field(b'M', message)
        .with_detail("It keeps what is to be done in a store after the COMMIT of a CREATE or DROP TABLE.")
        .with_hint(format!(
            "Have somebody who may do it make the table, as owned by the role of the store's `url`: {DEFINITION}"
        ))
}

/// Notes that these tables are about to be dropped by the transaction.
pub fn dropping(tables: &[u32]) -> String {
    let oids: Vec<String> = tables.iter().map(ToString::to_string).collect();
    format!("SELECT flywheel.dropping('{{{}}}'::pg_catalog.oid[])", oids.join(","))
}

/// Notes that the store's table of this name is about to be made.
pub async fn note_creation(
    connection: &mut Connection,
    name: &TableName,
) -> Result<bool, ServerError> {
    if !is_true(&connection.query(EXISTS).await?) {
        create(connection).await?;
    }
    let note = format!(
        "INSERT INTO flywheel.definitions (schema, name) VALUES ({}, {})",
        literal(&name.schema),
        literal(&name.name)
    );
    connection.query(&note).await.map(|_| true)
}

/// Takes the table's name until the end of the transaction.
pub fn lock(name: &TableName) -> String {
    format!("SELECT pg_catalog.pg_advisory_xact_lock({})", key(name))
}

/// Takes it where nobody has it: whether it could be had.
pub fn try_lock(name: &TableName) -> String {
    format!("SELECT pg_catalog.pg_try_advisory_xact_lock({})", key(name))
}

/// Whether PostgreSQL has a table of this name.
pub fn is_named(name: &TableName) -> String {
    format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname = {})",
        literal(&name.schema),
        literal(&name.name)
    )
}

fn key(name: &TableName) -> String {
    format!(
        "pg_catalog.hashtext('flywheel.definitions'), pg_catalog.hashtext({})",
        literal(&name.to_string())
    )
}

/// A row of the table, with what PostgreSQL's catalogue says of it.
struct Left {
    id: String,
    /// Otherwise its table has been made in the store.
    is_dropped: bool,
    /// PostgreSQL has the table that was dropped: it wasn't.
    is_there: bool,
    /// PostgreSQL has a table of this name.
    is_named: bool,
}

/// The rows of a name, but for those of the connection's own transaction; nor counts the table that
/// this transaction has made.
fn left(name: &TableName, made: u32) -> String {
    format!(
        "SELECT d.id, d.dropped IS NOT NULL, EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = d.dropped), \
         EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = d.schema AND c.relname = d.name AND c.oid <> {made}) \
         FROM flywheel.definitions d WHERE d.schema = {} AND d.name = {} \
         AND d.xid IS DISTINCT FROM pg_catalog.txid_current_if_assigned() ORDER BY d.id",
        literal(&name.schema),
        literal(&name.name)
    )
}

impl Left {
    fn of(rows: &Rows) -> Vec<Self> {
        let is_true = |row, column| rows.text(row, column) == "t";
        let all = 0..rows.rows.len();
        all.map(|row| Self {
            id: rows.text(row, 0).to_owned(),
            is_dropped: is_true(row, 1),
            is_there: is_true(row, 2),
            is_named: is_true(row, 3),
        })
        .collect()
    }
}

/// What a store needs to know of a table that PostgreSQL knows no more: its name.
fn nameless(configured: &TableHome) -> StoreTable {
    StoreTable {
        table: std::sync::Arc::new(Table {
            name: configured.name.clone(),
            oid: 0,
            columns: Vec::new(),
            primary_key: Vec::new(),
            primary_key_name: String::new(),
            has_checks: false,
            digest: String::new(),
        }),
        physical_name: configured.physical_name.clone(),
        layout: Layout::Hash,
        expires_at: None,
        allow_scan: true,
        allow_drop: true,
        consistent_read: true,
        wanted: None,
        indexes: Vec::new(),
        own: Own::default(),
    }
}

/// Why a store can't follow a definition now.
pub type Undone = (TableName, StoreError);

impl Stores {
    /// Does what is left to do in the stores for these tables. What can't be done now stays for the
    /// next time; what somebody else is at is theirs.
    pub async fn carry_out_definitions(
        &self,
        connection: &mut Connection,
        names: &[TableName],
    ) -> Result<Vec<Undone>, ServerError> {
        let configured = self.catalogue.configured().iter();
        let wanted = configured.filter(|table| names.contains(&table.name));
        let wanted: Vec<String> = wanted
            .map(|table| {
                format!("({}, {})", literal(&table.name.schema), literal(&table.name.name))
            })
            .collect();
        if wanted.is_empty() || !is_true(&connection.query(EXISTS).await?) {
            return Ok(Vec::new());
        }
        let named = format!(
            "SELECT DISTINCT schema, name FROM flywheel.definitions WHERE (schema, name) IN ({})",
            wanted.join(", ")
        );
        let named = connection.query(&named).await?.pop().unwrap_or_default();
        let mut undone = Vec::new();
        for row in 0..named.rows.len() {
            let name = TableName::new(named.text(row, 0), named.text(row, 1));
            // What has committed before the lock was taken must be seen.
            connection.query("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE").await?;
            let done = if is_true(&connection.query(&try_lock(&name)).await?) {
                self.carry_out_definition(connection, &name, 0).await
            } else {
                Ok(None)
            };
            // Where it failed, what was done is done again.
            connection.query(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            undone.extend(done?);
        }
        Ok(undone)
    }

    /// The same for one table, whose name is the caller's. `made`: the oid of the table that it has
    /// made under this name in the connection's transaction.
    pub async fn carry_out_definition(
        &self,
        connection: &mut Connection,
        name: &TableName,
        made: u32,
    ) -> Result<Option<Undone>, ServerError> {
        let Some(configured) = self.catalogue.configured().iter().find(|table| table.name == *name)
        else {
            return Ok(None);
        };
        let rows = connection.query(&left(name, made)).await?.pop().unwrap_or_default();
        let all = Left::of(&rows);
        if all.is_empty() {
            return Ok(None);
        }
        let table = nameless(configured);
        let is_gone = |left: &&Left| !left.is_there && !left.is_named;
        let done = if all.iter().filter(is_gone).any(|left| left.is_dropped) {
            configured.store.drop_table(&table).await
        } else if all.iter().any(|left| is_gone(&left)) {
            match configured.store.scan(&table, 1).await {
                Ok(rows) if rows.is_empty() => configured.store.drop_table(&table).await,
                // Somebody's rows, from before.
                Ok(_) | Err(StoreError::TooManyRows { .. } | StoreError::NoSuchTable { .. }) => {
                    Ok(())
                }
                Err(error) => Err(error),
            }
        } else {
            Ok(())
        };
        if let Err(error) = done {
            tracing::warn!(table = %name, store = configured.store_name, %error, "what a definition has left to do in the store stays for later");
            return Ok(Some((name.clone(), error)));
        }
        let ids: Vec<&str> = all.iter().map(|left| left.id.as_str()).collect();
        let delete = format!("DELETE FROM flywheel.definitions WHERE id IN ({})", ids.join(", "));
        connection.query(&delete).await?;
        Ok(None)
    }

    /// Does what is left to do for all tables.
    pub(super) async fn recover_definitions(&self) -> Result<(), ServerError> {
        let names: Vec<TableName> =
            self.catalogue.configured().iter().map(|table| table.name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut lease = self.pool().acquire_for_look().await?;
        self.carry_out_definitions(&mut lease, &names).await.map(drop)
    }
}

/// Whether the last result is `true`.
pub fn is_true(answer: &[Rows]) -> bool {
    answer.last().is_some_and(|rows| rows.text(0, 0) == "t")
}
