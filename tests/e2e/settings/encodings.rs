//! Clients whose `client_encoding` isn't UTF8: PostgreSQL converts, for them alone.

use flywheel_tests::raw::Message;
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup};
use tokio::process::Command;

use super::both::{Both, said, statement, world};

/// The same text in encodings: single bytes, characters whose second byte may be a backslash or a
/// letter of ASCII's, and some whose second byte never is.
const TEXTS: &[(&str, &[u8])] = &[
    ("latin1", b"\xe9\xfc"),
    ("win1252", b"\xe9\x80"),
    ("koi8r", b"\xd0\xd2\xc9"),
    // 表ソ能ｱ
    ("sjis", b"\x95\x5c\x83\x5c\x94\x5c\xb1"),
    // 功許蓋
    ("big5", b"\xa5\x5c\xb3\x5c\xbb\x5c"),
    // 誠乗
    ("gbk", b"\xd5\x5c\x81\x5c"),
    ("uhc", b"\xb0\xa1\x81\x41"),
    ("gb18030", b"\x81\x30\x8b\x38\xb9\xa6"),
    ("euc_jp", b"\xc9\xbd"),
    ("euc_kr", b"\xb0\xa1"),
];

const ENCODING: &str = "SELECT current_setting('client_encoding'), 'é'";

/// How a client may come to another encoding, or back, and what it says then.
const SET: &[&str] = &[
    "SET client_encoding TO 'LATIN1'",
    "SET NAMES 'latin-1'",
    "SET SESSION client_encoding = latin1",
    "SELECT set_config('client_encoding', 'latin1', false)",
    "SELECT set_config('client_encoding', lower('LATIN1'), false)",
    "UPDATE pg_settings SET setting = 'latin1' WHERE name = 'client_encoding'",
    "DO $$ BEGIN SET client_encoding TO latin1; END $$",
];

fn text(before: &[u8], text: &[u8], behind: &[u8]) -> Vec<u8> {
    [before, text, behind].concat()
}

fn extended(sql: &[u8]) -> Vec<Message> {
    let bind = Message::new(b'B', &[0; 8]);
    vec![Message::parse_of(sql), bind, Message::execute("", 0), Message::sync()]
}

#[tokio::test]
async fn texts_and_rows_are_in_the_encoding_of_their_client() {
    for main in ["pool_size = 1\nacquire_timeout = \"5s\"", "pool_size = 3"] {
        let Some(world) = world(main).await else { return };
        let mut other = Both::start(&world, &[]).await;
        for (encoding, word) in TEXTS {
            let mut one = Both::start(&world, &[("client_encoding", encoding)]).await;
            let select = text(b"SELECT '", word, b"', length(E'a\\n'), $$");
            let select = text(&select, word, b"$$ AS x -- it's");
            for turn in 0..2 {
                one.say(&[Message::query_of(&select)], encoding).await;
                one.say(&extended(&select), encoding).await;
                let both = text(&select, b"\n; SELECT 'two', '", &text(word, b"'", b""));
                one.say(&[Message::query_of(&both)], encoding).await;
                one.say(&statement("SHOW client_encoding", turn == 0), encoding).await;
                other.say(&statement(ENCODING, turn == 1), encoding).await;
            }
            let set = text(b"SET app.mine = '", word, b"'");
            one.say(&[Message::query_of(&set)], encoding).await;
            other.say(&statement(ENCODING, false), encoding).await;
            one.say(&statement("SHOW app.mine", false), encoding).await;
            // What the encoding doesn't have, and bytes that aren't in it.
            one.say(&statement("SELECT 1, chr(128512)", false), encoding).await;
            one.say(&[Message::query_of(b"SELECT '\xff'")], encoding).await;
            one.say(&extended(b"SELECT '\xff'"), encoding).await;
        }
    }
}

