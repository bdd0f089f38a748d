//! How a pool keeps its connections.

use std::time::{Duration, Instant};

/// What a pool may have, and what its connections live through.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// How many connections at most.
    pub size: u32,
    /// How many of them are shared by clients at the same time.
    pub shared: usize,
    /// How long one waits for a connection.
    pub acquire_timeout: Duration,
    /// The longest pause between attempts to log in while they fail.
    pub login_retry: Duration,
    /// How connections come and go while nobody asks for one. `None`: the pool leaves them as they
    /// are.
    pub lifetimes: Option<Lifetimes>,
    /// Where `size` is configured, for the error of one who has waited in vain: "`pool_size` of the
    /// PostgreSQL store".
    pub sized_by: String,
}

/// How connections come and go.
#[derive(Debug, Clone)]
pub struct Lifetimes {
    /// How old a connection becomes at most.
    pub max_lifetime: Duration,
    /// How long a connection is kept without being used.
    pub idle_timeout: Duration,
    /// A connection that has been idle for longer is asked whether it still works before somebody
    /// gets it.
    pub check_after: Duration,
    /// How many idle connections are held ready.
    pub min_idle: u32,
}

impl Lifetimes {
    /// When a connection made now is at its end: each a little earlier than it may be, so that
    /// those that were made together don't end together.
    pub(super) fn end(&self) -> Instant {
        Instant::now() + self.max_lifetime.mul_f64(rand::random_range(0.8..1.0))
    }

    /// How often it is looked for connections that are to be closed.
    pub(super) fn interval(&self) -> Duration {
        let shortest = self.idle_timeout.min(self.max_lifetime);
        (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(30))
    }
}
