//! Secondary indexes.

use flywheel_store::conformance::fixture::*;
use flywheel_store::{Bound, Defines, Index, Indexes, KeyRange, Store, StoreError, StoreTable};
use flywheel_types::Row;
use redis::AsyncTypedCommands;

use super::{put, start};

#[tokio::test]
async fn an_index_is_whole_or_not_read() {
    let Some((store, mut redis)) = start("layout9:").await else {
        return;
    };
    let columns = [("id", text_type()), ("user_id", int8_type()), ("at", int8_type())];
    let without = table("public.orders", &columns, &["id"]);
    let index = Index {
        name: "by_user".into(),
        columns: vec![1, 2],
        is_eventual: false,
        consistent_read: true,
        projected: None,
    };
    let orders = StoreTable { indexes: vec![index.clone()], ..without.clone() };
    store.drop_table(&orders).await.expect("drop_table");
    let row = |id: &str, at: i64| vec![text(id), int(17), int(at)];
    let range = KeyRange {
        partition: int(17),
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
        descending: false,
    };
    let read = || store.index_range(&orders, &index, &range, 10);
    let is_refused = |answer: Result<Vec<Row>, StoreError>| {
        assert!(
            matches!(&answer, Err(StoreError::Unavailable { reason }) if reason.contains("by_user")),
            "{answer:?}"
        );
    };
    // Rows that were there before the index.
    for at in 0..5 {
        put(&store, &orders, &row(&at.to_string(), -at)).await;
    }
    is_refused(read().await);
    store.find_indexes(&orders, true).await.expect("find_indexes");
    let ats = |rows: Vec<Row>| rows.into_iter().map(|row| row[2].clone()).collect::<Vec<_>>();
    assert_eq!(ats(read().await.expect("rows")), [-4, -3, -2, -1, 0].map(int));
    assert_eq!(redis.zcard("{layout9:public.orders}#by_user:17").await.expect("zcard"), 5);

    // Somebody who doesn't keep it writes.
    let (other, _) = start("layout9:").await.expect("a store");
    put(&other, &without, &row("other", 7)).await;
    is_refused(read().await);
    store.find_indexes(&orders, true).await.expect("find_indexes");
    assert_eq!(ats(read().await.expect("rows")), [-4, -3, -2, -1, 0, 7].map(int));

    // What others delete or change isn't given back.
    redis.del("{layout9:public.orders:other}").await.expect("del");
    redis.hset("{layout9:public.orders:4}", "at", "9").await.expect("hset");
    assert_eq!(ats(read().await.expect("rows")), [-3, -2, -1, 0].map(int));
    assert_eq!(
        redis.zcard("{layout9:public.orders}#by_user:17").await.expect("zcard"),
        5,
        "one is gone"
    );

    // Many who change the same row leave it where the last one put it.
    let writers = (0..20).map(|at| {
        let (store, orders, row) = (store.clone(), orders.clone(), row("0", 100 + at));
        tokio::spawn(async move { put(&store, &orders, &row).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    let last =
        store.get(&orders, &[key(&[text("0")])]).await.expect("get")[0].clone().expect("the row");
    assert_eq!(read().await.expect("rows").last(), Some(&last));
    store.drop_table(&orders).await.expect("drop_table");
    assert!(!redis.exists("{layout9:public.orders}#by_user:17").await.expect("exists"));
    assert!(!redis.exists("{layout9:public.orders}#").await.expect("exists"));
}
