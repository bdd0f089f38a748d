//! Changes that wait, locked, for the outcome of their transaction.

use flywheel_types::{Key, Value};

use super::{Suite, delete, fixture::*, put, same, set};
use crate::{Change, Expect, Prepared, StoreError, StoreTable, TransactionId, now_micros};

const OURS: TransactionId = TransactionId { xid: 741, id: 1 };
const THEIRS: TransactionId = TransactionId { xid: 742, id: 2 };

pub(super) async fn check(suite: &Suite) {
    carried_out(suite).await;
    rolled_back(suite).await;
    refused(suite).await;
    in_the_way(suite).await;
    expiring(suite).await;
    own_block(suite).await;
}

async fn tables(suite: &Suite, part: &str) -> (StoreTable, StoreTable) {
    let people = suite
        .fresh(&format!("{part}_people"), &[("id", int8_type()), ("name", text_type())], &["id"])
        .await;
    let columns =
        [("who", text_type()), ("at", int8_type()), ("n", int8_type()), ("page", text_type())];
    let visits = suite.fresh(&format!("{part}_visits"), &columns, &["who", "at", "n"]).await;
    for id in 1..=3 {
        suite.put(&people, person(id, "old")).await;
    }
    suite.put(&visits, visit(1, "old")).await;
    (people, visits)
}

fn person(id: i64, name: &str) -> Vec<Value> {
    vec![int(id), text(name)]
}

fn visit(at: i64, page: &str) -> Vec<Value> {
    vec![text("ann"), int(at), int(0), text(page)]
}

/// A put over a row, a put where there is none, a deletion; of two tables.
fn changes<'t>(people: &'t StoreTable, visits: &'t StoreTable) -> Vec<(&'t StoreTable, Change)> {
    vec![
        (people, put(people, Expect::Unchanged(person(1, "old")), person(1, "new"))),
        (people, put(people, Expect::Absent, person(9, "new"))),
        (people, delete(&key(&[int(2)]), Expect::Unchanged(person(2, "old")))),
        (visits, put(visits, Expect::Unchanged(visit(1, "old")), visit(1, "new"))),
        (visits, put(visits, Expect::Absent, visit(2, "new"))),
    ]
}

fn keys<'t>(changes: &[(&'t StoreTable, Change)]) -> Vec<(&'t StoreTable, Key)> {
    changes.iter().map(|(table, change)| (*table, change.key.clone())).collect()
}

/// Both tables by all ways of reading.
async fn state(suite: &Suite, people: &StoreTable, visits: &StoreTable) -> Vec<Vec<Value>> {
    let store = &suite.store;
    let mut rows = store.scan(people, 100).await.expect("scan");
    rows.sort_by_key(|row| format!("{row:?}"));
    let by_key: Vec<Key> = (1..=9).map(|id| key(&[int(id)])).collect();
    let got: Vec<_> =
        store.get(people, &by_key).await.expect("get").into_iter().flatten().collect();
    same(&got, &rows, "rows by their keys and all rows");
    for id in &by_key {
        let one = suite.get_one(people, id).await;
        assert_eq!(one.is_some(), rows.iter().any(|row| row[0] == id.values()[0]), "{id:?}");
    }
    let range = crate::KeyRange {
        partition: text("ann"),
        lower: crate::Bound::Unbounded,
        upper: crate::Bound::Unbounded,
        descending: false,
    };
    let of_ann = store.range(visits, &range, 100).await.expect("range");
    same(&store.range(visits, &range, of_ann.len()).await.expect("range"), &of_ann, "a limit");
    assert_eq!(store.scan(visits, of_ann.len()).await.expect("scan").len(), of_ann.len());
    rows.extend(of_ann);
    rows
}

fn old() -> Vec<Vec<Value>> {
    vec![person(1, "old"), person(2, "old"), person(3, "old"), visit(1, "old")]
}

fn new() -> Vec<Vec<Value>> {
    vec![person(1, "new"), person(3, "old"), person(9, "new"), visit(1, "new"), visit(2, "new")]
}

