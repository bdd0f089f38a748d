//! Statements that PostgreSQL runs over fetched rows.

use std::time::Instant;

use bytes::Bytes;
use flywheel_plan::{Fetch, General, Native, Plan};
use flywheel_postgres::{Portal, is_about_statement};
use flywheel_sql::Parsed;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{Frame, PgError, sqlstate};

use super::fetch::Fetched;
use super::fetch::arrays;
use super::rewritten::Rewritten;
use super::statement::Serving;
use super::writing::Writing;
use super::{Answer, Arguments, StoreStatement};
use crate::client_statement::content_name;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    pub(super) async fn general(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        plan: &Plan,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        if let Some((Native::Top(top), home)) = &plan.native
            && let General::Read { fetches, in_tables: false } = &plan.general
            && let Some(rows) = self.top_array(top, home, (statement, fetches), arguments).await?
        {
            return self.run_guarded(statement, &rows, arguments).await;
        }
        match &plan.general {
            General::Refuse(error) => Err(error.clone().into()),
            General::Read { fetches, in_tables: true } => {
                self.read_in_tables(statement, parsed, fetches, arguments).await
            }
            General::Read { fetches, .. } => {
                let rows = self.mixed_rows(statement, parsed, fetches, arguments).await?;
                self.run_guarded(statement, &rows, arguments).await
            }
            General::Write { targets, fetches, on_conflict, in_tables } => {
                let writing =
                    Writing { targets, fetches, on_conflict: *on_conflict, in_tables: *in_tables };
                self.staged(statement, parsed, writing, arguments).await
            }
        }
    }

    /// The rows that stand in the places of the store tables that a statement reads, as values of
    /// its parameters.
    pub(super) async fn mixed_rows(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        fetches: &[Fetch],
        arguments: &Arguments<'_>,
    ) -> Outcome<Vec<Bytes>> {
        let all: Vec<&Fetch> = fetches.iter().collect();
        let mut fetched = self.fetch_and_lock((statement, parsed), &all, arguments).await?;
        Ok(arrays(fetches, &mut fetched).await)
    }

    /// The rows that a statement reads. Those that it locks, by FOR UPDATE and the like, are the
    /// block's from now on.
    pub(super) async fn fetch_and_lock(
        &mut self,
        (statement, parsed): (&StoreStatement, &Parsed),
        fetches: &[&Fetch],
        arguments: &Arguments<'_>,
    ) -> Outcome<Fetched> {
        let mut fetched = self.fetch_all(fetches, statement, arguments).await?;
        if parsed.locking.is_empty() || !self.block().is_open() {
            self.lock_fetched(parsed, fetches, &mut fetched).await?;
            return Ok(fetched);
        }
        let first = fetched;
        loop {
            let mut fetched = self.as_locked(fetches, first.clone());
            if self.lock_fetched(parsed, fetches, &mut fetched).await? {
                return Ok(fetched);
            }
        }
    }

    /// The same as [`Self::run_rewritten`], of a statement that has no rows in PostgreSQL's own
    /// tables.
    pub(super) async fn run_guarded(
        &mut self,
        statement: &StoreStatement,
        rows: &[Bytes],
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        // A guard's transaction isn't the client's: what is checked outside one is checked now.
        self.check_before(statement, arguments).await?;
        let guard = self.begin_guard(&statement.text).await?;
        let answer = self.run_rewritten(statement, rows, arguments).await;
        self.end_guard(guard, answer).await
    }

    /// Runs the statement with rows in the places of the store tables that it reads, and its
    /// parameters and result formats.
    pub(super) async fn run_rewritten(
        &mut self,
        statement: &StoreStatement,
        rows: &[Bytes],
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        let rewritten = statement.rewritten();
        if rewritten.is_none() && !rows.is_empty() {
            return Err(PgError::error(
                sqlstate::INTERNAL_ERROR,
                "there are rows for a statement that has no place for them",
            )
            .into());
        }
        let text = rewritten.map_or(&statement.text, |rewritten| &rewritten.text);
        let (formats, values) = arguments.followed_by(rows);
        let portal = Portal {
            name: "",
            sql: text,
            types: statement.parameters(),
            formats: &formats,
            values: &values,
            result_formats: arguments.result_formats,
        };
        if let Some(analyzing) = arguments.analyzing {
            let explained = format!("{}{text}", analyzing.prefix);
            let portal = Portal { sql: &explained, ..portal };
            let ran = self.server().await?.run(&portal).await;
            self.lose_unnamed();
            let rows = ran.map_err(|error| self.server_failed(&error))?;
            self.follow_server();
            let lines = (0..rows.rows.len())
                .flat_map(|row| rows.text(row, 0).lines().map(str::to_owned).collect::<Vec<_>>());
            analyzing.note(lines.collect());
            return Ok(Answer::tagged(rows.tag));
        }
        let name = rewritten.and_then(|rewritten| self.kept_name(rewritten, statement));
        let since = rewritten.map(|rewritten| rewritten.since);
        let ran = self.run_kept(name.as_deref(), since, &portal, Answer::push_frame).await?;
        let (mut answer, tag) = ran;
        answer.tag = tag;
        self.check_after(statement, &mut answer, arguments).await?;
        Ok(answer)
    }

    /// Runs a statement, which the server connection keeps under this name if there is one. What
    /// `each` has made of its answer's messages, and its tag.
    pub(super) async fn run_kept<R: Default + Send>(
        &mut self,
        name: Option<&str>,
        since: Option<Instant>,
        portal: &Portal<'_>,
        each: fn(&mut R, &Frame),
    ) -> Outcome<(R, String)> {
        let Some(name) = name else { return self.run_portal(portal, each).await };
        let stood_alone = self.status() == TransactionStatus::Idle;
        let lease = self.server().await?;
        if let Some(since) = since {
            lease.renew_prepared(name, since, !stood_alone);
        }
        let kept = Portal { name, ..*portal };
        match self.run_portal(&kept, each).await {
            Err(Failure::Statement(error)) if is_about_statement(&error) => {
                if let Some(lease) = self.held_server() {
                    lease.outdate_prepared(name);
                }
                // In a block nothing can be repeated.
                if !stood_alone {
                    return Err(error.into());
                }
                self.run_portal(portal, each).await
            }
            ran => ran,
        }
    }

    async fn run_portal<R: Default + Send>(
        &mut self,
        portal: &Portal<'_>,
        each: fn(&mut R, &Frame),
    ) -> Outcome<(R, String)> {
        let mut made = R::default();
        let ran = self.run_on_server(portal, |frame| each(&mut made, &frame)).await;
        self.lose_unnamed();
        Ok((made, ran?))
    }

    /// The name under which server connections keep the rewritten statement: made of all that
    /// PostgreSQL's parser depends on. `None`: it is parsed anew, because it won't come again, or
    /// means something else each time.
    pub(super) fn kept_name(
        &self,
        rewritten: &Rewritten,
        statement: &StoreStatement,
    ) -> Option<String> {
        // A pinned session may have temporary tables.
        if !rewritten.may_be_kept
            || self.is_pinned()
            || statement.serving.get() == Some(&Serving::OverRows { is_kept: false })
            || !rewritten.is_repeated()
        {
            return None;
        }
        let context =
            (self.settings(), self.block().local_settings(), self.stores().catalogue.definitions());
        Some(content_name(&(&rewritten.text, statement.parameters(), context)))
    }
}
