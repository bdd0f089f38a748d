//! Definitions of store tables in transactions that are undone, as a whole or in part: rows are
//! there again, or gone for good, as PostgreSQL has them.

mod cases;

use flywheel_tests::child::in_time;
use flywheel_tests::raw::Message;
use flywheel_tests::world::{column, until};
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::{Client, SimpleQueryMessage};

use self::cases::CASES;

const ANYWHERE: &[&str] = &["allow_drop = true", "allow_scan = true"];
const SORTED_SET: &[&str] =
    &["allow_drop = true", "allow_scan = true", "layout = \"sorted_set\"", "score = \"n\""];

/// Stores with a table's keys there, for what is tried in one home after the other.
fn homes() -> impl Iterator<Item = (Home, &'static [&'static str])> {
    let sorted_sets = Home::SORTED_SETS.map(|home| (home, SORTED_SET));
    Home::STORES.map(|home| (home, ANYWHERE)).into_iter().chain(sorted_sets)
}

const CREATE: &str = "CREATE TABLE shop.carts (id int PRIMARY KEY, n bigint NOT NULL)";
const ROWS: &str = "INSERT INTO shop.carts VALUES (1, 10), (2, 20)";
const ALL: &str = "SELECT id || ':' || n FROM shop.carts ORDER BY id";
const ONE: &str = "SELECT n FROM shop.carts WHERE id = 1";

/// What a statement gives: the rows, or the SQLSTATE.
async fn outcome(client: &Client, sql: &str, prepared: bool) -> Vec<String> {
    let rows = if prepared && !sql.contains("; ") {
        match client.query(sql, &[]).await {
            Ok(rows) => Ok(rows.iter().map(text).collect()),
            Err(error) => Err(error),
        }
    } else {
        client.simple_query(sql).await.map(|messages| {
            let text = |message: &SimpleQueryMessage| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                _ => None,
            };
            messages.iter().filter_map(text).collect()
        })
    };
    rows.unwrap_or_else(|error| {
        vec![error.code().map_or_else(|| format!("{error:?}"), |code| code.code().to_owned())]
    })
}

fn text(row: &tokio_postgres::Row) -> String {
    row.try_get::<_, String>(0)
        .or_else(|_| row.try_get::<_, i64>(0).map(|n| n.to_string()))
        .or_else(|_| row.try_get::<_, i32>(0).map(|n| n.to_string()))
        .unwrap_or_else(|error| error.to_string())
}

async fn world(home: Home, keys: &[&str]) -> Option<World> {
    let world = Setup::default().table_with("shop.carts", home, keys).start().await?;
    home.is_available(world.servers()).then_some(world)
}

