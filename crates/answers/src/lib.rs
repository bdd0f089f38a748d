//! Answers that are kept: for which statements, what ends them, and what gateways in front of the
//! same databases tell each other of it.
//!
//! A session asks [`Caching`] for the rule of a statement and for what its answer depends on, and
//! tells it what it writes. `caching/` is about the answers in this process, `sharing/` about other
//! gateways; the answers themselves are kept by the crate `flywheel-cache`.

mod caching;
pub mod options;
mod sharing;

pub use caching::{
    Caching, Following, Hint, Kept, Memo, Reading, RuleFigures, RuleProblem, Source, Sources,
    StoreTables, Written, follower,
};
pub use sharing::{Database, Elsewhere, Membership, Place, Said, Sharing};
