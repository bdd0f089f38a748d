//! What a client has begun with: what RESET means, what it was told, what its startup packet says.

use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup};

use super::both::{Both, said, statement, world};

/// Tables of two tenants, told apart by the search path with which clients begin.
const TENANTS: &str = "CREATE FUNCTION public.code() RETURNS text LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELECT 1''; RETURN current_setting(''search_path''); END'; CREATE SCHEMA ten1; CREATE TABLE tt (v text); CREATE TABLE ten1.tt (v text); \
 INSERT INTO tt VALUES ('public'); INSERT INTO ten1.tt VALUES ('ten1')";

const STARTUP: &[(&str, &str)] = &[
    ("options", "-c search_path=ten1 -c work_mem=5MB -c app.mine=yes"),
    ("TimeZone", "Asia/Tokyo"),
    ("DateStyle", "German"),
];

/// What says which of the values is meant.
const SHOWN: &str = "SELECT (SELECT v FROM tt), current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle'), current_setting('work_mem')";

/// Texts as simple queries; the `$` stands for what shows.
const RESETTING: &[&[&str]] = &[
    &["SET search_path = public; RESET search_path; $"],
    &["SET search_path = public", "RESET search_path; $"],
    &["RESET search_path; $; SET search_path = public; $; SET search_path TO DEFAULT; $"],
    &["SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET work_mem = '9MB'", "RESET ALL; $"],
    &["SET TimeZone = 'UTC'", "SET TIME ZONE LOCAL; $"],
    &["SET TimeZone = 'UTC'", "SET TIME ZONE DEFAULT", "$"],
    &["SET search_path = public", "BEGIN", "SET LOCAL search_path TO DEFAULT", "$", "COMMIT", "$"],
    &[
        "SET search_path = public",
        "BEGIN",
        "SET LOCAL TIME ZONE LOCAL; $",
        "RESET search_path",
        "$",
        "ROLLBACK",
        "$",
    ],
    &[
        "BEGIN",
        "SET search_path = public",
        "SAVEPOINT a",
        "RESET ALL",
        "$",
        "ROLLBACK TO a",
        "$",
        "RELEASE a",
        "COMMIT",
        "$",
    ],
    &["SET search_path = public", "SELECT set_config('search_path', NULL, false)", "$"],
    &[
        "SET search_path = public",
        "SELECT set_config('search_path', p, false) FROM (VALUES (NULL::text)) v(p)",
        "$",
    ],
    &["SET search_path = public", "SELECT set_config('search_path', NULL || 'x', false)", "$"],
    &["SET search_path = public", "SELECT set_config('Search_Path', null::text, false), 1; $"],
    &[
        "BEGIN",
        "SET search_path = public",
        "SELECT set_config('search_path', NULL, true)",
        "$",
        "COMMIT",
        "$",
    ],
    &["SET search_path = public; SET TimeZone = 'UTC'", "DISCARD ALL", "$"],
    &["DISCARD ALL; $", "$"],
    // What runs code is guarded where there are store tables.
    &[
        "SET search_path = public",
        "SELECT public.code(); RESET search_path; SELECT public.code(); $",
    ],
    &["RESET ALL; SELECT public.code(); SET search_path = public; SELECT public.code()", "$"],
    &["SET TimeZone = 'UTC'", "SELECT public.code(); RESET TimeZone", "$"],
    &["SET TimeZone = 'UTC'; SELECT public.code(); RESET ALL; SELECT public.code(), 1 / 0", "$"],
    &[
        "BEGIN",
        "SET search_path = public; SELECT public.code(); SET LOCAL search_path TO DEFAULT; SELECT public.code()",
        "COMMIT",
        "$",
    ],
    &["SET search_path = public", "RESET search_path; SELECT 1 / 0", "$"],
    &["SET search_path = public", "SELECT 1; RESET ALL", "$"],
    &["BEGIN", "RESET nothing.at_all", "RESET no_such_setting", "COMMIT", "$"],
    &["SET app.mine = no", "RESET app.mine; SELECT current_setting('app.mine')"],
    &["SET work_mem = '9MB'", "RESET \"Work_Mem\"; $"],
    &["DO $$ BEGIN SET search_path = public; RESET search_path; RESET work_mem; END $$", "$"],
    &[
        "SELECT name, setting, reset_val, source FROM pg_settings WHERE name IN ('search_path', 'TimeZone', 'DateStyle', 'work_mem', 'jit') ORDER BY 1",
    ],
    &[
        "SET work_mem = '9MB'",
        "SELECT name, setting, reset_val, source FROM pg_settings WHERE name IN ('search_path', 'TimeZone', 'DateStyle', 'work_mem') ORDER BY 1",
        "$",
    ],
];

