//! What each message of the extended protocol does.

mod bind;
mod columns;
mod describe;
mod execute;
mod parse;

use std::sync::Arc;

use flywheel_execute::is_current;
use flywheel_wire::backend;
use flywheel_wire::frontend::Target;
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use crate::session::parts::Message;
use crate::session::step::{Step, Undo};
use crate::session::work::Work;
use crate::session::{Outcome, PreparedStatement, Session};

pub(super) use bind::put_bind;
pub(super) use columns::TakenColumns;

impl Work {
    /// `following` is what the batch has behind the message.
    pub(in crate::session) async fn message(
        &mut self,
        message: Message,
        following: &[Message],
        session: &mut Session,
    ) -> Outcome<()> {
        match message {
            Message::Parse(parse) => self.parse(parse, session).await,
            Message::Bind(bind) => self.bind(bind, following, session).await,
            Message::Describe(Target::Statement, name) => {
                self.describe_statement(&name, session).await
            }
            Message::Describe(Target::Portal, name) => self.describe_portal(&name, session).await,
            Message::Execute(execute) => self.execute(&execute, following, session).await,
            Message::Close(target, name) => self.close(target, &name, session).await,
        }
    }

    /// The statement, planned anew when the names in it may mean something else than when it was
    /// prepared. Its parameters keep their types.
    pub(super) async fn current(
        &mut self,
        statement: Arc<PreparedStatement>,
        session: &mut Session,
    ) -> Outcome<Arc<PreparedStatement>> {
        let types = match &statement.store {
            Some(store) if !is_current(session, store) => statement.parameters().to_vec(),
            // One that was answered from memory without being planned.
            None if statement.analysis.concerns_any_store()
                && statement.analysis.statements.len() == 1 =>
            {
                statement.types.clone()
            }
            _ => return Ok(statement),
        };
        self.catch_up(session).await?;
        let store = Box::pin(session.executor().prepare_store(&statement.analysis, &types)).await?;
        if let Ok(planned) = statement.with_store(store) {
            return Ok(Arc::new(planned));
        }
        // The plan may be of a transaction that was rolled back: PostgreSQL is asked.
        let store =
            Box::pin(session.executor().prepare_parsed(&statement.analysis, &types)).await?;
        Ok(Arc::new(statement.with_store(store)?))
    }

    async fn close(&mut self, target: Target, name: &str, session: &mut Session) -> Outcome<()> {
        match target {
            // Others may use the statement of the same content: it stays on the server.
            Target::Statement => match session.prepared.statements.remove(name) {
                None if session.upstream.may_have_of_sql(name) => {
                    session.put(|out| message::close(b'S', name, out)).await?;
                    self.steps.push_back(Step::Short);
                }
                Some(statement) if statement.by_sql => {
                    let undo = Undo { name: name.to_owned(), before: Some(statement) };
                    self.local_with_undo(undo, |_| {});
                    session.put(|out| message::close(b'S', name, out)).await?;
                    self.steps.push_back(Step::Short);
                    session.upstream.pins.note_release();
                }
                before => {
                    let name = name.to_owned();
                    self.local_with_undo(Undo { name, before }, backend::close_complete);
                }
            },
            Target::Portal => match session.prepared.portals.remove(name) {
                Some(portal) if portal.statement.is_local() => self.local(backend::close_complete),
                // One that isn't known here may be a cursor of SQL's.
                _ if session.has_server() => {
                    session.put(|out| message::close(b'P', name, out)).await?;
                    self.steps.push_back(Step::Short);
                }
                _ => self.local(backend::close_complete),
            },
        }
        Ok(())
    }
}

pub(super) fn no_statement(name: &str) -> PgError {
    let which = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    PgError::error(sqlstate::INVALID_STATEMENT_NAME, which)
}
