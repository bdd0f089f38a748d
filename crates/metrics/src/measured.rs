//! A store whose operations' times are taken.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flywheel_store::{
    Applied, Change, ChangeListener, Index, KeyRange, Operation, Prepared, ScoreRange, Store, StoreError, StoreTable, Telling,
    TransactionId,
};
use flywheel_types::{Key, Row};

use crate::operations::{Name, Operations};

/// A store whose operations' times are taken. It is the store in all else: what has a default in the trait is passed on too.
#[derive(Debug)]
pub struct Measured {
    store: Arc<dyn Store>,
    operations: Arc<Operations>,
}

impl Measured {
    /// Stands before a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, operations: Arc<Operations>) -> Self {
        Self { store, operations }
    }
}

#[async_trait]
impl Store for Measured {
    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    fn has_typed_values(&self) -> bool {
        self.store.has_typed_values()
    }

    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.store.accepts(table)
    }

    fn describe(&self, operation: Operation, table: &StoreTable) -> String {
        self.store.describe(operation, table)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.operations.take(Name::Ping, self.store.ping()).await
    }

    async fn create_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.operations.take(Name::CreateTable, self.store.create_table(table)).await
    }

    async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.operations.take(Name::DropTable, self.store.drop_table(table)).await
    }

    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError> {
        self.operations.take(Name::CheckTable, self.store.check_table(table)).await
    }

    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.operations.take(Name::Get, self.store.get(table, keys)).await
    }

    async fn range(&self, table: &StoreTable, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.operations.take(Name::Range, self.store.range(table, range, limit)).await
    }

    async fn index_range(&self, table: &StoreTable, index: &Index, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreError> {
        let work = self.store.index_range(table, index, range, limit);
        self.operations.take(Name::IndexRange, work).await
    }

    async fn find_indexes(&self, table: &StoreTable, listed: bool) -> Result<Vec<Index>, StoreError> {
        self.operations
            .take(Name::FindIndexes, self.store.find_indexes(table, listed))
            .await
    }

    async fn by_score(&self, table: &StoreTable, range: &ScoreRange, offset: usize, limit: usize) -> Result<Vec<Row>, StoreError> {
        let work = self.store.by_score(table, range, offset, limit);
        self.operations.take(Name::ByScore, work).await
    }

    async fn count_by_score(&self, table: &StoreTable, range: &ScoreRange) -> Result<u64, StoreError> {
        self.operations
            .take(Name::CountByScore, self.store.count_by_score(table, range))
            .await
    }

    async fn rank(&self, table: &StoreTable, key: &Key, descending: bool) -> Result<Option<(Row, u64)>, StoreError> {
        self.operations.take(Name::Rank, self.store.rank(table, key, descending)).await
    }

    fn no_sorted_set(&self, table: &StoreTable) -> StoreError {
        self.store.no_sorted_set(table)
    }

    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.operations.take(Name::Scan, self.store.scan(table, limit)).await
    }

    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError> {
        self.operations.take(Name::Write, self.store.write(table, change)).await
    }

    fn place(&self, table: &StoreTable, key: &Key) -> Option<u16> {
        self.store.place(table, key)
    }

    async fn delete_each(&self, table: &StoreTable, keys: &[Key]) -> Result<(), StoreError> {
        self.operations.take(Name::DeleteEach, self.store.delete_each(table, keys)).await
    }

    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError> {
        self.operations.take(Name::WriteAll, self.store.write_all(changes)).await
    }

    async fn prepare(&self, transaction: TransactionId, changes: &[(&StoreTable, Change)]) -> Result<Prepared, StoreError> {
        self.operations.take(Name::Prepare, self.store.prepare(transaction, changes)).await
    }

    async fn commit_prepared(&self, transaction: TransactionId, changes: &[(&StoreTable, Change)]) -> Result<(), StoreError> {
        let work = self.store.commit_prepared(transaction, changes);
        self.operations.take(Name::CommitPrepared, work).await
    }

    async fn rollback_prepared(&self, transaction: TransactionId, keys: &[(&StoreTable, Key)]) -> Result<(), StoreError> {
        let work = self.store.rollback_prepared(transaction, keys);
        self.operations.take(Name::RollbackPrepared, work).await
    }

    fn telling(&self) -> Telling {
        self.store.telling()
    }

    /// It goes on for as long as it can: that is no time to be taken.
    async fn follow(&self, tables: &[&StoreTable], often: Duration, listener: &dyn ChangeListener) -> Result<Infallible, StoreError> {
        self.store.follow(tables, often, listener).await
    }

    async fn check_follow(&self, tables: &[&StoreTable]) -> Result<(), StoreError> {
        self.operations.take(Name::CheckFollow, self.store.check_follow(tables)).await
    }

    fn tells_nothing(&self) -> StoreError {
        self.store.tells_nothing()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The names of the functions in a text, by the lines that begin one.
    fn functions(text: &str) -> BTreeSet<&str> {
        text.lines()
            .filter_map(|line| line.strip_prefix("    fn ").or_else(|| line.strip_prefix("    async fn ")))
            .filter_map(|line| line.split(['(', '<']).next())
            .collect()
    }

    /// One with a default that isn't passed on would be answered by the default, not by the store, and nobody would notice.
    #[test]
    fn all_of_the_trait_is_passed_on() {
        let all = functions(include_str!("../../store/src/store.rs"));
        let own = include_str!("measured.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let passed_on = functions(own);
        assert!(all.len() > 20, "{all:?}");
        assert_eq!(all.difference(&passed_on).collect::<Vec<_>>(), [] as [&&str; 0]);
    }
}
