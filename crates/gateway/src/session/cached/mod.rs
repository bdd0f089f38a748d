//! Answers from memory.
//!
//! A query that a rule is for is looked up by all that its answer depends on. A hit is written as
//! it was kept, without a server; a miss takes the way that it would take without the cache, and
//! what the client is told on that way is kept beside. `answer.rs` finds the answer in it.

mod administration;
mod answer;
mod command;
mod explain;
mod fill;
mod lookup;
mod question;
mod revalidation;

pub(crate) use command::cache_rows;

pub(in crate::session) use fill::Looked;
