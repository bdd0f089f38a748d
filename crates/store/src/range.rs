//! A range of one partition.

use flywheel_types::Value;

/// One end of a range over the first sort column.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// Open end.
    Unbounded,
    /// `>=` or `<=` the value.
    Included(Value),
    /// `>` or `<` the value.
    Excluded(Value),
}

/// Rows of one partition, in the order of the sort key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRange {
    /// The partition column's value.
    pub partition: Value,
    /// Lower end over the first sort column.
    pub lower: Bound,
    /// Upper end over the first sort column.
    pub upper: Bound,
    /// From the highest sort key to the lowest (`ORDER BY … DESC`).
    pub descending: bool,
}
