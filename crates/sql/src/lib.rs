//! Statement analysis: what a text asks, found without asking anybody.
//!
//! A text passes in two steps, and most take only the first:
//!
//! 1. [`lex`] and [`split`](split()) cut it into statements by PostgreSQL's lexical rules alone;
//!    [`Verb`] and [`SessionEffect`] say from the first words what each does to the session. A
//!    statement none of whose words names a store table is relayed on that alone.
//! 2. [`parse`](parse()) reads a statement that names one: which relations it touches and how
//!    ([`Relation`]), which conditions bound the rows it can touch ([`Conjunct`]), and whether it
//!    has a shape that a key-value store answers ([`Shape`]).
//!
//! Nothing here knows tables, types or stores: names are resolved by the planner.

mod bounds;
mod condition;
mod conforming;
mod constant;
mod copied;
mod cursor;
mod either;
mod explained;
mod expression;
mod fact;
mod finder;
mod inserted;
mod join;
pub mod lex;
mod lock;
mod locking;
mod materialized;
mod member;
mod mention;
mod name;
mod new_values;
mod parse;
mod physical;
mod places;
mod prepared;
mod ranked;
mod relation;
mod scope;
mod session;
mod set_config;
mod shape;
mod split;
mod syntax;
mod template;
mod through;
mod traces;
mod verb;
mod whole;

pub use condition::Conjunct;
pub use conforming::{conforming, needs_conforming};
pub use constant::Constant;
pub use copied::CopiedTable;
pub use cursor::CursorUse;
pub use explained::Explained;
pub use expression::Expression;
pub use fact::{ColumnRef, Comparison, Fact};
pub use inserted::Inserted;
pub use lock::{Lock, Waiting};
pub use locking::{LockedName, Locking};
pub use materialized::Materialized;
pub use name::{Place, RelationName};
pub use new_values::{NewValue, NewValues};
pub use parse::{ParseError, Parsed, parse};
pub use physical::{Physical, SystemColumn};
pub use prepared::{Executed, executed, lists_prepared, names_prepared, prepared};
pub use ranked::{Count, Ranked, RankedItem, Ranking};
pub use relation::{Relation, Role};
pub use session::{Pin, SessionEffect};
pub use set_config::{NullSetting, NullValue, SettingName, null_settings};
pub use shape::{
    Assigned, ConflictAction, Delete, Insert, InsertValue, Operand, OrderKey, Projection, Select,
    Shape, Update,
};
pub use split::{Statement, split};
pub use template::{Literal, Template};
pub use through::{Through, base_of, parse_through};
pub use traces::{Traces, words, words_of_code};
pub use verb::Verb;
pub use whole::{CopySource, altered, copy_from, drops_unnamed, truncated};
