//! What the cache is made of, as values.

use std::sync::Arc;
use std::time::Duration;

use flywheel_store::{Exchange, Store};
use flywheel_types::TableName;

/// Which answers are kept, and for how long: the first rule that matches decides.
#[derive(Debug, Clone, Default)]
pub struct CacheRule {
    /// Only of statements all of whose tables are among these; empty: any.
    pub tables: Vec<TableName>,
    /// Only this user's.
    pub user: Option<String>,
    /// Only in the database of this name to clients.
    pub database: Option<String>,
    /// Only of texts like this, where `*` is anything.
    pub pattern: Option<String>,
    /// Only of statements with this fingerprint.
    pub fingerprint: Option<u64>,
    /// Only of statements that ask for it, or only of those that don't.
    pub hint: Option<bool>,
    /// How long an answer is fresh.
    pub ttl: Duration,
    /// For how long after that it is given while it is read anew.
    pub stale_while_revalidate: Duration,
    /// For how long after its `ttl` it is given when reading it fails.
    pub stale_if_error: Duration,
    /// Writes through this gateway end them.
    pub by_writes: bool,
    /// So do all others, as logical replication and stores tell them; how old the news may be.
    /// `None`: they don't.
    pub max_lag: Option<Duration>,
    /// The longest that is kept, in bytes.
    pub max_result_size: usize,
}

/// What gateways in front of the same databases have in common.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// How they reach each other.
    pub exchange: Arc<dyn Exchange>,
    /// How old the news from the others may be for answers that writes end to be given.
    pub max_lag: Duration,
    /// Whether answers that one has kept serve all.
    pub answers: bool,
    /// Those longer than this, in bytes, are compressed.
    pub compress_above: usize,
}

/// A table whose rows are in a store.
#[derive(Debug, Clone)]
pub struct StoredTable {
    /// The table.
    pub name: TableName,
    /// Its store's name in the configuration.
    pub store_name: String,
    /// Its store.
    pub store: Arc<dyn Store>,
}

/// Everything the caches of a gateway's databases need.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tables of the main database whose rows are in stores.
    pub tables: Vec<StoredTable>,
    /// Which answers are kept.
    pub cache: Vec<CacheRule>,
    /// How much memory they may take, in bytes.
    pub cache_memory: u64,
    /// What the gateway has in common with others; `None`: it is the only one.
    pub sharing: Option<Sharing>,
    /// The publication of the tables that cache rules follow.
    pub publication: String,
    /// How much of its log PostgreSQL may keep for them, in bytes.
    pub max_retained_wal: u64,
}
