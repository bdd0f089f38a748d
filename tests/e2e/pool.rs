//! Many clients over few server connections: each has its own session.

use std::time::Duration;

use flywheel_tests::raw::Event;
use flywheel_tests::world::{column, connect};
use flywheel_tests::{Home, Setup, Told, World};

const ONE: &str = "pool_size = 1";

#[tokio::test]
async fn fifty_clients_share_two_connections() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE counters (id int PRIMARY KEY, n int); INSERT INTO counters VALUES (1, 0)",
        )
        .await
        .expect("a table");
    let mut clients = Vec::new();
    for _ in 0..50 {
        let url = world.url();
        clients.push(tokio::spawn(async move {
            let mut client = connect(&url).await;
            for _ in 0..10 {
                let transaction = client.transaction().await.expect("BEGIN");
                let increment = "UPDATE counters SET n = n + $1 WHERE id = 1";
                transaction.execute(increment, &[&1_i32]).await.expect("UPDATE");
                transaction.commit().await.expect("COMMIT");
            }
            column(
                &client,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
            )
            .await
        }));
    }
    for client in clients {
        let connections: i32 = client.await.expect("a client")[0].parse().expect("a number");
        assert!(connections <= 2, "{connections} server connections");
    }
    assert_eq!(column(&client, "SELECT n FROM counters").await, ["500"]);
}

#[tokio::test]
async fn settings_are_their_clients() {
    let Some(world) = Setup::default().main(ONE).start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    let all = "SHOW TimeZone; SHOW search_path; SHOW statement_timeout; SHOW application_name";
    let untouched = column(&other, all).await;
    one.batch_execute("SET TimeZone = 'Asia/Tokyo'; SET search_path = a, b; SET statement_timeout = '7s'; SET application_name = 'one'")
        .await
        .expect("SET");
    for _ in 0..3 {
        assert_eq!(column(&other, all).await, untouched);
        assert_eq!(column(&one, all).await, ["Asia/Tokyo", "a, b", "7s", "one"]);
    }
    other.batch_execute("SET search_path = c").await.expect("SET");
    assert_eq!(column(&one, "SHOW search_path").await, ["a, b"]);
    one.batch_execute("RESET ALL").await.expect("RESET");
    assert_eq!(column(&other, "SHOW search_path").await, ["c"]);
    assert_eq!(
        column(&one, "SHOW search_path; SHOW TimeZone").await,
        [untouched[1].clone(), untouched[0].clone()]
    );
}

#[tokio::test]
async fn settings_follow_their_transaction() {
    let Some(world) = Setup::default().main(ONE).start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    let show = "SHOW statement_timeout";
    one.batch_execute("BEGIN; SET statement_timeout = '1s'; ROLLBACK").await.expect("ROLLBACK");
    assert_eq!(column(&one, show).await, ["0"]);
    one.batch_execute("BEGIN; SET LOCAL statement_timeout = '2s'; COMMIT").await.expect("COMMIT");
    assert_eq!(column(&one, show).await, ["0"]);
    one.batch_execute("BEGIN; SET statement_timeout = '3s'; SAVEPOINT a; SET statement_timeout = '4s'; ROLLBACK TO a; COMMIT")
        .await
        .expect("COMMIT");
    assert_eq!(column(&other, show).await, ["0"]);
    assert_eq!(column(&one, show).await, ["3s"]);
    // The statements of one text are one transaction.
    one.batch_execute("SET statement_timeout = '5s'; SELECT 1 / 0")
        .await
        .expect_err("a division by zero");
    assert_eq!(column(&other, show).await, ["0"]);
    assert_eq!(column(&one, show).await, ["3s"]);
}

#[tokio::test]
async fn prepared_statements_are_their_clients() {
    let Some(world) = Setup::default().main(ONE).start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    // Both drivers call their first statement s0.
    let first = one.prepare("SELECT $1::int + 1").await.expect("a statement");
    let second = other.prepare("SELECT $1::text || '!'").await.expect("a statement");
    for _ in 0..3 {
        assert_eq!(one.query_one(&first, &[&1_i32]).await.expect("a row").get::<_, i32>(0), 2);
        assert_eq!(
            other.query_one(&second, &[&"a"]).await.expect("a row").get::<_, String>(0),
            "a!"
        );
    }
    drop(first);
    let again = other.prepare("SELECT $1::int + 1").await.expect("a statement");
    assert_eq!(other.query_one(&again, &[&2_i32]).await.expect("a row").get::<_, i32>(0), 3);
}

