//! Secondary indexes: which one a statement uses, and what is said where none may be.

use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::Client;

const ORDERS: &str = "CREATE TABLE orders (user_id bigint, id int, placed_at timestamptz NOT NULL, state text, total int, PRIMARY KEY (user_id, id))";
const INDEXES: &str = "indexes = [{ name = \"by_time\", columns = [\"user_id\", \"placed_at\"] }, \
                       { name = \"by_state\", columns = [\"state\", \"total\"], consistent_read = false }, \
                       { name = \"by_total\", columns = [\"total\"] }]";

/// `orders` in a DynamoDB, not to be read whole, with these keys.
async fn orders(home: Home, keys: &[&str]) -> Option<(World, Client)> {
    let world = Setup::default().table_with("public.orders", home, keys).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client.batch_execute(ORDERS).await.expect("a table");
    client
        .batch_execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")
        .await
        .expect("a table");
    Some((world, client))
}

async fn plan(world: &World, client: &Client, sql: &str) -> String {
    let unique =
        world.primary().name().strip_suffix("_flywheel").expect("a world's database").to_owned();
    column(client, &format!("EXPLAIN {sql}")).await.join("\n").replace(&unique, "app")
}

#[tokio::test]
async fn the_index_that_says_most_is_used() {
    let Some((world, client)) = orders(Home::Dynoxide, &[INDEXES]).await else {
        return;
    };
    let uses = async |sql: &str, lines: &[&str]| {
        let plan = plan(&world, &client, sql).await;
        for line in lines {
            assert!(plan.contains(line), "{line:?} in\n{plan}");
        }
    };
    uses(
        "SELECT * FROM orders WHERE user_id = 1 ORDER BY placed_at DESC LIMIT 5",
        &[
            "Native",
            "Query app-public.orders index by_time ConsistentRead",
            "Key: user_id = 1",
            "descending",
            "Limit: 5",
        ],
    )
    .await;
    uses(
        "SELECT * FROM orders WHERE user_id = 1 AND placed_at >= '2026-01-01' ORDER BY placed_at",
        &["Native", "index by_time ConsistentRead", "Key: user_id = 1, placed_at >= '2026-01-01'"],
    )
    .await;
    uses(
        "SELECT * FROM orders WHERE user_id = 1",
        &["Native", "Query app-public.orders ConsistentRead"],
    )
    .await;
    uses(
        "SELECT * FROM orders WHERE user_id = 1 AND id = 2",
        &["Native", "GetItem app-public.orders"],
    )
    .await;
    uses(
        "SELECT * FROM orders WHERE state = 'open' AND total = 3",
        &["Native", "index by_state\n", "Key: state = 'open', total = 3"],
    )
    .await;
    uses(
        "SELECT * FROM orders WHERE state = 'open' AND total > 3 AND id > 1",
        &[
            "Native",
            "index by_state\n",
            "Key: state = 'open', total > 3",
            "Filter: total > 3 AND id > 1",
        ],
    )
    .await;
    // A row without a total isn't in the index.
    uses(
        "SELECT * FROM orders WHERE state = 'open'",
        &["Mixed", "allow_scan = false", "Index by_total (total) isn't used"],
    )
    .await;
    uses(
        "SELECT * FROM orders WHERE state = 'open' ORDER BY total",
        &["Mixed", "allow_scan = false"],
    )
    .await;
}

#[tokio::test]
async fn a_join_leads_through_an_index() {
    for home in Home::DYNAMODBS {
        let indexes = "indexes = [{ name = \"by_time\", columns = [\"total\", \"placed_at\"], consistent_read = false }]";
        let Some((world, client)) = orders(home, &[indexes]).await else {
            continue;
        };
        client
            .batch_execute(
                "INSERT INTO users VALUES (10, 'ann'), (20, 'bob');
                 INSERT INTO orders VALUES (1, 1, '2026-01-01', 'open', 10), (2, 1, '2026-01-02', 'open', 20), (3, 1, '2026-01-03', 'paid', 10)",
            )
            .await
            .expect("rows");
        let join = "SELECT o.user_id FROM users u JOIN orders o ON o.total = u.id WHERE u.name = 'ann' ORDER BY 1";
        let plan = plan(&world, &client, join).await;
        assert!(
            plan.contains("index by_time") && plan.contains("Key: total from PostgreSQL"),
            "{plan}"
        );
        assert_eq!(column(&client, join).await, ["1", "3"]);
        let subquery =
            "SELECT user_id FROM orders WHERE total IN (SELECT id FROM users WHERE name = 'bob')";
        assert_eq!(column(&client, subquery).await, ["2"]);
    }
}

