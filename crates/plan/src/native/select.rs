//! SELECT by key, by keys, by a range of one partition, or the top of a sorted set.

use flywheel_sql::{Constant, OrderKey, Select};
use flywheel_store::{Layout, Operation};

use super::{Columns, ScoreAccess};
use crate::access::orders_exactly;
use crate::{Access, Home};

/// How the rows are read.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadOperation {
    /// Rows by their keys, in any order.
    Keys(Access),
    /// One range of one partition, in the sort key's order.
    Range {
        /// The partition and its ends.
        access: Access,
        /// From the highest sort key down.
        descending: bool,
    },
    /// One partition of a sorted set, by score.
    ByScore {
        /// Which members.
        range: ScoreAccess,
        /// From the highest score down.
        descending: bool,
    },
}

/// A SELECT that is one read of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeSelect {
    /// What is read.
    pub read: ReadOperation,
    /// The result's columns, as positions in the table.
    pub projection: Vec<usize>,
    /// LIMIT
    pub limit: Option<Constant>,
    /// OFFSET
    pub offset: Option<Constant>,
}

impl NativeSelect {
    pub(super) fn of(shape: &Select, columns: &Columns<'_>, home: &Home) -> Option<Self> {
        let projection = columns.projection(&shape.projection)?;
        let order = shape
            .order
            .iter()
            .map(|key| Some((columns.position(&key.column)?, key)))
            .collect::<Option<Vec<_>>>()?;
        let by_score = match (home.table.layout, &order[..]) {
            // Equal scores come in any order in PostgreSQL, and in the members' order in the set: one of those it allows.
            (Layout::SortedSet { score }, [(position, key)]) if *position == score => Some(key.descending),
            // So do all of a range without ORDER BY.
            (Layout::SortedSet { .. }, []) if columns.exact_access(&shape.filter).is_none() => Some(false),
            _ => None,
        };
        let range = by_score.and_then(|descending| Some((ScoreAccess::of(&shape.filter, columns, home)?, descending)));
        let read = if let Some((range, descending)) = range {
            ReadOperation::ByScore { range, descending }
        } else {
            let access = columns.exact_access(&shape.filter)?;
            match &access {
                // Rows of several keys come in no order, and a limit would have to choose among them as PostgreSQL does: at random.
                Access::Keys(_) if order.is_empty() || access.is_single() => ReadOperation::Keys(access),
                Access::Partitions { .. } if access.is_single() => ReadOperation::Range {
                    access,
                    descending: sort_direction(columns, &order)?,
                },
                _ => return None,
            }
        };
        Some(Self {
            read,
            projection,
            limit: shape.limit.clone(),
            offset: shape.offset.clone(),
        })
    }

    /// The store's operation, for EXPLAIN.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match &self.read {
            ReadOperation::Keys(access) if access.is_single() => Operation::Get,
            ReadOperation::Keys(_) => Operation::GetMany,
            ReadOperation::Range { .. } => Operation::Range,
            ReadOperation::ByScore { range, descending } => Operation::ByScore {
                descending: *descending,
                whole: range.is_whole(),
            },
        }
    }
}

/// Whether ORDER BY asks for the sort key's order backwards; `None` when it asks for an order that the store doesn't have.
fn sort_direction(columns: &Columns<'_>, order: &[(usize, &OrderKey)]) -> Option<bool> {
    let Some((_, first)) = order.first() else {
        return Some(false);
    };
    let sort_key = &columns.table.primary_key[1..];
    let follows = order.len() <= sort_key.len()
        && order.iter().zip(sort_key).all(|((position, key), sort)| {
            position == sort && key.descending == first.descending && orders_exactly(&columns.table.columns[*sort])
        });
    follows.then_some(first.descending)
}
