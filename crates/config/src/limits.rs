//! What one client may use.

use std::time::Duration;

/// What one client, or one statement of it, may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many rows one statement may read from a store.
    pub max_fetch_rows: usize,
    /// The longest message that a client may send, in bytes.
    pub max_message_size: usize,
    /// How long a client may take to log in.
    pub login_timeout: Duration,
}
