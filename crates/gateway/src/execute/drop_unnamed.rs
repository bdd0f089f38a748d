//! Statements that may drop store tables along with what they name: DROP SCHEMA … CASCADE, DROP OWNED, DROP TYPE … CASCADE. PostgreSQL drops; what is
//! gone then is checked as DROP TABLE checks it, before it is committed.

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_postgres::catalogue;
use flywheel_wire::backend::TransactionStatus;

use super::{Answer, StoreStatement};
use crate::error::store_error;
use crate::session::{Failure, Outcome, Session};

impl Session {
    pub(super) async fn drop_unnamed(&mut self, statement: &StoreStatement) -> Outcome<Answer> {
        let own_block = self.status == TransactionStatus::Idle;
        if own_block {
            self.on_server("BEGIN").await?;
        }
        let dropped = self.drop_and_check(&statement.text).await;
        if own_block && !matches!(dropped, Err(Failure::Session(_))) {
            self.on_server(if dropped.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        }
        let (answer, gone) = dropped?;
        self.block.redefined |= !own_block;
        for home in &gone {
            // As with DROP TABLE, inside a block the definition may come back by ROLLBACK; its rows were none, or given up by allow_drop.
            self.interruptible(home.store.drop_table(&home.table))
                .await?
                .map_err(|error| store_error(&error, home))?;
        }
        self.reload_catalogue().await?;
        Ok(answer)
    }

    /// PostgreSQL's answer, and the store tables that are gone.
    async fn drop_and_check(&mut self, sql: &str) -> Outcome<(Answer, Vec<Arc<Home>>)> {
        let known = self.shared.catalogue.known();
        let homes: Vec<Arc<Home>> = known.homes.iter().cloned().collect();
        let answer = self.on_server_with_notices(sql).await?;
        let mut gone = Vec::new();
        for home in homes {
            let table = &home.table.table;
            let lease = self.server().await?;
            let form = catalogue::form(lease, table.oid).await;
            let form = form.map_err(|error| self.server_failed(&error))?;
            if form.columns.is_empty() {
                self.check_droppable(&home).await?;
                gone.push(home);
            } else if form.columns.len() != table.columns.len() && self.has_rows(&home).await? {
                // Their values would stay, and show in a new column of the name.
                return Err(flywheel_plan::unsupported(&home, "dropping a column along with its type")
                    .with_hint("ALTER TABLE … DROP COLUMN first.")
                    .into());
            }
        }
        Ok((answer, gone))
    }
}
