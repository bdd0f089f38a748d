//! Changes that others make, as streams tell of them.

mod world;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, Put, StreamSpecification, StreamViewType, TransactWriteItem},
};
use flywheel_store::{
    Change, Changed, Effect, Expect, StoreError, StoreTable,
    conformance::{
        Notes,
        fixture::{int, int8_type, key, table, text, text_type},
    },
};
use flywheel_store::{Defines, Feed, Writes};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use world::World;

const OFTEN: Duration = Duration::from_millis(20);

fn visits(name: &str) -> StoreTable {
    table(name, &[("who", text_type()), ("day", int8_type()), ("n", int8_type())], &["who", "day"])
}

async fn switch(client: &Client, table: &str, view: Option<StreamViewType>) {
    let stream = StreamSpecification::builder()
        .stream_enabled(view.is_some())
        .set_stream_view_type(view)
        .build()
        .expect("a specification");
    let switched =
        client.update_table().table_name(table).stream_specification(stream).send().await;
    switched.expect("switched");
}

fn item(who: &str, day: i64) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("who".to_owned(), AttributeValue::S(who.to_owned())),
        ("day".to_owned(), AttributeValue::N(day.to_string())),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_others_change() {
    for world in World::all().await {
        let table = visits("streamed");
        let name = "test-streamed";
        world.store.drop_table(&table).await.expect("dropped");
        let error = world.store.check_follow(&[&table]).await.expect_err("no table");
        assert!(matches!(error, StoreError::NoSuchTable { .. }), "{error}");
        world.store.create_table(&table).await.expect("made");
        let error = world.store.check_follow(&[&table]).await.expect_err("no stream");
        assert!(
            matches!(&error, StoreError::Unsupported { what } if what.contains("\"test-streamed\"") && what.contains("switch DynamoDB Streams on")),
            "{error}"
        );
        let client = world.other_tool();
        switch(&client, name, Some(StreamViewType::KeysOnly)).await;
        client
            .put_item()
            .table_name(name)
            .set_item(Some(item("before", 1)))
            .send()
            .await
            .expect("put");
        world.store.check_follow(&[&table]).await.expect("it can be followed");

        let (notes, tables) = (Notes::default(), [&table]);
        let row = |who: &str, day| (0, Changed::Row(key(&[text(who), int(day)])));
        let test = async {
            notes.changes().await;
            client
                .put_item()
                .table_name(name)
                .set_item(Some(item("ann", 1)))
                .send()
                .await
                .expect("put");
            assert_eq!(notes.changes().await, [row("ann", 1)]);
            let update = client.update_item().table_name(name).set_key(Some(item("ann", 1)));
            let update = update
                .update_expression("SET n = :n")
                .expression_attribute_values(":n", AttributeValue::N("7".into()));
            update.send().await.expect("updated");
            assert_eq!(notes.changes().await, [row("ann", 1)]);
            client
                .delete_item()
                .table_name(name)
                .set_key(Some(item("ann", 1)))
                .send()
                .await
                .expect("deleted");
            assert_eq!(notes.changes().await, [row("ann", 1)]);
            let put = |day| {
                let put = Put::builder()
                    .table_name(name)
                    .set_item(Some(item("bob", day)))
                    .build()
                    .expect("a put");
                TransactWriteItem::builder().put(put).build()
            };
            client
                .transact_write_items()
                .transact_items(put(1))
                .transact_items(put(2))
                .send()
                .await
                .expect("written");
            let mut told = notes.changes().await;
            told.sort_by_key(|change| format!("{change:?}"));
            assert_eq!(told, [row("bob", 1), row("bob", 2)]);
            let own = Change {
                key: key(&[text("own"), int(3)]),
                expect: Expect::Absent,
                effect: Effect::Put(vec![text("own"), int(3), int(0)]),
            };
            world.store.write(&table, &own).await.expect("write");
            assert_eq!(notes.changes().await, [row("own", 3)]);
            assert_eq!(notes.missed(), 1);
        };
        tokio::select! {
            ended = world.store.follow(&tables, OFTEN, &notes) => panic!("{ended:?}"),
            () = test => {}
        }

        // Switched off, and on again: another stream.
        let (ended, ()) = tokio::join!(world.store.follow(&tables, OFTEN, &notes), async {
            notes.all_told().await;
            switch(&client, name, None).await;
        });
        ended.expect_err("it has no stream any more");
        world.store.check_follow(&[&table]).await.expect_err("it has no stream");
        switch(&client, name, Some(StreamViewType::NewAndOldImages)).await;
        let (ended, ()) = tokio::join!(world.store.follow(&tables, OFTEN, &notes), async {
            notes.all_told().await;
            world.store.drop_table(&table).await.expect("dropped");
        });
        ended.expect_err("there is no table any more");
    }
}

