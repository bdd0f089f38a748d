//! The session's server connection: when it has one, and in which state it gives it back.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use flywheel_postgres::{Lease, Pool, ServerError};
use flywheel_sql::Pin;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use super::attended::while_there;
use super::lost::is_lost;
use super::parts::{Told, may_create_temporary};
use super::step::Step;
use super::stopping::{abandon, stop};
use super::{End, Failure, Outcome, Session, cancelled};
use crate::roster::Activity;
use crate::running::Running;

/// How many connections of a pool may turn out to be lost before one is told so.
const MOST_LOST: usize = 5;

impl Session {
    /// The server connection, borrowed from the pool of the primary when there is none yet, with
    /// the session's settings.
    pub(crate) async fn server(&mut self) -> Outcome<&mut Lease> {
        if !self.upstream.has_connection() {
            let pool = self.identity.access.servers().primary.pool.clone();
            return self.server_of(&pool).await;
        }
        self.upstream.held()
    }

    /// The server connection, borrowed from `pool` when there is none yet.
    pub(crate) async fn server_of(&mut self, pool: &Pool) -> Outcome<&mut Lease> {
        let mut lost = 0;
        while !self.upstream.has_connection() {
            let lease = self.wait_for(pool).await?;
            let begins_anew = self.upstream.begins_anew;
            match self.begin_on(lease, pool).await.map_err(|error| error.to_pg()) {
                Ok(lease) => self.upstream.take(lease),
                // The pool's connection had gone. Nothing of the client's was sent over it.
                Err(error) if is_lost(&error) && lost < MOST_LOST => {
                    lost += 1;
                    self.upstream.begins_anew = begins_anew;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.upstream.held()
    }

    /// Makes a borrowed connection the session's: with its settings, and nothing of others' that it
    /// could see.
    async fn begin_on(&mut self, mut lease: Lease, pool: &Pool) -> Result<Lease, ServerError> {
        if std::mem::take(&mut self.upstream.begins_anew) {
            lease.begin_with(pool, &self.settings.base).await?;
        }
        if std::mem::take(&mut self.upstream.begins_without_temporary) {
            let schema = lease.query("SELECT pg_catalog.pg_my_temp_schema()").await?;
            if schema.first().is_none_or(|rows| rows.text(0, 0) != "0") {
                lease.begin_with(pool, &self.settings.base).await?;
            }
        }
        if lease.has_too_many_prepared() {
            lease.query("DEALLOCATE ALL").await?;
            lease.forget_all_prepared();
        }
        if !lease.is_of_replica() {
            self.settings.told.generation =
                self.identity.access.servers().primary.pool.generation();
        }
        self.settings.hold_to_what_was_told(&lease, &mut self.client.out);
        lease.apply_settings(&self.settings.now).await?;
        lease.take_heard();
        let session = &self.identity.registered;
        if let Some(key) = lease.cancel_key() {
            self.shared.listeners.note_holder(key.process_id, session.process_id);
        }
        lease.note_holder(&self.upstream.holder);
        if self.shared.asks_last_values.load(Ordering::Relaxed) {
            lease.discard_sequences_of_others(&self.upstream.holder).await?;
        }
        *session.handle.server.lock().await = lease.cancel_key().cloned().map(Running::Connection);
        Ok(lease)
    }

    /// Waits for a connection, unless the client cancels or goes.
    async fn wait_for(&mut self, pool: &Pool) -> Outcome<Lease> {
        let interrupt = &self.identity.registered.handle.interrupt;
        let entry = &self.identity.entry;
        tokio::select! {
            biased;
            lease = while_there(&mut self.client, pool.acquire()) => {
                entry.note(Activity::Active);
                lease?.map_err(|error| Failure::Statement(error.to_pg()))
            }
            // There is none at once.
            () = async { entry.note(Activity::Waiting); pending().await } => unreachable!(),
            () = interrupt.notified() => Err(cancelled().into()),
        }
    }

    /// Appends a message for the server.
    pub(super) async fn put(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Outcome<()> {
        let lease = self.server().await?;
        write(lease.out())
            .map_err(|error| PgError::error(sqlstate::PROTOCOL_VIOLATION, error.to_string()).into())
    }

    /// Whether a server connection is held now.
    pub(crate) fn has_server(&self) -> bool {
        self.upstream.has_connection()
    }

    /// The held server connection.
    pub(crate) fn held_server(&mut self) -> Option<&mut Lease> {
        self.upstream.lease_mut()
    }

    /// Takes over the server connection's state after an exchange.
    pub(crate) fn follow_server(&mut self) {
        if let Some(lease) = self.upstream.lease() {
            self.transaction.status = lease.status();
            self.listener().follow_listening();
        }
        self.transaction.count(&self.shared.tally);
    }

    /// Gives the server connection back when nothing ties the session to it.
    pub(crate) async fn release(&mut self) {
        if !self.transaction.is_idle() || self.upstream.is_unsynced() {
            return;
        }
        if !self.settings.now.is_empty()
            && self.setting("search_path").is_some_and(may_create_temporary)
        {
            self.pin(Pin::TemporaryObject);
            self.upstream.pins.note_release();
        }
        self.listener().withdraw_channels().await;
        if !self.upstream.learning.is_done()
            || self.upstream.pins.may_be_gone()
            || self.shared.analyses.is_stale()
        {
            self.learner().learn().await;
        }
        if !self.is_pinned() {
            self.give_back().await;
        } else if self.upstream.pins.asks_last_values() {
            self.upstream.discard_sequences_of_others().await;
        }
    }

    async fn give_back(&mut self) {
        if self.upstream.has_connection() {
            // A cancel under way is waited for: it must not reach the connection's next user.
            *self.identity.registered.handle.server.lock().await = None;
            self.upstream.put_back();
            self.replicas().note_given_back();
        }
    }

    /// What an error of the server connection means: after a broken connection, a session that had
    /// state in it can't go on.
    pub(crate) fn server_failed(&mut self, error: &ServerError) -> Failure {
        let broken = !matches!(error, ServerError::Postgres(_) | ServerError::PoolTimeout { .. });
        if !broken {
            self.follow_server();
            return Failure::Statement(error.to_pg());
        }
        // What was flushed to a replica on the way to its Sync is asked of another server.
        let is_unsynced = self.upstream.is_unsynced() && !self.replicas().can_be_asked_elsewhere();
        let had_state = !self.transaction.is_idle() || self.is_pinned() || is_unsynced;
        self.upstream.put_back();
        self.listening.lose(&self.shared.listeners);
        self.noted_writes().lose();
        self.replicas().note_given_back();
        let told = error.to_pg();
        if had_state {
            let fatal = told.into_fatal().with_hint(
                "The transaction block or session state on that connection is lost: connect again.",
            );
            return Failure::Session(End::Fatal(fatal));
        }
        Failure::Statement(told)
    }

    /// The server connection is gone.
    pub(super) fn drop_server(&mut self) {
        self.upstream.put_back();
        self.listening.lose(&self.shared.listeners);
        self.replicas().note_given_back();
    }

    /// The server connection was lost at the end of a block or statement. A session that had more
    /// on it can't go on, and is told what has become of that.
    pub(crate) fn lose_server(&mut self, lost: PgError, note: Option<&'static str>) -> Outcome<()> {
        // What the session would listen to isn't known any more.
        let listens = self.listening.is_pending();
        self.drop_server();
        self.transaction.lose();
        if !self.is_pinned() && !listens {
            return Ok(());
        }
        let fatal = lost
            .into_fatal()
            .with_hint("The session state on that connection is lost: connect again.");
        Err(Failure::Session(End::Fatal(match note {
            Some(note) => fatal.with_detail(note),
            None => fatal,
        })))
    }

    /// Whether PostgreSQL can be asked something over another connection. Where it serves only one,
    /// that must not be the session's own, which is given back when nothing ties the session to it.
    pub(crate) async fn spares_a_connection(&mut self) -> bool {
        if !self.upstream.has_connection()
            || self.shared.pool().options().size > 1
            || self.identity.access.has_own_role()
        {
            return true;
        }
        self.release().await;
        !self.upstream.has_connection()
    }

    /// At the session's end: a connection with state in it is cleaned, or closed when that fails.
    pub(super) async fn leave(&mut self) {
        self.leave_server().await;
        self.listening.leave(&self.shared.listeners);
        self.transaction.unmarked.extend(self.transaction.block.marks.end());
        self.executor().take_away_marks().await;
        self.noted_writes().lose();
    }

    pub(super) async fn leave_server(&mut self) {
        *self.identity.registered.handle.server.lock().await = None;
        let is_unsynced = self.upstream.is_unsynced();
        let has_names = self.upstream.has_any_named();
        let Some(mut lease) = self.upstream.put_back() else { return };
        if lease.is_broken() {
            abandon(lease);
            return;
        }
        // What was under way may have been done, unseen.
        let was_busy = lease.is_busy();
        if (was_busy || is_unsynced) && !stop(&mut lease, is_unsynced).await {
            lease.poison();
            return;
        }
        if is_unsynced || self.upstream.pins.are_indelible() || has_names {
            lease.poison();
            return;
        }
        // What was rolled back, or cancelled before it was committed, isn't set any more.
        lease.forget_settings();
        let cleaned = async {
            if lease.status() != TransactionStatus::Idle {
                lease.query("ROLLBACK").await?;
            }
            if self.is_pinned()
                || was_busy
                || self.upstream.learning.is_in_doubt()
                || self.listening.is_on_server()
            {
                lease.query("DISCARD ALL").await?;
                lease.forget_all_prepared();
                lease.forget_sequences();
            }
            Ok::<_, ServerError>(())
        };
        if cleaned.await.is_err() {
            lease.poison();
        }
    }

    /// The settings to report at login: the server's own, with those that the client asks for. Only
    /// settings that change what others print are asked of a server; the rest is plain.
    pub(super) async fn initial_parameters(
        &mut self,
        values: &[(String, String)],
    ) -> Result<HashMap<String, String>, PgError> {
        let plain = values.iter().all(|(name, value)| match name.as_str() {
            // The server puts another character in the place of any that it doesn't take.
            "application_name" => value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            _ => false,
        });
        let fatal = |failure: Failure| match failure {
            Failure::Statement(error) | Failure::Session(End::Fatal(error)) => error.into_fatal(),
            Failure::Told | Failure::Session(End::Client(_)) => {
                PgError::fatal(sqlstate::INTERNAL_ERROR, "client has gone")
            }
        };
        let generation = self.identity.access.servers().primary.pool.generation();
        let mut parameters = if plain {
            let parameters = self.shared.server_parameters(&self.identity.access).await;
            let told = parameters.map_err(|error| error.to_pg().into_fatal())?;
            self.settings.told = Told::new(told.clone(), generation);
            HashMap::clone(&told)
        } else {
            let parameters = self
                .server()
                .await
                .map(|lease| (lease.login_parameters().clone(), lease.parameters().clone()));
            self.give_back().await;
            self.upstream.replicas.forget_seen();
            let (told, parameters) = parameters.map_err(fatal)?;
            self.settings.told = Told::new(Arc::new(told), generation);
            parameters
        };
        if !self.identity.access.has_own_role() {
            parameters.insert("session_authorization".into(), self.identity.user.clone());
        }
        if plain {
            let application = values.iter().rfind(|(name, _)| name == "application_name");
            let application = application.map_or("", |(_, value)| value);
            parameters.insert("application_name".into(), application.to_owned());
        } else if self.settings.base.get("application_name").is_none() {
            parameters.insert("application_name".into(), String::new());
        }
        Ok(parameters)
    }

    /// Keeps the server connection with this session while it has something of its on it.
    pub(crate) fn pin(&mut self, pin: Pin) {
        if self.upstream.pins.is_empty() {
            tracing::debug!(
                user = self.identity.user,
                reason = pin.reason(),
                "server connection stays with its client"
            );
        }
        self.upstream.pins.add(pin, self.transaction.block.is_open());
    }

    pub(crate) fn is_pinned(&self) -> bool {
        !self.upstream.pins.is_empty()
    }

    /// Waits for a store or for others, unless the client cancels or goes.
    pub(crate) async fn interruptible<T>(
        &mut self,
        waiting: impl Future<Output = T>,
    ) -> Outcome<T> {
        tokio::select! {
            biased;
            done = while_there(&mut self.client, waiting) => done,
            () = self.identity.registered.handle.interrupt.notified() => Err(cancelled().into()),
        }
    }

    pub(super) fn send_sync(&mut self) {
        if let Some(lease) = self.held_server() {
            message::sync(lease.out());
            lease.expect_ready();
        }
    }

    /// Syncs the server alone, its ReadyForQuery kept back.
    pub(super) async fn sync_server(&mut self, only_if_unsynced: bool) -> Outcome<()> {
        if !self.has_server() || (only_if_unsynced && !self.upstream.is_unsynced()) {
            return Ok(());
        }
        self.send_sync();
        self.send_to_server().await?;
        self.drain(VecDeque::from([Step::Ready { show: false }])).await?;
        self.upstream.note_synced();
        Ok(())
    }
}
