//! What a gateway is started with.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::home::Home;
use super::{Database, Servers, World, dynoxide, flywheel, flywheel_with_csv};

/// A table of the configuration.
#[derive(Debug, Clone)]
pub struct Table {
    /// `schema.name`.
    pub name: String,
    /// Its home.
    pub home: Home,
    /// Further keys of its `[[tables]]` entry, as TOML: `layout = "sorted_set"`.
    pub keys: Vec<String>,
}

/// What a gateway is started with; what isn't said is as in a small, trusting installation.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    tables: Vec<Table>,
    top: Vec<String>,
    limits: Vec<String>,
    main: Vec<String>,
    rest: Vec<String>,
    scram: bool,
    primary: Option<String>,
    redis: Option<String>,
    through: Option<SocketAddr>,
    dynamo: Vec<(Home, String)>,
    other: Option<String>,
    with_csv: bool,
}

impl Setup {
    /// A table with its home. It may be read whole, as tests like to.
    #[must_use]
    pub fn table(self, name: &str, home: Home) -> Self {
        self.table_with(name, home, &["allow_scan = true"])
    }

    /// A table with its home and further keys as TOML.
    #[must_use]
    pub fn table_with(mut self, name: &str, home: Home, keys: &[&str]) -> Self {
        self.tables.push(Table {
            name: name.to_owned(),
            home,
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
        });
        self
    }

    /// A key at the head of the file, as TOML.
    #[must_use]
    pub fn key(mut self, toml: &str) -> Self {
        self.top.push(toml.to_owned());
        self
    }

    /// A key of `[limits]`, as TOML.
    #[must_use]
    pub fn limit(mut self, toml: &str) -> Self {
        self.limits.push(toml.to_owned());
        self
    }

    /// A key of `[stores.main]`, as TOML.
    #[must_use]
    pub fn main(mut self, toml: &str) -> Self {
        self.main.push(toml.to_owned());
        self
    }

    /// Whole sections, as TOML.
    #[must_use]
    pub fn section(mut self, toml: &str) -> Self {
        self.rest.push(toml.to_owned());
        self
    }

    /// A user that logs in with SCRAM.
    #[must_use]
    pub fn user(self, name: &str, password: &str) -> Self {
        let mut this =
            self.section(&format!("[[users]]\nname = {name:?}\npassword = {password:?}"));
        this.scram = true;
        this
    }

    /// Another address for PostgreSQL, as a URL.
    #[must_use]
    pub fn primary_at(mut self, url: &str) -> Self {
        self.primary = Some(url.to_owned());
        self
    }

    /// The oracle's database as a further one of the gateway's, named `other`, with these keys as
    /// TOML.
    #[must_use]
    pub fn other_database(mut self, keys: &str) -> Self {
        self.other = Some(keys.to_owned());
        self
    }

    /// Another address for Redis, as a URL.
    #[must_use]
    pub fn redis_at(mut self, url: &str) -> Self {
        self.redis = Some(url.to_owned());
        self
    }

    /// A port that leads to PostgreSQL.
    #[must_use]
    pub const fn primary_through(mut self, address: SocketAddr) -> Self {
        self.through = Some(address);
        self
    }

    /// Another endpoint for one of the DynamoDBs.
    #[must_use]
    pub fn dynamo_at(mut self, home: Home, endpoint: &str) -> Self {
        self.dynamo.push((home, endpoint.to_owned()));
        self
    }

    /// A program that knows CSV files as a kind of store.
    #[must_use]
    pub const fn with_csv(mut self) -> Self {
        self.with_csv = true;
        self
    }

    /// The program to start.
    pub(super) fn program(&self) -> &'static Path {
        if self.with_csv { flywheel_with_csv() } else { flywheel() }
    }

    /// Starts the gateway. `None`, with a note, when there are no servers to test with.
    pub async fn start(&self) -> Option<World> {
        World::with(self).await
    }

    /// The configuration file. Every name in a shared server begins with `unique`.
    pub(super) fn to_toml(
        &self,
        servers: &Servers,
        primary: &Database,
        oracle: &Database,
        unique: &str,
    ) -> String {
        let mut toml = String::from("listen = \"127.0.0.1:0\"\ndatabase = \"app\"\n");
        toml.push_str(if self.scram { "auth = \"scram-sha-256\"\n" } else { "auth = \"trust\"\n" });
        lines(&mut toml, &self.top);
        if !self.limits.is_empty() {
            toml.push_str("\n[limits]\n");
            lines(&mut toml, &self.limits);
        }
        let through = self
            .through
            .map(|address| primary.url().replace(primary.address(), &address.to_string()));
        let url = self.primary.as_deref().or(through.as_deref()).unwrap_or_else(|| primary.url());
        let _ = write!(toml, "\n[stores.main]\nkind = \"postgres\"\nurl = {url:?}\n");
        lines(&mut toml, &self.main);
        let endpoints = [
            (Home::Dynoxide, Some(dynoxide())),
            (Home::DynamoDb, servers.dynamodb.first().map(String::as_str)),
        ];
        for (home, endpoint) in endpoints {
            let other = self.dynamo.iter().find(|(of, _)| *of == home);
            let endpoint = other.map(|(_, endpoint)| endpoint.as_str()).or(endpoint);
            if let Some(endpoint) = endpoint {
                let _ = write!(
                    toml,
                    "\n[stores.{}]\nkind = \"dynamodb\"\nregion = \"eu-central-1\"\nendpoint = {endpoint:?}\ntable_prefix = \"{unique}-\"\n\
                     access_key_id = \"test\"\nsecret_access_key = \"test\"\n",
                    home.store()
                );
            }
        }
        if let Some(url) = self.redis.as_ref().or(servers.redis.as_ref()) {
            let _ = write!(
                toml,
                "\n[stores.redis]\nkind = \"redis\"\nurl = {url:?}\nkey_prefix = \"{unique}:\"\n"
            );
        }
        toml.push_str("\n[stores.memory]\nkind = \"memory\"\n");
        for table in self.tables.iter().filter(|table| table.home != Home::Relational) {
            let _ = write!(
                toml,
                "\n[[tables]]\nname = {:?}\nstore = \"{}\"\n",
                table.name,
                table.home.store()
            );
            if table.home == Home::RedisJson {
                toml.push_str("layout = \"json\"\n");
            }
            lines(&mut toml, &table.keys);
        }
        if let Some(keys) = &self.other {
            let _ = write!(
                toml,
                "\n[[databases]]\nname = \"other\"\ndbname = {:?}\n{keys}\n",
                oracle.name()
            );
        }
        toml.push('\n');
        lines(&mut toml, &self.rest);
        toml
    }
}

fn lines(toml: &mut String, keys: &[String]) {
    for key in keys {
        toml.push_str(key);
        toml.push('\n');
    }
}
