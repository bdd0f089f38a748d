//! What DynamoDB is to be asked with care: pages, batches, limits, rows of other tools, lost
//! answers.

mod world;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_dynamodb::{DynamoStore, Options};
use flywheel_store::{
    Applied, Bound, Change, Effect, Expect, KeyRange, Operation, Store, StoreError, StoreTable,
    conformance::fixture::{int, int4_type, int8_type, key, table, text, text_type},
};
use flywheel_store::{Defines, Writes};
use flywheel_types::{Key, Row, TypeInfo, Value, oid};
use tokio::io::AsyncReadExt;
use world::World;

impl World {
    /// An empty table in this world.
    async fn fresh(&self, name: &str, columns: &[(&str, TypeInfo)], key: &[&str]) -> StoreTable {
        let table = table(name, columns, key);
        self.store.drop_table(&table).await.expect("dropped");
        self.store.create_table(&table).await.expect("made");
        table
    }

    async fn put(&self, table: &StoreTable, row: Row) {
        let applied =
            self.store.write(table, &put(table, Expect::Any, row)).await.expect("written");
        assert!(matches!(applied, Applied::Done(_)));
    }

    async fn get(&self, table: &StoreTable, key: Key) -> Option<Row> {
        self.store.get(table, &[key]).await.expect("read").remove(0)
    }
}

