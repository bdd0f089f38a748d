//! node-postgres: `tests/drivers/node_postgres.js` against Flywheel with its table in every home, and against plain PostgreSQL, which
//! proves the script.

use flywheel_tests::child::run;
use flywheel_tests::{Home, Setup};
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/drivers/node_postgres.js");

async fn passes(home: Home, on_oracle: bool) {
    let Some(world) = Setup::default().table("public.items", home).start().await else {
        return;
    };
    if !home.is_available(world.servers()) {
        return;
    }
    let Some(modules) = &world.servers().node_path else {
        eprintln!("FLYWHEEL_TEST_NODE_PATH isn't set: node-postgres isn't tested");
        return;
    };
    let url = if on_oracle { world.oracle_url().to_owned() } else { world.url() };
    run(Command::new("node").args([SCRIPT, &url]).env("NODE_PATH", modules))
        .await
        .well();
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
async fn on_memory() {
    passes(Home::Memory, false).await;
}
