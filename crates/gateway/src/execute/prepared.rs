//! SQL's PREPARE and EXECUTE of statements on store tables. PostgreSQL keeps the prepared statement too, so that names, types and mistakes are its own;
//! EXECUTE has it compute the arguments, and runs the statement as if a driver had prepared it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flywheel_postgres::{Described, ServerError};
use flywheel_sql::{Verb, executed};
use flywheel_wire::quote::literal;
use flywheel_wire::{PgError, sqlstate};

use super::{Answer, Arguments, Kind, StoreStatement};
use crate::analysis::Analysis;
use crate::session::{Failure, Outcome, Session};

/// Where each argument of an EXECUTE stands in its text, and the type it is cast to; or why they can't be.
pub(crate) type SqlArguments = Result<Vec<(Range<usize>, String)>, PgError>;

/// A statement on a store table that the client has prepared by SQL.
#[derive(Debug)]
pub(crate) struct SqlPrepared {
    analysis: Arc<Analysis>,
    /// The types of its parameters, and their names as SQL.
    types: Vec<u32>,
    type_names: Vec<String>,
}

impl Session {
    /// PREPARE of the statement `inner`.
    pub(super) async fn prepare_by_sql(&mut self, statement: &StoreStatement, name: &str, inner: &str) -> Outcome<Answer> {
        let tag = self.on_server(&statement.text).await?;
        let sql = format!(
            "SELECT t.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname) \
             FROM pg_catalog.pg_prepared_statements p CROSS JOIN pg_catalog.unnest(p.parameter_types) WITH ORDINALITY AS a(ty, place) \
             JOIN pg_catalog.pg_type t ON t.oid = a.ty JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE p.name = {} ORDER BY a.place",
            literal(name)
        );
        let lease = self.server().await?;
        let asked = lease.query(&sql).await;
        let rows = asked.map_err(|error| self.server_failed(&error))?.pop().unwrap_or_default();
        let all = 0..rows.rows.len();
        let prepared = SqlPrepared {
            analysis: self.shared.analyses.of(inner),
            types: all.clone().map(|row| rows.text(row, 0).parse().unwrap_or_default()).collect(),
            type_names: all.map(|row| rows.text(row, 1).to_owned()).collect(),
        };
        self.sql_prepared.insert(name.to_owned(), Arc::new(prepared));
        Ok(Answer::tagged(tag))
    }

    /// Whether a statement of the text executes one that was prepared by SQL and is Flywheel's to answer.
    pub(crate) fn executes_prepared(&self, analysis: &Analysis) -> bool {
        !self.sql_prepared.is_empty() && (0..analysis.statements.len()).any(|position| self.executes_prepared_at(analysis, position))
    }

    /// Whether this one does.
    pub(crate) fn executes_prepared_at(&self, analysis: &Analysis, position: usize) -> bool {
        self.executed(analysis, position).is_some()
    }

    fn executed(&self, analysis: &Analysis, position: usize) -> Option<(String, Vec<Range<usize>>)> {
        let statement = analysis.statements.get(position).filter(|_| !self.sql_prepared.is_empty())?;
        if !matches!(statement.verb, Verb::Execute | Verb::Explain | Verb::CreateTable) {
            return None;
        }
        executed(&analysis.text, &statement.tokens).filter(|(name, _)| self.sql_prepared.contains_key(name))
    }

    /// The statement that an EXECUTE stands for; `None` when it isn't one of a store table.
    pub(super) async fn prepare_execute(&mut self, analysis: &Arc<Analysis>) -> Outcome<Option<StoreStatement>> {
        let Some((name, ranges)) = self.executed(analysis, 0) else {
            return Ok(None);
        };
        let Some(prepared) = self.sql_prepared.get(&name).cloned() else {
            return Ok(None);
        };
        let inner = Box::pin(self.prepare_store(&prepared.analysis, &prepared.types)).await?;
        if inner.is_relayed() {
            return Ok(None);
        }
        if analysis.statements[0].verb != Verb::Execute {
            let message = format!("EXECUTE of \"{name}\", which names a store table, isn't supported in another statement");
            return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                .with_hint("Write the prepared statement out there.")
                .into());
        }
        let arguments = if ranges.len() == prepared.types.len() {
            Ok(ranges.into_iter().zip(prepared.type_names.iter().cloned()).collect())
        } else {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {} parameters but got {}.", prepared.types.len(), ranges.len());
            Err(PgError::error(sqlstate::SYNTAX_ERROR, message).with_detail(detail))
        };
        let fields = inner.fields().map(<[_]>::to_vec);
        let described = Described {
            parameters: Vec::new(),
            fields,
        };
        let kind = Kind::Execute {
            statement: inner.clone(),
            arguments,
        };
        Ok(Some(inner.executed_by(analysis.text.clone(), kind, described)))
    }

    /// Runs a prepared statement with arguments that PostgreSQL computes. `text` is the EXECUTE.
    pub(super) async fn execute_prepared(
        &mut self,
        text: &str,
        statement: &Arc<StoreStatement>,
        arguments: &SqlArguments,
        result_formats: &[i16],
    ) -> Outcome<Answer> {
        let values = match arguments {
            Err(error) => return Err(error.clone().into()),
            Ok(arguments) => self.compute_arguments(text, arguments).await?,
        };
        let arguments = Arguments {
            formats: &[],
            values: &values,
            result_formats,
            analyzing: None,
        };
        Box::pin(self.answer(statement, &arguments)).await
    }

    async fn compute_arguments(&mut self, text: &str, arguments: &[(Range<usize>, String)]) -> Outcome<Vec<Option<Bytes>>> {
        if arguments.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = "SELECT ".to_owned();
        // Where each argument stands in the query and in the client's text, in characters.
        let mut places = Vec::new();
        for (range, ty) in arguments {
            if !places.is_empty() {
                sql.push_str(", ");
            }
            sql.push_str("CAST(");
            places.push((sql.chars().count(), text[..range.start].chars().count()));
            sql.push_str(&text[range.clone()]);
            sql.push_str(" AS ");
            sql.push_str(ty);
            sql.push(')');
        }
        let lease = self.server().await?;
        match lease.query(&sql).await {
            Ok(mut results) => Ok(results.pop().unwrap_or_default().rows.into_iter().next().unwrap_or_default()),
            Err(ServerError::Postgres(error)) => {
                self.follow_server();
                let position = error.field(b'P').and_then(|position| position.parse::<usize>().ok());
                let place = position.and_then(|position| Some((position, places.iter().rev().find(|(ours, _)| *ours < position)?)));
                Err(Failure::Statement(match place {
                    Some((position, (ours, theirs))) => error.with_field(b'P', (position - ours + theirs).to_string()),
                    None => error,
                }))
            }
            Err(error) => Err(self.server_failed(&error)),
        }
    }
}
