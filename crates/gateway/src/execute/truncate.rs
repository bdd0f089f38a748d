//! TRUNCATE of store tables: their rows are read, which bounds how many there may be, and deleted. PostgreSQL truncates its own empty tables for the
//! rest: privileges, locks, RESTART IDENTITY. (CASCADE finds nothing, since no foreign key leads to a store table.)

use std::sync::Arc;

use flywheel_plan::{Home, ResolvedAccess};
use flywheel_store::{Change, Effect, Expect, StoreTable};
use flywheel_types::Row;

use super::copy_from::{ROWS_AT_ONCE, by_place};
use super::{Answer, StoreStatement};
use crate::error::store_error;
use crate::session::{Failure, Outcome, Session};

impl Session {
    pub(super) async fn truncate(&mut self, statement: &StoreStatement, homes: &[Arc<Home>]) -> Outcome<Answer> {
        for home in homes {
            self.check_writable(home, "TRUNCATE TABLE").await?;
        }
        if self.block.is_open() {
            let tag = self.on_server(&statement.text).await?;
            for home in homes {
                for row in self.read_access(home, &ResolvedAccess::All).await? {
                    self.block.write(home, home.table.table.key_of(&row), Some(row), None);
                }
            }
            return Ok(Answer::tagged(tag));
        }
        self.on_server("BEGIN").await?;
        let truncated = self.truncate_now(&statement.text, homes).await;
        if !matches!(truncated, Err(Failure::Session(_))) {
            self.on_server(if truncated.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        }
        truncated.map(Answer::tagged)
    }

    /// The command tag.
    async fn truncate_now(&mut self, sql: &str, homes: &[Arc<Home>]) -> Outcome<String> {
        let tag = self.on_server(sql).await?;
        // What is refused is refused before anything is deleted.
        let mut doomed: Vec<(&Arc<Home>, Vec<Row>)> = Vec::new();
        for home in homes {
            doomed.push((home, self.read_access(home, &ResolvedAccess::All).await?));
        }
        for (home, rows) in doomed {
            for rows in by_place(home, rows).iter().flat_map(|rows| rows.chunks(ROWS_AT_ONCE)) {
                let delete = |row: &Row| {
                    let change = Change {
                        key: home.table.table.key_of(row),
                        expect: Expect::Any,
                        effect: Effect::Delete,
                    };
                    (&home.table, change)
                };
                let changes: Vec<(&StoreTable, Change)> = rows.iter().map(delete).collect();
                // Not to be interrupted: whether it was carried out must be known.
                let deleted = home.store.write_all(&changes).await;
                deleted.map_err(|error| store_error(&error, home))?;
            }
        }
        Ok(tag)
    }
}
