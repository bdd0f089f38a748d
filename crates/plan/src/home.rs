//! Which table lives where.

use std::collections::HashMap;
use std::sync::Arc;

use flywheel_sql::RelationName;
use flywheel_store::{Store, StoreTable};
use flywheel_types::TableName;

/// A table whose rows live in a store.
#[derive(Debug, Clone)]
pub struct Home {
    /// The table, as PostgreSQL defines it and the configuration homes it.
    pub table: StoreTable,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The store's name in the configuration.
    pub store_name: String,
}

impl Home {
    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.table.table.name
    }
}

/// All tables that are homed in stores and defined in PostgreSQL.
#[derive(Debug, Clone, Default)]
pub struct Homes {
    tables: HashMap<TableName, Arc<Home>>,
}

impl Homes {
    /// Adds or replaces a table.
    pub fn insert(&mut self, home: Arc<Home>) {
        self.tables.insert(home.name().clone(), home);
    }

    /// Forgets a table.
    pub fn remove(&mut self, name: &TableName) {
        self.tables.remove(name);
    }

    /// The table of this name.
    #[must_use]
    pub fn get(&self, name: &TableName) -> Option<&Arc<Home>> {
        self.tables.get(name)
    }

    /// The table that a name means under a search path: the first schema that has one.
    #[must_use]
    pub fn resolve(&self, name: &RelationName, search_path: &[String]) -> Option<&Arc<Home>> {
        match &name.schema {
            Some(schema) => self.get(&TableName::new(schema, &name.name)),
            None => search_path.iter().find_map(|schema| self.get(&TableName::new(schema, &name.name))),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Home>> {
        self.tables.values()
    }
}
