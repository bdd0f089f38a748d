//! Batches over connections that other clients use at the same time: one query that may be sent
//! again, and nothing that ties the session to a connection. Everything else borrows a connection
//! of its own.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use flywheel_front::{ClientError, Mark};
use flywheel_postgres::{Answer, Form, Named, Part, Request};
use flywheel_statement::{Analysis, Query};
use flywheel_wire::{Frame, PgError, backend, frame, reply, sqlstate};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend as message;

use super::gathered::{Describes, Gathered};
use super::messages::put_bind;
use super::{End, Failure, Outcome, PreparedStatement, Session};
use crate::repeated::Repeated;
use crate::running::Running;
use flywheel_execute::Way;

/// What goes over a shared connection.
struct Exchange {
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

impl Exchange {
    /// A simple Query as the prepared statement that it repeats.
    fn of_query(session: &Session, text: &str, query: &Query) -> Option<Self> {
        // PostgreSQL's log and its statistics are to see a comment.
        let constants = query.constants.as_ref().filter(|_| !query.has_comments)?;
        let types = constants.iter().map(|constant| constant.type_oid);
        let named = Self::repeated(session, &query.analysis, types)?;
        let values = constants.iter().map(|constant| constant.value(text));
        let mut out = BytesMut::with_capacity(text.len() + 128);
        let put = |value: Cow<'_, str>, out: &mut BytesMut| {
            out.extend_from_slice(value.as_bytes());
            Ok(IsNull::No)
        };
        message::bind("", &named.name, [], values, put, [], &mut out).ok()?;
        message::describe(b'P', "", &mut out).ok()?;
        message::execute("", 0, &mut out).ok()?;
        Some(Self {
            request: Request::batch(
                out.freeze(),
                Some(named),
                Form::Query,
                session.settings.now.clone(),
            ),
            analysis: query.analysis.clone(),
            bound: None,
        })
    }

    /// A batch that parses the statement that it binds, without doing so: it comes often, and
    /// servers have it.
    fn prepared(session: &Session, gathered: &Gathered) -> Option<Self> {
        let statement = gathered.parsed.as_ref()?;
        let named = Self::repeated(session, &statement.analysis, statement.types.iter().copied())?;
        Self::named(session, gathered, statement, named, Form::Parsed)
    }

    /// A batch as the client sent it, but for the name of its statement.
    fn verbatim(session: &Session, gathered: &Gathered) -> Option<Self> {
        if let Some(statement) = &gathered.bound {
            return Some(Self {
                bound: Some((
                    statement.clone(),
                    gathered.describes == Describes::Portal
                        && gathered.bind.result_formats.len() <= 1,
                )),
                ..Self::named(
                    session,
                    gathered,
                    statement,
                    statement.named.clone()?,
                    Form::Verbatim,
                )?
            });
        }
        let mut messages = BytesMut::with_capacity(session.batch.bytes() + 8);
        for (frame, _) in session.batch.gathered() {
            messages.extend_from_slice(frame.raw());
        }
        Some(Self {
            request: Request::batch(
                messages.freeze(),
                None,
                Form::Verbatim,
                session.settings.now.clone(),
            ),
            analysis: gathered.parsed.as_ref()?.analysis.clone(),
            bound: None,
        })
    }

    /// A batch with a prepared statement's name.
    fn named(
        session: &Session,
        gathered: &Gathered,
        statement: &PreparedStatement,
        named: Named,
        form: Form,
    ) -> Option<Self> {
        let bind = gathered.bind;
        let mut out = BytesMut::with_capacity(
            128 + bind.parameters.iter().flatten().map(|value| value.len() + 4).sum::<usize>(),
        );
        put_bind(bind, &named.name, &mut out).ok()?;
        if gathered.describes == Describes::Portal {
            message::describe(b'P', "", &mut out).ok()?;
        }
        message::execute("", gathered.limit, &mut out).ok()?;
        Some(Self {
            request: Request::batch(out.freeze(), Some(named), form, session.settings.now.clone()),
            analysis: statement.analysis.clone(),
            bound: None,
        })
    }

