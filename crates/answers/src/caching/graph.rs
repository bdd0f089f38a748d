//! What depends on what in a database, to be followed from a statement's words.

use std::collections::{HashMap, HashSet};

use flywheel_postgres::dependencies::{
    Dependencies, FunctionFacts, KeyColumn, Link, RelationFacts,
};
use flywheel_sql::RelationName;
use flywheel_sql::lex::lex;
use flywheel_types::TableName;

use super::words::{calls, has_any, words};
use crate::options::CacheRule;

/// Extensions whose functions, written in C, only compute.
const HARMLESS: [&str; 3] = ["uuid-ossp", "pgcrypto", "pg_uuidv7"];

/// What depends on what, of one generation.
#[derive(Debug)]
pub struct Graph {
    pub(super) generation: u64,
    pub(super) digest: String,
    relations: HashMap<u32, RelationFacts>,
    by_name: HashMap<String, Vec<u32>>,
    links: HashMap<u32, Vec<Link>>,
    children: HashMap<u32, Vec<u32>>,
    keys: HashMap<u32, Vec<KeyColumn>>,
    functions: HashMap<u32, FunctionFacts>,
    functions_by_name: HashMap<String, Vec<u32>>,
    /// Volatile functions of PostgreSQL's own.
    volatile: HashSet<String>,
    hidden: Vec<u32>,
    /// The tables whose changes replication tells.
    followed: HashSet<u32>,
}

/// What a query reads, as far as it can be followed.
#[derive(Debug, Default)]
pub(super) struct ReadFrom {
    pub(super) tables: HashSet<u32>,
    /// Why no answer can be kept.
    pub(super) refused: Option<String>,
    /// Why it can't be told which writes end an answer.
    pub(super) lost: Option<String>,
    /// Something of the system's.
    pub(super) system: Option<String>,
    seen: HashSet<u32>,
    called: HashSet<u32>,
}

/// What a write reaches.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) tables: HashSet<u32>,
    /// It can't be followed: anything.
    pub(super) anything: bool,
    seen: HashSet<u32>,
    called: HashSet<u32>,
    cascaded: HashSet<(u32, bool)>,
}

impl Graph {
    pub(super) fn new(generation: u64, all: Dependencies) -> Self {
        let mut by_name: HashMap<String, Vec<u32>> = HashMap::new();
        for relation in &all.relations {
            by_name.entry(relation.name.clone()).or_default().push(relation.oid);
        }
        let mut links: HashMap<u32, Vec<Link>> = HashMap::new();
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (from, link) in all.links {
            if let Link::Parent(parent) = link {
                children.entry(parent).or_default().push(from);
            }
            links.entry(from).or_default().push(link);
        }
        let mut functions_by_name: HashMap<String, Vec<u32>> = HashMap::new();
        for (oid, function) in &all.functions {
            functions_by_name.entry(function.name.clone()).or_default().push(*oid);
        }
        Self {
            generation,
            digest: all.digest,
            relations: all.relations.into_iter().map(|relation| (relation.oid, relation)).collect(),
            by_name,
            links,
            children,
            keys: all.keys,
            functions: all.functions,
            functions_by_name,
            volatile: all.volatile.into_iter().collect(),
            hidden: all.hidden,
            followed: HashSet::new(),
        }
    }

    /// With the tables that these rules follow.
    pub(super) fn following(mut self, rules: &[CacheRule]) -> Self {
        let named =
            rules.iter().filter(|rule| rule.max_lag.is_some()).flat_map(|rule| &rule.tables);
        let found: Vec<u32> = named.flat_map(|table| self.find(&full_name(table))).collect();
        self.followed =
            found.into_iter().filter(|&oid| self.why_not_followed(oid).is_none()).collect();
        self
    }

