//! Rows that a block has locked to commit: who meets them, and what becomes of them.

use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::gate::{COMMIT, Stop};
use flywheel_tests::world::{column, until};
use flywheel_tests::{Home, Setup, Told, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::error::SqlState;

use super::{ORDER, TABLES, guarded, world};

/// Readers see the row as it was; a writer waits for the transaction, but not for ever.
#[tokio::test]
async fn a_locked_row() {
    let Some((world, postgres, _redis)) = guarded().await else { return };
    let (client, other, third) =
        (world.gateway().await, world.gateway().await, world.gateway().await);
    // Its connection is there already: a new one would come through the gate, which is open for it.
    column(&other, "SELECT 1").await;
    for patient in [true, false] {
        let reset = "DELETE FROM orders WHERE id = 1; DELETE FROM carts WHERE id = 1; UPDATE stock SET what = 'old' WHERE id = 1";
        client.batch_execute(reset).await.expect("as before");
        postgres.stop(Stop::Request, &[COMMIT]);
        let commit = async { client.batch_execute(ORDER).await };
        let met = async {
            postgres.stopped().await;
            assert_eq!(column(&third, "SELECT what FROM stock WHERE id = 1").await, ["old"]);
            assert_eq!(column(&third, "SELECT count(*) FROM carts WHERE id = 1").await, ["0"]);
            let timeout = if patient { "RESET lock_timeout" } else { "SET lock_timeout = '300ms'" };
            other.batch_execute(timeout).await.expect("a setting");
            let write =
                other.batch_execute("UPDATE stock SET what = what || ' again' WHERE id = 1");
            let late = async {
                if patient {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    postgres.open();
                }
            };
            let (written, ()) = tokio::join!(write, late);
            if patient {
                written.expect("after the transaction");
            } else {
                Told::by(written).is("55P03", &["lock timeout"]);
                let block = "BEGIN; INSERT INTO orders VALUES (9); UPDATE stock SET what = 'no' WHERE id = 1; COMMIT";
                Told::of(&other, block).await.is("55P03", &["lock timeout"]);
                other.batch_execute("ROLLBACK").await.expect("ROLLBACK");
                other
                    .batch_execute("UPDATE stock SET what = 'free' WHERE id = 2")
                    .await
                    .expect("another row");
                postgres.open();
            }
        };
        let (committed, ()) = in_time(async { tokio::join!(commit, met) }).await;
        committed.expect("COMMIT");
        let expected = if patient { "new again" } else { "new" };
        assert_eq!(column(&client, "SELECT what FROM stock WHERE id = 1").await, [expected]);
    }
    assert_eq!(column(&client, "SELECT count(*) FROM orders WHERE id = 9").await, ["0"]);
}

/// Locks a row of `stock` in Redis in the name of a transaction.
async fn lock(world: &World, id: usize, xid: &str) {
    let unique =
        world.primary().name().strip_suffix("_flywheel").expect("a world's database").to_owned();
    let redis = world.servers().redis.clone().expect("Redis");
    let mut stream =
        tokio::net::TcpStream::connect(redis.trim_start_matches("redis://")).await.expect("Redis");
    let command = format!("SET {{{unique}:public.stock:{id}}}#lock {xid}-{:032x}\r\n", 1);
    stream.write_all(command.as_bytes()).await.expect("a command");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"+OK\r\n");
}

/// What concerns all rows waits for locks too, and does away with those of transactions that are
/// over.
#[tokio::test]
async fn locks_met_by_definitions_and_truncate() {
    let Some(world) = world([Home::Dynoxide, Home::Redis]).await else {
        return;
    };
    let (client, behind) = (world.gateway().await, world.behind().await);
    let rows = "INSERT INTO stock SELECT i, 'a' FROM generate_series(1, 250) i";
    client.batch_execute(rows).await.expect("rows");
    let over = column(&behind, "SELECT txid_current()").await.remove(0);
    let running = "BEGIN; INSERT INTO orders VALUES (1)";
    behind.batch_execute(running).await.expect("a transaction");
    let under_way = column(&behind, "SELECT txid_current()").await.remove(0);
    // Some of the rows are written before the locked one is met.
    lock(&world, 200, &under_way).await;
    let add = "ALTER TABLE stock ADD COLUMN more int NOT NULL DEFAULT 7";
    Told::of(&client, add).await.is("55P03", &["public.stock", "Redis"]);
    Told::of(&client, "TRUNCATE stock").await.is("55P03", &["public.stock", "Redis"]);
    assert_eq!(column(&client, "SELECT max(what) FROM stock WHERE id = 200").await, ["a"]);
    behind.batch_execute("ROLLBACK").await.expect("the end");
    client.batch_execute("TRUNCATE stock").await.expect("TRUNCATE");
    client.batch_execute(rows).await.expect("rows");
    lock(&world, 200, &over).await;
    client.batch_execute(add).await.expect("ALTER TABLE");
    assert_eq!(column(&client, "SELECT sum(more) FROM stock").await, ["1750"]);
    lock(&world, 200, &over).await;
    client.batch_execute("ALTER TABLE stock DROP COLUMN more").await.expect("ALTER TABLE");
    client.batch_execute("ALTER TABLE stock ADD COLUMN more int").await.expect("ALTER TABLE");
    assert_eq!(column(&client, "SELECT count(more) FROM stock").await, ["0"]);
    lock(&world, 200, &over).await;
    client.batch_execute("TRUNCATE stock").await.expect("TRUNCATE");
    assert_eq!(column(&client, "SELECT count(*) FROM stock").await, ["0"]);
}

