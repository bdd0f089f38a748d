//! SELECT … FOR UPDATE and the like: what was read stays as it was up to COMMIT; who writes to it
//! waits.

use flywheel_tests::world::{column, connect};
use flywheel_tests::{Home, Setup, Told, World};

const TABLES: &str = "CREATE TABLE stock (id int PRIMARY KEY, v int NOT NULL, what text); CREATE TABLE orders (id serial PRIMARY KEY, v int)";

async fn world(home: Home) -> Option<World> {
    let world = Setup::default().table("public.stock", home).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client.batch_execute(TABLES).await.expect("tables");
    client.batch_execute("INSERT INTO stock VALUES (1, 0, 'a'), (2, 0, 'b')").await.expect("rows");
    Some(world)
}

/// Read, computed by the client, and written: by key, by a statement that PostgreSQL runs, and with
/// a row of PostgreSQL's.
#[tokio::test(flavor = "multi_thread")]
async fn read_modify_write_loses_nothing() {
    const CLIENTS: usize = 4;
    const TIMES: usize = 15;
    let reads = [
        "SELECT v FROM stock WHERE id = 1 FOR UPDATE",
        "SELECT v::text || '' FROM stock AS s WHERE id = 1 FOR NO KEY UPDATE OF s",
    ];
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        for (round, read) in reads.into_iter().enumerate() {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let url = world.url();
                    let also =
                        if number == 0 { "INSERT INTO orders (v) VALUES (1)" } else { "SELECT 1" };
                    tokio::spawn(async move {
                        let client = connect(&url).await;
                        for _ in 0..TIMES {
                            client.batch_execute("BEGIN").await.expect("a block");
                            let v: i64 = column(&client, read).await[0].parse().expect("a number");
                            let update = format!(
                                "UPDATE stock SET v = {} WHERE id = 1; {also}; COMMIT",
                                v + 1
                            );
                            client.batch_execute(&update).await.expect("COMMIT");
                        }
                    })
                })
                .collect();
            for client in clients {
                client.await.unwrap_or_else(|error| panic!("{}: {error}", home.name()));
            }
            let client = world.gateway().await;
            let sum = CLIENTS * TIMES * (round + 1);
            assert_eq!(
                column(&client, "SELECT v FROM stock WHERE id = 1").await,
                [sum.to_string()],
                "{}",
                home.name()
            );
            let orders = column(&client, "SELECT count(*) FROM orders").await;
            assert_eq!(orders, [(TIMES * (round + 1)).to_string()], "{}", home.name());
        }
    }
}

