//! One value in canonical form.

use uuid::Uuid;

/// One value of a column or parameter. Two values of the same type are equal here exactly when
/// PostgreSQL prints them alike.
#[derive(Debug, Clone)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// `boolean`
    Bool(bool),
    /// `smallint`, `integer` and `bigint`
    Int(i64),
    /// `real`
    Float4(f32),
    /// `double precision`
    Float8(f64),
    /// `numeric` as PostgreSQL prints it (`1.50`, `-0.001`, `NaN`, `Infinity`): no exponent, no
    /// superfluous leading zeros, as many digits after the point as its scale.
    Numeric(String),
    /// `text` and `varchar`
    Text(String),
    /// `char(n)` with the blanks that fill it up, and `bpchar` as it was given.
    Bpchar(String),
    /// `uuid`
    Uuid(Uuid),
    /// `timestamp`: microseconds since 2000-01-01 00:00; `i64::MIN` and `i64::MAX` are `-infinity`
    /// and `infinity`.
    Timestamp(i64),
    /// `timestamptz`: microseconds since 2000-01-01 00:00 UTC; `i64::MIN` and `i64::MAX` are
    /// `-infinity` and `infinity`.
    Timestamptz(i64),
    /// `date`: days since 2000-01-01; `i32::MIN` and `i32::MAX` are `-infinity` and `infinity`.
    Date(i32),
    /// `time`: microseconds since midnight, up to 24:00.
    Time(i64),
    /// `json` as given, `jsonb` as PostgreSQL prints it.
    Json(String),
    /// `bytea`
    Bytea(Vec<u8>),
    /// A value as PostgreSQL prints it: of a [`crate::Scalar::Printed`] type, an enum, or a type
    /// that Flywheel doesn't read.
    Other(String),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Int(left), Self::Int(right))
            | (Self::Time(left), Self::Time(right))
            | (Self::Timestamp(left), Self::Timestamp(right))
            | (Self::Timestamptz(left), Self::Timestamptz(right)) => left == right,
            // NaN is printed like NaN, and -0 unlike 0.
            (Self::Float4(left), Self::Float4(right)) => {
                left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
            }
            (Self::Float8(left), Self::Float8(right)) => {
                left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
            }
            (Self::Numeric(left), Self::Numeric(right))
            | (Self::Text(left), Self::Text(right))
            | (Self::Bpchar(left), Self::Bpchar(right))
            | (Self::Json(left), Self::Json(right))
            | (Self::Other(left), Self::Other(right)) => left == right,
            (Self::Uuid(left), Self::Uuid(right)) => left == right,
            (Self::Date(left), Self::Date(right)) => left == right,
            (Self::Bytea(left), Self::Bytea(right)) => left == right,
            _ => false,
        }
    }
}

impl Value {
    /// Whether this is SQL NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}
