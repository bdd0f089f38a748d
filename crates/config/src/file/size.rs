//! A number of bytes.

use schemars::JsonSchema;
use serde::Deserialize;

/// Bytes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// Bytes.
    Bytes(i64),
    /// A number with kB, MB or GB (each 1024 times the one before, as in PostgreSQL).
    Text(String),
}
