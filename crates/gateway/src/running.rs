//! What a cancel request ends at a server.

use std::sync::Arc;

use flywheel_postgres::{Answer, CancelKey, cancel};

/// A session's place among those that a cancel request can name.
pub(crate) type Registered = flywheel_front::Registered<Running>;

/// What runs for a session.
#[derive(Debug, Clone)]
pub(crate) enum Running {
    /// Whatever a server connection runs that is the session's own.
    Connection(CancelKey),
    /// The session's batch on a connection that it shares.
    Batch(Arc<Answer>),
}

impl flywheel_front::Running for Running {
    async fn cancel(&self) {
        match self {
            Self::Connection(key) => {
                if let Err(error) = cancel(key).await {
                    tracing::warn!(%error, "cancel request could not be passed on");
                }
            }
            Self::Batch(answer) => answer.cancel().await,
        }
    }
}
