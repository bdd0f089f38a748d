//! Writes to views over store tables: who may, and which are refused. What they do is in
//! `tests/suites/written_views.sql`. Materialized views, and writes that go on meanwhile.

use std::future::Future;
use std::pin::Pin;

use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::Client;

async fn world() -> Option<(World, Client)> {
    let world = Setup::default().table("public.tasks", Home::Memory).start().await?;
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE tasks (id int PRIMARY KEY, owner text); CREATE TABLE people (name text PRIMARY KEY);
             CREATE VIEW own AS SELECT id AS number, owner FROM tasks WHERE owner = 'ada'",
        )
        .await
        .expect("tables");
    Some((world, client))
}

#[tokio::test]
async fn the_rows_that_a_write_to_a_view_can_touch() {
    let Some((_world, client)) = world().await else { return };
    let plan =
        column(&client, "EXPLAIN UPDATE own SET owner = 'x' WHERE number = 7").await.join("\n");
    assert!(plan.contains("Write public.tasks") && plan.contains("Key: id = 7"), "{plan}");
    client
        .batch_execute("PREPARE renumber AS UPDATE own SET number = 2 WHERE number = $1")
        .await
        .expect("PREPARE");
    client
        .batch_execute("INSERT INTO tasks VALUES (1, 'ada'); EXECUTE renumber(1)")
        .await
        .expect("EXECUTE");
    assert_eq!(column(&client, "SELECT id FROM tasks").await, ["2"]);
}

#[tokio::test]
async fn what_would_be_lost_is_refused() {
    let Some((world, client)) = world().await else { return };
    world
        .behind()
        .await
        .batch_execute(
            "CREATE VIEW ruled AS SELECT * FROM tasks; CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO people VALUES ('x');
             CREATE VIEW triggered AS SELECT * FROM tasks; CREATE VIEW above AS SELECT * FROM triggered;
             CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER t INSTEAD OF UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION nothing();
             CREATE VIEW busy AS SELECT * FROM people WHERE name IN (SELECT owner FROM tasks);
             CREATE FUNCTION notes(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO people VALUES ($1); RETURN $1; END';
             CREATE VIEW noted AS SELECT id, owner FROM tasks WHERE notes(id) > 0",
        )
        .await
        .expect("views");
    // So that they are known.
    client.batch_execute("CREATE VIEW later AS SELECT * FROM tasks").await.expect("a view");
    for (sql, names) in [
        ("INSERT INTO ruled VALUES (1)", ["public.ruled", "\"r\""]),
        ("UPDATE triggered SET owner = 'x'", ["public.triggered", "\"t\""]),
        ("UPDATE above SET owner = 'x'", ["public.above", "\"t\""]),
        ("DELETE FROM busy", ["public.busy", "isn't one of a store"]),
        ("DELETE FROM noted", ["notes()", "lost"]),
    ] {
        Told::of(&client, sql).await.is("0A000", &names);
    }
    Told::of(&client, "INSERT INTO own VALUES (1, 'ada'), (1, 'ada')")
        .await
        .is("23505", &["tasks_pkey"]);
    assert_eq!(column(&client, "SELECT count(*) FROM people").await, ["0"]);
}

#[tokio::test]
async fn materialized_views_are_computed_while_others_write() {
    let Some((world, client)) = world().await else { return };
    client
        .batch_execute(
            "INSERT INTO tasks SELECT n, 'ada' FROM generate_series(1, 40) n; CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM tasks;
             CREATE MATERIALIZED VIEW others AS SELECT t.id FROM tasks t JOIN tasks u ON u.id = t.id + 1",
        )
        .await
        .expect("materialized views");
    let (one, other, writer) =
        (world.gateway().await, world.gateway().await, world.gateway().await);
    let again = async |client: &Client, sql: &str| {
        for _ in 0..10 {
            client.batch_execute(sql).await.expect(sql);
        }
    };
    let all: [Pin<Box<dyn Future<Output = ()>>>; 3] = [
        Box::pin(again(&one, "REFRESH MATERIALIZED VIEW counted")),
        Box::pin(again(&other, "REFRESH MATERIALIZED VIEW others")),
        Box::pin(again(&writer, "UPDATE tasks SET owner = owner || '.' WHERE id > 30")),
    ];
    futures_util::future::join_all(all).await;
    assert_eq!(column(&client, "SELECT count FROM counted").await, ["40"]);
    assert_eq!(
        column(&client, "SELECT count(*) FROM tasks WHERE owner = 'ada..........'").await,
        ["10"]
    );
    let behind = world.behind().await;
    assert_eq!(
        column(&behind, "SELECT count(*) FROM tasks").await,
        ["0"],
        "nothing is left in PostgreSQL's own table"
    );
}

#[tokio::test]
async fn rights_are_those_on_the_view_and_its_owners_on_the_table() {
    let Some((world, client)) = world().await else { return };
    let [may, owner] = ["may", "owner"].map(|name| format!("{}_{name}", world.primary().name()));
    let behind = world.behind().await;
    behind
        .batch_execute(&format!(
            "CREATE ROLE {may}; CREATE ROLE {owner}; GRANT ALL ON tasks TO {may};
             CREATE VIEW owned AS SELECT id FROM tasks; ALTER VIEW owned OWNER TO {owner}; GRANT ALL ON owned TO {may}"
        ))
        .await
        .expect("roles");
    client.batch_execute("CREATE VIEW later AS SELECT * FROM tasks").await.expect("a view");
    let session = world.gateway().await;
    session.batch_execute(&format!("SET ROLE {may}")).await.expect("SET ROLE");
    Told::of(&session, "INSERT INTO own VALUES (1, 'ada')")
        .await
        .is("42501", &["permission denied for view own"]);
    Told::of(&session, "INSERT INTO owned VALUES (2)")
        .await
        .is("42501", &["permission denied for table tasks"]);
    behind
        .batch_execute(&format!("GRANT INSERT ON own TO {may}; GRANT ALL ON tasks TO {owner}"))
        .await
        .expect("GRANT");
    session.batch_execute("RESET ROLE").await.expect("RESET ROLE");
    client.batch_execute("CREATE VIEW last AS SELECT * FROM tasks").await.expect("a view");
    session.batch_execute(&format!("SET ROLE {may}")).await.expect("SET ROLE");
    session.batch_execute("INSERT INTO own VALUES (1, 'ada')").await.expect("INSERT");
    session.batch_execute("INSERT INTO owned VALUES (2)").await.expect("INSERT");
    Told::of(&session, "DELETE FROM own").await.is("42501", &["permission denied for view own"]);
    assert_eq!(column(&client, "SELECT id FROM tasks ORDER BY 1").await, ["1", "2"]);
    behind
        .batch_execute(&format!("DROP OWNED BY {may}, {owner}; DROP ROLE {may}, {owner}"))
        .await
        .expect("no roles");
}
