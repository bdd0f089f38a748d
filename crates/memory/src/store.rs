//! The store.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flywheel_store::{
    Applied, Change, ChangeListener, Defines, Expect, Feed, Index, Indexes, KeyRange, Layout,
    Operation, Prepared, ScoreRange, Scores, Store, StoreError, StoreTable, Telling, TransactionId,
    TwoPhase, Writes, accepts_layout, text_row,
};
use flywheel_types::{Key, Row};

use crate::rows::{Rows, View, key_bytes};
use crate::snapshot;

/// Tables in this process' memory, and in a file when asked to.
#[derive(Default)]
pub struct MemoryStore {
    tables: Mutex<HashMap<String, Rows>>,
    path: Option<PathBuf>,
    /// One save at a time: two would write the same temporary file.
    saving: Mutex<()>,
}

impl MemoryStore {
    /// An empty store that is gone with the process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store with the rows of the file at `path`, if there is one, to which [`MemoryStore::save`]
    /// writes.
    ///
    /// # Errors
    /// When the file can't be read, or is damaged: then the message names file and line.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            tables: Mutex::new(snapshot::load(path)?),
            path: Some(path.to_owned()),
            saving: Mutex::default(),
        })
    }

    /// Writes all rows to the file that the store was opened with, whole or not at all; does
    /// nothing in a store without a file. Blocks on the disk.
    ///
    /// # Errors
    /// When the file, or the temporary one beside it, can't be written.
    pub fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let _one_at_a_time = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let encoded = snapshot::encode(&self.tables());
        snapshot::replace(path, &encoded)
    }

    /// No operation leaves a table half changed, so a panic elsewhere doesn't spoil the rows.
    fn tables(&self) -> MutexGuard<'_, HashMap<String, Rows>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All changes or none; `own`: whose locks aren't in the way.
    fn write_together(
        &self,
        own: Option<TransactionId>,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let mut prepared = Vec::with_capacity(changes.len());
        for (position, (table, change)) in changes.iter().enumerate() {
            let checked = with(&mut tables, table, |view| {
                view.check_lock(&change.key, own, position)?;
                view.prepare(change)
            });
            match checked? {
                Some(prepared_change) => prepared.push((*table, change, prepared_change)),
                None => return Ok(false),
            }
        }
        for (table, change, prepared) in prepared {
            with(&mut tables, table, |view| {
                view.commit(prepared);
                if let Some(own) = own {
                    view.take_own_lock(&key_bytes(&change.key), own);
                }
                Ok(())
            })?;
        }
        Ok(true)
    }

    fn with<T>(
        &self,
        table: &StoreTable,
        work: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        with(&mut self.tables(), table, work)
    }
}

