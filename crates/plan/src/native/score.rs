//! Statements on one partition of a sorted set: a range of scores, how many rows it has, and ranks
//! by score.

use flywheel_sql::{
    Comparison, Constant, Count, Fact, OrderKey, Ranked, RankedItem, Ranking, Select,
};
use flywheel_store::{Bound, Layout, ScoreRange, StoreTable};
use flywheel_types::{Scalar, Value, text};

use super::Columns;
use crate::access::{End, TableFact};
use crate::{Access, Home, Parameters, ResolvedAccess};

/// The members of one set between two scores, with constants not yet resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreAccess {
    /// The partition; [`Access::All`] when the table is one set.
    pub access: Access,
    /// The score column.
    pub score: usize,
    pub(crate) lower: Option<End>,
    pub(crate) upper: Option<End>,
}

impl ScoreAccess {
    /// The access that a whole WHERE clause is: one set, and perhaps ends of the score.
    pub(crate) fn of(filter: &[Fact], columns: &Columns<'_>, home: &Home) -> Option<Self> {
        let Layout::SortedSet { score } = home.table.layout else {
            return None;
        };
        let facts = filter
            .iter()
            .map(|fact| TableFact::of(fact, |column| columns.position(column)))
            .collect::<Option<Vec<_>>>()?;
        let (mut lower, mut upper, mut others) = (None, None, Vec::new());
        for fact in facts {
            let TableFact::Compare(column, comparison, value) = &fact else {
                others.push(fact);
                continue;
            };
            if *column != score {
                others.push(fact);
                continue;
            }
            let end = |inclusive| End { value: value.clone(), inclusive };
            let (low, high) = match comparison {
                Comparison::Equal => (Some(end(true)), Some(end(true))),
                Comparison::Greater => (Some(end(false)), None),
                Comparison::GreaterOrEqual => (Some(end(true)), None),
                Comparison::Less => (None, Some(end(false))),
                Comparison::LessOrEqual => (None, Some(end(true))),
            };
            for (slot, end) in [(&mut lower, low), (&mut upper, high)] {
                if end.is_some() && slot.is_some() {
                    return None;
                }
                *slot = end.or_else(|| slot.take());
            }
        }
        let (access, exact) = Access::candidates(&home.table, &others).swap_remove(0);
        let one_set = match &access {
            Access::Partitions { lower, upper, .. } => {
                access.is_single() && lower.is_none() && upper.is_none()
            }
            Access::All => columns.table.primary_key.len() == 1,
            Access::Keys(_) => false,
        };
        (exact && one_set).then_some(Self { access, score, lower, upper })
    }

    pub(super) fn constants(&self) -> Vec<&Constant> {
        let mut constants = self.access.values();
        constants.extend(self.lower.iter().chain(&self.upper).map(|end| &end.value));
        constants
    }

    /// Whether it is the whole set.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lower.is_none() && self.upper.is_none()
    }

    /// The same with values: `Some(None)` when a comparison with NULL leaves no row, `None` when a
    /// constant can't be read exactly.
    #[must_use]
    #[allow(clippy::option_option, reason = "no row and no answer are two things")]
    pub fn resolve(
        &self,
        table: &StoreTable,
        parameters: &Parameters<'_>,
        descending: bool,
    ) -> Option<Option<ScoreRange>> {
        let partition = match self.access.resolve(table, parameters)? {
            ResolvedAccess::All => None,
            ResolvedAccess::Ranges { mut ranges, .. } => match ranges.pop() {
                Some(range) => Some(range.partition),
                None => return Some(None),
            },
            ResolvedAccess::Keys(_) => return None,
        };
        let ty = &table.table.columns[self.score].ty;
        let bound = |end: &Option<End>| {
            let Some(End { value, inclusive }) = end else {
                return Some(Bound::Unbounded);
            };
            // `real` is compared with most constants as double precision.
            if ty.scalar == Scalar::Float4 {
                return None;
            }
            let value = match (parameters.resolve_key(value, ty), value) {
                (Some(value), _) => value,
                (None, Constant::Number(digits)) if ty.scalar == Scalar::Float8 => {
                    text::decode(ty, digits)?
                }
                _ => return None,
            };
            Some(if *inclusive { Bound::Included(value) } else { Bound::Excluded(value) })
        };
        let (lower, upper) = (bound(&self.lower)?, bound(&self.upper)?);
        let is_null = |bound: &Bound| {
            matches!(bound, Bound::Included(Value::Null) | Bound::Excluded(Value::Null))
        };
        if is_null(&lower) || is_null(&upper) {
            return Some(None);
        }
        Some(Some(ScoreRange { partition, lower, upper, descending }))
    }
}

