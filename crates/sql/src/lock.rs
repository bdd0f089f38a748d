//! How a locking clause locks rows.

use crate::syntax::{Kind, Node};

/// What becomes of a statement that meets another transaction's lock. Of several, PostgreSQL takes
/// the last in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiting {
    /// It waits.
    Wait,
    /// SKIP LOCKED: it goes on without the row.
    Skip,
    /// NOWAIT: it fails.
    Not,
}

/// How rows are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// FOR SHARE and FOR KEY SHARE: others may lock them in the same way.
    pub is_shared: bool,
    /// Whether others' locks are waited for.
    pub waiting: Waiting,
}

impl Lock {
    pub(crate) fn of(clause: Node<'_>) -> Self {
        let is_shared = clause.has(Kind::FOR_SHARE) || clause.has(Kind::FOR_KEY_SHARE);
        let waiting = if clause.has(Kind::NOWAIT) {
            Waiting::Not
        } else if clause.has(Kind::SKIP_LOCKED) {
            Waiting::Skip
        } else {
            Waiting::Wait
        };
        Self { is_shared, waiting }
    }

    /// What locks both ways come to.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            is_shared: self.is_shared && other.is_shared,
            waiting: self.waiting.max(other.waiting),
        }
    }
}
