//! What the sessions of a database share: its servers by role, its store tables' definitions, what is known of texts, the cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use flywheel_plan::Visible;
use flywheel_postgres::{Connection, Pool, ServerError, catalogue};
use flywheel_types::TableName;
use flywheel_wire::sqlstate;
use tokio::sync::{Notify, watch};

use crate::access::Access;
use crate::analysis::{Analyses, Analysis};
use crate::busy_poll::BusyPoll;
use crate::caching::{Caching, Kept, Sources, follower};
use crate::homes::Catalogue;
use crate::options::{Database, Options, PoolMode, Route, StatementKind, User};
use crate::tally::Tally;
use crate::transaction::Outbox;

/// How long a definition changed by others may go unnoticed.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// What all sessions of one database share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Arc<Options>,
    /// Which of the further databases it is; `None`: the main one, in which store tables are.
    pub(crate) database: Option<Database>,
    pub(crate) analyses: Analyses,
    pub(crate) catalogue: Catalogue,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) busy_poll: Arc<BusyPoll>,
    /// Answers kept in memory; `None`: there is no rule.
    pub(crate) caching: Option<Arc<Caching>>,
    pub(crate) outbox: Outbox,
    /// Told that a definition has been changed elsewhere.
    redefined: Notify,
    /// Counts its statements.
    pub(crate) tally: Arc<Tally>,
    /// The servers as those see them who have no connections of their own.
    common: OnceLock<Arc<Access>>,
    /// As the others see them, by user.
    own: Mutex<HashMap<String, Arc<Access>>>,
}

impl Shared {
    pub(crate) fn new(
        options: Arc<Options>,
        database: Option<Database>,
        shutdown: watch::Sender<bool>,
        busy_poll: Arc<BusyPoll>,
        kept: Option<&Arc<Kept>>,
    ) -> Self {
        let name = database.as_ref().map_or(&options.database, |database| &database.name);
        let follower = match &database {
            None => follower(&options, &options.servers.primary.pool),
            Some(_) => None,
        };
        let sources = database.is_none().then(|| Sources::new(&options));
        let caching = kept.map(|kept| Caching::new(kept.clone(), name.clone(), follower, sources));
        let tables = database.as_ref().map_or_else(|| options.tables.clone(), |_| Vec::new());
        let shared = Self {
            analyses: Analyses::new(),
            catalogue: Catalogue::new(tables),
            shutdown,
            busy_poll,
            caching,
            outbox: Outbox::default(),
            redefined: Notify::new(),
            tally: Arc::default(),
            common: OnceLock::new(),
            own: Mutex::default(),
            database,
            options,
        };
        shared
            .analyses
            .set_names(shared.catalogue.configured().iter().map(|table| &table.name));
        shared
    }

    /// The database's name to clients.
    pub(crate) fn name(&self) -> &str {
        self.database.as_ref().map_or(&self.options.database, |database| &database.name)
    }

