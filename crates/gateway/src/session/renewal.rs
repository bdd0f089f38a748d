//! Prepared statements whose definitions have changed: they are prepared anew, and the batch that
//! has met one is worked off once more.
//!
//! "cached plan must not change result type" is what PostgreSQL tells a session that has prepared a
//! statement and goes on using it after its result has changed. Here several sessions use what one
//! of them has prepared, so that the error need not concern the one that meets it. The statement is
//! prepared anew and the batch repeated, which is safe as long as nothing of it was carried out;
//! the error is left only to a client that was told other columns than the rows would have, and
//! isn't told them again.
//!
//! An outdated prepared statement is prepared anew and its batch repeated, as long as nothing of
//! the batch was carried out. A client that has been told other columns, and isn't told them again
//! with the rows, gets PostgreSQL's 0A000 instead: it would misread them. In a block, where nothing
//! can be repeated, a version that is older than the client's own Parse isn't used.

use flywheel_postgres::is_about_statement;
use flywheel_wire::frontend::Target;
use flywheel_wire::{Frame, PgError};

use super::parts::{Message, Renewal};
use super::step::Step;
use super::{Failure, Outcome, Session};

/// A batch that is worked off once more when a statement of it is outdated.
pub(super) struct Renewing<'s> {
    pub(super) session: &'s mut Session,
}

impl Renewing<'_> {
    /// Works messages off, and once more for each statement that turns out to be outdated.
    pub(super) async fn work_off(
        &mut self,
        mut batch: Vec<Message>,
        frames: &[Frame],
        at_sync: bool,
    ) -> Outcome<bool> {
        let uses_named = |message: &Message| match message {
            Message::Bind(bind) => !bind.statement.is_empty(),
            Message::Describe(Target::Statement, name) => !name.is_empty(),
            _ => false,
        };
        let can_repeat = self.session.transaction.is_idle()
            && !self.session.upstream.is_unsynced()
            && batch.iter().any(uses_named)
            && (at_sync || !self.session.batches().must_keep_open(&batch));
        if can_repeat {
            let statements = &self.session.prepared.statements;
            let own = |message: &Message| match message {
                Message::Parse(parse) => !statements.contains_key(&parse.name),
                _ => true,
            };
            let parsed: Vec<bool> = batch.iter().map(own).collect();
            for _ in frames {
                let mark = self.session.client.mark();
                self.session.renewal = Some(Renewal::new(mark));
                let worked = self.session.batches().work_off_messages(batch, at_sync).await;
                let renewal = self.session.renewal.take();
                if !renewal.is_some_and(|renewal| renewal.is_wanted())
                    || matches!(worked, Err(Failure::Session(_)))
                    || !self.session.has_server()
                {
                    return worked;
                }
                self.session.client.take_back(mark);
                batch = frames.iter().filter_map(|frame| Message::read(frame).ok()).collect();
                let mut made = batch.clone();
                let mut parsed = parsed.iter();
                made.retain(|_| parsed.next().copied().unwrap_or(true));
                self.session.replicas().undo_batch(&made);
                self.session.sync_server(true).await?;
            }
        }
        self.session.batches().work_off_messages(batch, at_sync).await
    }

    /// Something of the batch is carried out: it can't be repeated any more.
    pub(super) fn note_execution(&mut self) {
        if let Some(renewal) = &mut self.session.renewal {
            renewal.note_execution();
        }
    }

    /// Takes in an error of the server; whether the batch is to be worked off once more, so that
    /// the client needn't hear of it.
    pub(super) fn is_for_renewal(&mut self, error: &PgError, step: &Step) -> bool {
        let (Step::Bind { statement, .. } | Step::DescribeStatement { statement, .. }) = step
        else {
            return false;
        };
        let Some(renewal) = &mut self.session.renewal else { return false };
        let is_outdated =
            !statement.server_name.is_empty() && !statement.by_sql && is_about_statement(error);
        renewal.takes(is_outdated, &self.session.client)
    }
}
