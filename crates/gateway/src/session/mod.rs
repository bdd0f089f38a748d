//! One client's session, from login to goodbye.
//!
//! [`Session`] coordinates its parts; each owns its fields and their rules (`parts/`). What a
//! session does is divided into rooms, each a type that has the session, or the parts of it that it
//! needs, for as long as its work takes: `rooms.rs` lists them. A message comes in here and takes
//! one of these ways:
//!
//! - a Query: `simple.rs`, and as servers answer it, `query.rs`;
//! - the extended protocol: `extended.rs` gathers, `work.rs` is a batch under way, `messages/` has
//!   a file for each message; `renewal.rs` repeats a batch whose statements are outdated;
//! - FunctionCall: `function_call.rs`; COPY's data: `copy.rs`.
//!
//! Before anything else, `cached/` looks for an answer in memory. `shared.rs` asks over connections
//! of many, `replica.rs` says which reads go to replicas. Else `server.rs` has a connection,
//! `relay.rs` reads its answer along the steps of `step.rs`, and `guard/` sees to statements that
//! may touch twins. `host.rs` is the session as `flywheel_execute` sees it: `own_statements.rs`
//! runs what that asks of PostgreSQL, `local.rs` sends its answers. `attended.rs` waits while the
//! client is there; `stopping.rs` ends what runs for one that has gone.
//!
//! What a statement leaves behind is noted in `effects.rs`, refused in `refusals.rs`, and found out
//! in `learning.rs`, before the connection goes to somebody else. `errors.rs` is the one way by
//! which an error reaches the client; `encoding.rs` is for clients whose encoding isn't UTF8.

mod attended;
mod cached;
mod control;
mod copy;
mod deallocation;
mod defaults;
mod effects;
mod encoding;
mod errors;
mod extended;
mod function_call;
mod gathered;
mod guard;
mod host;
mod learning;
mod listening;
mod local;
mod lost;
mod messages;
mod names;
mod own_statements;
mod part;
mod parts;
mod query;
mod refusals;
mod relay;
mod renewal;
mod replica;
mod rooms;
mod server;
mod shaped;
mod shared;
mod simple;
mod step;
mod stopping;
mod strings;
mod work;
mod written;

use std::sync::Arc;
use std::time::Duration;

use flywheel_execute::Way;
use flywheel_front::{Client, ClientError};
use flywheel_statement::Analysis;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{Frame, PgError, frontend, reply, sqlstate};
use tokio::sync::watch;

use flywheel_execute::{BoundPortal, End, Failure, Outcome, PreparedStatement, Progress};

pub(crate) use cached::cache_rows;
use gathered::Gathered;
pub(crate) use parts::Identity;
use parts::{
    Batch, Cached, Guarding, Listening, Phase, Pins, Prepared, Reading, Renewal, SessionSettings,
    Transaction, Upstream, Writes, idle, timed_out,
};

use crate::roster::Activity;
use crate::shared::Shared;
use crate::stage::{FAREWELL, Stage, farewell, reached};

/// How long messages wait for their Sync or Flush before they are worked off without it, as
/// PostgreSQL does at once: what is wrong with them is to be told also to a client that waits for
/// that before it sends Sync.
const UNSYNCED: Duration = Duration::from_millis(10);

/// A session: its parts, which own their fields, and what needs several of them.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    identity: Identity,
    pub(crate) client: Client,
    upstream: Upstream,
    transaction: Transaction,
    settings: SessionSettings,
    prepared: Prepared,
    batch: Batch,
    phase: Phase,
    /// The batch that is under way, when it can be worked off once more.
    renewal: Option<Renewal>,
    cached: Cached,
    writes: Writes,
    listening: Listening,
    guarding: Guarding,
}

/// A statement that its client has cancelled.
fn cancelled() -> PgError {
    PgError::error(sqlstate::QUERY_CANCELED, "canceling statement due to user request")
}

impl Session {
    /// A session for a client that has proved who it is. `values` are the settings that it begins
    /// with.
    pub(crate) fn new(
        shared: Arc<Shared>,
        client: Client,
        identity: Identity,
        values: &[(String, String)],
    ) -> Self {
        let replicas = Reading::new(shared.has_replicas_for(&identity.user));
        Self {
            settings: SessionSettings::new(values),
            upstream: Upstream::new(Pins::new(identity.mode), replicas),
            identity,
            shared,
            client,
            transaction: Transaction::default(),
            prepared: Prepared::default(),
            batch: Batch::default(),
            phase: Phase::default(),
            renewal: None,
            cached: Cached::default(),
            writes: Writes::default(),
            listening: Listening::default(),
            guarding: Guarding::default(),
        }
    }

