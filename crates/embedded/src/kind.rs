//! `kind = "embedded-dynamodb"` in the configuration file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flywheel_dynamodb::table::{IndexKeys, TableKeys, choose};
use flywheel_dynamodb::{DynamoStore, Options};
use flywheel_kind::{
    Closing, CommonTable, Configured, Keys, OpenError, Opened, Place, Section, StoreKind,
    TableChoices,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::EmbeddedDynamo;

/// `kind = "embedded-dynamodb"`.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedDynamoKind;

/// A DynamoDB-compatible store inside Flywheel, for trying out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StoreKeys {
    /// The folder of its data. Default: memory.
    #[schemars(length(min = 1))]
    data: Option<String>,
}

impl StoreKind for EmbeddedDynamoKind {
    fn name(&self) -> &'static str {
        "embedded-dynamodb"
    }

    fn title(&self) -> &'static str {
        "DynamoDB"
    }

    fn keys(&self) -> Keys {
        Keys::of::<StoreKeys>().with_table::<TableKeys>().with_index::<IndexKeys>()
    }

    fn place(&self) -> Option<Place> {
        Some(Place { key: "data", name: "dynamodb" })
    }

    fn configure(
        &self,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<Arc<dyn Configured>, serde_json::Error> {
        let keys: StoreKeys = serde_json::from_value(keys)?;
        Ok(Arc::new(ConfiguredDynamo { data: keys.data.map(|path| section.file(&path)) }))
    }
}

#[derive(Debug)]
struct ConfiguredDynamo {
    data: Option<PathBuf>,
}

#[async_trait]
impl Configured for ConfiguredDynamo {
    fn table(
        &self,
        common: &CommonTable,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<TableChoices, serde_json::Error> {
        choose("", true, common, keys, section)
    }

    async fn open(&self) -> Result<Opened, OpenError> {
        let data = self.data.clone();
        let starting = tokio::task::spawn_blocking(move || EmbeddedDynamo::start(data.as_deref()));
        let failed =
            |error: anyhow::Error| OpenError::new("can't start the embedded DynamoDB", error);
        let started = starting.await.map_err(|error| failed(error.into()))?;
        let server = started.map_err(failed)?;
        let options = Options {
            region: Some("local".into()),
            endpoint: Some(server.endpoint().to_owned()),
            table_prefix: String::new(),
            timeout: Duration::from_secs(10),
            credentials: Some(("embedded".into(), "embedded".into())),
        };
        Ok(Opened {
            store: Arc::new(DynamoStore::connect(options).await),
            closing: Some(Box::new(Stop(server))),
        })
    }
}

/// Ends the server.
#[derive(Debug)]
struct Stop(EmbeddedDynamo);

impl Closing for Stop {
    fn close(self: Box<Self>) -> Result<(), OpenError> {
        let stopped = self.0.stop();
        stopped.map_err(|error| OpenError::new("can't stop the embedded DynamoDB", error))
    }
}
