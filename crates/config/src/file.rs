//! The file's shape: what serde reads and what the JSON schema says.
//!
//! An entry that has lost a key it needs, since that had a mistake, is `None` to serde. In a file
//! without mistakes there is none.
//!
//! A kind of store has keys of its own in `[stores.x]`, `[[tables]]` and their indexes: here these
//! are maps, which the kind reads.

use std::collections::BTreeMap;

use flywheel_kind::SecretSource;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Flywheel's configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The address that clients connect to. Default: 127.0.0.1:6432.
    #[schemars(example = "127.0.0.1:6432")]
    pub listen: Option<String>,
    /// The database's name to clients. Default: the name in the PostgreSQL store's url; `flywheel`
    /// for the embedded one.
    #[schemars(length(min = 1))]
    pub database: Option<String>,
    /// How clients log in. Default: scram-sha-256.
    pub auth: Option<Auth>,
    /// What is logged, to standard error.
    pub log: Option<Log>,
    /// TLS to clients. Default: none.
    pub tls: Option<Tls>,
    /// How many clients may be connected at once. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// Limits of clients and statements.
    pub limits: Option<Limits>,
    /// Metrics and health, served over HTTP. Default: off.
    pub metrics: Option<Metrics>,
    /// Who may log in. Without any, `auth = "trust"` lets everybody in.
    #[serde(default)]
    #[schemars(with = "Vec<User>")]
    pub users: Vec<Option<User>>,
    /// Further databases of the PostgreSQL servers to which clients may connect. Tables that live
    /// in other stores are in the main database only.
    #[serde(default)]
    #[schemars(with = "Vec<Database>")]
    pub databases: Vec<Option<Database>>,
    /// Where rows live, by a name of your choice. Exactly one is PostgreSQL.
    #[schemars(with = "BTreeMap<String, Store>")]
    pub stores: BTreeMap<String, Option<Map<String, Value>>>,
    /// Tables whose rows live outside PostgreSQL.
    #[serde(default)]
    #[schemars(with = "Vec<Table>")]
    pub tables: Vec<Option<Map<String, Value>>>,
    /// Where statements on PostgreSQL's own tables go: the first route that matches decides, the
    /// primary is the default.
    #[serde(default)]
    #[schemars(with = "Vec<Route>")]
    pub routes: Vec<Option<Route>>,
    /// Which answers are kept in memory: the first rule that matches decides. Without a rule none
    /// is.
    #[serde(default)]
    #[schemars(with = "Vec<CacheRule>")]
    pub cache: Vec<Option<CacheRule>>,
    /// What several gateways in front of the same databases have in common. Without it, a gateway
    /// knows nothing of what others' clients write.
    pub sharing: Option<Sharing>,
}

/// How clients log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Auth {
    /// By password, which never crosses the wire.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// Without a password.
    #[serde(rename = "trust")]
    Trust,
}

/// What is logged, to standard error.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The form of a line. Default: text.
    pub format: Option<LogFormat>,
    /// What is logged, as for the environment variable FLYWHEEL_LOG, which goes before it: a level
    /// (error, warn, info, debug, trace), or levels by crates. Default: the warnings of all, and
    /// what happens in Flywheel.
    #[schemars(length(min = 1), example = &"info")]
    pub level: Option<String>,
}

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object.
    Json,
}

/// TLS to clients. The files are PEM, by paths that are absolute or relative to this file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate that clients are shown, followed by those that lead from it to an authority.
    #[schemars(length(min = 1))]
    pub cert_file: String,
    /// Its private key.
    #[schemars(length(min = 1))]
    pub key_file: String,
    /// The authorities of which every client that uses TLS must show a certificate. Default: none,
    /// and clients show no certificate.
    #[schemars(length(min = 1))]
    pub client_ca_file: Option<String>,
    /// Whether clients have to use it. Default: prefer.
    pub mode: Option<TlsMode>,
}

