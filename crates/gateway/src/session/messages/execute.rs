//! Execute.

use std::sync::Arc;

use bytes::Bytes;
use flywheel_execute::is_current;
use flywheel_sql::{SessionEffect, Statement, Verb};
use flywheel_statement::Analysis;
use flywheel_wire::backend;
use flywheel_wire::frontend::Execute;
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use crate::session::deallocation::deallocates_all;
use crate::session::parts::Message;
use crate::session::step::Step;
use crate::session::work::Work;
use crate::session::{Failure, Outcome, PreparedStatement, Progress, Session};

impl Work {
    pub(super) async fn execute(
        &mut self,
        execute: &Execute,
        following: &[Message],
        session: &mut Session,
    ) -> Outcome<()> {
        let Some(portal) = session.prepared.portals.get(&execute.portal) else {
            // It may be a cursor of SQL's. What a failed Query leaves as the unnamed portal must
            // not be touched: PostgreSQL 15 crashes.
            if session.has_server() && !execute.portal.is_empty() {
                if let Err(Failure::Statement(error)) =
                    session.transaction.check_cursor(&execute.portal)
                {
                    return self.fail(error, session).await;
                }
                session.noted_writes().note_any();
                return self.put_execute(execute, None, following, session).await;
            }
            let message = format!("portal \"{}\" does not exist", execute.portal);
            return self
                .fail(PgError::error(sqlstate::INVALID_CURSOR_NAME, message), session)
                .await;
        };
        let statement = portal.statement.clone();
        if let Some(error) = session
            .refused_cursors(&statement.analysis)
            .or_else(|| session.encoding().check_local(&statement).err())
        {
            return self.fail(error, session).await;
        }
        session.statement_names().put_within(&statement.analysis, self).await?;
        let control = statement
            .analysis
            .statements
            .first()
            .is_some_and(|first| session.proofs().must_handle(first.verb));
        if control || statement.is_local() {
            session.renewing().note_execution();
        }
        if control {
            self.catch_up(session).await?;
            let tag =
                Box::pin(session.control().transaction_control(&statement.analysis, 0)).await?;
            backend::command_complete(&mut session.client.out, &tag);
        } else if session.deallocation().is_ours(&statement.analysis, 0)
            && let Some((tag, undos)) = session.prepared.deallocate(&statement.analysis)
        {
            self.local(|out| backend::command_complete(out, tag));
            self.steps.extend(undos.into_iter().map(|undo| Step::Local(Bytes::new(), Some(undo))));
        } else if let Some(store) = statement.store.clone().filter(|store| store.is_copy()) {
            self.catch_up(session).await?;
            session.transaction.check_not_failed()?;
            if let Some(copy) = session.executor().copy_out(&store).await? {
                self.steps.extend(session.copies().put(&copy).await?);
            }
            self.steps.push_back(Step::Execute(Some(statement)));
            let closed = session.server().await?.put_closed();
            closed.map_err(|error| session.server_failed(&error))?;
            self.steps.extend([Step::Hidden, Step::Hidden]);
        } else if statement.is_local() {
            self.catch_up(session).await?;
            session.transaction.check_not_failed()?;
            session.client.send_answered().await?;
            self.renew_portal(&execute.portal, session).await?;
            session.own_answers().execute(execute).await?;
        } else {
            if let Err(Failure::Statement(error)) =
                session.transaction.check_cursors(&statement.analysis, 0)
            {
                return self.fail(error, session).await;
            }
            session.noted_writes().note_portal(&execute.portal);
            if let Err(failure) = session.learner().note_portal_names(&execute.portal) {
                return match failure {
                    Failure::Statement(error) => self.fail(error, session).await,
                    failure => Err(failure),
                };
            }
            session.listener().announce(&statement.analysis).await?;
            session.explained_cache().expect(&statement.analysis).await;
            session.server().await?;
            let decides = decides_names(&statement.analysis);
            self.put_execute(execute, Some(statement.clone()), following, session).await?;
            if let Some(first) = statement.analysis.statements.first() {
                session.defaults().put_restoring(&first.session, &mut self.steps).await?;
            }
            if decides {
                self.catch_up_within(session).await?;
            }
        }
        Ok(())
    }

    /// Sends Execute of a portal of the server's. `None`: what it runs isn't known here.
    async fn put_execute(
        &mut self,
        execute: &Execute,
        statement: Option<Arc<PreparedStatement>>,
        following: &[Message],
        session: &mut Session,
    ) -> Outcome<()> {
        // What was prepared by SQL has no text here.
        let analysis = match &statement {
            Some(statement) if !statement.analysis.statements.is_empty() => {
                Some(statement.analysis.clone())
            }
            _ => None,
        };
        let guards = match &analysis {
            Some(analysis) => !self.is_proved && session.proofs().must_guard(analysis),
            None => !session.shared.stores.twins.is_empty() && !session.transaction.has_failed(),
        };
        if guards {
            let analysis = analysis.clone().unwrap_or_else(|| session.shared.analyses.of(""));
            session.guarded_batch().mark(&analysis, self).await?;
        }
        session.put(|out| message::execute(&execute.portal, execute.max_rows, out)).await?;
        self.steps.push_back(Step::Execute(statement));
        if guards {
            if analysis.as_ref().is_some_and(|analysis| deallocates_all(analysis)) {
                session.guard_messages().forget_prepared();
            }
            if analysis.is_some_and(|analysis| analysis.statements[0].verb == Verb::Copy) {
                // The client's rows stand behind it: nothing else may.
                self.catch_up_within(session).await?;
                if session.phase.is_skipping() {
                    return Err(Failure::Told);
                }
            }
            session.guarded_batch().check(is_last(following), self).await?;
        }
        Ok(())
    }

    /// Sees to it that a portal's plan is for whoever executes it: the role may be another one than
    /// when it was bound, and may have other rights.
    async fn renew_portal(&mut self, name: &str, session: &mut Session) -> Outcome<()> {
        let Some(portal) = session.prepared.portals.get(name) else { return Ok(()) };
        let Some(store) = portal.statement.store.as_ref() else {
            return Ok(());
        };
        let is_new = matches!(portal.progress, Progress::New) && !store.is_cache_command();
        let is_outdated = portal.as_of != session.prepared.changes
            || !(session.is_pinned() || is_current(session, store));
        if is_new && is_outdated {
            let statement = self.current(portal.statement.clone(), session).await?;
            if let Some(portal) = session.prepared.portals.get_mut(name) {
                portal.statement = statement;
            }
        }
        Ok(())
    }
}

/// Whether nothing more is executed behind it.
fn is_last(following: &[Message]) -> bool {
    !following.iter().any(|message| matches!(message, Message::Execute(_)))
}

/// Whether statements of the session have other names, or none, once it is carried out.
fn decides_names(analysis: &Analysis) -> bool {
    let prepares = |statement: &Statement| {
        matches!(statement.verb, Verb::Prepare)
            || matches!(statement.session, SessionEffect::DiscardAll)
            || statement.has_keyword(&analysis.text, "deallocate")
    };
    !analysis.is_plain && analysis.statements.iter().any(prepares)
}
