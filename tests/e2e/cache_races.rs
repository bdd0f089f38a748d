//! Writers and readers side by side: no answer is older than it may be, nor newer than what is
//! written.
//!
//! `FLYWHEEL_CACHE_READS` says for how many reads each race goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flywheel_tests::cache::shown;
use flywheel_tests::world::{column, connect, until};
use flywheel_tests::{Cluster, Setup, World};
use rand::Rng;
use tokio::sync::Mutex;
use tokio_postgres::Client;

const ROWS: usize = 16;
const WRITERS: usize = 4;
const READERS: usize = 12;

const TABLES: &str =
    "CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO counters SELECT i, 0 FROM generate_series(0, 15) i;
    CREATE TABLE copies (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO copies SELECT * FROM counters;
    CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE copies SET n = NEW.n WHERE id = NEW.id; RETURN NEW; END';
    CREATE TABLE triggered (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO triggered SELECT * FROM counters;
    CREATE TRIGGER copy AFTER UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION copy();
    CREATE VIEW seen AS SELECT * FROM counters";

/// By whom answers are ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// By the writers, who go through the gateway.
    Writes,
    /// By what replication tells of writers beside it, so long after.
    Replication(Duration),
}

impl Mode {
    const fn lag(self) -> Duration {
        match self {
            Self::Writes => Duration::ZERO,
            Self::Replication(lag) => lag,
        }
    }

    fn rule(self) -> String {
        match self {
            Self::Writes => "[[cache]]\nwhen = { database = \"app\" }\nttl = \"1h\"".to_owned(),
            Self::Replication(lag) => format!(
                "[[cache]]\nwhen = {{ tables = [\"counters\", \"copies\", \"triggered\"] }}\nttl = \"1h\"\ninvalidate = \"replication\"\nmax_lag = \"{}ms\"",
                lag.as_millis()
            ),
        }
    }
}

/// What the writers have committed, and the readers must see.
struct Ledger {
    mode: Mode,
    /// For each row: the numbers that its writer has been told to be written, and when.
    told: Vec<Mutex<Vec<(Instant, i64)>>>,
    /// The number that its writer has begun to write.
    begun: Vec<AtomicI64>,
    stop: AtomicBool,
    reads: AtomicU64,
    wanted: u64,
}

impl Ledger {
    fn new(mode: Mode) -> Arc<Self> {
        let wanted =
            std::env::var("FLYWHEEL_CACHE_READS").ok().and_then(|number| number.parse().ok());
        Arc::new(Self {
            mode,
            told: (0..ROWS).map(|_| Mutex::default()).collect(),
            begun: (0..ROWS).map(|_| AtomicI64::new(0)).collect(),
            stop: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            wanted: wanted.unwrap_or(10_000),
        })
    }

    /// A number that was read of a row, from `began` on.
    async fn check(&self, row: usize, n: i64, began: Instant) {
        let begun = self.begun[row].load(Ordering::SeqCst);
        let told = self.told[row].lock().await;
        let known =
            told.iter().rev().find(|(at, _)| *at + self.mode.lag() <= began).map_or(0, |(_, n)| *n);
        assert!(
            (known..=begun).contains(&n),
            "row {row} is {n}: {known} was told {:?} before, {begun} begun until after",
            self.mode.lag()
        );
    }
}

/// Counts its rows up: by key, by a condition, in a block, by a trigger.
async fn write(client: Client, ledger: Arc<Ledger>, writer: usize) {
    let by_key =
        client.prepare("UPDATE counters SET n = $2 WHERE id = $1").await.expect("a statement");
    let mut turn = 0;
    while !ledger.stop.load(Ordering::SeqCst) {
        let row = writer * (ROWS / WRITERS) + turn % (ROWS / WRITERS);
        let n = ledger.begun[row].fetch_add(1, Ordering::SeqCst) + 1;
        let id = i32::try_from(row).expect("a small number");
        match turn / 4 % 3 {
            0 => drop(client.execute(&by_key, &[&id, &n]).await.expect("a write")),
            1 => client
                .batch_execute(&format!("UPDATE counters SET n = {n} WHERE id = {id}"))
                .await
                .expect("a write"),
            _ => client
                .batch_execute(&format!(
                    "BEGIN; UPDATE counters SET n = {n} WHERE id + 0 = {id}; COMMIT"
                ))
                .await
                .expect("a block"),
        }
        client
            .execute("UPDATE triggered SET n = $2 WHERE id = $1", &[&id, &n])
            .await
            .expect("a write");
        ledger.told[row].lock().await.push((Instant::now(), n));
        turn += 1;
        let pause = rand::rng().random_range(0..8);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn read(client: Client, ledger: Arc<Ledger>, reader: usize) {
    let one = client.prepare("SELECT n FROM counters WHERE id = $1").await.expect("a statement");
    let copied = client.prepare("SELECT n FROM copies WHERE id = $1").await.expect("a statement");
    let mut turn = reader;
    while ledger.reads.fetch_add(1, Ordering::SeqCst) < ledger.wanted {
        turn += 1;
        let row = rand::rng().random_range(0..ROWS);
        let id = i32::try_from(row).expect("a small number");
        let began = Instant::now();
        let simple = async |sql: &str, at: usize| {
            column(&client, sql).await[at].parse::<i64>().expect("a number")
        };
        let n: i64 = match (turn % 4, ledger.mode) {
            (0, _) => client.query_one(&one, &[&id]).await.expect("a row").get(0),
            (1, _) => client.query_one(&copied, &[&id]).await.expect("a row").get(0),
            (2, Mode::Writes) => simple(&format!("SELECT n FROM seen WHERE id = {id}"), 0).await,
            (2, Mode::Replication(_)) => simple("SELECT n FROM counters ORDER BY id", row).await,
            _ => simple(&format!("SELECT n FROM counters WHERE id = {id}"), 0).await,
        };
        ledger.check(row, n, began).await;
    }
}

/// Columns of SHOW CACHE's first row.
/// The race itself; writers beside the gateway log in at `beside`.
async fn race(world: &World, mode: Mode, beside: &str) {
    let client = world.gateway().await;
    if mode != Mode::Writes {
        until("a lag", async || !shown(&client, "lag_ms").await.is_empty()).await;
    }
    let ledger = Ledger::new(mode);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let client = match mode {
            Mode::Writes => world.gateway().await,
            Mode::Replication(_) => connect(beside).await,
        };
        writers.push(tokio::spawn(write(client, ledger.clone(), writer)));
    }
    let mut readers = Vec::new();
    for reader in 0..READERS {
        readers.push(tokio::spawn(read(world.gateway().await, ledger.clone(), reader)));
    }
    let disturber = (mode != Mode::Writes).then(|| tokio::spawn(end_streams(beside.to_owned())));
    for reader in readers {
        reader.await.expect("no answer that is too old");
    }
    ledger.stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("a writer");
    }
    if let Some(disturber) = disturber {
        disturber.abort();
    }
    let (hits, fills) = (shown(&client, "hits").await, shown(&client, "fills").await);
    let past = shown(&client, "bypasses").await;
    let writes: i64 = ledger.begun.iter().map(|row| row.load(Ordering::SeqCst)).sum();
    let reads = ledger.wanted;
    eprintln!("{reads} reads, {hits} hits, {fills} fills, past it: {past:?}; {writes} writes");
    assert!(hits != "0" && fills != "0", "{hits} hits, {fills} fills, past it: {past}");
}

/// Streams that end, and are begun anew.
async fn end_streams(beside: String) {
    let behind = connect(&beside).await;
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let sql = "SELECT count(pg_terminate_backend(active_pid)) FROM pg_replication_slots WHERE database = current_database()";
        behind.batch_execute(sql).await.expect("streams that end");
    }
}

