//! What belongs to one session stays with it, also when its server connections are shared.

use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::raw::Event;
use flywheel_tests::world::column;
use flywheel_tests::{Setup, Told, World};

#[tokio::test]
async fn an_advisory_lock_is_its_sessions() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    assert_eq!(column(&one, "SELECT pg_try_advisory_lock(42)").await, ["t"]);
    for _ in 0..5 {
        assert_eq!(column(&other, "SELECT pg_try_advisory_lock(42)").await, ["f"]);
        assert_eq!(
            column(
                &one,
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            )
            .await,
            ["1"]
        );
    }
    // It goes with the session.
    drop(one);
    while column(&other, "SELECT pg_try_advisory_lock(42)").await == ["f"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_lock_of_a_transaction_ends_with_it() {
    let Some(world) = Setup::default().main("pool_size = 1").start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    one.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(42); COMMIT").await.expect("a lock");
    // The only connection is free again.
    assert_eq!(column(&other, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").await, ["0"]);
}

#[tokio::test]
async fn a_session_that_keeps_its_connection_gives_it_back_when_asked() {
    let Some(world) =
        Setup::default().main("pool_size = 1").main("acquire_timeout = \"300ms\"").start().await
    else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    one.batch_execute("CREATE TEMP TABLE mine (id int)").await.expect("a temporary table");
    Told::of(&other, "SELECT 1").await.is("53300", &["pool_size"]);
    one.batch_execute("DISCARD ALL").await.expect("DISCARD ALL");
    assert_eq!(column(&other, "SELECT to_regclass('pg_temp.mine') IS NULL").await, ["t"]);
    Told::of(&one, "SELECT * FROM mine").await.is("42P01", &["mine"]);
}

#[tokio::test]
async fn a_listener_hears_while_it_is_silent() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let mut listener = world.raw().await;
    listener.query("LISTEN news").await.expect("an answer");
    let other = world.gateway().await;
    for word in ["one", "two"] {
        other.batch_execute(&format!("NOTIFY news, '{word}'")).await.expect("NOTIFY");
        let heard = listener.next().await.expect("a notification");
        let expected = format!("news\0{word}\0");
        assert!(
            matches!(&heard, Event::Other('A', body) if body.ends_with(expected.as_bytes())),
            "{heard:?}"
        );
    }
    // And not what it no longer listens to, nor what another listens to.
    listener.query("UNLISTEN news").await.expect("an answer");
    other.batch_execute("NOTIFY news, 'three'").await.expect("NOTIFY");
    let said = listener.query("SELECT 1").await.expect("an answer");
    assert!(!said.iter().any(|event| matches!(event, Event::Other('A', _))), "{said:?}");
}

#[tokio::test]
async fn nobody_hears_what_another_listens_to() {
    let Some(world) = Setup::default().main("pool_size = 1").start().await else {
        return;
    };
    let mut listener = world.raw().await;
    listener.query("LISTEN news").await.expect("an answer");
    drop(listener);
    let mut next = world.raw().await;
    for _ in 0..3 {
        let said = next.query("NOTIFY news, 'hello'").await.expect("an answer");
        assert!(!said.iter().any(|event| matches!(event, Event::Other('A', _))), "{said:?}");
    }
}

#[tokio::test]
async fn a_cursor_with_hold_outlives_its_transaction() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    one.batch_execute(
        "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT i FROM generate_series(1, 4) i; COMMIT",
    )
    .await
    .expect("a cursor");
    assert_eq!(column(&one, "FETCH 2 FROM c").await, ["1", "2"]);
    Told::of(&other, "FETCH 2 FROM c").await.is("34000", &["c"]);
    assert_eq!(column(&one, "FETCH ALL FROM c; CLOSE c").await, ["3", "4"]);
}

#[tokio::test]
async fn statements_prepared_by_sql_are_their_sessions() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    one.batch_execute("PREPARE p (int) AS SELECT $1 + 1").await.expect("PREPARE");
    other.batch_execute("PREPARE p (text) AS SELECT $1 || '!'").await.expect("PREPARE");
    for _ in 0..3 {
        assert_eq!(column(&one, "EXECUTE p(1)").await, ["2"]);
        assert_eq!(column(&other, "EXECUTE p('a')").await, ["a!"]);
    }
    one.batch_execute("DEALLOCATE p").await.expect("DEALLOCATE");
    Told::of(&one, "EXECUTE p(1)").await.is("26000", &["p"]);
    assert_eq!(column(&other, "EXECUTE p('a')").await, ["a!"]);
}

#[tokio::test]
async fn an_error_of_one_is_not_anothers() {
    let Some(world) = Setup::default().main("pool_size = 1").start().await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    for _ in 0..10 {
        let (failed, answered) =
            tokio::join!(one.batch_execute("SELECT 1 / 0"), other.query_one("SELECT 7", &[]));
        Told::by(failed).is("22012", &["division"]);
        assert_eq!(answered.expect("a row").get::<_, i32>(0), 7);
    }
    let timeout = "SET statement_timeout = '50ms'; SELECT pg_sleep(30)";
    let (failed, answered) =
        tokio::join!(one.batch_execute(timeout), other.batch_execute("SELECT pg_sleep(0.2)"));
    Told::by(failed).is("57014", &["statement timeout"]);
    answered.expect("the other has no timeout");
}

#[tokio::test]
async fn a_cancel_reaches_its_own_statement() {
    let Some(world) = World::start().await else { return };
    let (one, other) = (world.gateway().await, world.gateway().await);
    let token = one.cancel_token();
    let sleep = "SELECT pg_sleep(0.5), 'slept'";
    let (slept, ()) = in_time(async {
        tokio::join!(other.query_one(sleep, &[]), async {
            for _ in 0..20 {
                token.cancel_query(tokio_postgres::NoTls).await.expect("a cancel request");
                // Its own statements are done before a cancel comes, or are cancelled: both are
                // right.
                let _ = one.simple_query("SELECT 1").await;
            }
        })
    })
    .await;
    assert_eq!(slept.expect("not cancelled").get::<_, &str>(1), "slept");
    while one.batch_execute("SELECT 1").await.is_err() {}
}
