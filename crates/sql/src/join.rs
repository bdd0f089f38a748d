//! Which join conditions hold of the rows of a relation.

use crate::condition::{Conjunct, conjuncts, same};
use crate::fact::ColumnRef;
use crate::name::RelationName;
use crate::syntax::{Factor, Item, On, Side};

/// The join conditions that hold of every row of the relation at `position` (0: the first, n: the
/// n-th joined) that can reach the result.
///
/// An outer join keeps rows of its preserved side for which its condition fails, so that side
/// learns nothing from it; the other side's rows matter only where it holds.
pub(crate) fn join_conditions(item: &Item<'_>, position: usize) -> Vec<Conjunct> {
    let own = position.checked_sub(1).map(|at| item.joins[at].side);
    let mut conditions = Vec::new();
    for (at, join) in item.joins.iter().enumerate() {
        let holds = match (at + 1).cmp(&position) {
            std::cmp::Ordering::Equal => matches!(join.side, Side::Inner | Side::Left),
            std::cmp::Ordering::Greater => matches!(join.side, Side::Inner | Side::Right),
            // An earlier join bounds the rows that this one is matched with.
            std::cmp::Ordering::Less => {
                join.side == Side::Inner && matches!(own, Some(Side::Inner | Side::Left))
            }
        };
        match &join.on {
            On::Condition(condition) if holds => conjuncts(*condition, &mut conditions),
            // USING with more than two relations may merge columns of an earlier join: only the
            // plain case is read.
            On::Using(columns) if holds && item.joins.len() == 1 => {
                if let (Some(left), Some(right)) = (qualifier(&item.first), qualifier(&join.factor))
                {
                    conditions.extend(columns.iter().map(|name| {
                        let side = |qualifier: &String| ColumnRef {
                            qualifier: Some(qualifier.clone()),
                            name: name.clone(),
                        };
                        same(side(&left), side(&right))
                    }));
                }
            }
            _ => {}
        }
    }
    conditions
}

/// The name by which columns refer to a table.
pub(crate) fn qualifier(factor: &Factor<'_>) -> Option<String> {
    let Factor::Table { name, alias, .. } = factor else { return None };
    match alias.as_ref().and_then(|alias| alias.name.clone()) {
        Some(alias) => Some(alias),
        None => RelationName::of(*name).map(|name| name.name),
    }
}
