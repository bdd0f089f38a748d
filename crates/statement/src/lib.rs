//! What a text is, found once: its statements, what each does to its session, whether it is of
//! Flywheel's own, names a store table, or runs code that may leave something behind.
//!
//! [`Analyses`] keeps an [`Analysis`] for each distinct text. Those who find out more about a text
//! than its words say, such as what the cache may keep of it, keep that with it
//! ([`Analysis::note`]). Nothing here asks a server.
//!
//! Lexing decides the relay, parsing decides the plan. A text that none of our store tables' names
//! occurs in is only lexed, never parsed. A text that names one is read by one parser with
//! PostgreSQL's whole grammar; one that can't be read is refused.

mod analysis;
mod by_text;
mod commands;
pub mod long;
mod names;
mod notes;
mod planning;
mod query;
mod shown;
mod suspects;
mod text_shape;

pub use analysis::{Analyses, Analysis, Observed, changes_rights};
pub use by_text::{ByText, TextMemory};
pub use commands::{NoTable, is_command, named_table};
pub use names::names_only;
pub use notes::Notes;
pub use planning::ShapePlanning;
pub use query::Query;
pub use shown::Shown;
pub use suspects::{Code, Piece, Suspects};
pub use text_shape::TextShape;