    /// The prepared statement for a text that comes often.
    fn repeated(
        session: &Session,
        analysis: &Arc<Analysis>,
        types: impl ExactSizeIterator<Item = u32> + Clone,
    ) -> Option<Named> {
        let definitions = session.shared.stores.catalogue.definitions();
        let statement = Repeated::of(analysis).statement(
            analysis,
            types,
            &session.settings.now,
            definitions,
        )?;
        statement.named.clone()
    }

    /// Sends a batch over a shared connection and its answer to the client.
    async fn share(self, session: &mut Session) -> Outcome<Shared> {
        let Self { mut request, analysis, bound } = self;
        if session.listening.is_on() {
            // What it has heard comes at the end of the answer.
            return Ok(Shared::Busy);
        }
        let (analysis, form) = (&analysis, request.form);
        request.is_quick = analysis.observed.is_quick();
        request.joins = !session.identity.access.is_serializable()
            && session.settings.now.get("default_transaction_isolation").is_none();
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
        if session.replicas().goes_to_replica(analysis) {
            let mut tried = Vec::new();
            while let Some(replica) = session.replicas().choose_replica(&mut tried).await {
                let multiplexer =
                    session.identity.access.servers().server_of(&replica).multiplexer.clone();
                let Some(answer) =
                    multiplexer.and_then(|multiplexer| multiplexer.submit(request.clone()))
                else {
                    return Ok(Shared::Busy);
                };
                let taken = session.shared_reads().take(answer, analysis, form, teller).await;
                session.replicas().note_answered_by(Some(&replica));
                match taken {
                    // Nothing of an answer has come.
                    Err(Failure::Statement(error))
                        if error.code() != sqlstate::QUERY_CANCELED.0 => {}
                    taken => return taken,
                }
            }
        }
        let primary = &session.identity.access.servers().primary;
        match primary.multiplexer.as_ref().and_then(|multiplexer| multiplexer.submit(request)) {
            Some(answer) => {
                let taken = session.shared_reads().take(answer, analysis, form, teller).await;
                session.replicas().note_answered_by(None);
                taken
            }
            None => Ok(Shared::Busy),
        }
    }
}

/// Reads of a session over connections that many share.
pub(super) struct SharedReads<'s> {
    pub(super) session: &'s mut Session,
}

