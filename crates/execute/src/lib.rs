//! Statements on tables that are homed in stores.
//!
//! `prepare.rs` has PostgreSQL describe a statement and plans it, once per text; then `native/`
//! asks the store alone, `mixed.rs` lets PostgreSQL run it over fetched rows, `staged.rs` lets
//! PostgreSQL run a write on staged rows and carries the difference to the store. `carry_out.rs`
//! leads each statement its way.
//!
//! [`Stores`] is what is known of a database's store tables: their definitions (`homes.rs`), the
//! ways by which PostgreSQL comes to its own tables of the same names (`twin/`), and transactions
//! that are to be carried out in the stores, after a crash too (`transaction/`). `block/` keeps
//! what a transaction block has done, and `commit.rs` carries that to the stores.
//!
//! A session is seen through the traits in `host.rs`: an [`Executor`] does all this for a [`Host`].

mod alter;
mod analyze;
mod answer;
mod apart;
mod arguments;
mod assigning;
mod block;
mod cache_command;
mod carry_out;
mod classify;
mod client_statement;
mod commit;
mod compared;
mod computed;
mod confirming;
mod copy_from;
mod copy_to;
mod declaring;
mod definition;
mod difference;
mod drops;
mod effects;
mod error;
mod explain;
mod explaining;
mod expressing;
mod expressions;
mod failure;
mod fetch;
mod forms;
mod held_definitions;
mod holding;
mod homes;
mod host;
mod locking_cursor;
mod locks;
mod marking;
mod materialize;
mod measured;
mod mixed;
mod native;
mod new_values;
pub mod options;
mod page;
mod prepare;
mod prepared;
mod ranked;
mod read;
mod redefining;
mod reliance;
mod result;
mod rewritten;
mod rights;
mod shaped;
mod single_key;
mod skipping;
mod staged;
mod staged_read;
mod staging;
mod standing;
mod statement;
mod steady;
mod stores;
mod strength;
pub mod transaction;
mod truncate;
mod turn;
pub mod twin;
mod twin_check;
mod views;
mod waiting;
mod way;
mod writable;
mod write;
mod writing;

pub use answer::Answer;
pub use arguments::Arguments;
pub use block::{
    Block, Buffered, Cursors, Guard, Isolation, Mark, Marks, ReadOf, Redefined, Snapshot,
};
pub use cache_command::CACHE_COLUMNS;
pub use client_statement::{BoundPortal, PreparedStatement, Progress};
pub use copy_to::{CopyOut, SET_ROWS};
pub use error::changed_result;
pub use explaining::Explained;
pub use failure::{End, Failure, Outcome};
pub use homes::{Catalogue, Known, given_up, home};
pub use host::{Executor, Host, Server, Settled, Told, Transacting};
pub use prepare::is_current;
pub use prepared::{executes_prepared, executes_prepared_at};
pub use reliance::{Lapse, Reliance, Relying};
pub use statement::{CacheCommand, StatementKey, StoreStatement};
pub use stores::{Around, Stores};
pub use way::Way;

pub(crate) use statement::Kind;
pub(crate) use write::LockWait;
