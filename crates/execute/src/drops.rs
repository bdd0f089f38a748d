//! Statements that drop store tables: DROP TABLE, and what may drop some along with what it names,
//! such as DROP SCHEMA … CASCADE, DROP OWNED, DROP TYPE … CASCADE (or ALTER SCHEMA … RENAME).
//! PostgreSQL drops; what is gone then is checked, and noted, so that its rows are removed from the
//! store after the transaction's COMMIT.
//!
//! What a definition does to a store happens after PostgreSQL's COMMIT. The DROP notes the table's
//! oid and name in `flywheel.definitions`, in its own transaction and under its savepoints; a note
//! that others see means that the DROP has committed, whoever committed it. Clients may note
//! through a function only, which notes what is true; rows are removed when PostgreSQL has neither
//! a table of that oid nor one of that name. Whoever removes them has an advisory lock of the name,
//! which a CREATE TABLE keeps until its transaction is over: it carries out first what is left for
//! its name, so nobody removes the new table's rows. (Not fenced: a DynamoDB DeleteTable, or an
//! UNLINK, that a killed gateway has sent and that arrives after another one has finished its work
//! and written new rows.) CREATE TABLE makes the store's table before its COMMIT, so that errors
//! are told in time, and notes that past the transaction: where no table of the name comes of it,
//! the store's is removed, if it is empty and wasn't there before.

use std::collections::HashSet;
use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_postgres::catalogue::{self, Form};
use flywheel_postgres::{Rows, ServerError};
use flywheel_types::TableName;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};

use super::{Answer, StoreStatement};
use crate::error::conflict;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::transaction::definitions;
use crate::twin::changed;

impl<H: Host> Executor<'_, H> {
    pub(super) async fn drop_tables(&mut self, statement: &StoreStatement) -> Outcome<Answer> {
        let own_block = self.status() == TransactionStatus::Idle;
        if own_block {
            self.on_server("BEGIN").await?;
        }
        let dropped = self.drop_and_note(&statement.text).await;
        if own_block && !matches!(dropped, Err(Failure::Session(_))) {
            self.on_server(if dropped.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        }
        let (answer, gone) = dropped?;
        let names = gone.iter().map(|home| home.name().clone());
        if own_block {
            self.redefined_mut().names.extend(names);
            self.redefined_mut().is_changed = true;
            self.settle_definitions().await?;
        } else {
            self.block_mut().definitions.names.extend(names);
            self.block_mut().redefined = true;
            // Whoever plans anew waits for the end of the transaction, since PostgreSQL has locked
            // the tables.
            self.stores().catalogue.touch();
            self.reload_catalogue().await?;
        }
        Ok(answer)
    }

    /// PostgreSQL's answer, and the store tables that are gone.
    async fn drop_and_note(&mut self, sql: &str) -> Outcome<(Answer, Vec<Arc<Home>>)> {
        let homes: Vec<Arc<Home>> = self.catalogue().known().homes.iter().cloned().collect();
        let before = self.types_of_twins().await?;
        self.on_server("SAVEPOINT flywheel_dropped").await?;
        self.stores().steady.expect_definition();
        let mut answer = self.on_server_with_notices(sql).await?;
        let changed = changed(&before, &self.types_of_twins().await?);
        let gone = self.gone(&homes, &changed).await?;
        if !gone.is_empty() {
            self.stores().outlast_lost_gateways().await;
            // To be noted, they must be there.
            self.on_server("ROLLBACK TO SAVEPOINT flywheel_dropped").await?;
            self.note_drop(&gone).await?;
            answer = self.on_server_with_notices(sql).await?;
            if self.gone(&homes, &changed).await?.len() != gone.len() {
                return Err(conflict(&gone[0]).into());
            }
            for home in &gone {
                // Nothing that has committed may write to the store after this.
                self.stores().carry_out_of(home.name()).await;
                self.check_droppable(home).await?;
            }
        }
        self.on_server("RELEASE SAVEPOINT flywheel_dropped").await?;
        Ok((answer, gone))
    }

    /// Those of the tables that PostgreSQL hasn't got any more. Another name is refused, and a
    /// column that is gone with its type. `changed` are those whose columns' types consist of
    /// something else now.
    async fn gone(
        &mut self,
        homes: &[Arc<Home>],
        changed: &HashSet<TableName>,
    ) -> Outcome<Vec<Arc<Home>>> {
        let mut gone = Vec::new();
        for home in homes {
            let table = &home.table.table;
            let form = self.form_of(table.oid).await?;
            if form.columns.is_empty() {
                gone.push(home.clone());
            } else if form.name != table.name {
                return Err(flywheel_plan::unsupported(home, "another schema")
                    .with_hint("The configuration names the table: make a new one under the new name, and copy the rows.")
                    .into());
            } else if (form.columns.len() != table.columns.len() || changed.contains(home.name()))
                && self.has_rows(home).await?
            {
                // Their values would stay, and show in a new column of the name.
                return Err(flywheel_plan::unsupported(
                    home,
                    "dropping a column along with its type",
                )
                .with_hint("ALTER TABLE … DROP COLUMN first.")
                .into());
            }
        }
        Ok(gone)
    }

    /// The columns of PostgreSQL's own tables of store tables, and all that their types consist of.
    async fn types_of_twins(&mut self) -> Outcome<Rows> {
        let shared = self.stores().clone();
        let found = self.results_on_server(&shared.twins.marks().types).await?;
        Ok(found.into_iter().next_back().unwrap_or_default())
    }

    async fn note_drop(&mut self, gone: &[Arc<Home>]) -> Outcome<()> {
        let exists = self.results_on_server(definitions::EXISTS).await?;
        if !definitions::is_true(&exists) {
            self.make_definitions().await?;
        }
        let oids: Vec<u32> = gone.iter().map(|home| home.table.table.oid).collect();
        self.on_server(&definitions::dropping(&oids)).await.map(drop)
    }

    /// Makes the table of what definitions have left to do, under the login of the store's `url`.
    async fn make_definitions(&mut self) -> Outcome<()> {
        let pool = self.stores().pool().clone();
        let told = |error: ServerError| Failure::Statement(error.to_pg());
        if pool.options().size == 1 {
            let made = definitions::create(self.server().await?).await;
            return made.map_err(|error| self.server_failed(&error));
        }
        let mut apart = pool.connect_apart(&[]).await.map_err(told)?;
        definitions::create(&mut apart).await.map_err(told)
    }

    pub(super) async fn form_of(&mut self, oid: u32) -> Outcome<Form> {
        let form = catalogue::form(self.server().await?, oid).await;
        form.map_err(|error| self.server_failed(&error))
    }

    /// A table with rows needs `allow_drop`.
    async fn check_droppable(&mut self, home: &Arc<Home>) -> Outcome<()> {
        // What a ROLLBACK would bring back must not be gone from the store.
        self.check_not_written(home, "DROP TABLE")?;
        // What a store doesn't define stays there.
        let is_lost = home.store.defines().is_some();
        if is_lost && !home.table.allow_drop && self.has_rows(home).await? {
            let message =
                format!("table \"{}\", homed in {}, isn't empty", home.name(), home.store.kind());
            return Err(PgError::error(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .with_hint("Delete its rows first, or set `allow_drop = true` for the table in the configuration.")
                .into());
        }
        Ok(())
    }
}
