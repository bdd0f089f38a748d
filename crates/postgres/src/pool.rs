//! Server connections, bounded and lent in order.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flywheel_wire::PgError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::topology::Seat;
use crate::{Connection, ServerError, ServerOptions};

/// A pool of connections to one server.
#[derive(Debug, Clone)]
pub struct Pool {
    connections: bb8::Pool<Manager>,
    /// bb8 wakes waiters in no order; permits are handed out first come, first served.
    turns: Arc<Semaphore>,
    options: Arc<ServerOptions>,
    seat: Option<Seat>,
    /// Why the last connection could not be made.
    failures: watch::Sender<Option<PgError>>,
    size: u32,
    acquire_timeout: Duration,
}

/// A connection on loan. It goes back to the pool when it is clean, and is closed when it isn't.
#[derive(Debug)]
pub struct Lease {
    connection: bb8::PooledConnection<'static, Manager>,
    _turn: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool of at most `size` connections, each made when first needed. An acquire waits `acquire_timeout` at most.
    #[must_use]
    pub fn new(options: ServerOptions, size: u32, acquire_timeout: Duration) -> Self {
        Self::build(options, None, size, acquire_timeout)
    }

    /// A pool whose connections lead to whoever sits in this place of a cluster, rather than to the host in `options`. While nobody is the primary,
    /// an acquire waits; connections to one that isn't the primary any more are closed when they come back.
    #[must_use]
    pub fn following(seat: Seat, options: ServerOptions, size: u32, acquire_timeout: Duration) -> Self {
        Self::build(options, Some(seat), size, acquire_timeout)
    }

    fn build(options: ServerOptions, seat: Option<Seat>, size: u32, acquire_timeout: Duration) -> Self {
        let options = Arc::new(options);
        let failures = watch::Sender::new(None);
        let connections = bb8::Pool::builder()
            .max_size(size)
            .test_on_check_out(true)
            .connection_timeout(acquire_timeout)
            .retry_connection(false)
            .idle_timeout(None)
            .build_unchecked(Manager {
                options: options.clone(),
                seat: seat.clone(),
                patience: acquire_timeout,
                failures: failures.clone(),
            });
        Self {
            connections,
            turns: Arc::new(Semaphore::new(size as usize)),
            options,
            seat,
            failures,
            size,
            acquire_timeout,
        }
    }

    /// Which server it leads to.
    #[must_use]
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// The error of one that has waited too long.
    pub(crate) fn timeout(&self) -> ServerError {
        let problem = self.seat.as_ref().and_then(Seat::problem);
        problem.unwrap_or(ServerError::PoolTimeout {
            waited: self.acquire_timeout,
            size: self.size,
        })
    }

    /// How many connections it has at most.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How long one waits for a connection.
    #[must_use]
    pub fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout
    }

    fn waits_for_primary(&self) -> bool {
        self.seat.as_ref().is_some_and(Seat::is_primary)
    }

    /// A connection of its own to the same server, past the pool, with further parameters in the startup packet.
    ///
    /// # Errors
    /// The server can't be reached, or refuses the login.
    pub async fn connect_apart(&self, further: &[(String, String)]) -> Result<Connection, ServerError> {
        match &self.seat {
            Some(seat) => seat.connect(&self.options, further, self.acquire_timeout).await,
            None => Connection::connect_with(&self.options, further).await,
        }
    }

    /// Borrows a connection.
    ///
    /// # Errors
    /// None became free in time, or the server can't be reached or refuses the login.
    pub async fn acquire(&self) -> Result<Lease, ServerError> {
        let timeout = || self.timeout();
        let deadline = tokio::time::Instant::now() + self.acquire_timeout;
        let turn = tokio::time::timeout_at(deadline, self.turns.clone().acquire_owned())
            .await
            .map_err(|_| timeout())?;
        // The semaphore is never closed.
        let turn = turn.map_err(|_| timeout())?;
        let mut failures = self.failures.subscribe();
        // Boxed: the compiler can't prove the unboxed future Send for every lifetime (rust-lang/rust#102211).
        let mut connection: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(self.connections.get_owned());
        loop {
            let got = tokio::select! {
                biased;
                got = &mut connection => got,
                () = tokio::time::sleep_until(deadline) => Err(bb8::RunError::TimedOut),
                // bb8 would have us wait to the end. There is nothing to wait for when there is no connection that could come back.
                Ok(()) = failures.changed() => {
                    let failure = failures.borrow_and_update().clone();
                    if self.connections.state().connections == 0
                        && let Some(error) = failure
                    {
                        // An attempt that another began has come to its end; there may be time for one more.
                        if self.waits_for_primary() && tokio::time::Instant::now() < deadline {
                            connection = Box::pin(self.connections.get_owned());
                            continue;
                        }
                        return Err(error.into());
                    }
                    continue;
                }
            };
            return match got {
                Ok(connection) => Ok(Lease { connection, _turn: turn }),
                Err(bb8::RunError::User(error)) => Err(error),
                Err(bb8::RunError::TimedOut) => Err(timeout()),
            };
        }
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

#[derive(Debug)]
struct Manager {
    options: Arc<ServerOptions>,
    seat: Option<Seat>,
    /// How long one waits for a primary.
    patience: Duration,
    failures: watch::Sender<Option<PgError>>,
}

impl bb8::ManageConnection for Manager {
    type Connection = Connection;
    type Error = ServerError;

    async fn connect(&self) -> Result<Connection, ServerError> {
        let connected = match &self.seat {
            Some(seat) => seat.connect(&self.options, &[], self.patience).await,
            None => Connection::connect(&self.options).await,
        };
        if let Err(error) = &connected {
            self.failures.send_replace(Some(error.to_pg()));
        }
        connected
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), ServerError> {
        let what = match (connection.is_outdated(), connection.is_alive()) {
            (false, true) => return Ok(()),
            (false, false) => "the server closed an idle connection",
            (true, _) => "another server has taken this one's place",
        };
        let source = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, what);
        Err(ServerError::Io {
            server: self.options.host.to_string(),
            source,
        })
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        !connection.is_clean() || connection.is_outdated()
    }
}
