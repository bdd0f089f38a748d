//! [`Assignment::Add`]: exact at both ends of each integer type, refused past them, and atomic.

use flywheel_types::{TypeInfo, Value, oid};

use super::{Suite, assign, fixture::*, put, same};
use crate::{Applied, Assignment, Change, Effect, Expect, StoreError, StoreTable};

const TASKS: i64 = 20;
const ADDITIONS: i64 = 20;

pub(super) async fn check(suite: &Suite) {
    let columns = [
        ("id", text_type()),
        ("small", TypeInfo::new(oid::INT2, -1, "smallint")),
        ("n", int4_type()),
        ("big", int8_type()),
        ("note", text_type()),
    ];
    let table = suite.fresh("add", &columns, &["id"]).await;
    let id = key(&[text("one")]);
    let add = |position, amount| (position, Assignment::Add(amount));
    same(
        &suite.write(&table, assign(&id, vec![add(2, 1)])).await,
        &Applied::Refused,
        "addition where there is no row",
    );
    same(&suite.get_one(&table, &id).await, &None, "and none after it");

    ends(suite, &table).await;

    // Together with others, and all or none of them.
    let row = vec![text("one"), int(1), int(2), Value::Null, text("x")];
    suite.put(&table, row.clone()).await;
    let both = vec![add(1, 10), add(2, -20), (4, Assignment::Value(Value::Null))];
    let expected = vec![text("one"), int(11), int(-18), Value::Null, Value::Null];
    same(
        &suite.write(&table, assign(&id, both)).await,
        &Applied::Done(Some(expected.clone())),
        "additions beside a value",
    );
    let with_null = vec![add(1, 1), add(3, 1), (4, Assignment::Value(text("y")))];
    same(&suite.write(&table, assign(&id, with_null)).await, &Applied::Refused, "addition to NULL");
    same(&suite.get_one(&table, &id).await, &Some(expected.clone()), "nothing was written");

    // In a transaction with others.
    let other = vec![text("two"), int(1), int(1), int(1), Value::Null];
    let changes = |amount| {
        [
            (&table, put(&table, Expect::Absent, other.clone())),
            (&table, assign(&id, vec![add(1, amount)])),
        ]
    };
    let all = suite.store.write_all(&changes(i64::from(i16::MAX))).await;
    same(&all, &Ok(false), "addition past the end, beside a put");
    same(&suite.get_one(&table, &table.table.key_of(&other)).await, &None, "nothing was put");
    let all = suite.store.write_all(&changes(1)).await;
    same(&all, &Ok(true), "addition beside a put");
    let row = suite.get_one(&table, &id).await;
    same(&row.map(|row| row[1].clone()), &Some(int(12)), "added");

    suite.drop(&table).await;
    concurrent(suite).await;
}

/// What can and what can't be added at the ends of each type.
async fn ends(suite: &Suite, table: &StoreTable) {
    let id = key(&[text("one")]);
    let types = [
        (1, i64::from(i16::MIN), i64::from(i16::MAX)),
        (2, i64::from(i32::MIN), i64::from(i32::MAX)),
        (3, i64::MIN, i64::MAX),
    ];
    for (position, least, greatest) in types {
        for (stored, amount, sum) in [
            (0, greatest, Some(greatest)),
            (0, least, Some(least)),
            (greatest, 1, None),
            (greatest, 0, Some(greatest)),
            (greatest, -1, Some(greatest - 1)),
            (greatest - 1, 1, Some(greatest)),
            (least, -1, None),
            (least, greatest, Some(-1)),
            (least + 1, -1, Some(least)),
            (greatest, least, Some(-1)),
            (greatest, greatest, None),
            (least, least, None),
            (-1, 1, Some(0)),
            (1, -2, Some(-1)),
        ] {
            let mut row = vec![text("one"), Value::Null, Value::Null, Value::Null, text("x")];
            row[position] = int(stored);
            suite.put(table, row.clone()).await;
            let change = assign(&id, vec![(position, Assignment::Add(amount))]);
            let what = format!("{stored} + {amount} in column {position}");
            let applied = match sum {
                Some(sum) => {
                    row[position] = int(sum);
                    Applied::Done(Some(row.clone()))
                }
                None => Applied::Refused,
            };
            same(&suite.write(table, change).await, &applied, &what);
            same(&suite.get_one(table, &id).await, &Some(row), &what);
        }
    }
    // More than the type can hold can't be added at all.
    let mut row = vec![text("one"), int(0), Value::Null, Value::Null, Value::Null];
    for amount in [40_000, -1_000_000, i64::MAX, i64::MIN] {
        suite.put(table, row.clone()).await;
        let change = assign(&id, vec![(1, Assignment::Add(amount))]);
        same(&suite.write(table, change).await, &Applied::Refused, "more than a smallint");
    }
    row[1] = int(i64::from(i16::MIN));
    suite.put(table, row.clone()).await;
    row[1] = int(i64::from(i16::MAX));
    let change = assign(&id, vec![(1, Assignment::Add(65_535))]);
    same(
        &suite.write(table, change).await,
        &Applied::Done(Some(row)),
        "from one end of smallint to the other",
    );
}

