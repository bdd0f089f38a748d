//! How long clients may take, for all and for a user.

use std::time::Duration;

use super::Resolver;
use crate::config::Timeouts;
use crate::file;

/// The keys as the file has them.
struct Keys<'f> {
    statement: Option<&'f str>,
    idle_transaction: Option<&'f str>,
    client_idle: Option<&'f str>,
}

impl Resolver<'_> {
    /// Those of all clients.
    pub(super) fn timeouts(&mut self, limits: &file::Limits) -> Timeouts {
        let keys = Keys {
            statement: limits.statement_timeout.as_deref(),
            idle_transaction: limits.idle_transaction_timeout.as_deref(),
            client_idle: limits.client_idle_timeout.as_deref(),
        };
        self.timeouts_at(&["limits"], &keys)
    }

    /// Those of the clients of the user at this position.
    pub(super) fn timeouts_of(&mut self, at: &str, user: &file::User) -> Timeouts {
        let keys = Keys {
            statement: user.statement_timeout.as_deref(),
            idle_transaction: user.idle_transaction_timeout.as_deref(),
            client_idle: user.client_idle_timeout.as_deref(),
        };
        self.timeouts_at(&["users", at], &keys)
    }

    fn timeouts_at(&mut self, at: &[&str], keys: &Keys<'_>) -> Timeouts {
        let mut timeout = |key: &str, text: Option<&str>| -> Option<Duration> {
            self.duration_if_given(&[at, &[key]].concat(), text)
        };
        Timeouts {
            statement: timeout("statement_timeout", keys.statement),
            idle_transaction: timeout("idle_transaction_timeout", keys.idle_transaction),
            idle: timeout("client_idle_timeout", keys.client_idle),
        }
    }
}
