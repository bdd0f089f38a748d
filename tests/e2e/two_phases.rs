//! Blocks that write to several stores, or to a store and to PostgreSQL.

use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::gate::{Gate, Stop};
use flywheel_tests::world::{Servers, column};
use flywheel_tests::{Home, Setup, Told, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::Client;

const TABLES: &str = "CREATE TABLE carts (id int PRIMARY KEY, what text); CREATE TABLE stock (id int PRIMARY KEY, what text); \
                      CREATE TABLE orders (id int PRIMARY KEY)";

/// Two stores beside PostgreSQL.
const PAIRS: [[Home; 2]; 4] = [
    [Home::DynamoDb, Home::Redis],
    [Home::Memory, Home::Dynoxide],
    [Home::Redis, Home::Memory],
    [Home::Dynoxide, Home::DynamoDb],
];

async fn world(homes: [Home; 2]) -> Option<World> {
    let servers = Servers::from_environment()?;
    if !homes.iter().all(|home| home.is_available(&servers)) {
        return None;
    }
    let setup = Setup::default().table("public.carts", homes[0]).table("public.stock", homes[1]);
    let world = setup.start().await?;
    world.gateway().await.batch_execute(TABLES).await.expect("tables");
    Some(world)
}

/// What is in PostgreSQL and in the two stores.
async fn all(client: &Client) -> [Vec<String>; 3] {
    [
        column(client, "SELECT id FROM orders ORDER BY id").await,
        column(client, "SELECT id || ' ' || what FROM carts ORDER BY id").await,
        column(client, "SELECT id || ' ' || what FROM stock ORDER BY id").await,
    ]
}

#[tokio::test]
async fn they_commit_and_roll_back_together() {
    for homes in PAIRS {
        let Some(world) = world(homes).await else { continue };
        let client = world.gateway().await;
        client
            .batch_execute(
                "BEGIN; INSERT INTO carts VALUES (1, 'a'), (2, 'b'); INSERT INTO stock VALUES (1, 'c'); INSERT INTO orders VALUES (1); COMMIT; \
                 BEGIN; UPDATE carts SET what = 'x' WHERE id = 1; DELETE FROM stock WHERE id = 1; INSERT INTO orders VALUES (2); ROLLBACK",
            )
            .await
            .expect("both");
        assert_eq!(all(&client).await, [vec!["1"], vec!["1 a", "2 b"], vec!["1 c"]], "{homes:?}");
        // Savepoints, computed writes, and no write to PostgreSQL.
        client
            .batch_execute(
                "BEGIN; UPDATE carts SET what = what || '!' WHERE id = 1; SAVEPOINT one; DELETE FROM carts WHERE id = 2; \
                 INSERT INTO stock SELECT id + 10, what FROM carts; ROLLBACK TO one; INSERT INTO stock VALUES (2, 'd'); RELEASE one; COMMIT",
            )
            .await
            .expect("savepoints");
        assert_eq!(
            all(&client).await,
            [vec!["1"], vec!["1 a!", "2 b"], vec!["1 c", "2 d"]],
            "{homes:?}"
        );
        // Both at once in one text, which is one transaction; and one that fails in it.
        client
            .batch_execute("DELETE FROM carts WHERE id = 1; DELETE FROM stock WHERE id = 1")
            .await
            .expect("one text");
        let failed = "INSERT INTO carts VALUES (7, 'no'); INSERT INTO stock VALUES (7, 'no'); INSERT INTO orders VALUES (1)";
        Told::of(&client, failed).await.is("23505", &[]);
        // One statement.
        let moved = "WITH gone AS (DELETE FROM carts WHERE id = 2 RETURNING *) INSERT INTO stock SELECT id + 1, what FROM gone";
        client.batch_execute(moved).await.expect("one statement");
        assert_eq!(all(&client).await, [vec!["1"], vec![], vec!["2 d", "3 b"]], "{homes:?}");
        // Nobody but the owner reads the outbox.
        let rights = "SELECT has_table_privilege('pg_monitor', 'flywheel.outbox', 'INSERT') AND NOT has_table_privilege('pg_monitor', 'flywheel.outbox', 'SELECT')";
        assert_eq!(column(&client, rights).await, ["t"]);
    }
}

#[tokio::test]
async fn a_conflict_in_one_undoes_all() {
    for homes in PAIRS {
        let Some(world) = world(homes).await else { continue };
        let (client, other) = (world.gateway().await, world.gateway().await);
        client
            .batch_execute("INSERT INTO carts VALUES (1, 'a'); INSERT INTO stock VALUES (1, 'b')")
            .await
            .expect("rows");
        for meddling in ["UPDATE carts SET what = 'theirs' WHERE id = 1", "DELETE FROM stock WHERE id = 1"] {
            let block = "BEGIN; INSERT INTO orders VALUES (1); UPDATE carts SET what = 'ours' WHERE id = 1; UPDATE stock SET what = 'ours' WHERE id = 1";
            client.batch_execute(block).await.expect("a block");
            other.batch_execute(meddling).await.expect("a write");
            Told::of(&client, "COMMIT").await.is("40001", &["public."]);
            assert_eq!(column(&client, "SELECT count(*) FROM orders").await, ["0"], "{homes:?}");
            let ours = "SELECT count(*) FROM carts WHERE what = 'ours'";
            assert_eq!(column(&client, ours).await, ["0"], "{homes:?}");
            // Nothing stays locked.
            let again = "INSERT INTO stock VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET what = excluded.what; UPDATE carts SET what = 'a' WHERE id = 1";
            other.batch_execute(again).await.expect("free rows");
        }
    }
}

/// Many blocks that move amounts between two stores and PostgreSQL at once: none is lost or made, and none waits for ever.
#[tokio::test]
async fn transfers_between_stores() {
    let Some(world) = world([Home::Redis, Home::Dynoxide]).await else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute("INSERT INTO carts VALUES (1, '100'), (2, '100'); INSERT INTO stock VALUES (1, '100'), (2, '100')")
        .await
        .expect("rows");
    let mut tasks = Vec::new();
    for task in 0..4 {
        let client = world.gateway().await;
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            for step in 0..8 {
                let (from, to) = ((task + step) % 2 + 1, step % 2 + 1);
                let (a, b) = if task % 2 == 0 { ("carts", "stock") } else { ("stock", "carts") };
                let block = format!(
                    "BEGIN; UPDATE {a} SET what = (what::int - 1)::text WHERE id = {from}; UPDATE {b} SET what = (what::int + 1)::text WHERE id = {to}; \
                     INSERT INTO orders VALUES ({task} * 100 + {step}); COMMIT"
                );
                match client.batch_execute(&block).await {
                    Ok(()) => done += 1,
                    Err(error) => {
                        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("40001"), "{error:?}");
                        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
                    }
                }
            }
            done
        }));
    }
    let mut done = 0;
    for task in tasks {
        done += in_time(task).await.expect("a task");
    }
    let sum = "SELECT (SELECT sum(what::int) FROM carts) + (SELECT sum(what::int) FROM stock)";
    assert_eq!(column(&client, sum).await, ["400"]);
    assert_eq!(column(&client, "SELECT count(*) FROM orders").await, [done.to_string()]);
    assert!(done > 0);
}

