//! UPDATE of one row by its key, with constants and sums.

use flywheel_sql::{Constant, Update};
use flywheel_store::Assignment;
use flywheel_types::Table;

use super::Columns;
use super::assign::Assignments;
use crate::{Access, Parameters};

/// An UPDATE that sets columns of one row to constants, or adds constants to them.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeUpdate {
    /// The row's key.
    pub access: Access,
    set: Assignments,
    /// RETURNING, as positions in the table; empty when there is none.
    pub returning: Vec<usize>,
}

impl NativeUpdate {
    pub(super) fn of(shape: &Update, columns: &Columns<'_>) -> Option<Self> {
        let table = columns.table;
        if table.computes_rows() {
            return None;
        }
        Some(Self {
            access: columns.single_key(&shape.filter)?,
            set: Assignments::of(&shape.set, columns)?,
            returning: columns.projection(&shape.returning)?,
        })
    }

    pub(super) fn constants(&self) -> Vec<&Constant> {
        let mut constants = self.access.values();
        constants.extend(self.set.constants());
        constants
    }

    /// The columns to which something is added.
    pub fn added(&self) -> impl Iterator<Item = usize> {
        self.set.added()
    }

    /// The new values; `None` when PostgreSQL must compute one of them, or would refuse it.
    #[must_use]
    pub fn resolve(
        &self,
        table: &Table,
        parameters: &Parameters<'_>,
    ) -> Option<Vec<(usize, Assignment)>> {
        self.set.resolve(table, &[], parameters)
    }
}
