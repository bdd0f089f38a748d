//! A range of one partition.

use flywheel_types::{Row, Value, ordered};

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

impl KeyRange {
    /// Whether the row is in the range, as one over these columns. NULL is in none.
    #[must_use]
    pub fn contains(&self, columns: &[usize], row: &Row) -> bool {
        let values: Vec<&Value> = columns.iter().map(|&position| &row[position]).collect();
        let is_in_partition = !values.iter().any(|value| value.is_null())
            && values.first().is_some_and(|value| **value == self.partition);
        is_in_partition
            && self.sort_bytes().is_some_and(|(first, end)| {
                let sort = Self::sort_key(columns, row);
                sort >= first && end.is_none_or(|end| sort < end)
            })
    }

    /// The row's place in a range over these columns, as bytes.
    #[must_use]
    pub fn sort_key(columns: &[usize], row: &Row) -> Vec<u8> {
        let values: Vec<Value> =
            columns.iter().skip(1).map(|&position| row[position].clone()).collect();
        ordered::encode(&values)
    }

    /// The range as one of [`ordered`] bytes of the sort values, from a first (inclusive) to an end
    /// (exclusive, `None`: open); `None` when it is empty. No encoding is a prefix of another of
    /// the same types, so all keys whose first sort value is `v` lie between the bytes of `v` and
    /// [`after_prefix`] of them.
    #[must_use]
    pub fn sort_bytes(&self) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let encoded = |value: &Value| ordered::encode(std::slice::from_ref(value));
        let first = match &self.lower {
            Bound::Unbounded => Vec::new(),
            Bound::Included(value) => encoded(value),
            Bound::Excluded(value) => after_prefix(encoded(value))?,
        };
        let end = match &self.upper {
            Bound::Unbounded => None,
            Bound::Included(value) => after_prefix(encoded(value)),
            Bound::Excluded(value) => Some(encoded(value)),
        };
        let empty = end.as_ref().is_some_and(|end| *end <= first);
        (!empty).then_some((first, end))
    }
}

/// The first byte string past all that begin with `prefix`; `None` when there is none.
#[must_use]
pub fn after_prefix(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.last_mut() {
        if *last < 0xff {
            *last += 1;
            return Some(prefix);
        }
        prefix.pop();
    }
    None
}
