//! What the sessions of a database share: its servers by role, its store tables' definitions, what
//! is known of texts, the cache.
//!
//! What sessions share is one value a database and one a role in it (`Access`: servers, reported
//! settings, plans of statements on store tables). Both are made on first use. All roles' and
//! databases' pools follow the same `Cluster`, whose looks use the url's login.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flywheel_answers::{Caching, Kept, Sources, StoreTables, follower};
use flywheel_execute::Stores;
use flywheel_front::Room;
use flywheel_plan::Home;
use flywheel_postgres::{Code, Connection, Pool, ServerError};
use flywheel_statement::{Analyses, Analysis, TextMemory, names_only};
use flywheel_types::TableName;
use tokio::sync::watch;

use crate::access::Access;
use crate::accesses::{Accesses, AroundStores};
use crate::busy_poll::BusyPoll;
use crate::code::KnownCode;
use crate::listening::Listeners;
use crate::options::{Database, Options, Route, StatementKind};
use crate::stage::Stage;
use crate::tally::Tally;

/// How long definitions and rights that others have changed may go unnoticed.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// What the memory of all databases is taken from.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// What is kept by texts.
    pub(crate) texts: Arc<TextMemory>,
    /// The messages that clients are sending.
    pub(crate) room: Room,
}

impl Memory {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            texts: Arc::new(TextMemory::new(options.statement_memory)),
            room: Room::new(options.max_message_size),
        }
    }
}

/// What all sessions of one database share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Arc<Options>,
    /// Which of the further databases it is; `None`: the main one, in which store tables are.
    pub(crate) database: Option<Database>,
    /// The servers, as each role sees them.
    pub(crate) accesses: Arc<Accesses>,
    pub(crate) analyses: Arc<Analyses>,
    pub(crate) memory: Memory,
    code: KnownCode,
    /// Its store tables.
    pub(crate) stores: Arc<Stores>,
    pub(crate) stage: watch::Sender<Stage>,
    pub(crate) busy_poll: Arc<BusyPoll>,
    /// Answers kept in memory; `None`: there is no rule.
    pub(crate) caching: Option<Arc<Caching>>,
    /// A client has asked for last values of sequences: connections are lent without others'.
    pub(crate) asks_last_values: AtomicBool,
    /// Hears notifications for the sessions that listen.
    pub(crate) listeners: Listeners,
    /// Counts its statements.
    pub(crate) tally: Arc<Tally>,
}

impl Shared {
    pub(crate) fn new(
        options: Arc<Options>,
        database: Option<Database>,
        stage: watch::Sender<Stage>,
        busy_poll: Arc<BusyPoll>,
        kept: Option<&Arc<Kept>>,
        answers: &flywheel_answers::options::Options,
        memory: Memory,
    ) -> Self {
        let name = database.as_ref().map_or(&options.database, |database| &database.name);
        let follower = match &database {
            None => follower(answers, &options.servers.primary.pool),
            Some(_) => None,
        };
        let sources = database.is_none().then(|| Sources::new(answers));
        let caching = kept.map(|kept| Caching::new(kept.clone(), name.clone(), follower, sources));
        let tables = database.as_ref().map_or_else(|| options.tables.clone(), |_| Vec::new());
        let texts = &memory.texts;
        let accesses = Accesses::new(options.clone(), database.clone(), texts.clone());
        let accesses = Arc::new(accesses);
        let around = AroundStores { accesses: accesses.clone(), caching: caching.clone() };
        let analyses = Arc::new(Analyses::new(texts.clone()));
        let stores =
            Stores::new(tables, options.max_fetch_rows, analyses.clone(), Arc::new(around));
        Self {
            accesses,
            analyses,
            memory,
            code: KnownCode::default(),
            stores: Arc::new(stores),
            stage,
            busy_poll,
            caching,
            asks_last_values: AtomicBool::new(false),
            listeners: Listeners::default(),
            tally: Arc::default(),
            database,
            options,
        }
    }

