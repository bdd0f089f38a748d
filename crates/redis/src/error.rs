//! What an answer of Redis means to the gateway.

use flywheel_store::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn store_error(error: RedisError) -> StoreError {
    let reason = error.to_string();
    if error.is_io_error() {
        return StoreError::Unavailable { reason };
    }
    match error.kind() {
        // Starting, failing over, or a replica that was a primary until just now.
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ReadOnly,
        ) => StoreError::Unavailable { reason },
        ErrorKind::Server(ServerErrorKind::NoPerm) => StoreError::Forbidden { reason },
        _ if is_full(&error, &reason) => StoreError::Full { reason },
        _ if overloaded(&error, &reason) => StoreError::Throttled { reason },
        _ => StoreError::Refused { reason },
    }
}

/// Past its maxmemory, also inside a script, where older servers wrap the code.
fn is_full(error: &RedisError, reason: &str) -> bool {
    error.code() == Some("OOM") || reason.contains("OOM command not allowed")
}

/// Busy with a script, out of connections.
fn overloaded(error: &RedisError, reason: &str) -> bool {
    error.code() == Some("BUSY") || reason.contains("max number of clients reached")
}
