//! `[stores.…]`

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Resolver;
use super::tls::TlsFiles;
use crate::config::{EmbeddedPostgres, HomeStore, PoolMode, Postgres, PostgresUrl, SslMode, Store};
use crate::file::{EmbeddedPostgresKeys, PostgresKeys};
use crate::schema::{EMBEDDED_POSTGRES, POSTGRES};
use crate::tree::{Node, NodeKind};

impl Resolver<'_> {
    pub(super) fn stores(
        &mut self,
        stores: &BTreeMap<String, Option<Map<String, Value>>>,
    ) -> BTreeMap<String, Store> {
        let stores = stores
            .iter()
            .filter_map(|(name, keys)| Some((name.clone(), self.store(name, keys.clone()?)?)))
            .collect();
        self.own_places(&stores);
        stores
    }

    /// The name of the one store that is PostgreSQL.
    pub(super) fn primary(&mut self, stores: &BTreeMap<String, Store>) -> Option<String> {
        let is_postgres = |(_, store): &(&String, &Store)| store.is_postgres();
        let mut names: Vec<_> =
            stores.iter().filter(is_postgres).map(|(name, _)| name.clone()).collect();
        names.sort_by_key(|name| self.tree.span(&["stores", name, "kind"]).start);
        let mut names = names.into_iter();
        let first = names.next();
        for another in names {
            self.mistake(
                &["stores", &another, "kind"],
                "there are two PostgreSQL stores",
                "exactly one store is the catalogue; others are `replicas` of it",
            );
        }
        // A store that is missing here may be it: its kind or its url has a mistake.
        if first.is_none() && self.is_there(&["stores"]) && stores.len() == self.count(&["stores"])
        {
            self.mistake(
                &["stores"],
                "no store is PostgreSQL",
                "add one with kind = \"postgres\" or kind = \"embedded-postgres\": it holds every table's definition",
            );
        }
        first
    }

    /// No two stores keep their data in the same place, where one would write over the other's.
    fn own_places(&mut self, stores: &BTreeMap<String, Store>) {
        let mut places = BTreeMap::new();
        for (name, store) in stores {
            let key = match store {
                Store::Home(home) => home.kind.place().map(|place| place.key),
                Store::EmbeddedPostgres(_) => Some("data"),
                Store::Postgres(_) => None,
            };
            let Some(key) = key else { continue };
            let Some(Node { kind: NodeKind::String(place), .. }) =
                self.tree.at(&["stores", name, key])
            else {
                continue;
            };
            let place = self.folder.join(place);
            if let Some(other) = places.insert(place, name) {
                self.mistake(
                    &["stores", name, key],
                    format!("stores \"{other}\" and \"{name}\" keep their data in the same place"),
                    "give each a place of its own",
                );
            }
        }
    }

    /// Keys that say how several servers are judged mean nothing where there is one.
    fn replica_keys(&mut self, name: &str, is_one: bool) {
        if self.is_filled(&["stores", name, "replicas"]) {
            return;
        }
        for key in ["max_replica_lag", "max_replica_lag_bytes"] {
            if self.is_there(&["stores", name, key]) {
                self.mistake(
                    &["stores", name, key],
                    format!("`{key}` without `replicas`"),
                    "leave it out, or list the replicas",
                );
            }
        }
        if is_one && self.is_there(&["stores", name, "check_interval"]) {
            self.mistake(
                &["stores", name, "check_interval"],
                "`check_interval` where there is one server",
                "leave it out, or name several hosts in `url`, or `replicas`",
            );
        }
    }

    /// A store. What has a mistake is replaced: the configuration isn't used then.
    fn store(&mut self, name: &str, mut keys: Map<String, Value>) -> Option<Store> {
        let kind = keys.remove("kind");
        let kind = kind.as_ref().and_then(Value::as_str)?;
        let keys = Value::Object(keys);
        let read = match kind {
            POSTGRES => serde_json::from_value(keys)
                .map(|keys: PostgresKeys| Store::Postgres(Box::new(self.postgres(name, &keys)))),
            EMBEDDED_POSTGRES => serde_json::from_value(keys).map(|keys: EmbeddedPostgresKeys| {
                let data = keys.data.map(|path| self.folder.join(path));
                Store::EmbeddedPostgres(EmbeddedPostgres { data })
            }),
            _ => {
                let kind = self.kinds.iter().find(|each| each.kind.name() == kind)?.kind;
                kind.configure(keys, &mut self.section(&["stores", name]))
                    .map(|configured| Store::Home(HomeStore { kind, configured }))
            }
        };
        read.map_err(|error| self.unreadable(&["stores", name], &error)).ok()
    }

    fn postgres(&mut self, name: &str, keys: &PostgresKeys) -> Postgres {
        let path = |key: &'static str| ["stores", name, key];
        let PostgresKeys {
            url,
            replicas,
            tls_ca_cert_file,
            tls_cert_file,
            tls_key_file,
            check_interval,
            max_replica_lag,
            max_replica_lag_bytes,
            pool_size,
            pool_mode,
            min_idle,
            shared_connections,
            acquire_timeout,
            connect_timeout,
            login_retry,
            max_lifetime,
            idle_timeout,
            check_after,
            publication,
            max_retained_wal,
        } = keys;
        let acquire_timeout =
            self.duration(&path("acquire_timeout"), acquire_timeout.as_deref(), "5s");
        let connect_timeout =
            self.duration(&path("connect_timeout"), connect_timeout.as_deref(), "5s");
        let mut resolved = Vec::new();
        for (position, replica) in replicas.iter().enumerate() {
            let Some(replica) = replica else { continue };
            resolved.extend(
                self.replica_url(&["stores", name, "replicas", &position.to_string()], replica),
            );
        }
        let pool_size = pool_size.unwrap_or(10);
        if let Some(shared) = shared_connections.filter(|&shared| shared > 0 && shared >= pool_size)
        {
            self.mistake(
                &path("shared_connections"),
                format!("{shared} of {pool_size} connections shared leave none to transactions"),
                format!(
                    "`shared_connections` is less than `pool_size`: from 0 to {}",
                    pool_size - 1
                ),
            );
        }
        if let Some(idle) = min_idle.filter(|&idle| idle > pool_size) {
            self.mistake(
                &path("min_idle"),
                format!("{idle} idle connections are more than the {pool_size} that there may be"),
                format!("`min_idle` is at most `pool_size`: from 0 to {pool_size}"),
            );
        }
        let url = self.primary_url(&path("url"), url);
        let mistakes = self.diagnostics.len();
        let check_interval =
            self.duration(&path("check_interval"), check_interval.as_deref(), "1s");
        let max_replica_lag_text = max_replica_lag.as_deref();
        let max_replica_lag = self.duration(&path("max_replica_lag"), max_replica_lag_text, "10s");
        // A duration with a mistake isn't to be compared.
        if max_replica_lag < check_interval && self.diagnostics.len() == mistakes {
            let key =
                if max_replica_lag_text.is_some() { "max_replica_lag" } else { "check_interval" };
            self.mistake(
                &path(key),
                format!(
                    "a lag of {max_replica_lag:?} can't be told by looking every {check_interval:?}"
                ),
                "`max_replica_lag` (default 10s) is at least `check_interval` (default 1s)",
            );
        }
        let max_replica_lag_bytes = max_replica_lag_bytes
            .as_ref()
            .and_then(|size| self.bytes(&path("max_replica_lag_bytes"), size));
        let is_one = url
            .as_ref()
            .is_some_and(|url| url.hosts.len() == 1 && url.session_attributes.is_none());
        self.replica_keys(name, is_one);
        let modes: Vec<_> = url.iter().chain(&resolved).map(|url| url.ssl_mode).collect();
        let files = TlsFiles {
            authorities: tls_ca_cert_file.as_deref(),
            certificate: tls_cert_file.as_deref(),
            key: tls_key_file.as_deref(),
        };
        let pem = self.server_tls(name, &files, &modes);
        let max_retained_wal =
            max_retained_wal.as_ref().and_then(|size| self.bytes(&path("max_retained_wal"), size));
        Postgres {
            url: url.unwrap_or_else(nowhere),
            replicas: resolved,
            pem,
            check_interval,
            max_replica_lag,
            max_replica_lag_bytes,
            pool_size,
            pool_mode: pool_mode.map_or(PoolMode::Transaction, Into::into),
            min_idle: min_idle.unwrap_or(0),
            shared_connections: shared_connections.unwrap_or(2),
            acquire_timeout,
            connect_timeout,
            login_retry: self.duration(&path("login_retry"), login_retry.as_deref(), "5s"),
            max_lifetime: self.duration(&path("max_lifetime"), max_lifetime.as_deref(), "1h"),
            idle_timeout: self.duration(&path("idle_timeout"), idle_timeout.as_deref(), "10m"),
            check_after: self.duration(&path("check_after"), check_after.as_deref(), "30s"),
            publication: publication.clone().unwrap_or_else(|| "flywheel".to_owned()),
            max_retained_wal: max_retained_wal.unwrap_or(1 << 30),
        }
    }
}

/// In place of a url that has a mistake.
fn nowhere() -> PostgresUrl {
    PostgresUrl {
        hosts: Vec::new(),
        ssl_mode: SslMode::Disable,
        session_attributes: None,
        user: String::new(),
        password: None,
        database: String::new(),
    }
}
