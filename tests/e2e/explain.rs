//! EXPLAIN, and `flywheel explain`: the whole text of a plan.

use flywheel_tests::child::run;
use flywheel_tests::world::{column, flywheel};
use flywheel_tests::{Home, Setup, Told, World};
use tokio::process::Command;
use tokio_postgres::Client;

const SESSION: &str = "11111111-1111-1111-1111-111111111111";

/// `users` in PostgreSQL, `search_history` in DynamoDB, `sessions` and `leaderboard` in Redis,
/// `carts` there too, not to be read whole.
async fn world() -> Option<(World, Client)> {
    let world = Setup::default()
        .table("public.search_history", Home::Dynoxide)
        .table("public.sessions", Home::Redis)
        .table_with("public.carts", Home::Redis, &["allow_scan = false"])
        .table_with(
            "public.leaderboard",
            Home::Redis,
            &["layout = \"sorted_set\"", "score = \"score\""],
        )
        .start()
        .await?;
    if !Home::Redis.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
             CREATE TABLE search_history (user_id bigint, searched_at timestamptz, query text NOT NULL, results int, PRIMARY KEY (user_id, searched_at));
             CREATE TABLE sessions (id uuid PRIMARY KEY, user_id bigint NOT NULL, device text);
             CREATE TABLE carts (id int PRIMARY KEY, items int DEFAULT 1);
             CREATE TABLE leaderboard (board text, member text, score bigint NOT NULL, PRIMARY KEY (board, member))",
        )
        .await
        .expect("tables");
    Some((world, client))
}

/// The plan as EXPLAIN gives it, which must be what the command line prints, with the world's own
/// prefix as `app`.
async fn plan(world: &World, client: &Client, sql: &str) -> String {
    let plan = column(client, &format!("EXPLAIN {sql}")).await.join("\n");
    let mut command = Command::new(flywheel());
    command.args([
        "explain".as_ref(),
        "--config".as_ref(),
        world.config().as_os_str(),
        sql.as_ref(),
    ]);
    let printed = run(&mut command).await.well().stdout;
    assert_eq!(printed.trim_end(), plan, "flywheel explain of {sql}");
    let unique = world.primary().name().strip_suffix("_flywheel").expect("a world's database");
    plan.replace(unique, "app")
}

macro_rules! plans {
    ($($name:ident: $sql:expr => $plan:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            let Some((world, client)) = world().await else { return };
            let lines: &[&str] = &$plan;
            assert_eq!(plan(&world, &client, &$sql.replace("$SESSION", SESSION)).await, lines.join("\n").replace("$SESSION", SESSION));
        })*
    };
}

