//! Batches over connections that other clients use at the same time: one query that may be sent again, and nothing that ties the session to a
//! connection. Everything else borrows a connection of its own.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flywheel_postgres::{Answer, Named, Part, Request};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::frontend::{Execute, Target};
use flywheel_wire::{Frame, sqlstate};
use postgres_protocol::message::frontend as message;

use super::batch::Message;
use super::messages::put_bind;
use super::{End, Failure, Outcome, PreparedStatement, Session};
use crate::analysis::Analysis;

/// What of a batch goes over a shared connection.
struct Shared {
    messages: Bytes,
    statement: Arc<PreparedStatement>,
    named: Option<Named>,
    /// The client has parsed its unnamed statement in this batch.
    parsed: bool,
}

impl Session {
    /// Answers a simple Query over a shared connection. False: it needs one of its own.
    pub(super) async fn share_query(&mut self, frame: &Frame, analysis: &Arc<Analysis>) -> Outcome<bool> {
        if !analysis.is_repeatable || !self.is_free() {
            return Ok(false);
        }
        let shared = self.share(frame.raw().clone(), None, analysis).await?;
        Ok(shared.is_some())
    }

    /// Answers a batch that ends in Sync over a shared connection, when it is one query. False: it needs one of its own.
    pub(super) async fn share_batch(&mut self) -> Outcome<bool> {
        if self.batch.len() > 5 || !self.is_free() || self.shared.servers().primary.multiplexer.is_none() {
            return Ok(false);
        }
        let Some(batch) = self.read_shared() else { return Ok(false) };
        let analysis = batch.statement.analysis.clone();
        let Some(failed) = self.share(batch.messages, batch.named, &analysis).await? else {
            return Ok(false);
        };
        self.batch.clear();
        self.batch_bytes = 0;
        if batch.parsed {
            self.portals.remove("");
            if failed {
                self.statements.remove("");
            } else {
                self.statements.insert(String::new(), batch.statement);
            }
        }
        Ok(true)
    }

    /// Nothing ties the session to a connection, or would by what it has sent.
    pub(super) fn is_free(&self) -> bool {
        self.status == TransactionStatus::Idle
            && !self.has_server()
            && !self.is_pinned()
            && !self.unsynced
            && !self.implicit
            && !self.block.is_open()
    }

    /// The gathered messages as a batch for a shared connection: `[Parse ""] Bind "" [Describe] Execute` of one query.
    fn read_shared(&self) -> Option<Shared> {
        let mut messages = &self.batch[..];
        let mut out = BytesMut::with_capacity(self.batch_bytes + 8);
        let mut parsed = None;
        if let [(frame, Message::Parse(parse)), rest @ ..] = messages
            && parse.name.is_empty()
        {
            let analysis = self.shared.analyses.of(&parse.query);
            if !analysis.is_repeatable {
                return None;
            }
            out.extend_from_slice(frame.raw());
            parsed = Some(Arc::new(PreparedStatement::unnamed(analysis, parse.parameter_types.clone())));
            messages = rest;
        }
        let [(frame, Message::Bind(bind)), rest @ ..] = messages else {
            return None;
        };
        if !bind.portal.is_empty() {
            return None;
        }
        let (statement, named) = match &parsed {
            Some(statement) if bind.statement.is_empty() => (statement.clone(), None),
            None if !bind.statement.is_empty() => {
                let statement = self.statements.get(&bind.statement)?;
                let named = statement.named.clone()?;
                (statement.clone(), Some(named))
            }
            _ => return None,
        };
        if statement.is_local() || !statement.analysis.is_repeatable {
            return None;
        }
        match &named {
            None => out.extend_from_slice(frame.raw()),
            Some(named) => put_bind(bind, &named.name, &mut out).ok()?,
        }
        let rest = match rest {
            [(frame, Message::Describe(Target::Portal, name)), rest @ ..] if name.is_empty() => {
                out.extend_from_slice(frame.raw());
                rest
            }
            rest => rest,
        };
        let [(frame, Message::Execute(Execute { portal, max_rows: 0 }))] = rest else {
            return None;
        };
        if !portal.is_empty() {
            return None;
        }
        out.extend_from_slice(frame.raw());
        message::sync(&mut out);
        Some(Shared {
            messages: out.freeze(),
            statement,
            named,
            parsed: parsed.is_some(),
        })
    }

    /// Sends a batch over a shared connection and its answer to the client; whether that was an error. `None`: no shared connection takes it now.
    async fn share(&mut self, messages: Bytes, named: Option<Named>, analysis: &Arc<Analysis>) -> Outcome<Option<bool>> {
        let request = Request::new(messages, named, self.settings.clone(), analysis.observed.is_quick());
        if self.goes_to_replica(analysis) {
            let mut tried = Vec::new();
            while let Some(replica) = self.choose_replica(&mut tried) {
                let multiplexer = self.shared.servers().server_of(&replica).multiplexer.clone();
                let Some(answer) = multiplexer.and_then(|multiplexer| multiplexer.submit(request.clone())) else {
                    return Ok(None);
                };
                match self.take(answer, analysis).await {
                    // Nothing of an answer has come.
                    Err(Failure::Statement(error)) if error.code() != sqlstate::QUERY_CANCELED.0 => {}
                    taken => return taken.map(Some),
                }
            }
        }
        let primary = &self.shared.servers().primary;
        match primary.multiplexer.as_ref().and_then(|multiplexer| multiplexer.submit(request)) {
            Some(answer) => self.take(answer, analysis).await.map(Some),
            None => Ok(None),
        }
    }

    /// Gives the client an answer as it comes; whether it was an error.
    async fn take(&mut self, answer: Arc<Answer>, analysis: &Analysis) -> Outcome<bool> {
        self.registered.handle.share(Some(answer.clone()));
        let mut begun = false;
        let done = loop {
            match answer.next(&mut self.client.out).await {
                Ok(Part::More) => {
                    begun = true;
                    if let Err(error) = self.client.send_if_much().await {
                        answer.abandon();
                        break Err(error.into());
                    }
                }
                Ok(Part::Last { failed, took, size }) => {
                    analysis.observed.note(took, size);
                    break Ok(failed);
                }
                // In the middle of an answer no error can be told.
                Err(error) if begun => break Err(Failure::Session(End::Fatal(error.to_pg().into_fatal()))),
                Err(error) => break Err(Failure::Statement(error.to_pg())),
            }
        };
        self.registered.handle.share(None);
        done
    }
}
