//! The same messages to plain PostgreSQL and to Flywheel: the same messages must come back.
//!
//! A script (`tests/frames/*.frames`) is a list of cases, each of which has a session of its own:
//!
//! ```text
//! -- a comment
//! == title of a case
//! Query SELECT 1; SELECT 2
//! Parse name [23 25] SELECT $1, $2      (types: the first parameters' OIDs; may be left out.
//!                                        "" is the unnamed statement)
//! Bind "" name 1 'two words' NULL x:00ff -> 1   (x: a binary value, as hex; after the arrow the
//!                                                format codes of the result)
//! Describe S name                       (or P and a portal)
//! Execute "" 2                          (the row limit may be left out)
//! Close P name
//! Flush
//! Sync
//! CopyData 'a\tb\n'
//! CopyDone
//! CopyFail message
//! FunctionCall 957 x:00000000 -> 1
//! Raw Q x:53454c454354ff00              (a type and a body that no script could say otherwise)
//! Terminate
//! Wait                                  (for the answer to everything before it)
//! ```
//!
//! A line that begins with a space goes on with the one before it. Without `Wait` all of a case is
//! sent in one write.

mod compare;
mod frame;
pub mod random;
mod script;

pub use compare::{Difference, Pair};
pub use frame::Frame;
pub use script::{Case, cases};
