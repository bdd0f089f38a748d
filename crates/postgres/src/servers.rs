//! The servers behind a gateway, as one role sees them in one database.

use std::time::Duration;

use crate::{
    Cluster, InUse, Login, Multiplexer, Pool, PoolFigures, PoolOptions, Seen, ServerError,
};

/// One server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its connections.
    pub pool: Pool,
    /// Those of them that many clients use at the same time.
    pub multiplexer: Option<Multiplexer>,
}

/// The primary and its replicas.
#[derive(Debug, Clone)]
pub struct Servers {
    /// The primary, whichever server that is.
    pub primary: Server,
    /// Its replicas, by their numbers in the cluster.
    pub replicas: Vec<Server>,
    /// Who is the primary, and which replicas are usable. `None` where there is one server only,
    /// and nothing to choose.
    pub cluster: Option<Cluster>,
}

impl Server {
    /// A server.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { multiplexer: Multiplexer::new(pool.clone()), pool }
    }

    /// What its connections are doing.
    #[must_use]
    pub fn figures(&self) -> PoolFigures {
        let figures = self.pool.figures();
        match &self.multiplexer {
            None => figures,
            Some(multiplexer) => PoolFigures {
                shared: multiplexer.connections(),
                waiting: figures.waiting + multiplexer.waiting(),
                ..figures
            },
        }
    }
}

impl Servers {
    /// One server alone.
    #[must_use]
    pub fn single(primary: Server) -> Self {
        Self { primary, replicas: Vec::new(), cluster: None }
    }

    /// The same servers, over connections of their own, for another database or role. Who is the
    /// primary and which replicas are usable is one knowledge.
    #[must_use]
    pub fn under(&self, login: &Login, options: &PoolOptions) -> Self {
        let server = |server: &Server| Server::new(server.pool.under(login, options.clone()));
        Self {
            primary: server(&self.primary),
            replicas: self.replicas.iter().map(server).collect(),
            cluster: self.cluster.clone(),
        }
    }

    /// The replica to read from: see [`Cluster::choose`]. `None`: the primary is to answer.
    #[must_use]
    pub fn replica(&self, seen: &Seen, tried: &[usize]) -> Option<InUse> {
        self.cluster.as_ref()?.choose(seen, tried)
    }

    /// The replica to read from, where it may be waited for: see [`Cluster::choose_soon`].
    pub async fn replica_soon(
        &self,
        seen: &Seen,
        tried: &[usize],
        patience: Duration,
    ) -> Option<InUse> {
        self.cluster.as_ref()?.choose_soon(seen, tried, patience).await
    }

    /// A session waits to be answered by a replica again: see [`Cluster::hasten`].
    pub fn hasten(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.hasten();
        }
    }

    /// A replica that was chosen.
    #[must_use]
    pub fn server_of(&self, replica: &InUse) -> &Server {
        self.replicas.get(replica.replica()).unwrap_or(&self.primary)
    }

    /// A replica has failed somebody: see [`Cluster::eject`].
    pub fn eject(&self, replica: usize, reason: &ServerError) {
        if let Some(cluster) = &self.cluster {
            cluster.eject(replica, reason);
        }
    }

    /// Something has happened that a change of roles may be behind.
    pub fn suspect(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.suspect();
        }
    }
}