    /// Serves the client until it goes, and gives the server connection back clean.
    pub(crate) async fn run(mut self, values: &[(String, String)]) {
        let mut stage = self.shared.stage.subscribe();
        let ended = self.identity.entry.end();
        let served = tokio::select! {
            biased;
            end = self.attend(values) => Some(end),
            () = reached(Stage::Cutting, &mut stage) => None,
            () = ended => None,
        };
        let Some(end) = served else { return self.end_amid().await };
        match end {
            End::Client(error) => {
                if let Some(farewell) = error.farewell() {
                    tracing::info!(user = self.identity.user, %error, "session ended");
                    self.client.close_with(&farewell).await;
                }
            }
            End::Fatal(error) => {
                // A shutdown ends all of them: that is one event, told once.
                if error.code() == sqlstate::ADMIN_SHUTDOWN.0 {
                    tracing::debug!(user = self.identity.user, %error, "session ended");
                } else {
                    tracing::info!(user = self.identity.user, %error, "session ended");
                }
                self.client.close_with(&error).await;
            }
        }
        self.leave().await;
    }

    /// Serves the client from its login on; why that is over.
    async fn attend(&mut self, values: &[(String, String)]) -> End {
        let mut stage = self.shared.stage.subscribe();
        match self.greet(values).await {
            Ok(()) => self.serve(&mut stage).await,
            Err(end) => end,
        }
    }

    /// Ends in the middle of a statement, which PostgreSQL cancels. What was under way in the
    /// stores is left as a crash leaves it.
    async fn end_amid(&mut self) {
        let _ = tokio::time::timeout(FAREWELL, self.client.close_with(&farewell())).await;
        self.leave_server().await;
    }

    /// The end of the startup: settings, key, ReadyForQuery.
    async fn greet(&mut self, values: &[(String, String)]) -> Result<(), End> {
        self.settings.reported = match self.initial_parameters(values).await {
            Ok(parameters) => parameters.into(),
            Err(error) => return Err(End::Fatal(error)),
        };
        let out = &mut self.client.out;
        backend::authentication_ok(out);
        let mut reported: Vec<_> = self.settings.reported.iter().collect();
        reported.sort();
        for (name, value) in reported {
            backend::parameter_status(out, name, value);
        }
        backend::backend_key_data(
            out,
            self.identity.registered.process_id,
            &self.identity.registered.secret_key,
        );
        backend::ready_for_query(out, TransactionStatus::Idle);
        self.client.set_max_message(self.shared.options.max_message_size, &self.shared.memory.room);
        Ok(())
    }

