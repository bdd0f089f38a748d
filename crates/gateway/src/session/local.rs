//! Answers of Flywheel's own, as they go to the client.

use flywheel_execute::{Answer, Arguments};
use flywheel_wire::frontend::Execute;
use flywheel_wire::{PgError, sqlstate};

use super::work::Work;
use super::{Outcome, Progress, Session};

/// Answers of Flywheel's own to a session's client.
pub(super) struct OwnAnswers<'s> {
    pub(super) session: &'s mut Session,
}

impl OwnAnswers<'_> {
    /// Runs a portal that Flywheel answers, or goes on with one that a row limit has suspended.
    pub(super) async fn execute(&mut self, execute: &Execute) -> Outcome<()> {
        let Some(mut portal) = self.session.prepared.portals.remove(&execute.portal) else {
            return Ok(());
        };
        let is_new = matches!(portal.progress, Progress::New);
        let answer = match (std::mem::take(&mut portal.progress), &portal.statement.store) {
            (Progress::Suspended(rest), _) => {
                self.session.transaction.check_cursor(&execute.portal).map(|()| *rest)
            }
            (Progress::Finished, Some(store)) if store.fields().is_some() => {
                portal.progress = Progress::Finished;
                Ok(Answer::tagged("SELECT 0"))
            }
            (Progress::Finished, _) => {
                let message = format!("portal \"{}\" cannot be run", execute.portal);
                Err(PgError::error(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into())
            }
            (Progress::New, Some(store)) => {
                self.session.transaction.check_not_failed()?;
                if !store.is_of(self.session.shared.stores.catalogue.version()) {
                    portal.statement =
                        Work::default().current(portal.statement.clone(), self.session).await?;
                }
                let Some(store) = portal.statement.store.clone() else {
                    return Ok(());
                };
                let arguments = Arguments {
                    formats: &portal.formats,
                    values: &portal.values,
                    result_formats: &portal.result_formats,
                    columns: portal.statement.known().columns,
                    ..Arguments::default()
                };
                // On the heap while it runs: sessions that read no store tables don't carry its
                // state.
                let answer = Box::pin(self.session.executor().answer_bound(
                    &portal.statement,
                    &store,
                    &arguments,
                ))
                .await;
                if answer.is_ok() {
                    let analysis = portal.statement.analysis.clone();
                    self.session.learner().note_run(&analysis);
                    self.session.effects().note(&analysis.statements[0], &analysis, 0);
                }
                answer
            }
            (Progress::New, None) => return Ok(()),
        };
        let mut answer = answer?;
        let limit = usize::try_from(execute.max_rows).unwrap_or(0);
        let finished = self.send_rows(&mut answer, limit).await?;
        portal.progress = if finished {
            Progress::Finished
        } else {
            let locked = portal
                .statement
                .store
                .as_ref()
                .map(|store| store.locked_tables())
                .unwrap_or_default();
            if is_new && !locked.is_empty() {
                self.session.transaction.block.cursors.open(&execute.portal, locked);
            }
            Progress::Suspended(Box::new(answer))
        };
        self.session.prepared.portals.insert(execute.portal.clone(), portal);
        Ok(())
    }

    /// Tells the rows of an answer, at most so many (0: all), and how it ends; whether that was the
    /// end. What the socket doesn't take isn't put into its form yet.
    pub(super) async fn send_rows(&mut self, answer: &mut Answer, limit: usize) -> Outcome<bool> {
        let most = if limit == 0 { usize::MAX } else { limit };
        let mut given = 0;
        loop {
            given += answer.put_some(most - given, &mut self.session.client.out);
            if given == most || !answer.has_rows() {
                break;
            }
            // A client that takes its time needs no server.
            if self.session.upstream.has_connection() {
                self.session.release().await;
            }
            self.session.client.send_if_much().await?;
        }
        let is_end = answer.end(given, limit, &mut self.session.client.out);
        self.session.client.send_if_much().await?;
        Ok(is_end)
    }
}
