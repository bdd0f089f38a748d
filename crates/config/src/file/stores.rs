//! The keys of PostgreSQL as a store; the other kinds of store describe their own.

use flywheel_kind::SecretSource;
use schemars::JsonSchema;
use serde::Deserialize;

use super::size::Size;
use super::users::PoolMode;

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
