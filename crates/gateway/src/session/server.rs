//! The session's server connection: when it has one, and in which state it gives it back.

use std::collections::HashMap;
use std::future::poll_fn;
use std::time::Duration;

use flywheel_postgres::{Lease, Pool, ServerError};
use flywheel_wire::PgError;
use flywheel_wire::backend::TransactionStatus;

use super::{End, Failure, Outcome, Session, cancelled};
use crate::front::ClientError;

/// How long a statement whose client has gone may take to end.
const STOP: Duration = Duration::from_secs(5);

/// Cancels what a connection is at, and reads its answer to the end. False: it didn't come.
async fn stop(lease: &mut Lease) -> bool {
    if let Some(key) = lease.cancel_key().cloned()
        && let Err(error) = flywheel_postgres::cancel(&key).await
    {
        tracing::warn!(%error, "the statement of a client that has gone could not be cancelled");
    }
    if !lease.is_between_messages() {
        return false;
    }
    let stopped = tokio::time::timeout(STOP, lease.until_ready(drop)).await;
    matches!(stopped, Ok(Ok(()) | Err(ServerError::Postgres(_))))
}

impl Session {
    /// The server connection, borrowed from the pool of the primary when there is none yet, with the session's settings.
    pub(crate) async fn server(&mut self) -> Outcome<&mut Lease> {
        if self.lease.is_none() {
            let pool = self.access.servers().primary.pool.clone();
            return self.server_of(&pool).await;
        }
        self.held()
    }

    /// The server connection, borrowed from `pool` when there is none yet.
    pub(crate) async fn server_of(&mut self, pool: &Pool) -> Outcome<&mut Lease> {
        if self.lease.is_none() {
            let mut lease = self.wait_for(pool).await?;
            if lease.has_too_many_prepared() {
                lease
                    .query("DEALLOCATE ALL")
                    .await
                    .map_err(|error| Failure::Statement(error.to_pg()))?;
                lease.forget_all_prepared();
            }
            lease
                .apply_settings(&self.settings)
                .await
                .map_err(|error| Failure::Statement(error.to_pg()))?;
            *self.registered.handle.server.lock().await = lease.cancel_key().cloned();
            self.unnamed_on_server = None;
            self.lease = Some(lease);
        }
        self.held()
    }

    /// Waits for a connection, unless the client cancels or goes.
    async fn wait_for(&mut self, pool: &Pool) -> Outcome<Lease> {
        let interrupt = &self.registered.handle.interrupt;
        tokio::select! {
            biased;
            lease = pool.acquire() => lease.map_err(|error| Failure::Statement(error.to_pg())),
            () = interrupt.notified() => Err(cancelled().into()),
            () = poll_fn(|cx| self.client.poll_gone(cx, true)) => Err(ClientError::Gone.into()),
        }
    }

    fn held(&mut self) -> Outcome<&mut Lease> {
        match &mut self.lease {
            Some(lease) => Ok(lease),
            None => Err(PgError::error(flywheel_wire::sqlstate::INTERNAL_ERROR, "no server connection").into()),
        }
    }

    /// Whether a server connection is held now.
    pub(crate) fn has_server(&self) -> bool {
        self.lease.is_some()
    }

    /// The held server connection.
    pub(crate) fn held_server(&mut self) -> Option<&mut Lease> {
        self.lease.as_mut()
    }

    /// The server connection's unnamed statement is none of the client's any more.
    pub(crate) fn lose_unnamed(&mut self) {
        self.unnamed_on_server = None;
    }

