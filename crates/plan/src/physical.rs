//! Which statements must see their rows in PostgreSQL's own tables: those that ask for what only a
//! table has.

use std::sync::Arc;

use flywheel_sql::{Parsed, Role, SystemColumn};
use flywheel_wire::{PgError, sqlstate};

use crate::{Home, unsupported};

/// Why a statement needs the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// It doesn't: rows may stand in their places.
    Nothing,
    /// It writes, and names a table with its schema in front of a column: that must not mean the
    /// written table where it means the rows that are read. A store that answers alone understands
    /// it.
    Name,
    /// It names a system column.
    Columns,
}

/// Whether rows must be put into the tables themselves, rather than stand in their places.
///
/// # Errors
/// The statement asks for what rows that are put there for it don't have: the same place in the
/// table as before.
pub(crate) fn needs_tables(
    parsed: &Parsed,
    homed: &[(usize, Arc<Home>)],
) -> Result<Needs, PgError> {
    let physical = &parsed.physical;
    let Some((_, first)) = homed.first() else {
        return Ok(Needs::Nothing);
    };
    if let Some(clause) = physical.clause {
        return Err(unsupported(first, clause).with_hint("Name the rows by their key."));
    }
    let means_others = |column: &SystemColumn| {
        let qualifier = column.qualifier.as_deref();
        let mut named = parsed
            .relations
            .iter()
            .enumerate()
            .filter(|(_, relation)| Some(relation.qualifier()) == qualifier);
        let is_homed = |place: usize| homed.iter().any(|(each, _)| *each == place);
        qualifier.is_some()
            && named.clone().next().is_some()
            && named.all(|(place, _)| !is_homed(place))
    };
    let mut columns = physical.columns.iter().filter(|column| !means_others(column)).peekable();
    let names_columns = columns.peek().is_some();
    if let Some(column) = columns.find(|column| column.escapes) {
        return Err(escaping(column, first));
    }
    if names_columns && let Some(column) = of_several_tables(parsed) {
        return Err(escaping(column, first));
    }
    // In front of a column its schema and name mean a table, and never an alias.
    let is_qualified = |(place, _): &(usize, Arc<Home>)| {
        let name = &parsed.relations[*place].name;
        physical
            .qualified
            .iter()
            .any(|(schema, table)| name.schema.as_ref() == Some(schema) && name.name == *table)
    };
    // Only a statement that writes to it has the table itself beside rows that stand in its place.
    let writes = homed.iter().any(|(place, _)| parsed.relations[*place].role == Role::Target);
    Ok(match names_columns {
        true => Needs::Columns,
        false if writes && homed.iter().any(is_qualified) => Needs::Name,
        false => Needs::Nothing,
    })
}

/// A system column by which a row could be compared with a row of another table: a row that is put
/// into its table has another place there than the one that it would have had all the time.
fn of_several_tables(parsed: &Parsed) -> Option<&SystemColumn> {
    let table_of = |column: &SystemColumn| {
        let qualifier = column.qualifier.as_deref()?;
        let mut named = parsed.relations.iter().filter(|each| each.qualifier() == qualifier);
        named.next().map(|relation| &relation.name.name)
    };
    let mut columns = parsed.physical.columns.iter().filter(|column| column.name != "tableoid");
    let first = columns.by_ref().find_map(table_of)?;
    columns.find(|column| table_of(column).is_some_and(|table| table != first))
}

fn escaping(column: &SystemColumn, home: &Home) -> PgError {
    PgError::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!(
            "the value of {} of table \"{}\", homed in {}, means nothing outside of one statement",
            column.name,
            home.name(),
            home.store.kind()
        ),
    )
    .with_hint(format!(
        "Use the primary key. Only within one statement {0} may be compared, as in `WHERE {0} IN (SELECT {0} FROM … LIMIT 10)`.",
        column.name
    ))
    .with_field(b's', home.name().schema.clone())
    .with_field(b't', home.name().name.clone())
}
