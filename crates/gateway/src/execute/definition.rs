//! CREATE TABLE and DROP TABLE of tables homed in stores: the definition in PostgreSQL, the table in the store.

use std::sync::Arc;

use bytes::BytesMut;
use flywheel_plan::Home;
use flywheel_postgres::{Connection, catalogue};
use flywheel_store::{StoreError, StoreTable};
use flywheel_types::TableName;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{PgError, sqlstate};

use super::{Answer, Kind, StoreStatement};
use crate::error::store_error;
use crate::homes::{given_up, home};
use crate::options::TableHome;
use crate::session::{Outcome, Session};

impl Session {
    /// Creates the definition, then the table in the store; both or none.
    pub(super) async fn create_table(&mut self, statement: &StoreStatement) -> Outcome<Answer> {
        let Kind::CreateTable { table } = &statement.kind else {
            return Ok(Answer::default());
        };
        let own_block = self.status == TransactionStatus::Idle;
        if own_block {
            self.on_server("BEGIN").await?;
        }
        let created = self.create_both(&statement.text, table).await;
        if own_block {
            self.on_server(if created.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        }
        let (answer, home) = created?;
        if !own_block {
            self.block.created.push(home);
        }
        self.reload_catalogue().await?;
        Ok(answer)
    }

    async fn create_both(&mut self, sql: &str, configured: &TableHome) -> Outcome<(Answer, Home)> {
        let mut answer = self.on_server_with_notices(sql).await?;
        let definition = self.kept_definition(configured, &mut answer).await?;
        let home = home(configured, definition)?;
        self.interruptible(home.store.create_table(&home.table))
            .await?
            .map_err(|error| store_error(&error, &home))?;
        Ok((answer, home))
    }

    /// Removes the stores' tables whose definitions have gone with a ROLLBACK, unless they have rows from before.
    pub(crate) async fn drop_uncreated(&self, created: Vec<Home>) {
        for home in created {
            let home = Arc::new(home);
            let gone = match self.has_rows(&home).await {
                Ok(false) => home.store.drop_table(&home.table).await.map_err(|error| store_error(&error, &home)),
                _ => continue,
            };
            if let Err(error) = gone {
                tracing::warn!(table = %home.name(), %error, "the table that a rolled back CREATE TABLE has made can't be dropped");
            }
        }
    }

    /// The table's definition, without what the configuration gives up of it, of which the answer warns.
    pub(super) async fn kept_definition(&mut self, configured: &TableHome, answer: &mut Answer) -> Outcome<catalogue::Definition> {
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
                .with_hint("A table homed in a store can't be partitioned, a view or a foreign table.")
                .into()
            }),
            Err(error) => Err(self.server_failed(&error)),
        }
    }

    /// Drops the definition, then the table in the store. A table with rows needs `allow_drop`.
    pub(super) async fn drop_table(&mut self, statement: &StoreStatement, homes: &[Arc<Home>]) -> Outcome<Answer> {
        for home in homes {
            self.check_droppable(home).await?;
        }
        let answer = self.on_server_with_notices(&statement.text).await?;
        for home in homes {
            // Inside a block the definition may come back by ROLLBACK; its rows were none, or given up by allow_drop.
            self.interruptible(home.store.drop_table(&home.table))
                .await?
                .map_err(|error| store_error(&error, home))?;
        }
        self.reload_catalogue().await?;
        Ok(answer)
    }

    /// Refuses a command on a table that the open block has written to.
    pub(super) fn check_not_written(&self, home: &Home, command: &str) -> Outcome<()> {
        if !self.block.has_written(home.name()) {
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

    /// A table with rows needs `allow_drop`.
    pub(super) async fn check_droppable(&self, home: &Arc<Home>) -> Outcome<()> {
        // What a ROLLBACK would bring back must not be gone from the store.
        self.check_not_written(home, "DROP TABLE")?;
        if !home.table.allow_drop && self.has_rows(home).await? {
            let message = format!("table \"{}\", homed in {}, isn't empty", home.name(), home.store.kind());
            return Err(PgError::error(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .with_hint("Delete its rows first, or set `allow_drop = true` for the table in the configuration.")
                .into());
        }
        Ok(())
    }

    pub(super) async fn has_rows(&self, home: &Arc<Home>) -> Outcome<bool> {
        // One row is asked for, whatever may be read by statements.
        let table = StoreTable {
            allow_scan: true,
            ..home.table.clone()
        };
        match self.interruptible(home.store.scan(&table, 1)).await? {
            Ok(rows) => Ok(!rows.is_empty()),
            Err(StoreError::TooManyRows { .. }) => Ok(true),
            Err(StoreError::NoSuchTable { .. }) => Ok(false),
            Err(error) => Err(store_error(&error, home).into()),
        }
    }

    pub(crate) async fn reload_catalogue(&mut self) -> Outcome<()> {
        let shared = self.shared.clone();
        let lease: &mut Connection = self.server().await?;
        match shared.reload(lease).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.server_failed(&error)),
        }
    }
}
