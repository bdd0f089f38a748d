//! From which relations, functions and types PostgreSQL comes to a twin, or to code of which that
//! can't be told.
//!
//! A further way that leads to a twin has its place here, or in `words.rs` where it runs texts;
//! `tests/e2e/twins.rs` has a line for each.

use std::collections::{HashMap, HashSet};

use flywheel_postgres::dependencies::{Dependencies, FunctionFacts, Link, TypeUser};
use flywheel_sql::lex::{TokenKind, lex};
use flywheel_types::TableName;

use super::texts::{RUNS_TEXTS, is_static};

/// Extensions whose functions in C only compute.
const COMPUTING: &[&str] = &[
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_stat_statements",
    "pg_trgm",
    "pg_uuidv7",
    "pgcrypto",
    "plpgsql",
    "postgis",
    "seg",
    "unaccent",
    "uuid-ossp",
    "vector",
];

/// What leads to the twins, of one generation of definitions.
#[derive(Debug, Default)]
pub struct Reach {
    pub(super) generation: u64,
    pub(super) digest: String,
    /// Names that lead there from a statement. Not those of the store tables themselves and of
    /// views over them: what a statement does with these is known.
    pub(super) outside: HashSet<String>,
    /// Names that lead there from code: those of the store tables too.
    pub(super) inside: HashSet<String>,
    /// An operator or a cast may lead there, so that any expression may.
    pub everything: bool,
    /// A function that may lead there is declared IMMUTABLE: PostgreSQL computes it when it plans.
    pub(super) folds: bool,
    /// An event trigger may.
    pub(super) definitions: bool,
    /// The functions that lead there.
    pub(super) functions: HashSet<u32>,
    /// For each twin with a default or check that may lead to another one: the function.
    pub(super) parts: HashMap<TableName, String>,
}

/// What leads somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Relation(u32),
    Function(u32),
}

/// Edges, each from where it leads to.
type Back = HashMap<Node, Vec<Node>>;

impl Reach {
    /// Nothing is known: everything may lead to a twin.
    pub(super) fn unknown(generation: u64) -> Self {
        Self { generation, everything: true, folds: true, definitions: true, ..Self::default() }
    }

    pub(super) fn of(generation: u64, all: &Dependencies, tables: &[TableName]) -> Self {
        let is_twin = |schema: &str, name: &str| {
            tables.iter().any(|table| table.schema == schema && table.name == name)
        };
        let kinds: HashMap<u32, char> =
            all.relations.iter().map(|relation| (relation.oid, relation.kind)).collect();
        let twins: HashSet<u32> = all
            .relations
            .iter()
            .filter(|relation| is_twin(&relation.schema, &relation.name))
            .map(|relation| relation.oid)
            .collect();
        let mut back = edges(all, &kinds);
        let mut seeds: Vec<Node> = twins.iter().map(|&twin| Node::Relation(twin)).collect();
        seeds.extend(named_in_bodies(all, tables, &mut back));
        let anywhere = follow(&back, seeds.clone());

        // A view over a store table is a statement's own business: its query is put in its place.
        let is_view =
            |node: &Node| matches!(node, Node::Relation(view) if kinds.get(view) == Some(&'v'));
        let views =
            follow(&reads(all, &kinds), twins.iter().map(|&twin| Node::Relation(twin)).collect());
        for (to, from) in &mut back {
            if views.contains(to) {
                from.retain(|from| !is_view(from));
            }
        }
        seeds.extend(anywhere.iter().copied().filter(|node| matches!(node, Node::Function(_))));
        let from_outside = follow(&back, seeds);

        let is_harmful = |function: &u32| anywhere.contains(&Node::Function(*function));
        let named = |found: &HashSet<Node>| -> HashSet<String> {
            let relations = all
                .relations
                .iter()
                .filter(|relation| found.contains(&Node::Relation(relation.oid)));
            let functions =
                all.functions.iter().filter(|(oid, _)| found.contains(&Node::Function(**oid)));
            let types = all.checks.iter().filter(|check| is_harmful(&check.function));
            let types = types.filter_map(|check| match &check.of {
                TypeUser::Name(name) => Some(name.clone()),
                _ => None,
            });
            let relations = relations
                .filter(|relation| !twins.contains(&relation.oid))
                .map(|each| each.name.clone());
            relations
                .chain(functions.map(|(_, function)| function.name.clone()))
                .chain(types)
                .collect()
        };
        let mut inside = named(&anywhere);
        inside.extend(tables.iter().map(|table| table.name.clone()));
        let mut parts = HashMap::new();
        for relation in all.relations.iter().filter(|relation| twins.contains(&relation.oid)) {
            let called = all.links.iter().filter_map(|(from, link)| match link {
                Link::Calls(function) if *from == relation.oid => Some(*function),
                _ => None,
            });
            let checked =
                all.checks.iter().filter(|check| check.of == TypeUser::Relation(relation.oid));
            let mut functions = called.chain(checked.map(|check| check.function));
            if let Some(function) = functions.find(is_harmful) {
                let name = all.functions.get(&function).map(|facts| facts.name.clone());
                parts.insert(
                    TableName::new(&relation.schema, &relation.name),
                    name.unwrap_or_default(),
                );
            }
        }
        Self {
            generation,
            digest: all.digest.clone(),
            outside: named(&from_outside),
            inside,
            everything: all.hidden.iter().chain(&all.supporting).any(|function| {
                let in_c =
                    |facts: &FunctionFacts| facts.language == "c" && !facts.extension.is_empty();
                is_harmful(function) && !all.functions.get(function).is_some_and(in_c)
            }),
            folds: all
                .functions
                .iter()
                .any(|(oid, facts)| facts.volatility == 'i' && is_harmful(oid)),
            definitions: all.on_definitions.iter().any(is_harmful),
            functions: all.functions.keys().copied().filter(|oid| is_harmful(oid)).collect(),
            parts,
        }
    }

