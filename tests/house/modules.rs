//! Which file of a crate uses which, as its paths say.
//!
//! `use` declarations, and paths that begin with `crate`, `super` or a child's name, are followed,
//! through re-exports, to the file that defines the name. A method that is called on a type of
//! another file isn't seen. Unit tests don't count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module's path in its crate; empty: the root.
type ModulePath = Vec<String>;

/// Where a module makes a name known that another one defines.
struct ReExport {
    /// The name; `*`: all names.
    name: String,
    path: ModulePath,
}

#[derive(Default)]
struct Module {
    re_exports: Vec<ReExport>,
    /// The paths that it uses, from the crate's root.
    uses: BTreeSet<ModulePath>,
}

/// The modules of a crate.
pub(crate) struct Modules(BTreeMap<ModulePath, Module>);

impl Modules {
    /// Reads all files under `src`.
    pub(crate) fn read(src: &Path) -> Self {
        let mut texts = BTreeMap::new();
        collect(src, &Vec::new(), &mut texts);
        let known: BTreeSet<_> = texts.keys().cloned().collect();
        let modules = texts.iter().map(|(path, text)| (path.clone(), module(path, text, &known)));
        Self(modules.collect())
    }

    /// For each file, the others that it uses.
    pub(crate) fn edges(&self) -> BTreeMap<String, BTreeSet<String>> {
        let edges = self.0.iter().map(|(path, module)| {
            let used = module.uses.iter().map(|used| self.defining(used, 0));
            (name(path), used.filter(|used| used != path).map(|used| name(&used)).collect())
        });
        edges.collect()
    }

    /// The module whose file defines what a path names.
    fn defining(&self, path: &[String], depth: usize) -> ModulePath {
        let mut module = Vec::new();
        for (at, segment) in path.iter().enumerate() {
            let mut child = module.clone();
            child.push(segment.clone());
            if self.0.contains_key(&child) {
                module = child;
                continue;
            }
            let re_exports = &self.0[&module].re_exports;
            let named = re_exports.iter().find(|each| each.name == *segment);
            if let Some(named) = named.filter(|_| depth < 8) {
                let whole: Vec<_> = named.path.iter().chain(&path[at + 1..]).cloned().collect();
                return self.defining(&whole, depth + 1);
            }
            break;
        }
        module
    }
}

/// As the list of circles writes it.
fn name(path: &[String]) -> String {
    if path.is_empty() { "lib".into() } else { path.join("::") }
}

fn collect(directory: &Path, at: &ModulePath, texts: &mut BTreeMap<ModulePath, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let mut module = at.clone();
        if !matches!(stem, "lib" | "main" | "mod") {
            module.push(stem.to_owned());
        }
        if path.is_dir() {
            collect(&path, &module, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// A file's text without comments and unit tests.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn module(at: &ModulePath, text: &str, known: &BTreeSet<ModulePath>) -> Module {
    let mut module = Module::default();
    let text = code(text);
    let mut rest = String::new();
    let mut declaration: Option<String> = None;
    for line in text.lines() {
        let start = line.trim_start();
        let is_use = start.starts_with("use ")
            || (start.starts_with("pub") && start.contains(" use ") && !start.contains('='));
        match &mut declaration {
            Some(open) => open.push_str(line),
            None if is_use => declaration = Some(start.to_owned()),
            None => {
                rest.push_str(line);
                rest.push('\n');
            }
        }
        if let Some(whole) = declaration.take_if(|open| open.contains(';')) {
            declared(at, &whole, known, &mut module);
        }
    }
    let children = known.iter().filter(|path| path.len() == at.len() + 1 && path.starts_with(at));
    let children = children.map(|child| format!("{}::", child[at.len()]));
    for start in children.chain(["crate::".to_owned(), "super::".to_owned()]) {
        let paths = paths(&rest, &start).filter_map(|path| absolute(at, path, known));
        module.uses.extend(paths);
    }
    module
}

/// The paths in a text that begin so.
fn paths<'t>(text: &'t str, start: &'t str) -> impl Iterator<Item = &'t str> {
    let is_path = |each: char| each.is_alphanumeric() || matches!(each, '_' | ':');
    text.match_indices(start).filter_map(move |(position, _)| {
        let before = text[..position].chars().next_back();
        if before.is_some_and(|each| is_path(each) || each == '$') {
            return None;
        }
        let path = text[position..].split(|each| !is_path(each)).next()?;
        Some(path.trim_end_matches(':'))
    })
}

/// Notes a `use` declaration.
fn declared(at: &ModulePath, whole: &str, known: &BTreeSet<ModulePath>, module: &mut Module) {
    let is_public = whole.starts_with("pub");
    let Some((_, tree)) = whole.split_once("use ") else { return };
    let tree = tree.split(';').next().unwrap_or_default();
    for leaf in leaves("", tree) {
        let (path, alias) = leaf.split_once(" as ").unwrap_or((leaf.as_str(), ""));
        let Some(path) = absolute(at, path.trim(), known) else { continue };
        if is_public && path.len() > at.len() && path.starts_with(at) {
            // A parent that makes its children's names known doesn't use them.
            let last = path.last().cloned().unwrap_or_default();
            let name = if alias.is_empty() { last } else { alias.trim().to_owned() };
            module.re_exports.push(ReExport { name, path });
        } else {
            module.uses.insert(path);
        }
    }
}

/// The paths of a tree such as `a::{b, c::{d, e}}`.
fn leaves(before: &str, tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![format!("{before}{tree}")];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut found = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (position, each) in inner.char_indices() {
        match each {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(leaves(&format!("{before}{head}"), &inner[start..position]));
                start = position + 1;
            }
            _ => {}
        }
    }
    if !inner[start..].trim().is_empty() {
        found.extend(leaves(&format!("{before}{head}"), &inner[start..]));
    }
    found
}

/// A path from the crate's root. `None`: it leads to another crate.
fn absolute(at: &ModulePath, path: &str, known: &BTreeSet<ModulePath>) -> Option<ModulePath> {
    let mut segments: Vec<_> = path.split("::").filter(|each| !each.is_empty()).collect();
    if segments.last() == Some(&"self") {
        segments.pop();
    }
    let mut base = at.clone();
    match *segments.first()? {
        "crate" => {
            base.clear();
            segments.remove(0);
        }
        "self" => {
            segments.remove(0);
        }
        "super" => {
            while segments.first() == Some(&"super") {
                base.pop();
                segments.remove(0);
            }
        }
        child => {
            base.push(child.to_owned());
            if !known.contains(&base) {
                return None;
            }
            base.pop();
        }
    }
    base.extend(segments.into_iter().map(str::to_owned));
    Some(base)
}