async fn carried_out(suite: &Suite) {
    let (people, visits) = tables(suite, "prepared").await;
    let changes = changes(&people, &visits);
    let store = &suite.store;
    assert_eq!(
        store.prepare(OURS, &[]).await.expect("prepare"),
        Prepared::Locked,
        "nothing to refuse"
    );
    for what in ["prepared", "prepared again, since an answer may be lost"] {
        assert_eq!(store.prepare(OURS, &changes).await.expect(what), Prepared::Locked);
        same(&state(suite, &people, &visits).await, &old(), what);
    }
    store.commit_prepared(THEIRS, &changes).await.expect("commit_prepared");
    store.rollback_prepared(THEIRS, &keys(&changes)).await.expect("rollback_prepared");
    same(&state(suite, &people, &visits).await, &old(), "another transaction's outcome");
    // A part, as by one who was interrupted.
    store.commit_prepared(OURS, &changes[..2]).await.expect("commit_prepared");
    store.commit_prepared(OURS, &changes).await.expect("commit_prepared");
    same(&state(suite, &people, &visits).await, &new(), "carried out");
    suite.put(&people, person(9, "later")).await;
    suite.write(&people, delete(&key(&[int(1)]), Expect::Present)).await;
    let later = state(suite, &people, &visits).await;
    store.commit_prepared(OURS, &changes).await.expect("commit_prepared");
    store.rollback_prepared(OURS, &keys(&changes)).await.expect("rollback_prepared");
    same(&state(suite, &people, &visits).await, &later, "once only");
    suite.drop(&people).await;
    suite.drop(&visits).await;
}

async fn rolled_back(suite: &Suite) {
    let (people, visits) = tables(suite, "unprepared").await;
    let changes = changes(&people, &visits);
    let store = &suite.store;
    store.rollback_prepared(OURS, &keys(&changes)).await.expect("nothing to take away");
    assert_eq!(store.prepare(OURS, &changes).await.expect("prepare"), Prepared::Locked);
    store.rollback_prepared(OURS, &keys(&changes)).await.expect("rollback_prepared");
    store.commit_prepared(OURS, &changes).await.expect("commit_prepared");
    same(&state(suite, &people, &visits).await, &old(), "as before");
    // Nobody is in the way.
    assert_eq!(store.prepare(THEIRS, &changes).await.expect("prepare"), Prepared::Locked);
    store.commit_prepared(THEIRS, &changes).await.expect("commit_prepared");
    same(&state(suite, &people, &visits).await, &new(), "carried out");
    suite.drop(&people).await;
    suite.drop(&visits).await;
}

/// A condition that doesn't hold locks nothing.
async fn refused(suite: &Suite) {
    let (people, visits) = tables(suite, "not_prepared").await;
    let failing = [
        put(&people, Expect::Absent, person(3, "no")),
        put(&people, Expect::Present, person(5, "no")),
        put(&people, Expect::Unchanged(person(3, "other")), person(3, "no")),
        put(&people, Expect::Unchanged(person(5, "other")), person(5, "no")),
    ];
    for failing in failing {
        let mut with_failing = changes(&people, &visits);
        with_failing.insert(2, (&people, failing));
        let prepared = suite.store.prepare(OURS, &with_failing).await.expect("prepare");
        assert_eq!(prepared, Prepared::Refused, "{with_failing:?}");
    }
    assert!(
        suite.store.write_all(&changes(&people, &visits)).await.expect("write_all"),
        "no locks"
    );
    same(&state(suite, &people, &visits).await, &new(), "written");
    suite.drop(&people).await;
    suite.drop(&visits).await;
}

/// Writers of every kind are told of the lock, at its place, and write nothing.
async fn in_the_way(suite: &Suite) {
    let (people, visits) = tables(suite, "locked").await;
    let changes = changes(&people, &visits);
    let store = &suite.store;
    assert_eq!(store.prepare(OURS, &changes).await.expect("prepare"), Prepared::Locked);
    let locked = |position| StoreError::Locked { position, transaction: OURS };
    let writes = [
        put(&people, Expect::Any, person(1, "no")),
        put(&people, Expect::Present, person(1, "no")),
        put(&people, Expect::Unchanged(person(1, "old")), person(1, "no")),
        set(&key(&[int(1)]), &[(1, text("no"))]),
        delete(&key(&[int(1)]), Expect::Any),
        delete(&key(&[int(2)]), Expect::Present),
        // A row that isn't there yet.
        put(&people, Expect::Any, person(9, "no")),
        put(&people, Expect::Absent, person(9, "no")),
        delete(&key(&[int(9)]), Expect::Any),
    ];
    for change in writes {
        assert_eq!(store.write(&people, &change).await, Err(locked(0)), "{change:?}");
        let free = put(&people, Expect::Present, person(3, "no"));
        let together = [(&people, free), (&people, change.clone())];
        assert_eq!(store.write_all(&together).await, Err(locked(1)), "{change:?}");
        if change.expect != Expect::Any {
            assert_eq!(store.prepare(THEIRS, &together).await, Err(locked(1)), "{change:?}");
        }
    }
    let of_visits = put(&visits, Expect::Any, visit(2, "no"));
    assert_eq!(store.write(&visits, &of_visits).await, Err(locked(0)));
    same(&state(suite, &people, &visits).await, &old(), "nothing was written");
    suite.put(&people, person(3, "old")).await;
    store.commit_prepared(OURS, &changes).await.expect("commit_prepared");
    same(&state(suite, &people, &visits).await, &new(), "carried out");
    suite.drop(&people).await;
    suite.drop(&visits).await;
}

