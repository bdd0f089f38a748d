//! Messages sent without waiting for answers: the same answers, in the same order, as PostgreSQL
//! gives.

use flywheel_tests::raw::{Bind, Client, Event, Format, Message};
use flywheel_tests::{Home, Setup};

const TABLES: &str = "CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL);
CREATE TABLE words (id int PRIMARY KEY, word text)";

fn query(sql: &str) -> Message {
    Message::query(sql)
}

fn parse(name: &str, sql: &str) -> Message {
    Message::parse(name, sql, &[])
}

fn bind(portal: &str, statement: &str, parameters: &[&str]) -> Message {
    let parameters: Vec<_> =
        parameters.iter().map(|value| Some(value.as_bytes().to_vec())).collect();
    Message::bind(&Bind {
        portal,
        statement,
        parameter_format: Format::Text,
        parameters: &parameters,
        result_format: Format::Text,
    })
}

fn run(portal: &str) -> Message {
    Message::execute(portal, 0)
}

fn some(portal: &str, rows: i32) -> Message {
    Message::execute(portal, rows)
}

fn sync() -> Message {
    Message::sync()
}

fn flush() -> Message {
    Message::new(b'H', &[])
}

fn close(kind: u8, name: &str) -> Message {
    Message::new(b'C', &[&[kind], name.as_bytes(), &[0]].concat())
}

/// What comes until as many ReadyForQuery as were asked for.
async fn answers(client: &mut Client, messages: &[Message]) -> Vec<Event> {
    let asked = messages.iter().filter(|message| matches!(message.bytes()[0], b'Q' | b'S')).count();
    client.send(messages).await.expect("sent");
    let mut events = Vec::new();
    for _ in 0..asked {
        let answer =
            client.until_ready().await.unwrap_or_else(|lost| panic!("{lost:?} after {events:?}"));
        // Whether an error is found at Bind or at Execute isn't part of what is promised.
        let failed = answer.iter().any(|event| matches!(event, Event::Error(_)));
        let is_told = |event: &Event| {
            !(matches!(event, Event::Setting(..)) || failed && matches!(event, Event::Bare(_)))
        };
        events.extend(answer.into_iter().filter(is_told));
    }
    events
}

/// Sends all of it in one write, to Flywheel with the table `notes` in each home, and to
/// PostgreSQL.
async fn same(messages: &[Message]) {
    for home in Home::ALL {
        let Some(world) = Setup::default().table("public.notes", home).start().await else {
            return;
        };
        if !home.is_available(world.servers()) {
            continue;
        }
        let (mut postgres, mut flywheel) = (world.raw_oracle().await, world.raw().await);
        for client in [&mut postgres, &mut flywheel] {
            client.query(TABLES).await.expect("tables");
        }
        let expected = answers(&mut postgres, messages).await;
        let found = answers(&mut flywheel, messages).await;
        let lines =
            |events: &[Event]| events.iter().map(|event| format!("{event}\n")).collect::<String>();
        assert_eq!(lines(&found), lines(&expected), "{home:?}");
        for table in ["SELECT * FROM notes ORDER BY id", "SELECT * FROM words ORDER BY id"] {
            assert_eq!(flywheel.query(table).await, postgres.query(table).await, "{home:?}");
        }
    }
}

#[tokio::test]
async fn simple_queries() {
    same(&[
        query("INSERT INTO notes VALUES (1, 'one'), (2, 'two')"),
        query("SELECT body FROM notes WHERE id = 1"),
        query("SELECT 1 / 0"),
        query("INSERT INTO words VALUES (1, 'uno'); INSERT INTO notes VALUES (3, 'three'); SELECT count(*) FROM notes"),
        query("INSERT INTO notes VALUES (4, 'four'); INSERT INTO notes VALUES (1, 'again'); INSERT INTO words VALUES (2, 'dos')"),
        query(""),
        query("SELECT n.body, w.word FROM notes n JOIN words w USING (id)"),
        query("BEGIN; INSERT INTO notes VALUES (5, 'five')"),
        query("SELECT id FROM notes ORDER BY id"),
        query("SELECT nothing FROM notes"),
        query("SELECT id FROM notes"),
        query("ROLLBACK; SELECT id FROM notes ORDER BY id"),
        query("BEGIN; INSERT INTO notes VALUES (6, 'six'); COMMIT; SELECT 1 / 0; INSERT INTO notes VALUES (7, 'seven')"),
    ])
    .await;
}

#[tokio::test]
async fn batches() {
    same(&[
        parse("put", "INSERT INTO notes VALUES ($1, $2)"),
        parse("word", "INSERT INTO words VALUES ($1, $2)"),
        parse("get", "SELECT body FROM notes WHERE id = $1"),
        sync(),
        bind("", "put", &["1", "one"]),
        run(""),
        sync(),
        bind("", "get", &["1"]),
        Message::describe(b'P', ""),
        run(""),
        bind("", "word", &["1", "uno"]),
        run(""),
        bind("", "get", &["2"]),
        run(""),
        sync(),
        parse("", "SELECT count(*) FROM words"),
        bind("", "", &[]),
        run(""),
        bind("", "get", &["1"]),
        run(""),
        sync(),
        Message::describe(b'S', "put"),
        Message::describe(b'S', "get"),
        close(b'S', "put"),
        sync(),
        bind("", "put", &["9", "gone"]),
        run(""),
        sync(),
        close(b'S', "never there"),
        sync(),
    ])
    .await;
}

