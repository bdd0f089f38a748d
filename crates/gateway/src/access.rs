//! The servers of one database as one role sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flywheel_execute::{StatementKey, StoreStatement};
use flywheel_postgres::{Connection, Login, PoolOptions, ServerError, Servers};
use flywheel_statement::{ByText, TextMemory};
use tokio::sync::RwLock;

use crate::administrators::{Administrators, CACHE_RIGHTS};
use crate::options::{Database, User};

/// Settings that a server reports.
type Parameters = Arc<HashMap<String, String>>;

/// What the sessions of one role in one database share.
#[derive(Debug)]
pub(crate) struct Access {
    servers: Servers,
    /// Plans of statements on store tables: what a name means depends on the role, and so does who
    /// may use it.
    pub(crate) statements: ByText<StatementKey, Arc<StoreStatement>>,
    /// Who may look into the cache, and who may empty it.
    pub(crate) administrators: Administrators,
    /// The server's reported settings, as a session begins with them, and of which generation of
    /// the pool's connections they are.
    parameters: RwLock<Option<(u64, Parameters)>>,
    hex_bytea: AtomicBool,
    shortest_floats: AtomicBool,
    serializable: AtomicBool,
    read_committed: AtomicBool,
    has_own_role: bool,
}

impl Access {
    /// What those share who have no role of their own.
    pub(crate) fn new(servers: Servers, memory: Arc<TextMemory>) -> Self {
        Self {
            servers,
            statements: ByText::new(memory),
            administrators: Administrators::default(),
            parameters: RwLock::new(None),
            hex_bytea: AtomicBool::new(false),
            shortest_floats: AtomicBool::new(false),
            // Until it is known.
            serializable: AtomicBool::new(true),
            read_committed: AtomicBool::new(false),
            has_own_role: false,
        }
    }

    /// Connections to the servers in `base`, for another database, or for a user of its own.
    pub(crate) fn under(
        base: &Servers,
        database: Option<&Database>,
        user: Option<&User>,
        memory: Arc<TextMemory>,
    ) -> Self {
        let login = Login {
            database: database.map(|database| database.dbname.clone()),
            role: user.and_then(|user| user.role.clone()),
        };
        Self {
            has_own_role: login.role.is_some(),
            ..Self::new(base.under(&login, &pool_options(base, database, user)), memory)
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
    pub(crate) async fn parameters(&self) -> Option<Parameters> {
        let known = self.parameters.read().await;
        let (generation, parameters) = known.as_ref()?;
        (*generation == self.servers.primary.pool.generation()).then(|| parameters.clone())
    }

    /// Sessions begin with other settings than until now.
    pub(crate) fn renew(&self) {
        self.servers.primary.pool.renew();
        for replica in &self.servers.replicas {
            replica.pool.renew();
        }
    }

    /// What must be known of the server before the first statement. `generation` is the pool's of
    /// before the connection was had: it may have ended since.
    pub(crate) async fn learn(
        &self,
        connection: &mut Connection,
        generation: u64,
    ) -> Result<Parameters, ServerError> {
        let settings = connection
            .query(&format!(
                "SELECT current_setting('bytea_output'), current_setting('extra_float_digits'), \
                 current_setting('default_transaction_isolation'); {CACHE_RIGHTS}"
            ))
            .await?;
        self.administrators.learn(settings.get(1));
        let text = |column| settings.first().map_or("", |rows| rows.text(0, column)).to_owned();
        self.hex_bytea.store(text(0) == "hex", Ordering::Relaxed);
        self.shortest_floats
            .store(text(1).parse().is_ok_and(|digits: i32| digits >= 1), Ordering::Relaxed);
        self.serializable.store(text(2) == "serializable", Ordering::Relaxed);
        self.read_committed.store(text(2) == "read committed", Ordering::Relaxed);
        let parameters = Arc::new(connection.parameters().clone());
        *self.parameters.write().await = Some((generation, parameters.clone()));
        Ok(parameters)
    }

    /// Whether transactions are SERIALIZABLE unless they say otherwise.
    pub(crate) fn is_serializable(&self) -> bool {
        self.serializable.load(Ordering::Relaxed)
    }

    /// Whether transactions are READ COMMITTED unless they say otherwise.
    pub(crate) fn is_read_committed(&self) -> bool {
        self.read_committed.load(Ordering::Relaxed)
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
    let of_database =
        database.and_then(|database| Some((database.pool_size?, "databases", &database.name)));
    let of_user = user.and_then(|user| Some((user.pool_size?, "users", &user.name)));
    if let Some((size, section, name)) = of_user.or(of_database) {
        options.size = size;
        options.sized_by = format!("`pool_size` of \"{name}\" in [[{section}]]");
    }
    options
}
