//! The rows of an INSERT, as far as they are constants.

use crate::Constant;
use crate::syntax::{Kind, Node, Tree, targets, word};

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
            rows: rows.into_iter().map(|row| row.into_iter().map(Constant::of).collect()).collect(),
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

/// The rows that are inserted, each an expression for each column: those of VALUES, or the one of a
/// SELECT that has a result list and nothing else. `None` for any other query.
pub(crate) fn rows(insert: Node<'_>) -> Option<Vec<Vec<Node<'_>>>> {
    if let Some(select) = insert.child(Kind::SELECT) {
        return of_select(select).map(|row| vec![row]);
    }
    let values = insert.child(Kind::VALUES)?;
    let known = [Kind::VALUES_KW, Kind::ROW_LIST, Kind::SEMICOLON];
    if !values.children().all(|child| known.contains(&child.kind())) {
        return None;
    }
    let rows = values.child(Kind::ROW_LIST)?.nodes().filter(|row| row.is(Kind::ROW));
    Some(rows.map(|row| row.nodes().collect()).collect())
}

fn of_select(select: Node<'_>) -> Option<Vec<Node<'_>>> {
    let clause = select.child(Kind::SELECT_CLAUSE)?;
    let has_others = select
        .children()
        .any(|child| !matches!(child.kind(), Kind::SELECT_CLAUSE | Kind::SEMICOLON));
    if has_others || clause.has(Kind::DISTINCT_CLAUSE) {
        return None;
    }
    targets(clause).into_iter().map(|target| target.expr).collect()
}
