//! Statements that need a store table itself, whose rows PostgreSQL gets for them: system columns
//! that would leave the statement are refused, and nothing of the rows stays behind. What the
//! statements answer is in `tests/suites/in_tables.sql`.

use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told, World};

async fn world(home: Home) -> Option<World> {
    let world = Setup::default().table("public.h", home).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE h (id int PRIMARY KEY, u int, t int, extra text); CREATE TABLE tids (place tid);
             CREATE TABLE told (id int, extra text, n bigint); INSERT INTO tids VALUES ('(0,1)')",
        )
        .await
        .expect("tables");
    client
        .batch_execute("INSERT INTO h SELECT n, n % 4, n, 'e' FROM generate_series(1, 40) n")
        .await
        .expect("rows");
    Some(world)
}

#[tokio::test]
async fn what_means_nothing_outside_is_refused() {
    for home in Home::STORES {
        let Some(world) = world(home).await else { continue };
        let client = world.gateway().await;
        for sql in [
            "SELECT ctid FROM h",
            "SELECT h.ctid::text, id FROM h WHERE id = 1",
            "SELECT id, xmin::text::bigint FROM h WHERE id = 1",
            "SELECT place FROM (SELECT ctid AS place FROM h) AS q",
            "WITH q AS (SELECT ctid FROM h) SELECT * FROM q",
            "DELETE FROM h WHERE ctid = '(0,1)'",
            "DELETE FROM h WHERE id = 1 AND ctid = '(0,1)'::tid",
            "DELETE FROM h WHERE ctid IN (SELECT place FROM tids)",
            "DELETE FROM h WHERE ctid = ANY (ARRAY['(0,1)', '(0,2)']::tid[])",
            "UPDATE h SET extra = xmin::text WHERE id = 1",
            "UPDATE h SET extra = 'x' WHERE id = 1 AND xmin = 7::text::xid",
            "UPDATE h SET extra = 'x' WHERE id = 1 RETURNING ctid",
            "INSERT INTO told SELECT id, ctid::text, 1 FROM h",
            "EXPLAIN ANALYZE DELETE FROM h WHERE ctid = '(0,1)'",
            "COPY (SELECT ctid FROM h) TO STDOUT",
        ] {
            let told = Told::of(&client, sql).await;
            told.is("0A000", &["public.h", "key"]);
        }
        let error = client
            .query("DELETE FROM h WHERE ctid = $1::text::tid", &[&"(0,1)"])
            .await
            .expect_err("refused");
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("0A000"));
        client
            .batch_execute(
                "BEGIN; DECLARE c CURSOR FOR SELECT id FROM h ORDER BY id; FETCH 1 FROM c",
            )
            .await
            .expect("a cursor");
        Told::of(&client, "DELETE FROM h WHERE CURRENT OF c").await.is("0A000", &[]);
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        assert_eq!(column(&client, "SELECT count(*) FROM h").await, ["40"], "{}", home.name());
    }
}

#[tokio::test]
async fn a_relational_tables_own_stay_what_they_are() {
    let Some(world) = world(Home::Memory).await else { return };
    let client = world.gateway().await;
    let place = column(&client, "SELECT tids.ctid FROM tids JOIN h ON h.id = 1").await;
    assert_eq!(place, ["(0,1)"]);
    let sql =
        "DELETE FROM tids WHERE tids.ctid = '(0,1)' AND EXISTS (SELECT 1 FROM h WHERE h.id = 1)";
    assert_eq!(client.execute(sql, &[]).await.expect("DELETE"), 1);
}

