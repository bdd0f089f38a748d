//! Tables that are sorted sets.

use flywheel_types::{Row, TypeInfo, Value, oid};

use super::{Suite, delete, fixture::*, put, range::read, same, set};
use crate::{Applied, Bound, Expect, ScoreRange, StoreError, StoreTable};

/// The widest integer score that a double holds exactly.
const EXACT: i64 = 1 << 53;

pub(super) async fn check(suite: &Suite) {
    leaderboard(suite).await;
    without_partition(suite).await;
    float_scores(suite).await;
    ranges_of_scores(suite).await;
    ranks(suite).await;
    refused_definitions(suite);
}

async fn board(suite: &Suite, part: &str) -> StoreTable {
    let columns = [("board", text_type()), ("score", int8_type()), ("player", text_type())];
    let name = format!("{}_{part}", suite.prefix);
    let table = sorted_set(table(&name, &columns, &["board", "player"]), "score");
    suite.empty(&table).await;
    table
}

async fn leaderboard(suite: &Suite) {
    let table = board(suite, "board").await;
    let row = |score: i64, player: &str| vec![text("go:{1}"), int(score), text(player)];
    let id = |player: &str| key(&[text("go:{1}"), text(player)]);
    let ascending = [
        (-EXACT, "min"),
        (-7, "é"),
        (0, "zero"),
        (1, ""),
        (30, "a:b"),
        (31, "ann"),
        (EXACT, "max"),
    ];
    for (score, player) in ascending {
        let change = put(&table, Expect::Absent, row(score, player));
        same(
            &suite.write(&table, change.clone()).await,
            &Applied::Done(Some(row(score, player))),
            "put if absent",
        );
        same(&suite.write(&table, change).await, &Applied::Refused, "put if absent again");
    }
    suite.put(&table, vec![text("chess"), int(5), text("ann")]).await;

    let board = text("go:{1}");
    let whole = |partition: &Value, descending: bool| {
        range_of(Some(partition), Bound::Unbounded, Bound::Unbounded, descending)
    };
    let mut expected: Vec<Row> = ascending.map(|(score, player)| row(score, player)).to_vec();
    let rows = suite.store.by_score(&table, &whole(&board, false), 0, 100).await.expect("by_score");
    same(&rows, &expected, "by score, ascending");
    expected.reverse();
    let rows = suite.store.by_score(&table, &whole(&board, true), 0, 3).await.expect("by_score");
    same(rows.as_slice(), &expected[..3], "the three highest");
    let rows =
        suite.store.by_score(&table, &whole(&text("none"), true), 0, 3).await.expect("by_score");
    same(&rows, &vec![], "an empty board");
    for (limit, count) in [(0, 0), (usize::MAX, ascending.len())] {
        let rows =
            suite.store.by_score(&table, &whole(&board, true), 0, limit).await.expect("by_score");
        same(&rows.len(), &count, "a limit at its ends");
    }

    // Members in their own order.
    let rows = read(
        suite,
        &table,
        &board,
        (Bound::Included(text("a")), Bound::Excluded(text("min"))),
        false,
        2,
    )
    .await;
    same(&rows, &vec![row(30, "a:b"), row(31, "ann")], "a range of members");
    let rows = read(suite, &table, &board, (Bound::Unbounded, Bound::Unbounded), true, 1).await;
    same(&rows, &vec![row(-7, "é")], "the last member");

    same(&suite.get_one(&table, &id("ann")).await, &Some(row(31, "ann")), "a member by its key");
    same(&suite.get_one(&table, &id("bob")).await, &None, "no such member");
    let rows = suite.store.get(&table, &[id("bob"), id("max"), id("")]).await.expect("get");
    same(
        &rows,
        &vec![None, Some(row(EXACT, "max")), Some(row(1, ""))],
        "members in the keys' order",
    );

    same(
        &suite.write(&table, set(&id("ann"), &[(1, int(32))])).await,
        &Applied::Done(Some(row(32, "ann"))),
        "set",
    );
    same(
        &suite.write(&table, set(&id("bob"), &[(1, int(32))])).await,
        &Applied::Refused,
        "set of no member",
    );
    let stale = put(&table, Expect::Unchanged(row(31, "ann")), row(33, "ann"));
    same(&suite.write(&table, stale).await, &Applied::Refused, "put of a changed member");
    let current = put(&table, Expect::Unchanged(row(32, "ann")), row(33, "ann"));
    same(
        &suite.write(&table, current).await,
        &Applied::Done(Some(row(33, "ann"))),
        "put of an unchanged member",
    );
    same(
        &suite.write(&table, delete(&id("zero"), Expect::Any)).await,
        &Applied::Done(Some(row(0, "zero"))),
        "delete",
    );
    same(
        &suite.write(&table, delete(&id("zero"), Expect::Any)).await,
        &Applied::Done(None),
        "delete again",
    );

    let changes = [
        (&table, put(&table, Expect::Absent, row(2, "new"))),
        (&table, delete(&id("zero"), Expect::Present)),
    ];
    assert!(!suite.store.write_all(&changes).await.expect("write_all"), "a condition fails");
    same(&suite.get_one(&table, &id("new")).await, &None, "nothing was written");
    assert!(suite.store.write_all(&changes[..1]).await.expect("write_all"), "all hold");
    same(&suite.get_one(&table, &id("new")).await, &Some(row(2, "new")), "written");

    for score in [EXACT + 1, -EXACT - 1, i64::MAX, i64::MIN] {
        let answer = suite.store.write(&table, &put(&table, Expect::Any, row(score, "wide"))).await;
        assert!(
            matches!(answer, Err(StoreError::LimitExceeded { .. })),
            "score {score}: {answer:?}"
        );
    }
    same(&suite.store.scan(&table, 8).await.expect("scan").len(), &8, "scan over all boards");
    same(
        &suite.store.scan(&table, 7).await,
        &Err(StoreError::TooManyRows { limit: 7 }),
        "scan over the limit",
    );
    same(
        &suite.store.check_table(&table).await.expect("check_table"),
        &vec![],
        "it fits its definition",
    );
    suite.empty(&table).await;
    same(&suite.store.scan(&table, 8).await.expect("scan"), &vec![], "empty after drop_table");
    suite.drop(&table).await;
}

