//! COPY FROM STDIN and TRUNCATE of store tables, as drivers do them and at their limits.

use std::time::Duration;

use bytes::Bytes;
use flywheel_tests::raw::{Event, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told, World};
use futures_util::SinkExt;
use tokio::time::timeout;
use tokio_postgres::Client;

async fn items(home: Home, setup: Setup) -> Option<(World, Client)> {
    let world = setup.table("public.items", home).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL)")
        .await
        .expect("a table");
    Some((world, client))
}

/// Copies rows as text; how many, or the error.
async fn copy(
    client: &Client,
    rows: impl Iterator<Item = String>,
) -> Result<u64, tokio_postgres::Error> {
    let mut sink = Box::pin(client.copy_in::<_, Bytes>("COPY items FROM STDIN").await?);
    for row in rows {
        sink.send(Bytes::from(row)).await?;
    }
    sink.as_mut().finish().await
}

fn row(id: usize) -> String {
    format!("{id}\titem {id}\n")
}

#[tokio::test]
async fn a_load_larger_than_any_other_statement_may_be() {
    for home in Home::KINDS {
        let Some((_world, client)) =
            items(home, Setup::default().limit("max_fetch_rows = 200")).await
        else {
            continue;
        };
        assert_eq!(copy(&client, (0..1234).map(row)).await.expect("a copy"), 1234);
        let ends = "SELECT name FROM items WHERE id IN (0, 99, 100, 1233, 1234) ORDER BY id";
        assert_eq!(column(&client, ends).await, ["item 0", "item 99", "item 100", "item 1233"]);
        // One key of the last rows is taken: none is written.
        let again = copy(&client, (2000..2500).map(row).chain([row(1233)])).await;
        Told::by(again).is("23505", &["items_pkey"]);
        assert_eq!(
            column(&client, "SELECT count(*) FROM items WHERE id IN (2000, 2499)").await,
            ["0"]
        );
        // A block's writes wait in memory.
        client.batch_execute("BEGIN").await.expect("BEGIN");
        Told::by(copy(&client, (3000..3201).map(row)).await)
            .is("54000", &["200 rows", "max_fetch_rows"]);
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        Told::of(&client, "TRUNCATE items").await.is("54000", &["more than 200 rows"]);
        assert_eq!(column(&client, ends).await.len(), 4);
    }
}

#[tokio::test]
async fn rows_in_binary() {
    let Some((_world, client)) = items(Home::Redis, Setup::default()).await else {
        return;
    };
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (id, name) in [(1_i32, "one"), (2, "two")] {
        data.extend_from_slice(&2_i16.to_be_bytes());
        data.extend_from_slice(&4_i32.to_be_bytes());
        data.extend_from_slice(&id.to_be_bytes());
        data.extend_from_slice(&i32::try_from(name.len()).expect("a length").to_be_bytes());
        data.extend_from_slice(name.as_bytes());
    }
    data.extend_from_slice(&(-1_i16).to_be_bytes());
    let sink =
        client.copy_in::<_, Bytes>("COPY items FROM STDIN (FORMAT binary)").await.expect("COPY");
    let mut sink = Box::pin(sink);
    sink.send(Bytes::from(data)).await.expect("data");
    assert_eq!(sink.as_mut().finish().await.expect("a copy"), 2);
    assert_eq!(column(&client, "SELECT name FROM items ORDER BY id").await, ["one", "two"]);
}

#[tokio::test]
async fn a_mistake_in_the_data_is_told_with_its_line() {
    let Some((_world, client)) = items(Home::Redis, Setup::default()).await else {
        return;
    };
    let rows = [row(1), "two\tx\n".to_owned()];
    let error = copy(&client, rows.into_iter()).await.expect_err("a mistake");
    let error = error.as_db_error().expect("PostgreSQL's error");
    assert_eq!(error.where_(), Some("COPY items, line 2, column id: \"two\""));
    assert_eq!(column(&client, "SELECT count(*) FROM items").await, ["0"]);
    // As PostgreSQL, without the line.
    client.batch_execute("INSERT INTO items VALUES (1, 'there')").await.expect("a row");
    let error = copy(&client, [row(1)].into_iter()).await.expect_err("a taken key");
    let error = error.as_db_error().expect("an error");
    assert_eq!(
        (error.detail(), error.where_()),
        (Some("Key (id)=(1) already exists."), Some("COPY items"))
    );
}

#[tokio::test]
async fn a_client_that_gives_up() {
    let Some((world, client)) = items(Home::Redis, Setup::default()).await else {
        return;
    };
    // Dropped without an end: CopyFail.
    let mut sink =
        Box::pin(client.copy_in::<_, Bytes>("COPY items FROM STDIN").await.expect("COPY"));
    sink.send(Bytes::from(row(1))).await.expect("data");
    drop(sink);
    assert_eq!(column(&client, "SELECT count(*) FROM items").await, ["0"]);
    // In the simple protocol, with other statements around it: all of them are one transaction.
    let mut raw = world.raw().await;
    let text = "INSERT INTO items VALUES (5, 'five'); COPY items FROM STDIN; INSERT INTO items VALUES (6, 'six')";
    for (end, ready) in [(Message::new(b'f', b"no more\0"), "57014"), (Message::new(b'c', &[]), "")]
    {
        raw.send(&[Message::query(text), Message::new(b'd', row(7).as_bytes()), end])
            .await
            .expect("sent");
        let events = raw.until_ready().await.expect("an answer");
        let state = events.iter().find_map(|event| match event {
            Event::Error(report) => Some(report.state().to_owned()),
            _ => None,
        });
        assert_eq!(state.unwrap_or_default(), ready, "{events:?}");
    }
    assert_eq!(column(&client, "SELECT id FROM items ORDER BY id").await, ["5", "6", "7"]);
}

