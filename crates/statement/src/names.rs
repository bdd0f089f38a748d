//! Which relations a text names.

use flywheel_types::TableName;

use crate::Analysis;

/// Whether every relation that the statements name is one of `tables` (by name, and by schema when
/// one is written).
pub fn names_only(analysis: &Analysis, tables: &[TableName]) -> bool {
    let listed = |relation: &flywheel_sql::Relation| {
        tables.iter().any(|table| {
            table.name == relation.name.name
                && relation.name.schema.as_ref().is_none_or(|schema| *schema == table.schema)
        })
    };
    (0..analysis.statements.len()).all(|position| {
        flywheel_sql::parse(analysis.statement_text(position))
            .is_ok_and(|parsed| !parsed.relations.is_empty() && parsed.relations.iter().all(listed))
    })
}
