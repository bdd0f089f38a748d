//! A table, as its keys in the file describe it.

use std::sync::Arc;

use flywheel_store::{IndexChoice, TableOptions};
use serde_json::Value;

/// What the keys say that all tables have, for a kind to judge.
#[derive(Debug, Clone)]
pub struct CommonTable {
    /// Its name in the store, unless the file's name for the table has a mistake.
    pub physical_name: Option<String>,
    /// The column after which a row is gone.
    pub expires_at: Option<String>,
    /// The indexes that the file lists; `None`: it lists none.
    pub indexes: Option<Vec<CommonIndex>>,
}

impl CommonTable {
    /// The listed indexes, of a store that keeps an index with the rows and reads it strongly.
    #[must_use]
    pub fn strong_indexes(&self) -> Vec<IndexChoice> {
        let strong = |index: &CommonIndex| IndexChoice {
            name: index.name.clone(),
            columns: index.columns.clone(),
            is_eventual: Some(false),
            consistent_read: true,
        };
        self.indexes.iter().flatten().map(strong).collect()
    }
}

/// What the keys say that all indexes have.
#[derive(Debug, Clone)]
pub struct CommonIndex {
    /// Its position in the file's list.
    pub position: usize,
    /// Its name.
    pub name: String,
    /// Its columns, without those that have a mistake.
    pub columns: Vec<String>,
    /// Whether all columns in the file are without a mistake.
    pub is_whole: bool,
    /// The kind's own keys.
    pub keys: Value,
}

/// What a kind makes of a table's keys.
#[derive(Debug, Clone)]
pub struct TableChoices {
    /// Whether the table may be read whole where the file doesn't say.
    pub allow_scan: bool,
    /// Whether reads see every write before them, where the store has weaker ones too.
    pub consistent_read: bool,
    /// The table's indexes; `None`: those that the store has.
    pub indexes: Option<Vec<IndexChoice>>,
    /// The rest, which the store alone knows.
    pub options: Arc<dyn TableOptions>,
}