/// A key of one column: the table is one set.
async fn without_partition(suite: &Suite) {
    let columns = [("word", text_type()), ("n", int4_type())];
    let table = sorted_set(table(&format!("{}_words", suite.prefix), &columns, &["word"]), "n");
    suite.empty(&table).await;
    let row = |word: &str, n: i64| vec![text(word), int(n)];
    for (word, n) in [("b", 3), ("a", 1), ("c", 2)] {
        suite.put(&table, row(word, n)).await;
    }
    let rows = suite
        .store
        .by_score(&table, &range_of(None, Bound::Unbounded, Bound::Unbounded, true), 0, 2)
        .await
        .expect("by_score");
    same(&rows, &vec![row("b", 3), row("c", 2)], "by score");
    same(&suite.get_one(&table, &key(&[text("a")])).await, &Some(row("a", 1)), "by key");
    same(&suite.store.scan(&table, 3).await.expect("scan").len(), &3, "scan");
    suite.drop(&table).await;
}

fn range_of(partition: Option<&Value>, lower: Bound, upper: Bound, descending: bool) -> ScoreRange {
    ScoreRange { partition: partition.cloned(), lower, upper, descending }
}

async fn ranges_of_scores(suite: &Suite) {
    let table = board(suite, "ranges").await;
    let scores = [(-EXACT, "a"), (-1, "b"), (0, "c"), (7, "d"), (8, "e"), (EXACT, "f")];
    for (score, player) in scores {
        suite.put(&table, vec![text("x"), int(score), text(player)]).await;
        suite.put(&table, vec![text("y"), int(score), text(player)]).await;
    }
    let at = |value: i64| Bound::Included(int(value));
    let past = |value: i64| Bound::Excluded(int(value));
    let open = || Bound::Unbounded;
    for (lower, upper, players) in [
        (open(), open(), "abcdef"),
        (at(0), open(), "cdef"),
        (past(0), at(8), "de"),
        (open(), past(0), "ab"),
        (at(7), at(7), "d"),
        (at(8), at(7), ""),
        (past(EXACT), open(), ""),
        (at(EXACT), open(), "f"),
        (at(EXACT + 1), open(), ""),
        (open(), at(-EXACT - 1), ""),
        (past(i64::MIN), past(i64::MAX), "abcdef"),
    ] {
        let what = format!("{lower:?} to {upper:?}");
        let mut expected: Vec<Value> =
            players.chars().map(|player| text(&player.to_string())).collect();
        for descending in [false, true] {
            let range = range_of(Some(&text("x")), lower.clone(), upper.clone(), descending);
            let count = suite.store.count_by_score(&table, &range).await.expect("count_by_score");
            same(&count, &(expected.len() as u64), &what);
            for (offset, limit) in
                [(0, 100), (1, 100), (1, 2), (100, 1), (0, usize::MAX), (usize::MAX, usize::MAX)]
            {
                let rows =
                    suite.store.by_score(&table, &range, offset, limit).await.expect("by_score");
                let players: Vec<Value> = rows.iter().map(|row| row[2].clone()).collect();
                let page: Vec<Value> = expected.iter().skip(offset).take(limit).cloned().collect();
                same(&players, &page, &format!("{what} without {offset} at most {limit}"));
            }
            expected.reverse();
        }
    }
    suite.drop(&table).await;
}

