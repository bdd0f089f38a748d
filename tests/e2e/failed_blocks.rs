//! Every error fails the block that it is told in, whoever finds it: what was done in the block
//! before and after it is undone.

use flywheel_tests::raw::{Bind, Client, Event, Format, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, World};

fn states(said: &[Event]) -> Vec<&str> {
    let state = |event: &Event| match event {
        Event::Error(report) => Some(report.state().to_owned().leak() as &str),
        _ => None,
    };
    said.iter().filter_map(state).collect()
}

fn bind(portal: &str, statement: &str, parameters: &[Option<Vec<u8>>]) -> Message {
    Message::bind(&Bind {
        portal,
        statement,
        parameter_format: Format::Text,
        parameters,
        result_format: Format::Text,
    })
}

/// Messages that the gateway itself refuses, or that a server does, each ending in ReadyForQuery.
fn mistakes() -> Vec<(&'static str, Vec<Message>)> {
    let query = |sql: &str| vec![Message::query(sql)];
    let synced = |mut messages: Vec<Message>| {
        messages.push(Message::sync());
        messages
    };
    let parse = |name: &str, sql: &str| Message::parse(name, sql, &[]);
    vec![
        ("a Query that isn't UTF-8", vec![Message::new(b'Q', b"SELECT '\xff'\0")]),
        ("a Query without its end", vec![Message::new(b'Q', b"SELECT 1")]),
        ("a Query and more", vec![Message::new(b'Q', b"SELECT 1\0 ")]),
        ("a call", vec![Message::new(b'F', &[0, 15, 66, 63, 0, 0, 0, 0, 0, 0])]),
        ("a Parse that isn't UTF-8", synced(vec![Message::new(b'P', b"\0\xff\0\0\0")])),
        ("a Bind that ends too early", synced(vec![Message::new(b'B', b"\0\0\0\x01")])),
        ("no statement", synced(vec![bind("", "nobody", &[])])),
        ("no portal", synced(vec![Message::execute("nobody", 0)])),
        ("a Describe of nothing", synced(vec![Message::new(b'D', b"Snobody\0")])),
        ("a name twice", synced(vec![parse("twice", "SELECT 1"), parse("twice", "SELECT 2")])),
        ("no server's function", query("SELECT no_such_function()")),
        ("an encoding", query("SET client_encoding TO 'no encoding'")),
        ("names", query("SET NAMES 'no encoding'")),
        ("an encoding by a function", query("SELECT set_config('client_encoding', 'none', false)")),
        ("an encoding by a batch", {
            let set = parse("", "SET client_encoding TO 'none'");
            synced(vec![set, bind("", "", &[]), Message::execute("", 0)])
        }),
        ("a scan", query("SELECT * FROM far WHERE note = 'x'")),
        ("a scan by Parse", {
            let scan = "SELECT * FROM far WHERE note = 'x'";
            synced(vec![parse("", scan), bind("", "", &[]), Message::execute("", 0)])
        }),
        ("parameters that are missing", {
            let read = parse("", "SELECT * FROM far WHERE id = $1");
            synced(vec![read, bind("", "", &[]), Message::execute("", 0)])
        }),
        ("a value that isn't UTF-8", {
            let read = parse("", "SELECT * FROM far WHERE id = 1 AND note = $1::text");
            let values = [Some(vec![0xff])];
            synced(vec![read, bind("", "", &values), Message::execute("", 0)])
        }),
        ("a value written that isn't UTF-8", {
            let write = parse("", "INSERT INTO far VALUES (7, $1)");
            let values = [Some(vec![0xff])];
            synced(vec![write, bind("", "", &values), Message::execute("", 0)])
        }),
        ("a twin", query("INSERT INTO far VALUES (0, 'again')")),
        ("a COPY", query("COPY far FROM '/no/such/file'")),
        ("a definition", query("CREATE UNIQUE INDEX ON far (note)")),
    ]
}

async fn told(client: &mut Client, messages: &[Message]) -> Vec<Event> {
    client.send(messages).await.expect("sent");
    client.until_ready().await.expect("an answer")
}

async fn world() -> Option<World> {
    let setup = Setup::default().main("pool_size = 2").limit("max_fetch_rows = 1").table_with(
        "public.far",
        Home::Memory,
        &[],
    );
    let world = setup.start().await?;
    let gateway = world.gateway().await;
    gateway.batch_execute("CREATE TABLE near (v int)").await.expect("a table");
    gateway
        .batch_execute("CREATE TABLE far (id int PRIMARY KEY, note text)")
        .await
        .expect("a table");
    gateway.batch_execute("INSERT INTO far VALUES (0, 'first'), (9, 'last')").await.expect("rows");
    Some(world)
}

