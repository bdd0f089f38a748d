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

pub(in crate::session) use explain::ExplainedCache;
pub(in crate::session) use fill::Looked;

use super::Session;

/// Lookups of a session's queries, and what is kept of their answers.
pub(super) struct Lookups<'s> {
    pub(super) session: &'s mut Session,
}

/// SHOW CACHE, FLUSH CACHE and RELOAD of a session whose user may give them.
pub(super) struct CacheCommands<'s> {
    pub(super) session: &'s mut Session,
}
