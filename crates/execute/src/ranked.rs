//! How many members of a sorted set there are, and their ranks by score.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use flywheel_plan::{
    Fetch, Home, NativeCount, NativeRanked, NativeTop, Parameters, RankedColumn, RankedRows,
};
use flywheel_sql::Ranking;
use flywheel_store::{Bound, Layout, ScoreRange, score};
use flywheel_types::{Row, Table, TypeInfo, Value, oid};

use super::fetch::arrays;
use super::page::Page;
use super::single_key::single_key;
use super::{Answer, Arguments, StoreStatement};
use crate::error::{store_error, too_many_rows};
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

/// What counts and ranks are.
pub(super) static BIGINT: LazyLock<TypeInfo> =
    LazyLock::new(|| TypeInfo::new(oid::INT8, -1, "bigint"));

/// The types of the result's columns.
pub(super) fn ranked_types<'t>(table: &'t Table, ranked: &NativeRanked) -> Vec<&'t TypeInfo> {
    let ty = |column: &RankedColumn| match column {
        RankedColumn::Column(position) => &table.columns[*position].ty,
        RankedColumn::Ranking(_) => &*BIGINT,
    };
    ranked.projection.iter().map(ty).collect()
}

impl<H: Host> Executor<'_, H> {
    pub(super) async fn native_count(
        &mut self,
        count: &NativeCount,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        // What the block has written isn't in the store yet.
        // Nor is a number that must stay the same: PostgreSQL counts rows that do.
        if self.block().has_written(home.name()) || self.keeps_a_snapshot() {
            return Ok(None);
        }
        let _relied = self.rely_on(home)?;
        let counted = match count.range.resolve(&home.table, parameters, false) {
            Some(Some(range)) => self
                .interruptible(home.store.count_by_score(&home.table, &range))
                .await?
                .map_err(|error| store_error(&error, home))?,
            Some(None) => 0,
            None => return Ok(None),
        };
        let counted = i64::try_from(counted).unwrap_or(i64::MAX).saturating_add(count.plus);
        let mut answer = Answer::tagged("SELECT 1");
        answer
            .push_values([(&*BIGINT, &Value::Int(counted))].into_iter(), arguments.result_formats);
        Ok(Some(answer))
    }

    pub(super) async fn native_ranked(
        &mut self,
        ranked: &NativeRanked,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        if self.block().has_written(home.name()) || self.keeps_a_snapshot() {
            return Ok(None);
        }
        let table = &home.table.table;
        let rows = match &ranked.rows {
            RankedRows::One(access) => {
                let Some(key) = single_key(access, home, parameters) else {
                    return Ok(None);
                };
                let _relied = self.rely_on(home)?;
                let found = match key {
                    None => None,
                    Some(key) => self
                        .interruptible(home.store.rank(&home.table, &key, ranked.descending))
                        .await?
                        .map_err(|error| store_error(&error, home))?,
                };
                let first = |(row, ahead): (Row, u64)| {
                    let number = i64::try_from(ahead).unwrap_or(i64::MAX).saturating_add(1);
                    // Of a single row only its rank is asked.
                    let ranks = Ranks { rank: number, dense_rank: number, row_number: number };
                    (row, ranks)
                };
                found.map(first).into_iter().collect()
            }
            RankedRows::Range { range, limit, offset } => {
                let Some(page) = self.page(limit.as_ref(), offset.as_ref(), parameters)? else {
                    return Ok(None);
                };
                let Layout::SortedSet { score } = home.table.layout else {
                    return Ok(None);
                };
                match range.resolve(&home.table, parameters, ranked.descending) {
                    Some(Some(range)) => {
                        // The ranks of a page are those of all rows ahead of it.
                        let head = Page { offset: 0, limit: page.head() };
                        page.of(number(self.read_by_score(home, &range, head).await?, score))
                    }
                    Some(None) => Vec::new(),
                    None => return Ok(None),
                }
            }
        };
        let types = ranked_types(table, ranked);
        let mut answer = Answer::tagged(format!("SELECT {}", rows.len()));
        for (row, ranks) in &rows {
            let value = |column: &RankedColumn| match column {
                RankedColumn::Column(position) => row[*position].clone(),
                RankedColumn::Ranking(Ranking::Rank) => Value::Int(ranks.rank),
                RankedColumn::Ranking(Ranking::DenseRank) => Value::Int(ranks.dense_rank),
                RankedColumn::Ranking(Ranking::RowNumber) => Value::Int(ranks.row_number),
            };
            let values: Vec<Value> = ranked.projection.iter().map(value).collect();
            answer.push_values(types.iter().copied().zip(&values), arguments.result_formats);
        }
        Ok(Some(answer))
    }
}

