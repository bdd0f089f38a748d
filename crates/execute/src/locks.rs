//! SELECT … FOR UPDATE and the like, and their words: whether others' locks are waited for.

use std::sync::Arc;

use flywheel_plan::{Fetch, Home};
use flywheel_sql::{Parsed, Waiting};
use flywheel_types::{Key, Row};

use super::fetch::Fetched;
use super::holding::{Held, as_read};
use super::strength::Strength;
use crate::block::Guard;
use crate::failure::Outcome;
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    /// Locks the rows of store tables that a statement locks, for the block's time. Which of those
    /// that were fetched it returns is known to PostgreSQL only: all of them are. What is skipped
    /// leaves `fetched`. False when the rows are to be fetched again.
    pub(super) async fn lock_fetched(
        &mut self,
        parsed: &Parsed,
        fetches: &[&Fetch],
        fetched: &mut Fetched,
    ) -> Outcome<bool> {
        for fetch in fetches {
            let Some(strength) = Strength::of(parsed, fetch.relation) else { continue };
            let Some(rows) = fetched.get_mut(&fetch.relation) else { continue };
            if !self.lock_rows(&fetch.home, rows, strength, usize::MAX).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Rows as they were fetched at first, but those that the block has locked meanwhile as they
    /// are: a statement that has waited sees no others of a later time.
    pub(super) fn as_locked(&self, fetches: &[&Fetch], mut fetched: Fetched) -> Fetched {
        for fetch in fetches {
            let Some(rows) = fetched.remove(&fetch.relation) else { continue };
            let as_locked = |row: Row| {
                let known =
                    self.block().get(fetch.home.name(), &fetch.home.table.table.key_of(&row));
                known.map_or(Some(row), |known| known.after.clone())
            };
            fetched.insert(fetch.relation, rows.into_iter().filter_map(as_locked).collect());
        }
        fetched
    }

    /// Locks rows until there are so many. Those behind them, and those that are skipped, leave
    /// `rows`. False when they are to be read again. Outside a block a row is locked only until the
    /// statement's end.
    pub(super) async fn lock_rows(
        &mut self,
        home: &Arc<Home>,
        rows: &mut Vec<Row>,
        strength: Strength,
        most: usize,
    ) -> Outcome<bool> {
        self.check_writable("SELECT FOR UPDATE").await?;
        if !self.block().is_open() {
            rows.truncate(most);
            return Ok(true);
        }
        let key_of = |row: &Row| home.table.table.key_of(row);
        if strength.waiting != Waiting::Skip {
            rows.truncate(most);
            let held = self.lock_those(home, rows, strength).await?;
            return Ok(held == Held::Own);
        }
        let mut locked = Vec::new();
        for row in std::mem::take(rows) {
            if locked.len() == most {
                break;
            }
            match self.lock_those(home, std::slice::from_ref(&row), strength).await? {
                Held::Own => locked.push(row),
                Held::Busy => {}
                Held::Changed => {
                    self.check_current(home, &key_of(&row))?;
                    return Ok(false);
                }
            }
        }
        *rows = locked;
        Ok(true)
    }

    async fn lock_those(
        &mut self,
        home: &Arc<Home>,
        rows: &[Row],
        strength: Strength,
    ) -> Outcome<Held> {
        let keys: Vec<Key> = rows.iter().map(|row| home.table.table.key_of(row)).collect();
        let held = match strength.guard {
            Guard::Shared => self.share_rows(home, &keys, rows, strength.waiting).await?,
            _ => {
                let changes = keys.iter().zip(rows).map(|(key, row)| as_read(key.clone(), row));
                self.hold(home, changes.collect(), strength.waiting).await?
            }
        };
        if held == Held::Changed && strength.waiting != Waiting::Skip {
            if let Some(key) = keys.first() {
                self.check_current(home, key)?;
            }
            // What is there of them stays so while the statement is repeated.
            self.hold_as_they_are(home, &keys).await?;
        }
        if held == Held::Own {
            for (key, row) in keys.into_iter().zip(rows) {
                self.block_mut().lock(home, key, Some(row), strength.guard);
            }
        }
        Ok(held)
    }
}
