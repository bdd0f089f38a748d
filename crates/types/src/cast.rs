//! Assignment casts that lose nothing.

use crate::{TypeInfo, Value};

/// The value as one of type `to`, where PostgreSQL's assignment cast from `from` gives exactly that and can't fail: integers that
/// fit, integers to numeric, numerics that need no rounding and fit the precision, text to varchar that fits. `None`: PostgreSQL must cast.
#[must_use]
pub fn cast(_value: Value, _from: &TypeInfo, _to: &TypeInfo) -> Option<Value> {
    None
}
