//! PostgreSQL's scalar types as Flywheel carries them between stores: what a column is, what a
//! value is, and how a value is read from and written to PostgreSQL's text and binary formats.
//!
//! Flywheel infers no types and evaluates no expressions. This crate reads a value only when the
//! reading is exact; whatever it declines (`None`) is computed by PostgreSQL.
//!
//! - [`TypeInfo`] and [`Scalar`]: a column's or parameter's type.
//! - [`Value`]: one value, in one canonical form whatever format or store it came from.
//! - [`text`] and [`binary`]: the two wire formats.
//! - [`Table`], [`Column`], [`Row`], [`Key`]: a table's definition as PostgreSQL's catalogue gives
//!   it, and the rows and keys that are made by it.
//! - [`mod@array`]: arrays cut into their elements.
//! - [`ordered`]: keys as bytes whose order is PostgreSQL's order.
//!
//! No IO and no async here.

pub mod array;
pub mod binary;
mod calendar;
mod cast;
mod decimal;
mod key;
pub mod oid;
pub mod ordered;
mod printed;
mod scalar;
mod table;
pub mod text;
mod value;

pub use cast::cast;
pub use key::{Key, key_type_problem};
pub use printed::Printed;
pub use scalar::{Scalar, TypeInfo};
pub use table::{Column, ColumnDefault, Row, Table, TableName, quote_identifier};
pub use value::Value;