#[tokio::test]
async fn the_sync_behind_execute_belongs_to_the_copy() {
    let Some((world, client)) = items(Home::Redis, Setup::default()).await else {
        return;
    };
    let mut raw = world.raw().await;
    let begin = Message::batch_of("COPY items FROM STDIN");
    for (data, last) in [("1\tone\n", 'C'), ("1\n", 'E'), ("2\ttwo\n", 'C')] {
        raw.send(&begin).await.expect("sent");
        raw.send(&[Message::new(b'd', data.as_bytes()), Message::new(b'c', &[]), Message::sync()])
            .await
            .expect("sent");
        let events = raw.until_ready().await.expect("an answer");
        let told = match &events[events.len() - 2] {
            Event::Done(_) => 'C',
            Event::Error(_) => 'E',
            _ => '?',
        };
        assert_eq!(told, last, "{events:?}");
    }
    // One ReadyForQuery each: the next answer is that of the next question.
    let events = raw.query("SELECT count(*) FROM items").await.expect("an answer");
    assert!(events.contains(&Event::Row(vec![Some(b"2".to_vec())])), "{events:?}");
    assert_eq!(column(&client, "SELECT id FROM items ORDER BY id").await, ["1", "2"]);
}

/// Who is told that a COPY is complete finds its rows: not before the client's Sync commits it.
#[tokio::test]
async fn a_copy_is_complete_at_its_sync() {
    let Some(world) = Setup::default().start().await else { return };
    let (client, oracle) = (world.gateway().await, world.oracle().await);
    for (mut raw, beside, whose) in
        [(world.raw_oracle().await, oracle, "PostgreSQL"), (world.raw().await, client, "Flywheel")]
    {
        beside.batch_execute("CREATE TABLE plain (id int)").await.expect("a table");
        raw.send(&Message::batch_of("COPY plain FROM STDIN")).await.expect("sent");
        raw.send(&[Message::new(b'd', b"1\n"), Message::new(b'c', &[])]).await.expect("sent");
        let mut told = Vec::new();
        while let Ok(event) = timeout(Duration::from_millis(300), raw.next()).await {
            told.push(event.expect("a message"));
        }
        assert!(!told.iter().any(|event| matches!(event, Event::Done(_))), "{whose}: {told:?}");
        assert_eq!(column(&beside, "SELECT count(*) FROM plain").await, ["0"]);
        raw.send(&[Message::sync()]).await.expect("sent");
        let rest = raw.until_ready().await.expect("an answer");
        assert!(matches!(&rest[..], [Event::Done(tag), Event::Ready(_)] if tag == "COPY 1"));
        assert_eq!(column(&beside, "SELECT count(*) FROM plain").await, ["1"]);
    }
}

/// What is wrong with a COPY is told as PostgreSQL tells it.
#[tokio::test]
async fn postgresql_tells_what_is_wrong() {
    let Some((world, client)) = items(Home::Memory, Setup::default()).await else {
        return;
    };
    let setup = "ALTER TABLE items ADD COLUMN g int GENERATED ALWAYS AS (id * 2) STORED; CREATE VIEW v AS SELECT id FROM items";
    client.batch_execute(setup).await.expect("a column and a view");
    let oracle = world.oracle().await;
    oracle
        .batch_execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL)")
        .await
        .expect("a table");
    oracle.batch_execute(setup).await.expect("a column and a view");
    for sql in [
        "COPY items (id, g) FROM STDIN",
        "COPY items (g) TO STDOUT",
        "COPY items FROM STDIN (FORMAT csv, FORCE_QUOTE (id))",
        "COPY items TO STDOUT (FORMAT csv, FORCE_NULL (name))",
        "COPY v TO STDOUT",
    ] {
        assert_eq!(Told::of(&client, sql).await, Told::of(&oracle, sql).await, "{sql}");
    }
}

#[tokio::test]
async fn what_stays_refused() {
    let setup = Setup::default().table_with("public.carts", Home::Redis, &["allow_scan = false"]);
    let Some((_world, client)) = items(Home::Memory, setup).await else {
        return;
    };
    client
        .batch_execute("CREATE TABLE carts (id int PRIMARY KEY, items int)")
        .await
        .expect("a table");
    for sql in ["COPY items FROM '/dev/null'", "COPY items FROM PROGRAM 'true'"] {
        Told::of(&client, sql).await.is("0A000", &["public.items", "STDIN"]);
    }
    Told::of(&client, "TRUNCATE carts").await.is("54000", &["whole table", "allow_scan"]);
    Told::of(&client, "TRUNCATE items, carts").await.is("0A000", &["another store"]);
}
