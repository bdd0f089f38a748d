//! Blocks that want one row wait for each other, as in PostgreSQL, and go on with the row as it is
//! then. `FLYWHEEL_TEST_BLOCKS`: how many each client opens.

mod queues;

use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::world::{Process, column, connect, until};
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const TABLES: &str = "CREATE TABLE stock (id int PRIMARY KEY, v int NOT NULL, what text); CREATE TABLE orders (id serial PRIMARY KEY, v int)";

async fn world(home: Home) -> Option<World> {
    let world = Setup::default().main("pool_size = 40").table("public.stock", home).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client.batch_execute(TABLES).await.expect("tables");
    let rows = "INSERT INTO stock VALUES (1, 0, 'a'), (2, 0, 'b')";
    client.batch_execute(rows).await.expect("rows");
    Some(world)
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", SqlState::code)
}

/// Asserts that somebody waits for a lock.
async fn waits(behind: &Client) {
    // A lock on a transaction names no database: another test may wait for one.
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
                   WHERE locktype IN ('advisory', 'transactionid') AND NOT granted \
                   AND datname = current_database()";
    until("somebody waits", async || column(behind, waiting).await != ["0"]).await;
}

/// What one client's turn in a round is.
async fn turn(client: &Client, kind: &str, number: usize) -> Result<(), tokio_postgres::Error> {
    match kind {
        "increment" => {
            client.batch_execute("BEGIN").await?;
            client.execute("UPDATE stock SET v = v + 1 WHERE id = 1", &[]).await?;
            client.batch_execute("COMMIT").await
        }
        "one text" => {
            client.batch_execute("BEGIN; UPDATE stock SET v = v + 1 WHERE id = 1; COMMIT").await
        }
        "computed" => {
            client.batch_execute("BEGIN").await?;
            client.execute("UPDATE stock SET v = v * 1 + length('x') WHERE id = 1", &[]).await?;
            client.batch_execute("COMMIT").await
        }
        "for update" | "for update, computed" => {
            client.batch_execute("BEGIN").await?;
            let read = match kind {
                "for update" => "SELECT v FROM stock WHERE id = 1 FOR UPDATE",
                _ => "SELECT v + 0 FROM stock s WHERE id = 1 FOR NO KEY UPDATE OF s",
            };
            let v: i32 = client.query_one(read, &[]).await?.get(0);
            client.execute("UPDATE stock SET v = $1 WHERE id = 1", &[&(v + 1)]).await?;
            client.batch_execute("COMMIT").await
        }
        "upsert" => {
            client.batch_execute("BEGIN").await?;
            let upsert = "INSERT INTO stock VALUES (1, 1, 'x') ON CONFLICT (id) DO UPDATE SET v = stock.v + 1";
            client.execute(upsert, &[]).await?;
            client.batch_execute("COMMIT").await
        }
        "with PostgreSQL" => {
            client.batch_execute("BEGIN").await?;
            client.execute("INSERT INTO orders (v) VALUES (1)", &[]).await?;
            client.execute("UPDATE stock SET v = v + 1 WHERE id = 1", &[]).await?;
            client.batch_execute("COMMIT").await
        }
        "savepoints" => {
            client.batch_execute("BEGIN; SAVEPOINT a").await?;
            client.execute("UPDATE stock SET v = v + 5 WHERE id = 1", &[]).await?;
            client.batch_execute("ROLLBACK TO a").await?;
            client.execute("UPDATE stock SET v = v + 1 WHERE id = 1", &[]).await?;
            client.batch_execute("RELEASE a; COMMIT").await
        }
        // Each key once: whoever finds it taken adds to it.
        "get or create" => {
            let key = 100 + i32::try_from(number).unwrap_or_default();
            client.batch_execute("BEGIN; SAVEPOINT a").await?;
            match client.execute("INSERT INTO stock VALUES ($1, 0, 'new')", &[&key]).await {
                Ok(_) => client.batch_execute("RELEASE a").await?,
                Err(error) if code(&error) == "23505" => {
                    client.batch_execute("ROLLBACK TO a").await?
                }
                Err(error) => return Err(error),
            }
            client.execute("UPDATE stock SET v = v + 1 WHERE id = $1", &[&key]).await?;
            client.batch_execute("COMMIT").await
        }
        "autocommit" => client.batch_execute("UPDATE stock SET v = v + 1 WHERE id = 1").await,
        "autocommit, computed" => {
            client.batch_execute("UPDATE stock SET v = v * 1 + length('x') WHERE id = 1").await
        }
        other => panic!("no kind {other}"),
    }
}

