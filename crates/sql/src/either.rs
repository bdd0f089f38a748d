//! `a = 1 OR a = 2`, which says what `a IN (1, 2)` says.

use crate::Constant;
use crate::fact::{ColumnRef, Comparison, Fact, fact};
use crate::syntax::{Node, Operator, binary, unparen};

/// What an OR of equalities says of one column, or of the same columns in each of its branches.
/// Without recursion: there may be any number of branches.
pub(crate) fn either(expr: Node<'_>) -> Option<Fact> {
    let mut branches = operands(expr, Operator::Or).into_iter();
    let (columns, mut rows) = row(branches.next()?)?;
    for branch in branches {
        let (others, more) = row(branch)?;
        let places: Vec<usize> = columns
            .iter()
            .map(|column| others.iter().position(|other| other == column))
            .collect::<Option<_>>()?;
        if places.len() != others.len() {
            return None;
        }
        rows.extend(
            more.into_iter()
                .map(|row| places.iter().map(|&place| row[place].clone()).collect::<Vec<_>>()),
        );
    }
    Some(Fact::In(columns, rows))
}

/// The values of one branch: `a = 1`, `a IN (1, 2)`, or `a = 1 AND b = 2`.
fn row(branch: Node<'_>) -> Option<(Vec<ColumnRef>, Vec<Vec<Constant>>)> {
    let conjuncts = operands(branch, Operator::And);
    if let [one] = conjuncts[..] {
        return match fact(one)? {
            Fact::Compare(column, Comparison::Equal, constant) => {
                Some((vec![column], vec![vec![constant]]))
            }
            Fact::In(columns, rows) => Some((columns, rows)),
            _ => None,
        };
    }
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for conjunct in conjuncts {
        match fact(conjunct)? {
            Fact::Compare(column, Comparison::Equal, constant) if !columns.contains(&column) => {
                columns.push(column);
                values.push(constant);
            }
            _ => return None,
        }
    }
    Some((columns, vec![values]))
}

/// The operands of a chain of one operator, from left to right; the expression itself where it is
/// none.
fn operands(expr: Node<'_>, of: Operator) -> Vec<Node<'_>> {
    let (mut open, mut found) = (vec![expr], Vec::new());
    while let Some(expr) = open.pop() {
        let expr = unparen(expr);
        match binary(expr) {
            Some((left, operator, right)) if operator == of => open.extend([right, left]),
            _ => found.push(expr),
        }
    }
    found
}