plans! {
    a_key: "SELECT * FROM sessions WHERE id = '$SESSION'" => [
        "Native on public.sessions (store \"redis\", Redis)",
        "  Operation: HMGET {app:public.sessions:…}",
        "  Key: id = '$SESSION'",
    ];
    several_keys: "SELECT items FROM carts WHERE id IN (1, 2, 3)" => [
        "Native on public.carts (store \"redis\", Redis)",
        "  Operation: HMGET {app:public.carts:…}, pipelined",
        "  Keys: 3 of (id)",
    ];
    a_range: "SELECT query FROM search_history WHERE user_id = 7 AND searched_at >= '2026-01-01' ORDER BY searched_at DESC LIMIT 5" => [
        "Native on public.search_history (store \"dynoxide\", DynamoDB)",
        "  Operation: Query app-public.search_history ConsistentRead",
        "  Key: user_id = 7, searched_at >= '2026-01-01'",
        "  Order: sort key descending",
        "  Limit: 5",
    ];
    a_top_with_ties_by_another_column: "SELECT member FROM leaderboard WHERE board = 'weekly' ORDER BY score DESC, member LIMIT 3" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.leaderboard (store \"redis\", Redis)",
        "    Operation: ZREVRANGEBYSCORE {app:public.leaderboard:…} WITHSCORES",
        "    Key: board = 'weekly'",
        "    Order: score descending, with all that equal the last row",
        "    Limit: 3",
    ];
    a_page_between_scores: "SELECT member FROM leaderboard WHERE board = 'weekly' AND score > 10 AND score <= 20 ORDER BY score LIMIT 3 OFFSET 6" => [
        "Native on public.leaderboard (store \"redis\", Redis)",
        "  Operation: ZRANGEBYSCORE {app:public.leaderboard:…} WITHSCORES",
        "  Key: board = 'weekly'",
        "  Score: score > 10, score <= 20",
        "  Order: score ascending",
        "  Limit: 3",
        "  Offset: 6",
    ];
    a_count: "SELECT count(*) FROM leaderboard WHERE board = 'weekly'" => [
        "Native on public.leaderboard (store \"redis\", Redis)",
        "  Operation: ZCARD {app:public.leaderboard:…}",
        "  Key: board = 'weekly'",
    ];
    the_place_of_a_score: "SELECT count(*) + 1 FROM leaderboard WHERE board = 'weekly' AND score > 120" => [
        "Native on public.leaderboard (store \"redis\", Redis)",
        "  Operation: ZCOUNT {app:public.leaderboard:…}",
        "  Key: board = 'weekly'",
        "  Score: score > 120",
    ];
    the_rank_of_a_member: "SELECT r FROM (SELECT member, rank() OVER (ORDER BY score DESC) AS r FROM leaderboard WHERE board = 'weekly') s WHERE member = 'ann'" => [
        "Native on public.leaderboard (store \"redis\", Redis)",
        "  Operation: ZSCORE and ZCOUNT {app:public.leaderboard:…}, in a script",
        "  Key: board = 'weekly', member = 'ann'",
        "  Rank: by score descending",
    ];
    the_top_with_ranks: "SELECT member, rank() OVER (ORDER BY score DESC) FROM leaderboard WHERE board = 'weekly' ORDER BY rank LIMIT 10" => [
        "Native on public.leaderboard (store \"redis\", Redis)",
        "  Operation: ZREVRANGE {app:public.leaderboard:…} WITHSCORES",
        "  Key: board = 'weekly'",
        "  Rank: by score descending",
        "  Limit: 10",
    ];
    the_top_of_a_board: "SELECT member FROM leaderboard WHERE board = 'weekly' ORDER BY score DESC LIMIT 3" => [
        "Native on public.leaderboard (store \"redis\", Redis)",
        "  Operation: ZREVRANGE {app:public.leaderboard:…} WITHSCORES",
        "  Key: board = 'weekly'",
        "  Order: score descending",
        "  Limit: 3",
    ];
    a_join_of_three_stores: "SELECT u.name, s.device, h.query FROM users u JOIN sessions s ON s.user_id = u.id \
                             JOIN search_history h ON h.user_id = u.id WHERE u.id = 7 AND s.id = '$SESSION' ORDER BY h.searched_at DESC LIMIT 3" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.sessions s (store \"redis\", Redis)",
        "    Operation: HMGET {app:public.sessions:…}",
        "    Key: id = '$SESSION'",
        "  Fetch public.search_history h (store \"dynoxide\", DynamoDB)",
        "    Operation: Query app-public.search_history ConsistentRead",
        "    Key: user_id = 7",
        "    At most 10000 rows",
    ];
    keys_from_postgresql: "SELECT u.name, count(*) FROM users u JOIN search_history h ON h.user_id = u.id WHERE u.name = 'ada' GROUP BY 1" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.search_history h (store \"dynoxide\", DynamoDB)",
        "    Operation: Query app-public.search_history ConsistentRead",
        "    Key: user_id from PostgreSQL: SELECT DISTINCT \"u\".\"id\" FROM \"users\" AS \"u\" WHERE (u.name = 'ada')",
        "    At most 10000 rows",
    ];
    keys_from_a_subquery: "SELECT * FROM carts WHERE id IN (SELECT id FROM users WHERE name = 'ada')" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.carts (store \"redis\", Redis)",
        "    Operation: HMGET {app:public.carts:…}, pipelined",
        "    Key: id from PostgreSQL: SELECT DISTINCT \"users\".\"id\" FROM \"users\" WHERE (name = 'ada')",
        "    At most 10000 rows",
    ];
    keys_of_rows_that_exist: "SELECT * FROM carts c WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = c.id AND u.name = 'ada')" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.carts c (store \"redis\", Redis)",
        "    Operation: HMGET {app:public.carts:…}, pipelined",
        "    Key: id from PostgreSQL: SELECT DISTINCT \"u\".\"id\" FROM \"users\" AS \"u\" WHERE (u.name = 'ada')",
        "    At most 10000 rows",
    ];
    keys_from_around_a_subquery: "SELECT name FROM users u WHERE NOT EXISTS (SELECT 1 FROM carts c WHERE c.id = u.id) AND u.name = 'ada'" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.carts c (store \"redis\", Redis)",
        "    Operation: HMGET {app:public.carts:…}, pipelined",
        "    Key: id from PostgreSQL: SELECT DISTINCT \"u\".\"id\" FROM \"users\" AS \"u\" WHERE (u.name = 'ada')",
        "    At most 10000 rows",
    ];
    keys_for_a_subquery: "SELECT name FROM users WHERE id IN (SELECT id FROM carts WHERE items > 1) AND name = 'ada'" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.carts (store \"redis\", Redis)",
        "    Operation: HMGET {app:public.carts:…}, pipelined",
        "    Key: id from PostgreSQL: SELECT DISTINCT \"users\".\"id\" FROM \"users\" WHERE (name = 'ada')",
        "    Not pushed down: items > 1",
        "    At most 10000 rows",
    ];
    conditions_on_a_subquery: "SELECT * FROM (SELECT id AS cart, items FROM carts WHERE items > 1) c WHERE c.cart = 5" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.carts (store \"redis\", Redis)",
        "    Operation: HMGET {app:public.carts:…}",
        "    Key: id = 5",
        "    Not pushed down: items > 1",
    ];
    keys_from_another_store: "SELECT h.query FROM sessions s JOIN search_history h ON h.user_id = s.user_id WHERE s.id = '$SESSION'" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.sessions s (store \"redis\", Redis)",
        "    Operation: HMGET {app:public.sessions:…}",
        "    Key: id = '$SESSION'",
        "  Fetch public.search_history h (store \"dynoxide\", DynamoDB)",
        "    Operation: Query app-public.search_history ConsistentRead",
        "    Key: user_id from the rows of s",
        "    At most 10000 rows",
    ];
    conditions_that_postgresql_checks: "SELECT count(*) FROM search_history h WHERE h.user_id = 7 AND h.searched_at > '2026-01-01' AND results BETWEEN 1 AND 5 \
                                        AND (h.query LIKE 'a%' OR results = 0)" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.search_history h (store \"dynoxide\", DynamoDB)",
        "    Operation: Query app-public.search_history ConsistentRead",
        "    Key: user_id = 7, searched_at > '2026-01-01'",
        "    Not pushed down: results BETWEEN 1 AND 5, h.query LIKE 'a%' OR results = 0",
        "    At most 10000 rows",
    ];
    a_condition_beside_a_key: "SELECT * FROM sessions WHERE id = '$SESSION' AND device = 'phone'" => [
        "Native on public.sessions (store \"redis\", Redis)",
        "  Operation: HMGET {app:public.sessions:…}",
        "  Key: id = '$SESSION'",
        "  Filter: device = 'phone'",
    ];
    a_condition_that_is_computed: "SELECT * FROM sessions WHERE id = '$SESSION' AND upper(device) = 'PHONE'" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.sessions (store \"redis\", Redis)",
        "    Operation: HMGET {app:public.sessions:…}",
        "    Key: id = '$SESSION'",
        "    Not pushed down: upper(device) = 'PHONE'",
    ];
    a_key_that_is_computed: "SELECT items FROM carts WHERE id = 1 + 1" => [
        "Native on public.carts (store \"redis\", Redis)",
        "  Operation: HMGET {app:public.carts:…}",
        "  Key: id = 1 + 1",
        "  PostgreSQL computes first: 1 + 1",
    ];
    a_whole_table: "SELECT count(*) FROM sessions" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.sessions (store \"redis\", Redis)",
        "    Operation: SCAN MATCH {app:public.sessions:…}, HMGET of each",
        "    Rows: all",
        "    At most 10000 rows",
    ];
    a_whole_table_that_is_refused: "SELECT count(*) FROM carts" => [
        "Mixed: PostgreSQL runs the statement over fetched rows",
        "  Fetch public.carts (store \"redis\", Redis)",
        "    Operation: SCAN MATCH {app:public.carts:…}, HMGET of each",
        "    Rows: all, which `allow_scan = false` refuses",
        "    At most 10000 rows",
    ];
    an_insert: "INSERT INTO carts VALUES (1, 2)" => [
        "Native on public.carts (store \"redis\", Redis)",
        "  Operation: HSET {app:public.carts:…}, in a script",
        "  Condition: the key is not there, else 23505",
    ];
    a_replacement: "INSERT INTO carts VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET items = excluded.items" => [
        "Native on public.carts (store \"redis\", Redis)",
        "  Operation: HSET {app:public.carts:…}, in a script",
        "  Condition: none, a row of this key is replaced",
    ];
    an_update: "UPDATE carts SET items = 3 WHERE id = 1" => [
        "Native on public.carts (store \"redis\", Redis)",
        "  Operation: HSET {app:public.carts:…}, in a script",
        "  Key: id = 1",
        "  Condition: the key is there",
    ];
    an_addition: "UPDATE carts SET items = items + 1 WHERE id = 1" => [
        "Native on public.carts (store \"redis\", Redis)",
        "  Operation: HSET {app:public.carts:…}, in a script",
        "  Key: id = 1",
        "  Condition: the key is there, and items can be added to, else PostgreSQL computes it",
    ];
    an_addition_on_conflict: "INSERT INTO carts VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET items = carts.items + excluded.items" => [
        "Native on public.carts (store \"redis\", Redis)",
        "  Operation: HSET {app:public.carts:…}, in a script",
        "  Condition: the key is not there, else the row is updated",
    ];
    a_staged_update: "UPDATE search_history SET results = results + 1 WHERE user_id = 7" => [
        "Staged: PostgreSQL runs the statement on staged rows, their difference is written to the store",
        "  Write public.search_history (store \"dynoxide\", DynamoDB)",
        "    Operation: TransactWriteItems app-public.search_history, if the rows are still as they were read",
        "    Fetch public.search_history (store \"dynoxide\", DynamoDB)",
        "      Operation: Query app-public.search_history ConsistentRead",
        "      Key: user_id = 7",
        "      At most 10000 rows",
        "  Without staging where the new values are of their columns' types",
    ];
    a_staged_insert: "INSERT INTO carts VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET items = greatest(carts.items, 2)" => [
        "Staged: PostgreSQL runs the statement on staged rows, their difference is written to the store",
        "  Write public.carts (store \"redis\", Redis)",
        "    Operation: one script, if the rows are still as they were read",
        "    Fetch: the rows whose keys the new rows have",
    ];
    a_deletion: "DELETE FROM sessions WHERE id = '$SESSION'" => [
        "Native on public.sessions (store \"redis\", Redis)",
        "  Operation: DEL {app:public.sessions:…}, in a script",
        "  Key: id = '$SESSION'",
    ];
}

