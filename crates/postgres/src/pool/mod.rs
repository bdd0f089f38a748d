//! Server connections, bounded and lent in order.
//!
//! - [`PoolOptions`]: how many, and how long they live.
//! - `manager`: how a connection is made, and whether one that has been idle may be used.
//! - `logins`: attempts to log in, spaced while they fail.
//! - `shortage`: who waits, for those who could spare a connection.
//! - [`PoolFigures`]: all that in numbers.
//!
//! Bb8 with a semaphore in front. bb8 wakes waiters in no particular order; the semaphore's permits
//! are handed out in the order of asking. bb8's reaper closes idle connections and keeps
//! `min_idle`; a connection's own end, earlier than `max_lifetime` by chance, is known to the
//! connection (`Connection::ends`) and looked at when it is lent and comes back. The embedded
//! PostgreSQL's pool has no `lifetimes`, so no reaper.

mod figures;
mod logins;
mod manager;
mod options;
mod shortage;

use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flywheel_wire::PgError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

pub use figures::PoolFigures;
pub(crate) use logins::Logins;
use manager::Manager;
pub use options::{Lifetimes, PoolOptions};
pub(crate) use shortage::Shortage;

use crate::defaults::Generations;
use crate::topology::Seat;
use crate::{Connection, Login, ServerError, ServerOptions, Settings};

/// How long a look that is taken from time to time waits for a lock.
const LOOK_PATIENCE: &str = "100ms";

/// A pool of connections to one server.
#[derive(Debug, Clone)]
pub struct Pool {
    connections: bb8::Pool<Manager>,
    /// bb8 wakes waiters in no order; permits are handed out first come, first served.
    turns: Arc<Semaphore>,
    server: Arc<ServerOptions>,
    options: Arc<PoolOptions>,
    seat: Option<Seat>,
    logins: Arc<Logins>,
    generations: Arc<Generations>,
    shortage: Arc<Shortage>,
    /// How many have waited in vain.
    timeouts: Arc<AtomicU64>,
}

/// A connection on loan. It goes back to the pool when it is clean, and is closed when it isn't.
#[derive(Debug)]
pub struct Lease {
    connection: bb8::PooledConnection<'static, Manager>,
    _turn: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool of connections to the host in `server`, each made when first needed. Must be called
    /// on a runtime.
    #[must_use]
    pub fn new(server: ServerOptions, options: PoolOptions) -> Self {
        Self::build(server, options, None)
    }

    /// A pool whose connections lead to whoever sits in this place of a cluster, rather than to the
    /// host in `server`. While nobody is the primary, an acquire waits; connections to one that
    /// isn't the primary any more are closed when they come back.
    #[must_use]
    pub fn following(seat: Seat, server: ServerOptions, options: PoolOptions) -> Self {
        Self::build(server, options, Some(seat))
    }

    fn build(server: ServerOptions, options: PoolOptions, seat: Option<Seat>) -> Self {
        let server = Arc::new(server);
        let logins = Arc::new(Logins::new(options.login_retry));
        let generations = Arc::<Generations>::default();
        let lifetimes = options.lifetimes.clone();
        let mut builder = bb8::Pool::builder()
            .max_size(options.size)
            .test_on_check_out(true)
            .connection_timeout(options.acquire_timeout)
            .retry_connection(false)
            // Those that aren't needed any more grow old.
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .max_lifetime(lifetimes.as_ref().map(|lifetimes| lifetimes.max_lifetime))
            .idle_timeout(lifetimes.as_ref().map(|lifetimes| lifetimes.idle_timeout));
        if let Some(lifetimes) = &lifetimes {
            builder = builder
                .min_idle(lifetimes.min_idle.min(options.size))
                .reaper_rate(lifetimes.interval());
        }
        let connections = builder.build_unchecked(Manager {
            server: server.clone(),
            seat: seat.clone(),
            patience: options.acquire_timeout,
            lifetimes,
            logins: logins.clone(),
            generations: generations.clone(),
            lost: Mutex::new(None),
        });
        Self {
            connections,
            turns: Arc::new(Semaphore::new(options.size as usize)),
            server,
            options: Arc::new(options),
            seat,
            logins,
            generations,
            shortage: Arc::default(),
            timeouts: Arc::default(),
        }
    }

    /// A pool of its own to the same place, for another database or role.
    #[must_use]
    pub fn under(&self, login: &Login, options: PoolOptions) -> Self {
        let mut server = ServerOptions::clone(&self.server);
        if let Some(database) = &login.database {
            server.database.clone_from(database);
        }
        if let Some((user, password)) = &login.role {
            server.user.clone_from(user);
            server.password.clone_from(password);
        }
        Self::build(server, options, self.seat.as_ref().map(Seat::another))
    }

    /// Which server it leads to, and the login.
    #[must_use]
    pub fn server(&self) -> &ServerOptions {
        &self.server
    }