    async fn serve(&mut self, stage: &mut watch::Receiver<Stage>) -> End {
        loop {
            match self.client.buffered_frame() {
                Ok(Some(frame)) => {
                    self.client.note_answered();
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
            let is_idle = self.transaction.is_idle() && self.batch.is_empty();
            let last = if is_idle { Stage::Draining } else { Stage::Cutting };
            // A session that keeps its connection may be listening; one in a block may lose it.
            let listens = self.upstream.has_connection();
            if self.listener().may_be_told() {
                self.listener().tell_heard_aside();
            }
            let (may_be_told, is_crowded) =
                (self.listener().may_be_told(), self.listener().is_crowded());
            let idle_timeout = if is_idle { self.settings.idle_timeout() } else { None };
            // What waits for its Sync fails without it.
            let waits = !self.batch.is_empty() && !self.phase.is_skipping();
            self.note_pause();
            let read = tokio::select! {
                biased;
                () = reached(last, stage) => return End::Fatal(farewell()),
                said = self.upstream.unasked(), if listens => match said {
                    Ok(frame) if frame.tag() == reply::tag::ERROR_RESPONSE => {
                        return End::Fatal(PgError::read(frame.body()));
                    }
                    Ok(frame) => {
                        self.take_unasked(&frame);
                        continue;
                    }
                    Err(error) => match self.server_failed(&error) {
                        Failure::Session(end) => return end,
                        _ => continue,
                    },
                },
                () = async { tokio::time::sleep(UNSYNCED).await }, if waits => None,
                () = self.listening.news(), if may_be_told => {
                    if let Err(end) = self.listener().tell_news() {
                        return end;
                    }
                    continue;
                }
                () = idle(idle_timeout), if idle_timeout.is_some() => return timed_out(),
                read = async {
                    // There is more to tell once this has gone.
                    if is_crowded {
                        self.client.send().await
                    } else {
                        self.client.read_more().await
                    }
                } => Some(read),
            };
            self.identity.entry.note(Activity::Active);
            match read {
                Some(Ok(())) => {}
                Some(Err(error)) => return End::Client(error),
                None => {
                    if let Err(end) = self.batches().finish().await {
                        return end;
                    }
                }
            }
        }
    }

    /// Tells operators that the session waits for its client.
    fn note_pause(&mut self) {
        let activity = match self.transaction.status {
            TransactionStatus::Idle => Activity::Idle,
            TransactionStatus::InTransaction => Activity::IdleInTransaction,
            TransactionStatus::Failed => Activity::Aborted,
        };
        let entry = &mut self.identity.entry;
        entry.note(activity);
        entry.note_pin(self.upstream.pins.reason());
    }

    /// What the server says while the client says nothing.
    fn take_unasked(&mut self, frame: &Frame) {
        match frame.tag() {
            reply::tag::PARAMETER_STATUS => self.parameter_status(frame),
            reply::tag::NOTIFICATION_RESPONSE => {
                if let Some(heard) = self.listener().heard_on_server(frame) {
                    self.forward(&heard);
                }
            }
            _ => self.forward(frame),
        }
    }

    async fn message(&mut self, frame: Frame) -> Result<(), End> {
        use frontend::tag;
        match frame.tag() {
            tag::TERMINATE => {
                let _ = self.client.send().await;
                Err(End::Client(ClientError::Gone))
            }
            tag::QUERY => self.queries().query(&frame).await,
            tag::FUNCTION_CALL => self.function_calls().relay(&frame).await,
            tag::PARSE
            | tag::BIND
            | tag::DESCRIBE
            | tag::EXECUTE
            | tag::CLOSE
            | tag::FLUSH
            | tag::SYNC => self.batches().message(frame).await,
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => {
                self.batches().copy_data(frame).await
            }
            other => Err(End::Fatal(PgError::fatal(
                sqlstate::PROTOCOL_VIOLATION,
                format!("invalid frontend message type {other}"),
            ))),
        }
    }

    /// Counts a statement that was answered in this way.
    pub(crate) fn count(&self, way: Way) {
        self.shared.tally.count(self.identity.registered.process_id, way);
    }

    /// The client's next message, or a server's answer, is expected soon.
    fn expect_soon(&self) {
        self.shared.busy_poll.note(self.identity.registered.process_id);
    }

    /// Ends the answer to a simple Query or a Sync.
    async fn ready(&mut self) -> Result<(), End> {
        self.noted_writes().settle();
        // Notifications come before settings, as PostgreSQL tells them.
        self.listener().tell_heard().await?;
        self.control().settle_settings().await?;
        self.noted_writes().settle();
        if self.transaction.is_idle() {
            // Portals end with their transaction.
            self.prepared.portals.clear();
        }
        backend::ready_for_query(&mut self.client.out, self.transaction.status);
        self.release().await;
        self.client.send_if_much().await?;
        Ok(())
    }

    /// Nothing ties the session to a connection, or would by what it has sent.
    fn is_free(&self) -> bool {
        self.transaction.is_idle()
            && !self.has_server()
            && !self.is_pinned()
            && !self.upstream.is_unsynced()
            && !self.transaction.is_batch
            && !self.transaction.block.is_open()
            && self.settings.charset().is_utf8()
            && self.settings.told.generation
                == self.identity.access.servers().primary.pool.generation()
    }

    /// The gathered messages, when they are one query.
    fn gathered_query(&self) -> Option<Gathered<'_>> {
        Gathered::of(&self.batch, &self.prepared.statements, &self.shared.analyses)
    }

    /// The statements that decide what names mean: those that made the search path and the role,
    /// whose schema may be on it.
    pub(crate) fn naming(&self) -> Option<String> {
        let others = (self.setting("role"), self.setting("set_config"));
        let path = self.setting("search_path");
        match others {
            (None, None) => path.map(str::to_owned),
            _ => Some(format!("{others:?}{path:?}")),
        }
    }

    /// The statement that made a setting what it is now; `None`: it is the server's default.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.transaction.block.local(name).or_else(|| self.settings.now.get(name))
    }

    /// Tells the client of settings that a statement run in its place has changed: `SET LOCAL` ends
    /// with the block.
    pub(crate) fn report_settings(&mut self) {
        // Within a text PostgreSQL is silent about settings until all of it has run.
        if self.settings.reports.are_silent() {
            return;
        }
        if let Some(lease) = self.upstream.lease() {
            self.settings.report(lease, &mut self.client.out);
        }
    }

    /// An error for a text that names a portal which the server doesn't have.
    fn refused_cursors(&self, analysis: &Analysis) -> Option<PgError> {
        if self.transaction.has_failed() {
            return None;
        }
        self.prepared.refuse_cursors(analysis)
    }
}