async fn ranks(suite: &Suite) {
    let table = board(suite, "ranks").await;
    for (score, player) in [(5, "a"), (5, "b"), (3, "c"), (9, "d"), (-EXACT, "e"), (EXACT, "f")] {
        suite.put(&table, vec![text("x"), int(score), text(player)]).await;
    }
    suite.put(&table, vec![text("y"), int(100), text("a")]).await;
    for (player, score, below, above) in [
        ("a", 5, 2, 2),
        ("b", 5, 2, 2),
        ("c", 3, 1, 4),
        ("d", 9, 4, 1),
        ("e", -EXACT, 0, 5),
        ("f", EXACT, 5, 0),
    ] {
        let id = key(&[text("x"), text(player)]);
        for (descending, ahead) in [(false, below), (true, above)] {
            let found = suite.store.rank(&table, &id, descending).await.expect("rank");
            same(
                &found,
                &Some((vec![text("x"), int(score), text(player)], ahead)),
                "ties have one rank",
            );
        }
    }
    let nobody = suite.store.rank(&table, &key(&[text("x"), text("z")]), true).await;
    same(&nobody.expect("rank"), &None, "no such member");
    suite.drop(&table).await;
}

async fn float_scores(suite: &Suite) {
    let float8 = TypeInfo::new(oid::FLOAT8, -1, "double precision");
    let columns = [("id", int8_type()), ("who", int8_type()), ("score", float8)];
    let table =
        sorted_set(table(&format!("{}_floats", suite.prefix), &columns, &["id", "who"]), "score");
    suite.empty(&table).await;
    let scores = [f64::NEG_INFINITY, f64::MIN, -1.5, 5e-324, 0.1, 1e15, f64::MAX, f64::INFINITY];
    let rows: Vec<Row> = (0..)
        .zip(scores)
        .map(|(who, score)| vec![int(-1), int(who), Value::Float8(score)])
        .collect();
    for row in rows.iter().rev() {
        suite.put(&table, row.clone()).await;
    }
    let found = suite
        .store
        .by_score(
            &table,
            &range_of(Some(&int(-1)), Bound::Unbounded, Bound::Unbounded, false),
            0,
            100,
        )
        .await
        .expect("by_score");
    same(&found, &rows, "doubles, exactly");
    let nan = put(&table, Expect::Any, vec![int(-1), int(99), Value::Float8(f64::NAN)]);
    let answer = suite.store.write(&table, &nan).await;
    assert!(matches!(answer, Err(StoreError::LimitExceeded { .. })), "{answer:?}");
    suite.drop(&table).await;
}

fn refused_definitions(suite: &Suite) {
    let refused = |what: &str, table: &StoreTable| {
        let answer = suite.store.accepts(table);
        assert!(matches!(answer, Err(StoreError::Unsupported { .. })), "{what}: {answer:?}");
    };
    let (a, b, n) = (("a", text_type()), ("b", text_type()), ("n", int8_type()));
    let until = ("until", timestamptz_type());
    let more = [a.clone(), b.clone(), n.clone(), until.clone()];
    refused("a further column", &sorted_set(table("refused", &more, &["a", "b"]), "n"));
    let wide = [a.clone(), b.clone(), until.clone(), n.clone()];
    refused(
        "a key of three columns",
        &sorted_set(table("refused", &wide, &["a", "b", "until"]), "n"),
    );
    refused("a text score", &sorted_set(table("refused", &[a.clone(), b.clone()], &["a"]), "b"));
    let numeric = ("n", money_type());
    refused("a numeric score", &sorted_set(table("refused", &[a.clone(), numeric], &["a"]), "n"));
    refused(
        "a score in the key",
        &sorted_set(table("refused", &[a.clone(), n.clone()], &["a", "n"]), "n"),
    );
    let mut nullable = sorted_set(table("refused", &[a.clone(), n.clone()], &["a"]), "n");
    std::sync::Arc::make_mut(&mut nullable.table).columns[1].not_null = false;
    refused("a score that may be NULL", &nullable);
    let mut expires = sorted_set(table("refused", &[a, until], &["a"]), "until");
    expires.expires_at = Some(1);
    refused("an expiry", &expires);
}
