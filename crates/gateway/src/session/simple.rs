//! The simple protocol: a Query with any number of statements.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use flywheel_plan::Parameters;
use flywheel_sql::{Template, Verb};
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{Frame, PgError, frontend};

use super::cached::Looked;
use super::relay::Step;
use super::{End, Failure, Outcome, Session};
use crate::analysis::{Analysis, Query};
use crate::execute::Arguments;
use crate::tally::Way;

/// How often a single read is sent again because its connection has broken.
const REPETITIONS: usize = 3;

/// Who answers a Query.
#[derive(Debug, Clone, Copy)]
enum Answerer {
    /// Flywheel, a part of it at least.
    Own,
    /// A server, in the transaction that a batch without Sync has begun.
    Within,
    /// A server.
    Relayed,
}

/// Whether the connection has broken, or was ended by the server.
fn is_lost(error: &PgError) -> bool {
    matches!(error.code(), "08006" | "57P01" | "57P02")
}

impl Session {
    pub(super) async fn simple_query(&mut self, frame: &Frame) -> Result<(), End> {
        if !self.finish_batch().await? {
            return Ok(());
        }
        self.statements.remove("");
        self.portals.remove("");
        let text = match frontend::query(frame) {
            Ok(text) => text,
            Err(error) => return self.fail_query(&error).await,
        };
        let query = self.shared.analyses.of_query(text);
        let analysis = if self.sql_prepared.is_empty() {
            query.analysis.clone()
        } else {
            // The constants of an EXECUTE count.
            self.shared.analyses.of(text)
        };
        if let Err(Failure::Statement(error)) = self.check_session_effect(&analysis) {
            return self.fail_query(&error).await;
        }
        let is_relayed = self.is_relayed(&analysis);
        // What a batch without Sync has begun ends with this Query. Where the server alone answers both, they are one transaction.
        let is_control = analysis.statements.iter().any(|statement| statement.verb.is_transaction_control());
        let is_within = self.implicit && is_relayed && !is_control && !analysis.statements.is_empty();
        if !is_within && (self.implicit || !is_relayed || analysis.statements.is_empty()) {
            self.end_flushed(true).await?;
            if let Err(Failure::Session(end)) = self.sync_server(true).await {
                return Err(end);
            }
        }
        let fill = match self.look_up_query(frame, text, &query).await {
            Ok(Looked::Answered) => {
                self.count(Way::Cached);
                self.client.send_if_much().await?;
                return Ok(());
            }
            Ok(Looked::Fill(fill)) => Some(fill),
            Ok(Looked::Past) => None,
            Err(Failure::Session(end)) => return Err(end),
            Err(Failure::Statement(error)) => return self.fail_query(&error).await,
            Err(Failure::Told) => return self.ready().await,
        };
        let by = if !is_relayed {
            Answerer::Own
        } else if is_within {
            Answerer::Within
        } else {
            Answerer::Relayed
        };
        self.carry_out_query(frame, &query, &analysis, by).await?;
        if let Some(fill) = fill {
            self.end_fill(*fill);
        }
        Ok(())
    }

    /// Whether servers alone answer it.
    fn is_relayed(&self, analysis: &Arc<Analysis>) -> bool {
        !analysis.concerns_any_store()
            && !self.executes_prepared(analysis)
            && !analysis.statements.iter().any(|statement| self.must_handle(statement.verb))
            && !(0..analysis.statements.len()).any(|position| self.deallocates(analysis, position))
    }

    /// Reads anew what a client was given from memory.
    pub(super) async fn query_past_cache(&mut self, frame: &Frame) -> Result<(), End> {
        let query = self.shared.analyses.of_query(frontend::query(frame).unwrap_or_default());
        let analysis = query.analysis.clone();
        let by = if self.is_relayed(&analysis) {
            Answerer::Relayed
        } else {
            Answerer::Own
        };
        self.carry_out_query(frame, &query, &analysis, by).await
    }

