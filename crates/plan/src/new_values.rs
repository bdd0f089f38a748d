//! UPDATEs whose new values a query computes over the rows, so that none is staged.
//!
//! The query gives what the UPDATE's own expressions give. What an assignment does to a value
//! beside computing it is left to PostgreSQL: a CHECK, a generated column, a row that moves to
//! another key. Casts are the caller's to look at, by the types that PostgreSQL finds.

use flywheel_sql::{Constant, NewValue, Parsed};
use flywheel_types::{Scalar, quote_identifier};

use crate::rewrite::{row_source, substitute};
use crate::{General, Home};

/// The query, and what becomes of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct NewValuesQuery {
    /// It gives the key's columns, in the key's order, and behind them the new values, for each row
    /// that the UPDATE changes. The rows are its last parameter.
    pub sql: String,
    /// The columns of the new values, as positions in the table.
    pub columns: Vec<usize>,
    /// The columns whose new values need no query.
    pub constants: Vec<(usize, Constant)>,
}

impl NewValuesQuery {
    /// The query for an UPDATE of `text` that has `given` parameters. `None`: its rows must be
    /// staged.
    #[must_use]
    pub fn of(text: &str, parsed: &Parsed, general: &General, given: usize) -> Option<Self> {
        let (home, place) = only_target(general)?;
        let new = parsed.new_values.as_ref()?;
        let relation = parsed.relations.get(place)?;
        let table = &home.table.table;
        if table.computes_rows() {
            return None;
        }
        let rows = row_source(&table.name, &format!("${}", given + 1), relation.alias.is_none());
        let replaced = relation.replaced(rows);
        let part = |range: &std::ops::Range<usize>| {
            let inside = replaced
                .iter()
                .filter(|(each, _)| each.start >= range.start && each.end <= range.end);
            let mut inside: Vec<_> = inside
                .map(|(each, with)| {
                    (each.start - range.start..each.end - range.start, with.clone())
                })
                .collect();
            inside.sort_by_key(|(each, _)| each.start);
            Some(substitute(text.get(range.clone())?, &inside))
        };
        let qualifier = quote_identifier(relation.qualifier());
        let key = table
            .primary_key
            .iter()
            .map(|&column| format!("{qualifier}.{}", table.columns[column].to_sql()));
        let (mut results, mut columns): (Vec<String>, _) = (key.collect(), Vec::new());
        let mut constants = Vec::new();
        for (name, value) in &new.set {
            let column = table.column(name).filter(|column| !table.is_key(*column))?;
            if table.columns[column].ty.scalar == Scalar::Other {
                return None;
            }
            match value {
                NewValue::Constant(constant) => constants.push((column, constant.clone())),
                // A comment may end it.
                NewValue::Expression(range) => {
                    results.push(format!("({}\n)", part(range)?));
                    columns.push(column);
                }
            }
        }
        let mut sql = format!("SELECT {} FROM {}", results.join(", "), part(&new.table)?);
        if let Some(condition) = &new.condition {
            sql.push_str(&format!(" WHERE {}", part(condition)?));
        }
        Some(Self { sql, columns, constants })
    }
}

/// The one table that a statement changes, without a look at any other, and its place.
fn only_target(general: &General) -> Option<(&Home, usize)> {
    let General::Write { targets, fetches, on_conflict: false, in_tables: false } = general else {
        return None;
    };
    match (&targets[..], &fetches[..]) {
        ([target], []) => Some((&target.home, target.fetch.as_ref()?.relation)),
        _ => None,
    }
}
