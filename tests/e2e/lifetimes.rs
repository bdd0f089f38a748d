//! Server connections end, and others take their place; no client notices.

use std::collections::HashSet;
use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::world::{Servers, column, connect};
use flywheel_tests::{Setup, World};
use tokio_postgres::Client;

/// The server processes that serve the gateway.
async fn processes(behind: &Client) -> HashSet<String> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    column(behind, sql).await.into_iter().collect()
}

/// Waits until there are so many.
async fn until(behind: &Client, count: usize) -> HashSet<String> {
    in_time(async {
        loop {
            let found = processes(behind).await;
            if found.len() == count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

async fn with_numbers(world: &World) {
    let fill = "CREATE TABLE numbers (id int PRIMARY KEY, n int); INSERT INTO numbers SELECT i, i * 2 FROM generate_series(1, 100) i";
    world.behind().await.batch_execute(fill).await.expect("a table");
}

#[tokio::test]
async fn connections_are_replaced_under_load() {
    let setup = Setup::default().main("pool_size = 3").main("max_lifetime = \"100ms\"");
    let Some(world) = setup.start().await else { return };
    with_numbers(&world).await;
    let behind = world.behind().await;
    let mut clients = Vec::new();
    for number in 0..12 {
        let url = world.url();
        clients.push(tokio::spawn(async move {
            let mut client = connect(&url).await;
            let mut seen = HashSet::new();
            // Long enough for several lives; how many depends on the machine.
            let end = tokio::time::Instant::now() + Duration::from_secs(1);
            for turn in 0.. {
                let id = 1 + (number + turn) % 100;
                // One that is shared, and one that is lent.
                let row = client
                    .query_one("SELECT n FROM numbers WHERE id = $1", &[&id])
                    .await
                    .expect("a row");
                assert_eq!(row.get::<_, i32>(0), id * 2);
                let transaction = client.transaction().await.expect("BEGIN");
                let sql = "UPDATE numbers SET n = n WHERE id = $1 RETURNING n, pg_backend_pid()";
                let row = transaction.query_one(sql, &[&id]).await.expect("a row");
                assert_eq!(row.get::<_, i32>(0), id * 2);
                seen.insert(row.get::<_, i32>(1));
                transaction.commit().await.expect("COMMIT");
                if tokio::time::Instant::now() > end {
                    break;
                }
            }
            seen
        }));
    }
    let mut all = HashSet::new();
    while clients.iter().any(|client| !client.is_finished()) {
        let now = processes(&behind).await;
        // One that ends may be there still when another has come.
        assert!(now.len() <= 6, "{now:?}");
        all.extend(now);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for client in clients {
        client.await.expect("a client");
    }
    assert!(all.len() > 6, "{all:?}");
}

/// Nobody gives a shared connection back as long as it is used.
#[tokio::test]
async fn shared_connections_are_replaced_too() {
    let setup = Setup::default()
        .main("pool_size = 2")
        .main("shared_connections = 1")
        .main("max_lifetime = \"100ms\"");
    let Some(world) = setup.start().await else { return };
    with_numbers(&world).await;
    let client = world.gateway().await;
    let statement =
        client.prepare("SELECT n FROM numbers WHERE id = $1").await.expect("a statement");
    let behind = world.behind().await;
    let mut seen = HashSet::new();
    in_time(async {
        while seen.len() < 5 {
            let ids: Vec<i32> = (1..=50).collect();
            let rows = ids.iter().map(|id| async {
                client.query_one(&statement, &[id]).await.expect("a row").get::<_, i32>(0)
            });
            let rows = futures_util::future::join_all(rows).await;
            assert!(ids.iter().zip(rows).all(|(id, n)| n == id * 2));
            seen.extend(processes(&behind).await);
        }
    })
    .await;
}

/// A session that keeps its connection does so beyond its end.
#[tokio::test]
async fn what_a_client_holds_does_not_end() {
    let setup = Setup::default().main("max_lifetime = \"50ms\"").main("idle_timeout = \"50ms\"");
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client.batch_execute("CREATE TEMP TABLE mine AS SELECT 1 AS a").await.expect("a table");
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(column(&client, "SELECT a FROM mine").await, ["1"]);
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let setup = Setup::default().main("idle_timeout = \"300ms\"");
    let Some(world) = setup.start().await else { return };
    with_numbers(&world).await;
    let clients = futures_util::future::join_all((0..4).map(|_| world.gateway())).await;
    for client in &clients {
        client.batch_execute("BEGIN").await.expect("BEGIN");
    }
    let behind = world.behind().await;
    assert!(processes(&behind).await.len() >= 4);
    for client in &clients {
        client.batch_execute("COMMIT").await.expect("COMMIT");
        assert_eq!(column(client, "SELECT n FROM numbers WHERE id = 1").await, ["2"]);
    }
    until(&behind, 0).await;
    assert_eq!(column(&clients[0], "SELECT n FROM numbers WHERE id = 1").await, ["2"]);
}

#[tokio::test]
async fn idle_connections_are_held_ready() {
    let setup = Setup::default().main("min_idle = 3").main("idle_timeout = \"200ms\"");
    let Some(world) = setup.start().await else { return };
    let behind = world.behind().await;
    let first = until(&behind, 3).await;
    // They are idle for too long, or somebody ends them: others come.
    in_time(async { while !processes(&behind).await.is_disjoint(&first) {} }).await;
    until(&behind, 3).await;
    let kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()";
    column(&behind, kill).await;
    until(&behind, 3).await;
}

/// A firewall or a balancer that forgets a connection tells neither side.
#[tokio::test]
async fn connections_that_a_network_has_forgotten_are_not_used() {
    let Some(servers) = Servers::from_environment() else { return };
    let (_, address) = servers.postgres.split_once('@').expect("a user");
    let proxy = Proxy::to(address.split('/').next().expect("an address")).await;
    let url = format!("postgres://postgres@{}/postgres", proxy.address());
    let setup = Setup::default()
        .primary_at(&url)
        .main("check_after = \"50ms\"")
        .main("max_lifetime = \"1h\"");
    let Some(world) = setup.start().await else { return };
    let clients = futures_util::future::join_all((0..4).map(|_| world.gateway())).await;
    for _ in 0..2 {
        // All of them have connections, which are shared too.
        for client in &clients {
            client.batch_execute("BEGIN").await.expect("BEGIN");
        }
        for client in &clients {
            client.batch_execute("COMMIT").await.expect("COMMIT");
            assert_eq!(
                column(client, "SELECT relname FROM pg_class WHERE oid = 1259").await,
                ["pg_class"]
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        proxy.becomes(Network::Forgetful);
        for client in &clients {
            assert_eq!(
                in_time(column(client, "SELECT relname FROM pg_class WHERE oid = 1259")).await,
                ["pg_class"]
            );
            in_time(client.batch_execute("BEGIN; SELECT 1; COMMIT")).await.expect("a transaction");
        }
    }
}
