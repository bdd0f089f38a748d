//! The parts of a store, watched.

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use flywheel_types::{Key, Row};

use super::{Call, Method, Observed, Observer};
use crate::{
    Applied, Change, ChangeListener, Defines, Effect, Feed, Index, Indexes, KeyRange, Operation,
    Prepared, ScoreRange, Scores, StoreError, StoreTable, Telling, TransactionId, TwoPhase, Writes,
};

#[async_trait]
impl<O: Observer> Indexes for Observed<O> {
    async fn index_range(
        &self,
        table: &StoreTable,
        index: &Index,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let position = table.indexes.iter().position(|each| each.name == index.name);
        let operation = Operation::IndexRange(position.unwrap_or_default());
        let call = self.read(Method::IndexRange, table, operation);
        self.watch(call, self.store.index_range(table, index, range, limit), Vec::len).await
    }

    async fn find_indexes(
        &self,
        table: &StoreTable,
        listed: bool,
    ) -> Result<Vec<Index>, StoreError> {
        let call = Call { table: Some(table), ..self.call(Method::FindIndexes) };
        self.watch(call, self.store.find_indexes(table, listed), |_| 0).await
    }
}

#[async_trait]
impl<O: Observer> Scores for Observed<O> {
    async fn by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let operation =
            Operation::ByScore { descending: range.descending, whole: range.is_whole() };
        let call = self.read(Method::ByScore, table, operation);
        self.watch(call, self.store.by_score(table, range, offset, limit), Vec::len).await
    }

    async fn count_by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
    ) -> Result<u64, StoreError> {
        let operation = Operation::CountByScore { whole: range.is_whole() };
        let call = self.read(Method::CountByScore, table, operation);
        self.watch(call, self.store.count_by_score(table, range), |_| 1).await
    }

    async fn rank(
        &self,
        table: &StoreTable,
        key: &Key,
        descending: bool,
    ) -> Result<Option<(Row, u64)>, StoreError> {
        let call = self.read(Method::Rank, table, Operation::Rank);
        let rows = |found: &Option<_>| usize::from(found.is_some());
        self.watch(call, self.store.rank(table, key, descending), rows).await
    }
}

#[async_trait]
impl<O: Observer> Writes for Observed<O> {
    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError> {
        let operation = match change.effect {
            Effect::Put(_) => Operation::Put,
            Effect::Set(_) => Operation::Update,
            Effect::Delete => Operation::Delete,
        };
        let call = Call { changes: 1, ..self.read(Method::Write, table, operation) };
        let rows = |applied: &Applied| usize::from(*applied != Applied::Refused);
        self.watch(call, self.store.write(table, change), rows).await
    }

    fn place(&self, table: &StoreTable, key: &Key) -> Option<u16> {
        self.store.place(table, key)
    }

    async fn delete_each(&self, table: &StoreTable, keys: &[Key]) -> Result<(), StoreError> {
        let call =
            Call { table: Some(table), changes: keys.len(), ..self.call(Method::DeleteEach) };
        self.watch(call, self.store.delete_each(table, keys), |()| keys.len()).await
    }

    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError> {
        let rows = |written: &bool| if *written { changes.len() } else { 0 };
        let call = self.changes(Method::WriteAll, changes);
        self.watch(call, self.store.write_all(changes), rows).await
    }
}

#[async_trait]
impl<O: Observer> TwoPhase for Observed<O> {
    async fn prepare(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<Prepared, StoreError> {
        let call = self.changes(Method::Prepare, changes);
        self.watch(call, self.store.prepare(transaction, changes), |_| changes.len()).await
    }

    async fn commit_prepared(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<(), StoreError> {
        let call = self.changes(Method::CommitPrepared, changes);
        let work = self.store.commit_prepared(transaction, changes);
        self.watch(call, work, |()| changes.len()).await
    }

    async fn rollback_prepared(
        &self,
        transaction: TransactionId,
        keys: &[(&StoreTable, Key)],
    ) -> Result<(), StoreError> {
        let table = keys.first().map(|(table, _)| *table);
        let call = Call { table, ..self.call(Method::RollbackPrepared) };
        self.watch(call, self.store.rollback_prepared(transaction, keys), |()| keys.len()).await
    }

    async fn write_own(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        let call = self.changes(Method::WriteOwn, changes);
        let rows = |written: &bool| if *written { changes.len() } else { 0 };
        self.watch(call, self.store.write_own(transaction, changes), rows).await
    }
}

#[async_trait]
impl<O: Observer> Defines for Observed<O> {
    async fn create_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        let call = Call { table: Some(table), ..self.call(Method::CreateTable) };
        self.watch(call, self.store.create_table(table), |()| 0).await
    }

    async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        let call = Call { table: Some(table), ..self.call(Method::DropTable) };
        self.watch(call, self.store.drop_table(table), |()| 0).await
    }
}

#[async_trait]
impl<O: Observer> Feed for Observed<O> {
    fn telling(&self) -> Telling {
        self.store.telling()
    }

    /// It goes on for as long as it can: that is no operation to be watched.
    async fn follow(
        &self,
        tables: &[&StoreTable],
        often: Duration,
        listener: &dyn ChangeListener,
    ) -> Result<Infallible, StoreError> {
        self.store.follow(tables, often, listener).await
    }

    async fn check_follow(&self, tables: &[&StoreTable]) -> Result<(), StoreError> {
        let call = Call { table: tables.first().copied(), ..self.call(Method::CheckFollow) };
        self.watch(call, self.store.check_follow(tables), |()| 0).await
    }
}
