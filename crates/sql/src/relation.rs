//! The relations that a statement names, and as what.
//!
//! A column of a query around a subquery is known by a name that can mean nothing else: where a
//! name stands twice on the way out, or something there has no known name, nothing is concluded
//! from it.

use std::ops::Range;

use crate::condition::Conjunct;
use crate::lock::Lock;
use crate::name::{Place, RelationName};

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
    /// Where the name stands in the text, with `ONLY`, its parentheses or `*` where it is named so,
    /// and with the TABLE of `TABLE name`.
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
    /// The relations that stand in the same FROM, itself included, as positions in
    /// [`crate::Parsed::relations`].
    pub siblings: Vec<usize>,
    /// The relations of enclosing queries that their names, in its conditions, can only mean; as
    /// positions again.
    pub outer: Vec<usize>,
    /// Nothing else stands in its FROM, so that a bare column name is its own.
    pub alone: bool,
    /// It is the table of an INSERT: none of its rows are read.
    pub inserted: bool,
    /// It is named by `TABLE name`, a query.
    pub is_query: bool,
    /// Where its schema and a dot stand in front of its name and a column: what is put in its place
    /// has no schema.
    pub schemas: Vec<Range<usize>>,
    /// It stands in the query of a view that the statement writes to.
    pub is_through_view: bool,
    /// How its rows are locked for the transaction, by FOR UPDATE and the like.
    pub lock: Option<Lock>,
}

impl Relation {
    /// What is to be put in the places of the statement's text for `rows` to stand for it: by their
    /// places, in no order.
    #[must_use]
    pub fn replaced(&self, rows: String) -> Vec<(Range<usize>, String)> {
        let rows = if self.is_query { format!("SELECT * FROM {rows}") } else { rows };
        let schemas = self.schemas.iter().map(|range| (range.clone(), String::new()));
        std::iter::once((self.range.clone(), rows)).chain(schemas).collect()
    }

    /// The name by which columns refer to it.
    #[must_use]
    pub fn qualifier(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name.name)
    }
}
