//! What PostgreSQL tells at once, the gateway tells at once.

use flywheel_tests::raw::{Bind, Client, Event, Format, Message};
use flywheel_tests::world::{column, until};
use flywheel_tests::{Home, Setup, World};

fn bound() -> Message {
    Message::bind(&Bind {
        portal: "",
        statement: "",
        parameter_format: Format::Text,
        parameters: &[],
        result_format: Format::Text,
    })
}

fn batch(sql: &str) -> Vec<Message> {
    vec![Message::parse("", sql, &[]), bound(), Message::execute("", 0)]
}

async fn error_of(client: &mut Client) -> String {
    loop {
        if let Event::Error(report) = client.next().await.expect("an error") {
            return report.state().to_owned();
        }
    }
}

/// A session that holds a lock of this number, which ends the wait of whoever waits for it when it
/// goes.
async fn lock(world: &World, number: i32) -> tokio_postgres::Client {
    let behind = world.behind().await;
    behind.batch_execute(&format!("SELECT pg_advisory_lock({number})")).await.expect("a lock");
    behind
}

const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// The first of three statements that come in one packet is answered while the second runs; a
/// cancel reaches that one.
#[tokio::test]
async fn each_of_several_syncs_is_answered_when_it_can_be() {
    let setup = Setup::default().main("pool_size = 2").table("public.kv", Home::Memory);
    let Some(world) = setup.start().await else { return };
    let gateway = world.gateway().await;
    gateway
        .batch_execute("CREATE TABLE kv (k int PRIMARY KEY); INSERT INTO kv VALUES (7)")
        .await
        .expect("a table");
    let waits = "SELECT pg_advisory_xact_lock(5)";
    let first = ["SELECT 7", "SELECT k FROM kv WHERE k = 7", "SELECT 7 FOR UPDATE"];
    for (first, is_simple) in first.iter().flat_map(|first| [(first, true), (first, false)]) {
        let holder = lock(&world, 5).await;
        let mut client = world.raw().await;
        let mut messages = Vec::new();
        for sql in [first, waits, "SELECT 9"] {
            if is_simple {
                messages.push(Message::query(sql));
            } else {
                messages.extend(batch(sql));
                messages.push(Message::sync());
            }
        }
        client.send(&messages).await.expect("sent");
        let said = client.until_ready().await.expect("the first answer");
        assert!(said.contains(&Event::Row(vec![Some(b"7".to_vec())])), "{first}: {said:?}");
        until("the second one runs", async || column(&holder, WAITING).await == ["1"]).await;
        drop(holder);
        for _ in 0..2 {
            let said = client.until_ready().await.expect("an answer");
            assert!(matches!(said.last(), Some(Event::Ready('I'))), "{first}: {said:?}");
        }
    }
}

#[tokio::test]
async fn a_cancel_reaches_the_statement_that_runs() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let holder = lock(&world, 6).await;
    let client = world.gateway().await;
    let token = client.cancel_token();
    let (first, second, third) = tokio::join!(
        client.query("SELECT 1", &[]),
        async {
            until("the second one runs", async || column(&holder, WAITING).await == ["1"]).await;
            token.cancel_query(tokio_postgres::NoTls).await
        },
        client.query("SELECT pg_advisory_xact_lock(6)", &[]),
    );
    assert!(first.is_ok() && second.is_ok());
    let error = third.expect_err("it was cancelled");
    assert_eq!(error.code().map(|code| code.code()), Some("57014"));
    assert!(client.query("SELECT 2", &[]).await.is_ok());
}

#[tokio::test]
async fn an_error_waits_for_no_sync() {
    let setup = Setup::default().main("pool_size = 2").table("public.kv", Home::Memory);
    let Some(world) = setup.start().await else { return };
    let gateway = world.gateway().await;
    gateway
        .batch_execute("CREATE TABLE kv (k int PRIMARY KEY); CREATE TABLE near (v int)")
        .await
        .expect("tables");
    for (sql, state) in [
        ("SELECT 1/0", "22012"),
        ("SELEC", "42601"),
        ("INSERT INTO near VALUES (1/0)", "22012"),
        ("INSERT INTO kv VALUES (NULL)", "23502"),
    ] {
        let mut client = world.raw().await;
        client.send(&batch("INSERT INTO near VALUES (1)")).await.expect("sent");
        client.send(&batch(sql)).await.expect("sent");
        assert_eq!(error_of(&mut client).await, state, "{sql}");
        client.send(&[Message::sync()]).await.expect("sent");
        let said = client.until_ready().await.expect("an end");
        assert_eq!(said.last(), Some(&Event::Ready('I')), "{sql}: {said:?}");
        let behind = world.behind().await;
        assert!(column(&behind, "SELECT v FROM near").await.is_empty(), "{sql}");
    }
}