/// The table, with its rows.
async fn make(client: &Client) {
    for sql in ["CREATE SCHEMA IF NOT EXISTS shop", "DROP TABLE IF EXISTS shop.carts", CREATE, ROWS]
    {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

async fn as_postgresql_has_them(home: Home, keys: &[&str]) {
    let Some(world) = world(home, keys).await else { return };
    let (ours, beside) = (world.gateway().await, world.gateway().await);
    let (oracle, oracle_beside) = (world.oracle().await, world.oracle().await);
    for client in [&ours, &oracle] {
        client.batch_execute("CREATE TABLE more (id int)").await.expect("a table");
    }
    for prepared in [false, true] {
        for (case, steps) in CASES {
            make(&beside).await;
            make(&oracle_beside).await;
            // Planned already.
            for _ in 0..2 {
                assert_eq!(outcome(&beside, ONE, prepared).await, ["10"], "{home:?} {case}");
            }
            let when =
                |step: &str| format!("{home:?} {keys:?} prepared {prepared}, {case}: {step}");
            for step in *steps {
                let expected = outcome(&oracle, step, prepared).await;
                assert_eq!(outcome(&ours, step, prepared).await, expected, "{}", when(step));
            }
            for (client, oracle) in [(&ours, &oracle), (&beside, &oracle_beside)] {
                for step in [
                    ONE,
                    ALL,
                    "INSERT INTO shop.carts VALUES (9, 90)",
                    "UPDATE shop.carts SET n = n + 1 WHERE id = 9",
                    ALL,
                ] {
                    let expected = outcome(oracle, step, prepared).await;
                    assert_eq!(outcome(client, step, prepared).await, expected, "{}", when(step));
                }
            }
        }
    }
    let behind = world.behind().await;
    let left = column(&behind, "SELECT count(*) FROM flywheel.definitions").await;
    assert_eq!(left, ["0"], "{home:?}");
}

mod as_postgresql_has_them {
    use super::*;

    macro_rules! in_stores {
        ($($name:ident: $home:ident $what:literal,)*) => {
            $(#[tokio::test]
            async fn $name() {
                as_postgresql_has_them(Home::$home, ANYWHERE).await;
            })*
        };
    }

    flywheel_tests::with_stores!(in_stores);

    #[tokio::test]
    async fn sorted_sets() {
        for home in Home::SORTED_SETS {
            as_postgresql_has_them(home, SORTED_SET).await;
        }
    }
}

/// A client that goes leaves nothing, neither for others.
#[tokio::test]
async fn by_a_client_that_goes() {
    for (home, keys) in homes() {
        let Some(world) = world(home, keys).await else { continue };
        let beside = world.gateway().await;
        for drops in [
            "DROP TABLE shop.carts",
            "DROP SCHEMA shop CASCADE",
            "DELETE FROM shop.carts; DROP TABLE shop.carts",
        ] {
            make(&beside).await;
            assert_eq!(outcome(&beside, ONE, true).await, ["10"]);
            let mut raw = world.raw().await;
            raw.query("BEGIN").await.expect("BEGIN");
            for sql in drops.split("; ") {
                raw.query(sql).await.expect("an answer");
            }
            drop(raw);
            assert_eq!(
                outcome(&beside, "UPDATE shop.carts SET n = n + 1 WHERE id = 1", false).await,
                [""; 0]
            );
            assert_eq!(outcome(&beside, ALL, true).await, ["1:11", "2:20"], "{home:?} {drops}");
        }
        // Nor a table that it has only begun to make.
        beside.batch_execute("DROP TABLE shop.carts").await.expect("DROP TABLE");
        let mut raw = world.raw().await;
        raw.query("BEGIN").await.expect("BEGIN");
        raw.query(CREATE).await.expect("an answer");
        drop(raw);
        let other = "CREATE TABLE shop.carts (id text PRIMARY KEY, n bigint NOT NULL)";
        until("the table can be made with another key", async || {
            beside.batch_execute(other).await.is_ok()
        })
        .await;
        beside.batch_execute("INSERT INTO shop.carts VALUES ('a', 1)").await.expect("a row");
    }
}

/// A batch is one transaction.
#[tokio::test]
async fn in_a_batch() {
    for (home, keys) in homes() {
        let Some(world) = world(home, keys).await else { continue };
        let beside = world.gateway().await;
        make(&beside).await;
        let mut raw = world.raw().await;
        let batch = |statements: &[&str]| -> Vec<Message> {
            let each = statements.iter().flat_map(|sql| Message::batch_of(sql).into_iter().take(3));
            each.chain([Message::sync()]).collect()
        };
        raw.send(&batch(&["DROP TABLE shop.carts", "SELECT 1/0"])).await.expect("sent");
        raw.until_ready().await.expect("an answer");
        assert_eq!(column(&beside, ALL).await, ["1:10", "2:20"], "{home:?}");
        raw.send(&batch(&["DROP TABLE shop.carts", "SELECT 1"])).await.expect("sent");
        raw.until_ready().await.expect("an answer");
        Told::of(&beside, ONE).await.is("42P01", &["carts"]);
        beside.batch_execute(CREATE).await.expect("the table anew");
        assert_eq!(column(&beside, ALL).await, [""; 0], "{home:?}");
        // What needs a block undoes the batch.
        for last in
            ["COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s"]
        {
            raw.send(&batch(&["INSERT INTO shop.carts VALUES (6, 60)", last])).await.expect("sent");
            let told = raw.until_ready().await.expect("an answer");
            let told: Vec<_> = told.iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|event| event.contains("25P01")), "{home:?} {last}: {told:#?}");
            assert_eq!(column(&beside, ALL).await, [""; 0], "{home:?} {last}");
        }
    }
}

/// Definitions that a block sees, and nobody else, are nobody else's when it has gone.
#[tokio::test]
async fn others_see_what_is_there() {
    for (home, keys) in homes() {
        let Some(world) = world(home, keys).await else { continue };
        let beside = world.gateway().await;
        let insert = "BEGIN; INSERT INTO shop.carts VALUES (3, 30); COMMIT";
        for goes in [true, false] {
            make(&beside).await;
            beside.batch_execute("DELETE FROM shop.carts").await.expect("DELETE");
            let mut raw = world.raw().await;
            for sql in [
                "BEGIN",
                "DROP TABLE shop.carts CASCADE",
                CREATE,
                "INSERT INTO shop.carts VALUES (3, 30)",
                "SELECT n FROM shop.carts WHERE id = 3",
            ] {
                let told = raw.query(sql).await.expect("an answer");
                let told: Vec<_> = told.iter().map(ToString::to_string).collect();
                assert!(
                    !told.iter().any(|event| event.starts_with("error")),
                    "{home:?} {sql}: {told:#?}"
                );
            }
            if goes {
                drop(raw);
            } else {
                raw.query("ROLLBACK").await.expect("ROLLBACK");
            }
            beside
                .batch_execute(insert)
                .await
                .unwrap_or_else(|error| panic!("{home:?} {goes}: {error:?}"));
            assert_eq!(
                column(&beside, "SELECT n FROM shop.carts WHERE id = 3").await,
                ["30"],
                "{home:?}"
            );
            let again = world.gateway().await;
            Told::of(&again, "INSERT INTO shop.carts VALUES (3, 30)").await.is("23505", &["carts"]);
        }
    }
}

