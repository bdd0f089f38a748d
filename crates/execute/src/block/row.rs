//! Rows that a block has written or locked.

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_store::{Change, Effect, Expect};
use flywheel_types::{Key, Row};

/// A row that the block has written or locked.
#[derive(Debug, Clone)]
pub struct Buffered {
    /// The table's home.
    pub home: Arc<Home>,
    /// The row as the block found it in the store; `None`: it wasn't there.
    pub before: Option<Row>,
    /// The row as the block leaves it.
    pub after: Option<Row>,
    /// Whether COMMIT looks for the row as the block found it even if it isn't written.
    pub guard: Guard,
}

/// What keeps a row as it was read that may not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// Nothing: only what is written is conditional.
    None,
    /// FOR SHARE and FOR KEY SHARE: other blocks may have locked it in the same way.
    Shared,
    /// FOR UPDATE and FOR NO KEY UPDATE: it is the block's alone.
    Alone,
}

impl Buffered {
    /// The write that COMMIT makes of it: on condition that the row is still as the block found it.
    /// `None` when nothing is to be done. A row that is only locked is put as it is, which for a
    /// store is a condition, or as good as one.
    pub fn to_change(&self, key: &Key) -> Option<Change> {
        let expect = match (&self.before, &self.after) {
            (None, None) => return None,
            (before, after) if before == after && self.guard != Guard::Alone => return None,
            (Some(before), _) => Expect::Unchanged(before.clone()),
            (None, _) => Expect::Absent,
        };
        let effect = self.after.clone().map_or(Effect::Delete, Effect::Put);
        Some(Change { key: key.clone(), expect, effect })
    }
}
