//! The gateway: clients' sessions, and the way of a statement through them.
//!
//! A connection comes in at [`Gateway::serve`], logs in through the crate `front`, and becomes a
//! `session/`. There, each message takes one of two ways:
//!
//! - **relay** (`session/relay.rs`): its bytes go to a server connection of the pool and the
//!   server's bytes come back; no row is decoded.
//! - **store**: a statement that names a table homed in a store is carried out by the crate
//!   `execute`, which sees the session through its traits (`session/host.rs`).
//!
//! Answers that are kept are looked for before either, by `session/cached/` in the crate `answers`.

mod access;
mod accesses;
mod administrators;
mod arrival;
mod busy_poll;
mod checking;
mod code;
mod console;
pub mod figures;
mod gateway;
mod listening;
pub mod options;
mod places;
mod reception;
mod reloading;
mod repeated;
mod replication;
mod report;
mod roster;
mod running;
mod session;
mod shared;
mod stage;
mod tally;
mod timeouts;

pub use checking::TableReport;
pub use flywheel_answers::RuleProblem;
pub use flywheel_execute::{Explained, Way};
pub use gateway::Gateway;
pub use options::Options;
pub use places::MostClients;
pub use reloading::{ReloadRequests, Reloaded, Reloading};
pub use timeouts::Timeouts;
