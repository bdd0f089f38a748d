//! The files of `tests/suites`, each with its tables in every home.

use flywheel_tests::{Home, suite};

macro_rules! suites {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            async fn relational() {
                suite::check(concat!(stringify!($name), ".sql"), Home::Relational).await;
            }

            #[tokio::test]
            async fn dynoxide() {
                suite::check(concat!(stringify!($name), ".sql"), Home::Dynoxide).await;
            }

            #[tokio::test]
            async fn dynamodb() {
                suite::check(concat!(stringify!($name), ".sql"), Home::DynamoDb).await;
            }

            #[tokio::test]
            async fn redis() {
                suite::check(concat!(stringify!($name), ".sql"), Home::Redis).await;
            }

            #[tokio::test]
            async fn redis_json() {
                suite::check(concat!(stringify!($name), ".sql"), Home::RedisJson).await;
            }

            #[tokio::test]
            async fn memory() {
                suite::check(concat!(stringify!($name), ".sql"), Home::Memory).await;
            }
        })*

        const LISTED: &[&str] = &[$(concat!(stringify!($name), ".sql")),*];
    };
}

suites![
    crud,
    arithmetic,
    alter,
    materialized,
    merge,
    types,
    alltypes,
    generated,
    moments,
    key_types,
    own_key_types,
    expressions,
    range,
    indexes,
    mixed,
    only,
    grammar,
    transactions,
    leaderboard,
    bulk,
    subqueries,
    prepared,
    in_tables,
    copied,
    views,
    written_views
];

#[test]
fn every_file_is_listed_here() {
    for entry in
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/suites")).expect("the folder")
    {
        let name = entry.expect("a file").file_name().into_string().expect("a name");
        assert!(LISTED.contains(&name.as_str()), "{name} isn't listed in tests/e2e/suites.rs");
    }
}
