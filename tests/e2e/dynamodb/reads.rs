//! What a read asks DynamoDB for.

use flywheel_tests::world::column;
use serde_json::json;

use super::{behind, behind_with};

#[tokio::test]
async fn a_read_asks_for_the_columns_that_it_needs() {
    let Some((_world, client, endpoint)) =
        behind("id int PRIMARY KEY, a text, b text NOT NULL, c text", "allow_scan = true").await
    else {
        return;
    };
    client.batch_execute("INSERT INTO t VALUES (1, 'a', 'b', 'c')").await.expect("a row");
    let asked = async |sql: &str, operation: &str, answer: &[&str]| {
        endpoint.reset();
        assert_eq!(column(&client, sql).await, answer, "{sql}");
        let request =
            endpoint.seen(operation).pop().unwrap_or_else(|| panic!("{operation} for {sql}"));
        let mut names: Vec<_> = request.body["ExpressionAttributeNames"]
            .as_object()
            .map(|names| {
                names.values().map(|name| name.as_str().unwrap_or_default().to_owned()).collect()
            })
            .unwrap_or_default();
        // It is always asked whether the item is a row.
        names.retain(|name| name != "flywheel_absent");
        names.sort();
        (names.join(","), request.body["ProjectionExpression"].is_string())
    };
    assert_eq!(
        asked("SELECT a FROM t WHERE id = 1", "GetItem", &["a"]).await,
        ("a,id".into(), true)
    );
    assert_eq!(
        asked("SELECT upper(b) FROM t WHERE id = 1", "GetItem", &["B"]).await,
        ("b,id".into(), true)
    );
    assert_eq!(
        asked("SELECT count(*) FROM t WHERE c = 'c'", "Scan", &["1"]).await,
        ("c,id".into(), true)
    );
    assert_eq!(asked("SELECT (t).b FROM t", "Scan", &["b"]).await, (String::new(), false));
    assert_eq!(asked("SELECT b || c FROM t", "Scan", &["bc"]).await, ("b,c,id".into(), true));
    assert_eq!(
        asked("SELECT to_jsonb(t) ->> 'c' FROM t", "Scan", &["c"]).await,
        (String::new(), false)
    );
}

#[tokio::test]
async fn a_large_scan_is_read_in_segments() {
    for (keys, segments) in [("", 4), ("scan_segments = 2", 2), ("scan_segments = 1", 1)] {
        let keys = format!("allow_scan = true\n{keys}");
        // A busy machine takes its time for megabytes: that isn't what is asked here.
        let behind = behind_with("id int PRIMARY KEY, v text", &keys, "60s").await;
        let Some((_world, client, endpoint)) = behind else { return };
        // More than a page of 1 MB.
        client
            .batch_execute("BEGIN; INSERT INTO t SELECT i, repeat('x', 30000) FROM generate_series(1, 60) i; COMMIT")
            .await
            .expect("rows");
        endpoint.reset();
        assert_eq!(
            column(&client, "SELECT count(*), sum(id), sum(length(v)) FROM t").await,
            ["60"]
        );
        let parts: std::collections::BTreeSet<_> = endpoint
            .seen("Scan")
            .iter()
            .filter_map(|scan| {
                Some((scan.body["Segment"].as_u64()?, scan.body["TotalSegments"].as_u64()?))
            })
            .collect();
        let expected = (0..segments).map(|segment| (segment, segments)).filter(|_| segments > 1);
        assert_eq!(parts, expected.collect(), "{keys}");
    }
}

#[tokio::test]
async fn a_limit_is_pushed_down_when_nothing_is_left_to_check() {
    let Some((_world, client, endpoint)) =
        behind("a text, b int, c int, PRIMARY KEY (a, b)", "").await
    else {
        return;
    };
    client
        .batch_execute(
            "BEGIN; INSERT INTO t SELECT 'x', i, i % 2 FROM generate_series(1, 50) i; COMMIT",
        )
        .await
        .expect("rows");
    endpoint.reset();
    assert_eq!(
        column(&client, "SELECT b FROM t WHERE a = 'x' ORDER BY b DESC LIMIT 3").await,
        ["50", "49", "48"]
    );
    assert_eq!(
        column(&client, "SELECT b FROM t WHERE a = 'x' AND c = 1 ORDER BY b LIMIT 2").await,
        ["1", "3"]
    );
    let limits: Vec<_> = endpoint
        .seen("Query")
        .iter()
        .map(|query| query.body["Limit"].as_u64().unwrap_or_default())
        .collect();
    assert_eq!(limits.len(), 2, "{limits:?}");
    assert_eq!(limits[0], 3);
    assert!(limits[1] > 1000, "the condition on c is checked after: {limits:?}");
}

#[tokio::test]
async fn expired_rows_are_left_to_dynamodb_and_never_seen() {
    let keys = "expires_at = \"gone_at\"\nallow_scan = true\nindexes = [{ name = \"by_owner\", columns = [\"owner\"], consistent_read = false }]";
    let Some((_world, client, endpoint)) =
        behind("id int PRIMARY KEY, owner text, gone_at timestamptz", keys).await
    else {
        return;
    };
    client
        .batch_execute("INSERT INTO t VALUES (1, 'ann', '2001-02-03 04:05:06.5+00'), (2, 'ann', '2999-01-01 00:00+00'), (3, 'ann', NULL)")
        .await
        .expect("rows");
    let seen = endpoint.seen("TransactWriteItems").pop().expect("the rows");
    assert_eq!(
        seen.body["TransactItems"][0]["Put"]["Item"]["flywheel_ttl"],
        json!({ "N": "981173107" }),
        "seconds, rounded up"
    );
    for sql in [
        "SELECT id FROM t ORDER BY id",
        "SELECT id FROM t WHERE id IN (1, 2, 3) ORDER BY id",
        "SELECT id FROM t WHERE owner = 'ann' ORDER BY id",
    ] {
        assert_eq!(column(&client, sql).await, ["2", "3"], "{sql}");
    }
    assert_eq!(column(&client, "SELECT id FROM t WHERE id = 1").await, Vec::<String>::new());
    client
        .batch_execute("INSERT INTO t VALUES (1, 'bob', '2999-01-01')")
        .await
        .expect("the expired row's place is free");
}
