//! Herds, races, outages, and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use flywheel_tests::world::column;
use flywheel_tests::{Setup, World};
use rand::Rng;
use tokio_postgres::Client;

async fn count(client: &Client, name: &str) -> i64 {
    let messages = client.simple_query("SHOW CACHE").await.expect("SHOW CACHE");
    messages
        .iter()
        .find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(name).expect("a column").parse::<i64>().expect("a number")),
            _ => None,
        })
        .expect("a row")
}

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

/// What the writers have committed, and the readers must see.
struct Ledger {
    /// For each row: the number that its writer has been told to be written.
    told: Vec<AtomicI64>,
    /// The number that its writer has begun to write.
    begun: Vec<AtomicI64>,
    stop: AtomicBool,
    reads: AtomicU64,
}

const ROWS: usize = 16;

/// Writers and readers side by side, half of the writers in blocks: no read is older than what was committed before it began, or newer than what was begun when it ended.
/// `FLYWHEEL_CACHE_READS` says for how many reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_older_than_the_last_write() {
    let wanted: u64 = std::env::var("FLYWHEEL_CACHE_READS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(20_000);
    let Some(world) = checked_world("").await else { return };
    let ledger = Arc::new(Ledger {
        told: (0..ROWS).map(|_| AtomicI64::new(0)).collect(),
        begun: (0..ROWS).map(|_| AtomicI64::new(0)).collect(),
        stop: AtomicBool::new(false),
        reads: AtomicU64::new(0),
    });
    let mut writers = Vec::new();
    for writer in 0..4 {
        writers.push(tokio::spawn(write(world.gateway().await, ledger.clone(), writer)));
    }
    let mut readers = Vec::new();
    for reader in 0..12 {
        readers.push(tokio::spawn(read(world.gateway().await, ledger.clone(), reader, wanted)));
    }
    for reader in readers {
        reader.await.expect("no stale read");
    }
    ledger.stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("a writer");
    }
    let client = world.gateway().await;
    let (hits, fills) = (count(&client, "hits").await, count(&client, "fills").await);
    assert!(hits > 0 && fills > 0, "{hits} hits, {fills} fills");
    eprintln!("{} reads, {hits} hits, {fills} fills", ledger.reads.load(Ordering::SeqCst));
}

async fn checked_world(more: &str) -> Option<World> {
    let setup = Setup::default()
        .main("pool_size = 20")
        .section(&format!("[[cache]]\nwhen = {{ database = \"app\" }}\nttl = \"1h\"\n{more}"));
    let world = setup.start().await?;
    let tables =
        "CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO counters SELECT i, 0 FROM generate_series(0, 15) i;
        CREATE TABLE copies (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO copies SELECT * FROM counters;
        CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE copies SET n = NEW.n WHERE id = NEW.id; RETURN NEW; END';
        CREATE TABLE triggered (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO triggered SELECT * FROM counters;
        CREATE TRIGGER copy AFTER UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION copy();
        CREATE VIEW seen AS SELECT * FROM counters";
    world.behind().await.batch_execute(tables).await.expect("tables");
    Some(world)
}

/// Counts its rows up: by key, by a condition, in a block, by a function of the same effect elsewhere.
async fn write(client: Client, ledger: Arc<Ledger>, writer: usize) {
    let by_key = client
        .prepare("UPDATE counters SET n = $2 WHERE id = $1")
        .await
        .expect("a statement");
    let mut turn = 0;
    while !ledger.stop.load(Ordering::SeqCst) {
        let row = writer * 4 + turn % 4;
        let n = ledger.begun[row].fetch_add(1, Ordering::SeqCst) + 1;
        let id = i32::try_from(row).expect("a small number");
        match turn / 4 % 3 {
            0 => drop(client.execute(&by_key, &[&id, &n]).await.expect("a write")),
            1 => client
                .batch_execute(&format!("UPDATE counters SET n = {n} WHERE id = {id}"))
                .await
                .expect("a write"),
            _ => client
                .batch_execute(&format!("BEGIN; UPDATE counters SET n = {n} WHERE id + 0 = {id}; COMMIT"))
                .await
                .expect("a block"),
        }
        client
            .execute("UPDATE triggered SET n = $2 WHERE id = $1", &[&id, &n])
            .await
            .expect("a write");
        ledger.told[row].store(n, Ordering::SeqCst);
        turn += 1;
        let pause = rand::rng().random_range(0..8);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn read(client: Client, ledger: Arc<Ledger>, reader: usize, wanted: u64) {
    let one = client.prepare("SELECT n FROM counters WHERE id = $1").await.expect("a statement");
    let copied = client.prepare("SELECT n FROM copies WHERE id = $1").await.expect("a statement");
    let mut turn = reader;
    while ledger.reads.fetch_add(1, Ordering::SeqCst) < wanted {
        turn += 1;
        let row = rand::rng().random_range(0..ROWS);
        let id = i32::try_from(row).expect("a small number");
        let told = ledger.told[row].load(Ordering::SeqCst);
        let n: i64 = match turn % 4 {
            0 => client.query_one(&one, &[&id]).await.expect("a row").get(0),
            1 => client.query_one(&copied, &[&id]).await.expect("a row").get(0),
            2 => column(&client, &format!("SELECT n FROM seen WHERE id = {id}")).await[0]
                .parse()
                .expect("a number"),
            _ => column(&client, &format!("SELECT n FROM counters WHERE id = {id}")).await[0]
                .parse()
                .expect("a number"),
        };
        let begun = ledger.begun[row].load(Ordering::SeqCst);
        assert!(
            (told..=begun).contains(&n),
            "row {row} is {n}: {told} was told before, {begun} begun until after"
        );
    }
}

/// With writers beside the gateway, an answer is at most as old as its `ttl`.
#[tokio::test]
async fn writes_past_the_gateway_are_seen_after_the_ttl() {
    let ttl = Duration::from_millis(300);
    let setup = Setup::default().section("[[cache]]\nwhen = { tables = [\"beside\"] }\nttl = \"300ms\"");
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
        let seen: usize = column(&client, "SELECT n FROM beside").await[0].parse().expect("a number");
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