impl SharedReads<'_> {
    /// Answers a simple Query over a shared connection. False: it needs one of its own.
    pub(super) async fn query(
        &mut self,
        frame: &Frame,
        text: &str,
        query: &Query,
    ) -> Outcome<bool> {
        let analysis = &query.analysis;
        if !analysis.is_repeatable()
            || !self.session.is_free()
            || self.session.shared.analyses.is_stale()
            || self.session.proofs().must_guard(analysis)
        {
            return Ok(false);
        }
        if let Some(exchange) = Exchange::of_query(self.session, text, query) {
            match exchange.share(self.session).await? {
                Shared::Answered { .. } => return Ok(true),
                Shared::Busy => return Ok(false),
                Shared::Refused => {}
            }
        }
        let exchange = Exchange {
            request: Request::query(frame.raw().clone(), self.session.settings.now.clone()),
            analysis: analysis.clone(),
            bound: None,
        };
        Ok(matches!(exchange.share(self.session).await?, Shared::Answered { .. }))
    }

    /// Answers a batch that ends in Sync over a shared connection, when it is one query. False: it
    /// needs one of its own.
    pub(super) async fn batch(&mut self) -> Outcome<bool> {
        if self.session.batch.len() > 4
            || !self.session.is_free()
            || self.session.identity.access.servers().primary.multiplexer.is_none()
        {
            return Ok(false);
        }
        if self.session.shared.analyses.is_stale() {
            return Ok(false);
        }
        let Some(gathered) = self.gathered() else { return Ok(false) };
        let statement = gathered.parsed.clone();
        let mut shared = Shared::Refused;
        if let Some(exchange) = Exchange::prepared(self.session, &gathered) {
            shared = exchange.share(self.session).await?;
        }
        if matches!(shared, Shared::Refused)
            && let Some(gathered) = self.gathered()
            && let Some(exchange) = Exchange::verbatim(self.session, &gathered)
        {
            let named = gathered.bound.as_ref().and_then(|bound| bound.named.as_ref());
            let names = named.map(|named| (named.name.clone(), gathered.bind.statement.clone()));
            let mark = self.session.client.mark();
            shared = exchange.share(self.session).await?;
            if let Some((server_name, name)) = names {
                self.name_in_error(mark, &server_name, &name);
            }
        }
        let Shared::Answered { parsed } = shared else {
            return Ok(false);
        };
        self.session.batch.clear();
        if let Some(statement) = statement {
            self.session.prepared.portals.remove("");
            if parsed {
                self.session.prepared.statements.insert(String::new(), statement);
            } else {
                self.session.prepared.statements.remove("");
            }
        }
        Ok(true)
    }

    /// The gathered messages, when they are `[Parse ""] Bind "" [Describe] Execute` of one query
    /// that may be shared.
    fn gathered(&self) -> Option<Gathered<'_>> {
        let gathered = self.session.gathered_query()?;
        let statement = gathered.statement()?;
        (matches!(gathered.describes, Describes::Nothing | Describes::Portal)
            && !statement.is_local()
            && statement.analysis.is_repeatable()
            && !self.session.proofs().must_guard(&statement.analysis))
        .then_some(gathered)
    }

    /// An error of Bind names the statement, as the server knows it.
    fn name_in_error(&mut self, mark: Mark, server_name: &str, name: &str) {
        let Some(answer) = self
            .session
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
            self.session.client.take_back(mark);
            backend::error_response(&mut self.session.client.out, &error.with_field(b'M', message));
            self.session.client.out.extend_from_slice(&answer);
        }
    }

    /// Gives the client an answer as it comes.
    async fn take(
        &mut self,
        answer: Arc<Answer>,
        analysis: &Analysis,
        form: Form,
        teller: Option<&PreparedStatement>,
    ) -> Outcome<Shared> {
        self.session.identity.registered.handle.share(Some(Running::Batch(answer.clone())));
        self.session.expect_soon();
        let mut begun = false;
        let done = loop {
            let next = poll_fn(|cx| match answer.poll_next(&mut self.session.client.out, cx) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                // In the middle of an answer it's the answer that finds out.
                Poll::Pending => self.session.client.poll_gone(cx, !begun).map(|()| None),
            });
            let Some(next) = next.await else {
                answer.cancel().await;
                answer.abandon();
                break Err(ClientError::Gone.into());
            };
            match next {
                Ok(Part::More { is_torn }) => {
                    begun = true;
                    self.session.client.note_torn(is_torn);
                    if let Err(error) = self.session.client.send_if_much().await {
                        answer.cancel().await;
                        answer.abandon();
                        break Err(error.into());
                    }
                }
                Ok(Part::Last { parsed, took, size, columns }) => {
                    self.session.client.note_torn(false);
                    if let (Some(statement), Some(_)) = (teller, columns) {
                        statement.note_told(columns);
                    }
                    self.session.count(Way::Shared);
                    analysis.observed.note(took, size);
                    if form != Form::Verbatim {
                        Repeated::of(analysis).note_answered();
                    }
                    break Ok(Shared::Answered { parsed });
                }
                Ok(Part::Outdated) => break Ok(Shared::Refused),
                Ok(Part::Refused) => {
                    match form {
                        // It writes, which these connections don't.
                        Form::Verbatim => analysis.observed.note_writes(),
                        Form::Parsed | Form::Query => Repeated::of(analysis).note_refused(),
                    }
                    break Ok(Shared::Refused);
                }
                // The answer isn't over with an error in its middle.
                Err(error) if begun => {
                    break Err(Failure::Session(End::Fatal(error.to_pg().into_fatal())));
                }
                Err(error) => break Err(Failure::Statement(error.to_pg())),
            }
        };
        self.session.identity.registered.handle.share(None);
        done
    }
}
