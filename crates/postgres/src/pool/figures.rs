//! What a pool is doing, in numbers.

use std::sync::atomic::Ordering;

use super::Pool;

/// A server's connections in one pool, and those who want one. The counts are since the pool was
/// made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolFigures {
    /// Connections that are open and lent to nobody.
    pub idle: u32,
    /// Connections that are lent, with those that many clients use at the same time.
    pub in_use: u32,
    /// The latter alone.
    pub shared: usize,
    /// How many connections there may be.
    pub most: u32,
    /// How many wait for one now.
    pub waiting: usize,
    /// How many had to wait.
    pub waits: u64,
    /// How many have waited in vain.
    pub timeouts: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins that failed.
    pub failed_logins: u64,
}

impl Pool {
    /// What it is doing.
    pub(crate) fn figures(&self) -> PoolFigures {
        let state = self.connections.state();
        let (logins, failed_logins) = self.logins.counts();
        PoolFigures {
            idle: state.idle_connections,
            in_use: state.connections.saturating_sub(state.idle_connections),
            shared: 0,
            most: self.options.size,
            waiting: self.shortage.waiting(),
            waits: self.shortage.waits(),
            timeouts: self.timeouts.load(Ordering::Relaxed),
            logins,
            failed_logins,
        }
    }
}
