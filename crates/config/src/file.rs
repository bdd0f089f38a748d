//! The file's shape: what serde reads and what the JSON schema says.
//!
//! An entry that has lost a key it needs, since that had a mistake, is `None` to serde. In a file without mistakes there is none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Flywheel's configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The address that clients connect to. Default: 127.0.0.1:6432.
    #[schemars(example = "127.0.0.1:6432")]
    pub listen: Option<String>,
    /// The database's name to clients. Default: the name in the PostgreSQL store's url; `flywheel` for the embedded one.
    #[schemars(length(min = 1))]
    pub database: Option<String>,
    /// How clients log in. Default: scram-sha-256.
    pub auth: Option<Auth>,
    /// How many clients may be connected at once. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// What a client or a statement may use up.
    pub limits: Option<Limits>,
    /// What the gateway is doing, told over HTTP. Default: it isn't.
    pub metrics: Option<Metrics>,
    /// Who may log in. Without any, `auth = "trust"` lets everybody in.
    #[serde(default)]
    #[schemars(with = "Vec<User>")]
    pub users: Vec<Option<User>>,
    /// Further databases of the PostgreSQL servers to which clients may connect. Tables that live in other stores are in the main database only.
    #[serde(default)]
    #[schemars(with = "Vec<Database>")]
    pub databases: Vec<Option<Database>>,
    /// Where rows live, by a name of your choice. Exactly one is PostgreSQL.
    #[schemars(with = "BTreeMap<String, Store>")]
    pub stores: BTreeMap<String, Option<Store>>,
    /// Tables whose rows live outside PostgreSQL.
    #[serde(default)]
    #[schemars(with = "Vec<Table>")]
    pub tables: Vec<Option<Table>>,
    /// Where statements on PostgreSQL's own tables go: the first route that matches decides, the primary is the default.
    #[serde(default)]
    #[schemars(with = "Vec<Route>")]
    pub routes: Vec<Option<Route>>,
    /// Which answers are kept in memory: the first rule that matches decides. Without a rule none is.
    #[serde(default)]
    #[schemars(with = "Vec<CacheRule>")]
    pub cache: Vec<Option<CacheRule>>,
    /// What several gateways in front of the same databases have in common. Without it, a gateway knows nothing of what others' clients write.
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

/// What a client or a statement may use up.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many rows of one store table a statement may read; past it the statement is refused. Default: 10000.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_fetch_rows: Option<u32>,
    /// The longest message a client may send, such as "64MB" or a number of bytes: from 10000 to less than 1GB. Default: 64MB.
    pub max_message_size: Option<Size>,
    /// How long a client may take to log in, such as "10s". Default: 10s.
    #[schemars(example = "10s")]
    pub login_timeout: Option<String>,
    /// While one client alone is served: how long its next message or a server's answer is looked for before the thread sleeps, such as "50us", at
    /// most "1ms". It makes each statement of that client faster and keeps a processor busy meanwhile. "0s": not at all. Default: 50us.
    #[schemars(example = "50us")]
    pub busy_poll: Option<String>,
    /// How much memory the answers kept by the `cache` rules may take, such as "64MB" or a number of bytes. Default: 64MB.
    pub cache_memory: Option<Size>,
}

/// What the gateway is doing, told over HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The address at which Prometheus finds /metrics, and whoever looks whether the gateway serves /healthz. Nobody is asked for a password there.
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

/// A text that must not be seen: written out, taken from the environment as "${VAR}", or read from a file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SecretSource {
    /// The text itself.
    Text(String),
    /// The contents of a file, without the newline at its end.
    File(SecretFile),
}

/// A secret kept in a file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// The file, relative to the configuration file.
    #[schemars(length(min = 1))]
    pub file: String,
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
    /// Whether the user may open replication connections to the primary, under the role of its statements. Default: false.
    #[serde(default)]
    pub replication: bool,
    /// The role under which this user's statements run in PostgreSQL, over connections of its own. Default: that of the store's url, for all users.
    #[schemars(length(min = 1))]
    pub server_user: Option<String>,
    /// The password of that role.
    pub server_password: Option<SecretSource>,
    /// How many connections to each server and database at most, for this user alone. Default: with `server_user`, the database's or the store's
    /// `pool_size`; without it the user shares the store's connections.
    #[schemars(range(min = 1, max = 10_000))]
    pub pool_size: Option<u32>,
    /// For how long this user's clients keep a server connection. Default: the database's, or the store's.
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

