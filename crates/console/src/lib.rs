//! The console: a database of the gateway's own, in which operators ask what it is doing.
//!
//! It speaks the simple and the extended protocol. Its statements are PgBouncer's where the notion
//! is the same (`SHOW CLIENTS`, `KILL_CLIENT 5`), so that its users' habits and tools fit. Nothing
//! here knows of a gateway: whoever has one is an [`Operator`].

mod command;
mod conversation;
mod desk;
mod extended;
mod operator;
mod rows;

pub use command::{Command, Subject};
pub use conversation::{Key, converse};
pub use operator::Operator;
pub use rows::{Column, Row, Value};

/// The databases under which clients find it: Flywheel's name, and the one that PgBouncer's tools
/// ask for.
pub const DATABASES: [&str; 2] = ["flywheel_admin", "pgbouncer"];

/// What a user may do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Every statement.
    All,
    /// SHOW.
    Show,
}
