//! Rows of store tables that PostgreSQL computes with are in no text that others see: neither in
//! its views of statements, cursors and activity, nor in its log.

use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, World};

const SECRET: &str = "secret-of-ada";

async fn world() -> Option<World> {
    let world =
        Setup::default().table("public.notes", Home::Memory).main("pool_size = 1").start().await?;
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE notes (id int PRIMARY KEY, body text, owner int); CREATE TABLE people (id int PRIMARY KEY, name text)")
        .await
        .expect("tables");
    client
        .batch_execute(&format!(
            "INSERT INTO notes VALUES (1, '{SECRET}', 1), (2, 'other', 2); INSERT INTO people VALUES (1, 'Ada')"
        ))
        .await
        .expect("rows");
    Some(world)
}

#[tokio::test]
async fn no_text_shows_rows() {
    let Some(world) = world().await else { return };
    let (client, other, behind) =
        (world.gateway().await, world.gateway().await, world.behind().await);
    let join = "SELECT n.body || '' FROM notes n JOIN people p ON p.id = n.owner WHERE n.id = ";
    let shown = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%secret' || '-of-%'";
    let prepared = client.prepare(&format!("{join}$1")).await.expect("a statement");
    let reads = async |what: &str| {
        assert_eq!(column(&behind, shown).await, ["0"], "{what}");
        let texts = "SELECT statement FROM pg_prepared_statements UNION ALL SELECT statement FROM pg_cursors";
        let texts = column(&other, texts).await;
        assert!(!texts.iter().any(|text| text.contains(SECRET)), "{what}: {texts:?}");
    };
    for _ in 0..3 {
        let rows = client.query(&prepared, &[&1]).await.expect("a row");
        assert_eq!(rows[0].get::<_, &str>(0), SECRET);
        reads("a prepared read").await;
    }
    assert_eq!(column(&client, &format!("{join}1")).await, [SECRET]);
    reads("a read").await;
    client
        .batch_execute("UPDATE notes SET body = body || '' WHERE owner = 1")
        .await
        .expect("a write");
    reads("a write").await;
    client
        .batch_execute("CREATE TABLE kept AS SELECT id, owner FROM notes")
        .await
        .expect("CREATE TABLE AS");
    reads("CREATE TABLE AS").await;
    client
        .batch_execute("EXPLAIN ANALYZE SELECT count(*) FROM notes WHERE owner > 0")
        .await
        .expect("EXPLAIN");
    reads("EXPLAIN ANALYZE").await;
    let copied = client.copy_out("COPY notes TO STDOUT").await.expect("COPY");
    let copied: Vec<_> = futures_util::TryStreamExt::try_collect(copied).await.expect("rows");
    assert!(copied.concat().starts_with(format!("1\t{SECRET}").as_bytes()), "{copied:?}");
    reads("COPY").await;
    assert_eq!(
        column(&other, "SELECT coalesce(current_setting('flywheel.rows_0', true), '')").await,
        [""]
    );
    // A cursor, and who looks at it in the same transaction.
    client
        .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT body FROM notes WHERE owner = 1")
        .await
        .expect("a cursor");
    let texts = column(&client, "SELECT statement FROM pg_cursors").await;
    assert!(!texts.iter().any(|text| text.contains(SECRET)), "{texts:?}");
    assert_eq!(column(&client, "FETCH ALL FROM c").await, [SECRET]);
    assert_eq!(column(&behind, shown).await, ["0"], "a cursor");
    client.batch_execute("COMMIT").await.expect("COMMIT");
}

/// A statement that a connection has prepared is another one when a definition, a setting or the
/// meaning of a name is.
#[tokio::test]
async fn what_was_prepared_is_current() {
    let Some(world) = world().await else { return };
    let client = world.gateway().await;
    let sql =
        "SELECT name, count(n.id) FROM people p LEFT JOIN notes n ON n.owner = p.id GROUP BY name";
    for _ in 0..3 {
        assert_eq!(column(&client, sql).await, ["Ada"]);
    }
    client
        .batch_execute("CREATE SCHEMA s; CREATE TABLE s.people (id int, name text); INSERT INTO s.people VALUES (2, 'Linus')")
        .await
        .expect("a schema");
    client.batch_execute("SET search_path = s, public").await.expect("SET");
    assert_eq!(column(&client, sql).await, ["Linus"]);
    client
        .batch_execute("RESET search_path; CREATE TEMP TABLE people (id int, name text); INSERT INTO people VALUES (3, 'Grace')")
        .await
        .expect("a temporary table");
    assert_eq!(column(&client, sql).await, ["Grace"]);
    client.batch_execute("DROP TABLE pg_temp.people").await.expect("DROP");
    assert_eq!(column(&client, sql).await, ["Ada"]);
    let all = "SELECT * FROM people p JOIN notes n ON n.owner = p.id";
    for _ in 0..3 {
        assert_eq!(client.query(all, &[]).await.expect("rows")[0].len(), 5);
    }
    let moment = "SELECT '10:00'::time - 'now'::time = '10:00'::time - clock_timestamp()::time, count(*) FROM notes";
    for _ in 0..3 {
        column(&client, moment).await;
    }
    world
        .behind()
        .await
        .batch_execute("ALTER TABLE people ALTER name TYPE varchar(20)")
        .await
        .expect("ALTER");
    for _ in 0..2 {
        let _ = client.batch_execute(sql).await;
    }
    assert_eq!(column(&client, sql).await, ["Ada"]);
}