    /// The database's name to clients.
    pub(crate) fn name(&self) -> &str {
        self.database.as_ref().map_or(&self.options.database, |database| &database.name)
    }

    /// Connections for what is Flywheel's own.
    pub(crate) fn pool(&self) -> &Pool {
        self.accesses.pool()
    }

    /// The settings that the server reports to a new session.
    pub(crate) async fn server_parameters(
        &self,
        access: &Access,
    ) -> Result<Arc<HashMap<String, String>>, ServerError> {
        if let Some(parameters) = access.parameters().await {
            return Ok(parameters);
        }
        let pool = &access.servers().primary.pool;
        let mut generation = pool.generation();
        let mut lease = pool.acquire_plain().await?;
        if !self.stores.catalogue.is_read() {
            self.stores.reload(&mut lease).await?;
        }
        if self.code.digest().code.is_empty() {
            // Where it fails, whoever comes next looks.
            let _ = self.look_at_code(&mut lease).await;
            drop(lease);
            generation = pool.generation();
            lease = pool.acquire_plain().await?;
        }
        access.learn(&mut lease, generation).await
    }

    /// Reads the code that may change sessions anew where it has changed. Where sessions begin with
    /// other settings than before, connections are made anew, too.
    pub(crate) async fn look_at_code(
        &self,
        connection: &mut Connection,
    ) -> Result<(), ServerError> {
        let known = self.code.digest();
        let now = Code::digest(connection).await?;
        if known != now {
            self.code.load(connection, &self.analyses).await?;
        }
        // At the first look nobody knows whether the connections that are there began with them.
        if known.defaults != now.defaults && (!known.code.is_empty() || now.has_own_defaults) {
            for (_, access) in self.accesses.known() {
                access.renew();
            }
        }
        Ok(())
    }

    /// Has somebody look from time to time whether others have changed code.
    pub(crate) async fn watch_code(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            self.analyses.set_stale(true);
        }
    }

    /// The database as other gateways tell of it. `None`: nothing of it is kept.
    pub(crate) fn in_common(&self) -> Option<flywheel_answers::Database> {
        let caching = self.caching.clone()?;
        Some(flywheel_answers::Database { caching, redefined: self.stores.redefined().clone() })
    }

    /// Whether a route leads this user's statements to replicas, if they are of the right kind.
    pub(crate) fn has_replicas_for(&self, user: &str) -> bool {
        let leads = |route: &Route| {
            route.to_replicas && route.user.as_deref().is_none_or(|wanted| wanted == user)
        };
        !self.options.servers.replicas.is_empty() && self.options.routes.iter().any(leads)
    }

    /// Whether the first route that matches leads to a replica.
    pub(crate) fn routes_to_replica(&self, user: &str, analysis: &Analysis) -> bool {
        let routes = &self.options.routes;
        let kind = if analysis.is_read { StatementKind::Read } else { StatementKind::Write };
        // What doesn't depend on the user is found once for each text.
        let matching = analysis.routes.get_or_init(|| {
            let matches = |route: &Route| {
                route.kind.is_none_or(|wanted| wanted == kind)
                    && (route.tables.is_empty() || names_only(analysis, &route.tables))
            };
            routes.iter().map(matches).collect()
        });
        let first = routes.iter().zip(matching).find(|(route, matches)| {
            **matches && route.user.as_deref().is_none_or(|wanted| wanted == user)
        });
        // A replica can't write, whatever a route says.
        analysis.is_read && first.is_some_and(|(route, _)| route.to_replicas)
    }
}

impl StoreTables for Shared {
    fn version(&self) -> u64 {
        self.stores.catalogue.version()
    }

    fn definitions(&self) -> u64 {
        self.stores.catalogue.definitions()
    }

    fn homes(&self, of: &[TableName]) -> Vec<Arc<Home>> {
        let known = self.stores.catalogue.known();
        of.iter().filter_map(|table| known.homes.get(table).cloned()).collect()
    }
}
