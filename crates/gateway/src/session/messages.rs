//! What each message of the extended protocol does.

use std::sync::Arc;

use bytes::BytesMut;
use flywheel_postgres::{PORTAL_STEPS, Portal};
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::frontend::{Bind, Execute, Parse, Target};
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use super::batch::Message;
use super::relay::Step;
use super::renewal::tells_columns;
use super::work::Work;
use super::{BoundPortal, Outcome, PreparedStatement, Progress, Session};
use crate::analysis::Analysis;
use crate::execute::{Answer, Arguments, StoreStatement};

impl Session {
    /// `following` is what the batch has behind the message.
    pub(super) async fn work_message(&mut self, message: Message, following: &[Message], work: &mut Work) -> Outcome<()> {
        match message {
            Message::Parse(parse) => self.work_parse(parse, work).await,
            Message::Bind(bind) => self.work_bind(bind, following, work).await,
            Message::Describe(Target::Statement, name) => self.describe_statement(&name, work).await,
            Message::Describe(Target::Portal, name) => self.describe_portal(&name, work).await,
            Message::Execute(execute) => self.work_execute(&execute, work).await,
            Message::Close(target, name) => self.work_close(target, &name, work).await,
        }
    }

    async fn work_parse(&mut self, parse: Parse, work: &mut Work) -> Outcome<()> {
        if !parse.name.is_empty() && self.statements.contains_key(&parse.name) {
            self.catch_up(work).await?;
            let message = format!("prepared statement \"{}\" already exists", parse.name);
            return Err(PgError::error(sqlstate::DUPLICATE_PREPARED_STATEMENT, message).into());
        }
        let analysis = self.shared.analyses.of(&parse.query);
        if let Err(failure) = self.check_session_effect(&analysis) {
            self.catch_up(work).await?;
            return Err(failure);
        }
        let mut store = None;
        if analysis.concerns_any_store() && analysis.statements.len() == 1 {
            self.catch_up(work).await?;
            self.check_not_failed()?;
            store = Some(self.prepare_store(&analysis, &parse.parameter_types).await?);
        }
        let context = (&self.settings, self.block.local_settings(), self.shared.catalogue.definitions());
        let statement = Arc::new(PreparedStatement::new(
            &parse.name,
            analysis,
            parse.parameter_types,
            store,
            &context,
        ));
        self.statements.insert(parse.name.clone(), statement.clone());
        if statement.is_local() {
            work.local(backend::parse_complete);
            return Ok(());
        }
        let known = !statement.server_name.is_empty() && {
            let strictly = self.status == TransactionStatus::InTransaction;
            let lease = self.server().await?;
            lease.renew_prepared(&statement.server_name, statement.known().since, strictly);
            lease.prepare_once(&statement.server_name)
        };
        if known {
            work.local(backend::parse_complete);
            return Ok(());
        }
        self.put_parse(&statement, Some(parse.name), work).await
    }

    /// Sends Parse of a statement that the server connection doesn't have.
    async fn put_parse(&mut self, statement: &Arc<PreparedStatement>, client_name: Option<String>, work: &mut Work) -> Outcome<()> {
        let server_name = statement.server_name.clone();
        if !server_name.is_empty() && self.server().await?.take_outdated(&server_name) {
            self.put(|out| message::close(b'S', &server_name, out)).await?;
            work.steps.push_back(Step::Hidden);
        }
        self.put(|out| message::parse(&server_name, &statement.analysis.text, statement.types.iter().copied(), out))
            .await?;
        if server_name.is_empty() {
            self.unnamed_on_server = Some(statement.clone());
        }
        work.steps.push_back(Step::Parse { server_name, client_name });
        Ok(())
    }

    /// Sees to it that the server connection has the statement under its name.
    async fn ensure_parsed(&mut self, statement: &Arc<PreparedStatement>, work: &mut Work) -> Outcome<()> {
        if self.server().await?.take_unnamed_lost() {
            self.unnamed_on_server = None;
        }
        let strictly = self.status == TransactionStatus::InTransaction;
        let lease = self.server().await?;
        let known = match statement.server_name.as_str() {
            "" => self
                .unnamed_on_server
                .as_ref()
                .is_some_and(|unnamed| Arc::ptr_eq(unnamed, statement)),
            name => {
                lease.renew_prepared(name, statement.known().since, strictly);
                lease.prepare_once(name)
            }
        };
        if known {
            Ok(())
        } else {
            self.put_parse(statement, None, work).await
        }
    }

