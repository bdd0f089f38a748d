//! What any store can be asked, whatever parts it has.

use std::convert::Infallible;
use std::time::Duration;

use flywheel_types::{Key, Row};

use crate::{
    Applied, Change, ChangeListener, Index, KeyRange, Prepared, ScoreRange, Store, StoreError,
    StoreTable, Telling, TransactionId,
};

impl dyn Store + '_ {
    fn lacks(&self, what: &str) -> StoreError {
        StoreError::Unsupported { what: format!("{} {what}", self.kind()) }
    }

    /// [`crate::Indexes::index_range`]
    ///
    /// # Errors
    /// The store's, or that it has no indexes.
    pub async fn index_range(
        &self,
        table: &StoreTable,
        index: &Index,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let indexes = self.indexes().ok_or_else(|| self.lacks("keeps no secondary indexes"))?;
        indexes.index_range(table, index, range, limit).await
    }

    /// [`crate::Indexes::find_indexes`]; those that the table names where the store has none of its
    /// own.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_indexes(
        &self,
        table: &StoreTable,
        listed: bool,
    ) -> Result<Vec<Index>, StoreError> {
        match self.indexes() {
            Some(indexes) => indexes.find_indexes(table, listed).await,
            None => Ok(Vec::new()),
        }
    }

    fn sorted_sets(&self) -> Result<&dyn crate::Scores, StoreError> {
        self.scores().ok_or_else(|| self.lacks("has no sorted sets"))
    }

    /// [`crate::Scores::by_score`]
    ///
    /// # Errors
    /// The store's, or that it has no sorted sets.
    pub async fn by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.sorted_sets()?.by_score(table, range, offset, limit).await
    }

    /// [`crate::Scores::count_by_score`]
    ///
    /// # Errors
    /// The store's, or that it has no sorted sets.
    pub async fn count_by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
    ) -> Result<u64, StoreError> {
        self.sorted_sets()?.count_by_score(table, range).await
    }

    /// [`crate::Scores::rank`]
    ///
    /// # Errors
    /// The store's, or that it has no sorted sets.
    pub async fn rank(
        &self,
        table: &StoreTable,
        key: &Key,
        descending: bool,
    ) -> Result<Option<(Row, u64)>, StoreError> {
        self.sorted_sets()?.rank(table, key, descending).await
    }

    fn writing(&self) -> Result<&dyn crate::Writes, StoreError> {
        self.writes().ok_or_else(|| self.lacks("is read only"))
    }

    /// [`crate::Writes::write`]
    ///
    /// # Errors
    /// The store's, or that it is read only.
    pub async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError> {
        self.writing()?.write(table, change).await
    }

    /// [`crate::Writes::place`]
    #[must_use]
    pub fn place(&self, table: &StoreTable, key: &Key) -> Option<u16> {
        self.writes()?.place(table, key)
    }

    /// [`crate::Writes::delete_each`]
    ///
    /// # Errors
    /// The store's, or that it is read only.
    pub async fn delete_each(&self, table: &StoreTable, keys: &[Key]) -> Result<(), StoreError> {
        self.writing()?.delete_each(table, keys).await
    }

    /// [`crate::Writes::write_all`]
    ///
    /// # Errors
    /// The store's, or that it is read only.
    pub async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError> {
        self.writing()?.write_all(changes).await
    }

    fn locking(&self) -> Result<&dyn crate::TwoPhase, StoreError> {
        self.two_phase().ok_or_else(|| self.lacks("can't lock rows for a transaction"))
    }

    /// [`crate::TwoPhase::write_own`]
    ///
    /// # Errors
    /// The store's, or that it locks no rows.
    pub async fn write_own(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        self.locking()?.write_own(transaction, changes).await
    }

    /// [`crate::TwoPhase::prepare`]
    ///
    /// # Errors
    /// The store's, or that it locks no rows.
    pub async fn prepare(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<Prepared, StoreError> {
        self.locking()?.prepare(transaction, changes).await
    }

    /// [`crate::TwoPhase::commit_prepared`]
    ///
    /// # Errors
    /// The store's, or that it locks no rows.
    pub async fn commit_prepared(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<(), StoreError> {
        self.locking()?.commit_prepared(transaction, changes).await
    }

    /// [`crate::TwoPhase::rollback_prepared`]
    ///
    /// # Errors
    /// The store's, or that it locks no rows.
    pub async fn rollback_prepared(
        &self,
        transaction: TransactionId,
        keys: &[(&StoreTable, Key)],
    ) -> Result<(), StoreError> {
        self.locking()?.rollback_prepared(transaction, keys).await
    }

    /// [`crate::Defines::create_table`]; nothing where the store's tables are somebody else's.
    ///
    /// # Errors
    /// The store's.
    pub async fn create_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        match self.defines() {
            Some(defines) => defines.create_table(table).await,
            None => Ok(()),
        }
    }

    /// [`crate::Defines::drop_table`]; nothing where the store's tables are somebody else's.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        match self.defines() {
            Some(defines) => defines.drop_table(table).await,
            None => Ok(()),
        }
    }

    /// [`crate::Feed::telling`]
    #[must_use]
    pub fn telling(&self) -> Telling {
        self.feed().map_or(Telling::Not, crate::Feed::telling)
    }

    fn changes(&self) -> Result<&dyn crate::Feed, StoreError> {
        self.feed().ok_or_else(|| self.lacks("doesn't tell of changes"))
    }

    /// [`crate::Feed::follow`]
    ///
    /// # Errors
    /// Why it has ended, or that the store tells of no changes.
    pub async fn follow(
        &self,
        tables: &[&StoreTable],
        often: Duration,
        listener: &dyn ChangeListener,
    ) -> Result<Infallible, StoreError> {
        self.changes()?.follow(tables, often, listener).await
    }

    /// [`crate::Feed::check_follow`]
    ///
    /// # Errors
    /// What is to be switched on, or that the store tells of no changes.
    pub async fn check_follow(&self, tables: &[&StoreTable]) -> Result<(), StoreError> {
        self.changes()?.check_follow(tables).await
    }
}
