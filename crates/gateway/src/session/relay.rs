//! Bytes to the server and back.
//!
//! What is sent is noted as a list of [`Step`]s; [`Session::drain`] reads the answer along that list, forwards what is the client's, and
//! keeps back what belongs to messages that Flywheel put in itself.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use flywheel_postgres::is_about_statement;
use flywheel_sql::{SessionEffect, Statement};
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::frame::Piece;
use flywheel_wire::{Frame, PgError, frontend, reply};

use super::{End, Failure, Outcome, PreparedStatement, Session};
use crate::analysis::Analysis;
use crate::front::ClientError;
use crate::tally::Way;

/// What the next part of the server's answer belongs to.
#[derive(Debug)]
pub(super) enum Step {
    /// An answer that Flywheel gives itself, in its turn, and what the message has changed.
    Local(Bytes, Option<Undo>),
    /// Parse of the statement of this name on the server, and what it has changed for the client; its answer is kept back when Flywheel put it in.
    Parse { server_name: String, undo: Option<Undo> },
    /// What the server fails at, and the error that the client is told in its place.
    Fail(PgError),
    /// Close that Flywheel put in.
    Hidden,
    /// Bind of this statement, and its name for the client.
    Bind {
        statement: Arc<PreparedStatement>,
        client_name: String,
    },
    /// Describe of a portal with this statement.
    DescribePortal(Arc<PreparedStatement>),
    /// Describe of a cursor, Bind of a statement that only the server knows, or Close: one message.
    Short,
    /// Describe of this statement: ParameterDescription, then RowDescription or NoData; kept back when Flywheel put it in.
    DescribeStatement { statement: Arc<PreparedStatement>, show: bool },
    /// Describe of a statement that only the server knows.
    DescribeOfSql,
    /// Execute of this statement: rows, then its end. `None`: of a portal that only the server knows.
    Execute(Option<Arc<PreparedStatement>>),
    /// A simple Query, up to ReadyForQuery, which is the client's only when it asked for one.
    Query {
        analysis: Arc<Analysis>,
        first: usize,
        show_ready: bool,
    },
    /// FunctionCall, up to ReadyForQuery.
    FunctionCall,
    /// Sync's ReadyForQuery.
    Ready { show: bool },
}

/// What a message has done to the client's statements, which is undone when the server ignores the message after an error before it.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) name: String,
    /// The statement of this name before.
    pub(super) before: Option<Arc<PreparedStatement>>,
}

/// What came of a batch.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Drained {
    /// An ErrorResponse came.
    pub(super) failed: bool,
    /// A COPY FROM STDIN has swallowed the Sync that was sent behind it: the client will send another.
    pub(super) sync_swallowed: bool,
}

