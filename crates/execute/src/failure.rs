//! Why a statement, or its session, fails.

use flywheel_wire::{ClientError, PgError};

/// Why something failed.
#[derive(Debug)]
pub enum Failure {
    /// A statement failed; the session goes on.
    Statement(PgError),
    /// A statement failed on the server, whose error the client has been told already.
    Told,
    /// The session ends.
    Session(End),
}

/// Why a session ends.
#[derive(Debug)]
pub enum End {
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

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Self::Session(end)
    }
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// The outcome of a part of a statement.
pub type Outcome<T> = Result<T, Failure>;
