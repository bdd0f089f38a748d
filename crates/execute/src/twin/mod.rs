//! PostgreSQL's own tables of the same definition, the *twins* of store tables. They are empty:
//! whoever reads one would be given no rows, and what is written to one is in no store.
//!
//! Statements that name a store table never get there. Code that PostgreSQL runs by itself may:
//! functions, triggers, rules, DO blocks. `words.rs` proves from a statement's words, and from what
//! `reach.rs` knows of the definitions, that it leaves the twins alone; that costs nothing. Every
//! other statement is guarded (the crate `gateway`, `session/guard`): PostgreSQL counts what a
//! transaction reads and writes of each table, `marks.rs` reads those counters before and after,
//! and a statement that has moved them fails.
//!
//! Code that PostgreSQL runs by itself finds the twins, its own empty tables of store tables
//! (`execute/twin`). A statement is proved to leave them alone by its words and by what depends on
//! what (`twin/reach.rs`, from `postgres::Dependencies`; kept by text for one generation of
//! definitions, so the relay pays two loads of a number), or it is guarded (`session/guard`):
//! PostgreSQL counts scans and writes of each table in the running transaction, whatever code does
//! them and with savepoints or without, so the counters are read before and after it, in the same
//! writes, and the second reading fails when they have moved. In a batch of the extended protocol
//! that costs messages but no round trip; a simple Query gets BEGIN and COMMIT around it, sent
//! together. Its rows stream, only the end of the answer is kept back. What the counters leave out
//! is seen otherwise: TRUNCATE by the table's file; parallel workers by having none; functions that
//! were computed when a plan was made (declared IMMUTABLE) by DISCARD PLANS; deferred triggers by
//! SET CONSTRAINTS before the end, cursors by guarding FETCH. A row-security policy on the twin
//! isn't evaluated on an empty table; a trigger on it would refuse Flywheel's own staging, and show
//! in every ORM's schema diff. Where rows are staged *in* the twins, counters prove nothing: such a
//! statement's functions must be proved (`twin/check.rs`).

mod marks;
mod reach;
mod rows;
mod texts;
mod words;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use flywheel_postgres::dependencies::{self, Dependencies};
use flywheel_postgres::{Connection, Pool, ServerError};
use flywheel_statement::Analysis;
use flywheel_types::TableName;
use tokio::sync::Notify;

pub use marks::{CHECK, CONSTRAINTS, MARK, Marks, changed, moved};
pub use reach::Reach;
pub use rows::{WAY_OUT, has_rows, refused};
use words::is_harmless;

/// How much of the time may go into reading definitions anew, as a part of it.
const SHARE: u32 = 10;
/// How long a session waits for definitions that are read over another connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of the ways to the twins.
#[derive(Debug)]
pub struct Twins {
    tables: Vec<TableName>,
    marks: Marks,
    /// Grows with every change of a definition.
    generation: AtomicU64,
    reach: RwLock<Option<Arc<Reach>>>,
    /// Told when a statement needed it, and it wasn't known.
    lacking: Notify,
    /// Told when it was read.
    loaded: Notify,
}

/// Whether a text is proved to leave the twins alone, for one generation of definitions.
#[derive(Debug, Default)]
pub struct Proof(AtomicU64);

impl Proof {
    /// Whether it is proved, and whether only where a backslash in a string is nothing but itself.
    fn get(&self, generation: u64) -> Option<(bool, bool)> {
        let kept = self.0.load(Ordering::Relaxed);
        (kept >> 2 == generation).then_some((kept & 1 == 1, kept & 2 == 2))
    }

    fn set(&self, generation: u64, (is_harmless, has_backslash): (bool, bool)) {
        let kept = generation << 2 | u64::from(has_backslash) << 1 | u64::from(is_harmless);
        self.0.store(kept, Ordering::Relaxed);
    }
}

/// Whether a text leaves the twins alone, and whether only where a backslash in a string is nothing
/// but itself.
fn prove(analysis: &Analysis, reach: Option<&Reach>) -> (bool, bool) {
    let mut statements = analysis.statements.iter();
    let is_harmless = statements.all(|statement| is_harmless(&analysis.text, statement, reach));
    (is_harmless, analysis.text.contains('\\'))
}

