//! No circle of files: whoever reads one can begin with those that it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::modules::Modules;
use crate::table::{crates, root};

/// The circles that are there still. They only become fewer and smaller.
const ALLOWED: &str = include_str!("circles.txt");

type Edges = BTreeMap<String, BTreeSet<String>>;

/// The files that a file reaches, in any number of steps.
fn reached<'e>(edges: &'e Edges, from: &str) -> BTreeSet<&'e str> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&str> = edges[from].iter().map(String::as_str).collect();
    while let Some(next) = waiting.pop() {
        if found.insert(next) {
            waiting.extend(edges[next].iter().map(String::as_str));
        }
    }
    found
}

/// Sets of files of which each one reaches each other.
fn circles(edges: &Edges) -> BTreeSet<Vec<&str>> {
    let reached: BTreeMap<&str, _> =
        edges.keys().map(|name| (name.as_str(), reached(edges, name))).collect();
    let circle = |name: &&str| {
        let others = reached[name].iter().filter(|other| reached[*other].contains(name));
        others.copied().collect::<Vec<_>>()
    };
    reached.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn no_files_form_a_circle_but_those_that_are_known() {
    let mut found = String::new();
    for name in crates().keys().filter(|name| *name != "tests") {
        let src = root().join("crates").join(name).join("src");
        let edges = Modules::read(&src).edges();
        for circle in circles(&edges) {
            found.push_str(&format!("{name}: {}\n", circle.join(" ")));
        }
    }
    let known: String = ALLOWED
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    if found != known {
        let path = std::env::temp_dir().join("flywheel-circles.txt");
        fs::write(&path, &found).unwrap();
        let lines = |of: &str| of.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let (found, known) = (lines(&found), lines(&known));
        let new: Vec<_> = found.difference(&known).collect();
        let gone: Vec<_> = known.difference(&found).collect();
        panic!(
            "the circles of files aren't those in tests/house/circles.txt\nfound: {new:#?}\nlisted: {gone:#?}\n\
             Break what is new. What has become smaller is to be listed so (all that was found: {}).",
            path.display()
        );
    }
}

#[test]
fn a_circle_is_found() {
    let edges = |of: &[(&str, &[&str])]| -> Edges {
        let owned = |used: &[&str]| used.iter().map(|each| (*each).to_owned()).collect();
        of.iter().map(|(name, used)| ((*name).to_owned(), owned(used))).collect()
    };
    let line = edges(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert_eq!(circles(&line), BTreeSet::new());
    let round = edges(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["d2"]), ("d2", &[])]);
    assert_eq!(circles(&round), [vec!["b", "c"]].into());
}