/// A gateway in front of a database of the common server.
async fn alone(mode: Mode) -> Option<World> {
    let world = Setup::default().main("pool_size = 20").section(&mode.rule()).start().await?;
    world.behind().await.batch_execute(TABLES).await.expect("tables");
    Some(world)
}

/// The same whose reads go to replicas.
async fn with_replicas(mode: Mode) -> Option<(World, Cluster)> {
    let cluster = Cluster::start(2).await?;
    let replicas = format!(
        "replicas = [{:?}, {:?}]\ncheck_interval = \"20ms\"",
        cluster.url(1),
        cluster.url(2)
    );
    let setup = Setup::default()
        .primary_at(&cluster.url(0))
        .main("pool_size = 15")
        .main(&replicas)
        .section("[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"")
        .section(&mode.rule());
    let world = setup.start().await?;
    cluster.client(0).await.batch_execute(TABLES).await.expect("tables");
    for replica in [1, 2] {
        cluster.catch_up(0, replica).await;
    }
    Some((world, cluster))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_older_than_the_last_write() {
    let Some(world) = alone(Mode::Writes).await else { return };
    race(&world, Mode::Writes, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_older_than_the_last_write_where_replicas_are_read() {
    let Some((world, _cluster)) = with_replicas(Mode::Writes).await else {
        return;
    };
    race(&world, Mode::Writes, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_is_older_than_the_lag() {
    let mode = Mode::Replication(Duration::from_millis(700));
    let Some(world) = alone(mode).await else { return };
    race(&world, mode, world.primary().url()).await;
}

/// Longer, since what goes past the cache is as old as the replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_is_older_than_the_lag_where_replicas_are_read() {
    let mode = Mode::Replication(Duration::from_secs(2));
    let Some((world, cluster)) = with_replicas(mode).await else {
        return;
    };
    race(&world, mode, &cluster.url(0)).await;
}