/// A world with gates before PostgreSQL and Redis, and an order that is being committed.
async fn guarded() -> Option<(World, Gate, Gate)> {
    let servers = Servers::from_environment()?;
    let (_, address) = servers.postgres.split_once('@')?;
    let postgres = Gate::to(address.split('/').next()?).await;
    let redis = Gate::to(servers.redis.as_ref()?.trim_start_matches("redis://")).await;
    let world = Setup::default()
        .primary_through(postgres.address())
        .redis_at(&format!("redis://{}", redis.address()))
        .table("public.carts", Home::Dynoxide)
        .table("public.stock", Home::Redis)
        .start()
        .await?;
    let client = world.gateway().await;
    client.batch_execute(TABLES).await.expect("tables");
    client
        .batch_execute("INSERT INTO stock VALUES (1, 'old'), (2, 'old')")
        .await
        .expect("rows");
    // The outbox is made, Redis knows the script.
    client
        .batch_execute("BEGIN; INSERT INTO orders VALUES (0); INSERT INTO carts VALUES (0, 'a'); COMMIT")
        .await
        .expect("COMMIT");
    Some((world, postgres, redis))
}

const ORDER: &str =
    "BEGIN; INSERT INTO orders VALUES (1); INSERT INTO carts VALUES (1, 'new'); UPDATE stock SET what = 'new' WHERE id = 1; COMMIT";

