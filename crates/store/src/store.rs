//! The trait that every home of tables implements.

use std::fmt::Debug;

use async_trait::async_trait;
use flywheel_types::{Key, Row};

use crate::{Defines, Feed, Indexes, KeyRange, Scores, StoreError, StoreTable, TwoPhase, Writes};

/// A store that is home to tables. One value serves all sessions at once.
///
/// Rows that have expired ([`StoreTable::is_expired`]) are never returned, and count as absent for
/// conditions.
///
/// Every store is read. What else it can do it gives as parts, each of which it may lack. `dyn
/// Store` has the parts' methods too: they ask the part, or say that the store lacks it.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// What it is, as EXPLAIN and errors name it: `DynamoDB`, `Redis`, `memory`.
    fn kind(&self) -> &'static str;

    /// Whether values have types of the store's own, so that others may have written another than
    /// the column's.
    fn has_typed_values(&self) -> bool {
        false
    }

    /// Whether a table with this definition can live here; the error is [`StoreError::Unsupported`]
    /// and says which column and why. Pure: asks nothing of the store.
    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError>;

    /// The store's own name for each operation, as EXPLAIN shows it.
    fn describe(&self, operation: Operation, table: &StoreTable) -> String;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// How the table in the store differs from its definition, a sentence each; empty when it fits.
    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError>;

    /// The rows of these keys, in the keys' order, `None` where there is none. No key comes twice.
    /// Any number of keys: the store chunks.
    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError>;

    /// The rows of a range in its order, at most `limit`.
    async fn range(
        &self,
        table: &StoreTable,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// All rows in any order, each once; [`StoreError::TooManyRows`] when there are more than
    /// `limit`.
    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// Any rows of the table, each once: `limit` of them, fewer only where there are no more. Asked
    /// of tables that may not be scanned, too, so the store looks at little more than it gives;
    /// `None` where it would have to look at much more, as among the keys of other tables.
    async fn some(&self, table: &StoreTable, limit: usize) -> Result<Option<Vec<Row>>, StoreError>;

    /// Its secondary indexes.
    fn indexes(&self) -> Option<&dyn Indexes> {
        None
    }

    /// Its sorted sets.
    fn scores(&self) -> Option<&dyn Scores> {
        None
    }

    /// How it changes rows; `None`: it is read only.
    fn writes(&self) -> Option<&dyn Writes> {
        None
    }

    /// How it locks rows.
    fn two_phase(&self) -> Option<&dyn TwoPhase> {
        None
    }

    /// How it makes and removes tables.
    fn defines(&self) -> Option<&dyn Defines> {
        None
    }

    /// How it tells of changes.
    fn feed(&self) -> Option<&dyn Feed> {
        None
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
    /// [`Indexes::index_range`], by the index's position in [`StoreTable::indexes`].
    IndexRange(usize),
    /// [`Scores::by_score`]
    ByScore {
        /// From the highest score down.
        descending: bool,
        /// Not between scores.
        whole: bool,
    },
    /// [`Scores::count_by_score`]
    CountByScore {
        /// Not between scores.
        whole: bool,
    },
    /// [`Scores::rank`]
    Rank,
    /// [`Store::scan`]
    Scan,
    /// [`Store::some`]
    Some,
    /// A row put, if absent or not.
    Put,
    /// Columns of a row set.
    Update,
    /// A row deleted.
    Delete,
    /// Several changes at once.
    WriteAll,
}
