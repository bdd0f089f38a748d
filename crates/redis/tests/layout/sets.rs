//! What keeps rows' order: a partition's companion, and a board that is a sorted set.

use flywheel_store::conformance::fixture::*;
use flywheel_store::{
    Bound, Change, Defines, Effect, Expect, ScoreRange, Scores, Store, StoreError, Writes,
};
use flywheel_types::Value;
use redis::AsyncTypedCommands;

use super::{all, in_seconds, put, set, start, strings, ttl, visits};

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
