//! What a gateway is doing, in numbers: for whoever watches over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flywheel_postgres::Servers;
pub use flywheel_postgres::{ClusterFigures, PoolFigures, ReplicaFigures};

use crate::gateway::Gateway;
use crate::shared::Shared;
use crate::tally::Way;

pub use crate::caching::RuleFigures;

/// A gateway's figures at one moment. Counts are since its start.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Those who are connected.
    pub clients: ClientFigures,
    /// The databases that it serves, the main one first.
    pub databases: Vec<DatabaseFigures>,
    /// How many committed transactions could not be carried out in their stores when that was last tried.
    pub unfinished: usize,
    /// The pools that have been used.
    pub pools: Vec<(PoolName, PoolFigures)>,
    /// Who is the primary, and how the replicas are; `None` where there is one server only.
    pub cluster: Option<ClusterFigures>,
    /// The cache; `None`: there is no rule.
    pub cache: Option<CacheFigures>,
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
    /// How old the news of writes through other gateways may be, `None` in it: nothing is known. `None`: this one doesn't know of others.
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

impl Gateway {
    /// What it is doing now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let databases: Vec<_> = self.databases().collect();
        let main = databases[0];
        Figures {
            clients: self.clients(),
            databases: databases
                .iter()
                .map(|shared| DatabaseFigures {
                    name: shared.name().to_owned(),
                    in_transaction: shared.tally.open(),
                    statements: shared.tally.counts(),
                })
                .collect(),
            unfinished: main.outbox.left(),
            pools: databases.iter().flat_map(|shared| pools(shared)).collect(),
            cluster: main.options.servers.cluster.as_ref().map(flywheel_postgres::Cluster::figures),
            cache: main.caching.as_ref().map(|caching| CacheFigures {
                most_bytes: main.options.cache_memory,
                rules: caching.figures(),
                following: caching.follower().map(|follower| FollowingFigures {
                    lag: follower.lag(),
                    retained: follower.retained(),
                }),
                sharing: caching.sharing().map(|sharing| sharing.lag()),
            }),
        }
    }
}

fn pools(shared: &Arc<Shared>) -> Vec<(PoolName, PoolFigures)> {
    let name = |user: &Option<String>, servers: &Servers, replica| PoolName {
        database: shared.name().to_owned(),
        role: servers.primary.pool.server().user.clone(),
        user: user.clone(),
        replica,
    };
    let of = |(user, access): (Option<String>, Arc<crate::access::Access>)| {
        let servers = access.servers();
        let primary = (name(&user, servers, None), servers.primary.figures());
        let replicas = servers.replicas.iter().enumerate();
        let replicas = replicas.map(|(at, server)| (name(&user, servers, Some(at + 1)), server.figures()));
        std::iter::once(primary).chain(replicas).collect::<Vec<_>>()
    };
    shared.known_accesses().into_iter().flat_map(of).collect()
}
