//! Old answers that are given at once, and read anew behind the client.

use std::time::Duration;

use flywheel_tests::cache::count;
use flywheel_tests::world::{column, until};
use flywheel_tests::{Home, Setup, World};
use tokio_postgres::types::Type;

const RULE: &str =
    "[[cache]]\nwhen = { database = \"app\" }\nttl = \"1s\"\nstale_while_revalidate = \"1h\"";

async fn past_their_time() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

/// What this gives without waiting for a server: whoever waits for one does so for ever.
async fn at_once<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("an answer from memory")
}

#[tokio::test]
async fn nobody_waits_for_what_is_read_anew() {
    let Some(world) = Setup::default().section(RULE).start().await else {
        return;
    };
    let behind = world.behind().await;
    behind
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)")
        .await
        .expect("a table");
    let (client, other) = (world.gateway().await, world.gateway().await);
    let prepared = client.prepare("SELECT n FROM t WHERE id = $1").await.expect("a statement");
    let simple = "SELECT n FROM t";
    let unnamed = "SELECT n FROM t WHERE id = $1 -- unnamed";
    let all = async || {
        let id: &(dyn tokio_postgres::types::ToSql + Sync) = &1;
        (
            column(&client, simple).await,
            client.query_one(&prepared, &[id]).await.expect("a row").get::<_, i32>(0),
            client.query_typed(unnamed, &[(id, Type::INT4)]).await.expect("rows")[0]
                .get::<_, i32>(0),
            column(&other, simple).await,
        )
    };
    let is = |n: i32| (vec![n.to_string()], n, n, vec![n.to_string()]);
    assert_eq!(all().await, is(1));
    behind.batch_execute("UPDATE t SET n = 2").await.expect("a write");
    past_their_time().await;
    // As long as nobody can read the table, everybody has the old answer, and goes on.
    behind.batch_execute("BEGIN; LOCK TABLE t").await.expect("a lock");
    for _ in 0..3 {
        assert_eq!(at_once(all()).await, is(1));
        assert_eq!(at_once(column(&client, "/* flywheel: nocache */ SELECT 7")).await, ["7"]);
    }
    behind.batch_execute("COMMIT").await.expect("the lock's end");
    until("what was read anew", async || all().await == is(2)).await;
    // No client has read anything itself since the first time.
    assert_eq!(count(&client, "misses").await, 3);
}

#[tokio::test]
async fn an_answer_that_is_none_any_more_goes() {
    let Some(world) = Setup::default().section(RULE).start().await else {
        return;
    };
    let behind = world.behind().await;
    behind
        .batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
        .await
        .expect("a table");
    let client = world.gateway().await;
    let read = "SELECT 10 / n FROM t";
    assert_eq!(column(&client, read).await, ["10"]);
    behind.batch_execute("UPDATE t SET n = 0").await.expect("a write");
    past_their_time().await;
    assert_eq!(column(&client, read).await, ["10"]);
    until("the error", async || {
        let answer = client.simple_query(read).await;
        answer.is_err_and(|error| error.code().is_some_and(|code| code.code() == "22012"))
    })
    .await;
    // What a write here ends isn't given, however long it could be.
    behind.batch_execute("UPDATE t SET n = 5").await.expect("a write");
    assert_eq!(column(&client, read).await, ["2"]);
    past_their_time().await;
    client.batch_execute("UPDATE t SET n = 1").await.expect("a write");
    assert_eq!(column(&client, read).await, ["10"]);
}

/// Settings, a user and a schema of the session's are those of what is read behind it.
#[tokio::test]
async fn what_is_read_anew_is_the_clients_own() {
    let Some(world) = Setup::default().section(RULE).start().await else {
        return;
    };
    let behind = world.behind().await;
    behind
        .batch_execute("CREATE SCHEMA s; CREATE TABLE s.t (at timestamptz); INSERT INTO s.t VALUES ('2026-01-01 00:00:00+00')")
        .await
        .expect("a table");
    let client = world.gateway().await;
    client
        .batch_execute("SET search_path = s; SET TimeZone = 'Asia/Tokyo'")
        .await
        .expect("settings");
    let read = "SELECT at, current_setting('search_path') FROM t";
    assert_eq!(column(&client, read).await, ["2026-01-01 09:00:00+09"]);
    behind.batch_execute("UPDATE s.t SET at = '2026-01-02 00:00:00+00'").await.expect("a write");
    past_their_time().await;
    until("what was read anew", async || column(&client, read).await == ["2026-01-02 09:00:00+09"])
        .await;
    assert_eq!(count(&client, "misses").await, 1);
}

#[tokio::test]
async fn reads_of_store_tables_are_read_anew() {
    let setup = Setup::default().table("sessions", Home::Memory).section(RULE);
    let Some(world): Option<World> = setup.start().await else { return };
    let client = world.gateway().await;
    for sql in [
        "CREATE TABLE sessions (id int PRIMARY KEY, who text)",
        "CREATE TABLE users (who text PRIMARY KEY, mail text)",
        "INSERT INTO users VALUES ('a', 'a@x')",
        "INSERT INTO sessions VALUES (1, 'a')",
    ] {
        client.batch_execute(sql).await.expect(sql);
    }
    let native = "SELECT who FROM sessions WHERE id = 1";
    let mixed = "SELECT mail FROM sessions s JOIN users u ON u.who = s.who WHERE s.id = 1";
    let prepared =
        client.prepare("SELECT who FROM sessions WHERE id = $1").await.expect("a statement");
    let all = async || {
        let row = client.query_one(&prepared, &[&1]).await.expect("a row");
        (column(&client, native).await, column(&client, mixed).await, row.get::<_, String>(0))
    };
    let first = all().await;
    assert_eq!((first.0[0].as_str(), first.1[0].as_str(), first.2.as_str()), ("a", "a@x", "a"));
    let (fills, misses) = (count(&client, "fills").await, count(&client, "misses").await);
    past_their_time().await;
    assert_eq!(all().await, first);
    until("three fills", async || count(&client, "fills").await >= fills + 3).await;
    assert_eq!(count(&client, "misses").await, misses);
    // A write of PostgreSQL's that the gateway doesn't see reaches the mixed one.
    let behind = world.behind().await;
    behind.batch_execute("UPDATE users SET mail = 'b@x'").await.expect("a write");
    until("the new mail", async || all().await.1 == ["b@x"]).await;
    assert_eq!(count(&client, "misses").await, misses);
}
