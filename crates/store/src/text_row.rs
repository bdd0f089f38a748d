//! Rows whose values are kept as the text that PostgreSQL prints, each under its column's name; the
//! type comes from the definition. Redis' hashes and the memory store's rows are such.

use std::collections::BTreeMap;

use flywheel_types::{Key, Row, Value, text};

use crate::{StoreError, StoreTable};

/// How many rows [`mismatches`] should be given.
pub const SAMPLE_ROWS: usize = 100;

/// A value's text; `None` for NULL, which is an absent field.
#[must_use]
pub fn encode(value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let mut out = Vec::new();
    text::encode(value, &mut out);
    Some(
        String::from_utf8(out)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// A row from its fields, in the order of the table's columns. `key` is how an error names the row.
pub fn decode<'f>(
    table: &StoreTable,
    key: impl Fn() -> String,
    fields: impl IntoIterator<Item = Option<&'f [u8]>>,
) -> Result<Row, StoreError> {
    let columns = &table.table.columns;
    columns
        .iter()
        .zip(fields)
        .map(|(column, field)| {
            let Some(field) = field else {
                return Ok(Value::Null);
            };
            std::str::from_utf8(field)
                .ok()
                .and_then(|field| text::decode_canonical(&column.ty, field))
                .ok_or_else(|| StoreError::Malformed {
                    key: key(),
                    attribute: column.name.clone(),
                    expected: column.ty.name.clone(),
                })
        })
        .collect()
}

/// A key as messages print it: `a, 17`.
#[must_use]
pub fn print_key(key: &Key) -> String {
    let values: Vec<String> =
        key.values().iter().map(|value| encode(value).unwrap_or_default()).collect();
    values.join(", ")
}

/// How sampled rows differ from the table's definition: a sentence for each column that does.
#[must_use]
pub fn mismatches(table: &StoreTable, rows: &[Result<Row, StoreError>]) -> Vec<String> {
    let mut first_by_column = BTreeMap::new();
    for row in rows {
        match row {
            Err(error) => {
                let column = match error {
                    StoreError::Malformed { attribute, .. } => attribute.as_str(),
                    _ => "",
                };
                first_by_column.entry(column).or_insert_with(|| error.to_string());
            }
            Ok(row) => {
                let columns = table.table.columns.iter().zip(row);
                for (column, _) in
                    columns.filter(|(column, value)| column.not_null && value.is_null())
                {
                    first_by_column.entry(&column.name).or_insert_with(|| {
                        let key = print_key(&table.table.key_of(row));
                        format!("stored row {key} has no \"{}\", which is NOT NULL", column.name)
                    });
                }
            }
        }
    }
    first_by_column.into_values().collect()
}
