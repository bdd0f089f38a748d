//! What anybody changes in a store, for those who keep copies of its rows.

use std::time::Instant;

use flywheel_types::Key;

/// How a store tells of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// It doesn't.
    Not,
    /// Nobody but this process changes anything in it.
    Alone,
    /// Of all tables together.
    Together,
    /// Of each table by itself.
    Each,
}

/// What has changed in a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    /// The row of this key: it has come, gone, or become another.
    Row(Key),
    /// Which rows are found by a range or an index, or in what order; no row that is found by its
    /// key.
    Order,
    /// It can't be told: any of its rows.
    Table,
}

/// Who wants to know of changes.
pub trait ChangeListener: Send + Sync {
    /// Something has changed in the table of this position among those that are followed; whoever
    /// reads from now on finds it so.
    fn changed(&self, table: usize, changed: Changed);

    /// Changes may have been missed: anything may be other than it was.
    fn missed(&self);

    /// Of all that was written, and answered to its writer, before then, the listener has been
    /// told.
    fn told(&self, until: Instant);
}
