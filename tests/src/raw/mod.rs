//! A client of the PostgreSQL protocol that hides nothing.
//!
//! It doesn't share code with Flywheel, so that a misreading of the protocol there isn't repeated
//! here. <https://www.postgresql.org/docs/current/protocol-message-formats.html>

mod client;
mod event;
mod message;

pub use client::{Client, Lost};
pub use event::{Event, Field, Report};
pub use message::{Bind, Format, Message};
