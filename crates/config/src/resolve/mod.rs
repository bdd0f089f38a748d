//! From the file's words to their meaning: names that refer to each other, units, secrets,
//! defaults.

mod cache;
mod indexes;
mod log;
mod names;
mod own;
mod pools;
mod routes;
mod sharing;
mod stores;
mod tables;
mod timeouts;
mod tls;
mod units;
mod urls;
mod users;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use flywheel_kind::{Kinds, Secret, SecretSource, Section};

use crate::Diagnostic;
use crate::config::{Authentication, Config, Database, Limits, Store, Table, User};
use crate::file::{Auth, File};
use crate::tree::{Node, NodeKind};
use own::OwnKeys;

/// The configuration; `None` when something can't be resolved at all. Every mistake is added to
/// `diagnostics`.
pub(crate) fn resolve(
    file: File,
    page: Page<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Config> {
    let Page { tree, folder, kinds } = page;
    let kinds = kinds.iter().map(|&kind| OwnKeys::new(kind)).collect();
    let mut resolver = Resolver { tree, folder, kinds, diagnostics };
    let listen =
        resolver.address(&["listen"], file.listen.as_deref().unwrap_or("127.0.0.1:6432"), 6432);
    let metrics = file
        .metrics
        .and_then(|metrics| resolver.address(&["metrics", "listen"], &metrics.listen, 9930));
    if listen.is_some_and(|listen| listen.port() != 0 && Some(listen) == metrics) {
        resolver.mistake(
            &["metrics", "listen"],
            "this is the address that clients connect to",
            "give metrics a port of their own",
        );
    }
    let limits = file.limits.unwrap_or_default();
    let limits = Limits {
        timeouts: resolver.timeouts(&limits),
        tcp_user_timeout: resolver
            .duration_if_given(&["limits", "tcp_user_timeout"], limits.tcp_user_timeout.as_deref()),
        drain_delay: match limits.drain_delay.as_deref() {
            None | Some("0s") => Duration::ZERO,
            text => resolver.duration(&["limits", "drain_delay"], text, "0s"),
        },
        drain_timeout: resolver.duration(
            &["limits", "drain_timeout"],
            limits.drain_timeout.as_deref(),
            "30s",
        ),
        max_fetch_rows: limits.max_fetch_rows.unwrap_or(10_000) as usize,
        max_message_size: resolver.size(
            &["limits", "max_message_size"],
            limits.max_message_size.as_ref(),
            64 << 20,
        ),
        login_timeout: resolver.duration(
            &["limits", "login_timeout"],
            limits.login_timeout.as_deref(),
            "10s",
        ),
        max_connections_per_address: limits.max_connections_per_address,
        busy_poll: resolver.moment(&["limits", "busy_poll"], limits.busy_poll.as_deref(), "50us"),
        cache_memory: limits
            .cache_memory
            .as_ref()
            .and_then(|size| resolver.bytes(&["limits", "cache_memory"], size))
            .unwrap_or(64 << 20),
        statement_memory: limits
            .statement_memory
            .as_ref()
            .and_then(|size| resolver.bytes(&["limits", "statement_memory"], size))
            .unwrap_or(64 << 20),
    };
    let authentication = match file.auth {
        Some(Auth::Trust) => Authentication::Trust,
        Some(Auth::ScramSha256) | None => Authentication::ScramSha256,
    };
    let tls = file.tls.as_ref().and_then(|tls| resolver.tls(tls));
    let users = resolver.users(&file.users, authentication);
    let databases = resolver.databases(&file.databases);
    let log = file.log.map(|log| resolver.log(log)).unwrap_or_default();
    let stores = resolver.stores(&file.stores);
    let primary = resolver.primary(&stores);
    let tables = resolver.tables(&file.tables, &stores);
    let known = Known {
        primary: primary.as_deref(),
        stores: &stores,
        tables: &tables,
        databases: &databases,
        users: (authentication == Authentication::ScramSha256 || !users.is_empty())
            .then_some(&users),
    };
    let routes = resolver.routes(&file.routes, &known);
    let cache = resolver.cache(&file.cache, &known, file.database.as_deref());
    let sharing = file.sharing.as_ref().map(|sharing| resolver.sharing(sharing, &stores));
    let primary = primary?;
    let database = file.database.or_else(|| match &stores[&primary] {
        Store::Postgres(postgres) => Some(postgres.url.database.clone()),
        _ => None,
    });
    let config = Config {
        // Not used: a configuration with a mistake isn't.
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 6432))),
        database: database.unwrap_or_else(|| "flywheel".into()),
        authentication,
        tls,
        log,
        max_connections: file.max_connections.unwrap_or(1000) as usize,
        limits,
        metrics,
        users,
        databases,
        stores,
        primary,
        tables,
        routes,
        cache,
        sharing,
    };
    resolver.fitting_pools(&config, &file.databases, &file.users);
    Some(config)
}

