//! What a SET clause makes of a row's columns.

use flywheel_sql::{Assigned, Constant, Operand};
use flywheel_store::Assignment;
use flywheel_types::{Row, Table, Value};

use super::Columns;
use crate::Parameters;

/// A column's new value, as far as it is known before the parameters are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NewValue {
    Constant(Constant),
    /// The value of this column in the row that an INSERT proposes.
    Excluded(usize),
    Add(Amount),
    Subtract(Amount),
}

impl NewValue {
    fn constant(&self) -> Option<&Constant> {
        match self {
            Self::Constant(constant)
            | Self::Add(Amount::Constant(constant))
            | Self::Subtract(Amount::Constant(constant)) => Some(constant),
            Self::Excluded(_) | Self::Add(_) | Self::Subtract(_) => None,
        }
    }
}

/// What is added to an integer column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Amount {
    Constant(Constant),
    Excluded(usize),
}

/// A SET clause.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assignments(Vec<(usize, NewValue)>);

impl Assignments {
    /// `None` when a store can't carry it out: columns of the key, sums of anything but a column of
    /// integers and itself.
    pub(super) fn of(set: &[(String, Assigned)], columns: &Columns<'_>) -> Option<Self> {
        let table = columns.table;
        let new_value = |position: usize, assigned: &Assigned| {
            let own = |column| {
                (columns.position(column) == Some(position) && is_integer(table, position))
                    .then_some(())
            };
            let amount = |operand: &Operand| match operand {
                Operand::Constant(constant) => Some(Amount::Constant(constant.clone())),
                Operand::Excluded(name) => table
                    .column(name)
                    .filter(|&column| is_integer(table, column))
                    .map(Amount::Excluded),
            };
            match assigned {
                Assigned::Value(Operand::Constant(constant)) => {
                    Some(NewValue::Constant(constant.clone()))
                }
                Assigned::Value(Operand::Excluded(name)) => {
                    let column = table.column(name)?;
                    let (from, to) = (&table.columns[column].ty, &table.columns[position].ty);
                    ((from.oid, from.typmod) == (to.oid, to.typmod))
                        .then_some(NewValue::Excluded(column))
                }
                Assigned::Plus(column, operand) => {
                    own(column).and_then(|()| amount(operand)).map(NewValue::Add)
                }
                Assigned::Minus(column, operand) => {
                    own(column).and_then(|()| amount(operand)).map(NewValue::Subtract)
                }
            }
        };
        let set = set.iter().map(|(name, assigned)| {
            let position = table.column(name).filter(|position| !table.is_key(*position))?;
            Some((position, new_value(position, assigned)?))
        });
        set.collect::<Option<_>>().map(Self)
    }

    /// Whether every column outside the key becomes what the proposed row has there.
    pub(super) fn is_replacement(&self, table: &Table) -> bool {
        let replaced = |position| self.0.contains(&(position, NewValue::Excluded(position)));
        (0..table.columns.len()).all(|position| table.is_key(position) || replaced(position))
    }

    pub(super) fn constants(&self) -> Vec<&Constant> {
        let values = self.0.iter().map(|(_, value)| value);
        values.filter_map(NewValue::constant).collect()
    }

    /// The columns to which something is added.
    pub(super) fn added(&self) -> impl Iterator<Item = usize> {
        let adds = |(position, value): &(usize, NewValue)| {
            matches!(value, NewValue::Add(_) | NewValue::Subtract(_)).then_some(*position)
        };
        self.0.iter().filter_map(adds)
    }

    /// The assignments with their values; `None` when PostgreSQL must compute one, or would refuse
    /// it.
    pub(super) fn resolve(
        &self,
        table: &Table,
        excluded: &[Value],
        parameters: &Parameters<'_>,
    ) -> Option<Vec<(usize, Assignment)>> {
        let assignment = |(position, value): &(usize, NewValue)| {
            let column = &table.columns[*position];
            let amount = |amount: &Amount| match amount {
                Amount::Constant(constant) => parameters.resolve_addend(constant, &column.ty),
                Amount::Excluded(position) => match excluded.get(*position)? {
                    Value::Int(number) => Some(*number),
                    _ => None,
                },
            };
            let known = |value: Value| {
                (!value.is_null() || !column.not_null).then_some(Assignment::Value(value))
            };
            let assignment = match value {
                NewValue::Constant(constant) => known(parameters.resolve(constant, &column.ty)?)?,
                NewValue::Excluded(position) => known(excluded.get(*position)?.clone())?,
                NewValue::Add(addend) => Assignment::Add(amount(addend)?),
                NewValue::Subtract(subtrahend) => {
                    Assignment::Add(amount(subtrahend)?.checked_neg()?)
                }
            };
            Some((*position, assignment))
        };
        self.0.iter().map(assignment).collect()
    }
}

fn is_integer(table: &Table, position: usize) -> bool {
    use flywheel_types::Scalar::{Int2, Int4, Int8};
    matches!(table.columns[position].ty.scalar, Int2 | Int4 | Int8)
}

/// The row after the assignments; `None` where PostgreSQL must compute it.
#[must_use]
pub fn assign(table: &Table, row: &[Value], set: &[(usize, Assignment)]) -> Option<Row> {
    let mut row = row.to_vec();
    for (position, assignment) in set {
        row[*position] = assignment.apply(table.columns[*position].ty.scalar, &row[*position])?;
    }
    Some(row)
}
