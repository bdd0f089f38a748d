//! What a block has read is read again, where it is to be of one moment.
//!
//! A snapshot is what is read again: stores keep no versions. A value that has changed and changed
//! back between two reads isn't told from one that hasn't.

use std::collections::HashMap;
use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_store::{StoreError, StoreTable};
use flywheel_types::{Key, Row, TableName};
use flywheel_wire::{PgError, sqlstate};

use crate::block::{Isolation, ReadOf, sorted};
use crate::error::{conflict, store_error};
use crate::failure::Outcome;
use crate::host::{Executor, Host};

/// The setting by which a session, a role or a database does without snapshots of store tables.
const SETTING: &str = "flywheel.store_isolation";

/// Rows of one table that were read by their keys; `None`: there was no row.
struct SeenOfTable {
    home: Arc<Home>,
    keys: Vec<Key>,
    rows: Vec<Option<Row>>,
}

impl SeenOfTable {
    fn of(home: &Arc<Home>) -> Self {
        Self { home: home.clone(), keys: Vec::new(), rows: Vec::new() }
    }
}

impl<H: Host> Executor<'_, H> {
    /// Finds out how a block that is about to read or write store tables is isolated.
    pub(crate) async fn learn_isolation(&mut self) -> Outcome<()> {
        if !self.block().is_open() || self.block().isolation.is_some() {
            return Ok(());
        }
        let is_set = |name: &&str| self.setting(name).is_some();
        let names =
            ["transaction", "transaction_isolation", "default_transaction_isolation", "set_config"];
        let by_default =
            !self.block().says_isolation && !self.is_pinned() && !names.iter().any(is_set);
        if by_default && self.is_read_committed() {
            self.block_mut().isolation = Some(Isolation::ReadCommitted);
            return Ok(());
        }
        let sql = format!("SELECT {}", asking());
        let rows = self.results_on_server(&sql).await?;
        let named = rows.first().map_or("", |rows| rows.text(0, 0));
        self.block_mut().isolation = Some(Isolation::named(named));
        Ok(())
    }

    /// Whether the block's answers about store tables are to be those of one moment.
    pub(crate) fn keeps_a_snapshot(&self) -> bool {
        self.block().isolation.is_some_and(Isolation::keeps_a_snapshot)
    }

    /// Reads all again that the block has read, when there is more than a single row of it.
    pub(crate) async fn confirm_snapshot(&mut self) -> Outcome<()> {
        if !self.keeps_a_snapshot() {
            return Ok(());
        }
        let most = self.stores().max_fetch_rows;
        {
            let mut seen = self.block().snapshot.seen();
            if !seen.is_unconfirmed {
                return Ok(());
            }
            if seen.size > most {
                return Err(too_much(most).into());
            }
            if seen.others.is_empty() && seen.rows.len() == 1 {
                seen.is_unconfirmed = false;
                return Ok(());
            }
        }
        self.read_again().await
    }

    async fn read_again(&mut self) -> Outcome<()> {
        for home in self.block().snapshot.homes() {
            // Of a transaction that has committed, all stores show all.
            self.stores().carry_out_of(home.name()).await;
        }
        let (mut by_table, others) = {
            let seen = self.block().snapshot.seen();
            let mut by_table: HashMap<TableName, SeenOfTable> = HashMap::new();
            for ((name, key), (home, row)) in &seen.rows {
                let of_table =
                    by_table.entry(name.clone()).or_insert_with(|| SeenOfTable::of(home));
                of_table.keys.push(key.clone());
                of_table.rows.push(row.clone());
            }
            (by_table, seen.others.clone())
        };
        for SeenOfTable { home, keys, rows } in by_table.drain().map(|(_, of_table)| of_table) {
            let now = self.interruptible(home.store.get(&home.table, &keys)).await?;
            if now.map_err(|error| store_error(&error, &home))? != rows {
                return Err(conflict(&home).into());
            }
        }
        for (home, read, rows) in others {
            let is_same = match self.interruptible(again(&home, &read)).await? {
                Ok(now) => sorted(now) == rows,
                Err(StoreError::TooManyRows { .. }) => false,
                Err(error) => return Err(store_error(&error, &home).into()),
            };
            if !is_same {
                return Err(conflict(&home).into());
            }
        }
        self.block().snapshot.seen().is_unconfirmed = false;
        Ok(())
    }

    /// SERIALIZABLE blocks that have read or written one table commit one after the other, each as
    /// long as what it has read is still so.
    pub(crate) async fn confirm_serializable(&mut self, written: &[Arc<Home>]) -> Outcome<()> {
        if self.block().isolation != Some(Isolation::Serializable) {
            return Ok(());
        }
        let read = self.block().snapshot.homes();
        let mut oids: Vec<u32> =
            read.iter().chain(written).map(|home| home.table.table.oid).collect();
        oids.sort_unstable();
        oids.dedup();
        let locks: Vec<_> = oids
            .iter()
            .map(|oid| {
                format!("SELECT pg_catalog.pg_advisory_xact_lock({CLASS}, {})", oid.cast_signed())
            })
            .collect();
        self.on_server(&locks.join("; ")).await?;
        if read.is_empty() { Ok(()) } else { self.read_again().await }
    }
}

/// "flyS", a class of its own beside those of the turns.
const CLASS: i32 = 0x666c_7953;

/// The isolation level of the open block for store tables, as an expression.
pub(crate) fn asking() -> String {
    format!(
        "CASE pg_catalog.current_setting('{SETTING}', true) WHEN 'read committed' THEN 'read committed' \
         ELSE pg_catalog.current_setting('transaction_isolation') END"
    )
}

async fn again(home: &Home, read: &ReadOf) -> Result<Vec<Row>, StoreError> {
    let (store, table): (_, &StoreTable) = (&home.store, &home.table);
    match read {
        ReadOf::Range { index: None, range, limit } => store.range(table, range, *limit).await,
        ReadOf::Range { index: Some(index), range, limit } => {
            store.index_range(table, &table.indexes[*index], range, *limit).await
        }
        ReadOf::Score { range, offset, limit } => {
            store.by_score(table, range, *offset, *limit).await
        }
        ReadOf::Scan { limit } => store.scan(table, *limit).await,
    }
}

fn too_much(most: usize) -> PgError {
    let message = format!(
        "a REPEATABLE READ or SERIALIZABLE transaction can't read more than {most} rows of store tables"
    );
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(
        "Read fewer rows, use READ COMMITTED, or accept rows that others change meanwhile: \
         SET flywheel.store_isolation = 'read committed'.",
    )
}
