//! What ends in the middle of a row that its client reads slowly.

use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::{column, until};
use flywheel_tests::{Setup, World};

const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'ClientWrite'";

/// A client that has read the beginning of a row so long that its server waits.
async fn in_a_row(world: &World, before: &str) -> Client {
    let mut client = world.raw().await;
    client.query(before).await.expect(before);
    client.send(&[Message::query("SELECT repeat('x', 100000000)")]).await.expect("a query");
    assert!(matches!(client.next().await, Ok(Event::Columns(_))));
    let behind = world.behind().await;
    until("a server that waits", async || column(&behind, WAITING).await.len() == 1).await;
    client
}

/// The row's client must not take an error for the row's end.
async fn has_ended_with_it(mut client: Client, what: &str) {
    let rest = client.rest().await.expect("the end of the stream");
    let length = rest.len();
    assert!(length < 100_000_000, "{what}: {length}");
    // Behind the header with its lengths.
    let other: Vec<_> = rest[11..].iter().filter(|byte| **byte != b'x').copied().collect();
    assert!(other.is_empty(), "{what}: {}", other.escape_ascii());
}

#[tokio::test]
async fn a_lost_server_says_nothing_within_it() {
    let Some(world) = World::start().await else { return };
    let behind = world.behind().await;
    for before in ["SELECT 1", "BEGIN"] {
        let client = in_a_row(&world, before).await;
        let ended = format!("SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS waiting");
        behind.batch_execute(&ended).await.expect("an end");
        has_ended_with_it(client, before).await;
    }
}

#[tokio::test]
async fn a_gateway_that_stops_says_nothing_within_it() {
    let setup = Setup::default().limit("drain_timeout = \"300ms\"");
    for before in ["SELECT 1", "BEGIN"] {
        let Some(mut world) = setup.start().await else { return };
        let client = in_a_row(&world, before).await;
        assert_eq!(world.process_mut().terminate().await.code(), Some(3));
        has_ended_with_it(client, before).await;
    }
}
