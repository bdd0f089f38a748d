//! Rows outlive the process in a file.

use std::path::Path;

use flywheel_memory::MemoryStore;
use flywheel_store::conformance::fixture::*;
use flywheel_store::{
    Applied, Bound, Change, Effect, Expect, KeyRange, Store, StoreError, StoreTable, Writes,
};
use flywheel_types::{Row, TypeInfo, Value, oid};

async fn put(store: &MemoryStore, table: &StoreTable, row: &[Value]) {
    let change = Change {
        key: table.table.key_of(row),
        expect: Expect::Absent,
        effect: Effect::Put(row.to_vec()),
    };
    let applied = store.write(table, &change).await.expect("write");
    assert_eq!(applied, Applied::Done(Some(row.to_vec())));
}

fn visits() -> StoreTable {
    let columns = [("who", text_type()), ("at", int8_type()), ("price", money_type())];
    table("public.visits", &columns, &["who", "at"])
}

fn visit(at: i64) -> Row {
    vec![text("Ann \"\n日本"), int(at), Value::Numeric("1.50".into())]
}

async fn all(store: &MemoryStore, table: &StoreTable) -> Vec<Row> {
    let range = KeyRange {
        partition: visit(0)[0].clone(),
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
        descending: false,
    };
    store.range(table, &range, 100).await.expect("range")
}

#[tokio::test]
async fn rows_come_back_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows.jsonl");
    let store = MemoryStore::open(&path).expect("no file yet");
    for at in [10, -3, 9] {
        put(&store, &visits(), &visit(at)).await;
    }
    store.save().expect("save");
    let before = std::fs::read(&path).expect("the file");

    let store = MemoryStore::open(&path).expect("open");
    store.save().expect("save of tables that nobody used");
    assert_eq!(std::fs::read(&path).expect("the file"), before);

    let store = MemoryStore::open(&path).expect("open");
    assert_eq!(all(&store, &visits()).await, [visit(-3), visit(9), visit(10)]);
    put(&store, &visits(), &visit(0)).await;
    store.save().expect("save");
    let store = MemoryStore::open(&path).expect("open");
    assert_eq!(all(&store, &visits()).await, [visit(-3), visit(0), visit(9), visit(10)]);
    assert_eq!(
        std::fs::read_dir(directory.path()).expect("the directory").count(),
        1,
        "no temporary file is left"
    );
}

#[tokio::test]
async fn a_definition_may_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows.jsonl");
    let store = MemoryStore::open(&path).expect("no file yet");
    put(&store, &visits(), &visit(5)).await;
    for reopened in [false, true] {
        let reopened = reopened.then(|| MemoryStore::open(&path).expect("open"));
        let store = reopened.as_ref().unwrap_or(&store);
        // A column more, one less, another order; a key column of another type.
        let columns = [("note", text_type()), ("at", int4_type()), ("who", text_type())];
        let changed = table("public.visits", &columns, &["who", "at"]);
        assert_eq!(all(store, &changed).await, [vec![Value::Null, int(5), visit(5)[0].clone()]]);
        // A column whose text isn't of its new type.
        let boolean = TypeInfo::new(oid::BOOL, -1, "boolean");
        let columns = [("who", text_type()), ("at", int8_type()), ("price", boolean)];
        let changed = table("public.visits", &columns, &["who", "at"]);
        let error = store.scan(&changed, 10).await.expect_err("no boolean");
        assert!(
            matches!(&error, StoreError::Malformed { attribute, .. } if attribute == "price"),
            "{error}"
        );
        assert_eq!(store.check_table(&changed).await.expect("check_table").len(), 1);
        // What was not in a definition is there still.
        assert_eq!(all(store, &visits()).await, [visit(5)]);
        store.save().expect("save");
    }
}

#[test]
fn a_damaged_file_is_named_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows.jsonl");
    let head = "{\"flywheel memory snapshot\":1}\n";
    let table = "{\"table\":\"t\",\"columns\":[\"a\",\"b\"]}\n";
    let damaged = [
        ("", "ends before"),
        ("{\"flywheel memory snapshot\":2}\n", "line 1: not a snapshot"),
        ("[]\n", "line 1: not a snapshot"),
        ("{\"flywheel", "line 1: not JSON"),
        (head, "ends before"),
        (&format!("{head}[\"1\"]\n"), "line 2: a row before"),
        (&format!("{head}{{\"table\":7}}\n"), "line 2: neither a table"),
        (&format!("{head}{{\"table\":\"t\",\"columns\":[7]}}\n"), "line 2: 7 isn't"),
        (&format!("{head}{table}[\"1\",2]\n"), "line 3: 2 is neither"),
        (&format!("{head}{table}[\"1\",null,null]\n"), "line 3: a row of 3 values"),
        (&format!("{head}{table}{table}"), "line 3: table t comes twice"),
        (&format!("{head}{table}[\"1\",\"2"), "line 3: not JSON"),
        (&format!("{head}{table}[\"1\",\"2\"]\n"), "ends before"),
        (&format!("{head}{table}{{\"rows\":1}}\n"), "line 3: 1 rows expected, 0 read"),
        (&format!("{head}{{\"rows\":0}}\n{table}"), "line 3: a line after"),
        (&format!("{head}{table}true\n"), "line 3: neither"),
    ];
    for (content, expected) in damaged {
        std::fs::write(&path, content).expect("write");
        refused(&path, expected);
    }
    std::fs::write(&path, [b"\xff\xfe\n".as_slice(), b"\0"].concat()).expect("write");
    refused(&path, "line 1: not JSON");
    refused(directory.path(), "");
    let whole = format!("{head}{table}[\"1\"]\n[]\n{{\"rows\":2}}\n");
    std::fs::write(&path, whole).expect("write");
    MemoryStore::open(&path).expect("short rows are rows whose last columns are NULL");
}

fn refused(path: &Path, expected: &str) {
    let error = MemoryStore::open(path).expect_err("a damaged file").to_string();
    assert!(error.contains(expected) && error.contains(&path.display().to_string()), "{error}");
}

#[tokio::test]
async fn expired_rows_leave_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows.jsonl");
    let columns = [("id", int8_type()), ("until", timestamptz_type())];
    let table = expiring(table("public.sessions", &columns, &["id"]), "until");
    let store = MemoryStore::open(&path).expect("no file yet");
    let soon = flywheel_store::now_micros() + 50_000;
    for id in 0..100 {
        put(&store, &table, &[int(id), Value::Timestamptz(soon)]).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    for id in 100..300 {
        put(&store, &table, &[int(id), Value::Null]).await;
    }
    store.save().expect("save");
    let lines = std::fs::read_to_string(&path).expect("the file").lines().count();
    assert_eq!(lines, 200 + 3, "swept by later writes");
}
