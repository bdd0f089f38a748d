//! Which tables are homed in stores, as values.

use std::sync::Arc;

use flywheel_store::{IndexChoice, Store, TableOptions};
use flywheel_types::TableName;

/// A table that is homed in a store.
#[derive(Debug, Clone)]
pub struct TableHome {
    /// The table.
    pub name: TableName,
    /// Its store's name in the configuration.
    pub store_name: String,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Its name in the store.
    pub physical_name: String,
    /// The column after which a row is gone.
    pub expires_at: Option<String>,
    /// Whether it may be read whole.
    pub allow_scan: bool,
    /// Whether it may be dropped with rows in it.
    pub allow_drop: bool,
    /// Whether constraints that its store can't keep are dropped.
    pub drop_constraints: bool,
    /// Strongly consistent reads.
    pub consistent_read: bool,
    /// Secondary indexes; `None`: those that the store has.
    pub indexes: Option<Vec<IndexChoice>>,
    /// What the store's own keys say.
    pub options: Arc<dyn TableOptions>,
}
