//! `kind = "dynamodb"` in the configuration file.

use std::sync::Arc;

use async_trait::async_trait;
use flywheel_kind::{
    CommonTable, Configured, Keys, OpenError, Opened, SecretSource, Section, StoreKind,
    TableChoices,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::table::{IndexKeys, TableKeys, choose, is_name};
use crate::{DynamoStore, Options};

/// `kind = "dynamodb"`.
#[derive(Debug, Clone, Copy)]
pub struct DynamoKind;

/// Amazon DynamoDB.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StoreKeys {
    /// The AWS region. Default: what the AWS SDK finds in its environment.
    #[schemars(length(min = 1))]
    region: Option<String>,
    /// Another endpoint than AWS' own, such as http://127.0.0.1:8000 for DynamoDB Local.
    #[schemars(example = "http://127.0.0.1:8000")]
    endpoint: Option<String>,
    /// Put before the name of every table in DynamoDB. Default: nothing.
    table_prefix: Option<String>,
    /// Credentials; both or none. Default: the AWS SDK's credential chain.
    access_key_id: Option<SecretSource>,
    /// Credentials; both or none.
    secret_access_key: Option<SecretSource>,
    /// Whether reads see every write before them, at twice the price. Default: true.
    consistent_read: Option<bool>,
    /// How long one request may take, retries included, such as "5s". Default: 5s.
    #[schemars(example = "5s")]
    timeout: Option<String>,
}

impl StoreKind for DynamoKind {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    fn title(&self) -> &'static str {
        "DynamoDB"
    }

    fn keys(&self) -> Keys {
        Keys::of::<StoreKeys>().with_table::<TableKeys>().with_index::<IndexKeys>()
    }

    fn configure(
        &self,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<Arc<dyn Configured>, serde_json::Error> {
        let keys: StoreKeys = serde_json::from_value(keys)?;
        let consistent_read = keys.consistent_read.unwrap_or(true);
        Ok(Arc::new(ConfiguredDynamo { options: options(keys, section), consistent_read }))
    }
}

#[derive(Debug)]
struct ConfiguredDynamo {
    options: Options,
    /// What a table does that doesn't say.
    consistent_read: bool,
}

#[async_trait]
impl Configured for ConfiguredDynamo {
    fn table(
        &self,
        common: &CommonTable,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<TableChoices, serde_json::Error> {
        let choices =
            choose(&self.options.table_prefix, self.consistent_read, common, keys, section)?;
        // A scan is billed by what it reads.
        Ok(TableChoices { allow_scan: false, ..choices })
    }

    async fn open(&self) -> Result<Opened, OpenError> {
        Ok(Opened::new(Arc::new(DynamoStore::connect(self.options.clone()).await)))
    }
}

fn options(keys: StoreKeys, section: &mut Section<'_>) -> Options {
    if let Some(endpoint) = &keys.endpoint
        && !Url::parse(endpoint)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        section.mistake(
            &["endpoint"],
            format!("\"{endpoint}\" isn't an http or https url"),
            "such as http://127.0.0.1:8000",
        );
    }
    let credentials = match (&keys.access_key_id, &keys.secret_access_key) {
        (Some(id), Some(key)) => {
            section.secret(&["access_key_id"], id).zip(section.secret(&["secret_access_key"], key))
        }
        (None, None) => None,
        (id, _) => {
            let (given, missing) = match id {
                Some(_) => ("access_key_id", "secret_access_key"),
                None => ("secret_access_key", "access_key_id"),
            };
            if !section.is_there(&[missing]) {
                section.mistake(
                    &[given],
                    format!("`{given}` without `{missing}`"),
                    "give both, or none for the SDK's credential chain",
                );
            }
            None
        }
    };
    if let Some(prefix) = &keys.table_prefix
        && !is_name(prefix)
    {
        section.mistake(
            &["table_prefix"],
            format!("\"{prefix}\" can't begin the name of a table in DynamoDB"),
            "these names have letters, digits, _, - and .",
        );
    }
    Options {
        region: keys.region,
        endpoint: keys.endpoint,
        table_prefix: keys.table_prefix.unwrap_or_default(),
        timeout: section.duration(&["timeout"], keys.timeout.as_deref(), "5s"),
        credentials: credentials.map(|(id, key)| (id.expose().to_owned(), key.expose().to_owned())),
    }
}
