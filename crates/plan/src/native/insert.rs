//! INSERT of constant rows.

use std::ops::Range;

use flywheel_sql::{ConflictAction, Constant, Insert, InsertValue};
use flywheel_store::Assignment;
use flywheel_types::{ColumnDefault, Row, Table, Value};

use super::Columns;
use super::assign::Assignments;
use crate::Parameters;

/// What happens when the key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// 23505
    Error,
    /// Nothing is inserted.
    Nothing,
    /// The row is replaced, whole.
    Replace,
    /// Columns of the row are assigned to.
    Update,
}

/// An INSERT whose rows need nothing computed.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeInsert {
    /// For each row, for each column of the table: its constant, or `None` for NULL by default.
    rows: Vec<Vec<Option<Constant>>>,
    /// When the key is taken.
    pub on_conflict: OnConflict,
    /// What becomes of the row that is there, for [`OnConflict::Update`].
    set: Option<Assignments>,
    /// RETURNING, as positions in the table; empty when there is none.
    pub returning: Vec<usize>,
}

impl NativeInsert {
    pub(super) fn of(shape: &Insert, columns: &Columns<'_>) -> Option<Self> {
        let table = columns.table;
        // A generated column or a CHECK is PostgreSQL's to compute.
        if table.computes_rows() {
            return None;
        }
        let targets: Vec<usize> = match &shape.columns {
            Some(names) => names.iter().map(|name| table.column(name)).collect::<Option<_>>()?,
            None => (0..table.columns.len()).collect(),
        };
        let rows = shape
            .rows
            .iter()
            .map(|row| arrange(table, &targets, row))
            .collect::<Option<Vec<_>>>()?;
        let (on_conflict, set) = on_conflict(columns, &shape.on_conflict)?;
        if on_conflict != OnConflict::Error && rows.len() != 1 {
            return None;
        }
        Some(Self { rows, on_conflict, set, returning: columns.projection(&shape.returning)? })
    }

    /// The rows with their values; `None` when PostgreSQL must compute one of them, or would refuse
    /// it.
    #[must_use]
    pub fn resolve(&self, table: &Table, parameters: &Parameters<'_>) -> Option<Vec<Row>> {
        self.resolve_some(0..self.rows.len(), table, parameters)
    }

    /// The same of some of the rows.
    #[must_use]
    pub fn resolve_some(
        &self,
        rows: Range<usize>,
        table: &Table,
        parameters: &Parameters<'_>,
    ) -> Option<Vec<Row>> {
        let value = |constant: &Option<Constant>, position: usize| {
            let column = &table.columns[position];
            let value = match constant {
                Some(constant) => parameters.resolve(constant, &column.ty)?,
                None => Value::Null,
            };
            (!value.is_null() || !column.not_null).then_some(value)
        };
        self.rows
            .get(rows)?
            .iter()
            .map(|row| {
                row.iter()
                    .enumerate()
                    .map(|(position, constant)| value(constant, position))
                    .collect()
            })
            .collect()
    }

    /// What becomes of the row that is there; `None` when PostgreSQL must compute it.
    #[must_use]
    pub fn resolve_update(
        &self,
        table: &Table,
        row: &[Value],
        parameters: &Parameters<'_>,
    ) -> Option<Vec<(usize, Assignment)>> {
        self.set.as_ref()?.resolve(table, row, parameters)
    }

    pub(super) fn constants(&self) -> Vec<&Constant> {
        let mut constants: Vec<&Constant> = self.rows.iter().flatten().flatten().collect();
        constants.extend(self.set.iter().flat_map(Assignments::constants));
        constants
    }

    /// How many rows it inserts.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }
}

/// A row's constants by the table's columns; `None` when a default must be computed or the counts
/// differ.
fn arrange(table: &Table, targets: &[usize], row: &[InsertValue]) -> Option<Vec<Option<Constant>>> {
    if row.len() > targets.len()
        || (row.len() < targets.len() && targets.len() != table.columns.len())
    {
        return None;
    }
    table
        .columns
        .iter()
        .enumerate()
        .map(|(position, column)| {
            match targets
                .iter()
                .position(|&target| target == position)
                .and_then(|place| row.get(place))
            {
                Some(InsertValue::Constant(constant)) => Some(Some(constant.clone())),
                Some(InsertValue::Default) | None => {
                    (column.default == ColumnDefault::None).then_some(None)
                }
            }
        })
        .collect()
}

fn on_conflict(
    columns: &Columns<'_>,
    action: &ConflictAction,
) -> Option<(OnConflict, Option<Assignments>)> {
    let table = columns.table;
    let is_key = |names: &[String]| {
        let positions: Option<Vec<usize>> = names.iter().map(|name| table.column(name)).collect();
        positions.is_some_and(|positions| {
            positions.len() == table.primary_key.len()
                && positions.iter().all(|position| table.is_key(*position))
        })
    };
    match action {
        ConflictAction::Error => Some((OnConflict::Error, None)),
        ConflictAction::Nothing(target) => {
            target.as_deref().is_none_or(is_key).then_some((OnConflict::Nothing, None))
        }
        ConflictAction::Update(set, target) => {
            let set = Assignments::of(set, columns).filter(|_| is_key(target))?;
            if set.is_replacement(table) {
                Some((OnConflict::Replace, None))
            } else {
                Some((OnConflict::Update, Some(set)))
            }
        }
    }
}
