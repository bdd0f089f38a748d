//! Writes that PostgreSQL computes: the rows that a statement can touch are put into PostgreSQL's own, otherwise empty table, the statement runs
//! there, and everything is rolled back. Its result is PostgreSQL's own; what it has changed is written to the store, on condition that
//! the rows are still as they were read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flywheel_plan::{Fetch, Home, Parameters, ResolvedAccess, Target, record_set};
use flywheel_postgres::Rows;
use flywheel_sql::Parsed;
use flywheel_store::{Applied, Change, Expect};
use flywheel_types::{Key, Row, Scalar, Table, Value, binary, ordered, text};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};
use rand::Rng;

use super::fetch::by_key;
use super::mixed::text_with_rows;
use super::turn::Turn;
use super::write::is_one_write;
use super::{Answer, Arguments, StoreStatement};
use crate::error::{conflict, duplicate_key};
use crate::session::{Buffered, Failure, Outcome, Session};

/// How often a statement is computed anew because others have changed its rows meanwhile.
const ATTEMPTS: u32 = 20;

/// The settings under which values are kept that PostgreSQL prints by settings, and in a form that it reads alike under any.
const STORED_FORM: &str = "SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL TimeZone = 'UTC'; \
                           SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'";

/// Rows of one table before and after.
pub(super) type Images = HashMap<Key, Row>;
/// A row that is other than it was.
type Difference = (Arc<Home>, Key, Buffered);

impl Session {
    pub(super) async fn staged(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        (targets, fetches, on_conflict): (&[Target], &[Fetch], bool),
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        self.check_writable(command(&statement.text)).await?;
        let given = (targets, fetches, on_conflict);
        let mut turn = Turn::default();
        if let Some(answer) = self.staged_once(statement, parsed, given, (arguments, &mut turn)).await? {
            return Ok(answer);
        }
        for attempt in 1..ATTEMPTS {
            if attempt > 1 {
                // Who has had its turn was overtaken by others than staged writes; they are let through.
                let most = 1000_u64 << attempt.min(6);
                let pause = Duration::from_micros(rand::rng().random_range(0..most));
                tokio::time::sleep(pause).await;
            }
            if !self.takes_turns() {
                if let Some(answer) = self.staged_once(statement, parsed, given, (arguments, &mut turn)).await? {
                    return Ok(answer);
                }
                continue;
            }
            let done = match self.on_server(&turn.alone()).await {
                Ok(_) => self.staged_once(statement, parsed, given, (arguments, &mut turn)).await,
                Err(failure) => Err(failure),
            };
            if matches!(done, Err(Failure::Session(_))) {
                return done.map(Option::unwrap_or_default);
            }
            self.end_staging("ROLLBACK", matches!(done, Ok(Some(_)))).await?;
            if let Some(answer) = done? {
                return Ok(answer);
            }
        }
        Err(targets
            .first()
            .map_or_else(
                || PgError::error(sqlstate::INTERNAL_ERROR, "no table to write to"),
                |target| conflict(&target.home),
            )
            .into())
    }

