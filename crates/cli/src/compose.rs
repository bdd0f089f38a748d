//! From a configuration to the parts of a gateway. A new kind of store is registered here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use flywheel_config::{self as config, Config};
use flywheel_dynamodb::DynamoStore;
use flywheel_embedded::{EmbeddedDynamo, EmbeddedPostgres};
use flywheel_gateway::Options;
use flywheel_gateway::options::{
    Authentication, CacheRule, Database, IndexChoice, LayoutChoice, PoolMode, Route, StatementKind, TableHome, User,
};
use flywheel_memory::MemoryStore;
use flywheel_metrics::{Measured, Operations};
use flywheel_postgres::{
    Cluster, ClusterOptions, Host, Lifetimes, MaxLag, Pool, PoolOptions, Server, ServerOptions, Servers, SessionAttributes,
};
use flywheel_redis::{Certificates, RedisOptions, RedisStore, Topology};
use flywheel_store::Store;

use crate::sharing::share;

/// The stores and embedded servers of a configuration.
pub(crate) struct Parts {
    stores: BTreeMap<String, Arc<dyn Store>>,
    memories: Vec<Arc<MemoryStore>>,
    /// What is measured of the stores, where metrics are told.
    operations: Vec<Arc<Operations>>,
    servers: Servers,
    embedded_postgres: Option<EmbeddedPostgres>,
    embedded_dynamos: Vec<EmbeddedDynamo>,
}

impl Parts {
    /// Starts what is embedded and makes clients for the rest. A store that is down is no error here: it may come up later.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let mut stores: BTreeMap<String, Arc<dyn Store>> = BTreeMap::new();
        let (mut memories, mut embedded_dynamos, mut embedded_postgres) = (Vec::new(), Vec::new(), None);
        let mut servers = None;
        for (name, store) in &config.stores {
            match store {
                config::Store::Postgres(postgres) => {
                    servers = Some(postgres_servers(postgres));
                }
                config::Store::EmbeddedPostgres(options) => {
                    let data = options.data.clone();
                    let server = tokio::task::spawn_blocking(move || EmbeddedPostgres::start(data.as_deref()))
                        .await?
                        .context("embedded PostgreSQL")?;
                    // It serves one connection, which nobody can share.
                    servers = Some(Servers::single(Server::new(embedded_pool(&server.socket()))));
                    embedded_postgres = Some(server);
                }
                config::Store::DynamoDb(options) => {
                    let credentials = options
                        .credentials
                        .as_ref()
                        .map(|(id, key)| (id.expose().to_owned(), key.expose().to_owned()));
                    let store = DynamoStore::connect(flywheel_dynamodb::Options {
                        region: options.region.clone(),
                        endpoint: options.endpoint.clone(),
                        table_prefix: options.table_prefix.clone(),
                        timeout: options.timeout,
                        credentials,
                    });
                    stores.insert(name.clone(), Arc::new(store.await));
                }
                config::Store::EmbeddedDynamoDb(options) => {
                    let data = options.data.clone();
                    let server = tokio::task::spawn_blocking(move || EmbeddedDynamo::start(data.as_deref()))
                        .await?
                        .context("embedded DynamoDB")?;
                    stores.insert(name.clone(), Arc::new(embedded_dynamo(&server).await));
                    embedded_dynamos.push(server);
                }
                config::Store::Redis(options) => {
                    let store = RedisStore::new(&redis(options));
                    stores.insert(name.clone(), Arc::new(store.with_context(|| format!("store \"{name}\""))?));
                }
                config::Store::Memory(options) => {
                    let store = match &options.snapshot {
                        Some(path) => MemoryStore::open(path).with_context(|| format!("store \"{name}\": snapshot {}", path.display()))?,
                        None => MemoryStore::new(),
                    };
                    let store = Arc::new(store);
                    memories.push(store.clone());
                    stores.insert(name.clone(), store);
                }
            }
        }
        let mut operations = Vec::new();
        if config.metrics.is_some() {
            for (name, store) in &mut stores {
                let of_store = Arc::new(Operations::new(name));
                *store = Arc::new(Measured::new(store.clone(), of_store.clone()));
                operations.push(of_store);
            }
        }
        Ok(Self {
            stores,
            memories,
            operations,
            servers: servers.context("the configuration has no PostgreSQL store")?,
            embedded_postgres,
            embedded_dynamos,
        })
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
                if in_recovery {
                    "PostgreSQL answers, a standby"
                } else {
                    "PostgreSQL answers"
                }
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
    pub(crate) fn options(&self, config: &Config) -> anyhow::Result<Options> {
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
                layout: match &table.layout {
                    config::Layout::Hash => LayoutChoice::Hash,
                    config::Layout::Json => LayoutChoice::Json,
                    config::Layout::SortedSet { score } => LayoutChoice::SortedSet { score: score.clone() },
                },
                expires_at: table.expires_at.clone(),
                allow_scan: table.allow_scan,
                allow_drop: table.allow_drop,
                drop_constraints: table.drop_constraints,
                consistent_read: table.consistent_read,
                mismatch_is_null: table.on_type_mismatch == config::OnTypeMismatch::Null,
                scan_segments: table.scan_segments,
                indexes: table.indexes.as_ref().map(|indexes| indexes.iter().map(index).collect()),
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
        let secret = |secret: &config::Secret| secret.expose().to_owned();
        let user = |user: &config::User| User {
            name: user.name.clone(),
            password: user.password.as_ref().map(secret),
            replication: user.replication,
            role: user
                .role
                .as_ref()
                .map(|role| (role.name.clone(), role.password.as_ref().map(secret))),
            pool_size: user.pool_size,
            pool_mode: user.pool_mode.map(pool_mode),
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
            authentication: match config.authentication {
                config::Authentication::Trust => Authentication::Trust,
                config::Authentication::ScramSha256 => Authentication::ScramSha256,
            },
            users: config.users.iter().map(user).collect(),
            max_connections: config.max_connections,
            max_message_size: config.limits.max_message_size,
            login_timeout: config.limits.login_timeout,
            busy_poll: config.limits.busy_poll,
            max_fetch_rows: config.limits.max_fetch_rows,
            servers: self.servers.clone(),
            routes: config.routes.iter().map(route).collect(),
            tables: config.tables.iter().map(table).collect::<anyhow::Result<_>>()?,
            cache: config.cache.iter().map(cache_rule).collect(),
            cache_memory: config.limits.cache_memory,
            sharing,
            publication,
            max_retained_wal,
        })
    }

    /// Keeps what memory stores hold, and stops what is embedded. All gateways must be gone, and with them their server connections.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            stores,
            memories,
            servers,
            embedded_postgres,
            embedded_dynamos,
            ..
        } = self;
        drop((stores, servers));
        tokio::task::spawn_blocking(move || {
            for memory in memories {
                memory.save().context("keep the memory store's rows")?;
            }
            for server in embedded_dynamos {
                server.stop().context("stop embedded DynamoDB")?;
            }
            embedded_postgres
                .map_or(Ok(()), EmbeddedPostgres::stop)
                .context("stop embedded PostgreSQL")
        })
        .await?
    }
}

