//! Writes made past this gateway to tables in stores, as the stores tell of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flywheel_cache::{Part, TableId, Touch, row};
use flywheel_plan::Home;
use flywheel_store::{ChangeListener, Changed, Store, StoreError, StoreTable, Telling, text_row};
use flywheel_types::{Key, TableName};

use super::following::heartbeat;
use super::graph::{Graph, full_name};
use super::{Caching, row_key};
use crate::homes::Catalogue;
use crate::options::{CacheRule, Options, TableHome};
use crate::shared::Shared;

/// The pause before a store is followed anew, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often it is looked whether definitions have changed.
const LOOK: Duration = Duration::from_millis(250);
/// How long reads that may miss the last writes are given to see them. AWS says "usually within one second".
const SETTLED: Duration = Duration::from_secs(2);

/// The stores that the rules follow.
#[derive(Debug, Default)]
pub(crate) struct Sources {
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
    pub(crate) fn new(options: &Options) -> Self {
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
    fn add(&mut self, home: &TableHome, often: Duration) -> Option<usize> {
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

    /// How old the news may be that ends a rule's answers, where `postgres` tells how old PostgreSQL's is. `None`: it isn't known.
    pub(super) fn lag(&self, rule: usize, postgres: impl FnOnce() -> Option<Duration>) -> Option<Duration> {
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
        stores
            .iter()
            .filter_map(|&source| self.all[source].state().problem.clone())
            .collect()
    }
}

/// The home of a table in a store.
fn home_of<'o>(options: &'o Options, table: &TableName) -> Option<&'o TableHome> {
    options.tables.iter().find(|home| home.name == *table)
}

/// The tables of a rule that are PostgreSQL's own.
pub(super) fn relational<'o>(rule: &'o CacheRule, options: &'o Options) -> impl Iterator<Item = &'o TableName> {
    rule.tables.iter().filter(|table| home_of(options, table).is_none())
}

/// A store, or one of its tables, that tells of changes.
#[derive(Debug)]
pub(crate) struct Source {
    store: Arc<dyn Store>,
    store_name: String,
    tables: Vec<TableName>,
    often: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// All that was written before then has been told. `None`: nothing is known.
    known: Option<Instant>,
    /// Why nothing is known.
    problem: Option<String>,
    /// What has changed of late in tables whose reads may not see it yet.
    unsettled: Option<Instant>,
}

impl Source {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lag(&self) -> Option<Duration> {
        self.state().known.map(|known| known.elapsed())
    }

    /// Its tables as they are defined now.
    fn homes(&self, catalogue: &Catalogue) -> Vec<Arc<Home>> {
        let known = catalogue.known();
        self.tables.iter().filter_map(|table| known.homes.get(table).cloned()).collect()
    }

    /// Why its changes can't be followed, if so.
    pub(super) async fn check(&self, catalogue: &Catalogue) -> Option<String> {
        let homes = self.homes(catalogue);
        let tables: Vec<_> = homes.iter().map(|home| &home.table).collect();
        let error = self.store.check_follow(&tables).await.err().filter(|_| !tables.is_empty())?;
        Some(self.why(&error))
    }

    /// Whether it is this table's.
    pub(super) fn tells_of(&self, table: &TableName) -> bool {
        self.tables.contains(table)
    }

    fn why(&self, error: &StoreError) -> String {
        let names: Vec<_> = self.tables.iter().map(|table| format!("\"{table}\"")).collect();
        format!(
            "changes of {} in store \"{}\" can't be followed: {error}; mend it, or write invalidate = \"writes\"",
            names.join(", "),
            self.store_name
        )
    }