    /// The answer; `None` when somebody else has changed one of the rows meanwhile, or wants them alone. Never so in a block, where COMMIT finds that out.
    async fn staged_once(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        (targets, fetches, on_conflict): (&[Target], &[Fetch], bool),
        (arguments, turn): (&Arguments<'_>, &mut Turn),
    ) -> Outcome<Option<Answer>> {
        let all: Vec<&Fetch> = targets.iter().filter_map(|target| target.fetch.as_ref()).chain(fetches).collect();
        let mut fetched = self.fetch_all(&all, statement, arguments).await?;
        self.lock_fetched(parsed, fetches, &fetched).await?;
        let text = text_with_rows(&statement.text, parsed, fetches, &fetched);
        let mut before: Vec<Images> = targets
            .iter()
            .map(|target| {
                target
                    .fetch
                    .as_ref()
                    .and_then(|fetch| fetched.remove(&fetch.relation))
                    .unwrap_or_default()
            })
            .zip(targets)
            .map(|(rows, target)| by_key(&target.home, rows))
            .collect();
        if on_conflict {
            self.add_inserted(targets, &mut before, statement, arguments).await?;
        }
        let (_, end) = self.staging();
        let (answer, after) = loop {
            add_rows(turn, targets, &before);
            let ran = self.run_staged((&text, turn), statement, targets, &before, arguments).await?;
            let Some((answer, after)) = ran else {
                self.on_server(end).await?;
                return Ok(None);
            };
            if !on_conflict {
                break (answer, after);
            }
            // It looks at rows whose keys are known only now.
            let found = self.add_conflicting(targets, &mut before, &after).await;
            if matches!(found, Ok(false)) {
                break (answer, after);
            }
            self.on_server(end).await?;
            found?;
        };
        add_rows(turn, targets, &after);
        let changes = difference(targets, before, after);
        if self.block.is_open() {
            self.on_server(end).await?;
            return Ok(self.buffer(changes).await?.then_some(answer));
        }
        let writes: Vec<(Arc<Home>, Change)> = changes
            .iter()
            .filter_map(|(home, key, written)| Some((home.clone(), written.to_change(key)?)))
            .collect();
        if !self.takes_turns() || !is_one_write(&writes) {
            // Where it takes a transaction of its own, that ends the turn.
            self.on_server(end).await?;
            return Ok(self.write_difference(writes, on_conflict).await?.then_some(answer));
        }
        // The turn lasts until the rows are written.
        let written = self.write_difference(writes, on_conflict).await;
        if !matches!(written, Err(Failure::Session(_))) {
            self.end_staging(end, matches!(written, Ok(true))).await?;
        }
        Ok(written?.then_some(answer))
    }

    /// Whether staged writes of others may meet this session's. Where PostgreSQL serves one connection they don't, and it may be needed by who waits
    /// for a lock in the store.
    pub(super) fn takes_turns(&self) -> bool {
        self.shared.pool().options().size > 1
    }

    /// Undoes the staging. What is `written` by then stays so, also when the connection is lost.
    async fn end_staging(&mut self, end: &str, written: bool) -> Outcome<()> {
        if !written {
            return self.on_server(end).await.map(drop);
        }
        let Some(lease) = self.held_server() else { return Ok(()) };
        match lease.query(end).await {
            Ok(_) => {
                self.follow_server();
                self.settle_writes_at_rest();
                Ok(())
            }
            Err(error) => self.lose_server(error.to_pg(), Some("The statement was carried out.")),
        }
    }

    /// Runs the text over staged rows; its answer, and the tables' rows after it, while they are still staged. `None` when the rows' turn is somebody
    /// else's.
    async fn run_staged(
        &mut self,
        (text, turn): (&str, &Turn),
        statement: &StoreStatement,
        targets: &[Target],
        before: &[Images],
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<(Answer, Vec<Images>)>> {
        let (start, end) = self.staging();
        let mut start = start.to_owned();
        let shared = (self.status == TransactionStatus::Idle && self.takes_turns()).then(|| turn.shared());
        if let Some(shared) = &shared {
            start.push_str(&format!("; SELECT {shared}"));
        }
        for (target, rows) in targets.iter().zip(before) {
            if !rows.is_empty() {
                start.push(';');
                start.push_str(&stage(&target.home.table.table, rows));
                if let Some(shared) = &shared {
                    // Without its turn it would wait there for who has it.
                    start.push_str(&format!(" WHERE (SELECT {shared})"));
                }
            }
        }
        let staged = async {
            let started = self.results_on_server(&start).await?;
            if shared.is_some() && started.get(1).is_none_or(|rows| rows.text(0, 0) != "t") {
                return Ok(None);
            }
            let answer = self.run_text(text, statement, arguments).await?;
            self.print_as_stored(targets.iter().map(|target| &*target.home.table.table)).await?;
            let mut after = Vec::with_capacity(targets.len());
            for target in targets {
                after.push(self.read_staged(&target.home).await?);
            }
            Ok(Some((answer, after)))
        };
        let staged: Outcome<_> = staged.await;
        if matches!(staged, Err(Failure::Statement(_) | Failure::Told)) {
            self.on_server(end).await?;
        }
        staged
    }

    /// What begins and what undoes the transaction in which rows are staged.
    pub(super) fn staging(&self) -> (&'static str, &'static str) {
        if self.status == TransactionStatus::InTransaction {
            (
                "SAVEPOINT flywheel_staged",
                "ROLLBACK TO SAVEPOINT flywheel_staged; RELEASE SAVEPOINT flywheel_staged",
            )
        } else {
            ("BEGIN", "ROLLBACK")
        }
    }

    /// The rows of PostgreSQL's own table.
    pub(super) async fn read_staged(&mut self, home: &Home) -> Outcome<Images> {
        let table = &home.table.table;
        let rows = self.run_staged_read(table, &select_all(table)).await?;
        let rows = decode_all(table, &rows)?;
        Ok(by_key(home, rows))
    }

    /// The answer to a query of the table's columns, in the formats that [`decode_all`] reads.
    pub(super) async fn run_staged_read(&mut self, table: &Table, sql: &str) -> Outcome<Rows> {
        let formats: Vec<i16> = table
            .columns
            .iter()
            .map(|column| i16::from(column.ty.scalar != Scalar::Other))
            .collect();
        let portal = flywheel_postgres::Portal {
            sql,
            result_formats: &formats,
            ..Default::default()
        };
        let lease = self.server().await?;
        let ran = lease.run(&portal).await;
        ran.map_err(|error| self.server_failed(&error))
    }

    /// Has PostgreSQL print the table's values in the form in which they are stored, up to the end of the staging.
    pub(super) async fn print_as_stored(&mut self, tables: impl IntoIterator<Item = &Table>) -> Outcome<()> {
        if tables.into_iter().any(prints_by_setting) {
            self.on_server(STORED_FORM).await?;
        }
        Ok(())
    }

    /// Adds the stored rows of the keys that an INSERT with ON CONFLICT names, so that it runs once, and its rows meet those that are there before they meet each other.
    async fn add_inserted(
        &self,
        targets: &[Target],
        before: &mut [Images],
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<()> {
        let parameters = Parameters {
            types: statement.parameters(),
            formats: arguments.formats,
            values: arguments.values,
            computed: None,
        };
        for (target, before) in targets.iter().zip(before) {
            let table = &target.home.table;
            let Some(ResolvedAccess::Keys(keys)) = target.inserted.as_ref().and_then(|keys| keys.resolve(table, &parameters)) else {
                continue;
            };
            let rows = self.read_keys(&target.home, &keys).await?;
            before.extend(by_key(&target.home, rows.into_iter().flatten().collect()));
        }
        Ok(())
    }

    /// Adds the stored rows whose keys an INSERT with ON CONFLICT has made; whether there were any that weren't staged yet.
    async fn add_conflicting(&self, targets: &[Target], before: &mut [Images], after: &[Images]) -> Outcome<bool> {
        let mut found = false;
        for ((target, before), after) in targets.iter().zip(before).zip(after) {
            let new: Vec<Key> = after.keys().filter(|key| !before.contains_key(*key)).cloned().collect();
            if new.is_empty() {
                continue;
            }
            for row in self.read_keys(&target.home, &new).await?.into_iter().flatten() {
                found = true;
                before.insert(target.home.table.table.key_of(&row), row);
            }
        }
        Ok(found)
    }

    /// Writes what has changed. False when somebody else has changed one of the rows meanwhile.
    async fn write_difference(&mut self, writes: Vec<(Arc<Home>, Change)>, on_conflict: bool) -> Outcome<bool> {
        let written = match &writes[..] {
            [] => true,
            [(home, change)] => self.write_one(home, change.clone()).await? != Applied::Refused,
            _ => self.write_together(writes.clone()).await?,
        };
        if !written
            && !on_conflict
            && let Some(error) = self.taken_key(&writes).await?
        {
            return Err(error.into());
        }
        Ok(written)
    }

    /// Keeps the changes for COMMIT. A new row whose key is taken is known here already.
    async fn buffer(&mut self, changes: Vec<Difference>) -> Outcome<bool> {
        for (home, key, written) in &changes {
            if written.before.is_none() && self.read_keys(home, std::slice::from_ref(key)).await?.iter().any(Option::is_some) {
                return Err(duplicate_key(home, key).into());
            }
        }
        for (home, key, written) in changes {
            self.block.write(&home, key, written.before, written.after);
        }
        Ok(true)
    }

    /// The error of a new row whose key is taken; `None` when another change was refused.
    async fn taken_key(&self, writes: &[(Arc<Home>, Change)]) -> Outcome<Option<PgError>> {
        for (home, change) in writes.iter().filter(|(_, change)| change.expect == Expect::Absent) {
            let stored = self.read_keys(home, std::slice::from_ref(&change.key)).await?;
            if stored.iter().any(Option::is_some) {
                return Ok(Some(duplicate_key(home, &change.key)));
            }
        }
        Ok(None)
    }
}

/// The rows that are other than they were.
fn difference(targets: &[Target], before: Vec<Images>, after: Vec<Images>) -> Vec<Difference> {
    let mut changes = Vec::new();
    for ((target, mut before), after) in targets.iter().zip(before).zip(after) {
        let home = &target.home;
        let change = |key: Key, before: Option<Row>, after: Option<Row>| {
            let written = Buffered {
                home: home.clone(),
                before,
                after,
                locked: false,
            };
            (home.clone(), key, written)
        };
        for (key, row) in after {
            let was = before.remove(&key);
            if was.as_ref() != Some(&row) {
                changes.push(change(key, was, Some(row)));
            }
        }
        changes.extend(before.into_iter().map(|(key, was)| change(key, Some(was), None)));
    }
    changes
}

fn add_rows(turn: &mut Turn, targets: &[Target], rows: &[Images]) {
    for (target, rows) in targets.iter().zip(rows) {
        turn.add(&target.home.table.table, rows.keys());
    }
}

/// Whether a column is read as text, because Flywheel has no form of its own for its type.
fn prints_by_setting(table: &Table) -> bool {
    table.columns.iter().any(|column| column.ty.scalar == Scalar::Other)
}

/// The command as PostgreSQL names it where it refuses one.
fn command(text: &str) -> &'static str {
    let words = text.trim_start().get(..6).unwrap_or_default().to_ascii_lowercase();
    match words.trim_end() {
        "insert" => "INSERT",
        "update" => "UPDATE",
        "delete" => "DELETE",
        "merge" => "MERGE",
        _ => "SELECT",
    }
}

/// The statement that puts rows into PostgreSQL's own table. Generated columns compute themselves.
pub(super) fn stage(table: &Table, rows: &Images) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .filter(|column| !column.generated)
        .map(flywheel_types::Column::to_sql)
        .collect();
    let columns = columns.join(", ");
    // In one order for everybody: rows staged at the same time wait for each other at the table's key.
    let mut rows: Vec<Row> = rows.values().cloned().collect();
    rows.sort_by_cached_key(|row| ordered::encode(table.key_of(row).values()));
    let name = table.name.to_sql();
    format!(
        "INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {}",
        record_set(&table.name, &rows, true)
    )
}

/// The query of all columns of PostgreSQL's own table.
pub(super) fn select_all(table: &Table) -> String {
    let columns: Vec<_> = table.columns.iter().map(flywheel_types::Column::to_sql).collect();
    format!("SELECT {} FROM ONLY {}", columns.join(", "), table.name.to_sql())
}

/// Rows that were read by [`Session::run_staged_read`].
pub(super) fn decode_all(table: &Table, rows: &Rows) -> Result<Vec<Row>, PgError> {
    decode(table, rows).ok_or_else(|| {
        let message = format!("table \"{}\" has a value that Flywheel can't read", table.name);
        PgError::error(sqlstate::INTERNAL_ERROR, message)
    })
}

fn decode(table: &Table, rows: &Rows) -> Option<Vec<Row>> {
    let value = |(column, bytes): (&flywheel_types::Column, &Option<bytes::Bytes>)| match bytes {
        None => Some(Value::Null),
        Some(bytes) if column.ty.scalar == Scalar::Other => text::decode_canonical(&column.ty, std::str::from_utf8(bytes).ok()?),
        Some(bytes) => binary::decode(&column.ty, bytes),
    };
    rows.rows
        .iter()
        .map(|row| table.columns.iter().zip(row).map(value).collect())
        .collect()
}