    async fn work_bind(&mut self, bind: Bind, following: &[Message], work: &mut Work) -> Outcome<()> {
        let Some(statement) = self.statements.get(&bind.statement).cloned() else {
            self.catch_up(work).await?;
            return Err(no_statement(&bind.statement).into());
        };
        if !bind.portal.is_empty() && self.portals.contains_key(&bind.portal) && self.status != TransactionStatus::Idle {
            self.catch_up(work).await?;
            return Err(PgError::error(sqlstate::DUPLICATE_CURSOR, format!("cursor \"{}\" already exists", bind.portal)).into());
        }
        let statement = self.current(statement, work).await?;
        if statement.is_local() {
            let wanted = statement.store.as_ref().map_or(0, |store| store.parameters().len());
            if bind.parameters.len() != wanted {
                self.catch_up(work).await?;
                let message = format!(
                    "bind message supplies {} parameters, but prepared statement \"{}\" requires {wanted}",
                    bind.parameters.len(),
                    bind.statement
                );
                return Err(PgError::error(sqlstate::PROTOCOL_VIOLATION, message).into());
            }
            work.local(backend::bind_complete);
        } else {
            self.ensure_parsed(&statement, work).await?;
            if !tells_columns(&bind.portal, following)
                && let Err(failure) = self.check_columns(&statement, work).await
            {
                self.catch_up(work).await?;
                return Err(failure);
            }
            self.put(|out| put_bind(&bind, &statement.server_name, out)).await?;
            work.steps.push_back(Step::Bind(statement.clone()));
        }
        let portal = BoundPortal {
            statement,
            formats: bind.parameter_formats,
            values: bind.parameters,
            result_formats: bind.result_formats,
            progress: Progress::New,
        };
        self.portals.insert(bind.portal, portal);
        Ok(())
    }

    /// The statement, planned anew when the names in it may mean something else than when it was prepared.
    async fn current(&mut self, statement: Arc<PreparedStatement>, work: &mut Work) -> Outcome<Arc<PreparedStatement>> {
        match &statement.store {
            Some(store) if !self.is_current(store) => {
                self.catch_up(work).await?;
                let store = self.prepare_store(&statement.analysis, &statement.types).await?;
                Ok(Arc::new(statement.with_store(store)))
            }
            _ => Ok(statement),
        }
    }

    async fn describe_statement(&mut self, name: &str, work: &mut Work) -> Outcome<()> {
        let Some(statement) = self.statements.get(name).cloned() else {
            self.catch_up(work).await?;
            return Err(no_statement(name).into());
        };
        match &statement.store {
            Some(store) if statement.is_local() => work.local(|out| {
                backend::parameter_description(out, store.parameters());
                match store.fields() {
                    Some(fields) => backend::row_description(out, fields, &[]),
                    None => backend::no_data(out),
                }
            }),
            _ => {
                self.ensure_parsed(&statement, work).await?;
                self.put_describe(&statement, true, work).await?;
            }
        }
        Ok(())
    }

    /// Sends Describe of a statement that the server connection has.
    pub(super) async fn put_describe(&mut self, statement: &Arc<PreparedStatement>, show: bool, work: &mut Work) -> Outcome<()> {
        self.put(|out| message::describe(b'S', &statement.server_name, out)).await?;
        let statement = statement.clone();
        work.steps.push_back(Step::DescribeStatement { statement, show });
        Ok(())
    }

    async fn describe_portal(&mut self, name: &str, work: &mut Work) -> Outcome<()> {
        match self.portals.get(name) {
            Some(portal) if portal.statement.is_local() => {
                let fields = portal.statement.store.as_ref().and_then(|store| store.fields());
                work.local(|out| match fields {
                    Some(fields) => backend::row_description(out, fields, &portal.result_formats),
                    None => backend::no_data(out),
                });
            }
            // A portal that isn't known here may be a cursor of the server's.
            portal => {
                let step = portal.map_or(Step::Short, |portal| Step::DescribePortal(portal.statement.clone()));
                self.server().await?;
                self.put(|out| message::describe(b'P', name, out)).await?;
                work.steps.push_back(step);
            }
        }
        Ok(())
    }