    /// Follows for ever.
    pub(crate) async fn follow(self: Arc<Self>, caching: Arc<Caching>, shared: Arc<Shared>) {
        let catalogue = &shared.catalogue;
        let mut pause = PAUSES.0;
        loop {
            let version = catalogue.version();
            let homes = self.homes(catalogue);
            if homes.is_empty() {
                // They aren't read yet, or don't exist.
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let tables: Vec<_> = homes.iter().map(|home| &home.table).collect();
            let listening = Listening {
                caching: &caching,
                catalogue,
                source: &self,
                tables: &tables,
                version: AtomicU64::new(version),
            };
            let ended = tokio::select! {
                ended = self.store.follow(&tables, self.often, &listening) => ended.err(),
                () = listening.until_redefined() => None,
            };
            // Whoever asks now is told that nothing is known; then everything is forgotten.
            let followed = std::mem::take(&mut *self.state()).known.is_some();
            listening.missed();
            let Some(error) = ended else { continue };
            if followed {
                pause = PAUSES.0;
            }
            let why = self.why(&error);
            tracing::warn!(?pause, "{why}");
            self.state().problem = Some(why);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

/// Ends answers as changes are told.
struct Listening<'l> {
    caching: &'l Caching,
    catalogue: &'l Catalogue,
    source: &'l Source,
    tables: &'l [&'l StoreTable],
    /// Of the definitions that the tables are of.
    version: AtomicU64,
}

impl Listening<'_> {
    /// Until the tables are others; meanwhile answers end once more of which reads may have missed the last writes.
    async fn until_redefined(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let version = self.catalogue.version();
            if version != self.version.load(Ordering::Acquire) {
                let homes = self.source.homes(self.catalogue);
                let is_same = |(home, table): (&Arc<Home>, &&StoreTable)| home.table.table == table.table;
                if homes.len() != self.tables.len() || !homes.iter().zip(self.tables).all(is_same) {
                    return;
                }
                self.version.store(version, Ordering::Release);
            }
            let settled = self.source.state().unsettled.take_if(|since| since.elapsed() > SETTLED);
            if settled.is_some() {
                self.touch_whole(self.tables.iter().copied().filter(|table| may_lag(table)));
            }
        }
    }

    fn touch_whole<'t>(&self, tables: impl Iterator<Item = &'t StoreTable>) {
        let graph = self.caching.current_graph();
        let whole = |graph: Arc<Graph>| tables.map(|table| Some((number(table, &graph)?, Part::Whole))).collect();
        let touch = graph.and_then(whole).map_or(Touch::All, Touch::Tables);
        self.caching.followed.invalidate(&touch);
    }
}

impl ChangeListener for Listening<'_> {
    fn changed(&self, table: usize, changed: Changed) {
        let Some(table) = self.tables.get(table) else {
            return self.missed();
        };
        if may_lag(table) {
            self.source.state().unsettled.get_or_insert_with(Instant::now);
        }
        // Its key may have been another.
        let is_known = self.catalogue.version() == self.version.load(Ordering::Acquire);
        let part = |graph: &Graph, table_number| match changed {
            Changed::Row(key) if is_known => row_number(graph, table_number, table, &key).map_or(Part::Whole, Part::Row),
            // No row's own number, or by chance one's: whoever read the table otherwise than by a key is concerned.
            Changed::Order => Part::Row(row(b"order")),
            _ => Part::Whole,
        };
        let graph = self.caching.current_graph();
        let touched = graph.and_then(|graph| {
            let number = number(table, &graph)?;
            Some(vec![(number, part(&graph, number))])
        });
        self.caching.followed.invalidate(&touched.map_or(Touch::All, Touch::Tables));
    }

    fn missed(&self) {
        self.touch_whole(self.tables.iter().copied());
    }

    fn told(&self, until: Instant) {
        let mut state = self.source.state();
        state.known = state.known.max(Some(until));
        state.problem = None;
    }
}

/// Whether some of a table's reads may miss the last writes.
fn may_lag(table: &StoreTable) -> bool {
    !table.consistent_read || table.indexes.iter().any(|index| !index.consistent_read)
}

fn number(table: &StoreTable, graph: &Graph) -> Option<TableId> {
    graph.find(&full_name(&table.table.name)).first().copied()
}

/// The row's number.
fn row_number(graph: &Graph, number: TableId, table: &StoreTable, key: &Key) -> Option<u64> {
    let columns = table.table.primary_key.iter().map(|&position| &table.table.columns[position].name);
    let texts: Option<Vec<_>> = columns
        .zip(key.values())
        .map(|(name, value)| Some((name, text_row::encode(value)?)))
        .collect();
    let texts = texts?;
    row_key::told(graph.key(number)?, |name| {
        let (_, text) = texts.iter().find(|(each, _)| *each == name)?;
        Some(text)
    })
}
