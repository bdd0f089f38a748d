//! Workers that take jobs from a table, each past those that others have locked.

use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup};
use tokio_postgres::Client;

/// Workers take each job once.
#[tokio::test]
async fn a_queue() {
    for home in Home::ALL {
        let setup = Setup::default().main("pool_size = 40").table("public.jobs", home);
        let Some(world) = setup.start().await else { continue };
        if !home.is_available(world.servers()) {
            continue;
        }
        let client = world.gateway().await;
        let table = "CREATE TABLE jobs (q int, n int, what text, PRIMARY KEY (q, n))";
        client.batch_execute(table).await.expect("a table");
        client
            .batch_execute("INSERT INTO jobs SELECT 1, i, 'x' FROM generate_series(1, 40) i")
            .await
            .expect("rows");
        let take = "SELECT n FROM jobs WHERE q = 1 ORDER BY n LIMIT 1 FOR UPDATE SKIP LOCKED";
        let mut workers = Vec::new();
        for number in 1..=25 {
            let worker = world.gateway().await;
            worker.batch_execute("BEGIN").await.expect("a block");
            assert_eq!(column(&worker, take).await, [number.to_string()], "{}", home.name());
            workers.push(worker);
        }
        for worker in &workers {
            worker.batch_execute("COMMIT").await.expect("COMMIT");
        }
    }
}

/// Blocks that take jobs by an order that no key has, one after the other, each beside those that
/// are open.
const TAKING: [&str; 7] = [
    "SELECT id FROM jobs WHERE state = 'new' ORDER BY rank, id LIMIT 3 FOR UPDATE SKIP LOCKED",
    "SELECT id FROM jobs WHERE state = 'new' ORDER BY rank, id LIMIT 3 FOR UPDATE SKIP LOCKED",
    "UPDATE jobs SET state = 'run' WHERE id IN (SELECT id FROM jobs WHERE state = 'new' \
     ORDER BY rank, id LIMIT 3 FOR UPDATE SKIP LOCKED) RETURNING id",
    "WITH next AS (SELECT id FROM jobs WHERE state = 'new' ORDER BY rank, id LIMIT 2 \
     FOR UPDATE SKIP LOCKED) DELETE FROM jobs USING next WHERE jobs.id = next.id \
     RETURNING jobs.id",
    "SELECT id FROM jobs WHERE state = 'new' ORDER BY rank, id LIMIT 1 OFFSET 1 \
     FOR NO KEY UPDATE SKIP LOCKED",
    "SELECT id FROM jobs WHERE state = 'old' FOR UPDATE SKIP LOCKED",
    "SELECT id FROM jobs ORDER BY rank, id FOR SHARE SKIP LOCKED",
];

/// What each of them has taken.
async fn taken(clients: &[Client]) -> Vec<Vec<String>> {
    let table = "CREATE TABLE jobs (id int PRIMARY KEY, state text, rank int)";
    clients[0].batch_execute(table).await.expect("a table");
    let rows = "INSERT INTO jobs SELECT i, CASE i WHEN 9 THEN 'old' ELSE 'new' END, i * 7 % 16 \
                FROM generate_series(1, 15) i";
    clients[0].batch_execute(rows).await.expect("rows");
    let mut all = Vec::new();
    for (client, take) in clients.iter().zip(TAKING) {
        client.batch_execute("BEGIN").await.expect("a block");
        let mut taken = column(client, take).await;
        taken.sort();
        all.push(taken);
    }
    for client in clients {
        client.batch_execute("COMMIT").await.expect("COMMIT");
    }
    all
}

#[tokio::test]
async fn a_queue_by_rank() {
    for home in Home::ALL {
        let setup = Setup::default().main("pool_size = 20").table_with(
            "public.jobs",
            home,
            &["allow_scan = true"],
        );
        let Some(world) = setup.start().await else { continue };
        if !home.is_available(world.servers()) {
            continue;
        }
        let (mut gateway, mut oracle) = (Vec::new(), Vec::new());
        for _ in TAKING {
            gateway.push(world.gateway().await);
            oracle.push(world.oracle().await);
        }
        assert_eq!(taken(&gateway).await, taken(&oracle).await, "{}", home.name());
    }
}
