//! What Flywheel asks of a store that is home to tables: the [`Store`] trait and the words it is
//! spoken in.
//!
//! A store keeps rows under their primary key and answers exactly these: rows by keys, a range of
//! one partition in the order of its sort key or of a secondary index, all rows up to a limit, and
//! conditional writes. Everything else is PostgreSQL's to compute.
//!
//! A row may be *locked* by a transaction that is about to commit: readers see the row as it was,
//! writers get [`StoreError::Locked`] until the transaction's outcome is carried out by whoever
//! finds out.
//!
//! Beside that, [`Exchange`]: what several gateways in front of the same databases have in common.
//!
//! What a store may lack, it gives as parts ([`Writes`], [`TwoPhase`], [`Defines`], [`Indexes`],
//! [`Scores`], [`Feed`]): the planner refuses what needs a missing one. [`Observed`] watches the
//! operations of any store.
//!
//! Every store passes the same suite (`conformance`, behind the feature of that name), in the parts
//! that it has; a new one is a crate that implements [`Store`], runs that suite in its tests, and
//! registers its kind (`flywheel_kind`).

mod change;
mod changes;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod exchange;
mod index;
mod layout;
mod missing;
mod observed;
mod options;
mod parts;
mod range;
mod score;
mod store;
mod table;
pub mod text_row;
mod transaction;

pub use change::{Applied, Assignment, Change, Effect, Expect};
pub use changes::{ChangeListener, Changed, Telling};
pub use clock::{POSTGRES_EPOCH_MICROS, now_micros};
pub use error::StoreError;
pub use exchange::{Exchange, ExchangeOptions, Looked, Member, Post, VersionName};
pub use index::Index;
pub use layout::accepts_layout;
pub use observed::{Call, Method, Observed, Observer, Outcome};
pub use options::{IndexChoice, NoOptions, Own, TableOptions};
pub use parts::{Defines, Feed, Indexes, Scores, TwoPhase, Writes};
pub use range::{Bound, KeyRange, after_prefix};
pub use score::{ScoreEnd, ScoreRange, score, score_addends};
pub use store::{Operation, Store};
pub use table::{Layout, StoreTable};
pub use transaction::{NoTransactionId, Prepared, TransactionId};
