//! Reading, for any store: over rows that are there already.

use flywheel_types::{Key, Row, Value};

use super::same;
use crate::{Bound, KeyRange, Store, StoreError, StoreTable};

/// What every store does with a table that holds these rows and no others. They are of at least two
/// partitions, of which one has at least two rows where the key has further columns. `absent` is
/// the key of no row.
///
/// # Panics
/// The store does otherwise.
pub async fn check_reads(store: &dyn Store, table: &StoreTable, rows: &[Row], absent: &Key) {
    let definition = &table.table;
    store.accepts(table).expect("the store accepts the table");
    store.ping().await.expect("ping");
    let problems = store.check_table(table).await.expect("check_table");
    assert!(problems.is_empty(), "{problems:?}");

    let keys: Vec<Key> = rows.iter().map(|row| definition.key_of(row)).collect();
    let (mut asked, mut expected) = (vec![absent.clone()], vec![None]);
    asked.extend(keys.iter().rev().cloned());
    expected.extend(rows.iter().rev().cloned().map(Some));
    same(&store.get(table, &asked).await.expect("get"), &expected, "get in the keys' order");
    same(&store.get(table, &[]).await.expect("get"), &Vec::new(), "get of no key");

    let sorted = |mut rows: Vec<Row>| {
        rows.sort_by_cached_key(|row| format!("{row:?}"));
        rows
    };
    let scanned = store.scan(table, rows.len()).await.expect("scan");
    same(&sorted(scanned), &sorted(rows.to_vec()), "scan");
    for limit in [0, 1, rows.len(), rows.len() + 1] {
        let some = store.some(table, limit).await.expect("some").expect("they are close together");
        assert!(some.len() == limit.min(rows.len()) && some.iter().all(|row| rows.contains(row)));
    }
    let refused = store.scan(table, rows.len() - 1).await;
    assert_eq!(refused, Err(StoreError::TooManyRows { limit: rows.len() - 1 }), "too many rows");

    for key in &keys {
        check_range(store, table, rows, key.partition()).await;
    }
}

/// The ranges of one partition.
async fn check_range(store: &dyn Store, table: &StoreTable, rows: &[Row], partition: &Value) {
    let definition = &table.table;
    let columns = &definition.primary_key;
    let mut of_partition: Vec<Row> =
        rows.iter().filter(|row| row[columns[0]] == *partition).cloned().collect();
    of_partition.sort_by_cached_key(|row| KeyRange::sort_key(columns, row));
    let Some(&sort) = columns.get(1) else { return };
    let range = |lower: Bound, descending: bool| KeyRange {
        partition: partition.clone(),
        lower,
        upper: Bound::Unbounded,
        descending,
    };
    let all = range(Bound::Unbounded, false);
    let found = store.range(table, &all, usize::MAX).await.expect("range");
    same(&found, &of_partition, "a whole partition");
    let first = of_partition[0][sort].clone();
    let beyond: Vec<Row> = of_partition.iter().filter(|row| row[sort] != first).cloned().collect();
    let found = store.range(table, &range(Bound::Excluded(first), false), usize::MAX).await;
    same(&found.expect("range"), &beyond, "beyond the first");
    of_partition.reverse();
    let found = store.range(table, &range(Bound::Unbounded, true), 1).await.expect("range");
    same(&found[..], &of_partition[..1], "the last row");
}
