//! One column's value as an attribute, and back. The crate's documentation has the table of the
//! mapping.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use flywheel_store::StoreError;
use flywheel_types::{Column, Scalar, Value, text};

use crate::{
    json,
    number::{Decimal, has_trailing_zero},
    time,
};

/// The attribute of a value in a column outside of the key; `None` for NULL, which is an absent
/// attribute: one of type NULL would exist for `attribute_exists`.
pub(crate) fn encode(column: &Column, value: &Value) -> Result<Option<AttributeValue>, StoreError> {
    Ok(Some(match (column.ty.scalar, value) {
        (_, Value::Null) => return Ok(None),
        (Scalar::Bool, Value::Bool(flag)) => AttributeValue::Bool(*flag),
        (Scalar::Int2 | Scalar::Int4 | Scalar::Int8, Value::Int(number)) => {
            AttributeValue::N(number.to_string())
        }
        (Scalar::Float4, Value::Float4(number)) => float(format!("{number:e}"), value),
        (Scalar::Float8, Value::Float8(number)) => float(format!("{number:e}"), value),
        (Scalar::Numeric(scale), Value::Numeric(digits)) => numeric(scale.is_some(), digits),
        (Scalar::Timestamp, Value::Timestamp(micros)) => {
            AttributeValue::S(time::timestamp_text(*micros, time::LOCAL))
        }
        (Scalar::Timestamptz, Value::Timestamptz(micros)) => {
            AttributeValue::S(time::timestamp_text(*micros, time::UTC))
        }
        (Scalar::Date, Value::Date(days)) => AttributeValue::S(time::date_text(*days)),
        (Scalar::Jsonb, Value::Json(document)) => {
            json::to_document(document).unwrap_or_else(|| AttributeValue::S(document.clone()))
        }
        (Scalar::Bytea, Value::Bytea(bytes)) => AttributeValue::B(Blob::new(bytes.as_slice())),
        // Texts of the time of day come in the order in time: a fraction follows its second.
        (Scalar::Time, Value::Time(_)) | (Scalar::Uuid, Value::Uuid(_)) => {
            AttributeValue::S(printed(value))
        }
        (Scalar::Text | Scalar::Varchar(_), Value::Text(text))
        // `json` keeps the text as it was given, blanks and all.
        | (Scalar::Json, Value::Json(text))
        | (Scalar::Bpchar(_), Value::Bpchar(text))
        | (Scalar::Printed(_) | Scalar::Enum | Scalar::Other, Value::Other(text)) => {
            AttributeValue::S(text.clone())
        }
        _ => return Err(mismatch(column)),
    }))
}

/// The value of an attribute, which may have been written by another tool; `None` when it is no
/// value of the column's type.
pub(crate) fn decode(column: &Column, attribute: AttributeValue) -> Option<Value> {
    match (column.ty.scalar, attribute) {
        (_, AttributeValue::Null(_)) => Some(Value::Null),
        (Scalar::Bool, AttributeValue::Bool(flag)) => Some(Value::Bool(flag)),
        // A key: keys can't be BOOL.
        (Scalar::Bool, AttributeValue::S(text)) => text.parse().ok().map(Value::Bool),
        (scalar @ (Scalar::Int2 | Scalar::Int4 | Scalar::Int8), AttributeValue::N(number)) => {
            integer(scalar, &number)
        }
        (Scalar::Float4, AttributeValue::N(number)) => number.parse().ok().map(Value::Float4),
        (Scalar::Float8, AttributeValue::N(number)) => number.parse().ok().map(Value::Float8),
        (Scalar::Numeric(Some((_, scale))), AttributeValue::N(number)) => {
            Decimal::parse(&number)?.to_scale(scale).map(Value::Numeric)
        }
        (Scalar::Numeric(None), AttributeValue::N(number)) => {
            Some(Value::Numeric(Decimal::parse(&number)?.to_plain()))
        }
        (Scalar::Timestamp, AttributeValue::S(text)) => time::parse_timestamp(&text, time::LOCAL)
            .map(Value::Timestamp)
            .or_else(|| reread(column, &text)),
        (Scalar::Timestamptz, AttributeValue::S(text)) => time::parse_timestamp(&text, time::UTC)
            .map(Value::Timestamptz)
            .or_else(|| reread(column, &text)),
        (Scalar::Date, AttributeValue::S(text)) => {
            time::parse_date(&text).map(Value::Date).or_else(|| reread(column, &text))
        }
        (Scalar::Bytea, AttributeValue::B(bytes)) => Some(Value::Bytea(bytes.into_inner())),
        // PostgreSQL's text can't hold U+0000
        (Scalar::Text | Scalar::Varchar(_), AttributeValue::S(text)) => {
            (!text.contains('\0')).then_some(Value::Text(text))
        }
        (Scalar::Printed(_) | Scalar::Enum | Scalar::Other, AttributeValue::S(text)) => {
            (!text.contains('\0')).then_some(Value::Other(text))
        }
        (
            Scalar::Numeric(_)
            | Scalar::Float4
            | Scalar::Float8
            | Scalar::Uuid
            | Scalar::Bpchar(_)
            | Scalar::Time,
            AttributeValue::S(text),
        ) => reread(column, &text),
        (Scalar::Json | Scalar::Jsonb, AttributeValue::S(text)) => {
            json::is_text(&text).then_some(Value::Json(text))
        }
        (Scalar::Jsonb, document) => json::to_text(&document).map(Value::Json),
        _ => None,
    }
}

