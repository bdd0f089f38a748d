//! What lies in Redis, seen by Redis' own commands, and what others may have put there.

mod indexes;
mod json;
mod rows;
#[path = "../server/mod.rs"]
mod server;
mod sets;

use flywheel_redis::RedisStore;
use flywheel_store::conformance::fixture::*;
use flywheel_store::{
    Applied, Assignment, Bound, Change, Effect, Expect, KeyRange, Store, StoreError, StoreTable,
    Writes, now_micros,
};
use flywheel_types::{Row, Value};
use redis::aio::MultiplexedConnection;

async fn start(prefix: &str) -> Option<(RedisStore, MultiplexedConnection)> {
    let url = server::shared()?;
    Some((server::store(&url, prefix), server::plain(&url).await))
}

async fn put(store: &RedisStore, table: &StoreTable, row: &[Value]) {
    let change = Change {
        key: table.table.key_of(row),
        expect: Expect::Any,
        effect: Effect::Put(row.to_vec()),
    };
    store.write(table, &change).await.expect("write");
}

async fn set(
    store: &RedisStore,
    table: &StoreTable,
    row: &[Value],
    values: &[(usize, Value)],
) -> Applied {
    let change = Change {
        key: table.table.key_of(row),
        expect: Expect::Present,
        effect: Effect::Set(
            values
                .iter()
                .map(|(position, value)| (*position, Assignment::Value(value.clone())))
                .collect(),
        ),
    };
    store.write(table, &change).await.expect("write")
}

async fn all(
    store: &RedisStore,
    table: &StoreTable,
    partition: Value,
) -> Result<Vec<Row>, StoreError> {
    let range =
        KeyRange { partition, lower: Bound::Unbounded, upper: Bound::Unbounded, descending: false };
    store.range(table, &range, 1000).await
}

fn sessions() -> StoreTable {
    let columns = [("token", text_type()), ("user_id", int8_type()), ("until", timestamptz_type())];
    expiring(table("public.sessions", &columns, &["token"]), "until")
}

fn visits() -> StoreTable {
    let columns = [
        ("who", text_type()),
        ("day", int4_type()),
        ("page", text_type()),
        ("until", timestamptz_type()),
    ];
    expiring(table("public.visits", &columns, &["who", "day", "page"]), "until")
}

fn in_seconds(seconds: i64) -> Value {
    Value::Timestamptz(now_micros() + seconds * 1_000_000)
}

fn strings<const N: usize>(pairs: [(&str, &str); N]) -> std::collections::HashMap<String, String> {
    pairs.into_iter().map(|(field, value)| (field.to_owned(), value.to_owned())).collect()
}

async fn ttl(redis: &mut MultiplexedConnection, name: &str) -> i64 {
    redis::cmd("PTTL").arg(name).query_async(redis).await.expect("pttl")
}
