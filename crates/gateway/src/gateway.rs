//! The gateway: what the sessions of a database share, its listener, and what the command line asks of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use flywheel_plan::Visible;
use flywheel_postgres::{Connection, Pool, ServerError, catalogue};
use flywheel_sql::split;
use flywheel_types::TableName;
use flywheel_wire::{PgError, sqlstate};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::access::Access;
use crate::analysis::{Analyses, Analysis};
use crate::busy_poll::BusyPoll;
use crate::caching::{Caching, Following, Kept, follower};
use crate::execute::{Kind, Maker, column_types};
use crate::front::{Authenticator, Client, ClientError, Login, Purpose, Registry, check_replication, receive, replicate};
use crate::homes::{Catalogue, home};
use crate::options::{Database, Options, PoolMode, Route, StatementKind, User};
use crate::session::Session;
use crate::transaction::Outbox;

/// How long a definition changed by others may go unnoticed.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// What all sessions of one database share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Arc<Options>,
    /// Which of the further databases it is; `None`: the main one, in which store tables are.
    database: Option<Database>,
    pub(crate) analyses: Analyses,
    pub(crate) catalogue: Catalogue,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) busy_poll: Arc<BusyPoll>,
    /// Answers kept in memory; `None`: there is no rule.
    pub(crate) caching: Option<Arc<Caching>>,
    pub(crate) outbox: Outbox,
    /// The servers as those see them who have no connections of their own.
    common: OnceLock<Arc<Access>>,
    /// As the others see them, by user.
    own: Mutex<HashMap<String, Arc<Access>>>,
}

