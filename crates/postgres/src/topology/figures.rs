//! What is known of a cluster's servers, in numbers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Cluster;
use crate::Host;

/// A cluster's servers, as they were last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Who is the primary; `None`: nobody.
    pub primary: Option<Host>,
    /// The replicas, by their numbers.
    pub replicas: Vec<ReplicaFigures>,
}

/// A replica, as it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaFigures {
    /// Its host, as it is configured.
    pub host: Host,
    /// Whether it is read from.
    pub is_used: bool,
    /// How far it is behind the primary, in time and in bytes of the log; `None`: nobody knows.
    pub lag: Option<(Duration, u64)>,
    /// How many statements are under way on it.
    pub busy: usize,
    /// How often it was given up because it had failed somebody.
    pub ejections: u64,
}

impl Cluster {
    /// What is known of its servers.
    #[must_use]
    pub fn figures(&self) -> ClusterFigures {
        let state = self.shared.state.borrow();
        let mut replicas = state.replica_figures();
        for (replica, busy) in replicas.iter_mut().zip(&self.shared.busy) {
            replica.busy = busy.load(Ordering::Relaxed);
        }
        ClusterFigures { primary: state.primary_host(), replicas }
    }
}
