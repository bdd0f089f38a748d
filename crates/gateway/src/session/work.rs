//! A batch under way: what was sent, and having it answered.

use std::collections::VecDeque;

use bytes::BytesMut;
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use super::step::{Step, Undo};
use super::{Failure, Outcome, Session};

/// The name of a prepared statement that no server has.
pub(super) const NOWHERE: &str = "flywheel_nowhere";

/// What of a batch is under way.
#[derive(Default)]
pub(super) struct Work {
    pub(super) steps: VecDeque<Step>,
    /// Marks were put before what is under way, for a statement that is guarded.
    pub(super) is_marked: bool,
    /// Nothing in it has to be guarded.
    pub(super) is_proved: bool,
}

impl Work {
    /// An answer of Flywheel's own, in its turn.
    pub(super) fn local(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let mut out = BytesMut::new();
        write(&mut out);
        self.steps.push_back(Step::Local(out.freeze(), None));
    }

    /// The same, of a message that has changed the client's statements.
    pub(super) fn local_with_undo(&mut self, undo: Undo, write: impl FnOnce(&mut BytesMut)) {
        let mut out = BytesMut::new();
        write(&mut out);
        self.steps.push_back(Step::Local(out.freeze(), Some(undo)));
    }

    /// Has the server answer all that was sent, before Flywheel answers something itself. Inside a
    /// block a Sync changes nothing; outside one there is nothing open that it could end too early
    /// (see `must_wrap`).
    pub(super) async fn catch_up(&mut self, session: &mut Session) -> Outcome<()> {
        let steps = std::mem::take(&mut self.steps);
        self.is_marked = false;
        if steps.iter().all(|step| matches!(step, Step::Local(..))) {
            for step in steps {
                if let Step::Local(bytes, _) = step {
                    session.client.out.extend_from_slice(&bytes);
                }
            }
            if session.upstream.is_unsynced() {
                session.sync_server(true).await?;
            }
            return Ok(());
        }
        session.send_sync();
        session.send_to_server().await?;
        let mut steps = steps;
        steps.push_back(Step::Ready { show: false });
        let drained = session.drain(steps).await?;
        session.upstream.note_synced();
        if drained.failed {
            session.phase.skip();
        }
        if session.phase.is_skipping() {
            return Err(Failure::Told);
        }
        // A statement that was marked when it was bound may need no check any more: what is
        // answered next comes behind the end of its answer.
        session.guarding.held.end();
        session.guarding.held.tell(&mut session.client.out);
        Ok(())
    }

    /// An error of Flywheel's own in its turn. Where the server has carried out parts of the batch
    /// or block it must undo them and ignore what follows: it is given something to fail at.
    pub(super) async fn fail(&mut self, error: PgError, session: &mut Session) -> Outcome<()> {
        let is_at_server = session.upstream.is_unsynced()
            || session.transaction.is_well()
            || !self.steps.iter().all(|step| matches!(step, Step::Local(..)));
        match session.held_server() {
            Some(lease) if is_at_server => {
                let put = message::describe(b'S', NOWHERE, lease.out());
                put.map_err(|error| {
                    PgError::error(sqlstate::PROTOCOL_VIOLATION, error.to_string())
                })?;
                self.steps.push_back(Step::Fail(error));
                Ok(())
            }
            _ => {
                self.catch_up(session).await?;
                Err(error.into())
            }
        }
    }

    /// Has the server answer all that was sent without ending the transaction that the batch is,
    /// since what follows depends on it.
    pub(super) async fn catch_up_within(&mut self, session: &mut Session) -> Outcome<()> {
        let steps = std::mem::take(&mut self.steps);
        let (is_marked, is_proved) = (self.is_marked, self.is_proved);
        let flushed = Self { steps, is_marked, is_proved };
        flushed.flush_steps(session).await
    }

    /// The end of a batch at Sync. True when a COPY has swallowed the Sync.
    pub(super) async fn finish(mut self, session: &mut Session) -> Outcome<bool> {
        let only_local = self.steps.iter().all(|step| matches!(step, Step::Local(..)));
        if !session.has_server() || (only_local && !session.upstream.is_unsynced()) {
            for step in self.steps {
                if let Step::Local(bytes, _) = step {
                    session.client.out.extend_from_slice(&bytes);
                }
            }
            return Ok(false);
        }
        session.send_sync();
        session.send_to_server().await?;
        self.steps.push_back(Step::Ready { show: false });
        let drained = session.drain(self.steps).await?;
        session.upstream.note_synced();
        if drained.failed {
            session.control().undo_settings();
        }
        Ok(drained.sync_swallowed)
    }

    /// The end of a batch at Flush: the server answers, the transaction stays open.
    pub(super) async fn flush_steps(self, session: &mut Session) -> Outcome<()> {
        if self.steps.iter().any(|step| !matches!(step, Step::Local(..))) {
            if let Some(lease) = session.held_server() {
                message::flush(lease.out());
            }
            session.send_to_server().await?;
            session.upstream.note_flushed();
        }
        let drained = session.drain(self.steps).await?;
        if drained.failed {
            session.phase.skip();
        }
        Ok(())
    }
}
