//! Transactions that write to a store and to PostgreSQL, or to several stores. PostgreSQL's own COMMIT decides; two phases carry its decision to the stores.
//!
//! 1. The block's changes go into the outbox, a table of PostgreSQL's ([`outbox`], [`record`]), in the block's own transaction.
//! 2. Each store checks the changes' conditions and locks their rows for the transaction (`Store::prepare`).
//! 3. PostgreSQL commits: now the outbox' row is seen by others, which is what having committed means here.
//! 4. Each store carries the changes out, and the client is told. The outbox' row is deleted some time later.
//!
//! `session/commit.rs` goes this way. Where it is interrupted, whoever comes next goes on from what PostgreSQL says ([`recovery`]): a row in the outbox
//! is carried out, by any number of gateways at once, since a store changes only what that transaction has locked; a lock of a transaction that
//! PostgreSQL has rolled back is taken away by the first who meets it.

pub(crate) mod outbox;
mod record;
mod recovery;

pub(crate) use outbox::Outbox;
pub(crate) use record::Record;
pub(crate) use recovery::{Fate, Met, by_store, carry_out, of_tables};
