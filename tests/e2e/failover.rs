//! The primary fails, and another server takes its place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::world::{column, connect};
use flywheel_tests::{Cluster, Setup, Told, World};

const PORT: &str = "SELECT inet_server_port()";

/// Waits until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    in_time(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// A gateway in front of these servers, in this order. Its clients wait long: a busy machine takes
/// its time to promote.
fn setup(url: &str) -> Setup {
    Setup::default()
        .primary_at(url)
        .main("check_interval = \"100ms\"")
        .main("acquire_timeout = \"60s\"")
}

async fn world(cluster: &Cluster, servers: &[usize]) -> World {
    setup(&cluster.url_of(servers)).start().await.expect("servers")
}

#[tokio::test]
async fn the_primary_is_found_whatever_the_order_of_hosts() {
    let Some(cluster) = Cluster::start(1).await else { return };
    for attributes in ["", "?target_session_attrs=read-write", "?target_session_attrs=primary"] {
        for order in [[0, 1], [1, 0]] {
            let world = setup(&format!("{}{attributes}", cluster.url_of(&order)))
                .start()
                .await
                .expect("servers");
            let client = world.gateway().await;
            client.batch_execute("CREATE TABLE t (n int); DROP TABLE t").await.expect("a primary");
            assert_eq!(column(&client, PORT).await, [cluster.port(0)]);
        }
    }
    let any = setup(&format!("{}?target_session_attrs=any", cluster.url_of(&[1])))
        .start()
        .await
        .expect("servers");
    assert_eq!(column(&any.gateway().await, PORT).await, [cluster.port(1)]);
}

#[tokio::test]
async fn without_a_primary_each_host_says_why() {
    let Some(mut cluster) = Cluster::start(2).await else { return };
    cluster.stop(2).await;
    let url = format!("{}?target_session_attrs=read-write", cluster.url_of(&[1, 2]));
    let setup = Setup::default().primary_at(&url).main("acquire_timeout = \"300ms\"");
    let world = setup.start().await.expect("servers");
    let standby = format!("127.0.0.1:{} is a standby", cluster.port(1));
    let down = format!("127.0.0.1:{}: ", cluster.port(2));
    let refused = flywheel_tests::world::try_connect(&world.url()).await;
    Told::by(refused.map(drop))
        .is("57P03", &["no primary", &standby, &down, "target_session_attrs"]);
    // It is found once there is one.
    cluster.promote(1).await;
    until(async || flywheel_tests::world::try_connect(&world.url()).await.is_ok()).await;
    assert_eq!(column(&world.gateway().await, PORT).await, [cluster.port(1)]);
}

#[tokio::test]
async fn clients_wait_for_the_new_primary() {
    let Some(mut cluster) = Cluster::start(1).await else { return };
    let world = world(&cluster, &[0, 1]).await;
    let client = world.gateway().await;
    client.batch_execute("CREATE TABLE t (n int PRIMARY KEY, port int)").await.expect("a table");
    // They write one row after the other, and read.
    let (over, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let gone = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..4 {
        let (url, over, next, gone) = (world.url(), over.clone(), next.clone(), gone.clone());
        writers.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let insert = client
                .prepare("INSERT INTO t VALUES ($1, inet_server_port())")
                .await
                .expect("a statement");
            let mut written = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let was_gone = gone.load(Ordering::Relaxed);
                let n = i32::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("few rows");
                let done = match number % 2 {
                    0 => client.execute(&insert, &[&n]).await.map(drop),
                    _ => {
                        client
                            .batch_execute(&format!(
                                "INSERT INTO t VALUES ({n}, inet_server_port())"
                            ))
                            .await
                    }
                };
                match done {
                    Ok(()) => written.push(n),
                    Err(error) => {
                        let code = error.code().unwrap_or_else(|| panic!("{error:?}")).code();
                        assert!(matches!(code, "08006" | "57P01" | "57P02"), "{error:?}");
                        // A server that goes down ends its processes one after the other: until it
                        // has gone, statements are lost with them.
                        assert!(!was_gone, "{n} was begun without a primary: {error:?}");
                    }
                }
            }
            written
        }));
    }
    let mut reading = Vec::new();
    for _ in 0..4 {
        let (url, over) = (world.url(), over.clone());
        reading.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let mut reads = 0;
            while !over.load(Ordering::Relaxed) {
                // Repeatable, over a connection that readers share.
                assert_eq!(column(&client, "SELECT count(*) FROM t WHERE n < -1").await, ["0"]);
                reads += 1;
            }
            reads
        }));
    }
    until(async || next.load(Ordering::Relaxed) > 100).await;
    cluster.crash(0).await;
    gone.store(true, Ordering::Relaxed);
    // This client has nothing under way when the primary fails: it waits, and gets no error.
    let waiting = tokio::spawn(async move {
        client.batch_execute("INSERT INTO t VALUES (-1, inet_server_port())").await?;
        Ok::<_, tokio_postgres::Error>(client)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "there is no primary");
    cluster.promote(1).await;
    let client = waiting.await.expect("a client").expect("no error");
    let promoted = cluster.client(1).await;
    assert_eq!(column(&promoted, "SELECT port FROM t WHERE n = -1").await, [cluster.port(1)]);
    let so_far = next.load(Ordering::Relaxed);
    until(async || next.load(Ordering::Relaxed) > so_far + 100).await;
    over.store(true, Ordering::Relaxed);
    let mut on_new = 0;
    for writer in writers {
        let written = writer.await.expect("a writer");
        assert!(!written.is_empty());
        for n in written.iter().rev().take(5) {
            let port = column(&promoted, &format!("SELECT port FROM t WHERE n = {n}")).await;
            on_new += usize::from(port == [cluster.port(1)]);
        }
    }
    assert_eq!(on_new, 20, "the last rows of each writer are written by the new primary");
    for reader in reading {
        assert!(reader.await.expect("a reader without errors") > 0);
    }
    assert_eq!(column(&client, PORT).await, [cluster.port(1)]);
}

