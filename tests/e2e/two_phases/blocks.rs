//! They commit everywhere or nowhere.

use flywheel_tests::child::in_time;
use flywheel_tests::gate::Stop;
use flywheel_tests::world::{Servers, column};
use flywheel_tests::{Home, Told};

use super::{PAIRS, all, guarded, world};

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
        for (meddling, failing) in [
            (
                "UPDATE carts SET what = 'theirs' WHERE id = 1",
                "UPDATE carts SET what = 'ours' WHERE id = 1",
            ),
            ("DELETE FROM stock WHERE id = 1", "UPDATE stock SET what = 'ours' WHERE id = 1"),
        ] {
            let block = "BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO orders VALUES (1); INSERT INTO carts VALUES (2, 'ours'); \
                         INSERT INTO stock VALUES (2, 'ours'); SELECT * FROM carts, stock WHERE carts.id = 1 AND stock.id = 1";
            client.batch_execute(block).await.expect("a block");
            other.batch_execute(meddling).await.expect("a write");
            Told::of(&client, &format!("{failing}; COMMIT")).await.is("40001", &["public."]);
            client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
            assert_eq!(column(&client, "SELECT count(*) FROM orders").await, ["0"], "{homes:?}");
            let ours = "SELECT count(*) FROM carts WHERE what = 'ours' UNION ALL SELECT count(*) FROM stock WHERE what = 'ours'";
            assert_eq!(column(&client, ours).await, ["0", "0"], "{homes:?}");
            // Nothing stays locked.
            let again = "INSERT INTO stock VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET what = excluded.what; UPDATE carts SET what = 'a' WHERE id = 1; \
                         INSERT INTO stock VALUES (2, 'c'); DELETE FROM stock WHERE id = 2";
            other.batch_execute(again).await.expect("free rows");
        }
    }
}

/// Many blocks that move amounts between two stores and PostgreSQL at once: none is lost or made,
/// and none waits for ever.
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
                        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("40P01"), "{error:?}");
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
    Told::by(client.execute("INSERT INTO stock VALUES (1, $1)", &[&"taken"]).await)
        .is("23505", &[]);
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
    client.batch_execute("UPDATE stock SET what = 'z' WHERE id = 2").await.expect("a free row");
}

#[tokio::test]
async fn one_store_alone_needs_no_outbox() {
    for home in Home::KINDS {
        let Some(world) = world([home, home]).await else { continue };
        let client = world.gateway().await;
        client
            .batch_execute(
                "BEGIN; INSERT INTO carts VALUES (1, 'a'); INSERT INTO stock VALUES (1, 'b'); SELECT count(*) FROM orders; COMMIT",
            )
            .await
            .expect("COMMIT");
        assert_eq!(
            column(&client, "SELECT count(*) FROM pg_class WHERE relname = 'outbox'").await,
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
    let many = |count| {
        format!(
            "BEGIN; INSERT INTO orders VALUES (1); INSERT INTO carts SELECT i, 'a' FROM generate_series(1, {count}) i; COMMIT"
        )
    };
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
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT ALL ON carts, stock, orders TO {role}"
        ))
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
    let definition = "CREATE SCHEMA IF NOT EXISTS flywheel; CREATE TABLE flywheel.outbox (id uuid PRIMARY KEY, xid bigint NOT NULL DEFAULT txid_current(), \
                      written_at timestamptz NOT NULL DEFAULT clock_timestamp(), changes jsonb NOT NULL);";
    let owned = format!(
        "{definition} ALTER SCHEMA flywheel OWNER TO {role}; ALTER TABLE flywheel.outbox OWNER TO {role}"
    );
    behind.batch_execute(&owned).await.expect("the outbox");
    client.batch_execute(block).await.expect("COMMIT");
    assert_eq!(all(&client).await, [vec!["1"], vec!["1 a"], vec![]]);
    world.process_mut().terminate().await;
    drop(client);
    behind.batch_execute(&format!("DROP OWNED BY {role} CASCADE")).await.expect("DROP OWNED");
    drop(behind);
    let admin = flywheel_tests::world::connect(&servers.postgres).await;
    admin.batch_execute(&format!("DROP ROLE {role}")).await.expect("DROP ROLE");
}