const KINDS: [&str; 9] = [
    "increment",
    "one text",
    "computed",
    "for update",
    "for update, computed",
    "upsert",
    "with PostgreSQL",
    "savepoints",
    "get or create",
];

/// Clients of all gateways that do the same to one row at once, beside two that don't open blocks.
async fn contend(urls: &[String], kind: &'static str, home: Home) {
    const CLIENTS: usize = 8;
    let times = std::env::var("FLYWHEEL_TEST_BLOCKS")
        .ok()
        .and_then(|blocks| blocks.parse().ok())
        .unwrap_or(5);
    let first = connect(&urls[0]).await;
    first
        .batch_execute("UPDATE stock SET v = 0 WHERE id = 1; DELETE FROM stock WHERE id >= 100")
        .await
        .expect("as at first");
    let mut tasks = Vec::new();
    let beside = ["autocommit", "autocommit, computed"];
    for (number, kind) in std::iter::repeat_n(kind, CLIENTS).chain(beside).enumerate() {
        let url = urls[number % urls.len()].clone();
        tasks.push(tokio::spawn(async move {
            let client = connect(&url).await;
            for time in 0..times {
                if let Err(error) = turn(&client, kind, time).await {
                    panic!("{kind}, {}, {time}: {error:?}", home.name());
                }
            }
        }));
    }
    for task in tasks {
        in_time(task).await.expect("a client");
    }
    let sum = "SELECT sum(v) FROM stock WHERE id = 1 OR id >= 100";
    let expected = (CLIENTS + beside.len()) * times;
    assert_eq!(column(&first, sum).await, [expected.to_string()], "{kind}, {}", home.name());
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_them_fails() {
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        for kind in KINDS {
            contend(&[world.url()], kind, home).await;
        }
    }
}

