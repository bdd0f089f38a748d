//! How far the gateway is: it serves, it ends, it is about to be gone.

use std::time::Duration;

use flywheel_wire::{PgError, sqlstate};
use tokio::sync::watch;

/// How long a session that is cut may take to tell its client.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Clients are served.
    Serving,
    /// Nobody is let in. Sessions end when they are idle outside a transaction block.
    Draining,
    /// Sessions end wherever they are.
    Cutting,
}

/// Waits until the gateway is that far.
pub(crate) async fn reached(stage: Stage, now: &mut watch::Receiver<Stage>) {
    // Whoever tells has gone only with the gateway.
    let _ = now.wait_for(|now| *now >= stage).await;
}

/// What clients are told then.
pub(crate) fn farewell() -> PgError {
    PgError::fatal(sqlstate::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}
