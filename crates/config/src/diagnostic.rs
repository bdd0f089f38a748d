//! Mistakes in a configuration file, and how they are shown.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::string::FromUtf8Error;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};

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
    /// A mistake there.
    pub fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: help.into() }
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
        diagnostics.dedup();
        Self { name: name.to_owned(), text: text.to_owned(), diagnostics }
    }

    /// What was found to be wrong with a file that was read before.
    #[must_use]
    pub fn of_file(path: &Path, diagnostics: Vec<Diagnostic>) -> Self {
        // Should it be gone by now, what is wrong with it is told all the same.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Self::new(&path.display().to_string(), text, diagnostics)
    }

    pub(crate) fn unreadable(name: &str, error: &std::io::Error) -> Self {
        let help = "give the path of a file that this user can read";
        Self::new(
            name,
            "",
            vec![Diagnostic::new(0..0, format!("can't read the file: {error}"), help)],
        )
    }

    pub(crate) fn not_utf8(name: &str, error: &FromUtf8Error) -> Self {
        let at = error.utf8_error().valid_up_to();
        let mistake = Diagnostic::new(at..at, "these bytes aren't UTF-8", "save the file as UTF-8");
        Self::new(name, &String::from_utf8_lossy(error.as_bytes()), vec![mistake])
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
        (before.matches('\n').count() + 1, characters_in_last_line(before) + 1)
    }

    /// The report for a terminal, with colours or without.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let theme =
            if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_context_lines(1)
            .with_width(120)
            .without_cause_chain();
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            let (line, column) = self.position(diagnostic);
            out.push_str(&format!("{}:{line}:{column}: {}\n", self.name, diagnostic.message));
            let shown = Shown { diagnostic, source: Source { name: &self.name, text: &self.text } };
            // The first line is for editors and grep; this one repeats it above the file's line
            // with its mark, and the help.
            if handler.render_report(&mut out, &shown).is_err() {
                out.push_str(&format!("  help: {}\n", diagnostic.help));
            }
            out.push('\n');
        }
        let count = self.diagnostics.len();
        out.push_str(&format!(
            "{count} mistake{} in {}\n",
            if count == 1 { "" } else { "s" },
            self.name
        ));
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

fn characters_in_last_line(text: &str) -> usize {
    text[text.rfind('\n').map_or(0, |newline| newline + 1)..].chars().count()
}

/// The file as miette reads it. Its own columns are bytes; ours are characters.
#[derive(Debug)]
struct Source<'d> {
    name: &'d str,
    text: &'d str,
}

impl SourceCode for Source<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        let column =
            characters_in_last_line(&self.text[..floor_boundary(self.text, found.span().offset())]);
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_owned(),
            found.data(),
            *found.span(),
            found.line(),
            column,
            found.line_count(),
        )))
    }
}

/// A diagnostic as miette shows it.
#[derive(Debug)]
struct Shown<'d> {
    diagnostic: &'d Diagnostic,
    source: Source<'d>,
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

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.source.text.is_empty()).then_some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = &self.diagnostic.span;
        let label =
            LabeledSpan::new_with_span(None, SourceSpan::new(span.start.into(), span.len()));
        Some(Box::new(std::iter::once(label)))
    }
}
