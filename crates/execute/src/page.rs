//! LIMIT and OFFSET of a statement that a store answers alone.

use flywheel_plan::Parameters;
use flywheel_sql::Constant;
use flywheel_types::{TypeInfo, Value, oid};
use flywheel_wire::{PgError, SqlState};

use crate::failure::Outcome;
use crate::host::{Executor, Host};

/// Which rows of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

impl Page {
    /// How many rows there are to its end.
    pub(crate) fn head(self) -> usize {
        self.offset.saturating_add(self.limit)
    }

    /// The page of all rows.
    pub(crate) fn of<T>(self, rows: Vec<T>) -> Vec<T> {
        rows.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

impl<H: Host> Executor<'_, H> {
    /// The values of LIMIT and OFFSET; `None` when one isn't readable here.
    pub(super) fn page(
        &self,
        limit: Option<&Constant>,
        offset: Option<&Constant>,
        parameters: &Parameters<'_>,
    ) -> Outcome<Option<Page>> {
        let number =
            |constant: Option<&Constant>, none: usize, negative: (SqlState, &'static str)| {
                let Some(constant) = constant else { return Ok(Some(none)) };
                match parameters.resolve(constant, &TypeInfo::new(oid::INT8, -1, "bigint")) {
                    Some(Value::Null) => Ok(Some(none)),
                    Some(Value::Int(count)) => match usize::try_from(count) {
                        Ok(count) => Ok(Some(count)),
                        Err(_) => Err(PgError::error(negative.0, negative.1)),
                    },
                    _ => Ok(None),
                }
            };
        // PostgreSQL looks at OFFSET first (nodeLimit.c).
        let offset = number(offset, 0, (SqlState("2201X"), "OFFSET must not be negative"))?;
        let limit = number(limit, usize::MAX, (SqlState("2201W"), "LIMIT must not be negative"))?;
        Ok(offset.zip(limit).map(|(offset, limit)| Page { offset, limit }))
    }
}
