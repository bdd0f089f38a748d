//! Parse.

use std::sync::Arc;

use flywheel_execute::executes_prepared;
use flywheel_wire::backend;
use flywheel_wire::frontend::Parse;
use flywheel_wire::{PgError, sqlstate};
use postgres_protocol::message::frontend as message;

use crate::session::step::{Step, Undo};
use crate::session::work::Work;
use crate::session::{Failure, Outcome, PreparedStatement, Session};

impl Work {
    pub(super) async fn parse(&mut self, parse: Parse, session: &mut Session) -> Outcome<()> {
        if !parse.name.is_empty() && session.prepared.statements.contains_key(&parse.name) {
            // PostgreSQL finds what else is wrong with it first.
            if !session.shared.analyses.of(&parse.query).concerns_any_store() {
                let statement = PreparedStatement::unnamed(
                    session.shared.analyses.of(&parse.query),
                    parse.parameter_types,
                )
                .in_charset(session.settings.charset());
                self.put_parse(&Arc::new(statement), None, session).await?;
                session.upstream.lose_unnamed();
            }
            let message = format!("prepared statement \"{}\" already exists", parse.name);
            return self
                .fail(PgError::error(sqlstate::DUPLICATE_PREPARED_STATEMENT, message), session)
                .await;
        }
        let mut analysis = session.shared.analyses.of(&parse.query);
        if let Some(rewritten) = session.settings.with_startup_values(&analysis, &parse.query) {
            analysis = session.shared.analyses.of(&rewritten);
        }
        match session.refusals().check(&analysis) {
            Ok(()) => {}
            Err(Failure::Statement(error)) => return self.fail(error, session).await,
            Err(failure) => return Err(failure),
        }
        session.statement_names().put_within(&analysis, self).await?;
        let mut store = None;
        let mut shape = None;
        if (analysis.concerns_any_store()
            || executes_prepared(&session.prepared.statements, &analysis))
            && analysis.statements.len() == 1
        {
            self.catch_up(session).await?;
            if session.transaction.has_failed() {
                let (text, types) = (&analysis.text, &parse.parameter_types);
                session.executor().read_in_failed_block(text, types).await?;
                session.transaction.check_not_failed()?;
            }
            let planned =
                Box::pin(session.shaped().plan(&analysis, &parse.parameter_types)).await?;
            (store, shape) = (Some(planned.0), planned.1);
        }
        session.defaults().note_shown(&analysis);
        let context = (
            &session.settings.now,
            session.transaction.block.local_settings(),
            session.shared.stores.catalogue.definitions(),
        );
        let statement =
            PreparedStatement::new(&parse.name, analysis, parse.parameter_types, store, &context);
        let statement = statement.in_charset(session.settings.charset());
        let statement = Arc::new(match shape {
            Some(shape) => statement.shaped(shape),
            None => statement,
        });
        let before = session.prepared.statements.insert(parse.name.clone(), statement.clone());
        let undo = Undo { name: parse.name, before };
        if statement.is_local() {
            self.local_with_undo(undo, backend::parse_complete);
            return Ok(());
        }
        if !statement.server_name.is_empty() {
            // In a failed block only what ends it can be parsed: the server is asked again.
            let is_failed = session.transaction.has_failed();
            let strictly = session.transaction.is_well();
            let lease = session.server().await?;
            lease.renew_prepared(&statement.server_name, statement.known().since, strictly);
            if is_failed {
                lease.outdate_prepared(&statement.server_name);
            }
            if lease.prepare_once(&statement.server_name) {
                self.local_with_undo(undo, backend::parse_complete);
                return Ok(());
            }
        }
        self.put_parse(&statement, Some(undo), session).await
    }

    /// Sends Parse of a statement that the server connection doesn't have.
    async fn put_parse(
        &mut self,
        statement: &Arc<PreparedStatement>,
        undo: Option<Undo>,
        session: &mut Session,
    ) -> Outcome<()> {
        session.strings().check_conforming(&statement.analysis.text)?;
        session.encoding().check_came_in(&statement.analysis.text, statement.charset)?;
        let server_name = statement.server_name.clone();
        if !server_name.is_empty() && session.server().await?.take_outdated(&server_name) {
            session.put(|out| message::close(b'S', &server_name, out)).await?;
            self.steps.push_back(Step::Hidden);
        }
        let lease = session.server().await?;
        if server_name.is_empty() {
            // What has dropped the one before is no matter any more.
            lease.take_unnamed_lost();
        }
        let put = lease.put_parse(&server_name, &statement.analysis.text, &statement.types);
        put.map_err(|error| session.server_failed(&error))?;
        if server_name.is_empty() {
            session.upstream.note_unnamed(statement);
        }
        self.steps.push_back(Step::Parse { server_name, undo });
        Ok(())
    }

    /// Sees to it that the server connection has the statement under its name; whether it had to be
    /// sent anew.
    pub(super) async fn ensure_parsed(
        &mut self,
        statement: &Arc<PreparedStatement>,
        session: &mut Session,
    ) -> Outcome<bool> {
        session.statement_names().put_within(&statement.analysis, self).await?;
        if statement.by_sql {
            return Ok(false);
        }
        if session.server().await?.take_unnamed_lost() {
            session.upstream.lose_unnamed();
        }
        let strictly = session.transaction.is_well();
        let known = match statement.server_name.as_str() {
            "" => session.upstream.has_unnamed(statement),
            name => {
                let lease = session.server().await?;
                lease.renew_prepared(name, statement.known().since, strictly);
                lease.prepare_once(name)
            }
        };
        if !known {
            self.put_parse(statement, None, session).await?;
        }
        Ok(!known)
    }
}