    /// The servers as they have been seen until now: by those who have no connections of their own, and by the others with their names.
    pub(crate) fn known_accesses(&self) -> Vec<(Option<String>, Arc<Access>)> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own: Vec<_> = own.iter().map(|(user, access)| (Some(user.clone()), access.clone())).collect();
        own.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let common = self.common.get().map(|access| (None, access.clone()));
        common.into_iter().chain(own).collect()
    }

    pub(crate) fn common(&self) -> &Arc<Access> {
        let servers = &self.options.servers;
        self.common.get_or_init(|| {
            Arc::new(match &self.database {
                None => Access::new(servers.clone()),
                database => Access::under(servers, database.as_ref(), None),
            })
        })
    }

    /// The servers as this user's sessions see them.
    pub(crate) fn access(&self, user: &str) -> Arc<Access> {
        let Some(user) = self.user(user).filter(|user| user.role.is_some() || user.pool_size.is_some()) else {
            return self.common().clone();
        };
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.entry(user.name.clone())
            .or_insert_with(|| Arc::new(Access::under(&self.options.servers, self.database.as_ref(), Some(user))))
            .clone()
    }

    /// For how long this user's sessions keep a server connection.
    pub(crate) fn pool_mode(&self, user: &str) -> PoolMode {
        let of_user = self.user(user).and_then(|user| user.pool_mode);
        let of_database = || self.database.as_ref().and_then(|database| database.pool_mode);
        of_user.or_else(of_database).unwrap_or(self.options.pool_mode)
    }

    fn user(&self, name: &str) -> Option<&User> {
        self.options.users.iter().find(|user| user.name == name)
    }

    /// Connections for what is Flywheel's own.
    pub(crate) fn pool(&self) -> &Pool {
        &self.common().servers().primary.pool
    }

    /// The settings that the server reports to a new session.
    pub(crate) async fn server_parameters(&self, access: &Access) -> Result<HashMap<String, String>, ServerError> {
        if let Some(parameters) = access.parameters().await {
            return Ok(parameters);
        }
        let mut lease = access.servers().primary.pool.acquire_plain().await?;
        if !self.catalogue.is_read() {
            self.reload(&mut lease).await?;
        }
        access.learn(&mut lease).await
    }

    /// Reads the definitions of the configured tables anew.
    pub(crate) async fn reload(&self, connection: &mut Connection) -> Result<(), ServerError> {
        match self.catalogue.reload(connection).await {
            // A role of a user's own may not have a right that it takes; what a table is, is the same for all.
            Err(ServerError::Postgres(error)) if error.code() == sqlstate::INSUFFICIENT_PRIVILEGE.0 && self.has_roles() => {
                let mut lease = self.pool().acquire_plain().await?;
                self.catalogue.reload(&mut lease).await?;
            }
            reloaded => reloaded?,
        }
        let known = self.catalogue.known();
        let configured = self.catalogue.configured().iter().map(|table| &table.name);
        self.analyses.set_names(configured.chain(known.refused.keys()));
        Ok(())
    }

    fn has_roles(&self) -> bool {
        self.options.users.iter().any(|user| user.role.is_some())
    }

    /// What names mean on this connection. Definitions that have changed, here or elsewhere, are read anew.
    pub(crate) async fn visible(&self, connection: &mut Connection) -> Result<Visible, ServerError> {
        let names = catalogue::names(connection, &self.catalogue.names()).await?;
        if self.catalogue.has_changed(&names.digest) {
            self.reload(connection).await?;
        }
        Ok(Visible {
            current_schema: names.current_schema,
            schemas: names.schemas,
        })
    }

    /// Drops what the configuration gives up of tables that were made past Flywheel.
    async fn give_up(&self, lease: &mut Connection) -> Result<(), ServerError> {
        let given_up: Vec<_> = self.catalogue.configured().iter().filter(|table| table.drop_constraints).collect();
        if given_up.is_empty() || self.catalogue.known().refused.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = given_up.iter().map(|table| table.name.clone()).collect();
        let definitions = flywheel_postgres::catalogue::load(lease, &names).await?;
        let mut dropped = false;
        for table in given_up {
            let Some(definition) = definitions.get(&table.name) else { continue };
            // What has rows isn't homed in a store yet.
            if definition.has_rows {
                continue;
            }
            for (drop, warning) in crate::homes::given_up(table, definition) {
                tracing::warn!(table = %table.name, "{}: {drop}", warning.message());
                lease.query(&format!("SET LOCAL lock_timeout = '1s'; {drop}")).await?;
                dropped = true;
            }
        }
        if dropped {
            self.reload(lease).await?;
        }
        Ok(())
    }

    /// Looks from time to time whether others have changed definitions: plans are kept, and a native plan asks PostgreSQL nothing.
    pub(crate) async fn watch_definitions(self: Arc<Self>) {
        let mut waits = !self.catalogue.configured().iter().any(|table| table.drop_constraints);
        loop {
            if std::mem::replace(&mut waits, true) {
                // An error: nobody has said so in that time.
                let _ = tokio::time::timeout(WATCH_INTERVAL, self.redefined.notified()).await;
            }
            // A server that can't be reached is told to those who need it.
            let Ok(mut lease) = self.pool().acquire_plain().await else {
                continue;
            };
            let looked = if self.catalogue.lacks_indexes() {
                self.reload(&mut lease).await
            } else {
                self.visible(&mut lease).await.map(|_| ())
            };
            if let Err(error) = looked {
                tracing::debug!(%error, "can't look for changed definitions");
            } else if let Err(error) = self.give_up(&mut lease).await {
                tracing::warn!(%error, "what `drop_constraints` gives up can't be dropped");
            }
        }
    }

    /// A definition has been changed through another gateway.
    pub(crate) fn look_for_definitions(&self) {
        self.redefined.notify_one();
    }

    /// Whether a route leads this user's statements to replicas, if they are of the right kind.
    pub(crate) fn has_replicas_for(&self, user: &str) -> bool {
        let leads = |route: &Route| route.to_replicas && route.user.as_deref().is_none_or(|wanted| wanted == user);
        !self.options.servers.replicas.is_empty() && self.options.routes.iter().any(leads)
    }

    /// Whether the first route that matches leads to a replica.
    pub(crate) fn routes_to_replica(&self, user: &str, analysis: &Analysis) -> bool {
        let routes = &self.options.routes;
        let kind = if analysis.is_read {
            StatementKind::Read
        } else {
            StatementKind::Write
        };
        // What doesn't depend on the user is found once for each text.
        let matching = analysis.routes.get_or_init(|| {
            let matches = |route: &Route| {
                route.kind.is_none_or(|wanted| wanted == kind) && (route.tables.is_empty() || names_only(analysis, &route.tables))
            };
            routes.iter().map(matches).collect()
        });
        let first = routes
            .iter()
            .zip(matching)
            .find(|(route, matches)| **matches && route.user.as_deref().is_none_or(|wanted| wanted == user));
        // A replica can't write, whatever a route says.
        analysis.is_read && first.is_some_and(|(route, _)| route.to_replicas)
    }
}

/// Whether every relation that the statements name is one of `tables` (by name, and by schema when one is written).
pub(crate) fn names_only(analysis: &Analysis, tables: &[TableName]) -> bool {
    let listed = |relation: &flywheel_sql::Relation| {
        tables
            .iter()
            .any(|table| table.name == relation.name.name && relation.name.schema.as_ref().is_none_or(|schema| *schema == table.schema))
    };
    (0..analysis.statements.len()).all(|position| {
        flywheel_sql::parse(analysis.statement_text(position))
            .is_ok_and(|parsed| !parsed.relations.is_empty() && parsed.relations.iter().all(listed))
    })
}
