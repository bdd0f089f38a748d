//! Tables made, removed and compared with their definition.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata,
    types::{
        AttributeDefinition, BillingMode, IndexStatus, KeySchemaElement, KeyType,
        ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification,
        TimeToLiveStatus,
    },
};
use flywheel_store::{StoreError, StoreTable};

use crate::{
    client::DynamoStore,
    error::{incomplete, store_error},
    index,
    item::TTL_ATTRIBUTE,
    key::{self, Part},
};

/// How long a table may take to be made or removed. AWS takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LONGEST_LOOK: Duration = Duration::from_secs(2);

impl DynamoStore {
    pub(crate) async fn make_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        let name = self.table_name(table);
        let mut request =
            self.client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
        for attribute in key::attributes(&table.table) {
            let definition = AttributeDefinition::builder()
                .attribute_name(attribute.name)
                .attribute_type(attribute.ty)
                .build();
            let element = KeySchemaElement::builder()
                .attribute_name(attribute.name)
                .key_type(key_type(attribute.part))
                .build();
            request = request
                .attribute_definitions(definition.map_err(|error| incomplete(&error))?)
                .key_schema(element.map_err(|error| incomplete(&error))?);
        }
        request = index::with_indexes(table, request)?;
        match request.send().await {
            Ok(_) => {}
            Err(error) if error.code() == Some("ResourceInUseException") => {} // it is there, perhaps still in the making
            Err(error) => return Err(store_error(&name, &error)),
        }
        let description = self
            .settled(&name, |description| {
                description.is_none_or(|table| {
                    let indexes = table.global_secondary_indexes().iter();
                    table.table_status() == Some(&TableStatus::Active)
                        && indexes
                            .filter_map(|index| index.index_status())
                            .all(|status| *status == IndexStatus::Active)
                })
            })
            .await?;
        let Some(description) = description else {
            return Err(StoreError::NoSuchTable { name });
        };
        let differences = differences(table, &description);
        if !differences.is_empty() {
            return Err(StoreError::Refused {
                reason: format!(
                    "table \"{name}\" is there already with another key or other indexes: {}",
                    differences.join("; ")
                ),
            });
        }
        if table.expires_at.is_some() {
            self.sweep_expired(&name).await?;
        }
        Ok(())
    }

    pub(crate) async fn remove_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        let name = self.table_name(table);
        loop {
            match self.client.delete_table().table_name(&name).send().await {
                Ok(_) => break,
                Err(error) => match error.code() {
                    Some("ResourceNotFoundException") => return Ok(()),
                    Some("ResourceInUseException") => {
                        // being made, changed or removed by somebody: a table can be removed when
                        // it is active
                        let state = self
                            .settled(&name, |description| {
                                description.is_none_or(|table| {
                                    table.table_status() == Some(&TableStatus::Active)
                                })
                            })
                            .await?;
                        if state.is_none() {
                            return Ok(());
                        }
                    }
                    _ => return Err(store_error(&name, &error)),
                },
            }
        }
        self.settled(&name, |description| description.is_none()).await.map(|_| ())
    }

    pub(crate) async fn compare_table(
        &self,
        table: &StoreTable,
    ) -> Result<Vec<String>, StoreError> {
        let name = self.table_name(table);
        Ok(match self.describe_table(&name).await? {
            Some(description) => {
                let mut found = differences(table, &description);
                if table.expires_at.is_some() {
                    found.extend(self.sweeping_problem(&name).await);
                }
                found
            }
            None => vec![format!("table \"{name}\" isn't in DynamoDB")],
        })
    }

    pub(crate) async fn answers(&self) -> Result<(), StoreError> {
        self.client
            .list_tables()
            .limit(1)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| store_error("", &error))
    }

    /// Has DynamoDB delete expired rows, in days; reads and conditions don't rely on it.
    async fn sweep_expired(&self, name: &str) -> Result<(), StoreError> {
        let specification = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name(TTL_ATTRIBUTE)
            .build()
            .map_err(|error| incomplete(&error))?;
        let Err(error) = self
            .client
            .update_time_to_live()
            .table_name(name)
            .time_to_live_specification(specification)
            .send()
            .await
        else {
            return Ok(());
        };
        let error = store_error(name, &error);
        // "TimeToLive is already enabled" comes as a ValidationException
        if self.has_endpoint
            || matches!(&error, StoreError::Refused { reason } if reason.contains("already enabled"))
        {
            tracing::debug!(table = name, %error, "time to live isn't enabled anew");
        } else {
            tracing::warn!(table = name, %error, "expired rows will stay in DynamoDB, unseen: time to live couldn't be enabled");
        }
        Ok(())
    }

    /// Why DynamoDB doesn't delete expired rows, if so.
    async fn sweeping_problem(&self, name: &str) -> Option<String> {
        let answer = match self.client.describe_time_to_live().table_name(name).send().await {
            Ok(answer) => answer,
            // An emulator may not know the operation.
            Err(_) if self.has_endpoint => return None,
            Err(error) => {
                let error = store_error(name, &error);
                return Some(format!(
                    "whether DynamoDB deletes expired rows can't be told: {error}"
                ));
            }
        };
        let description = answer.time_to_live_description?;
        let is_on = matches!(
            description.time_to_live_status(),
            Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
        );
        match description.attribute_name() {
            Some(TTL_ATTRIBUTE) if is_on => None,
            Some(other) if is_on => Some(format!(
                "its time to live is on the attribute \"{other}\", where Flywheel writes \"{TTL_ATTRIBUTE}\": expired rows stay in DynamoDB, unseen"
            )),
            _ => Some(format!(
                "its time to live isn't enabled on \"{TTL_ATTRIBUTE}\": expired rows stay in DynamoDB, unseen"
            )),
        }
    }

    pub(crate) async fn describe_table(
        &self,
        name: &str,
    ) -> Result<Option<TableDescription>, StoreError> {
        match self.client.describe_table().table_name(name).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(store_error(name, &error)),
        }
    }

    /// Looks at the table until `is_settled`.
    async fn settled(
        &self,
        name: &str,
        is_settled: impl Fn(Option<&TableDescription>) -> bool,
    ) -> Result<Option<TableDescription>, StoreError> {
        let look = async {
            let mut pause = FIRST_LOOK;
            loop {
                let description = self.describe_table(name).await?;
                if is_settled(description.as_ref()) {
                    return Ok(description);
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_LOOK);
            }
        };
        let late = || StoreError::Unavailable {
            reason: format!(
                "table \"{name}\" is still being made or removed after {} seconds",
                PATIENCE.as_secs()
            ),
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| Err(late()))
    }
}

