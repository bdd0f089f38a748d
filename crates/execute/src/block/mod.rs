//! What a transaction block has done that PostgreSQL doesn't know of: the session's settings, and
//! writes to store tables, which wait here for COMMIT.

mod cursors;
mod marks;
mod redefined;
mod row;
mod snapshot;
mod writes;

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_postgres::Settings;
use flywheel_sql::Verb;
use flywheel_types::{Key, Row, TableName};

use marks::Marked;
use writes::{Place, Writes};

pub use cursors::Cursors;
pub use marks::{Mark, Marks};
pub use redefined::Redefined;
pub use row::{Buffered, Guard};
pub(crate) use snapshot::sorted;
pub use snapshot::{ReadOf, Snapshot};

/// A block's isolation level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// READ COMMITTED, and READ UNCOMMITTED, which is the same.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

impl Isolation {
    /// As PostgreSQL's setting `transaction_isolation` names it.
    pub fn named(name: &str) -> Self {
        match name {
            "repeatable read" => Self::RepeatableRead,
            "serializable" => Self::Serializable,
            _ => Self::ReadCommitted,
        }
    }

    /// Whether what a block has read stays as it is to its end.
    pub fn keeps_a_snapshot(self) -> bool {
        self != Self::ReadCommitted
    }
}

/// The settings that a block began with.
#[derive(Debug)]
struct Start {
    settings: Arc<Settings>,
}

#[derive(Debug)]
struct Savepoint {
    name: String,
    settings: Arc<Settings>,
    local: Arc<Settings>,
    /// Where the journal of writes stood.
    writes: Place,
    marked: Marked,
}

/// The state of a transaction block; empty outside one.
#[derive(Debug, Default)]
pub struct Block {
    start: Option<Start>,
    savepoints: Vec<Savepoint>,
    /// What SET LOCAL has set.
    local: Arc<Settings>,
    /// PostgreSQL has said that the block may write.
    pub may_write: bool,
    /// How it is isolated, once that is known.
    pub isolation: Option<Isolation>,
    /// Its BEGIN says how it is to be isolated, or what it follows has.
    pub says_isolation: bool,
    /// What it has read, where that is to stay so.
    pub snapshot: Snapshot,
    /// The rows that it has written or locked.
    pub writes: Writes,
    /// The rows that it has locked.
    pub marks: Marks,
    /// It has altered a store table's definition.
    pub redefined: bool,
    /// It may have changed definitions or rights, which others see when it has committed.
    defines: bool,
    /// What it has done to definitions.
    pub definitions: Redefined,
    /// Its cursors that lock rows of store tables.
    pub cursors: Cursors,
}

impl Block {
    /// Whether COMMIT looks at what a SERIALIZABLE block has read, even if it has written to no
    /// store.
    pub fn confirms_at(&self, verb: Verb) -> bool {
        verb == Verb::Commit
            && self.isolation == Some(Isolation::Serializable)
            && !self.snapshot.is_empty()
    }

    /// A block begins.
    pub fn begin(&mut self, settings: &Arc<Settings>) {
        if self.start.is_none() {
            self.start = Some(Start { settings: settings.clone() });
        }
    }

    /// Definitions or rights may have been changed in it.
    pub fn note_definition(&mut self) {
        self.defines |= self.is_open();
    }

    /// Whether they may have been.
    pub fn may_define(&self) -> bool {
        self.defines
    }

    /// Whether a block is open.
    pub fn is_open(&self) -> bool {
        self.start.is_some()
    }

    /// The block ends; when it is rolled back, the settings are again what they were at its
    /// beginning. What it has done to definitions is for the caller to follow.
    #[must_use]
    pub fn end(&mut self, rolled_back: bool, settings: &mut Arc<Settings>) -> Redefined {
        if let (Some(start), true) = (self.start.take(), rolled_back) {
            *settings = start.settings;
        }
        self.savepoints.clear();
        self.local = Arc::default();
        self.may_write = false;
        self.isolation = None;
        self.says_isolation = false;
        self.snapshot = Snapshot::default();
        self.definitions.is_changed |= std::mem::take(&mut self.redefined);
        self.defines = false;
        self.writes.clear();
        self.cursors.clear();
        std::mem::take(&mut self.definitions)
    }

