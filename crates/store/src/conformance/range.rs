//! Ranges of one partition: bounds, direction, limit.

use flywheel_types::{Row, Value};

use super::{Suite, delete, fixture::*, same};
use crate::{Bound, Expect, KeyRange, StoreTable};

pub(super) async fn check(suite: &Suite) {
    bounds(suite).await;
    several_sort_columns(suite).await;
}

pub(super) async fn read(
    suite: &Suite,
    table: &StoreTable,
    partition: &Value,
    (lower, upper): (Bound, Bound),
    descending: bool,
    limit: usize,
) -> Vec<Row> {
    let range = KeyRange { partition: partition.clone(), lower, upper, descending };
    suite.store.range(table, &range, limit).await.expect("range")
}

async fn bounds(suite: &Suite) {
    let columns = [("name", text_type()), ("at", int8_type()), ("note", text_type())];
    let table = suite.fresh("range", &columns, &["name", "at"]).await;
    let row = |name: &str, at: i64| vec![text(name), int(at), text(&format!("{name} {at}"))];
    let ats = [i64::MIN, -300, -2, 0, 1, 2, 10, 255, 256, 1_000_000, i64::MAX];
    for &at in ats.iter().rev() {
        suite.put(&table, row("ann", at)).await;
    }
    for at in [-5, 0, 5] {
        suite.put(&table, row("an", at)).await;
        suite.put(&table, row("anna", at)).await;
    }

    let ends = [i64::MIN, -300, -299, 0, 1, 9, 10, 256, i64::MAX];
    let lowers = std::iter::once(Bound::Unbounded)
        .chain(ends.map(|end| Bound::Included(int(end))))
        .chain(ends.map(|end| Bound::Excluded(int(end))));
    for lower in lowers {
        for upper in [
            Bound::Unbounded,
            Bound::Included(int(10)),
            Bound::Excluded(int(10)),
            Bound::Included(int(i64::MAX)),
            Bound::Excluded(int(i64::MIN)),
        ] {
            let mut expected: Vec<Row> = ats
                .iter()
                .filter(|at| inside(**at, &lower, &upper))
                .map(|&at| row("ann", at))
                .collect();
            let what = format!("{lower:?} to {upper:?}");
            let between = || (lower.clone(), upper.clone());
            let ann = text("ann");
            let rows = read(suite, &table, &ann, between(), false, 100).await;
            same(&rows, &expected, &what);
            expected.reverse();
            let rows = read(suite, &table, &ann, between(), true, 100).await;
            same(&rows, &expected, &what);
            expected.truncate(2);
            let rows = read(suite, &table, &ann, between(), true, 2).await;
            same(&rows, &expected, &what);
        }
    }

    let everything = || (Bound::Unbounded, Bound::Unbounded);
    let expected: Vec<Row> = ats[..3].iter().map(|&at| row("ann", at)).collect();
    let rows = read(suite, &table, &text("ann"), everything(), false, 3).await;
    same(&rows, &expected, "limit, ascending");
    for (limit, count) in [(0, 0), (usize::MAX, ats.len())] {
        let rows = read(suite, &table, &text("ann"), everything(), false, limit).await;
        same(&rows.len(), &count, "a limit at its ends");
    }
    let rows = read(suite, &table, &text("bob"), everything(), false, 3).await;
    same(&rows, &vec![], "a partition without rows");

    // A deleted row leaves the range.
    suite.write(&table, delete(&key(&[text("ann"), int(-300)]), Expect::Present)).await;
    let expected: Vec<Row> = [i64::MIN, -2].iter().map(|&at| row("ann", at)).collect();
    let rows = read(suite, &table, &text("ann"), everything(), false, 2).await;
    same(&rows, &expected, "after a delete");
    suite.drop(&table).await;

    let rows = {
        suite.store.create_table(&table).await.expect("create_table");
        read(suite, &table, &text("ann"), everything(), false, 100).await
    };
    same(&rows, &vec![], "after drop_table");
    suite.drop(&table).await;
}

fn inside(at: i64, lower: &Bound, upper: &Bound) -> bool {
    let above = match lower {
        Bound::Included(Value::Int(end)) => at >= *end,
        Bound::Excluded(Value::Int(end)) => at > *end,
        _ => true,
    };
    let below = match upper {
        Bound::Included(Value::Int(end)) => at <= *end,
        Bound::Excluded(Value::Int(end)) => at < *end,
        _ => true,
    };
    above && below
}

/// Bounds are over the first sort column; order is over all.
async fn several_sort_columns(suite: &Suite) {
    let columns = [
        ("shop", text_type()),
        ("day", int4_type()),
        ("item", text_type()),
        ("price", money_type()),
        ("note", text_type()),
    ];
    let table = suite.fresh("range_several", &columns, &["shop", "day", "item", "price"]).await;
    let row = |day: i64, item: &str, price: &str| {
        vec![text("s"), int(day), text(item), Value::Numeric(price.into()), text("n")]
    };
    let rows = [
        row(-1, "z", "0.00"),
        row(0, "a", "-1.50"),
        row(0, "a", "-0.50"),
        row(0, "a", "9.00"),
        row(0, "a", "10.00"),
        row(0, "a:", "0.00"),
        row(0, "ab", "0.00"),
        row(1, "a", "0.00"),
        row(1, "é", "0.00"),
        row(2, "a", "0.00"),
    ];
    for row in rows.iter().rev() {
        suite.put(&table, row.clone()).await;
    }
    let shop = text("s");
    for (lower, upper, expected) in [
        (Bound::Unbounded, Bound::Unbounded, &rows[..]),
        (Bound::Included(int(0)), Bound::Included(int(0)), &rows[1..7]),
        (Bound::Excluded(int(0)), Bound::Unbounded, &rows[7..]),
        (Bound::Unbounded, Bound::Excluded(int(0)), &rows[..1]),
        (Bound::Unbounded, Bound::Included(int(0)), &rows[..7]),
        (Bound::Excluded(int(-1)), Bound::Excluded(int(2)), &rows[1..9]),
        (Bound::Included(int(1)), Bound::Included(int(0)), &rows[..0]),
    ] {
        let what = format!("{lower:?} to {upper:?}");
        let mut expected = expected.to_vec();
        let between = || (lower.clone(), upper.clone());
        same(&read(suite, &table, &shop, between(), false, 50).await, &expected, &what);
        expected.reverse();
        same(&read(suite, &table, &shop, between(), true, 50).await, &expected, &what);
    }
    suite.drop(&table).await;
}
