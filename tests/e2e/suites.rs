//! The files of `tests/suites`, each with its tables in every home.

use flywheel_tests::{Home, suite, with_homes};

macro_rules! in_homes {
    ($suite:ident; $($name:ident: $home:ident $what:literal,)*) => {
        $(#[tokio::test]
        async fn $name() {
            suite::check(concat!(stringify!($suite), ".sql"), Home::$home).await;
        })*
    };
}

macro_rules! suites {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            use super::*;

            with_homes!(in_homes, $name);
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
