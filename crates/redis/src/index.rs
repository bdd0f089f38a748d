//! Secondary indexes: for each value of an index's first column a sorted set, whose members stand
//! in the order of the others.
//!
//! ```text
//! {public.orders}#by_user:17         zset      score 0, members in the order of placed_at
//! {public.orders}#                   hash      by_user → user_id,placed_at
//! ```
//!
//! Every write keeps the sets in the script that changes the row, computed from the row as it was
//! read; where that has changed since, the write is computed anew. The hash names the indexes that
//! are whole. A writer that doesn't keep one of them, since its configuration doesn't have it,
//! takes the name out; a reader that doesn't find it there is refused until the index has been
//! built again. So an index never misses a row.
//!
//! A row that has expired, or that somebody else has changed, leaves its member behind: readers
//! compare each row with its member.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError};

use flywheel_store::{Change, Effect, Expect, Index, KeyRange, Layout, StoreError, StoreTable};
use flywheel_types::{Row, Value};

use crate::key::{index_member, row_name_end};
use crate::read::CHUNK;
use crate::script::Program;
use crate::store::RedisStore;

static RANGE: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("scripts/index_range.lua")));
static FORGET: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("scripts/forget.lua")));
static MARK: LazyLock<Program> = LazyLock::new(|| Program::new(include_str!("scripts/mark.lua")));

/// Stands before an index's columns in the hash while it is built.
const BUILDING: &str = "building:";

/// The indexes that are kept, by the table's name: each with its name and its columns'.
pub(crate) type Kept = HashMap<String, Vec<(String, Vec<String>)>>;

/// An index as a table's definition has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptIndex {
    pub(crate) name: String,
    pub(crate) columns: Vec<usize>,
}

/// A member of an index's set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) set: String,
    pub(crate) member: Vec<u8>,
}

