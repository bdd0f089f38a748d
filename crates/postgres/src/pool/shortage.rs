//! Who waits for a connection, for those who could spare one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A pool's shortage of connections.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    waiting: AtomicUsize,
    begun: Notify,
}

/// One who waits, until this is dropped.
#[derive(Debug)]
pub(super) struct Waiter(Arc<Shortage>);

impl Shortage {
    pub(super) fn waiter(self: &Arc<Self>) -> Waiter {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.begun.notify_one();
        Waiter(self.clone())
    }

    /// Whether somebody waits.
    pub(crate) fn is_on(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits until somebody has begun to wait.
    pub(crate) async fn begins(&self) {
        self.begun.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