#[tokio::test]
async fn a_reset_means_what_the_client_has_begun_with() {
    for main in [
        "pool_size = 1\nacquire_timeout = \"2s\"",
        "pool_size = 3\nshared_connections = 1",
        // Beside a store table.
        "pool_size = 2\nacquire_timeout = \"2s\"",
        "pool_size = 3\npool_mode = \"session\"",
    ] {
        let mut setup = Setup::default().main(main);
        if main.contains("pool_size = 2") {
            setup = setup.table("public.elsewhere", Home::Memory);
        }
        let Some(world) = setup.start().await else { return };
        for client in [world.behind().await, world.oracle().await] {
            client.batch_execute(TENANTS).await.expect("tables");
        }
        if main.contains("pool_size = 2") {
            let made = "CREATE TABLE elsewhere (id int PRIMARY KEY)";
            world.gateway().await.batch_execute(made).await.expect("a store table");
        }
        let is_shared = !main.contains("session");
        for texts in RESETTING {
            let what = format!("{texts:?}, {main}");
            if !is_shared
                && texts.iter().any(|text| text.contains("reset_val") || text.contains("$$"))
            {
                // The connection that it has is one that began with others.
                continue;
            }
            for is_extended in [false, true] {
                let mut other = Both::start(&world, &[]).await;
                let mut client = Both::start(&world, STARTUP).await;
                let mut last = Both::start(&world, &[("TimeZone", "America/Lima")]).await;
                for text in *texts {
                    let text = if text.contains("$$") {
                        (*text).to_owned()
                    } else {
                        text.replace('$', SHOWN)
                    };
                    if is_extended {
                        // All of its statements before one Sync.
                        let mut batch = Vec::new();
                        let several = if text.contains("$$") {
                            vec![text.as_str()]
                        } else {
                            text.split("; ").collect()
                        };
                        for sql in several {
                            let bind = Message::new(b'B', &[0; 8]);
                            batch.extend([
                                Message::parse("", sql, &[]),
                                bind,
                                Message::execute("", 0),
                            ]);
                        }
                        batch.push(Message::sync());
                        client.say(&batch, &what).await;
                    } else {
                        client.say(&[Message::query(&text)], &what).await;
                    }
                    // With one connection nobody else is served in a block.
                    if is_shared && !texts.contains(&"BEGIN") {
                        other.say(&[Message::query(SHOWN)], &format!("another's: {what}")).await;
                        last.say(&[Message::query(SHOWN)], &format!("a third's: {what}")).await;
                    }
                }
                client.say(&[Message::query(SHOWN)], &what).await;
            }
        }
    }
}

/// Bound NULL is DEFAULT.
#[tokio::test]
async fn a_bound_null_means_what_the_client_has_begun_with() {
    let Some(world) = Setup::default().main("pool_size = 1").start().await else {
        return;
    };
    for client in [world.behind().await, world.oracle().await] {
        client.batch_execute(TENANTS).await.expect("tables");
    }
    let mut client = Both::start(&world, STARTUP).await;
    client.say(&[Message::query("SET search_path = public")], "a path").await;
    let bind = Message::new(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xff\0\0");
    let sql = "SELECT set_config('search_path', $1, false)";
    client
        .say(&[Message::parse("", sql, &[]), bind, Message::execute("", 0), Message::sync()], sql)
        .await;
    client.say(&[Message::query(SHOWN)], "the path").await;
    client.say(&[Message::query("SET search_path = public")], "a path").await;
    let bind = Message::new(b'B', b"\0\0\0\0\0\x02\0\0\0\x0bsearch_path\xff\xff\xff\xff\0\0");
    let sql = "SELECT set_config($1, $2, false)";
    client
        .say(&[Message::parse("", sql, &[]), bind, Message::execute("", 0), Message::sync()], sql)
        .await;
    client.say(&[Message::query(SHOWN)], "the path, named by a parameter").await;
}

/// What settings are reset to is the client's startup value; where it can't be known, an error.
#[tokio::test]
async fn what_settings_are_reset_to_is_what_the_client_has_begun_with() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"5s\"").await else { return };
    let shown = "SELECT setting, reset_val FROM pg_settings WHERE name = 'work_mem'";
    let mut client = Both::start(&world, &[("options", "-c work_mem=5MB")]).await;
    let mut other = Both::start(&world, &[]).await;
    for is_extended in [false, true] {
        client.say(&statement(shown, is_extended), shown).await;
        let text = format!("BEGIN; SET work_mem TO DEFAULT; {shown}; COMMIT");
        client.say(&[Message::query(&text)], &text).await;
        other.say(&statement(shown, is_extended), shown).await;
        client.say(&statement("BEGIN", is_extended), "BEGIN").await;
        let setting = "SELECT setting FROM pg_settings WHERE name = 'work_mem'";
        client.say(&statement(setting, is_extended), setting).await;
        let refused = said(&mut client.ours, &statement(shown, is_extended)).await;
        assert_eq!(refused, ["0A000", "ready E"]);
        client.say(&statement("ROLLBACK", is_extended), "ROLLBACK").await;
    }
}

