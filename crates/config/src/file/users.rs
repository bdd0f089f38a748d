//! Who may log in, and to which databases.

use flywheel_kind::SecretSource;
use schemars::JsonSchema;
use serde::Deserialize;

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
