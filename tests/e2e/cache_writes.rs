//! What ends answers that are kept: writes through the gateway, however they reach a table.

use flywheel_tests::cache::count;
use flywheel_tests::world::{column, until};
use flywheel_tests::{Home, Setup, World};

const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int DEFAULT 0, u int UNIQUE);
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
    CREATE TABLE grandchild (id int PRIMARY KEY, child int REFERENCES child ON DELETE SET NULL);
    CREATE TABLE source (id int PRIMARY KEY);
    CREATE TABLE log (id int);
    CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END';
    CREATE TRIGGER log AFTER INSERT ON source FOR EACH ROW EXECUTE FUNCTION log();
    CREATE TABLE ruled (id int); CREATE TABLE behind_rule (id int);
    CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO behind_rule VALUES (NEW.id);
    CREATE VIEW view AS SELECT id FROM t; CREATE VIEW view_of_view AS SELECT count(*) FROM view;
    CREATE TABLE parts (id int) PARTITION BY RANGE (id);
    CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (100); CREATE TABLE part2 PARTITION OF parts FOR VALUES FROM (100) TO (200);
    CREATE MATERIALIZED VIEW mat AS SELECT count(*) FROM t;
    CREATE FUNCTION writes(int) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO log VALUES ($1); SELECT $1';
    CREATE FUNCTION hides(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END';
    CREATE PROCEDURE proc() LANGUAGE sql AS 'INSERT INTO log VALUES (1)';
    CREATE VIEW calls AS SELECT writes(1);
    INSERT INTO t SELECT i, 0, i FROM generate_series(1, 20) i; INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1), (2, 2); INSERT INTO grandchild VALUES (1, 1)";

const ALL: &str = "[[cache]]\nwhen = { database = \"app\" }\nttl = \"1h\"";

async fn world() -> Option<World> {
    let world = Setup::default().section(ALL).start().await?;
    world.behind().await.batch_execute(TABLES).await.expect("tables");
    Some(world)
}

