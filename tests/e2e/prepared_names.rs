//! Prepared statements by their names, with a neighbour on the same server connection; row limits;
//! many parameters.

use flywheel_tests::cache::count;
use flywheel_tests::raw::{Bind, Client, Event, Format, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, World};

fn bind(statement: &str, parameters: &[Option<Vec<u8>>]) -> Message {
    Message::bind(&Bind {
        portal: "",
        statement,
        parameter_format: Format::Text,
        parameters,
        result_format: Format::Text,
    })
}

async fn answer(client: &mut Client, messages: &[Message]) -> Vec<Event> {
    client.send(messages).await.expect("sent");
    client.until_ready().await.expect("an answer")
}

/// The first column of each row.
fn rows(events: &[Event]) -> Vec<String> {
    let first = |event: &Event| match event {
        Event::Row(values) => Some(String::from_utf8_lossy(values[0].as_deref()?).into_owned()),
        _ => None,
    };
    events.iter().filter_map(first).collect()
}

async fn parse(client: &mut Client, name: &str, sql: &str) {
    answer(client, &[Message::parse(name, sql, &[]), Message::sync()]).await;
}

async fn world(home: Home) -> Option<World> {
    let setup = Setup::default().main("pool_size = 1").table_with(
        "public.things",
        home,
        &["allow_drop = true", "allow_scan = true"],
    );
    let world = setup.start().await?;
    let tables = "CREATE TABLE things (id int PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'one'), (2, 'two')";
    for client in [world.gateway().await, world.oracle().await] {
        client.batch_execute(tables).await.expect("tables");
    }
    Some(world)
}

/// Neither texts nor names of a neighbour's, nor the gateway's own, before and after Close.
#[tokio::test]
async fn a_list_shows_nothing_of_a_neighbours() {
    let Some(world) = world(Home::Memory).await else { return };
    let (mut one, mut other) = (world.raw().await, world.raw().await);
    for list in [
        "SELECT concat(name, ' ', from_sql, ' ', statement) FROM pg_prepared_statements ORDER BY name",
        "SELECT concat(name, ' ', from_sql, ' ', statement) FROM pg_catalog.pg_prepared_statement() ORDER BY name",
        "SELECT concat(name, ' ', from_sql, ' ', statement) FROM PG_CATALOG.\"pg_prepared_statements\" ORDER BY name",
        "SELECT (xpath('/row/c/text()', x))[1]::text FROM unnest(xpath('//row', query_to_xml('SELECT concat(name, '' '', \
         from_sql, '' '', statement) AS c FROM pg_prepared_statements ORDER BY name', false, false, ''))) AS x",
    ] {
        parse(&mut one, "a", "SELECT 'a secret'").await;
        answer(&mut one, &[bind("a", &[]), Message::execute("", 0), Message::sync()]).await;
        parse(&mut one, "t", "SELECT name FROM things WHERE name = 'another secret' ORDER BY 1")
            .await;
        answer(&mut one, &[bind("t", &[]), Message::execute("", 0), Message::sync()]).await;
        parse(&mut other, "b", "SELECT 'mine'").await;
        answer(&mut other, &[bind("b", &[]), Message::execute("", 0), Message::sync()]).await;
        for _ in 0..2 {
            let simple = other.query(list).await.expect("an answer");
            assert_eq!(rows(&simple), ["b f SELECT 'mine'"], "{list}: {simple:?}");
            let batch = answer(&mut other, &Message::batch_of(list)).await;
            assert_eq!(rows(&batch), ["b f SELECT 'mine'"], "{list}: {batch:?}");
            // All go on.
            let told =
                answer(&mut one, &[bind("a", &[]), Message::execute("", 0), Message::sync()]).await;
            assert_eq!(rows(&told), ["a secret"]);
        }
        let own = one.query(list).await.expect("an answer");
        assert_eq!(
            rows(&own),
            [
                "a f SELECT 'a secret'",
                "t f SELECT name FROM things WHERE name = 'another secret' ORDER BY 1"
            ]
        );
        let close = |name: &str| Message::new(b'C', format!("S{name}\0").as_bytes());
        answer(&mut other, &[close("b"), Message::sync()]).await;
        assert_eq!(rows(&other.query(list).await.expect("an answer")), <[&str; 0]>::default());
        answer(&mut one, &[close("a"), close("t"), Message::sync()]).await;
    }
}

