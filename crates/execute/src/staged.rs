//! Writes that PostgreSQL computes: the rows that a statement can touch are put into PostgreSQL's
//! own, otherwise empty table, the statement runs there, and everything is rolled back. Its result
//! is PostgreSQL's own; what it has changed is written to the store, on condition that the rows are
//! still as they were read.
//!
//! Nothing is waited for while rows are staged: others' staging waits for them at the empty table's
//! key, which would close a circle. A staged write is computed on rows as they were read, unstaged,
//! and then its rows are locked; when one has changed, they are locked as they are and it is
//! computed again, on the rows that it had found at first and no others, as PostgreSQL looks again
//! at a row for which it has waited. One outside a block that meets a block's row becomes a block.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flywheel_plan::{Fetch, Home, ResolvedAccess, Target};
use flywheel_postgres::Portal;
use flywheel_sql::Parsed;
use flywheel_store::Change;
use flywheel_types::{Key, Row, Table};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};
use rand::Rng;

use super::difference::{Difference, buffer, difference, hold_free, write_difference};
use super::fetch::arrays;
use super::fetch::by_key;
use super::new_values::NewValues;
use super::staging::{Images, Staging, by_table};
use super::turn::Turn;
use super::write::is_one_write;
use super::writing::{Writing, command};
use super::{Answer, Arguments, StoreStatement};
use crate::error::conflict;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::twin::has_rows;

/// How often a statement is computed anew because others have changed its rows meanwhile.
const ATTEMPTS: u32 = 20;

/// What a write is run with.
struct Ready {
    /// The rows of each target.
    before: Vec<Images>,
    /// The rows of tables that are only read, where they are put into the tables.
    beside: Vec<(Arc<Home>, Images)>,
    /// The values of the parameters that stand in the places of the others.
    rows: Vec<Bytes>,
}

