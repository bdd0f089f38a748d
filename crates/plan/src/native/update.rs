//! UPDATE of one row by its key, with constants.

use flywheel_sql::{Constant, Update};
use flywheel_types::{Table, Value};

use super::Columns;
use crate::{Access, Parameters};

/// An UPDATE that sets columns of one row to constants.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeUpdate {
    /// The row's key.
    pub access: Access,
    /// Columns, none of the key, and their constants.
    set: Vec<(usize, Constant)>,
    /// RETURNING, as positions in the table; empty when there is none.
    pub returning: Vec<usize>,
}

impl NativeUpdate {
    pub(super) fn of(shape: &Update, columns: &Columns<'_>) -> Option<Self> {
        let table = columns.table;
        if table.has_checks || table.columns.iter().any(|column| column.generated) {
            return None;
        }
        let set = shape
            .set
            .iter()
            .map(|(name, constant)| Some((table.column(name)?, constant.clone())))
            .collect::<Option<Vec<_>>>()?;
        let plain = set.iter().all(|(position, _)| !table.is_key(*position));
        let access = columns.single_key(&shape.filter)?;
        plain.then_some(Self {
            access,
            set,
            returning: columns.projection(&shape.returning)?,
        })
    }

    /// The new values; `None` when PostgreSQL must compute one of them, or would refuse it.
    #[must_use]
    pub fn resolve(&self, table: &Table, parameters: &Parameters<'_>) -> Option<Vec<(usize, Value)>> {
        let value = |(position, constant): &(usize, Constant)| {
            let column = &table.columns[*position];
            let value = parameters.resolve(constant, &column.ty)?;
            (!value.is_null() || !column.not_null).then_some((*position, value))
        };
        self.set.iter().map(value).collect()
    }
}
