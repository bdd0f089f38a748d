//! A running gateway with everything that it needs.

mod binary;
mod database;
mod dynoxide;
mod home;
mod process;
mod servers;
mod setup;
mod told;

use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

pub use binary::{flywheel, flywheel_with_csv};
pub use database::Database;
pub use dynoxide::dynoxide;
pub use home::Home;
pub use process::Process;
pub use servers::Servers;
pub use setup::{Setup, Table};
pub use told::Told;

use crate::raw;

/// A gateway, the database behind it, and a second database that plain PostgreSQL answers for
/// comparison.
#[derive(Debug)]
pub struct World {
    // In the order in which they must go.
    gateway: Process,
    primary: Database,
    oracle: Database,
    folder: TempDir,
    servers: Servers,
}

impl World {
    /// A gateway without store tables. `None`, with a note, when there are no servers to test with.
    pub async fn start() -> Option<Self> {
        Setup::default().start().await
    }

    async fn with(setup: &Setup) -> Option<Self> {
        let servers = Servers::from_environment()?;
        let name = unique_name();
        let primary = Database::create(&servers.postgres, &format!("{name}_flywheel")).await;
        let oracle = Database::create(&servers.postgres, &format!("{name}_oracle")).await;
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("flywheel.toml");
        std::fs::write(&config, setup.to_toml(&servers, &primary, &oracle, &name))
            .expect("a configuration");
        let arguments = ["--config".as_ref(), config.as_os_str()];
        let gateway = Process::of(setup.program(), arguments).await;
        Some(Self { gateway, primary, oracle, folder, servers })
    }

    /// The gateway's process.
    pub const fn process(&self) -> &Process {
        &self.gateway
    }

    /// The gateway's process, to stop it.
    pub const fn process_mut(&mut self) -> &mut Process {
        &mut self.gateway
    }

    /// Starts the gateway anew, on another port, after its process has ended.
    pub async fn start_again(&mut self) {
        self.gateway = Process::start(["--config".as_ref(), self.config().as_os_str()]).await;
    }

    /// Another gateway with the same configuration.
    pub async fn another_gateway(&self) -> Process {
        Process::start(["--config".as_ref(), self.config().as_os_str()]).await
    }

    /// The configuration file.
    pub fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("flywheel.toml")
    }

    /// A folder that goes with the world.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What the tests' environment offers.
    pub const fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Where the gateway listens, for drivers.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// [`Self::url`] for a user, or `user:password`.
    pub fn url_of(&self, user: &str) -> String {
        format!("postgres://{user}@{}/app", self.gateway.address())
    }

    /// [`Self::url`] for another database.
    pub fn url_to(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.gateway.address())
    }

    /// Where plain PostgreSQL listens, for drivers.
    pub fn oracle_url(&self) -> &str {
        self.oracle.url()
    }

    /// Where the gateway listens.
    pub fn gateway_address(&self) -> &str {
        self.gateway.address()
    }

    /// The database of plain PostgreSQL.
    pub const fn oracle_database(&self) -> &Database {
        &self.oracle
    }

    /// The database behind the gateway.
    pub const fn primary(&self) -> &Database {
        &self.primary
    }

    /// A client of the gateway.
    pub async fn gateway(&self) -> Client {
        connect(&self.url()).await
    }

    /// A client of plain PostgreSQL, with an empty database of its own.
    pub async fn oracle(&self) -> Client {
        connect(self.oracle.url()).await
    }

    /// A client of the database behind the gateway, past it.
    pub async fn behind(&self) -> Client {
        connect(self.primary.url()).await
    }

    /// A raw client of the gateway.
    pub async fn raw(&self) -> raw::Client {
        raw::Client::login(self.gateway.address(), "postgres", "app")
            .await
            .expect("the gateway's login")
    }

    /// A raw client of plain PostgreSQL.
    pub async fn raw_oracle(&self) -> raw::Client {
        raw::Client::login(self.oracle.address(), "postgres", self.oracle.name())
            .await
            .expect("PostgreSQL's login")
    }

    /// A raw client of the database behind the gateway, past it.
    pub async fn raw_behind(&self) -> raw::Client {
        raw::Client::login(self.primary.address(), "postgres", self.primary.name())
            .await
            .expect("PostgreSQL's login")
    }
}

/// A connected client.
pub async fn connect(url: &str) -> Client {
    try_connect(url).await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

/// Statements by the simple protocol, and the first column of the rows of all of them.
pub async fn column(client: &Client, sql: &str) -> Vec<String> {
    let messages =
        client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    messages
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some(row.get(0).unwrap_or("NULL").to_owned())
            }
            _ => None,
        })
        .collect()
}

/// Waits until it holds.
///
/// # Panics
/// It doesn't in a minute.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("not in a minute: {what}");
}

/// A connected client, or why there is none.
///
/// # Errors
/// The server can't be reached or refuses the login.
pub async fn try_connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        // The client hears of its errors itself.
        let _ = connection.await;
    });
    Ok(client)
}

/// A name that no other test uses, neither now nor in another run on the same servers.
pub(crate) fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
