//! `kind = "memory"` in the configuration file.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flywheel_kind::layout::{self, LayoutKeys};
use flywheel_kind::{
    Closing, CommonTable, Configured, Keys, OpenError, Opened, Place, Section, StoreKind,
    TableChoices,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::MemoryStore;

/// `kind = "memory"`.
#[derive(Debug, Clone, Copy)]
pub struct MemoryKind;

/// A store in Flywheel's own memory, for trying out and for tests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StoreKeys {
    /// A file that keeps the rows from one run to the next. Default: none, the rows are gone at
    /// the end.
    #[schemars(length(min = 1))]
    snapshot: Option<String>,
}

impl StoreKind for MemoryKind {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn title(&self) -> &'static str {
        "memory"
    }

    fn keys(&self) -> Keys {
        Keys::of::<StoreKeys>().with_table::<LayoutKeys>()
    }

    fn place(&self) -> Option<Place> {
        Some(Place { key: "snapshot", name: "memory.jsonl" })
    }

    fn configure(
        &self,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<Arc<dyn Configured>, serde_json::Error> {
        let keys: StoreKeys = serde_json::from_value(keys)?;
        Ok(Arc::new(ConfiguredMemory { snapshot: keys.snapshot.map(|path| section.file(&path)) }))
    }
}

#[derive(Debug)]
struct ConfiguredMemory {
    snapshot: Option<PathBuf>,
}

#[async_trait]
impl Configured for ConfiguredMemory {
    fn table(
        &self,
        common: &CommonTable,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<TableChoices, serde_json::Error> {
        Ok(TableChoices {
            allow_scan: true,
            consistent_read: true,
            indexes: Some(common.strong_indexes()),
            options: layout::choose(common, keys, section)?,
        })
    }

    async fn open(&self) -> Result<Opened, OpenError> {
        let store = match &self.snapshot {
            Some(path) => MemoryStore::open(path).map_err(|error| {
                OpenError::new(format!("can't read the snapshot {}", path.display()), error)
            })?,
            None => MemoryStore::new(),
        };
        let store = Arc::new(store);
        Ok(Opened { store: store.clone(), closing: Some(Box::new(Save(store))) })
    }
}

/// Keeps the rows for the next run.
#[derive(Debug)]
struct Save(Arc<MemoryStore>);

impl Closing for Save {
    fn close(self: Box<Self>) -> Result<(), OpenError> {
        self.0.save().map_err(|error| OpenError::new("can't keep the memory store's rows", error))
    }
}
