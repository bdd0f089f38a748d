//! The files in `config/` are right, and between them show every key there is.

mod support;

use std::path::Path;
use std::time::Duration;

use flywheel_cli::KINDS;
use flywheel_config::{
    Authentication, Config, PoolMode, RouteTarget, StatementKind, Store, load, parse,
};
use support::{EMBEDDED, PRODUCTION, uncommented};

/// For tests only, and of nobody.
const CERTIFICATE: &str = include_str!("support/example.crt");
const KEY: &str = include_str!("support/example.key");

/// Loads a production file, with its environment and its secret.
fn load_production(text: &str) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("analyst"), "s3cret\n").expect("a secret");
    let file = folder.path().join("production.toml");
    for name in ["redis-ca.crt", "redis.crt", "redis.key"] {
        std::fs::write(folder.path().join(name), "-----BEGIN CERTIFICATE-----\n")
            .expect("a certificate");
    }
    for name in ["flywheel", "postgres"] {
        std::fs::write(folder.path().join(format!("{name}.crt")), CERTIFICATE).expect("it");
        std::fs::write(folder.path().join(format!("{name}.key")), KEY).expect("its key");
    }
    for name in ["clients.crt", "postgres-ca.crt"] {
        std::fs::write(folder.path().join(name), CERTIFICATE).expect("an authority");
    }
    std::fs::write(&file, text.replace("/run/secrets/", "")).expect("a file");
    load(&file, &|name| Some(format!("{name}-value")), KINDS)
        .unwrap_or_else(|report| panic!("{report}"))
}

/// A store's kind, and what the kind has read of the store's section contains each of these.
#[track_caller]
fn has(config: &Config, store: &str, kind: &str, parts: &[&str]) {
    let Store::Home(home) = &config.stores[store] else { panic!("{:?}", config.stores) };
    let configured = format!("{:?}", home.configured);
    assert_eq!(home.kind.name(), kind, "{configured}");
    for part in parts {
        assert!(configured.contains(part), "{part} isn't in {configured}");
    }
}

#[test]
fn the_embedded_default() {
    let config = parse("embedded.toml", EMBEDDED, &|_| None, KINDS)
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:6432");
    assert_eq!(config.database, "flywheel");
    assert_eq!(config.authentication, Authentication::Trust);
    assert_eq!(config.max_connections, 1000);
    assert_eq!((config.users.len(), config.routes.len()), (0, 0));
    assert_eq!((config.cache.len(), config.limits.cache_memory), (0, 64 << 20));
    assert_eq!(config.metrics, None);
    assert_eq!(
        (config.limits.max_fetch_rows, config.limits.max_message_size, config.limits.login_timeout),
        (10_000, 64 << 20, Duration::from_secs(10))
    );
    assert_eq!(config.primary, "main");
    assert!(
        matches!(&config.stores["main"], Store::EmbeddedPostgres(store) if store.data.is_none())
    );
    has(&config, "history", "embedded-dynamodb", &["data: None"]);
    has(&config, "fast", "memory", &["snapshot: None"]);
    let homes: Vec<_> = config
        .tables
        .iter()
        .map(|table| {
            (table.name.to_string(), table.store.as_str(), table.allow_scan, table.allow_drop)
        })
        .collect();
    let expected = [
        ("public.search_history", "history"),
        ("public.sessions", "fast"),
        ("public.leaderboard", "fast"),
    ];
    assert_eq!(homes, expected.map(|(table, store)| (table.to_owned(), store, true, false)));
}

