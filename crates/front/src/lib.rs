//! The client's side: its socket, its login, its cancel requests.
//!
//! Nothing here knows what a statement is, or of any server behind: a session reads messages from a
//! [`Client`] and writes answers into it, and tells the [`Registry`] what a cancel request is to
//! act on.

mod authentication;
mod client;
mod encryption;
mod registry;
mod room;
mod secured;
mod startup;
mod stream;
mod switches;

pub use authentication::{Authentication, Authenticator, Credentials};
pub use client::{Client, Mark};
pub use encryption::Encryption;
pub use flywheel_wire::ClientError;
pub use registry::{Registered, Registry, Running, SessionHandle};
pub use room::Room;
pub use startup::{Login, Purpose, receive};
pub use stream::Stream;
