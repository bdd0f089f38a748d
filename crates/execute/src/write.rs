//! Writes to stores, and what a writer does that meets a row which a transaction has locked.
//!
//! A lock is resolved by who meets it: it names the transaction's xid and a random id. The writer
//! asks PostgreSQL for `txid_status` and then, in another statement, for the outbox' row (in the
//! other order a transaction that commits in between would be taken for one that was carried out):
//! the row is carried out; a lock without one is taken away unless the transaction is in progress,
//! which is waited for, five seconds at most (40001 in a block, 55P03 outside). Readers don't look
//! at locks and see the row as it was. A lock that arrives after its transaction was rolled back
//! goes the same way. ALTER TABLE and TRUNCATE first carry out what the outbox has of their table,
//! which they have locked in PostgreSQL. Where they meet a lock all the same, they roll back before
//! they ask, and begin anew.
//!
//! A statement that no store can write at once is a block of its own: its rows lie in several
//! stores, or in several slots of a Redis Cluster. A conflict is its to repeat, as a staged write's
//! is anyhow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flywheel_plan::Home;
use flywheel_store::{Applied, Change, Effect, Expect, StoreError, TransactionId};
use flywheel_types::Key;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::sqlstate;

use crate::error::{locked, store_error};
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::transaction::{Met, of_tables};

/// How long a writer waits for a lock to go.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits before it asks PostgreSQL: most transactions are through by then.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A lock that was met where it can't be waited for: while the session itself has locked the table
/// in PostgreSQL, which whoever resolves the lock asks.
#[derive(Debug)]
pub(super) struct MetLock {
    pub(super) home: Arc<Home>,
    pub(super) key: Key,
    pub(super) transaction: TransactionId,
}

/// One write's waiting for locks.
#[derive(Debug)]
pub(crate) struct LockWait {
    /// The lock whose holder PostgreSQL has kept it waiting for.
    met: Option<TransactionId>,
    until: Instant,
    pause: Duration,
}

/// What became of a write that doesn't wait for blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// A condition didn't hold.
    Refused,
    /// An open block has one of the rows.
    Held,
}

impl LockWait {
    pub(crate) fn new() -> Self {
        Self { met: None, until: Instant::now() + PATIENCE, pause: FIRST_PAUSE }
    }
}

/// Whether one store can write all of these together.
pub(super) fn is_one_write(changes: &[(Arc<Home>, Change)]) -> bool {
    let place = |(home, change): &(Arc<Home>, Change)| home.store.place(&home.table, &change.key);
    let are_together = |pair: &[(Arc<Home>, Change)]| {
        pair[0].0.store_name == pair[1].0.store_name && place(&pair[0]) == place(&pair[1])
    };
    changes.windows(2).all(are_together)
}

