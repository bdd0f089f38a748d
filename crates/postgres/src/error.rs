//! What can go wrong between Flywheel and a server.

use std::io;

use flywheel_wire::{FrameError, PgError, sqlstate};
use thiserror::Error;

/// An error of a server connection or of a statement on it.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The server can't be reached or the connection broke.
    #[error("connection to PostgreSQL server {server}: {source}")]
    Io {
        /// Which server.
        server: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server sent what the protocol doesn't allow.
    #[error("PostgreSQL server {server} broke the protocol: {what}")]
    Protocol {
        /// Which server.
        server: String,
        /// What it did.
        what: String,
    },
    /// The server asks for a login that isn't configured or that Flywheel doesn't speak.
    #[error("login to PostgreSQL server {server}: {what}")]
    Login {
        /// Which server.
        server: String,
        /// What it asks for.
        what: String,
    },
    /// No connection became free in time.
    #[error(
        "no server connection became free within {waited:?} in the pool of role \"{user}\" in database \"{database}\""
    )]
    PoolTimeout {
        /// How long was waited.
        waited: std::time::Duration,
        /// How many connections the pool has.
        size: u32,
        /// The role that it logs in as.
        user: String,
        /// The database.
        database: String,
        /// The setting that bounds it.
        sized_by: String,
        /// Why the server doesn't let the pool have more connections, where it has refused one.
        refused: Option<String>,
    },
    /// No server is the primary now.
    #[error("{what}")]
    NoPrimary {
        /// Why none of the servers is, each with its reason.
        what: String,
    },
    /// The server has ended the session in the middle of a statement.
    #[error("PostgreSQL server {server} has ended the session: {}", error.message())]
    Ended {
        /// Which server.
        server: String,
        /// What it said, as a FATAL error.
        error: PgError,
    },
    /// The server answered with an error.
    #[error(transparent)]
    Postgres(#[from] PgError),
}

/// Whether no connection was made: no byte has come to a server.
fn is_unreached(source: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        source.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::NotFound
            | ErrorKind::PermissionDenied
    )
}

impl ServerError {
    pub(crate) fn frame(server: &str, error: FrameError) -> Self {
        Self::Protocol { server: server.to_owned(), what: error.to_string() }
    }

    /// Whether another server, or the same one a little later, may do: it can't be reached, or
    /// starts or stops.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Io { .. } | Self::NoPrimary { .. } => true,
            // Also as it was told to others.
            Self::Postgres(error) => {
                error.code().starts_with("57P") || error.code() == sqlstate::CONNECTION_FAILURE.0
            }
            _ => false,
        }
    }

    /// The error as a client sees it.
    #[must_use]
    pub fn to_pg(&self) -> PgError {
        let told = |code| PgError::error(code, self.to_string());
        match self {
            Self::Postgres(error) => error.clone(),
            Self::Io { source, .. } if is_unreached(source) => told(sqlstate::CONNECTION_FAILURE)
                .with_hint(
                    "Check that the server runs and that the store's `url` in the configuration \
                     is right. Nothing was sent to it.",
                ),
            Self::Io { .. } => told(sqlstate::CONNECTION_FAILURE).with_hint(
                "Check that the server runs and that the store's `url` in the configuration is \
                 right; the statement may or may not have been carried out.",
            ),
            Self::NoPrimary { .. } => told(sqlstate::CANNOT_CONNECT_NOW).with_hint(
                "Promote a standby, or check the hosts and `target_session_attrs` in the store's \
                 `url`.",
            ),
            Self::Ended { error, .. } => error.clone().into_error().with_hint(
                "The server connection is lost; the statement may or may not have been carried \
                 out.",
            ),
            Self::Protocol { .. } => told(sqlstate::PROTOCOL_VIOLATION),
            Self::Login { .. } => told(sqlstate::CANNOT_CONNECT).with_hint(
                "Check user and password in the store's `url`, or the user's `server_user` and \
                 `server_password`, and the server's pg_hba.conf.",
            ),
            Self::PoolTimeout { refused: Some(refused), .. } => PgError::error(
                sqlstate::TOO_MANY_CONNECTIONS,
                format!("{self}; the server refuses further ones: {refused}"),
            )
            .with_hint(
                "Raise max_connections in PostgreSQL, or have other programs, and Flywheel's \
                 pools together, take fewer of its connections.",
            ),
            Self::PoolTimeout { size, sized_by, .. } => told(sqlstate::TOO_MANY_CONNECTIONS)
                .with_hint(format!(
                    "All {size} server connections are busy or held by open transactions; raise \
                     {sized_by} or the PostgreSQL store's `acquire_timeout`, or end idle \
                     transactions."
                )),
        }
    }
}
