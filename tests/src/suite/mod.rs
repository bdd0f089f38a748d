//! Suites: files of SQL that Flywheel must answer as PostgreSQL does.
//!
//! A file of `tests/suites` is plain SQL. A statement ends with a `;` at the end of a line. The
//! data of `COPY … FROM STDIN` follow it, up to `\.`, as in psql. Comment lines before a statement
//! may say:
//!
//! - `-- sorted`: the order of the rows isn't defined; they are compared sorted.
//! - `-- params: int8 42, text 'x', uuid NULL`: the values of `$1`, `$2`, …
//! - `-- only: redis, memory`: run with the tables in these homes only.
//! - `-- not: redis`: in all homes but these.
//!
//! Every other comment is prose. `-- table: public.t [layout=sorted_set] [score=column]
//! [expires_at=column] [index=name:a,b]` anywhere names a table whose rows live in the store under
//! test. At the end all rows of these tables are compared.
//!
//! A file runs in several modes (the simple protocol; the extended one with values as text and as
//! binary), each beginning with empty databases.

mod mode;
mod parse;
mod run;

pub(crate) use mode::Encoded;
pub use mode::Mode;
pub use parse::{Parameter, Statement, StoreTable, Suite};
pub use run::check;
pub(crate) use run::{compare, encode};
