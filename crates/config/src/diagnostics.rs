//! Mistakes, and how they are shown.

use std::fmt;
use std::ops::Range;

/// A place in the file, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The bytes.
    pub span: Range<usize>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is there; empty where the message says it.
    pub text: String,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it is.
    pub place: Label,
    /// Other places that it is about.
    pub related: Vec<Label>,
    /// What is wrong.
    pub message: String,
    /// What is allowed instead.
    pub help: String,
}

/// All mistakes of a file, in their order in it.
#[derive(Clone)]
pub struct Report {
    file: String,
    source: String,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// The mistakes.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = &self.source;
        for each in &self.diagnostics {
            writeln!(f, "{}:{}:{}: {}", self.file, each.place.line, each.place.column, each.message)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Report {}
