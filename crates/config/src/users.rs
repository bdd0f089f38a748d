//! Who may log in.

use crate::Secret;

/// A user that may log in.
#[derive(Debug, Clone)]
pub struct User {
    /// The name, as clients send it.
    pub name: String,
    /// The password, or its verifier in PostgreSQL's form `SCRAM-SHA-256$iterations:salt$stored:server`.
    /// Always there unless clients are trusted.
    pub password: Option<Secret>,
}
