//! CSV files in a folder as a read-only store: a table's rows are the lines of `schema.table.csv`,
//! whose first line names its columns. An empty field is NULL, an empty text is written `""`.
//!
//! This is what a kind of store has to bring: its keys in the configuration (`kind`), and the
//! reading half of a store (`store`). It has none of a store's other parts, so Flywheel refuses
//! what needs them.

mod kind;
mod record;
mod store;

pub use kind::CsvKind;
