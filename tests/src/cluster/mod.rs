//! A PostgreSQL primary with streaming replicas of its own, which a test can pause, stop, start
//! again and promote.
//!
//! The servers are started by the test, on free ports, with their data in a temporary folder, and
//! are stopped at its end, also when it fails.

mod instance;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::Client;

use self::instance::Instance;
use crate::child::in_time;
use crate::tls::Certificate;
use crate::world::{Servers, column, connect};

/// A primary and its replicas: number 0 is the one that began as the primary.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they must go.
    instances: Vec<Instance>,
    _folder: TempDir,
}

impl Cluster {
    /// A primary with this many replicas, which have all that it has. `None`, with a note, when
    /// there are no servers to test with.
    pub async fn start(replicas: usize) -> Option<Self> {
        Servers::from_environment()?;
        let folder =
            tempfile::Builder::new().prefix("flywheel-cluster.").tempdir().expect("a folder");
        instance::give_to_postgres(folder.path()).await;
        let primary = Instance::create(&folder.path().join("0")).await;
        let mut instances = vec![primary];
        for number in 1..=replicas {
            let replica = instances[0].copy(&folder.path().join(number.to_string())).await;
            instances.push(replica);
        }
        let cluster = Self { instances, _folder: folder };
        for replica in 1..=replicas {
            cluster.catch_up(0, replica).await;
        }
        Some(cluster)
    }

    /// A server's port, as the statements on it see it (`inet_server_port()`).
    pub fn port(&self, server: usize) -> String {
        self.instances[server].port().to_string()
    }

    /// Where drivers find a server.
    pub fn url(&self, server: usize) -> String {
        self.url_of(&[server])
    }

    /// One url for several servers, in this order.
    pub fn url_of(&self, servers: &[usize]) -> String {
        let hosts: Vec<_> =
            servers.iter().map(|&server| format!("127.0.0.1:{}", self.port(server))).collect();
        format!("postgres://postgres@{}/postgres", hosts.join(","))
    }

    /// A client of a server, past the gateway.
    pub async fn client(&self, server: usize) -> Client {
        connect(&self.url(server)).await
    }

    /// Waits until a replica has replayed all that its primary has written.
    pub async fn catch_up(&self, primary: usize, replica: usize) {
        let end = column(&self.client(primary).await, "SELECT pg_current_wal_lsn()").await;
        let replica = self.client(replica).await;
        let caught_up = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", end[0]);
        in_time(async {
            while column(&replica, &caught_up).await != ["t"] {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// From now on a replica receives what its primary writes, and doesn't replay it.
    pub async fn pause_replay(&self, replica: usize) {
        let client = self.client(replica).await;
        column(&client, "SELECT pg_wal_replay_pause()").await;
        // Asked for, it is paused at the end of a record.
        in_time(async {
            while column(&client, "SELECT pg_get_wal_replay_pause_state()").await != ["paused"] {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Ends [`Self::pause_replay`].
    pub async fn resume_replay(&self, replica: usize) {
        column(&self.client(replica).await, "SELECT pg_wal_replay_resume()").await;
    }

    /// Stops a server as an administrator does: sessions are ended, and replicas have got all.
    pub async fn stop(&mut self, server: usize) {
        self.instances[server].stop("fast").await;
    }

    /// Stops a server as a crash does.
    pub async fn crash(&mut self, server: usize) {
        self.instances[server].stop("immediate").await;
    }

    /// Starts a stopped server again.
    pub async fn restart(&mut self, server: usize) {
        self.instances[server].start().await;
    }

    /// Has a server show this certificate, let in whom `hba` says (`pg_hba.conf`), and take
    /// certificates of this authority.
    pub async fn encrypt(
        &mut self,
        server: usize,
        shown: &Certificate,
        authority: &Path,
        hba: &str,
    ) {
        let instance = &mut self.instances[server];
        instance.stop("fast").await;
        instance.encrypt(shown, authority, hba);
        instance.start().await;
    }

    /// Makes a replica a primary, and waits until it takes writes.
    pub async fn promote(&self, replica: usize) {
        let promoted = column(
            &self.client(replica).await,
            "SELECT pg_promote(wait => true, wait_seconds => 60)",
        )
        .await;
        assert_eq!(promoted, ["t"]);
    }

    /// Makes a stopped server a replica of another.
    pub async fn follow(&mut self, server: usize, primary: usize) {
        let port = self.instances[primary].port();
        self.instances[server].follow(port);
    }
}
