//! Rows as a relation inside a statement: `json_populate_recordset(NULL::table, '[…]')` in place of the table's name, so that every
//! other byte of the text stays the client's.

use std::ops::Range;

use flywheel_types::{Row, Scalar, Table, TableName, Value, text};

/// A string literal of any text. `E'…'`, so that it doesn't depend on `standard_conforming_strings`.
#[must_use]
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    out.push_str("E'");
    for character in text.chars() {
        match character {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            _ => out.push(character),
        }
    }
    out.push('\'');
    out
}

/// Rows as a JSON array of objects whose members PostgreSQL's input functions read: every value as a JSON string of its text,
/// but JSON documents as they are.
#[must_use]
pub fn rows_as_json(table: &Table, rows: &[Row]) -> String {
    let mut out = Vec::with_capacity(rows.len() * 64 + 2);
    let mut printed = Vec::new();
    out.push(b'[');
    for (position, row) in rows.iter().enumerate() {
        out.extend_from_slice(if position == 0 { b"{" } else { b",{" });
        let mut first = true;
        for (column, value) in table.columns.iter().zip(row) {
            if value.is_null() {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            json_string(column.name.as_bytes(), &mut out);
            out.push(b':');
            match value {
                Value::Json(document) if matches!(column.ty.scalar, Scalar::Json | Scalar::Jsonb) => {
                    out.extend_from_slice(document.as_bytes())
                }
                _ => {
                    printed.clear();
                    text::encode(value, &mut printed);
                    json_string(&printed, &mut out);
                }
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    // Every piece is UTF-8: names and texts are strings, and escapes are ASCII.
    String::from_utf8(out).unwrap_or_default()
}

fn json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The relation that stands for `rows` of the table: a function call, with the table's name as alias unless the statement gives one.
#[must_use]
pub fn record_set(table: &TableName, json: &str, needs_alias: bool) -> String {
    let alias = if needs_alias {
        format!(" AS \"{}\"", table.name.replace('"', "\"\""))
    } else {
        String::new()
    };
    format!("json_populate_recordset(NULL::{}, {}){alias}", table.to_sql(), literal(json))
}

/// `text` with the byte ranges (in ascending order, not overlapping) replaced.
#[must_use]
pub fn substitute(text: &str, replacements: &[(Range<usize>, String)]) -> String {
    let mut out = String::with_capacity(text.len() + replacements.iter().map(|(_, with)| with.len()).sum::<usize>());
    let mut at = 0;
    for (range, with) in replacements {
        out.push_str(&text[at..range.start]);
        out.push_str(with);
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}
