//! What bb8 asks of a pool: to make a connection, and whether one may be used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postgres_protocol::message::frontend;

use super::logins::Logins;
use super::options::Lifetimes;
use crate::defaults::Generations;
use crate::topology::Seat;
use crate::{Connection, ServerError, ServerOptions};

/// How long a connection that has been idle may take to answer before it is taken for lost.
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Manager {
    pub(super) server: Arc<ServerOptions>,
    pub(super) seat: Option<Seat>,
    /// How long one waits for a primary.
    pub(super) patience: Duration,
    pub(super) lifetimes: Option<Lifetimes>,
    pub(super) logins: Arc<Logins>,
    pub(super) generations: Arc<Generations>,
    /// Connections that have been idle since then or longer have been lost unseen, as one of them
    /// was.
    pub(super) lost: Mutex<Option<Instant>>,
}

impl Manager {
    fn is_lost(&self, connection: &Connection) -> bool {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.is_some_and(|lost| connection.idle_since <= lost)
    }

    /// A login that the server refuses as those are told who wait for it: it isn't their session
    /// that ends, nor their password that is wrong.
    async fn told(
        &self,
        connecting: impl Future<Output = Result<Connection, ServerError>>,
    ) -> Result<Connection, ServerError> {
        match connecting.await {
            Err(ServerError::Postgres(error)) if error.field(b'H').is_none() => {
                let ServerOptions { host, user, database, .. } = &*self.server;
                let hint = format!(
                    "PostgreSQL server {host} has refused Flywheel's own login as role \"{user}\" to database \"{database}\"."
                );
                Err(error.into_error().with_hint(hint).into())
            }
            Err(ServerError::Postgres(error)) => Err(error.into_error().into()),
            connected => connected,
        }
    }

    /// While nobody is the primary, or while the one that was can't be reached, this waits.
    async fn connect_to_primary(&self, seat: &Seat) -> Result<Connection, ServerError> {
        let deadline = Instant::now() + self.patience;
        loop {
            let connected =
                self.logins.attempt(self.told(seat.connect(&self.server, &[])), seat.news()).await;
            match connected {
                Err(error) if error.may_pass() && Instant::now() < deadline => {}
                connected => return connected,
            }
        }
    }

    /// Asks the server for a sign of life, on a connection that has been idle for long: a network
    /// on the way may have forgotten it.
    async fn check(&self, connection: &mut Connection) -> Result<(), ServerError> {
        let since = connection.idle_since;
        if self.lifetimes.as_ref().is_none_or(|lifetimes| since.elapsed() <= lifetimes.check_after)
        {
            return Ok(());
        }
        let patience = CHECK_PATIENCE.min(self.patience / 2);
        frontend::sync(connection.out());
        connection.expect_ready();
        let answered = async {
            connection.send().await?;
            connection.until_ready(|_| {}).await
        };
        if let Ok(answered) = tokio::time::timeout(patience, answered).await {
            return answered;
        }
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        *lost = (*lost).max(Some(since));
        drop(lost);
        let what =
            format!("no answer within {patience:?} after it was idle for {:?}", since.elapsed());
        let error = connection.io_error(std::io::Error::new(std::io::ErrorKind::TimedOut, what));
        tracing::debug!(%error, "idle connection closed");
        Err(error)
    }
}

impl bb8::ManageConnection for Manager {
    type Connection = Connection;
    type Error = ServerError;

    async fn connect(&self) -> Result<Connection, ServerError> {
        let began = self.generations.current();
        let mut connection = match &self.seat {
            Some(seat) if seat.is_primary() => self.connect_to_primary(seat).await,
            // The cluster knows when one that has failed can be used again; until then others are
            // asked.
            Some(seat) => self.logins.attempt_now(self.told(seat.connect(&self.server, &[]))).await,
            None => {
                let connecting = self.told(Connection::connect(&self.server));
                self.logins.attempt(connecting, std::future::pending()).await
            }
        }?;
        connection.generation = Some(Generations::add(&self.generations, &connection, began));
        connection.ends = self.lifetimes.as_ref().map(Lifetimes::end);
        Ok(connection)
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), ServerError> {
        let what = if connection.is_outdated() {
            "another server has taken this one's place, or sessions begin with other settings"
        } else if connection.is_at_its_end() {
            "the connection has come to its end"
        } else if !connection.is_alive() {
            "the server closed an idle connection"
        } else if self.is_lost(connection) {
            "other connections that were idle for as long don't answer"
        } else {
            return self.check(connection).await;
        };
        let source = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, what);
        Err(ServerError::Io { server: self.server.host.to_string(), source })
    }

    /// Asked when a connection comes back.
    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.idle_since = Instant::now();
        !connection.is_clean()
            || connection.startup.is_some()
            || connection.is_outdated()
            || connection.is_at_its_end()
    }
}
