//! Definitions that are known to stand still. A plan that a store answers alone asks PostgreSQL
//! nothing, so something else has to keep the definition as it was planned for.
//!
//! While such plans run, the gateway holds the tables in PostgreSQL as a reader does, over a
//! connection of its own, and knows their definitions. Whoever changes one, through any gateway or
//! past all of them, waits for that lock in PostgreSQL. The gateway sees them wait, lets no further
//! plan begin, waits for the stores' answers that are under way, and lets the tables go.
//!
//! PostgreSQL may lose the connection without the gateway's knowing. So the gateway relies on the
//! lock only for [`TERM`] from when it last asked and found it held, by its own clock. Each gateway
//! is listed in `flywheel.gateways` before it relies on anything, and holds an advisory lock of its
//! number for as long as its connection lives. A definition that finds a number whose lock is free
//! waits, by its own clock, until that gateway can't rely on anything any more ([`PAST`]).
//!
//! A definition that a native plan relies on is held in PostgreSQL. A native plan asks PostgreSQL
//! nothing, so a definition could change under it. While native statements run, the gateway holds
//! the store tables as a reader does, in a transaction of a connection of its own, and knows their
//! digests; each operation of a store looks, in memory, whether its table is held and its plan is
//! of that digest. Whoever changes the definition, through another gateway or past all of them,
//! waits for this lock in PostgreSQL: no trigger, no right and no word between gateways is needed,
//! and a statement pays nothing. The gateway looks every 25 ms whether somebody waits; then it
//! begins no further operation, waits for those under way, and lets the tables go until the
//! definition is through. An operation doesn't count while it waits for a row's lock, since whoever
//! is waited for may wait for the definition. A statement whose table isn't held takes the lock
//! itself, for as long as it runs, and waits there as PostgreSQL's own readers do. An epoch in the
//! stores, checked by each operation, would cost DynamoDB a transaction for each read, and knows
//! nothing of an ALTER past the gateways.

mod keeping;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flywheel_types::Table;
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock, watch};

/// For how long the gateway relies on a lock that it has seen itself hold.
const TERM: Duration = Duration::from_secs(3);
/// After so long a gateway whose connection is lost has no operation under way in any store.
const PAST: Duration = Duration::from_secs(6);
/// How often it looks whether somebody waits.
const INTERVAL: Duration = Duration::from_millis(25);
/// The same while a definition is expected.
const SOON: Duration = Duration::from_millis(2);
/// For how long one is expected.
const EXPECTED: Duration = Duration::from_secs(1);
/// Tables that nothing is asked of for so long are let go.
const IDLE: Duration = Duration::from_secs(5);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a statement waits for the tables to be held before it asks PostgreSQL itself.
const PATIENCE: Duration = Duration::from_millis(100);

const DEFINITION: &str = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('flywheel.outbox')); CREATE SCHEMA IF NOT EXISTS flywheel; \
     CREATE TABLE IF NOT EXISTS flywheel.gateways (id integer PRIMARY KEY, since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp())";

const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                      WHERE n.nspname = 'flywheel' AND c.relname = 'gateways')";

/// The numbers whose connections are lost.
const LOST: &str = "SELECT g.id FROM flywheel.gateways g WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_locks l \
     JOIN pg_catalog.pg_database d ON d.oid = l.database WHERE d.datname = pg_catalog.current_database() AND l.granted \
     AND l.locktype = 'advisory' AND l.classid = pg_catalog.hashtext('flywheel.gateways')::oid AND l.objid = g.id::oid AND l.objsubid = 2)";

/// A time during which tables are held.
#[derive(Debug)]
struct Period {
    /// The digests of their definitions, by oid.
    digests: HashMap<u32, String>,
    /// Those that the gateway's role may not hold.
    refused: HashSet<u32>,
    until: Mutex<Instant>,
    /// Taken for reading by each operation of a store that relies on a definition.
    operations: Arc<RwLock<()>>,
}

/// The time during which the gateway has held tables without a break. A definition that stands
/// in it at two moments has stood between them.
#[derive(Debug, Clone)]
pub struct Since(Arc<Period>);

