//! The gateway: its listener, and what the command line asks of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flywheel_postgres::ServerError;
use flywheel_sql::split;
use flywheel_types::TableName;
use flywheel_wire::{PgError, sqlstate};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::busy_poll::BusyPoll;
use crate::caching::{Following, Kept, RuleProblem, Source};
use crate::execute::{Kind, Maker, column_types};
use crate::figures::{Arrivals, ClientFigures, count};
use crate::front::{Authenticator, Client, ClientError, Login, Purpose, Registry, check_replication, receive, replicate};
use crate::homes::home;
use crate::options::{Database, Options};
use crate::session::Session;
use crate::shared::Shared;
use crate::sharing::Membership;

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
    arrivals: Arrivals,
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
            arrivals: Arrivals::default(),
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

    /// The databases that are served: the main one, then the others as they are configured.
    pub(crate) fn databases(&self) -> impl Iterator<Item = &Arc<Shared>> {
        let others = self.main().options.databases.iter();
        std::iter::once(self.main()).chain(others.filter_map(|database| self.front.others.get(&database.name)))
    }

    pub(crate) fn clients(&self) -> ClientFigures {
        let most = self.main().options.max_connections;
        let arrivals = &self.front.arrivals;
        ClientFigures {
            connected: most.saturating_sub(self.front.clients.available_permits()),
            most,
            sessions: arrivals.sessions.load(Ordering::Relaxed),
            refused: arrivals.refused.load(Ordering::Relaxed),
            turned_away: arrivals.turned_away.load(Ordering::Relaxed),
        }
    }

    /// Whether clients are served: not any more once [`Self::shut_down`] was called.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        !*self.main().shutdown.borrow()
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
        if let Some(caching) = &main.caching {
            let follow = |source: &Arc<Source>| tokio::spawn(source.clone().follow(caching.clone(), main.clone()));
            watches.extend(caching.sources().iter().map(follow));
        }
        // Before it serves anybody: the others must wait for word of what its clients write.
        let sharing = main.caching.as_ref().and_then(|caching| caching.sharing().cloned());
        if let Some(sharing) = &sharing {
            let databases = std::iter::once(main).chain(self.front.others.values()).cloned();
            watches.push(tokio::spawn(Membership::new(sharing.clone(), databases).run()));
            sharing.enter().await;
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
        while sessions.join_next().await.is_some() {}
        if let Some(sharing) = &sharing {
            sharing.leave().await;
        }
        watches.iter().chain(&caching).for_each(tokio::task::JoinHandle::abort);
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
        for shared in self.databases() {
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

    /// What is wrong with the cache rules, as the databases stand; and which of these couldn't be asked, and why.
    pub async fn check_cache(&self) -> (Vec<RuleProblem>, Vec<(String, ServerError)>) {
        let (mut problems, mut silent) = (Vec::new(), Vec::new());
        for shared in self.databases() {
            let Some(caching) = shared.caching.as_ref().filter(|caching| caching.names_tables()) else {
                continue;
            };
            let checked = async {
                let mut lease = shared.pool().acquire_plain().await?;
                caching.check(&mut lease).await
            };
            match checked.await {
                // Another database may have been found to have the same.
                Ok(found) => problems.extend(found.into_iter().filter(|problem| !problems.contains(problem)).collect::<Vec<_>>()),
                Err(error) => silent.push((shared.name().to_owned(), error)),
            }
        }
        (problems, silent)
    }

    /// Which tables in stores the cache rules couldn't follow now.
    ///
    /// # Errors
    /// PostgreSQL can't be reached.
    pub async fn check_cached_stores(&self) -> Result<Vec<RuleProblem>, ServerError> {
        let main = self.main();
        let Some(caching) = main.caching.as_ref().filter(|caching| !caching.sources().is_empty()) else {
            return Ok(Vec::new());
        };
        if !main.catalogue.is_read() {
            let mut lease = main.pool().acquire_plain().await?;
            main.reload(&mut lease).await?;
        }
        Ok(caching.check_sources(&main.catalogue).await)
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
        let types = column_types(&mut lease, &known, (&analysis, &[]))
            .await
            .map_err(|error| error.to_pg())?;
        let maker = Maker {
            types: &types,
            views: &[],
            known: &known,
            visible: &visible,
            max_fetch_rows: self.main().options.max_fetch_rows,
            configured: self.main().catalogue.configured(),
        };
        Ok(match maker.kind(statement.verb, sql, &analysis)? {
            Kind::Planned { parsed, plan } => {
                Explained::Plan(flywheel_plan::explain::lines(&plan, &parsed, self.main().options.max_fetch_rows))
            }
            Kind::Explain { lines, .. } => Explained::Plan(lines),
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
            Kind::Materialize { .. } => Explained::Plan(vec!["Materialized view made by PostgreSQL over fetched rows".to_owned()]),
            Kind::Copy { .. } => Explained::Plan(vec!["COPY by PostgreSQL over fetched rows".to_owned()]),
            // Made where it is carried out.
            Kind::Analyze { .. } | Kind::Cache(_) | Kind::Relayed | Kind::CreateView | Kind::DropUnnamed | Kind::Execute { .. } => {
                Explained::Relay
            }
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
            count(&front.arrivals.refused);
            let message = format!("login wasn't finished within {:?}", options.login_timeout);
            return client.close_with(&PgError::fatal(sqlstate::QUERY_CANCELED, message)).await;
        }
    };
    let Ok(_place) = front.clients.clone().try_acquire_owned() else {
        count(&front.arrivals.turned_away);
        let message = format!("sorry, too many clients already: {} are connected", options.max_connections);
        let error =
            PgError::fatal(sqlstate::TOO_MANY_CONNECTIONS, message).with_hint("Raise `max_connections` in Flywheel's configuration.");
        return client.close_with(&error).await;
    };
    tracing::debug!(%peer, user = login.user, "session begins");
    count(&front.arrivals.sessions);
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
            count(&front.arrivals.refused);
            tracing::info!(user = login.user, %error, "login refused");
            client.close_with(&error).await;
            Ok(None)
        }
    }
}
