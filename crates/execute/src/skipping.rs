//! FOR UPDATE SKIP LOCKED where PostgreSQL chooses the rows: the job queue's
//! `ORDER BY … LIMIT 5 FOR UPDATE SKIP LOCKED`. Rows that others have locked are left out before
//! the LIMIT, and only those are locked that the statement returns.
//!
//! PostgreSQL runs the statement over the rows in its own tables, where it locks those that it
//! chooses. They are locked in the store; where somebody has one, it is taken out, and PostgreSQL
//! chooses anew. Of a write what it would change is known without its locks (`staged.rs`).

use std::collections::HashSet;
use std::sync::Arc;

use flywheel_plan::{Fetch, Home};
use flywheel_sql::Parsed;
use flywheel_types::{Key, Row, TableName};

use super::staging::{Images, by_table, decode_all, select_all};
use super::strength::Strength;
use super::{Answer, Arguments, StoreStatement};
use crate::failure::Outcome;
use crate::host::{Executor, Host};

/// What a statement has locked of PostgreSQL's own table.
const LOCKED: &str = "xmax OPERATOR(pg_catalog.<>) 0";

/// Whether a read skips locked rows of store tables, each of which it names in one place: what is
/// taken out there is missing nowhere else.
pub(super) fn chooses(parsed: &Parsed, fetches: &[Fetch]) -> bool {
    let names: HashSet<&TableName> = fetches.iter().map(|fetch| fetch.home.name()).collect();
    let is_fetched = |place| fetches.iter().any(|fetch| fetch.relation == place);
    let mut locks =
        fetches.iter().filter_map(|fetch| Strength::of(parsed, fetch.relation)).peekable();
    names.len() == fetches.len()
        && (0..parsed.relations.len()).all(|place| is_fetched(place) || !parsed.locks(place))
        && locks.peek().is_some()
        && locks.all(Strength::skips)
}

impl<H: Host> Executor<'_, H> {
    /// A read of rows that nobody else has locked.
    pub(super) async fn read_free(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        fetches: &[Fetch],
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        let all: Vec<&Fetch> = fetches.iter().collect();
        let strength =
            |fetch: &&Fetch| Some((Strength::of(parsed, fetch.relation)?, fetch.home.clone()));
        let locked: Vec<(Strength, Arc<Home>)> = all.iter().filter_map(strength).collect();
        loop {
            let fetched = self.fetch_all(&all, statement, arguments).await?;
            let mut tables = by_table(&all, fetched);
            loop {
                let mut chosen: Vec<_> =
                    locked.iter().map(|(_, home)| (home.clone(), Vec::new())).collect();
                let planned = (statement, parsed, fetches);
                let answer =
                    self.run_in_tables(planned, tables.clone(), &mut chosen, arguments).await?;
                let mut is_free = true;
                let mut is_current = true;
                for ((home, rows), (strength, _)) in chosen.into_iter().zip(&locked) {
                    // As they were read: PostgreSQL prints some values by settings.
                    let rows = as_fetched(&tables, &home, &rows);
                    let mut free = rows.clone();
                    is_current &= self.lock_rows(&home, &mut free, *strength, usize::MAX).await?;
                    is_free &= free.len() == rows.len();
                    take_out(&mut tables, &home, &rows, &free);
                }
                match (is_current, is_free) {
                    (true, true) => return Ok(answer),
                    (true, false) => {}
                    (false, _) => break,
                }
            }
        }
    }

    /// The rows of PostgreSQL's own table that the statement which has run has locked.
    pub(super) async fn read_locked(&mut self, home: &Home) -> Outcome<Vec<Row>> {
        let table = &home.table.table;
        let sql = format!("{} WHERE {LOCKED}", select_all(table));
        let rows = self.run_staged_read(table, &sql).await?;
        Ok(decode_all(table, &rows)?)
    }
}

/// These rows as they are kept.
fn as_fetched(tables: &[(Arc<Home>, Images)], home: &Home, rows: &[Row]) -> Vec<Row> {
    let table = &home.table.table;
    let images = tables.iter().find(|(each, _)| each.name() == home.name());
    let kept = |row: &Row| images.and_then(|(_, images)| images.get(&table.key_of(row)).cloned());
    rows.iter().filter_map(kept).collect()
}

/// Takes rows out that aren't free.
fn take_out(tables: &mut [(Arc<Home>, Images)], home: &Home, rows: &[Row], free: &[Row]) {
    let table = &home.table.table;
    let free: HashSet<Key> = free.iter().map(|row| table.key_of(row)).collect();
    let Some((_, images)) = tables.iter_mut().find(|(each, _)| each.name() == home.name()) else {
        return;
    };
    for row in rows {
        let key = table.key_of(row);
        if !free.contains(&key) {
            images.remove(&key);
        }
    }
}