/// Reads, kept before each write, that must say what PostgreSQL says after it.
#[tokio::test]
async fn every_way_to_a_table_is_followed() {
    let Some(world) = world().await else { return };
    let (client, other, behind) =
        (world.gateway().await, world.gateway().await, world.behind().await);
    let writes = [
        ("INSERT INTO t VALUES (100)", "SELECT count(*) FROM t"),
        ("INSERT INTO t VALUES (101)", "SELECT count(*) FROM view"),
        ("INSERT INTO t VALUES (102)", "SELECT * FROM view_of_view"),
        ("INSERT INTO view VALUES (103)", "SELECT count(*) FROM t"),
        ("UPDATE t SET n = 1 WHERE id = 1", "SELECT n FROM t WHERE id = 1"),
        ("UPDATE t SET id = 500 WHERE id = 2", "SELECT id FROM t WHERE id = 500"),
        (
            "INSERT INTO t VALUES (200, 0, 3) ON CONFLICT (u) DO UPDATE SET n = 9",
            "SELECT n FROM t WHERE id = 3",
        ),
        ("DELETE FROM t WHERE id = 4", "SELECT n FROM t WHERE id = 4"),
        ("INSERT INTO t (id) VALUES (600), (601)", "SELECT id FROM t WHERE id = 601"),
        ("UPDATE t SET n = 5 WHERE u = 5", "SELECT n FROM t WHERE id = 5"),
        ("UPDATE t SET n = n + 1 WHERE id = '6'", "SELECT n FROM t WHERE id = 6"),
        ("UPDATE t SET n = n + 1 WHERE id = 3 + 4", "SELECT n FROM t WHERE id = 7"),
        (
            "WITH w AS (UPDATE t SET n = 8 WHERE id = 8 RETURNING 1) SELECT * FROM w",
            "SELECT n FROM t WHERE id = 8",
        ),
        (
            "MERGE INTO t USING (VALUES (9)) v(id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET n = 9",
            "SELECT n FROM t WHERE id = 9",
        ),
        ("DELETE FROM parent WHERE id = 1", "SELECT count(*) FROM child"),
        (
            "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)",
            "SELECT count(*) FROM child",
        ),
        ("UPDATE grandchild SET child = 1", "SELECT child FROM grandchild"),
        ("DELETE FROM parent WHERE id = 1", "SELECT child FROM grandchild"),
        ("INSERT INTO source VALUES (1)", "SELECT count(*) FROM log"),
        ("INSERT INTO ruled VALUES (1)", "SELECT count(*) FROM behind_rule"),
        ("INSERT INTO parts VALUES (1)", "SELECT count(*) FROM part1"),
        ("INSERT INTO part2 VALUES (101)", "SELECT count(*) FROM parts"),
        ("SELECT writes(5)", "SELECT count(*) FROM log"),
        ("SELECT * FROM calls", "SELECT count(*) FROM log"),
        ("CALL proc()", "SELECT count(*) FROM log"),
        ("DO $$ BEGIN INSERT INTO log VALUES (2); END $$", "SELECT count(*) FROM log"),
        ("SELECT hides('INSERT INTO log VALUES (3)')", "SELECT count(*) FROM log"),
        ("EXPLAIN ANALYZE INSERT INTO log VALUES (4)", "SELECT count(*) FROM log"),
        ("PREPARE p AS INSERT INTO log VALUES (5); EXECUTE p", "SELECT count(*) FROM log"),
        ("REFRESH MATERIALIZED VIEW mat", "SELECT * FROM mat"),
        ("BEGIN; INSERT INTO log VALUES (6); COMMIT", "SELECT count(*) FROM log"),
        (
            "BEGIN; SAVEPOINT a; INSERT INTO log VALUES (6); ROLLBACK TO a; INSERT INTO log VALUES (7); END",
            "SELECT count(*) FROM log",
        ),
        ("TRUNCATE parent CASCADE", "SELECT count(*) FROM grandchild"),
        ("TRUNCATE log", "SELECT count(*) FROM log"),
        ("ALTER TABLE log ADD COLUMN more int DEFAULT 7", "SELECT * FROM log"),
        ("INSERT INTO log VALUES (8)", "SELECT * FROM log"),
        (
            "CREATE TABLE new_parts PARTITION OF parts FOR VALUES FROM (200) TO (300); INSERT INTO new_parts VALUES (201)",
            "SELECT count(*) FROM parts",
        ),
        ("INSERT INTO new_parts VALUES (202)", "SELECT count(*) FROM parts"),
        ("ALTER TABLE log RENAME COLUMN more TO less", "SELECT less FROM log"),
        ("DROP VIEW view_of_view, view; CREATE VIEW view AS SELECT 1 AS id", "SELECT * FROM view"),
    ];
    for (write, read) in writes {
        // A read may not be possible yet.
        for _ in 0..2 {
            let _ = other.simple_query(read).await;
        }
        client.batch_execute(write).await.unwrap_or_else(|error| panic!("{write}: {error:?}"));
        assert_eq!(column(&other, read).await, column(&behind, read).await, "{write}");
        assert_eq!(column(&other, read).await, column(&behind, read).await, "{write}");
    }
    assert!(count(&client, "hits").await as usize > writes.len());
}

