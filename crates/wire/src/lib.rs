//! PostgreSQL's frontend/backend protocol, version 3, without IO: bytes in, messages out.
//!
//! - [`frame`]: cuts a byte stream into bounded messages; everything that comes from a socket
//!   passes here first.
//! - [`startup`]: the untagged packets before login.
//! - [`frontend`]: what a client sends, read from a frame.
//! - [`backend`]: what Flywheel answers, written into a buffer.
//! - [`reply`]: what a server answers, as far as Flywheel looks at it.
//! - [`Charset`]: texts of clients whose encoding isn't UTF8.
//! - [`quote`]: texts as SQL literals.
//! - [`ClientError`]: why a client's stream ends.
//! - [`PgError`] and [`sqlstate`]: errors as PostgreSQL reports them.
//!
//! Layouts are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

pub mod backend;
mod charset;
mod client_error;
mod error;
pub mod frame;
pub mod frontend;
mod malformed;
pub mod quote;
mod reader;
pub mod reply;
pub mod sqlstate;
pub mod startup;

pub use charset::Charset;
pub use client_error::ClientError;
pub use error::{PgError, Severity};
pub use frame::{Frame, FrameError};
pub use malformed::not_utf8;
pub use sqlstate::SqlState;