impl Shared {
    fn new(
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
        let caching = kept.map(|kept| Caching::new(kept.clone(), name.clone(), follower));
        let tables = database.as_ref().map_or_else(|| options.tables.clone(), |_| Vec::new());
        let shared = Self {
            analyses: Analyses::new(),
            catalogue: Catalogue::new(tables),
            shutdown,
            busy_poll,
            caching,
            outbox: Outbox::default(),
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

    fn common(&self) -> &Arc<Access> {
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
    async fn watch_definitions(self: Arc<Self>) {
        let mut waits = !self.catalogue.configured().iter().any(|table| table.drop_constraints);
        loop {
            if std::mem::replace(&mut waits, true) {
                tokio::time::sleep(WATCH_INTERVAL).await;
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

/// The gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    front: Arc<Front>,
}

/// What a client meets before it has a session.
#[derive(Debug)]
struct Front {
    authenticator: Authenticator,
    registry: Arc<Registry>,
    clients: Arc<Semaphore>,
    main: Arc<Shared>,
    /// The further databases by their names.
    others: HashMap<String, Arc<Shared>>,
}

impl Front {
    /// The database of this name.
    fn database(&self, name: &str) -> Result<&Arc<Shared>, PgError> {
        let options = &self.main.options;
        if name == options.database {
            return Ok(&self.main);
        }
        self.others.get(name).ok_or_else(|| {
            let names = std::iter::once(&options.database).chain(options.databases.iter().map(|database| &database.name));
            let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
            PgError::fatal(sqlstate::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
                .with_hint(format!("This gateway serves the database {}.", names.join(", ")))
        })
    }
}

/// A plan as the command line shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    /// PostgreSQL answers the statement alone.
    Relay,
    /// The plan's lines.
    Plan(Vec<String>),
}

/// How one configured table fits PostgreSQL's definition and its store.
#[derive(Debug)]
pub struct TableReport {
    /// The table.
    pub name: TableName,
    /// Its store.
    pub store_name: String,
    /// What is wrong, a sentence each; empty when all is well.
    pub problems: Vec<String>,
    /// What the configuration gives up of its definition, a sentence each.
    pub given_up: Vec<String>,
}

impl Gateway {
    /// A gateway that has not listened yet. Contacts nobody.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let options = Arc::new(options);
        let shutdown = watch::Sender::new(false);
        let busy_poll = Arc::new(BusyPoll::new(options.busy_poll));
        let kept = Kept::new(&options);
        let shared = |database: Option<&Database>| {
            let shared = Shared::new(
                options.clone(),
                database.cloned(),
                shutdown.clone(),
                busy_poll.clone(),
                kept.as_ref(),
            );
            Arc::new(shared)
        };
        let front = Front {
            authenticator: Authenticator::new(options.authentication, &options.users),
            registry: Arc::default(),
            clients: Arc::new(Semaphore::new(options.max_connections)),
            main: shared(None),
            others: options
                .databases
                .iter()
                .map(|database| (database.name.clone(), shared(Some(database))))
                .collect(),
        };
        Self { front: Arc::new(front) }
    }

    fn main(&self) -> &Arc<Shared> {
        &self.front.main
    }

    /// Serves clients until [`Self::shut_down`].
    pub async fn serve(&self, listener: TcpListener) {
        let main = self.main();
        let mut shutdown = main.shutdown.subscribe();
        let mut sessions = tokio::task::JoinSet::new();
        let polling = tokio::spawn({
            let busy_poll = main.busy_poll.clone();
            async move { busy_poll.run().await }
        });
        let shareds = std::iter::once(main).chain(self.front.others.values());
        let caching: Vec<_> = shareds
            .filter_map(|shared| Some(tokio::spawn(shared.caching.clone()?.watch(shared.clone()))))
            .collect();
        // Only where there are store tables.
        let mut watches = Vec::new();
        if !main.catalogue.configured().is_empty() {
            watches.push(tokio::spawn(main.clone().watch_definitions()));
            watches.push(tokio::spawn(main.clone().keep_outbox()));
        }
        // Only where a cache rule needs it.
        if let Some(caching) = main.caching.clone()
            && let Some(follower) = caching.follower().cloned()
        {
            watches.push(tokio::spawn(async move { follower.run(&Following::new(caching)).await }));
        }
        loop {
            let accepted = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(_) = sessions.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    sessions.spawn(connection(self.front.clone(), stream, peer));
                }
                // Out of file descriptors, most likely: clients that leave make room.
                Err(error) => {
                    tracing::error!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        polling.abort();
        watches.iter().chain(&caching).for_each(tokio::task::JoinHandle::abort);
        while sessions.join_next().await.is_some() {}
        main.tidy_outbox().await;
    }

    /// Stops accepting; sessions end when they are idle outside a transaction block.
    pub fn shut_down(&self) {
        self.main().shutdown.send_replace(true);
    }

    /// Reaches PostgreSQL and reads the definitions of the configured tables. Not needed before [`Self::serve`], where it happens by itself.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn connect(&self) -> Result<(), ServerError> {
        let main = self.main();
        main.server_parameters(main.common()).await.map(drop)
    }

    /// Logs in to PostgreSQL for every further database and every role of a user's own: what for, and whether it succeeds.
    pub async fn check_logins(&self) -> Vec<(String, Result<(), ServerError>)> {
        let mut reports = Vec::new();
        let options = &self.main().options;
        let databases = options
            .databases
            .iter()
            .filter_map(|database| self.front.others.get(&database.name));
        for shared in std::iter::once(self.main()).chain(databases) {
            let database = shared.database.as_ref().map(|database| &database.name);
            if let Some(name) = database {
                reports.push((format!("database {name}"), shared.pool().acquire().await.map(drop)));
            }
            for user in options.users.iter().filter(|user| user.role.is_some()) {
                let access = shared.access(&user.name);
                let pool = &access.servers().primary.pool;
                let place = database.map_or_else(String::new, |name| format!(" in database {name}"));
                let what = format!("user {}, role {}{place}", user.name, pool.server().user);
                reports.push((what, pool.acquire().await.map(drop)));
            }
        }
        reports
    }

    /// What is wrong with the cache rules, as the databases stand: a sentence each.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn check_cache(&self) -> Result<Vec<String>, ServerError> {
        let mut problems = Vec::new();
        for shared in std::iter::once(self.main()).chain(self.front.others.values()) {
            if let Some(caching) = &shared.caching {
                let mut lease = shared.pool().acquire_plain().await?;
                problems.extend(caching.check(&mut lease).await?);
            }
        }
        Ok(problems)
    }

    /// Compares every configured table with PostgreSQL's definition and with its store.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn check(&self) -> Result<Vec<TableReport>, ServerError> {
        let mut lease = self.main().pool().acquire_plain().await?;
        let configured = self.main().catalogue.configured();
        let names: Vec<_> = configured.iter().map(|table| table.name.clone()).collect();
        let mut definitions = flywheel_postgres::catalogue::load(&mut lease, &names).await?;
        let mut reports = Vec::new();
        for table in configured {
            let mut given_up = Vec::new();
            let problems = match definitions.remove(&table.name) {
                None => vec!["PostgreSQL has no table of this name: CREATE TABLE through Flywheel makes it".to_owned()],
                Some(mut definition) => {
                    let warnings = crate::homes::given_up(table, &definition);
                    given_up.extend(warnings.iter().map(|(_, warning)| warning.message().to_owned()));
                    if !warnings.is_empty() {
                        definition.obstacles.retain(|obstacle| obstacle.drop.is_none());
                    }
                    match home(table, definition) {
                        Err(error) => vec![error.message().to_owned()],
                        Ok(home) => home
                            .store
                            .check_table(&home.table)
                            .await
                            .unwrap_or_else(|error| vec![error.to_string()]),
                    }
                }
            };
            reports.push(TableReport {
                name: table.name.clone(),
                store_name: table.store_name.clone(),
                problems,
                given_up,
            });
        }
        Ok(reports)
    }

    /// How a statement would be answered.
    ///
    /// # Errors
    /// The statement is refused, or PostgreSQL can't be reached.
    pub async fn explain(&self, sql: &str) -> Result<Explained, PgError> {
        self.connect().await.map_err(|error| error.to_pg())?;
        let analysis = self.main().analyses.of(sql);
        let [statement] = &split(sql)[..] else {
            return Err(PgError::error(sqlstate::SYNTAX_ERROR, "give one statement at a time"));
        };
        let mut lease = self.main().pool().acquire_plain().await.map_err(|error| error.to_pg())?;
        // PostgreSQL's word comes first.
        lease.describe(sql, &[]).await.map_err(|error| error.to_pg())?;
        if !analysis.concerns_any_store() {
            return Ok(Explained::Relay);
        }
        let visible = self.main().visible(&mut lease).await.map_err(|error| error.to_pg())?;
        let known = self.main().catalogue.known();
        let types = column_types(&mut lease, &known, &analysis).await.map_err(|error| error.to_pg())?;
        let maker = Maker {
            types: &types,
            known: &known,
            visible: &visible,
            max_fetch_rows: self.main().options.max_fetch_rows,
            configured: self.main().catalogue.configured(),
        };
        Ok(match maker.kind(statement.verb, sql, &analysis)? {
            Kind::Planned { parsed, plan } => {
                Explained::Plan(flywheel_plan::explain::lines(&plan, &parsed, self.main().options.max_fetch_rows))
            }
            Kind::Explain { lines } => Explained::Plan(lines),
            Kind::CreateTable { table } => Explained::Plan(vec![format!(
                "Definition of {} in PostgreSQL, table in store \"{}\"",
                table.name, table.store_name
            )]),
            Kind::AlterTable { home } => Explained::Plan(vec![format!(
                "Definition of {} altered in PostgreSQL; values of its rows, where they change, in store \"{}\"",
                home.name(),
                home.store_name
            )]),
            Kind::DropTable { homes } => Explained::Plan(
                homes
                    .iter()
                    .map(|home| format!("Drop {} in PostgreSQL and in store \"{}\"", home.name(), home.store_name))
                    .collect(),
            ),
            Kind::CopyFrom { home } => Explained::Plan(vec![format!(
                "COPY by PostgreSQL into its own empty table, the rows then to {} in store \"{}\"",
                home.name(),
                home.store_name
            )]),
            Kind::Truncate { homes } => Explained::Plan(
                homes
                    .iter()
                    .map(|home| format!("Delete all rows of {} in store \"{}\"", home.name(), home.store_name))
                    .collect(),
            ),
            Kind::Prepare { inner, .. } => return Box::pin(self.explain(&inner)).await,
            Kind::Copy { .. } => Explained::Plan(vec!["COPY by PostgreSQL over fetched rows".to_owned()]),
            Kind::Cache(_) | Kind::Relayed | Kind::CreateView | Kind::DropUnnamed | Kind::Execute { .. } => Explained::Relay,
        })
    }
}

/// One client's connection, from its first byte.
async fn connection(front: Arc<Front>, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "can't set TCP_NODELAY");
    }
    let mut client = Client::new(stream);
    let options = &front.main.options;
    let admitted = tokio::time::timeout(options.login_timeout, admit(&front, &mut client)).await;
    let (shared, login) = match admitted {
        Ok(Ok(Some(admitted))) => admitted,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => {
            tracing::info!(%peer, %error, "login failed");
            if let Some(farewell) = error.farewell() {
                client.close_with(&farewell).await;
            }
            return;
        }
        Err(_) => {
            let message = format!("login wasn't finished within {:?}", options.login_timeout);
            return client.close_with(&PgError::fatal(sqlstate::QUERY_CANCELED, message)).await;
        }
    };
    let Ok(_place) = front.clients.clone().try_acquire_owned() else {
        let message = format!("sorry, too many clients already: {} are connected", options.max_connections);
        let error =
            PgError::fatal(sqlstate::TOO_MANY_CONNECTIONS, message).with_hint("Raise `max_connections` in Flywheel's configuration.");
        return client.close_with(&error).await;
    };
    tracing::debug!(%peer, user = login.user, "session begins");
    let registered = front.registry.register(login.minor);
    if let Some(mode) = login.replication.clone() {
        return replicate(&shared, &mut client, login, mode, &registered).await;
    }
    let values = login.values.clone();
    Session::new(shared, client, login, registered).run(&values).await;
}

/// Startup and authentication; `None` when there is no session to begin.
async fn admit(front: &Front, client: &mut Client) -> Result<Option<(Arc<Shared>, Login)>, ClientError> {
    let login = match receive(client).await? {
        Ok(Purpose::Login(login)) => login,
        Ok(Purpose::Cancel { process_id, secret_key }) => {
            front.registry.cancel(process_id, &secret_key).await;
            return Ok(None);
        }
        Err(error) => {
            client.close_with(&error).await;
            return Ok(None);
        }
    };
    let admitted = front.authenticator.authenticate(client, &login.user).await?;
    let database = match login.replication.as_deref() {
        None => front.database(&login.database),
        Some(mode) => check_replication(&front.main.options.users, &login.user).and_then(|()| match mode {
            "database" => front.database(&login.database),
            // Physical replication is of no database.
            _ => Ok(&front.main),
        }),
    };
    match admitted.and(database) {
        Ok(database) => Ok(Some((database.clone(), login))),
        Err(error) => {
            tracing::info!(user = login.user, %error, "login refused");
            client.close_with(&error).await;
            Ok(None)
        }
    }
}
