//! The tables that a file of plans begins with.

use std::sync::Arc;
use std::time::Duration;

use flywheel_memory::MemoryStore;
use flywheel_plan::{ColumnTypes, Home, Homes, Visible};
use flywheel_redis::{Certificates, RedisOptions, RedisStore, Topology};
use flywheel_sql::Parsed;
use flywheel_store::{Index, Layout, Store, StoreTable, conformance};
use flywheel_types::{ColumnDefault, TypeInfo, oid};

/// Store tables, and PostgreSQL's own.
#[derive(Default)]
pub(crate) struct Definitions {
    pub(crate) homes: Homes,
    pub(crate) visible: Visible,
    relations: Vec<(String, Vec<(String, TypeInfo)>)>,
}

impl Definitions {
    /// Reads the lines before the first case.
    pub(crate) fn read(text: &str) -> Self {
        let mut tables = Vec::new();
        let mut this = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, rest) = line.split_once(' ').expect("a definition");
            let (name, rest) = rest.split_once(' ').expect("a name");
            match kind {
                "table" => tables.push(store_table(name, rest)),
                "index" => add_index(&mut tables, name, rest),
                "relation" => this.relations.push((name.to_owned(), columns(inner(rest).0))),
                other => panic!("{other} is neither a table, an index nor a relation"),
            }
        }
        for (table, store) in tables {
            let name = &table.table.name;
            this.visible.schemas.insert(name.name.clone(), name.schema.clone());
            let store_name = store.kind().to_owned();
            this.homes.insert(Arc::new(Home { table, store, store_name }));
        }
        this
    }

    /// The types of the relational columns in a statement, as PostgreSQL's catalogue gives them.
    pub(crate) fn column_types(&self, parsed: &Parsed) -> ColumnTypes {
        let mut types = ColumnTypes::new();
        for (position, relation) in parsed.relations.iter().enumerate() {
            let known = self.relations.iter().find(|(name, _)| *name == relation.name.name);
            for (column, ty) in known.into_iter().flat_map(|(_, columns)| columns) {
                types.insert((position, column.clone()), ty.clone());
            }
        }
        types
    }
}

/// `(id text, n int4) key (id) in redis, scan`
fn store_table(name: &str, rest: &str) -> (StoreTable, Arc<dyn Store>) {
    let (listed, rest) = inner(rest);
    let columns = columns(listed);
    let (key, rest) = inner(rest.trim_start().strip_prefix("key ").expect("key (…)"));
    let mut words = rest.trim_start().strip_prefix("in ").expect("in a store").split(", ");
    let store = store(words.next().expect("a store"));
    let listed: Vec<(&str, TypeInfo)> =
        columns.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
    let key: Vec<&str> = key.split(", ").collect();
    let mut home = conformance::fixture::table(name, &listed, &key);
    home.allow_scan = false;
    for word in words {
        let (option, value) = word.split_once(' ').unwrap_or((word, ""));
        let position = || home.table.column(value).expect("a column");
        match option {
            "scan" => home.allow_scan = true,
            "json" => home.layout = Layout::Json,
            "scores" => home.layout = Layout::SortedSet { score: position() },
            "expires" => home.expires_at = Some(position()),
            "checked" => Arc::make_mut(&mut home.table).has_checks = true,
            "computed" => {
                let position = position();
                Arc::make_mut(&mut home.table).columns[position].default = ColumnDefault::Computed;
            }
            "generated" => {
                let position = position();
                let column = &mut Arc::make_mut(&mut home.table).columns[position];
                (column.default, column.generated) = (ColumnDefault::Computed, true);
            }
            "collated" => {
                let position = position();
                Arc::make_mut(&mut home.table).columns[position].byte_ordered = false;
            }
            "required" => {
                let position = position();
                Arc::make_mut(&mut home.table).columns[position].not_null = true;
            }
            other => panic!("{other} says nothing of a table"),
        }
    }
    (home, store)
}

/// `sessions.by_user (user_id)`, of a table that stands above it.
fn add_index(tables: &mut [(StoreTable, Arc<dyn Store>)], name: &str, rest: &str) {
    let (table, name) = name.split_once('.').expect("table.index");
    let (table, _) = tables
        .iter_mut()
        .find(|(each, _)| each.table.name.name == table)
        .expect("the index's table");
    let column = |name: &str| table.table.column(name).expect("a column");
    let (columns, options) = inner(rest);
    let columns = columns.split(", ").map(column).collect();
    let is_eventual = options.contains("eventual");
    let consistent_read = options.contains("consistent");
    table.indexes.push(Index {
        name: name.to_owned(),
        columns,
        is_eventual,
        consistent_read,
        projected: None,
    });
}

/// What stands in the parentheses, and what follows them.
fn inner(text: &str) -> (&str, &str) {
    let text = text.trim_start().strip_prefix('(').expect("an opening parenthesis");
    text.split_once(')').expect("a closing parenthesis")
}

fn columns(listed: &str) -> Vec<(String, TypeInfo)> {
    listed
        .split(", ")
        .map(|each| each.split_once(' ').expect("a column and its type"))
        .map(|(name, ty)| {
            let type_oid = match ty {
                "bool" => oid::BOOL,
                "int2" => oid::INT2,
                "int4" => oid::INT4,
                "int8" => oid::INT8,
                "float8" => oid::FLOAT8,
                "text" => oid::TEXT,
                "jsonb" => oid::JSONB,
                "bytea" => oid::BYTEA,
                "uuid" => oid::UUID,
                "date" => oid::DATE,
                "timestamptz" => oid::TIMESTAMPTZ,
                "numeric" => oid::NUMERIC,
                other => panic!("{other} isn't among the types of the cases"),
            };
            (name.to_owned(), TypeInfo::new(type_oid, -1, ty))
        })
        .collect()
}

/// A store that is never asked for rows.
fn store(kind: &str) -> Arc<dyn Store> {
    match kind {
        "memory" => Arc::new(MemoryStore::new()),
        "redis" => {
            let options = RedisOptions {
                topology: Topology::One("redis://localhost".into()),
                certificates: Certificates::default(),
                key_prefix: String::new(),
                timeout: Duration::from_secs(1),
            };
            Arc::new(RedisStore::new(&options).expect("a store"))
        }
        other => panic!("{other} isn't among the stores of the cases"),
    }
}