/// A load learns of its first row before it sends the last.
#[tokio::test]
async fn a_copy_fails_when_its_row_does() {
    let setup = Setup::default().main("pool_size = 2").table("public.kv", Home::Memory);
    let Some(world) = setup.start().await else { return };
    let gateway = world.gateway().await;
    gateway
        .batch_execute("CREATE TABLE kv (k int PRIMARY KEY); CREATE TABLE near (k int)")
        .await
        .expect("tables");
    let data = |rows: &str| Message::new(b'd', rows.as_bytes());
    for table in ["near", "kv"] {
        for is_extended in [false, true] {
            for is_block in [false, true] {
                let why = format!("{table}, extended: {is_extended}, in a block: {is_block}");
                let mut client = world.raw().await;
                if is_block {
                    client.query("BEGIN").await.expect("a block");
                }
                let copy = format!("COPY {table} FROM STDIN");
                if is_extended {
                    let mut messages = batch(&copy);
                    messages.push(Message::sync());
                    client.send(&messages).await.expect("sent");
                } else {
                    client.send(&[Message::query(&copy)]).await.expect("sent");
                }
                while !matches!(client.next().await.expect("an answer"), Event::Other('G', _)) {}
                // Enough for the server to begin with it.
                let rows: String = (0..20_000).map(|row| format!("{row}\n")).collect();
                client.send(&[data("1\n2\nnone\n"), data(&rows)]).await.expect("sent");
                client.send(&[data(&rows), data("4\n")]).await.expect("sent");
                assert_eq!(error_of(&mut client).await, "22P02", "{why}");
                // The client hears of it when it has sent some more.
                client.send(&[data("5\n"), Message::new(b'c', b"")]).await.expect("sent");
                if is_extended {
                    client.send(&[Message::sync()]).await.expect("sent");
                }
                let said = client.until_ready().await.expect("an end");
                let status = if is_block { 'E' } else { 'I' };
                assert_eq!(said, [Event::Ready(status)], "{why}");
                if is_block {
                    client.query("ROLLBACK").await.expect("an end");
                }
                let said = client
                    .query(&format!("SELECT count(*) FROM {table}"))
                    .await
                    .expect("an answer");
                assert!(said.contains(&Event::Row(vec![Some(b"0".to_vec())])), "{why}: {said:?}");
            }
        }
    }
}

/// A client in a block, which says nothing, is told that the block is lost.
#[tokio::test]
async fn the_end_of_the_server_connection_is_told_at_once() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let behind = world.behind().await;
    let ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE datname = current_database() AND state = 'idle in transaction'";
    for (settings, end, state) in [
        ("BEGIN", ours, "57P01"),
        ("SET idle_in_transaction_session_timeout = 50; BEGIN", "", "25P03"),
        ("SET idle_session_timeout = '50ms'", "", "57P05"),
    ] {
        let mut client = world.raw().await;
        let said = client.query(settings).await.expect("a block");
        let status = if settings.contains("BEGIN") { 'T' } else { 'I' };
        assert_eq!(said.last(), Some(&Event::Ready(status)));
        if !end.is_empty() {
            assert_eq!(column(&behind, end).await, ["1"]);
        }
        assert_eq!(error_of(&mut client).await, state);
        assert_eq!(client.until_closed().await, Ok(Vec::new()), "{settings}");
        // Its neighbours don't hear of it.
        let mut other = world.raw().await;
        let said = other.query("SELECT 1").await.expect("an answer");
        assert!(said.contains(&Event::Done("SELECT 1".into())), "{said:?}");
    }
}

/// What a definition only mentions is called by others, later.
#[tokio::test]
async fn definitions_that_mention_a_sequences_value_are_not_refused() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let mut client = world.raw().await;
    for sql in [
        "CREATE SEQUENCE numbers",
        "CREATE TABLE numbered (a int DEFAULT nextval('numbers'), b int DEFAULT currval('numbers'))",
        "CREATE VIEW latest AS SELECT currval('numbers')",
        "EXPLAIN SELECT currval('numbers')",
        "ALTER TABLE numbered ALTER b SET DEFAULT currval('numbers') + 1",
        "INSERT INTO numbered DEFAULT VALUES",
    ] {
        let said = client.query(sql).await.expect("an answer");
        assert!(!said.iter().any(|event| matches!(event, Event::Error(_))), "{sql}: {said:?}");
    }
    // No session keeps its connection for that: there is one for each of these.
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = world.raw().await;
        let said = other.query("EXPLAIN SELECT currval('numbers')").await.expect("an answer");
        assert_eq!(said.last(), Some(&Event::Ready('I')), "{said:?}");
        others.push(other);
    }
}

#[tokio::test]
async fn warnings_come_through() {
    let setup = Setup::default().table("public.kv", Home::Memory);
    let Some(world) = setup.start().await else { return };
    let (mut ours, mut theirs) = (world.raw().await, world.raw_oracle().await);
    let long = "n".repeat(70);
    for sql in [
        "CREATE TABLE kv (k int PRIMARY KEY)",
        "COMMIT",
        "ROLLBACK",
        "INSERT INTO kv VALUES (1); COMMIT",
        "INSERT INTO kv VALUES (2); ROLLBACK",
        "BEGIN; BEGIN; COMMIT",
        &format!("CREATE VIEW {long} AS SELECT k FROM kv"),
        "CREATE OR REPLACE VIEW plain AS SELECT k FROM kv",
        "DROP TABLE IF EXISTS nothing_of_this_name",
    ] {
        let warned = |said: Vec<Event>| -> Vec<String> {
            let notices = said.iter().filter(|event| matches!(event, Event::Notice(_)));
            notices.map(ToString::to_string).collect()
        };
        let expected = warned(theirs.query(sql).await.expect("an answer"));
        let found = warned(ours.query(sql).await.expect("an answer"));
        assert_eq!(found, expected, "{sql}");
    }
}

/// Load balancers look whether anybody listens, and say nothing.
#[tokio::test]
async fn a_connection_that_is_opened_and_closed_is_nothing_to_tell() {
    let Some(world) = World::start().await else { return };
    let before = world.process().log().len();
    for _ in 0..3 {
        let mut client = Client::connect(world.process().address()).await.expect("a connection");
        client.close_writing().await;
        assert_eq!(client.until_closed().await, Ok(Vec::new()));
    }
    let mut client = world.raw().await;
    client.query("SELECT 1").await.expect("an answer");
    let log = world.process().log().split_off(before);
    assert!(!log.iter().any(|line| line.contains("client has gone")), "{log:?}");
}
