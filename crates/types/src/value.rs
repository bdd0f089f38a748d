//! One value in canonical form.

use uuid::Uuid;

/// One value of a column or parameter. Two values of the same type are equal here exactly when
/// PostgreSQL prints them alike.
#[derive(Debug, Clone, PartialEq)]
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
    /// `numeric` as PostgreSQL prints it (`1.50`, `-0.001`, `NaN`, `Infinity`): no exponent, no superfluous leading zeros,
    /// as many digits after the point as its scale.
    Numeric(String),
    /// `text` and `varchar`
    Text(String),
    /// `uuid`
    Uuid(Uuid),
    /// `timestamptz`: microseconds since 2000-01-01 00:00 UTC; `i64::MIN` and `i64::MAX` are `-infinity` and `infinity`.
    Timestamptz(i64),
    /// `date`: days since 2000-01-01; `i32::MIN` and `i32::MAX` are `-infinity` and `infinity`.
    Date(i32),
    /// `json` as given, `jsonb` as PostgreSQL prints it.
    Json(String),
    /// `bytea`
    Bytea(Vec<u8>),
    /// A value of a type that Flywheel doesn't read, as PostgreSQL prints it.
    Other(String),
}

impl Value {
    /// Whether this is SQL NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}