#[tokio::test]
async fn prepared_writes_copy_and_pipelines() {
    let Some(world) = world().await else { return };
    let (client, reader, behind) =
        (world.gateway().await, world.gateway().await, world.behind().await);
    let one = reader.prepare("SELECT n FROM t WHERE id = $1").await.expect("a statement");
    let all = reader.prepare("SELECT count(*), sum(n) FROM t").await.expect("a statement");
    let read = async |id: i32| -> (Option<i32>, i64, i64) {
        let row = reader.query_opt(&one, &[&id]).await.expect("rows");
        let sums = reader.query_one(&all, &[]).await.expect("a row");
        (row.map(|row| row.get(0)), sums.get(0), sums.get(1))
    };
    let expected = async |id: i32| -> (Option<i32>, i64, i64) {
        let row = behind.query_opt("SELECT n FROM t WHERE id = $1", &[&id]).await.expect("rows");
        let sums = behind.query_one("SELECT count(*), sum(n) FROM t", &[]).await.expect("a row");
        (row.map(|row| row.get(0)), sums.get(0), sums.get(1))
    };
    let update =
        client.prepare("UPDATE t SET n = n + $2 WHERE id = $1").await.expect("a statement");
    let insert =
        client.prepare("INSERT INTO t (id, n) VALUES ($1, $2)").await.expect("a statement");
    let delete = client.prepare("DELETE FROM t WHERE id = $1").await.expect("a statement");
    for id in 1..=5 {
        read(id).await;
        client.execute(&update, &[&id, &10]).await.expect("a write");
        assert_eq!(read(id).await, expected(id).await);
        client.execute(&insert, &[&(id + 1000), &1]).await.expect("a write");
        assert_eq!(read(id + 1000).await, expected(id + 1000).await);
        client.execute(&delete, &[&(id + 1000)]).await.expect("a write");
        assert_eq!(read(id + 1000).await, expected(id + 1000).await);
    }
    // A write to one row leaves the answers of others.
    let hits = count(&client, "hits").await;
    client.execute(&update, &[&1, &10]).await.expect("a write");
    reader.query_opt(&one, &[&2]).await.expect("rows");
    assert_eq!(count(&client, "hits").await, hits + 1);
    // Several at once.
    let (first, second) =
        tokio::join!(client.execute(&update, &[&1, &1]), client.execute(&update, &[&2, &1]));
    assert_eq!((first.expect("a write"), second.expect("a write")), (1, 1));
    assert_eq!((read(1).await, read(2).await), (expected(1).await, expected(2).await));
    let sink = client.copy_in("COPY t (id, n) FROM STDIN").await.expect("COPY");
    let mut sink = Box::pin(sink);
    futures_util::SinkExt::send(&mut sink, bytes::Bytes::from_static(b"2000\t5\n"))
        .await
        .expect("data");
    sink.as_mut().finish().await.expect("the end");
    assert_eq!(read(2000).await, expected(2000).await);
}

#[tokio::test]
async fn a_block_ends_answers_when_it_commits() {
    let Some(world) = world().await else { return };
    let (mut client, reader) = (world.gateway().await, world.gateway().await);
    let read = "SELECT n FROM t WHERE id = 1";
    assert_eq!(column(&reader, read).await, ["0"]);
    let transaction = client.transaction().await.expect("a block");
    transaction.execute("UPDATE t SET n = 1 WHERE id = 1", &[]).await.expect("a write");
    // The block sees its own write, the others don't, whoever kept what in between.
    let own: i32 =
        transaction.query_one("SELECT n FROM t WHERE id = 1", &[]).await.expect("a row").get(0);
    assert_eq!(own, 1);
    for _ in 0..2 {
        assert_eq!(column(&reader, read).await, ["0"]);
    }
    transaction.commit().await.expect("COMMIT");
    assert_eq!(column(&reader, read).await, ["1"]);
    // One that is rolled back changes nothing.
    let transaction = client.transaction().await.expect("a block");
    transaction.execute("UPDATE t SET n = 2 WHERE id = 1", &[]).await.expect("a write");
    drop(transaction);
    assert_eq!(column(&reader, read).await, ["1"]);
    // A snapshot is older than what is kept.
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM t")
        .await
        .expect("a block");
    reader.batch_execute("UPDATE t SET n = 3 WHERE id = 1").await.expect("a write");
    for _ in 0..2 {
        assert_eq!(column(&reader, read).await, ["3"]);
        assert_eq!(column(&client, read).await, ["1"]);
    }
    client.batch_execute("COMMIT").await.expect("COMMIT");
    assert_eq!(column(&client, read).await, ["3"]);
}

