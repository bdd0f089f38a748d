//! Guarded statements of the extended protocol, whose transaction is that of their batch.

use flywheel_execute::twin::CONSTRAINTS;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, reply, sqlstate};

use super::{Quiet, WAITING};
use crate::session::work::Work;
use crate::session::{Outcome, Session};

impl Session {
    /// Appends the marks before a statement's Bind or Execute, once in a batch.
    pub(in crate::session) async fn mark_in_batch(
        &mut self,
        analysis: &Analysis,
        work: &mut Work,
    ) -> Outcome<()> {
        if work.is_marked {
            return Ok(());
        }
        let changing = self.changing(analysis).await?;
        self.put_mark(&changing, Some(work)).await?;
        work.is_marked = true;
        Ok(())
    }

    /// Appends the check behind a statement's Execute. `is_last`: the batch's transaction ends
    /// behind it.
    pub(in crate::session) async fn check_in_batch(
        &mut self,
        is_last: bool,
        work: &mut Work,
    ) -> Outcome<()> {
        if self.transaction.is_idle() && is_last {
            self.put_prepared(WAITING, CONSTRAINTS, None, Some(work)).await?;
        }
        self.guarding.in_block |= !self.transaction.is_idle();
        work.is_marked = false;
        self.put_check(Some(work)).await
    }

    /// Reads the answer to [`Self::put_prepared`]; false when it was an error.
    pub(in crate::session) async fn drain_guard(
        &mut self,
        checks: bool,
        closes: usize,
        prepares: Option<&str>,
    ) -> Outcome<bool> {
        let mut quiet = Quiet::default();
        let mut closed = 0;
        while closed < closes {
            let Some(lease) = self.upstream.lease_mut() else {
                return Err(PgError::error(sqlstate::INTERNAL_ERROR, "no server connection").into());
            };
            let frame = match lease.next_message().await {
                Ok(frame) => frame,
                Err(error) => return Err(self.server_failed(&error)),
            };
            match frame.tag() {
                reply::tag::CLOSE_COMPLETE => closed += 1,
                reply::tag::ERROR_RESPONSE => {
                    let error = PgError::read(frame.body());
                    if error.is_fatal() {
                        return Err(self.server_ended(error));
                    }
                    if let (Some(name), Some(lease)) = (prepares, self.held_server()) {
                        lease.doubt_prepared(name);
                    }
                    self.guarding.held.forget();
                    self.guarding.held.end();
                    let error = self.guard_error(error);
                    self.charset().put_error(&error, &mut self.client.out);
                    return Ok(false);
                }
                _ => self.read_own(&frame, &mut quiet),
            }
        }
        if checks {
            self.guarding.held.end();
            self.guarding.held.tell(&mut self.client.out);
            if quiet.first == "1" {
                self.note_definition(false);
            }
        } else {
            self.guarding.held.begin();
        }
        Ok(true)
    }
}
