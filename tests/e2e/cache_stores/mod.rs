//! Answers from tables in stores that are ended by whoever writes there, as the stores tell.

mod dynamodb;
mod race;
mod redis;

use flywheel_tests::cache::{count, shown};
use flywheel_tests::child::run;
use flywheel_tests::world::{column, flywheel, until};
use flywheel_tests::{Home, Setup, World};
use tokio::process::Command;
use tokio_postgres::Client;

/// A rule over these tables.
fn rule(tables: &[&str], max_lag: &str) -> String {
    format!(
        "[[cache]]\nwhen = {{ tables = {tables:?} }}\nttl = \"1h\"\ninvalidate = \"replication\"\nmax_lag = {max_lag:?}"
    )
}

/// What all names in a shared server begin with.
fn unique(world: &World) -> String {
    let name = world.primary().name();
    name.strip_suffix("_flywheel").expect("a world's database").to_owned()
}

/// Whether it is answered from memory.
async fn is_hit(client: &Client, sql: &str) -> bool {
    let hits = count(client, "hits").await;
    column(client, sql).await;
    count(client, "hits").await > hits
}

/// `kept` must be answered from memory once `change` has ended `ended`.
async fn ends(
    client: &Client,
    ended: &str,
    wanted: &[&str],
    kept: Option<&str>,
    change: impl Future<Output = ()>,
) {
    for sql in kept.iter().chain([&ended]) {
        until(&format!("a hit for {sql}"), async || is_hit(client, sql).await).await;
    }
    change.await;
    until(&format!("{wanted:?} from {ended}"), async || column(client, ended).await == wanted)
        .await;
    if let Some(kept) = kept {
        assert!(is_hit(client, kept).await, "{kept} isn't concerned");
    }
}

/// The check's output, and whether all is well.
async fn check(world: &World) -> (bool, String) {
    let mut command = Command::new(flywheel());
    command.args(["check".as_ref(), "--connect".as_ref(), world.config().as_os_str()]);
    let checked = run(&mut command).await;
    (checked.status.success(), checked.stdout)
}

/// Only this process writes there.
#[tokio::test]
async fn memory_needs_no_news() {
    let setup = Setup::default()
        .section(&rule(&["public.sessions"], "1s"))
        .table("public.sessions", Home::Memory);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE sessions (id int PRIMARY KEY, n int); INSERT INTO sessions VALUES (1, 1)",
        )
        .await
        .expect("a table");
    let read = "SELECT n FROM sessions WHERE id = 1";
    column(&client, read).await;
    until("a hit", async || is_hit(&client, read).await).await;
    assert_eq!(
        (shown(&client, "lag_ms").await, shown(&client, "retained_wal").await),
        ("0".into(), String::new())
    );
    client.batch_execute("UPDATE sessions SET n = 2").await.expect("a write");
    assert_eq!(column(&client, read).await, ["2"]);
    let (well, told) = check(&world).await;
    assert!(well, "{told}");
}
