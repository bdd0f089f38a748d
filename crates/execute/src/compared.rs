//! The columns that a statement compares with those of store tables.

use flywheel_plan::ColumnTypes;
use flywheel_postgres::{Connection, ServerError};
use flywheel_sql::{Explained, Fact, Through, prepared};
use flywheel_statement::Analysis;

use crate::forms::parse_from;
use crate::homes::Known;

/// The types of columns that a statement compares with others, for the relations that aren't store
/// tables.
pub(crate) async fn column_types(
    connection: &mut Connection,
    known: &Known,
    (analysis, views): (&Analysis, &[Through]),
) -> Result<ColumnTypes, ServerError> {
    named_types(connection, &compared(known, analysis, views)).await
}

/// The types of the columns of these relations, by their places in the statement.
pub(crate) async fn named_types(
    connection: &mut Connection,
    names: &[(usize, String)],
) -> Result<ColumnTypes, ServerError> {
    if names.is_empty() {
        return Ok(ColumnTypes::new());
    }
    flywheel_postgres::catalogue::column_types(connection, names).await
}

/// The relations of a statement, by their places, that aren't store tables and whose columns'
/// types matter.
pub(crate) fn compared(
    known: &Known,
    analysis: &Analysis,
    views: &[Through],
) -> Vec<(usize, String)> {
    let compares = |relation: &flywheel_sql::Relation| {
        let mut facts = relation.conjuncts.iter().map(|conjunct| &conjunct.fact);
        facts.any(|fact| matches!(fact, Fact::Same(..) | Fact::Member { .. }))
    };
    let Some(statement) = analysis.statements.first() else {
        return Vec::new();
    };
    // As the statement is read when it is planned.
    let start = match Explained::of(&analysis.text, &statement.tokens) {
        Some(explained) => explained.start,
        None => prepared(&analysis.text, &statement.tokens).map_or(0, |(_, range)| range.start),
    };
    let Ok(parsed) = parse_from(&analysis.text, start, views) else {
        return Vec::new();
    };
    // The other side of a comparison may be in another query.
    if !parsed.relations.iter().any(compares) {
        return Vec::new();
    }
    let is_home = |relation: &flywheel_sql::Relation| {
        known.homes.iter().any(|home| home.name().name == relation.name.name)
    };
    parsed
        .relations
        .iter()
        .enumerate()
        .filter(|(_, relation)| !is_home(relation))
        .map(|(place, relation)| (place, relation.name.to_sql()))
        .collect()
}
