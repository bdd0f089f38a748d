//! Rows as JSON objects, a field for each column: what another application reads naturally, and
//! exactly.
//!
//! | type | JSON |
//! | --- | --- |
//! | `boolean`; `smallint`, `integer` | `true`; `17` |
//! | `bigint`, `numeric` | `"9007199254740993"`, `"1.50"`: a number would be rounded to a double by most readers |
//! | `real`, `double precision` | `0.1`; `"NaN"`, `"Infinity"` |
//! | `timestamptz`, `date` | `"2026-11-26T08:30:00.5Z"`, `"2026-11-26"`; before Christ and the infinities as PostgreSQL prints them |
//! | `json`, `jsonb` | the document itself; a string, `null`, or `json` with blanks around it as text: `"\"word\""` |
//! | any other | a string as PostgreSQL prints it |
//!
//! NULL is a field that isn't there. Read is more than is written: numbers for `bigint` and
//! `numeric`, `null` for NULL, documents with other blanks. Fields that the table doesn't have stay
//! as they are.

use std::collections::BTreeMap;

use flywheel_store::{StoreError, StoreTable};
use flywheel_types::{Column, Row, Scalar, TypeInfo, Value, text};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::jsonb;

type Fields<'t> = BTreeMap<String, &'t RawValue>;

/// The row of an object in the key called `name`.
pub(crate) fn decode(table: &StoreTable, name: &str, object: &[u8]) -> Result<Row, StoreError> {
    let fields = fields(name, object)?;
    let columns = table.table.columns.iter();
    columns
        .map(|column| match fields.get(&column.name) {
            None => Ok(Value::Null),
            Some(raw) => value(&column.ty, raw.get())
                .ok_or_else(|| malformed(name, &column.name, &column.ty.name)),
        })
        .collect()
}

/// The object of a row, with the fields of `replaced` that aren't the table's.
pub(crate) fn encode(
    table: &StoreTable,
    name: &str,
    row: &[Value],
    replaced: Option<&[u8]>,
) -> Result<String, StoreError> {
    let columns = &table.table.columns;
    let mut out = String::from("{");
    let mut field = |name: &str, json: &str| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&string(name));
        out.push(':');
        out.push_str(json);
    };
    for (column, value) in columns.iter().zip(row).filter(|(_, value)| !value.is_null()) {
        field(&column.name, &json(column, value));
    }
    if let Some(replaced) = replaced {
        for (name, raw) in fields(name, replaced)? {
            if table.table.column(&name).is_none() {
                field(&name, raw.get());
            }
        }
    }
    out.push('}');
    Ok(out)
}

fn fields<'t>(name: &str, object: &'t [u8]) -> Result<Fields<'t>, StoreError> {
    serde_json::from_slice(object).map_err(|_| malformed(name, "*", "a JSON object"))
}

fn json(column: &Column, value: &Value) -> String {
    let mut printed = Vec::new();
    text::encode(value, &mut printed);
    let printed = String::from_utf8_lossy(&printed).into_owned();
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Int(_) if column.ty.scalar != Scalar::Int8 => printed,
        Value::Float4(number) if number.is_finite() => printed,
        Value::Float8(number) if number.is_finite() => printed,
        Value::Timestamptz(_) => string(&iso_8601(&printed)),
        Value::Json(document) => match serde_json::from_str::<&RawValue>(document) {
            Ok(raw)
                if raw.get() == document && !document.starts_with('"') && document != "null" =>
            {
                printed
            }
            _ => string(document),
        },
        _ => string(&printed),
    }
}

/// `2026-11-26 08:30:00+00` with the T and Z that ISO 8601 wants between machines.
fn iso_8601(printed: &str) -> String {
    match printed.strip_suffix("+00") {
        Some(moment) => moment.replacen(' ', "T", 1) + "Z",
        None => printed.to_owned(),
    }
}

fn string(text: &str) -> String {
    Json::from(text).to_string()
}

/// The value of a field; `None` when it isn't one of the type.
fn value(ty: &TypeInfo, raw: &str) -> Option<Value> {
    let is_document = matches!(ty.scalar, Scalar::Json | Scalar::Jsonb);
    match raw.as_bytes().first()? {
        b'n' => Some(Value::Null),
        b'"' => {
            let written: String = serde_json::from_str(raw).ok()?;
            if is_document { document(ty, &written) } else { text::decode_canonical(ty, &written) }
        }
        _ if is_document => document(ty, raw),
        b't' | b'f' if ty.scalar == Scalar::Bool => text::decode(ty, raw),
        b'-' | b'0'..=b'9' => match ty.scalar {
            Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Float4 | Scalar::Float8 => {
                text::decode(ty, raw)
            }
            Scalar::Numeric(_) => text::decode(ty, &jsonb::plain_number(raw)?),
            _ => None,
        },
        _ => None,
    }
}