/// A SELECT of how many members there are.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeCount {
    /// Of which.
    pub range: ScoreAccess,
    /// What is added to the count.
    pub plus: i64,
}

impl NativeCount {
    pub(super) fn of(shape: &Count, columns: &Columns<'_>, home: &Home) -> Option<Self> {
        Some(Self { range: ScoreAccess::of(&shape.filter, columns, home)?, plus: shape.plus })
    }
}

/// A SELECT of the top by score and then by other columns: the store gives the top with all that
/// equal its last row, PostgreSQL the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeTop {
    /// Which members.
    pub range: ScoreAccess,
    /// From the highest score down.
    pub descending: bool,
    /// LIMIT
    pub limit: Constant,
    /// OFFSET
    pub offset: Option<Constant>,
}

impl NativeTop {
    pub(super) fn constants(&self) -> Vec<&Constant> {
        let mut constants = self.range.constants();
        constants.push(&self.limit);
        constants.extend(&self.offset);
        constants
    }

    pub(super) fn of(shape: &Select, columns: &Columns<'_>, home: &Home) -> Option<Self> {
        let [by, _, ..] = &shape.order[..] else { return None };
        let range = ScoreAccess::of(&shape.filter, columns, home)?;
        (columns.position(&by.column)? == range.score).then_some(Self {
            range,
            descending: by.descending,
            limit: shape.limit.clone()?,
            offset: shape.offset.clone(),
        })
    }
}

/// A column of ranked rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankedColumn {
    /// The table's column at this position.
    Column(usize),
    /// A number by the score's order.
    Ranking(Ranking),
}

/// Which ranked rows.
#[derive(Debug, Clone, PartialEq)]
pub enum RankedRows {
    /// Those of a range, from its beginning.
    Range {
        /// Which.
        range: ScoreAccess,
        /// LIMIT
        limit: Option<Constant>,
        /// OFFSET
        offset: Option<Constant>,
    },
    /// The one of a key.
    One(Access),
}

/// A SELECT of members with their rank by score.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeRanked {
    /// Which.
    pub rows: RankedRows,
    /// The result's columns.
    pub projection: Vec<RankedColumn>,
    /// From the highest score down.
    pub descending: bool,
}

impl NativeRanked {
    pub(super) fn constants(&self) -> Vec<&Constant> {
        match &self.rows {
            RankedRows::Range { range, limit, offset } => {
                let mut constants = range.constants();
                constants.extend(limit.iter().chain(offset));
                constants
            }
            RankedRows::One(access) => access.values(),
        }
    }

    pub(super) fn of(shape: &Ranked, columns: &Columns<'_>, home: &Home) -> Option<Self> {
        let Layout::SortedSet { score } = home.table.layout else {
            return None;
        };
        let table = columns.table;
        let OrderKey { column, descending, .. } = &shape.by;
        if columns.position(column)? != score {
            return None;
        }
        let is_partition =
            |column: usize| table.primary_key.len() > 1 && column == table.primary_key[0];
        let by_partition = match &shape.partition {
            Some(column) if is_partition(columns.position(column)?) => true,
            Some(_) => return None,
            None => false,
        };
        let mut projection = Vec::new();
        for item in &shape.projection {
            match item {
                RankedItem::All => {
                    projection.extend((0..table.columns.len()).map(RankedColumn::Column))
                }
                RankedItem::Column(column) => {
                    projection.push(RankedColumn::Column(columns.position(column)?))
                }
                RankedItem::Ranking(ranking) => projection.push(RankedColumn::Ranking(*ranking)),
            }
        }
        let rows = match &shape.of {
            None => RankedRows::Range {
                range: ScoreAccess::of(&shape.filter, columns, home)?,
                limit: shape.limit.clone(),
                offset: shape.offset.clone(),
            },
            Some(of) => {
                // All members of the set are ranked, and no others.
                let ranked = ScoreAccess::of(&shape.filter, columns, home);
                let whole_set = ranked.is_some_and(|ranked| ranked.is_whole());
                let whole_sets = shape.filter.is_empty() && by_partition;
                // Where ties have different numbers, only reading all of them tells.
                let is_counted = |column: &RankedColumn| {
                    !matches!(
                        column,
                        RankedColumn::Ranking(Ranking::DenseRank | Ranking::RowNumber)
                    )
                };
                if !(whole_set || whole_sets) || !projection.iter().all(is_counted) {
                    return None;
                }
                let both: Vec<Fact> = shape.filter.iter().chain(of).cloned().collect();
                RankedRows::One(columns.single_key(&both)?)
            }
        };
        Some(Self { rows, projection, descending: *descending })
    }
}
