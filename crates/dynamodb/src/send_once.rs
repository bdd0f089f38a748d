//! Which failed writes may be sent again.
//!
//! A conditional write whose answer was lost may have been applied: sent again, its own row would
//! refuse it, and the client would hear of a duplicate that is its own. So a single write is
//! repeated only when DynamoDB said that it did nothing. (Transactions carry a token by which
//! DynamoDB recognises the repetition.)

use aws_sdk_dynamodb::{
    config::{
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction},
    },
    error::ProvideErrorMetadata,
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError,
    },
};

/// Forbids the repetition of requests whose effect is unknown.
#[derive(Debug)]
pub(crate) struct SendOnce;

impl ClassifyRetry for SendOnce {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(failure)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        let code = failure.as_operation_error().and_then(|error| {
            let put = error.downcast_ref::<PutItemError>().and_then(ProvideErrorMetadata::code);
            let update =
                || error.downcast_ref::<UpdateItemError>().and_then(ProvideErrorMetadata::code);
            let delete =
                || error.downcast_ref::<DeleteItemError>().and_then(ProvideErrorMetadata::code);
            put.or_else(update).or_else(delete)
        });
        by_code(code)
    }

    fn name(&self) -> &'static str {
        "writes are sent once"
    }
}

fn by_code(code: Option<&str>) -> RetryAction {
    match code {
        Some(
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "RequestLimitExceeded",
        ) => RetryAction::throttling_error(),
        // a transaction holds the item for a moment
        Some("TransactionConflictException") => RetryAction::transient_error(),
        _ => RetryAction::RetryForbidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_without_effect_are_repeated() {
        for code in ["ThrottlingException", "TransactionConflictException"] {
            assert!(by_code(Some(code)).should_retry(), "{code}");
        }
        for code in [None, Some("InternalServerError"), Some("ConditionalCheckFailedException")] {
            assert_eq!(by_code(code), RetryAction::RetryForbidden, "{code:?}");
        }
    }
}
