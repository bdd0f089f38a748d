//! The parts that a store may lack. What needs a missing part is refused when a statement is
//! planned.
//!
//! A lock lies with its row: in DynamoDB it is an attribute of the item (and of an item that only
//! holds it, for a row that isn't there yet; the sweeper's attribute is taken off meanwhile), in
//! Redis a key in the row's slot, which the write script looks at. So every single write of ours is
//! conditional on its absence, without another request.
//!
//! A further part that a store may lack has its trait here, what its absence means in `missing.rs`,
//! and its refusal in `plan/capability.rs`; `tests/e2e/csv.rs` has a store that lacks nearly all.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use flywheel_types::{Key, Row};

use crate::{
    Applied, Change, ChangeListener, Effect, Expect, Index, KeyRange, Prepared, ScoreRange,
    StoreError, StoreTable, Telling, TransactionId,
};

/// How many rows [`Writes::delete_each`] deletes together, unless the store has a better way.
const DELETED_AT_ONCE: usize = 100;

/// A store's part that keeps secondary indexes.
#[async_trait]
pub trait Indexes: Send + Sync {
    /// The rows of a range over the columns of a secondary index of the table, in the order of its
    /// sort columns (ties in any order), at most `limit`. [`KeyRange::partition`] is of the index's
    /// first column, the ends are of its second. Whole rows, whatever the index holds.
    async fn index_range(
        &self,
        table: &StoreTable,
        index: &Index,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// The table's indexes as the store has them. `listed`: only those that the table names; what
    /// the store hasn't is left out. Otherwise all that it has and that can serve.
    async fn find_indexes(
        &self,
        table: &StoreTable,
        listed: bool,
    ) -> Result<Vec<Index>, StoreError>;
}

/// A store's part that keeps tables as sorted sets ([`crate::Layout::SortedSet`]).
#[async_trait]
pub trait Scores: Send + Sync {
    /// The rows of a range of a [`crate::Layout::SortedSet`] table by score, without the first
    /// `offset`, at most `limit`. Ties in any order that stays the same while they don't change.
    async fn by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// How many rows are in a range of a [`crate::Layout::SortedSet`] table.
    async fn count_by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
    ) -> Result<u64, StoreError>;

    /// The row of a key of a [`crate::Layout::SortedSet`] table, and how many of its partition have
    /// a lower score, or a higher one if `descending`.
    async fn rank(
        &self,
        table: &StoreTable,
        key: &Key,
        descending: bool,
    ) -> Result<Option<(Row, u64)>, StoreError>;
}

/// A store's part that changes rows.
///
/// Every write is refused with [`StoreError::Locked`] where it meets a row that another transaction
/// has locked.
#[async_trait]
pub trait Writes: Send + Sync {
    /// One change, atomically.
    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError>;

    /// Where a row is kept, for a store that takes no changes of rows in different places by
    /// [`Writes::write_all`] (a Redis Cluster). `None`: any rows can be changed together.
    fn place(&self, table: &StoreTable, key: &Key) -> Option<u16> {
        let _ = (table, key);
        None
    }

    /// Deletes the rows of these keys, whatever they are, in any order and number. When it fails,
    /// some of them may be gone. No key comes twice. [`StoreError::Locked`] tells the key by its
    /// position.
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

    /// Several changes, of different rows, all or none. False, and nothing written, when a
    /// condition didn't hold.
    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError>;
}

/// A store's part that locks rows for a transaction: for blocks of statements, for commits over
/// several stores, and for rows that are read FOR UPDATE.
#[async_trait]
pub trait TwoPhase: Send + Sync {
    /// Checks the conditions of several changes, of different rows, and locks the rows for the
    /// transaction, those too that aren't there; all or none. Reads go on to show the rows as they
    /// are. Whatever could refuse the changes later (a limit, a value) refuses them here. Locks
    /// that the transaction's own block has already ([`TransactionId::is_of_same_block`]) become
    /// this one's. None may expect [`crate::Expect::Any`]: a lock has to know whether it is on a
    /// row.
    async fn prepare(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<Prepared, StoreError>;

    /// Carries prepared changes out and takes their locks away. Rows without a lock of this
    /// transaction are left alone, so that it may be repeated, by anybody. The changes are puts and
    /// deletions; what they expect isn't checked, but says whether the row was there.
    async fn commit_prepared(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<(), StoreError>;

    /// Takes the transaction's locks away from these rows, which stay as they are. Other rows'
    /// locks, and others' locks, are left alone.
    async fn rollback_prepared(
        &self,
        transaction: TransactionId,
        keys: &[(&StoreTable, Key)],
    ) -> Result<(), StoreError>;

    /// [`Writes::write_all`] for a transaction whose block has locked rows by
    /// [`TwoPhase::prepare`]: its own locks aren't in the way, and go with the write. Conditions
    /// are checked as ever. The changes are puts and deletions.
    async fn write_own(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError>;
}

/// A store's part that makes and removes tables. The rows of a store without it are somebody
/// else's: CREATE TABLE and DROP TABLE concern PostgreSQL's definition alone, and ALTER TABLE is
/// refused.
#[async_trait]
pub trait Defines: Send + Sync {
    /// Makes the table; succeeds when it is there already with the same key.
    async fn create_table(&self, table: &StoreTable) -> Result<(), StoreError>;

    /// Removes the table and its rows; succeeds when it isn't there.
    async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError>;
}

/// A store's part that tells of changes, whoever makes them.
#[async_trait]
pub trait Feed: Send + Sync {
    /// How it tells of changes, whoever makes them.
    fn telling(&self) -> Telling;

    /// Tells the listener of all changes in these tables ([`Telling::Each`]: of one), until that
    /// ends for this reason. Before it says for the first time how far it has told
    /// ([`ChangeListener::told`], then about as often as `often`), it tells that changes were
    /// missed.
    async fn follow(
        &self,
        tables: &[&StoreTable],
        often: Duration,
        listener: &dyn ChangeListener,
    ) -> Result<Infallible, StoreError>;

    /// Whether [`Feed::follow`] could begin; the error says what is to be switched on. Changes
    /// nothing.
    async fn check_follow(&self, tables: &[&StoreTable]) -> Result<(), StoreError>;
}
