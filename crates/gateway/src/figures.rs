//! What a gateway is doing, in numbers: for whoever watches over it.
//!
//! They are plain fields that know nothing of HTTP. `metrics/collector.rs` makes a family of each,
//! the guide's chapter on operations has a row for it, and `tests/e2e/metrics.rs` reads it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use flywheel_postgres::{ClusterFigures, PoolFigures, ReplicaFigures};

use flywheel_execute::Way;

pub use flywheel_answers::RuleFigures;

/// A gateway's figures at one moment. Counts are since its start.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Those who are connected.
    pub clients: ClientFigures,
    /// The databases that it serves, the main one first.
    pub databases: Vec<DatabaseFigures>,
    /// How many committed transactions could not be carried out in their stores when that was last
    /// tried.
    pub unfinished: usize,
    /// How many rows of the outbox were put aside, since no gateway has written them.
    pub foreign: usize,
    /// The pools that have been used.
    pub pools: Vec<(PoolName, PoolFigures)>,
    /// Who is the primary, and how the replicas are; `None` where there is one server only.
    pub cluster: Option<ClusterFigures>,
    /// How much memory is taken by what is kept of statements by their texts, and how much may be.
    pub statement_memory: MemoryFigures,
    /// The cache; `None`: there is no rule.
    pub cache: Option<CacheFigures>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryFigures {
    /// How much is taken.
    pub bytes: u64,
    /// How much may be.
    pub most_bytes: u64,
}

/// Clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientFigures {
    /// How many are connected.
    pub connected: usize,
    /// How many may be.
    pub most: usize,
    /// How many sessions have begun.
    pub sessions: u64,
    /// How many logins were refused, or failed.
    pub refused: u64,
    /// How many were turned away since there were too many.
    pub turned_away: u64,
}

/// A database.
#[derive(Debug, Clone)]
pub struct DatabaseFigures {
    /// Its name to clients.
    pub name: String,
    /// How many sessions are in a transaction.
    pub in_transaction: usize,
    /// How many sessions listen to notifications, over one connection.
    pub listening: usize,
    /// How often that connection was lost and made anew.
    pub listener_renewals: u64,
    /// Its statements, by the way in which they were answered.
    pub statements: Vec<(Way, u64)>,
}

/// Which pool it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolName {
    /// The database's name to clients.
    pub database: String,
    /// The role in PostgreSQL.
    pub role: String,
    /// The user whose own it is; `None`: everybody's who has none.
    pub user: Option<String>,
    /// The number of the replica that it leads to, from 1; `None`: to the primary.
    pub replica: Option<usize>,
}

/// The cache.
#[derive(Debug, Clone)]
pub struct CacheFigures {
    /// How much memory answers may take, in bytes.
    pub most_bytes: u64,
    /// The rules, in their order.
    pub rules: Vec<RuleFigures>,
    /// What is known of changes past this gateway; `None`: no rule needs it.
    pub following: Option<FollowingFigures>,
    /// How old the news of writes through other gateways may be, `None` in it: nothing is known.
    /// `None`: this one doesn't know of others.
    pub sharing: Option<Option<Duration>>,
}

/// How changes past the gateway are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowingFigures {
    /// How old the news may be; `None`: nothing is known.
    pub lag: Option<Duration>,
    /// How much of its log PostgreSQL keeps for it, in bytes.
    pub retained: u64,
}

/// Counts of what clients have met before they had a session.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) sessions: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) turned_away: AtomicU64,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
