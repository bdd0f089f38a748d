//! Replication connections through Flywheel, with PostgreSQL's own receivers.

use flywheel_tests::child::{in_time, run};
use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::{column, until};
use flywheel_tests::{Setup, World};
use tokio::process::Command;

async fn world() -> Option<World> {
    let users =
        "[[users]]\nname = \"backup\"\nreplication = true\n\n[[users]]\nname = \"postgres\"";
    Setup::default().main("pool_size = 1").section(users).start().await
}

/// A program of PostgreSQL's, as a client of the gateway.
fn receiver(program: &str, world: &World, user: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    let (host, port) = world.process().address().split_once(':').expect("an address");
    command.args(["--host", host, "--port", port, "--username", user, "--no-password"]);
    command.env("LC_ALL", "C").kill_on_drop(true);
    command
}

/// Where the log of changes is now.
async fn position(client: &tokio_postgres::Client) -> String {
    column(client, "SELECT pg_current_wal_lsn()").await.remove(0)
}

#[tokio::test]
async fn logical_changes_are_received() {
    let Some(world) = world().await else { return };
    let (client, behind) = (world.gateway().await, world.behind().await);
    let slot = format!("{}_slot", world.primary().name());
    let logical = |arguments: &[&str]| {
        let mut command = receiver("pg_recvlogical", &world, "backup");
        command.args(["--dbname", "app", "--slot", &slot]).args(arguments);
        command
    };
    run(&mut logical(&["--create-slot", "--plugin", "test_decoding"])).await.well();
    client
        .batch_execute("CREATE TABLE things (id int PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'one'), (2, 'two')")
        .await
        .expect("rows");
    let end = position(&behind).await;
    client.batch_execute("INSERT INTO things VALUES (3, 'three')").await.expect("a row");
    let received =
        run(&mut logical(&["--start", "--endpos", &end, "--no-loop", "--file", "-"])).await.well();
    for expected in ["table public.things: INSERT: id[integer]:1 name[text]:'one'", "id[integer]:2"]
    {
        assert!(received.stdout.contains(expected), "{received:?}");
    }
    assert!(!received.stdout.contains("id[integer]:3"), "{received:?}");
    // Its receiver has ended, but the server may not have noticed.
    let active = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
    until("the slot is free", async || column(&behind, &active).await == ["f"]).await;
    run(&mut logical(&["--drop-slot"])).await.well();
}

#[tokio::test]
async fn the_log_is_received() {
    let Some(world) = world().await else { return };
    let behind = world.behind().await;
    let folder = world.folder().join("wal");
    std::fs::create_dir(&folder).expect("a folder");
    let end = position(&behind).await;
    behind.batch_execute("CREATE TABLE things (id int)").await.expect("a change");
    let mut receive = receiver("pg_receivewal", &world, "backup");
    receive.arg("--directory").arg(&folder).args(["--endpos", &end, "--no-loop"]);
    run(&mut receive).await.well();
    let files: Vec<_> = std::fs::read_dir(&folder).expect("the folder").flatten().collect();
    assert!(!files.is_empty());
}

#[tokio::test]
async fn a_receiver_is_a_client_and_ends_with_the_gateway() {
    let Some(mut world) = world().await else { return };
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    let startup = [
        ("user", "backup"),
        ("database", "app"),
        ("replication", "database"),
        ("application_name", "watcher"),
    ];
    client.send(&[Message::startup(&startup)]).await.expect("sent");
    client.until_ready().await.expect("a login");
    let said = client.query("IDENTIFY_SYSTEM").await.expect("an answer");
    assert!(matches!(&said[1], Event::Row(values) if values.len() == 4), "{said:?}");
    // SQL too, on a connection that isn't the pool's.
    let said = client.query("SHOW application_name").await.expect("an answer");
    assert!(said.contains(&Event::Row(vec![Some(b"watcher".to_vec())])), "{said:?}");
    assert_eq!(column(&world.gateway().await, "SELECT 1").await, ["1"]);
    let (status, said) =
        in_time(async { tokio::join!(world.process_mut().terminate(), client.until_closed()) })
            .await;
    assert!(status.success(), "{status}");
    assert_eq!(said, Ok(Vec::new()));
    let behind = world.behind().await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watcher' AND datname = current_database()";
    in_time(async { while column(&behind, left).await != ["0"] {} }).await;
}

async fn refused(world: &World, user: &str, mode: &str) -> (String, String) {
    let mut client = Client::connect(world.process().address()).await.expect("a connection");
    client
        .send(&[Message::startup(&[("user", user), ("database", "app"), ("replication", mode)])])
        .await
        .expect("sent");
    let said = client.until_closed().await.expect("an end");
    let [Event::Error(error)] = &said[..] else { panic!("{said:?}") };
    (error.state().to_owned(), error.field('H').unwrap_or_default().to_owned())
}

#[tokio::test]
async fn only_those_listed_for_it_may() {
    let Some(world) = world().await else { return };
    for mode in ["database", "true"] {
        let (state, hint) = refused(&world, "postgres", mode).await;
        assert_eq!(state, "42501");
        assert!(hint.contains("replication = true"), "{hint}");
    }
    assert_eq!(refused(&world, "backup", "perhaps").await.0, "22023");
    // Where anybody may log in, nobody has been given it.
    let Some(world) = World::start().await else { return };
    for mode in ["database", "1"] {
        assert_eq!(refused(&world, "postgres", mode).await.0, "42501");
    }
}
