//! One statement of a text whose statements are run one by one, since one of them needs Flywheel.

use std::collections::VecDeque;
use std::sync::Arc;

use flywheel_execute::{Arguments, executes_prepared_at};
use flywheel_plan::Parameters;
use flywheel_sql::Statement;
use flywheel_statement::Analysis;
use flywheel_wire::{PgError, backend, sqlstate};

use super::step::Step;
use super::{Failure, Outcome, Session};

/// A statement, and the text that it is part of.
#[derive(Clone, Copy)]
pub(super) struct Part<'t> {
    pub(super) analysis: &'t Arc<Analysis>,
    pub(super) position: usize,
}

/// The error of a statement that needs a block, outside one.
pub(super) fn needs_block(analysis: &Analysis, position: usize) -> Option<PgError> {
    let command = analysis.statements.get(position)?.needs_block(&analysis.text)?;
    let message = format!("{command} can only be used in transaction blocks");
    Some(PgError::error(sqlstate::NO_ACTIVE_SQL_TRANSACTION, message))
}

/// An error of a statement that was carried out by itself: with its place in the client's text.
pub(super) fn in_whole_text(error: &PgError, analysis: &Analysis, position: usize) -> PgError {
    let place = error.field(b'P').and_then(|place| place.parse::<usize>().ok());
    let before = analysis.text.get(..analysis.statements[position].range.start);
    match (place, before) {
        (Some(place), Some(before)) => {
            error.clone().with_field(b'P', (before.chars().count() + place).to_string())
        }
        _ => error.clone(),
    }
}

impl<'t> Part<'t> {
    fn statement(self) -> &'t Statement {
        &self.analysis.statements[self.position]
    }

    fn text(self) -> &'t str {
        self.analysis.statement_text(self.position)
    }

    /// It is sent by itself; its ReadyForQuery is kept back.
    fn step(self) -> Step {
        Step::Query {
            analysis: self.analysis.clone(),
            first: self.position,
            show_ready: false,
            is_part: true,
        }
    }

    /// Runs it and appends its answer.
    pub(super) async fn run(self, session: &mut Session) -> Outcome<()> {
        let text = self.text();
        if session.proofs().must_handle(self.statement().verb) {
            let tag = Box::pin(session.control().transaction_control(self.analysis, self.position))
                .await?;
            backend::command_complete(&mut session.client.out, &tag);
            return Ok(());
        }
        if !self.analysis.concerns_store[self.position]
            && !executes_prepared_at(&session.prepared.statements, self.analysis, self.position)
        {
            if session.deallocation().is_ours(self.analysis, self.position)
                && let Some((tag, _)) =
                    session.prepared.deallocate(&session.shared.analyses.of(text))
            {
                backend::command_complete(&mut session.client.out, tag);
                return Ok(());
            }
            session.strings().check_conforming(text)?;
            session.encoding().check_came_in(text, session.settings.charset())?;
            return self.relay_restored(session).await;
        }
        if session.transaction.has_failed() {
            session.executor().read_in_failed_block(text, &[]).await?;
            session.transaction.check_not_failed()?;
        }
        let single = session.shared.analyses.of_long(text).await;
        let statement = Box::pin(session.executor().prepare_store(&single, &[])).await?;
        if statement.is_relayed() {
            return self.relay(session).await;
        }
        if let Some(copy) = session.executor().copy_out(&statement).await? {
            return session.copies().relay(&copy).await;
        }
        // On the heap while it runs, as is its preparation: sessions that do nothing of the kind
        // don't carry its state.
        let arguments = Arguments::default();
        let (statement, mut answer) =
            Box::pin(session.executor().answer_anew(&single, &statement, &arguments)).await?;
        session.learner().note_run(self.analysis);
        session.effects().note(self.statement(), self.analysis, self.position);
        answer.describe(statement.fields(), &mut session.client.out);
        session.own_answers().send_rows(&mut answer, 0).await?;
        Ok(())
    }

    /// Relays it; its ReadyForQuery is kept back.
    async fn relay(self, session: &mut Session) -> Outcome<()> {
        let text = self.text();
        session.transaction.check_cursors(self.analysis, self.position)?;
        session.upstream.replicas.note_read();
        let single = session.shared.analyses.of(text);
        session.listener().announce(&single).await?;
        session.noted_writes().note(
            self.analysis,
            self.position..self.position + 1,
            &Parameters::default(),
        );
        if !session.shared.stores.twins.is_empty()
            && session.proving().must_guard_now(&single).await?
        {
            return self.relay_guarded(session, &single).await;
        }
        let lease = session.server().await?;
        if let Err(error) = lease.put_query(text) {
            return Err(session.server_failed(&error));
        }
        session.upstream.lose_unnamed();
        session.send_to_server().await?;
        let step = self.step();
        if session.drain(VecDeque::from([step])).await?.failed {
            Err(Failure::Told)
        } else {
            Ok(())
        }
    }

    /// Relays it, and then sets again what it has reset to what the client has begun with.
    async fn relay_restored(self, session: &mut Session) -> Outcome<()> {
        let effect = &self.statement().session;
        if session.settings.restoring(effect).is_none() {
            return self.relay(session).await;
        }
        match self.relay(session).await {
            Ok(()) => session.defaults().restore(effect).await,
            failed => failed,
        }
    }

    /// Relays it guarded.
    async fn relay_guarded(self, session: &mut Session, single: &Analysis) -> Outcome<()> {
        let text = self.text();
        let step = self.step();
        match session.guard().exchange(single, step, |lease| lease.put_query(text)).await? {
            true => Err(Failure::Told),
            false => Ok(()),
        }
    }
}
