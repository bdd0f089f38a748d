//! Which table lives where.

use std::collections::{BTreeMap, HashMap};
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

    /// The home for a read of these columns.
    #[must_use]
    pub(crate) fn wanting(self: &Arc<Self>, columns: &[usize]) -> Arc<Self> {
        Arc::new(Self { table: self.table.wanting(columns), ..Self::clone(self) })
    }

    /// Why indexes of the table aren't used, a sentence each.
    pub fn unused_indexes(&self) -> impl Iterator<Item = String> {
        let unused = self.table.indexes.iter().filter(|index| !index.serves());
        unused.map(|index| {
            format!(
                "Index {} ({}) isn't used: it follows the table with a delay; `consistent_read = false` for it or the table allows that",
                index.name, self.table.table.columns[index.columns[0]].name
            )
        })
    }
}

/// What names without a schema mean to a session, by PostgreSQL's own word: a table of the same
/// name in an earlier schema of the search path, or a temporary one, hides a store table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visible {
    /// The schema in which a new table is made; `None` when the search path leads nowhere.
    pub current_schema: Option<String>,
    /// For each name of a store table or of a view over one: the schema of the relation that
    /// PostgreSQL finds under it.
    pub schemas: BTreeMap<String, String>,
}

impl Visible {
    /// The table that a name means; `None` when it can't be a store table.
    #[must_use]
    pub fn resolve(&self, name: &RelationName) -> Option<TableName> {
        let schema = name.schema.as_ref().or_else(|| self.schemas.get(&name.name))?;
        Some(TableName::new(schema, &name.name))
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

    /// The table that a name means to a session.
    #[must_use]
    pub fn resolve(&self, name: &RelationName, visible: &Visible) -> Option<&Arc<Home>> {
        self.get(&visible.resolve(name)?)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Home>> {
        self.tables.values()
    }
}
