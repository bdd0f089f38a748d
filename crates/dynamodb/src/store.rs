//! [`Store`] for [`DynamoStore`].

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use flywheel_store::{
    Applied, Change, ChangeListener, Defines, Feed, Index, Indexes, KeyRange, Operation, Prepared,
    Store, StoreError, StoreTable, Telling, TransactionId, TwoPhase, Writes,
};
use flywheel_types::{Key, Row};

use crate::client::DynamoStore;

#[async_trait]
impl Store for DynamoStore {
    fn kind(&self) -> &'static str {
        "DynamoDB"
    }

    fn has_typed_values(&self) -> bool {
        true
    }

    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.check_definition(table)
    }

    fn describe(&self, operation: Operation, table: &StoreTable) -> String {
        let request = match operation {
            Operation::Get => "GetItem",
            Operation::GetMany => "BatchGetItem",
            Operation::Range
            | Operation::IndexRange(_)
            | Operation::ByScore { .. }
            | Operation::CountByScore { .. }
            | Operation::Rank => "Query",
            Operation::Scan | Operation::Some => "Scan",
            Operation::Put => "PutItem",
            Operation::Update => "UpdateItem",
            Operation::Delete => "DeleteItem",
            Operation::WriteAll => "TransactWriteItems",
        };
        let consistent = match operation {
            Operation::Get
            | Operation::GetMany
            | Operation::Range
            | Operation::Scan
            | Operation::Some => table.consistent_read,
            Operation::IndexRange(index) => {
                !table.indexes[index].is_eventual && table.indexes[index].consistent_read
            }
            _ => false,
        };
        let index = match operation {
            Operation::IndexRange(index) => format!(" index {}", table.indexes[index].name),
            _ => String::new(),
        };
        let consistency = if consistent { " ConsistentRead" } else { "" };
        format!("{request} {}{index}{consistency}", self.table_name(table))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.answers().await
    }

    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError> {
        self.compare_table(table).await
    }

    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.get_rows(table, keys).await
    }

    async fn range(
        &self,
        table: &StoreTable,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.range_rows(table, None, range, limit).await
    }

    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.scan_rows(table, limit).await
    }

    async fn some(&self, table: &StoreTable, limit: usize) -> Result<Option<Vec<Row>>, StoreError> {
        self.some_rows(table, limit).await
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        Some(self)
    }

    fn writes(&self) -> Option<&dyn Writes> {
        Some(self)
    }

    fn two_phase(&self) -> Option<&dyn TwoPhase> {
        Some(self)
    }

    fn defines(&self) -> Option<&dyn Defines> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn Feed> {
        Some(self)
    }
}

#[async_trait]
impl Indexes for DynamoStore {
    async fn index_range(
        &self,
        table: &StoreTable,
        index: &Index,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.range_rows(table, Some(index), range, limit).await
    }

    async fn find_indexes(
        &self,
        table: &StoreTable,
        listed: bool,
    ) -> Result<Vec<Index>, StoreError> {
        self.indexes_of(table, listed).await
    }
}

#[async_trait]
impl Writes for DynamoStore {
    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError> {
        self.write_one(table, change).await
    }

    async fn delete_each(&self, table: &StoreTable, keys: &[Key]) -> Result<(), StoreError> {
        self.delete_rows(table, keys).await
    }

    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError> {
        self.write_many(changes).await
    }
}

#[async_trait]
impl TwoPhase for DynamoStore {
    async fn prepare(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<Prepared, StoreError> {
        self.lock_all(transaction, changes).await
    }

    async fn commit_prepared(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<(), StoreError> {
        self.write_locked(transaction, changes).await
    }

    async fn rollback_prepared(
        &self,
        transaction: TransactionId,
        keys: &[(&StoreTable, Key)],
    ) -> Result<(), StoreError> {
        self.unlock_all(transaction, keys).await
    }

    async fn write_own(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        self.write_own_rows(transaction, changes).await
    }
}

#[async_trait]
impl Defines for DynamoStore {
    async fn create_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.check_definition(table)?;
        self.make_table(table).await
    }

    async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.remove_table(table).await
    }
}

#[async_trait]
impl Feed for DynamoStore {
    fn telling(&self) -> Telling {
        Telling::Each
    }

    async fn follow(
        &self,
        tables: &[&StoreTable],
        often: Duration,
        listener: &dyn ChangeListener,
    ) -> Result<Infallible, StoreError> {
        match tables {
            [table] => self.follow_table(table, often, listener).await,
            _ => Err(StoreError::Unsupported {
                what: "each table in DynamoDB has a stream of its own".to_owned(),
            }),
        }
    }

    async fn check_follow(&self, tables: &[&StoreTable]) -> Result<(), StoreError> {
        self.try_streams(tables).await
    }
}
