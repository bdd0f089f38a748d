//! A statement's syntax tree, with PostgreSQL's whole grammar: what reads it, and how it is looked
//! at.
//!
//! The grammar is `squawk-parser`'s. Its events become a tree of our own in one array: no input,
//! however deep, can overflow the stack in walking or dropping it.
//!
//! The grammar is squawk-parser's, the tree our own. On PostgreSQL's regression tests and our
//! suites (49,841 statements that PostgreSQL reads) it finds the range variables that PostgreSQL's
//! own parser finds; it leaves eleven statements unread, of which PostgreSQL refuses nine when it
//! looks closer, and the other two name no relation (`tests/e2e/parser.rs`, with PostgreSQL's
//! parser as the oracle). PostgreSQL's own parser is quicker, but its crates need libclang to be
//! built, and `cargo run` has to be enough on a machine that has Rust. The version is pinned: kinds
//! of nodes are named in `sql/syntax`. An odd text is parsed once for each shape, so its time
//! doesn't matter (about 25 µs).

mod expr;
mod from;
mod names;
mod query;
mod read;
mod tree;

pub(crate) use expr::{Operator, binary, call, is_query, items_of, only_inside, unparen};
pub(crate) use from::{Factor, Item, Join, On, Side, alias, factor, item, items, named};
pub(crate) use names::{Standing, is_computed, path, standing, word};
pub(crate) use query::{Select, Target, bare, condition, targets};
pub(crate) use read::{MOST_TOKENS, read};
pub(crate) use squawk_parser::SyntaxKind as Kind;
pub(crate) use tree::{Node, Tree};
