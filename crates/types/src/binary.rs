//! PostgreSQL's binary format.

use crate::{TypeInfo, Value};

/// Reads a binary-format value of type `ty`; `None` for a type that isn't read natively or for bytes that aren't a value of it.
#[must_use]
pub fn decode(_ty: &TypeInfo, _bytes: &[u8]) -> Option<Value> {
    None
}

/// Appends the value in the binary format of `ty`; false, and nothing appended, when the type has no native binary form.
pub fn encode(_ty: &TypeInfo, _value: &Value, _out: &mut Vec<u8>) -> bool {
    false
}
