//! Reads on replicas.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::world::{column, connect};
use flywheel_tests::{Cluster, Setup, World};
use tokio_postgres::Client;

/// Which server answers. It is asked over a connection of the reader's own.
const PORT: &str = "SELECT inet_server_port()";
/// The same, over a connection that readers share.
const SHARED_PORT: &str = "SELECT setting FROM pg_settings WHERE name = 'port'";
const ROUTE: &str = "[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"";
const OFTEN: &str = "check_interval = \"100ms\"";

/// A gateway in front of a primary (number 0) and its replicas, which sends all reads to the
/// replicas.
async fn world(cluster: &Cluster, replicas: &[usize], keys: &[&str]) -> World {
    let replicas: Vec<_> =
        replicas.iter().map(|&replica| format!("{:?}", cluster.url(replica))).collect();
    let mut setup = Setup::default()
        .primary_at(&cluster.url(0))
        .main(&format!("replicas = [{}]", replicas.join(", ")))
        .section(ROUTE);
    for key in keys {
        setup = setup.main(key);
    }
    let world = setup.start().await.expect("servers");
    // Until the gateway has looked at all of them.
    let wanted: BTreeSet<_> = replicas.iter().collect();
    until(async || {
        let answering = spread(&world).await;
        answering.len() == wanted.len() && !answering.contains(&cluster.port(0))
    })
    .await;
    world
}

/// The servers that answer the first reads of new clients, which have seen nothing yet.
async fn spread(world: &World) -> BTreeSet<String> {
    let mut ports = BTreeSet::new();
    for number in 0..6 {
        let client = world.gateway().await;
        ports.extend(column(&client, [PORT, SHARED_PORT][number % 2]).await);
    }
    ports
}

/// The servers that answer a client's reads, of both kinds.
async fn answering(client: &Client) -> BTreeSet<String> {
    let mut ports = BTreeSet::new();
    for _ in 0..6 {
        for read in [PORT, SHARED_PORT] {
            ports.extend(column(client, read).await);
        }
    }
    ports
}

fn ports(cluster: &Cluster, servers: &[usize]) -> BTreeSet<String> {
    servers.iter().map(|&server| cluster.port(server)).collect()
}

/// Waits until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    in_time(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn reads_are_spread_over_replicas_and_writes_are_not() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let world = world(&cluster, &[1, 2], &[]).await;
    // In turn, while nobody is busy.
    let mut turns = Vec::new();
    for _ in 0..6 {
        turns.extend(column(&world.gateway().await, PORT).await);
    }
    assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{turns:?}");
    // Prepared statements too, by name and without one.
    let mut prepared = BTreeSet::new();
    while prepared != ports(&cluster, &[1, 2]) {
        let client = world.gateway().await;
        let statement =
            client.prepare("SELECT inet_server_port(), $1::int").await.expect("a statement");
        // The primary has told the columns: a replica must have all that they are from.
        until(async || {
            let row = client.query_one(&statement, &[&1]).await.expect("a row");
            row.get::<_, i32>(0).to_string() != cluster.port(0)
        })
        .await;
        let row = client.query_one(&statement, &[&1]).await.expect("a row");
        prepared.insert(row.get::<_, i32>(0).to_string());
        let rows = client.query_typed("SELECT inet_server_port()", &[]).await.expect("rows");
        prepared.insert(rows[0].get::<_, i32>(0).to_string());
    }
    // What is in a block, writes, or locks.
    let client = world.gateway().await;
    let primary = [cluster.port(0)];
    client.batch_execute("CREATE TABLE t (port int)").await.expect("a table");
    let written = column(&client, "INSERT INTO t VALUES (inet_server_port()) RETURNING port").await;
    assert_eq!(written, primary);
    let other = world.gateway().await;
    assert_eq!(column(&other, &format!("BEGIN; {PORT}; COMMIT")).await, primary);
    let mut block = Vec::new();
    for sql in ["BEGIN", PORT, SHARED_PORT, "COMMIT"] {
        block.extend(column(&other, sql).await);
    }
    assert_eq!(block, [cluster.port(0), cluster.port(0)]);
    assert_eq!(column(&other, "SELECT inet_server_port() FROM t FOR UPDATE").await, primary);
}

