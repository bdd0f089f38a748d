//! DynamoDB's own keys of a table in the configuration file, and what they mean.

use std::sync::Arc;

use flywheel_kind::{CommonIndex, CommonTable, Section, TableChoices};
use flywheel_store::{IndexChoice, Own, StoreTable, TableOptions};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// DynamoDB's own keys of a table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableKeys {
    /// For DynamoDB: whether reads of this table see every write before them. Default: what the
    /// store says.
    consistent_read: Option<bool>,
    /// For DynamoDB: what a value of another type than its column's is, which another application
    /// has written: an error that names it, or NULL (in a column that may be NULL). Default: error.
    on_type_mismatch: Option<OnTypeMismatchName>,
    /// For DynamoDB: into how many segments a read of the whole table is split, which are read at
    /// the same time. Default: 1 for what fits one page (1 MB), else 4.
    #[schemars(range(min = 1, max = 64))]
    scan_segments: Option<u32>,
}

/// What a value of another type than its column's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnTypeMismatchName {
    /// An error.
    Error,
    /// NULL.
    Null,
}

/// DynamoDB's own keys of an index.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexKeys {
    /// For DynamoDB: which kind of index it is. Default: local where it begins with the first of
    /// several key columns, else global.
    kind: Option<IndexKindName>,
    /// For DynamoDB: whether reads through it see every write before them. A global index can't
    /// give that, and isn't used then. Default: what the table says.
    consistent_read: Option<bool>,
}

/// Kinds of DynamoDB's secondary indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum IndexKindName {
    /// Beside the rows of one partition, made with the table; reads can see every write before
    /// them.
    Local,
    /// Over the whole table; reads may miss the last writes.
    Global,
}

/// What this store alone knows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OwnTable {
    /// Whether a stored value of another type than its column's is read as NULL rather than
    /// refused, where the column may be NULL.
    pub(crate) mismatch_is_null: bool,
    /// Into how many segments a scan is split; `None`: as the table's size asks for.
    pub(crate) scan_segments: Option<u32>,
}

impl OwnTable {
    pub(crate) fn of(table: &StoreTable) -> Self {
        table.own.get().copied().unwrap_or_default()
    }
}

impl TableOptions for OwnTable {
    fn bind(&self, table: &mut StoreTable) -> Result<(), String> {
        table.own = Own::new(*self);
        Ok(())
    }
}

/// What a table's keys choose in a DynamoDB, AWS' or another. It may be read whole.
///
/// # Errors
/// The keys aren't [`TableKeys`].
pub fn choose(
    prefix: &str,
    store_reads: bool,
    common: &CommonTable,
    keys: Value,
    section: &mut Section<'_>,
) -> Result<TableChoices, serde_json::Error> {
    let keys: TableKeys = serde_json::from_value(keys)?;
    let consistent_read = keys.consistent_read.unwrap_or(store_reads);
    let mut read = |common| index(common, consistent_read, section);
    let indexes = common.indexes.as_ref();
    let indexes =
        indexes.map(|all| all.iter().map(&mut read).collect::<Result<_, _>>()).transpose()?;
    if let Some(name) = &common.physical_name {
        check_name(prefix, name, section);
    }
    Ok(TableChoices {
        allow_scan: true,
        consistent_read,
        indexes,
        options: Arc::new(OwnTable {
            mismatch_is_null: keys.on_type_mismatch == Some(OnTypeMismatchName::Null),
            scan_segments: keys.scan_segments,
        }),
    })
}

fn index(
    common: &CommonIndex,
    table_reads: bool,
    section: &mut Section<'_>,
) -> Result<IndexChoice, serde_json::Error> {
    let keys: IndexKeys = serde_json::from_value(common.keys.clone())?;
    let CommonIndex { name, columns, .. } = common;
    let position = common.position.to_string();
    if columns.len() > 2 {
        section.mistake(
            &["indexes", &position, "columns"],
            format!("index \"{name}\" has {} columns", columns.len()),
            "an index in DynamoDB has a partition key and at most one sort key",
        );
    }
    if keys.kind == Some(IndexKindName::Local) && columns.len() == 1 && common.is_whole {
        section.mistake(
            &["indexes", &position, "columns"],
            format!("index \"{name}\" is local and has one column"),
            "a local index has the table's first key column and another that orders the rows",
        );
    }
    Ok(IndexChoice {
        name: name.clone(),
        columns: columns.clone(),
        is_eventual: keys.kind.map(|kind| kind == IndexKindName::Global),
        consistent_read: keys.consistent_read.unwrap_or(table_reads),
    })
}

fn check_name(prefix: &str, name: &str, section: &mut Section<'_>) {
    // DynamoDB developer guide, "Naming rules".
    if !is_name(name) || !(3..=255).contains(&(prefix.len() + name.len())) {
        let key = if section.is_there(&["physical_name"]) { "physical_name" } else { "name" };
        section.mistake(
            &[key],
            format!("\"{prefix}{name}\" can't be the name of a table in DynamoDB"),
            "these names have 3 to 255 letters, digits, _, - and .: give another physical_name",
        );
    }
}

/// Whether DynamoDB takes these characters in a table's name (DynamoDB developer guide, "Naming
/// rules").
pub(crate) fn is_name(text: &str) -> bool {
    text.bytes().all(|each| each.is_ascii_alphanumeric() || b"_-.".contains(&each))
}
