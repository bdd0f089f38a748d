//! Clients that share server connections at the same time don't notice each other.

mod groups;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flywheel_tests::raw::{Event, Message};
use flywheel_tests::world::{column, connect};
use flywheel_tests::{Setup, World};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

/// Few connections, so that many clients meet on each.
const FEW: &str = "pool_size = 4";

/// Clients that cancel their statements at the same time, and how often each does.
const CANCELLERS: usize = 150;
const CANCELS: usize = 3;

async fn with_rows(world: &World) {
    let fill = "CREATE TABLE accounts (id int PRIMARY KEY, n int); INSERT INTO accounts SELECT i, i * 10 FROM generate_series(1, 1000) i;
                CREATE TABLE large (filler text); INSERT INTO large SELECT repeat('x', 1000) FROM generate_series(1, 20000)";
    world.gateway().await.batch_execute(fill).await.expect("tables");
}

#[tokio::test]
async fn everybody_gets_the_own_answer() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    with_rows(&world).await;
    let mut clients = Vec::new();
    for number in 0..32 {
        let url = world.url();
        clients.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let by_name =
                client.prepare("SELECT n FROM accounts WHERE id = $1").await.expect("a statement");
            for turn in 0..100 {
                let id = 1 + (number * 31 + turn * 7) % 1000;
                let row = client.query_one(&by_name, &[&id]).await.expect("a row");
                assert_eq!(row.get::<_, i32>(0), id * 10);
                assert_eq!(
                    column(&client, &format!("SELECT n + 1 FROM accounts WHERE id = {id}")).await,
                    [(id * 10 + 1).to_string()]
                );
                if turn % 10 == 0 {
                    let error = client
                        .query("SELECT 1 / n - 1 / (n - n) FROM accounts WHERE id = $1", &[&id])
                        .await
                        .expect_err("a division by zero");
                    assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
                }
            }
        }));
    }
    for client in clients {
        client.await.expect("a client");
    }
}

#[tokio::test]
async fn sessions_with_other_settings_keep_them() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    with_rows(&world).await;
    let mut clients = Vec::new();
    for number in 0..12 {
        let url = world.url();
        clients.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let zone = ["UTC", "Asia/Tokyo", "America/New_York"][number % 3];
            client.batch_execute(&format!("SET TimeZone = '{zone}'")).await.expect("SET");
            let expected =
                ["2026-01-01 00:00:00+00", "2026-01-01 09:00:00+09", "2025-12-31 19:00:00-05"]
                    [number % 3];
            for _ in 0..50 {
                let asked =
                    "SELECT timestamptz '2026-01-01 00:00:00+00' FROM accounts WHERE id = 1";
                assert_eq!(column(&client, asked).await, [expected]);
            }
        }));
    }
    for client in clients {
        client.await.expect("a client");
    }
}

#[tokio::test]
async fn a_slow_statement_does_not_hold_the_others_up() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    with_rows(&world).await;
    let quick = "SELECT n FROM accounts WHERE id = 7";
    let (one, other) = (world.gateway().await, world.gateway().await);
    // Both are known to be quick.
    for client in [&one, &other] {
        for _ in 0..5 {
            assert_eq!(column(client, quick).await, ["70"]);
            assert_eq!(column(client, "SELECT count(*) FROM large WHERE filler = ''").await, ["0"]);
        }
    }
    // A lock makes one of them slow.
    let (locker, behind) = (world.behind().await, world.behind().await);
    locker.batch_execute("BEGIN; LOCK TABLE large").await.expect("a lock");
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let url = world.url();
        waiting.push(tokio::spawn(async move {
            column(&connect(&url).await, "SELECT count(*) FROM large WHERE filler = ''").await
        }));
    }
    // Until they wait for it.
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while column(&behind, blocked).await != ["2"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..50 {
        assert_eq!(column(&one, quick).await, ["70"]);
        assert_eq!(column(&other, quick).await, ["70"]);
    }
    locker.batch_execute("COMMIT").await.expect("COMMIT");
    for client in waiting {
        assert_eq!(client.await.expect("a client"), ["0"]);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    with_rows(&world).await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = world.raw().await;
        // Small once, so that it is thought to be small.
        reader.query("SELECT filler FROM large WHERE filler = 'none'").await.expect("an answer");
        reader
            .send(&[Message::query("SELECT filler FROM large WHERE filler = 'nine' OR true")])
            .await
            .expect("sent");
        readers.push(reader);
    }
    let client = world.gateway().await;
    for id in 1..=100 {
        assert_eq!(
            column(&client, &format!("SELECT n FROM accounts WHERE id = {id}")).await,
            [(id * 10).to_string()]
        );
    }
    for reader in &mut readers {
        let rows = reader.until_ready().await.expect("an answer");
        assert_eq!(rows.iter().filter(|event| matches!(event, Event::Row(_))).count(), 20_000);
    }
}