#[tokio::test]
async fn reads_of_store_tables_are_kept_and_ended() {
    let create = "CREATE TABLE sessions (id int PRIMARY KEY, who text)";
    let setup = Setup::default().table("sessions", Home::Memory).section(ALL);
    let Some(world) = setup.start().await else { return };
    let (client, reader) = (world.gateway().await, world.gateway().await);
    client.batch_execute(create).await.expect("a table");
    client
        .batch_execute("CREATE TABLE users (who text PRIMARY KEY, mail text); INSERT INTO users VALUES ('a', 'a@x'); INSERT INTO sessions VALUES (1, 'a')")
        .await
        .expect("rows");
    let native = "SELECT who FROM sessions WHERE id = 1";
    let mixed = "SELECT mail FROM sessions s JOIN users u ON u.who = s.who WHERE s.id = 1";
    let prepared =
        reader.prepare("SELECT who FROM sessions WHERE id = $1").await.expect("a statement");
    let all = async || {
        let row: Option<tokio_postgres::Row> =
            reader.query_opt(&prepared, &[&1]).await.expect("rows");
        let prepared: Vec<String> = row.iter().map(|row| row.get(0)).collect();
        (column(&reader, native).await, column(&reader, mixed).await, prepared)
    };
    let is = |who: &[&str], mail: &[&str]| {
        let texts = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        (texts(who), texts(mail), texts(who))
    };
    all().await;
    let hits = count(&client, "hits").await;
    assert_eq!(all().await, is(&["a"], &["a@x"]));
    assert_eq!(count(&client, "hits").await, hits + 3);
    client.batch_execute("UPDATE users SET mail = 'b@x'").await.expect("a write");
    assert_eq!(all().await, is(&["a"], &["b@x"]));
    client.batch_execute("UPDATE sessions SET who = 'b' WHERE id = 1").await.expect("a write");
    assert_eq!(all().await, is(&["b"], &[]));
    client
        .batch_execute("BEGIN; UPDATE sessions SET who = 'a' WHERE id = 1")
        .await
        .expect("a block");
    assert_eq!(all().await, is(&["b"], &[]));
    client.batch_execute("COMMIT").await.expect("COMMIT");
    assert_eq!(all().await, is(&["a"], &["b@x"]));
    client.batch_execute("TRUNCATE sessions").await.expect("a write");
    assert_eq!(all().await, is(&[], &[]));
}

/// A replica that lags doesn't bring back what a write has ended.
#[tokio::test]
async fn a_fill_from_a_replica_has_the_last_write() {
    let Some(cluster) = flywheel_tests::Cluster::start(1).await else {
        return;
    };
    let setup = Setup::default()
        .primary_at(&cluster.url(0))
        .main(&format!("replicas = [{:?}]\ncheck_interval = \"50ms\"", cluster.url(1)))
        .section("[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"")
        .section("[[cache]]\nwhen = { tables = [\"t\"] }\nttl = \"1h\"");
    let Some(world) = setup.start().await else { return };
    let (writer, reader) = (world.gateway().await, world.gateway().await);
    writer
        .batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (0)")
        .await
        .expect("a table");
    cluster.catch_up(0, 1).await;
    let read = "SELECT n FROM t";
    assert_eq!(column(&reader, read).await, ["0"]);
    cluster.pause_replay(1).await;
    for n in 1..10 {
        writer.batch_execute("UPDATE t SET n = n + 1").await.expect("a write");
        for _ in 0..3 {
            assert_eq!(column(&reader, read).await, [n.to_string()]);
        }
    }
    cluster.resume_replay(1).await;
    assert_eq!(column(&reader, read).await, ["9"]);
}

/// Nor does it give the old answer to one who has waited for a fill that the write has overtaken.
#[tokio::test]
async fn who_waits_for_an_ended_fill_has_the_last_write() {
    let Some(cluster) = flywheel_tests::Cluster::start(1).await else {
        return;
    };
    let setup = Setup::default()
        .primary_at(&cluster.url(0))
        .main(&format!("replicas = [{:?}]\ncheck_interval = \"50ms\"", cluster.url(1)))
        .section("[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"")
        .section(ALL);
    let Some(world) = setup.start().await else { return };
    let (writer, reader, filler) =
        (world.gateway().await, world.gateway().await, world.gateway().await);
    writer
        .batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (0)")
        .await
        .expect("a table");
    cluster.catch_up(0, 1).await;
    // A question that hasn't been asked before.
    let port = async || {
        let sql = format!(
            "SELECT n + inet_server_port() FROM t WHERE n <> {}",
            rand::random_range(1..i32::MAX)
        );
        column(&reader, &sql).await
    };
    until("a fill from the replica", async || port().await == [cluster.port(1)]).await;
    cluster.pause_replay(1).await;
    let misses = count(&writer, "misses").await;
    let read = "SELECT max(n), max(md5(repeat('x', 300000000 + n))) FROM t";
    let filling = tokio::spawn(async move { column(&filler, read).await });
    until("the fill", async || count(&writer, "misses").await > misses).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    writer.batch_execute("UPDATE t SET n = 1").await.expect("a write");
    assert_eq!(column(&reader, read).await, ["1"]);
    filling.await.expect("the fill");
    cluster.resume_replay(1).await;
}
