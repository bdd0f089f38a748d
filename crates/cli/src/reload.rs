//! The configuration is read anew while the gateway runs: what can change does, what can't is told.

use std::path::{Path, PathBuf};

use flywheel_config::{Config, Report, Store};
use flywheel_gateway::{Gateway, Reloaded};
use flywheel_kind::Kinds;
use flywheel_postgres::Servers;
use flywheel_wire::PgError;
use flywheel_wire::sqlstate::CONFIG_FILE_ERROR;
use toml::{Table, Value};

use crate::admission::admission;
use crate::encryption;
use crate::log::Log;

/// Keys, and sections whole, that sessions and connections to come are made by. `*` is any name.
const CHANGEABLE: &[&str] = &[
    "auth",
    "users",
    "tls",
    "log",
    "max_connections",
    "limits.login_timeout",
    "limits.max_connections_per_address",
    "limits.statement_timeout",
    "limits.idle_transaction_timeout",
    "limits.client_idle_timeout",
    "limits.tcp_user_timeout",
    "limits.drain_delay",
    "limits.drain_timeout",
    "databases.*.max_connections",
    "stores.*.tls_ca_cert_file",
    "stores.*.tls_cert_file",
    "stores.*.tls_key_file",
];

/// The file, as it was read last.
pub(crate) struct Reload<'k> {
    file: PathBuf,
    kinds: Kinds<'k>,
    /// Its keys as they are in force.
    keys: Table,
    log: Log,
}

impl<'k> Reload<'k> {
    /// Of a file that has just been read.
    pub(crate) fn new(file: &Path, kinds: Kinds<'k>, log: Log) -> Self {
        Self { file: file.to_owned(), kinds, keys: keys(file), log }
    }

    /// Reads it anew. A file with a mistake changes nothing. What it says now is `config`
    /// afterwards, as far as it is in force.
    pub(crate) async fn now(
        &mut self,
        config: &mut Config,
        gateway: &Gateway,
        servers: &Servers,
    ) -> Reloaded {
        let environment = |name: &str| std::env::var(name).ok();
        let new = match flywheel_config::load(&self.file, &environment, self.kinds) {
            Ok(new) => new,
            Err(report) => return Err(self.refused(&report)),
        };
        self.log.follow(&new.log).map_err(|problem| {
            PgError::error(CONFIG_FILE_ERROR, format!("{}: {problem}", self.file.display()))
        })?;
        let admitting = {
            let new = new.clone();
            // Passwords become verifiers, which is meant to take its time.
            tokio::task::spawn_blocking(move || admission(&new))
        };
        if let Ok(admission) = admitting.await {
            let gateway = gateway.clone();
            let admitted = tokio::task::spawn_blocking(move || gateway.admit_by(&admission));
            let _ = admitted.await;
        }
        renew_certificates(config, &new, servers);
        let now = keys(&self.file);
        let mut kept = Vec::new();
        differences("", &self.keys, &now, &mut kept);
        let restarts: Vec<_> = kept
            .iter()
            .map(|what| format!("{what} has changed: the gateway must be restarted for it"))
            .collect();
        for warning in &restarts {
            tracing::warn!("{warning}");
        }
        config.limits = new.limits;
        config.authentication = new.authentication;
        config.users = new.users;
        tracing::info!(file = %self.file.display(), "the configuration was read anew");
        self.force(&now);
        Ok(restarts)
    }

