//! Rows of a store table as the session sees them: the store's, with what its transaction block has
//! written laid over them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flywheel_plan::{Home, ResolvedAccess};
use flywheel_store::{KeyRange, Layout, ScoreRange, StoreError};
use flywheel_types::{Key, Row, ordered};
use futures_util::future::try_join_all;

use super::page::Page;
use crate::block::ReadOf;
use crate::error::{scan_refused, store_error, too_many_rows};
use crate::failure::Outcome;
use crate::host::{Executor, Host};

/// How many partitions of a table one statement reads at the same time.
const PARALLEL_RANGES: usize = 16;

impl<H: Host> Executor<'_, H> {
    /// The rows of these keys, in the keys' order.
    pub(crate) async fn read_keys(
        &mut self,
        home: &Arc<Home>,
        keys: &[Key],
    ) -> Outcome<Vec<Option<Row>>> {
        self.check_written_for(home)?;
        let unknown: Vec<Key> = keys
            .iter()
            .filter(|key| self.block().get(home.name(), key).is_none())
            .cloned()
            .collect();
        let mut stored: HashMap<Key, Option<Row>> = HashMap::new();
        let unknown = if self.keeps_a_snapshot() {
            let (known, unknown): (Vec<Key>, Vec<Key>) =
                unknown.into_iter().partition(|key| self.block().snapshot.row(home, key).is_some());
            stored.extend(
                known
                    .into_iter()
                    .map(|key| (key.clone(), self.block().snapshot.row(home, &key).flatten())),
            );
            unknown
        } else {
            unknown
        };
        if !unknown.is_empty() {
            let _relied = self.rely_on(home)?;
            let rows = self
                .interruptible(home.store.get(&home.table, &unknown))
                .await?
                .map_err(|error| store_error(&error, home))?;
            if self.keeps_a_snapshot() {
                self.block().snapshot.note_rows(home, unknown.iter().zip(&rows));
            }
            stored.extend(unknown.into_iter().zip(rows));
        }
        Ok(keys
            .iter()
            .map(|key| {
                self.block()
                    .get(home.name(), key)
                    .map_or_else(|| stored.remove(key).flatten(), |written| written.after.clone())
            })
            .collect())
    }

    /// The rows of ranges of the primary key or an index, read at the same time: one range's behind
    /// the other's, each in its order and at most `limit` of it.
    pub(crate) async fn read_ranges(
        &mut self,
        home: &Arc<Home>,
        index: Option<usize>,
        ranges: &[KeyRange],
        limit: usize,
    ) -> Outcome<Vec<Row>> {
        self.check_written_for(home)?;
        let written = self.block().count_of_table(home.name());
        let most = limit.saturating_add(written);
        let read = ranges.iter().map(|range| async move {
            match index {
                Some(index) => {
                    let index = &home.table.indexes[index];
                    home.store.index_range(&home.table, index, range, most).await
                }
                None => home.store.range(&home.table, range, most).await,
            }
        });
        let relied = self.rely_on(home)?;
        let found = self.interruptible(try_join_all(read)).await?;
        let found = found.map_err(|error| store_error(&error, home))?;
        drop(relied);
        let mut all = Vec::new();
        for (range, rows) in ranges.iter().zip(found) {
            if self.keeps_a_snapshot() {
                let read = ReadOf::Range { index, range: range.clone(), limit: most };
                self.block().snapshot.note(home, read, &rows);
            }
            if written == 0 {
                all.extend(rows);
                continue;
            }
            let columns = home.table.order_columns(index);
            // What the block has moved out of the range goes with the rows that it has written;
            // what it has moved in comes.
            let mut rows = self.lay_over(home, rows, |row| range.contains(columns, row));
            rows.sort_by_cached_key(|row| KeyRange::sort_key(columns, row));
            if range.descending {
                rows.reverse();
            }
            rows.truncate(limit);
            all.extend(rows);
        }
        Ok(all)
    }

    /// Any `limit` rows of a table; `None` where they can't be told: the store would have to look
    /// at too much for them, or the block's snapshot is of other rows.
    pub(crate) async fn read_some(
        &mut self,
        home: &Arc<Home>,
        limit: usize,
    ) -> Outcome<Option<Vec<Row>>> {
        if self.keeps_a_snapshot() {
            return Ok(None);
        }
        if limit == 0 {
            return Ok(Some(Vec::new()));
        }
        self.check_written_for(home)?;
        let most = limit.saturating_add(self.block().count_of_table(home.name()));
        let relied = self.rely_on(home)?;
        let rows = self.interruptible(home.store.some(&home.table, most)).await?;
        drop(relied);
        let rows = rows.map_err(|error| store_error(&error, home))?;
        Ok(rows.map(|rows| {
            let mut rows = self.lay_over(home, rows, |_| true);
            rows.truncate(limit);
            rows
        }))
    }

    /// A page of a sorted set by score; refused when it has more than `max_fetch_rows`.
    pub(crate) async fn read_by_score(
        &mut self,
        home: &Arc<Home>,
        range: &ScoreRange,
        page: Page,
    ) -> Outcome<Vec<Row>> {
        self.check_written_for(home)?;
        let most = self.stores().max_fetch_rows;
        let written = self.block().count_of_table(home.name());
        let (offset, limit) = match written {
            0 => (page.offset, page.limit),
            // What the block has written may stand ahead of the page.
            _ => (0, page.head().saturating_add(written)),
        };
        // One more than allowed tells whether there are more.
        let limit = limit.min(most.saturating_add(1).saturating_add(written));
        let read = home.store.by_score(&home.table, range, offset, limit);
        let relied = self.rely_on(home)?;
        let mut rows =
            self.interruptible(read).await?.map_err(|error| store_error(&error, home))?;
        drop(relied);
        if self.keeps_a_snapshot() {
            let range = range.clone();
            let read = ReadOf::Score { range, offset, limit };
            self.block().snapshot.note(home, read, &rows);
        }
        if let (true, Layout::SortedSet { score: position }) = (written > 0, home.table.layout) {
            let first = home.table.table.primary_key[0];
            rows = self.lay_over(home, rows, |row| {
                range.partition.as_ref().is_none_or(|partition| row[first] == *partition)
            });
            rows.sort_by_cached_key(|row| ordered::encode(&row[position..=position]));
            if range.descending {
                rows.reverse();
            }
            if rows.len() > most && page.head() > most {
                return Err(too_many_rows(home, most).into());
            }
            rows = page.of(rows);
        }
        if rows.len() > most {
            return Err(too_many_rows(home, most).into());
        }
        Ok(rows)
    }

    /// All rows that an access means; refused when there are more than `max_fetch_rows`, or when it
    /// is the whole table and that isn't allowed.
    pub(crate) async fn read_access(
        &mut self,
        home: &Arc<Home>,
        access: &ResolvedAccess,
    ) -> Outcome<Vec<Row>> {
        let limit = self.stores().max_fetch_rows;
        match access {
            ResolvedAccess::Keys(keys) => {
                let mut rows = Vec::new();
                // As long as the limit can't be exceeded, in one operation of the store. Of more
                // keys, most may have no row.
                for together in keys.chunks(limit.max(1)) {
                    rows.extend(self.read_keys(home, together).await?.into_iter().flatten());
                    if rows.len() > limit {
                        return Err(too_many_rows(home, limit).into());
                    }
                }
                Ok(rows)
            }
            ResolvedAccess::Ranges { index, ranges } => {
                let mut rows = Vec::new();
                // Several at a time: each is a round trip to the store.
                for together in ranges.chunks(PARALLEL_RANGES) {
                    let most = (limit - rows.len()).saturating_add(1);
                    rows.extend(self.read_ranges(home, *index, together, most).await?);
                    if rows.len() > limit {
                        return Err(too_many_rows(home, limit).into());
                    }
                }
                // A row that moves meanwhile may be found where it was and where it is.
                if index.is_some() && ranges.len() > 1 {
                    let mut found = HashSet::with_capacity(rows.len());
                    rows.retain(|row| found.insert(home.table.table.key_of(row)));
                }
                Ok(rows)
            }
            ResolvedAccess::All if !home.table.allow_scan => Err(scan_refused(home).into()),
            ResolvedAccess::All => {
                self.check_written_for(home)?;
                let relied = self.rely_on(home)?;
                let rows = self.interruptible(home.store.scan(&home.table, limit)).await?.map_err(
                    |error| match error {
                        StoreError::TooManyRows { limit } => too_many_rows(home, limit),
                        other => store_error(&other, home),
                    },
                )?;
                drop(relied);
                if self.keeps_a_snapshot() {
                    self.block().snapshot.note(home, ReadOf::Scan { limit }, &rows);
                }
                Ok(self.lay_over(home, rows, |_| true))
            }
        }
    }

    /// `rows` as the block has left them, with those that it has made and `concerns` accepts.
    fn lay_over(
        &self,
        home: &Arc<Home>,
        rows: Vec<Row>,
        concerns: impl Fn(&Row) -> bool,
    ) -> Vec<Row> {
        let table = &home.table.table;
        let untouched = |row: &Row| self.block().get(home.name(), &table.key_of(row)).is_none();
        let written = self
            .block()
            .of_table(home.name())
            .filter_map(|(_, written)| written.after.as_ref())
            .filter(|row| concerns(row))
            .cloned();
        rows.into_iter().filter(untouched).chain(written).collect()
    }
}
