//! Changes that others make, as client tracking tells of them.

mod server;

use std::time::Duration;

use flywheel_redis::RedisStore;
use flywheel_store::conformance::Notes;
use flywheel_store::conformance::fixture::*;
use flywheel_store::{
    Change, Changed, Effect, Expect, Feed, Layout, StoreError, StoreTable, Writes,
};
use server::{Server, store};

const OFTEN: Duration = Duration::from_millis(20);

async fn run(connection: &mut redis::aio::MultiplexedConnection, words: &str) {
    let mut command = redis::Cmd::new();
    words.split(' ').for_each(|word| {
        command.arg(word);
    });
    command.query_async::<()>(connection).await.expect(words);
}

fn tables() -> [StoreTable; 4] {
    let mut profiles =
        table("public.profiles", &[("id", int8_type()), ("name", text_type())], &["id"]);
    profiles.layout = Layout::Json;
    let board = table(
        "public.board",
        &[("game", text_type()), ("who", text_type()), ("n", int8_type())],
        &["game", "who"],
    );
    [
        table("public.words", &[("word", text_type()), ("n", int8_type())], &["word"]),
        table(
            "public.visits",
            &[("who", text_type()), ("day", int8_type()), ("n", int8_type())],
            &["who", "day"],
        ),
        profiles,
        sorted_set(board, "n"),
    ]
}

/// Until `test` is over the store is followed.
async fn following(store: &RedisStore, tables: &[StoreTable], test: impl AsyncFnOnce(&Notes)) {
    let notes = Notes::default();
    let tables: Vec<_> = tables.iter().collect();
    tokio::select! {
        ended = store.follow(&tables, OFTEN, &notes) => panic!("{ended:?}"),
        () = async {
            notes.all_told().await;
            notes.changes().await;
            test(&notes).await;
        } => {}
    }
}

