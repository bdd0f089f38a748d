//! The gateway is asked to stop.

use flywheel_tests::raw::{Event, Message};
use flywheel_tests::scrape::{address, get};
use flywheel_tests::world::{column, try_connect, until};
use flywheel_tests::{Home, Setup, World};

const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"";

async fn ask_to_stop(world: &World) {
    let id = world.process().id().to_string();
    let mut kill = tokio::process::Command::new("kill");
    assert!(kill.args(["-TERM", &id]).status().await.expect("kill").success());
}

#[tokio::test]
async fn it_says_so_before_it_turns_clients_away() {
    let setup = Setup::default().section(METRICS).limit("drain_delay = \"3s\"");
    let Some(mut world) = setup.start().await else { return };
    let metrics = address(&world);
    assert_eq!(get(&metrics, "/readyz").await.status, 200);
    let client = world.gateway().await;
    client.batch_execute("BEGIN").await.expect("a block");
    ask_to_stop(&world).await;
    until("not ready", async || get(&metrics, "/readyz").await.status == 503).await;
    // Those who haven't heard of it yet are served.
    assert_eq!(get(&metrics, "/healthz").await.status, 200);
    let late = try_connect(&world.url()).await.expect("a login");
    assert_eq!(column(&late, "SELECT 1").await, ["1"]);
    until("nobody is let in", async || try_connect(&world.url()).await.is_err()).await;
    // Who is in a transaction may end it.
    client.batch_execute("CREATE TABLE t (n int); COMMIT").await.expect("the block");
    until("its end", async || !world.process_mut().is_running()).await;
}

#[tokio::test]
async fn its_exit_code_tells_whether_sessions_were_cut() {
    let Some(mut world) = World::start().await else { return };
    let _idle = world.gateway().await;
    assert_eq!(world.process_mut().terminate().await.code(), Some(0));
    let setup = Setup::default().limit("drain_timeout = \"300ms\"");
    let Some(mut world) = setup.start().await else { return };
    let client = world.gateway().await;
    client.batch_execute("BEGIN").await.expect("a block");
    assert_eq!(world.process_mut().terminate().await.code(), Some(3));
    assert!(client.batch_execute("COMMIT").await.is_err());
}

/// Whatever sessions are at, their clients are told when they are cut, and their statements end.
#[tokio::test]
async fn those_who_are_cut_are_told() {
    let setup = Setup::default()
        .limit("drain_timeout = \"300ms\"")
        .main("pool_size = 3")
        .table("public.kept", Home::Memory);
    let Some(mut world) = setup.start().await else { return };
    let behind = world.behind().await;
    behind
        .batch_execute("CREATE TABLE kept (id int PRIMARY KEY); CREATE TABLE t (n int)")
        .await
        .expect("tables");
    let mut idle = world.raw().await;
    idle.query("BEGIN; INSERT INTO kept VALUES (1)").await.expect("a block");
    let mut gathered = world.raw().await;
    gathered.query("BEGIN").await.expect("a block");
    gathered.send(&Message::batch_of("SELECT pg_sleep(50)")).await.expect("a batch");
    let mut busy = world.raw().await;
    busy.send(&[Message::query("SELECT pg_sleep(60)")]).await.expect("a query");
    let asleep = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    until("two that sleep", async || column(&behind, asleep).await.len() == 2).await;
    // There is no server for it.
    let mut waiting = world.raw().await;
    waiting.send(&[Message::query("INSERT INTO t VALUES (1)")]).await.expect("a query");
    assert_eq!(world.process_mut().terminate().await.code(), Some(3));
    for (what, client) in [
        ("idle", &mut idle),
        ("batch", &mut gathered),
        ("busy", &mut busy),
        ("waiting", &mut waiting),
    ] {
        let told = client.until_closed().await.expect("the end");
        let Some(Event::Error(report)) = told.last() else { panic!("{what}: {told:?}") };
        assert_eq!(report.state(), "57P01", "{what}");
        assert!(!told.iter().any(|event| matches!(event, Event::Ready(_))), "{what}: {told:?}");
    }
    until("nobody who sleeps", async || column(&behind, asleep).await.is_empty()).await;
}

#[tokio::test]
async fn the_next_process_listens_for_metrics_while_this_one_stops() {
    let port = flywheel_tests::port::free_port();
    let section = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"");
    let Some(mut world) = Setup::default().section(&section).start().await else { return };
    let client = world.gateway().await;
    client.batch_execute("BEGIN").await.expect("a block");
    ask_to_stop(&world).await;
    let next = world.another_gateway().await;
    try_connect(&format!("postgres://postgres@{}/app", next.address())).await.expect("a login");
    client.batch_execute("COMMIT").await.expect("the block");
    until("its end", async || !world.process_mut().is_running()).await;
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/readyz").await.status, 200);
}
