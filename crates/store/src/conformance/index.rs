//! Secondary indexes: ranges over other columns than the key's, followed by every kind of write.

use flywheel_types::{Row, Value};

use super::{Suite, delete, fixture::*, put, same, set};
use crate::{Bound, Expect, Index, KeyRange, StoreTable};

pub(super) async fn check(suite: &Suite) {
    let columns =
        [("id", int8_type()), ("owner", text_type()), ("at", int8_type()), ("note", text_type())];
    let mut table = table(&format!("{}_index", suite.prefix), &columns, &["id"]);
    table.layout = suite.layout;
    table.indexes = vec![index("by_owner", &[1, 2]), index("by_note", &[3])];
    suite.empty(&table).await;
    same(
        &suite.store.check_table(&table).await.expect("check_table"),
        &vec![],
        "a table just made has its indexes",
    );
    let found = suite.store.find_indexes(&table, true).await.expect("find_indexes");
    let names: Vec<_> = found.iter().map(|index| index.name.as_str()).collect();
    assert!(names.contains(&"by_owner") && names.contains(&"by_note"), "{names:?}");
    for (position, found) in found.into_iter().enumerate() {
        table.indexes[position] = found;
    }
    let by = |name: &str| {
        table.indexes.iter().find(|index| index.name == name).cloned().expect("an index")
    };
    let (owner, note) = (by("by_owner"), by("by_note"));
    assert_eq!((owner.columns.as_slice(), note.columns.as_slice()), (&[1, 2][..], &[3][..]));

    let row = |id: i64, owner: &str, at: i64| vec![int(id), text(owner), int(at), text("x")];
    for (id, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        suite.put(&table, row(id, "ann", at)).await;
    }
    suite.put(&table, row(5, "bob", 10)).await;
    suite.put(&table, vec![int(6), text("ann"), Value::Null, Value::Null]).await;
    suite.put(&table, vec![int(7), Value::Null, int(1), text("y")]).await;
    let unbounded = || (Bound::Unbounded, Bound::Unbounded);
    let ats = async |owner_name: &str, ends, descending, limit| {
        let rows = read(suite, &table, &owner, text(owner_name), ends, (descending, limit)).await;
        rows.into_iter().map(|row| row[2].clone()).collect::<Vec<_>>()
    };
    same(
        &ats("ann", unbounded(), false, 10).await,
        &ints(&[10, 10, 20, 30]),
        "a partition in order",
    );
    same(&ats("ann", unbounded(), true, 3).await, &ints(&[30, 20, 10]), "backwards, up to a limit");
    same(&ats("nobody", unbounded(), false, 10).await, &ints(&[]), "a partition that isn't there");
    let ends = (Bound::Excluded(int(10)), Bound::Included(int(30)));
    same(&ats("ann", ends, false, 10).await, &ints(&[20, 30]), "between two ends");
    let ends = (Bound::Included(int(10)), Bound::Excluded(int(20)));
    same(&ats("ann", ends, true, 10).await, &ints(&[10, 10]), "an end left out");
    let ends = (Bound::Included(int(20)), Bound::Included(int(10)));
    same(&ats("ann", ends, false, 10).await, &ints(&[]), "ends the wrong way round");
    let noted = read(suite, &table, &note, text("x"), unbounded(), (false, 10)).await;
    same(&noted.len(), &5, "an index of one column");
    let whole = read(suite, &table, &note, text("y"), unbounded(), (false, 10)).await;
    same(&whole, &vec![vec![int(7), Value::Null, int(1), text("y")]], "rows are whole");

    suite.write(&table, set(&key(&[int(1)]), &[(2, int(5)), (3, text("y"))])).await;
    same(&ats("ann", unbounded(), false, 10).await, &ints(&[5, 10, 10, 20]), "a set moves its row");
    suite.write(&table, set(&key(&[int(1)]), &[(2, Value::Null)])).await;
    same(&ats("ann", unbounded(), false, 10).await, &ints(&[10, 10, 20]), "NULL takes its row out");
    suite.put(&table, row(2, "bob", 40)).await;
    same(&ats("ann", unbounded(), false, 10).await, &ints(&[10, 20]), "a put moves its row away");
    same(&ats("bob", unbounded(), false, 10).await, &ints(&[10, 40]), "and into another partition");
    suite.write(&table, delete(&key(&[int(3)]), Expect::Any)).await;
    same(&ats("ann", unbounded(), false, 10).await, &ints(&[10]), "a delete takes its row out");
    let changes = [
        (&table, put(&table, Expect::Absent, row(8, "ann", 1))),
        (&table, put(&table, Expect::Any, row(5, "ann", 2))),
        (&table, delete(&key(&[int(4)]), Expect::Present)),
    ];
    assert!(suite.store.write_all(&changes).await.expect("write_all"));
    same(&ats("ann", unbounded(), false, 10).await, &ints(&[1, 2]), "several changes at once");
    let refused = suite.write(&table, put(&table, Expect::Absent, row(8, "bob", 99))).await;
    same(&refused, &crate::Applied::Refused, "a put of a key that is there");
    same(&ats("bob", unbounded(), false, 10).await, &ints(&[40]), "a refused write moves nothing");
    suite.drop(&table).await;
}

fn index(name: &str, columns: &[usize]) -> Index {
    Index {
        name: name.to_owned(),
        columns: columns.to_vec(),
        is_eventual: true,
        consistent_read: false,
        projected: None,
    }
}

fn ints(numbers: &[i64]) -> Vec<Value> {
    numbers.iter().copied().map(int).collect()
}

async fn read(
    suite: &Suite,
    table: &StoreTable,
    index: &Index,
    partition: Value,
    (lower, upper): (Bound, Bound),
    (descending, limit): (bool, usize),
) -> Vec<Row> {
    let range = KeyRange { partition, lower, upper, descending };
    suite.store.index_range(table, index, &range, limit).await.expect("index_range")
}