/// A row that isn't written is guarded as well: alone, beside writes of the same store, and beside
/// PostgreSQL's.
#[tokio::test]
async fn what_is_only_read_is_guarded() {
    let reads = [
        "SELECT what FROM stock WHERE id = 1 FOR UPDATE",
        "SELECT id FROM stock WHERE id IN (1, 2) FOR SHARE SKIP LOCKED",
        "SELECT upper(what) FROM stock WHERE id = 1 FOR KEY SHARE",
        "SELECT s.v FROM stock s JOIN generate_series(1, 1) AS n ON n = s.id FOR UPDATE OF s NOWAIT",
        "SELECT s.v FROM stock s, orders o WHERE s.id = 1 FOR SHARE OF s, o",
        "INSERT INTO orders (v) SELECT v FROM stock WHERE id = 1 FOR UPDATE",
    ];
    let writes = [
        "SELECT 1",
        "UPDATE stock SET v = 7 WHERE id = 2",
        "INSERT INTO orders (v) VALUES (7)",
        "UPDATE stock SET v = 7 WHERE id = 2; INSERT INTO orders (v) VALUES (7)",
    ];
    // PostgreSQL lets a row be updated that is locked FOR KEY SHARE.
    for home in Home::STORES {
        let Some(world) = world(home).await else { continue };
        let (one, other) = (world.gateway().await, world.gateway().await);
        for read in reads {
            for write in writes {
                let clean = "UPDATE stock SET v = 0, what = 'a' WHERE id > 0; TRUNCATE orders; INSERT INTO orders (v) VALUES (0)";
                one.batch_execute(clean).await.expect("as at first");
                // Nobody else.
                one.batch_execute(&format!("BEGIN; {read}; {write}; COMMIT"))
                    .await
                    .unwrap_or_else(|error| panic!("{}: {read}; {write}: {error:?}", home.name()));
                assert_eq!(
                    column(&other, "SELECT what || v FROM stock WHERE id = 1").await,
                    ["a0"],
                    "{}: {read}",
                    home.name()
                );

                one.batch_execute(clean).await.expect("as at first");
                one.batch_execute(&format!("BEGIN; {read}; {write}")).await.expect("in the block");
                let late = "SET lock_timeout = '20ms'; UPDATE stock SET v = v + 1 WHERE id = 1";
                Told::of(&other, late).await.is("55P03", &[]);
                one.batch_execute("COMMIT").await.expect("COMMIT");
                other
                    .batch_execute("RESET lock_timeout; UPDATE stock SET v = v + 1 WHERE id = 1")
                    .await
                    .expect("a free row");
                let left = column(&other, "SELECT v FROM stock WHERE id = 1").await;
                assert_eq!(left, ["1"], "{}: {read}; {write}", home.name());
            }
        }
        // Deleted and back again, rolled back, and outside a block.
        let update = "UPDATE stock SET v = v + 1 WHERE id = 1";
        one.batch_execute(
            "BEGIN; SAVEPOINT s; SELECT v FROM stock WHERE id = 1 FOR UPDATE; ROLLBACK TO s",
        )
        .await
        .expect("a savepoint");
        other.batch_execute(update).await.expect("the other's");
        one.batch_execute("UPDATE stock SET v = 1 WHERE id = 2; COMMIT")
            .await
            .expect("nothing is locked");
        one.batch_execute("SELECT v FROM stock WHERE id = 1 FOR UPDATE").await.expect("no block");
        one.batch_execute("BEGIN; SELECT v FROM stock WHERE id = 1 FOR UPDATE")
            .await
            .expect("a block");
        Told::of(&other, "SET lock_timeout = '20ms'; DELETE FROM stock WHERE id = 1")
            .await
            .is("55P03", &[]);
        one.batch_execute("COMMIT").await.expect("COMMIT");
        Told::of(&one, "BEGIN READ ONLY; SELECT v FROM stock WHERE id = 2 FOR UPDATE")
            .await
            .is("25006", &["FOR UPDATE"]);
    }
}

/// Outside a block a locking read waits for the rows that blocks have, skips them, or fails, as
/// within one; and it keeps none.
#[tokio::test]
async fn locking_reads_outside_a_block() {
    let waiting = [
        ("SELECT v FROM stock WHERE id = 1 FOR UPDATE", "55P03"),
        ("SELECT v FROM stock WHERE id = 1 FOR SHARE NOWAIT", "55P03"),
        ("SELECT upper(what) FROM stock ORDER BY v, id FOR UPDATE", "55P03"),
        ("SELECT s.v FROM stock s, orders o WHERE s.id = 1 FOR UPDATE OF s NOWAIT", "55P03"),
    ];
    let skipping = [
        ("SELECT id FROM stock WHERE id = 1 FOR UPDATE SKIP LOCKED", &[][..]),
        ("SELECT id FROM stock ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1", &["2"]),
        ("SELECT id FROM stock WHERE what > '' FOR SHARE SKIP LOCKED", &["2"]),
    ];
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        let (one, other) = (world.gateway().await, world.gateway().await);
        one.batch_execute("INSERT INTO orders (v) VALUES (0)").await.expect("an order");
        other.batch_execute("SET lock_timeout = '100ms'").await.expect("a timeout");
        for hold in
            ["SELECT v FROM stock WHERE id = 1 FOR UPDATE", "UPDATE stock SET v = 1 WHERE id = 1"]
        {
            one.batch_execute(&format!("BEGIN; {hold}")).await.expect("a block");
            for (read, code) in waiting {
                Told::of(&other, read).await.is(code, &[]);
                let prepared = other.query(read, &[]).await.expect_err("a row that a block has");
                let told = prepared.code().map(|code| code.code().to_owned());
                assert_eq!(told.as_deref(), Some(code), "{}: {read}", home.name());
            }
            for (read, rows) in skipping {
                assert_eq!(column(&other, read).await, rows, "{}: {hold}: {read}", home.name());
            }
            one.batch_execute("COMMIT").await.expect("COMMIT");
            for (read, _) in waiting {
                other.batch_execute(read).await.expect("free rows");
            }
            assert_eq!(column(&other, skipping[0].0).await, ["1"], "{}", home.name());
            // None of them has kept a row.
            let write = "UPDATE stock SET v = 0 WHERE id = 1";
            one.batch_execute(write).await.expect("a row that nobody has");
        }
    }
}
