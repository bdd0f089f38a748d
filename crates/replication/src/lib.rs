//! What happens to PostgreSQL's tables, whoever does it: logical replication (pgoutput), for those
//! who keep copies of rows.
//!
//! A [`Follower`] logs in to the primary as a subscriber, makes a temporary slot, and tells a
//! [`Listener`] of each row that has changed. It knows how old the news may be ([`Follower::lag`]):
//! from time to time it sends a message of its own through the log, and everything that was
//! committed before that is known once the message comes back.
//!
//! - [`pgoutput`]: the messages of the output plugin.
//! - `publication`: what is made in PostgreSQL, and what it must be like.
//! - `relation`: tables by their numbers in the stream.
//! - `heartbeat`: how old the news may be.
//! - `start`: what the first news of a stream leaves open.
//! - `visibility`: which transactions other sessions can see.
//! - `follower`: one stream after the other.

mod error;
mod follower;
mod heartbeat;
pub mod pgoutput;
mod publication;
mod relation;
mod start;
mod visibility;

pub use error::ReplicationError;
pub use follower::{Follower, Listener, Options};
pub use publication::Unfit;
pub use relation::Relation;
pub use visibility::Visibility;