#[tokio::test]
async fn parameters_stand_in_the_plan() {
    let Some((_world, client)) = world().await else { return };
    let rows =
        client.query("EXPLAIN SELECT * FROM carts WHERE id = $1", &[&1_i32]).await.expect("a plan");
    assert_eq!(rows.last().expect("a line").get::<_, &str>(0), "  Key: id = $1");
}

#[tokio::test]
async fn relational_statements_are_explained_by_postgresql() {
    let Some((world, client)) = world().await else { return };
    let plan = column(&client, "EXPLAIN (COSTS OFF) SELECT * FROM users WHERE id = 1").await;
    assert_eq!(plan, ["Index Scan using users_pkey on users", "  Index Cond: (id = 1)"]);
    let mut command = Command::new(flywheel());
    command.args([
        "explain".as_ref(),
        "--config".as_ref(),
        world.config().as_os_str(),
        "SELECT * FROM users".as_ref(),
    ]);
    assert_eq!(
        run(&mut command).await.well().stdout,
        "Relay: PostgreSQL (store \"main\") answers the statement\n"
    );
}

#[tokio::test]
async fn a_plan_explains_without_doing() {
    let Some((_world, client)) = world().await else { return };
    client.batch_execute("INSERT INTO carts VALUES (1, 1)").await.expect("a row");
    for sql in [
        "DELETE FROM carts WHERE id = 1",
        "UPDATE carts SET items = items + 1 WHERE id = 1",
        "INSERT INTO carts VALUES (2, 2)",
    ] {
        column(&client, &format!("EXPLAIN {sql}")).await;
    }
    assert_eq!(column(&client, "SELECT items FROM carts WHERE id IN (1, 2)").await, ["1"]);
}

