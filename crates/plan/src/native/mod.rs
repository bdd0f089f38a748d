//! Statements that a store answers exactly, alone.

mod assign;
mod delete;
mod filter;
mod insert;
mod score;
mod select;
mod update;

pub use assign::assign;
pub use delete::NativeDelete;
pub use filter::{Conditions, Filter};
pub use insert::{NativeInsert, OnConflict};
pub use score::{NativeCount, NativeRanked, NativeTop, RankedColumn, RankedRows, ScoreAccess};
pub use select::{NativeSelect, ReadOperation};
pub use update::NativeUpdate;

use flywheel_sql::{ColumnRef, Constant, Fact, Projection, Relation, Shape};
use flywheel_store::StoreTable;
use flywheel_types::Table;

use crate::Home;
use crate::access::{Access, TableFact};

/// One store operation that is the whole statement. Its constants are resolved at execution; where
/// that fails, the general plan answers.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant holds the struct of its name")]
pub enum Native {
    Select(NativeSelect),
    Top(NativeTop),
    Count(NativeCount),
    Ranked(NativeRanked),
    Insert(NativeInsert),
    Update(NativeUpdate),
    Delete(NativeDelete),
}

impl Native {
    pub(crate) fn of(shape: &Shape, relation: &Relation, home: &Home) -> Option<Self> {
        let target = Columns { table: &home.table.table, home: &home.table, relation };
        match shape {
            Shape::Select(shape) => NativeSelect::of(shape, &target, home)
                .map(Self::Select)
                .or_else(|| NativeTop::of(shape, &target, home).map(Self::Top)),
            Shape::Count(_) | Shape::Ranked(_) if home.store.scores().is_none() => None,
            Shape::Count(shape) => NativeCount::of(shape, &target, home).map(Self::Count),
            Shape::Ranked(shape) => NativeRanked::of(shape, &target, home).map(Self::Ranked),
            Shape::Insert(shape) => NativeInsert::of(shape, &target).map(Self::Insert),
            Shape::Update(shape) => NativeUpdate::of(shape, &target).map(Self::Update),
            Shape::Delete(shape) => NativeDelete::of(shape, &target).map(Self::Delete),
        }
    }

    /// The parameters that are values of the plan, by their positions: compared with a column,
    /// assigned or inserted, or a LIMIT or OFFSET.
    #[must_use]
    pub fn parameters(&self) -> Vec<usize> {
        let position = |constant: &Constant| match constant {
            Constant::Parameter(position) => Some(*position),
            _ => None,
        };
        self.constants().into_iter().filter_map(position).collect()
    }

    /// Its constants.
    pub(crate) fn constants(&self) -> Vec<&Constant> {
        match self {
            Self::Select(select) => select.constants(),
            Self::Top(top) => top.constants(),
            Self::Count(count) => count.range.constants(),
            Self::Ranked(ranked) => ranked.constants(),
            Self::Insert(insert) => insert.constants(),
            Self::Update(update) => update.constants(),
            Self::Delete(delete) => delete.access.values(),
        }
    }
}

/// The columns of the one table that a statement names.
pub(crate) struct Columns<'a> {
    pub(crate) table: &'a Table,
    pub(crate) home: &'a StoreTable,
    pub(crate) relation: &'a Relation,
}

impl Columns<'_> {
    pub(crate) fn position(&self, column: &ColumnRef) -> Option<usize> {
        let own = column
            .qualifier
            .as_deref()
            .is_none_or(|qualifier| qualifier == self.relation.qualifier());
        own.then(|| self.table.column(&column.name)).flatten()
    }

    /// The result's columns as positions in the table.
    pub(crate) fn projection(&self, items: &[Projection]) -> Option<Vec<usize>> {
        let mut positions = Vec::new();
        for item in items {
            match item {
                Projection::All => positions.extend(0..self.table.columns.len()),
                Projection::Column(column) => positions.push(self.position(column)?),
            }
        }
        Some(positions)
    }

    /// A WHERE clause that is nothing but what is known of columns.
    pub(crate) fn facts(&self, filter: &[Fact]) -> Option<Vec<TableFact>> {
        filter.iter().map(|fact| TableFact::of(fact, |column| self.position(column))).collect()
    }

    /// The accesses that a whole WHERE clause is, each of which leaves nothing to recheck; the
    /// narrowest first.
    pub(crate) fn exact_accesses(&self, filter: &[Fact]) -> Option<Vec<Access>> {
        let facts = self.facts(filter)?;
        let exact = Access::candidates(self.home, &facts).into_iter().filter(|(_, exact)| *exact);
        Some(exact.map(|(access, _)| access).collect())
    }

    /// The access to one row, when a WHERE clause is nothing but its key.
    pub(crate) fn single_key(&self, filter: &[Fact]) -> Option<Access> {
        self.exact_accesses(filter)?
            .into_iter()
            .find(|access| matches!(access, Access::Keys(_)) && access.is_single())
    }
}
