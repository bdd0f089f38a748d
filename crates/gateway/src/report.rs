//! What a gateway is doing, in figures.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flywheel_postgres::Servers;

use crate::access::Access;
use crate::figures::{
    CacheFigures, ClientFigures, DatabaseFigures, Figures, FollowingFigures, MemoryFigures,
    PoolFigures, PoolName,
};
use crate::reception::Reception;
use crate::shared::Shared;

impl Reception {
    /// What the gateway is doing now.
    pub(crate) fn figures(&self) -> Figures {
        let databases: Vec<_> = self.databases().collect();
        let main = databases[0];
        Figures {
            clients: clients(self),
            databases: databases
                .iter()
                .map(|shared| DatabaseFigures {
                    name: shared.name().to_owned(),
                    in_transaction: shared.tally.open(),
                    listening: shared.listeners.listening(),
                    listener_renewals: shared.listeners.renewals(),
                    statements: shared.tally.counts(),
                })
                .collect(),
            unfinished: main.stores.outbox.left(),
            foreign: main.stores.outbox.aside(),
            pools: databases.iter().flat_map(|shared| pools(shared)).collect(),
            cluster: main.options.servers.cluster.as_ref().map(flywheel_postgres::Cluster::figures),
            statement_memory: MemoryFigures {
                bytes: main.memory.texts.bytes(),
                most_bytes: main.memory.texts.most_bytes(),
            },
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

fn clients(reception: &Reception) -> ClientFigures {
    let arrivals = &reception.arrivals;
    ClientFigures {
        connected: reception.places.sessions(),
        most: reception.rules().most.all,
        sessions: arrivals.sessions.load(Ordering::Relaxed),
        refused: arrivals.refused.load(Ordering::Relaxed),
        turned_away: arrivals.turned_away.load(Ordering::Relaxed),
    }
}

fn pools(shared: &Arc<Shared>) -> Vec<(PoolName, PoolFigures)> {
    let name = |user: &Option<String>, servers: &Servers, replica| PoolName {
        database: shared.name().to_owned(),
        role: servers.primary.pool.server().user.clone(),
        user: user.clone(),
        replica,
    };
    let of = |(user, access): (Option<String>, Arc<Access>)| {
        let servers = access.servers();
        let primary = (name(&user, servers, None), servers.primary.figures());
        let replicas = servers.replicas.iter().enumerate();
        let replicas =
            replicas.map(|(at, server)| (name(&user, servers, Some(at + 1)), server.figures()));
        std::iter::once(primary).chain(replicas).collect::<Vec<_>>()
    };
    shared.accesses.known().into_iter().flat_map(of).collect()
}
