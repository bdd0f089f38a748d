//! Settings are their session's, by whatever means they were made, and nobody else's: the same
//! steps by several clients whose server connections are shared, and by clients of PostgreSQL with
//! connections of their own.

mod both;
mod encodings;
mod every;
mod random;
mod startup;

use both::{Both, said, statement, world};
use flywheel_tests::World;
use flywheel_tests::raw::Message;
use flywheel_tests::world::column;

/// What shows settings that may have leaked, or been lost.
const PROBE: &str = "SELECT nullif(current_setting('app.tenant', true), ''), current_setting('lock_timeout'), current_setting('search_path'), \
 current_setting('DateStyle'), current_setting('work_mem'), current_setting('role'), '01/02/2001'::date, \
 (SELECT count(*) FROM accounts WHERE tenant = current_setting('app.tenant', true))";

/// What leaves settings, none of which may keep the connection from others.
const LEAVING: &[&[&str]] = &[
    &["SELECT set_config('app.tenant', 'one', false)"],
    &["SELECT set_config('app.tenant', lower('ONE'), false), 1"],
    &["SELECT set_config('app.tenant'::text, 'one', false) AS x FROM accounts"],
    &["SELECT set_config('App.Tenant', 'one', id < 5) FROM accounts"],
    &["WITH a AS (SELECT set_config('app.tenant', 'one', false)) SELECT * FROM a"],
    &[
        "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
        "SELECT set_config('jit', 'on', false)",
    ],
    &[
        "SELECT set_config('bytea_output', 'hex', false) FROM pg_show_all_settings() WHERE name = 'bytea_output'",
    ],
    &["UPDATE pg_settings SET setting = '7s' WHERE name = 'lock_timeout'"],
    &["UPDATE pg_catalog.pg_settings SET setting = 'apart' WHERE name = 'search_path'"],
    &["SELECT becomes('one')"],
    &["SELECT stable_becomes('one')"],
    &["SELECT executes('one')"],
    &["SELECT formats('one')"],
    &["SELECT sets_path()"],
    &["SELECT stays()"],
    &["SELECT fails()"],
    &["SELECT tries()"],
    &["SELECT atomic()"],
    &["SELECT * FROM accounts WHERE tenant = becomes('one')"],
    &["CALL proceeds()"],
    &["DO $$ BEGIN PERFORM becomes('one'); END $$"],
    &["DO $$ BEGIN UPDATE plain SET v = v + 1 WHERE k = 1; END $$"],
    &["DO $$ BEGIN SET work_mem = '7MB'; SET LOCAL lock_timeout = '3s'; END $$"],
    &["TABLE sees"],
    &["SELECT * FROM sees_more"],
    &["SELECT * FROM calls"],
    &["INSERT INTO defaulted VALUES (1)"],
    &["INSERT INTO triggered VALUES (1)"],
    &["COPY triggered FROM PROGRAM 'echo 1'"],
    &["INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1)", "DELETE FROM parents"],
    &["INSERT INTO parted VALUES (1)"],
    &["BEGIN", "INSERT INTO later VALUES (1)", "COMMIT"],
    &["BEGIN", "INSERT INTO later VALUES (1)", "ROLLBACK"],
    &["INSERT INTO of_domain VALUES (1)"],
    &["SELECT 1::checked"],
    &["INSERT INTO ruled VALUES (1)"],
    &["SELECT query_to_xml('SELECT set_config(''app.tenant'', ''one'', false)', true, true, '')"],
    &["SELECT query_to_xml('TABLE sees', true, true, '')"],
    &["SELECT count(*) FROM ts_stat('SELECT becomes(''one'')::tsvector')"],
    &["BEGIN", "SELECT becomes('one')", "ROLLBACK"],
    &["BEGIN", "SAVEPOINT a", "SELECT becomes('one')", "ROLLBACK TO a", "COMMIT"],
    &[
        "BEGIN",
        "SELECT becomes('one')",
        "SAVEPOINT a",
        "SELECT becomes('two')",
        "SELECT 1 / 0",
        "ROLLBACK TO a",
        "COMMIT",
    ],
    &["BEGIN", "DECLARE c CURSOR FOR SELECT becomes('one')", "FETCH c", "COMMIT"],
    &["EXPLAIN ANALYZE SELECT becomes('one')"],
    &["SET datestyle TO dmy", "SET datestyle TO iso"],
    &["BEGIN", "SET LOCAL datestyle TO dmy", "SET datestyle TO iso", "COMMIT"],
    &["BEGIN", "SET datestyle TO dmy", "SET LOCAL datestyle TO mdy", "COMMIT"],
    &["BEGIN", "SET datestyle TO dmy", "SELECT 1 / 0", "COMMIT"],
    &["SET datestyle TO dmy; SET datestyle TO german; SELECT 1"],
    &["SET datestyle TO dmy; SELECT 1 / 0"],
    &["SELECT set_config('datestyle', 'dmy', false)", "SET datestyle = iso"],
    &["SET search_path = \"$user\", apart"],
    &["BEGIN", "SET LOCAL search_path = apart", "SET search_path FROM CURRENT", "COMMIT"],
    &["SET search_path = apart, pg_temp"],
    &["SET \"Work_Mem\" = '7MB'", "RESET WORK_MEM"],
    &["SET work_mem = '7MB'", "RESET ALL"],
    &["SET role = pg_monitor"],
    &["SET ROLE pg_monitor", "SET work_mem = '7MB'", "RESET ROLE"],
    &["SET log_min_messages = error", "SET ROLE pg_monitor"],
    &["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE"],
    &["SET transaction_isolation = serializable"],
    &["BEGIN", "SET LOCAL work_mem = '7MB'", "SET work_mem = '8MB'", "COMMIT"],
    &["BEGIN", "SET work_mem = '8MB'", "SET LOCAL work_mem = '7MB'", "COMMIT"],
];