#[tokio::test]
async fn an_index_that_lags_serves_where_the_rule_allows_it() {
    for home in Home::DYNAMODBS {
        let Some((_world, client)) = orders(home, &[INDEXES]).await else {
            continue;
        };
        client
            .batch_execute("INSERT INTO orders VALUES (1, 1, '2026-01-01', 'open', 3)")
            .await
            .expect("a row");
        Told::of(&client, "SELECT * FROM orders WHERE total = 3").await.is(
            "54000",
            &[
                "whole table",
                "Index by_total (total) isn't used",
                "`consistent_read = false`",
                "`state = …` (index by_state)",
                "allow_scan",
            ],
        );
        assert_eq!(
            column(&client, "SELECT id FROM orders WHERE state = 'open' AND total = 3").await,
            ["1"]
        );
        let Some((_world, client)) = orders(home, &[INDEXES, "consistent_read = false"]).await
        else {
            continue;
        };
        client
            .batch_execute("INSERT INTO orders VALUES (1, 1, '2026-01-01', 'open', 3)")
            .await
            .expect("a row");
        assert_eq!(column(&client, "SELECT id FROM orders WHERE total = 3").await, ["1"]);
    }
}

#[tokio::test]
async fn what_cant_be_an_index_is_refused() {
    let refused = async |definition: &str, index: &str, words: &[&str]| {
        let keys = format!("indexes = [{{ {index} }}]");
        let Some(world) =
            Setup::default().table_with("public.t", Home::Dynoxide, &[&keys]).start().await
        else {
            return;
        };
        let client = world.gateway().await;
        Told::of(&client, &format!("CREATE TABLE t ({definition})")).await.is("0A000", words);
    };
    refused(
        "id int PRIMARY KEY, x float8",
        "name = \"by_x\", columns = [\"x\"]",
        &["column \"x\" of index \"by_x\"", "floating-point"],
    )
    .await;
    refused(
        "id int PRIMARY KEY",
        "name = \"by_x\", columns = [\"x\"]",
        &["no column \"x\"", "indexes"],
    )
    .await;
    refused(
        "id int PRIMARY KEY, x int, y int",
        "name = \"by_x\", columns = [\"x\", \"y\"], kind = \"local\"",
        &["can't be local"],
    )
    .await;
    refused(
        "id int PRIMARY KEY, x int",
        "name = \"x\", columns = [\"x\"]",
        &["can't be the name of an index"],
    )
    .await;
}

#[tokio::test]
async fn what_an_index_cant_hold_is_refused_before_it_is_sent() {
    for home in Home::DYNAMODBS {
        let keys =
            "indexes = [{ name = \"by_state\", columns = [\"state\"], consistent_read = false }]";
        let Some((_world, client)) = orders(home, &[keys]).await else {
            continue;
        };
        Told::of(&client, "INSERT INTO orders VALUES (1, 1, now(), '', 1)")
            .await
            .is("54000", &["index \"by_state\"", "column \"state\" is empty"]);
        Told::of(
            &client,
            &format!("INSERT INTO orders VALUES (1, 1, now(), '{}', 1)", "x".repeat(2049)),
        )
        .await
        .is("54000", &["index \"by_state\"", "2049 bytes", "2048"]);
        client
            .batch_execute("INSERT INTO orders VALUES (1, 1, now(), 'x', 1)")
            .await
            .expect("a row");
        Told::of(&client, "UPDATE orders SET state = '' WHERE user_id = 1 AND id = 1")
            .await
            .is("54000", &["index \"by_state\"", "column \"state\" is empty"]);
        assert_eq!(
            column(&client, "SELECT id FROM orders WHERE state = ''").await,
            Vec::<String>::new()
        );
    }
}