/// Whether clients have to use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Those that ask for it do.
    Prefer,
    /// Those that don't are turned away.
    Require,
}

/// Limits of clients and statements.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many rows of one store table a statement may read; past it the statement is refused.
    /// Default: 10000.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_fetch_rows: Option<u32>,
    /// The longest message a client may send, such as "64MB" or a number of bytes: from 10000 to
    /// less than 1GB. All clients together have room for four of them. Default: 64MB.
    pub max_message_size: Option<Size>,
    /// How long a client may take to log in, such as "10s". Default: 10s.
    #[schemars(example = "10s")]
    pub login_timeout: Option<String>,
    /// How long a statement may take, such as "30s": what statement_timeout is at the beginning of
    /// a session. A client can set another, as in PostgreSQL. Default: as the server says.
    #[schemars(example = "30s")]
    pub statement_timeout: Option<String>,
    /// How long a client may say nothing in a transaction, such as "1m": what
    /// idle_in_transaction_session_timeout is at the beginning of a session. Default: as the server
    /// says.
    #[schemars(example = "1m")]
    pub idle_transaction_timeout: Option<String>,
    /// How long a client may say nothing outside of a transaction, such as "1h": what
    /// idle_session_timeout is at the beginning of a session. Default: as the server says.
    #[schemars(example = "1h")]
    pub client_idle_timeout: Option<String>,
    /// How long a client may leave unacknowledged what was sent to it, such as "5m", before its
    /// connection is given up; so is that of a client that doesn't read for so long. Default: as
    /// the operating system says, about 15 minutes, and a client that doesn't read is waited for.
    #[schemars(example = "5m")]
    pub tcp_user_timeout: Option<String>,
    /// After SIGTERM: for how long /readyz says that the gateway stops while clients are still let
    /// in, such as "5s", or "0s". Default: 0s.
    #[schemars(example = "5s")]
    pub drain_delay: Option<String>,
    /// How long sessions may take to end after that, before they are cut. Default: 30s.
    #[schemars(example = "30s")]
    pub drain_timeout: Option<String>,
    /// How many clients may be connected from one address at once, those counted that haven't
    /// logged in. Default: no limit but `max_connections`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_address: Option<u32>,
    /// While a single client is active: how long Flywheel polls for its next message or a server's
    /// answer before the thread sleeps, such as "50us", at most "1ms". Polling lowers latency and
    /// uses processor time. "0s" turns it off. Default: 50us.
    #[schemars(example = "50us")]
    pub busy_poll: Option<String>,
    /// How much memory the answers kept by the `cache` rules may take, such as "64MB" or a number
    /// of bytes. Default: 64MB.
    pub cache_memory: Option<Size>,
    /// How much memory may be taken by what the gateway keeps of statements by their texts, such as
    /// "64MB" or a number of bytes: what they are, and the plans of those on store tables. A text
    /// that would take more than a 64th of it isn't kept. Default: 64MB.
    pub statement_memory: Option<Size>,
}

/// Metrics and health, served over HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The address that serves /metrics, for Prometheus, /healthz and /readyz. No password is asked for
    /// there.
    #[schemars(example = "127.0.0.1:9930")]
    pub listen: String,
}

/// Bytes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// Bytes.
    Bytes(i64),
    /// A number with kB, MB or GB (each 1024 times the one before, as in PostgreSQL).
    Text(String),
}

