//! The file's shape: what serde reads and what the JSON schema says.
//!
//! An entry that has lost a key it needs, since that had a mistake, is `None` to serde. In a file
//! without mistakes there is none.
//!
//! A kind of store has keys of its own in `[stores.x]`, `[[tables]]` and their indexes: here these
//! are maps, which the kind reads.

mod cache;
mod routes;
mod size;
mod stores;
mod tables;
mod users;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

pub use cache::{CacheRule, CacheWhen, InvalidateName, Sharing};
pub use routes::{KindName, Route, When};
pub use size::Size;
pub use stores::{EmbeddedPostgresKeys, PostgresKeys, Store};
pub use tables::{Index, Table};
pub use users::{Database, PoolMode, User};

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
    /// The address that serves /metrics, for Prometheus, /healthz and /readyz. No password is asked
    /// for there.
    #[schemars(example = "127.0.0.1:9930")]
    pub listen: String,
}
