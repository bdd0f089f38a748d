//! What a statement is executed with.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// What a statement is executed with: nothing in the simple protocol.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arguments<'a> {
    /// The formats of the values.
    pub formats: &'a [i16],
    /// The values of the parameters; `None`: NULL.
    pub values: &'a [Option<Bytes>],
    /// The formats of the result's columns.
    pub result_formats: &'a [i16],
    /// PostgreSQL is to tell how it runs the statement, rather than to give its rows.
    pub analyzing: Option<&'a Analyzing>,
    /// The digest of the result columns that the client takes the rows to have. `None`: it is told
    /// them with the rows.
    pub columns: Option<u64>,
}

/// What PostgreSQL is asked in the place of a statement, and what it says.
#[derive(Debug)]
pub struct Analyzing {
    /// EXPLAIN ANALYZE with the client's options.
    pub(crate) prefix: String,
    /// The last that it was asked.
    pub(crate) plan: Mutex<Vec<String>>,
}

impl Analyzing {
    pub(crate) fn note(&self, lines: Vec<String>) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = lines;
    }
}