#[tokio::test]
async fn an_error_fails_its_block() {
    let Some(world) = world().await else { return };
    let behind = world.behind().await;
    for (title, mistake) in mistakes() {
        for is_store in [false, true] {
            let mut client = world.raw().await;
            let insert = if is_store {
                "INSERT INTO far VALUES (1, 'x')"
            } else {
                "INSERT INTO near VALUES (1)"
            };
            for sql in ["BEGIN", insert] {
                let said = client.query(sql).await.expect("an answer");
                assert_eq!(said.last(), Some(&Event::Ready('T')), "{title}: {said:?}");
            }
            let said = told(&mut client, &mistake).await;
            assert_eq!(states(&said).len(), 1, "{title}: {said:?}");
            assert_eq!(said.last(), Some(&Event::Ready('E')), "{title}: {said:?}");
            let said = client.query("INSERT INTO near VALUES (2)").await.expect("an answer");
            assert_eq!(states(&said), ["25P02"], "{title}: {said:?}");
            let said = client.query("COMMIT").await.expect("an answer");
            assert_eq!(said, [Event::Done("ROLLBACK".into()), Event::Ready('I')], "{title}");
            let said = client.query("SELECT note FROM far WHERE id = 1").await.expect("an answer");
            assert!(said.contains(&Event::Done("SELECT 0".into())), "{title}: {said:?}");
            assert!(column(&behind, "SELECT v FROM near").await.is_empty(), "{title}");
        }
    }
}

/// PostgreSQL reads a text before it says that the block has failed.
#[tokio::test]
async fn a_text_that_cannot_be_read_is_told_so_in_a_failed_block() {
    let Some(world) = world().await else { return };
    for mut client in [world.raw().await, world.raw_oracle().await] {
        for sql in ["BEGIN", "SELECT 1/0"] {
            client.query(sql).await.expect("an answer");
        }
        for (sql, state) in [
            ("SELEC * FROM far", "42601"),
            ("SELECT * FROM far WHERE", "42601"),
            ("SELECT * FROM far", "25P02"),
        ] {
            let said = client.query(sql).await.expect("an answer");
            assert_eq!(states(&said), [state], "{sql}: {said:?}");
            assert_eq!(said.last(), Some(&Event::Ready('E')), "{sql}: {said:?}");
            let said = told(&mut client, &[Message::parse("", sql, &[]), Message::sync()]).await;
            assert_eq!(states(&said), [state], "{sql}: {said:?}");
            assert_eq!(said.last(), Some(&Event::Ready('E')), "{sql}: {said:?}");
        }
    }
}

/// The same where no block was begun, but the batch that has written waits for its Sync.
#[tokio::test]
async fn an_error_undoes_the_batch_that_it_is_told_in() {
    let Some(world) = world().await else { return };
    let behind = world.behind().await;
    for insert in ["INSERT INTO near VALUES (1)", "INSERT INTO far VALUES (1, 'x')"] {
        for mistake in [
            Message::new(b'Q', b"SELECT '\xff'\0"),
            Message::new(b'Q', b"SELECT 1"),
            Message::new(b'P', b"\0\xff\0\0\0"),
            Message::new(b'B', b"\0\0\0\x01"),
            Message::query("SET client_encoding TO 'no encoding'"),
            Message::query("SELECT * FROM far WHERE note = 'x'"),
            bind("", "nobody", &[]),
        ] {
            for is_flushed in [false, true] {
                let mut client = world.raw().await;
                let mut batch = vec![
                    Message::parse("", insert, &[]),
                    bind("", "", &[]),
                    Message::execute("", 0),
                ];
                if is_flushed {
                    batch.push(Message::new(b'H', &[]));
                }
                client.send(&batch).await.expect("sent");
                client.send(std::slice::from_ref(&mistake)).await.expect("sent");
                if mistake.bytes()[0] != b'Q' {
                    client.send(&[Message::sync()]).await.expect("sent");
                }
                let said = client.until_ready().await.expect("an answer");
                assert_eq!(states(&said).len(), 1, "{mistake:?}: {said:?}");
                assert_eq!(said.last(), Some(&Event::Ready('I')), "{mistake:?}: {said:?}");
                let said =
                    client.query("SELECT note FROM far WHERE id = 1").await.expect("an answer");
                assert!(said.contains(&Event::Done("SELECT 0".into())), "{mistake:?}: {said:?}");
                assert!(column(&behind, "SELECT v FROM near").await.is_empty(), "{mistake:?}");
            }
        }
    }
}
