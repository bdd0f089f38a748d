//! Answers kept in memory: which statements they are kept for, what they are read from, and which
//! writes end them.
//!
//! `rules.rs` says for which statements, by their words; `graph.rs` what depends on what in the
//! database; `reading.rs` what a query reads; `writing.rs` what a statement writes; `row_key.rs`
//! which single row; `written.rs` what a session has written; `following.rs` what is written past
//! this gateway to PostgreSQL's tables, `listening.rs` to those in stores; `sources.rs` how old
//! that news may be; `problems.rs` what of all that can't be told. The session's part is
//! `session/cached/`; the answers themselves are kept by the crate `flywheel-cache`.
//!
//! Wherever something can't be told, a read isn't kept and a write ends everything.
//!
//! The versions of the tables (or rows) that a query reads are taken before the read begins; an
//! answer is valid as long as they stay. Whatever may write moves them: `Caching::note` before it
//! is carried out, `Caching::apply` when its answer comes, and once more when the transaction is
//! over. So a fill that a write overtakes is discarded by itself. A rule that names a table which
//! can't be followed is refused when the gateway starts, if PostgreSQL can be asked then.

mod figures;
mod following;
mod graph;
mod kept;
mod listening;
mod memo;
mod problems;
mod reading;
mod row_key;
mod rules;
mod sources;
mod words;
mod writing;
mod written;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use flywheel_cache::{Cache, Lifetimes, Snapshot, Touch, Versions};
use flywheel_plan::Parameters;
use flywheel_postgres::dependencies::{self, Dependencies};
use flywheel_postgres::{Connection, Pool, ServerError};
use flywheel_replication::Follower;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};
use tokio::sync::{Notify, Semaphore};

use crate::options::CacheRule;
use crate::sharing::{Elsewhere, Sharing};

pub use figures::RuleFigures;
pub use following::Following;
use graph::Graph;
pub use kept::Kept;
pub use memo::Memo;
pub use problems::RuleProblem;
pub use reading::Reading;
pub use rules::Hint;
pub use sources::{Source, Sources, StoreTables, follower};
pub use written::Written;

/// How long definitions and rights changed past this gateway may go unnoticed.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// So many answers are read anew at once behind clients that have old ones, so that these don't
/// take the servers from clients that have none.
const REVALIDATIONS: usize = 8;

/// The cache of one database.
#[derive(Debug)]
pub struct Caching {
    kept: Arc<Kept>,
    /// The database's name to clients.
    pub database: String,
    /// What has been written to its tables.
    versions: Arc<Versions>,
    /// The same for rules that writes don't concern: only definitions and FLUSH CACHE do.
    unwritten: Arc<Versions>,
    /// The same for rules that know of all writes, whoever makes them.
    followed: Arc<Versions>,
    /// Tells of those writes to PostgreSQL's tables; only in the main database, where a rule needs
    /// it.
    follower: Option<Arc<Follower>>,
    /// Tell of those to tables in stores; only in the main database, where stores' tables are.
    sources: Option<Sources>,
    graph: RwLock<Option<Arc<Graph>>>,
    /// Which generation of the graph is the right one: it grows with each change of a definition.
    wanted: AtomicU64,
    /// Whose turn it is to read the graph, and when that was last in vain.
    loading: tokio::sync::Mutex<Option<Instant>>,
    /// Told when a write needed the graph, and it wasn't known.
    lacking: Notify,
    /// What is known to be wrong with the rules.
    told: Mutex<Vec<RuleProblem>>,
    /// Places for answers that are read anew behind their clients.
    revalidations: Arc<Semaphore>,
}

impl Caching {
    /// The cache of the database of this name to clients. `follower` and `sources` tell of writes
    /// past this gateway.
    pub fn new(
        kept: Arc<Kept>,
        database: String,
        follower: Option<Arc<Follower>>,
        sources: Option<Sources>,
    ) -> Arc<Self> {
        Arc::new(Self {
            kept,
            database,
            versions: Arc::default(),
            unwritten: Arc::default(),
            followed: Arc::default(),
            follower,
            sources,
            graph: RwLock::new(None),
            wanted: AtomicU64::new(1),
            loading: tokio::sync::Mutex::default(),
            lacking: Notify::new(),
            told: Mutex::default(),
            revalidations: Arc::new(Semaphore::new(REVALIDATIONS)),
        })
    }