fn document(ty: &TypeInfo, written: &str) -> Option<Value> {
    if serde_json::from_str::<&RawValue>(written).is_err() {
        return None;
    }
    match ty.scalar {
        Scalar::Jsonb => text::decode_canonical(ty, &jsonb::canonical(written)?),
        _ => text::decode_canonical(ty, written),
    }
}

fn malformed(key: &str, attribute: &str, expected: &str) -> StoreError {
    StoreError::Malformed {
        key: key.to_owned(),
        attribute: attribute.to_owned(),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use flywheel_store::conformance::fixture::*;
    use flywheel_types::oid;

    use super::*;

    fn wide() -> StoreTable {
        let columns = [
            ("id", int8_type()),
            ("n", int4_type()),
            ("price", money_type()),
            ("at", timestamptz_type()),
            ("f", TypeInfo::new(oid::FLOAT8, -1, "double precision")),
            ("b", TypeInfo::new(oid::JSONB, -1, "jsonb")),
            ("j", TypeInfo::new(oid::JSON, -1, "json")),
            ("ok", TypeInfo::new(oid::BOOL, -1, "boolean")),
            ("note", text_type()),
        ];
        table("t", &columns, &["id"])
    }

    #[test]
    fn a_row_and_back() {
        let table = wide();
        let json = |text: &str| Value::Json(text.to_owned());
        let row = vec![
            int(i64::MAX),
            int(-7),
            Value::Numeric("1.50".into()),
            Value::Timestamptz(500_000),
            Value::Float8(-0.0),
            json(r#"{"a": [1, 1.50]}"#),
            json(" {\"b\":\n1}"),
            Value::Bool(true),
            text("\"é\n"),
        ];
        let object = encode(&table, "k", &row, None).expect("a row");
        assert_eq!(
            object,
            r#"{"id":"9223372036854775807","n":-7,"price":"1.50","at":"2000-01-01T00:00:00.5Z","f":-0,"b":{"a": [1, 1.50]},"j":" {\"b\":\n1}","ok":true,"note":"\"é\n"}"#
        );
        assert_eq!(decode(&table, "k", object.as_bytes()), Ok(row.clone()));

        for document in ["\"word\"", "null", "true", "[]", "-1.5", "\"{}\""] {
            let mut row = row.clone();
            (row[5], row[6]) = (json(document), json(document));
            let object = encode(&table, "k", &row, None).expect("a row");
            assert_eq!(decode(&table, "k", object.as_bytes()), Ok(row), "{object}");
        }
        let mut odd = vec![Value::Null; 9];
        (odd[0], odd[3], odd[4]) =
            (int(1), Value::Timestamptz(-70_000_000_000_000_000), Value::Float8(f64::NEG_INFINITY));
        let object = encode(&table, "k", &odd, None).expect("a row");
        assert_eq!(object, r#"{"id":"1","at":"0220-10-14 19:33:20+00 BC","f":"-Infinity"}"#);
        assert_eq!(decode(&table, "k", object.as_bytes()), Ok(odd));
    }

    #[test]
    fn what_others_write() {
        let table = wide();
        let object =
            br#" { "id": 9223372036854775807, "price": 1.5, "theirs": {"x":1.0}, "n": null,
            "at": "2026-11-26T09:30:00+01:00", "b": {"bb":1e2,"a":"\u00e9"}, "j": {"a":1} } "#;
        let row = decode(&table, "k", object).expect("a row");
        let printed: Vec<String> = row
            .iter()
            .map(|value| flywheel_store::text_row::encode(value).unwrap_or_default())
            .collect();
        assert_eq!(
            printed,
            [
                "9223372036854775807",
                "",
                "1.50",
                "2026-11-26 08:30:00+00",
                "",
                r#"{"a": "é", "bb": 100}"#,
                r#"{"a":1}"#,
                "",
                ""
            ]
        );
        let again = encode(&table, "k", &row, Some(object)).expect("a row");
        assert!(again.ends_with(r#","theirs":{"x":1.0}}"#), "{again}");

        for (object, attribute) in [
            ("[]", "*"),
            ("{", "*"),
            (r#"{"id": 1.5}"#, "id"),
            (r#"{"price": 1.555}"#, "price"),
            (r#"{"note": 1}"#, "note"),
            (r#"{"ok": 1}"#, "ok"),
            (r#"{"b": "word"}"#, "b"),
            (r#"{"at": "2026-11-26T09:30:00"}"#, "at"),
        ] {
            let error = decode(&table, "k", object.as_bytes()).expect_err(object);
            let StoreError::Malformed { attribute: found, .. } = &error else {
                panic!("{object}: {error}")
            };
            assert_eq!(found, attribute, "{object}: {error}");
        }
    }
}
