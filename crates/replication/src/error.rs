//! What ends a stream.

use flywheel_postgres::ServerError;
use pgwire_replication::PgWireError;

/// Why changes can't be followed, for now.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// The server can't be reached, or has refused something.
    #[error(transparent)]
    Stream(#[from] PgWireError),
    /// A question over the pool has failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A message that isn't pgoutput's.
    #[error("unexpected message in the stream of changes: {0}")]
    Message(&'static str),
    /// The database isn't as it has to be.
    #[error("{what}; {hint}")]
    Unfit {
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// The slot keeps more of the log than it may.
    #[error("the slot keeps {kept} bytes of the log, more than the {limit} that it may")]
    Behind {
        /// How much it keeps, in bytes.
        kept: u64,
        /// How much it may keep, in bytes.
        limit: u64,
    },
    /// The server has ended the stream.
    #[error("the server has ended the stream of changes")]
    Ended,
}
