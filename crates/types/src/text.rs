//! PostgreSQL's text format.

use crate::{TypeInfo, Value};

/// Reads `text`, a literal or a text-format parameter, as a value of type `ty` where that reading is exact and
/// depends on no setting. `None`: PostgreSQL must read it (and says what is wrong with it, if anything is).
#[must_use]
pub fn decode(_ty: &TypeInfo, _text: &str) -> Option<Value> {
    None
}

/// Appends the value as PostgreSQL prints it under `TimeZone = UTC`, `DateStyle = ISO`, `bytea_output = hex` and
/// `extra_float_digits = 1`. NULL appends nothing: its absence is the caller's to encode.
pub fn encode(_value: &Value, _out: &mut Vec<u8>) {}
