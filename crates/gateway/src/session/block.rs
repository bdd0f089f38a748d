//! What a transaction block has done that PostgreSQL doesn't know of: the session's settings, and writes to store tables, which wait
//! here for COMMIT.

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_postgres::Settings;
use flywheel_store::{Change, Effect, Expect};
use flywheel_types::{Key, Row, TableName};
use indexmap::IndexMap;

/// A row that the block has written or locked.
#[derive(Debug, Clone)]
pub(crate) struct Buffered {
    pub(crate) home: Arc<Home>,
    /// The row as the block found it in the store; `None`: it wasn't there.
    pub(crate) before: Option<Row>,
    /// The row as the block leaves it.
    pub(crate) after: Option<Row>,
    /// It is to be as the block found it even if it isn't written: it was read by a SELECT … FOR UPDATE.
    pub(crate) locked: bool,
}

/// Rows written or locked, by table and key.
pub(crate) type Writes = IndexMap<(TableName, Key), Buffered>;

#[derive(Debug, Clone)]
struct State {
    settings: Arc<Settings>,
    local: Settings,
    writes: Writes,
}

/// The state of a transaction block; empty outside one.
#[derive(Debug, Default)]
pub(crate) struct Block {
    start: Option<State>,
    savepoints: Vec<(String, State)>,
    /// What SET LOCAL has set.
    local: Settings,
    /// PostgreSQL has said that the block may write.
    pub(crate) may_write: bool,
    pub(crate) writes: Writes,
    /// It has altered a store table's definition.
    pub(crate) redefined: bool,
    /// Tables that it has made in their stores.
    pub(crate) created: Vec<Home>,
}

impl Block {
    /// A block begins.
    pub(crate) fn begin(&mut self, settings: &Arc<Settings>) {
        if self.start.is_none() {
            self.start = Some(State {
                settings: settings.clone(),
                local: Settings::default(),
                writes: Writes::new(),
            });
        }
    }

    /// Whether a block is open.
    pub(crate) fn is_open(&self) -> bool {
        self.start.is_some()
    }

    /// The block ends; when it is rolled back, the settings are again what they were at its beginning.
    /// The tables are those that it has made and that are not to be.
    #[must_use]
    pub(crate) fn end(&mut self, rolled_back: bool, settings: &mut Arc<Settings>) -> Vec<Home> {
        if let (Some(start), true) = (self.start.take(), rolled_back) {
            *settings = start.settings;
        }
        self.savepoints.clear();
        self.local.reset_all();
        self.may_write = false;
        self.redefined = false;
        self.writes.clear();
        let created = std::mem::take(&mut self.created);
        if rolled_back { created } else { Vec::new() }
    }

    /// The SET LOCAL statement on this setting.
    pub(crate) fn local(&self, name: &str) -> Option<&str> {
        self.local.get(name)
    }

    /// All that SET LOCAL has set.
    pub(crate) fn local_settings(&self) -> &Settings {
        &self.local
    }

    /// Outside a block SET LOCAL does nothing.
    pub(crate) fn set_local(&mut self, name: &str, statement: &str) {
        if self.is_open() {
            self.local.set(name, statement);
            // It may have been SET TRANSACTION READ ONLY.
            self.may_write = false;
        }
    }

    /// A SET takes the place of an earlier SET LOCAL.
    pub(crate) fn forget_local(&mut self, name: &str) {
        self.local.reset(name);
        self.may_write = false;
    }

    /// RESET ALL takes the place of all of them, but for the role.
    pub(crate) fn forget_locals(&mut self) {
        self.local.reset_to(&Settings::default());
        self.may_write = false;
    }

    pub(crate) fn savepoint(&mut self, name: String, settings: &Arc<Settings>) {
        self.savepoints.push((
            name,
            State {
                settings: settings.clone(),
                local: self.local.clone(),
                writes: self.writes.clone(),
            },
        ));
    }

    /// Back to the latest savepoint of this name, which stays.
    pub(crate) fn rollback_to(&mut self, name: &str, settings: &mut Arc<Settings>) {
        if let Some(at) = self.savepoints.iter().rposition(|(each, _)| each == name) {
            self.savepoints.truncate(at + 1);
            let state = self.savepoints[at].1.clone();
            self.writes = state.writes;
            self.local = state.local;
            *settings = state.settings;
        }
    }

    pub(crate) fn release(&mut self, name: &str) {
        if let Some(at) = self.savepoints.iter().rposition(|(each, _)| each == name) {
            self.savepoints.truncate(at);
        }
    }

    /// The writes to a table.
    pub(crate) fn of_table<'a>(&'a self, table: &'a TableName) -> impl Iterator<Item = (&'a Key, &'a Buffered)> {
        self.writes
            .iter()
            .filter(move |((name, _), _)| name == table)
            .map(|((_, key), buffered)| (key, buffered))
    }

    /// Whether it has written to a table.
    pub(crate) fn has_written(&self, table: &TableName) -> bool {
        self.of_table(table).next().is_some()
    }

    /// What the block says of a row; `None`: nothing.
    pub(crate) fn get(&self, table: &TableName, key: &Key) -> Option<&Buffered> {
        if self.writes.is_empty() {
            None
        } else {
            self.writes.get(&(table.clone(), key.clone()))
        }
    }

    /// Notes a row's new state. `before` is the row as it was read from the store, used the first time only.
    pub(crate) fn write(&mut self, home: &Arc<Home>, key: Key, before: Option<Row>, after: Option<Row>) {
        self.writes
            .entry((home.name().clone(), key))
            .and_modify(|buffered| buffered.after.clone_from(&after))
            .or_insert_with(|| Buffered {
                home: home.clone(),
                before,
                after,
                locked: false,
            });
    }

    /// Notes that COMMIT depends on a row's being as it was read.
    pub(crate) fn lock(&mut self, home: &Arc<Home>, key: Key, row: &Row) {
        self.writes
            .entry((home.name().clone(), key))
            .and_modify(|buffered| buffered.locked = true)
            .or_insert_with(|| Buffered {
                home: home.clone(),
                before: Some(row.clone()),
                after: Some(row.clone()),
                locked: true,
            });
    }
}

impl Buffered {
    /// The write that COMMIT makes of it: on condition that the row is still as the block found it. `None` when nothing is to be done.
    /// A row that is only locked is put as it is, which for a store is a condition, or as good as one.
    pub(crate) fn to_change(&self, key: &Key) -> Option<Change> {
        let expect = match (&self.before, &self.after) {
            (None, None) => return None,
            (before, after) if before == after && !self.locked => return None,
            (Some(before), _) => Expect::Unchanged(before.clone()),
            (None, _) => Expect::Absent,
        };
        let effect = self.after.clone().map_or(Effect::Delete, Effect::Put);
        Some(Change {
            key: key.clone(),
            expect,
            effect,
        })
    }
}
