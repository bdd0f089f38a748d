//! A server that isn't there, goes, hangs, comes back, is full.

mod server;

use std::time::{Duration, Instant};

use flywheel_redis::RedisStore;
use flywheel_store::conformance::fixture::*;
use flywheel_store::{
    Applied, Change, Effect, Expect, Layout, Store, StoreError, StoreTable, Writes,
};
use flywheel_types::Value;
use server::Server;

fn words() -> StoreTable {
    table("public.words", &[("word", text_type()), ("n", int8_type())], &["word"])
}

fn change(n: i64) -> Change {
    Change {
        key: key(&[text("a")]),
        expect: Expect::Any,
        effect: Effect::Put(vec![text("a"), int(n)]),
    }
}

async fn is_unavailable<T: std::fmt::Debug>(
    request: impl Future<Output = Result<T, StoreError>>,
    within: Duration,
) {
    let begun = Instant::now();
    let answer = request.await;
    assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    assert!(begun.elapsed() < within, "after {:?}", begun.elapsed());
}

async fn answers(store: &RedisStore) {
    let row: Vec<Value> = vec![text("a"), int(1)];
    assert_eq!(store.write(&words(), &change(1)).await, Ok(Applied::Done(Some(row.clone()))));
    assert_eq!(store.get(&words(), &[key(&[text("a")])]).await, Ok(vec![Some(row)]));
}

const QUICKLY: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_server_may_start_later_and_again() {
    let Some(mut server) = Server::start().await else { return };
    server.kill();
    let store = server::store(&server.url(), "");
    for _ in 0..3 {
        is_unavailable(store.ping(), QUICKLY).await;
        is_unavailable(store.get(&words(), &[key(&[text("a")])]), QUICKLY).await;
        is_unavailable(store.write(&words(), &change(1)), QUICKLY).await;
    }
    server.run().await;
    answers(&store).await;

    // Killed and back while nobody asked: nobody notices, neither a reader nor, after a pause, a
    // writer.
    server.kill();
    server.run().await;
    assert_eq!(
        store.get(&words(), &[key(&[text("a")])]).await,
        Ok(vec![None]),
        "the new server is empty"
    );
    answers(&store).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    server.kill();
    server.run().await;
    answers(&store).await;

    // A new server knows no scripts, and one may be told to forget them.
    let mut redis = server::plain(&server.url()).await;
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut redis).await.expect("script flush");
    answers(&store).await;

    server.kill();
    is_unavailable(store.ping(), QUICKLY).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time() {
    let Some(server) = Server::start().await else { return };
    let limit = Duration::from_millis(200);
    let store = RedisStore::connect_lazy(&server.url(), "", limit).expect("a URL");
    answers(&store).await;
    server.signal("STOP");
    // A write that may have been carried out is said to be so, and isn't sent again.
    let set = Change {
        key: key(&[text("a")]),
        expect: Expect::Unchanged(vec![text("a"), int(1)]),
        effect: Effect::Put(vec![text("a"), int(2)]),
    };
    let answer = store.write(&words(), &set).await;
    assert!(matches!(answer, Err(StoreError::Unknown { .. })), "{answer:?}");
    is_unavailable(store.ping(), limit * 3).await;
    // Many at once wait no longer than one.
    let words = words();
    let keys = [key(&[text("a")])];
    let many = (0..50).map(|_| store.get(&words, &keys));
    let begun = Instant::now();
    for answer in futures_util::future::join_all(many).await {
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    }
    assert!(begun.elapsed() < limit * 4, "after {:?}", begun.elapsed());
    server.signal("CONT");
    let row = vec![text("a"), int(2)];
    assert_eq!(store.get(&words, &keys).await, Ok(vec![Some(row)]), "it was carried out");
    answers(&store).await;
}

#[tokio::test]
async fn many_share_one_connection() {
    let Some(server) = Server::start().await else { return };
    let store = server::store(&server.url(), "");
    let words = words();
    let keys: Vec<_> = (0..200).map(|n| [key(&[text(&n.to_string())])]).collect();
    for answer in
        futures_util::future::join_all(keys.iter().map(|keys| store.get(&words, keys))).await
    {
        assert_eq!(answer, Ok(vec![None]));
    }
    let mut redis = server::plain(&server.url()).await;
    let list: String =
        redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.expect("client list");
    assert_eq!(list.lines().count(), 2, "the store's and this one: {list}");
}

#[tokio::test]
async fn a_replica_is_not_written_to() {
    let Some(server) = Server::start().await else { return };
    let mut redis = server::plain(&server.url()).await;
    let replicaof = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(server::free_port()).to_owned();
    replicaof.exec_async(&mut redis).await.expect("replicaof");
    let store = server::store(&server.url(), "");
    is_unavailable(store.write(&words(), &change(1)), QUICKLY).await;
}

#[tokio::test]
async fn a_server_that_refuses_says_why() {
    let Some(server) = Server::start().await else { return };
    let store = server::store(&server.url(), "");
    answers(&store).await;
    let mut redis = server::plain(&server.url()).await;
    let mut config = async |name: &str, value: &str| {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg(name)
            .arg(value)
            .exec_async(&mut redis)
            .await
            .expect("config set");
    };
    config("maxmemory", "1").await;
    let answer = store.write(&words(), &change(2)).await;
    assert!(matches!(answer, Err(StoreError::Full { .. })), "{answer:?}");
    let new = Change {
        key: key(&[text("new")]),
        expect: Expect::Absent,
        effect: Effect::Put(vec![text("new"), int(1)]),
    };
    for layout in [Layout::Hash, Layout::Json] {
        let table = StoreTable { layout, ..words() };
        let answer = store.write(&table, &new).await;
        assert!(matches!(answer, Err(StoreError::Full { .. })), "a new row: {answer:?}");
        assert_eq!(store.get(&words(), std::slice::from_ref(&new.key)).await, Ok(vec![None]));
    }
    config("maxmemory", "0").await;
    answers(&store).await;

    // TLS asked of a server that has none.
    let url = server.url().replace("redis://", "rediss://");
    is_unavailable(server::store(&url, "").ping(), Duration::from_millis(1_500)).await;

    config("requirepass", "secret").await;
    let stranger = server::store(&server.url(), "");
    let answer = stranger.ping().await;
    assert!(matches!(answer, Err(StoreError::Refused { .. })), "{answer:?}");
    let url = server.url().replace("redis://", "redis://:secret@");
    let friend = server::store(&url, "");
    answers(&friend).await;
    assert!(!format!("{friend:?}").contains("secret"));
}

#[test]
fn a_url_is_checked_at_once() {
    let connect = |url| RedisStore::connect_lazy(url, "", Duration::from_secs(1));
    for url in ["", "localhost", "http://localhost", "redis://host:port", "redis://h/notanumber"] {
        assert!(connect(url).is_err(), "{url}");
    }
    for url in [
        "redis://localhost",
        "redis://user:pw@10.0.0.1:7000/3",
        "rediss://host",
        "unix:///run/redis.sock",
    ] {
        assert!(connect(url).is_ok(), "{url}");
    }
}