#[tokio::test]
async fn an_encoding_is_set_in_every_way() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"5s\"").await else { return };
    let mut other = Both::start(&world, &[]).await;
    for set in SET {
        for is_extended in [false, true] {
            let mut one = Both::start(&world, &[]).await;
            one.say(&statement(set, is_extended), set).await;
            one.say(&[Message::query_of(b"SELECT '\xe9', upper('\xe9')")], set).await;
            other.say(&statement(ENCODING, is_extended), set).await;
            one.say(&extended(b"SELECT '\xe9', upper('\xe9')"), set).await;
            for back in ["RESET client_encoding", "SELECT 'é'", "BEGIN", set] {
                one.say(&statement(back, is_extended), set).await;
            }
            one.say(&[Message::query_of(b"SELECT '\xe9'")], set).await;
            for back in ["ROLLBACK", "SELECT 'é'", "BEGIN", "SET LOCAL client_encoding = latin1"] {
                one.say(&statement(back, is_extended), set).await;
            }
            one.say(&[Message::query_of(b"SELECT '\xe9', 1 / 0")], set).await;
            for back in ["COMMIT", "SELECT 'é'"] {
                one.say(&statement(back, is_extended), set).await;
            }
        }
    }
    for wrong in ["SET client_encoding TO nothing", "SET NAMES ''", "SET NAMES"] {
        other.say(&statement(wrong, false), wrong).await;
    }
}

/// A client begins with an encoding, by a parameter or by `options`, and goes back to it.
#[tokio::test]
async fn a_client_begins_with_an_encoding() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"5s\"").await else { return };
    let mut other = Both::start(&world, &[]).await;
    for beginning in [
        ("client_encoding", "LATIN1"),
        ("client_encoding", "'iso-8859-1'"),
        ("options", "-c client_encoding=latin1"),
    ] {
        let mut one = Both::start(&world, &[beginning]).await;
        let latin = Message::query_of(b"SELECT '\xe9'");
        one.say(std::slice::from_ref(&latin), "its own").await;
        for (set, reset) in [
            ("SET client_encoding TO utf8", "RESET client_encoding"),
            ("SET NAMES 'utf8'", "RESET client_encoding; SELECT 1"),
            ("SET NAMES 'utf8'", "SET NAMES DEFAULT"),
            ("SET NAMES 'utf8'", "DISCARD ALL"),
        ] {
            for sql in [set, "SELECT 'é'", reset] {
                one.say(&statement(sql, false), reset).await;
            }
            one.say(std::slice::from_ref(&latin), reset).await;
            other.say(&statement(ENCODING, false), reset).await;
        }
    }
    // Names of UTF8 and what isn't converted.
    for encoding in ["UTF8", "'utf-8'", "Unicode", "SQL_ASCII"] {
        let mut one = Both::start(&world, &[("client_encoding", encoding)]).await;
        one.say(&statement(ENCODING, false), encoding).await;
        one.say(&[Message::query_of(b"SELECT '\xe9'")], encoding).await;
    }
}