/// A block's locks give way to those of its own, and go with what it writes; conditions hold for it
/// as for others.
async fn own_block(suite: &Suite) {
    let (people, visits) = tables(suite, "own_block").await;
    let changes = changes(&people, &visits);
    let store = &suite.store;
    let [first, second, theirs] =
        [(7, 0), (7, 1), (8, 0)].map(|(block, at)| TransactionId::of_block(block, at));
    let committing = TransactionId { xid: 741, ..second };
    assert_eq!(store.prepare(first, &changes[..2]).await.expect("prepare"), Prepared::Locked);
    assert_eq!(store.prepare(second, &changes[1..]).await.expect("prepare"), Prepared::Locked);
    // Its own lock is still on the first row, which is another's now.
    store.rollback_prepared(first, &keys(&changes)[1..2]).await.expect("rollback_prepared");
    let locked = |position, transaction| StoreError::Locked { position, transaction };
    for (position, holder) in [first, second, second, second, second].into_iter().enumerate() {
        let change = &changes[position..=position];
        assert_eq!(store.prepare(theirs, change).await, Err(locked(0, holder)), "{change:?}");
        assert_eq!(store.write_own(theirs, change).await, Err(locked(0, holder)), "{change:?}");
    }
    // Somebody else's row, in spite of the lock.
    let other = [(&people, put(&people, Expect::Unchanged(person(1, "other")), person(1, "no")))];
    let taken = [(&people, put(&people, Expect::Absent, person(1, "no")))];
    for change in [&other, &taken] {
        assert_eq!(store.prepare(committing, change).await.expect("prepare"), Prepared::Refused);
        assert!(!store.write_own(second, change).await.expect("write_own"));
    }
    same(&state(suite, &people, &visits).await, &old(), "nothing was written");
    assert!(store.write_own(second, &changes).await.expect("write_own"));
    same(&state(suite, &people, &visits).await, &new(), "written");
    // The locks have gone.
    suite.put(&people, person(1, "old")).await;
    suite.write(&people, delete(&key(&[int(9)]), Expect::Present)).await;
    suite.put(&people, person(2, "old")).await;
    let again = [
        (&people, put(&people, Expect::Unchanged(person(1, "old")), person(1, "new"))),
        (&people, put(&people, Expect::Absent, person(9, "new"))),
    ];
    assert_eq!(store.prepare(first, &again).await.expect("prepare"), Prepared::Locked);
    assert_eq!(store.prepare(committing, &again).await.expect("prepare"), Prepared::Locked);
    store.rollback_prepared(first, &keys(&again)).await.expect("not its locks any more");
    store.commit_prepared(committing, &again).await.expect("commit_prepared");
    let rows = store.get(&people, &[1, 9].map(|id| key(&[int(id)]))).await.expect("get");
    same(&rows, &vec![Some(person(1, "new")), Some(person(9, "new"))], "carried out");
    suite.drop(&people).await;
    suite.drop(&visits).await;
}

