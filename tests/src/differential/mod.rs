//! Statements made at random, over tables made at random, to plain PostgreSQL and to Flywheel with
//! these tables in each home: the answers must be the same.
//!
//! A sequence has five tables: two in the home under test, one in another store, two in PostgreSQL.
//! Whatever PostgreSQL leaves open isn't asked for (LIMIT without a total order, which of several
//! equal values an aggregate shows), so that everything that comes back can be compared.
//!
//! - `kind`: types with values at their edges; `table`: definitions.
//! - `writer`: choices; `condition`, `select`, `write`: statements; `sequence`: sessions with
//!   blocks, savepoints, cursors.
//! - `way`, `named`: how each is asked; statements with names.
//! - `reaching`, `defining`: what Flywheel may refuse: system columns, code, changed definitions.
//! - `tandem`: two clients at once.
//! - `place`: where the tables live: a home with a layout. A new one is one line there and one in
//!   `e2e/differential.rs`.
//! - `run`: both servers, and the shortest sequence that makes them differ.

mod condition;
mod defining;
mod kind;
mod named;
mod place;
mod reaching;
mod run;
mod select;
mod sequence;
mod table;
mod tandem;
mod way;
mod write;
mod writer;

pub use place::Place;
pub use run::check;
pub use tandem::check_tandem;
