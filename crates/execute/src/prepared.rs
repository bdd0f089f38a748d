//! SQL's PREPARE and EXECUTE of statements on store tables. PostgreSQL keeps what SQL has prepared
//! too, so that names, types and mistakes are its own; EXECUTE has it compute the arguments, and
//! runs the statement, whoever has prepared it, as if a driver had bound it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flywheel_postgres::{Described, ServerError};
use flywheel_sql::{Executed, Verb, executed};
use flywheel_statement::Analysis;
use flywheel_wire::quote::literal;
use flywheel_wire::reply::fields_digest;
use flywheel_wire::{PgError, sqlstate};

use super::statement::SqlArguments;
use super::{Answer, Arguments, Kind, StoreStatement};
use crate::client_statement::PreparedStatement;
use crate::error::changed_result;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

/// What PostgreSQL computes them with: each is converted to its parameter's type as EXECUTE
/// converts it.
const ARGUMENTS: &str = "flywheel_arguments";

impl<H: Host> Executor<'_, H> {
    /// PREPARE of the statement `inner`.
    pub(super) async fn prepare_by_sql(
        &mut self,
        statement: &StoreStatement,
        name: &str,
        inner: &str,
    ) -> Outcome<Answer> {
        let answer = self.on_server_with_notices(&statement.text).await?;
        let sql = format!(
            "SELECT a.ty::pg_catalog.oid FROM pg_catalog.pg_prepared_statements p \
             CROSS JOIN pg_catalog.unnest(p.parameter_types) WITH ORDINALITY AS a(ty, place) WHERE p.name = {} ORDER BY a.place",
            literal(name)
        );
        let lease = self.server().await?;
        let asked = lease.query(&sql).await;
        let rows = asked.map_err(|error| self.server_failed(&error))?.pop().unwrap_or_default();
        let types = (0..rows.rows.len()).map(|row| rows.text(row, 0).parse().unwrap_or_default());
        let types: Vec<u32> = types.collect();
        let analysis = self.stores().analyses.of(inner);
        // From here on PostgreSQL has it: it must be known here, whatever becomes of its plan.
        let unplanned =
            PreparedStatement::by_sql(name.to_owned(), analysis.clone(), types.clone(), None);
        self.note_prepared(name.to_owned(), unplanned);
        let planned = Box::pin(self.prepare_parsed(&analysis, &types)).await?;
        let prepared = PreparedStatement::by_sql(name.to_owned(), analysis, types, Some(planned));
        self.note_prepared(name.to_owned(), prepared);
        Ok(answer)
    }

    /// The statement that an EXECUTE stands for; `None` when it isn't one of a store table.
    pub(super) async fn prepare_execute(
        &mut self,
        analysis: &Arc<Analysis>,
    ) -> Outcome<Option<StoreStatement>> {
        let Some((executed, prepared)) = executed_of(self.statements(), analysis, 0) else {
            return Ok(None);
        };
        let Executed { name, start, arguments } = executed;
        let types = prepared.parameters();
        let mut inner = Box::pin(self.prepare_store(&prepared.analysis, types)).await?;
        let columns = prepared.known().columns;
        let is_other = |inner: &StoreStatement| {
            columns.is_some() && columns != inner.fields().map(fields_digest)
        };
        if is_other(&inner) {
            // The plan may be of a transaction that was rolled back: PostgreSQL is asked.
            inner = Box::pin(self.prepare_parsed(&prepared.analysis, types)).await?;
        }
        if inner.is_relayed() {
            return Ok(Some(StoreStatement::own(analysis.text.clone(), Kind::Relayed, None)));
        }
        if is_other(&inner) {
            return Err(changed_result().into());
        }
        let inner = match analysis.statements[0].verb {
            Verb::Execute => inner,
            Verb::Explain => {
                let text = format!("{}{}", &analysis.text[..start], prepared.analysis.text);
                let explained = self.stores().analyses.of(&text);
                Box::pin(self.prepare_store(&explained, inner.parameters())).await?
            }
            _ => {
                let message = format!(
                    "EXECUTE of \"{name}\", which names a store table, isn't supported in another statement"
                );
                return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("Write the prepared statement out there.")
                    .into());
            }
        };
        let wanted = inner.parameters().len();
        let arguments = if arguments.len() == wanted {
            let (first, last) = (arguments.first(), arguments.last());
            Ok(first.zip(last).map(|(first, last)| first.start..last.end))
        } else {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {wanted} parameters but got {}.", arguments.len());
            Err(PgError::error(sqlstate::SYNTAX_ERROR, message).with_detail(detail))
        };
        let described =
            Described { parameters: Vec::new(), fields: inner.fields().map(<[_]>::to_vec) };
        let kind = Kind::Execute {
            statement: inner.clone(),
            arguments,
            columns: columns.filter(|_| analysis.statements[0].verb == Verb::Execute),
        };
        Ok(Some(inner.executed_by(analysis.text.clone(), kind, described)))
    }

    /// Runs a prepared statement with arguments that PostgreSQL computes. `text` is the EXECUTE.
    pub(super) async fn execute_prepared(
        &mut self,
        text: &str,
        (statement, columns): (&Arc<StoreStatement>, Option<u64>),
        arguments: &SqlArguments,
        result_formats: &[i16],
    ) -> Outcome<Answer> {
        let values = match arguments {
            Err(error) => return Err(error.clone().into()),
            Ok(None) => Vec::new(),
            Ok(Some(range)) => self.compute_arguments(text, range, statement.parameters()).await?,
        };
        let arguments =
            Arguments { values: &values, result_formats, columns, ..Arguments::default() };
        Box::pin(self.answer(statement, &arguments)).await
    }

    /// The values of arguments that stand in `range` of the client's text.
    async fn compute_arguments(
        &mut self,
        text: &str,
        range: &Range<usize>,
        types: &[u32],
    ) -> Outcome<Vec<Option<Bytes>>> {
        if !self.may_lead_to_twins(&text[range.clone()]) {
            return self.run_arguments(text, range, types).await;
        }
        let own_block = self.begin_marks("{}").await?;
        let computed = self.run_arguments(text, range, types).await;
        self.end_guard(Some(own_block), computed).await
    }

    async fn run_arguments(
        &mut self,
        text: &str,
        range: &Range<usize>,
        types: &[u32],
    ) -> Outcome<Vec<Option<Bytes>>> {
        let parameters: Vec<String> =
            (1..=types.len()).map(|number| format!("${number}")).collect();
        let query = format!("SELECT {}", parameters.join(", "));
        let head = format!("EXECUTE {ARGUMENTS}(");
        let sql = format!("{head}{})", &text[range.clone()]);
        let lease = self.server().await?;
        match lease.execute_named((ARGUMENTS, &query, types), &sql).await {
            Ok(mut results) => {
                Ok(results.pop().unwrap_or_default().rows.into_iter().next().unwrap_or_default())
            }
            Err(ServerError::Postgres(error)) => {
                self.follow_server();
                // In characters: where it is in the query, and in the client's text.
                let (ours, theirs) = (head.chars().count(), text[..range.start].chars().count());
                let position =
                    error.field(b'P').and_then(|position| position.parse::<usize>().ok());
                Err(Failure::Statement(match position {
                    Some(position) if position > ours => {
                        error.with_field(b'P', (position - ours + theirs).to_string())
                    }
                    _ => error,
                }))
            }
            Err(error) => Err(self.server_failed(&error)),
        }
    }
}

/// Prepared statements by their names.
type Prepared = HashMap<String, Arc<PreparedStatement>>;

/// Whether a statement of the text executes one that is prepared and is Flywheel's to answer.
pub fn executes_prepared(statements: &Prepared, analysis: &Analysis) -> bool {
    !analysis.names_prepared.is_empty()
        && (0..analysis.statements.len())
            .any(|position| executes_prepared_at(statements, analysis, position))
}

/// Whether this one does.
pub fn executes_prepared_at(statements: &Prepared, analysis: &Analysis, position: usize) -> bool {
    !analysis.names_prepared.is_empty() && executed_of(statements, analysis, position).is_some()
}

fn executed_of(
    statements: &Prepared,
    analysis: &Analysis,
    position: usize,
) -> Option<(Executed, Arc<PreparedStatement>)> {
    let statement = analysis.statements.get(position)?;
    if !matches!(statement.verb, Verb::Execute | Verb::Explain | Verb::CreateTable) {
        return None;
    }
    let executed = executed(&analysis.text, &statement.tokens)?;
    let prepared = statements.get(&executed.name)?;
    let is_own =
        prepared.is_local() || (prepared.store.is_none() && prepared.analysis.concerns_any_store());
    is_own.then(|| (executed, prepared.clone()))
}
