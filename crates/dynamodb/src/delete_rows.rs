//! Many rows deleted: DeleteItem, many at a time, each on condition that nobody has locked the row.
//! (BatchWriteItem takes no conditions.)

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure as OnFailure;
use flywheel_store::{StoreError, StoreTable};
use flywheel_types::Key;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    backoff::Backoff, client::DynamoStore, expression::Placeholders, key, lock, write::Failure,
};

/// Deletions on their way at once.
const CONCURRENT: usize = 32;
/// Further attempts when a transaction is at the item.
const ATTEMPTS_AFTER_CONFLICT: u32 = 6;

impl DynamoStore {
    pub(crate) async fn delete_rows(
        &self,
        table: &StoreTable,
        keys: &[Key],
    ) -> Result<(), StoreError> {
        let deletions: Vec<_> = (0..keys.len())
            .map(|position| self.delete_row(table, &keys[position], position))
            .collect();
        stream::iter(deletions).buffer_unordered(CONCURRENT).try_collect().await
    }

    async fn delete_row(
        &self,
        table: &StoreTable,
        key: &Key,
        position: usize,
    ) -> Result<(), StoreError> {
        let key = match key::encode(&table.table, key) {
            Ok(key) => key,
            // No row has it.
            Err(StoreError::LimitExceeded { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let name = self.table_name(table);
        let mut placeholders = Placeholders::default();
        let condition = lock::free(&mut placeholders);
        let (names, values) = placeholders.into_maps();
        // May be sent again: what is gone is deleted.
        let request = self
            .client
            .delete_item()
            .table_name(&name)
            .set_key(Some(key))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        let mut backoff = Backoff::new(ATTEMPTS_AFTER_CONFLICT);
        loop {
            let Err(error) = request.clone().send().await else { return Ok(()) };
            let error = match Failure::of(&name, &error) {
                Failure::Condition => StoreError::Refused {
                    reason: format!("an item of \"{name}\" has a lock that Flywheel didn't make"),
                },
                Failure::Store(StoreError::Locked { transaction, .. }) => {
                    StoreError::Locked { position, transaction }
                }
                Failure::Store(error) => error,
            };
            if !matches!(error, StoreError::Throttled { .. } | StoreError::Conflict { .. })
                || !backoff.wait().await
            {
                return Err(error);
            }
        }
    }
}
