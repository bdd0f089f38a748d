//! The gateway: what its sessions share, its listener, and what the command line asks of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flywheel_plan::Visible;
use flywheel_postgres::{Connection, ServerError, Servers, catalogue};
use flywheel_sql::split;
use flywheel_types::TableName;
use flywheel_wire::{PgError, sqlstate};
use quick_cache::sync::Cache;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, Semaphore, watch};

use crate::analysis::{Analyses, Analysis};
use crate::busy_poll::BusyPoll;
use crate::execute::{Kind, Maker, StatementKey, StoreStatement, column_types};
use crate::front::{Authenticator, Client, ClientError, Login, Purpose, Registry, check_replication, receive, replicate};
use crate::homes::{Catalogue, home};
use crate::options::{Options, Route, StatementKind};
use crate::session::Session;

/// How long a definition changed by others may go unnoticed.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 10_000;

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) analyses: Analyses,
    pub(crate) catalogue: Catalogue,
    pub(crate) statements: Cache<StatementKey, Arc<StoreStatement>>,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) busy_poll: BusyPoll,
    authenticator: Authenticator,
    registry: Arc<Registry>,
    clients: Arc<Semaphore>,
    /// The server's reported settings, from the last look.
    parameters: RwLock<Option<HashMap<String, String>>>,
    hex_bytea: AtomicBool,
    shortest_floats: AtomicBool,
    serializable: AtomicBool,
}

impl Shared {
    /// The settings that the server reports to a new session.
    pub(crate) async fn server_parameters(&self) -> Result<HashMap<String, String>, ServerError> {
        if let Some(parameters) = &*self.parameters.read().await {
            return Ok(parameters.clone());
        }
        let mut lease = self.options.servers.primary.pool.acquire().await?;
        self.learn(&mut lease).await?;
        Ok(lease.parameters().clone())
    }

    /// What must be known of the server before the first statement.
    async fn learn(&self, connection: &mut Connection) -> Result<(), ServerError> {
        let settings = connection
            .query("SELECT current_setting('bytea_output'), current_setting('extra_float_digits'), current_setting('default_transaction_isolation')")
            .await?;
        let text = |column| settings.first().map_or("", |rows| rows.text(0, column)).to_owned();
        self.hex_bytea.store(text(0) == "hex", Ordering::Relaxed);
        self.shortest_floats
            .store(text(1).parse().is_ok_and(|digits: i32| digits >= 1), Ordering::Relaxed);
        self.serializable.store(text(2) == "serializable", Ordering::Relaxed);
        self.reload(connection).await?;
        *self.parameters.write().await = Some(connection.parameters().clone());
        Ok(())
    }

    /// Reads the definitions of the configured tables anew.
    pub(crate) async fn reload(&self, connection: &mut Connection) -> Result<(), ServerError> {
        self.catalogue.reload(connection).await?;
        let known = self.catalogue.known();
        let configured = self.catalogue.configured().iter().map(|table| &table.name);
        self.analyses.set_names(configured.chain(known.refused.keys()));
        Ok(())
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

    /// Looks from time to time whether others have changed definitions: plans are kept, and a native plan asks PostgreSQL nothing.
    async fn watch_definitions(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            // A server that can't be reached is told to those who need it.
            if let Ok(mut lease) = self.options.servers.primary.pool.acquire().await
                && let Err(error) = self.visible(&mut lease).await
            {
                tracing::debug!(%error, "can't look for changed definitions");
            }
        }
    }

