//! Stores that are down, or go down.

use flywheel_tests::port::free_port;
use flywheel_tests::world::{column, try_connect};
use flywheel_tests::{Home, Setup, Told, World};

#[tokio::test]
async fn without_postgresql_a_login_says_why() {
    let url = format!("postgres://app@127.0.0.1:{}/app", free_port());
    let Some(mut world) = Setup::default().primary_at(&url).start().await else {
        return;
    };
    for _ in 0..2 {
        Told::by(try_connect(&world.url()).await.map(drop)).is("08006", &["127.0.0.1", "url"]);
    }
    assert!(world.process_mut().is_running());
}

#[tokio::test]
async fn without_redis_its_tables_say_so_and_the_others_go_on() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let setup = Setup::default().redis_at(&url).table("public.sessions", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    world
        .behind()
        .await
        .batch_execute("CREATE TABLE sessions (id int PRIMARY KEY, a text); CREATE TABLE users (id int PRIMARY KEY)")
        .await
        .expect("tables");
    for sql in [
        "SELECT * FROM sessions WHERE id = 1",
        "INSERT INTO sessions VALUES (1, 'a')",
        "SELECT * FROM users JOIN sessions USING (id) WHERE users.id = 1",
    ] {
        Told::of(&client, sql)
            .await
            .is("57P03", &["public.sessions", "Redis", "redis", "stores.redis"]);
    }
    client.batch_execute("INSERT INTO users VALUES (1)").await.expect("INSERT");
    assert_eq!(column(&client, "SELECT id FROM users").await, ["1"]);
    // Inside a block the error fails the block, on both sides.
    client.batch_execute("BEGIN; INSERT INTO users VALUES (2)").await.expect("INSERT");
    Told::of(&client, "SELECT * FROM sessions WHERE id = 1").await.is("57P03", &[]);
    Told::of(&client, "SELECT 1").await.is("25P02", &[]);
    client.batch_execute("COMMIT").await.expect("ROLLBACK");
    assert_eq!(column(&client, "SELECT id FROM users").await, ["1"]);
}

#[tokio::test]
async fn a_server_connection_that_was_killed_while_idle_is_not_noticed() {
    let Some(world) = World::start().await else { return };
    let client = world.gateway().await;
    let behind = world.behind().await;
    for _ in 0..3 {
        assert_eq!(column(&client, "SELECT 1").await, ["1"]);
        let kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(!column(&behind, kill).await.is_empty());
    }
    assert_eq!(column(&client, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn a_transaction_whose_connection_was_killed_ends_with_its_session() {
    let Some(world) = World::start().await else { return };
    let client = world.gateway().await;
    client.batch_execute("BEGIN").await.expect("BEGIN");
    let own = column(&client, "SELECT pg_backend_pid()").await;
    column(&world.behind().await, &format!("SELECT pg_terminate_backend({}, 10000)", own[0])).await;
    client.batch_execute("SELECT 1").await.expect_err("the transaction is lost");
    let again = world.gateway().await;
    assert_eq!(column(&again, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn a_table_that_its_store_does_not_have() {
    let Some(world) = Setup::default().table("public.history", Home::Dynoxide).start().await else {
        return;
    };
    // Defined past the gateway, so that nobody made the table in DynamoDB.
    world
        .behind()
        .await
        .batch_execute(
            "CREATE TABLE history (user_id int, at timestamptz, PRIMARY KEY (user_id, at))",
        )
        .await
        .expect("a table");
    let client = world.gateway().await;
    Told::of(&client, "SELECT * FROM history WHERE user_id = 1")
        .await
        .is("55000", &["public.history", "CREATE TABLE through Flywheel"]);
}
