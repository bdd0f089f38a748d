//! FunctionCall: relayed as it is.

use std::collections::VecDeque;

use flywheel_sql::Pin;
use flywheel_wire::{Frame, PgError, sqlstate};

use super::guard::FIRST_NORMAL;
use super::step::Step;
use super::{End, Failure, Outcome, Session};

/// The functions of large objects, by their numbers, which drivers call without SQL.
const LARGE_OBJECTS: &[u32] =
    &[715, 764, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172];

/// FunctionCalls of a session.
pub(super) struct FunctionCalls<'s> {
    pub(super) session: &'s mut Session,
}

impl FunctionCalls<'_> {
    /// FunctionCall: relayed as it is.
    pub(super) async fn relay(&mut self, frame: &Frame) -> Result<(), End> {
        if !self.session.batches().finish().await? {
            return Ok(());
        }
        // What a batch without Sync has begun ends with it: they are one transaction.
        let is_within = self.session.transaction.is_batch;
        self.session.upstream.replicas.note_write();
        self.session.noted_writes().note_any();
        self.note_function_call(frame);
        let relayed = async {
            self.check_called(frame).await?;
            let lease = self.session.server().await?;
            lease.out().extend_from_slice(frame.raw());
            lease.expect_ready();
            self.session.upstream.note_synced();
            self.session.send_to_server().await?;
            let step = Step::FunctionCall { show_ready: !is_within };
            self.session.drain(VecDeque::from([step])).await
        };
        match relayed.await {
            Ok(drained) if is_within => {
                self.session.batches().end_flushed(!drained.failed).await?;
                self.session.ready().await
            }
            Ok(_) => {
                if self.session.transaction.is_idle() {
                    self.session.prepared.portals.clear();
                }
                self.session.control().settle_settings().await?;
                self.session.release().await;
                Ok(())
            }
            Err(Failure::Session(end)) => Err(end),
            Err(Failure::Told) => self.session.ready().await,
            Err(Failure::Statement(error)) => self.session.queries().fail(&error).await,
        }
    }

    /// A function is called by its number.
    fn note_function_call(&mut self, frame: &Frame) {
        let number = frame.body().first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        if !number.is_some_and(|number| LARGE_OBJECTS.contains(&number)) {
            self.session.upstream.learning.add_anything();
            self.session.pin(Pin::AdvisoryLock);
            self.session.upstream.pins.note_release();
        }
    }

    /// Refuses a FunctionCall of a function that may lead to store tables: it has no statement that
    /// could be guarded.
    async fn check_called(&mut self, frame: &Frame) -> Outcome<()> {
        let oid = frame.body().first_chunk().copied().map_or(0, u32::from_be_bytes);
        if self.session.shared.stores.twins.is_empty()
            || oid < FIRST_NORMAL
            || self.session.transaction.has_failed()
        {
            return Ok(());
        }
        let shared = self.session.shared.clone();
        let alone = self.session.guarding.sees_own_definitions();
        let reach = shared.stores.twins.reach(self.session.server().await?, alone).await;
        if !reach.map_err(|error| self.session.server_failed(&error))?.is_reached_by(oid) {
            return Ok(());
        }
        let message =
            "a function that may read or write store tables can't be called by FunctionCall";
        Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
            .with_hint("Call it in a SELECT.")
            .into())
    }
}