    /// The server connection can't be used any more.
    pub(super) fn poison_server(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.poison();
        }
    }

    /// Takes over the server connection's state after an exchange.
    pub(crate) fn follow_server(&mut self) {
        if let Some(lease) = &self.lease {
            self.status = lease.status();
        }
        let is_open = self.status != TransactionStatus::Idle;
        if is_open != self.open.is_some() {
            self.open = is_open.then(|| self.shared.tally.begin());
        }
    }

    /// Gives the server connection back when nothing ties the session to it.
    pub(crate) async fn release(&mut self) {
        if self.status != TransactionStatus::Idle || self.unsynced {
            return;
        }
        if self.pins.may_be_gone() {
            self.look_for_pins().await;
        }
        if !self.is_pinned() {
            self.give_back().await;
        }
    }

    async fn give_back(&mut self) {
        if self.lease.is_some() {
            // A cancel under way is waited for: it must not reach the connection's next user.
            *self.registered.handle.server.lock().await = None;
            self.lease = None;
            self.replicas.given_back();
        }
    }

    /// What an error of the server connection means: after a broken connection, a session that had state in it can't go on.
    pub(crate) fn server_failed(&mut self, error: &ServerError) -> Failure {
        let broken = !matches!(error, ServerError::Postgres(_) | ServerError::PoolTimeout { .. });
        if !broken {
            self.follow_server();
            return Failure::Statement(error.to_pg());
        }
        // What was flushed to a replica on the way to its Sync is asked of another server.
        let is_unsynced = std::mem::take(&mut self.unsynced) && !self.can_be_asked_elsewhere();
        let had_state = self.status != TransactionStatus::Idle || self.is_pinned() || is_unsynced;
        self.lease = None;
        self.lose_writes();
        self.replicas.given_back();
        self.unnamed_on_server = None;
        let told = error.to_pg();
        if had_state {
            let fatal = told
                .into_fatal()
                .with_hint("The transaction block or session state on that connection is lost: connect again.");
            return Failure::Session(End::Fatal(fatal));
        }
        Failure::Statement(told)
    }

    /// The server connection is gone.
    pub(super) fn drop_server(&mut self) {
        self.lease = None;
        self.replicas.given_back();
        self.unnamed_on_server = None;
    }

    /// The server connection was lost at the end of a block or statement. A session that had more on it can't go on, and is told what has become of that.
    pub(crate) fn lose_server(&mut self, lost: PgError, note: Option<&'static str>) -> Outcome<()> {
        self.drop_server();
        self.status = TransactionStatus::Idle;
        self.open = None;
        if !self.is_pinned() {
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

    /// Whether PostgreSQL can be asked something over another connection. Where it serves only one, that must not be the session's own, which is given back
    /// when nothing ties the session to it.
    pub(crate) async fn spares_a_connection(&mut self) -> bool {
        if self.lease.is_none() || self.shared.pool().options().size > 1 || self.access.has_own_role() {
            return true;
        }
        self.release().await;
        self.lease.is_none()
    }

    /// At the session's end: a connection with state in it is cleaned, or closed when that fails.
    pub(super) async fn leave(&mut self) {
        self.leave_server().await;
        self.lose_writes();
    }

    async fn leave_server(&mut self) {
        *self.registered.handle.server.lock().await = None;
        let Some(mut lease) = self.lease.take() else { return };
        if lease.is_broken() {
            return;
        }
        if (lease.is_busy() || self.unsynced) && !stop(&mut lease).await {
            lease.poison();
            return;
        }
        if self.unsynced || self.pins.are_indelible() {
            lease.poison();
            return;
        }
        // What was rolled back, or cancelled before it was committed, isn't set any more.
        lease.forget_settings();
        let cleaned = async {
            if lease.status() != TransactionStatus::Idle {
                lease.query("ROLLBACK").await?;
            }
            if self.is_pinned() {
                lease.query("DISCARD ALL").await?;
                lease.forget_all_prepared();
            }
            Ok::<_, ServerError>(())
        };
        if cleaned.await.is_err() {
            lease.poison();
        }
    }

    /// The settings to report at login: the server's own, with those that the client asks for. Only settings that change what others
    /// print are asked of a server; the rest is plain.
    pub(super) async fn initial_parameters(&mut self, values: &[(String, String)]) -> Result<HashMap<String, String>, PgError> {
        let plain = values
            .iter()
            .all(|(name, _)| matches!(name.as_str(), "application_name" | "client_encoding"));
        let fatal = |failure: Failure| match failure {
            Failure::Statement(error) | Failure::Session(End::Fatal(error)) => error.into_fatal(),
            Failure::Told | Failure::Session(End::Client(_)) => PgError::fatal(flywheel_wire::sqlstate::INTERNAL_ERROR, "client has gone"),
        };
        let mut parameters = if plain {
            self.shared
                .server_parameters(&self.access)
                .await
                .map_err(|error| error.to_pg().into_fatal())?
        } else {
            let parameters = self.server().await.map(|lease| lease.parameters().clone()).map_err(fatal);
            self.give_back().await;
            self.replicas.forget_writes();
            parameters?
        };
        if !self.access.has_own_role() {
            parameters.insert("session_authorization".into(), self.user.clone());
        }
        let application = values
            .iter()
            .find(|(name, _)| name == "application_name")
            .map_or("", |(_, value)| value);
        parameters.insert("application_name".into(), application.to_owned());
        parameters.insert("client_encoding".into(), "UTF8".into());
        Ok(parameters)
    }
}
