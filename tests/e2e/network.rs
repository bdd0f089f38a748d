//! Servers that go away while Flywheel runs, and come back.

use flywheel_tests::child::in_time;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::raw;
use flywheel_tests::world::{Servers, column, try_connect};
use flywheel_tests::{Home, Setup, Told, World};
use tokio_postgres::NoTls;

/// A world whose Redis is reached through a network, with the table `carts` there and `users` in
/// PostgreSQL.
async fn with_redis() -> Option<(World, Proxy, tokio_postgres::Client)> {
    let redis = Servers::from_environment()?.redis?;
    let address = redis.trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let proxy = Proxy::to(&address).await;
    let setup = Setup::default()
        .redis_at(&format!("redis://{}", proxy.address()))
        .table("public.carts", Home::Redis);
    let world = setup.start().await?;
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE carts (id int PRIMARY KEY, n int); CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)",
        )
        .await
        .expect("tables");
    client.batch_execute("INSERT INTO carts VALUES (1, 1)").await.expect("a row");
    Some((world, proxy, client))
}

#[tokio::test]
async fn redis_goes_and_comes_back() {
    let Some((_world, proxy, client)) = with_redis().await else {
        return;
    };
    for network in [Network::Down, Network::Silent] {
        proxy.becomes(network);
        for sql in [
            "SELECT * FROM carts WHERE id = 1",
            "INSERT INTO carts VALUES (2, 2)",
            "SELECT * FROM users JOIN carts USING (id)",
        ] {
            in_time(Told::of(&client, sql))
                .await
                .is("57P03", &["public.carts", "Redis", "stores.redis"]);
        }
        assert_eq!(column(&client, "SELECT id FROM users").await, ["1"], "{network:?}");
        // A block that has written there ends with an error, on both sides.
        client.batch_execute("BEGIN; INSERT INTO users VALUES (2)").await.expect("a row");
        in_time(Told::of(&client, "UPDATE carts SET n = 9 WHERE id = 1")).await.is("57P03", &[]);
        client.batch_execute("COMMIT").await.expect("ROLLBACK");
        proxy.becomes(Network::Up);
        in_time(async {
            while client.batch_execute("SELECT * FROM carts WHERE id = 1").await.is_err() {}
        })
        .await;
        assert_eq!(
            column(&client, "SELECT n FROM carts WHERE id = 1; SELECT id FROM users").await,
            ["1", "1"],
            "{network:?}"
        );
    }
}

#[tokio::test]
async fn redis_goes_before_the_commit() {
    let Some((_world, proxy, client)) = with_redis().await else {
        return;
    };
    client
        .batch_execute("BEGIN; UPDATE carts SET n = 2 WHERE id = 1; INSERT INTO users VALUES (2)")
        .await
        .expect("writes");
    proxy.becomes(Network::Down);
    in_time(Told::of(&client, "COMMIT")).await.is("57P03", &["public.carts"]);
    proxy.becomes(Network::Up);
    in_time(async {
        while client.batch_execute("SELECT * FROM carts WHERE id = 1").await.is_err() {}
    })
    .await;
    // Neither side has the block.
    assert_eq!(
        column(&client, "SELECT n FROM carts WHERE id = 1; SELECT id FROM users").await,
        ["1", "1"]
    );
}

#[tokio::test]
async fn a_statement_that_waits_for_redis_is_cancelled() {
    let Some((_world, proxy, client)) = with_redis().await else {
        return;
    };
    proxy.becomes(Network::Silent);
    let token = client.cancel_token();
    let (told, ()) = in_time(async {
        tokio::join!(Told::of(&client, "SELECT * FROM carts WHERE id = 1"), async {
            // It may come before the statement does; then the statement ends by itself.
            token.cancel_query(NoTls).await.expect("a cancel request");
        })
    })
    .await;
    assert!(["57014", "57P03"].contains(&&*told.code), "{told:?}");
    proxy.becomes(Network::Up);
    in_time(async {
        while client.batch_execute("SELECT * FROM carts WHERE id = 1").await.is_err() {}
    })
    .await;
}

#[tokio::test]
async fn postgresql_goes_and_comes_back() {
    let Some(servers) = Servers::from_environment() else { return };
    let (login, database) = servers.postgres.rsplit_once('/').expect("a URL with a database");
    let (user, address) = login.rsplit_once('@').expect("a URL with a user");
    let proxy = Proxy::to(address).await;
    let setup = Setup::default()
        .primary_at(&format!("{user}@{}/{database}", proxy.address()))
        .main("acquire_timeout = \"1s\"")
        .main("connect_timeout = \"1s\"");
    let Some(mut world) = setup.start().await else { return };
    let client = world.gateway().await;
    for _ in 0..2 {
        assert_eq!(column(&client, "SELECT 1").await, ["1"]);
        let mut open = world.raw().await;
        open.query("BEGIN").await.expect("an answer");
        proxy.becomes(Network::Down);
        // A block's connection is lost, and with it the session.
        let said = in_time(open.query("SELECT 1")).await.expect("an answer");
        let is_loss = |event: &raw::Event| matches!(event, raw::Event::Error(error) if error.state() == "08006");
        assert!(said.iter().any(is_loss), "{said:?}");
        // Another session outlives it.
        in_time(Told::of(&client, "SELECT 1")).await.is("08006", &["127.0.0.1", "url"]);
        // A login needs no server, which has said its settings before; or it says why it fails.
        if let Err(error) = in_time(try_connect(&world.url())).await {
            Told::by(Err::<(), _>(error)).is("08006", &["127.0.0.1"]);
        }
        assert!(world.process_mut().is_running());
        proxy.becomes(Network::Up);
        in_time(async { while client.batch_execute("SELECT 1").await.is_err() {} }).await;
    }
}
