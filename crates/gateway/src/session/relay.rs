//! Bytes to the server and back.
//!
//! What is sent is noted as a list of [`Step`]s; [`Session::drain`] reads the answer along that
//! list, forwards what is the client's, and keeps back what belongs to messages that Flywheel put
//! in itself.
//!
//! A result never waits in the gateway's memory for its reader: a borrowed connection is read only
//! as fast as its client takes the answer; on a shared one an answer that has 256 KB unread stops
//! its connection, and those behind it are sent elsewhere.

use std::collections::VecDeque;
use std::future::poll_fn;

use flywheel_front::ClientError;
use flywheel_wire::backend;
use flywheel_wire::frame::Piece;
use flywheel_wire::{Frame, PgError, reply};

use super::step::{Drained, Step};
use super::{End, Failure, Outcome, PreparedStatement, Session};
use flywheel_execute::Way;

/// Whether it belongs to what comes behind the end of a statement's answer.
fn is_of_next_answer(frame: &Frame) -> bool {
    !matches!(
        frame.tag(),
        reply::tag::READY_FOR_QUERY
            | reply::tag::PARAMETER_STATUS
            | reply::tag::NOTICE_RESPONSE
            | reply::tag::NOTIFICATION_RESPONSE
            | reply::tag::COMMAND_COMPLETE
            | reply::tag::EMPTY_QUERY_RESPONSE
    )
}