    /// The servers behind.
    pub(crate) fn servers(&self) -> &Servers {
        &self.options.servers
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

/// Whether every relation that the statements name is one of `tables` (by name, and by schema when one is written).
fn names_only(analysis: &Analysis, tables: &[TableName]) -> bool {
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
    shared: Arc<Shared>,
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
}

impl Gateway {
    /// A gateway that has not listened yet. Contacts nobody.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let shared = Shared {
            analyses: Analyses::new(),
            catalogue: Catalogue::new(options.tables.clone()),
            statements: Cache::new(CACHED_STATEMENTS),
            shutdown: watch::channel(false).0,
            busy_poll: BusyPoll::new(options.busy_poll),
            authenticator: Authenticator::new(options.authentication, &options.users),
            registry: Arc::default(),
            clients: Arc::new(Semaphore::new(options.max_connections)),
            parameters: RwLock::new(None),
            hex_bytea: AtomicBool::new(false),
            shortest_floats: AtomicBool::new(false),
            // Until it is known.
            serializable: AtomicBool::new(true),
            options,
        };
        shared
            .analyses
            .set_names(shared.catalogue.configured().iter().map(|table| &table.name));
        Self { shared: Arc::new(shared) }
    }

    /// Serves clients until [`Self::shut_down`].
    pub async fn serve(&self, listener: TcpListener) {
        let mut shutdown = self.shared.shutdown.subscribe();
        let mut sessions = tokio::task::JoinSet::new();
        let polling = tokio::spawn({
            let shared = self.shared.clone();
            async move { shared.busy_poll.run().await }
        });
        let watch = (!self.shared.catalogue.configured().is_empty()).then(|| tokio::spawn(self.shared.clone().watch_definitions()));
        loop {
            let accepted = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(_) = sessions.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    sessions.spawn(connection(self.shared.clone(), stream, peer));
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
        if let Some(watch) = watch {
            watch.abort();
        }
        while sessions.join_next().await.is_some() {}
    }

    /// Stops accepting; sessions end when they are idle outside a transaction block.
    pub fn shut_down(&self) {
        self.shared.shutdown.send_replace(true);
    }

    /// Reaches PostgreSQL and reads the definitions of the configured tables. Not needed before [`Self::serve`], where it happens by itself.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn connect(&self) -> Result<(), ServerError> {
        self.shared.server_parameters().await.map(drop)
    }

