//! Transactions that write to a store and to PostgreSQL, or to several stores. PostgreSQL's own
//! COMMIT decides; two phases carry its decision to the stores.
//!
//! 1. The block's changes go into the outbox, a table of PostgreSQL's (`outbox.rs`, `record.rs`),
//!    in the block's own transaction. Which rows are about to be locked is noted past that
//!    transaction (`locks.rs`).
//! 2. Each store checks the changes' conditions and locks their rows for the transaction
//!    (`TwoPhase::prepare`).
//! 3. PostgreSQL commits: now the outbox' row is seen by others, which is what having committed
//!    means here.
//! 4. Each store carries the changes out, and the client is told. The outbox' row is deleted some
//!    time later.
//!
//! `commit.rs` goes this way. Where it is interrupted, whoever comes next goes on from what
//! PostgreSQL says (`recovery.rs`): a row in the outbox is carried out, by any number of gateways
//! at once, since a store changes only what that transaction has locked; a lock of a transaction
//! that PostgreSQL has rolled back is taken away by the first who meets it.
//!
//! PostgreSQL's COMMIT decides for the stores: a block that has written to a store and to
//! PostgreSQL, or to several stores, is committed in two phases. The changes go into
//! `flywheel.outbox` in the block's own transaction; each store checks their conditions and locks
//! their rows for it (`TwoPhase::prepare`; stores in one order, each all or none); PostgreSQL
//! commits; each store carries the changes out (`commit_prepared`), and only then is the client
//! told. Before PostgreSQL's COMMIT everything is undone by its rollback; after it, by anybody's
//! repetition: a row in the outbox that others see *means* committed, and a store changes only rows
//! with that transaction's lock, so any number of gateways may carry a record out, at once and
//! again (`execute/transaction/recovery.rs`: at start, and every five seconds for what is older
//! than that).

pub mod definitions;
mod locks;
mod noted;
mod noting;
pub mod outbox;
mod record;
mod recovery;

pub use locks::Locks;
pub use outbox::Outbox;
pub use record::Record;
pub use recovery::{Fate, Met, by_store, carry_out, of_tables};