impl<H: Host> Executor<'_, H> {
    /// One write, at once. Not to be interrupted: whether it was carried out must be known.
    pub(super) async fn write_one(&mut self, home: &Arc<Home>, change: Change) -> Outcome<Applied> {
        let mut wait = LockWait::new();
        loop {
            let relied = self.rely_on(home)?;
            let written = home.store.write(&home.table, &change).await;
            drop(relied);
            match written {
                Ok(applied) => return Ok(applied),
                Err(StoreError::Locked { transaction, .. }) => {
                    // A row that is only being inserted isn't there for others.
                    if transaction.is_open()
                        && is_for_present(&change)
                        && !self.is_present(home, &change.key).await?
                    {
                        return Ok(match change.expect {
                            Expect::Any => Applied::Done(None),
                            _ => Applied::Refused,
                        });
                    }
                    self.wait_for_lock(&mut wait, home, &change.key, transaction).await?;
                }
                Err(error) => return Err(self.write_failed(&error, home)),
            }
        }
    }

    async fn is_present(&mut self, home: &Arc<Home>, key: &Key) -> Outcome<bool> {
        let rows = self.read_keys(home, std::slice::from_ref(key)).await?;
        Ok(rows.iter().any(Option::is_some))
    }

    /// Several writes to tables of one store, all or none, at once. Not to be interrupted either.
    /// False when a condition didn't hold.
    pub(crate) async fn write_all(&mut self, changes: &[(Arc<Home>, Change)]) -> Outcome<bool> {
        Ok(self.write_as(None, changes, true).await? == Written::Done)
    }

    /// The same of the block's own rows.
    pub(crate) async fn write_own(&mut self, changes: &[(Arc<Home>, Change)]) -> Outcome<bool> {
        let own = self.block().marks.own();
        Ok(self.write_as(own, changes, true).await? == Written::Done)
    }

    /// The same, but for rows that an open block has.
    pub(super) async fn write_free(&mut self, changes: &[(Arc<Home>, Change)]) -> Outcome<Written> {
        self.write_as(None, changes, false).await
    }

    async fn write_as(
        &mut self,
        own: Option<TransactionId>,
        changes: &[(Arc<Home>, Change)],
        waits: bool,
    ) -> Outcome<Written> {
        let Some((home, _)) = changes.first() else {
            return Ok(Written::Done);
        };
        let of_tables = of_tables(changes);
        let mut wait = LockWait::new();
        loop {
            let relied = self.rely_on(home)?;
            let written = match own {
                Some(own) => home.store.write_own(own, &of_tables).await,
                None => home.store.write_all(&of_tables).await,
            };
            drop(relied);
            match written {
                Ok(true) => return Ok(Written::Done),
                Ok(false) => return Ok(Written::Refused),
                Err(StoreError::Locked { .. }) if !waits => return Ok(Written::Held),
                Err(StoreError::Locked { position, transaction }) => {
                    let (home, change) = changes.get(position).unwrap_or(&changes[0]);
                    self.wait_for_lock(&mut wait, home, &change.key, transaction).await?;
                }
                Err(error) => return Err(self.write_failed(&error, home)),
            }
        }
    }

    /// Several writes outside a block, all or none, whichever stores they go to: where no store can
    /// write all of them together, they become a block of their own, which is committed in two
    /// phases. What the session has open in PostgreSQL is rolled back then. False when a condition
    /// didn't hold.
    pub(super) async fn write_together(
        &mut self,
        changes: Vec<(Arc<Home>, Change)>,
    ) -> Outcome<bool> {
        if is_one_write(&changes) {
            return self.write_all(&changes).await;
        }
        if self.status() != TransactionStatus::Idle {
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
            self.block_mut().write(&home, change.key, before, after);
        }
        match self.end_implicit(true).await {
            Ok(()) => Ok(true),
            Err(Failure::Statement(error)) if error.code() == sqlstate::SERIALIZATION_FAILURE.0 => {
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    /// A write's error. One of which nobody knows whether it was carried out may still be, at any
    /// time.
    pub(super) fn write_failed(&mut self, error: &StoreError, home: &Home) -> Failure {
        if matches!(error, StoreError::Unknown { .. }) {
            self.lose_writes();
        }
        store_error(error, home).into()
    }

    /// Waits for a lock to go, and has it go when its transaction is over: in PostgreSQL as long as
    /// the block is open or commits there, and then a little.
    pub(crate) async fn wait_for_lock(
        &mut self,
        wait: &mut LockWait,
        home: &Home,
        key: &Key,
        transaction: TransactionId,
    ) -> Outcome<()> {
        if transaction.is_shared() {
            return self.take_shared_lock(home, key, transaction).await;
        }
        if wait.met != Some(transaction) {
            self.wait_for_holder(home, key, transaction).await?;
            *wait = LockWait { met: Some(transaction), ..LockWait::new() };
            return Ok(());
        }
        if transaction.is_open() {
            // Its block is over, and wrote nothing: this lock was left behind.
            let removed =
                home.store.rollback_prepared(transaction, &[(&home.table, key.clone())]).await;
            return removed.map_err(|error| store_error(&error, home).into());
        }
        let first = wait.pause == FIRST_PAUSE;
        if !first {
            if Instant::now() >= wait.until || !self.spares_a_connection().await {
                return Err(locked(home, self.block().is_open()).into());
            }
            // PostgreSQL may have to wait for this session itself: it reads a definition that is
            // being altered.
            let shared = self.stores().clone();
            let resolved =
                tokio::time::timeout_at(wait.until.into(), shared.resolve(home, key, transaction))
                    .await;
            match resolved.unwrap_or(Ok(Met::Stays)) {
                Ok(Met::Gone) => return Ok(()),
                Ok(Met::Stays) => {}
                Err(error) => {
                    let told = locked(home, self.block().is_open());
                    return Err(told
                        .with_detail(format!("What has become of it can't be asked: {error}."))
                        .into());
                }
            }
        }
        let pause = wait.pause;
        wait.pause = (pause * 2).min(LONGEST_PAUSE);
        self.interruptible(tokio::time::sleep(pause)).await
    }
}

/// Whether a change concerns a row that is there only.
fn is_for_present(change: &Change) -> bool {
    match change.expect {
        Expect::Present | Expect::Unchanged(_) => true,
        Expect::Any => change.effect == Effect::Delete,
        Expect::Absent => false,
    }
}