#[tokio::test]
async fn a_format_that_is_asked_for_is_given_or_refused() {
    let Some((_world, client)) = world().await else { return };
    // The column is described as json: a driver reads it as such.
    let rows = client.query("EXPLAIN (FORMAT json) SELECT * FROM carts WHERE id = 1", &[]).await;
    let plan: serde_json::Value = rows.expect("a plan")[0].get(0);
    assert_eq!(plan[0]["Flywheel"][2], "  Key: id = 1");
    Told::of(&client, "EXPLAIN (FORMAT yaml) SELECT * FROM carts WHERE id = 1")
        .await
        .is("0A000", &["FORMAT"]);
}

#[tokio::test]
async fn what_would_be_refused_is_refused_here_too() {
    let Some((world, client)) = world().await else { return };
    Told::of(&client, "EXPLAIN SELECT * FROM carts TABLESAMPLE SYSTEM (1)")
        .await
        .is("0A000", &["public.carts"]);
    Told::of(&client, "EXPLAIN SELECT nothing FROM carts").await.is("42703", &["nothing"]);
    let mut command = Command::new(flywheel());
    command.args([
        "explain".as_ref(),
        "--config".as_ref(),
        world.config().as_os_str(),
        "SELECT * FROM carts TABLESAMPLE SYSTEM (1)".as_ref(),
    ]);
    let ran = run(&mut command).await;
    assert!(!ran.status.success() && ran.stderr.contains("public.carts"), "{ran:?}");
    // Also what names no store table.
    let mut command = Command::new(flywheel());
    command.args([
        "explain".as_ref(),
        "--config".as_ref(),
        world.config().as_os_str(),
        "SELEC 1".as_ref(),
    ]);
    let ran = run(&mut command).await;
    assert!(!ran.status.success() && ran.stderr.contains("42601"), "{ran:?}");
}
