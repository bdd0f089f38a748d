//! The crate table of ARCHITECTURE.md beside the Cargo.toml files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What ARCHITECTURE.md says of one crate.
struct Row {
    name: String,
    /// Flywheel's crates that it may use. `None`: all of them.
    ours: Option<BTreeSet<String>>,
    /// Crates from outside that no other crate may use.
    alone: BTreeSet<String>,
}

/// The names in a cell of the table, without what stands in parentheses.
fn names(cell: &str) -> BTreeSet<String> {
    let mut depth = 0;
    let plain: String = cell
        .chars()
        .filter(|each| {
            depth += i32::from(*each == '(');
            let is_plain = depth == 0;
            depth -= i32::from(*each == ')');
            is_plain
        })
        .collect();
    plain
        .split(',')
        .map(|name| name.trim().trim_matches('`').to_owned())
        .filter(|name| !name.is_empty() && name != "–")
        .collect()
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("## Crates").unwrap();
    section
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [name, _, ours, outside, ..] = cells[..] else { panic!("not a row: {line}") };
            Row {
                name: name.trim_matches('`').to_owned(),
                ours: (ours != "all").then(|| names(ours)),
                alone: if outside.contains("(nowhere else)") {
                    names(outside)
                } else {
                    BTreeSet::new()
                },
            }
        })
        .collect()
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).unwrap();
    text.lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split(['=', '.']).next())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The dependencies of each crate, by the name of its directory.
pub(crate) fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let directories = fs::read_dir(root().join("crates")).unwrap();
    let mut crates: BTreeMap<_, _> = directories
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, dependencies(&path.join("Cargo.toml")))
        })
        .collect();
    crates.insert("tests".into(), dependencies(&root().join("tests/Cargo.toml")));
    crates
}

#[test]
fn each_crate_uses_what_the_table_says() {
    let (rows, crates) = (rows(), crates());
    let told: BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
    assert_eq!(told, crates.keys().collect(), "the table's crates and those of the repository");
    for row in &rows {
        let Some(may) = &row.ours else { continue };
        let does: BTreeSet<_> = crates[&row.name]
            .iter()
            .filter_map(|name| name.strip_prefix("flywheel-"))
            .map(str::to_owned)
            .collect();
        assert_eq!(*may, does, "`{}`: what the table says, and what Cargo.toml says", row.name);
    }
}

#[test]
fn what_one_crate_wraps_no_other_uses() {
    let (rows, crates) = (rows(), crates());
    assert!(rows.iter().any(|row| !row.alone.is_empty()), "the table names such crates");
    for row in &rows {
        for outside in &row.alone {
            let users = crates.iter().filter(|(_, uses)| uses.contains(outside));
            let users: Vec<_> =
                users.map(|(name, _)| name.as_str()).filter(|name| *name != "tests").collect();
            assert_eq!(users, [row.name.as_str()], "users of {outside}");
        }
    }
}
