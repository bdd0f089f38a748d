//! The columns that a client takes a prepared statement to have, before its rows come.

use std::sync::Arc;

use flywheel_execute::changed_result;
use flywheel_postgres::ServerError;
use flywheel_wire::frontend::{Bind, Target};
use postgres_protocol::message::frontend;

use crate::session::parts::Message;
use crate::session::work::Work;
use crate::session::{Failure, Outcome, PreparedStatement, Session};

impl Work {
    /// Sees to it that the rows of a statement have the columns that the client takes them to have.
    pub(super) async fn check_columns(
        &mut self,
        statement: &Arc<PreparedStatement>,
        session: &mut Session,
    ) -> Outcome<()> {
        let is_known = |session: &mut Session| {
            let columns =
                session.held_server().and_then(|lease| lease.columns_of(&statement.server_name));
            let told = statement.known().columns;
            told.is_none() || told == columns
        };
        if statement.server_name.is_empty() || statement.by_sql || is_known(session) {
            return Ok(());
        }
        self.put_describe(statement, false, session).await?;
        std::mem::take(self).flush_steps(session).await?;
        if session.phase.is_skipping() {
            return Err(Failure::Told);
        }
        if is_known(session) {
            return Ok(());
        }
        Err(changed_result().into())
    }

    /// [`Self::check_columns`] of the unnamed statement, which has just been sent to the server
    /// anew: its columns are asked for on the way. Whatever of the batch would stay waits for the
    /// answer.
    pub(super) async fn check_unnamed(
        &mut self,
        statement: &Arc<PreparedStatement>,
        session: &mut Session,
    ) -> Outcome<()> {
        self.put_describe(statement, false, session).await?;
        if session.transaction.is_well() || statement.analysis.is_repeatable() {
            return Ok(());
        }
        std::mem::take(self).flush_steps(session).await?;
        if session.phase.is_skipping() { Err(Failure::Told) } else { Ok(()) }
    }
}

/// A session whose client takes a statement to have columns.
pub(in crate::session) struct TakenColumns<'s> {
    pub(in crate::session) session: &'s mut Session,
}

impl TakenColumns<'_> {
    /// What the columns of a statement are, which Flywheel itself has asked for. The error leaves
    /// the server at rest.
    pub(in crate::session) async fn check(
        &mut self,
        columns: Option<u64>,
        statement: &PreparedStatement,
    ) -> Outcome<()> {
        let told = statement.known().columns;
        if !statement.server_name.is_empty() || told.is_none() || told == columns {
            return Ok(());
        }
        if let Some(lease) = self.session.held_server() {
            if !lease.is_busy() {
                frontend::sync(lease.out());
                lease.expect_ready();
            }
            let rested = async {
                lease.send().await?;
                lease.until_ready(drop).await
            };
            match rested.await {
                Ok(()) | Err(ServerError::Postgres(_)) => {}
                Err(error) => return Err(self.session.server_failed(&error)),
            }
        }
        self.session.upstream.note_synced();
        self.session.follow_server();
        Err(changed_result().into())
    }
}

/// Whether one of these messages, which follow a Bind, tells the client the portal's columns before
/// it runs. One that has given each column a format takes them for what it was told before.
pub(super) fn tells_columns(bind: &Bind, following: &[Message]) -> bool {
    let portal = &bind.portal;
    if bind.result_formats.len() > 1 {
        return false;
    }
    for message in following {
        match message {
            Message::Describe(Target::Portal, name) if name == portal => return true,
            Message::Execute(execute) if execute.portal == *portal => return false,
            Message::Bind(bind) if bind.portal == *portal => return false,
            _ => {}
        }
    }
    false
}
