//! Statements that name a table homed in a store.

mod alter;
mod analyze;
mod answer;
mod cache_command;
mod classify;
mod copy_from;
mod definition;
mod drop_unnamed;
mod effects;
mod explain;
mod fetch;
mod materialize;
mod measured;
mod mixed;
mod native;
mod page;
mod prepare;
mod prepared;
mod ranked;
mod read;
mod rights;
mod staged;
mod truncate;
mod turn;
mod views;
mod write;

use bytes::Bytes;
use flywheel_plan::{General, Native, Plan};
use flywheel_sql::Parsed;

pub(crate) use analyze::Analyzing;
pub(crate) use answer::Answer;
pub(crate) use classify::{Kind, Maker, column_types};
pub(crate) use prepare::{StatementKey, StoreStatement};
pub(crate) use prepared::SqlPrepared;
pub(crate) use write::LockWait;

use crate::session::{Outcome, Session};
use crate::tally::Way;

/// What a statement is executed with: nothing in the simple protocol.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arguments<'a> {
    pub(crate) formats: &'a [i16],
    pub(crate) values: &'a [Option<Bytes>],
    pub(crate) result_formats: &'a [i16],
    /// PostgreSQL is to tell how it runs the statement, rather than to give its rows.
    pub(crate) analyzing: Option<&'a Analyzing>,
}

impl Session {
    /// Answers a statement that names a store table, and ends the answers that what it writes was read for.
    pub(crate) async fn answer(&mut self, statement: &StoreStatement, arguments: &Arguments<'_>) -> Outcome<Answer> {
        self.note_store_write(statement, arguments);
        // One that EXECUTE names is part of the EXECUTE.
        let is_within = std::mem::replace(&mut self.answering, true);
        let answer = self.carry_out(statement, arguments).await;
        self.answering = is_within;
        self.settle_writes();
        answer
    }

    async fn carry_out(&mut self, statement: &StoreStatement, arguments: &Arguments<'_>) -> Outcome<Answer> {
        // What is planned is counted in its way, what EXECUTE names comes here by itself.
        if !matches!(
            statement.kind,
            Kind::Planned { .. } | Kind::Analyze { .. } | Kind::Execute { .. } | Kind::Relayed | Kind::Copy { .. }
        ) {
            self.count(Way::Command);
        }
        match &statement.kind {
            Kind::Planned { parsed, plan } => self.planned(statement, parsed, plan, arguments).await,
            Kind::Analyze { inner, options } => self.explain_analyze(statement, (inner, options), arguments).await,
            Kind::Explain { lines, as_json } => {
                let analysis = self.shared.analyses.of(&statement.text);
                let mut lines = lines.clone();
                lines.extend(self.explain_cache(&analysis, 0));
                Ok(explain::answer(&lines, *as_json))
            }
            Kind::CreateTable { .. } => self.create_table(statement).await,
            Kind::AlterTable { home } => self.alter_table(statement, home).await,
            Kind::DropTable { homes } => self.drop_table(statement, homes).await,
            Kind::DropUnnamed => self.drop_unnamed(statement).await,
            Kind::CopyFrom { home } => self.copy_from(statement, home).await,
            Kind::CreateView => self.create_view(statement).await,
            Kind::Materialize { fetches } => self.materialize(statement, fetches).await,
            Kind::Truncate { homes } => self.truncate(statement, homes).await,
            Kind::Prepare { name, inner } => self.prepare_by_sql(statement, name, inner).await,
            Kind::Execute {
                statement: prepared,
                arguments: given,
            } => {
                self.execute_prepared(&statement.text, prepared, given, arguments.result_formats)
                    .await
            }
            Kind::Cache(command) => self.cache_command(command).await,
            // The session relays these before it asks.
            Kind::Relayed | Kind::Copy { .. } => Ok(Answer::default()),
        }
    }

    async fn planned(&mut self, statement: &StoreStatement, parsed: &Parsed, plan: &Plan, arguments: &Arguments<'_>) -> Outcome<Answer> {
        if statement.is_unchecked() {
            self.check_rights_now(statement, arguments).await?;
        }
        if let Some((Native::Top(top), home)) = &plan.native
            && let General::Read { fetches } = &plan.general
            && let Some(text) = self.top_text(top, home, (statement, parsed, fetches), arguments).await?
        {
            self.count(Way::Mixed);
            return self.run_text(&text, statement, arguments).await;
        }
        if let Some((native, home)) = &plan.native {
            let answered = self.native(native, home, statement, arguments).await;
            if !matches!(answered, Ok(None)) {
                self.count(Way::Native);
            }
            if let Some(answer) = answered? {
                return Ok(answer);
            }
        }
        match &plan.general {
            General::Read { .. } => self.count(Way::Mixed),
            General::Write { .. } => self.count(Way::Staged),
            General::Refuse(_) => {}
        }
        self.general(statement, parsed, &plan.general, arguments).await
    }
}
