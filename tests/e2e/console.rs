//! The console: what operators see of a gateway, and what they do.

use flywheel_tests::world::{column, connect, try_connect, until};
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::{Client, Row};

const SUBJECTS: [&str; 11] = [
    "CACHE",
    "CLIENTS",
    "DATABASES",
    "HELP",
    "LISTS",
    "POOLS",
    "STATS",
    "STORES",
    "TABLES",
    "USERS",
    "VERSION",
];

/// Users for everything, for looking, and for nothing of it.
fn setup() -> Setup {
    Setup::default()
        .section("[[users]]\nname = \"postgres\"")
        .section("[[users]]\nname = \"boss\"\nadmin = true")
        .section("[[users]]\nname = \"watcher\"\nstats = true")
}

fn url(world: &World, user: &str, database: &str) -> String {
    world.url_of(user).replace("/app", &format!("/{database}"))
}

async fn boss(world: &World) -> Client {
    connect(&url(world, "boss", "flywheel_admin")).await
}

/// The client that calls itself so, as SHOW CLIENTS has it.
async fn seen(operator: &Client, application: &str) -> Option<Row> {
    let rows = operator.query("SHOW CLIENTS", &[]).await.expect("clients");
    rows.into_iter().find(|row| row.get::<_, &str>("application_name") == application)
}

async fn is_at(operator: &Client, application: &str, state: &str) -> bool {
    let row = seen(operator, application).await;
    row.is_some_and(|row| row.get::<_, &str>("state") == state)
}

#[tokio::test]
async fn clients_are_seen_with_what_they_are_at() {
    let world = setup().main("pool_size = 1").main("shared_connections = 0").start().await;
    let Some(world) = world else { return };
    let boss = boss(&world).await;
    let named = |name: &str| format!("{}?application_name={name}", world.url());
    let holder = connect(&named("holder")).await;
    until("it is idle", async || is_at(&boss, "holder", "idle").await).await;
    holder.batch_execute("BEGIN; SELECT 1").await.expect("a block");
    until("it is in a block", async || is_at(&boss, "holder", "idle in transaction").await).await;
    let waiter = connect(&named("waiter")).await;
    let waiting = async {
        let answer = waiter.batch_execute("SELECT 1").await;
        answer.expect("an answer, when there is a connection");
    };
    let watching = async {
        until("it waits", async || is_at(&boss, "waiter", "waiting").await).await;
        let pool = boss.query_one("SHOW POOLS", &[]).await.expect("a pool");
        assert_eq!(pool.get::<_, i64>("cl_waiting"), 1);
        assert_eq!((pool.get::<_, i64>("sv_active"), pool.get::<_, i64>("pool_size")), (1, 1));
        assert_eq!(pool.get::<_, &str>("pool_mode"), "transaction");
        holder.batch_execute("SELECT 1/0").await.expect_err("an error");
        let aborted = "idle in transaction (aborted)";
        until("it has failed", async || is_at(&boss, "holder", aborted).await).await;
        holder.batch_execute("ROLLBACK").await.expect("its end");
    };
    tokio::join!(waiting, watching);
    waiter.batch_execute("CREATE TEMP TABLE t (n int)").await.expect("a temporary table");
    waiter.batch_execute("SET application_name = 'another'").await.expect("another name");
    until("why it keeps its connection", async || {
        let row = seen(&boss, "another").await;
        row.is_some_and(|row| row.get::<_, Option<&str>>("pinned_by") == Some("a temporary object"))
    })
    .await;
    let row = seen(&boss, "another").await.expect("it");
    assert_eq!(
        ["user", "database", "addr", "tls"].map(|column| row.get::<_, String>(column)),
        ["postgres", "app", "127.0.0.1", "off"]
    );
    // The number is that of BackendKeyData.
    let told = column(&waiter, "SELECT pg_backend_pid()").await;
    assert!(row.get::<_, i64>("id") > 0 && told.len() == 1);
}

