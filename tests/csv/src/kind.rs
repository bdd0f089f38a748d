//! `kind = "csv"` in the configuration file.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flywheel_kind::{
    CommonTable, Configured, Keys, OpenError, Opened, Section, StoreKind, TableChoices,
};
use flywheel_store::{Own, StoreTable, TableOptions};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::store::CsvStore;

/// `kind = "csv"`.
#[derive(Debug, Clone, Copy)]
pub struct CsvKind;

/// CSV files, which are read only.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StoreKeys {
    /// The folder of the files.
    #[schemars(length(min = 1))]
    folder: String,
}

/// A CSV file's own keys.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableKeys {
    /// For CSV: what stands between fields, one ASCII character. Default: a comma.
    separator: Option<String>,
}

/// What stands between the fields of a table's file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Separator(pub(crate) u8);

impl TableOptions for Separator {
    fn bind(&self, table: &mut StoreTable) -> Result<(), String> {
        table.own = Own::new(*self);
        Ok(())
    }
}

impl StoreKind for CsvKind {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn title(&self) -> &'static str {
        "CSV"
    }

    fn keys(&self) -> Keys {
        Keys::of::<StoreKeys>().with_table::<TableKeys>()
    }

    fn configure(
        &self,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<Arc<dyn Configured>, serde_json::Error> {
        let keys: StoreKeys = serde_json::from_value(keys)?;
        let folder = section.file(&keys.folder);
        if !folder.is_dir() {
            section.mistake(
                &["folder"],
                format!("{} isn't a folder", folder.display()),
                "give the path of a folder, absolute or relative to this file",
            );
        }
        Ok(Arc::new(ConfiguredCsv { folder }))
    }
}

#[derive(Debug)]
struct ConfiguredCsv {
    folder: PathBuf,
}

#[async_trait]
impl Configured for ConfiguredCsv {
    fn table(
        &self,
        common: &CommonTable,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<TableChoices, serde_json::Error> {
        let keys: TableKeys = serde_json::from_value(keys)?;
        let separator = match keys.separator.as_deref().map(str::as_bytes) {
            None => b',',
            Some(&[separator]) if !b"\"\r\n".contains(&separator) => separator,
            Some(_) => {
                section.mistake(
                    &["separator"],
                    "not a separator of fields",
                    "write one ASCII character, such as \";\"",
                );
                b','
            }
        };
        Ok(TableChoices {
            allow_scan: true,
            consistent_read: true,
            indexes: Some(common.strong_indexes()),
            options: Arc::new(Separator(separator)),
        })
    }

    async fn open(&self) -> Result<Opened, OpenError> {
        Ok(Opened::new(Arc::new(CsvStore::new(self.folder.clone()))))
    }
}
