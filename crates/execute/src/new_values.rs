//! The query that computes an UPDATE's new values, as it is kept with its statement.

use flywheel_sql::Constant;
use flywheel_types::{Row, Table, TypeInfo, Value, cast};

use super::rewritten::Rewritten;

/// The query of an UPDATE's new values, as PostgreSQL has described it.
#[derive(Debug)]
pub(crate) struct NewValues {
    pub(super) query: Rewritten,
    /// The columns that it computes, with the types that PostgreSQL finds for them.
    pub(super) columns: Vec<(usize, TypeInfo)>,
    pub(super) constants: Vec<(usize, Constant)>,
}

impl NewValues {
    /// The row with the values that the query has given for it; `None` where only PostgreSQL can
    /// assign one.
    pub(super) fn assign(&self, table: &Table, row: &Row, values: Vec<Value>) -> Option<Row> {
        let mut row = row.clone();
        for ((column, own), value) in self.columns.iter().zip(values) {
            row[*column] = cast(value, own, &table.columns[*column].ty)?;
            if row[*column].is_null() && table.columns[*column].not_null {
                return None;
            }
        }
        Some(row)
    }
}
