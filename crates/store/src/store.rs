//! The trait that every home of tables implements.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use flywheel_types::{Key, Row};

use crate::{
    Applied, Change, ChangeListener, Effect, Expect, Index, KeyRange, Prepared, ScoreRange, StoreError, StoreTable, Telling, TransactionId,
};

/// How many rows [`Store::delete_each`] deletes together, unless the store has a better way.
const DELETED_AT_ONCE: usize = 100;

/// A store that is home to tables. One value serves all sessions at once.
///
/// Rows that have expired ([`StoreTable::is_expired`]) are never returned, and count as absent for conditions.
///
/// Every write is refused with [`StoreError::Locked`] where it meets a row that another transaction has locked.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// What it is, as EXPLAIN and errors name it: `DynamoDB`, `Redis`, `memory`.
    fn kind(&self) -> &'static str;

    /// Whether values have types of the store's own, so that others may have written another than the column's.
    fn has_typed_values(&self) -> bool {
        false
    }

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

    /// The rows of a range of a [`crate::Layout::SortedSet`] table by score, without the first `offset`, at most `limit`. Ties in any order that
    /// stays the same while they don't change.
    async fn by_score(&self, table: &StoreTable, range: &ScoreRange, offset: usize, limit: usize) -> Result<Vec<Row>, StoreError> {
        let _ = (range, offset, limit);
        Err(self.no_sorted_set(table))
    }

    /// How many rows are in a range of a [`crate::Layout::SortedSet`] table.
    async fn count_by_score(&self, table: &StoreTable, range: &ScoreRange) -> Result<u64, StoreError> {
        let _ = range;
        Err(self.no_sorted_set(table))
    }

    /// The row of a key of a [`crate::Layout::SortedSet`] table, and how many of its partition have a lower score, or a higher one if
    /// `descending`.
    async fn rank(&self, table: &StoreTable, key: &Key, descending: bool) -> Result<Option<(Row, u64)>, StoreError> {
        let _ = (key, descending);
        Err(self.no_sorted_set(table))
    }

    /// The error where a table is to be read by score that isn't kept so.
    fn no_sorted_set(&self, table: &StoreTable) -> StoreError {
        StoreError::Unsupported {
            what: format!("table \"{}\" isn't a sorted set", table.table.name),
        }
    }

    /// All rows in any order, each once; [`StoreError::TooManyRows`] when there are more than `limit`.
    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// One change, atomically.
    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError>;

    /// Where a row is kept, for a store that takes no changes of rows in different places by [`Store::write_all`] (a Redis Cluster). `None`: any
    /// rows can be changed together.
    fn place(&self, table: &StoreTable, key: &Key) -> Option<u16> {
        let _ = (table, key);
        None
    }

    /// Deletes the rows of these keys, whatever they are, in any order and number. When it fails, some of them may be gone. No key comes twice.
    /// [`StoreError::Locked`] tells the key by its position.
    async fn delete_each(&self, table: &StoreTable, keys: &[Key]) -> Result<(), StoreError> {
        let mut places: BTreeMap<Option<u16>, Vec<usize>> = BTreeMap::new();
        for (position, key) in keys.iter().enumerate() {
            places.entry(self.place(table, key)).or_default().push(position);
        }
        for positions in places.values().flat_map(|positions| positions.chunks(DELETED_AT_ONCE)) {
            let delete = |&position: &usize| {
                let change = Change {
                    key: keys[position].clone(),
                    expect: Expect::Any,
                    effect: Effect::Delete,
                };
                (table, change)
            };
            let deleted = self.write_all(&positions.iter().map(delete).collect::<Vec<_>>()).await;
            deleted.map_err(|error| match error {
                StoreError::Locked { position, transaction } => StoreError::Locked {
                    position: positions.get(position).copied().unwrap_or_default(),
                    transaction,
                },
                error => error,
            })?;
        }
        Ok(())
    }

    /// Several changes, of different rows, all or none. False, and nothing written, when a condition didn't hold.
    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError>;

    /// Checks the conditions of several changes, of different rows, and locks the rows for the transaction, those too that aren't there; all or none.
    /// Reads go on to show the rows as they are. Whatever could refuse the changes later (a limit, a value) refuses them here. A row that this
    /// transaction has locked already stays so. None may expect [`crate::Expect::Any`]: a lock has to know whether it is on a row.
    async fn prepare(&self, transaction: TransactionId, changes: &[(&StoreTable, Change)]) -> Result<Prepared, StoreError>;

    /// Carries prepared changes out and takes their locks away. Rows without a lock of this transaction are left alone, so that it may be repeated,
    /// by anybody. The changes are puts and deletions; what they expect isn't checked, but says whether the row was there.
    async fn commit_prepared(&self, transaction: TransactionId, changes: &[(&StoreTable, Change)]) -> Result<(), StoreError>;

    /// Takes the transaction's locks away from these rows, which stay as they are. Other rows' locks, and others' locks, are left alone.
    async fn rollback_prepared(&self, transaction: TransactionId, keys: &[(&StoreTable, Key)]) -> Result<(), StoreError>;

    /// How it tells of changes, whoever makes them.
    fn telling(&self) -> Telling {
        Telling::Not
    }

    /// Tells the listener of all changes in these tables ([`Telling::Each`]: of one), until that ends for this reason. Before it says for the first time how far it
    /// has told ([`ChangeListener::told`], then about as often as `often`), it tells that changes were missed.
    async fn follow(&self, tables: &[&StoreTable], often: Duration, listener: &dyn ChangeListener) -> Result<Infallible, StoreError> {
        let _ = (tables, often, listener);
        Err(self.tells_nothing())
    }

    /// Whether [`Store::follow`] could begin; the error says what is to be switched on. Changes nothing.
    async fn check_follow(&self, tables: &[&StoreTable]) -> Result<(), StoreError> {
        let _ = tables;
        match self.telling() {
            Telling::Alone => Ok(()),
            _ => Err(self.tells_nothing()),
        }
    }

    /// The error where changes are to be followed in a store that doesn't tell of them.
    fn tells_nothing(&self) -> StoreError {
        StoreError::Unsupported {
            what: format!("{} doesn't tell of changes", self.kind()),
        }
    }
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
    ByScore {
        /// From the highest score down.
        descending: bool,
        /// Not between scores.
        whole: bool,
    },
    /// [`Store::count_by_score`]
    CountByScore {
        /// Not between scores.
        whole: bool,
    },
    /// [`Store::rank`]
    Rank,
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
