//! `[stores.…]`

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use url::Url;

use super::Resolver;
use crate::config::{DynamoDb, EmbeddedStore, Memory, Postgres, PostgresUrl, Redis, Secret, Store};
use crate::file::{self, SecretSource};

impl Resolver<'_> {
    pub(super) fn stores(&mut self, stores: &BTreeMap<String, file::Store>) -> BTreeMap<String, Store> {
        stores
            .iter()
            .filter_map(|(name, store)| Some((name.clone(), self.store(name, store)?)))
            .collect()
    }

    /// The name of the one store that is PostgreSQL.
    pub(super) fn primary(&mut self, stores: &BTreeMap<String, Store>) -> Option<String> {
        let mut names = stores.iter().filter(|(_, store)| store.is_postgres()).map(|(name, _)| name.clone());
        let first = names.next();
        if let Some(second) = names.next() {
            self.mistake(
                &["stores", &second, "kind"],
                "there are two PostgreSQL stores",
                "exactly one store is the catalogue; others are `replicas` of it",
            );
        }
        if first.is_none() && self.diagnostics.is_empty() {
            self.mistake(
                &["stores"],
                "no store is PostgreSQL",
                "add one with kind = \"postgres\" or kind = \"embedded-postgres\": it holds every table's definition",
            );
        }
        first
    }

    fn store(&mut self, name: &str, store: &file::Store) -> Option<Store> {
        let path = |key: &'static str| ["stores", name, key];
        Some(match store {
            file::Store::Postgres {
                url,
                replicas,
                pool_size,
                shared_connections,
                acquire_timeout,
                connect_timeout,
            } => {
                let acquire_timeout = self.duration(&path("acquire_timeout"), acquire_timeout.as_deref(), "5s");
                let connect_timeout = self.duration(&path("connect_timeout"), connect_timeout.as_deref(), "5s");
                let mut resolved = Vec::new();
                for (position, replica) in replicas.iter().enumerate() {
                    resolved.extend(self.postgres_url(&["stores", name, "replicas", &position.to_string()], replica));
                }
                Store::Postgres(Postgres {
                    url: self.postgres_url(&path("url"), url)?,
                    replicas: resolved,
                    pool_size: pool_size.unwrap_or(10),
                    shared_connections: shared_connections.unwrap_or(2),
                    acquire_timeout,
                    connect_timeout,
                })
            }
            file::Store::DynamoDb {
                region,
                endpoint,
                table_prefix,
                access_key_id,
                secret_access_key,
                consistent_read,
                timeout,
            } => {
                if let Some(endpoint) = endpoint
                    && !Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
                {
                    self.mistake(
                        &path("endpoint"),
                        format!("\"{endpoint}\" isn't an http or https url"),
                        "such as http://127.0.0.1:8000",
                    );
                }
                let credentials = match (access_key_id, secret_access_key) {
                    (Some(id), Some(key)) => self
                        .secret(&path("access_key_id"), id)
                        .zip(self.secret(&path("secret_access_key"), key)),
                    (None, None) => None,
                    _ => {
                        self.mistake(
                            &["stores", name],
                            "one half of the credentials is missing",
                            "give both access_key_id and secret_access_key, or none for the SDK's credential chain",
                        );
                        None
                    }
                };
                Store::DynamoDb(DynamoDb {
                    region: region.clone(),
                    endpoint: endpoint.clone(),
                    table_prefix: table_prefix.clone().unwrap_or_default(),
                    credentials,
                    consistent_read: consistent_read.unwrap_or(true),
                    timeout: self.duration(&path("timeout"), timeout.as_deref(), "5s"),
                })
            }
            file::Store::Redis { url, key_prefix, timeout } => {
                let timeout = self.duration(&path("timeout"), timeout.as_deref(), "1s");
                let url = self.secret(&path("url"), url)?;
                if !Url::parse(url.expose()).is_ok_and(|url| matches!(url.scheme(), "redis" | "rediss" | "unix" | "redis+unix")) {
                    self.mistake(
                        &path("url"),
                        "not a Redis url",
                        "such as redis://127.0.0.1:6379/0, or rediss://… for TLS",
                    );
                }
                Store::Redis(Redis {
                    url,
                    key_prefix: key_prefix.clone().unwrap_or_default(),
                    timeout,
                })
            }
            file::Store::Memory { snapshot } => Store::Memory(Memory {
                snapshot: snapshot.as_ref().map(|path| self.folder.join(path)),
            }),
            file::Store::EmbeddedPostgres { data } => Store::EmbeddedPostgres(EmbeddedStore {
                data: data.as_ref().map(|path| self.folder.join(path)),
            }),
            file::Store::EmbeddedDynamoDb { data } => Store::EmbeddedDynamoDb(EmbeddedStore {
                data: data.as_ref().map(|path| self.folder.join(path)),
            }),
        })
    }

    fn postgres_url(&mut self, path: &[&str], source: &SecretSource) -> Option<PostgresUrl> {
        let secret = self.secret(path, source)?;
        match parse_postgres_url(secret.expose()) {
            Ok(url) => Some(url),
            // The url itself may hold a password, and isn't shown.
            Err(problem) => {
                self.mistake(
                    path,
                    problem,
                    "write postgres://user:password@host:port/database; for a Unix socket postgres://user@/database?host=/folder",
                );
                None
            }
        }
    }
}