fn url(process: &Process) -> String {
    format!("postgres://postgres@{}/app", process.address())
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_them_fails_through_two_gateways() {
    for home in Home::LASTING {
        let Some(world) = world(home).await else { continue };
        let other = world.another_gateway().await;
        for kind in KINDS {
            contend(&[world.url(), url(&other)], kind, home).await;
        }
    }
}

/// One writes, the other's statement waits; then the first commits, or rolls back.
async fn meet(
    world: &World,
    (first, second): (&str, &str),
    end: &str,
) -> Result<Vec<String>, String> {
    let (one, other, behind) = (world.gateway().await, world.gateway().await, world.behind().await);
    one.batch_execute(&format!("BEGIN; {first}")).await.expect("the first");
    let second = second.to_owned();
    let waiting = tokio::spawn(async move {
        let done = other.batch_execute(&second).await.map_err(|error| code(&error).to_owned());
        (done, other)
    });
    waits(&behind).await;
    assert!(!waiting.is_finished());
    one.batch_execute(end).await.expect("the first's end");
    let (done, _) = in_time(waiting).await.expect("the second");
    done?;
    Ok(column(&one, "SELECT id || what || v FROM stock ORDER BY id").await)
}

#[tokio::test]
async fn what_waits_goes_on_with_the_row_as_it_is() {
    let update = "UPDATE stock SET v = v + 1 WHERE id = 1";
    let delete = "DELETE FROM stock WHERE id = 1";
    let cases = [
        (update, update, Ok(&["1a2", "2b0"][..]), Ok(&["1a1", "2b0"][..])),
        (
            update,
            "BEGIN; UPDATE stock SET v = v + 10 WHERE id = 1; COMMIT",
            Ok(&["1a11", "2b0"]),
            Ok(&["1a10", "2b0"]),
        ),
        (
            "DELETE FROM stock WHERE id = 1",
            "BEGIN; UPDATE stock SET v = v + 1 WHERE id = 1; COMMIT",
            Ok(&["2b0"]),
            Ok(&["1a1", "2b0"]),
        ),
        (
            "DELETE FROM stock WHERE id = 1",
            "INSERT INTO stock VALUES (1, 7, 'n')",
            Ok(&["1n7", "2b0"]),
            Err("23505"),
        ),
        (
            "INSERT INTO stock VALUES (3, 0, 'c')",
            "INSERT INTO stock VALUES (3, 1, 'd')",
            Err("23505"),
            Ok(&["1a0", "2b0", "3d1"]),
        ),
        (
            "INSERT INTO stock VALUES (3, 0, 'c')",
            "BEGIN; INSERT INTO stock VALUES (3, 1, 'd'); COMMIT",
            Err("23505"),
            Ok(&["1a0", "2b0", "3d1"]),
        ),
        (
            "INSERT INTO stock VALUES (3, 0, 'c')",
            "BEGIN; INSERT INTO stock SELECT 3, 1, 'd'; COMMIT",
            Err("23505"),
            Ok(&["1a0", "2b0", "3d1"]),
        ),
        (
            "INSERT INTO stock VALUES (3, 0, 'c')",
            "BEGIN; INSERT INTO stock VALUES (3, 1, 'd') ON CONFLICT DO NOTHING; COMMIT",
            Ok(&["1a0", "2b0", "3c0"]),
            Ok(&["1a0", "2b0", "3d1"]),
        ),
        // The condition is looked at again.
        (
            "UPDATE stock SET v = 5 WHERE id = 1",
            "BEGIN; UPDATE stock SET v = v + 1 WHERE id = 1 AND v = 0; COMMIT",
            Ok(&["1a5", "2b0"]),
            Ok(&["1a1", "2b0"]),
        ),
        (
            "UPDATE stock SET v = 5 WHERE id = 1",
            "UPDATE stock SET v = v + 1 WHERE id = 1 AND v = 0",
            Ok(&["1a5", "2b0"]),
            Ok(&["1a1", "2b0"]),
        ),
        // A row is waited for before its new key is found to be taken.
        (delete, "UPDATE stock SET id = id + 1 WHERE id = 1", Ok(&["2b0"]), Err("23505")),
        (
            "SELECT v FROM stock WHERE id = 1 FOR UPDATE",
            update,
            Ok(&["1a1", "2b0"]),
            Ok(&["1a1", "2b0"]),
        ),
        (
            "SELECT v FROM stock WHERE id = 1 FOR SHARE",
            update,
            Ok(&["1a1", "2b0"]),
            Ok(&["1a1", "2b0"]),
        ),
        (
            "SELECT v FROM stock WHERE id = 1 FOR SHARE",
            "BEGIN; SELECT v + 0 FROM stock WHERE id = 1 FOR UPDATE; COMMIT",
            Ok(&["1a0", "2b0"]),
            Ok(&["1a0", "2b0"]),
        ),
        (
            update,
            "BEGIN; SELECT v FROM stock WHERE id = 1 FOR SHARE; COMMIT",
            Ok(&["1a1", "2b0"]),
            Ok(&["1a0", "2b0"]),
        ),
    ];
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        let client = world.gateway().await;
        for (first, second, committed, rolled_back) in cases {
            for (end, expected) in [("COMMIT", committed), ("ROLLBACK", rolled_back)] {
                client
                    .batch_execute(
                        "DELETE FROM stock; INSERT INTO stock VALUES (1, 0, 'a'), (2, 0, 'b')",
                    )
                    .await
                    .expect("rows");
                let done = meet(&world, (first, second), end).await;
                let expected =
                    expected.map(|rows| rows.iter().map(|&row| row.to_owned()).collect::<Vec<_>>());
                assert_eq!(
                    done,
                    expected.map_err(str::to_owned),
                    "{}: {first}; {second}; {end}",
                    home.name()
                );
            }
        }
    }
}

