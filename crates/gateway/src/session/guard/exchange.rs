//! A guarded Query: it and what guards it are sent in one write, in a transaction of its own where
//! there is none.

use std::collections::VecDeque;

use flywheel_execute::twin::CONSTRAINTS;
use flywheel_postgres::{Lease, ServerError};
use flywheel_sql::{Pin, SessionEffect, Verb};
use flywheel_statement::Analysis;
use flywheel_wire::backend::{self, TransactionStatus};

use super::answer::put_query;
use crate::session::deallocation::deallocates_all;
use crate::session::parts::Message;
use crate::session::step::{Drained, Step};
use crate::session::{Failure, Outcome, Session};

/// The places of a text's statements that declare a cursor WITH HOLD.
fn held_cursors(analysis: &Analysis) -> impl Iterator<Item = usize> {
    (0..analysis.statements.len())
        .filter(|at| analysis.statements[*at].session.pins().contains(&Pin::HeldCursor))
}

impl Session {
    /// Whether the statements of a text are to be guarded one by one, since it ends or begins
    /// transactions.
    pub(in crate::session) fn is_guarded_apart(&self, analysis: &Analysis) -> bool {
        let mut statements = analysis.statements.iter();
        // The marks are settings too.
        let resets = |effect: &SessionEffect| {
            matches!(effect, SessionEffect::Reset { name: None } | SessionEffect::DiscardAll)
        };
        analysis.statements.len() > 1
            && statements.any(|statement| {
                statement.verb.is_transaction_control() || resets(&statement.session)
            })
            && self.must_guard(analysis)
    }

    /// Whether a text declares a cursor WITH HOLD that must be guarded.
    pub(in crate::session) fn holds_unproved(&self, analysis: &Analysis) -> bool {
        held_cursors(analysis).any(|at| {
            let single = self.shared.analyses.of(analysis.statement_text(at));
            self.must_guard(&single) && !self.is_proved_now(&single)
        })
    }

    /// For a text whose statements may have to be guarded one by one: looks whether that is so.
    pub(in crate::session) async fn prove_together(&mut self, analysis: &Analysis) -> Outcome<()> {
        self.guarding.read = None;
        if analysis.is_plain {
            return Ok(());
        }
        if held_cursors(analysis).next().is_some() || self.is_guarded_apart(analysis) {
            self.read_reach().await?;
        }
        Ok(())
    }

    /// For a text that is taken apart: whether PostgreSQL can read all of it. Where it can't, it
    /// carries out none of its statements.
    pub(in crate::session) async fn read_whole(&mut self, analysis: &Analysis) -> Outcome<()> {
        if self.upstream.is_unsynced() || analysis.statements.len() < 2 || analysis.is_read_whole()
        {
            return Ok(());
        }
        let in_block = self.transaction.is_well();
        if in_block {
            self.on_server("SAVEPOINT flywheel_read").await?;
        }
        let read = self.server().await?.describe(&analysis.text, &[]).await;
        if in_block {
            self.on_server("ROLLBACK TO SAVEPOINT flywheel_read; RELEASE SAVEPOINT flywheel_read")
                .await?;
        }
        match read {
            // That it is several statements is told when all of it could be read.
            Err(ServerError::Postgres(error))
                if error.field(b'R') != Some("exec_parse_message") =>
            {
                Err(error.into())
            }
            Ok(_) | Err(ServerError::Postgres(_)) => {
                self.follow_server();
                analysis.note_read_whole();
                Ok(())
            }
            Err(error) => Err(self.server_failed(&error)),
        }
    }

    /// For a batch with a text that has to be refused: looks whether that is so.
    pub(in crate::session) async fn prove_parsed(&mut self, batch: &[Message]) -> Outcome<()> {
        self.guarding.read = None;
        if self.shared.stores.twins.is_empty() {
            return Ok(());
        }
        let declares_held = |message: &Message| match message {
            Message::Parse(parse) => {
                let analysis = self.shared.analyses.of(&parse.query);
                !analysis.is_plain && held_cursors(&analysis).next().is_some()
            }
            _ => false,
        };
        if batch.iter().any(declares_held) {
            self.read_reach().await?;
        }
        Ok(())
    }