impl Twins {
    /// Those of the configured tables.
    pub fn new(tables: Vec<TableName>) -> Self {
        Self {
            marks: Marks::of(&tables),
            tables,
            generation: AtomicU64::new(1),
            reach: RwLock::default(),
            lacking: Notify::new(),
            loaded: Notify::new(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// PostgreSQL's counters of what is read and written of them.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// A definition has changed: nothing is proved any more.
    pub fn outdate(&self) {
        if !self.is_empty() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether the text is proved to leave the twins alone. `alone`: by its words only, since the
    /// session has definitions of its own that others don't see. `is_read_otherwise`: its strings
    /// may end elsewhere, since a backslash in them says something.
    pub fn is_harmless(
        &self,
        analysis: &Analysis,
        alone: bool,
        is_read_otherwise: impl FnOnce() -> bool,
    ) -> bool {
        let prove = |reach: Option<&Reach>| prove(analysis, reach);
        let generation = self.generation.load(Ordering::Acquire);
        let known = analysis.note::<Proof>().get(generation).filter(|_| !alone);
        let (is_harmless, has_backslash) = known.unwrap_or_else(|| {
            let Some(reach) = self.current().filter(|_| !alone) else {
                self.lacking.notify_one();
                return prove(None);
            };
            let proved = prove(Some(&reach));
            analysis.note::<Proof>().set(reach.generation, proved);
            proved
        });
        is_harmless && !(has_backslash && is_read_otherwise())
    }

    /// Whether the text is proved by these definitions, however its strings are read.
    pub fn is_proved_by(analysis: &Analysis, reach: &Reach) -> bool {
        Self::is_harmless_by(reach, analysis, || true)
    }

    /// The same as far as definitions go that were read for this text.
    pub fn is_harmless_by(
        reach: &Reach,
        analysis: &Analysis,
        is_read_otherwise: impl FnOnce() -> bool,
    ) -> bool {
        let (is_harmless, has_backslash) = prove(analysis, Some(reach));
        is_harmless && !(has_backslash && is_read_otherwise())
    }

    /// Whether a function that may lead to a twin may have been computed when a statement was
    /// planned. `alone`: as above.
    pub fn folds(&self, alone: bool) -> bool {
        alone || self.current().is_none_or(|reach| reach.folds)
    }

    /// The ways to the twins, when nothing has changed since they were read.
    pub fn current(&self) -> Option<Arc<Reach>> {
        let reach = self.reach.read().unwrap_or_else(PoisonError::into_inner).clone();
        reach.filter(|reach| reach.generation == self.generation.load(Ordering::Acquire))
    }

    /// The ways to the twins, read over this connection when they must be. `alone`: as its
    /// transaction sees them.
    pub async fn reach(
        &self,
        connection: &mut Connection,
        alone: bool,
    ) -> Result<Arc<Reach>, ServerError> {
        match self.current().filter(|_| !alone) {
            Some(reach) => Ok(reach),
            None => self.load(connection, alone).await,
        }
    }

    async fn load(
        &self,
        connection: &mut Connection,
        alone: bool,
    ) -> Result<Arc<Reach>, ServerError> {
        let generation = self.generation.load(Ordering::Acquire);
        let all = Dependencies::load(connection).await?;
        let tables = self.tables.clone();
        // Bodies of functions may be many and long.
        let made = tokio::task::spawn_blocking(move || Reach::of(generation, &all, &tables)).await;
        let reach = Arc::new(made.unwrap_or_else(|_| Reach::unknown(generation)));
        if !alone {
            let mut known = self.reach.write().unwrap_or_else(PoisonError::into_inner);
            // Another connection may have read newer definitions meanwhile.
            if known.as_ref().is_none_or(|known| known.generation <= generation) {
                *known = Some(reach.clone());
            }
            drop(known);
            self.loaded.notify_waiters();
        }
        Ok(reach)
    }

    /// The ways to the twins, as [`Self::keep_reach`] reads them over a connection of its own: for
    /// a session whose connection can't be asked now. `None`: they weren't read within
    /// `PATIENCE`.
    pub async fn reach_elsewhere(&self) -> Option<Arc<Reach>> {
        let read = async {
            loop {
                let loaded = self.loaded.notified();
                if let Some(reach) = self.current() {
                    return reach;
                }
                self.lacking.notify_one();
                loaded.await;
            }
        };
        tokio::time::timeout(PATIENCE, read).await.ok()
    }

    /// Whether definitions were changed past this gateway.
    pub async fn look(&self, connection: &mut Connection) -> Result<bool, ServerError> {
        let Some(reach) = self.current() else {
            return Ok(false);
        };
        let has_changed = dependencies::digest(connection).await? != reach.digest;
        if has_changed {
            self.outdate();
        }
        Ok(has_changed)
    }

    /// Reads the definitions when a statement needs them.
    pub async fn keep_reach(&self, pool: &Pool) {
        loop {
            if self.current().is_none()
                && let Ok(mut lease) = pool.acquire_for_look().await
            {
                let begun = Instant::now();
                if let Err(error) = self.load(&mut lease, false).await {
                    tracing::debug!(%error, "definitions can't be read for the guard of store tables");
                }
                drop(lease);
                // Where definitions are made all the time, statements are guarded rather than
                // proved.
                tokio::time::sleep(begun.elapsed() * SHARE).await;
            }
            self.lacking.notified().await;
        }
    }
}
