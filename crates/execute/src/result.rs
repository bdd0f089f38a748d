//! The columns that a client takes the rows of a statement to have, and those that they have once
//! PostgreSQL has run it: a definition may have changed between the two, here or elsewhere.
//!
//! A statement on a store table keeps the result columns of its Parse, as in PostgreSQL: a plan
//! with others is refused where it would be bound, and where PostgreSQL runs the statement its
//! RowDescription is compared before a row is sent or written. Plans that name PostgreSQL's own
//! tables are described anew at each Parse, since no version tells of those.

use std::sync::Arc;

use flywheel_statement::Analysis;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::reply::fields_digest;
use flywheel_wire::{PgError, sqlstate};

use super::{Answer, Arguments, Kind, StoreStatement};
use crate::error::changed_result;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

/// How many changes of definitions one statement follows.
const REDEFINITIONS: usize = 20;

impl<H: Host> Executor<'_, H> {
    /// The plan of a statement that a client parses. Definitions of PostgreSQL's own tables are
    /// read anew: what the client is told holds from now on.
    pub async fn prepare_parsed(
        &mut self,
        analysis: &Arc<Analysis>,
        types: &[u32],
    ) -> Outcome<Arc<StoreStatement>> {
        let statement = self.prepare_store(analysis, types).await?;
        if statement.reads_others()
            && statement.is_old()
            && self.describe(&analysis.text, types).await? != *statement.described()
        {
            statement.outdate();
            return self.prepare_store(analysis, types).await;
        }
        Ok(statement)
    }

    /// Answers a statement. When it fails because another gateway, or PostgreSQL alone, has changed
    /// a definition since it was planned, it is planned and answered anew: nothing of it was
    /// carried out. The plan that has answered comes with the answer.
    pub async fn answer_anew(
        &mut self,
        analysis: &Arc<Analysis>,
        statement: &Arc<StoreStatement>,
        arguments: &Arguments<'_>,
    ) -> Outcome<(Arc<StoreStatement>, Answer)> {
        let mut planned = statement.clone();
        let mut attempts = 0;
        loop {
            let before = self.stores().catalogue.version();
            let error = match self.answer(&planned, arguments).await {
                Ok(answer) => return Ok((planned, answer)),
                Err(Failure::Statement(error)) => error,
                Err(failure) => return Err(failure),
            };
            // Found before anything of it was carried out.
            let is_lapsed = self.take_lapse().is_some();
            attempts += 1;
            if attempts > REDEFINITIONS
                || !is_lapsed && !self.is_to_be_planned_anew(&planned, before, &error).await?
            {
                return Err(error.into());
            }
            if is_lapsed {
                self.visible_to_role(false).await?;
            }
            planned = self.prepare_store(analysis, statement.parameters()).await?;
            let columns = planned.fields().map(fields_digest);
            if arguments.columns.is_some() && arguments.columns != columns {
                return Err(changed_result().into());
            }
        }
    }

    /// Whether a statement has failed for a definition that isn't the one it was planned for.
    async fn is_to_be_planned_anew(
        &mut self,
        statement: &StoreStatement,
        before: u64,
        error: &PgError,
    ) -> Outcome<bool> {
        let is_planned = matches!(statement.kind, Kind::Planned { .. });
        let at_rest = self.status() == TransactionStatus::Idle && !self.block().is_open();
        Ok(is_planned
            && at_rest
            && is_of_definition(error)
            && self.is_redefined_since(statement, before, error).await?)
    }

    /// Whether PostgreSQL has other definitions of store tables than were known until now,
    /// or than when a statement was planned that it couldn't read: that it has told before it ran
    /// anything.
    async fn is_redefined_since(
        &mut self,
        statement: &StoreStatement,
        before: u64,
        error: &PgError,
    ) -> Outcome<bool> {
        let shared = self.stores().clone();
        let visible = shared.visible(self.server().await?).await;
        visible.map_err(|error| self.server_failed(&error))?;
        let now = shared.catalogue.version();
        let is_told_first = is_of_definition(error);
        Ok(now != before || is_told_first && !statement.is_of(now))
    }

    /// Before PostgreSQL runs a statement that may do more than read: nothing of it may stay when
    /// its client would misread the rows.
    pub(super) async fn check_before(
        &mut self,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<()> {
        let Some(told) = arguments.columns else { return Ok(()) };
        if self.status() != TransactionStatus::Idle {
            return Ok(());
        }
        let only_reads = self.stores().analyses.of(&statement.text).reads_as_repeatable();
        if only_reads || self.columns_now(statement).await? == Some(told) {
            return Ok(());
        }
        statement.outdate();
        Err(changed_result().into())
    }

    /// Compares the columns of PostgreSQL's answer with those that the client takes it to have. No
    /// row of it has been given to anybody.
    pub(super) async fn check_after(
        &mut self,
        statement: &StoreStatement,
        answer: &mut Answer,
        arguments: &Arguments<'_>,
    ) -> Outcome<()> {
        let Some(columns) = answer.columns() else { return Ok(()) };
        let planned = statement.fields().map(fields_digest);
        if planned == Some(columns) && arguments.columns.is_none_or(|told| told == columns) {
            answer.forget_columns();
            return Ok(());
        }
        // Rows in the place of a table may give a column another modifier: the statement itself
        // decides.
        let now = self.columns_now(statement).await?;
        if planned != now {
            statement.outdate();
        } else {
            answer.forget_columns();
        }
        match arguments.columns {
            Some(told) if Some(told) != now => Err(changed_result().into()),
            _ => Ok(()),
        }
    }

    /// The digest of the columns that the statement has now.
    async fn columns_now(&mut self, statement: &StoreStatement) -> Outcome<Option<u64>> {
        let described = self.describe(&statement.text, statement.parameters()).await?;
        Ok(described.fields.as_deref().map(fields_digest))
    }
}

/// Whether an error may come of a definition that isn't the one that was planned for: rows in the
/// place of a table don't fit it, a name in the statement isn't there, or a value in the store has
/// another type.
pub(crate) fn is_of_definition(error: &PgError) -> bool {
    let is_record = error.code() == "22P02" && error.message().contains("record");
    is_record || error.code().starts_with("42") || error.code() == sqlstate::SYSTEM_ERROR.0
}
