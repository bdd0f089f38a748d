//! PostgreSQL's own, empty tables of store tables: code that it runs by itself neither reads nor
//! writes them.

use flywheel_tests::child::in_time;
use flywheel_tests::world::{Process, column, connect, until};
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::Client;

const DEFINITIONS: &[&str] = &[
    "CREATE TABLE carts (id int PRIMARY KEY, n int)",
    "CREATE TABLE things (id int PRIMARY KEY, n int)",
    "CREATE TABLE watched (id int PRIMARY KEY)",
    "CREATE TABLE ruled (id int PRIMARY KEY)",
    "CREATE TABLE checked (id int PRIMARY KEY)",
    "CREATE TABLE filled (id int PRIMARY KEY, n int)",
    "CREATE TABLE delayed (id int PRIMARY KEY)",
    "CREATE TABLE parent (id int PRIMARY KEY)",
    "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE)",
    "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)",
    "CREATE FUNCTION writes_in_sql() RETURNS void LANGUAGE sql AS 'INSERT INTO carts VALUES (90, 1)'",
    "CREATE FUNCTION writes_in_plpgsql() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO carts VALUES (91, 1); RETURN 1; END $$",
    "CREATE FUNCTION writes_by_text(t text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'INSERT INTO ' || t || ' VALUES (92, 1)'; RETURN 1; END $$",
    "CREATE FUNCTION writes_and_catches() RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN BEGIN INSERT INTO carts VALUES (93, 1); RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN 1; END $$",
    "CREATE FUNCTION as_its_owner() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM writes_in_plpgsql(); RETURN 1; END $$",
    "CREATE FUNCTION counts() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM carts'",
    "CREATE FUNCTION says_immutable(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT n FROM carts WHERE id = $1); END $$",
    "CREATE FUNCTION empties() RETURNS int LANGUAGE plpgsql AS $$ BEGIN TRUNCATE carts; RETURN 1; END $$",
    "CREATE PROCEDURE proceeds() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO carts VALUES (94, 1); END $$",
    "CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO things VALUES (50, 1); COMMIT; INSERT INTO things VALUES (51, 1); END $$",
    "CREATE PROCEDURE commits_by_text() LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1'; COMMIT; END $$",
    "CREATE FUNCTION triggered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO carts VALUES (95, 1); RETURN NULL; END $$",
    "CREATE TRIGGER t AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION triggered()",
    "CREATE TRIGGER t AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION triggered()",
    "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON delayed DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION triggered()",
    "CREATE FUNCTION is_known(i int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN NOT EXISTS (SELECT FROM carts WHERE id = i); END $$",
    "ALTER TABLE checked ADD CHECK (is_known(id))",
    "ALTER TABLE filled ALTER n SET DEFAULT writes_in_plpgsql()",
    "CREATE DOMAIN known AS int CHECK (is_known(VALUE))",
    "CREATE TABLE of_domain (id int PRIMARY KEY, k known)",
    "CREATE VIEW counted AS SELECT counts() AS count",
    "CREATE TABLE guarded (id int PRIMARY KEY)",
];

/// Statements that reach it, whatever way they take.
const REACHING: &[&str] = &[
    "DO $$ BEGIN INSERT INTO carts VALUES (1, 1); END $$",
    "DO $$ BEGIN EXECUTE 'INSERT INTO carts VALUES (1, 1)'; END $$",
    "DO $$ BEGIN PERFORM 1 FROM carts; END $$",
    "SELECT writes_in_sql()",
    "SELECT writes_in_plpgsql() FROM parent",
    "SELECT writes_by_text('ca' || 'rts')",
    "SELECT writes_and_catches()",
    "SELECT as_its_owner()",
    "SELECT counts()",
    "SELECT * FROM counted",
    "SELECT says_immutable(7)",
    "SELECT empties()",
    "SELECT query_to_xml('SELECT * FROM carts', true, true, '')",
    "CALL proceeds()",
    "INSERT INTO watched VALUES (2)",
    "WITH i AS (INSERT INTO watched VALUES (2) RETURNING id) SELECT * FROM i",
    "INSERT INTO checked VALUES (7)",
    "INSERT INTO filled (id) VALUES (7)",
    "INSERT INTO of_domain VALUES (1, 7)",
    "SELECT 7::known",
    "DELETE FROM parent WHERE id = 1",
    "EXPLAIN ANALYZE SELECT counts()",
    "CREATE TABLE made AS SELECT counts()",
    "SELECT n, counts() FROM carts WHERE id = 7",
    "INSERT INTO things SELECT id, counts() FROM carts",
    "UPDATE carts SET n = counts() WHERE id = 7",
    "MERGE INTO watched w USING (VALUES (3)) v(id) ON w.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id)",
];