/// Each client has a space of names of its own, whichever connection serves it.
#[tokio::test]
async fn neighbours_names_are_none_of_ones_own() {
    let Some(world) = world(Home::Memory).await else { return };
    let (mut one, mut other) = (world.raw().await, world.raw().await);
    parse(&mut one, "s", "SELECT name FROM things WHERE id = $1::int").await;
    parse(&mut other, "s", "SELECT 'other ' || $1").await;
    for _ in 0..2 {
        assert_eq!(rows(&one.query("EXECUTE s(1)").await.expect("an answer")), ["one"]);
        assert_eq!(rows(&other.query("EXECUTE s('1')").await.expect("an answer")), ["other 1"]);
        let explained = rows(
            &other.query("EXPLAIN (VERBOSE, COSTS OFF) EXECUTE s(NULL)").await.expect("an answer"),
        );
        assert_eq!(explained[0], "Result", "{explained:?}");
        let explained = rows(
            &one.query("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE s(NULL)").await.expect("an answer"),
        );
        assert!(explained[0].contains("Flywheel"), "{explained:?}");
    }
    let mut third = world.raw().await;
    let said = third.query("EXECUTE s(1)").await.expect("an answer");
    assert!(matches!(&said[0], Event::Error(error) if error.state() == "26000"), "{said:?}");
    third.query("PREPARE s AS SELECT 3").await.expect("an answer");
    assert_eq!(rows(&third.query("EXECUTE s").await.expect("an answer")), ["3"]);
}

/// A count of parameters takes all 16 bits.
#[tokio::test]
async fn as_many_parameters_as_the_protocol_has() {
    let Some(world) = world(Home::Memory).await else { return };
    for count in [32_768_usize, 65_535] {
        let places: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
        let values: Vec<Option<Vec<u8>>> =
            (1..=count).map(|number| Some(number.to_string().into_bytes())).collect();
        for sql in [
            format!("SELECT cardinality(ARRAY[{}]::int[])", places.join(", ")),
            format!(
                "SELECT name FROM things WHERE id = $1 OR cardinality(ARRAY[{}]::int[]) = 0",
                places.join(", ")
            ),
        ] {
            let messages = [
                Message::parse("", &sql, &vec![23; count]),
                bind("", &values),
                Message::execute("", 0),
                Message::sync(),
            ];
            let expected = answer(&mut world.raw_oracle().await, &messages).await;
            let given = answer(&mut world.raw().await, &messages).await;
            assert_eq!(given, expected);
            assert!(!rows(&given).is_empty(), "{given:?}");
        }
    }
}

/// A row limit that Sync follows is a read like another: it is kept, under its limit.
#[tokio::test]
async fn reads_with_a_row_limit_are_kept() {
    let setup = Setup::default().section("[[cache]]\nwhen = { tables = [\"kept\"] }\nttl = \"1h\"");
    let Some(world) = setup.start().await else { return };
    let admin = world.gateway().await;
    let tables =
        "CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept SELECT generate_series(1, 5)";
    admin.batch_execute(tables).await.expect("tables");
    world.oracle().await.batch_execute(tables).await.expect("tables");
    let sql = "SELECT id FROM kept ORDER BY id";
    let (mut ours, mut theirs) = (world.raw().await, world.raw_oracle().await);
    for client in [&mut ours, &mut theirs] {
        parse(client, "s", sql).await;
    }
    for limit in [1, 2, 5, 9, 0] {
        let batches = [
            vec![bind("s", &[]), Message::execute("", limit), Message::sync()],
            vec![
                bind("s", &[]),
                Message::describe(b'P', ""),
                Message::execute("", limit),
                Message::sync(),
            ],
            vec![
                Message::parse("", sql, &[]),
                bind("", &[]),
                Message::execute("", limit),
                Message::sync(),
            ],
        ];
        for batch in batches {
            let expected = answer(&mut theirs, &batch).await;
            let hits = count(&admin, "hits").await;
            for _ in 0..3 {
                assert_eq!(answer(&mut ours, &batch).await, expected, "{limit}");
            }
            assert!(count(&admin, "hits").await > hits, "{limit}");
        }
    }
    assert_eq!(column(&admin, sql).await.len(), 5);
}

/// Portals of statements on store tables aren't cursors of SQL's, and their names are taken.
#[tokio::test]
async fn a_stores_portal_is_no_cursor_of_sqls() {
    let Some(world) = world(Home::Memory).await else { return };
    let mut client = world.raw().await;
    let portal = || Message::new(b'B', b"p\0s\0\0\0\0\0\0\0");
    for (sql, state) in [
        ("FETCH 1 FROM p", "0A000"),
        ("MOVE p", "0A000"),
        ("CLOSE p", "0A000"),
        ("DECLARE p CURSOR FOR SELECT 1", "42P03"),
        ("FETCH 1 FROM q", "34000"),
    ] {
        parse(&mut client, "s", "SELECT name FROM things ORDER BY id").await;
        for by_query in [true, false] {
            client.query("BEGIN").await.expect("an answer");
            answer(&mut client, &[portal(), Message::execute("p", 1), Message::sync()]).await;
            let said = if by_query {
                client.query(sql).await.expect("an answer")
            } else {
                answer(&mut client, &Message::batch_of(sql)).await
            };
            let error = said.iter().find_map(|event| match event {
                Event::Error(error) => Some(error.state()),
                _ => None,
            });
            assert_eq!(error, Some(state), "{sql}: {said:?}");
            assert_eq!(said.last(), Some(&Event::Ready('E')), "{sql}: {said:?}");
            client.query("ROLLBACK").await.expect("an answer");
        }
        client.query("DEALLOCATE ALL").await.expect("an answer");
    }
}