    /// What stands against it that replication tells of a relation's changes.
    pub(super) fn why_not_followed(&self, oid: u32) -> Option<&'static str> {
        match self.relations.get(&oid)?.kind {
            'p' => None,
            'r' if self.children.contains_key(&oid) => Some("other tables inherit from it"),
            'r' => None,
            _ => Some("it isn't a table"),
        }
    }

    /// The name of a relation whose changes replication doesn't tell; `None`: it does.
    pub(super) fn unfollowed(&self, oid: u32) -> Option<String> {
        let name = || {
            self.relations
                .get(&oid)
                .map_or_else(|| oid.to_string(), |facts| format!("{}.{}", facts.schema, facts.name))
        };
        (!self.followed.contains(&oid)).then(name)
    }

    /// The relations that a name may mean: without a schema, those of all schemas.
    pub fn find(&self, name: &RelationName) -> Vec<u32> {
        let all = self.relations_named(&name.name);
        all.iter()
            .copied()
            .filter(|oid| {
                name.schema.as_ref().is_none_or(|schema| self.relations[oid].schema == *schema)
            })
            .collect()
    }

    fn links_of(&self, oid: u32) -> &[Link] {
        self.links.get(&oid).map(Vec::as_slice).unwrap_or_default()
    }

    /// The columns of a table's primary key, where the table's rows are its own and nothing else
    /// happens when one is written.
    pub(super) fn key(&self, oid: u32) -> Option<&[KeyColumn]> {
        let is_alone = self.relations.get(&oid)?.kind == 'r'
            && !self.children.contains_key(&oid)
            && self.links_of(oid).iter().all(|link| {
                matches!(
                    link,
                    Link::Referenced { .. } | Link::Calls(_) | Link::Policy(_) | Link::PolicyBy(_)
                )
            });
        if is_alone { self.keys.get(&oid).map(Vec::as_slice) } else { None }
    }

    /// The tables behind a relation.
    pub fn bases(&self, oid: u32) -> Vec<u32> {
        let mut from = ReadFrom::default();
        self.read(oid, &mut from);
        from.tables.into_iter().collect()
    }

    /// What is read with a relation.
    pub(super) fn read(&self, oid: u32, from: &mut ReadFrom) {
        if !from.seen.insert(oid) {
            return;
        }
        let Some(relation) = self.relations.get(&oid) else {
            from.lost.get_or_insert_with(|| "a relation that isn't known yet".to_owned());
            return;
        };
        if matches!(relation.schema.as_str(), "pg_catalog" | "information_schema") {
            from.system = Some(format!("{}.{}", relation.schema, relation.name));
            return;
        }
        match relation.kind {
            'v' => {
                let tokens = lex(&relation.query);
                self.read_calls(&relation.query, &tokens, from);
                if let Some(system) = words(&relation.query, &tokens)
                    .find(|word| word.starts_with("pg_") && self.is_system(word))
                {
                    from.system = Some(format!("pg_catalog.{system}"));
                }
            }
            'f' => {
                from.lost = Some(format!("foreign table {}.{}", relation.schema, relation.name));
            }
            _ => {
                from.tables.insert(oid);
            }
        }
        for link in self.links_of(oid) {
            match *link {
                Link::Reads(to) if relation.kind == 'v' => self.read(to, from),
                Link::ReadsBy(function) if relation.kind == 'v' => self.read_by(function, from),
                Link::Policy(to) => self.read(to, from),
                Link::PolicyBy(function) => self.read_by(function, from),
                _ => {}
            }
        }
    }

    /// What is read with every row of a table.
    pub(super) fn read_policies(&self, oid: u32, from: &mut ReadFrom) {
        for link in self.links_of(oid) {
            match *link {
                Link::Policy(to) => self.read(to, from),
                Link::PolicyBy(function) => self.read_by(function, from),
                _ => {}
            }
        }
    }

    /// The relations of this name, in any schema.
    fn relations_named(&self, name: &str) -> &[u32] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The functions of this name, in any schema.
    fn functions_named(&self, name: &str) -> &[u32] {
        self.functions_by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn is_system(&self, name: &str) -> bool {
        let named = self.relations_named(name);
        named.iter().any(|oid| self.relations[oid].schema == "pg_catalog")
    }

    /// What is read if every word that is the name of a table means it, but for these names.
    pub(super) fn read_words(
        &self,
        text: &str,
        tokens: &[flywheel_sql::lex::Token],
        known: &HashSet<String>,
        from: &mut ReadFrom,
    ) {
        for word in words(text, tokens).filter(|word| !known.contains(word.as_ref())) {
            for &relation in self.relations_named(&word) {
                if relation >= FIRST_NORMAL {
                    self.read(relation, from);
                }
            }
        }
    }

    /// What is read by the functions that a text calls.
    pub(super) fn read_calls(
        &self,
        text: &str,
        tokens: &[flywheel_sql::lex::Token],
        from: &mut ReadFrom,
    ) {
        for name in calls(text, tokens) {
            // table_to_xml and its like read tables whose names are values.
            if name.contains("_to_xml") {
                from.lost.get_or_insert_with(|| format!("function {name}()"));
            }
            if self.volatile.contains(name.as_ref()) {
                from.refused.get_or_insert_with(|| format!("function {name}() is volatile"));
            }
            for &function in self.functions_named(&name) {
                self.read_by(function, from);
            }
        }
        // value.function is a call too.
        for name in words(text, tokens) {
            for function in self.functions_named(&name) {
                if self.functions[function].is_column {
                    self.read_by(*function, from);
                }
            }
        }
        for &function in &self.hidden {
            self.read_by(function, from);
        }
    }

    fn read_by(&self, oid: u32, from: &mut ReadFrom) {
        let Some(function) = self.functions.get(&oid) else { return };
        if !from.called.insert(oid) {
            return;
        }
        if function.volatility == 'v' {
            from.refused = Some(format!("function {}() is volatile", function.name));
            return;
        }
        for &part in &function.parts {
            self.read_by(part, from);
        }
        match function.language.as_str() {
            "sql" | "plpgsql" => {
                let tokens = lex(&function.body);
                if function.language == "plpgsql" && has_any(&function.body, &tokens, &["execute"])
                {
                    from.lost =
                        Some(format!("function {}() executes texts that it makes", function.name));
                }
                for word in words(&function.body, &tokens) {
                    let relations = self.relations_named(&word);
                    for relation in relations {
                        let is_system = matches!(
                            self.relations[relation].schema.as_str(),
                            "pg_catalog" | "information_schema"
                        );
                        if !is_system || word.starts_with("pg_") {
                            self.read(*relation, from);
                        }
                    }
                    for &called in self
                        .functions_by_name
                        .get(word.as_ref())
                        .map(Vec::as_slice)
                        .unwrap_or_default()
                    {
                        self.read_by(called, from);
                    }
                    if self.volatile.contains(word.as_ref())
                        && calls(&function.body, &tokens).any(|call| call == word)
                    {
                        from.refused = Some(format!(
                            "function {}() calls {word}(), which is volatile",
                            function.name
                        ));
                    }
                }
            }
            "internal" => {}
            _ if function.volatility == 'i' => {}
            language => {
                from.lost = Some(format!("function {}() is written in {language}", function.name))
            }
        }
    }

    /// What a write to a relation reaches, itself included.
    pub(super) fn write(&self, oid: u32, inserts: bool, reached: &mut Reached) {
        // A row that is inserted is referred to by nobody yet.
        if !inserts {
            self.cascade(oid, reached, false);
        }
        if !reached.seen.insert(oid) {
            return;
        }
        let Some(relation) = self.relations.get(&oid) else {
            reached.anything = true;
            return;
        };
        if relation.kind == 'f' {
            // What is behind it may be a table of this database.
            reached.anything = true;
        }
        reached.tables.insert(oid);
        for child in self.children.get(&oid).map(Vec::as_slice).unwrap_or_default() {
            self.write(*child, inserts, reached);
        }
        for link in self.links_of(oid) {
            match *link {
                Link::Parent(to) => self.write(to, inserts, reached),
                // Through a view, to the tables behind it.
                Link::Reads(to) if relation.kind == 'v' => self.write(to, inserts, reached),
                Link::Rule(to) => self.write(to, false, reached),
                Link::ReadsBy(function)
                | Link::RuleBy(function)
                | Link::Trigger(function)
                | Link::Calls(function)
                | Link::PolicyBy(function) => {
                    self.write_by(function, reached);
                }
                Link::Reads(_) | Link::Referenced { .. } | Link::Policy(_) => {}
            }
        }
    }

    /// What is reached by the defaults and checks of a row, and by its policies.
    pub(super) fn write_defaults(&self, oid: u32, reached: &mut Reached) {
        for link in self.links_of(oid) {
            if let Link::Calls(function) | Link::PolicyBy(function) = *link {
                self.write_by(function, reached);
            }
        }
    }

    /// The tables whose rows go, or change, with a table's rows through foreign keys. `all`:
    /// TRUNCATE … CASCADE, which asks no key what it does.
    pub(super) fn cascade(&self, oid: u32, reached: &mut Reached, all: bool) {
        if !reached.cascaded.insert((oid, all)) {
            return;
        }
        for link in self.links_of(oid) {
            if let Link::Referenced { by, cascades } = *link
                && (cascades || all)
            {
                self.write(by, false, reached);
                if all {
                    self.cascade(by, reached, true);
                }
            }
        }
    }

    /// What a function may write.
    fn write_by(&self, oid: u32, reached: &mut Reached) {
        let Some(function) = self.functions.get(&oid) else { return };
        if !reached.called.insert(oid) {
            return;
        }
        for &part in &function.parts {
            self.write_by(part, reached);
        }
        // PostgreSQL doesn't let others write.
        if function.volatility != 'v' {
            return;
        }
        match function.language.as_str() {
            "sql" | "plpgsql" => {
                let tokens = lex(&function.body);
                reached.anything |= function.language == "plpgsql"
                    && has_any(&function.body, &tokens, &["execute", "call"]);
                self.write_words(&function.body, &tokens, reached);
            }
            "internal" => {}
            "c" if HARMLESS.contains(&function.extension.as_str()) => {}
            _ => reached.anything = true,
        }
    }

    /// What may be written where only the words are known: every relation and every function that
    /// one of them names.
    pub(super) fn write_words(
        &self,
        text: &str,
        tokens: &[flywheel_sql::lex::Token],
        reached: &mut Reached,
    ) {
        for word in words(text, tokens) {
            for &relation in self.relations_named(&word) {
                if relation >= FIRST_NORMAL {
                    self.write(relation, false, reached);
                }
            }
            for &function in self.functions_named(&word) {
                self.write_by(function, reached);
            }
        }
    }

    /// What the functions may write that a statement calls, and those of the views that it reads.
    pub(super) fn write_calls(
        &self,
        text: &str,
        tokens: &[flywheel_sql::lex::Token],
        reached: &mut Reached,
    ) {
        for name in words(text, tokens) {
            for &function in self.functions_named(&name) {
                self.write_by(function, reached);
            }
            for &relation in self.relations_named(&name) {
                self.write_by_view(relation, reached);
            }
        }
        for &function in &self.hidden {
            self.write_by(function, reached);
        }
    }

    fn write_by_view(&self, oid: u32, reached: &mut Reached) {
        let mut seen = HashSet::new();
        let mut left = vec![oid];
        while let Some(oid) = left.pop() {
            if !seen.insert(oid) {
                continue;
            }
            for link in self.links_of(oid) {
                match *link {
                    Link::Reads(to) | Link::Policy(to) => left.push(to),
                    Link::ReadsBy(function) | Link::PolicyBy(function) => {
                        self.write_by(function, reached)
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A table's name, as it is looked for.
pub(super) fn full_name(table: &TableName) -> RelationName {
    RelationName { schema: Some(table.schema.clone()), name: table.name.clone() }
}

/// Objects with lower numbers are the system's (`FirstNormalObjectId`).
const FIRST_NORMAL: u32 = 16384;
