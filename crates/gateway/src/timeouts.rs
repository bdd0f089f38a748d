//! How long clients may take, where they don't say it themselves.

use std::time::Duration;

use flywheel_front::Login;

/// Values of PostgreSQL's settings, which sessions begin with. A client can set others, as it can
/// in PostgreSQL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// `statement_timeout`: how long a statement may take.
    pub statement: Option<Duration>,
    /// `idle_in_transaction_session_timeout`: how long a client may say nothing in a transaction.
    pub idle_transaction: Option<Duration>,
    /// `idle_session_timeout`: how long it may say nothing outside of one.
    pub idle: Option<Duration>,
}

impl Timeouts {
    /// These, and where they say nothing those.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            statement: self.statement.or(others.statement),
            idle_transaction: self.idle_transaction.or(others.idle_transaction),
            idle: self.idle.or(others.idle),
        }
    }

    /// Has a session begin with them, where its client asks for no others.
    pub(crate) fn apply(&self, login: &mut Login) {
        let settings = [
            ("statement_timeout", self.statement),
            ("idle_in_transaction_session_timeout", self.idle_transaction),
            ("idle_session_timeout", self.idle),
        ];
        for (name, timeout) in settings {
            let Some(timeout) = timeout else { continue };
            if !login.values.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                let milliseconds = timeout.as_millis().clamp(1, i32::MAX as u128);
                login.values.push((name.to_owned(), format!("{milliseconds}ms")));
            }
        }
    }
}
