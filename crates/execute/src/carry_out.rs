//! The ways of a statement that names a store table, by its plan.

use flywheel_plan::{General, Native, Plan};
use flywheel_sql::Parsed;
use flywheel_wire::backend::TransactionStatus;

use super::declaring::ends_at_once;
use super::expressions::Expressions;
use super::{Answer, Arguments, Kind, StoreStatement, explain};
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::way::Way;

impl<H: Host> Executor<'_, H> {
    /// Answers a statement that names a store table, and ends the answers that what it writes was
    /// read for.
    pub(crate) async fn answer(
        &mut self,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        // One that EXECUTE names is part of the EXECUTE.
        let is_within = self.begin_answer(statement, arguments);
        let answer = self.carry_out_isolated(statement, arguments).await;
        self.end_answer(is_within);
        answer
    }

    /// What a block is told is all of one moment, where it is to be.
    async fn carry_out_isolated(
        &mut self,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        self.learn_isolation().await?;
        let answer = self.carry_out(statement, arguments).await?;
        self.confirm_snapshot().await?;
        Ok(answer)
    }

    async fn carry_out(
        &mut self,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        // What is planned is counted in its way, what EXECUTE names comes here by itself.
        if !matches!(
            statement.kind,
            Kind::Planned { .. }
                | Kind::Analyze { .. }
                | Kind::Execute { .. }
                | Kind::Relayed
                | Kind::Copy { .. }
        ) {
            self.count(Way::Command);
        }
        match &statement.kind {
            Kind::Planned { parsed, plan } if self.locks_alone(parsed, plan) => {
                self.planned_as_block(statement, parsed, plan, arguments).await
            }
            Kind::Planned { parsed, plan } => {
                self.planned(statement, parsed, plan, arguments).await
            }
            Kind::Analyze { inner, options } => {
                self.explain_analyze(statement, (inner, options), arguments).await
            }
            Kind::Explain { lines, as_json } => {
                let analysis = self.stores().analyses.of(&statement.text);
                let mut lines = lines.clone();
                lines.extend(self.explain_cache(&analysis, 0));
                Ok(explain::answer(&lines, *as_json))
            }
            Kind::CreateTable { .. } => self.create_table(statement).await,
            Kind::AlterTable { home } => self.alter_table(statement, home).await,
            Kind::DropTable { .. } | Kind::DropUnnamed => self.drop_tables(statement).await,
            Kind::Failing(error) => Err(error.clone().into()),
            Kind::CopyFrom { home } => self.copy_from(statement, home).await,
            Kind::CreateView => self.create_view(statement).await,
            Kind::Materialize { fetches } => self.materialize(statement, fetches).await,
            Kind::Truncate { homes } => self.truncate(statement, homes).await,
            Kind::Prepare { name, inner } => self.prepare_by_sql(statement, name, inner).await,
            Kind::Execute { statement: prepared, arguments: given, columns } => {
                self.execute_prepared(
                    &statement.text,
                    (prepared, *columns),
                    given,
                    arguments.result_formats,
                )
                .await
            }
            Kind::Cache(command) => self.cache_command(command).await,
            // The session relays these before it asks.
            Kind::Relayed | Kind::Copy { .. } => Ok(Answer::default()),
        }
    }

    /// Whether it is a read that locks rows of store tables outside a block: it must wait for those
    /// that blocks have, or skip them, as within one.
    pub(super) fn locks_alone(&self, parsed: &Parsed, plan: &Plan) -> bool {
        if parsed.locking.is_empty() || self.block().is_open() {
            return false;
        }
        let locks_natively =
            matches!(&plan.native, Some((Native::Select(select), _)) if select.locks);
        match &plan.general {
            General::Read { fetches, .. } => {
                locks_natively || fetches.iter().any(|fetch| parsed.locks(fetch.relation))
            }
            General::Refuse(_) => locks_natively,
            General::Write { .. } => false,
        }
    }

    /// A statement as a block of its own.
    async fn planned_as_block(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        plan: &Plan,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        self.begin_implicit().await?;
        let answered = self.planned(statement, parsed, plan, arguments).await;
        self.end_own_block(answered).await
    }

    /// Ends the block that one statement was, as the statement has ended.
    pub(crate) async fn end_own_block(&mut self, answered: Outcome<Answer>) -> Outcome<Answer> {
        if !matches!(answered, Err(Failure::Session(_))) {
            self.end_implicit(answered.is_ok()).await?;
        }
        answered
    }

    pub(crate) async fn planned(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        plan: &Plan,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        if statement.is_unchecked() {
            self.check_rights_now(statement, arguments).await?;
        }
        if let Some((native, home)) = &plan.native {
            let answered = self.native_as_defined(native, home, statement, arguments).await;
            if !matches!(answered, Ok(None)) {
                self.count(Way::Native);
            }
            if let Some(answer) = answered? {
                return Ok(answer);
            }
        }
        if self.status() == TransactionStatus::Idle
            && let Some(error) = ends_at_once(&self.stores().analyses.of(&statement.text))
        {
            return Err(error.into());
        }
        match &plan.general {
            General::Read { .. } => self.count(Way::Mixed),
            General::Write { .. } => self.count(Way::Staged),
            General::Refuse(_) => {}
        }
        let answer = self.general_expressed(statement, (parsed, plan), arguments).await?;
        self.note_declared(statement, parsed, plan);
        Ok(answer)
    }

    /// A plan that PostgreSQL has a part in. What says which rows are fetched is computed in one
    /// transaction with the statement, so that `now()` is the same moment in both.
    pub(super) async fn general_expressed(
        &mut self,
        statement: &StoreStatement,
        (parsed, plan): (&Parsed, &Plan),
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        if !statement.expressions.as_ref().is_some_and(|all| all.are_in_fetches) {
            return self.general_as_defined(statement, parsed, plan, arguments).await;
        }
        let own_block = self.status() == TransactionStatus::Idle;
        if own_block {
            self.check_before(statement, arguments).await?;
            self.begin_implicit().await?;
        }
        let answered = match Expressions::values(self, statement, arguments).await {
            Ok(expressed) => {
                let arguments = &Arguments { expressions: &expressed, ..*arguments };
                self.general_as_defined(statement, parsed, plan, arguments).await
            }
            Err(failure) => Err(failure),
        };
        if own_block { self.end_own_block(answered).await } else { answered }
    }
}