impl Session {
    /// Reads the server's answer along `steps`.
    pub(super) async fn drain(&mut self, mut steps: VecDeque<Step>) -> Outcome<Drained> {
        let mut drained = Drained::default();
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Local(bytes, _) => {
                    if !bytes.is_empty() {
                        self.guarding.held.tell(&mut self.client.out);
                    }
                    self.client.out.extend_from_slice(&bytes);
                }
                Step::Guard { checks, closes, prepares } => {
                    if !self.guarded_batch().drain(checks, closes, prepares.as_deref()).await? {
                        drained.failed = true;
                        self.errors().undo_ignored(&Step::Hidden, &steps);
                        steps.retain(|step| matches!(step, Step::Ready { .. }));
                    }
                }
                step => {
                    if matches!(step, Step::Execute(_)) {
                        self.renewing().note_execution();
                    }
                    let stepped = self.drain_step(&step, &mut drained).await;
                    if matches!(stepped, Err(Failure::Statement(_))) {
                        self.errors().undo_ignored(&step, &steps);
                    }
                    if !stepped? {
                        // An error: the server ignores what follows up to Sync, and so do we.
                        self.guarding.held.end();
                        self.guarding.held.tell(&mut self.client.out);
                        self.errors().undo_ignored(&step, &steps);
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
        // What has ended a COPY before the client's data did.
        let mut early = None;
        loop {
            let next = match early.take() {
                Some(frame) => Piece::Message(frame),
                None => self.next_piece().await?,
            };
            let frame = match next {
                Piece::Bulk(bytes) => {
                    self.guarding.held.tell(&mut self.client.out);
                    let is_torn = self.upstream.lease().is_some_and(|it| !it.is_at_boundary());
                    self.client.send_bulk(bytes, is_torn).await?;
                    continue;
                }
                Piece::Message(frame) => frame,
            };
            if frame.tag() != reply::tag::PARAMETER_STATUS
                && frame.tag() != reply::tag::READY_FOR_QUERY
            {
                self.tell_reported();
            }
            if is_of_next_answer(&frame) {
                self.guarding.held.tell(&mut self.client.out);
            }
            match frame.tag() {
                // The client was told it when it has parsed the statement.
                reply::tag::NOTICE_RESPONSE if matches!(step, Step::Parse { undo: None, .. }) => {}
                reply::tag::NOTICE_RESPONSE => {
                    self.guarding.held.put_behind(&frame, &mut self.client.out)
                }
                reply::tag::NOTIFICATION_RESPONSE => {
                    if let Some(heard) = self.listener().heard_on_server(&frame) {
                        self.guarding.held.put_behind(&heard, &mut self.client.out);
                    }
                }
                reply::tag::PARAMETER_STATUS => self.settings.behind.push(frame),
                reply::tag::ERROR_RESPONSE => {
                    self.listening.note_failed();
                    self.count_relayed(step);
                    drained.failed = true;
                    let error = PgError::read_in(self.settings.charset(), frame.body());
                    if error.is_fatal() {
                        return Err(self.replicas().server_ended(error));
                    }
                    if !self.renewing().is_for_renewal(&error, step)
                        && !self.replicas().leave_to_others(&error)
                    {
                        self.errors().forward(&frame, &error, step);
                    }
                    self.errors().note(&error, step);
                    self.errors().note_failed(&error, step, completed);
                    if !matches!(
                        step,
                        Step::Query { .. } | Step::FunctionCall { .. } | Step::Ready { .. }
                    ) {
                        return Ok(false);
                    }
                }
                reply::tag::READY_FOR_QUERY => {
                    self.follow_server();
                    self.noted_writes().settle_at_rest();
                    let is_shown = matches!(
                        step,
                        Step::Query { show_ready: true, .. }
                            | Step::FunctionCall { show_ready: true }
                            | Step::Ready { show: true }
                    );
                    if is_shown {
                        self.listener().tell_heard().await?;
                    }
                    self.tell_reported();
                    if is_shown {
                        self.forward(&frame);
                    }
                    return Ok(true);
                }
                reply::tag::COPY_IN_RESPONSE => {
                    self.forward(&frame);
                    let extended = matches!(step, Step::Execute(_));
                    // What is checked behind it is sent without the client's Sync.
                    if extended && self.guarding.held.is_on() {
                        self.phase.note_copied();
                    }
                    early = self.copies().take_in(extended, drained).await?;
                }
                reply::tag::COMMAND_COMPLETE if matches!(step, Step::Hidden) => return Ok(true),
                reply::tag::COMMAND_COMPLETE | reply::tag::EMPTY_QUERY_RESPONSE => {
                    self.count_relayed(step);
                    let tag = reply::command_tag(&frame).unwrap_or_default();
                    // In a block nobody else sees it yet.
                    if self.transaction.is_idle() || tag == "COMMIT" {
                        self.noted_writes().apply();
                    }
                    if tag == "EXPLAIN" {
                        self.explain_further(step, completed);
                    }
                    self.guarding.held.put_end(&frame, &mut self.client.out);
                    match step {
                        Step::Query { analysis, .. } => {
                            let analysis = analysis.clone();
                            self.learner().note_run(&analysis);
                            self.effects().note_completed(&analysis, completed, tag).await?;
                            completed += 1;
                        }
                        Step::Execute(statement) => {
                            if let Some(statement) = statement {
                                self.learner().note_run(&statement.analysis);
                                self.effects().note_completed(&statement.analysis, 0, tag).await?;
                            }
                            return Ok(true);
                        }
                        _ => {}
                    }
                }
                reply::tag::PORTAL_SUSPENDED => {
                    self.count_relayed(step);
                    self.guarding.held.put_end(&frame, &mut self.client.out);
                    if let Step::Execute(Some(statement)) = step {
                        // It has begun, and may never be run to its end.
                        let analysis = statement.analysis.clone();
                        self.learner().note_run(&analysis);
                        self.effects().note_completed(&analysis, 0, "").await?;
                    }
                    return Ok(true);
                }
                // To some clients it says that all has come.
                reply::tag::COPY_DONE => self.guarding.held.put_end(&frame, &mut self.client.out),
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
                            if !*show {
                                let columns = reply::columns_digest(frame.body());
                                self.taken_columns().check(columns, statement).await?;
                            }
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
        let Some(lease) = self.upstream.lease_mut() else {
            return Err(PgError::error(
                flywheel_wire::sqlstate::INTERNAL_ERROR,
                "no server connection",
            )
            .into());
        };
        let between = lease.is_at_boundary();
        let next = tokio::select! {
            biased;
            next = lease.next_piece() => next,
            () = poll_fn(|cx| self.client.poll_gone(cx, between)) => {
                return Err(ClientError::Gone.into());
            }
        };
        match next {
            Ok(piece) => Ok(piece),
            Err(error) => {
                let torn = !lease.is_at_boundary();
                let failure = self.server_failed(&error);
                // In the middle of a row no error can be told, unless its beginning can be taken
                // back.
                if torn && !self.replicas().can_be_asked_elsewhere() {
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
        if let Some(line) = self.explained_cache().line(analysis, completed) {
            backend::data_row(&mut self.client.out, 1, |out| backend::column(out, line.as_bytes()));
        }
    }

    /// Tells the client what settings the server has reported.
    fn tell_reported(&mut self) {
        for frame in std::mem::take(&mut self.settings.behind) {
            self.parameter_status(&frame);
        }
    }

    pub(super) fn parameter_status(&mut self, frame: &Frame) {
        let Some((name, value)) = reply::parameter_status(frame.body()) else {
            // In the client's encoding.
            return self.forward(frame);
        };
        if self.settings.reports.tells(&name) {
            self.guarding.held.put_behind(frame, &mut self.client.out);
            if name == "application_name" {
                self.identity.entry.note_application(&value);
            }
            self.settings.reported.insert(name, value);
        }
    }

    /// Notes which columns a statement has on the server connection, and that the client knows
    /// them.
    fn note_columns(&mut self, frame: &Frame, statement: &PreparedStatement, told: bool) {
        let columns = reply::columns_digest(frame.body());
        if told {
            statement.note_told(columns);
        }
        if let Some(lease) = self.upstream.lease_mut() {
            lease.note_columns(&statement.server_name, columns);
        }
    }

    /// Sends what is buffered for the server.
    pub(super) async fn send_to_server(&mut self) -> Outcome<()> {
        self.expect_soon();
        let Some(lease) = self.upstream.lease_mut() else { return Ok(()) };
        match lease.send().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.server_failed(&error)),
        }
    }
}
