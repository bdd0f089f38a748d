//! Blocks that write to several stores, or to a store and to PostgreSQL.

use flywheel_tests::gate::Gate;
use flywheel_tests::world::{Servers, column};
use flywheel_tests::{Home, Setup, World};
use tokio_postgres::Client;

mod blocks;
mod locks;
mod losses;

const TABLES: &str = "CREATE TABLE carts (id int PRIMARY KEY, what text); CREATE TABLE stock (id int PRIMARY KEY, what text); \
                      CREATE TABLE orders (id int PRIMARY KEY)";

/// Two stores beside PostgreSQL.
const PAIRS: [[Home; 2]; 4] = [
    [Home::DynamoDb, Home::Redis],
    [Home::Memory, Home::Dynoxide],
    [Home::Redis, Home::Memory],
    [Home::Dynoxide, Home::DynamoDb],
];

async fn world(homes: [Home; 2]) -> Option<World> {
    let servers = Servers::from_environment()?;
    if !homes.iter().all(|home| home.is_available(&servers)) {
        return None;
    }
    let setup = Setup::default().table("public.carts", homes[0]).table("public.stock", homes[1]);
    let world = setup.start().await?;
    world.gateway().await.batch_execute(TABLES).await.expect("tables");
    Some(world)
}

/// What is in PostgreSQL and in the two stores.
async fn all(client: &Client) -> [Vec<String>; 3] {
    [
        column(client, "SELECT id FROM orders ORDER BY id").await,
        column(client, "SELECT id || ' ' || what FROM carts ORDER BY id").await,
        column(client, "SELECT id || ' ' || what FROM stock ORDER BY id").await,
    ]
}

/// A world with gates before PostgreSQL and Redis, and an order that is being committed.
async fn guarded() -> Option<(World, Gate, Gate)> {
    let servers = Servers::from_environment()?;
    let (_, address) = servers.postgres.split_once('@')?;
    let postgres = Gate::to(address.split('/').next()?).await;
    let redis = Gate::to(servers.redis.as_ref()?.trim_start_matches("redis://")).await;
    let world = Setup::default()
        .primary_through(postgres.address())
        .redis_at(&format!("redis://{}", redis.address()))
        .table("public.carts", Home::Dynoxide)
        .table("public.stock", Home::Redis)
        .start()
        .await?;
    let client = world.gateway().await;
    client.batch_execute(TABLES).await.expect("tables");
    client.batch_execute("INSERT INTO stock VALUES (1, 'old'), (2, 'old')").await.expect("rows");
    // The outbox is made, Redis knows the script.
    client
        .batch_execute(
            "BEGIN; INSERT INTO orders VALUES (0); INSERT INTO carts VALUES (0, 'a'); COMMIT",
        )
        .await
        .expect("COMMIT");
    Some((world, postgres, redis))
}

const ORDER: &str = "BEGIN; INSERT INTO orders VALUES (1); INSERT INTO carts VALUES (1, 'new'); UPDATE stock SET what = 'new' WHERE id = 1; COMMIT";