/// What is read between a COMMIT and its being carried out, by whomever, isn't kept beyond that.
#[tokio::test]
async fn kept_answers_end_when_a_record_is_carried_out() {
    let setup = Setup::default()
        .table("public.carts", Home::Memory)
        .table("public.stock", Home::Redis)
        .section("[[cache]]\nwhen = { tables = [\"public.stock\"] }\nttl = \"1h\"");
    let Some(world) = setup.start().await else { return };
    if !Home::Redis.is_available(world.servers()) {
        return;
    }
    let (client, behind) = (world.gateway().await, world.behind().await);
    let make = "BEGIN; INSERT INTO orders VALUES (0); INSERT INTO stock VALUES (1, 'old'); COMMIT";
    client.batch_execute(TABLES).await.expect("tables");
    client.batch_execute(make).await.expect("the outbox");
    // As a gateway leaves it that is no more.
    behind.batch_execute("BEGIN").await.expect("a transaction");
    let xid = column(&behind, "SELECT txid_current()").await.remove(0);
    lock(&world, 1, &xid).await;
    let record = r#"INSERT INTO flywheel.outbox (id, changes) VALUES ('00000000-0000-0000-0000-000000000001',
        '[{"store": "redis", "schema": "public", "table": "stock", "key": ["1"], "new": false, "row": {"id": "1", "what": "new"}}]')"#;
    behind.batch_execute(record).await.expect("a record");
    behind.batch_execute("COMMIT").await.expect("COMMIT");
    let read = "SELECT what FROM stock WHERE id = 1";
    for _ in 0..3 {
        assert_eq!(column(&client, read).await, ["old"]);
    }
    in_time(async {
        while column(&behind, "SELECT count(*) FROM flywheel.outbox").await != ["0"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(column(&client, read).await, ["new"]);
}

/// What has committed but isn't carried out yet is so before the table's definition changes, or its
/// rows go.
#[tokio::test]
async fn records_are_carried_out_before_a_definition_changes() {
    let Some(world) = world([Home::Memory, Home::Redis]).await else {
        return;
    };
    let (client, behind) = (world.gateway().await, world.behind().await);
    let make = "BEGIN; INSERT INTO orders VALUES (0); INSERT INTO stock VALUES (1, 'old'); COMMIT";
    client.batch_execute(make).await.expect("the outbox");
    let changes = [
        (
            "ALTER TABLE stock RENAME COLUMN what TO name",
            "SELECT id || name FROM stock ORDER BY id",
            ["1new", "2new"].as_slice(),
        ),
        (
            "ALTER TABLE stock RENAME COLUMN name TO what",
            "SELECT id || what FROM stock ORDER BY id",
            ["1new", "2new"].as_slice(),
        ),
        ("TRUNCATE stock", "SELECT id FROM stock", [].as_slice()),
    ];
    let mut column_name = "what";
    for (change, read, expected) in changes {
        let reset = format!(
            "DELETE FROM stock WHERE id = 2; UPDATE stock SET {column_name} = 'old' WHERE id = 1"
        );
        client.batch_execute(&reset).await.expect("as before");
        behind.batch_execute("BEGIN").await.expect("a transaction");
        let xid = column(&behind, "SELECT txid_current()").await.remove(0);
        lock(&world, 1, &xid).await;
        lock(&world, 2, &xid).await;
        let row = |id: u8, new: bool| {
            format!(
                r#"{{"store": "redis", "schema": "public", "table": "stock", "key": ["{id}"], "new": {new}, "row": {{"id": "{id}", "{column_name}": "new"}}}}"#
            )
        };
        let record = format!(
            "INSERT INTO flywheel.outbox (id, changes) VALUES ('00000000-0000-0000-0000-000000000001', '[{}, {}]'); COMMIT",
            row(1, false),
            row(2, true)
        );
        behind.batch_execute(&record).await.expect("a record");
        client.batch_execute(change).await.expect("a change");
        assert_eq!(column(&client, read).await, expected, "{change}");
        in_time(async {
            while column(&behind, "SELECT count(*) FROM flywheel.outbox").await != ["0"] {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        assert_eq!(column(&client, read).await, expected, "{change}");
        column_name = if change.ends_with("TO name") { "name" } else { "what" };
    }
}

/// Rows that an ALTER TABLE had written before it failed aren't in the way of the next one.
#[tokio::test]
async fn an_alteration_that_fails_halfway() {
    let Some(world) = world([Home::Dynoxide, Home::Redis]).await else {
        return;
    };
    let (client, behind) = (world.gateway().await, world.behind().await);
    let rows = "INSERT INTO stock SELECT i, 'a' FROM generate_series(1, 250) i";
    client.batch_execute(rows).await.expect("rows");
    behind.batch_execute("BEGIN; INSERT INTO orders VALUES (1)").await.expect("a transaction");
    let under_way = column(&behind, "SELECT txid_current()").await.remove(0);
    for id in 1..=250 {
        // One that is written late, whatever the order is.
        if id % 50 == 0 {
            lock(&world, id, &under_way).await;
        }
    }
    let add = "ALTER TABLE stock ADD COLUMN more uuid NOT NULL DEFAULT gen_random_uuid()";
    Told::of(&client, add).await.is("55P03", &["public.stock"]);
    behind.batch_execute("ROLLBACK").await.expect("the end");
    // A busy machine may take longer to find out that the locks are nobody's than one waits for.
    until("ALTER TABLE", async || match client.batch_execute(add).await {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => false,
        altered => altered.map(|()| true).expect("ALTER TABLE"),
    })
    .await;
    assert_eq!(column(&client, "SELECT count(DISTINCT more) FROM stock").await, ["250"]);
}