fn with<T>(
    tables: &mut HashMap<String, Rows>,
    table: &StoreTable,
    work: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if let Some(rows) = tables.get_mut(&table.physical_name) {
        return work(&mut rows.view(table)?);
    }
    let rows = tables.entry(table.physical_name.clone()).or_default();
    work(&mut rows.view(table)?)
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError> {
        accepts_layout(table)?;
        match table.layout {
            Layout::SortedSet { .. } => table.check_no_indexes("a sorted set"),
            Layout::Hash | Layout::Json => table.check_indexes(),
        }
    }

    fn describe(&self, operation: Operation, table: &StoreTable) -> String {
        let name = &table.physical_name;
        match operation {
            Operation::Get => format!("lookup in {name}"),
            Operation::GetMany => format!("lookups in {name}"),
            Operation::Range => format!("range of {name}"),
            Operation::IndexRange(index) => {
                format!("range of {name}, index {}", table.indexes[index].name)
            }
            Operation::ByScore { .. } => format!("{name} by score"),
            Operation::CountByScore { .. } => format!("count of {name} by score"),
            Operation::Rank => format!("rank in {name} by score"),
            Operation::Scan => format!("all of {name}"),
            Operation::Some => format!("some of {name}"),
            Operation::Put => format!("put into {name}"),
            Operation::Update => format!("set in {name}"),
            Operation::Delete => format!("remove from {name}"),
            Operation::WriteAll => "changes under one lock".to_owned(),
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError> {
        self.with(table, |view| {
            Ok(text_row::mismatches(table, &view.sample(text_row::SAMPLE_ROWS)))
        })
    }

    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.with(table, |view| view.get(keys))
    }

    async fn range(
        &self,
        table: &StoreTable,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.with(table, |view| view.range(range, limit))
    }

    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError> {
        table.check_scan()?;
        self.with(table, |view| view.scan(limit))
    }

    async fn some(&self, table: &StoreTable, limit: usize) -> Result<Option<Vec<Row>>, StoreError> {
        self.with(table, |view| view.some(limit).map(Some))
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        Some(self)
    }

    fn scores(&self) -> Option<&dyn Scores> {
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
impl Indexes for MemoryStore {
    async fn index_range(
        &self,
        table: &StoreTable,
        index: &Index,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.with(table, |view| view.index_range(&index.columns, range, limit))
    }

    async fn find_indexes(
        &self,
        table: &StoreTable,
        _listed: bool,
    ) -> Result<Vec<Index>, StoreError> {
        Ok(table.indexes.clone())
    }
}

#[async_trait]
impl Scores for MemoryStore {
    async fn by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.with(table, |view| view.by_score(range, offset, limit))
    }

    async fn count_by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
    ) -> Result<u64, StoreError> {
        self.with(table, |view| view.count_by_score(range))
    }

    async fn rank(
        &self,
        table: &StoreTable,
        key: &Key,
        descending: bool,
    ) -> Result<Option<(Row, u64)>, StoreError> {
        self.with(table, |view| view.rank(key, descending))
    }
}

#[async_trait]
impl Writes for MemoryStore {
    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError> {
        self.with(table, |view| {
            view.check_lock(&change.key, None, 0)?;
            Ok(match view.prepare(change)? {
                Some(prepared) => view.commit(prepared),
                None => Applied::Refused,
            })
        })
    }

    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError> {
        self.write_together(None, changes)
    }
}

#[async_trait]
impl TwoPhase for MemoryStore {
    async fn prepare(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<Prepared, StoreError> {
        let mut tables = self.tables();
        for (position, (table, change)) in changes.iter().enumerate() {
            let holds = with(&mut tables, table, |view| {
                view.check_lock(&change.key, Some(transaction), position)?;
                Ok(view.prepare(change)?.is_some())
            });
            if !holds? {
                return Ok(Prepared::Refused);
            }
        }
        for (table, change) in changes {
            with(&mut tables, table, |view| {
                view.set_lock(key_bytes(&change.key), transaction);
                Ok(())
            })?;
        }
        Ok(Prepared::Locked)
    }

    async fn commit_prepared(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<(), StoreError> {
        let mut tables = self.tables();
        for (table, change) in changes {
            with(&mut tables, table, |view| {
                let change = Change { expect: Expect::Any, ..change.clone() };
                if view.lock(&key_bytes(&change.key)) == Some(transaction) {
                    // What fails keeps its lock, and with it the chance to be carried out later.
                    if let Some(prepared) = view.prepare(&change)? {
                        view.commit(prepared);
                    }
                    view.take_lock(&key_bytes(&change.key), transaction);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    async fn rollback_prepared(
        &self,
        transaction: TransactionId,
        keys: &[(&StoreTable, Key)],
    ) -> Result<(), StoreError> {
        let mut tables = self.tables();
        for (table, key) in keys {
            with(&mut tables, table, |view| {
                view.take_lock(&key_bytes(key), transaction);
                Ok(())
            })?;
        }
        Ok(())
    }

    async fn write_own(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        self.write_together(Some(transaction), changes)
    }
}

#[async_trait]
impl Defines for MemoryStore {
    async fn create_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.with(table, |_| Ok(()))
    }

    async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.tables().remove(&table.physical_name);
        Ok(())
    }
}

#[async_trait]
impl Feed for MemoryStore {
    fn telling(&self) -> Telling {
        Telling::Alone
    }

    async fn follow(
        &self,
        _tables: &[&StoreTable],
        _often: Duration,
        _listener: &dyn ChangeListener,
    ) -> Result<Infallible, StoreError> {
        Err(StoreError::Unsupported { what: "nobody else changes rows in memory".to_owned() })
    }

    async fn check_follow(&self, _tables: &[&StoreTable]) -> Result<(), StoreError> {
        Ok(())
    }
}