impl<H: Host> Executor<'_, H> {
    pub(super) async fn staged(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        given: Writing<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        self.check_writable(command(&statement.text)).await?;
        if self.block().is_open() {
            if let Some(error) = given.loses_lock(parsed) {
                return Err(error.into());
            }
            return self.staged_in_block(statement, parsed, given, arguments).await;
        }
        let mut turn = Turn::default();
        match self.staged_once(statement, parsed, given, (arguments, &mut turn)).await? {
            Some(answer) => return Ok(answer),
            None if turn.meets_block => {
                return self.staged_as_block(statement, parsed, given, arguments).await;
            }
            None => {}
        }
        for attempt in 1..ATTEMPTS {
            if turn.meets_block {
                return self.staged_as_block(statement, parsed, given, arguments).await;
            }
            if attempt > 1 {
                // Who has had its turn was overtaken by others than staged writes; they are let
                // through.
                let most = 1000_u64 << attempt.min(6);
                let pause = Duration::from_micros(rand::rng().random_range(0..most));
                tokio::time::sleep(pause).await;
            }
            if !self.takes_turns() {
                if let Some(answer) =
                    self.staged_once(statement, parsed, given, (arguments, &mut turn)).await?
                {
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
        // Others are always faster: with its rows locked it can't be overtaken.
        self.staged_as_block(statement, parsed, given, arguments).await
    }

    /// A statement whose rows open blocks have, or that others overtake: it locks them, as a block
    /// of its own.
    async fn staged_as_block(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        given: Writing<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        self.begin_implicit().await?;
        let answered = self.staged_in_block(statement, parsed, given, arguments).await;
        self.end_own_block(answered).await
    }

    /// In a block, until its rows are the block's as they were read. After the first time they are
    /// locked before they are read, so that they stay so.
    async fn staged_in_block(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        given: Writing<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        let mut turn = Turn::default();
        let mut attempts = 0;
        while attempts < ATTEMPTS {
            let busy = turn.busy.len();
            if let Some(answer) =
                self.staged_once(statement, parsed, given, (arguments, &mut turn)).await?
            {
                return Ok(answer);
            }
            // Rows that are left out from now on are so many fewer to be tried.
            attempts += u32::from(turn.busy.len() == busy);
        }
        let target = given.targets.first();
        let error = target.map(|target| conflict(&target.home));
        Err(error
            .unwrap_or_else(|| PgError::error(sqlstate::INTERNAL_ERROR, "no table to write to"))
            .into())
    }

    /// The answer; `None` when somebody else has changed one of the rows meanwhile, or wants them
    /// alone, or an open block has them.
    async fn staged_once(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        given: Writing<'_>,
        (arguments, turn): (&Arguments<'_>, &mut Turn),
    ) -> Outcome<Option<Answer>> {
        let Writing { targets, on_conflict, .. } = given;
        let mut ready = self.rows_for(statement, parsed, given, (arguments, turn)).await?;
        if on_conflict {
            self.add_inserted(targets, &mut ready.before, statement, arguments).await?;
        }
        let computed = match (targets, &ready.before[..]) {
            ([target], [before]) => {
                NewValues::compute(self, statement, (target, before), arguments).await?
            }
            _ => None,
        };
        // What ends the staging, if anything was staged.
        let end = computed.is_none().then(|| self.staging().1);
        let (answer, changes) = match computed {
            Some((answer, changes)) => {
                add_rows(turn, targets, &ready.before);
                (answer, changes)
            }
            None => match self.stage(statement, given, (ready, turn), arguments).await? {
                Some(staged) => staged,
                None => return Ok(None),
            },
        };
        if self.block().is_open() {
            self.end_if_staged(end).await?;
            let skips = given.skips(parsed);
            if skips && !hold_free(self, &changes, turn).await? {
                return Ok(None);
            }
            return Ok(buffer(self, changes, on_conflict).await?.then_some(answer));
        }
        let writes: Vec<(Arc<Home>, Change)> = changes
            .iter()
            .filter_map(|(home, key, written)| Some((home.clone(), written.to_change(key)?)))
            .collect();
        if !self.takes_turns() || !is_one_write(&writes) {
            // Where it takes a transaction of its own, that ends the turn.
            self.end_if_staged(end).await?;
            return Ok(write_difference(self, writes, (on_conflict, turn))
                .await?
                .then_some(answer));
        }
        // The turn lasts until the rows are written.
        let written = write_difference(self, writes, (on_conflict, turn)).await;
        if let Some(end) = end.filter(|_| !matches!(written, Err(Failure::Session(_)))) {
            self.end_staging(end, matches!(written, Ok(true))).await?;
        }
        Ok(written?.then_some(answer))
    }

    async fn end_if_staged(&mut self, end: Option<&str>) -> Outcome<()> {
        match end {
            Some(end) => self.on_server(end).await.map(drop),
            None => Ok(()),
        }
    }

    /// Runs the statement over staged rows, which stay staged: its answer, and what it has changed.
    /// `None` when the rows' turn is somebody else's: nothing is staged.
    async fn stage(
        &mut self,
        statement: &StoreStatement,
        given: Writing<'_>,
        (mut ready, turn): (Ready, &mut Turn),
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<(Answer, Vec<Difference>)>> {
        let Writing { targets, on_conflict, .. } = given;
        let (_, end) = self.staging();
        let (answer, after) = loop {
            add_rows(turn, targets, &ready.before);
            let ran = self.run_staged(&ready, turn, statement, targets, arguments).await?;
            let Some((answer, after)) = ran else {
                self.on_server(end).await?;
                return Ok(None);
            };
            if !on_conflict {
                break (answer, after);
            }
            // It looks at rows whose keys are known only now.
            let found = self.add_conflicting(targets, &mut ready.before, &after).await;
            if matches!(found, Ok(false)) {
                break (answer, after);
            }
            self.on_server(end).await?;
            found?;
        };
        add_rows(turn, targets, &after);
        Ok(Some((answer, difference(targets, ready.before, after))))
    }

    /// Reads the rows that a write needs.
    async fn rows_for(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        given: Writing<'_>,
        (arguments, turn): (&Arguments<'_>, &mut Turn),
    ) -> Outcome<Ready> {
        let Writing { targets, fetches, .. } = given;
        let read: Vec<&Fetch> = fetches.iter().collect();
        let all: Vec<&Fetch> =
            targets.iter().filter_map(|target| target.fetch.as_ref()).chain(fetches).collect();
        let mut fetched = match turn.first.take() {
            Some(first) => self.as_locked(&all, first),
            None => self.fetch_all(&all, statement, arguments).await?,
        };
        let skips = given.skips(parsed);
        while !skips && !self.lock_fetched(parsed, &read, &mut fetched).await? {
            fetched = self.fetch_all(&all, statement, arguments).await?;
        }
        turn.first = self.block().is_open().then(|| fetched.clone());
        if skips {
            for fetch in read.iter().filter(|fetch| parsed.locks(fetch.relation)) {
                let (home, rows) = (&fetch.home, fetched.get_mut(&fetch.relation));
                let is_free = |row: &Row| {
                    let key = home.table.table.key_of(row);
                    !turn.busy.contains(&(home.name().clone(), key))
                };
                rows.into_iter().for_each(|rows| rows.retain(is_free));
            }
        }
        if given.in_tables {
            let mut beside = by_table(&all, fetched);
            let mut rows_of = |target: &Target| {
                let place = beside.iter().position(|(home, _)| home.name() == target.home.name());
                place.map(|place| beside.remove(place).1).unwrap_or_default()
            };
            return Ok(Ready {
                before: targets.iter().map(&mut rows_of).collect(),
                beside,
                rows: Vec::new(),
            });
        }
        let rows = arrays(fetches, &mut fetched).await;
        let mut rows_of = |target: &Target| {
            let rows = target.fetch.as_ref().and_then(|fetch| fetched.remove(&fetch.relation));
            by_key(&target.home, rows.unwrap_or_default())
        };
        Ok(Ready { before: targets.iter().map(&mut rows_of).collect(), beside: Vec::new(), rows })
    }

    /// Whether staged writes of others may meet this session's. Where PostgreSQL serves one
    /// connection they don't, and it may be needed by who waits for a lock in the store.
    pub(super) fn takes_turns(&self) -> bool {
        self.stores().pool().options().size > 1
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

    /// Runs the statement over staged rows; its answer, and the tables' rows after it, while they
    /// are still staged. `None` when the rows' turn is somebody else's.
    async fn run_staged(
        &mut self,
        ready: &Ready,
        turn: &Turn,
        statement: &StoreStatement,
        targets: &[Target],
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<(Answer, Vec<Images>)>> {
        let (start, end) = self.staging();
        let shared =
            (self.status() == TransactionStatus::Idle && self.takes_turns()).then(|| turn.shared());
        let asked = shared.as_ref().map(|shared| format!("SELECT {shared}"));
        let beside = ready.beside.iter().map(|(home, rows)| (&*home.table.table, rows));
        let homes = targets
            .iter()
            .map(|target| &*target.home)
            .chain(ready.beside.iter().map(|(home, _)| &**home));
        let occupied = has_rows(homes.clone().map(Home::name));
        let mut tables: Vec<(&Table, &Images)> = targets
            .iter()
            .map(|target| &*target.home.table.table)
            .zip(&ready.before)
            .chain(beside)
            .collect();
        tables.retain(|(_, rows)| !rows.is_empty());
        tables.sort_by_key(|(table, _)| table.oid);
        let staging: Vec<Staging> = tables
            .into_iter()
            .map(|(table, rows)| match &shared {
                // Without its turn it would wait there for who has it.
                Some(shared) => Staging::of(table, rows).only_if(shared),
                None => Staging::of(table, rows),
            })
            .collect();
        let plain = |sql| Portal { sql, ..Portal::default() };
        let mut portals = vec![plain(start)];
        portals.extend(asked.as_deref().map(plain));
        portals.extend(occupied.as_deref().map(plain));
        portals.extend(staging.iter().map(Staging::portal));
        let staged = async {
            let started = self.portals_on_server(&portals).await?;
            if shared.is_some() && started.get(1).is_none_or(|rows| rows.text(0, 0) != "t") {
                return Ok(None);
            }
            let place = 1 + usize::from(shared.is_some());
            if let (Some(_), Some(found)) = (&occupied, started.get(place)) {
                self.refuse_occupied(found, homes)?;
            }
            let answer = self.run_rewritten(statement, &ready.rows, arguments).await?;
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

    /// Adds the stored rows of the keys that an INSERT with ON CONFLICT names, so that it runs
    /// once, and its rows meet those that are there before they meet each other.
    async fn add_inserted(
        &mut self,
        targets: &[Target],
        before: &mut [Images],
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<()> {
        let parameters = arguments.parameters(statement.parameters());
        for (target, before) in targets.iter().zip(before) {
            let table = &target.home.table;
            let Some(ResolvedAccess::Keys(keys)) =
                target.inserted.as_ref().and_then(|keys| keys.resolve(table, &parameters))
            else {
                continue;
            };
            let rows = self.read_keys(&target.home, &keys).await?;
            before.extend(by_key(&target.home, rows.into_iter().flatten().collect()));
        }
        Ok(())
    }

    /// Adds the stored rows whose keys an INSERT with ON CONFLICT has made; whether there were any
    /// that weren't staged yet.
    async fn add_conflicting(
        &mut self,
        targets: &[Target],
        before: &mut [Images],
        after: &[Images],
    ) -> Outcome<bool> {
        let mut found = false;
        for ((target, before), after) in targets.iter().zip(before).zip(after) {
            let new: Vec<Key> =
                after.keys().filter(|key| !before.contains_key(*key)).cloned().collect();
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
}

fn add_rows(turn: &mut Turn, targets: &[Target], rows: &[Images]) {
    for (target, rows) in targets.iter().zip(rows) {
        turn.add(&target.home.table.table, rows.keys());
    }
}
