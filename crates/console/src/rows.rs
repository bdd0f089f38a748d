//! What SHOW answers: columns and rows.

use bytes::BytesMut;
use flywheel_wire::reply::Field;
use flywheel_wire::{backend, frontend};

/// A type of a column: `pg_type.oid` and `pg_type.typlen`.
type Type = (u32, i16);
const TEXT: Type = (25, -1);
const INT8: Type = (20, 8);

/// A column of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Its values are texts (`text`).
    Text(&'static str),
    /// Its values are numbers (`bigint`).
    Number(&'static str),
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of a column of texts.
    Text(String),
    /// Of a column of numbers.
    Number(i64),
    /// Of either.
    Null,
}

/// A row: a value for each column.
pub type Row = Vec<Value>;

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Counts are far from the end of `bigint`.
macro_rules! of_number {
    ($($number:ty),*) => {$(
        impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
    )*};
}
of_number!(i32, u16, u32, u64, u128, usize);

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Appends RowDescription, in these formats.
pub(crate) fn describe(out: &mut BytesMut, columns: &[Column], formats: &[i16]) {
    let field = |column: &Column| {
        let (name, (type_oid, type_len)) = match column {
            Column::Text(name) => (*name, TEXT),
            Column::Number(name) => (*name, INT8),
        };
        Field { name: name.to_owned(), table_oid: 0, column: 0, type_oid, type_len, typmod: -1 }
    };
    let fields: Vec<_> = columns.iter().map(field).collect();
    backend::row_description(out, &fields, formats);
}

/// Appends this row, in these formats (0: text, 1: binary).
pub(crate) fn data_row(out: &mut BytesMut, row: &[Value], formats: &[i16]) {
    backend::data_row(out, row.len(), |out| {
        for (position, value) in row.iter().enumerate() {
            let is_binary = frontend::format_at(formats, position) == 1;
            match value {
                Value::Null => backend::null_column(out),
                Value::Text(text) => backend::column(out, text.as_bytes()),
                Value::Number(number) if is_binary => backend::column(out, &number.to_be_bytes()),
                Value::Number(number) => backend::column(out, number.to_string().as_bytes()),
            }
        }
    });
}
