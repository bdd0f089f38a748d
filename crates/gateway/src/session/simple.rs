//! The simple protocol: a Query with any number of statements.

use std::sync::Arc;

use flywheel_execute::executes_prepared;
use flywheel_sql::Verb;
use flywheel_statement::{Analysis, Query};
use flywheel_wire::backend;
use flywheel_wire::{Frame, PgError, Severity, frontend, sqlstate};

use super::cached::Looked;
use super::defaults::query_frame;
use super::lost::is_lost;
use super::part::{Part, in_whole_text, needs_block};
use super::parts::Resets;
use super::query::Asked;
use super::{End, Failure, Outcome, Session};
use flywheel_execute::Way;

/// Who answers a Query.
#[derive(Debug, Clone, Copy)]
enum Answerer {
    /// Flywheel, a part of it at least.
    Own,
    /// A server, in the transaction that a batch without Sync has begun.
    Within,
    /// A server.
    Relayed,
    /// A server, and then what the last statement has reset gets the client's startup value.
    Restored,
}

/// Simple Queries of a session.
pub(super) struct Queries<'s> {
    pub(super) session: &'s mut Session,
}

impl Queries<'_> {
    pub(super) async fn query(&mut self, frame: &Frame) -> Result<(), End> {
        if !self.session.batches().finish().await? {
            return Ok(());
        }
        self.session.prepared.statements.remove("");
        self.session.prepared.portals.remove("");
        let readable = self.session.settings.charset().readable(frame);
        let frame = readable.as_ref().unwrap_or(frame);
        let text = match frontend::query(frame) {
            Ok(text) => text,
            Err(error) => return self.fail(&error).await,
        };
        let conforming = self.session.settings.conforming(text);
        let text = &*conforming;
        let mut query = self.session.shared.analyses.of_long_query(text).await;
        let rewritten = self
            .session
            .settings
            .with_startup_values(&query.analysis, text)
            .and_then(|text| query_frame(&text));
        let frame = rewritten.as_ref().unwrap_or(frame);
        let text = rewritten.as_ref().and_then(|frame| frontend::query(frame).ok()).unwrap_or(text);
        if rewritten.is_some() {
            query = self.session.shared.analyses.of_long_query(text).await;
        }
        let analysis = if executes_prepared(&self.session.prepared.statements, &query.analysis) {
            // The constants of an EXECUTE count.
            self.session.shared.analyses.of(text)
        } else {
            query.analysis.clone()
        };
        match self.session.proving().prove_together(&analysis).await {
            Ok(()) => {}
            Err(Failure::Session(end)) => return Err(end),
            Err(Failure::Statement(error)) => return self.fail(&error).await,
            Err(Failure::Told) => return self.session.ready().await,
        }
        if let Err(Failure::Statement(error)) = self.session.refusals().check(&analysis) {
            return self.fail(&error).await;
        }
        self.session.defaults().note_shown(&analysis);
        let resets = self.session.settings.resets(&analysis);
        let is_relayed = resets == Resets::Nothing && self.is_relayed(&analysis);
        // What a batch without Sync has begun ends with this Query: they are one transaction.
        let is_control =
            analysis.statements.iter().any(|statement| statement.verb.is_transaction_control());
        let continues = is_control && self.continues(&analysis);
        let is_within = continues
            || (self.session.transaction.is_batch
                && !is_control
                && !analysis.statements.is_empty());
        let is_relayed = is_relayed && !continues;
        let is_relayed_within = is_within && is_relayed;
        if !is_relayed_within
            && (self.session.transaction.is_batch || !is_relayed || analysis.statements.is_empty())
        {
            if !is_within {
                self.session.batches().end_flushed(true).await?;
            }
            if let Err(Failure::Session(end)) = self.session.sync_server(true).await {
                return Err(end);
            }
        }
        let fill = match self.session.lookups().query(frame, text, &query).await {
            Ok(Looked::Answered) => {
                self.session.count(Way::Cached);
                self.session.client.send_if_much().await?;
                return Ok(());
            }
            Ok(Looked::Fill(fill)) => Some(fill),
            Ok(Looked::Past) => None,
            Err(Failure::Session(end)) => return Err(end),
            Err(Failure::Statement(error)) => return self.fail(&error).await,
            Err(Failure::Told) => return self.session.ready().await,
        };
        let by = if resets == Resets::AtEnd && self.is_relayed(&analysis) {
            Answerer::Restored
        } else if !is_relayed {
            Answerer::Own
        } else if is_relayed_within {
            Answerer::Within
        } else {
            Answerer::Relayed
        };
        self.carry_out_query(frame, &query, &analysis, by).await?;
        if let Some(fill) = fill {
            fill.end(self.session);
        }
        Ok(())
    }

    /// Whether a text with transaction control goes on in the transaction that a batch without Sync
    /// has begun: as within a text of several statements, BEGIN makes a block of it, COMMIT and
    /// ROLLBACK end it, and what needs a block fails, with all of it.
    fn continues(&self, analysis: &Analysis) -> bool {
        let mut statements = analysis.statements.iter();
        let control = statements.find(|statement| statement.verb.is_transaction_control());
        self.session.transaction.is_batch
            && self.session.transaction.is_well()
            && control.is_some_and(|control| match control.verb {
                // One that says more is refused, or has its effect, in a transaction of its own.
                Verb::Begin => control.tokens.len() <= 2,
                verb => matches!(
                    verb,
                    Verb::Commit
                        | Verb::Rollback
                        | Verb::Savepoint
                        | Verb::RollbackTo
                        | Verb::Release
                ),
            })
    }

    /// Whether servers alone answer it.
    fn is_relayed(&self, analysis: &Arc<Analysis>) -> bool {
        !analysis.concerns_any_store()
            && !executes_prepared(&self.session.prepared.statements, analysis)
            && !analysis
                .statements
                .iter()
                .any(|statement| self.session.proofs().must_handle(statement.verb))
            && !self.session.proofs().is_guarded_apart(analysis)
            && !(0..analysis.statements.len())
                .any(|position| self.session.deallocation().is_ours(analysis, position))
            && !(0..analysis.statements.len())
                .any(|position| self.session.transaction.concerns_cursors(analysis, position))
    }

    /// Reads anew what a client was given from memory.
    pub(super) async fn past_cache(&mut self, frame: &Frame) -> Result<(), End> {
        let text = self.session.settings.conforming(frontend::query(frame).unwrap_or_default());
        let query = self.session.shared.analyses.of_query(&text);
        let analysis = query.analysis.clone();
        let by = if self.is_relayed(&analysis) { Answerer::Relayed } else { Answerer::Own };
        self.carry_out_query(frame, &query, &analysis, by).await
    }

    async fn carry_out_query(
        &mut self,
        frame: &Frame,
        query: &Query,
        analysis: &Arc<Analysis>,
        by: Answerer,
    ) -> Result<(), End> {
        let text = &*self.session.settings.conforming(frontend::query(frame).unwrap_or_default());
        let asked = Asked { frame, analysis };
        let done = if let Some(error) = self.session.refused_cursors(analysis) {
            Err(error.into())
        } else if let Err(failure) = self.session.statement_names().put(analysis).await {
            Err(failure)
        } else if self.session.deallocation().is_ours(analysis, 0)
            && let Some((tag, _)) = self.session.prepared.deallocate(analysis)
        {
            backend::command_complete(&mut self.session.client.out, tag);
            Ok(true)
        } else if analysis.statements.is_empty() {
            backend::empty_query_response(&mut self.session.client.out);
            Ok(true)
        } else {
            match by {
                Answerer::Own => self.run_own(query, analysis, text).await.map(|()| true),
                Answerer::Restored => asked.relay_restored(self.session).await.map(|()| true),
                Answerer::Within => asked.relay_within(self.session).await.map(|()| true),
                Answerer::Relayed => {
                    match self.session.shared_reads().query(frame, text, query).await {
                        Ok(true) => Ok(false),
                        Ok(false) => asked.relay_again(self.session).await.map(|()| false),
                        Err(Failure::Statement(error)) if is_lost(&error) => {
                            asked.relay_again(self.session).await.map(|()| false)
                        }
                        Err(failure) => Err(failure),
                    }
                }
            }
        };
        match done {
            Ok(true) => {
                self.session.batches().end_flushed(true).await?;
                self.session.ready().await
            }
            Ok(false) => {
                self.session.control().settle_settings().await?;
                if self.session.transaction.is_idle() {
                    // Portals end with their transaction.
                    self.session.prepared.portals.clear();
                }
                self.session.release().await;
                self.session.client.send_if_much().await?;
                Ok(())
            }
            Err(Failure::Told) => {
                self.session.batches().end_flushed(false).await?;
                self.session.ready().await
            }
            Err(Failure::Statement(error)) => self.fail(&error).await,
            Err(Failure::Session(end)) => Err(end),
        }
    }

    /// Answers a Query with an error. What a batch without Sync has begun is undone with it.
    pub(super) async fn fail(&mut self, error: &PgError) -> Result<(), End> {
        self.session.errors().tell(error).await?;
        self.session.batches().end_flushed(false).await?;
        self.session.ready().await
    }

    /// A text of Flywheel's own, by the plan of its shape if that is known.
    async fn run_own(
        &mut self,
        query: &Query,
        analysis: &Arc<Analysis>,
        text: &str,
    ) -> Outcome<()> {
        match &query.shape {
            Some(shape) if !self.session.transaction.is_batch => {
                self.session.shaped().run_or_whole(shape, text).await
            }
            Some(_) => {
                let whole = self.session.shared.analyses.of(text);
                self.run_here(&whole).await
            }
            None => {
                self.session.proving().read_whole(analysis).await?;
                self.run_here(analysis).await
            }
        }
    }

    /// [`Self::run_statements`], and the end of the transaction that a batch without Sync has
    /// begun.
    pub(super) async fn run_here(&mut self, analysis: &Arc<Analysis>) -> Outcome<()> {
        self.session.client.send_answered().await?;
        self.session.defaults().run_restored(analysis).await?;
        let is_well = self.session.transaction.is_well();
        self.session.batches().end_flushed(is_well).await.map_err(Failure::Session)
    }

    /// Statement by statement, for a text in which one needs Flywheel. Several in one text are one
    /// transaction, as in PostgreSQL.
    pub(super) async fn run_statements(&mut self, analysis: &Arc<Analysis>) -> Outcome<()> {
        if analysis.concerns_any_store() || !analysis.changes_nothing() {
            self.session.upstream.replicas.note_write();
        }
        // Whether the transaction that is open is the one that the text's statements make by
        // standing together, or with a batch in front of them.
        let mut implicit =
            self.continues(analysis) && std::mem::take(&mut self.session.transaction.is_batch);
        for position in 0..analysis.statements.len() {
            let verb = analysis.statements[position].verb;
            let refused = needs_block(analysis, position).filter(|_| implicit);
            let done = match verb {
                _ if refused.is_some() => refused.map_or(Ok(()), |error| Err(error.into())),
                Verb::Begin if implicit => {
                    // The implicit transaction becomes a block.
                    implicit = false;
                    backend::command_complete(&mut self.session.client.out, "BEGIN");
                    continue;
                }
                Verb::Commit | Verb::Rollback if implicit => {
                    implicit = false;
                    let tag = if verb == Verb::Commit { "COMMIT" } else { "ROLLBACK" };
                    let notice = PgError::new(
                        Severity::Warning,
                        sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                        "there is no transaction in progress",
                    );
                    backend::notice_response(&mut self.session.client.out, &notice);
                    let ended = self.end_implicit(verb == Verb::Commit).await;
                    ended.map(|()| backend::command_complete(&mut self.session.client.out, tag))
                }
                _ => {
                    if self.session.transaction.is_idle()
                        && analysis.statements.len() > 1
                        && !verb.is_transaction_control()
                    {
                        self.begin_implicit().await?;
                        implicit = true;
                    }
                    Part { analysis, position }.run(self.session).await
                }
            };
            let failure = match done {
                Ok(()) => continue,
                Err(failure) => failure,
            };
            match &failure {
                Failure::Statement(error) => {
                    let error = in_whole_text(error, analysis, position);
                    self.session.errors().tell(&error).await.map_err(Failure::Session)?
                }
                Failure::Told => {}
                Failure::Session(_) => return Err(failure),
            }
            self.session.control().undo_settings();
            return if implicit { self.end_implicit(false).await } else { Ok(()) };
        }
        if implicit { self.end_implicit(true).await } else { Ok(()) }
    }

    /// Opens the transaction that several statements in one text or batch are.
    pub(crate) async fn begin_implicit(&mut self) -> Outcome<()> {
        self.session.own_statements().on_server("BEGIN").await?;
        self.session.transaction.block.begin(&self.session.settings.now);
        Ok(())
    }

    /// Ends it.
    pub(crate) async fn end_implicit(&mut self, commit: bool) -> Outcome<()> {
        if commit && self.session.transaction.is_well() {
            self.session.executor().commit("COMMIT").await?;
        } else {
            self.session.own_statements().on_server("ROLLBACK").await?;
            self.session.control().end_block(true);
        }
        Ok(())
    }
}
