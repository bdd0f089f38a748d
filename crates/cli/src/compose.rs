//! From a configuration to the parts of a gateway.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use flywheel_config::{self as config, Config};
use flywheel_embedded::EmbeddedPostgres;
use flywheel_gateway::options::{CacheRule, Database, PoolMode, Route, StatementKind, TableHome};
use flywheel_gateway::{Options, Reloading};
use flywheel_kind::Closing;
use flywheel_metrics::Operations;
use flywheel_postgres::{
    Cluster, ClusterOptions, Host, Lifetimes, MaxLag, Pool, PoolOptions, Server, ServerOptions,
    Servers, SessionAttributes,
};
use flywheel_store::{Observed, Store};

use crate::admission::{admission, pool_mode};
use crate::encryption;
use crate::sharing::share;

/// The stores and embedded servers of a configuration.
pub(crate) struct Parts {
    stores: BTreeMap<String, Arc<dyn Store>>,
    /// What is left to do for the stores at the end.
    closing: Vec<Box<dyn Closing>>,
    /// What is measured of the stores, where metrics are told.
    operations: Vec<Arc<Operations>>,
    servers: Servers,
    embedded_postgres: Option<EmbeddedPostgres>,
}

impl Parts {
    /// Starts what is embedded and makes clients for the rest. A store that is down is no error
    /// here: it may come up later.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let mut stores: BTreeMap<String, Arc<dyn Store>> = BTreeMap::new();
        let mut closing = Vec::new();
        let mut embedded_postgres = None;
        let mut servers = None;
        for (name, store) in &config.stores {
            match store {
                config::Store::Postgres(postgres) => {
                    let made = postgres_servers(postgres);
                    servers = Some(made.with_context(|| format!("store \"{name}\""))?);
                }
                config::Store::EmbeddedPostgres(options) => {
                    let data = options.data.clone();
                    let server = tokio::task::spawn_blocking(move || {
                        EmbeddedPostgres::start(data.as_deref())
                    })
                    .await?
                    .context("embedded PostgreSQL")?;
                    // It serves one connection, which nobody can share.
                    servers = Some(Servers::single(Server::new(embedded_pool(&server.socket()))));
                    embedded_postgres = Some(server);
                }
                config::Store::Home(home) => {
                    let opened = home.configured.open().await;
                    let opened = opened.with_context(|| format!("store \"{name}\""))?;
                    stores.insert(name.clone(), opened.store);
                    closing.extend(opened.closing);
                }
            }
        }
        let mut operations = Vec::new();
        if config.metrics.is_some() {
            for (name, store) in &mut stores {
                let of_store = Arc::new(Operations::new(name));
                *store = Arc::new(Observed::new(store.clone(), of_store.clone()));
                operations.push(of_store);
            }
        }
        Ok(Self {
            stores,
            closing,
            operations,
            servers: servers.context("the configuration has no PostgreSQL store")?,
            embedded_postgres,
        })
    }

    /// The PostgreSQL servers.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The stores other than PostgreSQL, by name.
    pub(crate) fn stores(&self) -> impl Iterator<Item = (&str, &Arc<dyn Store>)> {
        self.stores.iter().map(|(name, store)| (name.as_str(), store))
    }

    /// What is measured of the stores.
    pub(crate) fn operations(&self) -> &[Arc<Operations>] {
        &self.operations
    }

    /// For each PostgreSQL server, what it is, or why it can't be used.
    pub(crate) async fn postgres_report(&self) -> Vec<(String, Result<&'static str, String>)> {
        let Some(cluster) = &self.servers.cluster else {
            let pool = &self.servers.primary.pool;
            let reached = pool.acquire().await.map(|_| "PostgreSQL answers");
            return vec![(
                pool.server().host.to_string(),
                reached.map_err(|error| error.to_pg().message().to_owned()),
            )];
        };
        let looks = cluster.report().await.into_iter().map(|(host, looked)| {
            let role = |in_recovery| {
                if in_recovery { "PostgreSQL answers, a standby" } else { "PostgreSQL answers" }
            };
            let looked = looked.map(|look| role(look.in_recovery));
            (host.to_string(), looked.map_err(|error| error.to_pg().message().to_owned()))
        });
        let mut report: Vec<_> = looks.collect();
        // A host may be listed twice: it may be the primary, and it may be a replica.
        let mut known = std::collections::HashSet::new();
        report.retain(|(host, _)| known.insert(host.clone()));
        report
    }

    /// Why there is no catalogue to compare with, if so.
    pub(crate) async fn catalogue_problem(&self) -> Option<String> {
        let error = self.servers.primary.pool.acquire().await.err()?;
        Some(error.to_pg().message().to_owned())
    }

    /// The gateway's options.
    pub(crate) fn options(&self, config: &Config, reloading: Reloading) -> anyhow::Result<Options> {
        let table = |table: &config::Table| {
            let store = self
                .stores
                .get(&table.store)
                .with_context(|| format!("table \"{}\" has no store", table.name))?;
            Ok(TableHome {
                name: table.name.clone(),
                store_name: table.store.clone(),
                store: store.clone(),
                physical_name: table.physical_name.clone(),
                expires_at: table.expires_at.clone(),
                allow_scan: table.allow_scan,
                allow_drop: table.allow_drop,
                drop_constraints: table.drop_constraints,
                consistent_read: table.consistent_read,
                indexes: table.indexes.clone(),
                options: table.options.clone(),
            })
        };
        let route = |route: &config::Route| Route {
            user: route.user.clone(),
            kind: route.kind.map(|kind| match kind {
                config::StatementKind::Read => StatementKind::Read,
                config::StatementKind::Write => StatementKind::Write,
            }),
            tables: route.tables.clone(),
            to_replicas: route.to == config::RouteTarget::Replicas,
        };
        let database = |database: &config::Database| Database {
            name: database.name.clone(),
            dbname: database.dbname.clone(),
            pool_size: database.pool_size,
            pool_mode: database.pool_mode.map(pool_mode),
        };
        let sharing = config.sharing.as_ref().map(|sharing| share(sharing, config)).transpose()?;
        let (mode, publication, max_retained_wal) = match &config.stores[&config.primary] {
            config::Store::Postgres(postgres) => (
                pool_mode(postgres.pool_mode),
                postgres.publication.clone(),
                postgres.max_retained_wal,
            ),
            _ => (PoolMode::Transaction, String::new(), 0),
        };
        Ok(Options {
            database: config.database.clone(),
            databases: config.databases.iter().map(database).collect(),
            pool_mode: mode,
            admission: admission(config),
            reloading,
            max_message_size: config.limits.max_message_size,
            busy_poll: config.limits.busy_poll,
            max_fetch_rows: config.limits.max_fetch_rows,
            servers: self.servers.clone(),
            routes: config.routes.iter().map(route).collect(),
            tables: config.tables.iter().map(table).collect::<anyhow::Result<_>>()?,
            cache: config.cache.iter().map(cache_rule).collect(),
            cache_memory: config.limits.cache_memory,
            statement_memory: config.limits.statement_memory,
            sharing,
            publication,
            max_retained_wal,
        })
    }

    /// Keeps what memory stores hold, and stops what is embedded. All gateways must be gone, and
    /// with them their server connections.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self { stores, closing, servers, embedded_postgres, .. } = self;
        drop((stores, servers));
        tokio::task::spawn_blocking(move || {
            for each in closing {
                each.close()?;
            }
            embedded_postgres
                .map_or(Ok(()), EmbeddedPostgres::stop)
                .context("stop embedded PostgreSQL")
        })
        .await?
    }
}