async fn terminate_others(world: &World) {
    let terminate =
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    column(&world.behind().await, terminate).await;
}

#[tokio::test]
async fn postgresql_is_lost_before_it_commits() {
    let Some((world, postgres, _redis)) = guarded().await else { return };
    let client = world.gateway().await;
    postgres.stop(Stop::Request, &["COMMIT\0"]);
    let commit = async { Told::of(&client, ORDER).await };
    let lost = async {
        postgres.stopped().await;
        terminate_others(&world).await;
        postgres.open();
    };
    let (told, ()) = in_time(async { tokio::join!(commit, lost) }).await;
    told.is("08006", &["can be repeated"]);
    // The session goes on.
    assert_eq!(all(&client).await, [vec!["0"], vec!["0 a"], vec!["1 old", "2 old"]]);
    client.batch_execute(ORDER).await.expect("the same again");
    assert_eq!(all(&client).await, [vec!["0", "1"], vec!["0 a", "1 new"], vec!["1 new", "2 old"]]);
}

#[tokio::test]
async fn postgresql_is_lost_when_it_has_committed() {
    let Some((world, postgres, _redis)) = guarded().await else { return };
    let client = world.gateway().await;
    postgres.stop(Stop::Connection, &["COMMIT\0"]);
    in_time(client.batch_execute(ORDER)).await.expect("the outcome is asked for");
    postgres.open();
    assert_eq!(all(&client).await, [vec!["0", "1"], vec!["0 a", "1 new"], vec!["1 new", "2 old"]]);
}

