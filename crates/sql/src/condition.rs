//! Conditions that bound the rows which a statement can touch.
//!
//! Conditions are read down to names and constants. The grammar binds some operators otherwise than
//! PostgreSQL (`a + 1 BETWEEN 0 AND 2`). Where both sides of an operator are names or constants
//! there is nothing that could be bound in another way; everything else is left to PostgreSQL. How
//! joins nest is found from their order (`sql/syntax/from.rs`).

use crate::either::either;
use crate::fact::{ColumnRef, Comparison, Fact, fact};
use crate::syntax::{Kind, Node, Operator, binary, unparen};
use crate::{Constant, member};

/// One of the conditions that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Conjunct {
    /// What it says.
    pub fact: Fact,
    /// It as written (normalised), for sending to PostgreSQL.
    pub sql: String,
    /// Every column that it names.
    pub columns: Vec<ColumnRef>,
    /// Whether it holds nothing but columns, constants and operators: no subquery and no function.
    pub plain: bool,
}

/// The conjuncts of a condition. Without recursion: there may be any number of them.
pub(crate) fn conjuncts(expr: Node<'_>, out: &mut Vec<Conjunct>) {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        let expr = unparen(expr);
        if let Some((left, Operator::And, right)) = binary(expr) {
            open.extend([right, left]);
            continue;
        }
        if let Some((column, low, high)) = between(expr) {
            out.push(conjunct(
                expr,
                Fact::Compare(column.clone(), Comparison::GreaterOrEqual, low),
            ));
            out.push(conjunct(expr, Fact::Compare(column, Comparison::LessOrEqual, high)));
            continue;
        }
        match (fact(expr), member::facts(expr)) {
            (None, members) if !members.is_empty() => {
                out.extend(members.into_iter().map(|member| conjunct(expr, member)))
            }
            (fact, _) => {
                let fact = fact.or_else(|| either(expr)).unwrap_or(Fact::Other);
                out.push(conjunct(expr, fact));
            }
        }
    }
}

/// `column BETWEEN constant AND constant`
fn between(expr: Node<'_>) -> Option<(ColumnRef, Constant, Constant)> {
    let is_plain =
        expr.is(Kind::BETWEEN_EXPR) && !expr.has(Kind::NOT_KW) && !expr.has(Kind::SYMMETRIC);
    let mut sides = expr.nodes().filter(|node| !node.is(Kind::ASYMMETRIC));
    let (middle, low, high) = (sides.next()?, sides.next()?, sides.next()?);
    if !is_plain || sides.next().is_some() {
        return None;
    }
    Some((ColumnRef::of(middle)?, Constant::compared(low)?, Constant::compared(high)?))
}

fn conjunct(expr: Node<'_>, fact: Fact) -> Conjunct {
    let (columns, plain) = columns_of(expr);
    Conjunct { fact, sql: expr.sql(), columns, plain }
}

/// `column = column`, as JOIN … USING says it.
pub(crate) fn same(left: ColumnRef, right: ColumnRef) -> Conjunct {
    Conjunct {
        fact: Fact::Same(left.clone(), right.clone()),
        sql: String::new(),
        columns: vec![left, right],
        plain: false,
    }
}

/// Every column named in `expr`, and whether there is nothing in it but columns, constants and
/// operators.
fn columns_of(expr: Node<'_>) -> (Vec<ColumnRef>, bool) {
    let (mut columns, mut plain) = (Vec::new(), true);
    for node in expr.all().filter(|node| !node.is_token()) {
        plain &= is_plain(node);
        let is_part = node.parent().is_some_and(|parent| parent.is(Kind::FIELD_EXPR));
        // A function's name is like a column's.
        let is_called = node.parent().is_some_and(|parent| {
            parent.is(Kind::CALL_EXPR) && parent.nodes().next() == Some(node)
        });
        if !is_part && !is_called && matches!(node.kind(), Kind::NAME_REF | Kind::FIELD_EXPR) {
            columns.extend(ColumnRef::of(node));
        }
    }
    (columns, plain)
}

fn is_plain(node: Node<'_>) -> bool {
    use Kind::*;
    match node.kind() {
        NAME_REF => ColumnRef::of(node).is_some(),
        FIELD_EXPR => !node.has(STAR),
        // The operator of a schema may be anybody's, as any other is.
        PAREN_EXPR | TUPLE_EXPR | LITERAL | CAST_EXPR | COLON_COLON | BIN_EXPR | PREFIX_EXPR
        | BETWEEN_EXPR | IS_NOT | NOT_IN | NOT_LIKE | NOT_ILIKE | CUSTOM_OP => true,
        // Types, and what they are made of.
        PATH_TYPE | ARRAY_TYPE | ARRAY_BOUND | VARCHAR_TYPE | CHARACTER_TYPE | BIT_TYPE
        | BIT_VARYING_TYPE | DOUBLE_TYPE | TIME_TYPE | TIMESTAMP_TYPE | INTERVAL_TYPE
        | WITH_TIMEZONE | WITHOUT_TIMEZONE | PATH_REF | PATH_SEGMENT_REF => true,
        ARG_LIST | ARG => {
            node.ancestors().take(2).any(|around| around.is(PATH_TYPE) || around.is(VARCHAR_TYPE))
        }
        _ => false,
    }
}
