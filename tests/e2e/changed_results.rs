//! Prepared statements whose results change with a definition: who is told "cached plan must not
//! change result type", and who never is.

use std::time::Duration;

use flywheel_tests::raw::{Bind, Client, Event, Format, Message};
use flywheel_tests::{Setup, World};

const TABLE: &str = "DROP TABLE IF EXISTS things; CREATE TABLE things (id int PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'one')";
const CHANGE: &str = "ALTER TABLE things ADD COLUMN more int DEFAULT 7";

/// A read that goes over connections that clients share, and statements that borrow one.
const STATEMENTS: [&str; 3] = [
    "SELECT * FROM things",
    "SELECT * FROM things FOR UPDATE",
    "UPDATE things SET name = name RETURNING *",
];

async fn world() -> Option<World> {
    Setup::default().main("pool_size = 3\nshared_connections = 1").start().await
}

fn prepare(sql: &str) -> Vec<Message> {
    vec![Message::parse("s", sql, &[]), Message::describe(b'S', "s"), Message::sync()]
}

fn bind() -> Message {
    Message::bind(&Bind {
        portal: "",
        statement: "s",
        parameter_format: Format::Text,
        parameters: &[],
        result_format: Format::Text,
    })
}

fn run() -> Vec<Message> {
    vec![bind(), Message::execute("", 0), Message::sync()]
}

/// As libpq does it.
fn run_described() -> Vec<Message> {
    vec![bind(), Message::describe(b'P', ""), Message::execute("", 0), Message::sync()]
}

async fn answer(client: &mut Client, messages: &[Message]) -> Vec<Event> {
    client.send(messages).await.expect("sent");
    client.until_ready().await.expect("an answer")
}

fn state(events: &[Event]) -> Option<&str> {
    events.iter().find_map(|event| match event {
        Event::Error(error) => Some(error.state()),
        _ => None,
    })
}

fn row(events: &[Event]) -> Vec<String> {
    let row = events.iter().find_map(|event| match event {
        Event::Row(values) => Some(values),
        _ => None,
    });
    let text = |value: &Option<Vec<u8>>| {
        String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned()
    };
    row.unwrap_or_else(|| panic!("{events:?}")).iter().map(text).collect()
}

fn columns(events: &[Event]) -> Vec<&str> {
    let columns = events.iter().find_map(|event| match event {
        Event::Columns(fields) => Some(fields.iter().map(|field| field.name.as_str()).collect()),
        _ => None,
    });
    columns.unwrap_or_else(|| panic!("{events:?}"))
}

/// A client that takes the rows to have the columns that it was told: PostgreSQL's error is what
/// its driver knows to prepare the statement anew by.
#[tokio::test]
async fn a_client_that_was_told_other_columns_is_told_as_by_postgresql() {
    let Some(world) = world().await else { return };
    for sql in STATEMENTS {
        for uses_before in [0, 3] {
            let (mut ours, mut theirs, mut behind) =
                (world.raw().await, world.raw_behind().await, world.raw_behind().await);
            behind.query(TABLE).await.expect("a table");
            for client in [&mut ours, &mut theirs] {
                answer(client, &prepare(sql)).await;
                for _ in 0..uses_before {
                    assert_eq!(row(&answer(client, &run()).await), ["1", "one"], "{sql}");
                }
            }
            behind.query(CHANGE).await.expect("changed");
            for turn in 0..4 {
                let expected = answer(&mut theirs, &run()).await;
                assert_eq!(state(&expected), Some("0A000"));
                assert_eq!(answer(&mut ours, &run()).await, expected, "{sql}, turn {turn}");
            }
            for client in [&mut ours, &mut theirs] {
                answer(client, &[Message::new(b'C', b"Ss\0"), Message::sync()]).await;
                assert_eq!(
                    columns(&answer(client, &prepare(sql)).await),
                    ["id", "name", "more"],
                    "{sql}"
                );
                assert_eq!(row(&answer(client, &run()).await), ["1", "one", "7"], "{sql}");
            }
        }
    }
}