/// Batches of several clients at once take every row once.
#[tokio::test(flavor = "multi_thread")]
async fn batches_side_by_side() {
    for home in Home::ALL {
        let Some(world) = world(home).await else { continue };
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let url = world.url();
                tokio::spawn(async move {
                    let client = flywheel_tests::world::connect(&url).await;
                    let mut taken = Vec::new();
                    loop {
                        let sql = "DELETE FROM h WHERE ctid = ANY (ARRAY(SELECT ctid FROM h ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED)) RETURNING id";
                        let rows = match client.query(sql, &[]).await {
                            Ok(rows) => rows,
                            Err(error) if error.code().is_some_and(|code| code.code() == "40001") => continue,
                            Err(error) => panic!("{error:?}"),
                        };
                        if rows.is_empty() {
                            return taken;
                        }
                        taken.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
                    }
                })
            })
            .collect();
        let mut taken = Vec::new();
        for client in clients {
            taken.extend(client.await.expect("a client"));
        }
        taken.sort_unstable();
        assert_eq!(taken, (1..=40).collect::<Vec<_>>(), "{}", home.name());
    }
}

/// Whatever becomes of a statement, PostgreSQL's own table is empty afterwards, and what the
/// statement does beside reading stays.
#[tokio::test]
async fn nothing_of_the_rows_stays() {
    let Some(world) = world(Home::Memory).await else { return };
    let (client, behind) = (world.gateway().await, world.behind().await);
    let is_empty = async || assert_eq!(column(&behind, "SELECT count(*) FROM h").await, ["0"]);
    assert_eq!(
        column(&client, "SELECT count(*) FROM (SELECT id, extra FROM h GROUP BY id) q").await,
        ["40"]
    );
    is_empty().await;
    client
        .batch_execute("INSERT INTO told SELECT id, extra, count(*) FROM h WHERE u = 1 GROUP BY id")
        .await
        .expect("INSERT");
    is_empty().await;
    assert_eq!(column(&behind, "SELECT count(*) FROM told").await, ["10"]);
    Told::of(&client, "INSERT INTO told SELECT id, extra, 1 / (id - 5) FROM h GROUP BY id")
        .await
        .is("22012", &[]);
    is_empty().await;
    assert_eq!(column(&behind, "SELECT count(*) FROM told").await, ["10"]);
    client
        .batch_execute(
            "BEGIN; INSERT INTO h VALUES (41, 1, 1, 'new'); INSERT INTO told SELECT id, extra, 0 FROM h WHERE id > 39 GROUP BY id;
             SELECT id, extra FROM h GROUP BY id; COMMIT",
        )
        .await
        .expect("a block");
    is_empty().await;
    assert_eq!(column(&client, "SELECT id FROM told WHERE n = 0 ORDER BY id").await, ["40", "41"]);
    client.batch_execute("SET default_transaction_read_only = on").await.expect("SET");
    assert_eq!(column(&client, "SELECT id, extra FROM h WHERE id = 7 GROUP BY id").await, ["7"]);
    Told::of(&client, "INSERT INTO told SELECT id, extra, 1 FROM h GROUP BY id")
        .await
        .is("25006", &["INSERT"]);
    Told::of(&client, "BEGIN READ ONLY; SELECT id, extra FROM h GROUP BY id")
        .await
        .is("0A000", &["read-only", "public.h"]);
    client.batch_execute("ROLLBACK; RESET default_transaction_read_only").await.expect("ROLLBACK");
    is_empty().await;
}