pub(crate) fn key_type(part: Part) -> KeyType {
    match part {
        Part::Partition => KeyType::Hash,
        Part::Sort => KeyType::Range,
    }
}

/// How the key and the indexes of a table differ from the definition's, a sentence each.
fn differences(table: &StoreTable, description: &TableDescription) -> Vec<String> {
    let types: HashMap<&str, &ScalarAttributeType> = description
        .attribute_definitions()
        .iter()
        .map(|definition| (definition.attribute_name(), definition.attribute_type()))
        .collect();
    let mut differences = Vec::new();
    for part in [Part::Partition, Part::Sort] {
        let actual = description
            .key_schema()
            .iter()
            .find(|element| *element.key_type() == key_type(part))
            .map(|element| {
                format!(
                    "\"{}\" ({})",
                    element.attribute_name(),
                    types.get(element.attribute_name()).map_or("?", |ty| ty.as_str())
                )
            });
        let wanted = key::attributes(&table.table)
            .into_iter()
            .find(|attribute| attribute.part == part)
            .map(|attribute| format!("\"{}\" ({})", attribute.name, attribute.ty.as_str()));
        let name = part.name();
        match (actual, wanted) {
            (Some(actual), Some(wanted)) if actual != wanted => differences
                .push(format!("the {name} is {actual}, where the definition has {wanted}")),
            (Some(actual), None) => differences
                .push(format!("there is a {name}, {actual}, where the definition has none")),
            (None, Some(wanted)) => {
                differences.push(format!("there is no {name}, where the definition has {wanted}"))
            }
            _ => {}
        }
    }
    differences.extend(index::differences(table, description));
    differences
}
