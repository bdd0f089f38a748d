use proptest::prelude::*;

use super::*;
use crate::oid;

fn ty(type_oid: u32, typmod: i32) -> TypeInfo {
    TypeInfo::new(type_oid, typmod, "")
}

fn printed(value: &Value) -> String {
    let mut out = Vec::new();
    encode(value, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// What `text` is printed as after it was read as a value of a type.
fn normal(type_oid: u32, text: &str) -> Option<String> {
    decode(&ty(type_oid, -1), text).map(|value| printed(&value))
}

fn check(type_oid: u32, accepted: &[(&str, &str)], declined: &[&str]) {
    for (text, expected) in accepted {
        assert_eq!(normal(type_oid, text).as_deref(), Some(*expected), "{text:?}");
    }
    for text in declined {
        assert_eq!(normal(type_oid, text), None, "{text:?}");
    }
}

#[test]
fn booleans() {
    let accepted = [
        ("t", "t"),
        ("TRUE", "t"),
        (" yes ", "t"),
        ("on", "t"),
        ("1", "t"),
        ("fal", "f"),
        ("n", "f"),
        ("of", "f"),
        ("0", "f"),
    ];
    check(oid::BOOL, &accepted, &["", "o", "truer", "2", "10", "tn", "é"]);
}

#[test]
fn integers() {
    let accepted = [
        ("1", "1"),
        (" -5\n", "-5"),
        ("+007", "7"),
        ("-0", "0"),
        ("32767", "32767"),
        ("-32768", "-32768"),
    ];
    check(
        oid::INT2,
        &accepted,
        &["32768", "-32769", "", "-", "1.0", "1e2", "0x1", "1_0", "- 1", "\u{a0}1"],
    );
    check(oid::INT4, &[("2147483647", "2147483647")], &["2147483648"]);
    check(oid::INT8, &[("-9223372036854775808", "-9223372036854775808")], &["9223372036854775808"]);
}

#[test]
fn floats() {
    let accepted = [
        ("1", "1"),
        ("-0", "-0"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e20", "1e+20"),
        ("1.5e-7", "1.5e-07"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("123456789012345", "123456789012345"),
        ("1234567890123456", "1.234567890123456e+15"),
        ("1e23", "9.999999999999999e+22"),
        ("5e-324", "5e-324"),
        ("nan", "NaN"),
        ("-INFINITY", "-Infinity"),
        ("0e999", "0"),
    ];
    check(
        oid::FLOAT8,
        &accepted,
        &["", "e5", "1e", "1e400", "1e-400", "0x1p3", "inf", "+nan", "1 2", "."],
    );
    check(
        oid::FLOAT4,
        &[("123456", "123456"), ("1234567", "1.234567e+06"), ("33554448", "3.3554448e+07")],
        &["1e39", "1e-50"],
    );
}

#[test]
fn uuids() {
    let canonical = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let accepted = [
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
        "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
    ]
    .map(|text| (text, canonical));
    let declined = [
        "",
        "{}",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
        "a0-eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
        " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11",
    ];
    check(oid::UUID, &accepted, &declined);
}

#[test]
fn timestamps() {
    let accepted = [
        ("2026-01-02 03:04:05.123456+00", "2026-01-02 03:04:05.123456+00"),
        ("2026-01-02T03:04:05.120Z", "2026-01-02 03:04:05.12+00"),
        ("2026-01-02 03:04z", "2026-01-02 03:04:00+00"),
        ("2026-01-02 03:04:05+05:30", "2026-01-01 21:34:05+00"),
        ("2026-01-02 03:04:05-0530", "2026-01-02 08:34:05+00"),
        ("2026-01-02 03:04:05-05:30:15", "2026-01-02 08:34:20+00"),
        ("0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC"),
        ("0001-01-01 00:00:00+01", "0001-12-31 23:00:00+00 BC"),
        ("294276-12-31 23:59:59.999999+00", "294276-12-31 23:59:59.999999+00"),
        ("4714-11-24 00:00:00+00 BC", "4714-11-24 00:00:00+00 BC"),
        ("1999-12-31 23:59:59.9+00", "1999-12-31 23:59:59.9+00"),
        (" infinity ", "infinity"),
        ("-Infinity", "-infinity"),
    ];
    let declined = [
        "",
        "2026-01-02",
        "2026-01-02 03:04:05",
        "2026-01-02 03:04:05 +00",
        "2026-01-02 03:04:05.1234567+00",
        "2026-01-02 03:04:05.+00",
        "2026-01-02 24:00:00+00",
        "2026-01-02 23:59:60+00",
        "2026-02-29 00:00:00+00",
        "2026-01-02 03:04:05+5",
        "2026-01-02 03:04:05+053",
        "2026-01-02 03:04:05+16",
        "2026-01-02 03:04:05+053015",
        "2026-01-02 03:04:05 Europe/Rome",
        "0000-01-01 00:00:00+00",
        "294276-12-31 23:59:59-01",
        "294277-01-01 00:00:00+00",
        "4714-11-23 23:59:59+00 BC",
        "99999999-01-01 00:00:00+00",
        "now",
    ];
    check(oid::TIMESTAMPTZ, &accepted, &declined);
}

#[test]
fn dates() {
    let accepted = [
        ("2026-01-02", "2026-01-02"),
        ("0044-03-15 BC", "0044-03-15 BC"),
        ("12026-01-02", "12026-01-02"),
        ("5874897-12-31", "5874897-12-31"),
        ("infinity", "infinity"),
    ];
    let declined = [
        "",
        "2026-1-2",
        "26-01-02",
        "02/01/2026",
        "2026-13-01",
        "2026-02-30",
        "0000-01-01",
        "5874898-01-01",
        "4714-11-23 BC",
        "2026-01-02 00:00:00",
        "today",
        "012026-01-02",
    ];
    check(oid::DATE, &accepted, &declined);
}

#[test]
fn texts_and_bytes() {
    check(oid::TEXT, &[("", ""), (" a ", " a "), ("é", "é")], &["a\0b"]);
    check(
        oid::BYTEA,
        &[("\\x", "\\x"), ("\\xDEadbe", "\\xdeadbe")],
        &["", "abc", "\\xabc", "\\xag", "\\xde ad", "\\000", "\\x\u{e9}"],
    );
    let varchar = ty(oid::VARCHAR, 4 + 3);
    assert_eq!(decode(&varchar, "éèà"), Some(Value::Text("éèà".into())));
    assert_eq!(decode(&varchar, "abcd"), None);
    assert_eq!(decode(&varchar, "abc "), None);
}

#[test]
fn documents_and_other_types_are_read_only_from_stores() {
    let point = ty(600, -1);
    for ty in [ty(oid::JSON, -1), ty(oid::JSONB, -1), point.clone(), point.clone().as_enum()] {
        assert_eq!(decode(&ty, "{}"), None);
    }
    assert_eq!(decode_canonical(&ty(oid::JSONB, -1), "{}"), Some(Value::Json("{}".into())));
    assert_eq!(decode_canonical(&point, "(1,2)"), Some(Value::Other("(1,2)".into())));
}

#[test]
fn a_char_has_its_length() {
    let char = ty(oid::BPCHAR, 4 + 3);
    for (text, read) in [("", "   "), ("é", "é  "), ("abc", "abc"), ("abc   ", "abc")] {
        assert_eq!(decode(&char, text), Some(Value::Bpchar(read.into())), "{text:?}");
    }
    assert_eq!(decode(&char, "abcd"), None);
    assert_eq!(decode(&ty(oid::BPCHAR, -1), "ab "), Some(Value::Bpchar("ab ".into())));
}

/// By text, for NaN isn't equal to itself.
fn comes_back(ty: &TypeInfo, value: &Value) -> Result<(), TestCaseError> {
    let text = printed(value);
    prop_assert_eq!(decode_canonical(ty, &text).map(|value| printed(&value)), Some(text));
    Ok(())
}

proptest! {
    #[test]
    fn what_is_printed_is_read(flag: bool, int: i64, single: f32, double: f64, bytes: Vec<u8>, uuid: u128, text in "[^\0]*") {
        comes_back(&ty(oid::BOOL, -1), &Value::Bool(flag))?;
        comes_back(&ty(oid::INT8, -1), &Value::Int(int))?;
        comes_back(&ty(oid::FLOAT4, -1), &Value::Float4(single))?;
        comes_back(&ty(oid::FLOAT8, -1), &Value::Float8(double))?;
        comes_back(&ty(oid::BYTEA, -1), &Value::Bytea(bytes))?;
        comes_back(&ty(oid::UUID, -1), &Value::Uuid(Uuid::from_u128(uuid)))?;
        comes_back(&ty(oid::VARCHAR, -1), &Value::Text(text.clone()))?;
        comes_back(&ty(oid::JSON, -1), &Value::Json(text.clone()))?;
        comes_back(&ty(oid::BPCHAR, -1), &Value::Other(text))?;
    }

    #[test]
    fn every_float_survives(single_bits: u32, double_bits: u64) {
        let (single, double) = (f32::from_bits(single_bits), f64::from_bits(double_bits));
        let same = |read: Option<Value>| match read {
            Some(Value::Float4(read)) => {
                read.to_bits() == single_bits || read.is_nan() && single.is_nan()
            }
            Some(Value::Float8(read)) => {
                read.to_bits() == double_bits || read.is_nan() && double.is_nan()
            }
            _ => false,
        };
        prop_assert!(same(decode(&ty(oid::FLOAT4, -1), &printed(&Value::Float4(single)))));
        prop_assert!(same(decode(&ty(oid::FLOAT8, -1), &printed(&Value::Float8(double)))));
    }

    #[test]
    fn moments_survive(
        micros in -211_813_488_000_000_000..9_223_371_331_200_000_000_i64,
        days in -2_451_545..2_145_031_949_i32,
    ) {
        for moment in [micros, i64::MIN, i64::MAX] {
            let value = Value::Timestamptz(moment);
            prop_assert_eq!(decode(&ty(oid::TIMESTAMPTZ, -1), &printed(&value)), Some(value));
        }
        for moment in [micros, i64::MIN, i64::MAX] {
            let value = Value::Timestamp(moment);
            prop_assert_eq!(decode(&ty(oid::TIMESTAMP, -1), &printed(&value)), Some(value));
        }
        for value in [Value::Date(days), Value::Date(i32::MIN), Value::Date(i32::MAX)] {
            prop_assert_eq!(decode(&ty(oid::DATE, -1), &printed(&value)), Some(value));
        }
    }

    #[test]
    fn nothing_panics(text in ".*", near in "[-+0-9a-zA-Z:. {}\\\\]*", micros: i64, days: i32) {
        for type_oid in [
            oid::BOOL,
            oid::INT2,
            oid::FLOAT4,
            oid::FLOAT8,
            oid::NUMERIC,
            oid::TEXT,
            oid::UUID,
            oid::TIMESTAMP,
            oid::TIMESTAMPTZ,
            oid::DATE,
            oid::BYTEA,
        ] {
            for typmod in [-1, 3, ((10 << 16) | 2) + 4, ((3 << 16) | (-2 & 0x7ff)) + 4] {
                let _ = decode(&ty(type_oid, typmod), &text);
                let _ = decode_canonical(&ty(type_oid, typmod), &near);
            }
        }
        printed(&Value::Timestamptz(micros));
        printed(&Value::Date(days));
    }
}