/// A user that may log in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user's name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The password, or its verifier as PostgreSQL keeps it (SCRAM-SHA-256$…).
    pub password: Option<SecretSource>,
    /// The user must show a client certificate whose common name is one of these (see
    /// `tls.client_ca_file`). Without a `password` the certificate is the login. Default: none.
    #[schemars(with = "Option<Vec<String>>")]
    pub common_names: Option<Vec<Option<String>>>,
    /// Whether the user may open replication connections to the primary, under the role of its
    /// statements. Default: false.
    #[serde(default)]
    pub replication: bool,
    /// Whether the user may connect to the console, the database "flywheel_admin", and end clients
    /// and reload the configuration there. Default: false.
    #[serde(default)]
    pub admin: bool,
    /// Whether the user may connect to the console to look. Default: false.
    #[serde(default)]
    pub stats: bool,
    /// limits.statement_timeout for this user. Default: that of all users.
    #[schemars(example = "30s")]
    pub statement_timeout: Option<String>,
    /// limits.idle_transaction_timeout for this user. Default: that of all users.
    #[schemars(example = "1m")]
    pub idle_transaction_timeout: Option<String>,
    /// limits.client_idle_timeout for this user. Default: that of all users.
    #[schemars(example = "1h")]
    pub client_idle_timeout: Option<String>,
    /// How many of this user's clients may be connected at once. Default: no limit but that of all.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// The role under which this user's statements run in PostgreSQL, over connections of its own.
    /// Default: that of the store's url, for all users.
    #[schemars(length(min = 1))]
    pub server_user: Option<String>,
    /// The password of that role.
    pub server_password: Option<SecretSource>,
    /// How many connections to each server and database at most, for this user alone. Default: with
    /// `server_user`, the database's or the store's `pool_size`; without it the user shares the
    /// store's connections.
    #[schemars(range(min = 1, max = 10_000))]
    pub pool_size: Option<u32>,
    /// For how long this user's clients keep a server connection. Default: the database's, or the
    /// store's.
    pub pool_mode: Option<PoolMode>,
}

/// A further database to which clients may connect.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its name to clients.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its name in PostgreSQL. Default: the same.
    #[schemars(length(min = 1))]
    pub dbname: Option<String>,
    /// How many clients may be connected to it at once. Default: no limit but that of all.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// How many connections to each server at most. Default: the store's.
    #[schemars(range(min = 1, max = 10_000))]
    pub pool_size: Option<u32>,
    /// For how long a client keeps a server connection. Default: the store's.
    pub pool_mode: Option<PoolMode>,
}

/// For how long a client keeps a server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolMode {
    /// Until the end of its transaction.
    Transaction,
    /// From its first statement until it goes.
    Session,
    /// Until the end of its statement: transaction blocks are refused.
    Statement,
}

/// A store of rows. Each kind describes its own keys.
#[derive(Debug, Clone, JsonSchema)]
#[allow(dead_code, reason = "a name for the schema")]
pub struct Store {
    /// Which kind of store it is.
    kind: String,
}