#[tokio::test]
async fn who_does_not_wait_long_is_told() {
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        let (one, other, behind) =
            (world.gateway().await, world.gateway().await, world.behind().await);
        one.batch_execute("BEGIN; UPDATE stock SET v = 1 WHERE id = 1").await.expect("a block");
        for lock in ["UPDATE", "NO KEY UPDATE", "SHARE"] {
            let nowait = format!("BEGIN; SELECT v FROM stock WHERE id = 1 FOR {lock} NOWAIT");
            Told::of(&other, &nowait)
                .await
                .is("55P03", &["could not obtain lock on row in relation \"stock\""]);
            other.batch_execute("ROLLBACK; BEGIN").await.expect("a block");
            let skip = format!("SELECT id FROM stock WHERE id IN (1, 2) FOR {lock} SKIP LOCKED");
            assert_eq!(column(&other, &skip).await, ["2"], "{}", home.name());
            other.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        }
        for write in [
            "UPDATE stock SET v = 1 WHERE id = 1",
            "BEGIN; DELETE FROM stock WHERE id = 1",
            "BEGIN; UPDATE stock SET v = v * 2 + 1 WHERE id = 1",
        ] {
            Told::of(&other, &format!("SET lock_timeout = '10ms'; {write}")).await.is("55P03", &[]);
            other.batch_execute("ROLLBACK; RESET lock_timeout").await.expect("ROLLBACK");
        }
        // Who is cancelled goes.
        let cancel = other.cancel_token();
        let waiting = tokio::spawn(async move {
            let told = Told::of(&other, "BEGIN; UPDATE stock SET v = 2 WHERE id = 1").await;
            (told, other)
        });
        waits(&behind).await;
        cancel.cancel_query(tokio_postgres::NoTls).await.expect("a cancel");
        let (told, other) = in_time(waiting).await.expect("the other");
        told.is("57014", &[]);
        other.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        // In a circle.
        other.batch_execute("BEGIN; UPDATE stock SET v = 1 WHERE id = 2").await.expect("a block");
        let circle = tokio::spawn(async move {
            other.batch_execute("UPDATE stock SET v = 3 WHERE id = 1; COMMIT").await
        });
        waits(&behind).await;
        let mine = one.batch_execute("UPDATE stock SET v = 4 WHERE id = 2; COMMIT").await;
        if mine.is_err() {
            let _ = one.batch_execute("ROLLBACK").await;
        }
        let theirs = in_time(circle).await.expect("the other");
        let failed: Vec<_> = [mine, theirs].into_iter().filter_map(Result::err).collect();
        assert_eq!(failed.iter().map(code).collect::<Vec<_>>(), ["40P01"], "{}", home.name());
    }
}

