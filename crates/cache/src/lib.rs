//! Answers kept in memory, and how old they may be.
//!
//! - [`Cache`] keeps the bytes of answers by the bytes of a [key](Cache::look), which are compared
//!   whole, within a limit of memory.
//! - An answer remembers the [`Snapshot`] of what it was made from: the versions of the tables, or
//!   of single rows, taken *before* the read began. A write moves the versions
//!   ([`Versions::invalidate`]), so that an older answer is none any more, whether it is kept
//!   already or still on its way.
//! - Of those who miss the same key one fills ([`Filling`]), the others wait for it ([`Waiting`]).
//! - [`Counters`] tell what came of it, by rule.
//!
//! Nothing here knows sessions, statements or servers.

mod cache;
mod counters;
mod entry;
mod flight;
mod kept;
mod key;
mod version;
mod worth;

pub use cache::{Cache, Found};
pub use counters::{Counters, Reason};
pub use entry::{Entry, Lifetimes};
pub use flight::{Filling, Waited, Waiting};
pub use version::{Part, Snapshot, TableId, Touch, Versions, row};
