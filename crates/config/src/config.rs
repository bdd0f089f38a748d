//! The configuration with everything resolved.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flywheel_kind::{Configured, Secret, StoreKind};
use flywheel_store::{IndexChoice, TableOptions};
use flywheel_tls::{Acceptor, Pem};
use flywheel_types::TableName;

use crate::schema::{EMBEDDED_POSTGRES, POSTGRES};

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address that clients connect to.
    pub listen: SocketAddr,
    /// The database's name to clients.
    pub database: String,
    /// How clients log in.
    pub authentication: Authentication,
    /// TLS to clients; `None`: they speak in the clear.
    pub tls: Option<Tls>,
    /// What is logged, and how.
    pub log: Log,
    /// How many clients at once.
    pub max_connections: usize,
    /// What a client or a statement may use up.
    pub limits: Limits,
    /// The address at which metrics are told; `None`: they aren't.
    pub metrics: Option<SocketAddr>,
    /// Who may log in.
    pub users: Vec<User>,
    /// Further databases that clients may connect to.
    pub databases: Vec<Database>,
    /// The stores by name.
    pub stores: BTreeMap<String, Store>,
    /// The name of the one that is PostgreSQL.
    pub primary: String,
    /// Tables homed in the others.
    pub tables: Vec<Table>,
    /// Routes, the first that matches decides.
    pub routes: Vec<Route>,
    /// Which answers are kept, the first rule that matches decides.
    pub cache: Vec<CacheRule>,
    /// What this gateway has in common with others.
    pub sharing: Option<Sharing>,
}

/// How clients log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// SCRAM-SHA-256.
    ScramSha256,
    /// Without a password.
    Trust,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// What is logged; `None`: what is usual.
    pub level: Option<String>,
}

/// The log's form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// How long clients may take, unless they say it themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// A statement.
    pub statement: Option<Duration>,
    /// Saying nothing in a transaction.
    pub idle_transaction: Option<Duration>,
    /// Saying nothing outside of one.
    pub idle: Option<Duration>,
}

/// TLS to clients.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate that they are shown, and whose certificates they show.
    pub acceptor: Arc<Acceptor>,
    /// Whether those that don't use it are turned away.
    pub required: bool,
}

/// What a client or a statement may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Rows of one store table that a statement may read.
    pub max_fetch_rows: usize,
    /// The longest message of a client, in bytes.
    pub max_message_size: usize,
    /// How long a client may take to log in.
    pub login_timeout: Duration,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// How long what was sent to a client may go unacknowledged.
    pub tcp_user_timeout: Option<Duration>,
    /// How long clients are still let in after the gateway was asked to stop.
    pub drain_delay: Duration,
    /// How long sessions may take to end after that.
    pub drain_timeout: Duration,
    /// How many clients may be connected from one address.
    pub max_connections_per_address: Option<u32>,
    /// How long something that is due is looked for before the thread sleeps; zero: not at all.
    pub busy_poll: Duration,
    /// Memory for kept answers, in bytes.
    pub cache_memory: u64,
    /// How much memory what is kept of statements by their texts may take, in bytes.
    pub statement_memory: u64,
}

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password or its verifier; always there unless authentication is trust, or by certificate
    /// alone.
    pub password: Option<Secret>,
    /// The common names of which one must be in its client certificate; none: it needs none.
    pub common_names: Vec<String>,
    /// Whether it may open replication connections.
    pub replication: bool,
    /// Whether it may do everything in the console.
    pub admin: bool,
    /// Whether it may look at the console.
    pub stats: bool,
    /// The role in PostgreSQL, when it isn't the url's.
    pub role: Option<Role>,
    /// How long its clients may take.
    pub timeouts: Timeouts,
    /// How many of its clients may be connected at once.
    pub max_connections: Option<u32>,
    /// The size of a pool of its own.
    pub pool_size: Option<u32>,
    /// For how long its clients keep a server connection, unless the database or the store says.
    pub pool_mode: Option<PoolMode>,
}

/// A role in PostgreSQL.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: Option<Secret>,
}

/// A further database.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name to clients.
    pub name: String,
    /// Its name in PostgreSQL.
    pub dbname: String,
    /// How many clients may be connected to it at once.
    pub max_connections: Option<u32>,
    /// Connections to each server, unless the store says.
    pub pool_size: Option<u32>,
    /// For how long a client keeps a server connection, unless the store says.
    pub pool_mode: Option<PoolMode>,
}

/// For how long a client keeps a server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Until the end of its transaction.
    Transaction,
    /// From its first statement until it goes.
    Session,
    /// Until the end of its statement.
    Statement,
}

/// A store.
#[derive(Debug, Clone)]
pub enum Store {
    /// PostgreSQL.
    Postgres(Box<Postgres>),
    /// The PostgreSQL that comes along.
    EmbeddedPostgres(EmbeddedPostgres),
    /// A home for tables.
    Home(HomeStore),
}

impl Store {
    /// Its kind, as the file says it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => POSTGRES,
            Self::EmbeddedPostgres(_) => EMBEDDED_POSTGRES,
            Self::Home(home) => home.kind.name(),
        }
    }

    /// Whether it is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        !matches!(self, Self::Home(_))
    }
}

