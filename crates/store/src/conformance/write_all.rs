//! Several changes as one.

use flywheel_types::Value;

use super::{Suite, delete, fixture::*, put, same, set};
use crate::Expect;

pub(super) async fn check(suite: &Suite) {
    let people =
        suite.fresh("all_people", &[("id", int8_type()), ("name", text_type())], &["id"]).await;
    let visits = suite
        .fresh(
            "all_visits",
            &[("id", int8_type()), ("at", timestamptz_type()), ("page", text_type())],
            &["id", "at"],
        )
        .await;
    let person = |id: i64, name: &str| vec![int(id), text(name)];
    let visit = |id: i64, at: i64| vec![int(id), Value::Timestamptz(at), text("/")];
    for id in 1..=4 {
        suite.put(&people, person(id, "old")).await;
    }

    assert!(suite.store.write_all(&[]).await.expect("write_all"), "nothing to refuse");

    let changes = vec![
        (&people, put(&people, Expect::Absent, person(9, "new"))),
        (&people, put(&people, Expect::Unchanged(person(1, "old")), person(1, "new"))),
        (&people, set(&key(&[int(2)]), &[(1, Value::Null)])),
        (&people, delete(&key(&[int(3)]), Expect::Present)),
        (&visits, put(&visits, Expect::Any, visit(1, 5))),
        (&visits, put(&visits, Expect::Absent, visit(1, -5))),
        (&visits, delete(&key(&[int(8), Value::Timestamptz(8)]), Expect::Any)),
    ];
    let before = state(suite, &[&people, &visits]).await;

    // One condition that fails, at each place, of each kind.
    let failing = [
        (&people, put(&people, Expect::Absent, person(4, "no"))),
        (&people, put(&people, Expect::Present, person(5, "no"))),
        (&people, put(&people, Expect::Unchanged(person(4, "other")), person(4, "no"))),
        (&people, set(&key(&[int(6)]), &[(1, text("no"))])),
        (&visits, delete(&key(&[int(7), Value::Timestamptz(7)]), Expect::Present)),
    ];
    for (place, failing) in failing.iter().enumerate() {
        let mut with_failing = changes.clone();
        with_failing.insert(place + place / 3, failing.clone());
        let applied = suite.store.write_all(&with_failing).await.expect("write_all");
        assert!(!applied, "a condition fails: {failing:?}");
        same(
            &state(suite, &[&people, &visits]).await,
            &before,
            "a condition failed: nothing was written",
        );
    }

    assert!(suite.store.write_all(&changes).await.expect("write_all"), "all conditions hold");
    let expected = vec![
        person(1, "new"),
        vec![int(2), Value::Null],
        person(4, "old"),
        person(9, "new"),
        visit(1, -5),
        visit(1, 5),
    ];
    same(&state(suite, &[&people, &visits]).await, &expected, "all were applied");
    assert!(
        !suite.store.write_all(&changes).await.expect("write_all"),
        "their conditions hold no more"
    );
    same(&state(suite, &[&people, &visits]).await, &expected, "applied once");
    suite.drop(&people).await;
    suite.drop(&visits).await;
}

/// All rows of the tables, each table's in the order of its keys.
async fn state(suite: &Suite, tables: &[&crate::StoreTable]) -> Vec<Vec<Value>> {
    let mut state = Vec::new();
    for table in tables {
        let mut rows = suite.store.scan(table, 1000).await.expect("scan");
        rows.sort_by_key(|row| flywheel_types::ordered::encode(table.table.key_of(row).values()));
        state.extend(rows);
    }
    state
}