#[test]
fn production() {
    let config = load_production(PRODUCTION);
    assert_eq!(config.listen.to_string(), "0.0.0.0:6432");
    assert_eq!(
        config.metrics.map(|address| address.to_string()).as_deref(),
        Some("127.0.0.1:9930")
    );
    assert_eq!((config.database.as_str(), config.max_connections), ("app", 1000));
    assert_eq!(config.authentication, Authentication::ScramSha256);
    assert_eq!(
        (config.limits.max_fetch_rows, config.limits.max_message_size, config.limits.login_timeout),
        (10_000, 64 << 20, Duration::from_secs(10))
    );
    let users: Vec<_> = config
        .users
        .iter()
        .map(|user| (user.name.as_str(), user.password.as_ref().map(|password| password.expose())))
        .collect();
    assert_eq!(users, [("app", Some("APP_PASSWORD-value")), ("analyst", Some("s3cret"))]);
    assert_eq!(config.routes.len(), 1);
    let route = &config.routes[0];
    assert_eq!((route.user.as_deref(), route.kind), (Some("analyst"), Some(StatementKind::Read)));
    assert_eq!((route.tables.len(), route.to), (0, RouteTarget::Replicas));
}

#[test]
fn production_stores() {
    let config = load_production(PRODUCTION);
    assert_eq!(config.primary, "main");
    let Store::Postgres(main) = &config.stores["main"] else { panic!("{:?}", config.stores) };
    for (url, hosts) in [
        (&main.url, ["db1.internal", "db2.internal"]),
        (&main.replicas[0], ["db1.internal", "db2.internal"]),
    ] {
        let password = url.password.as_ref().map(|password| password.expose());
        assert_eq!(
            (url.user.as_str(), password, url.database.as_str()),
            ("app", Some("PG_PASSWORD-value"), "app")
        );
        let found: Vec<_> = url.hosts.iter().map(|host| (host.name.as_str(), host.port)).collect();
        assert_eq!(found, hosts.map(|host| (host, 5432)));
        assert_eq!(url.session_attributes, None);
    }
    assert_eq!(
        (main.check_interval, main.max_replica_lag, main.max_replica_lag_bytes),
        (Duration::from_secs(1), Duration::from_secs(10), None)
    );
    assert_eq!((main.pool_size, main.shared_connections), (20, 2));
    assert_eq!(
        (main.acquire_timeout, main.connect_timeout),
        (Duration::from_secs(5), Duration::from_secs(5))
    );
    assert_eq!((main.pool_mode, main.min_idle), (PoolMode::Transaction, 0));
    let seconds = [main.login_retry, main.max_lifetime, main.idle_timeout, main.check_after]
        .map(|time| time.as_secs());
    assert_eq!(seconds, [5, 3600, 600, 30]);
    let options = [
        "region: Some(\"eu-central-1\")",
        "endpoint: None",
        "table_prefix: \"prod-\"",
        "credentials: None",
        "timeout: 5s",
        "consistent_read: true",
    ];
    has(&config, "history", "dynamodb", &options);
    has(&config, "fast", "redis", &["topology: One", "key_prefix: \"app:\"", "timeout: 1s"]);
}

#[test]
fn production_tables() {
    let config = load_production(PRODUCTION);
    let [history, sessions, leaderboard, profiles] = &config.tables[..] else {
        panic!("{:?}", config.tables)
    };
    for (table, name, store) in [
        (history, "public.search_history", "history"),
        (sessions, "public.sessions", "fast"),
        (leaderboard, "public.leaderboard", "fast"),
        (profiles, "public.profiles", "fast"),
    ] {
        assert_eq!((table.name.to_string().as_str(), table.physical_name.as_str()), (name, name));
        assert_eq!(
            (table.store.as_str(), table.allow_scan, table.allow_drop),
            (store, false, false)
        );
        assert!(table.consistent_read);
    }
    assert_eq!(sessions.expires_at.as_deref(), Some("expires_at"));
    let layouts = [sessions, leaderboard, profiles].map(|table| format!("{:?}", table.options));
    assert_eq!(layouts, ["Hash", "SortedSet { score: \"score\" }", "Json"]);
    let own = format!("{:?}", history.options);
    assert_eq!(own, "OwnTable { mismatch_is_null: false, scan_segments: None }");
}