/// The schema of temporary objects is there for who has made some, and nobody else.
#[tokio::test]
async fn schemas_of_temporary_objects_are_their_sessions() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"5s\"").await else { return };
    let shown = "SELECT current_schemas(true), pg_my_temp_schema() = 0";
    let mut one = Both::start(&world, &[]).await;
    for sql in
        ["CREATE TEMP TABLE t (a int)", "SELECT current_schemas(true)::text LIKE '%pg_temp%'"]
    {
        one.say(&statement(sql, false), sql).await;
    }
    one.say(&statement("DISCARD ALL", false), "DISCARD ALL").await;
    let mut other = Both::start(&world, &[]).await;
    for is_extended in [false, true] {
        other.say(&statement(shown, is_extended), shown).await;
    }
}

/// PostgreSQL tells notifications before the settings that the same statement has changed.
#[tokio::test]
async fn notifications_come_before_settings() {
    let Some(world) = world("pool_size = 2").await else { return };
    let mut both = Both::start(&world, &[]).await;
    both.say(&[Message::query("LISTEN said")], "LISTEN").await;
    let text = "SET TimeZone = 'Asia/Tokyo'; NOTIFY said";
    let mut told = Vec::new();
    for client in [&mut both.ours, &mut both.theirs] {
        client.send(&[Message::query(text)]).await.expect("sent");
        let events = client.until_ready().await.expect("an answer");
        let kind = |event: &Event| match event {
            Event::Setting(..) => "setting",
            Event::Other('A', _) => "notification",
            _ => "other",
        };
        told.push(events.iter().map(kind).collect::<Vec<_>>());
    }
    assert_eq!(told[0], told[1]);
}

/// What a client was told holds for it; who comes later is told what is so by then.
#[tokio::test]
async fn defaults_change_for_new_sessions_only() {
    let Some(world) = world("pool_size = 3\nshared_connections = 1").await else {
        return;
    };
    let style = "SELECT current_setting('DateStyle'), '01/02/2001'::date, (SELECT id FROM accounts LIMIT 1)";
    let old = world.gateway().await;
    assert_eq!(column(&old, style).await, ["ISO, MDY"]);
    let alter = format!("ALTER DATABASE {} SET datestyle = 'German'", world.primary().name());
    for client in [world.gateway().await, world.behind().await] {
        client.batch_execute(&alter).await.expect("ALTER DATABASE");
        let new = world.gateway().await;
        assert_eq!(column(&new, style).await, ["German, DMY"]);
        for client in [&old, &new] {
            column(client, "SELECT count(*) FROM accounts").await;
        }
        assert_eq!(column(&old, style).await, ["ISO, MDY"]);
        old.batch_execute("RESET DateStyle").await.expect("RESET");
        assert_eq!(column(&old, style).await, ["ISO, MDY"]);
        assert_eq!(column(&old, "SELECT '01/02/2001'::date").await, ["2001-01-02"]);
        assert_eq!(column(&new, "SELECT '01/02/2001'::date").await, ["01.02.2001"]);
    }
}

/// Parameters, `options` and its switches, in PostgreSQL's order.
#[tokio::test]
async fn startup_packets_are_read_as_postgresql_reads_them() {
    let Some(world) = Setup::default().main("pool_size = 2").start().await else {
        return;
    };
    let shown = "SELECT current_setting('work_mem'), current_setting('DateStyle'), current_setting('enable_hashjoin'), current_setting('application_name')";
    let long = "x".repeat(100);
    let umlauts = "ü".repeat(40);
    for parameters in [
        &[][..],
        &[("work_mem", "7MB"), ("options", "-c work_mem=5MB")],
        &[("options", "-c work_mem=5MB"), ("Work_Mem", "7MB")],
        &[("options", "-c work_mem=5MB -c work_mem=6MB")],
        &[("options", "-e -S 4096"), ("application_name", "mine")],
        &[("options", "-fh --application-name=mine"), ("application_name", "yours")],
        &[("application_name", &long)],
        &[("application_name", &umlauts)],
        &[("application_name", "")],
    ] {
        let mut both = Both::start(&world, parameters).await;
        both.say(&[Message::query(shown)], &format!("{parameters:?}")).await;
        both.say(&[Message::query("RESET ALL")], &format!("{parameters:?}")).await;
        both.say(&[Message::query(shown)], &format!("{parameters:?}")).await;
    }
    for options in [
        "-x",
        "-c",
        "-c geqo",
        "--geqo",
        "plain",
        "-fx",
        "-t p",
        "-B 16",
        "-F",
        "-c no_such_setting=1",
    ] {
        let mut told = Vec::new();
        for (address, database) in [
            (world.gateway_address(), "app"),
            (world.oracle_database().address(), world.oracle_database().name()),
        ] {
            let mut client = Client::connect(address).await.expect("a connection");
            let startup = [("user", "postgres"), ("database", database), ("options", options)];
            client.send(&[Message::startup(&startup)]).await.expect("sent");
            let answer = client.until_ready().await.expect("an answer");
            let error = answer.iter().find_map(|event| match event {
                Event::Error(report) => {
                    Some((report.state().to_owned(), report.field('M').map(str::to_owned)))
                }
                _ => None,
            });
            told.push(error);
        }
        assert_eq!(told[0], told[1], "{options}");
    }
}