impl Session {
    /// Reads the server's answer along `steps`.
    pub(super) async fn drain(&mut self, mut steps: VecDeque<Step>) -> Outcome<Drained> {
        let mut drained = Drained::default();
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Local(bytes, _) => self.client.out.extend_from_slice(&bytes),
                step => {
                    if matches!(step, Step::Execute(_)) {
                        self.note_execution();
                    }
                    if !self.drain_step(&step, &mut drained).await? {
                        // An error: the server ignores what follows up to Sync, and so do we.
                        self.undo_ignored(&step, &steps);
                        steps.retain(|step| matches!(step, Step::Ready { .. }));
                    }
                }
            }
            if drained.sync_swallowed {
                steps.retain(|step| !matches!(step, Step::Ready { .. }));
            }
            self.client.send_if_much().await?;
        }
        self.follow_server();
        Ok(drained)
    }

    /// Reads one step's answer; false when it was an error.
    async fn drain_step(&mut self, step: &Step, drained: &mut Drained) -> Outcome<bool> {
        let mut completed = match step {
            Step::Query { first, .. } => *first,
            _ => 0,
        };
        loop {
            let frame = match self.next_piece().await? {
                Piece::Bulk(bytes) => {
                    self.client.send_bulk(bytes).await?;
                    continue;
                }
                Piece::Message(frame) => frame,
            };
            match frame.tag() {
                reply::tag::NOTICE_RESPONSE | reply::tag::NOTIFICATION_RESPONSE => self.forward(&frame),
                reply::tag::PARAMETER_STATUS => self.parameter_status(&frame),
                reply::tag::ERROR_RESPONSE => {
                    self.count_relayed(step);
                    drained.failed = true;
                    let error = PgError::read(frame.body());
                    if error.is_fatal() {
                        return Err(self.server_ended(error));
                    }
                    if !self.is_for_renewal(&error, step) && !self.leave_to_others(&error) {
                        self.forward_error(&frame, &error, step);
                    }
                    self.note_error(&error, step);
                    self.note_failed(&error, step, completed);
                    if !matches!(step, Step::Query { .. } | Step::FunctionCall | Step::Ready { .. }) {
                        return Ok(false);
                    }
                }
                reply::tag::READY_FOR_QUERY => {
                    self.follow_server();
                    self.settle_writes_at_rest();
                    match step {
                        Step::Query { show_ready: true, .. } | Step::FunctionCall | Step::Ready { show: true } => self.forward(&frame),
                        _ => {}
                    }
                    return Ok(true);
                }
                reply::tag::COPY_IN_RESPONSE => {
                    self.forward(&frame);
                    self.copy_in(matches!(step, Step::Execute(_)), drained).await?;
                }
                reply::tag::COMMAND_COMPLETE | reply::tag::EMPTY_QUERY_RESPONSE => {
                    self.count_relayed(step);
                    let tag = reply::command_tag(&frame).unwrap_or_default();
                    // In a block nobody else sees it yet.
                    if self.status == TransactionStatus::Idle || tag == "COMMIT" {
                        self.apply_writes();
                    }
                    if tag == "EXPLAIN" {
                        self.explain_further(step, completed);
                    }
                    self.forward(&frame);
                    match step {
                        Step::Query { analysis, .. } => {
                            let analysis = analysis.clone();
                            self.note_completed(&analysis, completed, tag).await?;
                            completed += 1;
                        }
                        Step::Execute(statement) => {
                            if let Some(statement) = statement {
                                self.note_completed(&statement.analysis, 0, tag).await?;
                            }
                            return Ok(true);
                        }
                        _ => {}
                    }
                }
                reply::tag::PORTAL_SUSPENDED => {
                    self.count_relayed(step);
                    self.forward(&frame);
                    if let Step::Execute(Some(statement)) = step {
                        // It has begun, and may never be run to its end.
                        let analysis = statement.analysis.clone();
                        self.note_completed(&analysis, 0, "").await?;
                    }
                    return Ok(true);
                }
                _ => match step {
                    Step::Hidden | Step::Parse { undo: None, .. } => return Ok(true),
                    Step::Short | Step::Bind { .. } | Step::Parse { .. } => {
                        self.forward(&frame);
                        return Ok(true);
                    }
                    Step::DescribePortal(statement) => {
                        self.forward(&frame);
                        self.note_columns(&frame, statement, true);
                        return Ok(true);
                    }
                    Step::DescribeOfSql => {
                        self.forward(&frame);
                        if frame.tag() != reply::tag::PARAMETER_DESCRIPTION {
                            return Ok(true);
                        }
                    }
                    Step::DescribeStatement { statement, show } => {
                        if *show {
                            self.forward(&frame);
                        }
                        if frame.tag() != reply::tag::PARAMETER_DESCRIPTION {
                            self.note_columns(&frame, statement, *show);
                            return Ok(true);
                        }
                    }
                    _ => self.forward(&frame),
                },
            }
        }
    }

    /// Counts a statement that the server has carried out, or failed at.
    fn count_relayed(&self, step: &Step) {
        if matches!(step, Step::Query { .. } | Step::Execute(_)) {
            self.count(Way::Relayed);
        }
    }

    pub(super) async fn next_piece(&mut self) -> Outcome<Piece> {
        let Some(lease) = &mut self.lease else {
            return Err(PgError::error(flywheel_wire::sqlstate::INTERNAL_ERROR, "no server connection").into());
        };
        let between = lease.is_at_boundary();
        let next = tokio::select! {
            biased;
            next = lease.next_piece() => next,
            () = poll_fn(|cx| self.client.poll_gone(cx, between)) => return Err(ClientError::Gone.into()),
        };
        match next {
            Ok(piece) => Ok(piece),
            Err(error) => {
                let torn = !lease.is_at_boundary();
                let failure = self.server_failed(&error);
                // In the middle of a row no error can be told, unless its beginning can be taken back.
                if torn && !self.can_be_asked_elsewhere() {
                    Err(Failure::Session(End::Fatal(error.to_pg())))
                } else {
                    Err(failure)
                }
            }
        }
    }

    pub(super) fn forward(&mut self, frame: &Frame) {
        self.client.out.extend_from_slice(frame.raw());
    }

    /// Adds to PostgreSQL's plan whether the statement's answers are kept in memory.
    fn explain_further(&mut self, step: &Step, completed: usize) {
        let analysis = match step {
            Step::Query { analysis, .. } => analysis,
            Step::Execute(Some(statement)) => &statement.analysis,
            _ => return,
        };
        if let Some(line) = self.explain_cache(analysis, completed) {
            backend::data_row(&mut self.client.out, 1, |out| backend::column(out, line.as_bytes()));
        }
    }

    fn parameter_status(&mut self, frame: &Frame) {
        self.forward(frame);
        if let Some((name, value)) = reply::parameter_status(frame.body()) {
            self.reported.insert(name, value);
        }
    }

    /// A statement that the server doesn't have after all, or whose result has changed with a definition: it is to be prepared anew the next time.
    fn note_error(&mut self, error: &PgError, step: &Step) {
        if let (true, Step::Bind { statement, .. } | Step::DescribeStatement { statement, .. }, Some(lease)) =
            (is_about_statement(error), step, &mut self.lease)
        {
            lease.outdate_prepared(&statement.server_name);
        }
    }

    /// Notes what a failed statement leaves behind all the same: a session's lock, for instance, isn't given back by ROLLBACK. One that was waiting for its lock
    /// doesn't have it.
    fn note_failed(&mut self, error: &PgError, step: &Step, completed: usize) {
        let failed = match step {
            Step::Query { analysis, .. } => analysis.statements.get(completed),
            Step::Execute(Some(statement)) => statement.analysis.statements.first(),
            _ => None,
        };
        if let Some(Statement {
            session: SessionEffect::Pins(pin),
            ..
        }) = failed
            && !pin.is_transactional()
            && !["42", "55P03", "57014", "40P01", "25"]
                .iter()
                .any(|code| error.code().starts_with(code))
        {
            self.pin(*pin);
        }
    }

    /// Notes which columns a statement has on the server connection, and that the client knows them.
    fn note_columns(&mut self, frame: &Frame, statement: &PreparedStatement, told: bool) {
        if statement.server_name.is_empty() {
            return;
        }
        let columns = reply::columns_digest(frame.body());
        if told {
            statement.note_told(columns);
        }
        if let Some(lease) = &mut self.lease {
            lease.note_columns(&statement.server_name, columns);
        }
    }

    /// An error, in which the server's name of a statement is the client's.
    fn forward_error(&mut self, frame: &Frame, error: &PgError, step: &Step) {
        match step {
            Step::Fail(error) => flywheel_wire::backend::error_response(&mut self.client.out, error),
            Step::Bind { statement, client_name }
                if !statement.server_name.is_empty() && error.message().contains(&statement.server_name) =>
            {
                let message = error.message().replace(&statement.server_name, client_name);
                flywheel_wire::backend::error_response(&mut self.client.out, &error.clone().with_field(b'M', message));
            }
            _ => self.forward(frame),
        }
    }

    /// After an error: a Parse that has failed has prepared nothing, and what was ignored after it hasn't happened, whatever was noted when it was sent.
    fn undo_ignored(&mut self, failed: &Step, ignored: &VecDeque<Step>) {
        for step in ignored.iter().rev() {
            self.forget_prepared(step);
            if let Step::Parse { undo: Some(undo), .. } | Step::Local(_, Some(undo)) = step {
                match &undo.before {
                    Some(before) => self.statements.insert(undo.name.clone(), before.clone()),
                    None => self.statements.remove(&undo.name),
                };
            }
        }
        self.forget_prepared(failed);
        if let Step::Parse { undo: Some(undo), .. } = failed {
            self.statements.remove(&undo.name);
        }
    }

    /// The server connection doesn't have a statement after all.
    fn forget_prepared(&mut self, step: &Step) {
        match (step, &mut self.lease) {
            (Step::Parse { server_name, .. }, _) if server_name.is_empty() => self.unnamed_on_server = None,
            (Step::Parse { server_name, .. }, Some(lease)) => lease.forget_prepared(server_name),
            _ => {}
        }
    }

    /// COPY FROM STDIN: the client's data to the server, until it ends them.
    pub(super) async fn copy_in(&mut self, extended: bool, drained: &mut Drained) -> Outcome<()> {
        self.client.send().await?;
        loop {
            let next = match self.copied.take() {
                Some(frame) => Ok(frame),
                None => self.client.next_frame().await,
            };
            let frame = match next {
                Ok(frame) => frame,
                Err(error) => {
                    // The server waits for data; only the end of its connection tells it that there will be none.
                    self.poison_server();
                    return Err(error.into());
                }
            };
            let tag = frame.tag();
            match tag {
                frontend::tag::COPY_DATA | frontend::tag::COPY_DONE | frontend::tag::COPY_FAIL => {}
                // Ignored in the middle of a COPY, as PostgreSQL ignores them: they are meant for after an error.
                frontend::tag::SYNC | frontend::tag::FLUSH => continue,
                frontend::tag::TERMINATE => {
                    self.poison_server();
                    return Err(ClientError::Gone.into());
                }
                other => {
                    self.poison_server();
                    let message = format!("unexpected message type 0x{other:02X} during COPY from stdin");
                    return Err(Failure::Session(End::Fatal(PgError::fatal(
                        flywheel_wire::sqlstate::PROTOCOL_VIOLATION,
                        message,
                    ))));
                }
            }
            let Some(lease) = self.held_server() else { return Ok(()) };
            lease.out().extend_from_slice(frame.raw());
            let full = lease.out().len() >= 64 * 1024;
            if tag != frontend::tag::COPY_DATA {
                if extended {
                    // The Sync sent together with Execute was read as part of the copy and ignored. Without a Flush the server keeps its answer to itself
                    // until the client's next Sync.
                    drained.sync_swallowed = lease.forget_expected_ready();
                    postgres_protocol::message::frontend::flush(lease.out());
                }
                return self.send_to_server().await;
            }
            if full {
                self.send_to_server().await?;
            }
        }
    }

    /// Sends what is buffered for the server.
    pub(super) async fn send_to_server(&mut self) -> Outcome<()> {
        self.expect_soon();
        let Some(lease) = self.held_server() else { return Ok(()) };
        match lease.send().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.server_failed(&error)),
        }
    }

    /// FunctionCall: relayed as it is.
    pub(super) async fn function_call(&mut self, frame: &Frame) -> Result<(), End> {
        if !self.finish_batch().await? {
            return Ok(());
        }
        self.end_flushed(true).await?;
        self.replicas.note_write();
        self.note_any_write();
        let relayed = async {
            let lease = self.server().await?;
            lease.out().extend_from_slice(frame.raw());
            lease.expect_ready();
            self.unsynced = false;
            self.send_to_server().await?;
            self.drain(VecDeque::from([Step::FunctionCall])).await
        };
        match relayed.await {
            Ok(_) => {
                if self.status == TransactionStatus::Idle {
                    self.portals.clear();
                }
                self.settle_settings().await?;
                self.release().await;
                Ok(())
            }
            Err(Failure::Session(end)) => Err(end),
            Err(Failure::Told) => self.ready().await,
            Err(Failure::Statement(error)) => {
                flywheel_wire::backend::error_response(&mut self.client.out, &error);
                self.ready().await
            }
        }
    }
}
