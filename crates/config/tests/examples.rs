//! The files in `config/` are right, and between them name every key there is.

use std::collections::BTreeSet;
use std::path::Path;

use flywheel_config::{Layout, Store, load, parse, schema};
use serde_json::Value;

const EMBEDDED: &str = include_str!("../../../config/embedded.toml");
const PRODUCTION: &str = include_str!("../../../config/production.toml");

#[test]
fn the_embedded_default() {
    let config = parse("embedded.toml", EMBEDDED, &|_| None).expect("no mistake");
    assert_eq!(config.listen.to_string(), "127.0.0.1:6432");
    assert_eq!(config.primary, "main");
    assert!(matches!(config.stores["main"], Store::EmbeddedPostgres(_)));
    assert!(matches!(config.stores["history"], Store::EmbeddedDynamoDb(_)));
    assert!(matches!(config.stores["fast"], Store::Memory(_)));
    let homes: Vec<_> = config
        .tables
        .iter()
        .map(|table| (table.name.to_string(), table.store.as_str()))
        .collect();
    let expected = [
        ("public.search_history", "history"),
        ("public.sessions", "fast"),
        ("public.leaderboard", "fast"),
    ];
    assert_eq!(homes, expected.map(|(table, store)| (table.to_owned(), store)));
}

#[test]
fn production() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("analyst"), "s3cret\n").expect("a secret");
    let file = folder.path().join("production.toml");
    std::fs::write(&file, PRODUCTION.replace("/run/secrets/analyst", "analyst")).expect("a file");
    let config = load(&file, &|name| Some(format!("{name}-value"))).unwrap_or_else(|report| panic!("{}", report.render(false)));
    let Store::Postgres(main) = &config.stores["main"] else {
        panic!("{:?}", config.stores)
    };
    assert_eq!(
        (main.url.host.as_str(), main.url.port, main.url.database.as_str()),
        ("db.internal", 5432, "app")
    );
    assert_eq!(
        main.url.password.as_ref().map(|password| password.expose()),
        Some("PG_PASSWORD-value")
    );
    assert_eq!((main.replicas.len(), main.pool_size, main.shared_connections), (1, 20, 2));
    let passwords: Vec<_> = config
        .users
        .iter()
        .map(|user| user.password.as_ref().map(|password| password.expose()))
        .collect();
    assert_eq!(passwords, [Some("APP_PASSWORD-value"), Some("s3cret")]);
    let board = &config.tables[2];
    assert!(matches!(&board.layout, Layout::SortedSet { score } if score == "score"));
    assert_eq!(config.routes.len(), 1);
}

#[test]
fn a_file_that_is_not_there() {
    let report = load(Path::new("/nowhere/app.toml"), &|_| None).expect_err("a mistake");
    assert!(report.render(false).contains("/nowhere/app.toml"));
}

/// Names of all properties in the schema.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(properties) = members.get("properties").and_then(Value::as_object) {
                found.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| keys(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn every_key_is_in_an_example() {
    let mut all = BTreeSet::new();
    keys(&schema(), &mut all);
    let words: BTreeSet<&str> = EMBEDDED
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .chain(PRODUCTION.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .collect();
    let missing: Vec<_> = all.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} are in neither example");
}
