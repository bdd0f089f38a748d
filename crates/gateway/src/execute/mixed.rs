//! Statements that PostgreSQL runs over fetched rows.

use std::sync::Arc;

use flywheel_plan::{Fetch, General, Home, record_set, substitute};
use flywheel_postgres::Portal;
use flywheel_sql::Parsed;
use flywheel_types::Row;

use super::fetch::Fetched;
use super::{Answer, Arguments, StoreStatement};
use crate::session::{Outcome, Session};

impl Session {
    pub(super) async fn general(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        general: &General,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        match general {
            General::Refuse(error) => Err(error.clone().into()),
            General::Read { fetches } => {
                let text = self.mixed_text(statement, parsed, fetches, arguments).await?;
                self.run_text(&text, statement, arguments).await
            }
            General::Write {
                targets,
                fetches,
                on_conflict,
            } => self.staged(statement, parsed, (targets, fetches, *on_conflict), arguments).await,
        }
    }

    /// The statement with fetched rows in the places of the store tables that it reads.
    pub(crate) async fn mixed_text(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        fetches: &[Fetch],
        arguments: &Arguments<'_>,
    ) -> Outcome<String> {
        let fetched = self.fetch_all(&fetches.iter().collect::<Vec<_>>(), statement, arguments).await?;
        self.lock_fetched(parsed, fetches, &fetched).await?;
        Ok(text_with_rows(&statement.text, parsed, fetches, &fetched))
    }

    /// Rows of store tables that a statement locks, by FOR UPDATE and the like, are to be at COMMIT as they were read. Which of those that were fetched it
    /// returns is known to PostgreSQL only: all of them are.
    pub(super) async fn lock_fetched(&mut self, parsed: &Parsed, fetches: &[Fetch], fetched: &Fetched) -> Outcome<()> {
        for fetch in fetches.iter().filter(|fetch| parsed.locks(fetch.relation)) {
            let rows = fetched.get(&fetch.relation).map(Vec::as_slice).unwrap_or_default();
            self.lock_rows(&fetch.home, rows).await?;
        }
        Ok(())
    }

    /// Outside a block a row is locked only until the statement's end.
    pub(super) async fn lock_rows(&mut self, home: &Arc<Home>, rows: &[Row]) -> Outcome<()> {
        self.check_writable("SELECT FOR UPDATE").await?;
        if self.block.is_open() {
            for row in rows {
                self.block.lock(home, home.table.table.key_of(row), row);
            }
        }
        Ok(())
    }

    /// Runs a text in the statement's place, with its parameters and result formats.
    pub(super) async fn run_text(&mut self, text: &str, statement: &StoreStatement, arguments: &Arguments<'_>) -> Outcome<Answer> {
        let explained = arguments.analyzing.map(|analyzing| format!("{}{text}", analyzing.prefix));
        let portal = Portal {
            sql: explained.as_deref().unwrap_or(text),
            types: statement.parameters(),
            formats: arguments.formats,
            values: arguments.values,
            result_formats: arguments.result_formats,
        };
        if let Some(analyzing) = arguments.analyzing {
            let ran = self.server().await?.run(&portal).await;
            self.lose_unnamed();
            let rows = ran.map_err(|error| self.server_failed(&error))?;
            self.follow_server();
            let lines = (0..rows.rows.len()).flat_map(|row| rows.text(row, 0).lines().map(str::to_owned).collect::<Vec<_>>());
            analyzing.note(lines.collect());
            return Ok(Answer::tagged(rows.tag));
        }
        let lease = self.server().await?;
        let mut answer = Answer::default();
        let ran = lease.run_with(&portal, |frame| answer.push_frame(&frame)).await;
        self.lose_unnamed();
        match ran {
            Ok(tag) => {
                self.follow_server();
                answer.tag = tag;
                Ok(answer)
            }
            Err(error) => Err(self.server_failed(&error)),
        }
    }
}

/// `text` with rows in the places of these fetches.
pub(super) fn text_with_rows(text: &str, parsed: &Parsed, fetches: &[Fetch], fetched: &Fetched) -> String {
    let mut replacements: Vec<_> = fetches
        .iter()
        .map(|fetch| {
            let relation = &parsed.relations[fetch.relation];
            let table = &fetch.home.table.table;
            let rows = fetched.get(&fetch.relation).map(Vec::as_slice).unwrap_or_default();
            (relation.range.clone(), record_set(&table.name, rows, relation.alias.is_none()))
        })
        .collect();
    for clause in &parsed.locking {
        let is_fetched = |name: &str| fetches.iter().any(|fetch| parsed.relations[fetch.relation].qualifier() == name);
        if !clause.names.iter().any(|(name, _)| is_fetched(name)) {
            continue;
        }
        // PostgreSQL locks no rows of a function's.
        let left: Vec<_> = clause
            .names
            .iter()
            .filter(|(name, _)| !is_fetched(name))
            .map(|(_, range)| &text[range.clone()])
            .collect();
        if let ([(_, first), ..], [.., (_, last)]) = (&clause.names[..], &clause.names[..]) {
            replacements.push(match &left[..] {
                [] => (clause.range.clone(), String::new()),
                _ => (first.start..last.end, left.join(", ")),
            });
        }
    }
    replacements.sort_by_key(|(range, _)| range.start);
    substitute(text, &replacements)
}