/// One that is told the columns with the rows, or never was, has nothing to be told.
#[tokio::test]
async fn a_client_that_is_told_the_columns_again_gets_its_rows() {
    let Some(world) = world().await else { return };
    for sql in STATEMENTS {
        let (mut client, mut never, mut behind) =
            (world.raw().await, world.raw().await, world.raw_behind().await);
        behind.query(TABLE).await.expect("a table");
        answer(&mut client, &prepare(sql)).await;
        answer(&mut never, &[Message::parse("s", sql, &[]), Message::sync()]).await;
        for _ in 0..2 {
            assert_eq!(row(&answer(&mut client, &run_described()).await), ["1", "one"], "{sql}");
            assert_eq!(row(&answer(&mut never, &run()).await), ["1", "one"], "{sql}");
        }
        behind.query(CHANGE).await.expect("changed");
        for _ in 0..3 {
            let said = answer(&mut client, &run_described()).await;
            assert_eq!(
                (columns(&said), row(&said)),
                (vec!["id", "name", "more"], ["1", "one", "7"].map(String::from).to_vec()),
                "{sql}"
            );
            assert_eq!(row(&answer(&mut never, &run()).await), ["1", "one", "7"], "{sql}");
        }
        // Describe of the statement alone.
        behind.query("ALTER TABLE things DROP COLUMN more").await.expect("changed");
        let said = answer(&mut client, &[Message::describe(b'S', "s"), Message::sync()]).await;
        assert_eq!(columns(&said), ["id", "name"], "{sql}");
        assert_eq!(row(&answer(&mut client, &run()).await), ["1", "one"], "{sql}");
    }
}

/// One that has prepared the statement after the change: it isn't to hear that others have before.
#[tokio::test]
async fn a_client_that_came_after_the_change_never_hears_of_it() {
    let Some(world) = world().await else { return };
    for sql in STATEMENTS {
        for in_block in [false, true] {
            let mut behind = world.raw_behind().await;
            behind.query(TABLE).await.expect("a table");
            // The statement gets to all connections.
            let mut before = Vec::new();
            for _ in 0..3 {
                let mut client = world.raw().await;
                answer(&mut client, &prepare(sql)).await;
                answer(&mut client, &run()).await;
                client.query("BEGIN").await.expect("BEGIN");
                answer(&mut client, &run()).await;
                client.query("ROLLBACK").await.expect("ROLLBACK");
                before.push(client);
            }
            let mut holders = Vec::new();
            for client in &mut before[..2] {
                client.query("BEGIN").await.expect("BEGIN");
                client.send(&[bind(), Message::sync()]).await.expect("sent");
                client.until_ready().await.expect("an answer");
                holders.push(client);
            }
            for client in holders {
                client.query("ROLLBACK").await.expect("ROLLBACK");
            }
            behind.query(CHANGE).await.expect("changed");
            let mut after = world.raw().await;
            if in_block {
                after.query("BEGIN").await.expect("BEGIN");
            }
            assert_eq!(
                columns(&answer(&mut after, &prepare(sql)).await),
                ["id", "name", "more"],
                "{sql}"
            );
            assert_eq!(row(&answer(&mut after, &run()).await), ["1", "one", "7"], "{sql}");
            if in_block {
                after.query("COMMIT").await.expect("COMMIT");
            }
            for _ in 0..3 {
                // On whichever connection.
                let mut holder = world.raw().await;
                holder.query("BEGIN").await.expect("BEGIN");
                after.query("BEGIN").await.expect("BEGIN");
                assert_eq!(row(&answer(&mut after, &run()).await), ["1", "one", "7"], "{sql}");
                after.query("COMMIT").await.expect("COMMIT");
                assert_eq!(row(&answer(&mut after, &run()).await), ["1", "one", "7"], "{sql}");
            }
        }
    }
}

#[tokio::test]
async fn parameters_have_the_types_of_the_time_of_their_parse() {
    let Some(world) = world().await else { return };
    let mut behind = world.raw_behind().await;
    behind.query(TABLE).await.expect("a table");
    for sql in [
        "SELECT name FROM things WHERE id = $1",
        "SELECT name FROM things WHERE id = $1 FOR UPDATE",
    ] {
        let mut first = world.raw().await;
        answer(&mut first, &prepare(sql)).await;
        behind.query("ALTER TABLE things ALTER COLUMN id TYPE text").await.expect("changed");
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let mut second = world.raw().await;
        let said = answer(&mut second, &prepare(sql)).await;
        assert!(said.contains(&Event::Parameters(vec![25])), "{sql}: {said:?}");
        behind
            .query("ALTER TABLE things ALTER COLUMN id TYPE int USING id::int")
            .await
            .expect("changed");
    }
}

