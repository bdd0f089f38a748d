//! Herds, outages, and memory.

use std::time::Duration;

use flywheel_tests::Setup;
use flywheel_tests::cache::count;
use flywheel_tests::world::column;

/// A thousand clients ask for what isn't there yet: PostgreSQL is asked once.
#[tokio::test(flavor = "multi_thread")]
async fn a_herd_makes_one_fill() {
    let setup = Setup::default()
        .key("max_connections = 2000")
        .section("[[cache]]\nwhen = { tables = [\"slow\"] }\nttl = \"1h\"");
    let Some(world) = setup.start().await else { return };
    let tables = "CREATE TABLE slow (id int); INSERT INTO slow VALUES (1)";
    world.behind().await.batch_execute(tables).await.expect("tables");
    let mut clients = Vec::new();
    for _ in 0..1000 {
        clients.push(world.gateway().await);
    }
    let behind = world.behind().await;
    let scans = async || -> i64 {
        let sql = "SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables WHERE relname = 'slow' AND n_tup_ins = 1";
        behind.query_one(sql, &[]).await.expect("a row").get(0)
    };
    let before = scans().await;
    let read = "SELECT count(*), max(md5(repeat('x', 50000000 + id))) FROM slow";
    let asked = clients.iter().map(|client| client.simple_query(read));
    let answers = futures_util::future::join_all(asked).await;
    for answer in &answers {
        assert!(answer.as_ref().expect("an answer").len() > 1);
    }
    let (fills, hits) = (count(&clients[0], "fills").await, count(&clients[0], "hits").await);
    let (waits, misses) = (count(&clients[0], "waits").await, count(&clients[0], "misses").await);
    assert_eq!((fills, misses, hits + waits), (1, 1, 999));
    // What the server itself has counted, which it tells after a while.
    let mut seen = before;
    for _ in 0..150 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        seen = scans().await;
        if seen > before {
            break;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((seen - before, scans().await - before), (1, 1));
}

/// With writers beside the gateway, an answer is at most as old as its `ttl`.
#[tokio::test]
async fn writes_past_the_gateway_are_seen_after_the_ttl() {
    let ttl = Duration::from_millis(300);
    let setup =
        Setup::default().section("[[cache]]\nwhen = { tables = [\"beside\"] }\nttl = \"300ms\"");
    let Some(world) = setup.start().await else { return };
    let behind = world.behind().await;
    behind
        .batch_execute("CREATE TABLE beside (n int); INSERT INTO beside VALUES (0)")
        .await
        .expect("a table");
    let client = world.gateway().await;
    // When each number was written.
    let mut written = vec![std::time::Instant::now()];
    let mut olds = 0;
    for n in 1..=200_usize {
        if n % 5 == 0 {
            behind.batch_execute("UPDATE beside SET n = n + 1").await.expect("a write");
            written.push(std::time::Instant::now());
        }
        let began = std::time::Instant::now();
        let seen: usize =
            column(&client, "SELECT n FROM beside").await[0].parse().expect("a number");
        // What came after it was there only for so long.
        if let Some(next) = written.get(seen + 1) {
            olds += 1;
            assert!(began.duration_since(*next) <= ttl, "{seen} of {}", written.len() - 1);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(olds > 0 && count(&client, "hits").await > 0);
}

#[tokio::test]
async fn stale_answers() {
    let rule = "[[cache]]\nwhen = { tables = [\"t\"] }\nttl = \"100ms\"\nstale_while_revalidate = \"1h\"\nstale_if_error = \"1h\"";
    let Some(mut cluster) = flywheel_tests::Cluster::start(0).await else {
        return;
    };
    let setup = Setup::default()
        .primary_at(&cluster.url(0))
        .main("acquire_timeout = \"500ms\"\nconnect_timeout = \"500ms\"")
        .section(rule);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
        .await
        .expect("a table");
    let read = "SELECT n FROM t";
    let prepared = client.prepare(read).await.expect("a statement");
    let by_driver = async || client.query_one(&prepared, &[]).await.map(|row| row.get::<_, i32>(0));
    assert_eq!(column(&client, read).await, ["1"]);
    assert_eq!(by_driver().await.expect("a row"), 1);
    // Past its time one client reads anew; what a write ends is given to nobody.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(column(&client, read).await, ["1"]);
    client.batch_execute("UPDATE t SET n = 2").await.expect("a write");
    assert_eq!(column(&client, read).await, ["2"]);
    assert_eq!(by_driver().await.expect("a row"), 2);
    // Without a server, too.
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.stop(0).await;
    for _ in 0..3 {
        assert_eq!(column(&client, read).await, ["2"]);
        assert_eq!(by_driver().await.expect("a row"), 2);
    }
    assert!(count(&client, "stale").await >= 6);
    assert!(client.simple_query("SELECT n + 1 FROM t").await.is_err());
}

#[tokio::test]
async fn memory_stays_within_its_limit() {
    let setup = Setup::default()
        .limit("cache_memory = \"1MB\"")
        .section("[[cache]]\nwhen = { tables = [\"t\"] }\nttl = \"1h\"");
    let Some(world) = setup.start().await else { return };
    world
        .behind()
        .await
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, text text); INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i",
        )
        .await
        .expect("a table");
    let client = world.gateway().await;
    let statement = client.prepare("SELECT text FROM t WHERE id = $1").await.expect("a statement");
    // What is asked for often stays, whatever is read once.
    for id in 1..=5000 {
        client.query_one(&statement, &[&id]).await.expect("a row");
        client.query_one(&statement, &[&1]).await.expect("a row");
    }
    let (bytes, entries, hits) = (
        count(&client, "bytes").await,
        count(&client, "entries").await,
        count(&client, "hits").await,
    );
    assert!(bytes <= 1 << 20 && bytes > 1 << 18, "{bytes}");
    assert!(entries > 100, "{entries}");
    assert!(hits > 4900, "{hits}");
}

/// Somebody has locked a part of the catalogue: what Flywheel looks at from time to time waits
/// behind that for a moment only, and doesn't keep the connections of those who have nothing to do
/// with it.
#[tokio::test]
async fn looks_do_not_wait_behind_a_locked_catalogue() {
    let setup = Setup::default()
        .table("kept", flywheel_tests::Home::Memory)
        .main("pool_size = 1\nacquire_timeout = \"2s\"")
        .section("[[cache]]\nwhen = { tables = [\"beside\"] }\nttl = \"1h\"");
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    let tables = "CREATE TABLE beside (n int); INSERT INTO beside VALUES (7);
        CREATE TABLE kept (k int PRIMARY KEY, v int)";
    client.batch_execute(tables).await.expect("tables");
    // A statement that comes before the definitions were read is guarded, and waits as they do.
    for _ in 0..8 {
        assert_eq!(column(&client, "SELECT n FROM beside").await, ["7"]);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let behind = world.behind().await;
    let lock =
        "BEGIN; LOCK TABLE pg_catalog.pg_trigger, pg_catalog.pg_depend IN ACCESS EXCLUSIVE MODE";
    behind.batch_execute(lock).await.expect("a lock");
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(column(&client, "SELECT 1").await, ["1"]);
    }
    behind.batch_execute("COMMIT").await.expect("COMMIT");
    assert_eq!(column(&client, "SELECT n FROM beside").await, ["7"]);
}