    /// Compares every configured table with PostgreSQL's definition and with its store.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn check(&self) -> Result<Vec<TableReport>, ServerError> {
        let mut lease = self.shared.options.servers.primary.pool.acquire().await?;
        let configured = self.shared.catalogue.configured();
        let names: Vec<_> = configured.iter().map(|table| table.name.clone()).collect();
        let mut definitions = flywheel_postgres::catalogue::load(&mut lease, &names).await?;
        let mut reports = Vec::new();
        for table in configured {
            let problems = match definitions.remove(&table.name) {
                None => vec!["PostgreSQL has no table of this name: CREATE TABLE through Flywheel makes it".to_owned()],
                Some(definition) => match home(table, definition) {
                    Err(error) => vec![error.message().to_owned()],
                    Ok(home) => home
                        .store
                        .check_table(&home.table)
                        .await
                        .unwrap_or_else(|error| vec![error.to_string()]),
                },
            };
            reports.push(TableReport {
                name: table.name.clone(),
                store_name: table.store_name.clone(),
                problems,
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
        let analysis = self.shared.analyses.of(sql);
        if !analysis.concerns_any_store() {
            return Ok(Explained::Relay);
        }
        let [statement] = &split(sql)[..] else {
            return Err(PgError::error(sqlstate::SYNTAX_ERROR, "give one statement at a time"));
        };
        let mut lease = self
            .shared
            .options
            .servers
            .primary
            .pool
            .acquire()
            .await
            .map_err(|error| error.to_pg())?;
        lease.describe(sql, &[]).await.map_err(|error| error.to_pg())?;
        let visible = self.shared.visible(&mut lease).await.map_err(|error| error.to_pg())?;
        let known = self.shared.catalogue.known();
        let types = column_types(&mut lease, &known, &analysis).await.map_err(|error| error.to_pg())?;
        let maker = Maker {
            types: &types,
            known: &known,
            visible: &visible,
            max_fetch_rows: self.shared.options.max_fetch_rows,
            configured: self.shared.catalogue.configured(),
        };
        Ok(match maker.kind(statement.verb, sql, &analysis)? {
            Kind::Planned { parsed, plan } => {
                Explained::Plan(flywheel_plan::explain::lines(&plan, &parsed, self.shared.options.max_fetch_rows))
            }
            Kind::Explain { lines } => Explained::Plan(lines),
            Kind::CreateTable { table } => Explained::Plan(vec![format!(
                "Definition of {} in PostgreSQL, table in store \"{}\"",
                table.name, table.store_name
            )]),
            Kind::DropTable { homes } => Explained::Plan(
                homes
                    .iter()
                    .map(|home| format!("Drop {} in PostgreSQL and in store \"{}\"", home.name(), home.store_name))
                    .collect(),
            ),
            Kind::Copy { .. } => Explained::Plan(vec!["COPY by PostgreSQL over fetched rows".to_owned()]),
            Kind::Relayed => Explained::Relay,
        })
    }
}

/// One client's connection, from its first byte.
async fn connection(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "can't set TCP_NODELAY");
    }
    let mut client = Client::new(stream);
    let admitted = tokio::time::timeout(shared.options.login_timeout, admit(&shared, &mut client)).await;
    let login = match admitted {
        Ok(Ok(Some(login))) => login,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => {
            tracing::info!(%peer, %error, "login failed");
            if let Some(farewell) = error.farewell() {
                client.close_with(&farewell).await;
            }
            return;
        }
        Err(_) => {
            let message = format!("login wasn't finished within {:?}", shared.options.login_timeout);
            return client.close_with(&PgError::fatal(sqlstate::QUERY_CANCELED, message)).await;
        }
    };
    let Ok(_place) = shared.clients.clone().try_acquire_owned() else {
        let message = format!("sorry, too many clients already: {} are connected", shared.options.max_connections);
        let error =
            PgError::fatal(sqlstate::TOO_MANY_CONNECTIONS, message).with_hint("Raise `max_connections` in Flywheel's configuration.");
        return client.close_with(&error).await;
    };
    tracing::debug!(%peer, user = login.user, "session begins");
    let registered = shared.registry.register(login.minor);
    if let Some(mode) = login.replication.clone() {
        return replicate(&shared, &mut client, login, mode, &registered).await;
    }
    let values = login.values.clone();
    Session::new(shared, client, login, registered).run(&values).await;
}

/// Startup and authentication; `None` when there is no session to begin.
async fn admit(shared: &Shared, client: &mut Client) -> Result<Option<Login>, ClientError> {
    let login = match receive(client).await? {
        Ok(Purpose::Login(login)) => login,
        Ok(Purpose::Cancel { process_id, secret_key }) => {
            shared.registry.cancel(process_id, &secret_key).await;
            return Ok(None);
        }
        Err(error) => {
            client.close_with(&error).await;
            return Ok(None);
        }
    };
    let admitted = match shared.authenticator.authenticate(client, &login.user).await? {
        // Physical replication is of no database.
        Ok(()) if login.replication.as_deref().is_some_and(|mode| mode != "database") => {
            check_replication(&shared.options.users, &login.user)
        }
        Ok(()) if login.database == shared.options.database => match login.replication {
            Some(_) => check_replication(&shared.options.users, &login.user),
            None => Ok(()),
        },
        Ok(()) => Err(PgError::fatal(
            sqlstate::INVALID_CATALOG_NAME,
            format!("database \"{}\" does not exist", login.database),
        )
        .with_hint(format!("This gateway serves the database \"{}\".", shared.options.database))),
        Err(error) => Err(error),
    };
    match admitted {
        Ok(()) => Ok(Some(login)),
        Err(error) => {
            tracing::info!(user = login.user, %error, "login refused");
            client.close_with(&error).await;
            Ok(None)
        }
    }
}
