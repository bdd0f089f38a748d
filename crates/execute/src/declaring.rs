//! DECLARE outside a transaction block. PostgreSQL refuses it, but not in a transaction that
//! Flywheel begins for a statement.

use flywheel_sql::{Statement, Verb};
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

/// The error of a cursor that would end at once.
pub(super) fn ends_at_once(analysis: &Analysis) -> Option<PgError> {
    let [declare] = &analysis.statements[..] else { return None };
    let ends = declare.verb == Verb::Declare && !holds(declare, &analysis.text);
    let message = "DECLARE CURSOR can only be used in transaction blocks";
    ends.then(|| PgError::error(sqlstate::NO_ACTIVE_SQL_TRANSACTION, message))
}

/// Whether a DECLARE says WITH HOLD.
fn holds(declare: &Statement, text: &str) -> bool {
    let options = declare.tokens.split(|token| token.is_keyword(text, "for")).next();
    options.unwrap_or_default().windows(2).any(|pair| match pair {
        [with, hold] => with.is_keyword(text, "with") && hold.is_keyword(text, "hold"),
        _ => false,
    })
}
