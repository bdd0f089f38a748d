//! What lies in Redis, seen by Redis' own commands, and what others may have put there.

mod server;

use std::collections::BTreeMap;

use flywheel_redis::RedisStore;
use flywheel_store::conformance::fixture::*;
use flywheel_store::{
    Applied, Assignment, Bound, Change, Effect, Expect, Index, KeyRange, Layout, ScoreRange, Store, StoreError, StoreTable, now_micros,
};
use flywheel_types::{Row, Value};
use redis::AsyncTypedCommands;
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

async fn set(store: &RedisStore, table: &StoreTable, row: &[Value], values: &[(usize, Value)]) -> Applied {
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

async fn all(store: &RedisStore, table: &StoreTable, partition: Value) -> Result<Vec<Row>, StoreError> {
    let range = KeyRange {
        partition,
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
        descending: false,
    };
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
    pairs
        .into_iter()
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test]
async fn a_row_is_a_hash_with_its_expiry() {
    let Some((store, mut redis)) = start("layout1:").await else {
        return;
    };
    let sessions = sessions();
    store.drop_table(&sessions).await.expect("drop_table");
    let name = "{layout1:public.sessions:a%3A%7Bé}";
    let never = [text("a:{é"), int(17), Value::Null];

    put(&store, &sessions, &never).await;
    assert_eq!(
        redis.hgetall(name).await.expect("hgetall"),
        strings([("token", "a:{é"), ("user_id", "17")])
    );
    assert_eq!(ttl(&mut redis, name).await, -1);

    put(&store, &sessions, &[text("a:{é"), int(17), in_seconds(100)]).await;
    assert!((99_000..=100_001).contains(&ttl(&mut redis, name).await));
    // An overwrite sets it again; one of another column leaves it.
    put(&store, &sessions, &[text("a:{é"), int(18), in_seconds(200)]).await;
    assert!((199_000..=200_001).contains(&ttl(&mut redis, name).await));
    set(&store, &sessions, &never, &[(1, int(19))]).await;
    assert!((198_000..=200_001).contains(&ttl(&mut redis, name).await));
    set(&store, &sessions, &never, &[(2, Value::Timestamptz(i64::MAX))]).await;
    assert_eq!(ttl(&mut redis, name).await, -1);
    set(&store, &sessions, &never, &[(2, in_seconds(50))]).await;
    assert!((49_000..=50_001).contains(&ttl(&mut redis, name).await));
    put(&store, &sessions, &never).await;
    assert_eq!(ttl(&mut redis, name).await, -1);
    put(&store, &sessions, &[text("a:{é"), int(17), in_seconds(-1)]).await;
    assert!(!redis.exists(name).await.expect("exists"), "its time is over");
}

#[tokio::test]
async fn fields_of_others_stay_and_are_not_read() {
    let Some((store, mut redis)) = start("layout2:").await else {
        return;
    };
    let sessions = sessions();
    store.drop_table(&sessions).await.expect("drop_table");
    let row = vec![text("a"), int(17), Value::Null];
    let name = "{layout2:public.sessions:a}";
    put(&store, &sessions, &row).await;
    redis.hset(name, "theirs", "x").await.expect("hset");
    assert_eq!(store.get(&sessions, &[key(&[text("a")])]).await.expect("get"), [Some(row.clone())]);
    put(&store, &sessions, &row).await;
    set(&store, &sessions, &row, &[(1, Value::Null)]).await;
    assert_eq!(
        redis.hgetall(name).await.expect("hgetall"),
        strings([("token", "a"), ("theirs", "x")])
    );

    // A value that isn't of its column's type.
    redis.hset(name, "user_id", "many").await.expect("hset");
    let malformed = |answer: Result<Vec<_>, StoreError>| {
        let error = answer.expect_err("not a bigint");
        assert!(
            matches!(&error, StoreError::Malformed { attribute, expected, .. } if attribute == "user_id" && expected == "bigint"),
            "{error}"
        );
        assert!(error.to_string().contains(name), "{error}");
    };
    malformed(store.get(&sessions, &[key(&[text("a")])]).await);
    malformed(store.scan(&sessions, 10).await.map(|rows| rows.into_iter().map(Some).collect()));
    let sentences = store.check_table(&sessions).await.expect("check_table");
    assert_eq!(sentences.len(), 1, "{sentences:?}");

    // A row under another key's name, and one without its key's fields.
    redis.hset(name, "user_id", "1").await.expect("hset");
    redis.hset(name, "token", "b").await.expect("hset");
    let error = store.get(&sessions, &[key(&[text("a")])]).await.expect_err("another's row");
    assert!(
        matches!(&error, StoreError::Malformed { attribute, .. } if attribute == "token"),
        "{error}"
    );
    redis.hdel(name, "token").await.expect("hdel");
    let error = store.get(&sessions, &[key(&[text("a")])]).await.expect_err("a row without key");
    assert!(
        matches!(&error, StoreError::Malformed { attribute, .. } if attribute == "token"),
        "{error}"
    );

    // A value of another kind: refused before anything is written.
    redis.set("{layout2:public.sessions:s}", "string").await.expect("set");
    let other = [text("s"), int(1), Value::Null];
    let changes = [&row[..], &other].map(|row| {
        let change = Change {
            key: sessions.table.key_of(row),
            expect: Expect::Any,
            effect: Effect::Put(row.to_vec()),
        };
        (&sessions, change)
    });
    let error = store.write_all(&changes).await.expect_err("a string");
    assert!(
        matches!(&error, StoreError::Refused { reason } if reason.contains("WRONGTYPE")),
        "{error}"
    );
    assert!(redis.hget(name, "token").await.expect("hget").is_none(), "nothing was written");
    store.drop_table(&sessions).await.expect("drop_table");
    assert!(!redis.exists("{layout2:public.sessions:s}").await.expect("exists"));
}

#[tokio::test]
async fn a_row_is_a_json_object_with_its_expiry() {
    let Some((store, mut redis)) = start("layout8:").await else {
        return;
    };
    let mut sessions = sessions();
    sessions.layout = Layout::Json;
    store.drop_table(&sessions).await.expect("drop_table");
    let name = "{layout8:public.sessions:a}";
    let row = vec![text("a"), int(1 << 60), Value::Null];
    put(&store, &sessions, &row).await;
    let object = redis.get(name).await.expect("get");
    assert_eq!(object.as_deref(), Some(r#"{"token":"a","user_id":"1152921504606846976"}"#));
    assert_eq!(ttl(&mut redis, name).await, -1);
    put(&store, &sessions, &[text("a"), int(17), in_seconds(100)]).await;
    assert!((99_000..=100_001).contains(&ttl(&mut redis, name).await));
    set(&store, &sessions, &row, &[(1, int(18))]).await;
    assert!(
        (98_000..=100_001).contains(&ttl(&mut redis, name).await),
        "an overwrite sets it again"
    );
    set(&store, &sessions, &row, &[(2, in_seconds(200))]).await;
    assert!((199_000..=200_001).contains(&ttl(&mut redis, name).await));

    // Another application's form, with a field of its own that stays.
    let theirs = r#"{ "theirs": 1.0, "user_id": 17, "token": "a", "until": null }"#;
    redis.set(name, theirs).await.expect("set");
    let read = store.get(&sessions, &[key(&[text("a")])]).await.expect("get");
    assert_eq!(read, [Some(vec![text("a"), int(17), Value::Null])]);
    set(&store, &sessions, &row, &[(1, int(18))]).await;
    let object = redis.get(name).await.expect("get");
    assert_eq!(object.as_deref(), Some(r#"{"token":"a","user_id":"18","theirs":1.0}"#));

    // One whose time is over by its own column, though its key is still there.
    redis
        .set(name, r#"{"token":"a","user_id":1,"until":"2020-01-01T00:00:00Z"}"#)
        .await
        .expect("set");
    assert_eq!(store.get(&sessions, &[key(&[text("a")])]).await.expect("get"), [None]);
    let absent = Change {
        key: key(&[text("a")]),
        expect: Expect::Absent,
        effect: Effect::Put(row.clone()),
    };
    assert_eq!(store.write(&sessions, &absent).await, Ok(Applied::Done(Some(row.clone()))));
    assert_eq!(store.write(&sessions, &absent).await, Ok(Applied::Refused));

    // What isn't a row is told, can't be changed, and can be replaced.
    for (text_there, column) in [
        ("[]", "*"),
        (r#"{"token":"a","user_id":1.5}"#, "user_id"),
        (r#"{"token":"b"}"#, "token"),
    ] {
        redis.set(name, text_there).await.expect("set");
        let change = Change {
            key: key(&[text("a")]),
            expect: Expect::Present,
            effect: Effect::Set(vec![(1, Assignment::Value(int(1)))]),
        };
        for error in [
            store.get(&sessions, &[key(&[text("a")])]).await.expect_err("not a row"),
            store.write(&sessions, &change).await.expect_err("not a row"),
        ] {
            assert!(
                matches!(&error, StoreError::Malformed { attribute, .. } if attribute == column),
                "{error}"
            );
        }
    }
    put(&store, &sessions, &row).await;
    assert_eq!(store.scan(&sessions, 10).await.expect("scan"), [row]);
    store.drop_table(&sessions).await.expect("drop_table");
    assert!(!redis.exists(name).await.expect("exists"));
}

#[tokio::test]
async fn a_row_of_others_without_expiry_expires_by_its_column() {
    let Some((store, mut redis)) = start("layout3:").await else {
        return;
    };
    let sessions = sessions();
    store.drop_table(&sessions).await.expect("drop_table");
    let name = "{layout3:public.sessions:a}";
    for (until, there) in [
        ("2020-01-01 00:00:00+00", false),
        ("2020-01-01 00:00:00.5+00", false),
        ("0044-03-15 00:00:00+00 BC", false),
        ("-infinity", false),
        ("infinity", true),
        ("9999-12-31 23:59:59.999999+00", true),
        ("10000-01-01 00:00:00+00", true),
    ] {
        redis
            .hset_multiple(name, &[("token", "a"), ("user_id", "1"), ("until", until)])
            .await
            .expect("hset");
        let rows = store.get(&sessions, &[key(&[text("a")])]).await.expect("get");
        assert_eq!(rows[0].is_some(), there, "{until}");
        let row = vec![text("a"), Value::Null, Value::Null];
        let absent = Change {
            key: key(&[text("a")]),
            expect: Expect::Absent,
            effect: Effect::Put(row.clone()),
        };
        let applied = store.write(&sessions, &absent).await.expect("write");
        let expected = if there { Applied::Refused } else { Applied::Done(Some(row)) };
        assert_eq!(applied, expected, "{until}");
        redis.del(name).await.expect("del");
    }
}

#[tokio::test]
async fn a_companion_keeps_the_order_and_goes_with_its_rows() {
    let Some((store, mut redis)) = start("layout4:").await else {
        return;
    };
    let visits = visits();
    store.drop_table(&visits).await.expect("drop_table");
    let row = |day: i64, page: &str, until: Value| vec![text("ann:x"), int(day), text(page), until];
    let companion = "{layout4:public.visits:ann%3Ax}";
    let rows = [
        row(-10, "/", Value::Null),
        row(-9, "/a:b", Value::Null),
        row(-9, "/a:b/", Value::Null),
        row(7, "", Value::Null),
    ];
    for row in rows.iter().rev() {
        put(&store, &visits, row).await;
    }
    assert_eq!(
        redis.hgetall(format!("{companion}:-9:/a%3Ab")).await.expect("hgetall"),
        strings([("who", "ann:x"), ("day", "-9"), ("page", "/a:b")])
    );
    assert_eq!(redis.key_type(companion).await.expect("type"), redis::ValueType::ZSet);
    let members: Vec<(Vec<u8>, f64)> = redis::cmd("ZRANGE")
        .arg(companion)
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .query_async(&mut redis)
        .await
        .expect("zrange");
    let ends = [":-10:/", ":-9:/a%3Ab", ":-9:/a%3Ab/", ":7:"];
    assert_eq!(members.len(), ends.len());
    for ((member, score), end) in members.iter().zip(ends) {
        assert_eq!(*score, 0.0);
        assert_eq!(member[member.len() - 4 - end.len()..member.len() - 4], *end.as_bytes());
    }

    // A row that somebody else deletes is skipped, and its member forgotten.
    redis.del(format!("{companion}:-9:/a%3Ab")).await.expect("del");
    let expected = [rows[0].clone(), rows[2].clone(), rows[3].clone()];
    assert_eq!(all(&store, &visits, text("ann:x")).await.expect("range"), expected);
    assert_eq!(redis.zcard(companion).await.expect("zcard"), 3);

    // The companion expires with the last of its rows.
    assert_eq!(ttl(&mut redis, companion).await, -1);
    for row in &expected {
        let change = Change {
            key: visits.table.key_of(row),
            expect: Expect::Present,
            effect: Effect::Delete,
        };
        store.write(&visits, &change).await.expect("write");
    }
    assert!(!redis.exists(companion).await.expect("exists"), "no rows, no companion");
    put(&store, &visits, &row(1, "", in_seconds(100))).await;
    put(&store, &visits, &row(2, "", in_seconds(50))).await;
    assert!((99_000..=100_001).contains(&ttl(&mut redis, companion).await));
    set(&store, &visits, &row(2, "", Value::Null), &[(3, in_seconds(300))]).await;
    assert!((299_000..=300_001).contains(&ttl(&mut redis, companion).await));
    put(&store, &visits, &row(3, "", Value::Null)).await;
    assert_eq!(ttl(&mut redis, companion).await, -1);
    put(&store, &visits, &row(3, "", in_seconds(100))).await;
    assert_eq!(
        ttl(&mut redis, companion).await,
        -1,
        "once for ever, for ever: others may not expire"
    );

    // A stranger's member is no row.
    redis.zadd(companion, "x", 0).await.expect("zadd");
    let error = all(&store, &visits, text("ann:x")).await.expect_err("a stranger's member");
    assert!(error.to_string().contains(companion), "{error}");
    store.drop_table(&visits).await.expect("drop_table");
    assert!(!redis.exists(companion).await.expect("exists"));
}

#[tokio::test]
async fn a_board_is_a_sorted_set() {
    let Some((store, mut redis)) = start("layout5:").await else {
        return;
    };
    let columns = [("board", text_type()), ("player", text_type()), ("score", int8_type())];
    let boards = sorted_set(table("public.leaderboard", &columns, &["board", "player"]), "score");
    store.drop_table(&boards).await.expect("drop_table");
    let name = "{layout5:public.leaderboard:go}";
    let row = |player: &str, score: i64| vec![text("go"), text(player), int(score)];
    put(&store, &boards, &row("a:{b", 9_007_199_254_740_991)).await;
    put(&store, &boards, &row("c", -3)).await;
    let members = redis.zrange_withscores(name, 0, -1).await.expect("zrange");
    assert_eq!(members, [("c".to_owned(), -3.0), ("a:{b".to_owned(), 9_007_199_254_740_991.0)]);

    // Somebody else's ZINCRBY shows; a fraction isn't a bigint.
    redis.zincr(name, "c", 10).await.expect("zincrby");
    let range = ScoreRange {
        partition: Some(text("go")),
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
        descending: false,
    };
    let by_score = || store.by_score(&boards, &range, 0, 1);
    assert_eq!(by_score().await.expect("by_score"), [row("c", 7)]);
    redis.zincr(name, "c", 0.5).await.expect("zincrby");
    let error = by_score().await.expect_err("a fraction");
    assert!(
        matches!(&error, StoreError::Malformed { attribute, .. } if attribute == "score"),
        "{error}"
    );
    assert_eq!(store.check_table(&boards).await.expect("check_table").len(), 1);
    store.drop_table(&boards).await.expect("drop_table");
    assert!(!redis.exists(name).await.expect("exists"));
}

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
    let orders = StoreTable {
        indexes: vec![index.clone()],
        ..without.clone()
    };
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
    let last = store.get(&orders, &[key(&[text("0")])]).await.expect("get")[0]
        .clone()
        .expect("the row");
    assert_eq!(read().await.expect("rows").last(), Some(&last));
    store.drop_table(&orders).await.expect("drop_table");
    assert!(!redis.exists("{layout9:public.orders}#by_user:17").await.expect("exists"));
    assert!(!redis.exists("{layout9:public.orders}#").await.expect("exists"));
}

#[tokio::test]
async fn a_table_leaves_others_with_longer_names_alone() {
    let Some((store, mut redis)) = start("layout6:").await else {
        return;
    };
    let columns = [("id", text_type()), ("n", int8_type())];
    let tables = BTreeMap::from_iter(["app", "app:sessions", "app.x", "ap[op]"].map(|name| (name, table(name, &columns, &["id"]))));
    let row = vec![text("1"), int(1)];
    for table in tables.values() {
        store.drop_table(table).await.expect("drop_table");
        put(&store, table, &row).await;
    }
    redis.set("{layout6:app", "not ours").await.expect("set");
    for table in tables.values() {
        assert_eq!(
            store.scan(table, 10).await.expect("scan"),
            std::slice::from_ref(&row),
            "{}",
            table.physical_name
        );
    }
    store.drop_table(&tables["app"]).await.expect("drop_table");
    store.drop_table(&tables["ap[op]"]).await.expect("drop_table");
    assert_eq!(store.scan(&tables["app:sessions"], 10).await.expect("scan").len(), 1);
    assert_eq!(store.scan(&tables["app.x"], 10).await.expect("scan").len(), 1);
    assert_eq!(redis.get("{layout6:app").await.expect("get").as_deref(), Some("not ours"));
}

#[tokio::test]
async fn a_scan_must_be_allowed() {
    let Some((store, _)) = start("layout7:").await else { return };
    let mut sessions = sessions();
    sessions.allow_scan = false;
    let error = store.scan(&sessions, 10).await.expect_err("not allowed");
    assert!(
        matches!(&error, StoreError::Unsupported { what } if what.contains("allow_scan")),
        "{error}"
    );
}

async fn ttl(redis: &mut MultiplexedConnection, name: &str) -> i64 {
    redis::cmd("PTTL").arg(name).query_async(redis).await.expect("pttl")
}
