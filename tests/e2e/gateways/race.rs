//! Clients of two gateways that write and read the same rows at the same time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flywheel_tests::cache::count;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::world::{Process, column, connect};
use rand::Rng;

use super::{Gateway, MAX_LAG, bypasses, setup, two, url};

/// What the writers were told, and when.
#[derive(Default)]
struct Row {
    told: Mutex<VecDeque<(Instant, i64)>>,
    begun: AtomicI64,
}

impl Row {
    /// What a reader must see at the least who begins now.
    fn least(&self, now: Instant) -> i64 {
        let mut told = self.told.lock().expect("not poisoned");
        let is_past = |told: &VecDeque<(Instant, i64)>, at: usize| {
            told.get(at).is_some_and(|(when, _)| now.duration_since(*when) > MAX_LAG)
        };
        while is_past(&told, 1) {
            told.pop_front();
        }
        if is_past(&told, 0) { told[0].1 } else { 0 }
    }
}

/// Writers through one gateway and readers through another, whose network to Redis is cut from time
/// to time: no read is older than `max_lag` before it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_older_than_the_lag_that_is_allowed() {
    let Some(servers) = flywheel_tests::world::Servers::from_environment() else {
        return;
    };
    let Some(redis) = servers.redis.clone() else { return };
    let Some((world, one, _)) = two(setup(true)).await else { return };
    // The other one's way to Redis.
    let network = Proxy::to(redis.trim_start_matches("redis://")).await;
    let config = std::fs::read_to_string(world.config()).expect("its configuration");
    let path = world.folder().join("other.toml");
    std::fs::write(&path, config.replace(&redis, &format!("redis://{}", network.address())))
        .expect("a configuration");
    let other = Gateway::of(Process::start(["--config".as_ref(), path.as_os_str()]).await).await;
    other.hears().await;
    let wanted: u64 = std::env::var("FLYWHEEL_CACHE_READS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(20_000);
    let rows: Arc<Vec<Row>> = Arc::new((0..16).map(|_| Row::default()).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    drop(one);
    let mut writers = Vec::new();
    for writer in 0..2_usize {
        let (client, rows, stop) = (world.gateway().await, rows.clone(), stop.clone());
        writers.push(tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let id = writer * 8 + rand::rng().random_range(0..8);
                let n = rows[id].begun.fetch_add(1, Ordering::SeqCst) + 1;
                let write = match n % 3 {
                    0 => format!("UPDATE t SET n = {n} WHERE id = {id}"),
                    1 => format!("UPDATE t SET n = {n} WHERE id + 0 = {id}"),
                    _ => format!("BEGIN; UPDATE t SET n = {n} WHERE id = {id}; COMMIT"),
                };
                client.batch_execute(&write).await.expect("a write");
                rows[id].told.lock().expect("not poisoned").push_back((Instant::now(), n));
                let pause = rand::rng().random_range(0..20);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }));
    }
    let mut readers = Vec::new();
    for reader in 0..6 {
        let process = if reader < 4 { &other.process } else { world.process() };
        let (client, rows, reads) = (connect(&url(process)).await, rows.clone(), reads.clone());
        readers.push(tokio::spawn(async move {
            let one = client.prepare("SELECT n FROM t WHERE id = $1").await.expect("a statement");
            while reads.fetch_add(1, Ordering::SeqCst) < wanted {
                let id = rand::rng().random_range(0..16_usize);
                let (least, key) =
                    (rows[id].least(Instant::now()), i32::try_from(id).expect("small"));
                let by_driver = rand::rng().random_bool(0.5);
                let n: i64 = match by_driver {
                    true => client.query_one(&one, &[&key]).await.expect("a row").get(0),
                    false => column(&client, &format!("SELECT n FROM t WHERE id = {key}")).await[0]
                        .parse()
                        .expect("a number"),
                };
                let begun = rows[id].begun.load(Ordering::SeqCst);
                assert!(
                    (least..=begun).contains(&n),
                    "row {id} is {n}, at least {least}, at most {begun}"
                );
            }
        }));
    }
    let cutting = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            for state in [Network::Down, Network::Up, Network::Silent, Network::Up] {
                network.becomes(state);
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
    });
    for reader in readers {
        reader.await.expect("no read that is too old");
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("a writer");
    }
    cutting.abort();
    let figures =
        async |name| (count(&other.client, name).await, count(&world.gateway().await, name).await);
    let (hits, shared) = (figures("hits").await, figures("shared").await);
    eprintln!(
        "hits {hits:?}, taken from the other gateway {shared:?}, past the cache {}",
        bypasses(&other.client).await
    );
    assert!(hits.0 > 0 && hits.1 > 0 && shared.0 > 0, "{hits:?} {shared:?}");
}
