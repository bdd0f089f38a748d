//! Single writes: PutItem, UpdateItem and DeleteItem, each with its condition.

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError,
    },
    types::{
        ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure,
        error::ConditionalCheckFailedException,
    },
};
use flywheel_store::{Applied, Change, Effect, StoreError, StoreTable, now_micros};

use crate::{
    change::{Action, Planned, Request, plan},
    client::DynamoStore,
    error::store_error,
    item, lock,
};

impl DynamoStore {
    pub(crate) async fn write_one(
        &self,
        table: &StoreTable,
        change: &Change,
    ) -> Result<Applied, StoreError> {
        let now = now_micros();
        let request = match plan(table, change, now)? {
            Planned::Send(request) => request,
            Planned::Refuse => return Ok(Applied::Refused),
            Planned::Nothing => return Ok(Applied::Done(None)),
        };
        let name = self.table_name(table);
        let Request { action, condition, placeholders, .. } = request;
        let (names, values) = placeholders.into_maps();
        let attributes = match action {
            Action::Put(item) => {
                let answer = self
                    .writer
                    .put_item()
                    .table_name(&name)
                    .set_item(Some(item))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .send()
                    .await;
                answer.map(|_| None).map_err(|error| Failure::of(&name, &error))
            }
            Action::Update(key, expression) => {
                let answer = self
                    .writer
                    .update_item()
                    .table_name(&name)
                    .set_key(Some(key))
                    .set_update_expression(expression)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values(ReturnValue::AllNew)
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .send()
                    .await;
                answer.map(|answer| answer.attributes).map_err(|error| Failure::of(&name, &error))
            }
            Action::Delete(key) => {
                let answer = self
                    .writer
                    .delete_item()
                    .table_name(&name)
                    .set_key(Some(key))
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values(ReturnValue::AllOld)
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .send()
                    .await;
                answer.map(|answer| answer.attributes).map_err(|error| Failure::of(&name, &error))
            }
        };
        let attributes = match attributes {
            Ok(attributes) => attributes,
            Err(Failure::Condition) => return Ok(Applied::Refused),
            Err(Failure::Store(error)) => return Err(error),
        };
        Ok(Applied::Done(match &change.effect {
            Effect::Put(row) => Some(row.clone()),
            Effect::Set(_) => attributes.map(|item| item::decode_written(table, item)),
            Effect::Delete => attributes
                .filter(|item| !item.is_empty())
                .map(|item| item::decode_written(table, item))
                .filter(|row| !table.is_expired(row, now)),
        }))
    }
}

/// Why a write wasn't applied.
pub(crate) enum Failure {
    Condition,
    Store(StoreError),
}

/// The errors of single writes, each with its condition.
pub(crate) trait WriteError: ProvideErrorMetadata + std::error::Error + 'static {
    /// The condition that didn't hold, with the item for which it didn't.
    fn condition(&self) -> Option<&ConditionalCheckFailedException>;
}

macro_rules! write_errors {
    ($($error:ident),*) => {
        $(impl WriteError for $error {
            fn condition(&self) -> Option<&ConditionalCheckFailedException> {
                match self {
                    Self::ConditionalCheckFailedException(failed) => Some(failed),
                    _ => None,
                }
            }
        })*
    };
}

write_errors!(PutItemError, UpdateItemError, DeleteItemError);

impl Failure {
    pub(crate) fn of<E: WriteError, R: std::fmt::Debug>(
        table: &str,
        error: &SdkError<E, R>,
    ) -> Self {
        let Some(failed) = error.as_service_error().and_then(WriteError::condition) else {
            return Self::Store(store_error(table, error));
        };
        match failed.item().and_then(lock::holder) {
            Some(transaction) => Self::Store(StoreError::Locked { position: 0, transaction }),
            None => Self::Condition,
        }
    }
}