/// PostgreSQL's cursor FOR UPDATE skips rows that its transaction has changed. One over a store
/// table says that it can't.
#[tokio::test]
async fn a_locking_cursor_gives_no_row_as_it_was() {
    let Some(world) = world(Home::Memory).await else { return };
    let client = world.gateway().await;
    for write in [
        "UPDATE h SET t = 0 WHERE id = 2",
        "DELETE FROM h WHERE t = 2",
        "INSERT INTO h VALUES (50, 1, 1, '')",
    ] {
        for fetch in ["FETCH 1 FROM c", "FETCH c", "MOVE FORWARD ALL IN c"] {
            client
                .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT id, t FROM h WHERE id < 4 ORDER BY id FOR UPDATE; FETCH 1 FROM c")
                .await
                .expect("a cursor");
            client.batch_execute(write).await.expect(write);
            Told::of(&client, fetch).await.is("0A000", &["\"c\"", "public.h"]);
            Told::of(&client, "SELECT 1").await.is("25P02", &[]);
            client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
        }
    }
    Told::of(
        &client,
        "BEGIN; DECLARE c CURSOR FOR SELECT id FROM h FOR UPDATE; DELETE FROM h WHERE id = 1; FETCH c",
    )
    .await
    .is("0A000", &["\"c\""]);
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    // Whoever reads all of it first, or doesn't lock, is served.
    client
        .batch_execute(
            "BEGIN; DECLARE c CURSOR FOR SELECT id FROM h FOR UPDATE; FETCH ALL FROM c; UPDATE h SET t = 0 WHERE id = 2; CLOSE c;
             DECLARE c CURSOR FOR SELECT id FROM h; UPDATE h SET t = 1 WHERE id = 2",
        )
        .await
        .expect("a block");
    assert_eq!(column(&client, "FETCH ALL FROM c").await.len(), 40);
    client.batch_execute("COMMIT").await.expect("COMMIT");
    // A portal with a limit is a cursor.
    let mut client = client;
    let transaction = client.transaction().await.expect("BEGIN");
    let portal = transaction
        .bind("SELECT id, t FROM h ORDER BY id FOR UPDATE", &[])
        .await
        .expect("a portal");
    assert_eq!(transaction.query_portal(&portal, 1).await.expect("a row").len(), 1);
    assert_eq!(transaction.query_portal(&portal, 1).await.expect("a row").len(), 1);
    transaction.execute("UPDATE h SET t = 9 WHERE id = 3", &[]).await.expect("UPDATE");
    Told::by(transaction.query_portal(&portal, 1).await).is("0A000", &["public.h"]);
}

/// What a statement locks in PostgreSQL beside rows that are put there stays locked up to the
/// block's end.
#[tokio::test]
async fn locks_of_other_tables_stay() {
    let Some(world) = world(Home::Memory).await else { return };
    let (client, behind) = (world.gateway().await, world.behind().await);
    behind.batch_execute("INSERT INTO told VALUES (1, 'x', 1)").await.expect("a row");
    client
        .batch_execute(
            "BEGIN; SELECT public.h.id FROM public.h JOIN told ON told.id = public.h.id WHERE public.h.id = 1 FOR UPDATE OF told",
        )
        .await
        .expect("a lock");
    Told::of(&behind, "SELECT 1 FROM told FOR UPDATE NOWAIT").await.is("55P03", &["told"]);
    assert_eq!(column(&behind, "SELECT count(*) FROM h").await, ["0"]);
    Told::of(
        &client,
        "UPDATE h SET t = 0 WHERE id IN (SELECT id FROM told FOR UPDATE SKIP LOCKED)",
    )
    .await
    .is("0A000", &["told", "SELECT"]);
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    client
        .batch_execute(
            "UPDATE h SET t = 0 WHERE id IN (SELECT id FROM told FOR UPDATE SKIP LOCKED)",
        )
        .await
        .expect("an UPDATE by itself");
    assert_eq!(column(&client, "SELECT id FROM h WHERE t = 0").await, ["1"]);
}

/// However PostgreSQL plans it, a batch is of as many rows as LIMIT says.
#[tokio::test]
async fn a_locked_batch_is_of_its_limit() {
    let Some(world) = world(Home::Memory).await else { return };
    let client = world.gateway().await;
    client
        .batch_execute(
            "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_tidscan = off; SET enable_hashagg = off; SET enable_sort = off;
             SET enable_material = off",
        )
        .await
        .expect("settings");
    for sql in [
        "DELETE FROM h WHERE ctid IN (SELECT ctid FROM h ORDER BY id LIMIT 1 FOR UPDATE)",
        "UPDATE h SET t = 0 WHERE ctid IN (SELECT ctid FROM h WHERE u = 1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)",
        "DELETE FROM h USING (SELECT ctid FROM h ORDER BY id LIMIT 1 FOR UPDATE) AS q WHERE h.ctid = q.ctid",
    ] {
        assert_eq!(client.execute(sql, &[]).await.expect(sql), 1, "{sql}");
    }
    assert_eq!(column(&client, "SELECT count(*) FROM h").await, ["38"]);
}
