//! Cursors that lock rows of store tables. PostgreSQL skips a row that its own transaction has
//! changed since the cursor was opened; the rows of a store table stand in the cursor as they were
//! when it was opened, so once one of them may have changed it gives no more.

use flywheel_sql::CursorUse;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

use flywheel_execute::Outcome;

use super::transaction::Transaction;

impl Transaction {
    /// Refuses to go on with a cursor whose rows the block may have changed.
    pub(crate) fn check_cursor(&self, name: &str) -> Outcome<()> {
        let Some(table) = self.block.cursors.table_of(name) else {
            return Ok(());
        };
        let message = format!(
            "cursor \"{name}\" locks rows of store table \"{table}\", to which the transaction has written since it was opened"
        );
        Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
            .with_hint("Read all of it before the first write (FETCH ALL), or open the cursor without FOR UPDATE.")
            .into())
    }

    /// Whether a statement is about cursors, while one of them may not go on.
    pub(crate) fn concerns_cursors(&self, analysis: &Analysis, position: usize) -> bool {
        self.block.cursors.are_outdated()
            && analysis
                .statements
                .get(position)
                .is_some_and(|statement| CursorUse::of(&analysis.text, &statement.tokens).is_some())
    }

    /// Refuses FETCH and MOVE of a cursor whose rows the block may have changed; CLOSE and DECLARE
    /// make the name another's.
    pub(crate) fn check_cursors(&mut self, analysis: &Analysis, position: usize) -> Outcome<()> {
        if !self.concerns_cursors(analysis, position) {
            return Ok(());
        }
        match CursorUse::of(&analysis.text, &analysis.statements[position].tokens) {
            Some(CursorUse::Read(name)) => self.check_cursor(&name),
            Some(CursorUse::CloseAll) => {
                self.block.cursors.clear();
                Ok(())
            }
            Some(CursorUse::Close(name) | CursorUse::Declare(name)) => {
                self.block.cursors.forget(&name);
                Ok(())
            }
            None => Ok(()),
        }
    }
}