/// What may keep the connection: nothing of it may be anybody else's.
const KEEPING: &[&[&str]] = &[
    &["PREPARE pp AS SELECT set_config('app.tenant', 'one', false)", "EXECUTE pp", "DEALLOCATE pp"],
    &["PREPARE pp AS SELECT becomes('one')", "EXECUTE pp", "DEALLOCATE pp"],
    &["SELECT pg_advisory_lock(7), becomes('one')", "SELECT pg_advisory_unlock(7)"],
    &["SELECT runs('SET app.tenant = ''one''')"],
    &["SELECT runs($$SET lock_timeout = '7s'$$)"],
    &["SELECT runs('CREATE TEMP TABLE accounts AS SELECT 9 AS id, ''one''::text AS tenant')"],
    &["SELECT set_config(name, '7s', false) FROM pg_settings WHERE name = 'lock_timeout'"],
    &["LISTEN x", "SELECT becomes('one')", "UNLISTEN x"],
];

async fn stay_with_their_session(mains: &[&str], cases: &[&[&str]]) {
    for main in mains {
        let Some(world) = world(main).await else { return };
        let mut other = Both::start(&world, &[]).await;
        for statements in cases {
            for is_extended in [false, true] {
                let what = format!("{statements:?}, extended: {is_extended}, {main:?}");
                let mut one = Both::start(&world, &[]).await;
                for sql in *statements {
                    let is_explain = sql.starts_with("EXPLAIN");
                    let messages = statement(sql, is_extended);
                    if is_explain {
                        said(&mut one.ours, &messages).await;
                        said(&mut one.theirs, &messages).await;
                    } else {
                        one.say(&messages, &what).await;
                    }
                }
                for turn in 0..2 {
                    other
                        .say(&statement(PROBE, turn == 1), &format!("another's after {what}"))
                        .await;
                    one.say(&statement(PROBE, turn == 1), &format!("its own after {what}")).await;
                }
                // What is shared has other connections.
                other
                    .say(
                        &[Message::query("SELECT id FROM accounts ORDER BY id")],
                        &format!("a read after {what}"),
                    )
                    .await;
                drop(one);
                for client in [world.behind().await, world.oracle().await] {
                    client.batch_execute("TRUNCATE parents, children").await.expect("truncated");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_code_sets_is_its_sessions() {
    stay_with_their_session(
        &["pool_size = 1\nacquire_timeout = \"2s\"", "pool_size = 3\nshared_connections = 1"],
        LEAVING,
    )
    .await;
}

#[tokio::test]
async fn what_code_may_have_set_is_nobody_elses() {
    stay_with_their_session(
        &["pool_size = 2\nshared_connections = 0", "pool_size = 3\nshared_connections = 1"],
        KEEPING,
    )
    .await;
}

/// In session mode the connection is one's own, and clean for the next.
#[tokio::test]
async fn a_session_that_ends_leaves_nothing() {
    let Some(world) = world("pool_size = 1\npool_mode = \"session\"").await else {
        return;
    };
    for statements in LEAVING.iter().chain(KEEPING) {
        let mut one = Both::start(&world, &[]).await;
        for sql in *statements {
            let messages = statement(sql, false);
            said(&mut one.ours, &messages).await;
            said(&mut one.theirs, &messages).await;
        }
        drop(one);
        let mut next = Both::start(&world, &[]).await;
        next.say(&statement(PROBE, false), &format!("{statements:?}")).await;
        for client in [world.oracle().await] {
            client.batch_execute("TRUNCATE parents, children").await.expect("truncated");
        }
        next.say(&statement("TRUNCATE parents, children", false), "emptied").await;
    }
}

/// Row-level security by a setting: one tenant never reads what is another's.
#[tokio::test]
async fn tenants_read_their_own_rows() {
    let Some(world) = world("pool_size = 3\nacquire_timeout = \"2s\"").await else {
        return;
    };
    let clients = clients_of(&world, 20).await;
    for turn in 0..3 {
        for (number, client) in clients.iter().enumerate() {
            let tenant = format!("tenant {number}");
            let set = "SELECT set_config('app.tenant', $1, false)";
            let name = "app.tenant";
            if turn == 0 && number % 2 == 0 {
                client.query(set, &[&tenant]).await.expect("a tenant");
            } else if turn == 0 {
                client
                    .query("SELECT set_config($1, $2, false)", &[&name, &tenant])
                    .await
                    .expect("a tenant");
            }
            let found = column(client, "SELECT current_setting('app.tenant', true)").await;
            assert_eq!(found, [tenant]);
        }
    }
    let fresh = world.gateway().await;
    let found = column(&fresh, "SELECT coalesce(current_setting('app.tenant', true), '')").await;
    assert_eq!(found, [""]);
}

async fn clients_of(world: &World, count: usize) -> Vec<tokio_postgres::Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(world.gateway().await);
    }
    clients
}

/// Code that was made or changed a moment ago, by this client, another, or past the gateway.
#[tokio::test]
async fn code_is_known_as_soon_as_it_is_there() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"2s\"").await else {
        return;
    };
    let (one, other, behind) = (world.gateway().await, world.gateway().await, world.behind().await);
    let tenant = "SELECT coalesce(current_setting('app.tenant', true), '')";
    let makes = |name: &str| {
        format!(
            "CREATE FUNCTION {name}() RETURNS text LANGUAGE sql AS $$ SELECT set_config('app.tenant', 'one', false) $$"
        )
    };
    one.batch_execute(&makes("by_one")).await.expect("a function");
    other.batch_execute(&makes("by_other")).await.expect("a function");
    behind.batch_execute(&makes("past_it")).await.expect("a function");
    behind.batch_execute("CREATE VIEW past_view AS SELECT past_it()").await.expect("a view");
    for sql in ["SELECT by_one()", "SELECT by_other()", "SELECT past_it()", "TABLE past_view"] {
        one.batch_execute("RESET app.tenant").await.expect("a reset");
        one.batch_execute(sql).await.expect(sql);
        assert_eq!(column(&other, tenant).await, [""], "{sql}");
        assert_eq!(column(&one, tenant).await, ["one"], "{sql}");
    }
    // A statement that was prepared before the function became one that sets something.
    one.batch_execute(
        "RESET app.tenant; CREATE FUNCTION changes() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    .await
    .expect("a function");
    let prepared = one.prepare("SELECT changes()").await.expect("a statement");
    one.query(&prepared, &[]).await.expect("a row");
    let changed = "CREATE OR REPLACE FUNCTION changes() RETURNS int LANGUAGE sql AS $$ SELECT length(set_config('app.tenant', 'one', false)) $$";
    other.batch_execute(changed).await.expect("another function");
    one.query(&prepared, &[]).await.expect("a row");
    assert_eq!(column(&other, tenant).await, [""]);
    assert_eq!(column(&one, tenant).await, ["one"]);
    // And a table that has got a trigger.
    one.batch_execute("RESET app.tenant; CREATE TABLE plain_one (id int)").await.expect("a table");
    one.batch_execute("INSERT INTO plain_one VALUES (1)").await.expect("a row");
    other
        .batch_execute(
            "CREATE TRIGGER t BEFORE INSERT ON plain_one FOR EACH ROW EXECUTE FUNCTION on_write()",
        )
        .await
        .expect("a trigger");
    one.batch_execute("INSERT INTO plain_one VALUES (1)").await.expect("a row");
    assert_eq!(column(&other, tenant).await, [""]);
    assert_eq!(column(&one, tenant).await, ["one"]);
}

/// More clients than connections, with what drivers and tools send when they begin.
#[tokio::test]
async fn what_tools_set_keeps_no_connection() {
    let Some(world) = world("pool_size = 1\nacquire_timeout = \"500ms\"").await else {
        return;
    };
    let texts = [
        "SET DateStyle=ISO; SET client_min_messages=notice; SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'; SET client_encoding='utf-8';",
        "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
        "SET search_path = public, pg_temp",
        "DO $$ BEGIN UPDATE plain SET v = 1 WHERE k = 1; END $$",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        "SELECT set_config('app.tenant', 'x' || 'y', false)",
    ];
    let mut clients = Vec::new();
    for text in texts {
        for _ in 0..3 {
            let client = world.gateway().await;
            client.batch_execute(text).await.expect(text);
            clients.push(client);
        }
    }
    for client in &clients {
        assert_eq!(column(client, "SELECT 1").await, ["1"]);
    }
}
