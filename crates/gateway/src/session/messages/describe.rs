//! Describe.

use std::sync::Arc;

use flywheel_wire::backend;
use postgres_protocol::message::frontend as message;

use super::no_statement;
use crate::session::step::Step;
use crate::session::work::Work;
use crate::session::{Failure, Outcome, PreparedStatement, Session};

impl Work {
    pub(super) async fn describe_statement(
        &mut self,
        name: &str,
        session: &mut Session,
    ) -> Outcome<()> {
        let Some(statement) = session.prepared.statements.get(name).cloned() else {
            if session.upstream.may_have_of_sql(name) {
                session.put(|out| message::describe(b'S', name, out)).await?;
                self.steps.push_back(Step::DescribeOfSql);
                return Ok(());
            }
            return self.fail(no_statement(name), session).await;
        };
        let returns_rows = statement.store.as_ref().is_some_and(|store| store.fields().is_some());
        if statement.is_local()
            && returns_rows
            && let Err(Failure::Statement(error)) = session.transaction.check_not_failed()
        {
            return self.fail(error, session).await;
        }
        let statement = match self.current(statement.clone(), session).await {
            Err(Failure::Statement(error)) if statement.is_local() => {
                // As in PostgreSQL, the parameters' types come first: they don't change.
                self.local(|out| backend::parameter_description(out, statement.parameters()));
                return self.fail(error, session).await;
            }
            current => current?,
        };
        match &statement.store {
            Some(store) if statement.is_local() => self.local(|out| {
                backend::parameter_description(out, statement.parameters());
                match store.fields() {
                    Some(fields) => backend::row_description(out, fields, &[]),
                    None => backend::no_data(out),
                }
            }),
            _ => {
                self.ensure_parsed(&statement, session).await?;
                self.put_describe(&statement, true, session).await?;
            }
        }
        Ok(())
    }

    /// Sends Describe of a statement that the server connection has.
    pub(in crate::session) async fn put_describe(
        &mut self,
        statement: &Arc<PreparedStatement>,
        show: bool,
        session: &mut Session,
    ) -> Outcome<()> {
        session.put(|out| message::describe(b'S', &statement.server_name, out)).await?;
        let statement = statement.clone();
        self.steps.push_back(Step::DescribeStatement { statement, show });
        Ok(())
    }

    pub(super) async fn describe_portal(
        &mut self,
        name: &str,
        session: &mut Session,
    ) -> Outcome<()> {
        match session.prepared.portals.get(name) {
            Some(portal) if portal.statement.is_local() => {
                let fields = portal.statement.store.as_ref().and_then(|store| store.fields());
                self.local(|out| match fields {
                    Some(fields) => backend::row_description(out, fields, &portal.result_formats),
                    None => backend::no_data(out),
                });
            }
            // A portal that isn't known here may be a cursor of the server's.
            portal => {
                let step = portal
                    .map_or(Step::Short, |portal| Step::DescribePortal(portal.statement.clone()));
                session.server().await?;
                session.put(|out| message::describe(b'P', name, out)).await?;
                self.steps.push_back(step);
            }
        }
        Ok(())
    }
}
