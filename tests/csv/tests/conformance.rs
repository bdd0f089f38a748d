//! What every store does, of CSV files.

use std::path::Path;

use flywheel_csv::CsvKind;
use flywheel_kind::{Opened, Page, Section, StoreKind};
use flywheel_store::conformance::check_reads;
use flywheel_store::conformance::fixture::{int, int8_type, key, table, text, text_type};
use serde_json::json;

/// A file without a mistake.
struct Sound<'p>(&'p Path);

impl Page for Sound<'_> {
    fn mistake(&mut self, path: &[&str], message: String, _: String) {
        panic!("{path:?}: {message}")
    }

    fn is_there(&self, _: &[&str]) -> bool {
        true
    }

    fn is_filled(&self, _: &[&str]) -> bool {
        true
    }

    fn folder(&self) -> &Path {
        self.0
    }
}

#[tokio::test]
async fn a_file_is_read_as_every_store_is() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    let lines = "at,note,who\n10,b,ada\n-3,\"a, \"\"b\"\"\",ada\n7,,ada\n1,x,bob\n";
    std::fs::write(folder.path().join("data/visits.csv"), lines).expect("a file");
    let mut page = Sound(folder.path());
    let mut section = Section::new(&mut page, &["stores", "files"]);
    let configured = CsvKind.configure(json!({ "folder": "data" }), &mut section).expect("keys");
    let Opened { store, .. } = configured.open().await.expect("opened");
    let columns = [("who", text_type()), ("at", int8_type()), ("note", text_type())];
    let table = table("visits", &columns, &["who", "at"]);
    let rows = [
        vec![text("ada"), int(10), text("b")],
        vec![text("ada"), int(-3), text("a, \"b\"")],
        vec![text("ada"), int(7), flywheel_types::Value::Null],
        vec![text("bob"), int(1), text("x")],
    ];
    check_reads(&*store, &table, &rows, &key(&[text("ada"), int(8)])).await;
    assert!(store.writes().is_none() && store.two_phase().is_none() && store.defines().is_none());
}
