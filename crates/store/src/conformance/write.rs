//! Single changes under each condition.

use flywheel_types::Value;

use super::{Suite, delete, fixture::*, put, same, set};
use crate::{Applied, Change, Effect, Expect};

pub(super) async fn check(suite: &Suite) {
    let columns =
        [("id", text_type()), ("name", text_type()), ("age", int4_type()), ("price", money_type())];
    let table = suite.fresh("write", &columns, &["id"]).await;
    let id = key(&[text("one")]);
    let row = vec![text("one"), text("Ann"), int(41), Value::Null];
    let other = vec![text("one"), text("Bob"), Value::Null, Value::Numeric("1.50".into())];
    let done = |row: &[Value]| Applied::Done(Some(row.to_vec()));

    // Nothing is there.
    for (change, what) in [
        (put(&table, Expect::Present, row.clone()), "put if present"),
        (put(&table, Expect::Unchanged(row.clone()), other.clone()), "put if unchanged"),
        (set(&id, &[(1, text("Cid"))]), "set"),
        (delete(&id, Expect::Present), "delete if present"),
        (delete(&id, Expect::Unchanged(row.clone())), "delete if unchanged"),
    ] {
        same(&suite.write(&table, change).await, &Applied::Refused, what);
        same(&suite.get_one(&table, &id).await, &None, what);
    }
    same(
        &suite.write(&table, delete(&id, Expect::Any)).await,
        &Applied::Done(None),
        "delete of no row",
    );

    // Put if absent, twice.
    let applied = suite.write(&table, put(&table, Expect::Absent, row.clone())).await;
    same(&applied, &done(&row), "put if absent");
    same(&suite.get_one(&table, &id).await, &Some(row.clone()), "the row, NULL as NULL");
    let applied = suite.write(&table, put(&table, Expect::Absent, other.clone())).await;
    same(&applied, &Applied::Refused, "put if absent of a row that is there");
    same(&suite.get_one(&table, &id).await, &Some(row.clone()), "refused: unchanged");

    // A put replaces the whole row: what was set and is NULL now is NULL.
    let applied = suite.write(&table, put(&table, Expect::Present, other.clone())).await;
    same(&applied, &done(&other), "put if present");
    same(&suite.get_one(&table, &id).await, &Some(other.clone()), "replaced whole");
    suite.put(&table, row.clone()).await;

    // Set changes its columns only, also to and from NULL.
    let mut expected = row.clone();
    for values in [
        vec![(1, text("Dan"))],
        vec![(2, Value::Null), (3, Value::Numeric("0.10".into()))],
        vec![(2, int(-7)), (1, Value::Null)],
        vec![(1, Value::Null)],
        vec![(1, text("")), (3, Value::Null)],
    ] {
        for (position, value) in &values {
            expected[*position] = value.clone();
        }
        let applied = suite.write(&table, set(&id, &values)).await;
        same(&applied, &done(&expected), "set gives the row as it is now");
        same(&suite.get_one(&table, &id).await, &Some(expected.clone()), "set");
    }

    compare_and_set(suite, &table, &expected).await;

    // Delete gives the row that was there.
    let now = suite.get_one(&table, &id).await.expect("a row");
    same(
        &suite.write(&table, delete(&id, Expect::Absent)).await,
        &Applied::Refused,
        "delete if absent",
    );
    same(&suite.write(&table, delete(&id, Expect::Present)).await, &done(&now), "delete");
    same(&suite.get_one(&table, &id).await, &None, "deleted");
    suite.put(&table, row.clone()).await;
    same(&suite.write(&table, delete(&id, Expect::Any)).await, &done(&row), "delete any");
    suite.drop(&table).await;

    key_columns_alone(suite).await;
}

/// [`Expect::Unchanged`] compares every column, NULLs too.
async fn compare_and_set(suite: &Suite, table: &crate::StoreTable, stored: &[Value]) {
    let id = table.table.key_of(stored);
    let mut next = stored.to_vec();
    next[1] = text("Eve");
    for position in 1..stored.len() {
        let mut stale = stored.to_vec();
        stale[position] = match &stored[position] {
            Value::Null if position == 3 => Value::Numeric("0.00".into()),
            Value::Null => text(""),
            _ => Value::Null,
        };
        let change = put(table, Expect::Unchanged(stale.clone()), next.clone());
        same(&suite.write(table, change).await, &Applied::Refused, "put of a changed row");
        let change = delete(&id, Expect::Unchanged(stale));
        same(&suite.write(table, change).await, &Applied::Refused, "delete of a changed row");
    }
    same(&suite.get_one(table, &id).await, &Some(stored.to_vec()), "refused: nothing written");
    let change = put(table, Expect::Unchanged(stored.to_vec()), next.clone());
    same(
        &suite.write(table, change.clone()).await,
        &Applied::Done(Some(next.clone())),
        "put of an unchanged row",
    );
    same(&suite.write(table, change).await, &Applied::Refused, "and once only");
    let change = delete(&id, Expect::Unchanged(next.clone()));
    same(
        &suite.write(table, change).await,
        &Applied::Done(Some(next.clone())),
        "delete of an unchanged row",
    );
    suite.put(table, next).await;
}

/// A table of nothing but its key: a row exists by its key alone.
async fn key_columns_alone(suite: &Suite) {
    let columns = [("a", text_type()), ("b", int8_type())];
    let table = suite.fresh("write_keys", &columns, &["a", "b"]).await;
    let row = vec![text("x"), int(1)];
    let id = table.table.key_of(&row);
    let absent = put(&table, Expect::Absent, row.clone());
    same(
        &suite.write(&table, absent.clone()).await,
        &Applied::Done(Some(row.clone())),
        "put of a key",
    );
    same(&suite.write(&table, absent).await, &Applied::Refused, "the key is taken");
    let unchanged = Change {
        key: id.clone(),
        expect: Expect::Unchanged(row.clone()),
        effect: Effect::Put(row.clone()),
    };
    same(
        &suite.write(&table, unchanged.clone()).await,
        &Applied::Done(Some(row.clone())),
        "unchanged: it exists",
    );
    same(
        &suite.write(&table, delete(&id, Expect::Any)).await,
        &Applied::Done(Some(row)),
        "delete of a key",
    );
    same(&suite.write(&table, unchanged).await, &Applied::Refused, "changed: it's gone");
    suite.drop(&table).await;
}
