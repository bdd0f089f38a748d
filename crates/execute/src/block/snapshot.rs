//! What a REPEATABLE READ or SERIALIZABLE block has read of store tables.
//!
//! The stores keep no old versions of rows. So all that the block has read is read again before it
//! gets another answer, and at a SERIALIZABLE block's COMMIT: either nothing has changed, and all
//! its answers are those of one moment, or the block gets 40001.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flywheel_plan::Home;
use flywheel_store::{KeyRange, ScoreRange};
use flywheel_types::{Key, Row, TableName, ordered};

/// A read of more than single rows.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadOf {
    /// A range of keys.
    Range {
        /// In this index; `None`: of the table itself.
        index: Option<usize>,
        /// The range.
        range: KeyRange,
        /// At most so many rows.
        limit: usize,
    },
    /// A range of scores.
    Score {
        /// The range.
        range: ScoreRange,
        /// So many rows are left out first.
        offset: usize,
        /// At most so many rows.
        limit: usize,
    },
    /// The whole table.
    Scan {
        /// At most so many rows.
        limit: usize,
    },
}

/// Rows by table and key; `None`: there was none.
type Rows = HashMap<(TableName, Key), (Arc<Home>, Option<Row>)>;

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rows: Rows,
    pub(crate) others: Vec<(Arc<Home>, ReadOf, Vec<Row>)>,
    pub(crate) size: usize,
    /// Something was read since all of it was last read again.
    pub(crate) is_unconfirmed: bool,
}

/// All that a block has read. Reads of one statement run at the same time.
#[derive(Debug, Default)]
pub struct Snapshot(Mutex<Seen>);

impl Snapshot {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of a key that was read before.
    pub fn row(&self, home: &Home, key: &Key) -> Option<Option<Row>> {
        let seen = self.seen();
        seen.rows.get(&(home.name().clone(), key.clone())).map(|(_, row)| row.clone())
    }

    /// Rows have been read by their keys.
    pub fn note_rows<'r>(
        &self,
        home: &Arc<Home>,
        rows: impl Iterator<Item = (&'r Key, &'r Option<Row>)>,
    ) {
        let mut seen = self.seen();
        for (key, row) in rows {
            seen.rows.insert((home.name().clone(), key.clone()), (home.clone(), row.clone()));
            seen.size += 1;
            seen.is_unconfirmed = true;
        }
    }

    /// Rows have been read otherwise.
    pub fn note(&self, home: &Arc<Home>, read: ReadOf, rows: &[Row]) {
        let mut seen = self.seen();
        seen.size += rows.len().max(1);
        seen.is_unconfirmed = true;
        seen.others.push((home.clone(), read, sorted(rows.to_vec())));
    }

    /// Whether anything was read.
    pub fn is_empty(&self) -> bool {
        self.seen().size == 0
    }

    /// The tables that were read.
    pub fn homes(&self) -> Vec<Arc<Home>> {
        let seen = self.seen();
        let of_rows = seen.rows.values().map(|(home, _)| home);
        let mut homes: Vec<_> =
            of_rows.chain(seen.others.iter().map(|(home, ..)| home)).cloned().collect();
        homes.sort_by(|a, b| a.name().cmp(b.name()));
        homes.dedup_by(|a, b| a.name() == b.name());
        homes
    }
}

/// Ties come in any order.
pub(crate) fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_cached_key(|row| ordered::encode(row));
    rows
}
