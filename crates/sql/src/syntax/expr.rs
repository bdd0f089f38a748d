//! Expressions, looked at one level at a time.

use super::{Kind, Node};

/// What stands between the two sides of a [`binary`] expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    And,
    Or,
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    In,
    /// Any other.
    Other,
}

/// The sides of an infix operator.
///
/// The grammar doesn't bind all operators as PostgreSQL does (`a + 1 BETWEEN 0 AND 2`). So what is
/// made of an operator must look at both sides down to names and constants: then there is nothing
/// that could be bound in another way.
pub(crate) fn binary(expr: Node<'_>) -> Option<(Node<'_>, Operator, Node<'_>)> {
    if !expr.is(Kind::BIN_EXPR) {
        return None;
    }
    let parts: Vec<_> = expr.children().collect();
    let [left, middle @ .., right] = &parts[..] else { return None };
    if left.is_token() || right.is_token() {
        return None;
    }
    let operator = match middle {
        [one] => match one.kind() {
            Kind::AND_KW => Operator::And,
            Kind::OR_KW => Operator::Or,
            Kind::EQ => Operator::Equal,
            Kind::L_ANGLE => Operator::Less,
            Kind::LTEQ => Operator::LessOrEqual,
            Kind::R_ANGLE => Operator::Greater,
            Kind::GTEQ => Operator::GreaterOrEqual,
            Kind::PLUS => Operator::Plus,
            Kind::MINUS => Operator::Minus,
            Kind::IN_KW => Operator::In,
            _ => Operator::Other,
        },
        _ => Operator::Other,
    };
    Some((*left, operator, *right))
}

/// What is in parentheses; the expression itself when it isn't.
pub(crate) fn unparen(mut expr: Node<'_>) -> Node<'_> {
    while expr.is(Kind::PAREN_EXPR)
        && let Some(inner) = only_inside(expr)
        && !is_query(inner)
    {
        expr = inner;
    }
    expr
}

/// The only node inside.
pub(crate) fn only_inside(node: Node<'_>) -> Option<Node<'_>> {
    let mut nodes = node.nodes();
    let only = nodes.next()?;
    nodes.next().is_none().then_some(only)
}

pub(crate) fn is_query(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        Kind::SELECT
            | Kind::SELECT_INTO
            | Kind::PAREN_SELECT
            | Kind::COMPOUND_SELECT
            | Kind::TABLE
            | Kind::VALUES
    )
}

/// What a list in parentheses has in it: `(1, 2)`, `(1)`. `None` for a subquery, and for ROW(…).
pub(crate) fn items_of(list: Node<'_>) -> Option<Vec<Node<'_>>> {
    if !matches!(list.kind(), Kind::PAREN_EXPR | Kind::TUPLE_EXPR) || list.has(Kind::ROW_KW) {
        return None;
    }
    let items: Vec<_> = list.nodes().collect();
    (!items.iter().any(|item| is_query(*item))).then_some(items)
}

/// The special function that a call is, such as ANY or EXISTS.
pub(crate) fn call(expr: Node<'_>, function: Kind) -> Option<Node<'_>> {
    if !expr.is(Kind::CALL_EXPR) {
        return None;
    }
    only_inside(expr).filter(|inner| inner.is(function))
}
