//! Names of relations, and where they stand.

use std::fmt;

use crate::syntax::{Node, path};

/// A table's name as written, folded; without a schema it is looked up on the search path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelationName {
    /// The schema, when written.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl RelationName {
    /// The name that a node of the tree holds.
    pub(crate) fn of(holder: Node<'_>) -> Option<Self> {
        let mut parts = path(holder)?;
        let name = parts.pop()?;
        // catalog.schema.table: PostgreSQL allows only the current database as the catalog.
        Some(Self { schema: parts.pop(), name })
    }

    /// The name as SQL, quoted.
    #[must_use]
    pub fn to_sql(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let schema = self.schema.as_deref().map_or_else(String::new, |schema| quoted(schema) + ".");
        schema + &quoted(&self.name)
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// Where a statement names a relation: the same for no two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(usize);

impl Place {
    /// The place of the node that holds its name.
    pub(crate) fn of(holder: Node<'_>) -> Self {
        Self(holder.place())
    }

    /// The node's place in its tree.
    pub(crate) const fn number(self) -> usize {
        self.0
    }
}
