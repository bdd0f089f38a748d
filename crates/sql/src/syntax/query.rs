//! A SELECT and its clauses.

use super::{Item, Kind, Node, items};

/// One SELECT, with what belongs to it alone.
#[derive(Clone, Copy)]
pub(crate) struct Select<'t>(pub(crate) Node<'t>);

impl<'t> Select<'t> {
    /// `None` for other queries: VALUES, TABLE, UNION, and one in parentheses.
    pub(crate) fn of(query: Node<'t>) -> Option<Self> {
        matches!(query.kind(), Kind::SELECT | Kind::SELECT_INTO).then_some(Self(query))
    }

    /// The condition of WHERE.
    pub(crate) fn condition(self) -> Option<Node<'t>> {
        condition(self.0)
    }

    /// The result's columns: each a `*` or an expression, perhaps with a name.
    pub(crate) fn targets(self) -> Vec<Target<'t>> {
        self.0.child(Kind::SELECT_CLAUSE).map(targets).unwrap_or_default()
    }

    /// What stands in FROM; `None` where it can't be told how it is joined.
    pub(crate) fn from(self) -> Option<Vec<Item<'t>>> {
        match self.0.child(Kind::FROM_CLAUSE) {
            Some(from) => items(from),
            None => Some(Vec::new()),
        }
    }

    pub(crate) fn has(self, clause: Kind) -> bool {
        self.0.has(clause)
    }

    /// DISTINCT, DISTINCT ON.
    pub(crate) fn distinct(self) -> Option<Node<'t>> {
        self.0.child(Kind::SELECT_CLAUSE)?.child(Kind::DISTINCT_CLAUSE)
    }

    /// Whether it has nothing but a result list, FROM, WHERE, ORDER BY, LIMIT and locks.
    pub(crate) fn is_plain(self) -> bool {
        let known = [
            Kind::SELECT_CLAUSE,
            Kind::FROM_CLAUSE,
            Kind::WHERE_CLAUSE,
            Kind::ORDER_BY_CLAUSE,
            Kind::LIMIT_CLAUSE,
            Kind::OFFSET_CLAUSE,
            Kind::LOCKING_CLAUSE,
            Kind::SEMICOLON,
        ];
        self.0.is(Kind::SELECT)
            && self.0.children().all(|child| known.contains(&child.kind()))
            && self.distinct().is_none()
    }
}

/// A column of the result.
#[derive(Clone, Copy)]
pub(crate) struct Target<'t> {
    /// `None` for a `*`.
    pub(crate) expr: Option<Node<'t>>,
    /// The name behind AS.
    pub(crate) name: Option<Node<'t>>,
}

/// The columns that SELECT or RETURNING gives.
pub(crate) fn targets(clause: Node<'_>) -> Vec<Target<'_>> {
    let list = clause.child(Kind::TARGET_LIST);
    let targets = list.into_iter().flat_map(Node::nodes).filter(|node| node.is(Kind::TARGET));
    targets
        .map(|target| Target {
            expr: target.nodes().find(|node| !node.is(Kind::AS_NAME)),
            name: target.child(Kind::AS_NAME).and_then(|name| name.child(Kind::COLUMN_NAME)),
        })
        .collect()
}

/// The condition of a statement's WHERE.
pub(crate) fn condition(statement: Node<'_>) -> Option<Node<'_>> {
    statement.child(Kind::WHERE_CLAUSE)?.nodes().next()
}

/// A query without the parentheses around it.
pub(crate) fn bare(mut query: Node<'_>) -> Node<'_> {
    while query.is(Kind::PAREN_SELECT) {
        let mut nodes = query.nodes();
        // Clauses of its own make it more than what is inside.
        let (Some(inner), None) = (nodes.next(), nodes.next()) else { break };
        query = inner;
    }
    query
}