impl<H: Host> Executor<'_, H> {
    /// The top of the set, which stands in its table's place; `None` when the statement must be
    /// answered otherwise.
    pub(super) async fn top_array(
        &mut self,
        top: &NativeTop,
        home: &Arc<Home>,
        (statement, fetches): (&StoreStatement, &[Fetch]),
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Vec<Bytes>>> {
        let parameters = arguments.parameters(statement.parameters());
        // PostgreSQL tells what is wrong with a LIMIT.
        let Ok(Some(page)) = self.page(Some(&top.limit), top.offset.as_ref(), &parameters) else {
            return Ok(None);
        };
        let is_written = self.block().has_written(home.name()) || self.keeps_a_snapshot();
        let (Some(Some(range)), false) =
            (top.range.resolve(&home.table, &parameters, top.descending), is_written)
        else {
            return Ok(None);
        };
        let Some(rows) = self.top_rows(home, &range, top.range.score, page.head()).await? else {
            return Ok(None);
        };
        let mut fetched = fetches.iter().map(|fetch| (fetch.relation, rows.clone())).collect();
        Ok(Some(arrays(fetches, &mut fetched).await))
    }

    /// The first `head` rows of a range, with all that equal the last of them.
    async fn top_rows(
        &mut self,
        home: &Arc<Home>,
        range: &ScoreRange,
        score: usize,
        head: usize,
    ) -> Outcome<Option<Vec<Row>>> {
        let most = self.stores().max_fetch_rows;
        let (Some(before), true) = (head.checked_sub(1), head <= most) else {
            return Ok(None);
        };
        let mut read = async |range: &ScoreRange, offset: usize, limit: usize| {
            let _relied = self.rely_on(home)?;
            let rows =
                self.interruptible(home.store.by_score(&home.table, range, offset, limit)).await?;
            rows.map_err(|error| Failure::from(store_error(&error, home)))
        };
        // Again when scores have changed between the two reads.
        for _ in 0..3 {
            let last = read(range, before, 1).await?;
            let Some(last) = last.first() else {
                let rows = read(range, 0, head).await?;
                if rows.len() < head {
                    return Ok(Some(rows));
                }
                continue;
            };
            let mut to_last = range.clone();
            let end = if range.descending { &mut to_last.lower } else { &mut to_last.upper };
            *end = Bound::Included(last[score].clone());
            let rows = read(&to_last, 0, most.saturating_add(1)).await?;
            if rows.len() > most {
                return Err(too_many_rows(home, most).into());
            }
            if rows.len() >= head {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}

/// A row's numbers in the order of the scores.
#[derive(Debug, Clone, Copy, Default)]
struct Ranks {
    rank: i64,
    dense_rank: i64,
    row_number: i64,
}

/// Rows in the order of their scores, from the first on, with their numbers.
fn number(rows: Vec<Row>, position: usize) -> Vec<(Row, Ranks)> {
    let mut ranks = Ranks::default();
    let mut last: Option<f64> = None;
    let next = |row: Row| {
        let score = score(&row[position]).ok();
        ranks.row_number += 1;
        if ranks.row_number == 1 || score != last {
            ranks.rank = ranks.row_number;
            ranks.dense_rank += 1;
        }
        last = score;
        (row, ranks)
    };
    rows.into_iter().map(next).collect()
}