#[tokio::test]
async fn a_store_is_lost_when_postgresql_has_committed() {
    let Some((world, _postgres, redis)) = guarded().await else { return };
    let client = world.gateway().await;
    redis.stop(Stop::Connection, &["\r\ncommit\r\n"]);
    in_time(client.batch_execute(ORDER)).await.expect("it has committed");
    redis.open();
    let left = "SELECT count(*) FROM flywheel.outbox";
    in_time(async {
        while column(&client, left).await != ["0"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(all(&client).await, [vec!["0", "1"], vec!["0 a", "1 new"], vec!["1 new", "2 old"]]);
}

/// Readers see the row as it was; a writer waits for the transaction, but not for ever.
#[tokio::test]
async fn a_locked_row() {
    let Some((world, postgres, _redis)) = guarded().await else { return };
    let (client, other, third) = (world.gateway().await, world.gateway().await, world.gateway().await);
    // Its connection is there already: a new one would come through the gate, which is open for it.
    column(&other, "SELECT 1").await;
    for patient in [true, false] {
        let reset = "DELETE FROM orders WHERE id = 1; DELETE FROM carts WHERE id = 1; UPDATE stock SET what = 'old' WHERE id = 1";
        client.batch_execute(reset).await.expect("as before");
        postgres.stop(Stop::Request, &["COMMIT\0"]);
        let commit = async { client.batch_execute(ORDER).await };
        let met = async {
            postgres.stopped().await;
            assert_eq!(column(&third, "SELECT what FROM stock WHERE id = 1").await, ["old"]);
            assert_eq!(column(&third, "SELECT count(*) FROM carts WHERE id = 1").await, ["0"]);
            let write = other.batch_execute("UPDATE stock SET what = what || ' again' WHERE id = 1");
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
                Told::by(written).is("55P03", &["public.stock", "Redis"]);
                let block = "BEGIN; INSERT INTO orders VALUES (9); UPDATE stock SET what = 'no' WHERE id = 1; COMMIT";
                Told::of(&other, block).await.is("40001", &["public.stock"]);
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
    let unique = world
        .primary()
        .name()
        .strip_suffix("_flywheel")
        .expect("a world's database")
        .to_owned();
    let redis = world.servers().redis.clone().expect("Redis");
    let mut stream = tokio::net::TcpStream::connect(redis.trim_start_matches("redis://"))
        .await
        .expect("Redis");
    let command = format!("SET {{{unique}:public.stock:{id}}}#lock {xid}-{:032x}\r\n", 1);
    stream.write_all(command.as_bytes()).await.expect("a command");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"+OK\r\n");
}

/// What concerns all rows waits for locks too, and does away with those of transactions that are over.
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
    client
        .batch_execute("ALTER TABLE stock DROP COLUMN more")
        .await
        .expect("ALTER TABLE");
    client
        .batch_execute("ALTER TABLE stock ADD COLUMN more int")
        .await
        .expect("ALTER TABLE");
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

/// What has committed but isn't carried out yet is so before the table's definition changes, or its rows go.
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
        let reset = format!("DELETE FROM stock WHERE id = 2; UPDATE stock SET {column_name} = 'old' WHERE id = 1");
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
    behind
        .batch_execute("BEGIN; INSERT INTO orders VALUES (1)")
        .await
        .expect("a transaction");
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
    client.batch_execute(add).await.expect("ALTER TABLE");
    assert_eq!(column(&client, "SELECT count(DISTINCT more) FROM stock").await, ["250"]);
}

/// An error of a store, of whatever kind, fails the block in PostgreSQL and for all stores.
#[tokio::test]
async fn an_error_fails_the_block_everywhere() {
    let Some((world, _postgres, redis)) = guarded().await else { return };
    let client = world.gateway().await;
    let before = all(&client).await;
    let failing = [
        ("INSERT INTO stock VALUES (1, 'taken')", "23505"),
        ("INSERT INTO stock VALUES (5, 'a'), (5, 'b')", "23505"),
        ("INSERT INTO stock SELECT 1, 'taken'", "23505"),
        ("UPDATE stock SET what = (1 / (id - 1))::text WHERE id = 1", "22012"),
        ("SELECT * FROM carts WHERE nosuch = 1", "42703"),
        ("PREPARE TRANSACTION 'x'", "0A000"),
    ];
    for (sql, code) in failing {
        client
            .batch_execute(
                "BEGIN; INSERT INTO orders VALUES (5); INSERT INTO carts VALUES (5, 'x'); UPDATE stock SET what = 'y' WHERE id = 2",
            )
            .await
            .expect("a block");
        Told::of(&client, sql).await.is(code, &[]);
        for after in [
            "SELECT 1",
            "INSERT INTO carts VALUES (6, 'x')",
            "SELECT * FROM stock WHERE id = 1",
            "INSERT INTO orders VALUES (6)",
        ] {
            Told::of(&client, after).await.is("25P02", &[]);
        }
        client.batch_execute("COMMIT").await.expect("ROLLBACK");
        assert_eq!(all(&client).await, before, "{sql}");
    }
    // By the extended protocol, and back to a savepoint.
    client
        .batch_execute(
            "BEGIN; INSERT INTO orders VALUES (5); INSERT INTO carts VALUES (5, 'x'); SAVEPOINT s; INSERT INTO carts VALUES (6, 'y')",
        )
        .await
        .expect("a block");
    Told::by(client.execute("INSERT INTO stock VALUES (1, $1)", &[&"taken"]).await).is("23505", &[]);
    Told::by(client.execute("SELECT 1", &[]).await).is("25P02", &[]);
    client.batch_execute("ROLLBACK TO s; COMMIT").await.expect("COMMIT");
    let [orders, carts, _] = all(&client).await;
    assert_eq!(
        (orders, carts),
        (vec!["0".into(), "5".into()], vec!["0 a".into(), "5 x".to_owned()])
    );
    // The store doesn't answer its prepare.
    client
        .batch_execute("BEGIN; INSERT INTO orders VALUES (7); INSERT INTO carts VALUES (7, 'x'); UPDATE stock SET what = 'y' WHERE id = 2")
        .await
        .expect("a block");
    redis.stop(Stop::Connection, &["\r\nprepare\r\n"]);
    Told::of(&client, "COMMIT").await.is("57P03", &["public.stock"]);
    redis.open();
    let [orders, carts, _] = all(&client).await;
    assert_eq!(
        (orders, carts),
        (vec!["0".into(), "5".into()], vec!["0 a".into(), "5 x".to_owned()])
    );
    client
        .batch_execute("UPDATE stock SET what = 'z' WHERE id = 2")
        .await
        .expect("a free row");
}

#[tokio::test]
async fn one_store_alone_needs_no_outbox() {
    for home in [Home::Redis, Home::Memory, Home::Dynoxide] {
        let Some(world) = world([home, home]).await else { continue };
        let client = world.gateway().await;
        client
            .batch_execute(
                "BEGIN; INSERT INTO carts VALUES (1, 'a'); INSERT INTO stock VALUES (1, 'b'); SELECT count(*) FROM orders; COMMIT",
            )
            .await
            .expect("COMMIT");
        assert_eq!(
            column(&client, "SELECT count(*) FROM pg_namespace WHERE nspname = 'flywheel'").await,
            ["0"]
        );
        assert_eq!(all(&client).await, [vec![], vec!["1 a"], vec!["1 b"]]);
    }
}

#[tokio::test]
async fn more_than_a_store_does_at_once() {
    let Some(world) = world([Home::Dynoxide, Home::Memory]).await else {
        return;
    };
    let client = world.gateway().await;
    let many =
        |count| format!("BEGIN; INSERT INTO orders VALUES (1); INSERT INTO carts SELECT i, 'a' FROM generate_series(1, {count}) i; COMMIT");
    Told::of(&client, &many(101)).await.is("54000", &["public.carts", "100"]);
    assert_eq!(all(&client).await, [const { Vec::<String>::new() }; 3]);
    client.batch_execute(&many(100)).await.expect("COMMIT");
    assert_eq!(column(&client, "SELECT count(*) FROM carts").await, ["100"]);
}

#[tokio::test]
async fn who_may_not_make_the_outbox_is_told_how() {
    let Some(servers) = Servers::from_environment() else { return };
    let Some(mut world) = world([Home::Dynoxide, Home::Memory]).await else {
        return;
    };
    let behind = world.behind().await;
    let role = format!("poor_{}", world.primary().name());
    behind
        .batch_execute(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON carts, stock, orders TO {role}"))
        .await
        .expect("a role");
    let config = std::fs::read_to_string(world.config()).expect("the configuration");
    let as_role = config.replacen("//postgres@", &format!("//{role}@"), 1);
    std::fs::write(world.config(), as_role).expect("the configuration");
    world.process_mut().terminate().await;
    world.start_again().await;
    let client = world.gateway().await;
    let block = "BEGIN; INSERT INTO orders VALUES (1); INSERT INTO carts VALUES (1, 'a'); COMMIT";
    Told::of(&client, block).await.is(
        "42501",
        &["flywheel.outbox", "CREATE TABLE IF NOT EXISTS flywheel.outbox", "GRANT INSERT"],
    );
    assert_eq!(all(&client).await, [const { Vec::<String>::new() }; 3]);
    // Made by somebody who may.
    let definition = "CREATE SCHEMA flywheel; CREATE TABLE flywheel.outbox (id uuid PRIMARY KEY, xid bigint NOT NULL DEFAULT txid_current(), \
                      written_at timestamptz NOT NULL DEFAULT clock_timestamp(), changes jsonb NOT NULL);";
    let owned = format!("{definition} ALTER SCHEMA flywheel OWNER TO {role}; ALTER TABLE flywheel.outbox OWNER TO {role}");
    behind.batch_execute(&owned).await.expect("the outbox");
    client.batch_execute(block).await.expect("COMMIT");
    assert_eq!(all(&client).await, [vec!["1"], vec!["1 a"], vec![]]);
    world.process_mut().terminate().await;
    drop(client);
    behind.batch_execute(&format!("DROP OWNED BY {role}")).await.expect("DROP OWNED");
    drop(behind);
    let admin = flywheel_tests::world::connect(&servers.postgres).await;
    admin.batch_execute(&format!("DROP ROLE {role}")).await.expect("DROP ROLE");
}