/// A store that can be home to tables.
#[derive(Debug, Clone)]
pub struct HomeStore {
    /// Its kind.
    pub kind: &'static dyn StoreKind,
    /// What the kind has read of its section.
    pub configured: Arc<dyn Configured>,
}

/// A PostgreSQL server and its replicas.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// The primary: one of these hosts.
    pub url: PostgresUrl,
    /// Its replicas: each of these hosts.
    pub replicas: Vec<PostgresUrl>,
    /// What TLS to the servers is made of.
    pub pem: Pem,
    /// How often the servers are looked at, when there are several.
    pub check_interval: Duration,
    /// How long a replica may have been without something that the primary has.
    pub max_replica_lag: Duration,
    /// How much of the primary's log a replica may have yet to replay, in bytes.
    pub max_replica_lag_bytes: Option<u64>,
    /// Connections to each server.
    pub pool_size: u32,
    /// For how long a client keeps one.
    pub pool_mode: PoolMode,
    /// How many idle ones are held ready.
    pub min_idle: u32,
    /// How many of them are shared by clients at the same time.
    pub shared_connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// How long connecting and logging in may take.
    pub connect_timeout: Duration,
    /// The longest pause between attempts to log in.
    pub login_retry: Duration,
    /// How old a connection becomes at most.
    pub max_lifetime: Duration,
    /// How long a connection is kept without being used.
    pub idle_timeout: Duration,
    /// How long it may be idle without being asked whether it still works.
    pub check_after: Duration,
    /// The publication of the tables that cache rules follow.
    pub publication: String,
    /// How much of the log may be kept for them, in bytes.
    pub max_retained_wal: u64,
}

/// A postgres:// url, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// Where the server may be, in the order of the url; never empty.
    pub hosts: Vec<PostgresHost>,
    /// Whether connections are encrypted.
    pub ssl_mode: SslMode,
    /// What it has to be.
    pub session_attributes: Option<SessionAttributes>,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
}

/// One host of a postgres:// url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresHost {
    /// A host name or address, or the folder of a Unix socket (it starts with `/`).
    pub name: String,
    /// The port.
    pub port: u16,
}

/// `sslmode` of a url, as libpq knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the value of that name")]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// `target_session_attrs` of a url, as libpq knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the value of that name")]
pub enum SessionAttributes {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// The PostgreSQL that comes along.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedPostgres {
    /// Where its data is kept.
    pub data: Option<PathBuf>,
}

/// A table homed outside PostgreSQL.
#[derive(Debug, Clone)]
pub struct Table {
    /// The table.
    pub name: TableName,
    /// Its store.
    pub store: String,
    /// The column after which a row is gone.
    pub expires_at: Option<String>,
    /// Its name in the store.
    pub physical_name: String,
    /// Whether it may be read whole.
    pub allow_scan: bool,
    /// Whether it may be dropped with rows in it.
    pub allow_drop: bool,
    /// Whether constraints that its store can't keep are dropped.
    pub drop_constraints: bool,
    /// Strongly consistent reads.
    pub consistent_read: bool,
    /// Secondary indexes; `None`: those that the store has.
    pub indexes: Option<Vec<IndexChoice>>,
    /// What its store's kind has read of its own keys.
    pub options: Arc<dyn TableOptions>,
}

/// Where some statements go.
#[derive(Debug, Clone)]
pub struct Route {
    /// Those of this user.
    pub user: Option<String>,
    /// Those of this kind.
    pub kind: Option<StatementKind>,
    /// Those that name no other tables; empty: any.
    pub tables: Vec<TableName>,
    /// Where to.
    pub to: RouteTarget,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// It only reads.
    Read,
    /// It may write.
    Write,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteTarget {
    /// The primary.
    Primary,
    /// A replica.
    Replicas,
}

/// Which answers are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRule {
    /// Of queries that name no other tables; empty: any.
    pub tables: Vec<TableName>,
    /// Of this user's.
    pub user: Option<String>,
    /// Of those in this database.
    pub database: Option<String>,
    /// Of those with such a text.
    pub pattern: Option<String>,
    /// Of those with this fingerprint.
    pub fingerprint: Option<u64>,
    /// Of those that ask for it, or of those that don't.
    pub hint: Option<bool>,
    /// How long an answer is fresh.
    pub ttl: Duration,
    /// For how long after that it is given while it is read anew.
    pub stale_while_revalidate: Duration,
    /// For how long after its `ttl` it is given when reading it fails.
    pub stale_if_error: Duration,
    /// Writes through this gateway end it.
    pub by_writes: bool,
    /// So do all others; how old the news of them may be. `None`: they don't.
    pub max_lag: Option<Duration>,
    /// The longest answer, in bytes.
    pub max_result_size: usize,
    /// Where the rule stands in the file, in bytes.
    pub span: Range<usize>,
    /// Where each of its tables does.
    pub table_spans: Vec<Range<usize>>,
}

/// What several gateways have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// The Redis store over which they speak.
    pub store: String,
    /// Gateways of one name belong together.
    pub name: String,
    /// How old the news from the others may be.
    pub max_lag: Duration,
    /// Whether answers are kept there too.
    pub answers: bool,
    /// Longer ones are compressed, in bytes.
    pub compress_above: usize,
}
