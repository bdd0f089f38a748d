//! sqlparser's line and column as a byte offset.

use sqlparser::tokenizer::{Location, Span};

/// Where each line of a text starts.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// Characters are bytes, and needn't be counted.
    is_ascii: bool,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            text,
            starts,
            is_ascii: text.is_ascii(),
        }
    }

    /// The bytes that a span covers; `None` for an empty span or one outside the text.
    pub(crate) fn range(&self, span: Span) -> Option<std::ops::Range<usize>> {
        let (start, end) = (self.offset(span.start)?, self.offset(span.end)?);
        (start < end).then_some(start..end)
    }

    /// Lines and columns count from 1, columns in characters.
    fn offset(&self, location: Location) -> Option<usize> {
        let line = usize::try_from(location.line.checked_sub(1)?).ok()?;
        let column = usize::try_from(location.column.checked_sub(1)?).ok()?;
        let start = *self.starts.get(line)?;
        if self.is_ascii {
            return start.checked_add(column).filter(|&at| at <= self.text.len());
        }
        let rest = self.text.get(start..)?;
        rest.char_indices()
            .map(|(at, _)| at)
            .chain([rest.len()])
            .nth(column)
            .map(|at| start + at)
    }
}
