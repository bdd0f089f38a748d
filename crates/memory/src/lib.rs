//! The memory store: a home for tables inside the process, in Redis' place where there is no Redis
//! (the embedded default, tests). It accepts what Redis accepts and keeps what Redis keeps, values
//! as text under their columns' names, so that a table that works here works there.
//!
//! - [`MemoryStore`]: all tables under one lock, held for the work of one operation and never
//!   across an await.
//! - `rows`: one table's rows, in the order of their keys.
//! - `read`, `write`: the operations of the store contract.
//! - `kind`: its section of the configuration.
//! - `snapshot`: all tables as a file of JSON lines.

mod kind;
mod read;
mod rows;
mod snapshot;
mod store;
mod write;

pub use kind::MemoryKind;
pub use store::MemoryStore;