#[tokio::test]
async fn an_operator_ends_a_client_and_what_it_holds() {
    let Some(world) = setup().start().await else { return };
    let boss = boss(&world).await;
    let behind = world.behind().await;
    behind.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await.expect("a row");
    let holder = connect(&format!("{}?application_name=holder", world.url())).await;
    holder.batch_execute("BEGIN; UPDATE t SET n = 2").await.expect("a lock");
    until("it is in a block", async || is_at(&boss, "holder", "idle in transaction").await).await;
    let id: i64 = seen(&boss, "holder").await.expect("it").get("id");
    boss.batch_execute(&format!("KILL_CLIENT {id}")).await.expect("its end");
    behind.batch_execute("UPDATE t SET n = 3").await.expect("the row, which nobody has locked");
    holder.batch_execute("COMMIT").await.expect_err("its session has ended");
    until("it has gone", async || seen(&boss, "holder").await.is_none()).await;
    let gone = boss.batch_execute(&format!("KILL_CLIENT {id}")).await;
    Told::by(gone).is("42704", &["there is no client", "SHOW CLIENTS"]);
}

#[tokio::test]
async fn it_is_for_those_who_may() {
    let Some(world) = setup().start().await else { return };
    let none = try_connect(&url(&world, "postgres", "flywheel_admin")).await.map(drop);
    Told::by(none).is("42501", &["\"postgres\"", "stats = true"]);
    // The name under which PgBouncer's tools look for it.
    let watcher = connect(&url(&world, "watcher", "pgbouncer")).await;
    watcher.batch_execute("SHOW POOLS; show lists ;;").await.expect("a look");
    for statement in ["KILL_CLIENT 1", "RELOAD"] {
        Told::by(watcher.batch_execute(statement).await).is("42501", &["admin = true"]);
    }
    for statement in ["SELECT 1", "SHOW SERVER", "KILL_CLIENT x"] {
        Told::by(watcher.batch_execute(statement).await).is("42601", &["SHOW "]);
    }
    watcher.query("SHOW POOLS", &[]).await.expect("errors leave nothing");
    let boss = boss(&world).await;
    boss.batch_execute("RELOAD").await.expect("the configuration as it is");
    // Elsewhere they are users as others are.
    let usual = connect(&world.url_of("boss")).await;
    assert_eq!(column(&usual, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn both_protocols_tell_the_same() {
    let world = setup().table("kv", Home::Redis).table("lost", Home::Memory);
    let world = world.section("[[cache]]\nwhen = { pattern = \"SELECT 7\" }\nttl = \"1h\"");
    let Some(world) = world.start().await else { return };
    let client = world.gateway().await;
    client.batch_execute("CREATE TABLE kv (k int PRIMARY KEY, v text)").await.expect("a table");
    let boss = boss(&world).await;
    for subject in SUBJECTS {
        let statement = format!("SHOW {subject}");
        let prepared = boss.prepare(&statement).await.expect(subject);
        let columns: Vec<_> = prepared.columns().iter().map(|column| column.name()).collect();
        let rows = boss.query(&prepared, &[]).await.expect(subject);
        let messages = boss.simple_query(&statement).await.expect(subject);
        let simple: Vec<_> = messages
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect();
        assert_eq!(simple.len(), rows.len(), "{subject}");
        for row in simple {
            let names: Vec<_> = row.columns().iter().map(|column| column.name()).collect();
            assert_eq!(names, columns, "{subject}");
        }
    }
    let tables = boss.query("SHOW TABLES", &[]).await.expect("tables");
    let told: Vec<_> = tables
        .iter()
        .map(|row| (row.get::<_, &str>("name"), row.get::<_, &str>("state")))
        .collect();
    assert_eq!(told, [("kv", "ok"), ("lost", "refused")]);
    let reason = tables[1].get::<_, &str>("reason");
    assert!(reason.contains("CREATE TABLE"), "{reason}");
    let stores = boss.query("SHOW STORES", &[]).await.expect("stores");
    assert!(stores.iter().all(|row| row.get::<_, &str>("state") == "ok"), "{stores:?}");
    let stats = boss.query_one("SHOW STATS", &[]).await.expect("counts");
    assert!(stats.get::<_, i64>("total_query_count") >= stats.get::<_, i64>("command"));
    assert!(stats.get::<_, i64>("total_query_count") > 0);
}

#[tokio::test]
async fn an_operator_comes_in_when_nobody_else_can() {
    let world = setup().key("max_connections = 1").start().await;
    let Some(world) = world else { return };
    let _one = world.gateway().await;
    Told::by(try_connect(&world.url()).await.map(drop)).is("53300", &["max_connections"]);
    let boss = boss(&world).await;
    let lists = boss.query("SHOW LISTS", &[]).await.expect("counts");
    let clients = lists.iter().find(|row| row.get::<_, &str>("list") == "clients");
    assert_eq!(clients.expect("how many").get::<_, i64>("items"), 1);
}
