//! The AWS SDK's own loop, for benches/stores: consistent reads of single items, by so many tasks
//! at once, for so many seconds. Prints how many a second.
//!
//! `point_reads ENDPOINT TABLE KEY ITEMS TASKS SECONDS`: the table's key is the number KEY, from 1
//! to ITEMS.

use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::Builder;
use rand::Rng;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, table, key, items, tasks, seconds] = &arguments[..] else {
        panic!("point_reads ENDPOINT TABLE KEY ITEMS TASKS SECONDS");
    };
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let (items, tasks, seconds) = (number(items), number(tasks), number(seconds));
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static("eu-central-1"))
        .http_client(Builder::new().build_http())
        .credentials_provider(Credentials::new("test", "test", None, None, "bench"))
        .endpoint_url(endpoint)
        .load()
        .await;
    let client = Client::new(&config);
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds);
    let reads = (0..tasks).map(|_| {
        let (client, table, key) = (client.clone(), table.clone(), key.clone());
        tokio::spawn(async move {
            let mut count = 0_u64;
            while Instant::now() < until {
                let id = rand::rng().random_range(1..=items);
                let read = client
                    .get_item()
                    .table_name(&table)
                    .key(&key, AttributeValue::N(id.to_string()))
                    .consistent_read(true);
                let item = read.send().await.expect("an answer").item;
                assert!(item.is_some(), "item {id} isn't there");
                count += 1;
            }
            count
        })
    });
    let reads: Vec<_> = reads.collect();
    let mut count = 0;
    for read in reads {
        count += read.await.expect("a task");
    }
    println!("{}", (count as f64 / start.elapsed().as_secs_f64()).round());
}
