//! Rows as a relation inside a statement: `unnest($1::table[])` in place of the table's name, so
//! that every other byte of the text stays the client's. The rows are the parameter's value: texts
//! are planned anew, logged, and seen by others.

use std::ops::Range;

use flywheel_types::{Row, TableName, quote_identifier, text};

/// Rows as the text of an array of the table's row type, which PostgreSQL's own input functions
/// read column by column. Unlike JSON it tells a jsonb `null` from SQL's NULL and keeps a json
/// document as it was written.
#[must_use]
pub fn rows_as_array<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    let mut array = RowArray::default();
    for row in rows {
        array.push(row);
    }
    array.finish()
}

/// The same, row by row.
#[derive(Debug, Default)]
pub struct RowArray {
    out: Vec<u8>,
    printed: Vec<u8>,
    record: Vec<u8>,
}

impl RowArray {
    /// Adds a row.
    pub fn push(&mut self, row: &Row) {
        let Self { out, printed, record } = self;
        record.clear();
        record.push(b'(');
        for (column, value) in row.iter().enumerate() {
            if column > 0 {
                record.push(b',');
            }
            if !value.is_null() {
                printed.clear();
                text::encode(value, printed);
                quote(printed, record);
            }
        }
        record.push(b')');
        out.push(if out.is_empty() { b'{' } else { b',' });
        quote(record, out);
    }

    /// The array's text.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.out.is_empty() {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        // Every piece is UTF-8: texts are strings, and what is added is ASCII.
        String::from_utf8(self.out).unwrap_or_default()
    }
}

/// In double quotes, as an element of an array or a field of a record (rowtypes-io-syntax,
/// arrays-io).
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

/// The relation that stands for rows of the table: a function call, with the table's name as alias
/// unless the statement gives one. `rows` is an expression whose value is their array.
#[must_use]
pub fn row_source(table: &TableName, rows: &str, needs_alias: bool) -> String {
    let alias =
        if needs_alias { format!(" AS {}", quote_identifier(&table.name)) } else { String::new() };
    format!("pg_catalog.unnest({rows}::{}[]){alias}", table.to_sql())
}

/// `text` with the byte ranges (in ascending order, not overlapping) replaced.
#[must_use]
pub fn substitute(text: &str, replacements: &[(Range<usize>, String)]) -> String {
    let mut out = String::with_capacity(
        text.len() + replacements.iter().map(|(_, with)| with.len()).sum::<usize>(),
    );
    let mut at = 0;
    for (range, with) in replacements {
        out.push_str(&text[at..range.start]);
        out.push_str(with);
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}
