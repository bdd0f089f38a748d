//! DECLARE outside a transaction block. PostgreSQL refuses it, but not in a transaction that
//! Flywheel begins for a statement.

use flywheel_sql::{Pin, Verb};
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

/// The error of a cursor that would end at once.
pub(super) fn ends_at_once(analysis: &Analysis) -> Option<PgError> {
    let [declare] = &analysis.statements[..] else { return None };
    let is_held = declare.session.pins().contains(&Pin::HeldCursor);
    let message = "DECLARE CURSOR can only be used in transaction blocks";
    (declare.verb == Verb::Declare && !is_held)
        .then(|| PgError::error(sqlstate::NO_ACTIVE_SQL_TRANSACTION, message))
}
