//! Batches over connections that other clients use at the same time: one query that may be sent again, and nothing that ties the session to a
//! connection. Everything else borrows a connection of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use flywheel_postgres::{Answer, Form, Named, Part, Request};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::frontend::{Bind, Execute, Target};
use flywheel_wire::{Frame, PgError, backend, frame, reply, sqlstate};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend as message;

use super::batch::Message;
use super::messages::put_bind;
use super::{End, Failure, Outcome, PreparedStatement, Session};
use crate::analysis::{Analysis, Query};
use crate::front::{ClientError, Mark};
use crate::tally::Way;

/// What goes over a shared connection.
struct Batch {
    request: Request,
    analysis: Arc<Analysis>,
    /// The statement that its client has prepared, and whether the answer tells its columns.
    bound: Option<(Arc<PreparedStatement>, bool)>,
}

/// What has come of it.
enum Shared {
    /// The client has its answer, which may be an error.
    Answered { parsed: bool },
    /// It has to be sent as the client sent it.
    Refused,
    /// No shared connection takes it now.
    Busy,
}

/// What the client has sent up to Sync, when it is one query.
pub(super) struct Gathered<'m> {
    /// The unnamed statement that it parses.
    pub(super) parsed: Option<Arc<PreparedStatement>>,
    pub(super) bind: &'m Bind,
    /// The statement that it binds, when it isn't the one that it parses.
    pub(super) bound: Option<Arc<PreparedStatement>>,
    pub(super) describes: Describes,
}

/// What it has described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Describes {
    Nothing,
    Portal,
    /// The statement, between Parse and Bind.
    StatementBefore,
    /// The statement, behind Bind.
    StatementAfter,
}

impl Session {
    /// Answers a simple Query over a shared connection. False: it needs one of its own.
    pub(super) async fn share_query(&mut self, frame: &Frame, text: &str, query: &Query) -> Outcome<bool> {
        let analysis = &query.analysis;
        if !analysis.is_repeatable() || !self.is_free() {
            return Ok(false);
        }
        if let Some(batch) = self.prepared_query(text, query) {
            match self.share(batch).await? {
                Shared::Answered { .. } => return Ok(true),
                Shared::Busy => return Ok(false),
                Shared::Refused => {}
            }
        }
        let batch = Batch {
            request: Request::query(frame.raw().clone(), self.settings.clone()),
            analysis: analysis.clone(),
            bound: None,
        };
        Ok(matches!(self.share(batch).await?, Shared::Answered { .. }))
    }

    /// A simple Query as the prepared statement that it repeats.
    fn prepared_query(&self, text: &str, query: &Query) -> Option<Batch> {
        let constants = query.constants.as_ref()?;
        let types = constants.iter().map(|constant| constant.type_oid);
        let named = self.repeated(&query.analysis, types)?;
        let values = constants.iter().map(|constant| &text[constant.range.clone()]);
        let mut out = BytesMut::with_capacity(text.len() + 128);
        let put = |value: &str, out: &mut BytesMut| {
            out.extend_from_slice(value.as_bytes());
            Ok(IsNull::No)
        };
        message::bind("", &named.name, [], values, put, [], &mut out).ok()?;
        message::describe(b'P', "", &mut out).ok()?;
        message::execute("", 0, &mut out).ok()?;
        Some(Batch {
            request: Request::batch(out.freeze(), Some(named), Form::Query, self.settings.clone()),
            analysis: query.analysis.clone(),
            bound: None,
        })
    }

    /// The prepared statement for a text that comes often.
    fn repeated(&self, analysis: &Arc<Analysis>, types: impl ExactSizeIterator<Item = u32> + Clone) -> Option<Named> {
        let definitions = self.shared.catalogue.definitions();
        let statement = analysis.repeated().statement(analysis, types, &self.settings, definitions)?;
        statement.named.clone()
    }

