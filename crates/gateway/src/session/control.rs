//! Statements that change the session: transaction blocks, settings, prepared statements. Most are
//! relayed, and noted once they are done.

use flywheel_sql::Verb;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, sqlstate};

use super::{End, Failure, Outcome, Session};

impl Session {
    /// The statements that decide what names mean: those that made the search path and the role,
    /// whose schema may be on it.
    pub(crate) fn naming(&self) -> Option<String> {
        let others = (self.setting("role"), self.setting("set_config"));
        let path = self.setting("search_path");
        match others {
            (None, None) => path.map(str::to_owned),
            _ => Some(format!("{others:?}{path:?}")),
        }
    }

    /// The statement that made a setting what it is now; `None`: it is the server's default.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.transaction.block.local(name).or_else(|| self.settings.now.get(name))
    }

    /// Nothing is known of the server connection's settings: the session's are set again before its
    /// next statement.
    pub(super) fn forget_server_settings(&mut self) {
        self.upstream.forget_settings();
    }

    /// The end of a batch, with the server at rest: what a failed implicit transaction had set is
    /// undone with it.
    pub(super) async fn settle_settings(&mut self) -> Result<(), End> {
        if let Err(Failure::Session(end)) = self.statement_names().withdraw().await {
            return Err(end);
        }
        if let Some(lease) = self.upstream.take_to_apply()
            && !self.transaction.has_failed()
        {
            let applied = lease.apply_settings(&self.settings.now).await;
            match applied.map_err(|error| self.server_failed(&error)) {
                Err(Failure::Session(end)) => return Err(end),
                _ => self.report_settings(),
            }
        }
        self.transaction.undo = None;
        if !self.transaction.unmarked.is_empty() {
            self.executor().take_away_marks().await;
        }
        if let Err(Failure::Session(end)) = self.executor().settle_definitions().await {
            return Err(end);
        }
        match self.guard().settle().await {
            Err(Failure::Session(end)) => Err(end),
            _ => Ok(()),
        }
    }

    /// An implicit transaction has failed.
    pub(super) fn undo_settings(&mut self) {
        if let Some(before) = self.transaction.undo.take() {
            self.settings.now = before;
            // The server has undone it, too.
            self.upstream.note_settings(&self.settings.now);
        }
    }

    /// An error for a text that names a portal which the server doesn't have.
    pub(super) fn refused_cursors(&self, analysis: &Analysis) -> Option<PgError> {
        if self.transaction.has_failed() {
            return None;
        }
        self.prepared.refuse_cursors(analysis)
    }

    /// Whether a statement that controls the transaction has more to do than the server can: there
    /// are writes to store tables.
    pub(super) fn must_handle(&self, verb: Verb) -> bool {
        // A BEGIN in a block is PostgreSQL's to warn of.
        let has_work =
            !self.transaction.block.writes.is_empty() || self.transaction.block.confirms_at(verb);
        verb.is_transaction_control() && verb != Verb::Begin && has_work
            || matches!(verb, Verb::Commit | Verb::PrepareTransaction)
                && self.proofs().waits_for_commit()
    }

    /// A transaction control statement while writes to store tables wait. The answer's tag.
    pub(super) async fn transaction_control(
        &mut self,
        analysis: &Analysis,
        position: usize,
    ) -> Outcome<String> {
        let statement = &analysis.statements[position];
        match statement.verb {
            Verb::Commit if !self.transaction.has_failed() => {
                let tag = self.executor().commit(analysis.statement_text(position)).await?;
                if self.transaction.is_well() && statement.chains(&analysis.text) {
                    self.transaction.block.begin(&self.settings.now);
                    self.transaction.block.says_isolation = true;
                }
                Ok(tag)
            }
            Verb::PrepareTransaction if !self.transaction.block.writes.is_empty() => {
                let message = "a transaction that has written to store tables can't be prepared for a two-phase commit";
                Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Use COMMIT.")
                    .into())
            }
            _ => {
                if statement.verb == Verb::PrepareTransaction {
                    self.guard().check_waiting().await?;
                }
                let tag =
                    self.own_statements().on_server(analysis.statement_text(position)).await?;
                self.report_settings();
                self.effects().note_completed(analysis, position, &tag).await?;
                Ok(tag)
            }
        }
    }

    /// The block is over, in PostgreSQL too.
    pub(super) fn end_block(&mut self, rolled_back: bool) {
        self.upstream.pins.end_block(rolled_back);
        if self.transaction.block.may_define() {
            // Plans that others have made meanwhile are for definitions and rights as they were.
            self.shared.stores.catalogue.replan();
        }
        self.transaction.unmarked.extend(self.transaction.block.marks.end());
        let redefined = self.transaction.block.end(rolled_back, &mut self.settings.now);
        self.transaction.redefined.add(redefined);
        self.noted_writes().settle();
        self.upstream.note_settings(&self.settings.now);
    }

    /// Tells the client of settings that a statement run in its place has changed: `SET LOCAL` ends
    /// with the block.
    pub(crate) fn report_settings(&mut self) {
        // Within a text PostgreSQL is silent about settings until all of it has run.
        if self.settings.reports.are_silent() {
            return;
        }
        if let Some(lease) = self.upstream.lease() {
            self.settings.report(lease, &mut self.client.out);
        }
    }
}
