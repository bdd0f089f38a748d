//! Tables for this crate's tests.

use std::sync::Arc;

use flywheel_store::{Layout, Own, StoreTable};
use flywheel_types::{Column, ColumnDefault, Table, TableName, TypeInfo, oid};

pub(crate) fn column(name: &str, type_oid: u32, typmod: i32) -> Column {
    Column {
        name: name.to_owned(),
        ty: TypeInfo::new(type_oid, typmod, format!("type {type_oid}")),
        not_null: false,
        default: ColumnDefault::None,
        generated: false,
        byte_ordered: true,
        deterministic: true,
    }
}

pub(crate) fn table(
    columns: Vec<Column>,
    primary_key: Vec<usize>,
    expires_at: Option<usize>,
) -> StoreTable {
    StoreTable {
        table: Arc::new(Table {
            name: TableName::new("public", "t"),
            oid: 16_384,
            columns,
            primary_key,
            primary_key_name: "t_pkey".to_owned(),
            has_checks: false,
            digest: String::new(),
        }),
        physical_name: "public.t".to_owned(),
        layout: Layout::Hash,
        expires_at,
        allow_scan: true,
        allow_drop: true,
        consistent_read: true,
        wanted: None,
        indexes: Vec::new(),
        own: Own::default(),
    }
}

/// `(owner text, at timestamptz, note text, price numeric(10,2), expires timestamptz, PRIMARY KEY
/// (owner, at))`
pub(crate) fn history() -> StoreTable {
    table(
        vec![
            column("owner", oid::TEXT, -1),
            column("at", oid::TIMESTAMPTZ, -1),
            column("note", oid::TEXT, -1),
            column("price", oid::NUMERIC, ((10 << 16) | 2) + 4),
            column("expires", oid::TIMESTAMPTZ, -1),
        ],
        vec![0, 1],
        Some(4),
    )
}
