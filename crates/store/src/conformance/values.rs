//! A value of every type comes back as it went, and is found unchanged by a condition.

use flywheel_types::{TypeInfo, Value, oid};
use uuid::Uuid;

use super::{Suite, fixture::*, put, same, set};
use crate::{Applied, Expect};

pub(super) async fn check(suite: &Suite) {
    let types = cases();
    let names: Vec<String> = (0..types.len()).map(|position| format!("c{position}")).collect();
    let columns: Vec<(&str, TypeInfo)> = std::iter::once(("id", int8_type()))
        .chain(names.iter().map(String::as_str).zip(types.iter().map(|(ty, _)| ty.clone())))
        .collect();
    let table = suite.fresh("values", &columns, &["id"]).await;

    // Row n carries the n-th value of each type, NULL where a type has no more.
    let count = types.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    for n in 0..=count {
        let mut row = vec![int(i64::try_from(n).expect("few"))];
        row.extend(types.iter().map(|(_, values)| values.get(n).cloned().unwrap_or(Value::Null)));
        let id = table.table.key_of(&row);
        suite.put(&table, row.clone()).await;
        same(&suite.get_one(&table, &id).await, &Some(row.clone()), "a row by its key");

        let unchanged = put(&table, Expect::Unchanged(row.clone()), row.clone());
        same(
            &suite.write(&table, unchanged).await,
            &Applied::Done(Some(row.clone())),
            "a row as it was read is unchanged",
        );
        let empty: Vec<(usize, Value)> =
            (1..row.len()).map(|position| (position, Value::Null)).collect();
        suite.write(&table, set(&id, &empty)).await;
        let full: Vec<(usize, Value)> = row.iter().cloned().enumerate().skip(1).collect();
        same(
            &suite.write(&table, set(&id, &full)).await,
            &Applied::Done(Some(row.clone())),
            "a row set column by column",
        );
        same(&suite.get_one(&table, &id).await, &Some(row), "a row that was set");
    }
    assert_eq!(suite.store.scan(&table, 1000).await.expect("scan").len(), count + 1);
    same(
        &suite.store.check_table(&table).await.expect("check_table"),
        &vec![],
        "values of every type fit the definition",
    );
    suite.drop(&table).await;
}

fn cases() -> Vec<(TypeInfo, Vec<Value>)> {
    let numeric =
        |texts: &[&str]| texts.iter().map(|text| Value::Numeric((*text).into())).collect();
    let sixty_digits = "123456789012345678901234567890.123456789012345678901234567890";
    vec![
        (TypeInfo::new(oid::BOOL, -1, "boolean"), vec![Value::Bool(true), Value::Bool(false)]),
        (TypeInfo::new(oid::INT2, -1, "smallint"), [-32_768, 0, 32_767].map(int).to_vec()),
        (int4_type(), [i64::from(i32::MIN), -1, i64::from(i32::MAX)].map(int).to_vec()),
        (int8_type(), [i64::MIN, 0, i64::MAX, (1 << 53) + 1, -(1 << 53) - 1].map(int).to_vec()),
        (
            TypeInfo::new(oid::FLOAT4, -1, "real"),
            [-0.0, f32::NAN, f32::INFINITY, f32::MIN, f32::MIN_POSITIVE, 1e-45, 0.1, 16_777_216.0]
                .map(Value::Float4)
                .to_vec(),
        ),
        (
            TypeInfo::new(oid::FLOAT8, -1, "double precision"),
            [-0.0, f64::NAN, f64::NEG_INFINITY, f64::MAX, 5e-324, 0.1, 1e15, 123_456.789]
                .map(Value::Float8)
                .to_vec(),
        ),
        (money_type(), numeric(&["1.50", "0.00", "-0.01", "99999999.99", "-10.00", "NaN"])),
        (
            TypeInfo::new(oid::NUMERIC, ((5 << 16) | (-2 & 0x7ff)) + 4, "numeric(5,-2)"),
            numeric(&["1200", "0", "-9999900"]),
        ),
        (
            TypeInfo::new(oid::NUMERIC, -1, "numeric"),
            numeric(&[
                "1.50",
                sixty_digits,
                "100",
                "1.5",
                "Infinity",
                "-Infinity",
                "NaN",
                "0.000000000000000000000000000000000000000001",
            ]),
        ),
        (
            text_type(),
            ["", " ", "NULL", "null", "'\"\\", "a\nb\r\u{1}", "{\"a\":1}", "日本 😀 e\u{301}"]
                .map(text)
                .to_vec(),
        ),
        (
            TypeInfo::new(oid::VARCHAR, 24, "character varying(20)"),
            ["", "varchar"].map(text).to_vec(),
        ),
        (
            TypeInfo::new(oid::UUID, -1, "uuid"),
            [0, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef]
                .map(|bits| Value::Uuid(Uuid::from_u128(bits)))
                .to_vec(),
        ),
        (
            timestamptz_type(),
            [
                i64::MAX,
                i64::MIN,
                -1,
                0,
                757_382_400_123_456,
                -64_497_000_000_000_000,
                252_455_616_000_000_000,
            ]
            .map(Value::Timestamptz)
            .to_vec(),
        ),
        (
            TypeInfo::new(oid::DATE, -1, "date"),
            [i32::MAX, i32::MIN, -1, 0, 9_000, -730_600, 2_921_940].map(Value::Date).to_vec(),
        ),
        (
            TypeInfo::new(oid::JSON, -1, "json"),
            ["{ \"b\":1,\"a\" : 1.50, \"a\":2}", "null", "\"\""]
                .map(|json| Value::Json(json.into()))
                .to_vec(),
        ),
        (
            TypeInfo::new(oid::JSONB, -1, "jsonb"),
            ["{\"a\": 1.50, \"b\": [null, \"x\"]}", "null", "{}", "12345678901234567890.10"]
                .map(|json| Value::Json(json.into()))
                .to_vec(),
        ),
        (
            TypeInfo::new(oid::BYTEA, -1, "bytea"),
            [&b""[..], b"\0", b"\\x00", b"\xff\xfe"]
                .map(|bytes| Value::Bytea(bytes.to_vec()))
                .to_vec(),
        ),
        (
            timestamp_type(),
            [i64::MAX, i64::MIN, -1, 0, 757_382_400_123_456, -64_497_000_000_000_000]
                .map(Value::Timestamp)
                .to_vec(),
        ),
        (
            TypeInfo::new(oid::BPCHAR, -1, "bpchar"),
            ["a  ", ""].map(|text| Value::Bpchar(text.into())).to_vec(),
        ),
        (TypeInfo::new(oid::BPCHAR, 4 + 3, "character(3)"), vec![Value::Bpchar("a  ".into())]),
    ]
}
