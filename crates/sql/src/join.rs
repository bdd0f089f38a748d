//! Which join conditions hold of the rows of a relation.

use sqlparser::ast::{Join, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins};

use crate::condition::{ColumnRef, Conjunct, conjuncts, fold, same};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Inner,
    Left,
    Right,
    Full,
}

fn side(join: &Join) -> (Side, Option<&JoinConstraint>) {
    match &join.join_operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => (Side::Inner, Some(on)),
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Side::Left, Some(on)),
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (Side::Right, Some(on)),
        _ => (Side::Full, None),
    }
}

/// The join conditions that hold of every row of the relation at `position` (0: the first, n: the n-th joined) that can reach the result.
///
/// An outer join keeps rows of its preserved side for which its condition fails, so that side learns nothing from it; the other side's
/// rows matter only where it holds.
pub(crate) fn join_conditions(item: &TableWithJoins, position: usize) -> Vec<Conjunct> {
    let own = position.checked_sub(1).map(|at| side(&item.joins[at]).0);
    let mut conditions = Vec::new();
    for (at, join) in item.joins.iter().enumerate() {
        let (kind, constraint) = side(join);
        let holds = match (at + 1).cmp(&position) {
            std::cmp::Ordering::Equal => matches!(kind, Side::Inner | Side::Left),
            std::cmp::Ordering::Greater => matches!(kind, Side::Inner | Side::Right),
            // An earlier join bounds the rows that this one is matched with.
            std::cmp::Ordering::Less => kind == Side::Inner && matches!(own, Some(Side::Inner | Side::Left)),
        };
        match constraint {
            Some(JoinConstraint::On(on)) if holds => conjuncts(on, &mut conditions),
            // USING with more than two relations may merge columns of an earlier join: only the plain case is read.
            Some(JoinConstraint::Using(columns)) if holds && item.joins.len() == 1 => {
                if let (Some(left), Some(right)) = (qualifier(&item.relation), qualifier(&join.relation)) {
                    conditions.extend(columns.iter().filter_map(|column| {
                        let name = fold(column.0.first()?.as_ident()?);
                        let side = |qualifier: &String| ColumnRef {
                            qualifier: Some(qualifier.clone()),
                            name: name.clone(),
                        };
                        Some(same(side(&left), side(&right)))
                    }));
                }
            }
            _ => {}
        }
    }
    conditions
}

pub(crate) fn qualifier(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } => Some(alias_name(alias)),
        TableFactor::Table { name, .. } => name.0.last()?.as_ident().map(fold),
        _ => None,
    }
}

pub(crate) fn alias_name(alias: &TableAlias) -> String {
    fold(&alias.name)
}
