//! What the layouts of a Redis-like store ask of a table. Redis and the memory store share it, so
//! that what works in one works in the other.

use flywheel_types::{Scalar, key_type_problem};

use crate::{Layout, StoreError, StoreTable};

/// Whether a table with this definition can live in a Redis-like store; the error names the column
/// and the reason.
pub fn accepts_layout(table: &StoreTable) -> Result<(), StoreError> {
    let definition = &table.table;
    let refuse = |column: usize, why: &str| {
        let column = &definition.columns[column].name;
        Err(StoreError::Unsupported {
            what: format!("column \"{column}\" of table \"{}\" {why}", definition.name),
        })
    };
    for &position in &definition.primary_key {
        if let Some(problem) = key_type_problem(&definition.columns[position]) {
            return refuse(position, problem);
        }
    }
    if let Some(position) = table.expires_at {
        if definition.columns[position].ty.scalar != Scalar::Timestamptz {
            return refuse(position, "can't be expires_at, since it isn't timestamptz");
        }
        if definition.is_key(position) {
            return refuse(position, "can't be expires_at, since it is part of the primary key");
        }
    }
    let Layout::SortedSet { score } = table.layout else {
        return Ok(());
    };
    if let Some(position) = table.expires_at {
        return refuse(
            position,
            "can't be expires_at, since the members of a sorted set don't expire one by one",
        );
    }
    if definition.is_key(score) {
        return refuse(score, "can't be the score, since it is part of the primary key");
    }
    if !matches!(
        definition.columns[score].ty.scalar,
        Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Float4 | Scalar::Float8
    ) {
        return refuse(
            score,
            "can't be the score, since it is neither an integer nor a floating-point number",
        );
    }
    if !definition.columns[score].not_null {
        return refuse(score, "can't be the score, since it may be NULL");
    }
    if definition.primary_key.len() > 2 {
        return refuse(
            definition.primary_key[2],
            "is a third key column; a sorted set has a set and a member",
        );
    }
    let further = (0..definition.columns.len())
        .find(|&position| position != score && !definition.is_key(position));
    further.map_or(Ok(()), |position| {
        refuse(position, "has no place in a sorted set, which holds the key and the score alone")
    })
}

impl StoreTable {
    /// The error where a table is to be read by score that isn't kept so.
    #[must_use]
    pub fn not_a_sorted_set(&self) -> StoreError {
        StoreError::Unsupported {
            what: format!("table \"{}\" isn't a sorted set", self.table.name),
        }
    }

    /// Refuses a whole read that the table's configuration doesn't allow, by the name of the
    /// setting.
    pub fn check_scan(&self) -> Result<(), StoreError> {
        if self.allow_scan {
            return Ok(());
        }
        Err(StoreError::Unsupported {
            what: format!(
                "table \"{}\" would have to be read whole, which its setting allow_scan doesn't allow",
                self.table.name
            ),
        })
    }
}
