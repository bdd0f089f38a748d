//! The order of a sort key of each type is PostgreSQL's, and its values come back as they were.

use flywheel_types::{Row, TypeInfo, Value, oid};
use uuid::Uuid;

use super::{Suite, fixture::*, range::read, same};
use crate::Bound;

pub(super) async fn check(suite: &Suite) {
    // No empty text and no empty bytea: DynamoDB has no empty key.
    let texts = [
        "\u{1}", " ", "%", "%3A", "*", "-", "0", "10", "9", ":", "::", "A", "Z", "[", "\\", "a",
        "a\u{1}", "a ", "a%", "a:", "aa", "ab", "b", "{", "{a}", "}", "~", "\u{7f}", "é", "日本",
        "\u{ffff}", "😀",
    ];
    order(suite, "text", text_type(), texts.map(text).to_vec()).await;
    let integers =
        [i64::from(i32::MIN), -256, -255, -10, -9, -1, 0, 1, 9, 10, 255, 256, i64::from(i32::MAX)];
    order(suite, "int4", int4_type(), integers.map(int).to_vec()).await;
    let integers = [
        i64::MIN,
        -(1 << 53) - 1,
        -(1 << 53),
        -1,
        0,
        1,
        1 << 53,
        (1 << 53) + 1,
        i64::MAX - 1,
        i64::MAX,
    ];
    order(suite, "int8", int8_type(), integers.map(int).to_vec()).await;
    let numerics = [
        "-99999999.99",
        "-10.00",
        "-9.99",
        "-1.50",
        "-0.01",
        "0.00",
        "0.05",
        "0.50",
        "1.50",
        "9.99",
        "10.00",
        "99999999.99",
    ];
    let numerics = numerics.map(|number| Value::Numeric(number.into())).to_vec();
    order(suite, "numeric", money_type(), numerics).await;
    // Microseconds around 2000, 1969-12-31, 0044-03-15 BC, the ends of the type's range.
    let times = [
        i64::MIN,
        -211_813_488_000_000_000,
        -64_497_000_000_000_000,
        -946_771_200_000_000,
        -1_000_001,
        -1,
        0,
        1,
        500_000,
        757_382_400_123_456,
        252_455_615_999_999_999,
        9_223_371_331_199_999_999,
        i64::MAX,
    ];
    order(suite, "timestamptz", timestamptz_type(), times.map(Value::Timestamptz).to_vec()).await;
    order(suite, "timestamp", timestamp_type(), times.map(Value::Timestamp).to_vec()).await;
    let dates =
        [i32::MIN, -2_451_545, -730_119, -1, 0, 1, 9_000, 2_921_939, 2_145_031_948, i32::MAX];
    let date = TypeInfo::new(oid::DATE, -1, "date");
    order(suite, "date", date, dates.map(Value::Date).to_vec()).await;
    let uuids = [0, 1, 0x0f, 0x10, 1 << 64, u128::MAX >> 1, u128::MAX - 1, u128::MAX];
    let uuid = TypeInfo::new(oid::UUID, -1, "uuid");
    order(suite, "uuid", uuid, uuids.map(|bits| Value::Uuid(Uuid::from_u128(bits))).to_vec()).await;
    let bytes: [&[u8]; 10] =
        [b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"\x01", b"a", b"a\0", b"ab", b"\xff", b"\xff\xff"];
    let bytea = TypeInfo::new(oid::BYTEA, -1, "bytea");
    order(suite, "bytea", bytea, bytes.map(|bytes| Value::Bytea(bytes.to_vec())).to_vec()).await;
    let bool = TypeInfo::new(oid::BOOL, -1, "boolean");
    order(suite, "bool", bool, vec![Value::Bool(false), Value::Bool(true)]).await;
}

/// `values` ascend. Each is a sort value under a partition of its own type, too.
async fn order(suite: &Suite, name: &str, ty: TypeInfo, values: Vec<Value>) {
    let columns = [("part", ty.clone()), ("sort", ty), ("n", int4_type())];
    let table = suite.fresh(&format!("order_{name}"), &columns, &["part", "sort"]).await;
    let partition = values[values.len() / 2].clone();
    let rows: Vec<Row> = (0..)
        .zip(&values)
        .map(|(position, value)| vec![partition.clone(), value.clone(), int(position)])
        .collect();
    for row in rows.iter().skip(1).step_by(2).chain(rows.iter().step_by(2)) {
        suite.put(&table, row.clone()).await;
    }
    for value in &values {
        if *value != partition {
            suite.put(&table, vec![value.clone(), partition.clone(), int(-1)]).await;
        }
    }

    let everything = || (Bound::Unbounded, Bound::Unbounded);
    let mut reversed = rows.clone();
    reversed.reverse();
    same(&read(suite, &table, &partition, everything(), false, 100).await, &rows, name);
    same(&read(suite, &table, &partition, everything(), true, 100).await, &reversed, name);
    for (position, value) in values.iter().enumerate() {
        let what = format!("{name} at {value:?}");
        let included = || Bound::Included(value.clone());
        let excluded = || Bound::Excluded(value.clone());
        for (between, expected) in [
            ((included(), included()), &rows[position..=position]),
            ((included(), Bound::Unbounded), &rows[position..]),
            ((excluded(), Bound::Unbounded), &rows[position + 1..]),
            ((Bound::Unbounded, included()), &rows[..=position]),
            ((Bound::Unbounded, excluded()), &rows[..position]),
        ] {
            let found = read(suite, &table, &partition, between, false, 100).await;
            same(found.as_slice(), expected, &what);
        }
        if *value != partition {
            let found = read(suite, &table, value, everything(), false, 100).await;
            same(&found, &vec![vec![value.clone(), partition.clone(), int(-1)]], &what);
        }
    }
    suite.drop(&table).await;
}
