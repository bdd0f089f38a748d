//! The relations that a statement names, and as what.

use std::fmt;
use std::ops::Range;

use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::Location;

use crate::condition::Conjunct;
use crate::finder::start_of;

/// A table's name as written, folded; without a schema it is looked up on the search path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelationName {
    /// The schema, when written.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl RelationName {
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
pub struct Place(pub(crate) Location);

impl Place {
    pub(crate) fn of(name: &ObjectName) -> Option<Self> {
        start_of(name).map(Self)
    }
}

/// What a statement does with a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads it in a FROM clause, where a set of rows can stand in its place.
    Read,
    /// Inserts into, updates or deletes from it.
    Target,
    /// Names it in another way: as the object of a definition, a COPY, a lock.
    Object,
}

/// One place where a statement names a relation.
#[derive(Debug, Clone)]
pub struct Relation {
    /// The name as written.
    pub name: RelationName,
    /// Where the name stands in the text, with ONLY where it is named so.
    pub range: Range<usize>,
    /// The same, as conditions refer to it.
    pub place: Place,
    /// What is done with it.
    pub role: Role,
    /// The alias, folded.
    pub alias: Option<String>,
    /// The alias has a list of column names, so that columns go by other names here.
    pub renames_columns: bool,
    /// Conditions that hold of every one of its rows that can matter to the result.
    pub conjuncts: Vec<Conjunct>,
    /// The relations that stand in the same FROM, itself included, as positions in [`crate::Parsed::relations`].
    pub siblings: Vec<usize>,
    /// The relations of enclosing queries that their names, in its conditions, can only mean; as positions again.
    pub outer: Vec<usize>,
    /// Nothing else stands in its FROM, so that a bare column name is its own.
    pub alone: bool,
    /// It is the table of an INSERT: none of its rows are read.
    pub inserted: bool,
    /// It stands in the query of a view that the statement writes to.
    pub is_through_view: bool,
}

impl Relation {
    /// The name by which columns refer to it.
    #[must_use]
    pub fn qualifier(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name.name)
    }
}
