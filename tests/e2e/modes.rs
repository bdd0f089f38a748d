//! For how long a client keeps a server connection: `pool_mode`.

use flywheel_tests::raw::{Event, Message};
use flywheel_tests::world::{column, connect};
use flywheel_tests::{Home, Setup, Told, World};

const SESSION: &str = "pool_mode = \"session\"";
const STATEMENT: &str = "pool_mode = \"statement\"";

#[tokio::test]
async fn a_session_keeps_its_connection() {
    let setup =
        Setup::default().main(SESSION).main("pool_size = 2").main("acquire_timeout = \"300ms\"");
    let Some(world) = setup.start().await else { return };
    let (one, other, third) = (world.gateway().await, world.gateway().await, world.gateway().await);
    let own = column(&one, "SELECT pg_backend_pid()").await;
    let others = column(&other, "SELECT pg_backend_pid()").await;
    assert_ne!(own, others);
    one.batch_execute("CREATE SEQUENCE numbers; SELECT nextval('numbers')")
        .await
        .expect("a sequence");
    // What transaction pooling can't carry over needs no care here.
    for sql in [
        "SET statement_timeout = '9s'; PREPARE mine AS SELECT 5; SELECT pg_advisory_lock(1)",
        "SELECT set_config('search_path', 'elsewhere, public', false)",
        "CREATE TEMP TABLE kept AS SELECT 6 AS a",
    ] {
        one.batch_execute(sql).await.expect(sql);
    }
    for _ in 0..3 {
        assert_eq!(column(&one, "SELECT pg_backend_pid()").await, own);
        assert_eq!(column(&other, "SELECT pg_backend_pid()").await, others);
        assert_eq!(
            column(&one, "SELECT lastval(); EXECUTE mine; SELECT a FROM kept; SHOW search_path")
                .await,
            ["1", "5", "6", "elsewhere, public"]
        );
        let statement = one.prepare("SELECT pg_backend_pid()::text").await.expect("a statement");
        assert_eq!(
            one.query_one(&statement, &[]).await.expect("a row").get::<_, String>(0),
            own[0]
        );
    }
    Told::of(&third, "SELECT 1")
        .await
        .is("53300", &["300ms", "role \"postgres\"", "`pool_size`", "acquire_timeout"]);
    // DISCARD ALL cleans the session; the connection stays.
    one.batch_execute("DISCARD ALL").await.expect("DISCARD ALL");
    assert_eq!(column(&one, "SELECT pg_backend_pid()").await, own);
    one.batch_execute("SELECT pg_advisory_lock(1); CREATE TEMP TABLE kept AS SELECT 7 AS a")
        .await
        .expect("a table");
    // At its end it goes to the next, clean.
    drop(one);
    let sql = "SELECT pg_backend_pid(); SELECT pg_try_advisory_lock(1); SELECT to_regclass('kept') IS NULL; SHOW search_path";
    let next = loop {
        if let Ok(messages) = third.simple_query(sql).await {
            break messages;
        }
    };
    let values: Vec<_> = next
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    assert_eq!(values, [own[0].as_str(), "t", "t", "\"$user\", public"]);
}

/// Before its first statement a client needs no connection, whatever it asks for at login.
#[tokio::test]
async fn a_session_without_statements_keeps_nothing() {
    let setup =
        Setup::default().main(SESSION).main("pool_size = 1").main("acquire_timeout = \"1s\"");
    let Some(world) = setup.start().await else { return };
    let url = format!("{}?options=-c%20TimeZone=Asia/Tokyo", world.url());
    let idle = futures_util::future::join_all((0..5).map(|_| connect(&url))).await;
    assert_eq!(column(&world.gateway().await, "SELECT 1").await, ["1"]);
    let mut idle = idle.into_iter();
    let first = idle.next().expect("a client");
    // The one before may be on its way out still.
    while first.batch_execute("SELECT 1").await.is_err() {}
    assert_eq!(column(&first, "SHOW TimeZone").await, ["Asia/Tokyo"]);
}

#[tokio::test]
async fn store_tables_in_a_session() {
    let setup = Setup::default().main(SESSION).table("public.carts", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE carts (id int PRIMARY KEY, n int); INSERT INTO carts VALUES (1, 10)",
        )
        .await
        .expect("a table");
    client
        .batch_execute("BEGIN; UPDATE carts SET n = 11 WHERE id = 1; COMMIT")
        .await
        .expect("a block");
    assert_eq!(column(&client, "SELECT n FROM carts WHERE id = 1").await, ["11"]);
    client
        .batch_execute("CREATE TEMP TABLE carts AS SELECT 1 AS id, 99 AS n")
        .await
        .expect("a table");
    assert_eq!(column(&client, "SELECT n FROM carts WHERE id = 1").await, ["99"]);
}

#[tokio::test]
async fn statement_pooling_has_no_transaction_blocks() {
    let setup =
        Setup::default().main(STATEMENT).main("pool_size = 1").table("public.carts", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE rows (a int); CREATE TABLE carts (id int PRIMARY KEY)")
        .await
        .expect("tables");
    for sql in [
        "BEGIN",
        "START TRANSACTION READ ONLY",
        "INSERT INTO rows VALUES (1); BEGIN; INSERT INTO rows VALUES (2); COMMIT",
        "BEGIN; INSERT INTO carts VALUES (1); COMMIT",
    ] {
        Told::of(&client, sql).await.is("0A000", &["statement", "pool_mode"]);
    }
    Told::by(client.prepare("BEGIN").await.map(drop)).is("0A000", &["pool_mode"]);
    // A text is a transaction of its own, also where Flywheel runs it.
    client
        .batch_execute("INSERT INTO rows VALUES (1); SELECT 1 / 0")
        .await
        .expect_err("a division by zero");
    client
        .batch_execute("INSERT INTO carts VALUES (2); INSERT INTO rows VALUES (3)")
        .await
        .expect("rows");
    assert_eq!(column(&client, "SELECT a FROM rows; SELECT id FROM carts").await, ["3", "2"]);
    let mut raw = world.raw().await;
    let batch = Message::batch_of("INSERT INTO rows VALUES (4)");
    raw.send(&batch).await.expect("a batch");
    assert_eq!(raw.until_ready().await.expect("an answer").last(), Some(&Event::Ready('I')));
    assert_eq!(column(&client, "SELECT count(*) FROM rows").await, ["2"]);
}

#[tokio::test]
async fn users_have_modes_of_their_own() {
    let user = |name: &str, mode: &str| format!("[[users]]\nname = {name:?}\n{mode}");
    let setup = Setup::default()
        .main(STATEMENT)
        .section(&user("keeps", SESSION))
        .section(&user("blocks", "pool_mode = \"transaction\""))
        .section(&user("plain", ""));
    let Some(world) = setup.start().await else { return };
    let of = async |world: &World, user: &str| connect(&world.url_of(user)).await;
    let (keeps, blocks, plain) =
        (of(&world, "keeps").await, of(&world, "blocks").await, of(&world, "plain").await);
    let own = column(&keeps, "SELECT pg_backend_pid()").await;
    for client in [&blocks, &keeps] {
        client.batch_execute("BEGIN; SELECT 1; COMMIT").await.expect("a block");
    }
    Told::of(&plain, "BEGIN").await.is("0A000", &[]);
    assert_ne!(column(&blocks, "SELECT pg_backend_pid()").await, own);
    assert_eq!(column(&keeps, "SELECT pg_backend_pid()").await, own);
}
