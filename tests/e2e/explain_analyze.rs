//! EXPLAIN ANALYZE: the statement is carried out, and every operation of a store told.

use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, World};
use serde_json::Value;
use tokio_postgres::Client;

/// `users` in PostgreSQL, `visits` in DynamoDB, `carts` in memory, three rows each.
async fn world() -> Option<(World, Client)> {
    let world = Setup::default()
        .table("public.visits", Home::Dynoxide)
        .table("public.carts", Home::Memory)
        .start()
        .await?;
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
             CREATE TABLE visits (user_id bigint, page text, hits int, PRIMARY KEY (user_id, page));
             CREATE TABLE carts (id int PRIMARY KEY, items int DEFAULT 1);
             INSERT INTO users VALUES (1, 'ada'), (2, 'linus'); INSERT INTO visits VALUES (1, '/', 5), (1, '/about', 2), (2, '/', 1);
             INSERT INTO carts VALUES (1, 10), (2, 20), (3, 30)",
        )
        .await
        .expect("tables");
    Some((world, client))
}

/// What is told, without times and without what differs from world to world.
async fn told(world: &World, client: &Client, sql: &str) -> Vec<String> {
    let unique =
        world.primary().name().strip_suffix("_flywheel").expect("a world's database").to_owned();
    let sql = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}");
    let lines = column(client, &sql).await;
    lines.into_iter().map(|line| line.replace(&unique, "app")).collect()
}

#[tokio::test]
async fn a_native_read() {
    let Some((world, client)) = world().await else { return };
    assert_eq!(
        told(&world, &client, "SELECT hits FROM visits WHERE user_id = 1 AND page = '/'").await,
        [
            "Native on public.visits (store \"dynoxide\", DynamoDB)",
            "  Operation: GetItem app-public.visits ConsistentRead",
            "  Key: user_id = 1, page = '/'",
            "Store operations:",
            "  GetItem app-public.visits ConsistentRead on public.visits (actual rows=1 operations=1)",
        ]
    );
}

#[tokio::test]
async fn a_join_with_postgresqls_own_part() {
    let Some((world, client)) = world().await else { return };
    let lines = told(
        &world,
        &client,
        "SELECT u.name, sum(v.hits) FROM users u JOIN visits v ON v.user_id = u.id WHERE u.name = 'ada' GROUP BY 1",
    )
    .await;
    let at = lines.iter().position(|line| line == "Store operations:").expect("operations");
    assert_eq!(
        lines[at + 1],
        "  Query app-public.visits ConsistentRead on public.visits (actual rows=2 operations=1)"
    );
    assert_eq!(lines[at + 2], "PostgreSQL:");
    let rest = lines[at + 3..].join("\n");
    assert!(
        rest.contains("Function Scan on unnest v (actual rows=2")
            && rest.contains("on users u (actual rows=1"),
        "{rest}"
    );
}

#[tokio::test]
async fn a_write_is_carried_out() {
    let Some((world, client)) = world().await else { return };
    let native = told(&world, &client, "DELETE FROM carts WHERE id = 1").await;
    assert!(
        native.last().expect("a line").ends_with("on public.carts (actual rows=1 operations=1)"),
        "{native:?}"
    );
    let staged =
        told(&world, &client, "UPDATE carts SET items = items * 2 WHERE items > 10 RETURNING id")
            .await;
    assert_eq!(staged[0].split(':').next(), Some("Staged"));
    let counts: Vec<_> =
        staged.iter().filter(|line| line.contains("(actual rows=2 operations=1)")).collect();
    assert_eq!(counts.len(), 2, "a scan and a write: {staged:?}");
    assert!(
        staged.iter().any(|line| line.contains("Update on carts (actual rows=2")),
        "{staged:?}"
    );
    assert_eq!(
        column(&client, "SELECT id || ' ' || items FROM carts ORDER BY id").await,
        ["2 40", "3 60"]
    );
    // By a statement with parameters, which a driver has described before.
    client
        .query("EXPLAIN ANALYZE INSERT INTO carts (id) VALUES ($1)", &[&9_i32])
        .await
        .expect("a plan");
    assert_eq!(column(&client, "SELECT items FROM carts WHERE id = 9").await, ["1"]);
    // What a block writes waits for its end.
    client.batch_execute("BEGIN").await.expect("BEGIN");
    let waits =
        told(&world, &client, "UPDATE carts SET items = items / 2 WHERE id = 9 RETURNING id").await;
    assert!(waits.contains(&"  What is written waits for COMMIT".to_owned()), "{waits:?}");
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    assert_eq!(column(&client, "SELECT items FROM carts WHERE id = 9").await, ["1"]);
}

#[tokio::test]
async fn times_and_options() {
    let Some((_world, client)) = world().await else { return };
    let lines =
        column(&client, "EXPLAIN (ANALYZE, BUFFERS, VERBOSE) SELECT count(*) FROM carts").await;
    assert!(lines.iter().any(|line| line.contains("on public.carts (actual time=")), "{lines:?}");
    assert!(lines.last().expect("a line").starts_with("Total Time: "), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.trim_start().starts_with("Execution Time: ")),
        "{lines:?}"
    );
    let lines =
        column(&client, "EXPLAIN ANALYZE VERBOSE CREATE TABLE copied AS SELECT * FROM carts").await;
    assert!(lines.iter().any(|line| line == "PostgreSQL:"), "{lines:?}");
    assert_eq!(column(&client, "SELECT count(*) FROM copied").await, ["3"]);
    let lines = column(&client, "EXPLAIN (ANALYZE false) DELETE FROM carts WHERE id = 1").await;
    assert!(lines.iter().all(|line| !line.contains("actual")), "{lines:?}");
    let rows = client
        .query("EXPLAIN (ANALYZE, FORMAT JSON) SELECT sum(items) FROM carts WHERE items > 10", &[])
        .await
        .expect("a plan");
    let plan: Value = rows[0].get(0);
    let operation = &plan[0]["Store Operations"][0];
    assert_eq!(
        (&operation["Relation Name"], &operation["Actual Rows"]),
        (&"carts".into(), &3.into())
    );
    assert_eq!(plan[0]["PostgreSQL"][0]["Plan"]["Node Type"], "Aggregate");
    assert!(plan[0]["Total Time"].as_f64().is_some());
}