    /// Notes what is in force now, so that what isn't is told the next time, too.
    fn force(&mut self, now: &Table) {
        for changeable in CHANGEABLE {
            match changeable.split_once('.') {
                None => adopt(&mut self.keys, now, changeable),
                Some((section, key)) if !key.contains('.') => {
                    let new = now.get(section).and_then(Value::as_table);
                    let empty = Table::new();
                    if let Value::Table(old) =
                        self.keys.entry(section).or_insert_with(|| Value::Table(Table::new()))
                    {
                        adopt(old, new.unwrap_or(&empty), key);
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// The mistakes of the file, each with its place, in the log; the first is the answer.
    fn refused(&self, report: &Report) -> PgError {
        let file = self.file.display();
        let mistakes: Vec<_> = report
            .diagnostics()
            .iter()
            .map(|mistake| {
                let (line, column) = report.position(mistake);
                format!("{file}:{line}:{column}: {}; {}", mistake.message, mistake.help)
            })
            .collect();
        for mistake in &mistakes {
            tracing::error!("the configuration isn't read anew: {mistake}");
        }
        let first = mistakes.into_iter().next();
        let message = first.unwrap_or_else(|| format!("{file} can't be read"));
        PgError::error(CONFIG_FILE_ERROR, message)
            .with_hint("Nothing has changed. The log has all mistakes, as `flywheel check` does.")
    }
}

fn adopt(old: &mut Table, new: &Table, key: &str) {
    match new.get(key) {
        Some(value) => drop(old.insert(key.to_owned(), value.clone())),
        None => drop(old.remove(key)),
    }
}

/// The file's keys; none where it isn't TOML.
fn keys(file: &Path) -> Table {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.trim_start_matches('\u{feff}').parse().unwrap_or_default()
}

/// Connections to the servers that begin from now on are made by the certificates of now. Where the
/// urls are others than those in force, they wait for the restart, too.
fn renew_certificates(old: &Config, new: &Config, servers: &Servers) {
    let of = |config: &Config| match config.stores.get(&config.primary) {
        Some(Store::Postgres(postgres)) => Some(postgres.clone()),
        _ => None,
    };
    let (Some(before), Some(postgres)) = (of(old), of(new)) else { return };
    if before.url != postgres.url || before.replicas != postgres.replicas {
        return;
    }
    let pools = std::iter::once(&servers.primary.pool)
        .chain(servers.replicas.iter().map(|replica| &replica.pool));
    let urls = std::iter::once(&postgres.url)
        .chain(postgres.replicas.iter().flat_map(|url| url.hosts.iter().map(move |_| url)));
    for (pool, url) in pools.zip(urls) {
        if let Ok(encryption) = encryption::to_servers(url.ssl_mode, &postgres.pem) {
            pool.server().encryption.renew(&encryption);
        }
    }
}

/// Adds the paths of what has changed and can't without a restart.
fn differences(path: &str, old: &Table, new: &Table, kept: &mut Vec<String>) {
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if CHANGEABLE.iter().any(|changeable| is_like(&path, changeable)) {
            continue;
        }
        match (old.get(name), new.get(name)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => {
                differences(&path, old, new, kept);
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
                let tables = old.iter().zip(new).map(|(old, new)| (old.as_table(), new.as_table()));
                for (at, pair) in tables.enumerate() {
                    match pair {
                        (Some(old), Some(new)) => {
                            differences(&format!("{path}.{}", at + 1), old, new, kept);
                        }
                        _ if old[at] != new[at] => kept.push(format!("`{path}`")),
                        _ => {}
                    }
                }
            }
            // A section that says only what can change is no difference itself.
            (None, Some(Value::Table(new))) => differences(&path, &Table::new(), new, kept),
            (Some(Value::Table(old)), None) => differences(&path, old, &Table::new(), kept),
            (old, new) if old != new => kept.push(format!("`{path}`")),
            _ => {}
        }
    }
}

fn is_like(path: &str, pattern: &str) -> bool {
    let (mut parts, mut patterns) = (path.split('.'), pattern.split('.'));
    loop {
        match (parts.next(), patterns.next()) {
            (None, None) => return true,
            (Some(part), Some(pattern)) if pattern == "*" || part == pattern => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(old: &str, new: &str) -> Vec<String> {
        let mut kept = Vec::new();
        let table = |text: &str| text.parse::<Table>().expect("TOML");
        differences("", &table(old), &table(new), &mut kept);
        kept
    }

    #[test]
    fn what_needs_a_restart_is_told_by_its_path() {
        let cases: [(&str, &str, &[&str]); 7] = [
            ("auth = \"trust\"", "", &[]),
            ("listen = \"a\"", "listen = \"b\"", &["`listen`"]),
            (
                "",
                "[limits]\nlogin_timeout = \"1s\"\nmax_fetch_rows = 1",
                &["`limits.max_fetch_rows`"],
            ),
            (
                "[stores.x]\npool_size = 1\ntls_key_file = \"k\"",
                "[stores.x]\npool_size = 2",
                &["`stores.x.pool_size`"],
            ),
            (
                "[[databases]]\nname = \"a\"",
                "[[databases]]\nname = \"a\"\nmax_connections = 2",
                &[],
            ),
            ("[[databases]]\nname = \"a\"", "[[databases]]\nname = \"b\"", &["`databases.1.name`"]),
            ("[[tables]]\nname = \"a\"", "", &["`tables`"]),
        ];
        for (old, new, expected) in cases {
            assert_eq!(between(old, new), expected, "{old} {new}");
        }
    }
}
