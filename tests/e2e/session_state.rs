//! Whatever a statement leaves behind in its session is found there by its next statement, as in
//! PostgreSQL, and never by another client's.

use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Setup, Told, World};

const TABLES: &str = "CREATE SCHEMA apart; CREATE TABLE things (id int); CREATE TABLE apart.things (id int, more int); CREATE SEQUENCE numbers";

async fn world(main: &str) -> Option<World> {
    let world = Setup::default().main(main).start().await?;
    for client in [world.behind().await, world.oracle().await] {
        client.batch_execute(TABLES).await.expect("tables");
    }
    Some(world)
}

/// What is said of settings comes with others' changes, too; where a statement is wrong doesn't
/// matter here.
async fn said(client: &mut Client, messages: &[Message]) -> Vec<Event> {
    client.send(messages).await.expect("sent");
    let mut said = client.until_ready().await.expect("an answer");
    said.retain(|event| {
        matches!(event, Event::Row(_) | Event::Error(_) | Event::Done(_) | Event::Ready(_))
    });
    said
}

fn extended(sql: &str, rows: i32) -> [Message; 4] {
    let bind = Message::new(b'B', &[0; 8]);
    [Message::parse("", sql, &[]), bind, Message::execute("", rows), Message::sync()]
}

/// Statements that leave something behind, and what shows it.
const CASES: &[(&[&str], &str)] = &[
    (
        &["SELECT set_config('my.value', 'mine', false)"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    (
        &["SELECT pg_catalog.set_config('search_path', 'apart', false)"],
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'things'::regclass AND attname = 'more'",
    ),
    (
        &["SELECT set_config('my.value', lower('MINE'), false), 1"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    (
        &["WITH a AS (SELECT set_config('my.value', 'mine', false)) SELECT * FROM a"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    (
        &["SELECT \"set_config\"('my.value', 'mine', false)"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    (
        &["BEGIN; SELECT set_config('my.value', 'mine', true)", "COMMIT"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    (
        &["BEGIN; SELECT set_config('my.value', 'mine', false)", "ROLLBACK"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    (&["SET TIME ZONE 'Asia/Tokyo'"], "SHOW TimeZone"),
    (&["SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE"], "SHOW TimeZone"),
    (&["SET TIME ZONE -7"], "SELECT timestamptz '2026-01-01 00:00:00+00'"),
    (&["SET TIME ZONE 'Asia/Tokyo'", "SET TIME ZONE LOCAL"], "SHOW TimeZone"),
    (&["SET NAMES 'UTF8'"], "SHOW client_encoding"),
    (&["SET search_path TO apart, public"], "SHOW search_path"),
    (
        &["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
        "SHOW transaction_isolation",
    ),
    (&["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"], "SHOW transaction_read_only"),
    (
        &[
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            "RESET ALL",
        ],
        "SHOW transaction_isolation",
    ),
    (
        &[
            "SET default_transaction_read_only = on",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        ],
        "SHOW transaction_read_only",
    ),
    (&["SET TRANSACTION READ ONLY"], "SHOW transaction_read_only"),
    (&["SELECT 7 AS id INTO TEMP mine"], "SELECT id FROM mine"),
    (&["SELECT 7 AS id INTO TEMPORARY TABLE mine"], "SELECT id FROM mine"),
    (&["CREATE TEMP TABLE mine AS SELECT 7 AS id"], "SELECT id FROM mine"),
    (
        &[
            "CREATE LOCAL TEMPORARY TABLE mine (id int) ON COMMIT PRESERVE ROWS",
            "INSERT INTO mine VALUES (7)",
        ],
        "SELECT id FROM mine",
    ),
    (&["CREATE OR REPLACE TEMP VIEW mine AS SELECT 7 AS id"], "SELECT id FROM mine"),
    (&["CREATE TEMPORARY SEQUENCE mine"], "SELECT nextval('mine') > 0"),
    (
        &["CREATE TABLE pg_temp.mine (id int)", "INSERT INTO pg_temp.mine VALUES (7)"],
        "SELECT id FROM mine",
    ),
    (
        &["CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 7'"],
        "SELECT count(*) FROM pg_proc WHERE proname = 'mine' AND pronamespace = pg_my_temp_schema()",
    ),
    (
        &["SET search_path = pg_temp, public", "CREATE TABLE mine AS SELECT 7 AS id"],
        "SELECT id FROM pg_temp.mine",
    ),
    (
        &[
            "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) CREATE TEMP TABLE mine AS SELECT 7 AS id",
        ],
        "SELECT id FROM mine",
    ),
    (&["BEGIN; CREATE TEMP TABLE mine (id int)", "ROLLBACK"], "SELECT id FROM mine"),
    (
        &["SELECT pg_advisory_lock(77)"],
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND pid = pg_backend_pid()",
    ),
    (
        &["BEGIN; SELECT pg_advisory_lock_shared(78)", "ROLLBACK"],
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 78 AND pid = pg_backend_pid()",
    ),
    (
        &["SELECT pg_advisory_lock(79), 1 / 0"],
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 79 AND pid = pg_backend_pid()",
    ),
    (
        &["SELECT pg_try_advisory_lock(80)", "SELECT pg_advisory_unlock(80)"],
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 80 AND pid = pg_backend_pid()",
    ),
    (&["LISTEN mine"], "SELECT * FROM pg_listening_channels()"),
    (&["LISTEN mine", "UNLISTEN *"], "SELECT * FROM pg_listening_channels()"),
    (
        &["BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 7", "COMMIT"],
        "SELECT name FROM pg_cursors WHERE name = 'mine'",
    ),
    (
        &[
            "BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT now()::timestamp without time zone",
            "COMMIT",
        ],
        "SELECT name FROM pg_cursors WHERE name = 'mine'",
    ),
    (&["PREPARE mine AS SELECT 7"], "EXECUTE mine"),
    (&["LOAD 'auto_explain'"], "SELECT count(*) FROM pg_settings WHERE name LIKE 'auto_explain.%'"),
    (
        &[
            "SET statement_timeout = '7s'",
            "SET lock_timeout = '8s'",
            "SET idle_in_transaction_session_timeout = '9s'",
        ],
        "SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY 1",
    ),
    (&["CREATE TEMP TABLE mine (id int)", "DISCARD TEMP"], "SELECT id FROM mine"),
    (
        &["SET my.value = 'mine'", "DISCARD PLANS"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    (
        &["SELECT nextval('numbers') > 0", "DISCARD SEQUENCES"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    (
        &["BEGIN; SELECT lo_creat(-1) > 0", "COMMIT"],
        "SELECT count(*) > 0 FROM pg_largeobject_metadata",
    ),
    (&["SELECT pg_notify('mine', 'x')"], "SELECT * FROM pg_listening_channels()"),
    (&["LOCK TABLE things"], "SELECT count(*) FROM pg_locks WHERE relation = 'things'::regclass"),
    (
        &["DO $$ BEGIN PERFORM set_config('my.value', 'mine', false); END $$"],
        "SELECT nullif(current_setting('my.value', true), '')",
    ),
    // Texts that code puts together, so that no words tell what they do.
    (
        &["DO $$ BEGIN EXECUTE 'CRE' || 'ATE TEMP TABLE mine AS SELECT 7 AS id'; END $$"],
        "SELECT id FROM mine",
    ),
    (
        &[
            "DO $$ BEGIN EXECUTE format('CREATE %s TABLE things AS SELECT 7 AS mine', concat('TE', 'MP')); END $$",
        ],
        "SELECT mine FROM things",
    ),
    (&["DO $$ BEGIN EXECUTE 'LIS' || 'TEN mine'; END $$"], "SELECT * FROM pg_listening_channels()"),
    (&["DO $$ BEGIN EXECUTE 'PREP' || 'ARE mine AS SELECT 7'; END $$"], "EXECUTE mine"),
    (
        &["DO $$ BEGIN EXECUTE 'DEC' || 'LARE mine CURSOR WITH HOLD FOR SELECT 7'; END $$"],
        "SELECT name FROM pg_cursors WHERE name = 'mine'",
    ),
    (
        &["DO $$ BEGIN EXECUTE 'SELECT pg_adv' || 'isory_lock(81)'; END $$"],
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 81 AND pid = pg_backend_pid()",
    ),
];

#[tokio::test]
async fn it_is_its_sessions_as_in_postgresql() {
    // Whether clients share connections, and whether they come to the same one.
    for main in ["pool_size = 3\nshared_connections = 1", "pool_size = 2\nshared_connections = 0"] {
        let Some(world) = world(main).await else { return };
        let mut other = world.raw().await;
        let mut fresh = world.raw_oracle().await;
        for (statements, probe) in CASES {
            for rows in [None, Some(0), Some(1)] {
                let (mut ours, mut theirs) = (world.raw().await, world.raw_oracle().await);
                for sql in *statements {
                    let several = sql.contains(';') && !sql.contains("$$");
                    for client in [&mut ours, &mut theirs] {
                        match rows {
                            Some(rows) if !several => said(client, &extended(sql, rows)).await,
                            _ => said(client, &[Message::query(sql)]).await,
                        };
                    }
                }
                let untouched = said(&mut fresh, &[Message::query(probe)]).await;
                for turn in 0..2 {
                    let what = format!("{statements:?} with {rows:?} rows, {main:?}, turn {turn}");
                    assert_eq!(
                        said(&mut other, &[Message::query(probe)]).await,
                        untouched,
                        "another's after {what}"
                    );
                    let expected = said(&mut theirs, &[Message::query(probe)]).await;
                    assert_eq!(
                        said(&mut ours, &[Message::query(probe)]).await,
                        expected,
                        "its own after {what}"
                    );
                    assert_eq!(
                        said(&mut other, &extended(probe, 0)).await,
                        said(&mut fresh, &extended(probe, 0)).await,
                        "another's after {what}"
                    );
                }
                drop((ours, theirs));
            }
        }
    }
}

/// Its connection goes back to the pool when nothing is left of what it was kept for.
#[tokio::test]
async fn a_rollback_gives_the_connection_back() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"300ms\"").await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    for sql in [
        "CREATE TEMP TABLE mine (id int)",
        "LISTEN mine",
        "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
        "SELECT set_config('my.value', lower('X'), false)",
    ] {
        one.batch_execute(&format!("BEGIN; {sql}; ROLLBACK")).await.expect("ROLLBACK");
        assert_eq!(column(&other, "SELECT 1").await, ["1"], "{sql}");
    }
    for sql in [
        "SELECT set_config('my.value', 'x', true)",
        "SELECT set_config('my.value', 'x', false)",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    ] {
        one.batch_execute(sql).await.expect("a setting");
        assert_eq!(column(&other, "SELECT 1").await, ["1"], "{sql}");
    }
    one.batch_execute("BEGIN; CREATE TEMP TABLE mine (id int); COMMIT").await.expect("COMMIT");
    Told::of(&other, "SELECT 1").await.is("53300", &["pool_size"]);
}

/// What an earlier statement has left in the connection keeps it until a later one takes that away,
/// and no longer.
#[tokio::test]
async fn what_is_taken_away_gives_the_connection_back() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"300ms\"").await else {
        return;
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    for (left, taken_away) in [
        ("DECLARE mine CURSOR WITH HOLD FOR SELECT 1", "CLOSE mine"),
        ("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)"),
        (
            "SELECT pg_advisory_lock(7), pg_try_advisory_lock_shared(8)",
            "SELECT pg_advisory_unlock_all()",
        ),
        ("PREPARE mine AS SELECT 1", "DEALLOCATE mine"),
        ("CREATE TEMP TABLE mine (id int)", "DROP TABLE mine"),
        ("CREATE TEMP TABLE mine (id int)", "DISCARD TEMP"),
        (
            "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP FUNCTION pg_temp.mine()",
        ),
        ("LISTEN mine; CREATE TEMP TABLE mine (id int)", "DROP TABLE mine; UNLISTEN mine"),
    ] {
        one.batch_execute(left).await.expect(left);
        Told::of(&other, "SELECT 1").await.is("53300", &["pool_size"]);
        one.batch_execute(taken_away).await.expect(taken_away);
        assert_eq!(column(&other, "SELECT 1").await, ["1"], "{taken_away}");
    }
    let dropped = "BEGIN; CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1; COMMIT";
    one.batch_execute(dropped).await.expect(dropped);
    assert_eq!(column(&other, "SELECT 1").await, ["1"], "{dropped}");

    // One of two isn't both.
    one.batch_execute("LISTEN mine; SELECT pg_advisory_lock(7); UNLISTEN mine")
        .await
        .expect("a lock");
    Told::of(&other, "SELECT 1").await.is("53300", &["pool_size"]);
    one.batch_execute("SET search_path = pg_temp, public; SELECT pg_advisory_unlock(7)")
        .await
        .expect("no lock");
    // What it creates would be temporary.
    Told::of(&other, "SELECT 1").await.is("53300", &["pool_size"]);
}

/// Statements that the protocol has prepared outlive what doesn't concern them.
#[tokio::test]
async fn prepared_statements_outlive_discards_of_other_things() {
    let Some(world) = world("pool_size = 1").await else { return };
    let client = world.gateway().await;
    let statement = client.prepare("SELECT 7").await.expect("a statement");
    for sql in [
        "DISCARD PLANS",
        "DISCARD TEMP",
        "DISCARD SEQUENCES",
        "PREPARE p AS SELECT 1; DEALLOCATE p",
        "DEALLOCATE ALL",
    ] {
        client.batch_execute(sql).await.expect("done");
        if sql != "DEALLOCATE ALL" {
            assert_eq!(
                client.query_one(&statement, &[]).await.expect("a row").get::<_, i32>(0),
                7,
                "{sql}"
            );
        }
        let again = client.prepare("SELECT 7").await.expect("a statement");
        assert_eq!(
            client.query_one(&again, &[]).await.expect("a row").get::<_, i32>(0),
            7,
            "{sql}"
        );
    }
}

/// A setting of the startup packet that PostgreSQL refuses ends the login in its words.
#[tokio::test]
async fn settings_that_are_refused_end_the_login() {
    let Some(world) = world("pool_size = 2").await else { return };
    let (ours, theirs) =
        (world.process().address().to_owned(), world.primary().address().to_owned());
    for (name, value) in [
        ("TimeZone", "Nowhere/Nothing"),
        ("DateStyle", "nonsense"),
        ("statement_timeout", "soon"),
        ("no_such_setting", "1"),
        ("default_transaction_isolation", "none"),
        ("server_version", "1"),
        ("work_mem", "1"),
    ] {
        let mut told = Vec::new();
        for (address, database) in [(&ours, "app"), (&theirs, world.primary().name())] {
            let mut client = Client::connect(address).await.expect("a connection");
            let startup =
                Message::startup(&[("user", "postgres"), ("database", database), (name, value)]);
            client.send(&[startup]).await.expect("sent");
            let said = client.until_closed().await.expect("an end");
            told.push(
                said.into_iter()
                    .filter(|event| matches!(event, Event::Error(_)))
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(told[0], told[1], "{name} = {value}");
    }
    // Nobody else hears of it.
    assert_eq!(column(&world.gateway().await, "SHOW TimeZone").await, ["UTC"]);
}

#[tokio::test]
async fn defaults_of_roles_and_databases_are_those_of_new_sessions() {
    let Some(world) = world("pool_size = 2").await else { return };
    let behind = world.behind().await;
    behind
        .batch_execute(&format!(
            "ALTER DATABASE {} SET search_path = apart, public",
            world.primary().name()
        ))
        .await
        .expect("ALTER DATABASE");
    let (one, other) = (world.gateway().await, world.gateway().await);
    one.batch_execute("SET search_path = public").await.expect("SET");
    for _ in 0..3 {
        assert_eq!(column(&one, "SHOW search_path").await, ["public"]);
        assert_eq!(column(&other, "SHOW search_path").await, ["apart, public"]);
    }
    one.batch_execute("RESET search_path").await.expect("RESET");
    assert_eq!(column(&one, "SHOW search_path").await, ["apart, public"]);
}

#[tokio::test]
async fn a_prepared_transaction_is_everybodys() {
    let Some(world) = world("pool_size = 2").await else { return };
    let (mut ours, mut theirs) = (world.raw().await, world.raw_oracle().await);
    // As PostgreSQL is configured here, it refuses them: in the same words, and with the same state
    // afterwards.
    for sql in [
        "BEGIN",
        "INSERT INTO things VALUES (1)",
        "PREPARE TRANSACTION 'mine'",
        "SELECT 1",
        "ROLLBACK PREPARED 'mine'",
    ] {
        assert_eq!(
            said(&mut ours, &[Message::query(sql)]).await,
            said(&mut theirs, &[Message::query(sql)]).await,
            "{sql}"
        );
    }
}

/// What sequences have given on a connection is told to the session whose statements used them
/// there, and to nobody else: in a block, on a connection that is kept, and once more after the
/// error.
#[tokio::test]
async fn last_values_of_sequences_are_the_sessions_own() {
    let own = "SELECT nextval('numbers')";
    for ask in ["SELECT lastval()", "SELECT currval('numbers')"] {
        for keep in [None, Some("CREATE TEMP TABLE kept (a int)")] {
            let Some(world) = world("pool_size = 1\nshared_connections = 0").await else { return };
            let one = world.gateway().await;
            one.batch_execute("BEGIN").await.expect("a block");
            let value = column(&one, own).await;
            assert_eq!(column(&one, ask).await, value, "{ask}");
            one.batch_execute("COMMIT").await.expect("COMMIT");
            one.batch_execute("DISCARD ALL").await.expect("DISCARD ALL");
            for _ in 0..2 {
                column(&one, own).await;
                let other = world.gateway().await;
                if let Some(keep) = keep {
                    other.batch_execute(keep).await.expect(keep);
                }
                for _ in 0..2 {
                    other.batch_execute("BEGIN").await.expect("a block");
                    Told::of(&other, ask).await.is("55000", &[]);
                    other.batch_execute("ROLLBACK").await.expect("ROLLBACK");
                }
                other.batch_execute("BEGIN").await.expect("a block");
                let value = column(&other, own).await;
                assert_eq!(column(&other, ask).await, value, "{ask}");
                other.batch_execute("COMMIT").await.expect("COMMIT");
                other.batch_execute("DISCARD ALL").await.expect("DISCARD ALL");
            }
        }
    }
}
