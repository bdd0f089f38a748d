//! The session's transaction, in PostgreSQL and in the stores.

use std::sync::Arc;

use flywheel_execute::{Block, Mark, Outcome, Redefined, Reliance};
use flywheel_postgres::Settings;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};

use crate::tally::{Open, Tally};

/// The transaction that is open, and what those that are over leave to be done.
pub(crate) struct Transaction {
    /// As the server tells it.
    pub(crate) status: TransactionStatus,
    /// Counts the session while it is in a transaction.
    open: Option<Open>,
    pub(crate) block: Block,
    /// The open transaction is the one that a batch is by itself: it ends at Sync.
    pub(crate) is_batch: bool,
    /// The settings to go back to when the implicit transaction that has changed them fails.
    pub(crate) undo: Option<Arc<Settings>>,
    /// Locks of a block's, in stores, that are to be taken away.
    pub(crate) unmarked: Vec<Mark>,
    /// What blocks that are over have done to definitions, until the stores have followed.
    pub(crate) redefined: Redefined,
    /// What operations of stores rely on.
    pub(crate) reliance: Reliance,
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            status: TransactionStatus::Idle,
            open: None,
            block: Block::default(),
            is_batch: false,
            undo: None,
            unmarked: Vec::new(),
            redefined: Redefined::default(),
            reliance: Reliance::default(),
        }
    }
}

impl Transaction {
    pub(crate) fn is_idle(&self) -> bool {
        self.status == TransactionStatus::Idle
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.status == TransactionStatus::Failed
    }

    /// Whether a transaction is open in PostgreSQL, and hasn't failed.
    pub(crate) fn is_well(&self) -> bool {
        self.status == TransactionStatus::InTransaction
    }

    /// Counts the session among those in a transaction, or no longer.
    pub(crate) fn count(&mut self, tally: &Arc<Tally>) {
        let is_open = !self.is_idle();
        if is_open != self.open.is_some() {
            self.open = is_open.then(|| tally.begin());
        }
    }

    /// The connection that it was on is lost.
    pub(crate) fn lose(&mut self) {
        self.status = TransactionStatus::Idle;
        self.open = None;
    }

    /// 25P02 inside a failed block.
    pub(crate) fn check_not_failed(&self) -> Outcome<()> {
        if self.has_failed() {
            let message =
                "current transaction is aborted, commands ignored until end of transaction block";
            return Err(PgError::error(sqlstate::IN_FAILED_TRANSACTION, message).into());
        }
        Ok(())
    }
}
