//! The rows of an INSERT, as far as they are constants.

use crate::Constant;
use crate::syntax::{Kind, Node, Tree, word};

/// Whether one of a statement's INSERTs has an ON CONFLICT clause.
pub(crate) fn on_conflict(tree: &Tree) -> bool {
    tree.all().any(|node| node.is(Kind::ON_CONFLICT_CLAUSE))
}

/// The rows of INSERT … VALUES.
#[derive(Debug, Clone, PartialEq)]
pub struct Inserted {
    /// The columns, when listed.
    pub columns: Option<Vec<String>>,
    /// Each row's values; `None` where one isn't a constant.
    pub rows: Vec<Vec<Option<Constant>>>,
}

impl Inserted {
    /// The rows of the statement's only INSERT.
    pub(crate) fn of(tree: &Tree) -> Option<Self> {
        let mut inserts = tree.all().filter(|node| node.is(Kind::INSERT));
        let (insert, None) = (inserts.next()?, inserts.next()) else {
            return None;
        };
        let rows = rows(insert)?;
        Some(Self {
            columns: columns(insert)?,
            rows: rows.map(|row| row.nodes().map(Constant::of).collect()).collect(),
        })
    }
}

/// The columns that an INSERT names; `Some(None)` when it names none, `None` when it assigns to
/// parts of them.
pub(crate) fn columns(insert: Node<'_>) -> Option<Option<Vec<String>>> {
    let Some(list) = insert.child(Kind::COLUMN_TARGET_LIST) else {
        return Some(None);
    };
    list.nodes().map(column).collect::<Option<Vec<_>>>().map(Some)
}

/// The column that is assigned to; `None` for an element or a field of it.
pub(crate) fn column(target: Node<'_>) -> Option<String> {
    let mut nodes = target.nodes();
    let name = nodes.next().filter(|name| name.is(Kind::COLUMN_NAME_REF))?;
    if nodes.next().is_some() { None } else { word(name) }
}

/// The rows of VALUES, when that is what is inserted and has no clauses of its own.
pub(crate) fn rows(insert: Node<'_>) -> Option<impl Iterator<Item = Node<'_>>> {
    let values = insert.child(Kind::VALUES)?;
    let known = [Kind::VALUES_KW, Kind::ROW_LIST, Kind::SEMICOLON];
    if !values.children().all(|child| known.contains(&child.kind())) {
        return None;
    }
    Some(values.child(Kind::ROW_LIST)?.nodes().filter(|row| row.is(Kind::ROW)))
}
