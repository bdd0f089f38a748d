//! What a statement is executed with.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flywheel_plan::{Expressed, Parameters};
use flywheel_wire::frontend::format_at;

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
    /// The values of the statement's expressions that need no row, once they are computed.
    pub expressions: &'a [Expressed],
}

impl<'a> Arguments<'a> {
    /// The same as a plan takes them, for parameters of these types.
    pub(crate) fn parameters<'p>(&'p self, types: &'p [u32]) -> Parameters<'p> {
        Parameters {
            types,
            formats: self.formats,
            values: self.values,
            computed: None,
            expressions: self.expressions,
        }
    }

    /// The formats and values of the client's parameters with those behind them, in text format.
    pub(crate) fn followed_by(
        &self,
        behind: &[Bytes],
    ) -> (Cow<'a, [i16]>, Cow<'a, [Option<Bytes>]>) {
        if behind.is_empty() {
            return (Cow::Borrowed(self.formats), Cow::Borrowed(self.values));
        }
        let formats = if self.formats.iter().all(|format| *format == 0) {
            Vec::new()
        } else {
            let given = (0..self.values.len()).map(|place| format_at(self.formats, place));
            given.chain(behind.iter().map(|_| 0)).collect()
        };
        let values = self.values.iter().cloned().chain(behind.iter().cloned().map(Some));
        (Cow::Owned(formats), Cow::Owned(values.collect()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_reach_to_what_is_behind() {
        let values = [Some(Bytes::from_static(b"1")), None];
        let behind = [Bytes::from_static(b"{}")];
        let cases: [(&[i16], &[i16]); 4] =
            [(&[], &[]), (&[0], &[]), (&[1], &[1, 1, 0]), (&[0, 1], &[0, 1, 0])];
        for (formats, all) in cases {
            let arguments = Arguments { formats, values: &values, ..Arguments::default() };
            let (formats, values) = arguments.followed_by(&behind);
            assert_eq!((&*formats, values.len()), (all, 3));
        }
    }
}