    /// The answers of all databases.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.kept.cache
    }

    /// Where a place is to be had for reading an answer anew.
    pub fn revalidations(&self) -> Arc<Semaphore> {
        self.revalidations.clone()
    }

    /// The rules of all databases.
    pub fn rules(&self) -> &[CacheRule] {
        &self.kept.rules
    }

    /// The first rule that is for this statement of this user, and how long its answers live.
    pub fn rule(&self, analysis: &Analysis, user: &str) -> Option<(usize, Lifetimes)> {
        let matching = Memo::of(analysis).rules(analysis, &self.kept.rules)?;
        let is_for = |rule: &CacheRule| {
            rule.user.as_deref().is_none_or(|wanted| wanted == user) && self.is_of_database(rule)
        };
        let at = (0..matching.len()).find(|&at| matching[at] && is_for(&self.kept.rules[at]))?;
        let rule = &self.kept.rules[at];
        let mut lifetimes = Lifetimes {
            ttl: rule.ttl,
            stale_while_revalidate: rule.stale_while_revalidate,
            stale_if_error: rule.stale_if_error,
        };
        if let Some(ttl) = Memo::of(analysis).hint(analysis).ttl {
            lifetimes.ttl = ttl;
        }
        Some((at, lifetimes))
    }

    fn is_of_database(&self, rule: &CacheRule) -> bool {
        rule.database.as_deref().is_none_or(|wanted| wanted == self.database)
            && (rule.max_lag.is_none() || self.sources.is_some())
    }

    /// Whether a rule that is for this database names tables: of others nothing can be wrong before
    /// there is a statement.
    pub fn names_tables(&self) -> bool {
        self.rules().iter().any(|rule| !rule.tables.is_empty() && self.is_of_database(rule))
    }

    /// Who tells of writes to PostgreSQL's tables past this gateway.
    pub fn follower(&self) -> Option<&Arc<Follower>> {
        self.follower.as_ref()
    }

    /// What this gateway has in common with others.
    pub fn sharing(&self) -> Option<&Arc<Sharing>> {
        self.kept.sharing.as_ref()
    }

    /// The stores that tell of writes past this gateway.
    pub fn sources(&self) -> &[Arc<Source>] {
        self.sources.as_ref().map(|sources| sources.all.as_slice()).unwrap_or_default()
    }

    /// What a rule needs PostgreSQL's news for.
    pub fn follower_of(&self, rule: usize) -> Option<&Arc<Follower>> {
        self.sources.as_ref().filter(|sources| sources.needs_postgres(rule))?;
        self.follower.as_ref()
    }

    /// Whether a rule's answers can be given: of all that was committed longer ago than it allows,
    /// the answers have been ended. To be asked before an answer is looked for.
    pub fn keeps_up(&self, rule: usize) -> bool {
        let of = &self.kept.rules[rule];
        match (of.max_lag, &self.kept.sharing) {
            (Some(max_lag), _) => self.lag(rule).is_some_and(|lag| lag <= max_lag),
            (None, Some(sharing)) => !of.by_writes || sharing.keeps_up(),
            (None, None) => true,
        }
    }

    /// How old the news may be by which a rule's answers end.
    pub fn lag(&self, rule: usize) -> Option<Duration> {
        let of = &self.kept.rules[rule];
        match of.max_lag {
            Some(_) => {
                let postgres = || self.follower.as_ref().and_then(|follower| follower.lag());
                self.sources.as_ref()?.lag(rule, postgres)
            }
            None => self.kept.sharing.as_ref().filter(|_| of.by_writes)?.lag(),
        }
    }

    fn generation(&self) -> u64 {
        self.wanted.load(Ordering::SeqCst)
    }

    /// A write through this gateway, or what is like one.
    fn invalidate(&self, touch: &Touch) {
        self.versions.invalidate(touch);
        if self.sources.is_some() {
            self.followed.invalidate(touch);
        }
    }

    /// The graph, when it is known and nothing has changed since.
    pub fn known_graph(&self) -> Option<Arc<Graph>> {
        self.current_graph()
    }

    fn current_graph(&self) -> Option<Arc<Graph>> {
        let graph = self.graph.read().unwrap_or_else(PoisonError::into_inner).clone();
        graph.filter(|graph| graph.generation == self.generation())
    }

    /// The graph, read from the catalogue when it must be.
    pub async fn graph(&self, pool: &Pool) -> Result<Arc<Graph>, ServerError> {
        if let Some(graph) = self.current_graph() {
            return Ok(graph);
        }
        let mut failed = self.loading.lock().await;
        if let Some(graph) = self.current_graph() {
            return Ok(graph);
        }
        if failed.is_some_and(|failed| failed.elapsed() < WATCH_INTERVAL) {
            // Those who wait for it don't each wait for whoever has locked the catalogue.
            let message = "the catalogue couldn't be read a moment ago";
            return Err(ServerError::Postgres(PgError::error(
                sqlstate::LOCK_NOT_AVAILABLE,
                message,
            )));
        }
        let generation = self.generation();
        let mut lease = pool.acquire_for_look().await?;
        let loaded = Dependencies::load(&mut lease).await;
        *failed = loaded.is_err().then(Instant::now);
        let graph = Arc::new(Graph::new(generation, loaded?).following(self.rules()));
        self.look_for_problems(&graph);
        *self.graph.write().unwrap_or_else(PoisonError::into_inner) = Some(graph.clone());
        Ok(graph)
    }

    /// The same over a connection that is held already.
    pub async fn graph_over(&self, connection: &mut Connection) -> Result<Arc<Graph>, ServerError> {
        match self.current_graph() {
            Some(graph) => Ok(graph),
            None => Ok(Arc::new(
                Graph::new(0, Dependencies::load(connection).await?).following(self.rules()),
            )),
        }
    }

    /// A definition has changed: what is known of the catalogue, and every answer, is of the past.
    pub fn outdate(&self) {
        self.wanted.fetch_add(1, Ordering::SeqCst);
        self.invalidate(&Touch::All);
        self.unwritten.invalidate(&Touch::All);
    }

    /// What a query reads; as long as nothing changes.
    pub fn reading(&self, analysis: &Analysis, graph: &Graph) -> Arc<Reading> {
        Memo::of(analysis).reading(graph.generation, || Reading::of(analysis, graph))
    }

    /// What is known of what a query reads, without asking anybody.
    pub fn known_reading(&self, analysis: &Analysis) -> Option<Arc<Reading>> {
        Memo::of(analysis).known_reading(self.generation())
    }

    /// The tables, or rows, that an answer with these parameters depends on. `None`: the graph
    /// isn't the right one any more.
    pub fn snapshot(
        &self,
        rule: usize,
        reading: &Reading,
        graph: &Graph,
        parameters: &Parameters<'_>,
    ) -> Option<Snapshot> {
        let of = &self.kept.rules[rule];
        let versions = match of.max_lag {
            Some(_) => &self.followed,
            None if of.by_writes => &self.versions,
            None => &self.unwritten,
        };
        let snapshot = Snapshot::of(versions, reading.parts(parameters));
        // Whoever changes a definition moves the generation first, then the versions.
        (graph.generation == self.generation()).then_some(snapshot)
    }

    /// Looks for an answer that another gateway has kept.
    pub async fn look_elsewhere(
        &self,
        rule: usize,
        lifetimes: &Lifetimes,
        key: &[u8],
        (reading, graph): (&Reading, &Graph),
        parameters: &Parameters<'_>,
    ) -> Elsewhere {
        let rule = &self.kept.rules[rule];
        match &self.kept.sharing {
            // What replication tells isn't known of an answer that another gateway has read.
            Some(sharing) if rule.max_lag.is_none() => {
                let limits = (lifetimes.ttl, rule.max_result_size);
                // Of definitions and rights that are changed past all gateways no version tells.
                let key = [key, graph.digest.as_bytes()].concat();
                sharing
                    .look((&self.database, rule.by_writes), &key, reading.parts(parameters), limits)
                    .await
            }
            _ => Elsewhere::Nothing,
        }
    }

    /// Looks from time to time whether definitions have changed past this gateway.
    pub async fn watch(self: Arc<Self>, pool: Pool) {
        loop {
            // An error: nobody has lacked it in that time.
            let _ = tokio::time::timeout(WATCH_INTERVAL, self.lacking.notified()).await;
            let Some(graph) = self.current_graph() else {
                // Whoever reads something loads it. Where others must hear what is written here,
                // who only writes needs it too; and what was wrong with a rule may be mended by
                // now.
                if (self.kept.sharing.is_some() || !self.told().is_empty())
                    && let Err(error) = self.graph(&pool).await
                {
                    tracing::debug!(%error, "the catalogue can't be read for the cache");
                    tokio::time::sleep(WATCH_INTERVAL).await;
                }
                continue;
            };
            // A server that can't be reached is told to those who need it.
            let Ok(mut lease) = pool.acquire_for_look().await else {
                continue;
            };
            match dependencies::digest(&mut lease).await {
                Ok(digest) if digest != graph.digest => self.outdate(),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "can't look for changed definitions"),
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Vec<RuleProblem>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
