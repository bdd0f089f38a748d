//! Redis.

use std::time::Duration;

use crate::Secret;

/// Redis or Valkey, one server or primary.
#[derive(Debug, Clone)]
pub struct Redis {
    /// `redis://`, `rediss://` or `unix://`, whole: it may hold a password.
    pub url: Secret,
    /// Put before each key.
    pub key_prefix: String,
    /// The longest wait for a connection and for an answer.
    pub timeout: Duration,
}