impl RedisStore {
    /// The indexes that writes of the table keep.
    pub(crate) fn kept(&self, table: &StoreTable) -> Vec<KeptIndex> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let named = kept.get(&table.physical_name).into_iter().flatten();
        let found = named.filter_map(|(name, columns)| {
            let columns =
                columns.iter().map(|column| table.table.column(column)).collect::<Option<_>>()?;
            Some(KeptIndex { name: name.clone(), columns })
        });
        found.collect()
    }

    /// An index in the words of the hash that names those that are whole.
    pub(crate) fn definition(table: &StoreTable, columns: &[usize]) -> String {
        let columns = columns.iter().map(|&position| &table.table.columns[position]);
        let named: Vec<String> =
            columns.map(|column| format!("{} {}", column.name, column.ty.name)).collect();
        named.join(", ")
    }

    /// The members that a row has.
    pub(crate) fn entries(
        &self,
        table: &StoreTable,
        indexes: &[KeptIndex],
        row: &[Value],
    ) -> Vec<Entry> {
        let name = self.keys.row(table, &table.table.key_of(row));
        let end = self.keys.row_end(table, &name);
        let entry = |index: &KeptIndex| {
            let values: Vec<Value> =
                index.columns.iter().map(|&position| row[position].clone()).collect();
            let (first, sort) = values.split_first()?;
            (!values.iter().any(Value::is_null)).then(|| Entry {
                set: self.keys.index(table, &index.name, first),
                member: index_member(sort, end),
            })
        };
        indexes.iter().filter_map(entry).collect()
    }

    pub(crate) async fn rows_by_index(
        &self,
        table: &StoreTable,
        index: &Index,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let Some((first, end)) = range.sort_bytes() else {
            return Ok(Vec::new());
        };
        let set = self.keys.index(table, &index.name, &range.partition);
        let mut low = if first.is_empty() { b"-".to_vec() } else { [b"[", &first[..]].concat() };
        let mut high = end.map_or_else(|| b"+".to_vec(), |end| [b"(", &end[..]].concat());
        let command = if range.descending { "ZREVRANGEBYLEX" } else { "ZRANGEBYLEX" };
        let mut rows = Vec::new();
        // Members whose rows are gone or others now don't count, so that it may take more than one
        // turn.
        while rows.len() < limit {
            let ask = (limit - rows.len()).min(CHUNK);
            let (from, to) = if range.descending { (&high, &low) } else { (&low, &high) };
            let arguments = vec![
                index.name.clone().into_bytes(),
                Self::definition(table, &index.columns).into_bytes(),
                command.into(),
                from.clone(),
                to.clone(),
                ask.to_string().into_bytes(),
            ];
            let run = RANGE.run(vec![set.clone(), self.keys.indexes(table)], arguments);
            let members: Option<Vec<Vec<u8>>> = self.servers.read(&run).await?;
            let members = members.ok_or_else(|| StoreError::Unavailable {
                reason: format!(
                    "index \"{}\" is being built again, since somebody has written without it",
                    index.name
                ),
            })?;
            let Some(last) = members.last() else { break };
            let past_last = [b"(", &last[..]].concat();
            if range.descending {
                high = past_last;
            } else {
                low = past_last;
            }
            let is_last = members.len() < ask;
            self.rows_of_entries(table, index, range, (&set, members), &mut rows).await?;
            if is_last {
                break;
            }
        }
        Ok(rows)
    }

    async fn rows_of_entries(
        &self,
        table: &StoreTable,
        index: &Index,
        range: &KeyRange,
        (set, members): (&str, Vec<Vec<u8>>),
        rows: &mut Vec<Row>,
    ) -> Result<(), StoreError> {
        let names = members
            .iter()
            .map(|member| row_name_end(member).map(|end| self.keys.row_of_end(table, end)))
            .collect::<Option<Vec<String>>>()
            .ok_or_else(|| StoreError::Refused {
                reason: format!("the sorted set {set} has a member that Flywheel didn't write"),
            })?;
        let (mut keys, mut gone) = (vec![set.to_owned()], Vec::new());
        for ((row, name), member) in
            self.stored(table, &names).await?.into_iter().zip(names).zip(members)
        {
            let Some(row) = row? else {
                keys.push(name);
                gone.push(member);
                continue;
            };
            let sort: Vec<Value> =
                index.columns[1..].iter().map(|&position| row[position].clone()).collect();
            if range.contains(&index.columns, &row)
                && member == index_member(&sort, self.keys.row_end(table, &name))
            {
                rows.push(row);
            }
        }
        if !gone.is_empty() {
            // Only tidying: the rows are read, and the next reader tries again.
            if let Err(error) = self.servers.write::<i64>(&FORGET.run(keys, gone)).await {
                tracing::debug!(%error, set, "members of rows that are gone stay for now");
            }
        }
        Ok(())
    }

    /// Keeps the table's indexes from now on, and builds those that aren't whole.
    pub(crate) async fn keep_indexes(&self, table: &StoreTable) -> Result<(), StoreError> {
        let named = table.indexes.iter().map(|index| {
            let columns =
                index.columns.iter().map(|&position| table.table.columns[position].name.clone());
            (index.name.clone(), columns.collect())
        });
        let named: Vec<(String, Vec<String>)> = named.collect();
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if named.is_empty() {
                kept.remove(&table.physical_name);
                return Ok(());
            }
            kept.insert(table.physical_name.clone(), named);
        }
        if self.begin(table, false).await? {
            return Ok(());
        }
        // Goes on when nobody waits for it any more.
        let (store, own) = (self.clone(), table.clone());
        let built = tokio::spawn(async move { store.build(&own).await }).await;
        built.map_err(|error| StoreError::Refused { reason: error.to_string() })?
    }

    /// Whether all indexes are whole; those that aren't are marked as being built, or, with `end`,
    /// those that still are so as whole.
    async fn begin(&self, table: &StoreTable, end: bool) -> Result<bool, StoreError> {
        let mut arguments: Vec<Vec<u8>> =
            vec![if end { "end".into() } else { "begin".into() }, BUILDING.into()];
        for index in &table.indexes {
            arguments.push(index.name.clone().into_bytes());
            arguments.push(Self::definition(table, &index.columns).into_bytes());
        }
        let whole: i64 =
            self.servers.read(&MARK.run(vec![self.keys.indexes(table)], arguments)).await?;
        Ok(whole == 1)
    }

    /// Writes every row again as it is, which puts it into the indexes.
    async fn build(&self, table: &StoreTable) -> Result<(), StoreError> {
        let mut cursor = self.cursor(table).await?;
        while let Some(names) = cursor.turn().await? {
            for row in self.stored(table, &names).await? {
                let Some(row) = row? else { continue };
                let change = Change {
                    key: table.table.key_of(&row),
                    // One that has changed since has been put there by who changed it.
                    expect: Expect::Unchanged(row.clone()),
                    effect: Effect::Put(row),
                };
                self.apply(table, &change).await?;
            }
        }
        if self.begin(table, true).await? {
            return Ok(());
        }
        Err(StoreError::Unavailable {
            reason: format!(
                "the indexes of \"{}\" couldn't be built: somebody writes without them",
                table.physical_name
            ),
        })
    }

    /// Refuses indexes where they can't be kept.
    pub(crate) fn check_indexes(&self, table: &StoreTable) -> Result<(), StoreError> {
        let Some(index) = table.indexes.first() else { return Ok(()) };
        let why = match (table.layout, self.servers.slot("")) {
            (Layout::SortedSet { .. }, _) => "a sorted set has its own order alone",
            (_, Some(_)) => "in a Redis Cluster an index lies in another slot than its rows",
            _ => return table.check_indexes(),
        };
        Err(StoreError::Unsupported {
            what: format!(
                "index \"{}\" of table \"{}\" can't be: {why}",
                index.name, table.table.name
            ),
        })
    }
}
