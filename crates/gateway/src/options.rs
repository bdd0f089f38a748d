//! What a gateway is made of, as values: `main` reads the configuration, tests write them down.

use std::sync::Arc;
use std::time::Duration;

use flywheel_postgres::Servers;
use flywheel_store::{Exchange, Store};
use flywheel_types::TableName;

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// They don't.
    Trust,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
}

/// A user that may log in.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password, or its verifier in PostgreSQL's form `SCRAM-SHA-256$iterations:salt$stored:server`.
    pub password: Option<String>,
    /// Whether it may open replication connections.
    pub replication: bool,
    /// The role in PostgreSQL and its password, when it isn't that of [`Options::servers`].
    pub role: Option<(String, Option<String>)>,
    /// How many connections a pool of this user's own has. `None`: with a role, as the database; without one, it has none of its own.
    pub pool_size: Option<u32>,
    /// For how long its clients keep a server connection, if not as the database says.
    pub pool_mode: Option<PoolMode>,
}

/// For how long a client keeps a server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Until the end of its transaction.
    Transaction,
    /// From its first statement until it goes.
    Session,
    /// Until the end of its statement: transaction blocks are refused.
    Statement,
}

/// A database beside the main one, without store tables.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name to clients.
    pub name: String,
    /// Its name in PostgreSQL.
    pub dbname: String,
    /// How many connections a pool to it has, if not as the main one's.
    pub pool_size: Option<u32>,
    /// For how long a client keeps a server connection, if not as in the main one.
    pub pool_mode: Option<PoolMode>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a table's rows lie, with columns by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayoutChoice {
    /// One hash, or one item, for each row.
    Hash,
    /// One JSON object for each row.
    Json,
    /// A sorted set for each partition.
    SortedSet {
        /// The score column.
        score: String,
    },
}

/// A table that is homed in a store.
#[derive(Debug, Clone)]
pub struct TableHome {
    /// The table.
    pub name: TableName,
    /// Its store's name in the configuration.
    pub store_name: String,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Its name in the store.
    pub physical_name: String,
    /// How its rows lie.
    pub layout: LayoutChoice,
    /// The column after which a row is gone.
    pub expires_at: Option<String>,
    /// Whether it may be read whole.
    pub allow_scan: bool,
    /// Whether it may be dropped with rows in it.
    pub allow_drop: bool,
    /// Whether constraints that its store can't keep are dropped.
    pub drop_constraints: bool,
    /// Strongly consistent reads.
    pub consistent_read: bool,
    /// Whether a stored value of another type than its column's is read as NULL.
    pub mismatch_is_null: bool,
    /// Into how many segments a scan is split; `None`: as the store finds the table.
    pub scan_segments: Option<u32>,
    /// Secondary indexes; `None`: those that the store has.
    pub indexes: Option<Vec<IndexChoice>>,
}

/// A secondary index, with columns by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexChoice {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Whether it may lag behind the table; `None`: as is usual for such columns.
    pub is_eventual: Option<bool>,
    /// Whether reads through it must see every write before them.
    pub consistent_read: bool,
}

/// What a route asks of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// It only reads.
    Read,
    /// It may write.
    Write,
}

/// Where relational statements go: the first route that matches decides.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Only this user's.
    pub user: Option<String>,
    /// Only statements of this kind.
    pub kind: Option<StatementKind>,
    /// Only statements all of whose tables are among these; empty: any.
    pub tables: Vec<TableName>,
    /// To a replica rather than the primary.
    pub to_replicas: bool,
}

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
    /// So do all others, as logical replication and stores tell them; how old the news may be. `None`: they don't.
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

/// Everything a gateway needs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The main database's name to clients.
    pub database: String,
    /// Further databases.
    pub databases: Vec<Database>,
    /// For how long a client keeps a server connection, unless its user or database says.
    pub pool_mode: PoolMode,
    /// How clients log in.
    pub authentication: Authentication,
    /// Who may. Empty together with [`Authentication::Trust`]: anybody.
    pub users: Vec<User>,
    /// How many clients at once.
    pub max_connections: usize,
    /// The longest message of a client, in bytes.
    pub max_message_size: usize,
    /// How long a client may take to log in.
    pub login_timeout: Duration,
    /// How long something that is due is looked for before the thread sleeps, while one client alone is served.
    pub busy_poll: Duration,
    /// How many rows one statement may read from one store table.
    pub max_fetch_rows: usize,
    /// The catalogue store: the main database, under the login that is used where no other is given.
    pub servers: Servers,
    /// Where relational statements go.
    pub routes: Vec<Route>,
    /// Tables homed elsewhere.
    pub tables: Vec<TableHome>,
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
