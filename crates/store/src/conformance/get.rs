//! Rows by their keys, and all rows.

use super::{Suite, delete, fixture::*, same};
use crate::{Expect, StoreError};

/// Past DynamoDB's hundred keys a request.
const MANY: i64 = 230;

pub(super) async fn check(suite: &Suite) {
    many_with_gaps(suite).await;
    tricky_partitions(suite).await;
}

async fn many_with_gaps(suite: &Suite) {
    let columns = [("id", int8_type()), ("name", text_type())];
    let table = suite.fresh("get", &columns, &["id"]).await;
    same(&suite.store.get(&table, &[]).await.expect("get of no keys"), &vec![], "no keys, no rows");

    let row = |id: i64| vec![int(id), text(&format!("name {id}"))];
    for id in (0..MANY).filter(|id| id % 3 != 0) {
        suite.put(&table, row(id)).await;
    }
    // Neither ascending nor in the order of writing.
    let order: Vec<i64> = (0..MANY).map(|step| (step * 7 + 3) % MANY).collect();
    let keys: Vec<_> = order.iter().map(|&id| key(&[int(id)])).collect();
    let expected: Vec<_> = order.iter().map(|&id| (id % 3 != 0).then(|| row(id))).collect();
    same(
        &suite.store.get(&table, &keys).await.expect("get of many"),
        &expected,
        "rows in the order of the keys, gaps where there is none",
    );

    let count = expected.iter().flatten().count();
    let mut all = suite.store.scan(&table, count).await.expect("scan at the limit");
    all.sort_by_key(|row| match row[0] {
        flywheel_types::Value::Int(id) => id,
        _ => i64::MIN,
    });
    let expected: Vec<_> = (0..MANY).filter(|id| id % 3 != 0).map(row).collect();
    same(&all, &expected, "scan gives each row once");
    same(
        &suite.store.scan(&table, count - 1).await,
        &Err(StoreError::TooManyRows { limit: count - 1 }),
        "scan over the limit",
    );
    for limit in [0, 1, 7, count, count + 1] {
        let some = suite.store.some(&table, limit).await.expect("some");
        let some = some.expect("a table alone has its rows close together");
        same(&some.len(), &limit.min(count), "as many as are asked for");
        let distinct: std::collections::HashSet<_> =
            some.iter().map(|row| table.table.key_of(row)).collect();
        assert!(distinct.len() == some.len() && some.iter().all(|row| all.contains(row)));
    }
    same(
        &suite.store.scan(&table, usize::MAX).await.expect("scan").len(),
        &count,
        "scan without a limit",
    );
    suite.drop(&table).await;
}

/// Keys that would meet if a store glued names and values without escaping.
async fn tricky_partitions(suite: &Suite) {
    let columns = [("a", text_type()), ("b", text_type()), ("n", int8_type())];
    let table = suite.fresh("get_tricky", &columns, &["a", "b"]).await;
    let keys = [
        ["a", "b:c"],
        ["a:b", "c"],
        ["a}", "b"],
        ["a", "}b"],
        ["{a}", "b"],
        ["a%3A", "b"],
        ["a%", "3A:b"],
        ["a", "*"],
        ["a*", "?"],
        ["[a]", "\\"],
        ["a", " "],
        ["a", "\u{1}\n"],
        ["é", "日本"],
        ["e\u{301}", "😀"],
        ["A", "b"],
    ]
    .map(|parts| key(&parts.map(text)));
    for (position, key) in (0..).zip(&keys) {
        let row = vec![key.values()[0].clone(), key.values()[1].clone(), int(position)];
        suite.put(&table, row).await;
    }
    let rows = suite.store.get(&table, &keys).await.expect("get");
    for (position, row) in (0..).zip(rows) {
        let row = row.expect("the row of its own key");
        same(&row[2], &int(position), "each key has its own row");
    }
    assert_eq!(suite.store.scan(&table, 100).await.expect("scan").len(), keys.len());
    for key in &keys {
        suite.write(&table, delete(key, Expect::Present)).await;
    }
    same(&suite.store.scan(&table, 100).await.expect("scan"), &vec![], "all deleted");
    suite.drop(&table).await;
}
