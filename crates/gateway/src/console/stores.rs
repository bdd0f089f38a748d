//! SHOW STORES, TABLES and CACHE.

use std::collections::BTreeMap;

use flywheel_console::{Column, Row, Value};
pub(super) use flywheel_execute::CACHE_COLUMNS as CACHE;
use flywheel_wire::PgError;

use crate::checking::table_reports;
use crate::reception::Reception;
use crate::session::cache_rows;

pub(super) const STORES: [Column; 4] =
    [Column::Text("name"), Column::Text("kind"), Column::Text("state"), Column::Text("reason")];

/// The stores that tables live in, each asked whether it answers.
pub(super) async fn stores(reception: &Reception) -> Vec<Row> {
    let configured = reception.main.stores.catalogue.configured();
    let by_name: BTreeMap<_, _> =
        configured.iter().map(|table| (&table.store_name, &table.store)).collect();
    let mut rows = Vec::new();
    for (name, store) in by_name {
        let (state, reason) = match store.ping().await {
            Ok(()) => ("ok", Value::Null),
            Err(error) => ("down", error.to_string().into()),
        };
        rows.push(vec![name.clone().into(), store.kind().into(), state.into(), reason]);
    }
    rows
}

pub(super) const TABLES: [Column; 6] = [
    Column::Text("schema"),
    Column::Text("name"),
    Column::Text("store"),
    Column::Text("state"),
    Column::Text("reason"),
    Column::Text("given_up"),
];

/// The configured tables, each compared with its definition and with its store.
pub(super) async fn tables(reception: &Reception) -> Result<Vec<Row>, PgError> {
    let reports = table_reports(&reception.main).await.map_err(|error| error.to_pg())?;
    let sentences = |sentences: Vec<String>| match sentences.is_empty() {
        true => Value::Null,
        false => sentences.join("; ").into(),
    };
    let row = |report: crate::checking::TableReport| -> Row {
        let state = if report.problems.is_empty() { "ok" } else { "refused" };
        vec![
            report.name.schema.to_string().into(),
            report.name.name.to_string().into(),
            report.store_name.into(),
            state.into(),
            sentences(report.problems),
            sentences(report.given_up),
        ]
    };
    Ok(reports.into_iter().map(row).collect())
}

/// The cache rules, as SHOW CACHE tells of them in any database.
pub(super) fn cache(reception: &Reception) -> Vec<Row> {
    let Some(caching) = &reception.main.caching else { return Vec::new() };
    let texts = |texts: Vec<String>| texts.into_iter().map(Value::Text).collect();
    cache_rows(caching).into_iter().map(texts).collect()
}
