//! What can go wrong in a store.

use thiserror::Error;

use crate::TransactionId;

/// An error of a store, each with the words its message needs. The gateway decides the SQLSTATE.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The store can't be reached or didn't answer in time.
    #[error("store can't be reached: {reason}")]
    Unavailable {
        /// What the client library said.
        reason: String,
    },
    /// The store refuses because it is asked too much (DynamoDB throttling, Redis out of memory).
    #[error("store is over its capacity: {reason}")]
    Throttled {
        /// What the store said.
        reason: String,
    },
    /// A write was sent and its answer was lost: it may have been carried out or not.
    #[error("whether the write was carried out isn't known: {reason}")]
    Unknown {
        /// What the client library said.
        reason: String,
    },
    /// The store has no room for what is written (Redis at its maxmemory).
    #[error("store is full: {reason}")]
    Full {
        /// What the store said.
        reason: String,
    },
    /// The store's user may not do that.
    #[error("permission denied in the store: {reason}")]
    Forbidden {
        /// What the store said.
        reason: String,
    },
    /// Another writer holds one of the rows, and still did after some attempts.
    #[error("a row is being written by somebody else: {reason}")]
    Conflict {
        /// What the store said.
        reason: String,
    },
    /// The table isn't in the store.
    #[error("table \"{name}\" doesn't exist in the store")]
    NoSuchTable {
        /// The physical name.
        name: String,
    },
    /// More rows than the limit; nothing is returned rather than a part.
    #[error("more than {limit} rows")]
    TooManyRows {
        /// The limit that was passed.
        limit: usize,
    },
    /// A limit of the store: key or item too large, too many items in one transaction, a number
    /// past its range.
    #[error("{what}")]
    LimitExceeded {
        /// A sentence that names the limit.
        what: String,
    },
    /// A stored item that isn't a row of the table (an attribute of the wrong type, written by
    /// somebody else).
    #[error("stored row {key} has a value in \"{attribute}\" that isn't of type {expected}")]
    Malformed {
        /// The row's key, printed.
        key: String,
        /// The attribute or field.
        attribute: String,
        /// The column's type.
        expected: String,
    },
    /// A stored item without a value that every row must have (written by somebody else).
    #[error("stored row {key} has no \"{attribute}\", which is NOT NULL")]
    Missing {
        /// The row's key, printed.
        key: String,
        /// The attribute or field.
        attribute: String,
    },
    /// Something that the store or the table's layout can't do.
    #[error("{what}")]
    Unsupported {
        /// A sentence that says what and why.
        what: String,
    },
    /// A row that is to be written is locked by a transaction; nothing was written.
    #[error("a row is locked by a transaction that has not been carried out yet")]
    Locked {
        /// Which of the changes met the lock.
        position: usize,
        /// Whose lock it is.
        transaction: TransactionId,
    },
    /// Any other refusal by the store.
    #[error("store refused: {reason}")]
    Refused {
        /// What the store said.
        reason: String,
    },
}
