//! The servers that Flywheel brings along, so that it can be tried without installing anything.
//!
//! - [`EmbeddedPostgres`]: PostgreSQL 17 compiled to WebAssembly, on a Unix socket. It serves one
//!   connection at a time.
//! - [`EmbeddedDynamo`]: a DynamoDB-compatible server over SQLite, on a loopback port.
//! - [`dataset`]: a small data set to look at, as SQL that runs through the gateway like anybody's.
//!
//! Each server runs on a thread of its own, keeps its data in the folder it is given or in a
//! temporary one, and stops when it is dropped. To the gateway these are servers like any other:
//! [`EmbeddedDynamoKind`] speaks to the second as to any DynamoDB.

pub mod dataset;
mod dynamo;
mod folder;
mod kind;
mod postgres;
mod thread;

pub use dynamo::EmbeddedDynamo;
pub use kind::EmbeddedDynamoKind;
pub use postgres::EmbeddedPostgres;
