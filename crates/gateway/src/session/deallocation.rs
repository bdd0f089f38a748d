//! What DEALLOCATE takes away.

use std::borrow::Cow;

use flywheel_sql::Statement;
use flywheel_statement::Analysis;

use super::parts::Prepared;
use super::step::Undo;

/// The name that DEALLOCATE names, or `all`.
pub(super) fn deallocated<'t>(statement: &Statement, text: &'t str) -> Option<Cow<'t, str>> {
    let is_deallocate = statement.tokens.first()?.is_keyword(text, "deallocate");
    is_deallocate.then(|| statement.tokens.last().map(|last| last.identifier(text))).flatten()
}

/// Whether a text takes all prepared statements from its server connection, Flywheel's own too, or
/// holds code that may.
pub(super) fn deallocates_all(analysis: &Analysis) -> bool {
    let text = &analysis.text;
    let deallocates = |statement: &Statement| match deallocated(statement, text) {
        Some(name) => name == "all",
        None => statement.tokens.iter().any(|token| {
            let text = text.as_bytes().get(token.range.clone()).unwrap_or_default();
            text.windows(WORD.len()).any(|word| word.eq_ignore_ascii_case(WORD))
        }),
    };
    analysis.statements.iter().any(deallocates)
}

/// What code in a string says.
const WORD: &[u8] = b"deallocate";

/// What a session's DEALLOCATE takes away.
pub(super) struct Deallocation<'s> {
    pub(super) prepared: &'s Prepared,
    pub(super) is_pinned: bool,
    pub(super) has_failed: bool,
}

impl Deallocation<'_> {
    /// Whether a statement, maybe among others, is a DEALLOCATE that isn't the server's business.
    pub(super) fn is_ours(&self, analysis: &Analysis, position: usize) -> bool {
        let Some(name) =
            analysis.statements.get(position).and_then(|each| deallocated(each, &analysis.text))
        else {
            return false;
        };
        // Statements prepared by SQL are on the server; all of its statements go together.
        let is_ours = match name.as_ref() {
            // Among others it is relayed like them: the server's statements are made again on
            // demand.
            "all" => !self.is_pinned && analysis.statements.len() == 1,
            name => self.prepared.statements.get(name).is_some_and(|statement| !statement.by_sql),
        };
        is_ours && !self.has_failed
    }
}

impl Prepared {
    /// Carries out a text that is a DEALLOCATE of statements that were prepared by protocol: they
    /// go by other names on the server.
    pub(super) fn deallocate(&mut self, analysis: &Analysis) -> Option<(&'static str, Vec<Undo>)> {
        let [statement] = &analysis.statements[..] else { return None };
        let name = deallocated(statement, &analysis.text)?;
        if name == "all" {
            let named = |name: &String, _: &mut _| !name.is_empty();
            let gone = self.statements.extract_if(named);
            let undos = gone.map(|(name, before)| Undo { name, before: Some(before) }).collect();
            return Some(("DEALLOCATE ALL", undos));
        }
        let before = Some(self.statements.remove(name.as_ref())?);
        let name = name.into_owned();
        Some(("DEALLOCATE", vec![Undo { name, before }]))
    }
}
