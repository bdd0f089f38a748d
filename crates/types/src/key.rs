//! A row's primary key.

use std::hash::{Hash, Hasher};

use crate::{Column, Scalar, Value, ordered};

/// The values of a row's primary key columns, in the key's order: never NULL, each of a type that
/// [`key_type_problem`] accepts, so that equal keys have equal bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Key(Vec<Value>);

impl Key {
    /// A key from its values, the partition value first.
    #[must_use]
    pub fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// All values, the partition value first.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// The first column's value.
    #[must_use]
    pub fn partition(&self) -> &Value {
        &self.0[0]
    }

    /// The further columns' values; empty for a one-column key.
    #[must_use]
    pub fn sort(&self) -> &[Value] {
        &self.0[1..]
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ordered::encode(&self.0).hash(state);
    }
}

/// Why a column can't be part of the key of a table homed outside PostgreSQL, as the end of a
/// sentence ("column x …"); `None` when it can.
#[must_use]
pub fn key_type_problem(column: &Column) -> Option<&'static str> {
    match column.ty.scalar {
        Scalar::Bool
        | Scalar::Int2
        | Scalar::Int4
        | Scalar::Int8
        | Scalar::Uuid
        | Scalar::Timestamp
        | Scalar::Timestamptz
        | Scalar::Date
        | Scalar::Time
        | Scalar::Printed(_)
        | Scalar::Enum
        | Scalar::Bytea => None,
        Scalar::Numeric(Some(_)) => None,
        Scalar::Numeric(None) => Some(
            "is numeric without a scale, so that 1.5 and 1.50 would be two keys; declare it as numeric(p,s)",
        ),
        Scalar::Bpchar(None) => Some(
            "is bpchar without a length, so that 'a' and 'a ' would be two keys; declare it as char(n) or text",
        ),
        Scalar::Text | Scalar::Varchar(_) | Scalar::Bpchar(Some(_)) if column.deterministic => None,
        Scalar::Text | Scalar::Varchar(_) | Scalar::Bpchar(Some(_)) => {
            Some("has a nondeterministic collation, under which equal texts differ in their bytes")
        }
        Scalar::Float4 | Scalar::Float8 => Some(
            "is a floating-point number, whose equality isn't that of a store's key; use numeric(p,s) or an integer",
        ),
        Scalar::Json | Scalar::Jsonb => {
            Some("is a JSON document; use one of its members as a column of its own")
        }
        Scalar::Other => Some("is of a type that Flywheel can't canonicalise as a key"),
    }
}
