//! Who waits for a connection, for those who could spare one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A pool's shortage of connections.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    waiting: AtomicUsize,
    /// How many have waited ever since.
    waits: AtomicU64,
    begun: Notify,
}

/// One who waits, until this is dropped.
#[derive(Debug)]
pub(super) struct Waiter(Arc<Shortage>);

impl Shortage {
    pub(super) fn waiter(self: &Arc<Self>) -> Waiter {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.begun.notify_one();
        Waiter(self.clone())
    }

    /// Whether somebody waits.
    pub(crate) fn is_on(&self) -> bool {
        self.waiting() > 0
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many have waited, those who do so now among them.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
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
