//! TRUNCATE of store tables: their rows are read, which bounds how many there may be, and deleted.
//! PostgreSQL truncates its own empty tables for the rest: privileges, locks, RESTART IDENTITY.
//! (CASCADE finds nothing, since no foreign key leads to a store table.)

use std::sync::Arc;

use flywheel_plan::{Home, ResolvedAccess};
use flywheel_sql::Waiting;
use flywheel_store::StoreError;
use flywheel_types::Key;

use super::holding::{Held, as_read};
use super::write::MetLock;
use super::{Answer, LockWait, StoreStatement};
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    pub(super) async fn truncate(
        &mut self,
        statement: &StoreStatement,
        homes: &[Arc<Home>],
    ) -> Outcome<Answer> {
        self.check_writable("TRUNCATE TABLE").await?;
        self.stores().steady.expect_definition();
        if self.block().is_open() {
            let answer = self.on_server_with_notices(&statement.text).await?;
            for home in homes {
                let rows = loop {
                    let rows = self.read_access(home, &ResolvedAccess::All).await?;
                    let changes = rows.iter().map(|row| as_read(home.table.table.key_of(row), row));
                    if self.hold(home, changes.collect(), Waiting::Wait).await? == Held::Own {
                        break rows;
                    }
                };
                for row in rows {
                    self.block_mut().write(home, home.table.table.key_of(&row), Some(row), None);
                }
            }
            return Ok(answer);
        }
        let mut wait = LockWait::new();
        loop {
            self.on_server("BEGIN").await?;
            let truncated = self.truncate_now(&statement.text, homes).await;
            if !matches!(truncated, Err(Failure::Session(_))) {
                self.on_server(if matches!(truncated, Ok(Ok(_))) { "COMMIT" } else { "ROLLBACK" })
                    .await?;
            }
            match truncated? {
                Ok(answer) => return Ok(answer),
                Err(met) => {
                    self.wait_for_lock(&mut wait, &met.home, &met.key, met.transaction).await?
                }
            }
        }
    }

    async fn truncate_now(
        &mut self,
        sql: &str,
        homes: &[Arc<Home>],
    ) -> Outcome<Result<Answer, MetLock>> {
        let answer = self.on_server_with_notices(sql).await?;
        // What is refused is refused before anything is deleted.
        let mut doomed: Vec<(&Arc<Home>, Vec<Key>)> = Vec::new();
        for home in homes {
            // All of a transaction is truncated, or nothing.
            self.stores().carry_out_of(home.name()).await;
            let rows = self.read_access(home, &ResolvedAccess::All).await?;
            doomed.push((home, rows.iter().map(|row| home.table.table.key_of(row)).collect()));
        }
        for (home, keys) in doomed {
            // Not to be interrupted: whether it was carried out must be known.
            match home.store.delete_each(&home.table, &keys).await {
                Ok(()) => {}
                Err(StoreError::Locked { position, transaction }) if position < keys.len() => {
                    return Ok(Err(MetLock {
                        home: home.clone(),
                        key: keys[position].clone(),
                        transaction,
                    }));
                }
                Err(error) => return Err(self.write_failed(&error, home)),
            }
        }
        Ok(Ok(answer))
    }
}