/// What was carried out isn't carried out again.
#[tokio::test]
async fn a_batch_that_has_done_something_is_not_repeated() {
    let Some(world) = world().await else { return };
    let (mut client, mut behind) = (world.raw().await, world.raw_behind().await);
    behind.query(TABLE).await.expect("a table");
    behind.query("CREATE SEQUENCE calls").await.expect("a sequence");
    answer(&mut client, &prepare(STATEMENTS[1])).await;
    answer(&mut client, &[Message::parse("call", "SELECT nextval('calls')", &[]), Message::sync()])
        .await;
    assert_eq!(row(&answer(&mut client, &run_described()).await), ["1", "one"]);
    behind.query(CHANGE).await.expect("changed");
    let call = Message::bind(&Bind {
        portal: "",
        statement: "call",
        parameter_format: Format::Text,
        parameters: &[],
        result_format: Format::Text,
    });
    let mut batch = vec![call, Message::execute("", 0)];
    batch.extend(run_described());
    let said = answer(&mut client, &batch).await;
    assert_eq!(state(&said), Some("0A000"), "{said:?}");
    assert_eq!(row(&behind.query("SELECT last_value FROM calls").await.expect("an answer")), ["1"]);
    // The next one finds it prepared anew.
    assert_eq!(row(&answer(&mut client, &run_described()).await), ["1", "one", "7"]);
}

/// The unnamed statement is sent anew to whichever connection serves the client: it keeps the
/// columns of its Parse all the same. So does one whose client gives each of the old columns a
/// format.
#[tokio::test]
async fn unnamed_statements_and_formats_for_the_old_columns() {
    let Some(world) = world().await else { return };
    let bind = |statement: &str, formats: usize| {
        let mut body = [&[0], statement.as_bytes(), &[0, 0, 0, 0, 0, 0]].concat();
        body.push(u8::try_from(formats).expect("few"));
        body.extend(vec![0; 2 * formats]);
        Message::new(b'B', &body)
    };
    for sql in STATEMENTS {
        for (name, formats, describes) in
            [("", 0, false), ("", 2, false), ("", 2, true), ("s", 2, false), ("s", 2, true)]
        {
            for in_block in [false, true] {
                let what = format!(
                    "{sql}, \"{name}\", {formats} formats, describes: {describes}, in a block: {in_block}"
                );
                let (mut ours, mut theirs) = (world.raw().await, world.raw_oracle().await);
                let (mut behind, mut oracle) = (world.raw_behind().await, world.raw_oracle().await);
                for definer in [&mut behind, &mut oracle] {
                    definer.query(TABLE).await.expect("a table");
                }
                for client in [&mut ours, &mut theirs] {
                    answer(
                        client,
                        &[
                            Message::parse(name, sql, &[]),
                            Message::describe(b'S', name),
                            Message::sync(),
                        ],
                    )
                    .await;
                }
                for definer in [&mut behind, &mut oracle] {
                    definer.query(CHANGE).await.expect("changed");
                }
                let run = |describes: bool| {
                    let mut messages = vec![bind(name, formats)];
                    messages.extend(describes.then(|| Message::describe(b'P', "")));
                    messages.extend([Message::execute("", 0), Message::sync()]);
                    messages
                };
                for _ in 0..2 {
                    let mut told = Vec::new();
                    for client in [&mut theirs, &mut ours] {
                        if in_block {
                            // By messages: a Query would end the unnamed statement.
                            answer(client, &begin()).await;
                        }
                        told.push(answer(client, &run(describes)).await);
                        if in_block {
                            client.query("ROLLBACK").await.expect("ROLLBACK");
                        }
                    }
                    assert_eq!(told[1], told[0], "{what}");
                    if in_block && name.is_empty() {
                        break;
                    }
                }
            }
        }
    }
}

/// BEGIN that leaves the unnamed statement as it is.
fn begin() -> Vec<Message> {
    let bind = Message::bind(&Bind {
        portal: "",
        statement: "begin",
        parameter_format: Format::Text,
        parameters: &[],
        result_format: Format::Text,
    });
    let close = Message::new(b'C', b"Sbegin\0");
    vec![
        Message::parse("begin", "BEGIN", &[]),
        bind,
        Message::execute("", 0),
        close,
        Message::sync(),
    ]
}