impl PartialEq for Since {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Kept while an operation of a store is under way: the definition stays as it is.
#[derive(Debug)]
pub struct Operation {
    since: Since,
    _held: OwnedRwLockReadGuard<()>,
}

impl Operation {
    /// The time that it belongs to.
    pub fn since(&self) -> Since {
        self.since.clone()
    }
}

/// How the definition stands that a plan was made for.
#[derive(Debug)]
pub enum Standing {
    /// It stays as it is while this is kept.
    Steady(Operation),
    /// It is another one now.
    Changed,
    /// The table isn't held.
    Unknown,
    /// It won't be, as things are.
    Refused,
}

/// What became of an attempt to hold tables.
#[derive(Debug, Default)]
struct Held {
    digests: HashMap<u32, String>,
    refused: HashSet<u32>,
}

/// The definitions that the gateway holds.
#[derive(Debug)]
pub struct Steady {
    period: Mutex<Option<Arc<Period>>>,
    /// Told when a table is to be held.
    wanted: Notify,
    /// Told when somebody is about to wait, or a table isn't held that should be.
    hurry: Notify,
    /// Until when a definition is expected.
    expected: Mutex<Option<Instant>>,
    /// A statement has relied on a definition since it was looked.
    used: AtomicBool,
    /// A table was asked for that isn't held.
    lacking: AtomicBool,
    /// The last attempt has failed.
    fails: AtomicBool,
    /// A plan was made for another definition than the one that is known here.
    outdated: AtomicBool,
    /// Counts the periods.
    begun: watch::Sender<u64>,
    /// The gateway's number, while it has one.
    number: Mutex<Option<i32>>,
    /// Since when others are known to have lost their connections.
    lost: Mutex<HashMap<i32, Instant>>,
}

impl Default for Steady {
    fn default() -> Self {
        Self {
            period: Mutex::default(),
            wanted: Notify::new(),
            hurry: Notify::new(),
            expected: Mutex::default(),
            used: AtomicBool::new(false),
            lacking: AtomicBool::new(false),
            outdated: AtomicBool::new(false),
            fails: AtomicBool::new(false),
            begun: watch::Sender::new(0),
            number: Mutex::default(),
            lost: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Steady {
    /// How a definition stands.
    pub fn standing(&self, table: &Table) -> Standing {
        self.used.store(true, Ordering::Relaxed);
        let Some(period) = lock(&self.period).clone() else {
            self.wanted.notify_one();
            return if self.fails.load(Ordering::Acquire) {
                Standing::Refused
            } else {
                Standing::Unknown
            };
        };
        let Ok(held) = period.operations.clone().try_read_owned() else {
            return Standing::Unknown;
        };
        if period.refused.contains(&table.oid) {
            return Standing::Refused;
        }
        let Some(digest) = period.digests.get(&table.oid) else {
            self.lacking.store(true, Ordering::Release);
            self.hurry.notify_one();
            return Standing::Unknown;
        };
        if *lock(&period.until) <= Instant::now() {
            return Standing::Unknown;
        }
        if *digest != table.digest {
            // Or its types have been changed, which takes no lock of the table.
            self.outdated.store(true, Ordering::Release);
            self.hurry.notify_one();
            return Standing::Changed;
        }
        Standing::Steady(Operation { since: Since(period), _held: held })
    }

    /// Waits a little until a table is held.
    pub async fn wait(&self, table: &Table) {
        let mut begun = self.begun.subscribe();
        let held = async {
            while matches!(self.standing(table), Standing::Unknown) {
                if begun.changed().await.is_err() {
                    return;
                }
            }
        };
        // An error: it isn't held in that time.
        let _ = tokio::time::timeout(PATIENCE, held).await;
    }

    /// A definition is about to wait for the gateway to let its table go.
    pub fn expect_definition(&self) {
        *lock(&self.expected) = Some(Instant::now() + EXPECTED);
        self.hurry.notify_one();
    }

    fn interval(&self) -> Duration {
        let expected = lock(&self.expected);
        if expected.is_some_and(|until| until > Instant::now()) { SOON } else { INTERVAL }
    }

    fn begin(&self, held: Held, asked: Instant) {
        let Held { digests, refused } = held;
        self.fails.store(false, Ordering::Release);
        let period = Period {
            digests,
            refused,
            until: Mutex::new(asked + TERM),
            operations: Arc::default(),
        };
        *lock(&self.period) = Some(Arc::new(period));
        self.begun.send_modify(|begun| *begun += 1);
    }

    fn renew(&self, asked: Instant) {
        if let Some(period) = &*lock(&self.period) {
            *lock(&period.until) = asked + TERM;
        }
    }

    /// Which tables are held, or can't be.
    fn known(&self) -> HashSet<u32> {
        let period = lock(&self.period);
        let of = |period: &Arc<Period>| -> Vec<u32> {
            period.digests.keys().chain(&period.refused).copied().collect()
        };
        period.iter().flat_map(of).collect()
    }

    /// No operation begins from now on; returns when those that have begun are over.
    async fn end(&self) {
        let ended = lock(&self.period).take();
        if let Some(period) = ended {
            drop(period.operations.write().await);
        }
    }

    /// Notes which gateways have lost their connections; how long each still has to be waited for.
    fn note_lost(&self, numbers: &[i32]) -> Vec<(i32, Duration)> {
        let mut lost = lock(&self.lost);
        lost.retain(|number, _| numbers.contains(number));
        let left = |&number: &i32| {
            let since = *lost.entry(number).or_insert_with(Instant::now);
            (number, PAST.saturating_sub(since.elapsed()))
        };
        numbers.iter().map(left).collect()
    }
}