fn put(table: &StoreTable, expect: Expect, row: Row) -> Change {
    Change { key: table.table.key_of(&row), expect, effect: Effect::Put(row) }
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn jsonb_type() -> TypeInfo {
    TypeInfo::new(oid::JSONB, -1, "jsonb")
}

#[tokio::test(flavor = "multi_thread")]
async fn many_large_rows_come_in_pages_and_batches() {
    for world in World::all().await {
        let table = world
            .fresh(
                "live_pages",
                &[("id", text_type()), ("n", int8_type()), ("body", text_type())],
                &["id", "n"],
            )
            .await;
        // 120 rows of 200 KB: past the 100 keys and the 16 MB of a batch, and 24 pages of a query
        let body = text(&"x".repeat(200_000));
        let row = |n: i64| vec![text("p"), int(n), body.clone()];
        for n in 0..120 {
            world.put(&table, row(n)).await;
        }
        let keys: Vec<Key> = (0..125).rev().map(|n| key(&[text("p"), int(n)])).collect();
        let rows = world.store.get(&table, &keys).await.expect("read");
        assert_eq!(rows.len(), 125);
        for (n, found) in (0..125).rev().zip(rows) {
            assert_eq!(found, (n < 120).then(|| row(n)), "row {n}");
        }
        let range = KeyRange {
            partition: text("p"),
            lower: Bound::Excluded(int(9)),
            upper: Bound::Excluded(int(110)),
            descending: true,
        };
        let ns: Vec<Value> = world
            .store
            .range(&table, &range, 1000)
            .await
            .expect("read")
            .into_iter()
            .map(|mut row| row.swap_remove(1))
            .collect();
        assert_eq!(ns, (10..110).rev().map(int).collect::<Vec<_>>());
        assert_eq!(world.store.scan(&table, 120).await.expect("read").len(), 120);
        assert_eq!(
            world.store.scan(&table, 119).await,
            Err(StoreError::TooManyRows { limit: 119 })
        );
        world.store.drop_table(&table).await.expect("dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cant_be_stored_has_no_row() {
    for world in World::all().await {
        let table = world
            .fresh("live_unstorable", &[("id", text_type()), ("tag", text_type())], &["id", "tag"])
            .await;
        world.put(&table, vec![text("a"), text("b")]).await;
        let keys = [
            key(&[text(""), text("b")]),
            key(&[text("a"), text("b")]),
            key(&[text("a"), text(&"x".repeat(1025))]),
        ];
        let rows = world.store.get(&table, &keys).await.expect("read");
        assert_eq!(rows, [None, Some(vec![text("a"), text("b")]), None]);
        let range =
            |lower, upper| KeyRange { partition: text("a"), lower, upper, descending: false };
        let long = text(&"a".repeat(2000));
        for (range, count) in [
            (range(Bound::Excluded(text("")), Bound::Unbounded), 1),
            (range(Bound::Unbounded, Bound::Included(text(""))), 0),
            (range(Bound::Included(long.clone()), Bound::Unbounded), 1),
            (range(Bound::Unbounded, Bound::Included(long)), 0),
        ] {
            assert_eq!(
                world.store.range(&table, &range, 10).await.expect("read").len(),
                count,
                "{range:?}"
            );
        }
        let refused =
            world.store.write(&table, &put(&table, Expect::Any, vec![text(""), text("b")])).await;
        assert!(matches!(refused, Err(StoreError::LimitExceeded { .. })), "{refused:?}");
        let delete = Change { key: keys[0].clone(), expect: Expect::Any, effect: Effect::Delete };
        assert_eq!(world.store.write(&table, &delete).await, Ok(Applied::Done(None)));
        assert_eq!(
            world.store.write_all(&[(&table, delete.clone()), (&table, delete)]).await,
            Ok(true)
        );
        world.store.drop_table(&table).await.expect("dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_named() {
    for world in World::all().await {
        let table = world
            .fresh(
                "live_limits",
                &[("id", int8_type()), ("a", text_type()), ("b", text_type())],
                &["id"],
            )
            .await;
        let half = text(&"x".repeat(250_000));
        let whole = put(&table, Expect::Any, vec![int(1), half.clone(), half.clone()]);
        assert!(matches!(
            world.store.write(&table, &whole).await,
            Err(StoreError::LimitExceeded { .. })
        ));
        // an update, whose item only DynamoDB knows
        world.put(&table, vec![int(1), half.clone(), Value::Null]).await;
        let update = Change {
            key: key(&[int(1)]),
            expect: Expect::Present,
            effect: Effect::Set(vec![(2, flywheel_store::Assignment::Value(half))]),
        };
        let refused = world.store.write(&table, &update).await;
        assert!(matches!(refused, Err(StoreError::LimitExceeded { .. })), "{refused:?}");

        let changes = |count: i64| -> Vec<_> {
            (0..count)
                .map(|id| {
                    (&table, put(&table, Expect::Any, vec![int(id), Value::Null, Value::Null]))
                })
                .collect()
        };
        assert_eq!(world.store.write_all(&changes(100)).await, Ok(true));
        let Err(StoreError::LimitExceeded { what }) = world.store.write_all(&changes(101)).await
        else {
            panic!("applied")
        };
        assert!(what.contains("101 changes") && what.contains("split"), "{what}");
        world.store.drop_table(&table).await.expect("dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_differs_or_is_missing_is_said() {
    for world in World::all().await {
        let table = world
            .fresh("live_definition", &[("id", text_type()), ("n", int8_type())], &["id"])
            .await;
        let other = another_definition(&[("n", int8_type()), ("id", text_type())], &["n", "id"]);
        assert_eq!(
            world.store.check_table(&other).await.expect("compared"),
            [
                "the partition key is \"id\" (S), where the definition has \"n\" (N)",
                "there is no sort key, where the definition has \"id\" (S)"
            ]
        );
        let refused = world.store.create_table(&other).await;
        assert!(
            matches!(&refused, Err(StoreError::Refused { reason }) if reason.contains("another key")),
            "{refused:?}"
        );
        world.store.drop_table(&table).await.expect("dropped");

        let missing = StoreError::NoSuchTable { name: "test-live_definition".to_owned() };
        assert_eq!(
            world.store.check_table(&table).await.expect("compared"),
            ["table \"test-live_definition\" isn't in DynamoDB"]
        );
        let one = key(&[text("a")]);
        assert_eq!(world.store.get(&table, std::slice::from_ref(&one)).await, Err(missing.clone()));
        assert_eq!(
            world.store.get(&table, &[one.clone(), key(&[text("b")])]).await,
            Err(missing.clone())
        );
        assert_eq!(world.store.scan(&table, 1).await, Err(missing.clone()));
        let change = put(&table, Expect::Absent, vec![text("a"), int(1)]);
        assert_eq!(world.store.write(&table, &change).await, Err(missing.clone()));
        let delete = Change { key: key(&[text("b")]), expect: Expect::Any, effect: Effect::Delete };
        assert_eq!(
            world.store.write_all(&[(&table, change), (&table, delete)]).await,
            Err(missing)
        );
        assert_eq!(
            world.store.describe(Operation::Get, &table),
            "GetItem test-live_definition ConsistentRead"
        );
    }
}

fn another_definition(columns: &[(&str, TypeInfo)], key: &[&str]) -> StoreTable {
    table("live_definition", columns, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tool_reads_and_writes_the_table() {
    for world in World::all().await {
        let columns = [
            ("id", text_type()),
            ("doc", jsonb_type()),
            ("price", TypeInfo::new(oid::NUMERIC, ((10 << 16) | 2) + 4, "numeric(10,2)")),
            ("n", int4_type()),
        ];
        let table = world.fresh("live_foreign", &columns, &["id"]).await;
        let tool = world.other_tool();

        world
            .put(
                &table,
                vec![
                    text("ours"),
                    Value::Json(r#"{"n": 1, "tags": ["a", null]}"#.into()),
                    Value::Numeric("1.50".into()),
                    Value::Null,
                ],
            )
            .await;
        let item = tool
            .get_item()
            .table_name("test-live_foreign")
            .key("id", string("ours"))
            .send()
            .await
            .expect("read")
            .item
            .expect("an item");
        let document = HashMap::from([
            ("n".to_owned(), AttributeValue::N("1".to_owned())),
            ("tags".to_owned(), AttributeValue::L(vec![string("a"), AttributeValue::Null(true)])),
        ]);
        assert_eq!(item["doc"], AttributeValue::M(document));
        assert_eq!(item["price"], AttributeValue::N("1.5".to_owned()));
        assert!(!item.contains_key("n"));

        tool.put_item()
            .table_name("test-live_foreign")
            .item("id", string("theirs"))
            .item("doc", AttributeValue::L(vec![AttributeValue::N("1e3".to_owned())]))
            .item("price", AttributeValue::N("2".to_owned()))
            .item("n", AttributeValue::Null(true))
            .item("unknown", string("column"))
            .send()
            .await
            .expect("written");
        let theirs = vec![
            text("theirs"),
            Value::Json("[1000]".into()),
            Value::Numeric("2.00".into()),
            Value::Null,
        ];
        assert_eq!(world.get(&table, key(&[text("theirs")])).await, Some(theirs.clone()));
        let unchanged = put(&table, Expect::Unchanged(theirs.clone()), theirs.clone());
        assert_eq!(world.store.write(&table, &unchanged).await, Ok(Applied::Done(Some(theirs))));

        tool.put_item()
            .table_name("test-live_foreign")
            .item("id", string("wrong"))
            .item("n", string("one"))
            .send()
            .await
            .expect("written");
        assert_eq!(
            world.store.get(&table, &[key(&[text("wrong")])]).await,
            Err(StoreError::Malformed {
                key: "(wrong)".into(),
                attribute: "n".into(),
                expected: "integer".into()
            })
        );
        world.store.drop_table(&table).await.expect("dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_a_wide_row_can_be_compared() {
    for world in World::all().await {
        let names: Vec<String> = (0..100).map(|n| format!("column_with_a_long_name_{n}")).collect();
        let columns: Vec<_> = std::iter::once(("id", int8_type()))
            .chain(names.iter().map(|name| (name.as_str(), int8_type())))
            .collect();
        let table = world.fresh("live_wide", &columns, &["id"]).await;
        let row: Row = (0..=100).map(int).collect();
        world.put(&table, row.clone()).await;
        let unchanged = put(&table, Expect::Unchanged(row.clone()), row.clone());
        assert_eq!(world.store.write(&table, &unchanged).await, Ok(Applied::Done(Some(row))));
        world.store.drop_table(&table).await.expect("dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expiring_tables_are_swept() {
    for world in World::all().await {
        let columns = [
            ("id", text_type()),
            ("until", TypeInfo::new(oid::TIMESTAMPTZ, -1, "timestamp with time zone")),
        ];
        let table = flywheel_store::conformance::fixture::expiring(
            table("live_sweep", &columns, &["id"]),
            "until",
        );
        world.store.drop_table(&table).await.expect("dropped");
        world.store.create_table(&table).await.expect("made");
        let answer = world
            .other_tool()
            .describe_time_to_live()
            .table_name("test-live_sweep")
            .send()
            .await
            .expect("described");
        let description = answer.time_to_live_description.expect("a description");
        assert_eq!(description.attribute_name.as_deref(), Some("flywheel_ttl"));
        world.store.drop_table(&table).await.expect("dropped");
    }
}

/// A server that takes requests and hangs up.
async fn hangs_up() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut bytes = [0; 4096];
            if connection.read(&mut bytes).await.is_ok_and(|count| count > 0) {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (endpoint, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_isnt_sent_again() {
    let (endpoint, requests) = hangs_up().await;
    let store = world::store(&endpoint).await;
    let table = table("live_lost", &[("id", int8_type())], &["id"]);
    let change = put(&table, Expect::Absent, vec![int(1)]);
    assert!(matches!(store.write(&table, &change).await, Err(StoreError::Unavailable { .. })));
    assert_eq!(requests.load(Ordering::SeqCst), 1, "a write is sent once");
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable { .. })));
    assert!(requests.load(Ordering::SeqCst) > 2, "a read is sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_endpoint_needs_no_region_and_no_credentials() {
    let world = World::start().await;
    let options = Options {
        region: None,
        endpoint: Some(world.endpoint.clone()),
        table_prefix: String::new(),
        timeout: Duration::from_secs(5),
        credentials: None,
    };
    assert_eq!(DynamoStore::connect(options).await.ping().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_isnt_there_is_said() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let Err(StoreError::Unavailable { reason }) = world::store(&endpoint).await.ping().await else {
        panic!("an answer")
    };
    assert!(reason.contains("refused"), "{reason}");
}