    /// Keeps the ways to the twins for the message at hand. Whatever is proved by them stays proved
    /// until the message is answered, though others may change definitions meanwhile.
    async fn read_reach(&mut self) -> Outcome<()> {
        let shared = self.shared.clone();
        self.guarding.read = shared.stores.twins.current();
        if shared.stores.twins.is_empty() || self.guarding.read.is_some() {
            return Ok(());
        }
        self.guarding.read = if self.transaction.is_idle() && !self.upstream.is_unsynced() {
            let reach = shared.stores.twins.reach(self.server().await?, false).await;
            Some(reach.map_err(|error| self.server_failed(&error))?)
        } else {
            // A transaction may not see what others have defined.
            shared.stores.twins.reach_elsewhere().await
        };
        Ok(())
    }

    /// Sends a Query, or one statement of it, and reads its answer, in a transaction of its own
    /// where there is none. Whether it failed.
    pub(in crate::session) async fn exchange_guarded(
        &mut self,
        analysis: &Analysis,
        step: Step,
        put: impl FnOnce(&mut Lease) -> Result<(), ServerError>,
    ) -> Outcome<bool> {
        let own_block = self.transaction.is_idle();
        // Its client's rows stand behind its Execute: nothing else may.
        let copies = analysis.statements.iter().any(|statement| statement.verb == Verb::Copy);
        let changing = self.changing(analysis).await?;
        let lease = self.server().await?;
        let mut before = 1;
        if own_block {
            put_query(lease, "BEGIN")?;
            before += 1;
        }
        self.put_mark(&changing, None).await?;
        self.put_sync();
        let lease = self.server().await?;
        put(lease).map_err(|error| Failure::Statement(error.to_pg()))?;
        if deallocates_all(analysis) {
            self.forget_prepared();
        }
        if !copies {
            self.put_end(own_block).await?;
        }
        self.upstream.lose_unnamed();
        self.send_to_server().await?;
        let mut failed = None;
        for _ in 0..before {
            failed = failed.or(self.read_quietly().await?.failed);
        }
        self.settings.reports.begin_statement(own_block);
        let drained = if failed.is_some() {
            self.read_quietly().await.map(|_| Drained::default())
        } else {
            self.guarding.held.begin();
            self.drain(VecDeque::from([step])).await
        };
        self.guarding.held.end();
        if own_block {
            self.transaction.status = TransactionStatus::Idle;
        }
        let told = match drained {
            Ok(drained) => drained.failed,
            Err(failure) => {
                self.guarding.held.forget();
                self.settings.reports.end_statement();
                return Err(failure);
            }
        };
        if copies {
            self.put_end(own_block).await?;
            self.send_to_server().await?;
        }
        let mut defines = false;
        for _ in 0..if own_block { 3 } else { 1 } {
            let quiet = self.read_quietly().await?;
            defines |= quiet.first == "1";
            failed = failed.or(quiet.failed);
        }
        self.follow_server();
        if told || failed.is_some() {
            self.forget_guards();
        }
        self.guarding.in_block |= !own_block;
        if defines {
            self.note_definition(false);
        }
        // Whatever of it failed first is what the client is told.
        match failed {
            _ if told => {}
            Some(error) => {
                self.guarding.held.forget();
                let error = self.guard_error(error);
                backend::error_response(&mut self.client.out, &error);
                self.tell_settings();
                return Ok(true);
            }
            None => {
                if own_block {
                    self.apply_writes();
                }
                self.settle_writes_at_rest();
                self.guarding.held.tell(&mut self.client.out);
            }
        }
        self.tell_settings();
        Ok(told)
    }

    /// Tells the client of the settings that are others after a guarded statement.
    pub(super) fn tell_settings(&mut self) {
        let names = self.settings.reports.end_statement();
        self.settings.tell(names, self.upstream.lease(), &mut self.client.out);
    }

    /// Appends what ends a guarded statement.
    pub(super) async fn put_end(&mut self, own_block: bool) -> Outcome<()> {
        let lease = self.server().await?;
        if own_block {
            put_query(lease, CONSTRAINTS)?;
        }
        self.put_check(None).await?;
        self.put_sync();
        if own_block {
            let lease = self.server().await?;
            // After an error it is a ROLLBACK.
            put_query(lease, "COMMIT")?;
        }
        Ok(())
    }
}
