//! One stream after the other: a stream that breaks is followed by another, and what may have been
//! missed between them is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flywheel_postgres::{Bridge, Host, Pool, ServerError, ServerOptions};
use flywheel_types::TableName;
use flywheel_wire::quote::literal;
use flywheel_wire::sqlstate;
use pgwire_replication::{ReplicationClient, ReplicationConfig, ReplicationEvent};

use crate::heartbeat::{Heartbeat, PREFIX, Proof};
use crate::pgoutput::{self, Message, Tuple};
use crate::relation::Relations;
use crate::start::{Start, Started};
use crate::{Relation, ReplicationError, Unfit, Visibility, publication};

/// The pause before a stream is begun anew, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Who wants to know of changes.
pub trait Listener: Send + Sync {
    /// What is told next was done by this transaction. It has committed, and other sessions may not
    /// see it yet.
    fn began(&self, _transaction: u32) {}

    /// All that was visible at that moment has been told. What is made from a read that began since
    /// has it in it, and what was told before and isn't visible yet hasn't: who keeps copies
    /// forgets once more what they were told of, before [`Follower::lag`] speaks of that moment.
    fn visible(&self, _visible: &Visibility) {}

    /// A row of a table has changed, by a transaction that has committed: what is told of it before
    /// (only where its identity has changed, or it went) and after.
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
    /// How much of its log PostgreSQL may keep for a stream that is slow, in bytes; one that needs
    /// more is ended.
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
    /// Why nothing is followed.
    problem: Mutex<Option<String>>,
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
            problem: Mutex::default(),
        })
    }

    /// How old the news may be: of all that was committed longer ago the listener has been told.
    /// `None`: nothing is known, there is no stream.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        self.heartbeat.lag()
    }

    /// How much of its log PostgreSQL keeps for the stream, in bytes.
    #[must_use]
    pub fn retained(&self) -> u64 {
        self.retained.load(Ordering::Relaxed)
    }

    /// Why nothing is followed now; `None`: it is, or was never tried.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn becomes(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// The tables that couldn't be followed. Makes nothing.
    ///
    /// # Errors
    /// None could, whatever they are.
    pub async fn check(&self) -> Result<Vec<Unfit>, ReplicationError> {
        let (_bridge, server) = self.place()?;
        let mut client =
            ReplicationClient::connect_gated(config(&server, &self.options, "flywheel")).await?;
        publication::check(&mut client, &self.options.tables).await
    }

    /// Where the stream comes from. It is encrypted as the pool's connections are.
    fn place(&self) -> Result<(Option<Bridge>, ServerOptions), ReplicationError> {
        let mut server = self.pool.place()?;
        let bridge = Bridge::open(&server)
            .map_err(|source| ServerError::Io { server: server.host.to_string(), source })?;
        if let Some(bridge) = &bridge {
            server.host = bridge.host();
        }
        Ok((bridge, server))
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
            self.becomes(Some(error.to_string()));
            listener.missed();
            if streamed {
                pause = PAUSES.0;
            }
            tracing::warn!(%error, ?pause, "changes of PostgreSQL's tables aren't followed for now");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn follow(
        &self,
        listener: &dyn Listener,
    ) -> Result<std::convert::Infallible, ReplicationError> {
        let (_bridge, server) = self.place()?;
        let slot = format!("flywheel_{:016x}", rand::random::<u64>());
        let mut client =
            ReplicationClient::connect_gated(config(&server, &self.options, &slot)).await?;
        let prepared = async {
            publication::prepare(&mut client, &self.options, &slot).await?;
            client.start().await?;
            Ok::<_, ReplicationError>(client.wait_started().await?)
        };
        // To make a slot waits for the transactions that are open, which may take its time; to
        // connect must not.
        prepared.await?;
        tracing::info!(slot, "changes of PostgreSQL's tables are followed");
        self.becomes(None);
        let start = Start::default();
        tokio::select! {
            ended = self.listen(&mut client, &start, listener) => ended,
            ended = self.beat(&slot, &start, listener) => ended,
        }
    }

    async fn listen(
        &self,
        client: &mut ReplicationClient,
        start: &Start,
        listener: &dyn Listener,
    ) -> Result<std::convert::Infallible, ReplicationError> {
        let mut relations = Relations::default();
        loop {
            match client.recv().await?.ok_or(ReplicationError::Ended)? {
                ReplicationEvent::XLogData { data, .. } => match pgoutput::read(data)? {
                    Message::Relation(definition) => {
                        relations.describe(definition, &self.pool).await?
                    }
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
                ReplicationEvent::Message { prefix, content, .. } if prefix == PREFIX => {
                    self.prove(self.heartbeat.came(&content), start, listener);
                }
                ReplicationEvent::Commit { end_lsn, .. } => client.update_applied_lsn(end_lsn),
                ReplicationEvent::KeepAlive { wal_end, .. } => client.update_applied_lsn(wal_end),
                ReplicationEvent::StoppedAt { .. } => return Err(ReplicationError::Ended),
                ReplicationEvent::Begin { xid, .. } => listener.began(xid),
                ReplicationEvent::Message { .. } => {}
            }
        }
    }

    fn prove(&self, proof: Option<Proof>, start: &Start, listener: &dyn Listener) {
        let Some(proof) = proof else { return };
        match start.look(&proof.visible) {
            Started::Not => return,
            // What was committed before the slot was made isn't told.
            Started::Now => listener.missed(),
            Started::Before => {}
        }
        listener.visible(&proof.visible);
        self.heartbeat.prove(&proof);
    }

    /// Sends messages through the log, looks how much of it is kept, and whether all tables are
    /// told still.
    async fn beat(
        &self,
        slot: &str,
        start: &Start,
        listener: &dyn Listener,
    ) -> Result<std::convert::Infallible, ReplicationError> {
        let is_told = publication::is_told(&self.options);
        loop {
            let name = self.heartbeat.next();
            let sql = format!(
                "SELECT pg_catalog.pg_logical_emit_message(true, {}, {}), (SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)
                FROM pg_catalog.pg_replication_slots WHERE slot_name = {}), pg_catalog.pg_current_snapshot(), ({is_told})",
                literal(PREFIX),
                literal(&name),
                literal(slot)
            );
            let mut lease = self.pool.acquire_for_look().await?;
            let answer = match lease.query(&sql).await {
                // Somebody has locked a table, or a part of the catalogue. Nothing was proved.
                Err(ServerError::Postgres(error))
                    if error.code() == sqlstate::LOCK_NOT_AVAILABLE.0 =>
                {
                    drop(lease);
                    tokio::time::sleep(self.options.heartbeat).await;
                    continue;
                }
                answer => answer?,
            };
            drop(lease);
            let text = |column| answer.first().map_or("", |answer| answer.text(0, column));
            // Without the slot, it is another server that answers now.
            let kept = text(1).parse().map_err(|_| ReplicationError::Ended)?;
            self.retained.store(kept, Ordering::Relaxed);
            if kept > self.options.max_retained {
                let limit = self.options.max_retained;
                return Err(ReplicationError::Behind { kept, limit });
            }
            if text(3) != "t" {
                return Err(ReplicationError::Unfit {
                    what: "the tables aren't what they were: one isn't published, or can't be, any more".to_owned(),
                    hint: "it is looked what they are now".to_owned(),
                });
            }
            let visible = Visibility::read(text(2))
                .ok_or(ReplicationError::Message("a snapshot that can't be read"))?;
            self.prove(self.heartbeat.answered(&name, visible), start, listener);
            tokio::time::sleep(self.options.heartbeat).await;
        }
    }
}

/// Where the stream comes from.
fn config(server: &ServerOptions, options: &Options, slot: &str) -> ReplicationConfig {
    let password = server.password.as_deref().unwrap_or_default();
    let (host, port) = match &server.host {
        Host::Tcp(host, port) | Host::Resolved { address: host, port, .. } => (host.clone(), *port),
        // The folder and the number in `/folder/.s.PGSQL.5432`.
        Host::Unix(path) => {
            let folder = path.parent().unwrap_or(path).display().to_string();
            let port = path.extension().and_then(|port| port.to_str()?.parse().ok());
            (folder, port.unwrap_or(5432))
        }
    };
    ReplicationConfig::new(
        host,
        &server.user,
        password,
        &server.database,
        slot,
        options.publication.as_str(),
    )
    .with_port(port)
    .with_application_name("flywheel")
    .with_status_interval(Duration::from_secs(1))
}
