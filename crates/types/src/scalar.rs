//! What type a column or parameter has.
//!
//! A type that stores keep natively is a [`Scalar`] with its forms in `text/` and `binary/`, its
//! attribute in `dynamodb/attribute.rs`, and statements in `tests/suites/types.sql`.

use crate::{Printed, oid};

/// A type that Flywheel reads and writes natively, or [`Scalar::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric`; `None` when declared without precision and scale, else `(precision, scale)`.
    /// A declared scale may be negative (PostgreSQL 15 and later).
    Numeric(Option<(u16, i16)>),
    /// `text`
    Text,
    /// `varchar`, with its length limit in characters when there is one.
    Varchar(Option<u32>),
    /// `char(n)`, with its length in characters; `None` when declared as `bpchar`, whose values
    /// keep the blanks at their end.
    Bpchar(Option<u32>),
    /// `uuid`
    Uuid,
    /// `timestamp`, of any precision.
    Timestamp,
    /// `timestamptz`, of any precision.
    Timestamptz,
    /// `date`
    Date,
    /// `time`, of any precision.
    Time,
    /// A type whose values are carried as PostgreSQL prints them, equal ones alike.
    Printed(Printed),
    /// An enum, carried as its label. Which labels there are PostgreSQL knows.
    Enum,
    /// `json`, kept as the text that was given.
    Json,
    /// `jsonb`, kept as PostgreSQL prints it.
    Jsonb,
    /// `bytea`
    Bytea,
    /// Any other type: carried as the text that PostgreSQL prints, never compared or computed here.
    Other,
}

/// A type as the catalogue names it: `pg_type.oid`, `atttypmod` and `format_type()`. A domain is
/// its base type: PostgreSQL compares and sends its values as that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// `pg_type.oid`
    pub oid: u32,
    /// `pg_attribute.atttypmod`, −1 when the type carries no modifier.
    pub typmod: i32,
    /// The type as SQL, with its modifier: `numeric(10,2)`.
    pub name: String,
    /// How Flywheel reads it.
    pub scalar: Scalar,
    /// The type that a column is declared with: the domain's oid, else `oid`.
    pub declared: u32,
}

impl TypeInfo {
    /// The type for an oid and type modifier as `pg_attribute` gives them.
    #[must_use]
    pub fn new(type_oid: u32, typmod: i32, name: impl Into<String>) -> Self {
        Self {
            oid: type_oid,
            typmod,
            name: name.into(),
            scalar: Scalar::of(type_oid, typmod),
            declared: type_oid,
        }
    }

    /// The type as an enum, which no oid tells.
    #[must_use]
    pub fn as_enum(self) -> Self {
        Self { scalar: Scalar::Enum, ..self }
    }

    /// The type of a column that is declared with the type of this oid, which may be a domain over
    /// it.
    #[must_use]
    pub fn declared_as(self, domain: u32) -> Self {
        Self { declared: domain, ..self }
    }

    /// Whether a moment, in microseconds, is one of the type's precision: `timestamp(3)` rounds
    /// what is finer. The modifier of both timestamps (timestamp.c) and of `time` (date.c) is the
    /// number of digits.
    pub(crate) fn keeps(&self, micros: i64) -> bool {
        match u32::try_from(self.typmod) {
            Ok(digits @ 0..6) => {
                matches!(micros, i64::MIN | i64::MAX) || micros % 10_i64.pow(6 - digits) == 0
            }
            _ => true,
        }
    }
}

impl Scalar {
    /// The native reading of an oid with a type modifier (−1: none).
    #[must_use]
    pub fn of(type_oid: u32, typmod: i32) -> Self {
        match type_oid {
            oid::BOOL => Self::Bool,
            oid::INT2 => Self::Int2,
            oid::INT4 => Self::Int4,
            oid::INT8 => Self::Int8,
            oid::FLOAT4 => Self::Float4,
            oid::FLOAT8 => Self::Float8,
            oid::NUMERIC => Self::Numeric(numeric_modifier(typmod)),
            oid::TEXT => Self::Text,
            // A varchar's modifier is its length plus the 4 bytes of a varlena header (varchar.c).
            oid::VARCHAR => Self::Varchar(u32::try_from(typmod - 4).ok()),
            // So is a char's.
            oid::BPCHAR => Self::Bpchar(u32::try_from(typmod - 4).ok()),
            oid::UUID => Self::Uuid,
            oid::TIMESTAMP => Self::Timestamp,
            oid::TIMESTAMPTZ => Self::Timestamptz,
            oid::DATE => Self::Date,
            oid::TIME => Self::Time,
            oid::OID => Self::Printed(Printed::Oid),
            oid::NAME => Self::Printed(Printed::Name),
            oid::MACADDR => Self::Printed(Printed::Macaddr),
            oid::INET => Self::Printed(Printed::Inet),
            oid::CIDR => Self::Printed(Printed::Cidr),
            oid::JSON => Self::Json,
            oid::JSONB => Self::Jsonb,
            oid::BYTEA => Self::Bytea,
            _ => Self::Other,
        }
    }

    /// Whether its text form depends on no setting of the session. `timestamptz` follows `TimeZone`
    /// and `DateStyle`, `timestamp` and `date` follow `DateStyle`, `bytea` follows `bytea_output`,
    /// floats follow `extra_float_digits`.
    #[must_use]
    pub fn text_is_stable(self) -> bool {
        !matches!(
            self,
            Self::Timestamp
                | Self::Timestamptz
                | Self::Date
                | Self::Bytea
                | Self::Float4
                | Self::Float8
                | Self::Other
        )
    }
}

/// `numeric`'s modifier is `((precision << 16) | (scale & 0x7ff)) + 4`, the scale an 11-bit signed
/// number (numeric.c).
fn numeric_modifier(typmod: i32) -> Option<(u16, i16)> {
    let packed = u32::try_from(typmod.checked_sub(4)?).ok()?;
    let precision = u16::try_from(packed >> 16).ok()?;
    let scale = i16::try_from(packed & 0x7ff).ok()?;
    Some((precision, (scale ^ 1024) - 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_unpacked() {
        assert_eq!(Scalar::of(oid::NUMERIC, ((10 << 16) | 2) + 4), Scalar::Numeric(Some((10, 2))));
        assert_eq!(
            Scalar::of(oid::NUMERIC, ((3 << 16) | (-2 & 0x7ff)) + 4),
            Scalar::Numeric(Some((3, -2)))
        );
        assert_eq!(Scalar::of(oid::NUMERIC, -1), Scalar::Numeric(None));
        assert_eq!(Scalar::of(oid::VARCHAR, 24), Scalar::Varchar(Some(20)));
        assert_eq!(Scalar::of(oid::VARCHAR, -1), Scalar::Varchar(None));
        let millis = TypeInfo::new(oid::TIMESTAMPTZ, 3, "timestamp(3) with time zone");
        let kept = [0, -1_000, 7_000, i64::MIN, i64::MAX].map(|micros| millis.keeps(micros));
        assert_eq!((kept, millis.keeps(1), millis.keeps(-999)), ([true; 5], false, false));
        assert!(TypeInfo::new(oid::TIMESTAMP, 6, "").keeps(1));
        assert!(!TypeInfo::new(oid::TIMESTAMP, 0, "").keeps(500_000));
    }
}
