//! Clients that go, or give up, while their statement runs or waits.

use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Setup, Told, World};
use tokio_postgres::NoTls;

/// Statements that don't end by themselves: one that borrows a connection, one that goes over a
/// shared one, a write.
const ENDLESS: [&str; 3] = [
    "SELECT pg_sleep(1000)",
    "SELECT count(*) FROM generate_series(1, 1000000000000)",
    "UPDATE things SET id = id WHERE pg_sleep(1000) IS NOT NULL",
];

async fn world(main: &str) -> Option<World> {
    let world = Setup::default().main(main).start().await?;
    let table = "CREATE TABLE things (id int); INSERT INTO things VALUES (1)";
    world.behind().await.batch_execute(table).await.expect("a table");
    Some(world)
}

async fn running(behind: &tokio_postgres::Client) -> String {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()
               AND (query LIKE '%pg_sleep(1000)%' OR query LIKE '%1000000000000%')";
    column(behind, sql).await.remove(0)
}

#[tokio::test]
async fn the_statement_of_a_client_that_has_gone_is_stopped() {
    let Some(world) = world("pool_size = 2").await else { return };
    let behind = world.behind().await;
    for sql in ENDLESS {
        for (in_block, by_query) in [(false, true), (false, false), (true, true)] {
            let mut gone = world.raw().await;
            if in_block {
                gone.query("BEGIN; INSERT INTO things VALUES (2)").await.expect("an answer");
            }
            if by_query {
                gone.send(&[Message::query(sql)]).await.expect("sent");
            } else {
                gone.send(&Message::batch_of(sql)).await.expect("sent");
            }
            in_time(async { while running(&behind).await != "1" {} }).await;
            drop(gone);
            in_time(async { while running(&behind).await != "0" {} }).await;
            // All of the pool serves others, and nothing is left of what was open.
            let mut others = Vec::new();
            for _ in 0..2 {
                let other = world.gateway().await;
                in_time(async { while other.batch_execute("SELECT 1; BEGIN").await.is_err() {} })
                    .await;
                assert_eq!(column(&other, "SELECT id FROM things").await, ["1"], "{sql}");
                if others.is_empty() {
                    other.batch_execute("COMMIT").await.expect("COMMIT");
                }
                others.push(other);
            }
        }
    }
}

/// One that only says that nothing more comes still hears.
#[tokio::test]
async fn a_client_that_says_nothing_more_gets_its_answers() {
    let Some(world) = world("pool_size = 2").await else { return };
    for sql in [
        "SELECT pg_sleep(0.5), 'slept'",
        "SELECT 'slept' FROM generate_series(1, 1000000) HAVING count(*) > 0",
        "SELECT 'slept' WHERE 1 = 1",
    ] {
        let mut client = world.raw().await;
        client.send(&[Message::query(sql), Message::query("SELECT 'more'")]).await.expect("sent");
        client.close_writing().await;
        let said = client.until_closed().await.expect("an end");
        let rows = said.iter().filter(|event| matches!(event, Event::Row(_))).count();
        let readies = said.iter().filter(|event| matches!(event, Event::Ready(_))).count();
        assert_eq!((rows, readies), (2, 2), "{sql}: {said:?}");
        let known = |event: &Event| !matches!(event, Event::Setting(name, value) if (name.as_str(), value.as_str()) != ("integer_datetimes", "on"));
        assert!(said.iter().all(known), "{sql}: {said:?}");
    }
}

#[tokio::test]
async fn what_is_sent_while_a_statement_runs_is_not_lost() {
    let Some(world) = world("pool_size = 1").await else { return };
    let mut client = world.raw().await;
    client.send(&[Message::query("SELECT pg_sleep(0.5)")]).await.expect("sent");
    let filler = "x".repeat(30_000);
    for number in 0..10 {
        client
            .send(&[Message::query(&format!("SELECT {number}, length('{filler}')"))])
            .await
            .expect("sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.until_ready().await.expect("an answer");
    for number in 0..10 {
        let said = client.until_ready().await.expect("an answer");
        let row = Event::Row(vec![Some(number.to_string().into_bytes()), Some(b"30000".to_vec())]);
        assert!(said.contains(&row), "{said:?}");
    }
}

#[tokio::test]
async fn a_wait_for_a_connection_is_cancelled() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"60s\"").await else {
        return;
    };
    let (holder, waiter) = (world.gateway().await, world.gateway().await);
    for sql in [
        "SELECT id FROM things",
        "SELECT pg_backend_pid() FROM things FOR UPDATE",
        "BEGIN",
        "INSERT INTO things VALUES (2)",
    ] {
        holder.batch_execute("BEGIN").await.expect("BEGIN");
        let token = waiter.cancel_token();
        let cancels = tokio::spawn(async move {
            // One may come before the statement does.
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                token.cancel_query(NoTls).await.expect("a cancel request");
            }
        });
        let told = in_time(Told::of(&waiter, sql)).await;
        cancels.abort();
        told.is("57014", &["canceling statement due to user request"]);
        holder.batch_execute("COMMIT").await.expect("COMMIT");
        // A late one may still come.
        in_time(async { while waiter.batch_execute("SELECT 1").await.is_err() {} }).await;
        assert_eq!(column(&holder, "SELECT id FROM things").await, ["1"], "{sql}");
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_makes_room() {
    let setup = Setup::default()
        .main("pool_size = 1\nacquire_timeout = \"60s\"")
        .key("max_connections = 2");
    let Some(world) = setup.start().await else { return };
    let holder = world.gateway().await;
    holder.batch_execute("BEGIN").await.expect("BEGIN");
    for sql in ["SELECT 1", "SELECT pg_backend_pid()"] {
        let mut waiter = loop {
            // The place of the one before may not be free yet.
            if let Ok(waiter) = Client::login(world.process().address(), "postgres", "app").await {
                break waiter;
            }
        };
        waiter.send(&[Message::query(sql)]).await.expect("sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(waiter);
    }
    in_time(async {
        while Client::login(world.process().address(), "postgres", "app").await.is_err() {}
    })
    .await;
    holder.batch_execute("COMMIT").await.expect("COMMIT");
}
