//! A row as a JSON object.

use flywheel_store::conformance::fixture::*;
use flywheel_store::{
    Applied, Assignment, Change, Defines, Effect, Expect, Layout, Store, StoreError, Writes,
};
use flywheel_types::Value;
use redis::AsyncTypedCommands;

use super::{in_seconds, put, sessions, set, start, ttl};

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
    let absent =
        Change { key: key(&[text("a")]), expect: Expect::Absent, effect: Effect::Put(row.clone()) };
    assert_eq!(store.write(&sessions, &absent).await, Ok(Applied::Done(Some(row.clone()))));
    assert_eq!(store.write(&sessions, &absent).await, Ok(Applied::Refused));

    // What isn't a row is told, can't be changed, and can be replaced.
    for (text_there, column) in
        [("[]", "*"), (r#"{"token":"a","user_id":1.5}"#, "user_id"), (r#"{"token":"b"}"#, "token")]
    {
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