#[tokio::test]
async fn what_lives_in_a_connection_keeps_it() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    let backend = "SELECT pg_backend_pid()";
    one.batch_execute("CREATE TEMP TABLE mine (a int); INSERT INTO mine VALUES (1)")
        .await
        .expect("a table");
    let own = column(&one, backend).await;
    for _ in 0..3 {
        assert_ne!(column(&other, backend).await, own);
        assert_eq!(column(&one, "SELECT a FROM mine").await, ["1"]);
    }
    Told::of(&other, "SELECT a FROM mine").await.is("42P01", &["mine"]);
    // Its end cleans the connection for the next.
    drop(one);
    for _ in 0..10 {
        Told::of(&other, "SELECT a FROM mine").await.is("42P01", &["mine"]);
    }
}

#[tokio::test]
async fn listeners_hear_notifications() {
    let Some(world) = World::start().await else { return };
    let mut listener = world.raw().await;
    listener.query("LISTEN news").await.expect("an answer");
    world.gateway().await.batch_execute("NOTIFY news, 'hello'").await.expect("NOTIFY");
    let said = listener.query("SELECT 1").await.expect("an answer");
    let heard = said
        .iter()
        .any(|event| matches!(event, Event::Other('A', body) if body.ends_with(b"news\0hello\0")));
    assert!(heard, "{said:?}");
}

#[tokio::test]
async fn waiting_for_a_connection_ends_with_an_error() {
    let Some(world) = Setup::default().main(ONE).main("acquire_timeout = \"200ms\"").start().await
    else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    one.batch_execute("BEGIN").await.expect("BEGIN");
    Told::of(&other, "SELECT 1").await.is("53300", &["200ms", "pool_size", "acquire_timeout"]);
    one.batch_execute("COMMIT").await.expect("COMMIT");
    assert_eq!(column(&other, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let Some(world) = Setup::default().main(ONE).table("public.kept", Home::Redis).start().await
    else {
        return;
    };
    let other = world.gateway().await;
    other
        .batch_execute("CREATE TABLE rows (a int); CREATE TABLE kept (id int PRIMARY KEY, a int)")
        .await
        .expect("tables");
    let mut gone = world.raw().await;
    for sql in ["BEGIN", "INSERT INTO rows VALUES (1)", "INSERT INTO kept VALUES (1, 1)"] {
        gone.query(sql).await.expect("an answer");
    }
    drop(gone);
    // Waits for the only connection, in which the transaction was.
    assert_eq!(column(&other, "SELECT count(*) FROM rows").await, ["0"]);
    assert_eq!(column(&other, "SELECT count(*) FROM kept").await, ["0"]);
}

#[tokio::test]
async fn sigterm_lets_transactions_end() {
    let Some(mut world) = World::start().await else { return };
    let idle = world.gateway().await;
    let mut busy = world.raw().await;
    busy.query("CREATE TABLE rows (a int)").await.expect("an answer");
    busy.query("BEGIN").await.expect("an answer");
    busy.query("INSERT INTO rows VALUES (1)").await.expect("an answer");
    let finish = async {
        // Until the idle client is sent away, the signal hasn't come through.
        while idle.batch_execute("").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said = busy.query("COMMIT").await.expect("an answer");
        assert!(said.contains(&Event::Done("COMMIT".into())), "{said:?}");
        let farewell = busy.until_closed().await.expect("a farewell");
        assert!(
            matches!(&farewell[..], [Event::Error(error)] if error.state() == "57P01"),
            "{farewell:?}"
        );
    };
    let (status, ()) = tokio::join!(world.process_mut().terminate(), finish);
    assert!(status.success(), "{status}");
    assert_eq!(column(&world.behind().await, "SELECT count(*) FROM rows").await, ["1"]);
}
