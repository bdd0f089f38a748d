//! Writes to stores, and what a writer does that meets a row which a transaction has locked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flywheel_plan::Home;
use flywheel_store::{Applied, Change, Effect, Expect, StoreError, TransactionId};
use flywheel_types::Key;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::sqlstate;

use crate::error::{locked, store_error};
use crate::session::{Failure, Outcome, Session};
use crate::transaction::{Met, of_tables};

/// How long a writer waits for a lock to go.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits before it asks PostgreSQL: most transactions are through by then.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A lock that was met where it can't be waited for: while the session itself has locked the table in PostgreSQL, which whoever resolves the lock asks.
#[derive(Debug)]
pub(super) struct MetLock {
    pub(super) home: Arc<Home>,
    pub(super) key: Key,
    pub(super) transaction: TransactionId,
}

/// One write's waiting for locks.
#[derive(Debug)]
pub(crate) struct LockWait {
    until: Instant,
    pause: Duration,
}

impl LockWait {
    pub(crate) fn new() -> Self {
        Self {
            until: Instant::now() + PATIENCE,
            pause: FIRST_PAUSE,
        }
    }
}

/// Whether one store can write all of these together.
pub(super) fn is_one_write(changes: &[(Arc<Home>, Change)]) -> bool {
    let place = |(home, change): &(Arc<Home>, Change)| home.store.place(&home.table, &change.key);
    let are_together = |pair: &[(Arc<Home>, Change)]| pair[0].0.store_name == pair[1].0.store_name && place(&pair[0]) == place(&pair[1]);
    changes.windows(2).all(are_together)
}

impl Session {
    /// One write, at once. Not to be interrupted: whether it was carried out must be known.
    pub(super) async fn write_one(&mut self, home: &Arc<Home>, change: Change) -> Outcome<Applied> {
        let mut wait = LockWait::new();
        loop {
            match home.store.write(&home.table, &change).await {
                Ok(applied) => return Ok(applied),
                Err(StoreError::Locked { transaction, .. }) => self.wait_for_lock(&mut wait, home, &change.key, transaction).await?,
                Err(error) => return Err(self.write_failed(&error, home)),
            }
        }
    }

    /// Several writes to tables of one store, all or none, at once. Not to be interrupted either. False when a condition didn't hold.
    pub(crate) async fn write_all(&mut self, changes: &[(Arc<Home>, Change)]) -> Outcome<bool> {
        let Some((home, _)) = changes.first() else { return Ok(true) };
        let of_tables = of_tables(changes);
        let mut wait = LockWait::new();
        loop {
            match home.store.write_all(&of_tables).await {
                Ok(written) => return Ok(written),
                Err(StoreError::Locked { position, transaction }) => {
                    let (home, change) = changes.get(position).unwrap_or(&changes[0]);
                    self.wait_for_lock(&mut wait, home, &change.key, transaction).await?;
                }
                Err(error) => return Err(self.write_failed(&error, home)),
            }
        }
    }

    /// Several writes outside a block, all or none, whichever stores they go to: where no store can write all of them together, they become a block of
    /// their own, which is committed in two phases. What the session has open in PostgreSQL is rolled back then. False when a condition didn't hold.
    pub(super) async fn write_together(&mut self, changes: Vec<(Arc<Home>, Change)>) -> Outcome<bool> {
        if is_one_write(&changes) {
            return self.write_all(&changes).await;
        }
        if self.status != TransactionStatus::Idle {
            self.on_server("ROLLBACK").await?;
        }
        self.begin_implicit().await?;
        for (home, change) in changes {
            let before = match change.expect {
                Expect::Unchanged(row) => Some(row),
                _ => None,
            };
            let after = match change.effect {
                Effect::Put(row) => Some(row),
                _ => None,
            };
            self.block.write(&home, change.key, before, after);
        }
        match self.end_implicit(true).await {
            Ok(()) => Ok(true),
            Err(Failure::Statement(error)) if error.code() == sqlstate::SERIALIZATION_FAILURE.0 => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// A write's error. One of which nobody knows whether it was carried out may still be, at any time.
    pub(super) fn write_failed(&mut self, error: &StoreError, home: &Home) -> Failure {
        if matches!(error, StoreError::Unknown { .. }) {
            self.lose_writes();
        }
        store_error(error, home).into()
    }

    /// Waits a little for a lock to go, and has it go when its transaction is over.
    pub(crate) async fn wait_for_lock(&mut self, wait: &mut LockWait, home: &Home, key: &Key, transaction: TransactionId) -> Outcome<()> {
        let first = wait.pause == FIRST_PAUSE;
        if !first {
            if Instant::now() >= wait.until || !self.spares_a_connection().await {
                return Err(locked(home, self.block.is_open()).into());
            }
            // PostgreSQL may have to wait for this session itself: it reads a definition that is being altered.
            let shared = self.shared.clone();
            let resolved = tokio::time::timeout_at(wait.until.into(), shared.resolve(home, key, transaction)).await;
            match resolved.unwrap_or(Ok(Met::Stays)) {
                Ok(Met::Gone) => return Ok(()),
                Ok(Met::Stays) => {}
                Err(error) => {
                    let told = locked(home, self.block.is_open());
                    return Err(told.with_detail(format!("What has become of it can't be asked: {error}.")).into());
                }
            }
        }
        let pause = wait.pause;
        wait.pause = (pause * 2).min(LONGEST_PAUSE);
        self.interruptible(tokio::time::sleep(pause)).await
    }
}