#[tokio::test]
async fn no_neighbour_sees_a_cancel() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    with_rows(&world).await;
    let (cancelled, cancelling) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(CANCELLERS)));
    let mut clients = Vec::new();
    for number in 0..CANCELLERS {
        let (url, cancelled, cancelling) = (world.url(), cancelled.clone(), cancelling.clone());
        clients.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let token = client.cancel_token();
            for turn in 0..CANCELS {
                // Long enough that some cancels come in time, short enough to be thought quick.
                let sql = format!(
                    "SELECT count(*) FROM accounts a, accounts b WHERE a.id < 60 AND b.n > {}",
                    number * CANCELS + turn
                );
                let (answer, asked) =
                    tokio::join!(client.simple_query(&sql), token.cancel_query(NoTls));
                asked.expect("a cancel request");
                if let Err(error) = answer {
                    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
                    cancelled.fetch_add(1, Ordering::Relaxed);
                }
            }
            cancelling.fetch_sub(1, Ordering::Relaxed);
        }));
    }
    for number in 0..8 {
        let (url, cancelling) = (world.url(), cancelling.clone());
        clients.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let read =
                client.prepare("SELECT n FROM accounts WHERE id = $1").await.expect("a statement");
            let mut turn = 0;
            while cancelling.load(Ordering::Relaxed) > 0 {
                let id = 1 + (number * 97 + turn) % 1000;
                turn += 1;
                let row = client.query_one(&read, &[&id]).await.expect("nobody cancelled this");
                assert_eq!(row.get::<_, i32>(0), id * 10);
                let sum = format!("SELECT {id} + count(*) FROM accounts WHERE id <= {id}");
                assert_eq!(column(&client, &sum).await, [(2 * id).to_string()]);
            }
        }));
    }
    for client in clients {
        client.await.expect("a client");
    }
    let cancelled = cancelled.load(Ordering::Relaxed);
    eprintln!("{cancelled} of {} statements were cancelled in time", CANCELLERS * CANCELS);
}

#[tokio::test]
async fn a_broken_connection_is_not_noticed() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    with_rows(&world).await;
    let mut clients = Vec::new();
    for number in 0..8 {
        let url = world.url();
        clients.push(tokio::spawn(async move {
            let client = connect(&url).await;
            for turn in 0..200 {
                let id = 1 + (number * 97 + turn) % 1000;
                assert_eq!(
                    column(&client, &format!("SELECT n FROM accounts WHERE id = {id}")).await,
                    [(id * 10).to_string()]
                );
            }
        }));
    }
    let behind = world.behind().await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        column(&behind, kill).await;
    }
    for client in clients {
        client.await.expect("a client");
    }
}

#[tokio::test]
async fn a_changed_definition_is_followed() {
    let Some(world) = Setup::default().main(FEW).start().await else {
        return;
    };
    with_rows(&world).await;
    let (one, other) = (world.gateway().await, world.gateway().await);
    let sql = "SELECT * FROM accounts WHERE id = $1";
    for client in [&one, &other] {
        let statement = client.prepare(sql).await.expect("a statement");
        client.query_one(&statement, &[&1]).await.expect("a row");
    }
    // Past the gateway, which can't know.
    world
        .behind()
        .await
        .batch_execute("ALTER TABLE accounts ADD COLUMN more text")
        .await
        .expect("ALTER TABLE");
    for client in [&one, &other] {
        // A server connection that had the statement says once that it has changed, as PostgreSQL
        // would to its client.
        let mut refused = 0;
        loop {
            match client.query_one(sql, &[&1]).await {
                Ok(row) => break assert_eq!(row.len(), 3),
                Err(error) => assert!(
                    error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) && refused < 4,
                    "{error:?}"
                ),
            }
            refused += 1;
        }
    }
}

#[tokio::test]
async fn a_shared_connection_is_given_up_where_a_transaction_needs_it() {
    let Some(world) = Setup::default()
        .main("pool_size = 2\nshared_connections = 1\nacquire_timeout = \"20s\"")
        .start()
        .await
    else {
        return;
    };
    let (reader, keeper, writer) =
        (world.gateway().await, world.gateway().await, world.gateway().await);
    keeper.batch_execute("CREATE TABLE t (n int)").await.expect("a table");
    // One connection is a client's for good, the other is shared.
    keeper.batch_execute("CREATE TEMP TABLE kept (n int)").await.expect("a temporary table");
    assert_eq!(column(&reader, "SELECT count(*) FROM t").await, ["0"]);
    writer.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.expect("a transaction");
    // Reads wait for their turn.
    let read = tokio::spawn(async move {
        let read = column(&reader, "SELECT count(*) FROM t").await;
        (read, reader)
    });
    writer.batch_execute("COMMIT").await.expect("COMMIT");
    let (read, reader) = read.await.expect("a reader");
    assert_eq!(read.len(), 1);
    // It is also given up by readers that never stop.
    let over = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let over = over.clone();
        async move {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(column(&reader, "SELECT count(*) > 0 FROM t").await, ["t"]);
            }
        }
    });
    for _ in 0..3 {
        writer
            .batch_execute("BEGIN; INSERT INTO t VALUES (1); COMMIT")
            .await
            .expect("a transaction");
    }
    over.store(true, Ordering::Relaxed);
    reading.await.expect("a reader");
}
