//! Tables homed outside of PostgreSQL.

use flywheel_types::TableName;

/// A table homed in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name in PostgreSQL's catalogue.
    pub name: TableName,
    /// The name of its store, one of [`Config::stores`](crate::Config::stores).
    pub store: String,
    /// Its name in the store, without the store's prefix.
    pub physical_name: String,
    /// How its rows lie.
    pub layout: Layout,
    /// The column after which a row is gone.
    pub expires_at: Option<String>,
    /// Whether a statement without a key condition may read it whole.
    pub allow_scan: bool,
    /// Whether it may be dropped with rows in it.
    pub allow_drop: bool,
    /// Whether reads see all writes before them, where the store has weaker reads too.
    pub consistent_read: bool,
}

/// How a table's rows lie in its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One hash, or one item, for each row.
    Hash,
    /// A sorted set for each partition.
    SortedSet {
        /// The score column.
        score: String,
    },
}
