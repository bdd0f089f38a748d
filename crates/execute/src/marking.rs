//! Locking rows for a block, and taking the locks away.
//!
//! A block's lock on a row is a mark in the row's store, and waiting for it is PostgreSQL's. The
//! mark is `TwoPhase::prepare`'s, made at the statement on condition that the row is as it was
//! read. It names a subtransaction, which holds one advisory lock of that name in PostgreSQL. So an
//! autocommit write, which is conditional on the absence of a lock anyhow, costs nothing more; a
//! block of any number of rows takes one of PostgreSQL's locks, and a savepoint one more (a hundred
//! at most); deadlocks, `lock_timeout` and the end of a gateway are PostgreSQL's to notice. A mark
//! whose advisory lock is free wrote nothing, and is taken away by who meets it. The alternative,
//! an advisory lock for each row, fills PostgreSQL's table of locks, and autocommit writes can't
//! see it. A lone block costs one write to the store more for each statement; its name comes with
//! the question whether it may write. Those who wait for one row stand in line at a lock of the
//! row's, which a block keeps: without it all wake at once, and DynamoDB refuses most. Rows that
//! are shared have one mark of all who share them, which stays until somebody wants the row alone
//! and has waited for the row's own advisory lock.

use flywheel_store::TransactionId;

use crate::block::Mark;
use crate::failure::Outcome;
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    /// The open subtransaction, with its advisory lock.
    pub(crate) async fn subtransaction(&mut self) -> Outcome<TransactionId> {
        if let Some(open) = self.block().marks.open() {
            return Ok(open);
        }
        let name = self.block().marks.name();
        self.on_server(&format!("SELECT {}", holding(name))).await?;
        self.block_mut().marks.opened(name);
        Ok(name)
    }

    /// Takes locks away that are no longer wanted. What can't be reached is seen to by whoever
    /// meets the lock.
    pub async fn take_away_marks(&mut self) {
        let mut marks = std::mem::take(self.unmarked());
        let place = |mark: &Mark| {
            (
                mark.home.store_name.clone(),
                mark.home.store.place(&mark.home.table, &mark.key),
                mark.by.id,
            )
        };
        marks.sort_by_cached_key(place);
        for together in marks.chunk_by(|a, b| place(a) == place(b)) {
            let (home, by) = (&together[0].home, together[0].by);
            let keys: Vec<_> =
                together.iter().map(|mark| (&mark.home.table, mark.key.clone())).collect();
            match home.store.rollback_prepared(by, &keys).await {
                Ok(()) => {
                    let mut notes: Vec<u128> = together.iter().map(|mark| mark.note).collect();
                    notes.dedup();
                    notes.into_iter().for_each(|note| self.stores().locks.done(note));
                }
                Err(error) => {
                    tracing::debug!(store = home.store_name, %error, "a block's locks stay until they are met");
                }
            }
        }
    }
}

/// The expression that takes a subtransaction's advisory lock.
pub(crate) fn holding(name: TransactionId) -> String {
    format!("pg_catalog.pg_advisory_xact_lock({})", name.advisory_key())
}
