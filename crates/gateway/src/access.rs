//! The servers of one database as one role sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flywheel_postgres::{Connection, Login, PoolOptions, ServerError, Servers};
use quick_cache::sync::Cache;
use tokio::sync::RwLock;

use crate::execute::{StatementKey, StoreStatement};
use crate::options::{Database, User};

const CACHED_STATEMENTS: usize = 10_000;
/// For a single user.
const CACHED_STATEMENTS_OF_ONE: usize = 1_000;

/// What the sessions of one role in one database share.
#[derive(Debug)]
pub(crate) struct Access {
    servers: Servers,
    /// Plans of statements on store tables: what a name means depends on the role, and so does who may use it.
    pub(crate) statements: Cache<StatementKey, Arc<StoreStatement>>,
    /// The server's reported settings, from the first connection.
    parameters: RwLock<Option<HashMap<String, String>>>,
    hex_bytea: AtomicBool,
    shortest_floats: AtomicBool,
    serializable: AtomicBool,
    has_own_role: bool,
}

impl Access {
    /// What those share who have no role of their own.
    pub(crate) fn new(servers: Servers) -> Self {
        Self::caching(servers, CACHED_STATEMENTS)
    }

    fn caching(servers: Servers, statements: usize) -> Self {
        Self {
            servers,
            statements: Cache::new(statements),
            parameters: RwLock::new(None),
            hex_bytea: AtomicBool::new(false),
            shortest_floats: AtomicBool::new(false),
            // Until it is known.
            serializable: AtomicBool::new(true),
            has_own_role: false,
        }
    }

    /// Connections to the servers in `base`, for another database, or for a user of its own.
    pub(crate) fn under(base: &Servers, database: Option<&Database>, user: Option<&User>) -> Self {
        let login = Login {
            database: database.map(|database| database.dbname.clone()),
            role: user.and_then(|user| user.role.clone()),
        };
        // Only the main database has store tables.
        let statements = match (database, user) {
            (Some(_), _) => 1,
            (None, Some(_)) => CACHED_STATEMENTS_OF_ONE,
            (None, None) => CACHED_STATEMENTS,
        };
        Self {
            has_own_role: login.role.is_some(),
            ..Self::caching(base.under(&login, &pool_options(base, database, user)), statements)
        }
    }

    /// The servers behind.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Whether statements run under a role that the user's configuration names.
    pub(crate) fn has_own_role(&self) -> bool {
        self.has_own_role
    }

    /// The settings that the server reports to a new session, if they are known.
    pub(crate) async fn parameters(&self) -> Option<HashMap<String, String>> {
        self.parameters.read().await.clone()
    }

    /// What must be known of the server before the first statement.
    pub(crate) async fn learn(&self, connection: &mut Connection) -> Result<HashMap<String, String>, ServerError> {
        let settings = connection
            .query("SELECT current_setting('bytea_output'), current_setting('extra_float_digits'), current_setting('default_transaction_isolation')")
            .await?;
        let text = |column| settings.first().map_or("", |rows| rows.text(0, column)).to_owned();
        self.hex_bytea.store(text(0) == "hex", Ordering::Relaxed);
        self.shortest_floats
            .store(text(1).parse().is_ok_and(|digits: i32| digits >= 1), Ordering::Relaxed);
        self.serializable.store(text(2) == "serializable", Ordering::Relaxed);
        let parameters = connection.parameters().clone();
        *self.parameters.write().await = Some(parameters.clone());
        Ok(parameters)
    }

    /// Whether transactions are SERIALIZABLE unless they say otherwise.
    pub(crate) fn is_serializable(&self) -> bool {
        self.serializable.load(Ordering::Relaxed)
    }

    pub(crate) fn prints_hex(&self) -> bool {
        self.hex_bytea.load(Ordering::Relaxed)
    }

    pub(crate) fn prints_shortest_floats(&self) -> bool {
        self.shortest_floats.load(Ordering::Relaxed)
    }
}

/// As the user says, or else the database, or else the store.
fn pool_options(base: &Servers, database: Option<&Database>, user: Option<&User>) -> PoolOptions {
    let mut options = base.primary.pool.options().clone();
    let of_database = database.and_then(|database| Some((database.pool_size?, "databases", &database.name)));
    let of_user = user.and_then(|user| Some((user.pool_size?, "users", &user.name)));
    if let Some((size, section, name)) = of_user.or(of_database) {
        options.size = size;
        options.sized_by = format!("`pool_size` of \"{name}\" in [[{section}]]");
    }
    options
}