/// What routes can refer to.
struct Known<'a> {
    primary: Option<&'a str>,
    stores: &'a BTreeMap<String, Store>,
    tables: &'a [Table],
    databases: &'a [Database],
    /// Everybody who can log in; `None`: anybody.
    users: Option<&'a Vec<User>>,
}

/// The file as it is read.
pub(crate) struct Page<'a> {
    /// What it holds.
    pub(crate) tree: &'a Node,
    /// Where it is.
    pub(crate) folder: &'a Path,
    /// What its stores may be besides PostgreSQL.
    pub(crate) kinds: Kinds<'a>,
}

/// What resolving needs, and where mistakes go.
pub(super) struct Resolver<'a> {
    tree: &'a Node,
    folder: &'a Path,
    kinds: Vec<OwnKeys>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Resolver<'_> {
    /// Notes a mistake at a path of keys and array positions.
    fn mistake(&mut self, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(self.tree.span(path), message, help));
    }

    /// An address to listen on; `port` is for the example.
    fn address(&mut self, path: &[&str], text: &str, port: u16) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.mistake(
                path,
                format!("\"{text}\" isn't a socket address"),
                format!("write an address and a port, such as 127.0.0.1:{port} or [::]:{port}"),
            );
        }
        address
    }

    /// Whether the file has this key. One whose value had a mistake is in the file, but not in what
    /// was made of it.
    fn is_there(&self, path: &[&str]) -> bool {
        self.tree.at(path).is_some()
    }

    /// Whether the file has this key with anything but an empty array.
    fn is_filled(&self, path: &[&str]) -> bool {
        self.tree
            .at(path)
            .is_some_and(|node| !matches!(&node.kind, NodeKind::Array(items) if items.is_empty()))
    }

    /// How many entries the file has in the table or array there.
    fn count(&self, path: &[&str]) -> usize {
        self.tree.at(path).map_or(0, Node::len)
    }

    /// A secret's text; `None` when its file can't be read, which is reported.
    fn secret(&mut self, path: &[&str], source: &SecretSource) -> Option<Secret> {
        self.section(&[]).secret(path, source)
    }

    /// The part of the file at a path, for whoever owns its keys.
    fn section(&mut self, path: &[&str]) -> Section<'_> {
        Section::new(self, path)
    }

    /// Reports keys that aren't as the schema says, which the check of the file's shape has let
    /// through.
    fn unreadable(&mut self, path: &[&str], error: &serde_json::Error) {
        self.mistake(path, error.to_string(), "`flywheel schema` prints what is allowed");
    }
}

impl flywheel_kind::Page for Resolver<'_> {
    fn mistake(&mut self, path: &[&str], message: String, help: String) {
        Resolver::mistake(self, path, message, help);
    }

    fn is_there(&self, path: &[&str]) -> bool {
        Resolver::is_there(self, path)
    }

    fn is_filled(&self, path: &[&str]) -> bool {
        Resolver::is_filled(self, path)
    }

    fn folder(&self) -> &Path {
        self.folder
    }
}
