//! The trait that every home of tables implements.

use std::fmt::Debug;

use async_trait::async_trait;
use flywheel_types::{Key, Row, Value};

use crate::{Applied, Change, Index, KeyRange, StoreError, StoreTable};

/// A store that is home to tables. One value serves all sessions at once.
///
/// Rows that have expired ([`StoreTable::is_expired`]) are never returned, and count as absent for conditions.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// What it is, as EXPLAIN and errors name it: `DynamoDB`, `Redis`, `memory`.
    fn kind(&self) -> &'static str;

    /// Whether a table with this definition can live here; the error is [`StoreError::Unsupported`] and says which column and why.
    /// Pure: asks nothing of the store.
    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError>;

    /// The store's own name for each operation, as EXPLAIN shows it.
    fn describe(&self, operation: Operation, table: &StoreTable) -> String;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Makes the table; succeeds when it is there already with the same key.
    async fn create_table(&self, table: &StoreTable) -> Result<(), StoreError>;

    /// Removes the table and its rows; succeeds when it isn't there.
    async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError>;

    /// How the table in the store differs from its definition, a sentence each; empty when it fits.
    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError>;

    /// The rows of these keys, in the keys' order, `None` where there is none. No key comes twice. Any number of keys: the store chunks.
    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError>;

    /// The rows of a range in its order, at most `limit`.
    async fn range(&self, table: &StoreTable, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// The rows of a range over the columns of a secondary index of the table, in the order of its sort columns (ties in any order), at most
    /// `limit`. [`KeyRange::partition`] is of the index's first column, the ends are of its second. Whole rows, whatever the index holds.
    async fn index_range(&self, table: &StoreTable, index: &Index, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreError> {
        let _ = (range, limit);
        Err(StoreError::Unsupported {
            what: format!(
                "index \"{}\" of \"{}\" can't be read: {} keeps no secondary indexes",
                index.name,
                table.physical_name,
                self.kind()
            ),
        })
    }

    /// The table's indexes as the store has them. `listed`: only those that the table names; what the store hasn't is left out. Otherwise all
    /// that it has and that can serve.
    async fn find_indexes(&self, table: &StoreTable, listed: bool) -> Result<Vec<Index>, StoreError> {
        let _ = listed;
        Ok(table.indexes.clone())
    }

    /// The rows of a partition of a [`crate::Layout::SortedSet`] table by score, at most `limit`. Ties in any order.
    async fn by_score(&self, table: &StoreTable, partition: Option<&Value>, descending: bool, limit: usize)
    -> Result<Vec<Row>, StoreError>;

    /// All rows in any order, each once; [`StoreError::TooManyRows`] when there are more than `limit`.
    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// One change, atomically.
    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError>;

    /// Several changes, of different rows, all or none. False, and nothing written, when a condition didn't hold.
    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError>;
}

/// An operation, for [`Store::describe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// One row by its key.
    Get,
    /// Several rows by their keys.
    GetMany,
    /// [`Store::range`]
    Range,
    /// [`Store::index_range`], by the index's position in [`StoreTable::indexes`].
    IndexRange(usize),
    /// [`Store::by_score`]
    ByScore,
    /// [`Store::scan`]
    Scan,
    /// A row put, if absent or not.
    Put,
    /// Columns of a row set.
    Update,
    /// A row deleted.
    Delete,
    /// Several changes at once.
    WriteAll,
}
