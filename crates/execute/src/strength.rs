//! How a statement locks the rows of a relation.

use flywheel_sql::{Lock, Parsed, Waiting};

use crate::block::Guard;

/// How a statement locks the rows of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strength {
    pub(super) guard: Guard,
    pub(super) waiting: Waiting,
}

impl Strength {
    /// `None` where it locks none of its rows.
    pub(super) fn of(parsed: &Parsed, relation: usize) -> Option<Self> {
        let Lock { is_shared, waiting } = parsed.lock(relation)?;
        Some(Self { guard: if is_shared { Guard::Shared } else { Guard::Alone }, waiting })
    }

    /// Whether rows that others have locked are left out.
    pub(super) const fn skips(self) -> bool {
        matches!(self.waiting, Waiting::Skip)
    }
}