/// A PostgreSQL server: the home of all tables that aren't listed under `tables`, and the
/// catalogue of all.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresKeys {
    /// postgres://user:password@host:port/database. With several hosts
    /// (host1:port1,host2:port2) the primary is the one that takes writes, whichever that is at
    /// the time; ?target_session_attrs=primary or any says otherwise. ?sslmode says whether
    /// connections are encrypted, as for libpq: disable, allow, prefer (the default), require,
    /// verify-ca or verify-full.
    pub url: SecretSource,
    /// Replicas to which routes can send reads, by their urls. Every host of a url with several
    /// is one. A server is used while it is a standby; ?target_session_attrs=read-only or any
    /// says otherwise.
    #[serde(default)]
    #[schemars(with = "Vec<SecretSource>")]
    pub replicas: Vec<Option<SecretSource>>,
    /// A PEM file of the authorities that servers' certificates must be signed by, for sslmode
    /// require (which is verify-ca then), verify-ca and verify-full. Default: those of the
    /// operating system.
    #[schemars(length(min = 1))]
    pub tls_ca_cert_file: Option<String>,
    /// A PEM file of the certificate that servers are shown. Default: none.
    #[schemars(length(min = 1))]
    pub tls_cert_file: Option<String>,
    /// A PEM file of that certificate's key.
    #[schemars(length(min = 1))]
    pub tls_key_file: Option<String>,
    /// How often the servers are looked at, when there are several: which is the primary, how
    /// far behind the replicas are. Default: 1s.
    #[schemars(example = "1s")]
    pub check_interval: Option<String>,
    /// A replica that has been without something of the primary's for longer isn't read from.
    /// Default: 10s.
    #[schemars(example = "10s")]
    pub max_replica_lag: Option<String>,
    /// A replica that has more of the primary's log to replay isn't read from, such as "16MB"
    /// or a number of bytes. Default: no limit.
    pub max_replica_lag_bytes: Option<Size>,
    /// How many connections to each server at most. Default: 10.
    #[schemars(range(min = 1, max = 10_000))]
    pub pool_size: Option<u32>,
    /// For how long a client keeps a server connection. Default: transaction.
    pub pool_mode: Option<PoolMode>,
    /// How many idle connections to each server are held ready. Default: 0.
    #[schemars(range(min = 0, max = 10_000))]
    pub min_idle: Option<u32>,
    /// How many of the connections to each server are shared by many clients at the same time,
    /// for single queries that change nothing. At least one connection is left to transactions.
    /// 0: none. Default: 2.
    #[schemars(range(min = 0, max = 10_000))]
    pub shared_connections: Option<u32>,
    /// How long a statement may wait for a free connection, such as "5s". Default: 5s.
    #[schemars(example = "5s")]
    pub acquire_timeout: Option<String>,
    /// How long a connection and its login may take, such as "5s". Default: 5s.
    #[schemars(example = "5s")]
    pub connect_timeout: Option<String>,
    /// The longest pause between attempts to log in to a server that can't be reached or
    /// refuses. It begins with 50ms. Default: 5s.
    #[schemars(example = "5s")]
    pub login_retry: Option<String>,
    /// How old a connection becomes at most: each is replaced at a moment of its own in the
    /// last fifth of this time. Default: 1h.
    #[schemars(example = "1h")]
    pub max_lifetime: Option<String>,
    /// How long a connection is kept without being used. Default: 10m.
    #[schemars(example = "10m")]
    pub idle_timeout: Option<String>,
    /// A connection that has been idle for longer is asked whether it still works before a
    /// statement is sent over it. Default: 30s.
    #[schemars(example = "30s")]
    pub check_after: Option<String>,
    /// For cache rules with `invalidate = "replication"`: the publication of their tables. It
    /// is made, and given the tables that it lacks. Default: flywheel.
    #[schemars(length(min = 1))]
    pub publication: Option<String>,
    /// How much of its log PostgreSQL may keep for those rules, such as "1GB" or a number of
    /// bytes, before the stream is begun anew. Default: 1GB.
    pub max_retained_wal: Option<Size>,
}

/// A PostgreSQL inside Flywheel, for trying out. It serves one connection at a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedPostgresKeys {
    /// The folder of its data. Default: a temporary one.
    #[schemars(length(min = 1))]
    pub data: Option<String>,
}

/// A table whose rows live outside PostgreSQL.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// schema.table; the schema is public when left out.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The store's name.
    #[schemars(length(min = 1))]
    pub store: String,
    /// A timestamptz column after which a row is gone. Not for layout sorted_set.
    #[schemars(length(min = 1))]
    pub expires_at: Option<String>,
    /// The table's name in the store. Default: schema.table.
    #[schemars(length(min = 1))]
    pub physical_name: Option<String>,
    /// Whether a statement without a condition on the key may read the whole table, up to
    /// max_fetch_rows. Default: true for the embedded stores and memory, false for DynamoDB and
    /// Redis, which read (and DynamoDB bills) far more than the rows.
    pub allow_scan: Option<bool>,
    /// Whether DROP TABLE may drop it with rows in it. Default: false.
    pub allow_drop: Option<bool>,
    /// Whether what only PostgreSQL could keep for the table (UNIQUE and EXCLUDE constraints,
    /// foreign keys from and to it, triggers, rules, row-level security) is given up: it is dropped
    /// in PostgreSQL, with a warning each. Otherwise a table that has any can't be used. Default:
    /// false.
    pub drop_constraints: Option<bool>,
    /// Secondary indexes, which find rows by other columns than the key. Default: none; in DynamoDB
    /// those that the table has there.
    #[schemars(with = "Option<Vec<Index>>")]
    pub indexes: Option<Vec<Option<Map<String, Value>>>>,
}