/// Every sum that is given back is another, and none is lost.
async fn concurrent(suite: &Suite) {
    let table = suite.fresh("adders", &[("id", text_type()), ("n", int8_type())], &["id"]).await;
    suite.put(&table, vec![text("c"), int(0)]).await;
    let sums = added(suite, &table, &key(&[text("c")]), 1).await;
    same(&sums, &(1..=TASKS * ADDITIONS).collect(), "each addition has a sum of its own");
    suite.drop(&table).await;
}

async fn added(
    suite: &Suite,
    table: &StoreTable,
    id: &flywheel_types::Key,
    position: usize,
) -> Vec<i64> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (suite, table, id) = (suite.clone(), table.clone(), id.clone());
            tokio::spawn(async move {
                let mut sums = Vec::new();
                for _ in 0..ADDITIONS {
                    let change = assign(&id, vec![(position, Assignment::Add(1))]);
                    match suite.write(&table, change).await {
                        Applied::Done(Some(row)) => sums.extend(match row[position] {
                            Value::Int(sum) => Some(sum),
                            _ => None,
                        }),
                        applied => panic!("{applied:?}"),
                    }
                }
                sums
            })
        })
        .collect();
    let mut sums = Vec::new();
    for task in tasks {
        sums.extend(task.await.expect("a task"));
    }
    sums.sort_unstable();
    sums
}

/// The scores of a sorted set are exact up to 2^53.
pub(super) async fn check_scores(suite: &Suite) {
    const EXACT: i64 = 1 << 53;
    let columns = [("board", text_type()), ("player", text_type()), ("score", int8_type())];
    let table = sorted_set(
        table(&format!("{}_add_scores", suite.prefix), &columns, &["board", "player"]),
        "score",
    );
    suite.empty(&table).await;
    let id = key(&[text("go"), text("ann")]);
    let add = |amount| assign(&id, vec![(2, Assignment::Add(amount))]);
    let row = |score| vec![text("go"), text("ann"), int(score)];
    same(&suite.write(&table, add(1)).await, &Applied::Refused, "no member");
    same(&suite.get_one(&table, &id).await, &None, "and none after it");
    for (stored, amount, sum) in [
        (0, 1, Some(1)),
        (5, -7, Some(-2)),
        (-1, EXACT, Some(EXACT - 1)),
        (EXACT - 1, 1, Some(EXACT)),
        (EXACT, 1, None),
        (EXACT, -1, Some(EXACT - 1)),
        (-EXACT, EXACT, Some(0)),
        (-EXACT, -1, None),
        (1, i64::MAX, None),
        (1, i64::MIN, None),
    ] {
        suite.put(&table, row(stored)).await;
        let applied = sum.map_or(Applied::Refused, |sum| Applied::Done(Some(row(sum))));
        let what = format!("{stored} + {amount} as a score");
        same(&suite.write(&table, add(amount)).await, &applied, &what);
        same(&suite.get_one(&table, &id).await, &Some(row(sum.unwrap_or(stored))), &what);
    }
    suite.put(&table, row(0)).await;
    let sums = added(suite, &table, &id, 2).await;
    same(&sums, &(1..=TASKS * ADDITIONS).collect(), "each addition has a score of its own");
    let wide = Change { key: id.clone(), expect: Expect::Any, effect: Effect::Put(row(EXACT + 1)) };
    let answer = suite.store.write(&table, &wide).await;
    assert!(matches!(answer, Err(StoreError::LimitExceeded { .. })), "{answer:?}");
    suite.drop(&table).await;
}
