//! Mistakes in a configuration file, and how they are shown.

use std::fmt;
use std::ops::Range;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where, in bytes of the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What is allowed instead.
    pub help: String,
}

impl Diagnostic {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// All mistakes of a file, in its order.
#[derive(Debug, Clone)]
pub struct Report {
    name: String,
    text: String,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn new(name: &str, text: &str, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        // The first thing that is wrong with a value is its cause.
        diagnostics.dedup_by(|later, earlier| later.span == earlier.span && !later.span.is_empty());
        diagnostics.dedup();
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            diagnostics,
        }
    }

    pub(crate) fn unreadable(name: &str, error: &std::io::Error) -> Self {
        let help = "give the path of a file that this user can read";
        Self::new(name, "", vec![Diagnostic::new(0..0, format!("can't read the file: {error}"), help)])
    }

    /// The mistakes.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Line and column (in characters) of a mistake, both from 1.
    #[must_use]
    pub fn position(&self, diagnostic: &Diagnostic) -> (usize, usize) {
        let before = &self.text[..floor_boundary(&self.text, diagnostic.span.start)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The report for a terminal, with colours or without.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let theme = if colours {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_context_lines(1)
            .with_width(120)
            .without_cause_chain();
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            let (line, column) = self.position(diagnostic);
            out.push_str(&format!("{}:{line}:{column}: {}\n", self.name, diagnostic.message));
            let shown = Shown {
                diagnostic,
                source: NamedSource::new(&self.name, self.text.clone()),
            };
            // The message stands above already; what is wanted is the line with its mark, and the help.
            if handler.render_report(&mut out, &shown).is_err() {
                out.push_str(&format!("  help: {}\n", diagnostic.help));
            }
            out.push('\n');
        }
        let count = self.diagnostics.len();
        out.push_str(&format!("{count} mistake{} in {}\n", if count == 1 { "" } else { "s" }, self.name));
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

fn floor_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// A diagnostic as miette shows it.
#[derive(Debug)]
struct Shown<'d> {
    diagnostic: &'d Diagnostic,
    source: NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.diagnostic.help))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        (!self.source.inner().is_empty()).then_some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = &self.diagnostic.span;
        let label = LabeledSpan::new_with_span(None, SourceSpan::new(span.start.into(), span.len()));
        Some(Box::new(std::iter::once(label)))
    }
}