    /// Answers a batch that ends in Sync over a shared connection, when it is one query. False: it needs one of its own.
    pub(super) async fn share_batch(&mut self) -> Outcome<bool> {
        if self.batch.len() > 4 || !self.is_free() || self.access.servers().primary.multiplexer.is_none() {
            return Ok(false);
        }
        let Some(gathered) = self.gathered() else { return Ok(false) };
        let statement = gathered.parsed.clone();
        let mut shared = Shared::Refused;
        if let Some(batch) = self.prepared_batch(&gathered) {
            shared = self.share(batch).await?;
        }
        if matches!(shared, Shared::Refused)
            && let Some(gathered) = self.gathered()
            && let Some(batch) = self.verbatim_batch(&gathered)
        {
            let named = gathered.bound.as_ref().and_then(|bound| bound.named.as_ref());
            let names = named.map(|named| (named.name.clone(), gathered.bind.statement.clone()));
            let mark = self.client.mark();
            shared = self.share(batch).await?;
            if let Some((server_name, name)) = names {
                self.name_in_error(mark, &server_name, &name);
            }
        }
        let Shared::Answered { parsed } = shared else {
            return Ok(false);
        };
        self.batch.clear();
        self.batch_bytes = 0;
        if let Some(statement) = statement {
            self.portals.remove("");
            if parsed {
                self.statements.insert(String::new(), statement);
            } else {
                self.statements.remove("");
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

    /// The gathered messages, when they are `[Parse ""] Bind "" [Describe] Execute` of one query that may be shared.
    fn gathered(&self) -> Option<Gathered<'_>> {
        let gathered = self.gathered_query()?;
        let statement = gathered.parsed.as_ref().or(gathered.bound.as_ref())?;
        (matches!(gathered.describes, Describes::Nothing | Describes::Portal)
            && !statement.is_local()
            && statement.analysis.is_repeatable())
        .then_some(gathered)
    }

    /// The gathered messages, when they are `[Parse ""] Bind "" Execute` of one statement, with one Describe at most.
    pub(super) fn gathered_query(&self) -> Option<Gathered<'_>> {
        let mut messages = &self.batch[..];
        let mut parsed = None;
        if let [(_, Message::Parse(parse)), rest @ ..] = messages
            && parse.name.is_empty()
        {
            let analysis = self.shared.analyses.of(&parse.query);
            parsed = Some(Arc::new(PreparedStatement::unnamed(analysis, parse.parameter_types.clone())));
            messages = rest;
        }
        let mut describes = Describes::Nothing;
        if let ([(_, Message::Describe(Target::Statement, name)), rest @ ..], Some(_)) = (messages, &parsed)
            && name.is_empty()
        {
            describes = Describes::StatementBefore;
            messages = rest;
        }
        let [(_, Message::Bind(bind)), rest @ ..] = messages else {
            return None;
        };
        let rest = match rest {
            [(_, Message::Describe(target, name)), rest @ ..] if name.is_empty() && describes == Describes::Nothing => {
                describes = match target {
                    Target::Portal => Describes::Portal,
                    Target::Statement if parsed.is_some() => Describes::StatementAfter,
                    Target::Statement => return None,
                };
                rest
            }
            rest => rest,
        };
        let [(_, Message::Execute(Execute { portal, max_rows: 0 }))] = rest else {
            return None;
        };
        if !portal.is_empty() || !bind.portal.is_empty() || (parsed.is_some() && !bind.statement.is_empty()) {
            return None;
        }
        let bound = match &parsed {
            Some(_) => None,
            None => Some(self.statements.get(&bind.statement)?.clone()),
        };
        Some(Gathered {
            parsed,
            bind,
            bound,
            describes,
        })
    }

    /// A batch that parses the statement that it binds, without doing so: it comes often, and servers have it.
    fn prepared_batch(&self, gathered: &Gathered) -> Option<Batch> {
        let statement = gathered.parsed.as_ref()?;
        let named = self.repeated(&statement.analysis, statement.types.iter().copied())?;
        self.named_batch(gathered, statement, named, Form::Parsed)
    }

    /// A batch as the client sent it, but for the name of its statement.
    fn verbatim_batch(&self, gathered: &Gathered) -> Option<Batch> {
        if let Some(statement) = &gathered.bound {
            return Some(Batch {
                bound: Some((statement.clone(), gathered.describes == Describes::Portal)),
                ..self.named_batch(gathered, statement, statement.named.clone()?, Form::Verbatim)?
            });
        }
        let mut messages = BytesMut::with_capacity(self.batch_bytes + 8);
        for (frame, _) in &self.batch {
            messages.extend_from_slice(frame.raw());
        }
        Some(Batch {
            request: Request::batch(messages.freeze(), None, Form::Verbatim, self.settings.clone()),
            analysis: gathered.parsed.as_ref()?.analysis.clone(),
            bound: None,
        })
    }

    /// A batch with a prepared statement's name.
    fn named_batch(&self, gathered: &Gathered, statement: &PreparedStatement, named: Named, form: Form) -> Option<Batch> {
        let bind = gathered.bind;
        let mut out = BytesMut::with_capacity(128 + bind.parameters.iter().flatten().map(|value| value.len() + 4).sum::<usize>());
        put_bind(bind, &named.name, &mut out).ok()?;
        if gathered.describes == Describes::Portal {
            message::describe(b'P', "", &mut out).ok()?;
        }
        message::execute("", 0, &mut out).ok()?;
        Some(Batch {
            request: Request::batch(out.freeze(), Some(named), form, self.settings.clone()),
            analysis: statement.analysis.clone(),
            bound: None,
        })
    }

    /// An error of Bind names the statement, as the server knows it.
    fn name_in_error(&mut self, mark: Mark, server_name: &str, name: &str) {
        let Some(answer) = self
            .client
            .told_since(mark)
            .filter(|answer| answer.first() == Some(&reply::tag::ERROR_RESPONSE))
        else {
            return;
        };
        let mut answer = BytesMut::from(answer);
        let Ok(Some(frame)) = frame::take(&mut answer, usize::MAX) else {
            return;
        };
        let error = PgError::read(frame.body());
        if error.message().contains(server_name) {
            let message = error.message().replace(server_name, name);
            self.client.take_back(mark);
            backend::error_response(&mut self.client.out, &error.with_field(b'M', message));
            self.client.out.extend_from_slice(&answer);
        }
    }

    /// Sends a batch over a shared connection and its answer to the client.
    async fn share(&mut self, batch: Batch) -> Outcome<Shared> {
        let Batch {
            mut request,
            analysis,
            bound,
        } = batch;
        let (analysis, form) = (&analysis, request.form);
        request.is_quick = analysis.observed.is_quick();
        request.joins = !self.access.is_serializable() && self.settings.get("default_transaction_isolation").is_none();
        // To whom the columns of the answer are to be noted.
        let mut teller = None;
        if let Some((statement, describes)) = bound {
            let mut known = statement.known();
            if describes {
                teller = known.columns.is_none().then_some(statement);
                known.columns = None;
            }
            request.known = Some(known);
            request.tells_columns = teller.is_some();
        }
        let teller = teller.as_deref();
        if self.goes_to_replica(analysis) {
            let mut tried = Vec::new();
            while let Some(replica) = self.choose_replica(&mut tried) {
                let multiplexer = self.access.servers().server_of(&replica).multiplexer.clone();
                let Some(answer) = multiplexer.and_then(|multiplexer| multiplexer.submit(request.clone())) else {
                    return Ok(Shared::Busy);
                };
                match self.take(answer, analysis, form, teller).await {
                    // Nothing of an answer has come.
                    Err(Failure::Statement(error)) if error.code() != sqlstate::QUERY_CANCELED.0 => {}
                    taken => return taken,
                }
            }
        }
        let primary = &self.access.servers().primary;
        match primary.multiplexer.as_ref().and_then(|multiplexer| multiplexer.submit(request)) {
            Some(answer) => self.take(answer, analysis, form, teller).await,
            None => Ok(Shared::Busy),
        }
    }

    /// Gives the client an answer as it comes.
    async fn take(&mut self, answer: Arc<Answer>, analysis: &Analysis, form: Form, teller: Option<&PreparedStatement>) -> Outcome<Shared> {
        self.registered.handle.share(Some(answer.clone()));
        self.expect_soon();
        let mut begun = false;
        let done = loop {
            let next = poll_fn(|cx| match answer.poll_next(&mut self.client.out, cx) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                // In the middle of an answer it's the answer that finds out.
                Poll::Pending => self.client.poll_gone(cx, !begun).map(|()| None),
            });
            let Some(next) = next.await else {
                answer.cancel().await;
                answer.abandon();
                break Err(ClientError::Gone.into());
            };
            match next {
                Ok(Part::More) => {
                    begun = true;
                    if let Err(error) = self.client.send_if_much().await {
                        answer.cancel().await;
                        answer.abandon();
                        break Err(error.into());
                    }
                }
                Ok(Part::Last {
                    parsed,
                    took,
                    size,
                    columns,
                }) => {
                    if let (Some(statement), Some(_)) = (teller, columns) {
                        statement.note_told(columns);
                    }
                    self.count(Way::Shared);
                    analysis.observed.note(took, size);
                    if form != Form::Verbatim {
                        analysis.repeated().note_answered();
                    }
                    break Ok(Shared::Answered { parsed });
                }
                Ok(Part::Outdated) => break Ok(Shared::Refused),
                Ok(Part::Refused) => {
                    match form {
                        // It writes, which these connections don't.
                        Form::Verbatim => analysis.observed.note_writes(),
                        Form::Parsed | Form::Query => analysis.repeated().note_refused(),
                    }
                    break Ok(Shared::Refused);
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
