//! One stream after the other: a stream that breaks is followed by another, and what may have been missed between them is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flywheel_postgres::{Host, Pool, ServerOptions};
use flywheel_types::TableName;
use flywheel_wire::quote::literal;
use pgwire_replication::{ReplicationClient, ReplicationConfig, ReplicationEvent};

use crate::heartbeat::{Heartbeat, PREFIX};
use crate::pgoutput::{self, Message, Tuple};
use crate::relation::Relations;
use crate::{Relation, ReplicationError, publication};

/// The pause before a stream is begun anew, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Who wants to know of changes.
pub trait Listener: Send + Sync {
    /// A row of a table has changed, by a transaction that has committed: what is told of it before (only where its identity has changed, or it went)
    /// and after.
    fn row_changed(&self, relation: &Relation, old: Option<&Tuple>, new: Option<&Tuple>);

    /// A table was emptied.
    fn table_changed(&self, relation: &Relation);

    /// Changes may have been missed: anything may be other than it was.
    fn missed(&self);
}

/// What to follow.
#[derive(Debug, Clone)]
pub struct Options {
    /// The tables.
    pub tables: Vec<TableName>,
    /// The publication's name. It is made when it isn't there, and given the tables that it lacks.
    pub publication: String,
    /// How often a message is sent through the log.
    pub heartbeat: Duration,
    /// How much of its log PostgreSQL may keep for a stream that is slow, in bytes; one that needs more is ended.
    pub max_retained: u64,
}

/// Follows tables.
#[derive(Debug)]
pub struct Follower {
    pool: Pool,
    options: Options,
    heartbeat: Heartbeat,
    /// How much of its log PostgreSQL keeps for the stream, as it was last seen.
    retained: AtomicU64,
}

impl Follower {
    /// A follower that hasn't begun. `pool` leads to the primary; its role needs REPLICATION.
    #[must_use]
    pub fn new(pool: Pool, options: Options) -> Arc<Self> {
        Arc::new(Self {
            pool,
            options,
            heartbeat: Heartbeat::default(),
            retained: AtomicU64::new(0),
        })
    }

    /// How old the news may be: of all that was committed longer ago the listener has been told. `None`: nothing is known, there is no stream.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        self.heartbeat.lag()
    }

    /// How much of its log PostgreSQL keeps for the stream, in bytes.
    #[must_use]
    pub fn retained(&self) -> u64 {
        self.retained.load(Ordering::Relaxed)
    }

    /// Follows for ever.
    pub async fn run(&self, listener: &dyn Listener) {
        let mut pause = PAUSES.0;
        loop {
            let Err(error) = self.follow(listener).await;
            // Whoever asks now is told that nothing is known; then everything is forgotten.
            let streamed = self.lag().is_some();
            self.heartbeat.stop();
            self.retained.store(0, Ordering::Relaxed);
            listener.missed();
            if streamed {
                pause = PAUSES.0;
            }
            tracing::warn!(%error, ?pause, "changes of PostgreSQL's tables aren't followed for now");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn follow(&self, listener: &dyn Listener) -> Result<std::convert::Infallible, ReplicationError> {
        let server = self.pool.place()?;
        let slot = format!("flywheel_{:016x}", rand::random::<u64>());
        let mut client = ReplicationClient::connect_gated(config(&server, &self.options, &slot)).await?;
        let prepared = async {
            publication::prepare(&mut client, &self.options, &slot).await?;
            client.start().await?;
            Ok::<_, ReplicationError>(client.wait_started().await?)
        };
        // To make a slot waits for the transactions that are open, which may take its time; to connect must not.
        prepared.await?;
        // What was committed before the slot was made isn't told.
        listener.missed();
        tracing::info!(slot, "changes of PostgreSQL's tables are followed");
        tokio::select! {
            ended = self.listen(&mut client, listener) => ended,
            ended = self.beat(&slot) => ended,
        }
    }

    async fn listen(&self, client: &mut ReplicationClient, listener: &dyn Listener) -> Result<std::convert::Infallible, ReplicationError> {
        let mut relations = Relations::default();
        loop {
            match client.recv().await?.ok_or(ReplicationError::Ended)? {
                ReplicationEvent::XLogData { data, .. } => match pgoutput::read(data)? {
                    Message::Relation(definition) => relations.describe(definition, &self.pool).await?,
                    Message::Row { relation, old, new } => {
                        listener.row_changed(relations.get(relation)?, old.as_ref(), new.as_ref());
                    }
                    Message::Truncate(emptied) => {
                        for relation in emptied {
                            listener.table_changed(relations.get(relation)?);
                        }
                    }
                    Message::Other => {}
                },
                ReplicationEvent::Message { prefix, content, .. } if prefix == PREFIX => self.heartbeat.came(&content),
                ReplicationEvent::Commit { end_lsn, .. } => client.update_applied_lsn(end_lsn),
                ReplicationEvent::KeepAlive { wal_end, .. } => client.update_applied_lsn(wal_end),
                ReplicationEvent::StoppedAt { .. } => return Err(ReplicationError::Ended),
                ReplicationEvent::Begin { .. } | ReplicationEvent::Message { .. } => {}
            }
        }
    }

    /// Sends messages through the log, and looks how much of it is kept.
    async fn beat(&self, slot: &str) -> Result<std::convert::Infallible, ReplicationError> {
        loop {
            let sql = format!(
                "SELECT pg_catalog.pg_logical_emit_message(true, {}, {}), (SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)
                FROM pg_catalog.pg_replication_slots WHERE slot_name = {})",
                literal(PREFIX),
                literal(&self.heartbeat.next()),
                literal(slot)
            );
            let mut lease = self.pool.acquire_plain().await?;
            let answer = lease.query(&sql).await?;
            drop(lease);
            let kept = answer.first().and_then(|answer| answer.text(0, 1).parse().ok()).unwrap_or(0);
            self.retained.store(kept, Ordering::Relaxed);
            if kept > self.options.max_retained {
                let limit = self.options.max_retained;
                return Err(ReplicationError::Behind { kept, limit });
            }
            tokio::time::sleep(self.options.heartbeat).await;
        }
    }
}

/// Where the stream comes from.
fn config(server: &ServerOptions, options: &Options, slot: &str) -> ReplicationConfig {
    let password = server.password.as_deref().unwrap_or_default();
    let (host, port) = match &server.host {
        Host::Tcp(host, port) => (host.clone(), *port),
        // The folder and the number in `/folder/.s.PGSQL.5432`.
        Host::Unix(path) => {
            let folder = path.parent().unwrap_or(path).display().to_string();
            let port = path.extension().and_then(|port| port.to_str()?.parse().ok());
            (folder, port.unwrap_or(5432))
        }
    };
    ReplicationConfig::new(host, &server.user, password, &server.database, slot, options.publication.as_str())
        .with_port(port)
        .with_application_name("flywheel")
        .with_status_interval(Duration::from_secs(1))
}
