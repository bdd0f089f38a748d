//! Statements that come again and again are prepared on shared connections without anybody
//! noticing.

use flywheel_tests::raw::{Bind, Event, Format, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Setup, World};

/// More often than it takes to be prepared.
const TURNS: i32 = 12;

const TABLES: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE things (id int PRIMARY KEY, big bigint, name text, code varchar(8), letter char(4), price numeric(8, 2), day date, at timestamptz,
        mood mood, doc jsonb, tags text[], flag bool);
    INSERT INTO things SELECT i, i * 10000000000, 'name' || i, 'c' || i, 'x', i * 1.5, date '2026-01-01' + i, timestamptz '2026-01-01 00:00:00+00' + i * interval '1 hour',
        CASE i % 2 WHEN 0 THEN 'sad' ELSE 'happy' END::mood, jsonb_build_object('n', i), ARRAY['a', 'b' || i], i % 2 = 0 FROM generate_series(1, 100) i";

/// One shared connection, so that everything meets there.
async fn world() -> Option<World> {
    let world = Setup::default().main("pool_size = 3\nshared_connections = 1").start().await?;
    world.behind().await.batch_execute(TABLES).await.expect("tables");
    Some(world)
}

/// Statements that differ in their constants from turn to turn.
fn statements(turn: i32) -> Vec<String> {
    let day = 1 + turn % 28;
    vec![
        format!("SELECT * FROM things WHERE id = {turn}"),
        format!(
            "SELECT id, big FROM things WHERE big >= {turn}0000000000 AND id < 20 ORDER BY id LIMIT 3"
        ),
        format!("SELECT id FROM things WHERE name = 'name{turn}' OR code='c{turn}'"),
        format!("SELECT id, letter FROM things WHERE letter = 'x' AND id = {turn}"),
        format!("SELECT id, price FROM things WHERE price > {turn}"),
        format!("SELECT id FROM things WHERE price = '{turn}.5'"),
        format!(
            "SELECT id, day, at FROM things WHERE day = '2026-01-{day}' AND at > '2026-01-01 0{}:00'",
            turn % 10
        ),
        format!("SELECT id, mood FROM things WHERE mood = 'happy' AND id <= {turn}"),
        format!("SELECT id FROM things WHERE doc = '{{\"n\": {turn}}}'"),
        format!("SELECT id FROM things WHERE tags = '{{a,b{turn}}}'"),
        format!(
            "SELECT id = {turn} AS is_it, {turn} AS n, 'x{turn}' FROM things WHERE flag = 'yes' AND id < 5"
        ),
        format!("SELECT count(*) FROM things WHERE id <> {turn} AND id != 3"),
        format!("SELECT id FROM things WHERE (id = {turn});"),
        format!(
            "SELECT id % 2 = {0}, count(*) FROM things GROUP BY id % 2 = {0} ORDER BY 1",
            turn % 2
        ),
        "SELECT max(id) FROM things".to_owned(),
        // Errors, with their places in the text.
        format!("SELECT id FROM things WHERE id = 'x{turn}'"),
        format!("SELECT id FROM things WHERE mood = 'mood{turn}'"),
        format!("SELECT id FROM things WHERE day = '2026-13-{day}'"),
        format!("SELECT id FROM things WHERE nothing = {turn}"),
        format!("SELECT id FROM nothing WHERE id = {turn}"),
        format!("SELECT id FROM things WHERE flag = {turn}"),
        format!("SELECT 1 / (id - {turn}) FROM things WHERE id = {turn}"),
        format!("SELECT id FROM things WHERE WHERE id = {turn}"),
        format!("SELECT id FROM things WHERE id = {turn}000000000"),
        // Now and then an error.
        format!("SELECT 10 / (id % 3) FROM things WHERE id = {turn}"),
    ]
}

#[tokio::test]
async fn queries_are_answered_as_by_postgresql() {
    let Some(world) = world().await else { return };
    let (mut ours, mut theirs) = (world.raw().await, world.raw_behind().await);
    for turn in 1..=TURNS {
        for sql in statements(turn) {
            let expected = theirs.query(&sql).await.expect("an answer");
            assert_eq!(ours.query(&sql).await.expect("an answer"), expected, "{sql}");
        }
    }
}

