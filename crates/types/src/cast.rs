//! Assignment casts that lose nothing.

use crate::{Printed, Scalar, TypeInfo, Value, decimal, oid, text};

/// The value as one of type `to`, where PostgreSQL's assignment cast from `from` gives exactly that
/// and can't fail:
///
/// - NULL, and a value of the same type and modifier;
/// - integers to integers that hold them, and to `numeric` within its precision;
/// - `numeric` to `numeric` without rounding and within its precision;
/// - a timestamp or time to another precision that keeps it;
/// - `char(n)` to another length that holds all but blanks;
/// - integers to `oid`, and an `inet` that is a whole network to `cidr`;
/// - `text` and `varchar` to each other within the length limit;
/// - a literal or parameter of unknown type as [`text::decode`] reads it.
///
/// `None`: PostgreSQL must cast.
#[must_use]
pub fn cast(value: Value, from: &TypeInfo, to: &TypeInfo) -> Option<Value> {
    if value.is_null() || (from.oid, from.typmod) == (to.oid, to.typmod) {
        return Some(value);
    }
    match (value, from.scalar, to.scalar) {
        (Value::Text(text) | Value::Other(text), ..) if from.oid == oid::UNKNOWN => {
            text::decode(to, &text)
        }
        (Value::Int(number), Scalar::Int2 | Scalar::Int4 | Scalar::Int8, scalar) => {
            integer(number, scalar)
        }
        (Value::Numeric(text), Scalar::Numeric(_), Scalar::Numeric(modifier)) => {
            decimal::read(&text, modifier)
        }
        (value @ Value::Time(micros), Scalar::Time, Scalar::Time)
        | (value @ Value::Timestamp(micros), Scalar::Timestamp, Scalar::Timestamp)
        | (value @ Value::Timestamptz(micros), Scalar::Timestamptz, Scalar::Timestamptz) => {
            to.keeps(micros).then_some(value)
        }
        // No `cidr` equals an `inet` with bits to the right of its network's.
        (Value::Other(text), Scalar::Printed(Printed::Inet), Scalar::Printed(Printed::Cidr)) => {
            Printed::cidr_of(&text).map(Value::Other)
        }
        (Value::Bpchar(text), Scalar::Bpchar(_), Scalar::Bpchar(length)) => {
            text::padded(length, &text).map(Value::Bpchar)
        }
        (Value::Text(text), Scalar::Text | Scalar::Varchar(_), Scalar::Text) => {
            Some(Value::Text(text))
        }
        (Value::Text(text), Scalar::Text | Scalar::Varchar(_), Scalar::Varchar(limit)) => {
            text::within(limit, &text).then_some(Value::Text(text))
        }
        _ => None,
    }
}