    async fn work_execute(&mut self, execute: &Execute, work: &mut Work) -> Outcome<()> {
        let Some(portal) = self.portals.get(&execute.portal) else {
            self.catch_up(work).await?;
            return Err(PgError::error(
                sqlstate::INVALID_CURSOR_NAME,
                format!("portal \"{}\" does not exist", execute.portal),
            )
            .into());
        };
        let statement = portal.statement.clone();
        let control = statement
            .analysis
            .statements
            .first()
            .is_some_and(|first| self.must_handle(first.verb));
        if control || statement.is_local() {
            self.note_execution();
        }
        if control {
            self.catch_up(work).await?;
            let tag = self.transaction_control(&statement.analysis, 0).await?;
            backend::command_complete(&mut self.client.out, &tag);
        } else if let Some(tag) = self.deallocate(&statement.analysis) {
            work.local(|out| backend::command_complete(out, tag));
        } else if let Some(store) = statement.store.clone().filter(|store| store.is_copy()) {
            self.catch_up(work).await?;
            self.check_not_failed()?;
            self.put_copy(&store, &statement.analysis).await?;
            work.steps.extend((0..PORTAL_STEPS).map(|_| Step::Hidden));
            work.steps.push_back(Step::Execute(statement));
        } else if statement.is_local() {
            self.catch_up(work).await?;
            self.execute_local(execute).await?;
        } else {
            self.server().await?;
            self.put(|out| message::execute(&execute.portal, execute.max_rows, out)).await?;
            work.steps.push_back(Step::Execute(statement));
        }
        Ok(())
    }

    /// Sends COPY with the rows of store tables put in.
    async fn put_copy(&mut self, store: &StoreStatement, analysis: &Analysis) -> Outcome<()> {
        let Some(text) = self.relayed_text(store, analysis).await? else {
            return Ok(());
        };
        let lease = self.server().await?;
        let portal = Portal {
            sql: &text,
            ..Portal::default()
        };
        let put = lease.put_portal(&portal);
        put.map_err(|error| self.server_failed(&error))
    }

    /// Runs a portal that Flywheel answers, or goes on with one that a row limit has suspended.
    async fn execute_local(&mut self, execute: &Execute) -> Outcome<()> {
        let Some(mut portal) = self.portals.remove(&execute.portal) else {
            return Ok(());
        };
        let answer = match (std::mem::take(&mut portal.progress), &portal.statement.store) {
            (Progress::Suspended(rest), _) => Ok(rest),
            (Progress::Finished, Some(store)) if store.fields().is_some() => {
                portal.progress = Progress::Finished;
                Ok(Answer::tagged("SELECT 0"))
            }
            (Progress::Finished, _) => {
                let message = format!("portal \"{}\" cannot be run", execute.portal);
                Err(PgError::error(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into())
            }
            (Progress::New, Some(store)) => {
                let store = store.clone();
                self.check_not_failed()?;
                let arguments = Arguments {
                    formats: &portal.formats,
                    values: &portal.values,
                    result_formats: &portal.result_formats,
                };
                let answer = self.answer(&store, &arguments).await;
                if answer.is_ok() {
                    let analysis = portal.statement.analysis.clone();
                    self.note_effect(&analysis.statements[0], &analysis, 0);
                }
                answer
            }
            (Progress::New, None) => return Ok(()),
        };
        let mut answer = answer?;
        let finished = answer.write_some(&mut self.client.out, usize::try_from(execute.max_rows).unwrap_or(0));
        portal.progress = if finished {
            Progress::Finished
        } else {
            Progress::Suspended(answer)
        };
        self.portals.insert(execute.portal.clone(), portal);
        self.client.send_if_much().await?;
        Ok(())
    }

    async fn work_close(&mut self, target: Target, name: &str, work: &mut Work) -> Outcome<()> {
        match target {
            // Others may use the statement of the same content: it stays on the server.
            Target::Statement => {
                self.statements.remove(name);
                work.local(backend::close_complete);
            }
            Target::Portal => match self.portals.remove(name) {
                Some(portal) if !portal.statement.is_local() && self.has_server() => {
                    self.put(|out| message::close(b'P', name, out)).await?;
                    work.steps.push_back(Step::Short);
                }
                _ => work.local(backend::close_complete),
            },
        }
        Ok(())
    }

    /// Appends a message for the server.
    async fn put(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Outcome<()> {
        let lease = self.server().await?;
        write(lease.out()).map_err(|error| PgError::error(sqlstate::PROTOCOL_VIOLATION, error.to_string()).into())
    }
}

fn no_statement(name: &str) -> PgError {
    let which = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    PgError::error(sqlstate::INVALID_STATEMENT_NAME, which)
}

/// Bind with the statement's name on the server.
pub(super) fn put_bind(bind: &Bind, server_name: &str, out: &mut BytesMut) -> std::io::Result<()> {
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