fn cache_rule(rule: &config::CacheRule) -> CacheRule {
    CacheRule {
        tables: rule.tables.clone(),
        user: rule.user.clone(),
        database: rule.database.clone(),
        pattern: rule.pattern.clone(),
        fingerprint: rule.fingerprint,
        hint: rule.hint,
        ttl: rule.ttl,
        stale_while_revalidate: rule.stale_while_revalidate,
        stale_if_error: rule.stale_if_error,
        by_writes: rule.by_writes,
        max_lag: rule.max_lag,
        max_result_size: rule.max_result_size,
    }
}

/// The primary, on whichever of its hosts it is, and its replicas.
fn postgres_servers(postgres: &config::Postgres) -> anyhow::Result<Servers> {
    let primaries = server_options(&postgres.url, postgres)?;
    let mut replicas = Vec::new();
    for url in &postgres.replicas {
        let is = attributes(url.session_attributes.unwrap_or(config::SessionAttributes::Standby));
        replicas.extend(server_options(url, postgres)?.into_iter().map(|login| (login, is)));
    }
    let options = pool_options(postgres);
    // Nobody takes the place of the only one.
    let is_only = primaries.len() == 1 && postgres.url.session_attributes.is_none();
    let first = primaries[0].clone();
    if is_only && replicas.is_empty() {
        return Ok(Servers::single(Server::new(Pool::new(first, options))));
    }
    let unless_said = if is_only { SessionAttributes::Any } else { SessionAttributes::ReadWrite };
    let cluster = Cluster::watch(ClusterOptions {
        primaries,
        primary_is: postgres.url.session_attributes.map_or(unless_said, attributes),
        replicas: replicas.clone(),
        check_interval: postgres.check_interval,
        max_lag: MaxLag {
            time: Some(postgres.max_replica_lag),
            bytes: postgres.max_replica_lag_bytes,
        },
    });
    let primary = if is_only {
        Pool::new(first, options.clone())
    } else {
        Pool::following(cluster.primary(), first, options.clone())
    };
    let replica = |(number, (login, _))| {
        Server::new(Pool::following(cluster.replica(number), login, options.clone()))
    };
    Ok(Servers {
        primary: Server::new(primary),
        replicas: replicas.into_iter().enumerate().map(replica).collect(),
        cluster: Some(cluster),
    })
}

