//! COPY: the client's data on their way to the server, and COPY that Flywheel has a server carry
//! out in the client's place.

use std::collections::VecDeque;
use std::iter::repeat_with;

use flywheel_execute::{CopyOut, SET_ROWS};
use flywheel_front::ClientError;
use flywheel_postgres::{PORTAL_STEPS, Portal};
use flywheel_wire::frame::Piece;
use flywheel_wire::{Frame, PgError, frontend, reply, sqlstate};
use postgres_protocol::message::frontend as message;

use super::step::{Drained, Step};
use super::{End, Failure, Outcome, Session};

/// What a server may say at any time, and what answers nothing.
fn is_aside(tag: u8) -> bool {
    matches!(
        tag,
        reply::tag::NOTICE_RESPONSE
            | reply::tag::NOTIFICATION_RESPONSE
            | reply::tag::PARAMETER_STATUS
    )
}

/// COPY of a session.
pub(super) struct Copies<'s> {
    pub(super) session: &'s mut Session,
}

impl Copies<'_> {
    /// Runs a COPY FROM STDIN on the server with the client's data; its tag. The client is told
    /// that it may send, and not yet how it has ended.
    pub(crate) async fn receive(&mut self, sql: &str) -> Outcome<String> {
        let lease = self.session.server().await?;
        if let Err(error) = lease.put_query(sql) {
            return Err(self.session.server_failed(&error));
        }
        self.session.upstream.lose_unnamed();
        self.session.send_to_server().await?;
        let (mut tag, mut failed) = (String::new(), None);
        let mut early = None;
        loop {
            let next = match early.take() {
                Some(frame) => Piece::Message(frame),
                None => self.session.next_piece().await?,
            };
            // Rows, which come in pieces, aren't an answer to it.
            let Piece::Message(frame) = next else { continue };
            match frame.tag() {
                reply::tag::COPY_IN_RESPONSE => {
                    self.session.forward(&frame);
                    self.session.phase.note_copied();
                    early = self.take_in(false, &mut Drained::default()).await?;
                }
                reply::tag::ERROR_RESPONSE => {
                    let error = PgError::read(frame.body());
                    if error.is_fatal() {
                        return Err(self.session.replicas().server_ended(error));
                    }
                    failed.get_or_insert(error);
                }
                reply::tag::COMMAND_COMPLETE => {
                    reply::command_tag(&frame).unwrap_or_default().clone_into(&mut tag)
                }
                reply::tag::READY_FOR_QUERY => break,
                _ => self.session.forward(&frame),
            }
        }
        self.session.follow_server();
        failed.map_or(Ok(tag), |error| Err(Failure::Statement(error)))
    }

    /// Sends COPY out of store tables, in one transaction with the settings that it reads their
    /// rows from. What comes before its answer.
    pub(super) async fn put(
        &mut self,
        copy: &CopyOut,
    ) -> Outcome<impl Iterator<Item = Step> + use<>> {
        let hold = |sql| Portal { sql, ..Portal::default() };
        let set = |values| Portal { sql: SET_ROWS, values, ..Portal::default() };
        let first: Vec<Portal<'_>> = copy
            .holding
            .iter()
            .map(|sql| hold(sql.as_str()))
            .chain(copy.settings.iter().map(|values| set(values)))
            .collect();
        let lease = self.session.server().await?;
        if let Err(error) = lease.run_unsynced(&first).await {
            return Err(match self.session.server_failed(&error) {
                Failure::Statement(error) => copy.told(error).into(),
                failure => failure,
            });
        }
        self.session.upstream.note_flushed();
        let portal = Portal { sql: &copy.text, ..Portal::default() };
        let lease = self.session.server().await?;
        let put = lease.put_portal(&portal);
        put.map_err(|error| self.session.server_failed(&error))?;
        Ok(repeat_with(|| Step::Hidden).take(PORTAL_STEPS))
    }

    /// The same for a Query, answered to its end; the ReadyForQuery is kept back.
    pub(super) async fn relay(&mut self, copy: &CopyOut) -> Outcome<()> {
        let mut steps: VecDeque<Step> = self.put(copy).await?.collect();
        let lease = self.session.server().await?;
        message::sync(lease.out());
        lease.expect_ready();
        self.session.upstream.lose_unnamed();
        self.session.send_to_server().await?;
        steps.extend([Step::Execute(None), Step::Ready { show: false }]);
        let drained = self.session.drain(steps).await?;
        self.session.upstream.note_synced();
        if drained.failed { Err(Failure::Told) } else { Ok(()) }
    }

    /// COPY FROM STDIN: the client's data to the server, until it ends them. A message is what the
    /// server has said instead of waiting for the end: an error.
    pub(super) async fn take_in(
        &mut self,
        extended: bool,
        drained: &mut Drained,
    ) -> Outcome<Option<Frame>> {
        self.session.client.send().await?;
        loop {
            let buffered = match self.session.batch.take_copied() {
                Some(frame) => Ok(Some(frame)),
                None => self.session.client.buffered_frame(),
            };
            if matches!(buffered, Ok(None)) {
                // What is wrong with the rows is told while the client has no more of them.
                self.session.send_to_server().await?;
            }
            let next = match buffered.transpose() {
                Some(next) => next,
                None => tokio::select! {
                    biased;
                    said = self.session.upstream.unasked() => match said {
                        Ok(frame) if is_aside(frame.tag()) => {
                            self.session.take_unasked(&frame);
                            continue;
                        }
                        Ok(frame) => {
                            // The server ignores what of the data it hasn't got.
                            if let Some(lease) = self.session.held_server() {
                                lease.out().clear();
                                if extended {
                                    drained.sync_swallowed = lease.forget_expected_ready();
                                }
                            }
                            return Ok(Some(frame));
                        }
                        Err(error) => return Err(self.session.server_failed(&error)),
                    },
                    next = self.session.client.next_frame() => next,
                },
            };
            let frame = match next {
                Ok(frame) => frame,
                Err(error) => {
                    // The server waits for data; only the end of its connection tells it that there
                    // will be none.
                    self.session.upstream.poison();
                    return Err(error.into());
                }
            };
            let tag = frame.tag();
            match tag {
                frontend::tag::COPY_DATA | frontend::tag::COPY_DONE | frontend::tag::COPY_FAIL => {}
                // Ignored in the middle of a COPY, as PostgreSQL ignores them: they are meant for
                // after an error.
                frontend::tag::SYNC | frontend::tag::FLUSH => continue,
                frontend::tag::TERMINATE => {
                    self.session.upstream.poison();
                    return Err(ClientError::Gone.into());
                }
                other => {
                    self.session.upstream.poison();
                    let message =
                        format!("unexpected message type 0x{other:02X} during COPY from stdin");
                    return Err(Failure::Session(End::Fatal(PgError::fatal(
                        sqlstate::PROTOCOL_VIOLATION,
                        message,
                    ))));
                }
            }
            let Some(lease) = self.session.upstream.lease_mut() else { return Ok(None) };
            lease.out().extend_from_slice(frame.raw());
            let full = lease.out().len() >= 64 * 1024;
            if tag != frontend::tag::COPY_DATA {
                if extended {
                    // The Sync sent together with Execute was read as part of the copy and ignored.
                    // Without a Flush the server keeps its answer to itself until the client's next
                    // Sync.
                    drained.sync_swallowed = lease.forget_expected_ready();
                    message::flush(lease.out());
                }
                self.session.send_to_server().await?;
                return Ok(None);
            }
            if full {
                self.session.send_to_server().await?;
            }
        }
    }
}