/// Writes, COPY, prepared statements, notifications, and what a failed row undoes.
#[tokio::test]
async fn what_is_written_is_converted() {
    let Some(world) = world("pool_size = 3").await else { return };
    let mut other = Both::start(&world, &[]).await;
    let mut one = Both::start(&world, &[("client_encoding", "latin1")]).await;
    other.say(&statement("CREATE TABLE words (w text)", false), "a table").await;
    for sql in [
        &b"INSERT INTO words VALUES ('\xe9')"[..],
        b"INSERT INTO words SELECT chr(8364) RETURNING w",
        b"PREPARE \xe9 AS SELECT '\xfc'",
        b"EXECUTE \xe9",
        b"SELECT name, statement FROM pg_prepared_statements",
        b"DEALLOCATE \xe9",
        b"SELECT * FROM \"\xe9\"",
        b"BEGIN; SAVEPOINT \xe9; SELECT 1 / 0",
        b"ROLLBACK TO \xe9",
        b"COMMIT",
    ] {
        one.say(&[Message::query_of(sql)], &String::from_utf8_lossy(sql)).await;
        other.say(&statement("SELECT * FROM words ORDER BY w", false), "rows").await;
    }
    let copy = [
        Message::query("COPY words FROM STDIN"),
        Message::new(b'd', b"\xf1\n"),
        Message::new(b'c', b""),
    ];
    one.say(&copy, "COPY").await;
    one.say(&statement("SELECT * FROM words ORDER BY w", true), "rows").await;
    for sql in ["LISTEN said", "NOTIFY said", "SELECT pg_notify('said', chr(233))"] {
        one.say(&statement(sql, false), sql).await;
    }
    // A statement that came in another encoding than it would be sent in.
    let parse = |name: &str, sql: &[u8]| {
        Message::new(b'P', &[name.as_bytes(), b"\0", sql, b"\0\0\0"].concat())
    };
    let bound =
        [Message::new(b'B', b"\0early\0\0\0\0\0\0\0"), Message::execute("", 0), Message::sync()];
    one.say(&[parse("early", b"SELECT '\xe9'"), Message::sync()], "early").await;
    one.say(&bound, "early").await;
    for sql in ["UNLISTEN *", "SET client_encoding TO utf8", "SELECT 'é'"] {
        one.say(&statement(sql, false), sql).await;
    }
    let refused = said(&mut one.ours, &bound).await;
    let expected = said(&mut one.theirs, &bound).await;
    assert!(refused == expected || refused == ["0A000", "ready I"], "{refused:?}");
}

/// Rows of store tables aren't converted: their statements are refused before anything is written.
#[tokio::test]
async fn a_store_table_is_read_in_utf8() {
    let Some(world) = Setup::default().table("kv", Home::Memory).start().await else { return };
    let client = world.gateway().await;
    client.batch_execute("CREATE TABLE kv (k text PRIMARY KEY, v text)").await.expect("a table");
    client.batch_execute("INSERT INTO kv VALUES ('a', 'é')").await.expect("a row");
    let mut raw = world.raw().await;
    let early = [
        Message::parse("early", "SELECT v FROM kv", &[]),
        Message::query("PREPARE sooner AS SELECT v FROM kv"),
        Message::query("SET client_encoding TO latin1"),
    ];
    said(&mut raw, &[early[0].clone(), Message::sync()]).await;
    said(&mut raw, &early[1..2]).await;
    said(&mut raw, &early[2..]).await;
    for messages in [
        vec![Message::query("SELECT v FROM kv")],
        vec![Message::query("INSERT INTO kv VALUES ('b', 'c')")],
        vec![Message::query("EXECUTE sooner")],
        vec![
            Message::new(b'B', b"\0early\0\0\0\0\0\0\0"),
            Message::execute("", 0),
            Message::sync(),
        ],
        extended(b"DELETE FROM kv"),
    ] {
        let refused = said(&mut raw, &messages).await;
        assert_eq!(refused, ["0A000", "ready I"], "{messages:?}");
    }
    assert_eq!(column(&client, "SELECT v FROM kv").await, ["é"]);
}

/// As psql is told to.
#[tokio::test]
async fn psql_sets_an_encoding() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"5s\"").await else { return };
    let oracle = world.oracle_database();
    let mut said = Vec::new();
    for (address, database) in [(world.gateway_address(), "app"), (oracle.address(), oracle.name())]
    {
        let (host, port) = address.rsplit_once(':').expect("an address");
        let answer = Command::new("psql")
            .args(["-X", "-At", "-U", "postgres", "-h", host, "-p", port, "-d", database])
            .args(["-c", "\\encoding latin1", "-c", "SELECT chr(233)", "-c", "\\encoding"])
            .args(["-c", "SELECT chr(8364)", "-c", "\\encoding utf8", "-c", "SELECT chr(8364)"])
            .output()
            .await
            .expect("psql");
        said.push((answer.stdout, String::from_utf8_lossy(&answer.stderr).into_owned()));
    }
    assert_eq!(said[0], said[1]);
    assert!(said[0].0.starts_with(b"\xe9\nLATIN1\n"), "{:?}", said[0]);
}