/// What stands in comments is as right as the rest.
#[test]
fn commented_keys_are_right() {
    let embedded = parse("embedded.toml", &uncommented(EMBEDDED), &|_| None, KINDS)
        .unwrap_or_else(|report| panic!("{report}"));
    assert!(
        matches!(&embedded.stores["main"], Store::EmbeddedPostgres(store) if store.data.is_some())
    );
    assert!(embedded.metrics.is_some());
    let production = load_production(&uncommented(PRODUCTION));
    has(
        &production,
        "history",
        "dynamodb",
        &["consistent_read: false", "credentials: Some(\"…\")"],
    );
    assert!(
        production.tables[0].consistent_read
            && production.tables[1].allow_drop
            && production.tables[1].drop_constraints
    );
    assert_eq!(production.tables[0].physical_name, "search-history");
    assert_eq!(production.routes.len(), 2);
    has(&production, "fast", "redis", &["authorities: true", "client: true"]);
    has(&production, "wide", "redis", &["topology: Cluster(2)"]);
    has(&production, "watched", "redis", &["topology: Sentinel(2)"]);
    let [words, hinted, pattern, followed] = &production.cache[..] else {
        panic!("{:?}", production.cache)
    };
    assert_eq!((words.tables.len(), words.by_writes, words.max_result_size), (1, true, 1 << 20));
    let seconds =
        [words.ttl, words.stale_while_revalidate, words.stale_if_error].map(|time| time.as_secs());
    assert_eq!(seconds, [30, 10, 300]);
    assert_eq!(
        (hinted.hint, hinted.user.as_deref(), hinted.database.as_deref()),
        (Some(true), Some("analyst"), Some("app"))
    );
    assert_eq!(
        (pattern.fingerprint, pattern.pattern.is_some()),
        (Some(0x0123_4567_89ab_cdef), true)
    );
    assert_eq!((words.max_lag, followed.max_lag.map(|lag| lag.as_secs())), (None, Some(1)));
    assert!(
        matches!(&production.stores["main"], Store::Postgres(main) if main.publication == "flywheel" && main.max_retained_wal == 1 << 30)
    );
    assert_eq!(production.limits.cache_memory, 64 << 20);
    assert_eq!(production.limits.statement_memory, 64 << 20);
    let analyst = &production.users[1];
    let role = analyst.role.as_ref().expect("a role");
    assert_eq!(
        (role.name.as_str(), role.password.as_ref().map(|password| password.expose())),
        ("analyst", Some("ANALYST_PASSWORD-value"))
    );
    assert_eq!((analyst.pool_size, analyst.pool_mode), (Some(5), Some(PoolMode::Transaction)));
    let [reports] = &production.databases[..] else { panic!("{:?}", production.databases) };
    assert_eq!((reports.name.as_str(), reports.dbname.as_str()), ("reports", "reports_2026"));
    assert_eq!((reports.pool_size, reports.pool_mode), (Some(5), Some(PoolMode::Statement)));
}

#[test]
fn a_file_that_is_not_there() {
    let report = load(Path::new("/nowhere/app.toml"), &|_| None, KINDS).expect_err("a mistake");
    let expected =
        "/nowhere/app.toml:1:1: can't read the file: No such file or directory (os error 2)\n";
    assert!(report.render(false).starts_with(expected), "{report}");
}

#[test]
fn a_file_that_is_not_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.toml");
    std::fs::write(&file, b"auth = \"trust\"\ndatabase = \"caf\xe9\"\n").expect("a file");
    let report = load(&file, &|_| None, KINDS).expect_err("a mistake");
    let places: Vec<_> =
        report.diagnostics().iter().map(|mistake| report.position(mistake)).collect();
    assert_eq!(places, [(2, 16)]);
    assert!(report.render(false).contains("these bytes aren't UTF-8"), "{report}");
}

/// Relative paths are relative to the file.
#[test]
fn paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.toml");
    std::fs::write(&file, uncommented(EMBEDDED)).expect("a file");
    let config = load(&file, &|_| None, KINDS).unwrap_or_else(|report| panic!("{report}"));
    let snapshot = folder.path().join("data/memory.jsonl");
    has(&config, "fast", "memory", &[&format!("snapshot: Some({snapshot:?})")]);
}
