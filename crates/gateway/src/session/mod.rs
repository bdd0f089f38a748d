//! One client's session, from login to goodbye.

mod batch;
mod block;
mod cached;
mod commit;
mod control;
mod copy;
mod definitions;
mod explain_cache;
mod extended;
mod messages;
mod pins;
mod prepared;
mod relay;
mod renewal;
mod replica;
mod revalidation;
mod server;
mod shared;
mod simple;
mod work;
mod written;

use std::collections::HashMap;
use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_postgres::{Lease, ServerError, Settings};
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{Frame, PgError, frontend, reply, sqlstate};

pub(crate) use block::{Block, Buffered};
use pins::Pins;
pub(crate) use prepared::{BoundPortal, PreparedStatement, Progress};

use crate::access::Access;
use crate::caching::Written;
use crate::execute::SqlPrepared;
use crate::front::{Client, ClientError, Login, Registered};
use crate::options::PoolMode;
use crate::shared::Shared;
use crate::tally::{Open, Way};

/// A session's state. Methods are spread over the files of this folder and of `execute/`.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    /// The servers, as the session's role sees them.
    pub(crate) access: Arc<Access>,
    /// For how long it keeps a server connection.
    mode: PoolMode,
    pub(crate) client: Client,
    user: String,
    registered: Registered,
    /// The server connection, while one is needed.
    lease: Option<Lease>,
    /// Why the server connection stays with this session.
    pins: Pins,
    /// A batch has been flushed to the server without its Sync.
    unsynced: bool,
    /// Settings from the startup packet.
    base: Arc<Settings>,
    /// Settings as they are now.
    pub(crate) settings: Arc<Settings>,
    /// Settings that the server reports, as the client knows them.
    pub(crate) reported: HashMap<String, String>,
    pub(crate) status: TransactionStatus,
    /// Counts it while it is in a transaction.
    open: Option<Open>,
    pub(crate) block: Block,
    statements: HashMap<String, Arc<PreparedStatement>>,
    portals: HashMap<String, BoundPortal>,
    /// Statements on store tables that were prepared by SQL.
    pub(crate) sql_prepared: HashMap<String, Arc<SqlPrepared>>,
    /// Which of the session's statements the server connection's unnamed statement is.
    unnamed_on_server: Option<Arc<PreparedStatement>>,
    /// Messages of the extended protocol that wait for Sync or Flush.
    batch: Vec<(Frame, batch::Message)>,
    batch_bytes: usize,
    /// The first message of a COPY's data, come before the batch that begins the COPY was sent.
    copied: Option<Frame>,
    /// An error has ended the batch; what follows is ignored up to Sync.
    skipping: bool,
    /// Flywheel has carried out a COPY FROM STDIN in the batch: the client's Sync was read as part of it.
    sync_swallowed: bool,
    /// The open transaction is the one that a batch is by itself; it ends at Sync.
    implicit: bool,
    /// Tables made in stores by a block that was rolled back.
    uncreated: Vec<Home>,
    /// The definition of a store table is again what it was before a block: it is to be read anew.
    undefined: bool,
    /// The settings to go back to when the implicit transaction that has changed them fails.
    undo: Option<Arc<Settings>>,
    /// The batch that is under way, when it can be worked off once more.
    renewal: Option<renewal::Renewal>,
    /// What the session has to do with replicas.
    replicas: replica::Reading,
    /// What it has to do with answers kept in memory.
    cached: cached::Cached,
    /// What was written and isn't known to be visible to all yet.
    written: Written,
    /// Flywheel itself is carrying out a statement: what it writes stays noted until that is done.
    pub(crate) answering: bool,
    /// The server connection's settings aren't known any more to be the session's.
    must_apply: bool,
    /// What makes the server connection's settings the session's again after a RESET: the settings of the startup packet.
    must_set: Settings,
}

/// Why something failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A statement failed; the session goes on.
    Statement(PgError),
    /// A statement failed on the server, whose error the client has been told already.
    Told,
    /// The session ends.
    Session(End),
}

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client's side.
    Client(ClientError),
    /// An error after which nothing can be promised.
    Fatal(PgError),
}

