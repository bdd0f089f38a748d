//! No file is longer than one sitting takes to read.

use std::fs;
use std::path::{Path, PathBuf};

use crate::table::root;

/// How many lines a file may have.
const MOST_LINES: usize = 500;

/// Files that are longer still.
const LONGER: &[&str] = &["crates/execute/src/staged.rs"];

/// All Rust files of the repository.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "tests", "benches"] {
        collect(&root().join(folder), &mut found);
    }
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A file's path from the root.
pub(crate) fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn no_file_is_long() {
    let is_long = |path: &PathBuf| {
        fs::read_to_string(path).unwrap().lines().count() > MOST_LINES
            && !LONGER.contains(&from_root(path).as_str())
    };
    let long: Vec<_> = files().into_iter().filter(is_long).collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines, to be split by purpose: {long:#?}");
}
