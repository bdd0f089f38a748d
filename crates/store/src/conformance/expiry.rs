//! Rows whose time is over.

use flywheel_types::Value;

use super::{Suite, delete, fixture::*, put, range::read, same, set};
use crate::{Applied, Bound, Expect, StoreTable, now_micros};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;

pub(super) async fn check(suite: &Suite) {
    one_column_key(suite).await;
    range_skips_expired(suite).await;
}

async fn expiring_table(suite: &Suite, part: &str, keys: &[&str]) -> StoreTable {
    let columns = [("id", text_type()), ("n", int8_type()), ("until", timestamptz_type())];
    let name = format!("{}_{part}", suite.prefix);
    let table = expiring(table(&name, &columns, keys), "until");
    suite.empty(&table).await;
    table
}

fn at(micros: i64) -> Value {
    Value::Timestamptz(micros)
}

async fn one_column_key(suite: &Suite) {
    let table = expiring_table(suite, "expiry", &["id"]).await;
    let row = |n: i64, until: Value| vec![text("s"), int(n), until];
    let id = key(&[text("s")]);
    let past = || at(now_micros() - SECOND);
    let future = at(now_micros() + HOUR);

    for (until, what) in [
        (Value::Null, "never expires"),
        (at(i64::MAX), "expires at infinity"),
        (future.clone(), "expires in an hour"),
        (at(252_455_616_000_000_000), "expires in the year 10000"),
    ] {
        suite.put(&table, row(1, until.clone())).await;
        same(&suite.get_one(&table, &id).await, &Some(row(1, until.clone())), what);
        let applied = suite.write(&table, put(&table, Expect::Absent, row(2, until))).await;
        same(&applied, &Applied::Refused, what);
    }

    for (until, what) in [
        (past(), "expired a second ago"),
        (at(-1), "expired in 1999"),
        (at(-64_497_000_000_000_000), "expired before Christ"),
        (at(i64::MIN), "expired at -infinity"),
    ] {
        suite.put(&table, row(3, until.clone())).await;
        same(&suite.get_one(&table, &id).await, &None, what);
        same(&suite.store.scan(&table, 10).await.expect("scan"), &vec![], what);
        for (change, condition) in [
            (set(&id, &[(1, int(4))]), "set"),
            (put(&table, Expect::Present, row(4, future.clone())), "put if present"),
            (
                put(&table, Expect::Unchanged(row(3, until.clone())), row(4, future.clone())),
                "put if unchanged",
            ),
            (delete(&id, Expect::Present), "delete if present"),
        ] {
            same(&suite.write(&table, change).await, &Applied::Refused, condition);
        }
        same(&suite.write(&table, delete(&id, Expect::Any)).await, &Applied::Done(None), what);
        suite.put(&table, row(3, until)).await;
        let fresh = row(5, future.clone());
        let applied = suite.write(&table, put(&table, Expect::Absent, fresh.clone())).await;
        same(&applied, &Applied::Done(Some(fresh.clone())), "an expired row counts as absent");
        same(&suite.get_one(&table, &id).await, &Some(fresh), what);
    }

    // An expired row's columns don't shine through the row that takes its key.
    suite.put(&table, row(6, past())).await;
    let blank = vec![text("s"), Value::Null, Value::Null];
    suite.put(&table, blank.clone()).await;
    same(&suite.get_one(&table, &id).await, &Some(blank), "a new row");

    // Expiry follows the column when it is set: sooner, later, never.
    suite.put(&table, row(7, at(now_micros() + SECOND))).await;
    suite.write(&table, set(&id, &[(2, future.clone())])).await;
    suite.write(&table, set(&id, &[(1, int(8))])).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    same(&suite.get_one(&table, &id).await, &Some(row(8, future)), "set to later");
    suite.put(&table, row(7, at(now_micros() + SECOND))).await;
    suite.write(&table, set(&id, &[(2, Value::Null)])).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    same(&suite.get_one(&table, &id).await, &Some(row(7, Value::Null)), "set to never");
    let soon = at(now_micros() + 200_000);
    suite.write(&table, set(&id, &[(2, soon)])).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    same(&suite.get_one(&table, &id).await, &None, "set to sooner");
    suite.drop(&table).await;
}

/// A limit counts the rows that are returned, not those that have expired.
async fn range_skips_expired(suite: &Suite) {
    let table = expiring_table(suite, "expiry_range", &["id", "n"]).await;
    let soon = now_micros() + SECOND;
    let row = |n: i64| {
        let until = if n % 10 == 0 { Value::Null } else { at(soon + n) };
        vec![text("s"), int(n), until]
    };
    for n in 0..40 {
        suite.put(&table, row(n)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let everything = || (Bound::Unbounded, Bound::Unbounded);
    let id = text("s");
    let rows = read(suite, &table, &id, everything(), false, 3).await;
    same(&rows, &vec![row(0), row(10), row(20)], "a limit over expired rows");
    let rows = read(suite, &table, &id, everything(), true, 2).await;
    same(&rows, &vec![row(30), row(20)], "descending");
    assert_eq!(suite.store.scan(&table, 4).await.expect("scan counts what is there").len(), 4);
    let again = vec![text("s"), int(5), Value::Null];
    let applied = suite.write(&table, put(&table, Expect::Absent, again.clone())).await;
    same(&applied, &Applied::Done(Some(again.clone())), "a key whose row expired is free");
    let between = (Bound::Included(int(1)), Bound::Excluded(int(10)));
    let rows = read(suite, &table, &id, between, false, 100).await;
    same(&rows, &vec![again], "and its new row is in the range");
    suite.drop(&table).await;
}
