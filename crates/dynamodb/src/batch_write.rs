//! Many rows deleted: BatchWriteItem, which takes no conditions and isn't all or none. (Rows that are loaded are put on condition that their
//! keys are absent, which only TransactWriteItems can.)

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use flywheel_store::{StoreError, StoreTable};
use flywheel_types::Key;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    backoff::Backoff,
    client::DynamoStore,
    error::{incomplete, store_error},
    key,
    limits::BATCH_WRITE_ITEMS,
};

/// Batches on their way at once.
const CONCURRENT_BATCHES: usize = 4;
/// Further attempts at what came back unprocessed, without any progress.
const ATTEMPTS_WITHOUT_PROGRESS: u32 = 8;

impl DynamoStore {
    pub(crate) async fn delete_rows(&self, table: &StoreTable, keys: &[Key]) -> Result<(), StoreError> {
        let mut requests = Vec::with_capacity(keys.len());
        for key in keys {
            let key = match key::encode(&table.table, key) {
                Ok(key) => key,
                // No row has it.
                Err(StoreError::LimitExceeded { .. }) => continue,
                Err(error) => return Err(error),
            };
            let delete = DeleteRequest::builder()
                .set_key(Some(key))
                .build()
                .map_err(|error| incomplete(&error))?;
            requests.push(WriteRequest::builder().delete_request(delete).build());
        }
        let batches: Vec<_> = requests
            .chunks(BATCH_WRITE_ITEMS)
            .map(|batch| self.write_batch(table, batch.to_vec()))
            .collect();
        stream::iter(batches).buffer_unordered(CONCURRENT_BATCHES).try_collect().await
    }

    /// One BatchWriteItem, again for what comes back unprocessed.
    async fn write_batch(&self, table: &StoreTable, mut requests: Vec<WriteRequest>) -> Result<(), StoreError> {
        let name = self.table_name(table);
        let mut backoff = Backoff::new(ATTEMPTS_WITHOUT_PROGRESS);
        loop {
            let asked = requests.len();
            let answer = self
                .client
                .batch_write_item()
                .request_items(&name, requests)
                .send()
                .await
                .map_err(|error| store_error(&name, &error))?;
            requests = answer.unprocessed_items.into_iter().flatten().flat_map(|(_, rest)| rest).collect();
            if requests.is_empty() {
                return Ok(());
            }
            if requests.len() < asked {
                backoff.reset();
            }
            if !backoff.wait().await {
                return Err(StoreError::Throttled {
                    reason: format!(
                        "{} deletions in \"{name}\" stayed unprocessed after {ATTEMPTS_WITHOUT_PROGRESS} attempts",
                        requests.len()
                    ),
                });
            }
        }
    }
}
