//! psycopg 3: `tests/drivers/psycopg3.py` against Flywheel with its table in every home, and against plain PostgreSQL, which proves the
//! script.

use flywheel_tests::child::run;
use flywheel_tests::{Home, Setup};
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/drivers/psycopg3.py");

async fn passes(home: Home, on_oracle: bool) {
    let Some(world) = Setup::default().table("public.items", home).start().await else {
        return;
    };
    if !home.is_available(world.servers()) {
        return;
    }
    let Some(python) = &world.servers().python else {
        eprintln!("FLYWHEEL_TEST_PYTHON isn't set: psycopg isn't tested");
        return;
    };
    let url = if on_oracle { world.oracle_url().to_owned() } else { world.url() };
    run(Command::new(python).args([SCRIPT, &url])).await.well();
}

#[tokio::test]
async fn on_postgresql_itself() {
    passes(Home::Relational, true).await;
}

#[tokio::test]
async fn on_relational_tables() {
    passes(Home::Relational, false).await;
}

#[tokio::test]
async fn on_redis() {
    passes(Home::Redis, false).await;
}

#[tokio::test]
async fn on_dynoxide() {
    passes(Home::Dynoxide, false).await;
}

#[tokio::test]
async fn on_dynamodb_local() {
    passes(Home::DynamoDb, false).await;
}

#[tokio::test]
async fn on_memory() {
    passes(Home::Memory, false).await;
}
