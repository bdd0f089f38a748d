//! Guarded statements of the extended protocol, whose transaction is that of their batch.

use flywheel_execute::twin::CONSTRAINTS;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, backend, reply, sqlstate};

use super::{GuardedBatch, Quiet, WAITING};
use crate::session::Outcome;
use crate::session::work::Work;

impl GuardedBatch<'_> {
    /// Appends the marks before a statement's Bind or Execute, once in a batch.
    pub(in crate::session) async fn mark(
        &mut self,
        analysis: &Analysis,
        work: &mut Work,
    ) -> Outcome<()> {
        if work.is_marked {
            return Ok(());
        }
        let changing = self.session.guard().changing(analysis).await?;
        self.session.guard_messages().put_mark(&changing, Some(work)).await?;
        work.is_marked = true;
        Ok(())
    }

    /// Appends the check behind a statement's Execute. `is_last`: the batch's transaction ends
    /// behind it.
    pub(in crate::session) async fn check(
        &mut self,
        is_last: bool,
        work: &mut Work,
    ) -> Outcome<()> {
        if self.session.transaction.is_idle() && is_last {
            self.session
                .guard_messages()
                .put_prepared(WAITING, CONSTRAINTS, None, Some(work))
                .await?;
        }
        self.session.guarding.in_block |= !self.session.transaction.is_idle();
        work.is_marked = false;
        self.session.guard_messages().put_check(Some(work)).await
    }

    /// Reads the answer to a message of the guard; false when it was an error.
    pub(in crate::session) async fn drain(
        &mut self,
        checks: bool,
        closes: usize,
        prepares: Option<&str>,
    ) -> Outcome<bool> {
        let mut quiet = Quiet::default();
        let mut closed = 0;
        while closed < closes {
            let Some(lease) = self.session.upstream.lease_mut() else {
                return Err(PgError::error(sqlstate::INTERNAL_ERROR, "no server connection").into());
            };
            let frame = match lease.next_message().await {
                Ok(frame) => frame,
                Err(error) => return Err(self.session.server_failed(&error)),
            };
            match frame.tag() {
                reply::tag::CLOSE_COMPLETE => closed += 1,
                reply::tag::ERROR_RESPONSE => {
                    let error = PgError::read(frame.body());
                    if error.is_fatal() {
                        return Err(self.session.replicas().server_ended(error));
                    }
                    if let (Some(name), Some(lease)) = (prepares, self.session.held_server()) {
                        lease.doubt_prepared(name);
                    }
                    self.session.guarding.held.forget();
                    self.session.guarding.held.end();
                    let error = self.session.guard_messages().guard_error(error);
                    let charset = self.session.settings.charset();
                    backend::error_response_in(charset, &mut self.session.client.out, &error);
                    return Ok(false);
                }
                _ => self.session.guard_messages().read_own(&frame, &mut quiet),
            }
        }
        if checks {
            self.session.guarding.held.end();
            self.session.guarding.held.tell(&mut self.session.client.out);
            if quiet.first == "1" {
                self.session.guard().note_definition(false);
            }
        } else {
            self.session.guarding.held.begin();
        }
        Ok(true)
    }
}