#[tokio::test]
async fn rows_that_others_change() {
    let Some(server) = Server::start().await else { return };
    let mut plain = server::plain(&server.url()).await;
    let store = store(&server.url(), "p:");
    let tables = tables();
    let all: Vec<_> = tables.iter().collect();
    store.check_follow(&all).await.expect("it can be followed");
    following(&store, &tables, async |notes| {
        let row = |table, values: &[flywheel_types::Value]| {
        vec![(table, Changed::Row(key(values)))]
    };
        let of_words = |word: &str| row(0, &[text(word)]);
        for (command, wanted) in [
            ("HSET {p:public.words:a} word a n 1", of_words("a")),
            ("HSET {p:public.words:a%3Ab} word a:b", of_words("a:b")),
            ("HDEL {p:public.words:a} n", of_words("a")),
            ("PEXPIRE {p:public.words:a} 100000", of_words("a")),
            ("DEL {p:public.words:a}", of_words("a")),
            ("HSET {p:public.visits:ann}:7 who ann day 7", row(1, &[text("ann"), int(7)])),
            ("ZADD {p:public.visits:ann} 0 x", vec![(1, Changed::Order)]),
            ("SET {p:public.visits:ann}#lock:7 1-2", vec![]),
            ("HSET {p:public.visits:ann}:seven day seven", vec![(1, Changed::Table)]),
            ("SET {p:public.profiles:3} {}", row(2, &[int(3)])),
            ("ZADD {p:public.board:go} 1 ann", vec![(3, Changed::Table)]),
            ("SET {p:public.words#by_n:1} x", vec![]),
            ("ZADD {p:public.words}#by_n:1 0 x", vec![(0, Changed::Order)]),
            ("SET {p:public.other:1} x", vec![]),
            ("SET {public.words:a} x", vec![]),
            (
                "RENAME {p:public.profiles:3} {p:public.profiles:4}",
                [row(2, &[int(3)]), row(2, &[int(4)])].concat(),
            ),
            (
                "EVAL redis.call('SET','{p:public.profiles:5}',1)redis.call('DEL','{p:public.profiles:4}') 0",
                [row(2, &[int(4)]), row(2, &[int(5)])].concat(),
            ),
        ] {
            run(&mut plain, command).await;
            let mut told = notes.changes().await;
            told.sort_by_key(|change| format!("{change:?}"));
            assert_eq!(told, wanted, "{command}");
        }
        // What Flywheel writes itself, and what goes at its time.
        let put = Change {
            key: key(&[text("own")]),
            expect: Expect::Absent,
            effect: Effect::Put(vec![text("own"), int(1)]),
        };
        store.write(&tables[0], &put).await.expect("write");
        assert_eq!(notes.changes().await, of_words("own"));
        run(&mut plain, "PEXPIRE {p:public.words:own} 30").await;
        notes.changes().await;
        let mut told = Vec::new();
        for _ in 0..500 {
            told.extend(notes.changes().await);
            if !told.is_empty() {
                break;
            }
        }
        assert_eq!(told, of_words("own"));
        let missed = notes.missed();
        for (number, command) in ["FLUSHDB", "FLUSHALL"].into_iter().enumerate() {
            run(&mut plain, command).await;
            notes.all_told().await;
            assert_eq!(notes.missed(), missed + number + 1);
        }
        // Many at once.
        let mut pipe = redis::pipe();
        (0..10_000).for_each(|n| {
            pipe.cmd("SET").arg(format!("{{p:public.profiles:{n}}}")).arg("{}");
        });
        pipe.query_async::<()>(&mut plain).await.expect("many");
        assert_eq!(notes.changes().await.len(), 10_000);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_goes_or_hangs() {
    let Some(mut server) = Server::start().await else { return };
    let store = store(&server.url(), "");
    let tables = tables();
    let all: Vec<_> = tables.iter().collect();
    let notes = Notes::default();
    let failure = |error| {
        assert!(
            matches!(&error, StoreError::Unavailable { .. } | StoreError::Unknown { .. }),
            "{error}"
        )
    };
    let (ended, ()) = tokio::join!(store.follow(&all, OFTEN, &notes), async {
        notes.all_told().await;
        server.signal("STOP");
    });
    failure(ended.expect_err("it doesn't answer"));
    server.signal("CONT");
    let (ended, ()) = tokio::join!(store.follow(&all, OFTEN, &notes), async {
        notes.all_told().await;
        let mut plain = server::plain(&server.url()).await;
        run(&mut plain, "CLIENT KILL TYPE normal SKIPME yes").await;
    });
    failure(ended.expect_err("the connection is cut"));
    let (ended, ()) = tokio::join!(store.follow(&all, OFTEN, &notes), async {
        notes.all_told().await;
        server.kill();
    });
    failure(ended.expect_err("it is gone"));
    failure(store.follow(&all, OFTEN, &notes).await.expect_err("it is gone"));
    failure(store.check_follow(&all).await.expect_err("it is gone"));
    // A server that has begun anew knows of nobody who listens.
    assert!(server.run().await);
    following(&store, &tables, async |_| {}).await;
}

/// As old servers and proxies do.
#[tokio::test]
async fn what_is_refused_is_told() {
    let Some(server) = Server::start().await else { return };
    let mut plain = server::plain(&server.url()).await;
    run(
        &mut plain,
        "ACL SETUSER app on >secret ~{* +@read +@write +@scripting +@connection -client|tracking",
    )
    .await;
    run(&mut plain, "ACL SETUSER reader on >secret ~{* +@read +@connection").await;
    run(&mut plain, "ACL SETUSER full on >secret ~{p:* +@read +@write +@scripting +@connection")
        .await;
    let tables = tables();
    let all: Vec<_> = tables.iter().collect();
    let url = |user: &str| format!("redis://{user}:secret@127.0.0.1:{}", server.port);
    for (user, word) in [("app", "client tracking takes Redis 6"), ("reader", "set")] {
        let error = store(&url(user), "p:").check_follow(&all).await.expect_err("not allowed");
        assert!(
            matches!(&error, StoreError::Forbidden { reason } if reason.contains(word)),
            "{error}"
        );
    }
    store(&url("full"), "p:").check_follow(&all).await.expect("what is documented is enough");
}
