//! A store whose operations are counted and timed, for EXPLAIN ANALYZE.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flywheel_plan::Home;
use flywheel_store::{
    Applied, Change, Effect, Index, KeyRange, Operation, Prepared, ScoreRange, Store, StoreError, StoreTable, TransactionId,
};
use flywheel_types::{Key, Row, TableName};

/// Operations of one kind on one table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    pub(super) table: TableName,
    /// As the store calls it.
    pub(super) operation: String,
    /// How often.
    pub(super) count: usize,
    /// Rows read or changed.
    pub(super) rows: usize,
    pub(super) took: Duration,
}

/// What was measured, in the order in which it began to.
#[derive(Debug, Clone, Default)]
pub(super) struct Measures(Arc<Mutex<Vec<Measure>>>);

impl Measures {
    /// The table, with its store measured.
    pub(super) fn of(&self, home: &Arc<Home>) -> Arc<Home> {
        Arc::new(Home {
            store: Arc::new(Measured {
                inner: home.store.clone(),
                measures: self.clone(),
            }),
            ..Home::clone(home)
        })
    }

    pub(super) fn take(&self) -> Vec<Measure> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, table: &StoreTable, operation: String, rows: usize, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &table.table.name;
        match all.iter_mut().find(|each| each.table == *name && each.operation == operation) {
            Some(known) => {
                known.count += 1;
                known.rows += rows;
                known.took += took;
            }
            None => all.push(Measure {
                table: name.clone(),
                operation,
                count: 1,
                rows,
                took,
            }),
        }
    }
}

#[derive(Debug)]
struct Measured {
    inner: Arc<dyn Store>,
    measures: Measures,
}

impl Measured {
    /// Notes what an operation has done, by the number of rows in its result.
    fn note<T>(
        &self,
        table: &StoreTable,
        (operation, began): (Operation, Instant),
        result: Result<T, StoreError>,
        rows: impl FnOnce(&T) -> usize,
    ) -> Result<T, StoreError> {
        let count = result.as_ref().map_or(0, rows);
        self.measures
            .add(table, self.inner.describe(operation, table), count, began.elapsed());
        result
    }

    /// Notes that of a transaction on several stores, of which changes of several tables may be.
    fn note_phase(&self, tables: &[&StoreTable], phase: &str, began: Instant) {
        if let Some(table) = tables.first() {
            let operation = format!("{}, {phase}", self.inner.describe(Operation::WriteAll, table));
            self.measures.add(table, operation, tables.len(), began.elapsed());
        }
    }
}

#[async_trait]
impl Store for Measured {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn has_typed_values(&self) -> bool {
        self.inner.has_typed_values()
    }

    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.inner.accepts(table)
    }

    fn describe(&self, operation: Operation, table: &StoreTable) -> String {
        self.inner.describe(operation, table)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn create_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.inner.create_table(table).await
    }

    async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.inner.drop_table(table).await
    }

    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError> {
        self.inner.check_table(table).await
    }

    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        let operation = if keys.len() == 1 { Operation::Get } else { Operation::GetMany };
        let began = (operation, Instant::now());
        let found = self.inner.get(table, keys).await;
        self.note(table, began, found, |rows| rows.iter().flatten().count())
    }

    async fn range(&self, table: &StoreTable, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreError> {
        let began = (Operation::Range, Instant::now());
        let found = self.inner.range(table, range, limit).await;
        self.note(table, began, found, Vec::len)
    }

    async fn index_range(&self, table: &StoreTable, index: &Index, range: &KeyRange, limit: usize) -> Result<Vec<Row>, StoreError> {
        let position = table.indexes.iter().position(|each| each.name == index.name).unwrap_or_default();
        let began = (Operation::IndexRange(position), Instant::now());
        let found = self.inner.index_range(table, index, range, limit).await;
        self.note(table, began, found, Vec::len)
    }

    async fn find_indexes(&self, table: &StoreTable, listed: bool) -> Result<Vec<Index>, StoreError> {
        self.inner.find_indexes(table, listed).await
    }

    async fn by_score(&self, table: &StoreTable, range: &ScoreRange, offset: usize, limit: usize) -> Result<Vec<Row>, StoreError> {
        let operation = Operation::ByScore {
            descending: range.descending,
            whole: range.is_whole(),
        };
        let began = (operation, Instant::now());
        let found = self.inner.by_score(table, range, offset, limit).await;
        self.note(table, began, found, Vec::len)
    }

    async fn count_by_score(&self, table: &StoreTable, range: &ScoreRange) -> Result<u64, StoreError> {
        let operation = Operation::CountByScore { whole: range.is_whole() };
        let began = (operation, Instant::now());
        let counted = self.inner.count_by_score(table, range).await;
        self.note(table, began, counted, |_| 1)
    }

    async fn rank(&self, table: &StoreTable, key: &Key, descending: bool) -> Result<Option<(Row, u64)>, StoreError> {
        let began = (Operation::Rank, Instant::now());
        let found = self.inner.rank(table, key, descending).await;
        self.note(table, began, found, |found| usize::from(found.is_some()))
    }

    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError> {
        let began = (Operation::Scan, Instant::now());
        let found = self.inner.scan(table, limit).await;
        self.note(table, began, found, Vec::len)
    }

    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError> {
        let operation = match change.effect {
            Effect::Put(_) => Operation::Put,
            Effect::Set(_) => Operation::Update,
            Effect::Delete => Operation::Delete,
        };
        let began = (operation, Instant::now());
        let applied = self.inner.write(table, change).await;
        self.note(table, began, applied, |applied| usize::from(*applied != Applied::Refused))
    }

    fn place(&self, table: &StoreTable, key: &Key) -> Option<u16> {
        self.inner.place(table, key)
    }

    async fn delete_each(&self, table: &StoreTable, keys: &[Key]) -> Result<(), StoreError> {
        self.inner.delete_each(table, keys).await
    }

    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError> {
        let began = (Operation::WriteAll, Instant::now());
        let written = self.inner.write_all(changes).await;
        match changes.first() {
            Some((table, _)) => self.note(table, began, written, |written| if *written { changes.len() } else { 0 }),
            None => written,
        }
    }

    async fn prepare(&self, transaction: TransactionId, changes: &[(&StoreTable, Change)]) -> Result<Prepared, StoreError> {
        let began = Instant::now();
        let prepared = self.inner.prepare(transaction, changes).await;
        self.note_phase(&tables(changes), "prepared", began);
        prepared
    }

    async fn commit_prepared(&self, transaction: TransactionId, changes: &[(&StoreTable, Change)]) -> Result<(), StoreError> {
        let began = Instant::now();
        let carried_out = self.inner.commit_prepared(transaction, changes).await;
        self.note_phase(&tables(changes), "carried out", began);
        carried_out
    }

    async fn rollback_prepared(&self, transaction: TransactionId, keys: &[(&StoreTable, Key)]) -> Result<(), StoreError> {
        self.inner.rollback_prepared(transaction, keys).await
    }
}

fn tables<'t>(changes: &[(&'t StoreTable, Change)]) -> Vec<&'t StoreTable> {
    changes.iter().map(|(table, _)| *table).collect()
}
