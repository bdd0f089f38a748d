//! A guarded Query: it and what guards it are sent in one write, in a transaction of its own where
//! there is none.

use std::collections::VecDeque;

use flywheel_execute::twin::CONSTRAINTS;
use flywheel_postgres::{Lease, ServerError};
use flywheel_sql::Verb;
use flywheel_statement::Analysis;
use flywheel_wire::backend::{self, TransactionStatus};

use super::Guard;
use super::answer::put_query;
use crate::session::deallocation::deallocates_all;
use crate::session::step::{Drained, Step};
use crate::session::{Failure, Outcome};

impl Guard<'_> {
    /// Sends a Query, or one statement of it, and reads its answer, in a transaction of its own
    /// where there is none. Whether it failed.
    pub(in crate::session) async fn exchange(
        &mut self,
        analysis: &Analysis,
        step: Step,
        put: impl FnOnce(&mut Lease) -> Result<(), ServerError>,
    ) -> Outcome<bool> {
        let own_block = self.session.transaction.is_idle();
        // Its client's rows stand behind its Execute: nothing else may.
        let copies = analysis.statements.iter().any(|statement| statement.verb == Verb::Copy);
        let changing = self.changing(analysis).await?;
        let lease = self.session.server().await?;
        let mut before = 1;
        if own_block {
            put_query(lease, "BEGIN")?;
            before += 1;
        }
        self.session.guard_messages().put_mark(&changing, None).await?;
        self.session.guard_messages().put_sync();
        let lease = self.session.server().await?;
        put(lease).map_err(|error| Failure::Statement(error.to_pg()))?;
        if deallocates_all(analysis) {
            self.session.guard_messages().forget_prepared();
        }
        if !copies {
            self.put_end(own_block).await?;
        }
        self.session.upstream.lose_unnamed();
        self.session.send_to_server().await?;
        let mut failed = None;
        for _ in 0..before {
            failed = failed.or(self.session.guard_messages().read_quietly().await?.failed);
        }
        self.session.settings.reports.begin_statement(own_block);
        let drained = if failed.is_some() {
            self.session.guard_messages().read_quietly().await.map(|_| Drained::default())
        } else {
            self.session.guarding.held.begin();
            self.session.drain(VecDeque::from([step])).await
        };
        self.session.guarding.held.end();
        if own_block {
            self.session.transaction.status = TransactionStatus::Idle;
        }
        let told = match drained {
            Ok(drained) => drained.failed,
            Err(failure) => {
                self.session.guarding.held.forget();
                self.session.settings.reports.end_statement();
                return Err(failure);
            }
        };
        if copies {
            self.put_end(own_block).await?;
            self.session.send_to_server().await?;
        }
        let mut defines = false;
        for _ in 0..if own_block { 3 } else { 1 } {
            let quiet = self.session.guard_messages().read_quietly().await?;
            defines |= quiet.first == "1";
            failed = failed.or(quiet.failed);
        }
        self.session.follow_server();
        if told || failed.is_some() {
            self.session.guard_messages().forget_guards();
        }
        self.session.guarding.in_block |= !own_block;
        if defines {
            self.note_definition(false);
        }
        // Whatever of it failed first is what the client is told.
        match failed {
            _ if told => {}
            Some(error) => {
                self.session.guarding.held.forget();
                let error = self.session.guard_messages().guard_error(error);
                let charset = self.session.settings.charset();
                backend::error_response_in(charset, &mut self.session.client.out, &error);
                self.tell_settings();
                return Ok(true);
            }
            None => {
                if own_block {
                    self.session.noted_writes().apply();
                }
                self.session.noted_writes().settle_at_rest();
                self.session.guarding.held.tell(&mut self.session.client.out);
            }
        }
        self.tell_settings();
        Ok(told)
    }

    /// Tells the client of the settings that are others after a guarded statement.
    pub(super) fn tell_settings(&mut self) {
        let names = self.session.settings.reports.end_statement();
        self.session.settings.tell(
            names,
            self.session.upstream.lease(),
            &mut self.session.client.out,
        );
    }

    /// Appends what ends a guarded statement.
    pub(super) async fn put_end(&mut self, own_block: bool) -> Outcome<()> {
        let lease = self.session.server().await?;
        if own_block {
            put_query(lease, CONSTRAINTS)?;
        }
        self.session.guard_messages().put_check(None).await?;
        self.session.guard_messages().put_sync();
        if own_block {
            let lease = self.session.server().await?;
            // After an error it is a ROLLBACK.
            put_query(lease, "COMMIT")?;
        }
        Ok(())
    }
}
