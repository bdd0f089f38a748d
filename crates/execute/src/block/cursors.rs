//! The cursors of a block that lock rows of store tables.

use std::collections::{HashMap, HashSet};

use flywheel_types::TableName;

/// The locking cursors and portals of a block.
#[derive(Debug, Default)]
pub struct Cursors {
    /// The tables of each.
    tables: HashMap<String, Vec<TableName>>,
    /// Those of which a table was written to.
    outdated: HashSet<String>,
}

impl Cursors {
    /// One is opened.
    pub fn open(&mut self, name: &str, tables: Vec<TableName>) {
        self.outdated.remove(name);
        self.tables.insert(name.to_owned(), tables);
    }

    /// The name is another's, or nobody's.
    pub fn forget(&mut self, name: &str) {
        self.outdated.remove(name);
        self.tables.remove(name);
    }

    /// The table was written to.
    pub fn note_write(&mut self, table: &TableName) {
        for (name, tables) in &self.tables {
            if tables.contains(table) && !self.outdated.contains(name) {
                self.outdated.insert(name.clone());
            }
        }
    }

    /// Whether one of them may not go on.
    pub fn are_outdated(&self) -> bool {
        !self.outdated.is_empty()
    }

    /// The block is over, or all are closed.
    pub fn clear(&mut self) {
        self.tables.clear();
        self.outdated.clear();
    }

    /// The table that was written to since the cursor of this name was opened.
    pub fn table_of(&self, name: &str) -> Option<&TableName> {
        self.outdated.get(name).and_then(|name| self.tables.get(name)?.first())
    }
}
