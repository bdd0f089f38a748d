//! INSERT that a store carries out alone.

use std::collections::HashSet;
use std::sync::Arc;

use flywheel_plan::{Home, NativeInsert, OnConflict, Parameters, assign};
use flywheel_sql::Waiting;
use flywheel_statement::long::MANY;
use flywheel_store::{Applied, Assignment, Change, Effect, Expect};
use flywheel_types::{Key, Row};
use tokio::task::yield_now;

use super::one_row_answer;
use crate::error::duplicate_key;
use crate::failure::Outcome;
use crate::holding::{Held, Wanted, absent};
use crate::host::{Executor, Host};
use crate::{Answer, Arguments};

impl<H: Host> Executor<'_, H> {
    pub(super) async fn native_insert(
        &mut self,
        insert: &NativeInsert,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let table = &home.table.table;
        let count = insert.row_count();
        let mut rows = Vec::with_capacity(count);
        for start in (0..count).step_by(MANY) {
            if start > 0 {
                yield_now().await;
            }
            let some = start..count.min(start + MANY);
            let Some(resolved) = insert.resolve_some(some, table, parameters) else {
                return Ok(None);
            };
            rows.extend(resolved);
        }
        self.check_writable("INSERT").await?;
        if let ([row], OnConflict::Update) = (&rows[..], insert.on_conflict) {
            let Some(set) = insert.resolve_update(table, row, parameters) else {
                return Ok(None);
            };
            let written = self.insert_or_update(home, row, set).await?;
            return Ok(written.map(|row| {
                one_row_answer("INSERT 0", table, Some(&row), &insert.returning, arguments)
            }));
        }
        let inserted = match &rows[..] {
            [row] => self.insert_row(insert.on_conflict, home, row).await?,
            _ => {
                let keys: Vec<Key> = rows.iter().map(|row| table.key_of(row)).collect();
                let mut seen = HashSet::with_capacity(keys.len());
                for some in keys.chunks(MANY) {
                    if !some.iter().all(|key| seen.insert(key)) {
                        // Two rows of one key: PostgreSQL says which.
                        return Ok(None);
                    }
                    yield_now().await;
                }
                self.insert_rows(home, &rows, &keys).await?;
                true
            }
        };
        let count = if inserted { rows.len() } else { 0 };
        let mut answer = Answer::tagged(format!("INSERT 0 {count}"));
        if !insert.returning.is_empty() && inserted {
            answer.set_rows(home, rows, &insert.returning, arguments.result_formats);
        }
        Ok(Some(answer))
    }

    /// Whether the row was inserted.
    async fn insert_row(
        &mut self,
        on_conflict: OnConflict,
        home: &Arc<Home>,
        row: &Row,
    ) -> Outcome<bool> {
        let key = home.table.table.key_of(row);
        if self.block().is_open() {
            let wanted = match on_conflict {
                OnConflict::Replace => Wanted::Either(row),
                _ => Wanted::New(row),
            };
            let before = self.hold_row(home, &key, wanted).await?;
            match (&before, on_conflict) {
                (Some(_), OnConflict::Error) => return Err(duplicate_key(home, &key).into()),
                (Some(_), OnConflict::Nothing) => return Ok(false),
                _ => self.block_mut().write(home, key, before, Some(row.clone())),
            }
            return Ok(true);
        }
        let expect = if on_conflict == OnConflict::Replace { Expect::Any } else { Expect::Absent };
        match self
            .write_one(home, Change { key: key.clone(), expect, effect: Effect::Put(row.clone()) })
            .await?
        {
            Applied::Done(_) => Ok(true),
            Applied::Refused if on_conflict == OnConflict::Nothing => Ok(false),
            Applied::Refused => Err(duplicate_key(home, &key).into()),
        }
    }

    /// The row as it is after INSERT … ON CONFLICT DO UPDATE; `None` when PostgreSQL must compute
    /// it.
    async fn insert_or_update(
        &mut self,
        home: &Arc<Home>,
        row: &Row,
        set: Vec<(usize, Assignment)>,
    ) -> Outcome<Option<Row>> {
        let key = home.table.table.key_of(row);
        if self.block().is_open() {
            let before = self.hold_row(home, &key, Wanted::Either(row)).await?;
            let after = match &before {
                Some(before) => assign(&home.table.table, before, &set),
                None => Some(row.clone()),
            };
            if after.is_some() {
                self.block_mut().write(home, key, before, after.clone());
            }
            return Ok(after);
        }
        let update = Change { key: key.clone(), expect: Expect::Present, effect: Effect::Set(set) };
        let insert = Change { key, expect: Expect::Absent, effect: Effect::Put(row.clone()) };
        // Most rows are there. Each attempt is one write; between two the row may come or go.
        for change in [&update, &insert, &update] {
            if let Applied::Done(row) = self.write_one(home, change.clone()).await? {
                return Ok(row);
            }
        }
        // Something can't be added.
        Ok(None)
    }

    async fn insert_rows(&mut self, home: &Arc<Home>, rows: &[Row], keys: &[Key]) -> Outcome<()> {
        if self.block().is_open() {
            self.hold_absent(home, rows, keys).await?;
            for (row, key) in rows.iter().zip(keys) {
                self.block_mut().write(home, key.clone(), None, Some(row.clone()));
            }
            return Ok(());
        }
        let change = |(row, key): (&Row, &Key)| {
            (
                home.clone(),
                Change {
                    key: key.clone(),
                    expect: Expect::Absent,
                    effect: Effect::Put(row.clone()),
                },
            )
        };
        let changes: Vec<_> = rows.iter().zip(keys).map(change).collect();
        if self.write_together(changes).await? {
            return Ok(());
        }
        let before = self.read_keys(home, keys).await?;
        let taken = before.iter().position(Option::is_some).unwrap_or_default();
        Err(duplicate_key(home, &keys[taken]).into())
    }

    /// Locks keys for new rows; 23505 where one is taken.
    pub(crate) async fn hold_absent(
        &mut self,
        home: &Arc<Home>,
        rows: &[Row],
        keys: &[Key],
    ) -> Outcome<()> {
        self.check_written_for(home)?;
        let taken = |key: &&Key| {
            self.block().get(home.name(), key).is_some_and(|known| known.after.is_some())
        };
        if let Some(taken) = keys.iter().find(taken) {
            return Err(duplicate_key(home, taken).into());
        }
        let changes = || keys.iter().zip(rows).map(|(key, row)| absent(key.clone(), Some(row)));
        while self.hold(home, changes().collect(), Waiting::Wait).await? != Held::Own {
            let stored = self.read_keys(home, keys).await?;
            if let Some(taken) = stored.iter().position(Option::is_some) {
                return Err(duplicate_key(home, &keys[taken]).into());
            }
            self.check_current(home, &keys[0])?;
        }
        Ok(())
    }
}
