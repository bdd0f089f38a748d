//! CREATE TABLE of tables homed in stores: the definition in PostgreSQL, the table in the store.

use std::sync::Arc;

use bytes::BytesMut;
use flywheel_plan::Home;
use flywheel_postgres::{ServerError, catalogue};
use flywheel_store::{StoreError, StoreTable};
use flywheel_types::TableName;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{PgError, sqlstate};

use super::{Answer, Kind, StoreStatement};
use crate::error::store_error;
use crate::failure::{Failure, Outcome};
use crate::homes::{given_up, home};
use crate::host::{Executor, Host};
use crate::options::TableHome;
use crate::transaction::definitions;

/// What a store has of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    NoTable,
    NoRows,
    Rows,
}

impl<H: Host> Executor<'_, H> {
    /// Creates the definition, then the table in the store. Where the definition is undone, the
    /// store's table goes, unless it was there before.
    pub(super) async fn create_table(&mut self, statement: &StoreStatement) -> Outcome<Answer> {
        let Kind::CreateTable { table } = &statement.kind else {
            return Ok(Answer::default());
        };
        let own_block = self.status() == TransactionStatus::Idle;
        if own_block {
            self.on_server("BEGIN").await?;
        }
        let created = self.create_both(&statement.text, table).await;
        if own_block {
            self.on_server(if created.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            let own = std::mem::take(&mut self.block_mut().definitions);
            self.redefined_mut().add(own);
            self.settle_definitions().await?;
        }
        let answer = created?;
        self.block_mut().redefined |= !own_block;
        self.reload_catalogue().await?;
        Ok(answer)
    }

    async fn create_both(&mut self, sql: &str, configured: &TableHome) -> Outcome<Answer> {
        let mut answer = self.on_server_with_notices(sql).await?;
        let definition = self.kept_definition(configured, &mut answer).await?;
        let home = Arc::new(home(configured, definition)?);
        // From here to the end of the transaction nobody else makes or removes the store's table.
        self.on_server(&definitions::lock(&configured.name)).await?;
        self.follow_earlier(&home).await?;
        match self.find_rows(&home).await? {
            Found::Rows if self.block_mut().definitions.names.contains(home.name()) => {
                let what = "to be dropped with its rows and made anew in one transaction";
                return Err(flywheel_plan::unsupported(&home, what)
                    .with_hint("COMMIT after DROP TABLE: its rows leave the store then. Or use TRUNCATE, or DELETE FROM, in its place.")
                    .into());
            }
            Found::NoTable => self.note_creation(&home).await?,
            Found::Rows | Found::NoRows => {}
        }
        self.interruptible(home.store.create_table(&home.table))
            .await?
            .map_err(|error| store_error(&error, &home))?;
        Ok(answer)
    }

    /// Does what earlier definitions of the table's name have left to do in its store.
    async fn follow_earlier(&mut self, home: &Arc<Home>) -> Outcome<()> {
        let shared = self.stores().clone();
        let (name, oid) = (home.name(), home.table.table.oid);
        let told = |error: ServerError| Failure::Statement(error.to_pg());
        let left = if shared.pool().options().size == 1 {
            let lease = self.server().await?;
            let followed = match lease.query(definitions::EXISTS).await {
                Ok(exists) if definitions::is_true(&exists) => {
                    shared.carry_out_definition(lease, name, oid).await
                }
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            };
            followed.map_err(|error| self.server_failed(&error))?
        } else {
            let mut apart = shared.pool().connect_apart(&[]).await.map_err(told)?;
            let exists = apart.query(definitions::EXISTS).await.map_err(told)?;
            if !definitions::is_true(&exists) {
                return Ok(());
            }
            shared.carry_out_definition(&mut apart, name, oid).await.map_err(told)?
        };
        left.map_or(Ok(()), |(_, error)| Err(store_error(&error, home).into()))
    }

    /// Notes, past the transaction, that the store's table is about to be made.
    async fn note_creation(&mut self, home: &Arc<Home>) -> Outcome<()> {
        let pool = self.stores().pool().clone();
        let noted = if pool.options().size == 1 {
            Ok(false)
        } else {
            match pool.connect_apart(&[]).await {
                Ok(mut apart) => definitions::note_creation(&mut apart, home.name()).await,
                Err(error) => Err(error),
            }
        };
        match noted {
            Ok(true) => self.block_mut().definitions.names.push(home.name().clone()),
            // Then the session alone sees to it.
            Ok(false) | Err(ServerError::Postgres(_)) => {
                self.block_mut().definitions.unnoted.push(Home::clone(home))
            }
            Err(error) => return Err(Failure::Statement(error.to_pg())),
        }
        Ok(())
    }

    /// Removes stores' tables whose definitions are undone, where that isn't noted in PostgreSQL.
    /// One that stays is found by the next CREATE TABLE.
    pub(crate) async fn uncreate(&mut self, unnoted: Vec<Home>) -> Outcome<()> {
        for home in unnoted {
            if self.status() != TransactionStatus::Idle {
                return Ok(());
            }
            let home = Arc::new(home);
            self.on_server("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
            let is_alone = self.results_on_server(&definitions::try_lock(home.name())).await?;
            let is_named = self.results_on_server(&definitions::is_named(home.name())).await?;
            if definitions::is_true(&is_alone)
                && !definitions::is_true(&is_named)
                && matches!(self.find_rows(&home).await, Ok(Found::NoRows))
            {
                let dropped = home.store.drop_table(&home.table).await;
                if let Err(error) = dropped {
                    tracing::warn!(table = %home.name(), %error, "the table that a rolled back CREATE TABLE has made can't be dropped");
                }
            }
            self.on_server("ROLLBACK").await?;
        }
        Ok(())
    }

    /// The table's definition, without what the configuration gives up of it, of which the answer
    /// warns.
    pub(super) async fn kept_definition(
        &mut self,
        configured: &TableHome,
        answer: &mut Answer,
    ) -> Outcome<catalogue::Definition> {
        let definition = self.definition(&configured.name).await?;
        let given_up = given_up(configured, &definition);
        if given_up.is_empty() {
            return Ok(definition);
        }
        for (drop, warning) in given_up {
            self.on_server(&drop).await?;
            let mut notice = BytesMut::new();
            backend::notice_response(&mut notice, &warning);
            answer.push_notice(&notice);
        }
        self.definition(&configured.name).await
    }

    pub(super) async fn definition(&mut self, name: &TableName) -> Outcome<catalogue::Definition> {
        let lease = self.server().await?;
        match catalogue::load(lease, std::slice::from_ref(name)).await {
            Ok(mut found) => found.remove(name).ok_or_else(|| {
                // CREATE TABLE IF NOT EXISTS of something that isn't a table.
                PgError::error(
                    sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("\"{name}\" isn't a plain table"),
                )
                .with_hint(
                    "A table homed in a store can't be partitioned, a view or a foreign table.",
                )
                .into()
            }),
            Err(error) => Err(self.server_failed(&error)),
        }
    }

    /// Refuses a command on a table that the open block has written to.
    pub(super) fn check_not_written(&self, home: &Home, command: &str) -> Outcome<()> {
        if !self.block().has_written(home.name()) {
            return Ok(());
        }
        let message = format!(
            "table \"{}\", homed in {}, has been written to in this transaction",
            home.name(),
            home.store.kind()
        );
        Err(PgError::error(sqlstate::OBJECT_IN_USE, message)
            .with_hint(format!("{command} after COMMIT."))
            .into())
    }

    /// Whether the table has rows in its store.
    pub async fn has_rows(&mut self, home: &Arc<Home>) -> Outcome<bool> {
        Ok(self.find_rows(home).await? == Found::Rows)
    }

    async fn find_rows(&mut self, home: &Arc<Home>) -> Outcome<Found> {
        // One row is asked for, whatever may be read by statements.
        let table = StoreTable { allow_scan: true, ..home.table.clone() };
        match self.interruptible(home.store.scan(&table, 1)).await? {
            Ok(rows) if rows.is_empty() => Ok(Found::NoRows),
            Ok(_) | Err(StoreError::TooManyRows { .. }) => Ok(Found::Rows),
            Err(StoreError::NoSuchTable { .. }) => Ok(Found::NoTable),
            Err(error) => Err(store_error(&error, home).into()),
        }
    }
}
