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

impl Session {
    /// FunctionCall: relayed as it is.
    pub(super) async fn function_call(&mut self, frame: &Frame) -> Result<(), End> {
        if !self.finish_batch().await? {
            return Ok(());
        }
        // What a batch without Sync has begun ends with it: they are one transaction.
        let is_within = self.transaction.is_batch;
        self.upstream.replicas.note_write();
        self.note_any_write();
        self.note_function_call(frame);
        let relayed = async {
            self.check_called(frame).await?;
            let lease = self.server().await?;
            lease.out().extend_from_slice(frame.raw());
            lease.expect_ready();
            self.upstream.note_synced();
            self.send_to_server().await?;
            let step = Step::FunctionCall { show_ready: !is_within };
            self.drain(VecDeque::from([step])).await
        };
        match relayed.await {
            Ok(drained) if is_within => {
                self.end_flushed(!drained.failed).await?;
                self.ready().await
            }
            Ok(_) => {
                if self.transaction.is_idle() {
                    self.prepared.portals.clear();
                }
                self.settle_settings().await?;
                self.release().await;
                Ok(())
            }
            Err(Failure::Session(end)) => Err(end),
            Err(Failure::Told) => self.ready().await,
            Err(Failure::Statement(error)) => self.fail_query(&error).await,
        }
    }

    /// A function is called by its number.
    fn note_function_call(&mut self, frame: &Frame) {
        let number = frame.body().first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        if !number.is_some_and(|number| LARGE_OBJECTS.contains(&number)) {
            self.upstream.learning.add_anything();
            self.pin(Pin::AdvisoryLock);
            self.upstream.pins.note_release();
        }
    }

    /// Refuses a FunctionCall of a function that may lead to store tables: it has no statement that
    /// could be guarded.
    async fn check_called(&mut self, frame: &Frame) -> Outcome<()> {
        let oid = frame.body().first_chunk().copied().map_or(0, u32::from_be_bytes);
        if self.shared.stores.twins.is_empty()
            || oid < FIRST_NORMAL
            || self.transaction.has_failed()
        {
            return Ok(());
        }
        let shared = self.shared.clone();
        let alone = self.guarding.sees_own_definitions();
        let reach = shared.stores.twins.reach(self.server().await?, alone).await;
        if !reach.map_err(|error| self.server_failed(&error))?.is_reached_by(oid) {
            return Ok(());
        }
        let message =
            "a function that may read or write store tables can't be called by FunctionCall";
        Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
            .with_hint("Call it in a SELECT.")
            .into())
    }
}
