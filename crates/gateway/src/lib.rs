//! The gateway: clients' sessions, and the way of a statement through them.
//!
//! A connection comes in at [`Gateway::serve`], logs in through `front/`, and becomes a `session/`. There, each message takes one of two ways:
//!
//! - **relay** (`session/relay.rs`): its bytes go to a server connection of the pool and the server's bytes come back; no row is decoded.
//! - **store** (`execute/`): a statement that names a table homed in a store. `execute/prepare.rs` has PostgreSQL describe it and plans it, once per
//!   text; then `native.rs` asks the store alone, `mixed.rs` lets PostgreSQL run it over fetched rows, `staged.rs` lets PostgreSQL run a write on
//!   staged rows and carries the difference to the store.
//!
//! `transaction/` is what keeps PostgreSQL and the stores together at COMMIT, and after a crash.
//!
//! `session/block.rs` keeps what a transaction block has done: settings and store writes, with savepoints.

mod access;
mod analysis;
mod busy_poll;
mod caching;
mod error;
mod execute;
pub mod figures;
mod front;
mod gateway;
mod homes;
pub mod options;
mod repeated;
mod session;
mod shared;
mod sharing;
mod tally;
mod transaction;

pub use caching::RuleProblem;
pub use gateway::{Explained, Gateway, TableReport};
pub use options::Options;
pub use tally::Way;