    /// The SET LOCAL statement on this setting.
    pub fn local(&self, name: &str) -> Option<&str> {
        self.local.get(name)
    }

    /// All that SET LOCAL has set.
    pub fn local_settings(&self) -> &Settings {
        &self.local
    }

    /// Outside a block SET LOCAL does nothing.
    pub fn set_local(&mut self, name: &str, statement: &str) {
        if self.is_open() {
            Arc::make_mut(&mut self.local).set(name, statement);
            // It may have been SET TRANSACTION READ ONLY.
            self.may_write = false;
            self.isolation = None;
        }
    }

    /// A SET takes the place of an earlier SET LOCAL.
    pub fn forget_local(&mut self, name: &str) {
        Arc::make_mut(&mut self.local).reset(name);
        self.may_write = false;
    }

    /// RESET ALL takes the place of all of them, but for the role.
    pub fn forget_locals(&mut self) {
        Arc::make_mut(&mut self.local).reset_to(&Settings::default());
        self.may_write = false;
    }

    /// SAVEPOINT.
    pub fn savepoint(&mut self, name: String, settings: &Arc<Settings>) {
        self.savepoints.push(Savepoint {
            name,
            settings: settings.clone(),
            local: self.local.clone(),
            writes: self.writes.savepoint(),
            marked: self.marks.savepoint(),
        });
    }

    /// Back to the latest savepoint of this name, which stays; the locks that are to go.
    #[must_use]
    pub fn rollback_to(&mut self, name: &str, settings: &mut Arc<Settings>) -> Vec<Mark> {
        let Some(at) = self.savepoints.iter().rposition(|each| each.name == name) else {
            return Vec::new();
        };
        self.savepoints.truncate(at + 1);
        let savepoint = &self.savepoints[at];
        self.writes.rollback_to(savepoint.writes);
        self.local = savepoint.local.clone();
        *settings = savepoint.settings.clone();
        self.definitions.look_again();
        self.marks.rollback_to(savepoint.marked)
    }

    /// RELEASE SAVEPOINT.
    pub fn release(&mut self, name: &str) {
        if let Some(at) = self.savepoints.iter().rposition(|each| each.name == name) {
            self.marks.release(self.savepoints[at].marked);
            self.savepoints.truncate(at);
            self.writes.release_to(self.savepoints.last().map(|latest| latest.writes));
        }
    }

    /// The writes to a table.
    pub fn of_table(&self, table: &TableName) -> impl Iterator<Item = (&Key, &Buffered)> {
        self.writes.of_table(table)
    }

    /// How many rows of a table it has written or locked.
    pub fn count_of_table(&self, table: &TableName) -> usize {
        self.writes.count_of_table(table)
    }

    /// Whether it has written to a table.
    pub fn has_written(&self, table: &TableName) -> bool {
        self.count_of_table(table) > 0
    }

    /// What the block says of a row; `None`: nothing.
    pub fn get(&self, table: &TableName, key: &Key) -> Option<&Buffered> {
        self.writes.get(table, key)
    }

    /// Notes a row's new state. `before` is the row as it was read from the store, used the first
    /// time only.
    pub fn write(&mut self, home: &Arc<Home>, key: Key, before: Option<Row>, after: Option<Row>) {
        self.cursors.note_write(home.name());
        self.writes.change(home.name(), key, |known| match known {
            Some(buffered) => {
                buffered.after = after;
                if buffered.guard == Guard::Shared {
                    buffered.guard = Guard::Alone;
                }
                None
            }
            None => Some(Buffered { home: home.clone(), before, after, guard: Guard::None }),
        });
    }

    /// Notes that the block has locked a row, or the key of one that isn't there.
    pub fn lock(&mut self, home: &Arc<Home>, key: Key, row: Option<&Row>, guard: Guard) {
        self.writes.change(home.name(), key, |known| match known {
            Some(buffered) => {
                buffered.guard = buffered.guard.max(guard);
                None
            }
            None => Some(Buffered {
                home: home.clone(),
                before: row.cloned(),
                after: row.cloned(),
                guard,
            }),
        });
    }
}
