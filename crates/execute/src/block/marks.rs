//! Rows that a block has locked in their stores, until it ends.
//!
//! A lock in a store names a subtransaction of the block: what lies between two savepoints. The
//! subtransaction holds an advisory lock in PostgreSQL under the same name for as long as it is
//! open. So PostgreSQL keeps those who meet the row's lock waiting, finds their deadlocks, and
//! wakes them at COMMIT, ROLLBACK and ROLLBACK TO SAVEPOINT, or when the gateway is gone. A row
//! costs no lock in PostgreSQL, however many a block has.

use std::collections::HashSet;
use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_store::{Change, TransactionId};
use flywheel_types::{Key, TableName};

/// How many subtransactions of a block have advisory locks of their own. Later ones share that of
/// the subtransaction around them: PostgreSQL's table of locks is bounded.
const MOST_SUBTRANSACTIONS: u32 = 100;

/// A row's lock in its store.
#[derive(Debug, Clone)]
pub struct Mark {
    /// The table's home.
    pub home: Arc<Home>,
    /// The row's key.
    pub key: Key,
    /// The subtransaction that has locked it.
    pub by: TransactionId,
    /// What is noted of it in `flywheel.locks`.
    pub note: u128,
}

/// Where a block's locks stood at a savepoint.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marked {
    rows: usize,
    subtransaction: Option<TransactionId>,
}

/// A block's locks.
#[derive(Debug, Default)]
pub struct Marks {
    /// What all subtransactions of the block have in common.
    block: Option<u128>,
    subtransactions: u32,
    /// The open subtransaction, once it holds its advisory lock.
    open: Option<TransactionId>,
    rows: Vec<Mark>,
}

impl Marks {
    /// The subtransaction in whose name rows are locked; `None`: it has no advisory lock yet.
    pub fn open(&self) -> Option<TransactionId> {
        self.open
    }

    /// Any of the block's subtransactions; `None`: it has locked nothing.
    pub fn own(&self) -> Option<TransactionId> {
        self.block.map(|block| TransactionId::of_block(block, 0))
    }

    /// A name for the open subtransaction.
    pub fn name(&self) -> TransactionId {
        let block = self.block.unwrap_or_else(rand::random);
        TransactionId::of_block(block, self.subtransactions)
    }

    /// The open subtransaction holds the advisory lock of this name.
    pub fn opened(&mut self, name: TransactionId) {
        self.block = Some(name.id);
        self.subtransactions += 1;
        self.open = Some(name);
    }

    /// A row has been locked.
    pub fn add(&mut self, mark: Mark) {
        self.rows.push(mark);
    }

    /// A savepoint: what comes after it is a subtransaction of its own.
    pub fn savepoint(&mut self) -> Marked {
        let marked = Marked { rows: self.rows.len(), subtransaction: self.open };
        self.begin(marked);
        marked
    }

    fn begin(&mut self, marked: Marked) {
        self.open = marked.subtransaction.filter(|_| self.subtransactions >= MOST_SUBTRANSACTIONS);
    }

    /// Back to a savepoint; the rows locked since then, whose locks are to go.
    #[must_use]
    pub fn rollback_to(&mut self, marked: Marked) -> Vec<Mark> {
        self.begin(marked);
        self.rows.split_off(marked.rows.min(self.rows.len()))
    }

    /// A savepoint is released: its subtransaction's advisory lock is that of the one around it.
    pub fn release(&mut self, marked: Marked) {
        self.open = self.open.or(marked.subtransaction);
    }

    /// Whether rows are locked of which this note tells.
    pub fn has_noted(&self, note: u128) -> bool {
        self.rows.last().is_some_and(|mark| mark.note == note)
    }

    /// These rows' locks have gone with what was written; the notes that told of them.
    #[must_use]
    pub fn written(&mut self, changes: &[(Arc<Home>, Change)]) -> Vec<u128> {
        let written: HashSet<(&TableName, &Key)> =
            changes.iter().map(|(home, change)| (home.name(), &change.key)).collect();
        let mut done = Vec::new();
        self.rows.retain(|mark| {
            let is_written = written.contains(&(mark.home.name(), &mark.key));
            if is_written {
                done.push(mark.note);
            }
            !is_written
        });
        done.dedup();
        done
    }

    /// The block is over; the locks that are to go.
    #[must_use]
    pub fn end(&mut self) -> Vec<Mark> {
        std::mem::take(self).rows
    }
}
