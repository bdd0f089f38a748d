//! How many files the inherent `impl`s of a type are spread over: who changes one reads all of
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::lengths::{files, from_root};

/// How many files a type's `impl`s may be in.
const MOST_FILES: usize = 4;

/// Types that are spread further still: the crate, the type, and over how many files. The figures
/// only go down.
const FURTHER: &[(&str, &str, usize)] = &[
    ("config", "Resolver", 16),
    ("dynamodb", "DynamoStore", 12),
    ("execute", "Executor", 43),
    ("execute", "Stores", 6),
    ("gateway", "Work", 7),
    ("postgres", "Connection", 7),
    ("redis", "RedisStore", 10),
];

/// The type of an `impl` that isn't of a trait.
fn inherent(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    // Its own parameters may contain further ones.
    let mut depth = 0;
    let end = rest.char_indices().find(|(_, each)| {
        depth += i32::from(*each == '<');
        depth -= i32::from(*each == '>');
        depth == 0
    });
    let (end, closing) = end?;
    let rest = rest[end + closing.len_utf8()..].trim_start();
    if rest.split_whitespace().any(|word| word == "for") {
        return None;
    }
    rest.split(|each: char| !each.is_alphanumeric() && each != '_').next()
}

#[test]
fn the_type_of_an_impl_is_found() {
    assert_eq!(inherent("impl Session {"), Some("Session"));
    assert_eq!(inherent("impl<'t> Part<'t> {"), Some("Part"));
    assert_eq!(inherent("impl<H: Into<Vec<u8>>> Executor<'_, H> {"), Some("Executor"));
    assert_eq!(inherent("impl Host for Session {"), None);
    assert_eq!(inherent("    impl Session {"), None);
}

#[test]
fn no_type_is_spread_over_many_files() {
    let mut spread: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for path in files() {
        let name = from_root(&path);
        let Some((krate, _)) = name.strip_prefix("crates/").and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        for line in fs::read_to_string(&path).unwrap().lines() {
            if let Some(ty) = inherent(line) {
                spread.entry((krate.to_owned(), ty.to_owned())).or_default().insert(name.clone());
            }
        }
    }
    for ((krate, ty), files) in &spread {
        let known = FURTHER.iter().find(|(of, name, _)| of == krate && name == ty);
        let most = known.map_or(MOST_FILES, |(.., most)| *most);
        assert!(
            files.len() <= most,
            "{krate}'s {ty} is spread over {} files, of which {most} are allowed: {files:#?}",
            files.len()
        );
    }
}
