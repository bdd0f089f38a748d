//! Statements that change the session: transaction blocks, settings, prepared statements. Most are
//! relayed, and noted once they are done.

use flywheel_sql::Verb;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

use super::{End, Failure, Outcome, Session};

/// A session whose transaction, or what it has set, ends.
pub(super) struct Control<'s> {
    pub(super) session: &'s mut Session,
}

impl Control<'_> {
    /// The end of a batch, with the server at rest: what a failed implicit transaction had set is
    /// undone with it.
    pub(super) async fn settle_settings(&mut self) -> Result<(), End> {
        if let Err(Failure::Session(end)) = self.session.statement_names().withdraw().await {
            return Err(end);
        }
        if let Some(lease) = self.session.upstream.take_to_apply()
            && !self.session.transaction.has_failed()
        {
            let applied = lease.apply_settings(&self.session.settings.now).await;
            match applied.map_err(|error| self.session.server_failed(&error)) {
                Err(Failure::Session(end)) => return Err(end),
                _ => self.session.report_settings(),
            }
        }
        self.session.transaction.undo = None;
        if !self.session.transaction.unmarked.is_empty() {
            self.session.executor().take_away_marks().await;
        }
        if let Err(Failure::Session(end)) = self.session.executor().settle_definitions().await {
            return Err(end);
        }
        match self.session.guard().settle().await {
            Err(Failure::Session(end)) => Err(end),
            _ => Ok(()),
        }
    }

    /// An implicit transaction has failed.
    pub(super) fn undo_settings(&mut self) {
        if let Some(before) = self.session.transaction.undo.take() {
            self.session.settings.now = before;
            // The server has undone it, too.
            self.session.upstream.note_settings(&self.session.settings.now);
        }
    }

    /// A transaction control statement while writes to store tables wait. The answer's tag.
    pub(super) async fn transaction_control(
        &mut self,
        analysis: &Analysis,
        position: usize,
    ) -> Outcome<String> {
        let statement = &analysis.statements[position];
        match statement.verb {
            Verb::Commit if !self.session.transaction.has_failed() => {
                let tag = self.session.executor().commit(analysis.statement_text(position)).await?;
                if self.session.transaction.is_well() && statement.chains(&analysis.text) {
                    self.session.transaction.block.begin(&self.session.settings.now);
                    self.session.transaction.block.says_isolation = true;
                }
                Ok(tag)
            }
            Verb::PrepareTransaction if !self.session.transaction.block.writes.is_empty() => {
                let message = "a transaction that has written to store tables can't be prepared for a two-phase commit";
                Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Use COMMIT.")
                    .into())
            }
            _ => {
                if statement.verb == Verb::PrepareTransaction {
                    self.session.guard().check_waiting().await?;
                }
                let tag = self
                    .session
                    .own_statements()
                    .on_server(analysis.statement_text(position))
                    .await?;
                self.session.report_settings();
                self.session.effects().note_completed(analysis, position, &tag).await?;
                Ok(tag)
            }
        }
    }

    /// The block is over, in PostgreSQL too.
    pub(super) fn end_block(&mut self, rolled_back: bool) {
        self.session.upstream.pins.end_block(rolled_back);
        if self.session.transaction.block.may_define() {
            // Plans that others have made meanwhile are for definitions and rights as they were.
            self.session.shared.stores.catalogue.replan();
        }
        self.session.transaction.unmarked.extend(self.session.transaction.block.marks.end());
        let redefined =
            self.session.transaction.block.end(rolled_back, &mut self.session.settings.now);
        self.session.transaction.redefined.add(redefined);
        self.session.noted_writes().settle();
        self.session.upstream.note_settings(&self.session.settings.now);
    }
}
