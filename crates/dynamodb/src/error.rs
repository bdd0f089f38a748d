//! The SDK's errors as the store's.

use std::{error::Error, fmt::Debug};

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use flywheel_store::StoreError;

/// What an error of a request about `table` means.
pub(crate) fn store_error<E, R>(table: &str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: Debug,
{
    match error {
        SdkError::ServiceError(answer) => by_code(
            table,
            answer.err().code().unwrap_or("unknown error"),
            answer.err().message().unwrap_or("no message"),
        ),
        SdkError::ConstructionFailure(_) => StoreError::Refused { reason: chain(error) },
        _ => StoreError::Unavailable { reason: chain(error) },
    }
}

/// What an error code means.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
pub(crate) fn by_code(table: &str, code: &str, message: &str) -> StoreError {
    let reason = format!("{code}: {message}");
    match code {
        "ResourceNotFoundException" => StoreError::NoSuchTable { name: table.to_owned() },
        "ProvisionedThroughputExceededException"
        | "ProvisionedThroughputExceeded"
        | "ThrottlingException"
        | "ThrottlingError"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException" => StoreError::Throttled { reason },
        "TransactionConflictException"
        | "TransactionConflict"
        | "TransactionInProgressException" => StoreError::Conflict { reason },
        "InternalServerError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => StoreError::Unavailable { reason },
        "ItemCollectionSizeLimitExceededException" | "ItemCollectionSizeLimitExceeded" => {
            StoreError::LimitExceeded { what: reason }
        }
        // "Item size has exceeded the maximum allowed size", the same for "Item size to update",
        // expressions and transactions; "The expression contains too many operators" past 300
        "ValidationException" | "ValidationError"
            if message.contains("exceeded the maximum")
                || message.contains("too many operators") =>
        {
            StoreError::LimitExceeded { what: reason }
        }
        _ => StoreError::Refused { reason },
    }
}

/// A request that the SDK's builder refuses.
pub(crate) fn incomplete(error: &BuildError) -> StoreError {
    StoreError::Refused { reason: error.to_string() }
}

/// The error and its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !out.ends_with(&text) {
            out = format!("{out}: {text}");
        }
        cause = error.source();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        assert_eq!(
            by_code("t", "ResourceNotFoundException", "Requested resource not found"),
            StoreError::NoSuchTable { name: "t".into() }
        );
        assert!(matches!(by_code("t", "ThrottlingException", ""), StoreError::Throttled { .. }));
        assert!(matches!(
            by_code("t", "ValidationException", "Item size has exceeded the maximum allowed size"),
            StoreError::LimitExceeded { .. }
        ));
        assert_eq!(
            by_code("t", "AccessDeniedException", "no"),
            StoreError::Refused { reason: "AccessDeniedException: no".into() }
        );
    }
}
