//! A batch under way: what was sent, and having it answered.

use std::collections::VecDeque;

use bytes::BytesMut;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use super::relay::{Step, Undo};
use super::{Failure, Outcome, Session};

/// The name of a prepared statement that no server has.
const NOWHERE: &str = "flywheel_nowhere";

/// What of a batch is under way.
#[derive(Default)]
pub(super) struct Work {
    pub(super) steps: VecDeque<Step>,
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
}

impl Session {
    /// Has the server answer all that was sent, before Flywheel answers something itself. Inside a block a Sync changes nothing; outside one there
    /// is nothing open that it could end too early (see `must_wrap`).
    pub(super) async fn catch_up(&mut self, work: &mut Work) -> Outcome<()> {
        let steps = std::mem::take(&mut work.steps);
        if steps.iter().all(|step| matches!(step, Step::Local(..))) {
            for step in steps {
                if let Step::Local(bytes, _) = step {
                    self.client.out.extend_from_slice(&bytes);
                }
            }
            if self.unsynced {
                self.sync_server(true).await?;
            }
            return Ok(());
        }
        self.send_sync();
        self.send_to_server().await?;
        let mut steps = steps;
        steps.push_back(Step::Ready { show: false });
        let drained = self.drain(steps).await?;
        self.unsynced = false;
        if drained.failed {
            self.skipping = true;
        }
        if self.skipping {
            return Err(Failure::Told);
        }
        Ok(())
    }

    /// An error of Flywheel's own in its turn. Where the server has carried out parts of the batch or block it must undo them and ignore what follows: it is given
    /// something to fail at.
    pub(super) async fn fail(&mut self, error: PgError, work: &mut Work) -> Outcome<()> {
        let is_at_server = self.unsynced
            || self.status == TransactionStatus::InTransaction
            || !work.steps.iter().all(|step| matches!(step, Step::Local(..)));
        match self.held_server() {
            Some(lease) if is_at_server => {
                let put = message::describe(b'S', NOWHERE, lease.out());
                put.map_err(|error| PgError::error(sqlstate::PROTOCOL_VIOLATION, error.to_string()))?;
                work.steps.push_back(Step::Fail(error));
                Ok(())
            }
            _ => {
                self.catch_up(work).await?;
                Err(error.into())
            }
        }
    }

    /// Has the server answer all that was sent without ending the transaction that the batch is, since what follows depends on it.
    pub(super) async fn catch_up_within(&mut self, work: &mut Work) -> Outcome<()> {
        let steps = std::mem::take(&mut work.steps);
        self.flush_steps(Work { steps }).await
    }

    fn send_sync(&mut self) {
        if let Some(lease) = self.held_server() {
            message::sync(lease.out());
            lease.expect_ready();
        }
    }

    /// Syncs the server alone, its ReadyForQuery kept back.
    pub(super) async fn sync_server(&mut self, only_if_unsynced: bool) -> Outcome<()> {
        if !self.has_server() || (only_if_unsynced && !self.unsynced) {
            return Ok(());
        }
        self.send_sync();
        self.send_to_server().await?;
        self.drain(VecDeque::from([Step::Ready { show: false }])).await?;
        self.unsynced = false;
        Ok(())
    }

    /// The end of a batch at Sync. True when a COPY has swallowed the Sync.
    pub(super) async fn finish(&mut self, mut work: Work) -> Outcome<bool> {
        let only_local = work.steps.iter().all(|step| matches!(step, Step::Local(..)));
        if !self.has_server() || (only_local && !self.unsynced) {
            for step in work.steps {
                if let Step::Local(bytes, _) = step {
                    self.client.out.extend_from_slice(&bytes);
                }
            }
            return Ok(false);
        }
        self.send_sync();
        self.send_to_server().await?;
        work.steps.push_back(Step::Ready { show: false });
        let drained = self.drain(work.steps).await?;
        self.unsynced = false;
        if drained.failed {
            self.undo_settings();
        }
        Ok(drained.sync_swallowed)
    }

    /// The end of a batch at Flush: the server answers, the transaction stays open.
    pub(super) async fn flush_steps(&mut self, work: Work) -> Outcome<()> {
        if work.steps.iter().any(|step| !matches!(step, Step::Local(..))) {
            if let Some(lease) = self.held_server() {
                message::flush(lease.out());
            }
            self.send_to_server().await?;
            self.unsynced = true;
        }
        let drained = self.drain(work.steps).await?;
        if drained.failed {
            self.skipping = true;
        }
        Ok(())
    }
}
