//! Connections that follow a role from server to server.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout_at;

use super::{Cluster, SessionAttributes, Shared};
use crate::connection::Stream;
use crate::{Connection, ServerError, ServerOptions};

/// How long after a failure the next attempt is made, when nothing new is heard of the servers.
const RETRY: Duration = Duration::from_millis(50);

/// A role in a cluster that connections are made to: number 0 is the primary's.
#[derive(Debug, Clone)]
pub struct Seat {
    shared: Arc<Shared>,
    number: usize,
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
        Seat {
            shared: self.shared.clone(),
            number,
        }
    }
}

impl Seat {
    /// Connects to who sits here, under this login, with further parameters in the startup packet. While nobody is the primary, or while the one that was can't be reached, this waits, for at most
    /// `patience`; a replica that can't be reached fails at once, since there are others.
    ///
    /// # Errors
    /// The server can't be reached or refuses the login.
    pub(crate) async fn connect(
        &self,
        login: &ServerOptions,
        further: &[(String, String)],
        patience: Duration,
    ) -> Result<Connection, ServerError> {
        if self.number > 0 {
            let connected = self.connect_now(login, further).await;
            if let Err(error) = &connected {
                self.failed(error);
            }
            return connected;
        }
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let mut changes = self.shared.state.subscribe();
            let failure = match self.connect_now(login, further).await {
                Err(failure) if may_pass(&failure) => failure,
                connected => return connected,
            };
            self.shared.suspect();
            let wait = (tokio::time::Instant::now() + RETRY).min(deadline);
            if timeout_at(wait, changes.changed()).await.is_err() && wait == deadline {
                return Err(failure);
            }
        }
    }

    async fn connect_now(&self, login: &ServerOptions, further: &[(String, String)]) -> Result<Connection, ServerError> {
        let place = self.shared.state.borrow().seat(self.number);
        let (host, current) = place.ok_or_else(|| self.vacant(login))?;
        // What it is now, before connecting: one that comes meanwhile makes the connection outdated.
        let epoch = current.load(Ordering::Acquire);
        let at = ServerOptions {
            host: host.clone(),
            ..login.clone()
        };
        let mut connection = Connection::connect_with(&at, further).await?;
        if self.number == 0 && !fits(&connection, self.shared.options.primary_is) {
            return Err(self.vacant(login));
        }
        let link = match &connection.stream {
            Stream::Tcp(socket) => self.shared.links.add(self.number, &host, socket),
            Stream::Unix(_) => None,
        };
        connection.sitting = Some(Sitting {
            _link: link,
            seat: self.clone(),
            epoch,
            current,
        });
        Ok(connection)
    }

    fn vacant(&self, login: &ServerOptions) -> ServerError {
        if self.number == 0 {
            return ServerError::NoPrimary {
                what: self.shared.state.borrow().no_primary(),
            };
        }
        ServerError::Io {
            server: login.host.to_string(),
            source: std::io::ErrorKind::NotConnected.into(),
        }
    }

    fn failed(&self, error: &ServerError) {
        let cluster = Cluster {
            shared: self.shared.clone(),
        };
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
        (self.number == 0 && !state.has_primary()).then(|| ServerError::NoPrimary { what: state.no_primary() })
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

/// Whether another server, or the same one a little later, may do: it can't be reached, or starts or stops.
fn may_pass(error: &ServerError) -> bool {
    match error {
        ServerError::Io { .. } | ServerError::NoPrimary { .. } => true,
        ServerError::Postgres(error) => error.code().starts_with("57P"),
        _ => false,
    }
}

/// Whether a server may be the primary, as far as it says so by itself, which PostgreSQL does from 14 on.
fn fits(connection: &Connection, wanted: SessionAttributes) -> bool {
    wanted == SessionAttributes::Any || connection.parameters().get("in_hot_standby").is_none_or(|value| value != "on")
}