#[tokio::test]
async fn unnamed_statements_are_answered_as_by_postgresql() {
    let Some(world) = world().await else { return };
    let (mut ours, mut theirs) = (world.raw().await, world.raw_behind().await);
    let cases = [
        ("SELECT * FROM things WHERE id = $1", ["7", "x"]),
        ("SELECT id FROM things WHERE name = $1 OR name = 'name3'", ["name5", "nobody"]),
        ("SELECT 10 / (id - 5) FROM things WHERE id = $1", ["6", "5"]),
        ("SELECT id FROM things WHERE nothing = $1", ["1", "2"]),
        ("SELECT $1::int + 1", ["41", "9999999999"]),
        (
            "SELECT a_name_that_is_longer_than_the_sixty_three_bytes_that_postgresql_keeps_of_it FROM things WHERE id = $1",
            ["1", "2"],
        ),
    ];
    for turn in 0..TURNS {
        for (sql, values) in cases {
            let value = values[usize::from(turn % 4 == 3)];
            for describes in [true, false] {
                let parameters = [Some(value.as_bytes().to_vec())];
                let bind = || {
                    Message::bind(&Bind {
                        portal: "",
                        statement: "",
                        parameter_format: Format::Text,
                        parameters: &parameters,
                        result_format: Format::Text,
                    })
                };
                let run = || [Message::execute("", 0), Message::sync()];
                let whole = || {
                    let describe = describes.then(|| Message::describe(b'P', ""));
                    [Message::parse("", sql, &[]), bind()].into_iter().chain(describe).chain(run())
                };
                // Once, twice in one write, and then once more without parsing it.
                let batches: [(Vec<Message>, usize); 3] = [
                    (whole().collect(), 1),
                    (whole().chain(whole()).collect(), 2),
                    (std::iter::once(bind()).chain(run()).collect(), 1),
                ];
                for (messages, syncs) in &batches {
                    let mut answers = Vec::new();
                    for client in [&mut ours, &mut theirs] {
                        let mut answer: Vec<Event> = Vec::new();
                        client.send(messages).await.expect("sent");
                        for _ in 0..*syncs {
                            answer.extend(client.until_ready().await.expect("an answer"));
                        }
                        answers.push(answer);
                    }
                    assert_eq!(answers[0], answers[1], "{sql} with {value}");
                }
            }
        }
    }
}

#[tokio::test]
async fn they_are_prepared() {
    let Some(world) = world().await else { return };
    let (mut client, behind) = (world.raw().await, world.behind().await);
    for turn in 1..=TURNS {
        client
            .query(&format!("SELECT price FROM things WHERE id = {turn}"))
            .await
            .expect("an answer");
    }
    let last = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT price FROM things WHERE id = $1'";
    assert_eq!(column(&behind, last).await, ["1"]);
}

#[tokio::test]
async fn a_changed_definition_is_followed() {
    let Some(world) = world().await else { return };
    let (mut client, mut behind) = (world.raw().await, world.raw_behind().await);
    let past_the_gateway = [
        "ALTER TABLE things ADD COLUMN more text DEFAULT 'more'",
        "ALTER TABLE things DROP COLUMN tags",
        "ALTER TABLE things ALTER COLUMN id TYPE bigint",
        "ALTER TABLE things ALTER COLUMN id TYPE text",
        "ALTER TABLE things RENAME COLUMN id TO key",
    ];
    for change in past_the_gateway {
        for after in [false, true] {
            if after {
                behind.query(change).await.expect("changed");
            }
            for turn in 1..=TURNS {
                for sql in [
                    format!("SELECT * FROM things WHERE id = {turn}"),
                    format!("SELECT name FROM things WHERE id = '{turn}'"),
                ] {
                    let expected = behind.query(&sql).await.expect("an answer");
                    assert_eq!(
                        client.query(&sql).await.expect("an answer"),
                        expected,
                        "{sql} after {change}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn settings_keep_their_meaning() {
    let Some(world) = world().await else { return };
    let (mut ours, mut theirs) = (world.raw().await, world.raw_behind().await);
    for (number, style) in ["ISO, DMY", "SQL, MDY", "German"].into_iter().enumerate() {
        for client in [&mut ours, &mut theirs] {
            client
                .query(&format!("SET DateStyle = '{style}'; SET TimeZone = 'Etc/GMT+{number}'"))
                .await
                .expect("SET");
        }
        for _ in 0..TURNS {
            let sql = "SELECT id, day, at FROM things WHERE day = '02/01/2026' OR at = '01/02/2026 03:00'";
            let expected = theirs.query(sql).await.expect("an answer");
            assert_eq!(ours.query(sql).await.expect("an answer"), expected, "{style}");
        }
    }
}
