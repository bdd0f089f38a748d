//! Tables that live in other stores.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A table whose rows live outside PostgreSQL.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// schema.table; the schema is public when left out.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The store's name.
    #[schemars(length(min = 1))]
    pub store: String,
    /// A timestamptz column after which a row is gone. Not for layout sorted_set.
    #[schemars(length(min = 1))]
    pub expires_at: Option<String>,
    /// The table's name in the store. Default: schema.table.
    #[schemars(length(min = 1))]
    pub physical_name: Option<String>,
    /// Whether a statement without a condition on the key may read the whole table, up to
    /// max_fetch_rows. Default: true for the embedded stores and memory, false for DynamoDB and
    /// Redis, which read (and DynamoDB bills) far more than the rows.
    pub allow_scan: Option<bool>,
    /// Whether DROP TABLE may drop it with rows in it. Default: false.
    pub allow_drop: Option<bool>,
    /// Whether what only PostgreSQL could keep for the table (UNIQUE and EXCLUDE constraints,
    /// foreign keys from and to it, triggers, rules, row-level security) is given up: it is dropped
    /// in PostgreSQL, with a warning each. Otherwise a table that has any can't be used. Default:
    /// false.
    pub drop_constraints: Option<bool>,
    /// Secondary indexes, which find rows by other columns than the key. Default: none; in DynamoDB
    /// those that the table has there.
    #[schemars(with = "Option<Vec<Index>>")]
    pub indexes: Option<Vec<Option<Map<String, Value>>>>,
}

/// A secondary index of a table.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Its name; in DynamoDB the index's there.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its columns. Rows are found by the first, and by a range of the second, which also orders
    /// them.
    #[schemars(with = "Vec<String>")]
    pub columns: Vec<Option<String>>,
}
