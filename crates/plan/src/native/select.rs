//! SELECT by key, by keys, by a range of one partition, or the top of a sorted set.

use flywheel_sql::{Constant, OrderKey, Select};
use flywheel_store::{Layout, Operation};

use super::{Columns, Filter, ScoreAccess};
use crate::access::orders_exactly;
use crate::{Access, Home};

/// How the rows are read.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadOperation {
    /// Rows by their keys, in any order.
    Keys(Access),
    /// One range of one partition of the primary key or an index, in the order of its sort columns.
    Range {
        /// The partition and its ends.
        access: Access,
        /// From the highest sort key down.
        descending: bool,
    },
    /// Any rows of the table, as many as LIMIT says.
    Some,
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
    /// Which of the rows that are read belong to the result.
    pub filter: Filter,
    /// The result's columns, as positions in the table.
    pub projection: Vec<usize>,
    /// LIMIT
    pub limit: Option<Constant>,
    /// OFFSET
    pub offset: Option<Constant>,
    /// FOR UPDATE and the like.
    pub locks: bool,
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
            // Equal scores come in any order in PostgreSQL, and in the members' order in the set:
            // one of those it allows.
            (Layout::SortedSet { score }, [(position, key)]) if *position == score => {
                Some(key.descending)
            }
            // So do all of a range without ORDER BY.
            (Layout::SortedSet { .. }, [])
                if columns.exact_accesses(&shape.filter).is_none_or(|exact| exact.is_empty()) =>
            {
                Some(false)
            }
            _ => None,
        };
        let range = by_score.and_then(|descending| {
            Some((ScoreAccess::of(&shape.filter, columns, home)?, descending))
        });
        let (read, filter) = if let Some((range, descending)) = range {
            (ReadOperation::ByScore { range, descending }, Filter::default())
        } else {
            let accesses = columns.exact_accesses(&shape.filter)?;
            let exact = accesses.into_iter().find_map(|access| match access {
                Access::All if order.is_empty() && shape.limit.is_some() => {
                    Some(ReadOperation::Some)
                }
                access => read(access, &order, columns, home),
            });
            match exact {
                Some(read) => (read, Filter::default()),
                None => filtered(shape, &order, columns, home)?,
            }
        };
        Some(Self {
            read,
            filter,
            projection,
            limit: shape.limit.clone(),
            offset: shape.offset.clone(),
            locks: false,
        })
    }

    pub(super) fn constants(&self) -> Vec<&Constant> {
        let mut constants = match &self.read {
            ReadOperation::Keys(access) | ReadOperation::Range { access, .. } => access.values(),
            ReadOperation::Some => Vec::new(),
            ReadOperation::ByScore { range, .. } => range.constants(),
        };
        constants.extend(self.filter.constants());
        constants.extend(self.limit.iter().chain(&self.offset));
        constants
    }

    /// The columns that it needs of the rows, as positions in the table.
    #[must_use]
    pub fn wanted(&self) -> Vec<usize> {
        self.projection.iter().copied().chain(self.filter.columns()).collect()
    }

    /// The store's operation, for EXPLAIN.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match &self.read {
            ReadOperation::Keys(access) if access.is_single() => Operation::Get,
            ReadOperation::Keys(_) => Operation::GetMany,
            ReadOperation::Some => Operation::Some,
            ReadOperation::Range { access, .. } => access.range_operation(),
            ReadOperation::ByScore { range, descending } => {
                Operation::ByScore { descending: *descending, whole: range.is_whole() }
            }
        }
    }
}

/// A read by key of more rows than belong to the result. A range is read whole, so that a LIMIT
/// would have to be known before.
fn filtered(
    shape: &Select,
    order: &[(usize, &OrderKey)],
    columns: &Columns<'_>,
    home: &Home,
) -> Option<(ReadOperation, Filter)> {
    let mut facts = columns.facts(&shape.filter)?;
    let (access, _) = Access::candidates(columns.home, &facts).swap_remove(0);
    access.remove_said(columns.home, &mut facts);
    let filter = Filter::of(columns.table, &facts)?;
    let read = read(access, order, columns, home)?;
    let is_whole = shape.limit.is_none() && shape.offset.is_none();
    (is_whole || matches!(read, ReadOperation::Keys(_))).then_some((read, filter))
}

/// The one read that gives the rows of an access in this order.
fn read(
    access: Access,
    order: &[(usize, &OrderKey)],
    columns: &Columns<'_>,
    home: &Home,
) -> Option<ReadOperation> {
    match &access {
        // Rows of several keys come in no order, and a limit would have to choose among them as
        // PostgreSQL does: at random.
        Access::Keys(_) if order.is_empty() || access.is_single() => {
            Some(ReadOperation::Keys(access))
        }
        Access::Partitions { index, .. } if access.is_single() => Some(ReadOperation::Range {
            descending: sort_direction(
                columns,
                order,
                &home.table.order_columns(*index)[1..],
                access.fixes_sort(),
            )?,
            access,
        }),
        _ => None,
    }
}

/// Whether ORDER BY asks for the order of the sort columns backwards; `None` when it asks for an
/// order that the store doesn't have. Where the first has one value only, the others order the
/// rows.
fn sort_direction(
    columns: &Columns<'_>,
    order: &[(usize, &OrderKey)],
    sort: &[usize],
    is_first_fixed: bool,
) -> Option<bool> {
    let Some((position, first)) = order.first() else {
        return Some(false);
    };
    let sort = if is_first_fixed && sort.first() != Some(position) { &sort[1..] } else { sort };
    let follows = order.len() <= sort.len()
        && order.iter().zip(sort).all(|((position, key), sort)| {
            position == sort
                && key.descending == first.descending
                && orders_exactly(&columns.table.columns[*sort])
        });
    follows.then_some(first.descending)
}