#[tokio::test]
async fn the_least_busy_replica_is_asked() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let world = world(&cluster, &[1, 2], &[]).await;
    let busy = world.gateway().await;
    let sleeping = tokio::spawn(async move {
        column(&busy, "SELECT inet_server_port() FROM pg_sleep(3600)").await
    });
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    let behind = [cluster.client(1).await, cluster.client(2).await];
    let mut sleeper = None;
    until(async || {
        for (number, client) in behind.iter().enumerate() {
            if column(client, sleeps).await == ["1"] {
                sleeper = Some(number);
            }
        }
        sleeper.is_some()
    })
    .await;
    let other = 2 - sleeper.expect("a replica");
    assert_eq!(spread(&world).await, ports(&cluster, &[other]));
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    column(&behind[sleeper.expect("a replica")], cancel).await;
    assert!(sleeping.await.is_err(), "it was cancelled");
    assert_eq!(spread(&world).await, ports(&cluster, &[1, 2]));
}

#[tokio::test]
async fn a_session_reads_its_own_writes() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let world = world(&cluster, &[1], &[OFTEN]).await;
    let (writer, other) = (world.gateway().await, world.gateway().await);
    writer.batch_execute("CREATE TABLE t (n int)").await.expect("a table");
    cluster.catch_up(0, 1).await;
    until(async || column(&writer, SHARED_PORT).await == [cluster.port(1)]).await;
    cluster.pause_replay(1).await;
    for n in 1..=3 {
        match n {
            1 => writer.batch_execute("INSERT INTO t VALUES (1)").await.expect("INSERT"),
            2 => writer
                .batch_execute("BEGIN; INSERT INTO t VALUES (2); COMMIT")
                .await
                .expect("a block"),
            _ => drop(writer.execute("INSERT INTO t VALUES ($1)", &[&3]).await.expect("INSERT")),
        }
        assert_eq!(column(&writer, "SELECT count(*) FROM t").await, [n.to_string()]);
        let row = writer.query_one("SELECT count(*) FROM t", &[]).await.expect("a row");
        assert_eq!(row.get::<_, i64>(0), n);
        assert_eq!(answering(&writer).await, ports(&cluster, &[0]));
    }
    // Also when the gateway has looked meanwhile.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(column(&writer, "SELECT count(*) FROM t").await, ["3"]);
    // Others may still read what was before.
    assert_eq!(column(&other, "SELECT count(*) FROM t").await, ["0"]);
    assert_eq!(answering(&other).await, ports(&cluster, &[1]));
    // Once the replica has the write, it answers again; in between, no read misses it.
    cluster.resume_replay(1).await;
    until(async || {
        assert_eq!(column(&writer, "SELECT count(*) FROM t").await, ["3"]);
        column(&writer, SHARED_PORT).await == [cluster.port(1)]
    })
    .await;
    assert_eq!(column(&writer, "SELECT count(*) FROM t").await, ["3"]);
}

/// The counter, and which server says so.
async fn counted(client: &Client, turn: usize) -> (i32, String) {
    let sql = "SELECT n, inet_server_port() FROM counter";
    if turn.is_multiple_of(2) {
        let rows = client.simple_query(sql).await.expect("a row");
        let row = rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = row.expect("a row");
        let text = |column| row.get(column).expect("a value").to_owned();
        (text(0).parse().expect("a number"), text(1))
    } else {
        let row = client.query_one(sql, &[]).await.expect("a row");
        (row.get(0), row.get::<_, i32>(1).to_string())
    }
}