fn integer(number: i64, to: Scalar) -> Option<Value> {
    let fits = match to {
        Scalar::Int2 => i16::try_from(number).is_ok(),
        Scalar::Int4 => i32::try_from(number).is_ok(),
        Scalar::Int8 => true,
        Scalar::Printed(Printed::Oid) => {
            return u32::try_from(number).ok().map(|number| Value::Other(number.to_string()));
        }
        Scalar::Numeric(modifier) => return decimal::read(&number.to_string(), modifier),
        _ => false,
    };
    fits.then_some(Value::Int(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(type_oid: u32, typmod: i32) -> TypeInfo {
        TypeInfo::new(type_oid, typmod, "")
    }

    fn numeric(precision: i32, scale: i32) -> TypeInfo {
        ty(oid::NUMERIC, ((precision << 16) | (scale & 0x7ff)) + 4)
    }

    #[test]
    fn numbers() {
        let (int2, int4, int8) = (ty(oid::INT2, -1), ty(oid::INT4, -1), ty(oid::INT8, -1));
        let number = |text: &str| Some(Value::Numeric(text.into()));
        assert_eq!(cast(Value::Int(7), &int8, &int2), Some(Value::Int(7)));
        assert_eq!(cast(Value::Int(40_000), &int4, &int2), None);
        assert_eq!(cast(Value::Int(1 << 40), &int8, &int4), None);
        assert_eq!(cast(Value::Int(-7), &int2, &numeric(10, 2)), number("-7.00"));
        assert_eq!(cast(Value::Int(100), &int4, &numeric(4, 2)), None);
        assert_eq!(cast(Value::Int(7), &int4, &ty(oid::FLOAT8, -1)), None);
        assert_eq!(cast(Value::Bool(true), &ty(oid::BOOL, -1), &int4), None);
        let oid = ty(oid::OID, -1);
        assert_eq!(cast(Value::Int(7), &int8, &oid), Some(Value::Other("7".into())));
        assert_eq!(cast(Value::Int(-1), &int4, &oid), None);
        let network =
            |text: &str| cast(Value::Other(text.into()), &ty(oid::INET, -1), &ty(oid::CIDR, -1));
        assert_eq!(network("10.0.0.1"), Some(Value::Other("10.0.0.1/32".into())));
        assert_eq!(network("10.0.0.0/8"), Some(Value::Other("10.0.0.0/8".into())));
        assert_eq!(network("10.0.0.1/8"), None);

        let unconstrained = ty(oid::NUMERIC, -1);
        let numerics =
            |text: &str, to: &TypeInfo| cast(Value::Numeric(text.into()), &unconstrained, to);
        assert_eq!(numerics("1.5", &numeric(10, 2)), number("1.50"));
        assert_eq!(numerics("1.505", &numeric(10, 2)), None);
        assert_eq!(numerics("Infinity", &numeric(10, 2)), None);
        assert_eq!(numerics("Infinity", &unconstrained), number("Infinity"));
        assert_eq!(numerics("1", &int4), None);
    }

    #[test]
    fn texts() {
        let (text, varchar) = (ty(oid::TEXT, -1), ty(oid::VARCHAR, 4 + 3));
        let value = |text: &str| Value::Text(text.into());
        assert_eq!(cast(value("abc"), &text, &varchar), Some(value("abc")));
        assert_eq!(cast(value("abcd"), &text, &varchar), None);
        assert_eq!(cast(value("abc"), &varchar, &text), Some(value("abc")));
        assert_eq!(cast(value("1"), &text, &ty(oid::INT4, -1)), None);
        assert_eq!(cast(value("a"), &text, &ty(oid::BPCHAR, 5)), None);
        let (three, two) = (ty(oid::BPCHAR, 4 + 3), ty(oid::BPCHAR, 4 + 2));
        let padded = |text: &str| Value::Bpchar(text.into());
        assert_eq!(cast(padded("a "), &two, &three), Some(padded("a  ")));
        assert_eq!(cast(padded("a  "), &three, &two), Some(padded("a ")));
        assert_eq!(cast(padded("abc"), &three, &two), None);
    }

    #[test]
    fn moments() {
        let (micros, millis) = (ty(oid::TIMESTAMPTZ, -1), ty(oid::TIMESTAMPTZ, 3));
        let moment = Value::Timestamptz(1_000);
        assert_eq!(cast(moment.clone(), &micros, &millis), Some(moment.clone()));
        assert_eq!(cast(Value::Timestamptz(1_001), &micros, &millis), None);
        assert_eq!(cast(moment.clone(), &millis, &micros), Some(moment.clone()));
        assert_eq!(cast(moment, &micros, &ty(oid::TIMESTAMP, -1)), None);
        assert_eq!(cast(Value::Time(1_001), &ty(oid::TIME, -1), &ty(oid::TIME, 3)), None);
        let local = Value::Timestamp(7_000_000);
        assert_eq!(
            cast(local.clone(), &ty(oid::TIMESTAMP, -1), &ty(oid::TIMESTAMP, 0)),
            Some(local)
        );
    }

    #[test]
    fn null_the_same_type_and_the_unknown_type() {
        let (int4, point, unknown) = (ty(oid::INT4, -1), ty(600, -1), ty(oid::UNKNOWN, -1));
        assert_eq!(cast(Value::Null, &unknown, &int4), Some(Value::Null));
        assert_eq!(
            cast(Value::Other("(1,2)".into()), &point, &point),
            Some(Value::Other("(1,2)".into()))
        );
        assert_eq!(cast(Value::Text(" 5".into()), &unknown, &int4), Some(Value::Int(5)));
        assert_eq!(cast(Value::Text("{}".into()), &unknown, &ty(oid::JSONB, -1)), None);
    }
}
