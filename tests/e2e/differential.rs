//! Statements made at random give the same answers as PostgreSQL's, wherever their tables live.

use flywheel_tests::Home;
use flywheel_tests::differential::{Place, check, check_tandem};

macro_rules! places {
    ($($name:ident: $place:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            check(Place::$place).await;
        })*
    };
}

places![
    relational: RELATIONAL,
    dynoxide: DYNOXIDE,
    dynamodb: DYNAMODB,
    redis: REDIS,
    redis_json: REDIS_JSON,
    redis_sorted_set: REDIS_SORTED_SET,
    memory: MEMORY,
    memory_sorted_set: MEMORY_SORTED_SET,
];

/// Blocks of two clients at once.
#[tokio::test(flavor = "multi_thread")]
async fn two_clients() {
    for home in [Home::Redis, Home::Dynoxide, Home::Memory] {
        check_tandem(home).await;
    }
}