/// The pools of the main database, unless a user's own.
fn pool_options(postgres: &config::Postgres) -> PoolOptions {
    PoolOptions {
        size: postgres.pool_size,
        shared: postgres.shared_connections as usize,
        acquire_timeout: postgres.acquire_timeout,
        login_retry: postgres.login_retry,
        lifetimes: Some(Lifetimes {
            max_lifetime: postgres.max_lifetime,
            idle_timeout: postgres.idle_timeout,
            check_after: postgres.check_after,
            min_idle: postgres.min_idle,
        }),
        sized_by: "`pool_size` of the PostgreSQL store".into(),
    }
}

fn attributes(attributes: config::SessionAttributes) -> SessionAttributes {
    match attributes {
        config::SessionAttributes::Any => SessionAttributes::Any,
        config::SessionAttributes::ReadWrite => SessionAttributes::ReadWrite,
        config::SessionAttributes::ReadOnly => SessionAttributes::ReadOnly,
        config::SessionAttributes::Primary => SessionAttributes::Primary,
        config::SessionAttributes::Standby | config::SessionAttributes::PreferStandby => {
            SessionAttributes::Standby
        }
    }
}

/// A login for each host of a url.
fn server_options(
    url: &config::PostgresUrl,
    postgres: &config::Postgres,
) -> anyhow::Result<Vec<ServerOptions>> {
    let encryption = encryption::to_servers(url.ssl_mode, &postgres.pem)?;
    let login = |host: &config::PostgresHost| ServerOptions {
        host: if host.name.starts_with('/') {
            Host::Unix(Path::new(&host.name).join(format!(".s.PGSQL.{}", host.port)))
        } else {
            Host::Tcp(host.name.clone(), host.port)
        },
        user: url.user.clone(),
        password: url.password.as_ref().map(|password| password.expose().to_owned()),
        database: url.database.clone(),
        encryption: encryption.clone(),
        connect_timeout: postgres.connect_timeout,
    };
    Ok(url.hosts.iter().map(login).collect())
}

/// It serves one connection at a time, and compiles itself on the first start.
fn embedded_pool(socket: &Path) -> Pool {
    let options = ServerOptions {
        host: Host::Unix(socket.to_owned()),
        user: "postgres".into(),
        password: None,
        database: "postgres".into(),
        encryption: flywheel_postgres::Encryption::Never,
        connect_timeout: std::time::Duration::from_secs(30),
    };
    let pool = PoolOptions {
        size: 1,
        shared: 0,
        acquire_timeout: std::time::Duration::from_secs(30),
        login_retry: std::time::Duration::from_secs(1),
        // Its one connection is its session, which nobody else may end.
        lifetimes: None,
        sized_by: "`pool_size` (of a PostgreSQL that isn't embedded)".into(),
    };
    Pool::new(options, pool)
}
