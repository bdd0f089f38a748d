//! DECLARE outside a transaction block. PostgreSQL refuses it, but not in a transaction that
//! Flywheel begins for a statement.

use flywheel_sql::{Statement, Verb};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};

use crate::failure::Outcome;
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    /// Refuses a cursor that would end at once.
    pub(super) fn check_declared(&self, text: &str) -> Outcome<()> {
        if self.status() != TransactionStatus::Idle {
            return Ok(());
        }
        let analysis = self.stores().analyses.of(text);
        match &analysis.statements[..] {
            [declare] if declare.verb == Verb::Declare && !holds(declare, &analysis.text) => {
                let message = "DECLARE CURSOR can only be used in transaction blocks";
                Err(PgError::error(sqlstate::NO_ACTIVE_SQL_TRANSACTION, message).into())
            }
            _ => Ok(()),
        }
    }
}

/// Whether a DECLARE says WITH HOLD.
fn holds(declare: &Statement, text: &str) -> bool {
    let options = declare.tokens.split(|token| token.is_keyword(text, "for")).next();
    options.unwrap_or_default().windows(2).any(|pair| match pair {
        [with, hold] => with.is_keyword(text, "with") && hold.is_keyword(text, "hold"),
        _ => false,
    })
}