#[tokio::test]
async fn a_switchover_and_back() {
    let Some(mut cluster) = Cluster::start(1).await else { return };
    let both = cluster.url_of(&[0, 1]);
    let world = setup(&both)
        .main(&format!("replicas = [{both:?}]"))
        .section("[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"")
        .start()
        .await
        .expect("servers");
    let client = world.gateway().await;
    client.batch_execute("CREATE TABLE t (port int)").await.expect("a table");
    for (primary, standby) in [(0, 1), (1, 0), (0, 1)] {
        // Whoever is a standby is read from, and the other is written to.
        let (written, read) = ([cluster.port(primary)], [cluster.port(standby)]);
        until(async || column(&client, PORT).await == read).await;
        assert_eq!(
            column(&client, "INSERT INTO t VALUES (1) RETURNING inet_server_port()").await,
            written
        );
        cluster.catch_up(primary, standby).await;
        cluster.stop(primary).await;
        cluster.promote(standby).await;
        cluster.follow(primary, standby).await;
        cluster.restart(primary).await;
        client.batch_execute("INSERT INTO t VALUES (2)").await.expect("INSERT");
        cluster.catch_up(standby, primary).await;
    }
}

#[tokio::test]
async fn a_primary_that_another_is_promoted_over_is_left() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let world = world(&cluster, &[0, 1]).await;
    let (client, busy) = (world.gateway().await, world.gateway().await);
    client.batch_execute("CREATE TABLE t (n int)").await.expect("a table");
    cluster.catch_up(0, 1).await;
    busy.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.expect("a block");
    cluster.promote(1).await;
    until(async || column(&client, PORT).await == [cluster.port(1)]).await;
    client.batch_execute("INSERT INTO t VALUES (2)").await.expect("INSERT");
    // The block stays where it was begun; its connection goes when it comes back.
    assert_eq!(column(&busy, PORT).await, [cluster.port(0)]);
    busy.batch_execute("COMMIT").await.expect("COMMIT");
    assert_eq!(column(&busy, PORT).await, [cluster.port(1)]);
    assert_eq!(column(&busy, "SELECT n FROM t").await, ["2"]);
    let old = cluster.client(0).await;
    let theirs = "SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'flywheel' AND query NOT LIKE 'SELECT pg_is_in_recovery()%'";
    until(async || column(&old, theirs).await == ["0"]).await;
}

#[tokio::test]
async fn a_primary_that_falls_silent_is_not_waited_for() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let network = Proxy::to(&format!("127.0.0.1:{}", cluster.port(0))).await;
    let url =
        format!("postgres://postgres@{},127.0.0.1:{}/postgres", network.address(), cluster.port(1));
    let world = setup(&url).main("connect_timeout = \"500ms\"").start().await.expect("servers");
    let (client, busy) = (world.gateway().await, world.gateway().await);
    client.batch_execute("CREATE TABLE t (n int)").await.expect("a table");
    let read = "SELECT setting FROM pg_settings WHERE name = 'port'";
    assert_eq!(column(&client, read).await, [cluster.port(0)]);
    cluster.catch_up(0, 1).await;
    let writing =
        tokio::spawn(
            async move { Told::of(&busy, "INSERT INTO t SELECT 1 FROM pg_sleep(3600)").await },
        );
    let behind = cluster.client(0).await;
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(async || column(&behind, sleeps).await == ["1"]).await;
    network.becomes(Network::Silent);
    // A read that may be repeated is under way too, and one waits.
    let reading = tokio::spawn(async move { column(&client, read).await });
    cluster.promote(1).await;
    assert_eq!(reading.await.expect("a reader"), [cluster.port(1)]);
    writing.await.expect("a writer").is("08006", &["may or may not"]);
    world.gateway().await.batch_execute("INSERT INTO t VALUES (2)").await.expect("INSERT");
}

#[tokio::test]
async fn a_statement_whose_server_ends_the_session_fails_alone() {
    let Some(world) = World::start().await else { return };
    let client = world.gateway().await;
    let behind = world.behind().await;
    let mut ends = BTreeSet::new();
    for extended in [false, true] {
        let running = async {
            let sleep = "CREATE TABLE t AS SELECT 1 FROM pg_sleep(3600)";
            match extended {
                false => Told::of(&client, sleep).await,
                true => Told::by(client.execute(sleep, &[]).await),
            }
        };
        let ending = async {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
            until(async || column(&behind, end).await == ["t"]).await;
        };
        let (told, ()) = tokio::join!(running, ending);
        told.is("57P01", &["terminating connection", "may or may not"]);
        ends.insert(told.message);
        assert_eq!(column(&client, "SELECT 1").await, ["1"]);
    }
    assert_eq!(ends.len(), 1);
    // In a block the session ends, as at PostgreSQL.
    client.batch_execute("BEGIN").await.expect("BEGIN");
    let running =
        async { Told::of(&client, "CREATE TABLE t AS SELECT 1 FROM pg_sleep(3600)").await };
    let ending = async {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        until(async || column(&behind, end).await == ["t"]).await;
    };
    let (told, ()) = tokio::join!(running, ending);
    told.is("57P01", &["connect again"]);
    until(async || client.is_closed()).await;
}
