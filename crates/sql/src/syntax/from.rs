//! What stands in a FROM, and how it is joined.

use super::names::{Standing, standing, word};
use super::{Kind, Node};

/// The name behind AS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) name: Option<String>,
    /// It has names for columns, too.
    pub(crate) renames: bool,
}

/// One thing in a FROM.
#[derive(Clone)]
pub(crate) enum Factor<'t> {
    /// A table, a view or a common table expression.
    Table {
        /// The node that holds its name.
        name: Node<'t>,
        alias: Option<Alias>,
        /// TABLESAMPLE
        is_sampled: bool,
    },
    /// A subquery.
    Derived { query: Node<'t>, alias: Option<Alias>, is_lateral: bool },
    /// Joins in parentheses, without a name of their own.
    Nested(Box<Item<'t>>),
    /// Anything else: a function, joins with a name of their own, …
    Other { alias: Option<Alias> },
}

/// Which rows a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Inner,
    Left,
    Right,
    Full,
}

/// A join's condition.
#[derive(Clone)]
pub(crate) enum On<'t> {
    None,
    Condition(Node<'t>),
    Using(Vec<String>),
}

/// What is joined, and how.
#[derive(Clone)]
pub(crate) struct Join<'t> {
    pub(crate) side: Side,
    pub(crate) factor: Factor<'t>,
    pub(crate) on: On<'t>,
}

/// A thing in FROM, with what is joined to it in turn.
#[derive(Clone)]
pub(crate) struct Item<'t> {
    pub(crate) first: Factor<'t>,
    pub(crate) joins: Vec<Join<'t>>,
}

impl<'t> Item<'t> {
    fn of(first: Factor<'t>) -> Self {
        Self { first, joins: Vec::new() }
    }

    fn into_factor(self) -> Factor<'t> {
        if self.joins.is_empty() { self.first } else { Factor::Nested(Box::new(self)) }
    }
}

/// The items of a FROM or USING clause; `None` where it can't be told how they are joined.
pub(crate) fn items(clause: Node<'_>) -> Option<Vec<Item<'_>>> {
    clause.nodes().filter(|node| is_item(*node)).map(item).collect()
}

fn is_item(node: Node<'_>) -> bool {
    use Kind::*;
    matches!(
        node.kind(),
        JOIN_EXPR
            | RELATION_FROM_ITEM
            | FUNCTION_FROM_ITEM
            | PAREN_FROM_ITEM
            | JSON_TABLE_FROM_ITEM
            | XML_TABLE_FROM_ITEM
            | GRAPH_TABLE_FROM_ITEM
            | ROWS_FROM_ITEM
            | EXPR_FROM_ITEM
    )
}

/// An item, whose joins are bound as PostgreSQL binds them: to the left, but for one that waits for
/// its condition.
pub(crate) fn item(node: Node<'_>) -> Option<Item<'_>> {
    let mut waiting: Vec<(Item<'_>, Side)> = Vec::new();
    let mut joining: Option<(Side, bool)> = None;
    let mut current: Option<Item<'_>> = None;
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        match node.kind() {
            Kind::JOIN_EXPR | Kind::JOIN => {
                open.extend(node.nodes().collect::<Vec<_>>().into_iter().rev())
            }
            Kind::JOIN_INNER => joining = Some((Side::Inner, !is_natural(node))),
            Kind::JOIN_LEFT => joining = Some((Side::Left, !is_natural(node))),
            Kind::JOIN_RIGHT => joining = Some((Side::Right, !is_natural(node))),
            Kind::JOIN_FULL => joining = Some((Side::Full, !is_natural(node))),
            Kind::JOIN_CROSS => joining = Some((Side::Inner, false)),
            Kind::ON_CLAUSE | Kind::JOIN_USING_CLAUSE => {
                let (mut left, side) = waiting.pop()?;
                let on = if node.is(Kind::ON_CLAUSE) {
                    On::Condition(node.nodes().next()?)
                } else {
                    using(node)
                };
                let factor = current.take()?.into_factor();
                left.joins.push(Join { side, factor, on });
                current = Some(left);
            }
            _ if is_item(node) => {
                let factor = factor(node)?;
                current = Some(match (joining.take(), current.take()) {
                    (None, None) => Item::of(factor),
                    (Some((side, true)), Some(left)) => {
                        waiting.push((left, side));
                        Item::of(factor)
                    }
                    (Some((side, false)), Some(mut left)) => {
                        left.joins.push(Join { side, factor, on: On::None });
                        left
                    }
                    _ => return None,
                });
            }
            _ => return None,
        }
    }
    if waiting.is_empty() { current } else { None }
}

/// NATURAL stands in front of the kind of join.
fn is_natural(kind: Node<'_>) -> bool {
    kind.parent().is_some_and(|join| join.has(Kind::NATURAL_KW))
}

fn using(clause: Node<'_>) -> On<'_> {
    let columns =
        clause.child(Kind::COLUMN_REF_LIST).into_iter().flat_map(Node::nodes).filter_map(word);
    On::Using(columns.collect())
}

pub(crate) fn factor(node: Node<'_>) -> Option<Factor<'_>> {
    let alias = alias(node);
    match node.kind() {
        Kind::RELATION_FROM_ITEM => Some(Factor::Table {
            name: named(node)?,
            alias,
            is_sampled: node.has(Kind::TABLESAMPLE_CLAUSE),
        }),
        Kind::PAREN_FROM_ITEM => {
            let inner = node.nodes().next()?;
            if inner.is(Kind::PAREN_SELECT) {
                let is_lateral = node.has(Kind::LATERAL_KW);
                return Some(Factor::Derived { query: super::bare(inner), alias, is_lateral });
            }
            let content = inner.nodes().next()?;
            if node.has(Kind::ONLY_KW) {
                let is_sampled = node.has(Kind::TABLESAMPLE_CLAUSE);
                return Some(Factor::Table { name: named(content)?, alias, is_sampled });
            }
            match alias {
                None => item(content).map(Item::into_factor),
                // Its own name hides those of the tables in it.
                Some(_) => Some(Factor::Other { alias: None }),
            }
        }
        _ => Some(Factor::Other { alias }),
    }
}

/// The node in it that holds a relation's name.
pub(crate) fn named(node: Node<'_>) -> Option<Node<'_>> {
    node.all().find(|inner| standing(inner.kind()) == Some(Standing::Relation))
}

/// The alias of what stands in FROM, or of the target of UPDATE, DELETE, MERGE or INSERT.
pub(crate) fn alias(node: Node<'_>) -> Option<Alias> {
    let alias = node.nodes().find(|child| {
        matches!(child.kind(), Kind::FROM_ALIAS | Kind::OPTIONAL_AS_ALIAS | Kind::REQUIRED_AS_ALIAS)
    })?;
    Some(Alias {
        name: alias.child(Kind::TABLE_ALIAS).and_then(word),
        renames: alias.nodes().any(|child| !child.is(Kind::TABLE_ALIAS)),
    })
}