async fn world(home: Home) -> Option<(World, Client)> {
    let world =
        Setup::default().table_with("public.carts", home, &["allow_scan = true"]).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    for sql in DEFINITIONS {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    client
        .batch_execute("INSERT INTO carts VALUES (7, 70); INSERT INTO things VALUES (1, 1)")
        .await
        .expect("rows");
    Some((world, client))
}

/// Nothing is in PostgreSQL's own table, and the store has its one row; `things` has its own.
async fn is_untouched(world: &World, client: &Client, what: &str) {
    let behind = world.behind().await;
    assert_eq!(column(&behind, "SELECT count(*) FROM carts").await, ["0"], "{what}");
    assert_eq!(column(client, "SELECT id FROM carts").await, ["7"], "{what}");
    assert_eq!(column(client, "SELECT id FROM things ORDER BY id").await, ["1"], "{what}");
    for table in ["watched", "ruled", "checked", "filled", "delayed"] {
        assert_eq!(
            column(&behind, &format!("SELECT count(*) FROM {table}")).await,
            ["0"],
            "{what}"
        );
    }
}

#[tokio::test]
async fn code_doesnt_reach_store_tables() {
    for home in Home::KINDS {
        let Some((world, client)) = world(home).await else { continue };
        for sql in REACHING {
            let what = format!("{home:?}: {sql}");
            let told = Told::of(&client, sql).await;
            told.is("0A000", &[]);
            assert!(
                told.message.contains("carts") || told.message.contains("store table"),
                "{what}: {told:?}"
            );
            // What follows is PostgreSQL's alone.
            if home != Home::Redis {
                continue;
            }
            // The second time its plan may be kept.
            for _ in 0..2 {
                Told::by(client.query(*sql, &[]).await).is("0A000", &[]);
            }
            Told::of(&client, &format!("INSERT INTO things VALUES (2, 2); {sql}"))
                .await
                .is("0A000", &[]);
            client
                .batch_execute("BEGIN; INSERT INTO things VALUES (2, 2); SAVEPOINT s")
                .await
                .expect("a block");
            Told::of(&client, sql).await.is("0A000", &[]);
            Told::of(&client, "SELECT 1").await.is("25P02", &[]);
            client.batch_execute("ROLLBACK TO s").await.expect("ROLLBACK TO");
            assert_eq!(column(&client, "SELECT count(*) FROM things").await, ["2"], "{what}");
            client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        }
        is_untouched(&world, &client, &format!("{home:?}")).await;
    }
}

/// What takes the guard's own statements away is either carried out or refused, and what comes then
/// isn't the worse for it.
#[tokio::test]
async fn code_that_deallocates() {
    let Some((_world, client)) = world(Home::Memory).await else { return };
    client
        .batch_execute(
            "CREATE FUNCTION deallocates() RETURNS int LANGUAGE plpgsql AS \
             $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$",
        )
        .await
        .expect("a function");
    let computed = "SELECT n + length('x') FROM carts WHERE id = 7";
    let harmless = "DO $$ BEGIN PERFORM 1; END $$";
    let does = "DO $$ BEGIN EXECUTE 'Deallocate ALL'; END $$";
    let hides = "DO $$ BEGIN EXECUTE 'DEALLO' || 'CATE ALL'; END $$";
    for (begin, end) in [("SELECT", "SELECT"), ("BEGIN", "COMMIT")] {
        for _ in 0..3 {
            client.batch_execute(begin).await.expect(begin);
            for sql in [computed, computed, harmless, does, computed, harmless, does, does] {
                client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            }
            client.batch_execute(end).await.expect(end);
            for sql in [hides, "SELECT deallocates()"] {
                client.batch_execute(begin).await.expect(begin);
                let done = client.batch_execute(sql).await;
                if sql == hides || done.is_err() {
                    Told::by(done).is("0A000", &["deallocates", "DEALLOCATE ALL"]);
                }
                client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
                assert_eq!(column(&client, computed).await, ["71"], "{sql}");
                client.batch_execute(harmless).await.expect(harmless);
            }
        }
    }
}

/// What Flywheel begins for a statement is no block of the client's.
#[tokio::test]
async fn a_cursor_needs_a_block() {
    let Some((_world, client)) = world(Home::Memory).await else { return };
    for sql in [
        "DECLARE c CURSOR FOR SELECT n FROM carts WHERE id = 7",
        "DECLARE c CURSOR FOR SELECT n + length('x') FROM carts",
    ] {
        Told::by(client.execute(sql, &[]).await).is("25P01", &[]);
        Told::of(&client, sql).await.is("25P01", &[]);
        client.batch_execute("BEGIN").await.expect("a block");
        client.execute(sql, &[]).await.expect(sql);
        client.batch_execute("COMMIT").await.expect("COMMIT");
        let held = sql.replace("CURSOR", "CURSOR WITH HOLD");
        client.execute(&held, &[]).await.expect(&held);
        client.batch_execute("CLOSE c").await.expect("CLOSE");
    }
}

#[tokio::test]
async fn rules_and_what_the_session_alone_has() {
    let Some((world, client)) = world(Home::Redis).await else { return };
    let behind = world.behind().await;
    // Flywheel makes no rule that names a store table.
    behind
        .batch_execute(
            "CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO carts VALUES (96, 1)",
        )
        .await
        .expect("a rule");
    // A definition made past the gateways is noticed within seconds.
    until("the rule is known", async || {
        let told = client.batch_execute("BEGIN; INSERT INTO ruled VALUES (1)").await.is_err();
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        told
    })
    .await;
    Told::of(&client, "INSERT INTO ruled VALUES (1)").await.is("0A000", &["carts"]);
    for (made, sql) in [
        (
            "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO carts VALUES (97, 1); RETURN 1; END $$",
            "SELECT pg_temp.mine()",
        ),
        (
            "CREATE TEMP TABLE mine (id int); CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION triggered()",
            "INSERT INTO mine VALUES (1)",
        ),
        ("CREATE TEMP VIEW seen AS SELECT counts()", "SELECT * FROM seen"),
        ("PREPARE p AS SELECT writes_in_plpgsql()", "EXECUTE p"),
        ("SET search_path = pg_catalog; SET search_path = public", "SELECT counts()"),
    ] {
        client.batch_execute(made).await.expect(made);
        Told::of(&client, sql).await.is("0A000", &["carts"]);
        Told::by(client.query(sql, &[]).await).is("0A000", &["carts"]);
    }
    // What is made in a block is known in it.
    client
        .batch_execute("BEGIN; CREATE FUNCTION fresh() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM carts'")
        .await
        .expect("a function");
    Told::of(&client, "SELECT fresh()").await.is("0A000", &["carts"]);
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    client
        .batch_execute("CREATE OR REPLACE FUNCTION fresh() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        .await
        .expect("a function");
    assert_eq!(column(&client, "SELECT fresh()").await, ["1"]);
    let other = world.gateway().await;
    assert_eq!(column(&other, "SELECT fresh()").await, ["1"]);
    client
        .batch_execute("CREATE OR REPLACE FUNCTION fresh() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM carts'")
        .await
        .expect("a function");
    Told::of(&other, "SELECT fresh()").await.is("0A000", &["carts"]);
    Told::of(&client, "SET track_counts = off").await.is("0A000", &["track_counts"]);
    Told::of(
        &client,
        "DO $$ BEGIN PERFORM set_config('track_counts', 'off', true); INSERT INTO carts VALUES (1, 1); END $$",
    )
    .await
    .is("0A000", &[]);
    is_untouched(&world, &client, "what the session has").await;
}

#[tokio::test]
async fn what_waits_for_commit() {
    let Some((world, client)) = world(Home::Memory).await else { return };
    Told::of(&client, "INSERT INTO delayed VALUES (1)").await.is("0A000", &["carts"]);
    Told::by(client.execute("INSERT INTO delayed VALUES (1)", &[]).await).is("0A000", &["carts"]);
    client.batch_execute("BEGIN; INSERT INTO delayed VALUES (1)").await.expect("not yet");
    Told::of(&client, "COMMIT").await.is("0A000", &["carts"]);
    client.batch_execute("BEGIN; INSERT INTO delayed VALUES (1)").await.expect("not yet");
    client.batch_execute("INSERT INTO carts VALUES (8, 8)").await.expect("a row");
    Told::of(&client, "COMMIT").await.is("0A000", &["carts"]);
    client
        .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT counts() FROM things")
        .await
        .expect("a cursor");
    Told::of(&client, "FETCH c").await.is("0A000", &["carts"]);
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    // One that outlives the block would run when nothing can be undone.
    client.batch_execute("BEGIN").await.expect("BEGIN");
    Told::of(&client, "DECLARE c CURSOR WITH HOLD FOR SELECT counts()")
        .await
        .is("0A000", &["HOLD"]);
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    is_untouched(&world, &client, "what waits").await;
}

#[tokio::test]
async fn code_that_leaves_them_alone_runs() {
    for home in Home::KINDS {
        let Some((_world, client)) = world(home).await else { continue };
        for sql in [
            "DO $$ BEGIN INSERT INTO things VALUES (10, 1); END $$",
            "DO $$ BEGIN EXECUTE 'INSERT INTO things VALUES (11, 1)'; END $$",
            "CALL commits()",
            "DO $$ BEGIN INSERT INTO things VALUES (12, 1); COMMIT; END $$",
            "CREATE TEMP TABLE mine (id int); INSERT INTO mine VALUES (1); DROP TABLE mine",
            "SELECT writes_by_text('filled')",
            "BEGIN; SELECT writes_by_text('filled') WHERE false; COMMIT",
            "PREPARE p(int) AS SELECT $1; EXECUTE p(1)",
            "SET TIME ZONE 'UTC'; DO $$ BEGIN EXECUTE 'SELECT 1'; END $$",
        ] {
            client
                .batch_execute(sql)
                .await
                .unwrap_or_else(|error| panic!("{home:?}: {sql}: {error:?}"));
        }
        assert_eq!(
            column(&client, "SELECT id FROM things ORDER BY id").await,
            ["1", "10", "11", "12", "50", "51"]
        );
        // Functions of the session's own: what it runs isn't proved by what others see.
        let own = "CREATE FUNCTION pg_temp.own() RETURNS int LANGUAGE sql AS 'SELECT 1'";
        client.batch_execute(own).await.expect("a function");
        let commits = "DO $$ BEGIN UPDATE things SET n = 1 WHERE id = 10; COMMIT; END $$";
        client.batch_execute(commits).await.expect("a Query that commits");
        client.query_typed(commits, &[]).await.expect("a batch that commits");
        client.batch_execute("DROP FUNCTION pg_temp.own()").await.expect("DROP");
        let told = Told::of(&client, "CALL commits_by_text()").await;
        told.is("2D000", &["transaction"]);
        let rows =
            client.query("SELECT writes_by_text('things') WHERE $1", &[&true]).await.expect("rows");
        assert_eq!(rows.len(), 1);
        assert_eq!(column(&client, "SELECT n FROM things WHERE id = 92").await, ["1"]);
    }
}

/// An index is made by reading its table, store tables' own too.
/// Whatever is defined, literals run no code: nobody waits for the catalogue to prove it.
#[tokio::test]
async fn literals_wait_for_no_definitions() {
    let Some((world, client)) = world(Home::Memory).await else { return };
    let behind = world.behind().await;
    client.batch_execute("CREATE TABLE later (id int)").await.expect("a table");
    behind.batch_execute("BEGIN; LOCK TABLE pg_catalog.pg_depend").await.expect("a lock");
    assert_eq!(in_time(column(&client, "SELECT 1")).await, ["1"]);
    let row = in_time(client.query_one("SELECT 'x' AS what", &[])).await.expect("a row");
    assert_eq!(row.get::<_, &str>(0), "x");
    behind.batch_execute("ROLLBACK").await.expect("ROLLBACK");
}

#[tokio::test]
async fn indexes_beside_definitions_of_the_block() {
    for home in Home::KINDS {
        let Some((_world, client)) = world(home).await else { continue };
        client
            .batch_execute("BEGIN; CREATE FUNCTION fresh() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE INDEX ON carts (n)")
            .await
            .expect("an index");
        client.execute("CREATE INDEX ON carts (n)", &[]).await.expect("an index");
        client.batch_execute("CREATE INDEX ON things (n); SAVEPOINT s").await.expect("an index");
        for sql in [
            "CREATE INDEX ON things (says_immutable(n))",
            "CREATE INDEX ON carts (says_immutable(n))",
        ] {
            Told::of(&client, sql).await.is("0A000", &["carts"]);
            client.batch_execute("ROLLBACK TO s").await.expect("ROLLBACK TO");
            Told::by(client.execute(sql, &[]).await).is("0A000", &["carts"]);
            client.batch_execute("ROLLBACK TO s").await.expect("ROLLBACK TO");
        }
        client.batch_execute("COMMIT").await.expect("COMMIT");
    }
}

/// Where PostgreSQL serves one connection.
#[tokio::test]
async fn in_one_process() {
    let process = Process::start(["--listen", "127.0.0.1:0"]).await;
    let client = connect(&format!("postgres://flywheel@{}/flywheel", process.address())).await;
    let scores = "SELECT score FROM leaderboard WHERE board = 'twins'";
    for sql in [
        "INSERT INTO leaderboard VALUES ('twins', 'a', 1)",
        "CREATE FUNCTION leads() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM leaderboard'",
        "CREATE FUNCTION counts() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM words'",
    ] {
        client.batch_execute(sql).await.expect(sql);
    }
    for sql in [
        "SELECT leads()",
        "DO $$ BEGIN INSERT INTO leaderboard VALUES ('twins', 'b', 2); END $$",
        "DO $$ BEGIN EXECUTE 'DELETE FROM leaderboard'; END $$",
    ] {
        for _ in 0..2 {
            Told::of(&client, sql).await.is("0A000", &["leaderboard"]);
            Told::by(client.execute(sql, &[]).await).is("0A000", &["leaderboard"]);
        }
    }
    client
        .batch_execute("SELECT counts(); DO $$ BEGIN EXECUTE 'SELECT 1'; END $$")
        .await
        .expect("harmless");
    assert_eq!(column(&client, scores).await, ["1"]);
}

/// A COPY whose trigger reaches it has sent its rows by then.
#[tokio::test]
async fn rows_that_are_copied() {
    use futures_util::SinkExt;
    let Some((world, client)) = world(Home::Redis).await else { return };
    let rows = client.copy_out("COPY (SELECT counts()) TO STDOUT").await.expect("COPY");
    let rows: Result<Vec<_>, _> = futures_util::TryStreamExt::try_collect(rows).await;
    Told::by(rows).is("0A000", &["carts"]);
    assert_eq!(column(&client, "SELECT 1").await, ["1"]);
    // Over rows of a store table it must be proved before it begins.
    let sql = "COPY (SELECT n, counts() FROM carts) TO STDOUT";
    Told::by(client.copy_out(sql).await.map(drop)).is("0A000", &["counts"]);
    Told::of(&client, sql).await.is("0A000", &["counts"]);
    assert_eq!(column(&client, "SELECT 1").await, ["1"]);
    for _ in 0..2 {
        let sink = client.copy_in::<_, &[u8]>("COPY watched FROM STDIN").await.expect("COPY");
        futures_util::pin_mut!(sink);
        sink.send(b"1\n".as_slice()).await.expect("a row");
        Told::by(sink.finish().await).is("0A000", &["carts"]);
        assert_eq!(column(&client, "SELECT 1").await, ["1"]);
    }
    client.batch_execute("ALTER TABLE watched DISABLE TRIGGER t").await.expect("ALTER");
    let sink = client.copy_in::<_, &[u8]>("COPY watched FROM STDIN").await.expect("COPY");
    futures_util::pin_mut!(sink);
    sink.send(b"1\n".as_slice()).await.expect("a row");
    assert_eq!(sink.finish().await.expect("rows"), 1);
    client.batch_execute("DELETE FROM watched").await.expect("DELETE");
    is_untouched(&world, &client, "COPY").await;
}

/// Rows that others write past the gateways are said to be there, and served again without them.
#[tokio::test]
async fn rows_past_the_gateways() {
    for home in Home::KINDS {
        let Some((world, client)) = world(home).await else { continue };
        let behind = world.behind().await;
        behind.batch_execute("INSERT INTO carts VALUES (80, 1)").await.expect("a row past it");
        // What is staged meets them at once.
        Told::of(&client, "INSERT INTO carts SELECT 9, n FROM things")
            .await
            .is("55000", &["public.carts", "TRUNCATE"]);
        Told::of(&client, "DELETE FROM carts WHERE n * 2 > 100")
            .await
            .is("55000", &["public.carts", "TRUNCATE"]);
        until("the rows are noticed", async || {
            client.batch_execute("SELECT * FROM carts WHERE id = 7").await.is_err()
        })
        .await;
        Told::of(&client, "SELECT * FROM carts WHERE id = 7")
            .await
            .is("55000", &["public.carts", "TRUNCATE"]);
        Told::by(client.query("SELECT * FROM carts WHERE id = 7", &[]).await)
            .is("55000", &["public.carts"]);
        behind.batch_execute("TRUNCATE carts").await.expect("TRUNCATE");
        assert_eq!(column(&client, "SELECT n FROM carts WHERE id = 7").await, ["70"], "{home:?}");
        client.batch_execute("UPDATE carts SET n = n * 2").await.expect("a write");
        assert_eq!(
            column(&client, "SELECT id || ':' || n FROM carts").await,
            ["7:140"],
            "{home:?}"
        );
    }
}
