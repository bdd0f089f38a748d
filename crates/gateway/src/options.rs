//! What a gateway is made of, as values: `main` reads the configuration, tests write them down.

use std::sync::Arc;
use std::time::Duration;

use flywheel_answers::options::StoredTable;
pub use flywheel_answers::options::{CacheRule, Sharing};
pub use flywheel_console::Rights;
pub use flywheel_execute::options::TableHome;
pub use flywheel_front::{Authentication, Encryption};
use flywheel_postgres::Servers;
use flywheel_types::TableName;

use crate::places::MostClients;
use crate::reloading::Reloading;
use crate::timeouts::Timeouts;

/// A user that may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password, or its verifier in PostgreSQL's form
    /// `SCRAM-SHA-256$iterations:salt$stored:server`.
    pub password: Option<String>,
    /// The common names of which one must be in the client's certificate; none: it needs none.
    pub common_names: Vec<String>,
    /// Whether it may open replication connections.
    pub replication: bool,
    /// What it may do in the console; `None`: it isn't let in there.
    pub console: Option<Rights>,
    /// The role in PostgreSQL and its password, when it isn't that of [`Options::servers`].
    pub role: Option<(String, Option<String>)>,
    /// How long its clients may take.
    pub timeouts: Timeouts,
    /// How many connections a pool of this user's own has. `None`: with a role, as the database;
    /// without one, it has none of its own.
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

impl PoolMode {
    /// As the configuration names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Statement => "statement",
        }
    }
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

/// Who is let in, and how.
#[derive(Debug, Clone)]
pub struct Admission {
    /// How clients log in.
    pub authentication: Authentication,
    /// Who may. Empty together with [`Authentication::Trust`]: anybody.
    pub users: Arc<Vec<User>>,
    /// TLS to clients; `None`: they speak in the clear.
    pub encryption: Option<Encryption>,
    /// How many clients at once.
    pub most_clients: MostClients,
    /// How long a client may take to log in.
    pub login_timeout: Duration,
    /// How long what was sent to it may go unacknowledged (`TCP_USER_TIMEOUT`, tcp(7)); `None`: as
    /// long as the operating system says.
    pub tcp_user_timeout: Option<Duration>,
    /// How long it may take afterwards, unless its user or itself says.
    pub timeouts: Timeouts,
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
    /// Who is let in when the gateway starts: [`crate::Gateway::admit_by`] changes it.
    pub admission: Admission,
    /// Where RELOAD asks for another configuration.
    pub reloading: Reloading,
    /// The longest message of a client, in bytes.
    pub max_message_size: usize,
    /// How long something that is due is looked for before the thread sleeps, while one client
    /// alone is served.
    pub busy_poll: Duration,
    /// How many rows one statement may read from one store table.
    pub max_fetch_rows: usize,
    /// The catalogue store: the main database, under the login that is used where no other is
    /// given.
    pub servers: Servers,
    /// Where relational statements go.
    pub routes: Vec<Route>,
    /// Tables homed elsewhere.
    pub tables: Vec<TableHome>,
    /// Which answers are kept.
    pub cache: Vec<CacheRule>,
    /// How much memory they may take, in bytes.
    pub cache_memory: u64,
    /// How much memory what is kept of statements by their texts may take, in bytes.
    pub statement_memory: u64,
    /// What the gateway has in common with others; `None`: it is the only one.
    pub sharing: Option<Sharing>,
    /// The publication of the tables that cache rules follow.
    pub publication: String,
    /// How much of its log PostgreSQL may keep for them, in bytes.
    pub max_retained_wal: u64,
}

impl Options {
    /// What the cache needs of them.
    pub(crate) fn answers(&self) -> flywheel_answers::options::Options {
        let stored = |table: &TableHome| StoredTable {
            name: table.name.clone(),
            store_name: table.store_name.clone(),
            store: table.store.clone(),
        };
        flywheel_answers::options::Options {
            tables: self.tables.iter().map(stored).collect(),
            cache: self.cache.clone(),
            cache_memory: self.cache_memory,
            sharing: self.sharing.clone(),
            publication: self.publication.clone(),
            max_retained_wal: self.max_retained_wal,
        }
    }
}