/// A stream whose shards end and are followed by others, which no emulator has.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Shards>>);

#[derive(Default)]
struct Shards {
    /// By their names: whom they follow, whether they have ended, the keys of their records.
    all: Vec<(String, Option<String>, bool, Vec<String>)>,
    /// The next reading is refused.
    is_trimmed: bool,
}

impl Scripted {
    fn add(&self, name: &str, parent: Option<&str>) {
        let shard = (name.to_owned(), parent.map(str::to_owned), false, Vec::new());
        self.0.lock().expect("shards").all.push(shard);
    }

    fn record(&self, shard: &str, keys: &[&str]) {
        let mut shards = self.0.lock().expect("shards");
        let found = shards.all.iter_mut().find(|each| each.0 == shard).expect("a shard");
        found.3.extend(keys.iter().map(|&key| key.to_owned()));
    }

    fn end(&self, shard: &str) {
        self.0
            .lock()
            .expect("shards")
            .all
            .iter_mut()
            .find(|each| each.0 == shard)
            .expect("a shard")
            .2 = true;
    }

    fn answer(&self, operation: &str, request: &Json) -> Json {
        let mut shards = self.0.lock().expect("shards");
        if operation == "GetRecords" && std::mem::take(&mut shards.is_trimmed) {
            return json!({ "__type": "com.amazonaws.dynamodb.v20120810#TrimmedDataAccessException", "message": "trimmed" });
        }
        let shard = |name: &str| shards.all.iter().find(|each| each.0 == name).expect("a shard");
        match operation {
            "DescribeTable" => json!({"Table": {"TableName": "t", "LatestStreamArn": "arn:s",
                "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"}}}),
            "DescribeStream" => {
                // A page each.
                let after = request["ExclusiveStartShardId"].as_str();
                let at = after.map_or(0, |after| {
                    1 + shards.all.iter().position(|each| each.0 == after).expect("a shard")
                });
                let page = shards.all.get(at).map(|(name, parent, has_ended, _)| {
                    let range = if *has_ended {
                        json!({"StartingSequenceNumber": "1", "EndingSequenceNumber": "2"})
                    } else {
                        json!({"StartingSequenceNumber": "1"})
                    };
                    json!({"ShardId": name, "ParentShardId": parent, "SequenceNumberRange": range})
                });
                let last = shards
                    .all
                    .get(at)
                    .filter(|_| at + 1 < shards.all.len())
                    .map(|each| each.0.clone());
                json!({"StreamDescription": {"StreamArn": "arn:s", "StreamStatus": "ENABLED",
                    "Shards": page.into_iter().collect::<Vec<_>>(), "LastEvaluatedShardId": last}})
            }
            "GetShardIterator" => {
                let name = request["ShardId"].as_str().expect("a shard");
                let at =
                    if request["ShardIteratorType"] == "LATEST" { shard(name).3.len() } else { 0 };
                json!({"ShardIterator": format!("{name} {at}")})
            }
            "GetRecords" => {
                let (name, at) = request["ShardIterator"]
                    .as_str()
                    .and_then(|at| at.split_once(' '))
                    .expect("an iterator");
                let (_, _, has_ended, keys) = shard(name);
                let at: usize = at.parse().expect("a number");
                let page: Vec<_> = keys[at..].iter().take(1000).collect();
                let end = at + page.len();
                let next = (!has_ended || end < keys.len()).then(|| format!("{name} {end}"));
                let record = |key: &&String| json!({"dynamodb": {"Keys": {"word": {"S": key}}, "SizeBytes": 10}});
                json!({"Records": page.iter().map(record).collect::<Vec<_>>(), "NextShardIterator": next})
            }
            other => panic!("{other}"),
        }
    }

    /// Serves HTTP; its address.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let this = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = this.clone();
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    loop {
                        let (mut operation, mut length, mut line) =
                            (String::new(), 0, String::new());
                        while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                            let (name, value) = line.split_once(':').unwrap_or_default();
                            match name.to_ascii_lowercase().as_str() {
                                "x-amz-target" => {
                                    operation = value
                                        .trim()
                                        .rsplit('.')
                                        .next()
                                        .unwrap_or_default()
                                        .to_owned()
                                }
                                "content-length" => {
                                    length = value.trim().parse().expect("a length")
                                }
                                _ => {}
                            }
                            line.clear();
                        }
                        if operation.is_empty() {
                            return;
                        }
                        let mut body = vec![0; length];
                        stream.read_exact(&mut body).await.expect("a body");
                        let answer = this
                            .answer(&operation, &serde_json::from_slice(&body).expect("JSON"))
                            .to_string();
                        let status =
                            if answer.contains("__type") { "400 Bad Request" } else { "200 OK" };
                        let head = format!(
                            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
                            answer.len()
                        );
                        if stream.write_all((head + &answer).as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        format!("http://{address}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_end_are_followed() {
    let scripted = Scripted::default();
    for (shard, parent) in [("old", None), ("a", Some("old")), ("b", Some("old"))] {
        scripted.add(shard, parent);
    }
    scripted.record("old", &["long ago"]);
    scripted.end("old");
    scripted.record("a", &["before"]);
    let store = world::store(&scripted.serve().await).await;
    let table = table("t", &[("word", text_type())], &["word"]);
    let (notes, tables) = (Notes::default(), [&table]);
    let row = |word: &str| (0, Changed::Row(key(&[text(word)])));
    let test = async {
        assert_eq!(notes.changes().await, []);
        scripted.record("a", &["one"]);
        assert_eq!(notes.changes().await, [row("one")]);
        // Split: the parent's rest, and all of its children.
        scripted.record("a", &["two"]);
        scripted.add("a1", Some("a"));
        scripted.record("a1", &["three"]);
        scripted.add("a2", Some("a"));
        scripted.end("a");
        let mut told = notes.changes().await;
        told.sort_by_key(|change| format!("{change:?}"));
        assert_eq!(told, [row("three"), row("two")]);
        // More generations than one between two looks.
        scripted.end("b");
        scripted.add("b1", Some("b"));
        scripted.record("b1", &["four"]);
        scripted.end("b1");
        scripted.add("b2", Some("b1"));
        scripted.record("b2", &["five"]);
        let mut told = notes.changes().await;
        told.sort_by_key(|change| format!("{change:?}"));
        assert_eq!(told, [row("five"), row("four")]);
        // More than an answer holds.
        let many: Vec<_> = (0..2500).map(|n| format!("w{n}")).collect();
        scripted.record("b2", &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(notes.changes().await.len(), 2500);
        // What was to be read next isn't there any more.
        let missed = notes.missed();
        scripted.0.lock().expect("shards").is_trimmed = true;
        notes.changes().await;
        assert!(notes.missed() > missed);
        scripted.record("b2", &["after"]);
        assert_eq!(notes.changes().await.last(), Some(&row("after")));
        let missed = notes.missed();
        // While nobody follows, nothing is known.
        scripted.end("a2");
        let late = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scripted.add("a3", Some("a2"));
            scripted.record("a3", &["six"]);
        };
        let (told, ()) = tokio::join!(notes.changes(), late);
        assert_eq!(told, [row("six")]);
        assert_eq!(notes.missed(), missed);
    };
    tokio::select! {
        ended = store.follow(&tables, OFTEN, &notes) => panic!("{ended:?}"),
        () = test => {}
    }
    let (ended, ()) = tokio::join!(store.follow(&tables, OFTEN, &notes), async {
        notes.all_told().await;
        ["a1", "a3", "b2"].iter().for_each(|shard| scripted.end(shard));
    });
    let error = ended.expect_err("the stream has ended");
    assert!(error.to_string().contains("all shards"), "{error}");
}
