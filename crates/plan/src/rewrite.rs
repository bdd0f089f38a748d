//! Rows as a relation inside a statement: `unnest('{…}'::table[])` in place of the table's name, so that every other byte of the text stays
//! the client's.

use std::ops::Range;

use flywheel_types::{Row, TableName, quote_identifier, text};
use flywheel_wire::quote::literal;

/// Rows as the text of an array of the table's row type, which PostgreSQL's own input functions read column by column. Unlike JSON it tells
/// a jsonb `null` from SQL's NULL and keeps a json document as it was written.
fn rows_as_array(rows: &[Row]) -> String {
    let mut out = Vec::with_capacity(rows.len() * 64 + 2);
    let (mut printed, mut record) = (Vec::new(), Vec::new());
    out.push(b'{');
    for (position, row) in rows.iter().enumerate() {
        record.clear();
        record.push(b'(');
        for (column, value) in row.iter().enumerate() {
            if column > 0 {
                record.push(b',');
            }
            if !value.is_null() {
                printed.clear();
                text::encode(value, &mut printed);
                quote(&printed, &mut record);
            }
        }
        record.push(b')');
        if position > 0 {
            out.push(b',');
        }
        quote(&record, &mut out);
    }
    out.push(b'}');
    // Every piece is UTF-8: texts are strings, and what is added is ASCII.
    String::from_utf8(out).unwrap_or_default()
}

/// In double quotes, as an element of an array or a field of a record (rowtypes-io-syntax, arrays-io).
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// The relation that stands for `rows` of the table: a function call, with the table's name as alias unless the statement gives one.
#[must_use]
pub fn record_set(table: &TableName, rows: &[Row], needs_alias: bool) -> String {
    let alias = if needs_alias {
        format!(" AS {}", quote_identifier(&table.name))
    } else {
        String::new()
    };
    format!("pg_catalog.unnest({}::{}[]){alias}", literal(&rows_as_array(rows)), table.to_sql())
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
