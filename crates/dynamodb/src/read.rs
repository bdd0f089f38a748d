//! Rows by their keys.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use flywheel_store::{StoreError, StoreTable, now_micros};
use flywheel_types::{Key, Row};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    backoff::Backoff,
    client::DynamoStore,
    error::{incomplete, store_error},
    expression::Placeholders,
    item::{self, Item},
    key,
    limits::BATCH_GET_KEYS,
    projection,
};

/// Batches on their way at once.
const CONCURRENT_BATCHES: usize = 4;
/// Further attempts at keys that came back unprocessed, without any progress.
const ATTEMPTS_WITHOUT_PROGRESS: u32 = 8;

impl DynamoStore {
    pub(crate) async fn get_rows(
        &self,
        table: &StoreTable,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        // A key that DynamoDB can't store is no error: no row has it.
        let mut wanted = Vec::with_capacity(keys.len());
        for key in keys {
            match key::encode(&table.table, key) {
                Ok(attributes) => wanted.push(attributes),
                Err(StoreError::LimitExceeded { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let items = if wanted.len() > 1 {
            self.batch_get(table, wanted).await?
        } else {
            self.get_item(table, wanted.pop()).await?
        };
        let now = now_micros();
        let mut found = HashMap::with_capacity(items.len());
        for item in items {
            if let Some(row) = item::decode_live(table, item, now)? {
                found.insert(table.table.key_of(&row), row);
            }
        }
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    pub(crate) async fn get_item(
        &self,
        table: &StoreTable,
        key: Option<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        if key.is_none() {
            return Ok(Vec::new());
        }
        let name = self.table_name(table);
        let mut placeholders = Placeholders::default();
        let projection = projection::of(table, true, &mut placeholders);
        let answer = self
            .client
            .get_item()
            .table_name(&name)
            .set_key(key)
            .consistent_read(table.consistent_read)
            .set_projection_expression(projection)
            .set_expression_attribute_names(placeholders.into_maps().0)
            .send()
            .await
            .map_err(|error| store_error(&name, &error))?;
        Ok(answer.item.into_iter().collect())
    }

    pub(crate) async fn batch_get(
        &self,
        table: &StoreTable,
        keys: Vec<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        let batches: Vec<_> = keys
            .chunks(BATCH_GET_KEYS)
            .map(|batch| self.get_batch(table, batch.to_vec()))
            .collect();
        stream::iter(batches).buffer_unordered(CONCURRENT_BATCHES).try_concat().await
    }

    /// One BatchGetItem, again for what comes back unprocessed: past 16 MB, or throttled.
    async fn get_batch(
        &self,
        table: &StoreTable,
        keys: Vec<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        let name = self.table_name(table);
        let mut placeholders = Placeholders::default();
        let projection = projection::of(table, true, &mut placeholders);
        let mut wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(table.consistent_read)
            .set_projection_expression(projection)
            .set_expression_attribute_names(placeholders.into_maps().0)
            .build()
            .map_err(|error| incomplete(&error))?;
        let mut items = Vec::new();
        let mut backoff = Backoff::new(ATTEMPTS_WITHOUT_PROGRESS);
        loop {
            let asked = wanted.keys().len();
            let answer = self
                .client
                .batch_get_item()
                .request_items(&name, wanted)
                .send()
                .await
                .map_err(|error| store_error(&name, &error))?;
            let found: Vec<Item> =
                answer.responses.into_iter().flatten().flat_map(|(_, items)| items).collect();
            items.extend(found);
            let rest = answer.unprocessed_keys.into_iter().flatten().map(|(_, keys)| keys).next();
            let Some(rest) = rest.filter(|rest| !rest.keys().is_empty()) else {
                return Ok(items);
            };
            let unread = rest.keys().len();
            if unread < asked {
                backoff.reset();
            }
            wanted = rest;
            if !backoff.wait().await {
                return Err(StoreError::Throttled {
                    reason: format!(
                        "{unread} keys of \"{name}\" stayed unprocessed after {ATTEMPTS_WITHOUT_PROGRESS} attempts"
                    ),
                });
            }
        }
    }
}
