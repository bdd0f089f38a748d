//! The end of a client's stream.

use thiserror::Error;

use crate::startup::StartupError;
use crate::{FrameError, PgError, sqlstate};

/// Why a client's stream ends.
#[derive(Debug, Error)]
pub enum ClientError {
    /// It has gone, in good order or not.
    #[error("client has gone")]
    Gone,
    /// The socket failed.
    #[error("client socket: {0}")]
    Io(#[from] std::io::Error),
    /// It sent what can't be a message; nothing after it can be read.
    #[error("client sent a bad message: {0}")]
    Frame(#[from] FrameError),
    /// It sent what can't be a startup packet.
    #[error("client sent a bad startup packet: {0}")]
    Startup(#[from] StartupError),
    /// The long messages of other clients have left no room for its own.
    #[error("no room for a message of {len} bytes beside those of other clients")]
    NoRoom {
        /// Its length.
        len: usize,
    },
}

impl ClientError {
    /// What to tell the client before the connection is closed; `None` when it can't hear.
    pub fn farewell(&self) -> Option<PgError> {
        match self {
            Self::Gone | Self::Io(_) => None,
            Self::Frame(error @ FrameError::TooLong { .. }) => Some(
                PgError::fatal(sqlstate::PROGRAM_LIMIT_EXCEEDED, error.to_string())
                    .with_hint("Send the data in smaller pieces, with COPY for instance, or raise \
                         `limits.max_message_size`."),
            ),
            Self::NoRoom { .. } => Some(
                PgError::fatal(sqlstate::OUT_OF_MEMORY, self.to_string())
                    .with_hint("Try again later, send the data in smaller pieces, or raise \
                         `limits.max_message_size`: there is room for four of the longest messages."),
            ),
            Self::Frame(error) => {
                Some(PgError::fatal(sqlstate::PROTOCOL_VIOLATION, error.to_string()))
            }
            Self::Startup(error @ StartupError::Version { .. }) => {
                Some(PgError::fatal(sqlstate::FEATURE_NOT_SUPPORTED, error.to_string()))
            }
            Self::Startup(error) => Some(
                PgError::fatal(sqlstate::PROTOCOL_VIOLATION, error.to_string())
                    .with_hint("This port speaks PostgreSQL's protocol, version 3."),
            ),
        }
    }
}