/// An expired row counts as absent, and a row that expires while it is locked is written all the
/// same.
async fn expiring(suite: &Suite) {
    let columns = [("id", int8_type()), ("until", timestamptz_type()), ("name", text_type())];
    let table = expiring_table(suite, &columns).await;
    let row =
        |id: i64, until: i64, name: &str| vec![int(id), Value::Timestamptz(until), text(name)];
    let (now, hour) = (now_micros(), 3_600_000_000);
    let store = &suite.store;
    suite.put(&table, row(1, now + 300_000, "old")).await;
    suite.put(&table, row(2, now + hour, "old")).await;
    suite.put(&table, row(4, now + 300_000, "old")).await;
    let changes = [
        (&table, put(&table, Expect::Present, row(1, now + hour, "new"))),
        (&table, delete(&key(&[int(2)]), Expect::Present)),
        (&table, put(&table, Expect::Absent, row(3, now + hour, "new"))),
    ];
    assert_eq!(store.prepare(OURS, &changes).await.expect("prepare"), Prepared::Locked);
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    assert!(suite.get_one(&table, &key(&[int(1)])).await.is_none(), "expired");
    store.commit_prepared(OURS, &changes).await.expect("commit_prepared");
    let rows = store.get(&table, &[1, 2, 3].map(|id| key(&[int(id)]))).await.expect("get");
    same(
        &rows,
        &vec![Some(row(1, now + hour, "new")), None, Some(row(3, now + hour, "new"))],
        "carried out",
    );

    let over_expired = [(&table, put(&table, Expect::Absent, row(4, now + hour, "new")))];
    assert_eq!(store.prepare(OURS, &over_expired).await.expect("prepare"), Prepared::Locked);
    assert!(suite.get_one(&table, &key(&[int(4)])).await.is_none(), "not there yet");
    store.rollback_prepared(OURS, &keys(&over_expired)).await.expect("rollback_prepared");
    assert!(suite.get_one(&table, &key(&[int(4)])).await.is_none(), "never there");
    let living = [(&table, put(&table, Expect::Present, row(3, now + hour, "no")))];
    assert_eq!(store.prepare(OURS, &living).await.expect("prepare"), Prepared::Locked);
    store.rollback_prepared(OURS, &keys(&living)).await.expect("rollback_prepared");
    same(
        &suite.get_one(&table, &key(&[int(3)])).await,
        &Some(row(3, now + hour, "new")),
        "as before",
    );
    suite.drop(&table).await;
}

async fn expiring_table(suite: &Suite, columns: &[(&str, flywheel_types::TypeInfo)]) -> StoreTable {
    let table = super::fixture::expiring(
        table(&format!("{}_prepared_expiring", suite.prefix), columns, &["id"]),
        "until",
    );
    suite.empty(&table).await;
    table
}

/// Members of a sorted set are locked one by one.
pub(super) async fn check_sorted_set(suite: &Suite) {
    let columns = [("board", text_type()), ("member", text_type()), ("score", int8_type())];
    let table = super::fixture::sorted_set(
        table(&format!("{}_prepared_set", suite.prefix), &columns, &["board", "member"]),
        "score",
    );
    suite.empty(&table).await;
    let row = |member: &str, score: i64| vec![text("go"), text(member), int(score)];
    let store = &suite.store;
    suite.put(&table, row("ann", 1)).await;
    suite.put(&table, row("bob", 2)).await;
    let changes = [
        (&table, put(&table, Expect::Unchanged(row("ann", 1)), row("ann", 11))),
        (&table, put(&table, Expect::Absent, row("cy:{}", 3))),
    ];
    assert_eq!(store.prepare(OURS, &changes).await.expect("prepare"), Prepared::Locked);
    let transaction = OURS;
    for member in ["ann", "cy:{}"] {
        let write = put(&table, Expect::Any, row(member, 7));
        assert_eq!(
            store.write(&table, &write).await,
            Err(StoreError::Locked { position: 0, transaction })
        );
    }
    suite.put(&table, row("bob", 22)).await;
    let range = crate::ScoreRange {
        partition: Some(text("go")),
        lower: crate::Bound::Unbounded,
        upper: crate::Bound::Unbounded,
        descending: true,
    };
    let by_score = || store.by_score(&table, &range, 0, 10);
    same(&by_score().await.expect("by_score"), &vec![row("bob", 22), row("ann", 1)], "as before");
    store.commit_prepared(OURS, &changes).await.expect("commit_prepared");
    let after = vec![row("bob", 22), row("ann", 11), row("cy:{}", 3)];
    same(&by_score().await.expect("by_score"), &after, "carried out");
    let deletion = [(&table, delete(&changes[0].1.key, Expect::Present))];
    assert_eq!(store.prepare(OURS, &deletion).await.expect("prepare"), Prepared::Locked);
    store.rollback_prepared(OURS, &keys(&deletion)).await.expect("rollback_prepared");
    same(&by_score().await.expect("by_score"), &after, "as before");
    suite.drop(&table).await;
}