/// A store.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum Store {
    /// A PostgreSQL server: the home of all tables that aren't listed under `tables`, and the catalogue of all.
    #[serde(rename = "postgres")]
    Postgres {
        /// postgres://user:password@host:port/database. With several hosts (host1:port1,host2:port2) the primary is the one that takes writes, whichever
        /// that is at the time; ?target_session_attrs=primary or any says otherwise.
        url: SecretSource,
        /// Replicas to which routes can send reads, by their urls. Every host of a url with several is one. A server is used while it is a standby;
        /// ?target_session_attrs=read-only or any says otherwise.
        #[serde(default)]
        #[schemars(with = "Vec<SecretSource>")]
        replicas: Vec<Option<SecretSource>>,
        /// How often the servers are looked at, when there are several: which is the primary, how far behind the replicas are. Default: 1s.
        #[schemars(example = "1s")]
        check_interval: Option<String>,
        /// A replica that has been without something of the primary's for longer isn't read from. Default: 10s.
        #[schemars(example = "10s")]
        max_replica_lag: Option<String>,
        /// A replica that has more of the primary's log to replay isn't read from, such as "16MB" or a number of bytes. Default: no limit.
        max_replica_lag_bytes: Option<Size>,
        /// How many connections to each server at most. Default: 10.
        #[schemars(range(min = 1, max = 10_000))]
        pool_size: Option<u32>,
        /// For how long a client keeps a server connection. Default: transaction.
        pool_mode: Option<PoolMode>,
        /// How many idle connections to each server are held ready. Default: 0.
        #[schemars(range(min = 0, max = 10_000))]
        min_idle: Option<u32>,
        /// How many of the connections to each server are shared by many clients at the same time, for single queries that change nothing. At least one
        /// connection is left to transactions. 0: none. Default: 2.
        #[schemars(range(min = 0, max = 10_000))]
        shared_connections: Option<u32>,
        /// How long a statement may wait for a free connection, such as "5s". Default: 5s.
        #[schemars(example = "5s")]
        acquire_timeout: Option<String>,
        /// How long a connection and its login may take, such as "5s". Default: 5s.
        #[schemars(example = "5s")]
        connect_timeout: Option<String>,
        /// The longest pause between attempts to log in to a server that can't be reached or refuses. It begins with 50ms. Default: 5s.
        #[schemars(example = "5s")]
        login_retry: Option<String>,
        /// How old a connection becomes at most: each is replaced at a moment of its own in the last fifth of this time. Default: 1h.
        #[schemars(example = "1h")]
        max_lifetime: Option<String>,
        /// How long a connection is kept without being used. Default: 10m.
        #[schemars(example = "10m")]
        idle_timeout: Option<String>,
        /// A connection that has been idle for longer is asked whether it still works before a statement is sent over it. Default: 30s.
        #[schemars(example = "30s")]
        check_after: Option<String>,
        /// For cache rules with `invalidate = "replication"`: the publication of their tables. It is made, and given the tables that it lacks.
        /// Default: flywheel.
        #[schemars(length(min = 1))]
        publication: Option<String>,
        /// How much of its log PostgreSQL may keep for those rules, such as "1GB" or a number of bytes, before the stream is begun anew. Default: 1GB.
        max_retained_wal: Option<Size>,
    },
    /// Amazon DynamoDB.
    #[serde(rename = "dynamodb")]
    DynamoDb {
        /// The AWS region. Default: what the AWS SDK finds in its environment.
        #[schemars(length(min = 1))]
        region: Option<String>,
        /// Another endpoint than AWS' own, such as http://127.0.0.1:8000 for DynamoDB Local.
        #[schemars(example = "http://127.0.0.1:8000")]
        endpoint: Option<String>,
        /// Put before the name of every table in DynamoDB. Default: nothing.
        table_prefix: Option<String>,
        /// Credentials; both or none. Default: the AWS SDK's credential chain.
        access_key_id: Option<SecretSource>,
        /// Credentials; both or none.
        secret_access_key: Option<SecretSource>,
        /// Whether reads see every write before them, at twice the price. Default: true.
        consistent_read: Option<bool>,
        /// How long one request may take, retries included, such as "5s". Default: 5s.
        #[schemars(example = "5s")]
        timeout: Option<String>,
    },
    /// Redis 6.2 or later.
    #[serde(rename = "redis")]
    Redis {
        /// redis://user:password@host:port/number, rediss:// for TLS. For a cluster several hosts (host1:port1,host2:port2), through any of which its
        /// nodes are found. With `sentinels` the host is the name that they know the primary by.
        url: SecretSource,
        /// Whether it is a Redis Cluster. Default: false.
        cluster: Option<bool>,
        /// Sentinels that know which server is the primary, by their urls, each with its own login. Default: none.
        #[serde(default)]
        #[schemars(with = "Vec<SecretSource>")]
        sentinels: Vec<Option<SecretSource>>,
        /// For TLS: a PEM file of the authorities that are trusted. Default: those of the operating system.
        #[schemars(length(min = 1))]
        tls_ca_cert_file: Option<String>,
        /// For TLS: a PEM file of the client's certificate. Default: none.
        #[schemars(length(min = 1))]
        tls_cert_file: Option<String>,
        /// For TLS: a PEM file of the client certificate's key.
        #[schemars(length(min = 1))]
        tls_key_file: Option<String>,
        /// Put before every key. Default: nothing.
        key_prefix: Option<String>,
        /// How long one request may take, such as "1s". Default: 1s.
        #[schemars(example = "5s")]
        timeout: Option<String>,
    },
    /// A store in Flywheel's own memory, for trying out and for tests.
    #[serde(rename = "memory")]
    Memory {
        /// A file that keeps the rows from one run to the next. Default: none, the rows are gone at the end.
        #[schemars(length(min = 1))]
        snapshot: Option<String>,
    },
    /// A PostgreSQL inside Flywheel, for trying out. It serves one connection at a time.
    #[serde(rename = "embedded-postgres")]
    EmbeddedPostgres {
        /// The folder of its data. Default: a temporary one.
        #[schemars(length(min = 1))]
        data: Option<String>,
    },
    /// A DynamoDB-compatible store inside Flywheel, for trying out.
    #[serde(rename = "embedded-dynamodb")]
    EmbeddedDynamoDb {
        /// The folder of its data. Default: memory.
        #[schemars(length(min = 1))]
        data: Option<String>,
    },
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
    /// For Redis and memory: how its rows lie. Default: hash.
    pub layout: Option<LayoutName>,
    /// For layout sorted_set: the column that is the score.
    #[schemars(length(min = 1))]
    pub score: Option<String>,
    /// A timestamptz column after which a row is gone. Not for layout sorted_set.
    #[schemars(length(min = 1))]
    pub expires_at: Option<String>,
    /// The table's name in the store. Default: schema.table.
    #[schemars(length(min = 1))]
    pub physical_name: Option<String>,
    /// Whether a statement without a condition on the key may read the whole table, up to max_fetch_rows. Default: true for the
    /// embedded stores and memory, false for DynamoDB and Redis, which read (and DynamoDB bills) far more than the rows.
    pub allow_scan: Option<bool>,
    /// Whether DROP TABLE may drop it with rows in it. Default: false.
    pub allow_drop: Option<bool>,
    /// Whether what only PostgreSQL could keep for the table (UNIQUE and EXCLUDE constraints, foreign keys from and to it, triggers, rules, row-level
    /// security) is given up: it is dropped in PostgreSQL, with a warning each. Otherwise a table that has any can't be used. Default: false.
    pub drop_constraints: Option<bool>,
    /// For DynamoDB: whether reads of this table see every write before them. Default: what the store says.
    pub consistent_read: Option<bool>,
    /// For DynamoDB: what a value of another type than its column's is, which another application has written: an error that names it, or NULL
    /// (in a column that may be NULL). Default: error.
    pub on_type_mismatch: Option<OnTypeMismatchName>,
    /// For DynamoDB: into how many segments a read of the whole table is split, which are read at the same time. Default: 1 for what fits
    /// one page (1 MB), else 4.
    #[schemars(range(min = 1, max = 64))]
    pub scan_segments: Option<u32>,
    /// Secondary indexes, which find rows by other columns than the key. Default: none; in DynamoDB those that the table has there.
    #[schemars(with = "Option<Vec<Index>>")]
    pub indexes: Option<Vec<Option<Index>>>,
}