/// A secondary index of a table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Its name; in DynamoDB the index's there.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its columns. Rows are found by the first, and by a range of the second, which also orders
    /// them.
    #[schemars(with = "Vec<String>")]
    pub columns: Vec<Option<String>>,
}

/// Where some statements go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which statements; all of these must hold.
    pub when: When,
    /// The PostgreSQL store's name, or that name with .replicas. What may write goes to the primary
    /// all the same.
    pub to: String,
}

/// Which statements a route is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Statements of this user.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// Statements that only read, or statements that may write.
    pub kind: Option<KindName>,
    /// Statements that name only these tables, which are PostgreSQL's own.
    #[schemars(with = "Option<Vec<String>>")]
    pub tables: Option<Vec<Option<String>>>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindName {
    /// It only reads.
    Read,
    /// It may write.
    Write,
}

/// Which answers are kept, and for how long.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheRule {
    /// To which queries; all of these must hold.
    pub when: CacheWhen,
    /// How long an answer is given from memory, such as "30s".
    #[schemars(example = "30s")]
    pub ttl: String,
    /// For how long after `ttl` an answer is still given while one client reads it anew. Default:
    /// not at all.
    #[schemars(example = "10s")]
    pub stale_while_revalidate: Option<String>,
    /// For how long after `ttl` an answer is still given when the server that has it can't be
    /// reached. Default: not at all.
    #[schemars(example = "5m")]
    pub stale_if_error: Option<String>,
    /// What ends an answer before its time. Default: writes.
    pub invalidate: Option<InvalidateName>,
    /// For `invalidate = "replication"`: while it isn't known what was written longer ago, no
    /// answer is given from memory. Default: 1s.
    #[schemars(example = "1s")]
    pub max_lag: Option<String>,
    /// The longest answer that is kept, such as "1MB" or a number of bytes. Default: 1MB.
    pub max_result_size: Option<Size>,
}

/// Which queries a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheWhen {
    /// Queries that name only these tables and views, wherever their rows are.
    #[schemars(with = "Option<Vec<String>>")]
    pub tables: Option<Vec<Option<String>>>,
    /// Queries of this user.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// Queries in this database.
    #[schemars(length(min = 1))]
    pub database: Option<String>,
    /// Queries with this text. `*` stands for anything; case and white space don't count.
    #[schemars(length(min = 1))]
    pub pattern: Option<String>,
    /// Queries with this fingerprint, as EXPLAIN prints it. Texts that differ only in their
    /// constants have the same.
    #[schemars(length(min = 1))]
    pub fingerprint: Option<String>,
    /// Queries that ask for it with a comment: `/* flywheel: cache */` or
    /// `/* flywheel: cache ttl=30s */`.
    pub hint: Option<bool>,
}

/// What ends an answer before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvalidateName {
    /// Writes through this gateway to what it was read from.
    Writes,
    /// Writes to what it was read from, whoever makes them, as PostgreSQL's logical replication,
    /// Redis' client tracking and DynamoDB Streams tell them.
    Replication,
    /// Nothing.
    None,
}

/// What several gateways have in common.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sharing {
    /// The Redis store over which they tell each other what their clients have written.
    pub store: String,
    /// Gateways of the same name in the same Redis belong together. Default: flywheel.
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    /// How old the news from the other gateways may be for answers with `invalidate = "writes"` to
    /// be given. Default: 2s.
    #[schemars(example = "2s")]
    pub max_lag: Option<String>,
    /// Whether answers are kept in that Redis too, so that what one gateway has read serves all.
    /// Default: false.
    pub answers: Option<bool>,
    /// Longer answers are compressed there, such as "4kB" or a number of bytes. Default: 4kB.
    pub compress_above: Option<Size>,
}