/// A lock ends with its savepoint, its client, and its gateway.
#[tokio::test]
async fn locks_end() {
    for home in Home::ALL {
        let Some(mut world) = world(home).await else { continue };
        let (one, other, behind) =
            (world.gateway().await, world.gateway().await, world.behind().await);
        one.batch_execute("BEGIN; UPDATE stock SET v = 1 WHERE id = 2; SAVEPOINT a; UPDATE stock SET v = 7 WHERE id = 1")
            .await
            .expect("a block");
        let write = tokio::spawn(async move {
            other
                .batch_execute("UPDATE stock SET v = v + 1 WHERE id = 1")
                .await
                .expect("the other");
            other
        });
        waits(&behind).await;
        one.batch_execute("ROLLBACK TO a").await.expect("ROLLBACK TO");
        let other = in_time(write).await.expect("the other");
        one.batch_execute("UPDATE stock SET v = v + 1 WHERE id = 1; COMMIT").await.expect("COMMIT");
        assert_eq!(
            column(&other, "SELECT v FROM stock ORDER BY id").await,
            ["2", "1"],
            "{}",
            home.name()
        );
        // A client that goes.
        one.batch_execute(
            "BEGIN; UPDATE stock SET v = 7 WHERE id = 1; INSERT INTO stock VALUES (9, 0, 'no')",
        )
        .await
        .expect("a block");
        drop(one);
        in_time(other.batch_execute(
            "UPDATE stock SET v = v + 1 WHERE id = 1; INSERT INTO stock VALUES (9, 9, 'i')",
        ))
        .await
        .expect("free rows");
        assert_eq!(
            column(&other, "SELECT v FROM stock ORDER BY id").await,
            ["3", "1", "9"],
            "{}",
            home.name()
        );
        // A failed block has no locks, even before its ROLLBACK.
        let one = world.gateway().await;
        Told::of(&one, "BEGIN; UPDATE stock SET v = 7 WHERE id = 1; SELECT 1 / 0")
            .await
            .is("22012", &[]);
        in_time(other.batch_execute("UPDATE stock SET v = v + 1 WHERE id = 1"))
            .await
            .expect("a free row");
        if !matches!(home, Home::Memory | Home::Relational) {
            // A gateway that is killed.
            one.batch_execute("ROLLBACK; BEGIN; UPDATE stock SET v = 7 WHERE id = 1; DELETE FROM stock WHERE id = 9; INSERT INTO stock VALUES (8, 0, 'no')")
                .await
                .expect("a block");
            let second = world.another_gateway().await;
            world.process_mut().kill().await;
            let other = connect(&url(&second)).await;
            in_time(other.batch_execute("UPDATE stock SET v = v + 1 WHERE id = 1"))
                .await
                .expect("a free row");
            in_time(other.batch_execute("BEGIN; DELETE FROM stock WHERE id = 9; INSERT INTO stock VALUES (8, 8, 'i'); COMMIT"))
                .await
                .expect("free rows");
            assert_eq!(
                column(&other, "SELECT v FROM stock ORDER BY id").await,
                ["5", "1", "8"],
                "{}",
                home.name()
            );
        }
    }
}

/// However many rows a block has, it takes few of PostgreSQL's locks.
#[tokio::test]
async fn thousands_of_rows() {
    for home in Home::QUICK {
        let Some(world) = world(home).await else { continue };
        let (one, other, behind) =
            (world.gateway().await, world.gateway().await, world.behind().await);
        let many = "INSERT INTO stock SELECT i, 0, 'x' FROM generate_series(10, 2000) i";
        one.batch_execute(many).await.expect("rows");
        one.batch_execute("BEGIN; UPDATE stock SET v = v + 1 WHERE id >= 10")
            .await
            .expect("a block");
        for number in 0..300 {
            let sql = format!(
                "SAVEPOINT s; UPDATE stock SET v = 1 WHERE id = {}; RELEASE s",
                10 + number
            );
            one.batch_execute(&sql).await.expect("a savepoint");
        }
        let locks: usize =
            column(&behind, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await[0]
                .parse()
                .expect("a number");
        assert!(locks < 200, "{locks}");
        let write = tokio::spawn(async move {
            other.batch_execute("UPDATE stock SET v = v + 10 WHERE id = 1500").await
        });
        waits(&behind).await;
        one.batch_execute("COMMIT").await.expect("COMMIT");
        in_time(write).await.expect("the other").expect("UPDATE");
        let sum = "SELECT sum(v) FROM stock WHERE id >= 10";
        assert_eq!(column(&one, sum).await, ["2001"], "{}", home.name());
    }
}

#[tokio::test]
async fn a_row_that_is_only_being_inserted_is_not_there() {
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        let (one, other) = (world.gateway().await, world.gateway().await);
        one.batch_execute("BEGIN; INSERT INTO stock VALUES (3, 0, 'c')").await.expect("a block");
        for write in ["UPDATE stock SET v = 9 WHERE id = 3", "DELETE FROM stock WHERE id = 3"] {
            let alone =
                tokio::time::timeout(Duration::from_secs(20), other.execute(write, &[])).await;
            assert_eq!(alone.expect("nobody is waited for").expect("no row"), 0, "{}", home.name());
            other.batch_execute("BEGIN").await.expect("a block");
            assert_eq!(
                in_time(other.execute(write, &[])).await.expect("no row"),
                0,
                "{}",
                home.name()
            );
            other.batch_execute("COMMIT").await.expect("COMMIT");
        }
        one.batch_execute("COMMIT").await.expect("COMMIT");
        assert_eq!(column(&other, "SELECT count(*) FROM stock").await, ["3"]);
    }
}
