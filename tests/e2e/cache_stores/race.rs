//! Writers beside Flywheel and readers through it, at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flywheel_tests::cache::{count, shown};
use flywheel_tests::endpoint::send;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::{Home, Setup, World};
use rand::Rng;
use serde_json::json;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::redis::Beside;
use super::{rule, unique};
use crate::cache_replication::followed;
use crate::redis_servers::Server;

const COUNTERS: usize = 6;
const MAX_LAG: Duration = Duration::from_millis(900);

/// When a counter's writer has been told that a number is written.
type Writes = Mutex<Vec<(Instant, i64)>>;

/// Writers beside Flywheel, readers through it: no answer is older than the lag that is allowed.
async fn race(
    world: &World,
    client: &Client,
    write: impl AsyncFn(usize, i64),
    disturb: impl AsyncFn(usize),
) {
    let told: Arc<Vec<Writes>> = Arc::new((0..COUNTERS).map(|_| Mutex::default()).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (client, told, stop) = (world.gateway().await, told.clone(), stop.clone());
        readers.push(tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let id = rand::rng().random_range(0..COUNTERS);
                let began = Instant::now();
                let sql = match rand::rng().random_range(0..3) {
                    0 => "SELECT max(n) FILTER (WHERE id = 0) FROM counters".to_owned(),
                    _ => format!("SELECT n FROM counters WHERE id = {id}"),
                };
                let id = if sql.contains("FILTER") { 0 } else { id };
                // While the store can't be reached there is no answer.
                let Ok(rows) = client.simple_query(&sql).await else { continue };
                let read = rows.iter().find_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                let read: i64 = read.and_then(|text| text.parse().ok()).expect("a number");
                let told = told[id].lock().await;
                let known =
                    told.iter().rev().find(|(at, _)| *at + MAX_LAG <= began).map_or(0, |(_, n)| *n);
                assert!(
                    read >= known,
                    "counter {id} is {read}, {known} was written {MAX_LAG:?} before"
                );
            }
        }));
    }
    let writing = async {
        for n in 1.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let id = rand::rng().random_range(0..COUNTERS);
            write(id, n).await;
            told[id].lock().await.push((Instant::now(), n));
            tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..25))).await;
        }
    };
    let disturbing = async {
        for round in 0..6 {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            disturb(round).await;
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(writing, disturbing);
    for reader in readers {
        reader.await.expect("no old answer");
    }
    let (hits, fills) = (count(client, "hits").await, count(client, "fills").await);
    let bypasses = shown(client, "bypasses").await;
    assert!(hits > 0 && fills > 0, "{hits} hits, {fills} fills, past it: {bypasses}");
    eprintln!("{hits} hits, {fills} fills, past it: {bypasses}");
}

const COUNTER_ROWS: &str = "CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO counters SELECT i, 0 FROM generate_series(0, 5) i";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_from_redis_is_older_than_the_lag() {
    let server = Server::start(&[]).await;
    let network = Proxy::to(&format!("127.0.0.1:{}", server.port)).await;
    let setup = Setup::default()
        .section(&rule(&["public.counters"], "900ms"))
        .redis_at(&format!("redis://{}", network.address()))
        .table("public.counters", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client.batch_execute(COUNTER_ROWS).await.expect("a table");
    followed(&client).await;
    let head = format!("{{{}:public.counters:", unique(&world));
    let beside = Mutex::new(Beside::at(&format!("127.0.0.1:{}", server.port)).await);
    let write = async |id: usize, n: i64| {
        beside.lock().await.run(&format!("HSET {head}{id}}} n {n}")).await
    };
    let disturb = async |round: usize| match round {
        1 => {
            // Not the writer's while it waits for its answer.
            let mut beside = beside.lock().await;
            server.cli(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            *beside = Beside::at(&format!("127.0.0.1:{}", server.port)).await;
        }
        2 | 4 => {
            network.becomes(if round == 2 { Network::Forgetful } else { Network::Silent });
            tokio::time::sleep(Duration::from_secs(2)).await;
            network.becomes(Network::Up);
        }
        _ => {}
    };
    race(&world, &client, write, disturb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_from_dynamodb_is_older_than_the_lag() {
    let setup = Setup::default()
        .section(&rule(&["public.counters"], "900ms"))
        .table("public.counters", Home::DynamoDb);
    let Some(world) = setup.start().await else { return };
    let Some(url) = world.servers().dynamodb.first().cloned() else {
        return;
    };
    let client = world.gateway().await;
    client.batch_execute(COUNTER_ROWS).await.expect("a table");
    let table = format!("{}-public.counters", unique(&world));
    let stream = json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
    send(&url, "UpdateTable", &json!({ "TableName": table, "StreamSpecification": stream })).await;
    followed(&client).await;
    let write = async |id: usize, n: i64| {
        let item = json!({ "id": { "N": id.to_string() }, "n": { "N": n.to_string() } });
        send(&url, "PutItem", &json!({ "TableName": table, "Item": item })).await;
    };
    race(&world, &client, write, async |_| {}).await;
}
