//! A primary and its replica that a sentinel watches.

mod server;

use std::time::Duration;

use flywheel_redis::{Certificates, RedisOptions, RedisStore, Topology};
use flywheel_store::conformance::Notes;
use flywheel_store::conformance::fixture::*;
use flywheel_store::{Applied, Change, Changed, Effect, Expect, Feed, Store, StoreError, Writes};
use server::{Folder, Server, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_of_the_moment() {
    let Some(mut primary) = Server::start_with(&["--repl-diskless-sync-delay", "0"]).await else {
        return;
    };
    let port = primary.port.to_string();
    let replica =
        Server::start_with(&["--replicaof", "127.0.0.1", &port]).await.expect("a replica");
    let mut at_replica = server::plain(&replica.url()).await;
    until("the replica follows", async || {
        let info: String = redis::cmd("INFO")
            .arg("replication")
            .query_async(&mut at_replica.clone())
            .await
            .expect("info");
        info.contains("master_link_status:up")
    })
    .await;

    let folder = Folder::new("sentinel");
    let file = folder.path("sentinel.conf");
    let config = format!(
        "sentinel monitor main 127.0.0.1 {port} 1\nsentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
    );
    std::fs::write(&file, config).expect("sentinel.conf");
    let sentinel = Server::start_sentinel(&file, &folder).await;
    let store = |name: &str| {
        RedisStore::new(&RedisOptions {
            topology: Topology::Sentinel {
                primary: format!("redis://{name}"),
                // One isn't there.
                sentinels: vec![
                    format!("redis://127.0.0.1:{}", server::free_port()),
                    sentinel.url(),
                ],
            },
            certificates: Certificates::default(),
            key_prefix: String::new(),
            timeout: Duration::from_secs(1),
        })
        .expect("options")
    };
    let error = store("other").ping().await.expect_err("no such primary");
    assert!(
        matches!(&error, StoreError::Unavailable { reason } if reason.contains("\"other\"")),
        "{error}"
    );

    let store = store("main");
    let table = table("public.words", &[("word", text_type()), ("n", int8_type())], &["word"]);
    let id = [key(&[text("w")])];
    let put = |n: i64, expect: Expect| Change {
        key: key(&[text("w")]),
        expect,
        effect: Effect::Put(vec![text("w"), int(n)]),
    };
    store.write(&table, &put(0, Expect::Absent)).await.expect("write");
    until("the sentinel knows the replica", async || {
        let mut connection = server::plain(&sentinel.url()).await;
        let found: String =
            redis::cmd("INFO").arg("sentinel").query_async(&mut connection).await.expect("info");
        found.contains("slaves=1")
    })
    .await;
    until("the replica has the row", async || {
        let size: i64 =
            redis::cmd("DBSIZE").query_async(&mut at_replica.clone()).await.expect("dbsize");
        size > 0
    })
    .await;
    primary.kill();

    let (mut done, mut unknown, mut after) = (0, 0, 0);
    for round in 0.. {
        assert!(round < 5_000, "the replica takes over");
        let row = match store.get(&table, &id).await {
            Ok(mut rows) => rows.remove(0).expect("the row"),
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let flywheel_types::Value::Int(n) = row[1] else { panic!("{row:?}") };
        match store.write(&table, &put(n + 1, Expect::Unchanged(row))).await {
            Ok(applied) => {
                assert_ne!(applied, Applied::Refused, "nobody else writes");
                done += 1;
                after += 1;
            }
            Err(StoreError::Unknown { .. }) => unknown += 1,
            Err(error) => assert!(matches!(error, StoreError::Unavailable { .. }), "{error}"),
        }
        if after == 20 {
            break;
        }
    }
    let info: String = redis::cmd("INFO")
        .arg("replication")
        .query_async(&mut at_replica)
        .await
        .unwrap_or_default();
    assert!(info.is_empty() || info.contains("role:master"), "{info}");
    let rows = store.get(&table, &id).await.expect("get");
    let row = rows[0].as_ref().expect("the row");
    let flywheel_types::Value::Int(n) = row[1] else { panic!("{row:?}") };
    assert!(n >= done && n <= done + unknown, "{n} of {done} and {unknown}");

    // What was the primary comes back and becomes a replica; nobody writes to it.
    primary.run().await;
    for n in 100..110 {
        store.write(&table, &put(n, Expect::Any)).await.expect("write");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.get(&table, &id).await.expect("get"), [Some(vec![text("w"), int(109)])]);

    // Its changes are told by who is the primary now, and after another change of places by the
    // other.
    let notes = Notes::default();
    let follow = async || store.follow(&[&table], Duration::from_millis(20), &notes).await;
    let (ended, ()) = tokio::join!(follow(), async {
        notes.changes().await;
        let mut plain = server::plain(&replica.url()).await;
        redis::cmd("SET")
            .arg("{public.words:w}")
            .arg(1)
            .query_async::<()>(&mut plain)
            .await
            .expect("set");
        assert_eq!(notes.changes().await, [(0, Changed::Row(key(&[text("w")])))]);
        until("the primaries change places", async || {
            let mut connection = server::plain(&sentinel.url()).await;
            let asked: redis::RedisResult<()> = redis::cmd("SENTINEL")
                .arg("FAILOVER")
                .arg("main")
                .query_async(&mut connection)
                .await;
            asked.is_ok()
        })
        .await;
    });
    ended.expect_err("it isn't the primary any more");
    until("the new primary tells", async || {
        tokio::select! {
            _ = follow() => false,
            () = notes.all_told() => true,
        }
    })
    .await;
    let mut at_primary = server::plain(&primary.url()).await;
    let role: Vec<redis::Value> =
        redis::cmd("ROLE").query_async(&mut at_primary).await.expect("role");
    assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()));
}
