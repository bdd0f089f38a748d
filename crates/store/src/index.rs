//! Secondary indexes.
//!
//! A row with NULL in a column of an index isn't in it (DynamoDB's indexes are sparse, so that is
//! the contract of `Index`): the planner uses an index only where each of its columns is NOT NULL
//! or compared. `KeyRange` is of the primary key or of an index (`StoreTable::order_columns`), so a
//! block's own writes are laid over both in the same way.
//!
//! An index that may lag isn't rechecked but refused where reads must be consistent: by its rows'
//! keys one could drop those that have moved away, and never find those that aren't there yet.

use flywheel_types::{Table, key_type_problem};

use crate::{StoreError, StoreTable};

/// A second order of a table's rows: by other columns than the primary key's, of which several rows
/// may have the same values.
///
/// A row with NULL in one of the index's columns isn't in it. So an index finds all rows of a
/// condition only where each of its columns is NOT NULL or compared with something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name, as the configuration and EXPLAIN have it.
    pub name: String,
    /// Positions of its columns: the partition column, then the sort columns, as in the primary
    /// key. Never empty.
    pub columns: Vec<usize>,
    /// Whether it may lag behind the table (DynamoDB's global secondary indexes).
    pub is_eventual: bool,
    /// Whether a read through it must see every write before it. An index that may lag then serves
    /// no statement.
    pub consistent_read: bool,
    /// Positions of the columns that it holds; `None`: all. Rows are whole all the same: the store
    /// completes them by their keys.
    pub projected: Option<Vec<usize>>,
}

impl Index {
    /// Whether statements may be answered through it.
    #[must_use]
    pub fn serves(&self) -> bool {
        !(self.is_eventual && self.consistent_read)
    }
}

impl StoreTable {
    /// The columns that order the rows: of an index by its position, or of the primary key. The
    /// partition column comes first.
    #[must_use]
    pub fn order_columns(&self, index: Option<usize>) -> &[usize] {
        index.map_or(&self.table.primary_key, |index| &self.indexes[index].columns)
    }

    /// Refuses an index over a column whose values can't be keys, as [`crate::Store::accepts`]
    /// does.
    pub fn check_indexes(&self) -> Result<(), StoreError> {
        let table: &Table = &self.table;
        for index in &self.indexes {
            for &position in &index.columns {
                if let Some(problem) = key_type_problem(&table.columns[position]) {
                    let what = format!(
                        "column \"{}\" of index \"{}\" {problem}",
                        table.columns[position].name, index.name
                    );
                    return Err(StoreError::Unsupported { what });
                }
            }
        }
        Ok(())
    }

    /// Refuses all indexes, for a store that has none.
    pub fn check_no_indexes(&self, kind: &str) -> Result<(), StoreError> {
        self.indexes.first().map_or(Ok(()), |index| {
            Err(StoreError::Unsupported {
                what: format!(
                    "index \"{}\" of table \"{}\" can't be: {kind} keeps no secondary indexes",
                    index.name, self.table.name
                ),
            })
        })
    }
}