    /// Whether a function leads to a twin.
    pub fn is_reached_by(&self, function: u32) -> bool {
        self.everything || self.functions.contains(&function)
    }

    /// The function of a twin's own default or check that may lead to another twin, or to this one.
    pub fn part(&self, table: &TableName) -> Option<&str> {
        self.parts.get(table).map(String::as_str)
    }

    /// The first of a text's names that leads to a twin.
    pub fn named_in(&self, text: &str) -> Option<String> {
        let tokens = lex(text);
        let mut words = tokens
            .iter()
            .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord))
            .map(|token| token.identifier(text));
        words
            .find(|word| {
                self.outside.contains(word.as_ref())
                    || *word == "pg_temp"
                    || RUNS_TEXTS.contains(&word.as_ref())
            })
            .map(std::borrow::Cow::into_owned)
    }
}

/// All nodes from which the edges lead to one of these, themselves included.
fn follow(back: &Back, mut left: Vec<Node>) -> HashSet<Node> {
    let mut found = HashSet::new();
    while let Some(node) = left.pop() {
        if found.insert(node) {
            left.extend(back.get(&node).into_iter().flatten());
        }
    }
    found
}

/// What using a relation or calling a function leads to, as far as the catalogue tells.
fn edges(all: &Dependencies, kinds: &HashMap<u32, char>) -> Back {
    let mut back = Back::new();
    let mut lead = |from: Node, to: Node| back.entry(to).or_default().push(from);
    for &(relation, link) in &all.links {
        let from = Node::Relation(relation);
        // What a materialized view is made of is read when it is made anew, by a statement that
        // says so.
        if kinds.get(&relation) == Some(&'m') {
            continue;
        }
        match link {
            Link::Reads(to)
            | Link::Rule(to)
            | Link::Policy(to)
            | Link::Referenced { by: to, .. } => {
                lead(from, Node::Relation(to));
            }
            Link::Parent(to) => {
                lead(from, Node::Relation(to));
                lead(Node::Relation(to), from);
            }
            Link::ReadsBy(to)
            | Link::RuleBy(to)
            | Link::Trigger(to)
            | Link::Calls(to)
            | Link::PolicyBy(to) => {
                lead(from, Node::Function(to));
            }
        }
    }
    for check in &all.checks {
        match check.of {
            TypeUser::Relation(relation) => {
                lead(Node::Relation(relation), Node::Function(check.function))
            }
            TypeUser::Function(function) => {
                lead(Node::Function(function), Node::Function(check.function))
            }
            TypeUser::Name(_) => {}
        }
    }
    for (&oid, function) in &all.functions {
        for &part in &function.parts {
            lead(Node::Function(oid), Node::Function(part));
        }
    }
    back
}

/// Which views read which relations.
fn reads(all: &Dependencies, kinds: &HashMap<u32, char>) -> Back {
    let mut back = Back::new();
    for &(view, link) in &all.links {
        if let (Link::Reads(to), Some('v')) = (link, kinds.get(&view)) {
            back.entry(Node::Relation(to)).or_default().push(Node::Relation(view));
        }
    }
    back
}

/// Adds what the words in functions' bodies lead to; the functions of which they don't tell enough,
/// or that name a twin.
fn named_in_bodies(all: &Dependencies, tables: &[TableName], back: &mut Back) -> Vec<Node> {
    let mut by_name: HashMap<&str, Vec<Node>> = HashMap::new();
    for relation in all.relations.iter().filter(|relation| relation.oid >= 16384) {
        by_name.entry(&relation.name).or_default().push(Node::Relation(relation.oid));
    }
    for (&oid, function) in &all.functions {
        by_name.entry(&function.name).or_default().push(Node::Function(oid));
    }
    for check in &all.checks {
        if let TypeUser::Name(name) = &check.of {
            by_name.entry(name).or_default().push(Node::Function(check.function));
        }
    }
    let mut unproved = Vec::new();
    for (&oid, function) in &all.functions {
        let node = Node::Function(oid);
        let is_computing = COMPUTING.contains(&function.extension.as_str());
        match function.language.as_str() {
            "sql" | "plpgsql" => {
                let tokens = lex(&function.body);
                let mut words = tokens
                    .iter()
                    .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord))
                    .map(|token| token.identifier(&function.body));
                let names_twin =
                    words.clone().any(|word| tables.iter().any(|table| table.name == word));
                if names_twin || !words.all(|word| is_static(&word)) {
                    unproved.push(node);
                    continue;
                }
                let words = tokens
                    .iter()
                    .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord))
                    .map(|token| token.identifier(&function.body));
                let named: HashSet<Node> = words
                    .filter_map(|word| by_name.get(word.as_ref()))
                    .flatten()
                    .copied()
                    .filter(|each| *each != node)
                    .collect();
                for to in named {
                    back.entry(to).or_default().push(node);
                }
            }
            // An aggregate is what its functions are.
            "internal" if !RUNS_TEXTS.contains(&function.body.as_str()) => {}
            "c" if is_computing => {}
            _ => unproved.push(node),
        }
    }
    unproved
}