impl From<PgError> for Failure {
    fn from(error: PgError) -> Self {
        Self::Statement(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Session(End::Client(error))
    }
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// The outcome of a part of a statement.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A statement that its client has cancelled.
fn cancelled() -> PgError {
    PgError::error(sqlstate::QUERY_CANCELED, "canceling statement due to user request")
}

/// What a server says without being asked: notifications, notices, settings.
async fn unasked(lease: &mut Option<Lease>) -> Result<Frame, ServerError> {
    match lease {
        Some(lease) => lease.next_message().await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// A session for a client that has proved who it is.
    pub(crate) fn new(shared: Arc<Shared>, client: Client, login: Login, registered: Registered) -> Self {
        let settings = Arc::new(login.settings);
        let replicas = replica::Reading::new(shared.has_replicas_for(&login.user));
        let mode = shared.pool_mode(&login.user);
        Self {
            access: shared.access(&login.user),
            mode,
            shared,
            client,
            user: login.user,
            registered,
            lease: None,
            pins: Pins::new(mode),
            unsynced: false,
            settings: settings.clone(),
            base: settings,
            reported: HashMap::new(),
            status: TransactionStatus::Idle,
            open: None,
            block: Block::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            sql_prepared: HashMap::new(),
            unnamed_on_server: None,
            batch: Vec::new(),
            batch_bytes: 0,
            copied: None,
            skipping: false,
            sync_swallowed: false,
            implicit: false,
            uncreated: Vec::new(),
            undefined: false,
            undo: None,
            renewal: None,
            replicas,
            cached: cached::Cached::default(),
            written: Written::default(),
            answering: false,
            must_apply: false,
            must_set: Settings::default(),
        }
    }

    /// Serves the client until it goes, and gives the server connection back clean.
    pub(crate) async fn run(mut self, values: &[(String, String)]) {
        let mut shutdown = self.shared.shutdown.subscribe();
        let end = match self.greet(values).await {
            Ok(()) => self.serve(&mut shutdown).await,
            Err(end) => end,
        };
        match end {
            End::Client(error) => {
                if let Some(farewell) = error.farewell() {
                    tracing::info!(user = self.user, %error, "session ended");
                    self.client.close_with(&farewell).await;
                }
            }
            End::Fatal(error) => {
                // A shutdown ends all of them: that is one event, told once.
                if error.code() == sqlstate::ADMIN_SHUTDOWN.0 {
                    tracing::debug!(user = self.user, %error, "session ended");
                } else {
                    tracing::info!(user = self.user, %error, "session ended");
                }
                self.client.close_with(&error).await;
            }
        }
        self.leave().await;
    }

    /// The end of the startup: settings, key, ReadyForQuery.
    async fn greet(&mut self, values: &[(String, String)]) -> Result<(), End> {
        self.reported = match self.initial_parameters(values).await {
            Ok(parameters) => parameters,
            Err(error) => return Err(End::Fatal(error)),
        };
        let out = &mut self.client.out;
        backend::authentication_ok(out);
        let mut reported: Vec<_> = self.reported.iter().collect();
        reported.sort();
        for (name, value) in reported {
            backend::parameter_status(out, name, value);
        }
        backend::backend_key_data(out, self.registered.process_id, &self.registered.secret_key);
        backend::ready_for_query(out, TransactionStatus::Idle);
        self.client.set_max_message(self.shared.options.max_message_size);
        Ok(())
    }

    async fn serve(&mut self, shutdown: &mut tokio::sync::watch::Receiver<bool>) -> End {
        loop {
            match self.client.buffered_frame() {
                Ok(Some(frame)) => {
                    if let Err(end) = self.message(frame).await {
                        return end;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => return End::Client(error),
            }
            if self.client.has_to_send() {
                self.expect_soon();
            }
            let idle = self.status == TransactionStatus::Idle && self.batch.is_empty();
            // A session that keeps its connection may be listening.
            let listens = idle && self.is_pinned() && !self.unsynced;
            let read = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop), if idle => {
                    return End::Fatal(PgError::fatal(sqlstate::ADMIN_SHUTDOWN, "terminating connection due to administrator command"));
                }
                unasked = unasked(&mut self.lease), if listens && self.lease.is_some() => match unasked {
                    Ok(frame) if frame.tag() == reply::tag::ERROR_RESPONSE => return End::Fatal(PgError::read(frame.body())),
                    Ok(frame) => {
                        self.forward(&frame);
                        continue;
                    }
                    Err(error) => return End::Fatal(error.to_pg().into_fatal()),
                },
                read = self.client.read_more() => read,
            };
            if let Err(error) = read {
                return End::Client(error);
            }
        }
    }

    async fn message(&mut self, frame: Frame) -> Result<(), End> {
        use frontend::tag;
        match frame.tag() {
            tag::TERMINATE => {
                let _ = self.client.send().await;
                Err(End::Client(ClientError::Gone))
            }
            tag::QUERY => self.simple_query(&frame).await,
            tag::FUNCTION_CALL => self.function_call(&frame).await,
            tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE | tag::FLUSH | tag::SYNC => self.extended(frame).await,
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => self.copy_data(frame).await,
            other => Err(End::Fatal(PgError::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                format!("invalid frontend message type {other}"),
            ))),
        }
    }

    /// Counts a statement that was answered in this way.
    pub(crate) fn count(&self, way: Way) {
        self.shared.tally.count(self.registered.process_id, way);
    }

    /// The client's next message, or a server's answer, is expected soon.
    fn expect_soon(&self) {
        self.shared.busy_poll.note(self.registered.process_id);
    }

    /// Ends the answer to a simple Query or a Sync.
    async fn ready(&mut self) -> Result<(), End> {
        self.settle_settings().await?;
        self.settle_writes();
        if self.status == TransactionStatus::Idle {
            // Portals end with their transaction.
            self.portals.clear();
        }
        backend::ready_for_query(&mut self.client.out, self.status);
        self.release().await;
        self.client.send_if_much().await?;
        Ok(())
    }

    /// 25P02 inside a failed block.
    pub(crate) fn check_not_failed(&self) -> Outcome<()> {
        if self.status == TransactionStatus::Failed {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(PgError::error(sqlstate::IN_FAILED_TRANSACTION, message).into());
        }
        Ok(())
    }

    /// Waits for a store, unless the client cancels.
    pub(crate) async fn interruptible<T>(&self, work: impl Future<Output = T>) -> Outcome<T> {
        tokio::select! {
            done = work => Ok(done),
            () = self.registered.handle.interrupt.notified() => Err(cancelled().into()),
        }
    }
}