    async fn carry_out_query(&mut self, frame: &Frame, query: &Query, analysis: &Arc<Analysis>, by: Answerer) -> Result<(), End> {
        let text = frontend::query(frame).unwrap_or_default();
        let done = if let Some((tag, _)) = self.deallocate(analysis) {
            backend::command_complete(&mut self.client.out, tag);
            Ok(true)
        } else if analysis.statements.is_empty() {
            backend::empty_query_response(&mut self.client.out);
            Ok(true)
        } else {
            match by {
                Answerer::Own => self.run_statements(analysis).await.map(|()| true),
                Answerer::Within => self.relay_within(frame, analysis).await.map(|()| true),
                Answerer::Relayed => match self.share_query(frame, text, query).await {
                    Ok(true) => Ok(false),
                    Ok(false) => self.relay_read_again(frame, analysis).await.map(|()| false),
                    Err(Failure::Statement(error)) if is_lost(&error) => self.relay_read_again(frame, analysis).await.map(|()| false),
                    Err(failure) => Err(failure),
                },
            }
        };
        match done {
            Ok(true) => self.ready().await,
            Ok(false) => {
                self.settle_settings().await?;
                self.release().await;
                self.client.send_if_much().await?;
                Ok(())
            }
            Err(Failure::Told) => self.ready().await,
            Err(Failure::Statement(error)) => {
                self.end_flushed(false).await?;
                self.fail_query(&error).await
            }
            Err(Failure::Session(end)) => Err(end),
        }
    }

    /// What a Query is about to write: its analysis may be that of texts like it, without their constants.
    fn note_query_writes(&mut self, frame: &Frame, analysis: &Arc<Analysis>) {
        if self.shared.caching.is_none() {
            return;
        }
        let text = frontend::query(frame).unwrap_or_default();
        let template = if analysis.text == text { None } else { Template::of(text) };
        let constants = template.map(|template| template.constants).unwrap_or_default();
        let types: Vec<u32> = constants.iter().map(|constant| constant.type_oid).collect();
        let values: Vec<Option<Bytes>> = constants
            .iter()
            .map(|constant| Some(Bytes::copy_from_slice(text[constant.range.clone()].as_bytes())))
            .collect();
        let parameters = Parameters {
            types: &types,
            values: &values,
            ..Parameters::default()
        };
        self.note_writes(analysis, 0..analysis.statements.len(), &parameters);
    }

    async fn fail_query(&mut self, error: &PgError) -> Result<(), End> {
        backend::error_response(&mut self.client.out, error);
        self.unsynced = false;
        self.ready().await
    }

    /// [`Self::relay_query`], again when the connection breaks under a single read of whose answer nothing has been sent.
    async fn relay_read_again(&mut self, frame: &Frame, analysis: &Arc<Analysis>) -> Outcome<()> {
        let may_repeat = analysis.is_repeatable() && self.is_free();
        let mark = self.client.mark();
        for _ in 0..REPETITIONS {
            if may_repeat && !self.goes_to_replica(analysis) {
                // A server that can't be reached is told at once.
                self.server().await?;
            }
            let relayed = self.relay_query(frame, analysis).await;
            let is_lost = matches!(&relayed, Err(Failure::Statement(error)) if is_lost(error));
            if !(may_repeat && is_lost && !self.has_server() && self.client.can_take_back(mark)) {
                return relayed;
            }
            self.client.take_back(mark);
        }
        self.relay_query(frame, analysis).await
    }

    /// The whole text to a server, its whole answer back.
    async fn relay_query(&mut self, frame: &Frame, analysis: &Arc<Analysis>) -> Outcome<()> {
        if self.goes_to_replica(analysis) {
            let mut tried = Vec::new();
            while self.borrow_replica(&mut tried).await {
                let relayed = self.exchange_query(frame, analysis).await;
                if !self.is_to_be_asked_elsewhere(&relayed, &[analysis]).await {
                    return relayed;
                }
            }
        }
        self.exchange_query(frame, analysis).await
    }

    /// A Query that ends a batch for which a transaction was begun: it is part of it.
    async fn relay_within(&mut self, frame: &Frame, analysis: &Arc<Analysis>) -> Outcome<()> {
        let failed = self.exchange(frame, analysis, false).await?;
        self.end_flushed(!failed).await.map_err(Failure::Session)
    }

    async fn exchange_query(&mut self, frame: &Frame, analysis: &Arc<Analysis>) -> Outcome<()> {
        self.exchange(frame, analysis, true).await.map(|_| ())
    }

