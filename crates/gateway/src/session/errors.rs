//! The one way by which the gateway's own errors reach a client.
//!
//! PostgreSQL's transaction fails with every ErrorResponse, whoever makes it: a client that has
//! been told of an error may count on its COMMIT being answered with ROLLBACK. So an error that
//! arises in the gateway makes the server fail, too.
//!
//! Every error fails its transaction: an error that the gateway makes goes to the client by one
//! function, which has the server's transaction fail as well. A client that was told of an error
//! may count on its COMMIT being a ROLLBACK.

use std::collections::VecDeque;

use flywheel_postgres::is_about_statement;
use flywheel_statement::Analysis;
use flywheel_wire::frame::Piece;
use flywheel_wire::quote::literal;
use flywheel_wire::{Frame, PgError, backend, reply, sqlstate};
use postgres_protocol::message::frontend as message;

use super::step::Step;
use super::work::NOWHERE;
use super::{End, Failure, Outcome, Session};

/// Errors of a session, and what they undo.
pub(super) struct Errors<'s> {
    pub(super) session: &'s mut Session,
}

impl Errors<'_> {
    /// Tells the client an error that no server has made. What is open on the server has failed
    /// afterwards, and undoes what it has done.
    pub(super) async fn tell(&mut self, error: &PgError) -> Result<(), End> {
        let charset = self.session.settings.charset();
        backend::error_response_in(charset, &mut self.session.client.out, error);
        match self.fail_server(error).await {
            Err(Failure::Session(end)) => Err(end),
            _ => Ok(()),
        }
    }

    /// Puts PostgreSQL's side of an open transaction into the failed state.
    async fn fail_server(&mut self, error: &PgError) -> Outcome<()> {
        if self.session.upstream.is_unsynced() {
            return self.fail_flushed().await;
        }
        if !self.session.transaction.is_well() {
            return Ok(());
        }
        let raise = format!(
            "DO $flywheel$ BEGIN RAISE EXCEPTION USING ERRCODE = {}, MESSAGE = {}; END $flywheel$",
            literal(error.code()),
            literal(&in_ascii(error.message()).replace("$flywheel$", ""))
        );
        self.session.own_statements().on_server(&raise).await.map(drop)
    }

    /// The same of a batch whose Sync hasn't been sent. Its transaction ends here, unless it is in
    /// a block; the client's Sync, when it comes, finds nothing to end.
    async fn fail_flushed(&mut self) -> Outcome<()> {
        let Some(lease) = self.session.upstream.lease_mut() else { return Ok(()) };
        let put = message::describe(b'S', NOWHERE, lease.out());
        put.map_err(|error| PgError::error(sqlstate::PROTOCOL_VIOLATION, error.to_string()))?;
        message::sync(lease.out());
        lease.expect_ready();
        self.session.send_to_server().await?;
        self.session.upstream.note_synced();
        loop {
            // A batch that was flushed has been answered: no row comes any more.
            let Piece::Message(frame) = self.session.next_piece().await? else {
                continue;
            };
            match frame.tag() {
                reply::tag::ERROR_RESPONSE => {
                    let error = PgError::read(frame.body());
                    if error.is_fatal() {
                        return Err(self.session.replicas().server_ended(error));
                    }
                }
                reply::tag::READY_FOR_QUERY => break,
                reply::tag::PARAMETER_STATUS => self.session.parameter_status(&frame),
                _ => self.session.forward(&frame),
            }
        }
        self.session.follow_server();
        self.session.control().undo_settings();
        Ok(())
    }

    /// A statement that the server doesn't have after all, or whose result has changed with a
    /// definition: it is to be prepared anew the next time.
    pub(super) fn note(&mut self, error: &PgError, step: &Step) {
        if let (
            true,
            Step::Bind { statement, .. } | Step::DescribeStatement { statement, .. },
            Some(lease),
        ) = (is_about_statement(error), step, self.session.upstream.lease_mut())
        {
            lease.outdate_prepared(&statement.server_name);
        }
    }

    /// Notes what a failed statement leaves behind all the same: a session's lock, for instance,
    /// isn't given back by ROLLBACK. One that was waiting for its lock doesn't have it.
    pub(super) fn note_failed(&mut self, error: &PgError, step: &Step, completed: usize) {
        let failed = match step {
            Step::Query { analysis, .. } => analysis.statements.get(completed),
            Step::Execute(Some(statement)) => statement.analysis.statements.first(),
            _ => None,
        };
        if ["42", "55P03", "57014", "40P01", "25"].iter().any(|code| error.code().starts_with(code))
        {
            return;
        }
        let pins = failed.map(|failed| failed.session.pins()).unwrap_or_default();
        for pin in pins.iter().filter(|pin| !pin.is_transactional()) {
            self.session.pin(*pin);
        }
    }

    /// An error, in which the server's name of a statement is the client's.
    pub(super) fn forward(&mut self, frame: &Frame, error: &PgError, step: &Step) {
        let charset = self.session.settings.charset();
        match step {
            Step::Fail(error) => {
                backend::error_response_in(charset, &mut self.session.client.out, error);
            }
            Step::Bind { statement, client_name }
                if !statement.server_name.is_empty()
                    && error.message().contains(&statement.server_name) =>
            {
                let message = error.message().replace(&statement.server_name, client_name);
                let renamed = error.clone().with_field(b'M', message);
                backend::error_response_in(charset, &mut self.session.client.out, &renamed);
            }
            Step::Query { analysis, first, is_part: true, .. } => {
                match place_in_text(error, analysis, *first) {
                    Some(place) => {
                        let placed = error.clone().with_field(b'P', place);
                        backend::error_response_in(charset, &mut self.session.client.out, &placed);
                    }
                    None => self.session.forward(frame),
                }
            }
            _ => self.session.forward(frame),
        }
    }

    /// After an error: a Parse that has failed has prepared nothing, and what was ignored after it
    /// hasn't happened, whatever was noted when it was sent. A Close that was ignored has left what
    /// it was to take away.
    pub(super) fn undo_ignored(&mut self, failed: &Step, ignored: &VecDeque<Step>) {
        for step in ignored.iter().rev() {
            self.doubt_prepared(step);
            if let Step::Parse { undo: Some(undo), .. } | Step::Local(_, Some(undo)) = step {
                match &undo.before {
                    Some(before) => {
                        self.session.prepared.statements.insert(undo.name.clone(), before.clone())
                    }
                    None => self.session.prepared.statements.remove(&undo.name),
                };
            }
        }
        match (failed, self.session.upstream.lease_mut()) {
            (Step::Parse { server_name, .. }, Some(lease)) if !server_name.is_empty() => {
                lease.forget_prepared(server_name);
            }
            _ => self.doubt_prepared(failed),
        }
        if let Step::Parse { undo: Some(undo), .. } = failed {
            self.session.prepared.statements.remove(&undo.name);
        }
    }

    /// The server connection may not have the statement of a step that was ignored.
    fn doubt_prepared(&mut self, step: &Step) {
        match (step, self.session.upstream.lease_mut()) {
            (Step::Parse { server_name, .. }, _) if server_name.is_empty() => {
                self.session.upstream.lose_unnamed()
            }
            (Step::Parse { server_name, .. }, Some(lease)) => lease.doubt_prepared(server_name),
            (Step::Guard { prepares: Some(name), .. }, Some(lease)) => lease.doubt_prepared(name),
            _ => {}
        }
    }
}

/// A message as PostgreSQL's log may have it, whatever the session's encoding.
fn in_ascii(message: &str) -> String {
    message.chars().map(|each| if each.is_ascii() { each } else { '?' }).collect()
}

/// Where an error of a statement that was sent by itself stands in its client's text; `None`:
/// where it says.
fn place_in_text(error: &PgError, analysis: &Analysis, position: usize) -> Option<String> {
    let place: usize = error.field(b'P')?.parse().ok()?;
    let before = analysis.text.get(..analysis.statements.get(position)?.range.start)?;
    Some((before.chars().count() + place).to_string())
}
