//! Rows that a block writes or locks are its own until it ends: each is locked in its store on
//! condition that it still is as it was read. Who meets another's lock waits in PostgreSQL, and
//! reads the row again: what it does is done to the row as it is then.

use std::sync::Arc;
use std::time::Duration;

use flywheel_plan::Home;
use flywheel_sql::Waiting;
use flywheel_store::{Change, Effect, Expect, Prepared, StoreError, StoreTable, TransactionId};
use flywheel_types::{Key, Row};
use flywheel_wire::{PgError, sqlstate};
use rand::Rng;

use super::LockWait;
use crate::block::{Guard, Mark};
use crate::error::{conflict, store_error};
use crate::failure::Outcome;
use crate::host::{Executor, Host};

/// How many rows are locked at once: as many as a transaction of DynamoDB takes.
const ROWS_AT_ONCE: usize = 100;
/// How often a row is asked for that the store itself says is busy.
const ATTEMPTS: u32 = 200;

/// What became of an attempt to lock rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// They are the block's.
    Own,
    /// One isn't any more as it was read.
    Changed,
    /// Another block has one of them, which isn't waited for.
    Busy,
}

/// Which row a statement is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'r> {
    /// One that is there.
    Existing,
    /// A new one.
    New(&'r Row),
    /// One that is there, or else a new one.
    Either(&'r Row),
}

/// The change by which a row is locked that is as it was read.
pub(super) fn as_read(key: Key, row: &Row) -> Change {
    Change { key, expect: Expect::Unchanged(row.clone()), effect: Effect::Put(row.clone()) }
}

/// The change by which a key is locked that no row has.
pub(super) fn absent(key: Key, row: Option<&Row>) -> Change {
    Change {
        key,
        expect: Expect::Absent,
        effect: row.map_or(Effect::Delete, |row| Effect::Put(row.clone())),
    }
}

impl<H: Host> Executor<'_, H> {
    /// The row of a key, and the block's own from now on. A row that isn't there is nobody's,
    /// unless a new one is wanted; one that is there isn't locked where only a new one is wanted.
    pub(super) async fn hold_row(
        &mut self,
        home: &Arc<Home>,
        key: &Key,
        wanted: Wanted<'_>,
    ) -> Outcome<Option<Row>> {
        self.check_written_for(home)?;
        if let Some(known) =
            self.block().get(home.name(), key).filter(|known| known.guard != Guard::Shared)
        {
            return Ok(known.after.clone());
        }
        let mut is_read = !matches!(wanted, Wanted::New(_));
        loop {
            let before = if is_read {
                self.read_keys(home, std::slice::from_ref(key)).await?.pop().flatten()
            } else {
                None
            };
            let change = match (&before, wanted) {
                (None, Wanted::Existing) | (Some(_), Wanted::New(_)) => return Ok(before),
                (None, Wanted::New(row) | Wanted::Either(row)) => absent(key.clone(), Some(row)),
                (Some(row), _) => as_read(key.clone(), row),
            };
            if self.hold(home, vec![change], Waiting::Wait).await? == Held::Own {
                return Ok(before);
            }
            // That a new row's key is taken is told as such, if it isn't known to be free.
            if is_read || self.block().snapshot.row(home, key).is_some() {
                self.check_current(home, key)?;
            }
            is_read = true;
        }
    }

    /// Locks rows as they are now, so that they stay so, whatever that is.
    pub(super) async fn hold_as_they_are(&mut self, home: &Arc<Home>, keys: &[Key]) -> Outcome<()> {
        for key in keys {
            loop {
                if self
                    .block()
                    .get(home.name(), key)
                    .is_some_and(|known| known.guard != Guard::Shared)
                {
                    break;
                }
                let row = self.read_keys(home, std::slice::from_ref(key)).await?.pop().flatten();
                let change = match &row {
                    Some(row) => as_read(key.clone(), row),
                    None => absent(key.clone(), None),
                };
                if self.hold(home, vec![change], Waiting::Wait).await? == Held::Own {
                    self.block_mut().lock(home, key.clone(), row.as_ref(), Guard::Alone);
                    break;
                }
                self.check_current(home, key)?;
            }
        }
        Ok(())
    }

    /// Locks rows for the block that are as these changes expect. All of those that a store takes
    /// together are locked, or none; what was locked before one had changed stays locked.
    pub(super) async fn hold(
        &mut self,
        home: &Arc<Home>,
        mut changes: Vec<Change>,
        waiting: Waiting,
    ) -> Outcome<Held> {
        changes.retain(|change| {
            let known = self.block().get(home.name(), &change.key);
            known.is_none_or(|known| known.guard == Guard::Shared)
        });
        if changes.is_empty() {
            return Ok(Held::Own);
        }
        let own = self.subtransaction().await?;
        changes.sort_by_cached_key(|change| home.store.place(&home.table, &change.key));
        let place = |change: &Change| home.store.place(&home.table, &change.key);
        for of_place in changes.chunk_by(|a, b| place(a) == place(b)) {
            for together in of_place.chunks(ROWS_AT_ONCE) {
                let held = self.hold_together(home, own, together, waiting).await?;
                if held != Held::Own {
                    return Ok(held);
                }
            }
        }
        Ok(Held::Own)
    }

    /// What becomes of a statement that doesn't wait for others' locks.
    pub(super) fn busy(home: &Home, waiting: Waiting) -> Result<Held, PgError> {
        match waiting {
            Waiting::Not => Err(not_available(home)),
            _ => Ok(Held::Busy),
        }
    }

    /// Locks rows that the store takes together, in the name of a subtransaction of the block's or
    /// of a shared row.
    pub(super) async fn hold_together(
        &mut self,
        home: &Arc<Home>,
        own: TransactionId,
        changes: &[Change],
        waiting: Waiting,
    ) -> Outcome<Held> {
        // A lock of several blocks stays when one of them is over.
        if own.is_shared() {
            return self.hold_noted(home, own, changes, waiting, None).await;
        }
        let note = self.stores().note_marks(own, home, changes);
        let held = self.hold_noted(home, own, changes, waiting, Some(note)).await;
        if !self.block().marks.has_noted(note) {
            self.stores().locks.done(note);
        }
        held
    }

    async fn hold_noted(
        &mut self,
        home: &Arc<Home>,
        own: TransactionId,
        changes: &[Change],
        waiting: Waiting,
        note: Option<u128>,
    ) -> Outcome<Held> {
        let of_table: Vec<(&StoreTable, Change)> =
            changes.iter().map(|change| (&home.table, change.clone())).collect();
        let mut wait = LockWait::new();
        let mut attempts = 0;
        loop {
            // Not to be interrupted: what was locked must be known.
            let relied = self.rely_on(home)?;
            let prepared = home.store.prepare(own, &of_table).await;
            drop(relied);
            match prepared {
                Ok(Prepared::Locked) => {
                    self.add_marks(home, (own, note), changes);
                    return Ok(Held::Own);
                }
                Ok(Prepared::Refused) => return Ok(Held::Changed),
                Err(StoreError::Locked { position, transaction }) => {
                    let change = changes.get(position).unwrap_or(&changes[0]);
                    match waiting {
                        Waiting::Wait => {
                            self.wait_for_lock(&mut wait, home, &change.key, transaction).await?
                        }
                        _ if self.meets_open(&mut wait, home, &change.key, transaction).await? => {
                            return Ok(Self::busy(home, waiting)?);
                        }
                        _ => {}
                    }
                }
                // Others are at the row this moment.
                Err(StoreError::Conflict { .. }) if attempts < ATTEMPTS => {
                    attempts += 1;
                    let pause = Duration::from_micros(rand::rng().random_range(0..10_000));
                    self.interruptible(tokio::time::sleep(pause)).await?;
                }
                Err(error) => {
                    if matches!(error, StoreError::Unknown { .. }) {
                        self.add_marks(home, (own, note), changes);
                    }
                    return Err(match error {
                        StoreError::Unknown { reason } => {
                            store_error(&StoreError::Unavailable { reason }, home)
                        }
                        error => store_error(&error, home),
                    }
                    .into());
                }
            }
        }
    }

    fn add_marks(
        &mut self,
        home: &Arc<Home>,
        (by, note): (TransactionId, Option<u128>),
        changes: &[Change],
    ) {
        // That of several blocks isn't taken away by one.
        let Some(note) = note else { return };
        for change in changes {
            let (home, key) = (home.clone(), change.key.clone());
            self.block_mut().marks.add(Mark { home, key, by, note });
        }
    }

    /// A row that isn't any more as it was read is read again, unless the block may not see it.
    pub(super) fn check_current(&self, home: &Home, key: &Key) -> Outcome<()> {
        let was_shared =
            self.block().get(home.name(), key).is_some_and(|known| known.guard == Guard::Shared);
        if was_shared || self.keeps_a_snapshot() {
            return Err(conflict(home).into());
        }
        Ok(())
    }
}

fn not_available(home: &Home) -> PgError {
    let message = format!("could not obtain lock on row in relation \"{}\"", home.name().name);
    PgError::error(sqlstate::LOCK_NOT_AVAILABLE, message)
        .with_field(b's', home.name().schema.clone())
        .with_field(b't', home.name().name.clone())
}
