//! Cursors and portals are one space of names. A portal of a statement that Flywheel answers isn't
//! on the server, so SQL can't read from it there: it is told so, and can't take the name for a
//! cursor of its own.

use flywheel_sql::CursorUse;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

use super::prepared::Prepared;

impl Prepared {
    /// An error for a text that names a portal which the server doesn't have.
    pub(crate) fn refuse_cursors(&self, analysis: &Analysis) -> Option<PgError> {
        if self.portals.is_empty() {
            return None;
        }
        let is_local =
            |name: &str| self.portals.get(name).is_some_and(|portal| portal.statement.is_local());
        analysis.statements.iter().find_map(|statement| {
            match CursorUse::of(&analysis.text, &statement.tokens)? {
                CursorUse::Declare(name) if is_local(&name) => {
                    let message = format!("cursor \"{name}\" already exists");
                    Some(PgError::error(sqlstate::DUPLICATE_CURSOR, message))
                }
                CursorUse::Read(name) | CursorUse::Close(name) if is_local(&name) => {
                    let message = format!(
                        "portal \"{name}\" of a statement on a store table isn't a cursor of SQL's"
                    );
                    let hint =
                        "Execute and Close it by the protocol, or DECLARE a cursor for the query.";
                    Some(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(hint))
                }
                _ => None,
            }
        })
    }
}
