//! A row as a hash, and what is left to others.

use std::collections::BTreeMap;

use flywheel_store::conformance::fixture::*;
use flywheel_store::{Applied, Change, Defines, Effect, Expect, Store, StoreError, Writes};
use flywheel_types::Value;
use redis::AsyncTypedCommands;

use super::{in_seconds, put, sessions, set, start, strings, ttl};

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
async fn a_table_leaves_others_with_longer_names_alone() {
    let Some((store, mut redis)) = start("layout6:").await else {
        return;
    };
    let columns = [("id", text_type()), ("n", int8_type())];
    let tables = BTreeMap::from_iter(
        ["app", "app:sessions", "app.x", "ap[op]"]
            .map(|name| (name, table(name, &columns, &["id"]))),
    );
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
