//! Versions of the protocol and what belongs to them, as PostgreSQL 18 has them.

use flywheel_tests::World;
use flywheel_tests::child::{in_time, run};
use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::column;
use tokio::process::Command;

/// What a client of this version is told at its login.
async fn login(world: &World, minor: u16, option: Option<&str>) -> (Client, Vec<Event>) {
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    let mut parameters = vec![("user", "postgres"), ("database", "app")];
    parameters.extend(option.map(|name| (name, "1")));
    client.send(&[Message::startup_of(minor, &parameters)]).await.expect("sent");
    let said = client.until_ready().await.expect("a login");
    assert!(matches!(said.last(), Some(Event::Ready('I'))), "{said:?}");
    (client, said)
}

/// NegotiateProtocolVersion.
fn negotiated(said: &[Event]) -> Option<&[u8]> {
    said.iter().find_map(|event| match event {
        Event::Other('v', body) => Some(body.as_slice()),
        _ => None,
    })
}

/// BackendKeyData.
fn key(said: &[Event]) -> (i32, &[u8]) {
    let body = said.iter().find_map(|event| match event {
        Event::Other('K', body) => Some(body),
        _ => None,
    });
    let (process_id, key) = body.and_then(|body| body.split_first_chunk()).expect("a cancel key");
    (i32::from_be_bytes(*process_id), key)
}

#[tokio::test]
async fn a_version_is_spoken_as_asked_for_up_to_the_newest() {
    let Some(world) = World::start().await else { return };
    for (minor, key_length) in [(0, 4), (1, 4), (2, 32), (3, 32), (9999, 32)] {
        let (mut client, said) = login(&world, minor, None).await;
        assert_eq!(key(&said).1.len(), key_length, "3.{minor}");
        let expected = [0, 3, 0, 2, 0, 0, 0, 0];
        assert_eq!(negotiated(&said), (minor > 2).then_some(&expected[..]), "3.{minor}");
        let answer = client.query("SELECT 1").await.expect("an answer");
        assert!(answer.contains(&Event::Done("SELECT 1".to_owned())), "3.{minor}: {answer:?}");
    }
}

#[tokio::test]
async fn options_of_the_protocol_that_are_not_known_are_named() {
    let Some(world) = World::start().await else { return };
    for minor in [0, 2] {
        let (_client, said) = login(&world, minor, Some("_pq_.fancy")).await;
        let expected = [&[0, 3, 0, minor as u8, 0, 0, 0, 1][..], b"_pq_.fancy\0"].concat();
        assert_eq!(negotiated(&said), Some(&expected[..]), "3.{minor}");
    }
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let Some(world) = World::start().await else { return };
    for major in [2_u16, 4] {
        let mut client = Client::connect(world.process().address()).await.expect("a connection");
        let packet = [&9_i32.to_be_bytes()[..], &major.to_be_bytes(), &[0, 0, 0]].concat();
        client.send_bytes(&packet).await.expect("sent");
        let said = client.until_closed().await.expect("an end");
        let text = format!("unsupported frontend protocol {major}.0: server supports 3.0 to 3.2");
        assert!(
            matches!(&said[..], [Event::Error(error)] if error.field('M') == Some(&text)),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn only_the_whole_key_cancels() {
    let Some(world) = World::start().await else { return };
    for minor in [0, 2] {
        let (mut client, said) = login(&world, minor, None).await;
        let (process_id, key) = key(&said);
        let mut wrong = key.to_vec();
        wrong[key.len() - 1] ^= 1;
        client.send(&[Message::query("SELECT pg_sleep(1000)")]).await.expect("sent");
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1000)' AND state = 'active' AND datname = current_database()";
        let behind = world.behind().await;
        in_time(async { while column(&behind, sleeps).await != ["1"] {} }).await;
        for key in
            [&[][..], &key[..3], &wrong, &[key, &[0]].concat(), &[key; 9].concat(), &vec![0; 257]]
        {
            let mut other = Client::connect(world.process().address()).await.expect("a connection");
            other.send(&[Message::cancel(process_id, key)]).await.expect("sent");
            assert_eq!(other.until_closed().await, Ok(Vec::new()));
        }
        assert_eq!(column(&behind, sleeps).await, ["1"], "3.{minor}");
        let mut other = Client::connect(world.process().address()).await.expect("a connection");
        other.send(&[Message::cancel(process_id, key)]).await.expect("sent");
        let answer = client.until_ready().await.expect("an answer");
        let is_cancelled =
            |event: &Event| matches!(event, Event::Error(error) if error.state() == "57014");
        assert!(answer.iter().any(is_cancelled), "{answer:?}");
    }
}

/// libpq 18, which psycopg brings along, checks what it is told of versions.
#[tokio::test]
async fn libpq_speaks_its_newest_version() {
    const SCRIPT: &str = "
import psycopg, sys, threading, time
assert psycopg.pq.version() >= 180000
for version in '3.0', '3.2', 'latest':
    with psycopg.connect(sys.argv[1], min_protocol_version=version, max_protocol_version=version, autocommit=True) as conn:
        timer = threading.Timer(0.5, conn.cancel_safe)
        timer.start()
        try:
            conn.execute('SELECT pg_sleep(1000)')
        except psycopg.errors.QueryCanceled:
            pass
        timer.join()
        assert conn.execute('SELECT 1').fetchone() == (1,)
";
    let Some(world) = World::start().await else { return };
    let Some(python) = &world.servers().python else { return };
    run(Command::new(python).args(["-c", SCRIPT, &world.url()])).await.well();
}