/// An error for a value that isn't of its column's type.
pub(crate) fn mismatch(column: &Column) -> StoreError {
    StoreError::Unsupported {
        what: format!(
            "a value for column \"{}\" isn't of its type, {}",
            column.name, column.ty.name
        ),
    }
}

/// The value as PostgreSQL prints it.
pub(crate) fn printed(value: &Value) -> String {
    let mut out = Vec::new();
    text::encode(value, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn reread(column: &Column, text: &str) -> Option<Value> {
    text::decode_canonical(&column.ty, text)
}

fn integer(scalar: Scalar, number: &str) -> Option<Value> {
    let number: i64 = Decimal::parse(number)?.to_scale(0)?.parse().ok()?;
    let fits = match scalar {
        Scalar::Int2 => i16::try_from(number).is_ok(),
        Scalar::Int4 => i32::try_from(number).is_ok(),
        _ => true,
    };
    fits.then_some(Value::Int(number))
}

/// A number when DynamoDB keeps it: it has no `NaN`, no infinities, no −0, and a smaller range than
/// `double precision`.
fn float(scientific: String, value: &Value) -> AttributeValue {
    let kept = Decimal::parse(&scientific).is_some_and(|number| number.fits())
        && !scientific.starts_with("-0e");
    if kept { AttributeValue::N(scientific) } else { AttributeValue::S(printed(value)) }
}

/// A number when its digits come back: the column's scale restores trailing zeros, and without a
/// scale there may be none.
fn numeric(has_scale: bool, digits: &str) -> AttributeValue {
    Decimal::parse(digits)
        .filter(|number| number.fits() && (has_scale || !has_trailing_zero(digits)))
        .map_or_else(
            || AttributeValue::S(digits.to_owned()),
            |number| AttributeValue::N(number.to_plain()),
        )
}

#[cfg(test)]
mod tests {
    use flywheel_types::oid;
    use proptest::prelude::*;

    use super::*;
    use crate::test_tables::column;

    fn numeric_column(precision: i32, scale: i32) -> Column {
        column("c", oid::NUMERIC, ((precision << 16) | (scale & 0x7ff)) + 4)
    }

    fn come_back(column: &Column, value: &Value) {
        let attribute = encode(column, value).unwrap();
        let back =
            attribute.clone().map_or(Some(Value::Null), |attribute| decode(column, attribute));
        // by text, for NaN isn't equal to itself
        assert_eq!(
            back.as_ref().map(printed),
            Some(printed(value)),
            "{column:?} {value:?} {attribute:?}"
        );
    }

    fn number(text: &str) -> Option<AttributeValue> {
        Some(AttributeValue::N(text.to_owned()))
    }

    fn string(text: &str) -> Option<AttributeValue> {
        Some(AttributeValue::S(text.to_owned()))
    }

    #[test]
    fn numbers_are_numbers_where_they_come_back() {
        let bare = column("c", oid::NUMERIC, -1);
        let price = numeric_column(10, 2);
        for (column, text, expected) in [
            (&price, "1.50", number("1.5")),
            (&price, "-0.01", number("-0.01")),
            (&price, "NaN", string("NaN")),
            (&bare, "1.5", number("1.5")),
            (&bare, "1.50", string("1.50")),
            (&bare, "100", number("100")),
            (&bare, "Infinity", string("Infinity")),
            (
                &bare,
                "123456789012345678901234567890123456789",
                string("123456789012345678901234567890123456789"),
            ),
        ] {
            let value = Value::Numeric(text.to_owned());
            assert_eq!(encode(column, &value).unwrap(), expected, "{text}");
            come_back(column, &value);
        }
    }

    #[test]
    fn floats_out_of_dynamodbs_range_are_text() {
        let double = column("c", oid::FLOAT8, -1);
        for value in [
            0.0,
            -0.0,
            0.1,
            1e125,
            1e126,
            -1e300,
            1e-130,
            1e-131,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            come_back(&double, &Value::Float8(value));
        }
        assert!(matches!(
            encode(&double, &Value::Float8(1e126)).unwrap(),
            Some(AttributeValue::S(_))
        ));
        assert!(matches!(
            encode(&double, &Value::Float8(1e125)).unwrap(),
            Some(AttributeValue::N(_))
        ));
        assert_eq!(encode(&double, &Value::Float8(-0.0)).unwrap(), string("-0"));
    }

    #[test]
    fn moments_far_away_come_back() {
        let stamp = column("c", oid::TIMESTAMPTZ, -1);
        let date = column("c", oid::DATE, -1);
        for micros in [i64::MIN, i64::MAX, 0, -63_082_281_600_000_001, 252_455_616_000_000_000] {
            come_back(&stamp, &Value::Timestamptz(micros));
            come_back(&column("c", oid::TIMESTAMP, -1), &Value::Timestamp(micros));
        }
        for days in [i32::MIN, i32::MAX, 0, -730_120, 2_921_940] {
            come_back(&date, &Value::Date(days));
        }
        assert_eq!(encode(&stamp, &Value::Timestamptz(i64::MAX)).unwrap(), string("infinity"));
    }

    #[test]
    fn what_others_wrote_is_read() {
        let bare = column("c", oid::NUMERIC, -1);
        assert_eq!(
            decode(&bare, AttributeValue::N("1E+3".into())),
            Some(Value::Numeric("1000".into()))
        );
        assert_eq!(
            decode(&bare, AttributeValue::S("1.5".into())),
            Some(Value::Numeric("1.5".into()))
        );
        assert_eq!(decode(&bare, AttributeValue::Null(true)), Some(Value::Null));
        let small = column("c", oid::INT2, -1);
        assert_eq!(decode(&small, AttributeValue::N("32768".into())), None);
        assert_eq!(decode(&small, AttributeValue::N("1.5".into())), None);
        assert_eq!(decode(&small, AttributeValue::S("1".into())), None);
        assert_eq!(decode(&numeric_column(10, 2), AttributeValue::N("1.555".into())), None);
        assert_eq!(
            decode(&column("c", oid::JSONB, -1), AttributeValue::Ss(vec!["a".into()])),
            None
        );
        assert_eq!(decode(&column("c", oid::TEXT, -1), AttributeValue::S("a\0b".into())), None);
        assert_eq!(decode(&column("c", oid::JSONB, -1), AttributeValue::S("plain".into())), None);
        assert_eq!(
            decode(
                &column("c", oid::TIMESTAMPTZ, -1),
                AttributeValue::S("2000-01-01 00:00:00+00".into())
            ),
            Some(Value::Timestamptz(0))
        );
    }

    proptest! {
        #[test]
        fn scalars_come_back(
            int: i64,
            double: f64,
            single: f32,
            micros: i64,
            days: i32,
            bytes: Vec<u8>,
            uuid: u128,
            flag: bool,
        ) {
            come_back(&column("c", oid::INT8, -1), &Value::Int(int));
            come_back(&column("c", oid::FLOAT8, -1), &Value::Float8(double));
            come_back(&column("c", oid::FLOAT4, -1), &Value::Float4(single));
            come_back(&column("c", oid::BYTEA, -1), &Value::Bytea(bytes));
            come_back(&column("c", oid::UUID, -1), &Value::Uuid(uuid::Uuid::from_u128(uuid)));
            come_back(&column("c", oid::BOOL, -1), &Value::Bool(flag));
            // PostgreSQL's own range: 4714 BC to 294276, and to 5874897 for dates
            come_back(&column("c", oid::TIMESTAMPTZ, -1), &Value::Timestamptz(micros.rem_euclid(9_223_371_331_200_000_000) - 211_000_000_000_000_000));
            come_back(&column("c", oid::DATE, -1), &Value::Date(days.rem_euclid(2_147_000_000) - 2_451_507));
        }

        #[test]
        fn decimals_come_back(whole in "0|[1-9][0-9]{0,40}", fraction in "[0-9]{0,40}", negative: bool) {
            let nonzero = whole != "0" || fraction.contains(|digit| digit != '0');
            let sign = if negative && nonzero { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            let text = format!("{sign}{whole}{point}{fraction}");
            come_back(&column("c", oid::NUMERIC, -1), &Value::Numeric(text.clone()));
            let scale = i32::try_from(fraction.len()).unwrap();
            come_back(&numeric_column(100, scale), &Value::Numeric(text));
        }

        #[test]
        fn texts_come_back(text in "[^\0]*") {
            come_back(&column("c", oid::TEXT, -1), &Value::Text(text.clone()));
            come_back(&column("c", 600, -1), &Value::Other(text.clone()));
            come_back(&column("c", oid::BPCHAR, -1), &Value::Bpchar(text));
        }

        #[test]
        fn reading_never_panics(text in ".*", type_oid in prop::sample::select(vec![oid::BOOL, oid::INT4, oid::FLOAT8, oid::NUMERIC, oid::UUID, oid::TIMESTAMPTZ, oid::DATE, oid::JSON, oid::JSONB, oid::BYTEA])) {
            let column = column("c", type_oid, -1);
            let _ = decode(&column, AttributeValue::S(text.clone()));
            let _ = decode(&column, AttributeValue::N(text));
        }
    }
}