#[tokio::test]
async fn a_batch_is_one_transaction() {
    same(&[
        parse("put", "INSERT INTO notes VALUES ($1, $2)"),
        parse("word", "INSERT INTO words VALUES ($1, $2)"),
        sync(),
        bind("", "put", &["1", "one"]),
        run(""),
        bind("", "word", &["1", "uno"]),
        run(""),
        bind("", "put", &["2", "two"]),
        run(""),
        sync(),
        // The third fails: all three are undone, and what follows up to Sync is ignored.
        bind("", "put", &["3", "three"]),
        run(""),
        bind("", "word", &["3", "tres"]),
        run(""),
        bind("", "put", &["1", "again"]),
        run(""),
        bind("", "put", &["4", "four"]),
        run(""),
        parse("late", "SELECT 1"),
        sync(),
        bind("", "late", &[]),
        run(""),
        sync(),
        // The relational one fails.
        bind("", "put", &["5", "five"]),
        run(""),
        bind("", "word", &["1", "again"]),
        run(""),
        sync(),
    ])
    .await;
}

#[tokio::test]
async fn flushes() {
    same(&[
        parse("put", "INSERT INTO notes VALUES ($1, $2)"),
        flush(),
        bind("", "put", &["1", "one"]),
        flush(),
        run(""),
        flush(),
        parse("", "SELECT * FROM notes"),
        bind("", "", &[]),
        run(""),
        flush(),
        sync(),
        query("SELECT * FROM notes"),
        parse("", "INSERT INTO words VALUES (1, 'uno')"),
        bind("", "", &[]),
        run(""),
        flush(),
        bind("", "put", &["1", "again"]),
        run(""),
        flush(),
        bind("", "put", &["2", "two"]),
        run(""),
        sync(),
    ])
    .await;
}

#[tokio::test]
async fn portals() {
    same(&[
        query("INSERT INTO notes SELECT i, 'note' FROM generate_series(1, 5) i; INSERT INTO words SELECT i, 'word' FROM generate_series(1, 5) i"),
        query("BEGIN"),
        parse("n", "SELECT id FROM notes ORDER BY id"),
        parse("w", "SELECT id FROM words ORDER BY id"),
        bind("notes", "n", &[]),
        bind("words", "w", &[]),
        some("notes", 2),
        some("words", 3),
        some("notes", 2),
        sync(),
        some("words", 3),
        some("notes", 2),
        some("notes", 2),
        close(b'P', "notes"),
        sync(),
        bind("words", "w", &[]),
        sync(),
        query("ROLLBACK"),
        some("words", 1),
        sync(),
        // A write is carried out once, whatever limit its Execute has.
        parse("", "INSERT INTO notes VALUES (6, 'six'), (7, 'seven') RETURNING id"),
        bind("", "", &[]),
        some("", 1),
        some("", 1),
        some("", 1),
        sync(),
        parse("", "INSERT INTO notes VALUES (8, 'eight')"),
        bind("", "", &[]),
        run(""),
        run(""),
        sync(),
    ])
    .await;
}

/// A portal that is guarded when it is bound, and known to need no guard when it is executed: the
/// ways to the twins are read while another statement sleeps.
#[tokio::test]
async fn ends_of_answers_come_in_their_turn() {
    same(&[
        query("CREATE TABLE more (id int)"),
        query("BEGIN"),
        parse("n", "SELECT id FROM notes ORDER BY id"),
        parse("w", "SELECT id FROM words ORDER BY id"),
        parse("s", "SELECT count(*), pg_sleep(1) FROM notes"),
        bind("words", "w", &[]),
        bind("notes", "n", &[]),
        bind("slow", "s", &[]),
        run("slow"),
        some("words", 3),
        some("notes", 2),
        sync(),
        query("ROLLBACK"),
    ])
    .await;
}

#[tokio::test]
async fn transactions_in_batches() {
    same(&[
        parse("begin", "BEGIN"),
        parse("commit", "COMMIT"),
        parse("rollback", "ROLLBACK"),
        parse("put", "INSERT INTO notes VALUES ($1, $2)"),
        parse("all", "SELECT id FROM notes ORDER BY id"),
        sync(),
        bind("", "begin", &[]),
        run(""),
        bind("", "put", &["1", "one"]),
        run(""),
        bind("", "all", &[]),
        run(""),
        bind("", "commit", &[]),
        run(""),
        sync(),
        bind("", "begin", &[]),
        run(""),
        sync(),
        bind("", "put", &["2", "two"]),
        run(""),
        bind("", "put", &["1", "again"]),
        run(""),
        sync(),
        bind("", "all", &[]),
        run(""),
        sync(),
        bind("", "commit", &[]),
        run(""),
        sync(),
        bind("", "begin", &[]),
        run(""),
        bind("", "put", &["3", "three"]),
        run(""),
        bind("", "rollback", &[]),
        run(""),
        bind("", "all", &[]),
        run(""),
        sync(),
    ])
    .await;
}