    /// Whether the answer to a Query is an error, or ends in one.
    async fn exchange(&mut self, frame: &Frame, analysis: &Arc<Analysis>, show_ready: bool) -> Outcome<bool> {
        self.note_use(analysis);
        self.note_query_writes(frame, analysis);
        self.expect_explain(analysis).await;
        let lease = self.server().await?;
        lease.out().extend_from_slice(frame.raw());
        lease.expect_ready();
        self.unnamed_on_server = None;
        self.unsynced = false;
        self.send_to_server().await?;
        let step = Step::Query {
            analysis: analysis.clone(),
            first: 0,
            show_ready,
        };
        let failed = self.drain(VecDeque::from([step])).await?.failed;
        if failed {
            self.undo_settings();
        }
        Ok(failed)
    }

    /// Statement by statement, for a text in which one needs Flywheel. Several in one text are one transaction, as in PostgreSQL.
    async fn run_statements(&mut self, analysis: &Arc<Analysis>) -> Outcome<()> {
        self.replicas.note_write();
        // Whether the transaction that is open is the one that the text's statements make by standing together.
        let mut implicit = false;
        for position in 0..analysis.statements.len() {
            let verb = analysis.statements[position].verb;
            let done = match verb {
                Verb::Begin if implicit => {
                    // The implicit transaction becomes a block.
                    implicit = false;
                    backend::command_complete(&mut self.client.out, "BEGIN");
                    continue;
                }
                Verb::Commit | Verb::Rollback if implicit => {
                    implicit = false;
                    let tag = if verb == Verb::Commit { "COMMIT" } else { "ROLLBACK" };
                    let ended = self.end_implicit(verb == Verb::Commit).await;
                    ended.map(|()| backend::command_complete(&mut self.client.out, tag))
                }
                _ => {
                    if self.status == TransactionStatus::Idle && analysis.statements.len() > 1 && !verb.is_transaction_control() {
                        self.begin_implicit().await?;
                        implicit = true;
                    }
                    self.run_statement(analysis, position).await
                }
            };
            let failure = match done {
                Ok(()) => continue,
                Err(failure) => failure,
            };
            match &failure {
                Failure::Statement(error) => {
                    backend::error_response(&mut self.client.out, error);
                    if !implicit {
                        self.fail_block(error).await?;
                    }
                }
                Failure::Told => {}
                Failure::Session(_) => return Err(failure),
            }
            self.undo_settings();
            return if implicit { self.end_implicit(false).await } else { Ok(()) };
        }
        if implicit { self.end_implicit(true).await } else { Ok(()) }
    }

    /// Runs one statement and appends its answer.
    async fn run_statement(&mut self, analysis: &Arc<Analysis>, position: usize) -> Outcome<()> {
        let text = analysis.statement_text(position);
        if self.must_handle(analysis.statements[position].verb) {
            let tag = Box::pin(self.transaction_control(analysis, position)).await?;
            backend::command_complete(&mut self.client.out, &tag);
            return Ok(());
        }
        if !analysis.concerns_store[position] && !self.executes_prepared_at(analysis, position) {
            if self.deallocates(analysis, position)
                && let Some((tag, _)) = self.deallocate(&self.shared.analyses.of(text))
            {
                backend::command_complete(&mut self.client.out, tag);
                return Ok(());
            }
            return self.relay_part(analysis, position, text).await;
        }
        self.check_not_failed()?;
        let single = self.shared.analyses.of(text);
        let statement = Box::pin(self.prepare_store(&single, &[])).await?;
        if let Some(rewritten) = self.relayed_text(&statement, &single).await? {
            return self.relay_part(analysis, position, &rewritten).await;
        }
        // On the heap while it runs, as is its preparation: sessions that do nothing of the kind don't carry its state.
        let answer = Box::pin(self.answer(&statement, &Arguments::default())).await?;
        self.note_effect(&analysis.statements[position], analysis, position);
        if let Some(fields) = statement.fields() {
            backend::row_description(&mut self.client.out, fields, &[]);
        }
        answer.write(&mut self.client.out);
        self.client.send_if_much().await?;
        Ok(())
    }

    /// Opens the transaction that several statements in one text or batch are.
    pub(crate) async fn begin_implicit(&mut self) -> Outcome<()> {
        self.on_server("BEGIN").await?;
        self.block.begin(&self.settings);
        Ok(())
    }

    /// Ends it.
    pub(crate) async fn end_implicit(&mut self, commit: bool) -> Outcome<()> {
        if commit && self.status == TransactionStatus::InTransaction {
            self.commit("COMMIT").await?;
        } else {
            self.on_server("ROLLBACK").await?;
            self.end_block(true);
        }
        Ok(())
    }
}
