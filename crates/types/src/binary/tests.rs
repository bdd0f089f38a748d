use proptest::prelude::*;

use super::*;
use crate::oid;

fn ty(type_oid: u32, typmod: i32) -> TypeInfo {
    TypeInfo::new(type_oid, typmod, "")
}

fn numeric(precision: i32, scale: i32) -> TypeInfo {
    ty(oid::NUMERIC, ((precision << 16) | (scale & 0x7ff)) + 4)
}

fn bytes_of(ty: &TypeInfo, value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let encoded = encode(ty, value, &mut out);
    assert!(encoded || out.is_empty());
    encoded.then_some(out)
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn number(text: &str) -> Value {
    Value::Numeric(text.to_owned())
}

const MINUS_ONE: u16 = 0xffff;

#[test]
fn numerics_as_postgresql_sends_them() {
    let bare = ty(oid::NUMERIC, -1);
    for (text, expected) in [
        ("0", &[0, 0, 0, 0][..]),
        ("0.00", &[0, 0, 0, 2]),
        ("1", &[1, 0, 0, 0, 1]),
        ("-1.50", &[2, 0, 0x4000, 2, 1, 5000]),
        ("12345.678", &[3, 1, 0, 3, 1, 2345, 6780]),
        ("10000", &[1, 1, 0, 0, 1]),
        ("0.0001", &[1, MINUS_ONE, 0, 4, 1]),
        ("0.00001", &[1, MINUS_ONE - 1, 0, 5, 1000]),
        ("NaN", &[0, 0, 0xc000, 0]),
        ("Infinity", &[0, 0, 0xd000, 0x20]),
        ("-Infinity", &[0, 0, 0xf000, 0x20]),
    ] {
        assert_eq!(bytes_of(&bare, &number(text)), Some(words(expected)), "{text}");
        assert_eq!(decode(&bare, &words(expected)), Some(number(text)), "{text}");
    }
    assert_eq!(decode(&bare, &words(&[0, 0, 0xd000, 0])), Some(number("Infinity")));
    assert_eq!(decode(&numeric(10, 2), &words(&[0, 0, 0xd000, 0])), None);
    for text in ["", "1e5", "x", "-", "Nan"] {
        assert_eq!(bytes_of(&bare, &number(text)), None, "{text}");
    }
}

#[test]
fn numerics_as_clients_may_send_them() {
    let bare = ty(oid::NUMERIC, -1);
    let price = numeric(10, 2);
    assert_eq!(decode(&price, &words(&[1, 0, 0, 0, 1])), Some(number("1.00")), "another scale");
    assert_eq!(
        decode(&price, &words(&[2, 0, 0, 4, 1, 5000])),
        Some(number("1.50")),
        "zeros beyond the scale"
    );
    assert_eq!(decode(&price, &words(&[2, 0, 0, 3, 1, 5050])), None, "digits beyond the scale");
    assert_eq!(decode(&price, &words(&[1, 2, 0, 0, 1])), None, "digits beyond the precision");
    assert_eq!(
        decode(&bare, &words(&[3, 1, 0, 1, 0, 7, 0])),
        Some(number("7.0")),
        "groups of zeros around"
    );
    assert_eq!(decode(&bare, &words(&[1, 0, 0x4000, 0, 0])), Some(number("0")), "minus zero");
    assert_eq!(decode(&bare, &words(&[2, 0, 0, 1, 1, 5500])), None, "a hidden digit");
    assert_eq!(decode(&bare, &words(&[2, 0, 0, 0, 1, 5000])), None, "a hidden group");
    assert_eq!(decode(&bare, &words(&[1, 0x8000, 0, 3, 1])), None, "a far hidden group");
    assert_eq!(decode(&bare, &words(&[1, 0, 0, 0, 10_000])), None, "no group");
    assert_eq!(decode(&bare, &words(&[MINUS_ONE, 0, 0, 0, 1])), None, "a lie");
    assert_eq!(decode(&bare, &words(&[0, 0, 0, 0, 1])), None, "bytes left over");
    assert_eq!(decode(&bare, &words(&[0, 0, 1, 0])), None, "no sign");
    assert_eq!(decode(&bare, &words(&[0, 0, 0, 0x4000])), None, "too many digits after the point");
    assert_eq!(decode(&bare, &words(&[0, 0, 0])), None, "too short");
    assert_eq!(
        decode(&bare, &words(&[1, 0x7fff, 0, 0, 9999])),
        Some(number(&format!("9999{}", "0".repeat(131_068)))),
        "the largest weight"
    );
}

#[test]
fn what_is_no_value_of_the_type_is_declined() {
    assert_eq!(bytes_of(&ty(oid::INT2, -1), &Value::Int(40_000)), None);
    assert_eq!(bytes_of(&ty(oid::INT4, -1), &Value::Int(1 << 40)), None);
    assert_eq!(bytes_of(&ty(oid::INT4, -1), &Value::Text("1".into())), None);
    assert_eq!(bytes_of(&ty(oid::INT4, -1), &Value::Null), None);
    assert_eq!(bytes_of(&ty(600, -1), &Value::Other("(1,2)".into())), None);
    assert_eq!(decode(&ty(oid::INT4, -1), &[0; 8]), None);
    assert_eq!(decode(&ty(oid::TEXT, -1), b"\xff"), None);
    assert_eq!(decode(&ty(oid::TEXT, -1), b"a\0"), None);
    assert_eq!(decode(&ty(oid::VARCHAR, 4 + 2), b"abc"), None);
    assert_eq!(decode(&ty(oid::JSONB, -1), b"{}"), None);
    assert_eq!(decode(&ty(oid::JSONB, -1), b"\x01{}"), Some(Value::Json("{}".into())));
    assert_eq!(decode(&ty(oid::TIMESTAMPTZ, -1), &(i64::MAX - 1).to_be_bytes()), None);
    assert_eq!(decode(&ty(oid::DATE, -1), &(i32::MIN + 1).to_be_bytes()), None);
    assert_eq!(decode(&ty(600, -1), &[0; 16]), None);
    assert!(
        is_canonical(Scalar::Text) && !is_canonical(Scalar::Jsonb) && !is_canonical(Scalar::Json)
    );
}

/// By text, for NaN isn't equal to itself.
fn comes_back(ty: &TypeInfo, value: &Value) -> Result<(), TestCaseError> {
    let printed = |value: &Value| {
        let mut out = Vec::new();
        text::encode(value, &mut out);
        out
    };
    let back = bytes_of(ty, value).and_then(|bytes| decode(ty, &bytes));
    prop_assert_eq!(back.as_ref().map(printed), Some(printed(value)));
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read(flag: bool, int: i64, single: f32, double: f64, bytes: Vec<u8>, uuid: u128, text in "[^\0]*") {
        comes_back(&ty(oid::BOOL, -1), &Value::Bool(flag))?;
        comes_back(&ty(oid::INT2, -1), &Value::Int(int >> 48))?;
        comes_back(&ty(oid::INT4, -1), &Value::Int(int >> 32))?;
        comes_back(&ty(oid::INT8, -1), &Value::Int(int))?;
        comes_back(&ty(oid::FLOAT4, -1), &Value::Float4(single))?;
        comes_back(&ty(oid::FLOAT8, -1), &Value::Float8(double))?;
        comes_back(&ty(oid::BYTEA, -1), &Value::Bytea(bytes))?;
        comes_back(&ty(oid::UUID, -1), &Value::Uuid(Uuid::from_u128(uuid)))?;
        comes_back(&ty(oid::TEXT, -1), &Value::Text(text.clone()))?;
        comes_back(&ty(oid::JSON, -1), &Value::Json(text.clone()))?;
        comes_back(&ty(oid::JSONB, -1), &Value::Json(text))?;
    }

    #[test]
    fn moments_are_read(
        micros in -211_813_488_000_000_000..9_223_371_331_200_000_000_i64,
        days in -2_451_545..2_145_031_949_i32,
    ) {
        comes_back(&ty(oid::TIMESTAMP, -1), &Value::Timestamp(micros))?;
        comes_back(&ty(oid::TIMESTAMPTZ, -1), &Value::Timestamptz(micros))?;
        comes_back(&ty(oid::DATE, -1), &Value::Date(days))?;
    }

    #[test]
    fn numerics_are_read(whole in "0|[1-9][0-9]{0,40}", fraction in "0{0,9}[0-9]{0,40}", negative: bool) {
        let text = format!("{}{whole}.{fraction}", if negative { "-" } else { "" });
        let value = text::decode(&ty(oid::NUMERIC, -1), &text).expect("a number");
        comes_back(&ty(oid::NUMERIC, -1), &value)?;
    }

    #[test]
    fn nothing_panics(bytes: Vec<u8>, header: [u16; 4], groups in prop::collection::vec(0..10_010_u16, 0..6), text in "[-0-9.]*") {
        for scalar in [
            oid::BOOL,
            oid::INT8,
            oid::FLOAT4,
            oid::NUMERIC,
            oid::TEXT,
            oid::UUID,
            oid::TIMESTAMPTZ,
            oid::DATE,
            oid::JSONB,
        ] {
            let _ = decode(&ty(scalar, -1), &bytes);
        }
        let count = u16::try_from(groups.len()).expect("few");
        let numeric_header = [count, header[1], header[2] & 0xf000, header[3] & 0x3fff];
        let numeric_bytes = words(&[&numeric_header, &groups[..]].concat());
        let _ = decode(&ty(oid::NUMERIC, -1), &numeric_bytes);
        let _ = decode(&numeric(10, 2), &numeric_bytes);
        bytes_of(&ty(oid::NUMERIC, -1), &number(&text));
    }
}
