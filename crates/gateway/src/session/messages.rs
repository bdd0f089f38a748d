//! What each message of the extended protocol does.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flywheel_plan::Parameters;
use flywheel_postgres::{PORTAL_STEPS, Portal};
use flywheel_sql::{SessionEffect, Statement, Verb};
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::frontend::{Bind, Execute, Parse, Target};
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use super::batch::Message;
use super::relay::{Step, Undo};
use super::renewal::tells_columns;
use super::work::Work;
use super::{BoundPortal, Failure, Outcome, PreparedStatement, Progress, Session};
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
            // PostgreSQL finds what else is wrong with it first.
            if !self.shared.analyses.of(&parse.query).concerns_any_store() {
                let statement = PreparedStatement::unnamed(self.shared.analyses.of(&parse.query), parse.parameter_types);
                self.put_parse(&Arc::new(statement), None, work).await?;
                self.unnamed_on_server = None;
            }
            let message = format!("prepared statement \"{}\" already exists", parse.name);
            return self
                .fail(PgError::error(sqlstate::DUPLICATE_PREPARED_STATEMENT, message), work)
                .await;
        }
        let analysis = self.shared.analyses.of(&parse.query);
        match self.check_session_effect(&analysis) {
            Ok(()) => {}
            Err(Failure::Statement(error)) => return self.fail(error, work).await,
            Err(failure) => return Err(failure),
        }
        let mut store = None;
        if (analysis.concerns_any_store() || self.executes_prepared(&analysis)) && analysis.statements.len() == 1 {
            self.catch_up(work).await?;
            self.check_not_failed()?;
            store = Some(Box::pin(self.prepare_store(&analysis, &parse.parameter_types)).await?);
        }
        let context = (&self.settings, self.block.local_settings(), self.shared.catalogue.definitions());
        let statement = Arc::new(PreparedStatement::new(
            &parse.name,
            analysis,
            parse.parameter_types,
            store,
            &context,
        ));
        let before = self.statements.insert(parse.name.clone(), statement.clone());
        let undo = Undo { name: parse.name, before };
        if statement.is_local() {
            work.local_with_undo(undo, backend::parse_complete);
            return Ok(());
        }
        if !statement.server_name.is_empty() {
            // In a failed block only what ends it can be parsed: the server is asked again.
            let is_failed = self.status == TransactionStatus::Failed;
            let strictly = self.status == TransactionStatus::InTransaction;
            let lease = self.server().await?;
            lease.renew_prepared(&statement.server_name, statement.known().since, strictly);
            if is_failed {
                lease.outdate_prepared(&statement.server_name);
            }
            if lease.prepare_once(&statement.server_name) {
                work.local_with_undo(undo, backend::parse_complete);
                return Ok(());
            }
        }
        self.put_parse(&statement, Some(undo), work).await
    }

    /// Sends Parse of a statement that the server connection doesn't have.
    async fn put_parse(&mut self, statement: &Arc<PreparedStatement>, undo: Option<Undo>, work: &mut Work) -> Outcome<()> {
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
        work.steps.push_back(Step::Parse { server_name, undo });
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
            if self.is_of_sql(&bind.statement) {
                self.put(|out| put_bind(&bind, &bind.statement, out)).await?;
                work.steps.push_back(Step::Short);
                // PREPARE allows no statement that would do something to the session.
                let statement = PreparedStatement::unnamed(self.shared.analyses.of(""), Vec::new());
                self.portals
                    .insert(bind.portal.clone(), BoundPortal::new(Arc::new(statement), bind));
                return Ok(());
            }
            return self.fail(no_statement(&bind.statement), work).await;
        };
        // Where both are the server's, it knows better: savepoints and CLOSE end portals too.
        let is_local = |portal: &BoundPortal| portal.statement.is_local() || statement.is_local();
        if !bind.portal.is_empty() && self.status != TransactionStatus::Idle && self.portals.get(&bind.portal).is_some_and(is_local) {
            let message = format!("cursor \"{}\" already exists", bind.portal);
            return self.fail(PgError::error(sqlstate::DUPLICATE_CURSOR, message), work).await;
        }
        let statement = self.current(statement, work).await?;
        if statement.is_local() {
            let wanted = statement.store.as_ref().map_or(0, |store| store.parameters().len());
            if bind.parameters.len() != wanted {
                let message = format!(
                    "bind message supplies {} parameters, but prepared statement \"{}\" requires {wanted}",
                    bind.parameters.len(),
                    bind.statement
                );
                return self.fail(PgError::error(sqlstate::PROTOCOL_VIOLATION, message), work).await;
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
            work.steps.push_back(Step::Bind {
                statement: statement.clone(),
                client_name: bind.statement.clone(),
            });
        }
        self.portals.insert(bind.portal.clone(), BoundPortal::new(statement, bind));
        Ok(())
    }

    /// The statement, planned anew when the names in it may mean something else than when it was prepared.
    async fn current(&mut self, statement: Arc<PreparedStatement>, work: &mut Work) -> Outcome<Arc<PreparedStatement>> {
        match &statement.store {
            Some(store) if !self.is_current(store) => {
                self.catch_up(work).await?;
                let store = Box::pin(self.prepare_store(&statement.analysis, &statement.types)).await?;
                Ok(Arc::new(statement.with_store(store)))
            }
            // One that was answered from memory without being planned.
            None if statement.analysis.concerns_any_store() && statement.analysis.statements.len() == 1 => {
                self.catch_up(work).await?;
                let store = Box::pin(self.prepare_store(&statement.analysis, &statement.types)).await?;
                Ok(Arc::new(statement.with_store(store)))
            }
            _ => Ok(statement),
        }
    }

    /// Whether a statement that isn't known here may be one prepared by SQL, which the server knows.
    fn is_of_sql(&self, name: &str) -> bool {
        self.is_pinned() && self.has_server() && !name.is_empty()
    }

    async fn describe_statement(&mut self, name: &str, work: &mut Work) -> Outcome<()> {
        let Some(statement) = self.statements.get(name).cloned() else {
            if self.is_of_sql(name) {
                self.put(|out| message::describe(b'S', name, out)).await?;
                work.steps.push_back(Step::DescribeOfSql);
                return Ok(());
            }
            return self.fail(no_statement(name), work).await;
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
            // It may be a cursor of SQL's. What a failed Query leaves as the unnamed portal must not be touched: PostgreSQL 15 crashes.
            if self.has_server() && !execute.portal.is_empty() {
                self.note_any_write();
                self.put(|out| message::execute(&execute.portal, execute.max_rows, out)).await?;
                work.steps.push_back(Step::Execute(None));
                return Ok(());
            }
            let message = format!("portal \"{}\" does not exist", execute.portal);
            return self.fail(PgError::error(sqlstate::INVALID_CURSOR_NAME, message), work).await;
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
            let tag = Box::pin(self.transaction_control(&statement.analysis, 0)).await?;
            backend::command_complete(&mut self.client.out, &tag);
        } else if let Some((tag, undos)) = self.deallocate(&statement.analysis) {
            work.local(|out| backend::command_complete(out, tag));
            work.steps
                .extend(undos.into_iter().map(|undo| Step::Local(Bytes::new(), Some(undo))));
        } else if let Some(store) = statement.store.clone().filter(|store| store.is_copy()) {
            self.catch_up(work).await?;
            self.check_not_failed()?;
            self.put_copy(&store, &statement.analysis).await?;
            work.steps.extend((0..PORTAL_STEPS).map(|_| Step::Hidden));
            work.steps.push_back(Step::Execute(Some(statement)));
        } else if statement.is_local() {
            self.catch_up(work).await?;
            self.execute_local(execute).await?;
        } else {
            self.note_portal_writes(&execute.portal);
            self.expect_explain(&statement.analysis).await;
            self.server().await?;
            self.put(|out| message::execute(&execute.portal, execute.max_rows, out)).await?;
            let decides = decides_names(&statement.analysis);
            work.steps.push_back(Step::Execute(Some(statement)));
            if decides {
                self.catch_up_within(work).await?;
            }
        }
        Ok(())
    }

    /// What a portal is about to write.
    fn note_portal_writes(&mut self, portal: &str) {
        if self.shared.caching.is_none() {
            return;
        }
        let Some(portal) = self.portals.remove_entry(portal) else { return };
        let statement = &portal.1.statement;
        let parameters = Parameters {
            types: &statement.types,
            formats: &portal.1.formats,
            values: &portal.1.values,
            computed: None,
        };
        self.note_writes(&statement.analysis, 0..statement.analysis.statements.len(), &parameters);
        self.portals.insert(portal.0, portal.1);
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
                    analyzing: None,
                };
                // On the heap while it runs: sessions that read no store tables don't carry its state.
                let answer = Box::pin(self.answer(&store, &arguments)).await;
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
            Target::Statement => match self.statements.remove(name) {
                None if self.is_of_sql(name) => {
                    self.put(|out| message::close(b'S', name, out)).await?;
                    work.steps.push_back(Step::Short);
                }
                before => {
                    let name = name.to_owned();
                    work.local_with_undo(Undo { name, before }, backend::close_complete);
                }
            },
            Target::Portal => match self.portals.remove(name) {
                Some(portal) if portal.statement.is_local() => work.local(backend::close_complete),
                // One that isn't known here may be a cursor of SQL's.
                _ if self.has_server() => {
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

/// Whether statements of the session have other names, or none, once it is carried out.
fn decides_names(analysis: &Analysis) -> bool {
    let prepares = |statement: &Statement| {
        matches!(statement.verb, Verb::Prepare)
            || matches!(statement.session, SessionEffect::DiscardAll)
            || statement.has_keyword(&analysis.text, "deallocate")
    };
    !analysis.is_plain && analysis.statements.iter().any(prepares)
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
