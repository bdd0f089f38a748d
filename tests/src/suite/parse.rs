//! A suite's file.

use std::path::{Path, PathBuf};

/// A file.
#[derive(Debug, Clone)]
pub struct Suite {
    /// Where it is.
    pub path: PathBuf,
    /// The tables under test.
    pub tables: Vec<StoreTable>,
    /// What it runs.
    pub statements: Vec<Statement>,
}

/// A table under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreTable {
    /// `schema.name`.
    pub name: String,
    /// Further keys of its configuration, as TOML.
    pub keys: Vec<String>,
    /// Its secondary indexes, each as the inside of an inline table of TOML.
    pub indexes: Vec<String>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// Its line in the file.
    pub line: usize,
    /// Its text without the semicolon.
    pub sql: String,
    /// What a COPY FROM STDIN is given.
    pub data: String,
    /// The order of its rows isn't defined.
    pub sorted: bool,
    /// The values of its parameters.
    pub parameters: Vec<Parameter>,
    only: Vec<String>,
    not: Vec<String>,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The name of its type.
    pub ty: String,
    /// Its value as text.
    pub value: Option<String>,
}

impl Statement {
    /// A statement without directives that no file holds.
    pub fn new(sql: String) -> Self {
        Self { sql, ..Self::default() }
    }

    /// Whether it runs with the tables in this home.
    pub fn runs_in(&self, home: &str) -> bool {
        let names = |list: &[String]| list.iter().any(|each| each == home);
        (self.only.is_empty() || names(&self.only)) && !names(&self.not)
    }

    /// The statement with its parameters written into it.
    pub fn with_literals(&self) -> String {
        let mut sql = self.sql.clone();
        for (position, parameter) in self.parameters.iter().enumerate().rev() {
            let literal = parameter.value.as_ref().map_or_else(
                || format!("CAST(NULL AS {})", parameter.ty),
                |value| format!("CAST('{}' AS {})", value.replace('\'', "''"), parameter.ty),
            );
            sql = sql.replace(&format!("${}", position + 1), &literal);
        }
        sql
    }
}

impl Suite {
    /// Reads a file.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut suite = Self { path: path.to_owned(), tables: Vec::new(), statements: Vec::new() };
        let mut next = Statement::default();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            if next.sql.is_empty() {
                if let Some(comment) = line.trim_start().strip_prefix("--") {
                    suite.directive(comment.trim(), &mut next);
                    continue;
                }
                if line.trim().is_empty() {
                    continue;
                }
                next.line = number + 1;
            } else {
                next.sql.push('\n');
            }
            next.sql.push_str(line);
            if let Some(sql) = next.sql.trim_end().strip_suffix(';') {
                next.sql = sql.to_owned();
                if next.sql.starts_with("COPY") && next.sql.contains("FROM STDIN") {
                    let data =
                        lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "\\.");
                    next.data = data.flat_map(|line| [line, "\n"]).collect();
                }
                suite.statements.push(std::mem::take(&mut next));
            }
        }
        assert!(next.sql.is_empty(), "{}: the last statement has no semicolon", path.display());
        suite
    }

    fn directive(&mut self, comment: &str, next: &mut Statement) {
        let names = |list: &str| list.split(',').map(|name| name.trim().to_owned()).collect();
        if comment == "sorted" {
            next.sorted = true;
        } else if let Some(list) = comment.strip_prefix("only:") {
            next.only = names(list);
        } else if let Some(list) = comment.strip_prefix("not:") {
            next.not = names(list);
        } else if let Some(list) = comment.strip_prefix("params:") {
            next.parameters = parameters(list.trim());
        } else if let Some(table) = comment.strip_prefix("table:") {
            self.tables.push(store_table(table));
        }
    }
}

fn store_table(text: &str) -> StoreTable {
    let mut words = text.split_whitespace();
    let name = words.next().expect("a table's name").to_owned();
    let (mut keys, mut indexes) = (Vec::new(), Vec::new());
    for word in words {
        let (key, value) = word.split_once('=').expect("key=value");
        if key == "index" {
            let (name, columns) = value.split_once(':').expect("index=name:columns");
            let columns: Vec<_> = columns.split(',').collect();
            indexes.push(format!("name = {name:?}, columns = {columns:?}"));
        } else {
            keys.push(format!("{key} = {value:?}"));
        }
    }
    StoreTable { name, keys, indexes }
}

/// `int8 42, text 'it''s', numeric(10,2) NULL`
fn parameters(mut list: &str) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    while !list.is_empty() {
        let (ty, rest) = list.split_once(' ').expect("a type and a value");
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('\'') {
            Some(quoted) => {
                let (value, rest) = quoted_value(quoted);
                (Some(value), rest)
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let value = rest[..end].trim();
                ((value != "NULL").then(|| value.to_owned()), &rest[end..])
            }
        };
        parameters.push(Parameter { ty: ty.to_owned(), value });
        list = rest.trim_start().trim_start_matches(',').trim_start();
    }
    parameters
}

fn quoted_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character != '\'' {
            value.push(character);
        } else if characters.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return (value, &text[at + 1..]);
        }
    }
    panic!("no closing quote in {text:?}");
}
