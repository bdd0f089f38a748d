//! `standard_conforming_strings = off`: what an ordinary string hides, and what it shows, is what
//! PostgreSQL reads, however the setting was made.

use std::time::{Duration, Instant};

use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, World};

const TABLES: &str = "CREATE TABLE things (id int PRIMARY KEY, v text); CREATE TABLE plain (id int PRIMARY KEY, v text)";

/// What comes in with the setting off.
const OFF: &[&str] = &[
    r"INSERT INTO things VALUES (1, 'a\'b'), (2, 'c\\d'), (3, 'e\nf'), (4, 'g\x41')",
    r"INSERT INTO plain VALUES (1, 'a\'b'), (2, 'c\\d')",
    r"SELECT * FROM things WHERE v = 'a\'b'",
    r"SELECT v FROM things WHERE v IN ('a\'b', 'c\\d', 'g\x41') ORDER BY id",
    // With the setting on, the table's name would be in a string, or the string a statement.
    r"SELECT 'x\' , ' , v FROM things WHERE id = 1",
    r"SELECT 'x\' , ' , t.v, p.v FROM things t JOIN plain p ON p.v = t.v WHERE t.v <> '\\' ORDER BY t.id",
    r"SELECT 'z\'; DELETE FROM things; --'",
    r"UPDATE things SET v = 'h\'; --' WHERE id = 3",
    r"SELECT 'y\' '; SET my.value = 'hid\\den'; SELECT ' '",
    "SELECT current_setting('my.value', true)",
    r"BEGIN; INSERT INTO things VALUES (5, '\\'); SELECT v FROM things WHERE id = 5 AND v = '\\'; COMMIT",
    r"DELETE FROM things WHERE v = '\\'",
    r"SELECT E'\'' || v, $$\$$, N'\\' FROM things WHERE id = 2",
    "SELECT id, v FROM things ORDER BY id",
];

/// What comes in with it on again.
const ON: &[&str] = &[
    r"SELECT 'a\', v FROM things WHERE id = 2 AND v = 'c\d'",
    r"INSERT INTO things VALUES (6, '\')",
    r"SELECT id FROM things WHERE v = '\' ORDER BY '\'",
];

async fn worlds(database_default: bool) -> Vec<World> {
    let mut worlds = Vec::new();
    for home in Home::ONE_OF_EACH {
        let Some(world) = Setup::default().table("public.things", home).start().await else {
            return worlds;
        };
        if database_default {
            for client in [world.behind().await, world.oracle().await] {
                let off = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database()); END $$";
                client.batch_execute(off).await.expect("a default");
            }
            // It was set past the gateway, whose new sessions get it soon.
            let begun = Instant::now();
            while column(&world.gateway().await, "SHOW standard_conforming_strings").await
                != ["off"]
            {
                assert!(begun.elapsed() < Duration::from_secs(10), "the old default");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        for client in [world.gateway().await, world.oracle().await] {
            client.batch_execute(TABLES).await.expect("tables");
        }
        worlds.push(world);
    }
    worlds
}

/// Rows, tags and SQLSTATEs.
async fn said(client: &mut Client, messages: &[Message]) -> Vec<String> {
    client.send(messages).await.expect("sent");
    let said = client.until_ready().await.expect("an answer");
    let shown = said.iter().filter_map(|event| match event {
        Event::Row(_) | Event::Done(_) | Event::Ready(_) => Some(format!("{event:?}")),
        Event::Error(report) => Some(report.state().to_owned()),
        _ => None,
    });
    shown.collect()
}

fn extended(sql: &str) -> [Message; 3] {
    [Message::parse("", sql, &[]), Message::new(b'B', &[0; 8]), Message::execute("", 0)]
}

async fn pair(world: &World) -> [Client; 2] {
    [world.raw().await, world.raw_oracle().await]
}

async fn same(clients: &mut [Client; 2], messages: &[Message], what: &str) {
    let [gateway, oracle] = clients;
    let (ours, theirs) = (said(gateway, messages).await, said(oracle, messages).await);
    assert_eq!(ours, theirs, "{what}");
}

#[tokio::test]
async fn however_the_setting_was_made() {
    let ways: [&[&str]; 3] = [
        &["SET standard_conforming_strings = off"],
        &["SELECT set_config('standard_conforming_strings', 'off', false)"],
        &["UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'"],
    ];
    for world in worlds(false).await {
        for way in ways {
            let mut clients = pair(&world).await;
            for sql in way
                .iter()
                .chain(OFF)
                .chain(&["SET standard_conforming_strings = on"])
                .chain(ON)
                .chain(&["TRUNCATE things, plain"])
            {
                same(&mut clients, &[Message::query(sql)], &format!("{way:?}: {sql}")).await;
            }
        }
    }
}

#[tokio::test]
async fn in_the_extended_protocol() {
    for world in worlds(false).await {
        let mut clients = pair(&world).await;
        let single = |sql: &&&str| !sql.contains("; SET") && !sql.starts_with("BEGIN");
        for sql in ["SET standard_conforming_strings = off"].iter().chain(OFF.iter().filter(single))
        {
            let messages: Vec<_> = extended(sql).into_iter().chain([Message::sync()]).collect();
            same(&mut clients, &messages, sql).await;
        }
        // PostgreSQL tells of the setting at Sync only: until then nothing is read that depends on
        // it.
        let batch: Vec<_> = ["SET standard_conforming_strings = on", ON[0]]
            .iter()
            .flat_map(|sql| extended(sql))
            .chain([Message::sync()])
            .collect();
        let told = said(&mut clients[0], &batch).await;
        assert_eq!(told, ["Done(\"SET\")", "0A000", "Ready('I')"]);
        same(&mut clients, &[Message::query("SET standard_conforming_strings = on")], "SET").await;
        for sql in ON {
            let messages: Vec<_> = extended(sql).into_iter().chain([Message::sync()]).collect();
            same(&mut clients, &messages, sql).await;
        }
    }
}

#[tokio::test]
async fn as_the_default_of_a_database() {
    for world in worlds(true).await {
        let mut clients = pair(&world).await;
        for sql in OFF {
            same(&mut clients, &[Message::query(sql)], sql).await;
        }
    }
}

#[tokio::test]
async fn a_text_is_read_as_the_setting_was_when_it_came() {
    for world in worlds(false).await {
        let mut clients = pair(&world).await;
        let sql = r"INSERT INTO things VALUES (1, 'a\b'); SET standard_conforming_strings = off";
        same(&mut clients, &[Message::query(sql)], sql).await;
        let sql =
            r"SET standard_conforming_strings = on; SELECT 'x\' , ' , v FROM things WHERE id = 1";
        same(&mut clients, &[Message::query(sql)], sql).await;
        // What was read with it on, and would be read otherwise now, is refused.
        let sql = r"SET standard_conforming_strings = off; SELECT 'x\', v FROM things WHERE id = 1";
        let [gateway, _] = &mut clients;
        let told = said(gateway, &[Message::query(sql)]).await;
        let is_answered = told.iter().any(|event| event.contains("Row"));
        assert!(is_answered || told.contains(&"0A000".to_owned()), "{told:?}");
    }
}
