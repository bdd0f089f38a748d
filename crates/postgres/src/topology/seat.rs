//! Connections that follow a role from server to server.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Cluster, SessionAttributes, Shared};
use crate::{Connection, Host, ServerError, ServerOptions};

/// A role in a cluster that connections are made to: number 0 is the primary's.
#[derive(Debug, Clone)]
pub struct Seat {
    shared: Arc<Shared>,
    number: usize,
    /// Who sat here when it was tried last.
    tried: Arc<Mutex<Option<(Host, u64)>>>,
}

/// What ties a connection to the server that sat in its seat when it was made.
#[derive(Debug)]
pub(crate) struct Sitting {
    seat: Seat,
    epoch: u64,
    current: Arc<AtomicU64>,
    /// While it is here, the connection can be cut.
    _link: Option<Arc<TcpStream>>,
}

impl Cluster {
    /// Where the primary's connections lead.
    #[must_use]
    pub fn primary(&self) -> Seat {
        self.seat(0)
    }

    /// Where the connections of a replica lead, by its number.
    #[must_use]
    pub fn replica(&self, number: usize) -> Seat {
        self.seat(number + 1)
    }

    fn seat(&self, number: usize) -> Seat {
        Seat { shared: self.shared.clone(), number, tried: Arc::default() }
    }
}

impl Seat {
    /// The same place, for other connections.
    pub(crate) fn another(&self) -> Self {
        Self { tried: Arc::default(), ..self.clone() }
    }

    /// Connects to who sits here, under this login, with further parameters in the startup packet.
    ///
    /// # Errors
    /// Nobody sits here, or the server can't be reached or refuses the login.
    pub(crate) async fn connect(
        &self,
        login: &ServerOptions,
        further: &[(String, String)],
    ) -> Result<Connection, ServerError> {
        let connected = self.connect_now(login, further).await;
        if let Err(error) = &connected
            && !is_about_login(error)
        {
            self.failed(error);
        }
        connected
    }

    /// The host that sits here.
    pub(crate) fn host(&self, login: &ServerOptions) -> Result<Host, ServerError> {
        let place = self.shared.state.borrow().seat(self.number);
        place.map(|(host, _)| host.clone()).ok_or_else(|| self.vacant(login))
    }

    /// Waits until somebody else sits here than when it was tried last, or the same again after the
    /// seat was vacant.
    pub(crate) async fn news(&self) {
        let tried = self.tried().clone();
        let mut changes = self.shared.state.subscribe();
        let mut was_vacant = tried.is_none();
        loop {
            let place = changes.borrow_and_update().seat(self.number);
            match place.map(|(host, epoch)| (host, epoch.load(Ordering::Acquire))) {
                None => was_vacant = true,
                sits if was_vacant || sits != tried => return,
                _ => {}
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn tried(&self) -> MutexGuard<'_, Option<(Host, u64)>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect_now(
        &self,
        login: &ServerOptions,
        further: &[(String, String)],
    ) -> Result<Connection, ServerError> {
        let place = self.shared.state.borrow().seat(self.number);
        // What it is now, before connecting: one that comes meanwhile makes the connection
        // outdated.
        let place = place.map(|(host, current)| (host, current.load(Ordering::Acquire), current));
        *self.tried() = place.as_ref().map(|(host, epoch, _)| (host.clone(), *epoch));
        let (host, epoch, current) = place.ok_or_else(|| self.vacant(login))?;
        let at = ServerOptions { host: host.clone(), ..login.clone() };
        let mut connection = Connection::connect_with(&at, further).await?;
        if self.number == 0 && !fits(&connection, self.shared.options.primary_is) {
            return Err(self.vacant(login));
        }
        let link = connection
            .stream
            .tcp()
            .and_then(|socket| self.shared.links.add(self.number, &host, socket));
        connection.sitting = Some(Sitting { _link: link, seat: self.clone(), epoch, current });
        Ok(connection)
    }

    fn vacant(&self, login: &ServerOptions) -> ServerError {
        if self.number == 0 {
            return ServerError::NoPrimary { what: self.shared.state.borrow().no_primary() };
        }
        ServerError::Io {
            server: login.host.to_string(),
            source: std::io::ErrorKind::NotConnected.into(),
        }
    }

    fn failed(&self, error: &ServerError) {
        let cluster = Cluster { shared: self.shared.clone() };
        match self.number.checked_sub(1) {
            Some(replica) => cluster.eject(replica, error),
            None => cluster.suspect(),
        }
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.number == 0
    }

    /// What is known of a lack of a primary, when there is none.
    pub(crate) fn problem(&self) -> Option<ServerError> {
        let state = self.shared.state.borrow();
        (self.number == 0 && !state.has_primary())
            .then(|| ServerError::NoPrimary { what: state.no_primary() })
    }
}

impl Sitting {
    /// Whether another server sits in the seat now.
    pub(crate) fn is_over(&self) -> bool {
        self.current.load(Ordering::Acquire) != self.epoch
    }

    pub(crate) fn is_of_replica(&self) -> bool {
        !self.seat.is_primary()
    }

    /// The connection broke.
    pub(crate) fn broke(&self, error: &ServerError) {
        if !self.is_over() {
            self.seat.failed(error);
        }
    }
}

/// Whether it is this login that is refused: others may well succeed (classes 28, 3D and 42 of
/// errors).
fn is_about_login(error: &ServerError) -> bool {
    match error {
        ServerError::Login { .. } => true,
        ServerError::Postgres(error) => {
            ["28", "3D", "42"].iter().any(|class| error.code().starts_with(class))
        }
        _ => false,
    }
}

/// Whether a server may be the primary, as far as it says so by itself, which PostgreSQL does from
/// 14 on.
fn fits(connection: &Connection, wanted: SessionAttributes) -> bool {
    wanted == SessionAttributes::Any
        || connection.parameters().get("in_hot_standby").is_none_or(|value| value != "on")
}
