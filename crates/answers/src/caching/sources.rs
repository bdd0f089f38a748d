//! Who tells of writes made past this gateway, PostgreSQL or stores, and how old the news may be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flywheel_plan::Home;
use flywheel_postgres::{Login, Pool, PoolOptions};
use flywheel_replication::Follower;
use flywheel_store::{Store, StoreError, Telling};
use flywheel_types::TableName;

use crate::options::{CacheRule, Options, StoredTable};

/// How often it is proved how old the news is: so many times in the shortest lag that a rule
/// allows.
const PROOFS: u32 = 4;
/// The longest pause between proofs.
const LONGEST: Duration = Duration::from_secs(1);
/// The stores that the rules follow.
#[derive(Debug, Default)]
pub struct Sources {
    pub(super) all: Vec<Arc<Source>>,
    /// For each rule.
    needs: Vec<Needs>,
}

/// Who tells of the changes that end a rule's answers.
#[derive(Debug, Default)]
struct Needs {
    /// PostgreSQL.
    postgres: bool,
    /// Stores, by their positions.
    stores: Vec<usize>,
}

impl Sources {
    /// Those that rules with a `max_lag` need.
    pub fn new(options: &Options) -> Self {
        let mut sources = Self::default();
        for rule in &options.cache {
            let mut needs = Needs::default();
            if let Some(max_lag) = rule.max_lag {
                for table in &rule.tables {
                    match home_of(options, table) {
                        None => needs.postgres = true,
                        Some(home) => needs.stores.extend(sources.add(home, heartbeat(max_lag))),
                    }
                }
            }
            needs.stores.sort_unstable();
            needs.stores.dedup();
            sources.needs.push(needs);
        }
        sources
    }

    /// The source of a table.
    fn add(&mut self, home: &StoredTable, often: Duration) -> Option<usize> {
        let telling = home.store.telling();
        if telling == Telling::Alone {
            return None;
        }
        let has = |source: &Source| match telling {
            Telling::Together => source.store_name == home.store_name,
            _ => source.tables.contains(&home.name),
        };
        let at = self.all.iter().position(|source| has(source)).unwrap_or(self.all.len());
        let mut source = Source {
            store: home.store.clone(),
            store_name: home.store_name.clone(),
            tables: vec![home.name.clone()],
            often,
            state: Mutex::default(),
        };
        match self.all.get_mut(at) {
            Some(there) => {
                source
                    .tables
                    .extend(there.tables.iter().filter(|table| **table != home.name).cloned());
                source.often = source.often.min(there.often);
                *there = Arc::new(source);
            }
            None => self.all.push(Arc::new(source)),
        }
        Some(at)
    }

    /// How old the news may be that ends a rule's answers, where `postgres` tells how old
    /// PostgreSQL's is. `None`: it isn't known.
    pub(super) fn lag(
        &self,
        rule: usize,
        postgres: impl FnOnce() -> Option<Duration>,
    ) -> Option<Duration> {
        let needs = self.needs.get(rule)?;
        let mut worst = if needs.postgres { postgres()? } else { Duration::ZERO };
        for &source in &needs.stores {
            worst = worst.max(self.all[source].lag()?);
        }
        Some(worst)
    }

    /// Whether a rule needs PostgreSQL's news.
    pub(super) fn needs_postgres(&self, rule: usize) -> bool {
        self.needs.get(rule).is_some_and(|needs| needs.postgres)
    }

    /// Why a rule's news doesn't come, where it is a store's.
    pub(super) fn problems(&self, rule: usize) -> Vec<String> {
        let stores = self.needs.get(rule).map(|needs| needs.stores.as_slice()).unwrap_or_default();
        stores.iter().filter_map(|&source| self.all[source].state().problem.clone()).collect()
    }
}

/// How often it is to be proved how old the news is, where it may be so old.
fn heartbeat(max_lag: Duration) -> Duration {
    (max_lag / PROOFS).min(LONGEST)
}

/// The follower of PostgreSQL's tables that the rules need, if any.
pub fn follower(options: &Options, primary: &Pool) -> Option<Arc<Follower>> {
    let rules = options
        .cache
        .iter()
        .filter(|rule| rule.max_lag.is_some() && relational(rule, options).next().is_some());
    let max_lag = rules.clone().filter_map(|rule| rule.max_lag).min()?;
    let mut tables: Vec<_> = rules.flat_map(|rule| relational(rule, options).cloned()).collect();
    tables.sort_unstable_by_key(ToString::to_string);
    tables.dedup();
    let mut pool = primary.options().clone();
    // Connections of its own: it must not wait for clients.
    pool = PoolOptions {
        size: 2,
        shared: 0,
        lifetimes: pool
            .lifetimes
            .map(|lifetimes| flywheel_postgres::Lifetimes { min_idle: 0, ..lifetimes }),
        ..pool
    };
    let followed = flywheel_replication::Options {
        tables,
        publication: options.publication.clone(),
        heartbeat: heartbeat(max_lag),
        max_retained: options.max_retained_wal,
    };
    Some(Follower::new(primary.under(&Login::default(), pool), followed))
}

/// The home of a table in a store.
fn home_of<'o>(options: &'o Options, table: &TableName) -> Option<&'o StoredTable> {
    options.tables.iter().find(|home| home.name == *table)
}

/// The tables of a rule that are PostgreSQL's own.
pub(super) fn relational<'o>(
    rule: &'o CacheRule,
    options: &'o Options,
) -> impl Iterator<Item = &'o TableName> {
    rule.tables.iter().filter(|table| home_of(options, table).is_none())
}

/// The definitions of tables in stores, as somebody keeps them.
pub trait StoreTables: Send + Sync {
    /// Counts whatever may have changed about them.
    fn version(&self) -> u64;

    /// Counts definitions made or changed through this gateway.
    fn definitions(&self) -> u64;

    /// Those of these tables that can be used now.
    fn homes(&self, of: &[TableName]) -> Vec<Arc<Home>>;
}

/// A store, or one of its tables, that tells of changes.
#[derive(Debug)]
pub struct Source {
    pub(super) store: Arc<dyn Store>,
    store_name: String,
    pub(super) tables: Vec<TableName>,
    pub(super) often: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// All that was written before then has been told. `None`: nothing is known.
    pub(super) known: Option<Instant>,
    /// Why nothing is known.
    pub(super) problem: Option<String>,
    /// What has changed of late in tables whose reads may not see it yet.
    pub(super) unsettled: Option<Instant>,
}

impl Source {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lag(&self) -> Option<Duration> {
        self.state().known.map(|known| known.elapsed())
    }

    /// Its tables as they are defined now.
    pub(super) fn homes(&self, catalogue: &dyn StoreTables) -> Vec<Arc<Home>> {
        catalogue.homes(&self.tables)
    }

    /// Why its changes can't be followed, if so.
    pub(super) async fn check(&self, catalogue: &dyn StoreTables) -> Option<String> {
        let homes = self.homes(catalogue);
        let tables: Vec<_> = homes.iter().map(|home| &home.table).collect();
        let error = self.store.check_follow(&tables).await.err().filter(|_| !tables.is_empty())?;
        Some(self.why(&error))
    }

    /// Whether it is this table's.
    pub(super) fn tells_of(&self, table: &TableName) -> bool {
        self.tables.contains(table)
    }

    pub(super) fn why(&self, error: &StoreError) -> String {
        let names: Vec<_> = self.tables.iter().map(|table| format!("\"{table}\"")).collect();
        format!(
            "changes of {} in store \"{}\" can't be followed: {error}; mend it, or write invalidate = \"writes\"",
            names.join(", "),
            self.store_name
        )
    }
}