    /// How it keeps its connections.
    #[must_use]
    pub fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// Which settings sessions of its connections begin with: another number, maybe others.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generations.current()
    }

    /// Sessions begin with other settings from now on: its connections are closed as they come
    /// back, and others made.
    pub fn renew(&self) {
        self.generations.end();
    }

    /// The error of one that has waited too long.
    pub(crate) fn timeout(&self) -> ServerError {
        self.timeouts.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = self.seat.as_ref().and_then(Seat::problem) {
            return error;
        }
        match self.logins.problem() {
            Some(error) if self.is_empty() => error.into(),
            problem => ServerError::PoolTimeout {
                waited: self.options.acquire_timeout,
                size: self.options.size,
                user: self.server.user.clone(),
                database: self.server.database.clone(),
                sized_by: self.options.sized_by.clone(),
                refused: problem.map(|error| error.message().to_owned()),
            },
        }
    }

    /// Who waits for a connection.
    pub(crate) fn shortage(&self) -> &Arc<Shortage> {
        &self.shortage
    }

    fn waits_for_primary(&self) -> bool {
        self.seat.as_ref().is_some_and(Seat::is_primary)
    }

    fn is_of_replica(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| !seat.is_primary())
    }

    /// There is no connection that could come back.
    fn is_empty(&self) -> bool {
        self.connections.state().connections == 0
    }

    /// Where its connections lead now, and under which login.
    ///
    /// # Errors
    /// Nobody is the primary.
    pub fn place(&self) -> Result<ServerOptions, ServerError> {
        let mut server = ServerOptions::clone(&self.server);
        if let Some(seat) = &self.seat {
            server.host = seat.host(&self.server)?;
        }
        Ok(server)
    }

    /// A connection of its own to the same server, past the pool, with further parameters in the
    /// startup packet.
    ///
    /// # Errors
    /// The server can't be reached, or refuses the login.
    pub async fn connect_apart(
        &self,
        further: &[(String, String)],
    ) -> Result<Connection, ServerError> {
        match &self.seat {
            Some(seat) => seat.connect(&self.server, further).await,
            None => Connection::connect_with(&self.server, further).await,
        }
    }

    /// Borrows a connection.
    ///
    /// # Errors
    /// None became free in time, or the server can't be reached or refuses the login.
    pub async fn acquire(&self) -> Result<Lease, ServerError> {
        let deadline = Instant::now() + self.options.acquire_timeout;
        let mut outcomes = self.logins.outcomes();
        // In place of a replica, others can be asked: that isn't waited for.
        let horizon = if self.is_of_replica() { Instant::now() } else { deadline };
        if let Some(error) = self.logins.problem_until(horizon) {
            self.go_on(error.into())?;
        }
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            return self.connection(turn, deadline, &mut outcomes).await;
        }
        let waiter = self.shortage.waiter();
        let mut turn = pin!(self.turns.clone().acquire_owned());
        let turn = loop {
            tokio::select! {
                biased;
                // The semaphore is never closed.
                turn = &mut turn => break turn.map_err(|_| self.timeout())?,
                () = tokio::time::sleep_until(deadline) => return Err(self.timeout()),
                Ok(()) = outcomes.changed() => self.hear(&mut outcomes)?,
            }
        };
        drop(waiter);
        self.connection(turn, deadline, &mut outcomes).await
    }

    /// Borrows a connection that has no session's settings or role, for what is Flywheel's own.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_plain(&self) -> Result<Lease, ServerError> {
        let mut lease = self.acquire().await?;
        lease.apply_settings(&Arc::default()).await?;
        Ok(lease)
    }

    /// The same for a look that is taken from time to time: one that would have to wait for
    /// somebody who has locked a part of the catalogue fails (55P03), and is repeated.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_for_look(&self) -> Result<Lease, ServerError> {
        let mut settings = Settings::default();
        settings.set("lock_timeout", format!("SET lock_timeout = '{LOOK_PATIENCE}'"));
        let mut lease = self.acquire().await?;
        lease.apply_settings(&Arc::new(settings)).await?;
        Ok(lease)
    }

    /// A connection for one whose turn it is.
    async fn connection(
        &self,
        turn: OwnedSemaphorePermit,
        deadline: Instant,
        outcomes: &mut watch::Receiver<Option<PgError>>,
    ) -> Result<Lease, ServerError> {
        loop {
            // Boxed: the compiler can't prove the unboxed future Send for every lifetime
            // (rust-lang/rust#102211).
            let mut connection: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(self.connections.get_owned());
            tokio::select! {
                biased;
                got = &mut connection => return match got {
                    Ok(connection) => Ok(Lease { connection, _turn: turn }),
                    Err(bb8::RunError::User(error)) => Err(error),
                    Err(bb8::RunError::TimedOut) => Err(self.timeout()),
                },
                () = tokio::time::sleep_until(deadline) => return Err(self.timeout()),
                // bb8 would have us wait for a connection to come back; asked anew, it makes
                // another attempt.
                Ok(()) = outcomes.changed() => self.hear(outcomes)?,
            }
        }
    }

    /// A login has failed or succeeded; whether there is anything left to wait for.
    fn hear(&self, outcomes: &mut watch::Receiver<Option<PgError>>) -> Result<(), ServerError> {
        let failure = outcomes.borrow_and_update().clone();
        failure.map_or(Ok(()), |error| self.go_on(error.into()))
    }

    /// Waits on after a failed login where a connection may come back, or another server may become
    /// the primary.
    fn go_on(&self, failure: ServerError) -> Result<(), ServerError> {
        if self.is_empty() && !(self.waits_for_primary() && failure.may_pass()) {
            return Err(failure);
        }
        Ok(())
    }
}

impl Lease {
    /// Puts a connection in its place that was logged in with these settings, so that they are what
    /// RESET means there. It isn't lent to anybody else.
    ///
    /// # Errors
    /// The server can't be reached, or refuses the login.
    pub async fn begin_with(
        &mut self,
        pool: &Pool,
        settings: &Settings,
    ) -> Result<(), ServerError> {
        let mut own = pool.connect_apart(&settings.values()).await?;
        own.applied = Arc::new(settings.clone());
        own.startup = Some(settings.clone());
        own.ends = self.ends;
        let pooled = std::mem::replace(&mut *self.connection, own);
        pooled.terminate().await;
        Ok(())
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
