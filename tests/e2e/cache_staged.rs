//! Writes to store tables that PostgreSQL computes first, beside readers whose answers are kept:
//! what was read before such a write is never kept after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flywheel_tests::world::{column, connect, until};
use flywheel_tests::{Home, Setup, World};

const RULE: &str = "[[cache]]\nwhen = { database = \"app\" }\nttl = \"1h\"";
const READERS: usize = 4;
const WRITES: i64 = 60;

/// Writes again and again, while others read: after each write it must be seen.
async fn race(world: &World, read: &str, write: impl AsyncFn(&tokio_postgres::Client, i64)) {
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let (url, over, read) = (world.url(), over.clone(), read.to_owned());
        readers.push(tokio::spawn(async move {
            let client = connect(&url).await;
            while !over.load(Ordering::SeqCst) {
                column(&client, &read).await;
            }
        }));
    }
    let client = world.gateway().await;
    for n in 1..=WRITES {
        write(&client, n).await;
        assert_eq!(column(&client, read).await, [n.to_string()], "write {n}");
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("a reader");
    }
}

#[tokio::test]
async fn of_several_stores() {
    let setup = Setup::default().main("pool_size = 20").section(RULE);
    let Some(world) =
        setup.table("public.a", Home::Redis).table("public.b", Home::Dynoxide).start().await
    else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE a (id int PRIMARY KEY, n bigint); INSERT INTO a VALUES (1, 0);
             CREATE TABLE b (id int PRIMARY KEY, n bigint); INSERT INTO b VALUES (1, 0)",
        )
        .await
        .expect("tables");
    for table in ["a", "b"] {
        let read = format!("SELECT n FROM {table} WHERE id = 1");
        client.batch_execute("UPDATE a SET n = 0; UPDATE b SET n = 0").await.expect("a beginning");
        race(&world, &read, async |client, n| {
            let sql = format!("WITH w AS (UPDATE a SET n = {n} WHERE id = 1 RETURNING n) UPDATE b SET n = w.n FROM w WHERE b.id = 1");
            client.batch_execute(&sql).await.expect("a write");
        })
        .await;
    }
}

/// Another writer of the same row makes the statement be computed again.
#[tokio::test]
async fn that_are_computed_again() {
    let setup = Setup::default().main("pool_size = 20").section(RULE);
    let Some(world) = setup.table("public.a", Home::Redis).start().await else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE a (id int PRIMARY KEY, n bigint, m bigint); INSERT INTO a VALUES (1, 0, 0)")
        .await
        .expect("a table");
    let over = Arc::new(AtomicBool::new(false));
    let other = {
        let (over, url) = (over.clone(), world.url());
        tokio::spawn(async move {
            let client = connect(&url).await;
            let mut m = 0;
            while !over.load(Ordering::SeqCst) {
                m += 1;
                client
                    .batch_execute(&format!("UPDATE a SET m = {m} WHERE id = 1"))
                    .await
                    .expect("a write");
            }
        })
    };
    race(&world, "SELECT n FROM a WHERE id = 1", async |client, n| {
        let sql = format!("UPDATE a SET n = {n} + length(repeat('', {n})) WHERE id + 0 = 1");
        client.batch_execute(&sql).await.expect("a write");
    })
    .await;
    over.store(true, Ordering::SeqCst);
    other.await.expect("a writer");
}

/// EXPLAIN ANALYZE carries out what it explains, however that is written.
#[tokio::test]
async fn that_are_explained() {
    let setup = Setup::default().main("pool_size = 20").section(RULE);
    let Some(world) = setup.table("public.a", Home::Redis).start().await else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE a (id int PRIMARY KEY, n bigint); INSERT INTO a VALUES (1, 0);
             CREATE TABLE b (id int PRIMARY KEY, n bigint); INSERT INTO b VALUES (1, 0)",
        )
        .await
        .expect("tables");
    let mut n = 0;
    for table in ["a", "b"] {
        for explain in [
            "EXPLAIN ANALYZE",
            "EXPLAIN ANALYSE",
            "EXPLAIN (ANALYSE)",
            "explain (verbose, analyze on)",
        ] {
            let read = format!("SELECT n FROM {table} WHERE id = 1");
            let before = column(&client, &read).await;
            until("it is kept", async || column(&client, &read).await == before).await;
            n += 1;
            client
                .batch_execute(&format!("{explain} UPDATE {table} SET n = {n} WHERE id = 1"))
                .await
                .expect("a write");
            assert_eq!(column(&client, &read).await, [n.to_string()], "{explain} of {table}");
        }
        let read = format!("SELECT n FROM {table} WHERE id = 1");
        client
            .batch_execute(&format!(
                "PREPARE write_{table}(bigint) AS UPDATE {table} SET n = $1 WHERE id = 1"
            ))
            .await
            .expect("PREPARE");
        let reader = world.gateway().await;
        column(&reader, &read).await;
        n += 1;
        let explained =
            client.batch_execute(&format!("EXPLAIN ANALYZE EXECUTE write_{table}({n})")).await;
        if explained.is_ok() {
            assert_eq!(column(&reader, &read).await, [n.to_string()], "EXECUTE of {table}");
        }
        client.batch_execute(&format!("DEALLOCATE write_{table}")).await.expect("DEALLOCATE");
    }
}
