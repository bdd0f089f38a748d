//! Small builders of table definitions and values, for this suite and for a store's own tests.

use std::sync::Arc;

use flywheel_types::{Column, ColumnDefault, Key, Table, TableName, TypeInfo, Value, oid};

use crate::{Layout, Own, StoreTable};

/// A table of these columns in the hash layout: no expiry, scans allowed. Key columns are NOT NULL,
/// the others not.
///
/// # Panics
/// When a key column isn't one of the columns.
#[must_use]
pub fn table(physical_name: &str, columns: &[(&str, TypeInfo)], key: &[&str]) -> StoreTable {
    let columns: Vec<Column> =
        columns.iter().map(|(name, ty)| column(name, ty.clone(), key.contains(name))).collect();
    let primary_key = key
        .iter()
        .map(|name| {
            columns
                .iter()
                .position(|column| column.name == *name)
                .expect("a key column is a column")
        })
        .collect();
    StoreTable {
        table: Arc::new(Table {
            name: TableName::new("public", physical_name),
            oid: 16_384,
            columns,
            primary_key,
            primary_key_name: format!("{physical_name}_pkey"),
            has_checks: false,
            digest: String::new(),
        }),
        physical_name: physical_name.to_owned(),
        layout: Layout::Hash,
        expires_at: None,
        allow_scan: true,
        allow_drop: true,
        consistent_read: true,
        wanted: None,
        indexes: Vec::new(),
        own: Own::default(),
    }
}

/// A column with a deterministic collation of byte order and no default.
#[must_use]
pub fn column(name: &str, ty: TypeInfo, not_null: bool) -> Column {
    Column {
        name: name.to_owned(),
        ty,
        not_null,
        default: ColumnDefault::None,
        generated: false,
        byte_ordered: true,
        deterministic: true,
    }
}

/// The table with the column called `name` as its expiry.
///
/// # Panics
/// When there is no such column.
#[must_use]
pub fn expiring(mut table: StoreTable, name: &str) -> StoreTable {
    table.expires_at = Some(table.table.column(name).expect("the expiry is a column"));
    table
}

/// The table as a sorted set with the column called `name`, NOT NULL from now on, as its score.
///
/// # Panics
/// When there is no such column.
#[must_use]
pub fn sorted_set(mut table: StoreTable, name: &str) -> StoreTable {
    let score = table.table.column(name).expect("the score is a column");
    Arc::make_mut(&mut table.table).columns[score].not_null = true;
    table.layout = Layout::SortedSet { score };
    table
}

/// `text`
#[must_use]
pub fn text_type() -> TypeInfo {
    TypeInfo::new(oid::TEXT, -1, "text")
}

/// `integer`
#[must_use]
pub fn int4_type() -> TypeInfo {
    TypeInfo::new(oid::INT4, -1, "integer")
}

/// `bigint`
#[must_use]
pub fn int8_type() -> TypeInfo {
    TypeInfo::new(oid::INT8, -1, "bigint")
}

/// `timestamptz`
#[must_use]
pub fn timestamptz_type() -> TypeInfo {
    TypeInfo::new(oid::TIMESTAMPTZ, -1, "timestamp with time zone")
}

/// `timestamp`
#[must_use]
pub fn timestamp_type() -> TypeInfo {
    TypeInfo::new(oid::TIMESTAMP, -1, "timestamp without time zone")
}

/// `numeric(10,2)`
#[must_use]
pub fn money_type() -> TypeInfo {
    TypeInfo::new(oid::NUMERIC, ((10 << 16) | 2) + 4, "numeric(10,2)")
}

/// A text value.
#[must_use]
pub fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// An integer value.
#[must_use]
pub fn int(value: i64) -> Value {
    Value::Int(value)
}

/// A key of these values.
#[must_use]
pub fn key(values: &[Value]) -> Key {
    Key::new(values.to_vec())
}
