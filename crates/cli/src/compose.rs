//! From a configuration to the parts of a gateway. A new kind of store is registered here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use flywheel_config::{self as config, Config};
use flywheel_dynamodb::DynamoStore;
use flywheel_embedded::{EmbeddedDynamo, EmbeddedPostgres};
use flywheel_gateway::Options;
use flywheel_gateway::options::{Authentication, LayoutChoice, Route, StatementKind, TableHome, User};
use flywheel_memory::MemoryStore;
use flywheel_postgres::{Host, Pool, ServerOptions};
use flywheel_redis::RedisStore;
use flywheel_store::Store;

/// The stores and embedded servers of a configuration.
pub(crate) struct Parts {
    stores: BTreeMap<String, Arc<dyn Store>>,
    memories: Vec<Arc<MemoryStore>>,
    primary: Pool,
    replicas: Vec<Pool>,
    embedded_postgres: Option<EmbeddedPostgres>,
    embedded_dynamos: Vec<EmbeddedDynamo>,
}

impl Parts {
    /// Starts what is embedded and makes clients for the rest. A store that is down is no error here: it may come up later.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let mut stores: BTreeMap<String, Arc<dyn Store>> = BTreeMap::new();
        let (mut memories, mut embedded_dynamos, mut embedded_postgres) = (Vec::new(), Vec::new(), None);
        let (mut primary, mut replicas) = (None, Vec::new());
        for (name, store) in &config.stores {
            match store {
                config::Store::Postgres(postgres) => {
                    let pool = |url| Pool::new(server_options(url, postgres), postgres.pool_size, postgres.acquire_timeout);
                    primary = Some(pool(&postgres.url));
                    replicas = postgres.replicas.iter().map(pool).collect();
                }
                config::Store::EmbeddedPostgres(options) => {
                    let data = options.data.clone();
                    let server = tokio::task::spawn_blocking(move || EmbeddedPostgres::start(data.as_deref()))
                        .await?
                        .context("embedded PostgreSQL")?;
                    primary = Some(embedded_pool(&server.socket()));
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
                    let store = RedisStore::connect_lazy(options.url.expose(), &options.key_prefix, options.timeout);
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
        let primary = primary.context("the configuration has no PostgreSQL store")?;
        Ok(Self {
            stores,
            memories,
            primary,
            replicas,
            embedded_postgres,
            embedded_dynamos,
        })
    }

    /// The stores other than PostgreSQL, by name.
    pub(crate) fn stores(&self) -> impl Iterator<Item = (&str, &Arc<dyn Store>)> {
        self.stores.iter().map(|(name, store)| (name.as_str(), store))
    }

    /// For each PostgreSQL server, why it can't be used, if so.
    pub(crate) async fn postgres_problems(&self) -> Vec<(String, Option<String>)> {
        let mut problems = Vec::new();
        for pool in std::iter::once(&self.primary).chain(&self.replicas) {
            let problem = pool.acquire().await.err().map(|error| error.to_pg().message().to_owned());
            problems.push((pool.options().host.to_string(), problem));
        }
        problems
    }

    /// Where the catalogue store is.
    pub(crate) fn primary_host(&self) -> String {
        self.primary.options().host.to_string()
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
                    config::Layout::SortedSet { score } => LayoutChoice::SortedSet { score: score.clone() },
                },
                expires_at: table.expires_at.clone(),
                allow_scan: table.allow_scan,
                allow_drop: table.allow_drop,
                consistent_read: table.consistent_read,
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
        let user = |user: &config::User| User {
            name: user.name.clone(),
            password: user.password.as_ref().map(|password| password.expose().to_owned()),
        };
        Ok(Options {
            database: config.database.clone(),
            authentication: match config.authentication {
                config::Authentication::Trust => Authentication::Trust,
                config::Authentication::ScramSha256 => Authentication::ScramSha256,
            },
            users: config.users.iter().map(user).collect(),
            max_connections: config.max_connections,
            max_message_size: config.limits.max_message_size,
            login_timeout: config.limits.login_timeout,
            max_fetch_rows: config.limits.max_fetch_rows,
            primary: self.primary.clone(),
            shared_connections: match &config.stores[&config.primary] {
                config::Store::Postgres(postgres) => postgres.shared_connections as usize,
                // It serves one connection.
                _ => 0,
            },
            replicas: self.replicas.clone(),
            routes: config.routes.iter().map(route).collect(),
            tables: config.tables.iter().map(table).collect::<anyhow::Result<_>>()?,
        })
    }

    /// Keeps what memory stores hold, and stops what is embedded. All gateways must be gone, and with them their server connections.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            stores,
            memories,
            primary,
            replicas,
            embedded_postgres,
            embedded_dynamos,
        } = self;
        drop((stores, primary, replicas));
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

fn server_options(url: &config::PostgresUrl, postgres: &config::Postgres) -> ServerOptions {
    let host = if url.host.starts_with('/') {
        Host::Unix(Path::new(&url.host).join(format!(".s.PGSQL.{}", url.port)))
    } else {
        Host::Tcp(url.host.clone(), url.port)
    };
    ServerOptions {
        host,
        user: url.user.clone(),
        password: url.password.as_ref().map(|password| password.expose().to_owned()),
        database: url.database.clone(),
        connect_timeout: postgres.connect_timeout,
    }
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
    Pool::new(options, 1, std::time::Duration::from_secs(30))
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