/// As libpq reads a connection URI (libpq-connect, "connection URIs"), for one host.
fn parse_postgres_url(text: &str) -> Result<PostgresUrl, String> {
    // A url without a host isn't one to the `url` crate: libpq allows it.
    let with_host = text.replacen(":///", "://socket.invalid/", 1).replacen("@/", "@socket.invalid/", 1);
    let url = Url::parse(&with_host).map_err(|error| format!("not a PostgreSQL url: {error}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(format!("not a PostgreSQL url: its scheme is {}", url.scheme()));
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| "not a PostgreSQL url: not UTF-8".to_owned())
    };
    if url.host_str().is_some_and(|host| host.contains(',')) {
        return Err("a store has one host; replicas are listed in `replicas`".into());
    }
    let mut host = decode(url.host_str().filter(|host| *host != "socket.invalid").unwrap_or("127.0.0.1"))?;
    let mut port = url.port().unwrap_or(5432);
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "host" => host = value.into_owned(),
            "port" => port = value.parse().map_err(|_| "`port` in the url isn't a number".to_owned())?,
            "sslmode" if matches!(value.as_ref(), "disable" | "allow" | "prefer") => {}
            "sslmode" => return Err(format!("sslmode={value}: TLS to PostgreSQL servers isn't supported")),
            other => return Err(format!("the url's parameter `{other}` isn't known: host, port and sslmode are")),
        }
    }
    let user = decode(url.username())?;
    if user.is_empty() {
        return Err("the url names no user".into());
    }
    let database = decode(url.path().trim_start_matches('/'))?;
    Ok(PostgresUrl {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        password: url.password().map(&decode).transpose()?.map(Secret::new),
        database: if database.is_empty() { user.clone() } else { database },
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        let url = parse_postgres_url("postgres://app:p%40ss@db.internal:5433/shop").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.user.as_str(), url.database.as_str()),
            ("db.internal", 5433, "app", "shop")
        );
        assert_eq!(url.password.unwrap().expose(), "p@ss");
        let url = parse_postgres_url("postgresql://postgres@/postgres?host=/tmp/sockets").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("/tmp/sockets", 5432));
        assert_eq!(parse_postgres_url("postgres://app@[::1]/x").unwrap().host, "::1");
        assert_eq!(parse_postgres_url("postgres://app@h").unwrap().database, "app");
        assert!(
            parse_postgres_url("postgres://app@h/x?sslmode=require")
                .unwrap_err()
                .contains("TLS")
        );
        assert!(parse_postgres_url("mysql://app@h/x").is_err());
    }
}