/// What a value of another type than its column's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTypeMismatchName {
    /// An error.
    Error,
    /// NULL.
    Null,
}

/// A secondary index of a table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Its name; in DynamoDB the index's there.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its columns. Rows are found by the first, and by a range of the second, which also orders them.
    #[schemars(with = "Vec<String>")]
    pub columns: Vec<Option<String>>,
    /// For DynamoDB: which kind of index it is. Default: local where it begins with the first of several key columns, else global.
    pub kind: Option<IndexKindName>,
    /// For DynamoDB: whether reads through it see every write before them. A global index can't give that, and isn't used then.
    /// Default: what the table says.
    pub consistent_read: Option<bool>,
}

/// Kinds of DynamoDB's secondary indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IndexKindName {
    /// Beside the rows of one partition, made with the table; reads can see every write before them.
    Local,
    /// Over the whole table; reads may miss the last writes.
    Global,
}

/// How rows lie in Redis and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayoutName {
    /// A hash for each row.
    Hash,
    /// A string for each row, one JSON object.
    Json,
    /// A sorted set for each value of the first key column, with the second as member.
    SortedSet,
}

/// Where some statements go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which statements; all of these must hold.
    pub when: When,
    /// The PostgreSQL store's name, or that name with .replicas. What may write goes to the primary all the same.
    pub to: String,
}