pub(crate) fn redis(options: &config::Redis) -> RedisOptions {
    let text = |secret: &config::Secret| secret.expose().to_owned();
    let pem = |secret: &config::Secret| secret.expose().as_bytes().to_vec();
    RedisOptions {
        topology: match &options.servers {
            config::RedisServers::One(url) => Topology::One(text(url)),
            config::RedisServers::Cluster(urls) => Topology::Cluster(urls.iter().map(text).collect()),
            config::RedisServers::Sentinel { primary, sentinels } => Topology::Sentinel {
                primary: text(primary),
                sentinels: sentinels.iter().map(text).collect(),
            },
        },
        certificates: Certificates {
            authorities: options.authorities.as_ref().map(pem),
            client: options.client.as_ref().map(|(certificate, key)| (pem(certificate), pem(key))),
        },
        key_prefix: options.key_prefix.clone(),
        timeout: options.timeout,
    }
}

fn index(index: &config::Index) -> IndexChoice {
    IndexChoice {
        name: index.name.clone(),
        columns: index.columns.clone(),
        is_eventual: index.kind.map(|kind| kind == config::IndexKind::Global),
        consistent_read: index.consistent_read,
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

fn pool_mode(mode: config::PoolMode) -> PoolMode {
    match mode {
        config::PoolMode::Transaction => PoolMode::Transaction,
        config::PoolMode::Session => PoolMode::Session,
        config::PoolMode::Statement => PoolMode::Statement,
    }
}

/// The primary, on whichever of its hosts it is, and its replicas.
fn postgres_servers(postgres: &config::Postgres) -> Servers {
    let primaries = server_options(&postgres.url, postgres);
    let replicas: Vec<_> = postgres
        .replicas
        .iter()
        .flat_map(|url| {
            let is = attributes(url.session_attributes.unwrap_or(config::SessionAttributes::Standby));
            server_options(url, postgres).into_iter().map(move |login| (login, is))
        })
        .collect();
    let options = pool_options(postgres);
    // Nobody takes the place of the only one.
    let is_only = primaries.len() == 1 && postgres.url.session_attributes.is_none();
    let first = primaries[0].clone();
    if is_only && replicas.is_empty() {
        return Servers::single(Server::new(Pool::new(first, options)));
    }
    let unless_said = if is_only {
        SessionAttributes::Any
    } else {
        SessionAttributes::ReadWrite
    };
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
    let replica = |(number, (login, _))| Server::new(Pool::following(cluster.replica(number), login, options.clone()));
    Servers {
        primary: Server::new(primary),
        replicas: replicas.into_iter().enumerate().map(replica).collect(),
        cluster: Some(cluster),
    }
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
        config::SessionAttributes::Standby | config::SessionAttributes::PreferStandby => SessionAttributes::Standby,
    }
}

/// A login for each host of a url.
fn server_options(url: &config::PostgresUrl, postgres: &config::Postgres) -> Vec<ServerOptions> {
    let login = |host: &config::PostgresHost| ServerOptions {
        host: if host.name.starts_with('/') {
            Host::Unix(Path::new(&host.name).join(format!(".s.PGSQL.{}", host.port)))
        } else {
            Host::Tcp(host.name.clone(), host.port)
        },
        user: url.user.clone(),
        password: url.password.as_ref().map(|password| password.expose().to_owned()),
        database: url.database.clone(),
        connect_timeout: postgres.connect_timeout,
    };
    url.hosts.iter().map(login).collect()
}

/// It serves one connection at a time, and compiles itself on the first start.
fn embedded_pool(socket: &Path) -> Pool {
    let options = ServerOptions {
        host: Host::Unix(socket.to_owned()),
        user: "postgres".into(),
        password: None,
        database: "postgres".into(),
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

async fn embedded_dynamo(server: &EmbeddedDynamo) -> DynamoStore {
    DynamoStore::connect(flywheel_dynamodb::Options {
        region: Some("local".into()),
        endpoint: Some(server.endpoint().to_owned()),
        table_prefix: String::new(),
        timeout: std::time::Duration::from_secs(10),
        credentials: Some(("embedded".into(), "embedded".into())),
    })
    .await
}
