//! Many clients that count in one row: no increment is lost, whichever way a statement takes.

use flywheel_tests::world::{column, connect};
use flywheel_tests::{Home, Setup};

const CLIENTS: usize = 8;
const INCREMENTS: usize = 200;

/// One command of the store.
#[tokio::test(flavor = "multi_thread")]
async fn by_the_store() {
    counted("UPDATE counters SET hits = hits + 1 WHERE id = 'c' RETURNING hits", INCREMENTS).await;
}

/// What is there is updated, by the store.
#[tokio::test(flavor = "multi_thread")]
async fn on_conflict() {
    counted(
        "INSERT INTO counters (id, hits) VALUES ('c', 1) ON CONFLICT (id) DO UPDATE SET hits = counters.hits + excluded.hits RETURNING hits",
        INCREMENTS,
    )
    .await;
}

/// PostgreSQL computes the sum from the row as it was read; somebody else's change meanwhile is
/// noticed, and it is computed anew.
#[tokio::test(flavor = "multi_thread")]
async fn by_postgres() {
    counted("UPDATE counters SET hits = hits + 1.0 WHERE id = 'c' RETURNING hits", INCREMENTS)
        .await;
}

async fn counted(sql: &'static str, increments: usize) {
    for home in Home::ALL {
        let setup = Setup::default().table("public.counters", home);
        let Some(world) = setup.start().await else { return };
        if !home.is_available(world.servers()) {
            continue;
        }
        let client = world.gateway().await;
        client
            .batch_execute("CREATE TABLE counters (id text PRIMARY KEY, hits bigint NOT NULL)")
            .await
            .expect("the table");
        if sql.starts_with("UPDATE") {
            client.batch_execute("INSERT INTO counters VALUES ('c', 0)").await.expect("the row");
        }
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let url = world.url();
                tokio::spawn(async move {
                    let client = connect(&url).await;
                    let mut sums = Vec::new();
                    for _ in 0..increments {
                        sums.extend(column(&client, sql).await);
                    }
                    sums
                })
            })
            .collect();
        let mut sums = Vec::new();
        for client in clients {
            let told = client.await.unwrap_or_else(|error| panic!("{}: {error}", home.name()));
            sums.extend(told.iter().map(|sum| sum.parse::<usize>().expect("a number")));
        }
        sums.sort_unstable();
        let expected: Vec<_> = (1..=CLIENTS * increments).collect();
        assert!(sums == expected, "{}: each is told a sum of its own: {sums:?}", home.name());
        let stored = column(&client, "SELECT hits FROM counters").await;
        assert_eq!(stored, [(CLIENTS * increments).to_string()], "{}", home.name());
    }
}
