//! SELECT … FOR UPDATE and the like: what was read stays as it was up to COMMIT, or COMMIT fails.

use flywheel_tests::world::{column, connect};
use flywheel_tests::{Home, Setup, Told, World};

const TABLES: &str =
    "CREATE TABLE stock (id int PRIMARY KEY, v int NOT NULL, what text); CREATE TABLE orders (id serial PRIMARY KEY, v int)";

async fn world(home: Home) -> Option<World> {
    let world = Setup::default().table("public.stock", home).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client.batch_execute(TABLES).await.expect("tables");
    client
        .batch_execute("INSERT INTO stock VALUES (1, 0, 'a'), (2, 0, 'b')")
        .await
        .expect("rows");
    Some(world)
}

/// Read, computed by the client, and written: by key, by a statement that PostgreSQL runs, and with a row of PostgreSQL's.
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
                    let also = if number == 0 {
                        "INSERT INTO orders (v) VALUES (1)"
                    } else {
                        "SELECT 1"
                    };
                    tokio::spawn(async move {
                        let client = connect(&url).await;
                        for _ in 0..TIMES {
                            loop {
                                client.batch_execute("BEGIN").await.expect("a block");
                                let v: i64 = column(&client, read).await[0].parse().expect("a number");
                                let update = format!("UPDATE stock SET v = {} WHERE id = 1; {also}; COMMIT", v + 1);
                                let Err(error) = client.batch_execute(&update).await else { break };
                                assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("40001"), "{error:?}");
                                let _ = client.batch_execute("ROLLBACK").await;
                            }
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

/// A row that isn't written is guarded as well: alone, beside writes of the same store, and beside PostgreSQL's.
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
    // PostgreSQL lets the other client wait.
    for home in Home::ALL.into_iter().filter(|home| *home != Home::Relational) {
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
                other
                    .batch_execute("UPDATE stock SET v = v + 1 WHERE id = 1")
                    .await
                    .expect("the other's");
                Told::of(&one, "COMMIT").await.is("40001", &["public.stock"]);
                let left = column(&other, "SELECT v FROM stock ORDER BY id").await;
                assert_eq!(left, ["1", "0"], "{}: {read}; {write}", home.name());
                assert_eq!(
                    column(&other, "SELECT v FROM orders").await,
                    ["0"],
                    "{}: {read}; {write}",
                    home.name()
                );
            }
        }
        // Deleted and back again, rolled back, and outside a block.
        let update = "UPDATE stock SET v = v + 1 WHERE id = 1";
        one.batch_execute("BEGIN; SAVEPOINT s; SELECT v FROM stock WHERE id = 1 FOR UPDATE; ROLLBACK TO s")
            .await
            .expect("a savepoint");
        other.batch_execute(update).await.expect("the other's");
        one.batch_execute("UPDATE stock SET v = 1 WHERE id = 2; COMMIT")
            .await
            .expect("nothing is locked");
        one.batch_execute("SELECT v FROM stock WHERE id = 1 FOR UPDATE")
            .await
            .expect("no block");
        one.batch_execute("BEGIN; SELECT v FROM stock WHERE id = 1 FOR UPDATE")
            .await
            .expect("a block");
        other.batch_execute("DELETE FROM stock WHERE id = 1").await.expect("the other's");
        Told::of(&one, "COMMIT").await.is("40001", &["public.stock"]);
        Told::of(&one, "BEGIN READ ONLY; SELECT v FROM stock WHERE id = 2 FOR UPDATE")
            .await
            .is("25006", &["FOR UPDATE"]);
    }
}