/// Which statements a route is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Those of this user.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// Those that only read, or those that may write.
    pub kind: Option<KindName>,
    /// Those that name no other tables than these, which are PostgreSQL's own.
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
    /// For how long after `ttl` an answer is still given while one client reads it anew. Default: not at all.
    #[schemars(example = "10s")]
    pub stale_while_revalidate: Option<String>,
    /// For how long after `ttl` an answer is still given when the server that has it can't be reached. Default: not at all.
    #[schemars(example = "5m")]
    pub stale_if_error: Option<String>,
    /// What ends an answer before its time. Default: writes.
    pub invalidate: Option<InvalidateName>,
    /// For `invalidate = "replication"`: while it isn't known what was written longer ago, no answer is given from memory. Default: 1s.
    #[schemars(example = "1s")]
    pub max_lag: Option<String>,
    /// The longest answer that is kept, such as "1MB" or a number of bytes. Default: 1MB.
    pub max_result_size: Option<Size>,
}

/// Which queries a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheWhen {
    /// Those that name no other tables or views than these, wherever they live.
    #[schemars(with = "Option<Vec<String>>")]
    pub tables: Option<Vec<Option<String>>>,
    /// Those of this user.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// Those in this database.
    #[schemars(length(min = 1))]
    pub database: Option<String>,
    /// Those whose text is this, where * is anything, and neither case nor white space counts.
    #[schemars(length(min = 1))]
    pub pattern: Option<String>,
    /// Those of this fingerprint, as EXPLAIN tells it: texts that differ in their constants only.
    #[schemars(length(min = 1))]
    pub fingerprint: Option<String>,
    /// Those that ask for it with a comment: /* flywheel: cache */ or /* flywheel: cache ttl=30s */.
    pub hint: Option<bool>,
}

/// What ends an answer before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvalidateName {
    /// Writes through this gateway to what it was read from.
    Writes,
    /// Writes to what it was read from, whoever makes them, as PostgreSQL's logical replication, Redis' client tracking and DynamoDB Streams tell them.
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
    /// How old the news from the other gateways may be for answers with `invalidate = "writes"` to be given. Default: 2s.
    #[schemars(example = "2s")]
    pub max_lag: Option<String>,
    /// Whether answers are kept in that Redis too, so that what one gateway has read serves all. Default: false.
    pub answers: Option<bool>,
    /// Longer answers are compressed there, such as "4kB" or a number of bytes. Default: 4kB.
    pub compress_above: Option<Size>,
}
