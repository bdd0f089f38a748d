//! DELETE of one row by its key.

use flywheel_sql::Delete;

use super::Columns;
use crate::Access;

/// A DELETE of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeDelete {
    /// The row's key.
    pub access: Access,
    /// RETURNING, as positions in the table; empty when there is none.
    pub returning: Vec<usize>,
}

impl NativeDelete {
    pub(super) fn of(shape: &Delete, columns: &Columns<'_>) -> Option<Self> {
        Some(Self {
            access: columns.single_key(&shape.filter)?,
            returning: columns.projection(&shape.returning)?,
        })
    }
}
