//! What DEALLOCATE takes away.

use std::borrow::Cow;

use flywheel_sql::Statement;
use flywheel_statement::Analysis;

use super::Session;
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

impl Session {
    /// DEALLOCATE of statements that were prepared by protocol: they go by other names on the
    /// server. `None`: it is the server's business.
    pub(super) fn deallocate(&mut self, analysis: &Analysis) -> Option<(&'static str, Vec<Undo>)> {
        let [statement] = &analysis.statements[..] else { return None };
        let name = deallocated(statement, &analysis.text)?;
        if !self.deallocates(analysis, 0) {
            return None;
        }
        if name == "all" {
            let named = |name: &String, _: &mut _| !name.is_empty();
            let gone = self.prepared.statements.extract_if(named);
            let undos = gone.map(|(name, before)| Undo { name, before: Some(before) }).collect();
            return Some(("DEALLOCATE ALL", undos));
        }
        let before = Some(self.prepared.statements.remove(name.as_ref())?);
        let name = name.into_owned();
        Some(("DEALLOCATE", vec![Undo { name, before }]))
    }

    /// Whether a statement, maybe among others, is a DEALLOCATE that isn't the server's business.
    pub(super) fn deallocates(&self, analysis: &Analysis, position: usize) -> bool {
        let Some(name) = deallocated(&analysis.statements[position], &analysis.text) else {
            return false;
        };
        // Statements prepared by SQL are on the server; all of its statements go together.
        let is_ours = match name.as_ref() {
            // Among others it is relayed like them: the server's statements are made again on
            // demand.
            "all" => !self.is_pinned() && analysis.statements.len() == 1,
            name => self.prepared.statements.get(name).is_some_and(|statement| !statement.by_sql),
        };
        is_ours && !self.transaction.has_failed()
    }
}
