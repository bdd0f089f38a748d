//! PostgreSQL or a store is lost while a block commits.

use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::gate::{COMMIT, Stop};
use flywheel_tests::world::column;
use flywheel_tests::{Told, World};

use super::{ORDER, all, guarded};

async fn terminate_others(world: &World) {
    let terminate = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    column(&world.behind().await, terminate).await;
}

#[tokio::test]
async fn postgresql_is_lost_before_it_commits() {
    let Some((world, postgres, _redis)) = guarded().await else { return };
    let client = world.gateway().await;
    postgres.stop(Stop::Request, &[COMMIT]);
    let commit = async { Told::of(&client, ORDER).await };
    let lost = async {
        postgres.stopped().await;
        terminate_others(&world).await;
        postgres.open();
    };
    let (told, ()) = in_time(async { tokio::join!(commit, lost) }).await;
    told.is("08006", &["can be repeated"]);
    // The session goes on.
    assert_eq!(all(&client).await, [vec!["0"], vec!["0 a"], vec!["1 old", "2 old"]]);
    client.batch_execute(ORDER).await.expect("the same again");
    assert_eq!(all(&client).await, [vec!["0", "1"], vec!["0 a", "1 new"], vec!["1 new", "2 old"]]);
}

#[tokio::test]
async fn postgresql_is_lost_when_it_has_committed() {
    let Some((world, postgres, _redis)) = guarded().await else { return };
    let client = world.gateway().await;
    postgres.stop(Stop::Connection, &[COMMIT]);
    in_time(client.batch_execute(ORDER)).await.expect("the outcome is asked for");
    postgres.open();
    assert_eq!(all(&client).await, [vec!["0", "1"], vec!["0 a", "1 new"], vec!["1 new", "2 old"]]);
}

#[tokio::test]
async fn a_store_is_lost_when_postgresql_has_committed() {
    let Some((world, _postgres, redis)) = guarded().await else { return };
    let client = world.gateway().await;
    redis.stop(Stop::Connection, &["\r\ncommit\r\n"]);
    in_time(client.batch_execute(ORDER)).await.expect("it has committed");
    redis.open();
    let left = "SELECT count(*) FROM flywheel.outbox";
    in_time(async {
        while column(&client, left).await != ["0"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(all(&client).await, [vec!["0", "1"], vec!["0 a", "1 new"], vec!["1 new", "2 old"]]);
}
