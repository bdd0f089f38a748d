//! Prepared statements whose definitions have changed: they are prepared anew, and the batch that has met one is worked off once more.
//!
//! "cached plan must not change result type" is what PostgreSQL tells a session that has prepared a statement and goes on using it after its result
//! has changed. Here several sessions use what one of them has prepared, so that the error need not concern the one that meets it. The statement is prepared anew and
//! the batch repeated, which is safe as long as nothing of it was carried out; the error is left only to a client that was told other columns than
//! the rows would have, and isn't told them again.

use std::sync::Arc;

use flywheel_postgres::is_about_statement;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::frontend::Target;
use flywheel_wire::{Frame, PgError, sqlstate};

use super::batch::Message;
use super::relay::Step;
use super::work::Work;
use super::{Failure, Outcome, PreparedStatement, Session};
use crate::front::Mark;

/// A batch under way that can be worked off once more.
#[derive(Debug)]
pub(super) struct Renewal {
    /// Where its answer begins in what the client is told.
    mark: Mark,
    /// Something of it was carried out.
    executed: bool,
    /// A statement has to be prepared anew first.
    wanted: bool,
}

impl Session {
    /// Works messages off, and once more for each statement that turns out to be outdated.
    pub(super) async fn work_off_renewed(&mut self, mut batch: Vec<Message>, frames: &[Frame], at_sync: bool) -> Outcome<bool> {
        let uses_named = |message: &Message| match message {
            Message::Bind(bind) => !bind.statement.is_empty(),
            Message::Describe(Target::Statement, name) => !name.is_empty(),
            _ => false,
        };
        let can_repeat = self.status == TransactionStatus::Idle
            && !self.unsynced
            && batch.iter().any(uses_named)
            && (at_sync || !self.must_keep_open(&batch));
        if can_repeat {
            let own = |message: &Message| !matches!(message, Message::Parse(parse) if self.statements.contains_key(&parse.name));
            let parsed: Vec<bool> = batch.iter().map(own).collect();
            for _ in frames {
                let mark = self.client.mark();
                self.renewal = Some(Renewal {
                    mark,
                    executed: false,
                    wanted: false,
                });
                let worked = self.work_off_messages(batch, at_sync).await;
                let renewal = self.renewal.take();
                if !renewal.is_some_and(|renewal| renewal.wanted) || matches!(worked, Err(Failure::Session(_))) || !self.has_server() {
                    return worked;
                }
                self.client.take_back(mark);
                batch = frames.iter().filter_map(|frame| Message::read(frame).ok()).collect();
                let mut made = batch.clone();
                let mut parsed = parsed.iter();
                made.retain(|_| parsed.next().copied().unwrap_or(true));
                self.undo_batch(&made);
                self.sync_server(true).await?;
            }
        }
        self.work_off_messages(batch, at_sync).await
    }

    /// Something of the batch is carried out: it can't be repeated any more.
    pub(super) fn note_execution(&mut self) {
        if let Some(renewal) = &mut self.renewal {
            renewal.executed = true;
        }
    }

    /// Takes in an error of the server; whether the batch is to be worked off once more, so that the client needn't hear of it.
    pub(super) fn is_for_renewal(&mut self, error: &PgError, step: &Step) -> bool {
        let (Step::Bind { statement, .. } | Step::DescribeStatement { statement, .. }) = step else {
            return false;
        };
        match &mut self.renewal {
            Some(renewal) if !renewal.executed && self.client.can_take_back(renewal.mark) => {
                renewal.wanted = !statement.server_name.is_empty() && is_about_statement(error);
                renewal.wanted
            }
            _ => false,
        }
    }

    /// Sees to it that the rows of a statement have the columns that the client takes them to have.
    pub(super) async fn check_columns(&mut self, statement: &Arc<PreparedStatement>, work: &mut Work) -> Outcome<()> {
        let is_known = |session: &mut Self| {
            let columns = session.held_server().and_then(|lease| lease.columns_of(&statement.server_name));
            let told = statement.known().columns;
            told.is_none() || told == columns
        };
        if statement.server_name.is_empty() || is_known(self) {
            return Ok(());
        }
        self.put_describe(statement, false, work).await?;
        self.flush_steps(std::mem::take(work)).await?;
        if self.skipping {
            return Err(Failure::Told);
        }
        if is_known(self) {
            return Ok(());
        }
        let error = PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, "cached plan must not change result type");
        // Drivers know it by its routine, and prepare their statement anew.
        Err(error
            .with_field(b'F', "plancache.c")
            .with_field(b'R', "RevalidateCachedQuery")
            .into())
    }
}

/// Whether one of these messages, which follow a Bind, tells the client the portal's columns before it runs.
pub(super) fn tells_columns(portal: &str, following: &[Message]) -> bool {
    for message in following {
        match message {
            Message::Describe(Target::Portal, name) if name == portal => return true,
            Message::Execute(execute) if execute.portal == portal => return false,
            Message::Bind(bind) if bind.portal == portal => return false,
            _ => {}
        }
    }
    false
}
