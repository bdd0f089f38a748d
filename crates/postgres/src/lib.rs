//! PostgreSQL servers: login, connections, the pool, and what Flywheel itself asks of them.
//!
//! - [`ServerOptions`] says where a server is; [`Connection`] is one login to it, with
//!   [`login`](Connection::connect) and the stream of messages.
//! - [`Pool`] lends connections, bounded and in order; a connection comes back clean or not at all.
//! - [`Multiplexer`]: connections that many clients share at the same time, for batches that only
//!   read.
//! - [`Servers`] are the primary and its replicas as one role sees them; [`Cluster`] knows which is
//!   which, and who may be read from.
//! - [`Settings`] are a session's settings, replayed on whichever connection serves it.
//! - [`Connection::query`] and its kin in `query.rs` are for Flywheel's own statements; clients'
//!   messages are relayed by the gateway through [`Connection::send`] and
//!   [`Connection::next_piece`].
//! - [`catalogue`] reads table definitions.

mod bridge;
mod cancel;
pub mod catalogue;
mod code;
mod connection;
mod defaults;
pub mod dependencies;
mod encryption;
mod error;
mod login;
mod multiplex;
mod options;
mod pool;
mod prepared;
mod query;
mod reach;
mod rights;
mod sequences;
mod servers;
mod settings;
mod stream;
mod topology;
mod vigilance;

pub use bridge::Bridge;
pub use cancel::{CancelKey, cancel};
pub use code::{Code, Digest, Piece};
pub use connection::Connection;
pub use defaults::defaults_digest;
pub use encryption::Encryption;
pub use error::ServerError;
pub use multiplex::{Answer, Form, Multiplexer, Named, Part, Request};
pub use options::{Host, Login, ServerOptions};
pub use pool::{Lease, Lifetimes, Pool, PoolFigures, PoolOptions};
pub use prepared::{Known, is_about_statement};
pub use query::{Described, PORTAL_STEPS, Portal, Rows};
pub use sequences::Holder;
pub use servers::{Server, Servers};
pub use settings::Settings;
pub use topology::{
    Cluster, ClusterFigures, ClusterOptions, InUse, Look, MaxLag, ReplicaFigures, Seat, Seen,
    SessionAttributes,
};
pub use vigilance::watch_for_loss;