/// Blocks that define different tables don't wait for each other.
#[tokio::test]
async fn beside_another_block() {
    for home in Home::KINDS {
        let setup = Setup::default().table("public.one", home).table("public.two", home);
        let Some(world) = setup.start().await else { continue };
        let clients = [("one", world.gateway().await), ("two", world.gateway().await)];
        for (table, client) in &clients {
            client
                .batch_execute(&format!("CREATE TABLE {table} (id int PRIMARY KEY)"))
                .await
                .expect("a table");
        }
        for step in [
            "BEGIN",
            "DROP TABLE {table}",
            "CREATE TABLE {table} (id int PRIMARY KEY)",
            "INSERT INTO {table} VALUES (1)",
            "SELECT id FROM {table}",
            "ROLLBACK",
        ] {
            for (table, client) in &clients {
                let sql = step.replace("{table}", table);
                in_time(client.batch_execute(&sql))
                    .await
                    .unwrap_or_else(|error| panic!("{home:?} {sql}: {error:?}"));
            }
        }
        for (table, client) in &clients {
            assert_eq!(
                column(client, &format!("SELECT count(*) FROM {table}")).await,
                ["0"],
                "{home:?}"
            );
        }
    }
}

/// What another session, or another gateway, decides.
#[tokio::test]
async fn prepared_transactions() {
    for (home, keys) in homes() {
        let Some(world) = world(home, keys).await else { continue };
        let (ours, beside) = (world.gateway().await, world.gateway().await);
        let behind = world.behind().await;
        if column(&behind, "SHOW max_prepared_transactions").await == ["0"] {
            continue;
        }
        for (decision, by_us) in
            [("ROLLBACK", true), ("ROLLBACK", false), ("COMMIT", true), ("COMMIT", false)]
        {
            make(&beside).await;
            ours.batch_execute("BEGIN; DROP TABLE shop.carts; PREPARE TRANSACTION 'it'")
                .await
                .expect("prepared");
            let decider = if by_us { &beside } else { &behind };
            decider.batch_execute(&format!("{decision} PREPARED 'it'")).await.expect(decision);
            if decision == "ROLLBACK" {
                assert_eq!(column(&beside, ALL).await, ["1:10", "2:20"], "{home:?}");
                continue;
            }
            beside.batch_execute(CREATE).await.expect("the table anew");
            assert_eq!(column(&ours, ALL).await, [""; 0], "{home:?} by us: {by_us}");
        }
        // A table that is made.
        beside.batch_execute("DROP TABLE shop.carts").await.expect("DROP TABLE");
        for decision in ["ROLLBACK", "COMMIT"] {
            let prepare = format!("BEGIN; {CREATE}; PREPARE TRANSACTION 'it'");
            ours.batch_execute(&prepare).await.expect("prepared");
            beside.batch_execute(&format!("{decision} PREPARED 'it'")).await.expect(decision);
        }
        beside.batch_execute(ROWS).await.expect("rows");
        assert_eq!(column(&ours, ALL).await, ["1:10", "2:20"], "{home:?}");
    }
}

/// Rows that are still there can't make room for others in the transaction that drops them.
#[tokio::test]
async fn dropped_with_rows_and_made_anew() {
    for (home, keys) in homes() {
        let Some(world) = world(home, keys).await else { continue };
        let client = world.gateway().await;
        make(&client).await;
        client.batch_execute("BEGIN; DROP TABLE shop.carts").await.expect("DROP TABLE");
        Told::of(&client, CREATE).await.is("0A000", &["shop.carts", "COMMIT"]);
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        assert_eq!(column(&client, ALL).await, ["1:10", "2:20"], "{home:?}");
        Told::of(&client, &format!("DROP TABLE shop.carts; {CREATE}"))
            .await
            .is("0A000", &["shop.carts"]);
        assert_eq!(column(&client, ALL).await, ["1:10", "2:20"], "{home:?}");
    }
}