/// One replica is 300 ms behind, and somebody else writes all the time.
#[tokio::test]
async fn a_session_never_goes_back_in_time() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let world = world(&cluster, &[1, 2], &[OFTEN]).await;
    let made = "CREATE TABLE counter (n int); INSERT INTO counter VALUES (0);
        CREATE TABLE noted (n int)";
    let behind = cluster.client(0).await;
    behind.batch_execute(made).await.expect("tables");
    for replica in [1, 2] {
        cluster.catch_up(0, replica).await;
    }
    for sql in ["ALTER SYSTEM SET recovery_min_apply_delay = '300ms'", "SELECT pg_reload_conf()"] {
        column(&cluster.client(1).await, sql).await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let counting = tokio::spawn({
        let over = over.clone();
        async move {
            while !over.load(Ordering::Relaxed) {
                behind.batch_execute("UPDATE counter SET n = n + 1").await.expect("UPDATE");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let primary = cluster.port(0);
    let mut sessions = Vec::new();
    for pace in [0, 3, 40] {
        let (client, primary) = (world.gateway().await, primary.clone());
        sessions.push(tokio::spawn(async move {
            let (mut last, mut replicas, mut returns) = (0, BTreeSet::new(), 0);
            for turn in 0..300 {
                match turn % 50 {
                    // A read of the primary.
                    10 => {
                        client.batch_execute("BEGIN").await.expect("BEGIN");
                        let (now, server) = counted(&client, turn).await;
                        client.batch_execute("COMMIT").await.expect("COMMIT");
                        assert_eq!(server, primary);
                        assert!(now >= last, "{now} after {last} in a block");
                        last = now;
                    }
                    20 => drop(client.execute("INSERT INTO noted VALUES (1)", &[]).await),
                    // Long enough for one that is behind to have all that was seen.
                    30 => tokio::time::sleep(Duration::from_millis(500)).await,
                    _ => {}
                }
                let (now, server) = counted(&client, turn).await;
                assert!(now >= last, "{now} at {server} after {last}, turn {turn}");
                last = now;
                if server != primary {
                    replicas.insert(server);
                    returns += 1;
                }
                tokio::time::sleep(Duration::from_millis(pace)).await;
            }
            (replicas, returns)
        }));
    }
    for session in sessions {
        // After each pause it is back, at the latest.
        let (replicas, returns) = session.await.expect("a session");
        assert!(!replicas.is_empty() && returns > 30, "{replicas:?}, {returns}");
    }
    over.store(true, Ordering::Relaxed);
    counting.await.expect("the writer");
}

#[tokio::test]
async fn a_replica_that_lags_is_left_alone_until_it_has_caught_up() {
    let Some(cluster) = Cluster::start(2).await else { return };
    let world = world(&cluster, &[1, 2], &[OFTEN, "max_replica_lag = \"300ms\""]).await;
    let behind = cluster.client(0).await;
    behind.batch_execute("CREATE TABLE t (n int)").await.expect("a table");
    cluster.pause_replay(1).await;
    behind.batch_execute("INSERT INTO t VALUES (1)").await.expect("INSERT");
    until(async || spread(&world).await == ports(&cluster, &[2])).await;
    // When all of them lag the primary answers.
    cluster.pause_replay(2).await;
    behind.batch_execute("INSERT INTO t VALUES (2)").await.expect("INSERT");
    until(async || spread(&world).await == ports(&cluster, &[0])).await;
    cluster.resume_replay(1).await;
    cluster.resume_replay(2).await;
    until(async || spread(&world).await == ports(&cluster, &[1, 2])).await;
    // A primary with nothing to do doesn't make them lag, not even at the beginning of a segment of
    // its log.
    column(&behind, "SELECT pg_switch_wal()").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(spread(&world).await, ports(&cluster, &[1, 2]));
}

#[tokio::test]
async fn lag_in_bytes() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let world = world(&cluster, &[1], &[OFTEN, "max_replica_lag_bytes = \"64kB\""]).await;
    let behind = cluster.client(0).await;
    behind.batch_execute("CREATE TABLE t (filler text)").await.expect("a table");
    cluster.pause_replay(1).await;
    behind.batch_execute("INSERT INTO t VALUES ('a little')").await.expect("INSERT");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(spread(&world).await, ports(&cluster, &[1]));
    let much = "INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 1000)";
    behind.batch_execute(much).await.expect("INSERT");
    until(async || spread(&world).await == ports(&cluster, &[0])).await;
    cluster.resume_replay(1).await;
    until(async || spread(&world).await == ports(&cluster, &[1])).await;
}

#[tokio::test]
async fn nobody_notices_that_a_replica_stops_and_comes_back() {
    let Some(mut cluster) = Cluster::start(2).await else { return };
    let world = world(&cluster, &[1, 2], &[OFTEN]).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for number in 0..6 {
        let (url, over) = (world.url(), over.clone());
        readers.push(tokio::spawn(async move {
            let client = connect(&url).await;
            let statement =
                client.prepare("SELECT inet_server_port(), $1::int").await.expect("a statement");
            let mut turns = 0;
            while !over.load(Ordering::Relaxed) {
                match number % 3 {
                    0 => drop(column(&client, SHARED_PORT).await),
                    1 => drop(
                        column(&client, "SELECT inet_server_port() FROM pg_sleep(0.002)").await,
                    ),
                    _ => drop(client.query_one(&statement, &[&turns]).await.expect("a row")),
                }
                turns += 1;
            }
            turns
        }));
    }
    cluster.stop(1).await;
    assert_eq!(spread(&world).await, ports(&cluster, &[2]));
    cluster.crash(2).await;
    assert_eq!(spread(&world).await, ports(&cluster, &[0]));
    cluster.restart(1).await;
    until(async || spread(&world).await == ports(&cluster, &[1])).await;
    cluster.restart(2).await;
    until(async || spread(&world).await == ports(&cluster, &[1, 2])).await;
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.expect("a reader without errors") > 0);
    }
}

#[tokio::test]
async fn what_a_replica_cannot_answer_is_asked_of_the_primary() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let world = world(&cluster, &[1], &[OFTEN]).await;
    let client = world.gateway().await;
    // A query by its words, and a write by what its function does.
    let made = "CREATE TABLE t (n int);
        CREATE FUNCTION note() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO t VALUES (1) RETURNING inet_server_port()'";
    client.batch_execute(made).await.expect("a function");
    cluster.catch_up(0, 1).await;
    until(async || answering(&client).await == ports(&cluster, &[1])).await;
    for _ in 0..2 {
        assert_eq!(column(&client, "SELECT note()").await, [cluster.port(0)]);
        let row = client.query_one("SELECT note()", &[]).await.expect("a row");
        assert_eq!(row.get::<_, i32>(0).to_string(), cluster.port(0));
    }
    // It counts as a write of the session.
    assert_eq!(column(&client, "SELECT count(*) FROM t").await, ["4"]);
    // An error that the primary would make as well is the statement's own.
    until(async || answering(&client).await == ports(&cluster, &[1])).await;
    let error = client.batch_execute("SELECT 1 / 0").await.expect_err("an error");
    assert_eq!(error.code().map(|code| code.code()), Some("22012"));
}

#[tokio::test]
async fn a_query_that_replay_cancels_is_asked_again() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let world = world(&cluster, &[1], &[OFTEN]).await;
    let client = world.gateway().await;
    let fill = "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 1000)";
    cluster.client(0).await.batch_execute(fill).await.expect("a table");
    cluster.catch_up(0, 1).await;
    let reading =
        tokio::spawn(async move { column(&client, "SELECT count(pg_sleep(0.001)) FROM t").await });
    let replica = cluster.client(1).await;
    let reads = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT count(pg_sleep%'";
    until(async || column(&replica, reads).await == ["1"]).await;
    // The replica has to take the table away from under the query.
    let rewritten = cluster
        .client(0)
        .await
        .batch_execute("TRUNCATE t; INSERT INTO t SELECT generate_series(1, 7)")
        .await;
    rewritten.expect("TRUNCATE");
    assert_eq!(reading.await.expect("an answer"), ["7"]);
}
