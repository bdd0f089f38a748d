//! Bind.

use std::sync::Arc;

use bytes::BytesMut;
use flywheel_execute::StoreStatement;
use flywheel_wire::backend;
use flywheel_wire::frontend::Bind;
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use super::columns::tells_columns;
use super::no_statement;
use crate::session::parts::Message;
use crate::session::step::Step;
use crate::session::work::Work;
use crate::session::{BoundPortal, Failure, Outcome, PreparedStatement, Session};

impl Work {
    pub(super) async fn bind(
        &mut self,
        mut bind: Bind,
        following: &[Message],
        session: &mut Session,
    ) -> Outcome<()> {
        let Some(statement) = session.prepared.statements.get(&bind.statement).cloned() else {
            if session.upstream.may_have_of_sql(&bind.statement) {
                if !session.shared.stores.twins.is_empty() && !session.transaction.has_failed() {
                    let empty = session.shared.analyses.of("");
                    session.guarded_batch().mark(&empty, self).await?;
                }
                session.put(|out| put_bind(&bind, &bind.statement, out)).await?;
                self.steps.push_back(Step::Short);
                // PREPARE allows no statement that would do something to the session.
                let statement =
                    PreparedStatement::unnamed(session.shared.analyses.of(""), Vec::new());
                session
                    .prepared
                    .portals
                    .insert(bind.portal.clone(), BoundPortal::new(Arc::new(statement), bind));
                return Ok(());
            }
            return self.fail(no_statement(&bind.statement), session).await;
        };
        let checked = session.encoding().check_local(&statement);
        if let Err(error) =
            checked.and_then(|()| session.defaults().check_shown(&statement.analysis))
        {
            return self.fail(error, session).await;
        }
        if statement.is_local()
            && let Err(error) = check_parameters(&bind, statement.parameters().len())
        {
            return self.fail(error, session).await;
        }
        if statement.is_local()
            && let Err(Failure::Statement(error)) = session.transaction.check_not_failed()
        {
            return self.fail(error, session).await;
        }
        // Where both are the server's, it knows better: savepoints and CLOSE end portals too.
        let is_local = |portal: &BoundPortal| portal.statement.is_local() || statement.is_local();
        if !bind.portal.is_empty()
            && !session.transaction.is_idle()
            && session.prepared.portals.get(&bind.portal).is_some_and(is_local)
        {
            let message = format!("cursor \"{}\" already exists", bind.portal);
            return self.fail(PgError::error(sqlstate::DUPLICATE_CURSOR, message), session).await;
        }
        let statement = self.current(statement, session).await?;
        session.defaults().note_shown(&statement.analysis);
        session.settings.bind_startup_values(&statement.analysis, &mut bind);
        if statement.is_local() {
            if let Some(store) = &statement.store
                && let Err(error) = check_parameters(&bind, statement.parameters().len())
                    .and_then(|()| check_result_formats(&bind, store))
            {
                return self.fail(error, session).await;
            }
            self.local(backend::bind_complete);
        } else {
            if !self.is_proved && session.proofs().must_guard(&statement.analysis) {
                // To plan it may be to run a function in it.
                session.guarded_batch().mark(&statement.analysis, self).await?;
            }
            let is_parsed_anew = self.ensure_parsed(&statement, session).await?;
            if !tells_columns(&bind, following) {
                if let Err(failure) = self.check_columns(&statement, session).await {
                    self.catch_up(session).await?;
                    return Err(failure);
                }
                if is_parsed_anew
                    && statement.server_name.is_empty()
                    && statement.known().columns.is_some()
                {
                    self.check_unnamed(&statement, session).await?;
                }
            }
            session.put(|out| put_bind(&bind, &statement.server_name, out)).await?;
            self.steps.push_back(Step::Bind {
                statement: statement.clone(),
                client_name: bind.statement.clone(),
            });
        }
        let name = bind.portal.clone();
        let mut portal = BoundPortal::new(statement, bind);
        portal.as_of = session.prepared.changes;
        session.prepared.portals.insert(name, portal);
        Ok(())
    }
}

/// PostgreSQL looks at the number of parameters before anything else.
fn check_parameters(bind: &Bind, wanted: usize) -> Result<(), PgError> {
    let (formats, given) = (bind.parameter_formats.len(), bind.parameters.len());
    let message = if formats > 1 && formats != given {
        format!("bind message has {formats} parameter formats but {given} parameters")
    } else if given != wanted {
        let name = &bind.statement;
        format!(
            "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
        )
    } else {
        return Ok(());
    };
    Err(PgError::error(sqlstate::PROTOCOL_VIOLATION, message))
}

fn check_result_formats(bind: &Bind, statement: &StoreStatement) -> Result<(), PgError> {
    let formats = bind.result_formats.len();
    match statement.fields().map(<[_]>::len) {
        Some(columns) if formats > 1 && formats != columns => {
            let message = format!(
                "bind message has {formats} result formats but query has {columns} columns"
            );
            Err(PgError::error(sqlstate::PROTOCOL_VIOLATION, message))
        }
        _ => Ok(()),
    }
}

/// Bind with the statement's name on the server.
pub(in crate::session) fn put_bind(
    bind: &Bind,
    server_name: &str,
    out: &mut BytesMut,
) -> std::io::Result<()> {
    use bytes::BufMut;
    message::bind(
        &bind.portal,
        server_name,
        bind.parameter_formats.iter().copied(),
        &bind.parameters,
        |value, out| {
            Ok(match value {
                Some(bytes) => {
                    out.put_slice(bytes);
                    postgres_protocol::IsNull::No
                }
                None => postgres_protocol::IsNull::Yes,
            })
        },
        bind.result_formats.iter().copied(),
        out,
    )
    .map_err(|error| match error {
        message::BindError::Conversion(error) => std::io::Error::other(error),
        message::BindError::Serialization(error) => error,
    })
}
