//! Writes made past this gateway to tables in stores, as the stores tell of them.
//!
//! A store's news has no transactions to wait for: what Redis and DynamoDB tell can be read when it
//! is told, so an answer ends once (`ChangeListener::changed`), but where reads may lag. Redis
//! tells a server's changes before it answers their writers, except that threads of its own may
//! answer earlier within a turn of its loop: so after the heartbeat's key has come a PING must come
//! back on the same connection, behind all that the turn has changed. A cluster's primaries without
//! slots are followed too, since a row moves before its slot does, and each proof asks all
//! primaries whether there is another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flywheel_cache::{Part, TableId, Touch, row};
use flywheel_plan::Home;
use flywheel_store::{ChangeListener, Changed, StoreTable, text_row};
use flywheel_types::Key;

use super::graph::{Graph, full_name};
use super::sources::{Source, StoreTables};
use super::{Caching, row_key};

/// The pause before a store is followed anew, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often it is looked whether definitions have changed.
const LOOK: Duration = Duration::from_millis(250);
/// How long reads that may miss the last writes are given to see them. AWS says "usually within one
/// second".
const SETTLED: Duration = Duration::from_secs(2);

impl Source {
    /// Follows for ever.
    pub async fn follow(self: Arc<Self>, caching: Arc<Caching>, catalogue: Arc<dyn StoreTables>) {
        let catalogue = &*catalogue;
        let mut pause = PAUSES.0;
        loop {
            let (version, definitions) = (catalogue.version(), catalogue.definitions());
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
                definitions: AtomicU64::new(definitions),
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
    catalogue: &'l dyn StoreTables,
    source: &'l Source,
    tables: &'l [&'l StoreTable],
    /// The catalogue's, when the tables were found to be as it has them.
    version: AtomicU64,
    /// How many definitions had been made through this gateway by then.
    definitions: AtomicU64,
}

impl Listening<'_> {
    /// Until the tables are others; meanwhile answers end once more of which reads may have missed
    /// the last writes.
    async fn until_redefined(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let (version, definitions) = (self.catalogue.version(), self.catalogue.definitions());
            if version != self.version.load(Ordering::Acquire) {
                if !self.has_tables() {
                    return;
                }
                self.definitions.store(definitions, Ordering::Release);
                self.version.store(version, Ordering::Release);
            }
            let settled = self.source.state().unsettled.take_if(|since| since.elapsed() > SETTLED);
            if settled.is_some() {
                self.touch_whole(self.tables.iter().copied().filter(|table| may_lag(table)));
            }
        }
    }

    /// Whether the catalogue has the tables as they are followed.
    fn has_tables(&self) -> bool {
        let homes = self.source.homes(self.catalogue);
        let is_same = |(home, table): (&Arc<Home>, &&StoreTable)| home.table.table == table.table;
        homes.len() == self.tables.len() && homes.iter().zip(self.tables).all(is_same)
    }

    /// Whether the tables are certain to be what they were. The catalogue's version changes for
    /// less than a definition, too.
    fn are_known(&self) -> bool {
        self.catalogue.version() == self.version.load(Ordering::Acquire)
            || self.catalogue.definitions() == self.definitions.load(Ordering::Acquire)
                && self.has_tables()
    }

    fn touch_whole<'t>(&self, tables: impl Iterator<Item = &'t StoreTable>) {
        let graph = self.caching.current_graph();
        let whole = |graph: Arc<Graph>| {
            tables.map(|table| Some((number(table, &graph)?, Part::Whole))).collect()
        };
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
        let is_known = self.are_known();
        let part = |graph: &Graph, table_number| match changed {
            Changed::Row(key) if is_known => {
                row_number(graph, table_number, table, &key).map_or(Part::Whole, Part::Row)
            }
            // No row's own number, or by chance one's: whoever read the table otherwise than by a
            // key is concerned.
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
    let columns =
        table.table.primary_key.iter().map(|&position| &table.table.columns[position].name);
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
