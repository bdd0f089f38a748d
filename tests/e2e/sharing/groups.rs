//! Executions of one statement that go to the server together, and what isn't repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flywheel_tests::Setup;
use flywheel_tests::world::{column, connect};
use tokio_postgres::error::SqlState;

use super::{FEW, with_rows};

#[tokio::test]
async fn an_error_in_the_middle_of_many_executions_is_its_own() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE shares (id int PRIMARY KEY, n int); INSERT INTO shares SELECT i, i % 10 FROM generate_series(1, 1000) i",
        )
        .await
        .expect("a table");
    let mut clients = Vec::new();
    for number in 0..48 {
        let url = world.url();
        clients.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let share = client
                .prepare("SELECT 100 / n FROM shares WHERE id = $1")
                .await
                .expect("a statement");
            let (mut answers, mut errors) = (0, 0);
            for round in 0..200 {
                let id = (number * 37 + round * 11) % 1000 + 1;
                match client.query_one(&share, &[&id]).await {
                    Ok(row) => {
                        assert_eq!(row.get::<_, i32>(0), 100 / (id % 10), "of {id}");
                        answers += 1;
                    }
                    Err(error) => {
                        assert_eq!(
                            (id % 10, error.code()),
                            (0, Some(&SqlState::DIVISION_BY_ZERO)),
                            "{error:?}"
                        );
                        errors += 1;
                    }
                }
            }
            (answers, errors)
        }));
    }
    let (mut answers, mut errors) = (0, 0);
    for client in clients {
        let of_client = client.await.expect("a client");
        answers += of_client.0;
        errors += of_client.1;
    }
    assert!(answers > 0 && errors > 0, "{answers} answers, {errors} errors");
}

/// Nothing in the statement's text tells that it writes.
#[tokio::test]
async fn what_a_view_writes_is_written_once() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE visits (reader int, at int);
             CREATE FUNCTION visit() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO visits VALUES (1, 1) RETURNING at';
             CREATE VIEW counted AS SELECT visit() AS visit",
        )
        .await
        .expect("a view");
    let mut clients = Vec::new();
    for number in 0..12 {
        let url = world.url();
        clients.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let prepared = client.prepare("SELECT visit FROM counted").await.expect("a statement");
            for _ in 0..25 {
                match number % 3 {
                    0 => assert_eq!(column(&client, "SELECT visit FROM counted").await, ["1"]),
                    1 => assert_eq!(client.query(&prepared, &[]).await.expect("a visit").len(), 1),
                    _ => assert_eq!(
                        client
                            .query("SELECT visit FROM counted", &[])
                            .await
                            .expect("a visit")
                            .len(),
                        1
                    ),
                }
            }
        }));
    }
    for client in clients {
        client.await.expect("a client");
    }
    assert_eq!(column(&client, "SELECT count(*) FROM visits").await, ["300"]);
}

/// The same statement is quick with one parameter and runs into a timeout with another.
#[tokio::test]
async fn executions_that_go_together_do_not_wait_for_one_that_is_slow() {
    let Some(world) = Setup::default().main("pool_size = 6\nshared_connections = 1").start().await
    else {
        return;
    };
    with_rows(&world).await;
    let world_url = format!("{}?options=-c%20statement_timeout%3D2s", world.url());
    let over = Arc::new(AtomicBool::new(false));
    let sql = "SELECT count(*) FROM accounts a WHERE a.id = $1 AND (SELECT count(*) FROM accounts b, accounts c, accounts d WHERE a.n > 5000) >= 0";
    let mut quick = Vec::new();
    for _ in 0..12 {
        let (url, over) = (world_url.clone(), over.clone());
        quick.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let statement = client.prepare(sql).await.expect("a statement");
            let mut answers = 0;
            while !over.load(Ordering::Relaxed) {
                let row = client.query_one(&statement, &[&1_i32]).await.expect("an answer");
                assert_eq!(row.get::<_, i64>(0), 1);
                answers += 1;
            }
            answers
        }));
    }
    let slow = connect(&world_url).await;
    let statement = slow.prepare(sql).await.expect("a statement");
    for _ in 0..4 {
        let error = slow.query_one(&statement, &[&1000_i32]).await.expect_err("a timeout");
        let error = error.as_db_error().expect("PostgreSQL's");
        assert!(error.message().contains("statement timeout"), "{error:?}");
        // What was there before it goes on.
        let row = slow.query_one(&statement, &[&1_i32]).await.expect("an answer");
        assert_eq!(row.get::<_, i64>(0), 1);
    }
    over.store(true, Ordering::Relaxed);
    for client in quick {
        assert!(client.await.expect("a client") > 0);
    }
    // No connection is left behind that nobody gets any more.
    let mut clients = Vec::new();
    for _ in 0..6 {
        let client = connect(&world_url).await;
        client.batch_execute("BEGIN").await.expect("a transaction");
        clients.push(client);
    }
    for client in clients {
        client.batch_execute("COMMIT").await.expect("COMMIT");
    }
}

/// A statement of which nothing is known isn't to wait behind one that is known to be quick and has
/// been held up.
#[tokio::test]
async fn nobody_waits_for_anothers_lock() {
    let Some(world) = Setup::default().start().await else { return };
    with_rows(&world).await;
    let behind = world.behind().await;
    let (first, second, third, other) = (
        world.gateway().await,
        world.gateway().await,
        world.gateway().await,
        world.gateway().await,
    );
    let known = "SELECT n FROM accounts WHERE id = 1";
    let prepared =
        first.prepare("SELECT n FROM accounts WHERE id = $1").await.expect("a statement");
    first.query_one(&prepared, &[&1]).await.expect("a row");
    for client in [&first, &second, &third] {
        column(client, known).await;
    }
    behind.batch_execute("BEGIN; LOCK TABLE accounts").await.expect("a lock");
    let by_name = async || {
        let row = first.query_one(&prepared, &[&1]).await.expect("a row");
        row.get::<_, i32>(0)
    };
    let unknown = async {
        for number in 0..3 {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let sql = format!("SELECT {number} AS unknown_{number}");
            assert_eq!(column(&other, &sql).await, [number.to_string()]);
        }
        behind.batch_execute("COMMIT").await.expect("the lock's end");
    };
    let more = "SELECT n FROM accounts WHERE id = 1 -- once more";
    let (one, two, three, ()) =
        tokio::join!(by_name(), column(&second, known), column(&third, more), unknown);
    assert_eq!((one, two, three), (10, vec!["10".to_owned()], vec!["10".to_owned()]));
}
