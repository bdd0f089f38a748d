//! Drivers in other languages: the scripts of `tests/drivers` against Flywheel with their table in
//! every home, and against plain PostgreSQL, which proves the scripts.

use std::ffi::OsStr;

use flywheel_tests::child::run;
use flywheel_tests::world::Servers;
use flywheel_tests::{Home, Setup};
use tokio::process::Command;

/// How a script is started; `None` when the environment doesn't have its language.
type Start = fn(&Servers) -> Option<Command>;

fn node_postgres(servers: &Servers) -> Option<Command> {
    let mut command = Command::new("node");
    command.env("NODE_PATH", servers.node_path.as_ref()?);
    command.arg(script("node_postgres.js"));
    Some(command)
}

fn psycopg(servers: &Servers) -> Option<Command> {
    let mut command = Command::new(servers.python.as_ref()?);
    command.arg(script("psycopg3.py"));
    Some(command)
}

fn asyncpg(servers: &Servers) -> Option<Command> {
    let mut command = Command::new(servers.python.as_ref()?);
    command.arg(script("asyncpg_pool.py"));
    Some(command)
}

fn lib_pq(servers: &Servers) -> Option<Command> {
    Some(Command::new(servers.go.as_ref()?))
}

fn pgjdbc(servers: &Servers) -> Option<Command> {
    let mut command = Command::new("java");
    command.args(["-cp", servers.java.as_ref()?, "PgJdbc"]);
    Some(command)
}

fn script(name: &str) -> impl AsRef<OsStr> {
    format!("{}/drivers/{name}", env!("CARGO_MANIFEST_DIR"))
}

async fn passes(start: Start, home: Home, on_oracle: bool) {
    let Some(world) = Setup::default().table("public.items", home).start().await else {
        return;
    };
    if !home.is_available(world.servers()) {
        return;
    }
    let Some(mut command) = start(world.servers()) else {
        eprintln!("./test sets where the driver is: it isn't tested");
        return;
    };
    let url = if on_oracle { world.oracle_url().to_owned() } else { world.url() };
    run(command.arg(url)).await.well();
}

macro_rules! drivers {
    ($($name:ident),*) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            async fn on_postgresql_itself() {
                passes(super::$name, Home::Relational, true).await;
            }

            #[tokio::test]
            async fn on_relational_tables() {
                passes(super::$name, Home::Relational, false).await;
            }

            #[tokio::test]
            async fn on_redis() {
                passes(super::$name, Home::Redis, false).await;
            }

            #[tokio::test]
            async fn on_dynoxide() {
                passes(super::$name, Home::Dynoxide, false).await;
            }

            #[tokio::test]
            async fn on_dynamodb_local() {
                passes(super::$name, Home::DynamoDb, false).await;
            }

            #[tokio::test]
            async fn on_memory() {
                passes(super::$name, Home::Memory, false).await;
            }
        })*
    };
}

drivers![asyncpg, lib_pq, node_postgres, pgjdbc, psycopg];
